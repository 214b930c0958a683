//! The self-test: one known transfer of each kind, made when the hooks are attached, whose event must arrive with the
//! right bytes. A hook can attach and never fire; only this test shows it.
//!
//! Owns the transfers and the comparison. The session acts on the result.

mod expectation;
mod kinds;
mod observed;
mod processes;
mod program;
mod scene;
mod sys;
mod transfers;
mod userfaultfd;

use anyhow::Result;

use self::expectation::Board;
use self::kinds::TransferKind;
pub use self::observed::Outcome;
use self::observed::{Demand, Observed};
use self::transfers::KINDS;
use crate::record::decode::{Decoder, WallClock};
use crate::record::encode::reorder::Reorder;
use crate::record::host;
use crate::record::identity::lookup::Live;
use crate::record::identity::processes::Processes;
use crate::record::journal::drain::{self, Chunk};
use crate::record::probes::load::Programs;
use crate::schema::events::{EventKind, EventSet, Family};
use crate::schema::vocabulary::Tier;

/// What came of the transfers of one family.
#[derive(Clone, Debug)]
pub struct Tested {
    /// The family.
    pub family: Family,
    /// By transfer: its name and what came of it.
    pub outcomes: Vec<(&'static str, Outcome)>,
}

impl Tested {
    /// Whether something was tried and nothing failed.
    pub fn passed(&self) -> bool {
        self.failures().is_empty() && self.outcomes.iter().any(|(_, o)| *o == Outcome::Passed)
    }

    /// What failed, and why.
    pub fn failures(&self) -> Vec<String> {
        let described = self.outcomes.iter().filter_map(|(name, outcome)| match outcome {
            Outcome::Failed(why) => Some(format!("{name}: {why}")),
            _ => None,
        });
        described.collect()
    }

    /// What could not be tried, and why.
    pub fn untested(&self) -> Vec<String> {
        let described = self.outcomes.iter().filter_map(|(name, outcome)| match outcome {
            Outcome::Untestable(why) => Some(format!("{name}: {why}")),
            _ => None,
        });
        described.collect()
    }
}

/// Tests `families` as far as their events are among `events`. The hooks are in place, the rings have no reader yet, and
/// this process has one thread.
///
/// # Errors
/// When the rings cannot be read.
pub fn run(programs: &Programs, families: &[Family], events: &EventSet, snaplen: u32) -> Result<Vec<Tested>> {
    let states = programs.families();
    let is_by_function = |family| states.iter().any(|s| s.family == family && s.tier == Tier::Function);
    // process_madvise copies its array where no hook goes, and the path of an open is in the caller's memory.
    // Where the compiler has inlined the functions that move and poison pages, so is the struct of these calls.
    let events_in_memory = [EventKind::MemOpen, EventKind::UffdMove, EventKind::UffdPoison];
    let in_memory = |kind: &TransferKind| kind.family == Family::Madvise || events_in_memory.contains(&kind.event);
    let kernel_iovecs = |kind: &TransferKind| !in_memory(kind) && is_by_function(kind.family);
    let chosen = chosen(families, events);
    let mut caller = 0;
    let board = processes::play(&chosen, |pid| {
        caller = pid;
        programs.track(pid)
    });
    let observed = collect(programs)?;
    forget(programs, caller, board.as_ref().ok(), &chosen);
    let judge = |slot: usize| {
        let kind = KINDS.get(slot)?;
        let demand = Demand { snaplen: snaplen as usize, kernel_iovecs: kernel_iovecs(kind) };
        Some((kind, outcome(&observed, &board, slot, demand)))
    };
    let judged: Vec<_> = chosen.iter().filter_map(|slot| judge(*slot)).collect();
    let of = |family| {
        let of_family = judged.iter().filter(|(kind, _)| kind.family == family);
        let outcomes = of_family.map(|(kind, outcome)| (kind.name, outcome.clone())).collect();
        Tested { family, outcomes }
    };
    Ok(families.iter().map(|family| of(*family)).collect())
}

/// Numbers of the transfers that are to be made for `families`: those whose events are recorded.
fn chosen(families: &[Family], events: &EventSet) -> Vec<usize> {
    let selected = |kind: &TransferKind| families.contains(&kind.family) && events.contains(kind.event);
    KINDS.iter().enumerate().filter(|(_, kind)| selected(kind)).map(|(slot, _)| slot).collect()
}

/// No process of the test stays selected. Where the end of processes is hooked, none is any more.
fn forget(programs: &Programs, caller: i32, board: Option<&Board>, chosen: &[usize]) {
    programs.untrack(caller);
    for expectation in board.into_iter().flat_map(|board| chosen.iter().map(|slot| board.read(*slot))) {
        [expectation.pid, expectation.other].into_iter().filter(|pid| *pid > 0).for_each(|pid| programs.untrack(pid));
    }
}

fn outcome(observed: &Observed, board: &Result<Board>, slot: usize, demand: Demand) -> Outcome {
    match (board, KINDS.get(slot)) {
        (Ok(board), Some(kind)) => observed.judge(kind, &board.read(slot), demand),
        (Err(error), _) => Outcome::Untestable(format!("{error:#}")),
        (_, None) => Outcome::Untestable("no such transfer".into()),
    }
}

/// Empties the rings the way a recording does: drain, order, decode.
fn collect(programs: &Programs) -> Result<Observed> {
    let mut reorder = Reorder::default();
    let mut numbers = 0..;
    let mut take = |chunk: &mut Chunk| {
        reorder.push(numbers.next().unwrap_or(0), chunk.complete_until_ns, chunk.records());
        Ok(())
    };
    drain::once(&programs.rings()?, &mut take)?;
    let boot_id = host::boot_id();
    let lookup = Box::new(Live::new(&boot_id, None));
    let mut decoder = Decoder::new(WallClock { offset_ns: 0 }, Processes::new(&boot_id), lookup);
    let mut observed = Observed::default();
    reorder.release_all();
    while let Some(record) = reorder.next() {
        // What the decoder refuses makes no row, which the judgement finds.
        let _ = decoder.record(record, &mut observed);
    }
    Ok(observed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::events::EVENTS;

    #[test]
    fn every_event_is_tested_by_each_family_that_serves_it() {
        for (event, service) in EVENTS.iter().flat_map(|event| event.services.iter().map(move |s| (event, s))) {
            let is_tested = KINDS.iter().any(|kind| kind.event == event.kind && kind.family == service.family);
            assert!(is_tested, "no transfer of {} tests {:?}: add one to transfers.rs", event.name, service.family);
        }
        for kind in KINDS {
            assert!(kind.event.spec().service(kind.family).is_some(), "{}: {:?}", kind.name, kind.family);
        }
    }
}
