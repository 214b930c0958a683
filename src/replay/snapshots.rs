//! Snapshots of processes that ran when the recording began: held back until an event refers to the process, so that those
//! of bystanders need not be read.
//!
//! Owns which are held, which is bounded. The renderer writes them.

use std::collections::HashMap;

use crate::model::process::{self, Identity};
use crate::schema::{Event, EventKind};

/// Bytes of all that are held, beyond which no more are: a file may claim names of any length.
const BYTES: usize = 16 << 20;

/// Snapshots that are held back, as they will be printed.
#[derive(Debug, Default)]
pub struct Snapshots {
    by_pid: HashMap<i32, Vec<Held>>,
    /// How many are held, and how many were.
    held: usize,
    number: u64,
    /// Bytes of their text.
    bytes: usize,
    /// Whether there was an event that is none of them.
    others: bool,
}

/// One of them.
#[derive(Debug)]
pub struct Held {
    /// Of which process.
    pub process: Identity,
    /// The text.
    pub text: String,
    number: u64,
}

/// Whether an event is a snapshot.
pub fn is_snapshot(event: &Event<'_>) -> bool {
    event.event == EventKind::ProcessSnapshot.name()
}

impl Snapshots {
    /// Whether one more may be held.
    pub fn have_room(&self) -> bool {
        self.held < process::LIMIT && self.bytes < BYTES
    }

    /// Holds one.
    pub fn hold(&mut self, process: Identity, text: String) {
        self.number += 1;
        self.held += 1;
        self.bytes = self.bytes.saturating_add(text.len());
        self.by_pid.entry(process.pid).or_default().push(Held { process, text, number: self.number });
    }

    /// Takes those of the processes to which `event` refers: its caller's, then its target's.
    pub fn of(&mut self, event: &Event<'_>) -> Vec<Held> {
        // A gap refers to no process.
        if event.event == EventKind::Lost.name() {
            return Vec::new();
        }
        self.others = true;
        let processes = [Some(Identity::caller(event)), Identity::target(event)];
        processes.into_iter().flatten().flat_map(|process| self.take(process)).collect()
    }

    fn take(&mut self, process: Identity) -> Vec<Held> {
        let Some(of_pid) = self.by_pid.get_mut(&process.pid) else { return Vec::new() };
        let taken: Vec<Held> = of_pid.extract_if(.., |held| held.process.matches(process)).collect();
        if of_pid.is_empty() {
            self.by_pid.remove(&process.pid);
        }
        self.held -= taken.len();
        self.bytes -= taken.iter().map(|held| held.text.len()).sum::<usize>().min(self.bytes);
        taken
    }

    /// Ends a capture: those that are to be printed, as there was nothing else, and the number of those that are not.
    pub fn end(&mut self) -> (Vec<Held>, usize) {
        let whole = std::mem::take(self);
        if whole.others {
            return (Vec::new(), whole.held);
        }
        let mut held: Vec<Held> = whole.by_pid.into_values().flatten().collect();
        held.sort_by_key(|held| held.number);
        (held, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(pid: i32, start_ns: i64) -> Event<'static> {
        Event { event: "ptrace", pid, start_ns, ..Event::default() }
    }

    fn hold(snapshots: &mut Snapshots, pid: i32, start_ns: i64) {
        snapshots.hold(Identity::caller(&event(pid, start_ns)), format!("{pid} {start_ns}"));
    }

    fn texts(held: &[Held]) -> Vec<&str> {
        held.iter().map(|held| held.text.as_str()).collect()
    }

    #[test]
    fn an_event_refers_to_caller_and_target() {
        let mut snapshots = Snapshots::default();
        hold(&mut snapshots, 3, 10_000_000);
        hold(&mut snapshots, 2, 10_000_000);
        hold(&mut snapshots, 1, 10_000_000);
        let call = Event { target_pid: Some(2), ..event(1, 10_000_000) };
        assert_eq!(texts(&snapshots.of(&call)), ["1 10000000", "2 10000000"]);
        assert_eq!(texts(&snapshots.of(&call)), [""; 0], "each once");
        let (shown, left_out) = snapshots.end();
        assert_eq!((texts(&shown), left_out), (vec![], 1));
    }

    #[test]
    fn text_that_is_held_is_bounded() {
        let mut snapshots = Snapshots::default();
        let long = "x".repeat(BYTES / 4);
        let held = (1..).take_while(|pid| {
            let has_room = snapshots.have_room();
            snapshots.hold(Identity::caller(&event(*pid, 1)), long.clone());
            has_room
        });
        assert_eq!(held.count(), 4);
        assert_eq!(snapshots.of(&event(1, 1)).len() + snapshots.of(&event(2, 1)).len(), 2);
        assert!(snapshots.have_room(), "those that are taken are held no more");
    }

    #[test]
    fn a_later_process_of_the_same_pid_is_another() {
        let mut snapshots = Snapshots::default();
        hold(&mut snapshots, 1, 10_000_000);
        assert_eq!(texts(&snapshots.of(&event(1, 90_000_000))), [""; 0]);
        assert_eq!(texts(&snapshots.of(&event(1, 10_000_001))), ["1 10000000"]);
    }

    #[test]
    fn all_are_shown_where_there_is_nothing_else() {
        let mut snapshots = Snapshots::default();
        (1..9).rev().for_each(|pid| hold(&mut snapshots, pid, 1));
        assert!(snapshots.of(&Event { event: "lost", ..Event::default() }).is_empty());
        let (shown, left_out) = snapshots.end();
        assert_eq!(left_out, 0);
        assert_eq!(shown.iter().map(|held| held.process.pid).collect::<Vec<_>>(), [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(snapshots.end().0.len(), 0, "the next capture begins anew");
    }
}
