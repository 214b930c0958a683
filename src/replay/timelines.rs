//! `--by process`: the processes of a capture one after another.
//!
//! Owns finding the processes, which reads only the key columns. A separate scan then shows each process, so memory
//! does not grow with the number of events. An event between two processes is shown under both.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};

use crate::model::process::Identity;
use crate::model::select::{CaptureFilter, Decision, View};
use crate::schema::limits::MAX_PROCESSES;
use crate::schema::reader::{Capture, Scan};
use crate::schema::{Event, EventKind};

/// One process and the span in which it is seen, on CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Who.
    pub process: Identity,
    /// First event.
    pub first: i64,
    /// Last event.
    pub last: i64,
}

/// The processes with events that `filter` wants, by their first event. It asks `goes_on` now and then.
///
/// # Errors
/// When the capture is damaged or holds too many processes, and those of `goes_on`.
pub fn find(
    capture: &Capture,
    filter: &CaptureFilter<'_>,
    mut goes_on: impl FnMut() -> Result<()>,
) -> Result<Vec<Timeline>> {
    let mut found = Found::default();
    let scan = Scan { columns: filter.columns(), ..filter.scan().clone() };
    for batch in capture.scan(&scan)? {
        for event in batch?.iter() {
            found.note(&event, filter);
        }
        found.check().with_context(|| capture.path().display().to_string())?;
        goes_on()?;
    }
    found.timelines.sort_by_key(|timeline| timeline.first);
    Ok(found.timelines)
}

#[derive(Default)]
struct Found {
    timelines: Vec<Timeline>,
    /// Places in `timelines` of the processes that had this pid, oldest first.
    places: HashMap<i32, Vec<usize>>,
}

impl Found {
    /// Whether there are no more than may be.
    fn check(&self) -> Result<()> {
        ensure!(self.timelines.len() <= MAX_PROCESSES, "more than {MAX_PROCESSES} processes; name some with -p");
        Ok(())
    }

    fn note(&mut self, event: &Event<'_>, filter: &CaptureFilter<'_>) {
        if event.event == EventKind::Lost.name() {
            return;
        }
        let caller = Identity::caller(event);
        let sides = [Some((caller, View::Caller)), Identity::target(event).map(|target| (target, View::Target))];
        for (side, view) in sides.into_iter().flatten() {
            let wanted = filter.decide_for(event, Some(side));
            // Self to self is one line, from the caller's side.
            if wanted == Decision::Show(view) {
                self.extend(side, event.mono_ns);
            }
        }
    }

    fn extend(&mut self, process: Identity, at: i64) {
        let places = self.places.entry(process.pid).or_default();
        let known = places.iter().rev().find_map(|place| {
            let timeline = self.timelines.get(*place)?;
            timeline.process.matches(process).then_some(*place)
        });
        match known.and_then(|place| self.timelines.get_mut(place)) {
            Some(timeline) => {
                timeline.first = timeline.first.min(at);
                timeline.last = timeline.last.max(at);
                timeline.process.start = timeline.process.start.or(process.start);
            }
            None => {
                places.push(self.timelines.len());
                self.timelines.push(Timeline { process, first: at, last: at });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::select::{Filter, Select};
    use crate::schema::manifest::Clocks;

    #[test]
    fn both_sides_have_a_timeline_and_unknown_starts_join() {
        let filter = Filter::new(&Select::default()).unwrap();
        let filter = filter.on(&Clocks::default());
        let mut found = Found::default();
        let call = Event { event: "tee", pid: 1, start_ns: 10_000_000, mono_ns: 5, ..Event::default() };
        found.note(&Event { target_pid: Some(2), ..call }, &filter);
        found.note(&Event { pid: 2, start_ns: 90_000_000, mono_ns: 9, ..call }, &filter);
        found.note(&Event { start_ns: 70_000_000, mono_ns: 7, ..call }, &filter);
        let spans: Vec<_> = found.timelines.iter().map(|t| (t.process.pid, t.first, t.last)).collect();
        assert_eq!(spans, [(1, 5, 5), (2, 5, 9), (1, 7, 7)], "pid 1 was reused, pid 2 was not");
    }

    #[test]
    fn there_are_so_many_processes() {
        let mut found = Found::default();
        let process = |pid| Identity::caller(&Event { pid, ..Event::default() });
        (0..MAX_PROCESSES as i32).for_each(|pid| found.extend(process(pid), 0));
        assert!(found.check().is_ok());
        found.extend(process(-1), 0);
        assert_eq!(found.check().unwrap_err().to_string(), "more than 100000 processes; name some with -p");
    }
}
