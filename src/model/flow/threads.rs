//! When calls began, as far as it is known: not before the previous call of their thread had returned.

use ahash::HashMap;

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
    /// Who made the call, and the earliest moment at which it can have begun. Then notes that it has returned. Its kind is `None` if
    /// this version does not know it.
    pub fn begin(&mut self, event: &Event<'_>, kind: Option<EventKind>) -> (Thread, i64) {
        let begun = event.dur_ns.filter(|ns| *ns >= 0).map_or(UNKNOWN, |ns| event.mono_ns.saturating_sub(ns));
        if event.abi.is_some_and(|abi| Abi::IoUring.is(abi)) {
            return (Thread::Request(event.seq), begun);
        }
        let last = if is_of_recorder(kind) { self.last(Thread::Of(event.tid)) } else { self.returned(event, kind) };
        (Thread::Of(event.tid), if last == ENDED { begun } else { begun.max(last) })
    }

    /// Notes a row of another kind: the thread was not in a call of another kind then.
    pub fn note(&mut self, event: &Event<'_>, kind: Option<EventKind>) {
        if !is_of_recorder(kind) && !event.abi.is_some_and(|abi| Abi::IoUring.is(abi)) {
            self.returned(event, kind);
        }
    }

    /// Notes that a thread has returned from a call; gives what was known of it before.
    fn returned(&mut self, event: &Event<'_>, kind: Option<EventKind>) -> i64 {
        if self.0.len() >= LIMIT && !self.0.contains_key(&event.tid) {
            self.0.clear();
        }
        let now = if kind == Some(EventKind::ProcessExit) { ENDED } else { event.mono_ns };
        self.0.insert(event.tid, now).unwrap_or(UNKNOWN)
    }

    /// Until when a thread was certainly in no call that has not returned; [`ENDED`] if it has ended.
    pub fn last(&self, thread: Thread) -> i64 {
        match thread {
            Thread::Of(tid) => self.0.get(&tid).copied().unwrap_or(UNKNOWN),
            Thread::Request(_) => UNKNOWN,
        }
    }
}

/// Whether rows of a kind are of no thread: the recorder makes them.
fn is_of_recorder(kind: Option<EventKind>) -> bool {
    matches!(kind, Some(EventKind::Lost | EventKind::ProcessSnapshot))
}
