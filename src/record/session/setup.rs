//! Sets up a recording: programs loaded, attached and tested, and the manifest as far as it is known then.

use anyhow::{Context, Result};

use crate::record::host;
use crate::record::limits;
use crate::record::options::Options;
use crate::record::privileges;
use crate::record::probes::load::{self, Knobs, Programs};
use crate::record::probes::tier_selection;
use crate::record::session::selection;
use crate::schema::manifest::{FamilyReport, Manifest};

/// Loads the programs, attaches and tests them, and selects what exists already: from here on the kernel records.
///
/// # Errors
/// As [`load::load`]; or when the hooks that all others need cannot be attached.
pub fn attach(options: &Options) -> Result<(Programs, Vec<FamilyReport>)> {
    let knobs = Knobs {
        events: options.events.clone(),
        snaplen: options.snaplen,
        all: options.all,
        follow: options.follow,
        names: options.comms.clone(),
        target_names: options.target_comms.clone(),
        uids: options.uids.clone(),
        cgroup: options.cgroup.as_ref().map(|cgroup| (cgroup.id, cgroup.level)),
        buffer_size: options.buffer_size,
        regions: options.regions,
    };
    limits::prepare(options)?;
    let mut programs = load::load(&knobs)?;
    // During the self-test no other process is recorded, so that none appears in counters and rings.
    programs.self_test(options.self_test);
    programs.attach()?;
    let families = if options.self_test {
        tier_selection::test(&mut programs, &options.events, options.snaplen)?
    } else {
        tier_selection::untested(&programs, &options.events)
    };
    selection::select(options, &programs)?;
    programs.note_holders(options.all, &programs.tracked())?;
    programs.self_test(false);
    // Who has got a name, or a child, while the programs did not look at others.
    selection::select_living(options, &programs)?;
    programs.watch_entries();
    Ok((programs, families))
}

/// The manifest when the hooks of `programs` are in place.
///
/// # Errors
/// When there are no random numbers for its id.
pub fn manifest(options: &Options, programs: &Programs, families: Vec<FamilyReport>) -> Result<Manifest> {
    let mut gaps = privileges::gaps();
    gaps.extend(load::gaps(programs, &options.events));
    gaps.extend(tier_selection::gaps(&families));
    Ok(Manifest {
        capture_id: host::capture_id().context("no random numbers")?,
        tool: host::tool(),
        argv: std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect(),
        comment: options.comment.clone(),
        filters: options.filters(),
        host: host::host(),
        start: host::clocks(),
        start_clock: host::clock_state(),
        hooks: programs.hooks().cloned().collect(),
        families,
        gaps,
        ..Manifest::default()
    })
}
