//! What selected rows need to stay readable: the process events of those who acted in them and of their ancestors, and the gaps of
//! the recording.
//!
//! Processes are told apart by their hosts and pids alone: of a pid that was used again, the events of all its processes are taken.

use std::collections::{HashMap, HashSet};

use anyhow::Result;

use crate::derive::rows::Rows;
use crate::derive::source::Source;
use crate::model::hosts::Hosts;
use crate::schema::reader::Scan;
use crate::schema::{Event, EventKind};

/// Events of processes.
const OF_PROCESSES: [EventKind; 4] =
    [EventKind::ProcessExec, EventKind::ProcessFork, EventKind::ProcessExit, EventKind::ProcessSnapshot];
/// Columns that are looked at.
const COLUMNS: [&str; 7] = ["event", "pid", "parent_pid", "mono_ns", "ts_ns", "dur_ns", "host"];
/// Process events that are remembered until it is known whose are needed. If there are more, all are taken.
const REMEMBERED: usize = 4 << 20;

/// A row group: number of the capture, and its number there.
type Place = (usize, usize);
/// A process: the number of its host, and its pid there.
pub type Pid = (u32, i32);

/// What the selected rows need.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Hosts that have selected rows.
    hosts: HashSet<u32>,
    /// Whose events are needed.
    pids: HashSet<Pid>,
    parents: HashMap<Pid, Vec<Pid>>,
    /// Events of processes: where, the row, and whose.
    seen: Vec<(Place, usize, Pid)>,
    /// Whether all are taken, as there are too many.
    all: bool,
}

impl Surroundings {
    /// Those of rows of these hosts in which these acted.
    pub fn of(hosts: HashSet<u32>, pids: HashSet<Pid>) -> Self {
        Surroundings { hosts, pids, ..Surroundings::default() }
    }

    /// Learns from a row group. Adds to `rows` the gaps that touch the times of `scan`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&mut self, source: &Source, place: Place, scan: &Scan, rows: &mut Rows) -> Result<()> {
        let words: Vec<&str> = OF_PROCESSES.iter().chain(&[EventKind::Lost]).map(|kind| kind.name()).collect();
        if !source.capture.may_hold(place.1, "event", &words) {
            return Ok(());
        }
        source.compare(place.1)?;
        let hosts = Hosts::of(source.manifest());
        let mut row = 0;
        for batch in source.capture.group(place.1, COLUMNS.to_vec(), None)? {
            for event in batch?.iter() {
                let host = hosts.number(event.host);
                if event.event == EventKind::Lost.name() {
                    if touches(&event, scan) && self.hosts.contains(&host) {
                        rows.insert(row);
                    }
                } else if event.is_any(&OF_PROCESSES) {
                    self.note(&event, host, place, row, rows);
                }
                row += 1;
            }
        }
        Ok(())
    }

    fn note(&mut self, event: &Event<'_>, host: u32, place: Place, row: usize, rows: &mut Rows) {
        if self.all || self.seen.len() >= REMEMBERED {
            self.all = true;
            return rows.insert(row);
        }
        self.seen.push((place, row, (host, event.pid)));
        if let Some(parent) = event.parent_pid {
            let parents = self.parents.entry((host, event.pid)).or_default();
            if !parents.contains(&(host, parent)) {
                parents.push((host, parent));
            }
        }
    }

    /// The process events that are needed, where they are.
    pub fn rows(self) -> impl Iterator<Item = (Place, usize)> {
        let Surroundings { hosts: _, mut pids, parents, seen, all } = self;
        let mut next: Vec<Pid> = pids.iter().copied().collect();
        while let Some(pid) = next.pop() {
            for parent in parents.get(&pid).into_iter().flatten().filter(|parent| pids.insert(**parent)) {
                next.push(*parent);
            }
        }
        seen.into_iter().filter(move |(_, _, pid)| all || pids.contains(pid)).map(|(place, row, _)| (place, row))
    }
}

/// Whether a gap touches the times of `scan`.
fn touches(gap: &Event<'_>, scan: &Scan) -> bool {
    let since = |end: i64| end.saturating_sub(gap.dur_ns.unwrap_or(0).max(0));
    let meets = |end: i64, from: Option<i64>, to: Option<i64>| {
        from.is_none_or(|from| end >= from) && to.is_none_or(|to| since(end) <= to)
    };
    meets(gap.mono_ns, scan.since_mono_ns, scan.until_mono_ns) && meets(gap.ts_ns, scan.since_ts_ns, scan.until_ts_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind, pid: i32, parent_pid: Option<i32>) -> Event<'static> {
        Event { event: kind.name(), pid, parent_pid, ..Event::default() }
    }

    #[test]
    fn the_events_of_ancestors_are_needed_whatever_their_order() {
        let mut surroundings = Surroundings::of([0].into(), [(0, 30)].into());
        let mut rows = Rows::default();
        let events = [
            event(EventKind::ProcessExec, 20, None),
            event(EventKind::ProcessFork, 30, Some(20)),
            event(EventKind::ProcessFork, 20, Some(10)),
            event(EventKind::ProcessSnapshot, 10, Some(1)),
            event(EventKind::ProcessFork, 40, Some(20)),
            event(EventKind::ProcessSnapshot, 1, Some(1)),
        ];
        for (row, event) in events.iter().enumerate() {
            surroundings.note(event, 0, (0, 0), row, &mut rows);
            // The same pids on another host are others.
            surroundings.note(event, 1, (0, 0), row + 100, &mut rows);
        }
        let needed: Vec<usize> = surroundings.rows().map(|(_, row)| row).collect();
        assert_eq!((needed, rows.count()), (vec![0, 1, 2, 3, 5], 0));
    }

    #[test]
    fn a_gap_touches_the_times_that_it_reaches_into() {
        let gap = |mono_ns, dur_ns| Event { event: "lost", mono_ns, ts_ns: mono_ns, dur_ns, ..Event::default() };
        let times = Scan { since_mono_ns: Some(100), until_mono_ns: Some(200), ..Scan::default() };
        let found = [gap(99, None), gap(100, None), gap(250, Some(50)), gap(250, Some(49)), gap(i64::MIN, Some(9))];
        assert_eq!(found.map(|gap| touches(&gap, &times)), [false, true, true, false, false]);
        let clock = Scan { since_ts_ns: Some(100), until_ts_ns: Some(200), ..Scan::default() };
        assert_eq!(found.map(|gap| touches(&gap, &clock)), [false, true, true, false, false]);
        assert!(found.iter().all(|gap| touches(gap, &Scan::default())));
    }
}
