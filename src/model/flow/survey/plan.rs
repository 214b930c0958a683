//! How far each part of a recording can be trusted, pipe by pipe.

use ahash::HashMap;

use super::givers::Givers;
use super::{Empty, Pipe, Survey};
use crate::model::flow::call::{PipeId, Redacted};
use crate::model::flow::threads::Threads;
use crate::model::flow::{Certainty, Why};

/// What is known of a pipe's queue in a stretch of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model::flow) struct State {
    pub certainty: Certainty,
    pub why: Option<Why>,
    /// Bytes that it held at the beginning.
    pub before: u64,
}

impl State {
    pub fn unknown(why: Why) -> Self {
        State { certainty: Certainty::Unknown, why: Some(why), before: 0 }
    }
}

/// What is known of a pipe.
#[derive(Debug)]
pub(in crate::model::flow) struct PipePlan {
    /// The last row of each stretch, and what is known in it.
    pub stretches: Vec<(u64, State)>,
    /// Rows between which the order of calls that put bytes in, or took them out, is not known.
    pub puts: Vec<(u64, u64)>,
    pub takes: Vec<(u64, u64)>,
}

/// What the first reading of a recording shows, for the second.
#[derive(Debug, Default)]
pub struct Plan {
    pipes: HashMap<PipeId, PipePlan>,
    blind: Option<Why>,
    redacted: Redacted,
    givers: Givers,
}

impl Plan {
    /// What is known of a pipe, if anything; each is asked for once.
    pub(in crate::model::flow) fn take(&mut self, id: PipeId) -> Option<PipePlan> {
        self.pipes.remove(&id).filter(|_| self.blind.is_none())
    }

    /// Why nothing is known of any flow.
    pub fn blind(&self) -> Option<Why> {
        self.blind
    }

    /// Whether bytes may have been taken from the memory of a process.
    pub(in crate::model::flow) fn gives(&self, pid: i32) -> bool {
        self.givers.has(pid)
    }

    /// What redaction did to all rows.
    pub(in crate::model::flow) fn redacted(&self) -> Redacted {
        self.redacted
    }
}

impl Survey {
    /// Concludes the first reading.
    pub fn plan(self) -> Plan {
        // More was lost than the rows place.
        let blind = self.blind.or_else(|| (self.counted > self.reported).then_some(Why::Lost));
        let losses = merged(self.losses);
        let of_all = Everywhere {
            threads: &self.threads,
            losses: &losses,
            missed_reads: self.missed_reads,
            no_writes: self.no_writes,
        };
        let pipes = self.pipes.into_iter().map(|(id, pipe)| (id, of_all.plan(id, pipe))).collect();
        Plan { pipes, blind, redacted: self.redacted, givers: self.givers }
    }
}

/// Spans in order, those that overlap in one.
fn merged(mut spans: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    spans.sort_unstable();
    let mut merged: Vec<(i64, i64)> = Vec::new();
    for (since, until) in spans {
        match merged.last_mut() {
            Some(last) if last.1 >= since => last.1 = last.1.max(until),
            _ => merged.push((since, until)),
        }
    }
    merged
}

/// What holds for all pipes.
struct Everywhere<'a> {
    threads: &'a Threads,
    losses: &'a [(i64, i64)],
    missed_reads: bool,
    no_writes: bool,
}

impl Everywhere<'_> {
    /// Whether events were lost from `since` to `until`.
    fn lost(&self, since: i64, until: i64) -> bool {
        let first = self.losses.partition_point(|(_, end)| *end < since);
        self.losses.get(first).is_some_and(|(start, _)| *start <= until)
    }

    fn plan(&self, id: PipeId, pipe: Pipe) -> PipePlan {
        let mut stretches = Vec::new();
        let mut last: Option<Empty> = None;
        for empty in pipe.empties.iter().filter(|empty| !self.lost(empty.begin, empty.end)) {
            let state = match last {
                None => self.first(&pipe, empty),
                Some(last) => self.between(&last, empty),
            };
            stretches.push((empty.seq, self.weaken(state, id)));
            last = Some(*empty);
        }
        stretches.push((u64::MAX, self.weaken(self.rest(&pipe, last), id)));
        PipePlan { stretches, puts: pipe.puts.runs(), takes: pipe.takes.runs() }
    }

    /// Up to the first empty moment: more came out than went in by what the pipe held.
    fn first(&self, pipe: &Pipe, empty: &Empty) -> State {
        let held = empty.taken.checked_sub(empty.put).and_then(|held| u64::try_from(held).ok());
        match held {
            _ if self.lost(pipe.first, empty.end) => State::unknown(Why::Lost),
            _ if self.missed_reads => State::unknown(Why::MissedReads),
            None => State::unknown(Why::Contradiction),
            Some(0) => State { certainty: Certainty::Exact, why: None, before: 0 },
            Some(held) => State { certainty: Certainty::Bounded, why: Some(Why::Held(held)), before: held },
        }
    }

    fn between(&self, last: &Empty, empty: &Empty) -> State {
        let balances = empty.taken.checked_sub(last.taken) == empty.put.checked_sub(last.put);
        match balances {
            _ if self.lost(last.end, empty.end) => State::unknown(Why::Lost),
            true => State { certainty: Certainty::Exact, why: None, before: 0 },
            false => State::unknown(Why::Contradiction),
        }
    }

    /// From the last empty moment on, or of a pipe that was never seen empty.
    fn rest(&self, pipe: &Pipe, last: Option<Empty>) -> State {
        if self.lost(last.map_or(pipe.first, |last| last.end), i64::MAX) {
            return State::unknown(Why::Lost);
        }
        // A call that has not returned is no row. One thread is in one call at a time: others show what it did.
        let shared = pipe.puts.is_shared() || pipe.takes.is_shared();
        if last.is_some() {
            let why = shared.then_some(Why::Pending);
            let certainty = if shared { Certainty::Bounded } else { Certainty::Exact };
            return State { certainty, why, before: 0 };
        }
        // Reads that are ahead of all writes got what was there before, if no call under way can have fed them.
        let until = pipe.puts.only_thread().map_or(i64::MIN, |thread| self.threads.last(thread));
        let ahead = pipe.ahead.iter().filter(|(end, _)| *end < until).map(|(_, ahead)| *ahead).max().unwrap_or(0);
        let least = if shared { pipe.taken.saturating_sub(pipe.put) } else { pipe.least.max(ahead) };
        match u64::try_from(least) {
            _ if self.missed_reads => State::unknown(Why::MissedReads),
            Ok(before) => {
                let why = if shared { Why::Pending } else { Why::NeverEmpty(before) };
                State { certainty: Certainty::Bounded, why: Some(why), before }
            }
            Err(_) => State::unknown(Why::Contradiction),
        }
    }

    /// What does not depend on the pipe's rows.
    fn weaken(&self, state: State, id: PipeId) -> State {
        let why = match state.certainty {
            Certainty::Unknown => return state,
            _ if self.no_writes => Some(Why::NoWrites),
            _ if id.named => Some(Why::Named),
            Certainty::Exact | Certainty::ByReference | Certainty::Bounded | Certainty::Inferred => state.why,
        };
        let certainty = if why.is_some() { state.certainty.max(Certainty::Bounded) } else { state.certainty };
        State { certainty, why, ..state }
    }
}
