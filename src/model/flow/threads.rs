//! When calls began, as far as it is known: not before the previous call of their thread had returned.

use std::collections::HashMap;

use crate::schema::vocabulary::Abi;
use crate::schema::{Event, EventKind};

/// Threads that are remembered. When there are more, all are forgotten: begins are then unknown.
const LIMIT: usize = 65_536;
/// Begin of a call of which nothing is known.
pub(super) const UNKNOWN: i64 = i64::MIN;

/// A thread that has ended is in no call.
const ENDED: i64 = i64::MAX;

/// Who called. Requests of io_uring are done by nobody in particular: each is a thread of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Thread {
    /// Calls follow each other.
    Of(i32),
    /// `seq` of the request.
    Request(u64),
}

/// When each thread last returned from a call.
#[derive(Debug, Default)]
pub(super) struct Threads(HashMap<i32, i64>);

impl Threads {
    /// Who made the call, and the earliest moment at which it can have begun. Then notes that it has returned.
    pub fn begin(&mut self, event: &Event<'_>) -> (Thread, i64) {
        let begun = event.dur_ns.filter(|ns| *ns >= 0).map_or(UNKNOWN, |ns| event.mono_ns.saturating_sub(ns));
        if event.abi.map(Abi::parse) == Some(Ok(Abi::IoUring)) {
            return (Thread::Request(event.seq), begun);
        }
        let last = self.0.get(&event.tid).copied().filter(|last| *last != ENDED).unwrap_or(UNKNOWN);
        self.note(event);
        (Thread::Of(event.tid), begun.max(last))
    }

    /// Notes a row of another kind: the thread was not in a call of another kind then.
    pub fn note(&mut self, event: &Event<'_>) {
        let is_of_recorder = event.event == EventKind::Lost.name() || event.event == EventKind::ProcessSnapshot.name();
        if is_of_recorder || event.abi.map(Abi::parse) == Some(Ok(Abi::IoUring)) {
            return;
        }
        if self.0.len() >= LIMIT && !self.0.contains_key(&event.tid) {
            self.0.clear();
        }
        let has_ended = event.event == EventKind::ProcessExit.name();
        self.0.insert(event.tid, if has_ended { ENDED } else { event.mono_ns });
    }

    /// Until when a thread was certainly in no call that has not returned; [`ENDED`] if it has ended.
    pub fn last(&self, thread: Thread) -> i64 {
        match thread {
            Thread::Of(tid) => self.0.get(&tid).copied().unwrap_or(UNKNOWN),
            Thread::Request(_) => UNKNOWN,
        }
    }
}
