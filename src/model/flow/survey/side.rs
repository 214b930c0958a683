//! Calls at one end of a pipe, and which of them overlapped.

use std::collections::VecDeque;

use crate::model::flow::threads::Thread;

/// Calls that are remembered. One that began before all of them overlaps with all.
const RECENT: usize = 64;
/// Runs of calls that overlapped. What is beyond joins the last.
const RUNS: usize = 64;

/// The calls at one end of a pipe.
#[derive(Debug, Default)]
pub(super) struct Side {
    thread: Option<Thread>,
    shared: bool,
    first: Option<u64>,
    recent: VecDeque<(i64, u64, Thread)>,
    forgot: bool,
    runs: Vec<(u64, u64)>,
}

impl Side {
    /// Notes a call, in the order of their ends.
    pub fn note(&mut self, seq: u64, thread: Thread, begin: i64, end: i64) {
        let first = *self.first.get_or_insert(seq);
        let before = *self.thread.get_or_insert(thread);
        self.shared |= before != thread;
        if self.shared {
            // Ends ascend.
            let meanwhile = self.recent.iter().rev().take_while(|(end, ..)| *end >= begin);
            let overlapped = meanwhile.filter(|(_, _, other)| *other != thread).last();
            let reaches_back = self.forgot && self.recent.front().is_some_and(|(end, ..)| *end >= begin);
            let since = if reaches_back { Some(first) } else { overlapped.map(|(_, seq, _)| *seq) };
            if let Some(since) = since {
                self.join(since, seq);
            }
        }
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
            self.forgot = true;
        }
        self.recent.push_back((end, seq, thread));
    }

    fn join(&mut self, mut since: u64, until: u64) {
        while let Some((first, last)) = self.runs.last().copied()
            && (last >= since || self.runs.len() >= RUNS)
        {
            since = since.min(first);
            self.runs.pop();
        }
        self.runs.push((since, until));
    }

    /// Whether calls of several threads are among them.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Whose calls they are, if of one thread.
    pub fn only_thread(&self) -> Option<Thread> {
        self.thread.filter(|_| !self.shared)
    }

    /// Whether all calls, but for those of one thread, had returned before `at`.
    pub fn all_returned_before(&self, at: i64, but: Option<Thread>) -> bool {
        let of_others = |thread: &Thread| Some(*thread) != but;
        let forgotten = self.forgot && self.shared && self.recent.front().is_some_and(|(end, ..)| *end >= at);
        let mut since = self.recent.iter().rev().take_while(|(end, ..)| *end >= at);
        !forgotten && !since.any(|(_, _, thread)| of_others(thread))
    }

    /// From which to which row calls overlapped.
    pub fn runs(self) -> Vec<(u64, u64)> {
        self.runs
    }
}
