//! The mappings in which the remote ranges of a call lie.

use std::sync::Arc;

use crate::record::identity::lookup::Lookup;
use crate::record::identity::mappings::{MappingState, Reached};
use crate::record::wire::vmt_hdr;
use crate::schema::Event;
use crate::schema::regions::{Mapping, Regions};
use crate::schema::types::Iovecs;
use crate::schema::vocabulary::RegionSource;

/// A call whose beginning is not known had begun within this time, in ns: most take a few µs.
const MOST_DURATION_NS: u64 = 10_000_000;

/// Fills in what `lookup` knows of the mappings that a call has reached. `mappings` is where they are put.
pub(super) fn set_regions<'a>(
    event: &mut Event<'a>,
    hdr: &vmt_hdr,
    mappings: &'a mut Vec<Option<Arc<Mapping>>>,
    lookup: &mut dyn Lookup,
) {
    mappings.clear();
    let (Some(remote), Some(pid)) = (event.remote_iov, event.target_pid) else { return };
    // Many requests of ptrace reach no memory: their address is none.
    if Iovecs::iter(remote).all(|range| range.len == 0) {
        return;
    }
    let state = MappingState { space: hdr.space, changes: hdr.changes };
    let begin_ns = if hdr.begin_ns > 0 { hdr.begin_ns } else { hdr.mono_ns.saturating_sub(MOST_DURATION_NS) };
    let reached = Reached { pid, state, during_ns: (begin_ns, hdr.mono_ns) };
    let mut addresses = Iovecs::iter(remote).map(|range| range.base);
    let known = lookup.mappings(reached, &mut addresses, mappings);
    let source = known.map(|known| if known { RegionSource::Maps } else { RegionSource::None });
    event.region_source = source.map(RegionSource::as_str);
    event.remote_regions = (known == Some(true)).then_some(Regions::Known(mappings));
}
