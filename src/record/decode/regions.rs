//! The mappings in which the remote ranges of a call lie.

use std::sync::Arc;

use crate::record::identity::lookup::Lookup;
use crate::record::identity::mappings::MappingState;
use crate::record::wire::vmt_hdr;
use crate::schema::Event;
use crate::schema::regions::{Mapping, Regions};
use crate::schema::types::Iovecs;
use crate::schema::vocabulary::RegionSource;

/// Fills in what `lookup` knows of the mappings that a call has reached. `mappings` is where they are put.
pub(super) fn set_regions<'a>(
    event: &mut Event<'a>,
    hdr: &vmt_hdr,
    mappings: &'a mut Vec<Option<Arc<Mapping>>>,
    lookup: &mut dyn Lookup,
) {
    mappings.clear();
    let (Some(remote), Some(pid)) = (event.remote_iov.filter(|ranges| !ranges.is_empty()), event.target_pid) else {
        return;
    };
    let state = MappingState { space: hdr.space, changes: hdr.changes };
    let mut addresses = Iovecs::iter(remote).map(|range| range.base);
    let known = lookup.mappings(pid, state, &mut addresses, mappings);
    let source = known.map(|known| if known { RegionSource::Maps } else { RegionSource::None });
    event.region_source = source.map(RegionSource::as_str);
    event.remote_regions = (known == Some(true)).then_some(Regions::Known(mappings));
}
