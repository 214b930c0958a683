//! Selects the processes that live when a recording begins. Those that come later are selected by the BPF programs.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Error, Result};

use crate::record::identity::proc::{all_pids, comm, is_gone, parent};
use crate::record::options::Options;
use crate::record::probes::load::{Programs, Tracked};

/// Selects those that were named, by number or by name, and with `--tree` what they have started.
///
/// # Errors
/// When there are more than the programs can keep.
pub fn select(options: &Options, programs: &Programs) -> Result<()> {
    options.pids.iter().try_for_each(|pid| programs.track(*pid))?;
    options.target_pids.iter().try_for_each(|pid| programs.track_new(*pid, Tracked::Target))?;
    select_living(options, programs)
}

/// Selects those that can be more than when it was last called.
///
/// # Errors
/// As [`select`].
pub fn select_living(options: &Options, programs: &Programs) -> Result<()> {
    if options.tree {
        // What a process starts that is selected is so, too. One that was not yet may have started another meanwhile.
        while below(&options.pids)
            .into_iter()
            .try_fold(false, |any, pid| Ok::<_, Error>(track(programs, pid, Tracked::Both)? || any))?
        {}
    }
    if options.selects_by_name() {
        for pid in all_pids().into_iter().filter(|pid| *pid != own()) {
            let Some(name) = comm(pid) else { continue };
            if options.comms.matches(&name) {
                track(programs, pid, Tracked::BothByName)?;
            } else if options.target_comms.matches(&name) {
                track(programs, pid, Tracked::TargetByName)?;
            }
        }
    }
    Ok(())
}

/// Selects a process that was found living, unless it is. Whether it was not.
fn track(programs: &Programs, pid: i32, how: Tracked) -> Result<bool> {
    if programs.is_tracked(pid) {
        return Ok(false);
    }
    programs.track_new(pid, how)?;
    // One that has ended by now nobody would take out again; the next one with its number is another process.
    let is_gone = is_gone(pid);
    if is_gone {
        programs.untrack(pid);
    }
    Ok(!is_gone)
}

fn own() -> i32 {
    std::process::id().cast_signed()
}

/// The descendants of processes, without the recorder.
fn below(pids: &[i32]) -> BTreeSet<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for pid in all_pids().into_iter().filter(|pid| *pid != own()) {
        parent(pid).into_iter().for_each(|parent| children.entry(parent).or_default().push(pid));
    }
    let mut found = BTreeSet::new();
    let mut left = pids.to_vec();
    while let Some(pid) = left.pop() {
        left.extend(children.get(&pid).into_iter().flatten().filter(|child| found.insert(**child)));
    }
    found
}
