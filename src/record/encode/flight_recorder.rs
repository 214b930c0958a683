//! The flight recorder's memory: the latest row groups, encoded, until they are requested.

use std::collections::VecDeque;
use std::time::Duration;

use crate::record::ledger::Outcomes;
use crate::schema::group::EncodedGroup;
use crate::schema::manifest::Clocks;

/// How much is kept: the last of it that fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Bytes of encoded row groups.
    pub bytes: u64,
    /// Time, back from the latest row.
    pub age: Option<Duration>,
}

/// A row group in memory.
#[derive(Debug)]
pub struct Kept {
    /// The rows.
    pub group: EncodedGroup,
    /// What is counted of them.
    pub outcomes: Outcomes,
    /// Clocks when it was made.
    pub clocks: Clocks,
    /// `seq` of its first row.
    pub seq: u64,
    /// Latest mono_ns in it.
    pub last_ns: i64,
    /// Number of the journal's frame from which on it can be made again.
    pub from: u64,
}

/// The row groups kept, oldest first.
#[derive(Debug)]
pub struct FlightRecorder {
    limit: Limit,
    groups: VecDeque<Kept>,
    bytes: u64,
}

impl FlightRecorder {
    /// Nothing yet.
    pub fn new(limit: Limit) -> Self {
        FlightRecorder { limit, groups: VecDeque::new(), bytes: 0 }
    }

    /// Whether rows from `first_ns` to `last_ns` are a row group for their age.
    pub fn is_old(&self, first_ns: i64, last_ns: i64) -> bool {
        let age = self.limit.age.map(|age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
        age.is_some_and(|age| last_ns.saturating_sub(first_ns) > age / 8)
    }

    /// Keeps a group, and drops those for which there is no room any more. Returns what is counted of them.
    pub fn push(&mut self, kept: Kept) -> Outcomes {
        self.bytes += kept.group.len() as u64;
        self.groups.push_back(kept);
        let mut dropped = Outcomes::default();
        while self.groups.len() > 1 && self.oldest_is_too_much() {
            let Some(oldest) = self.groups.pop_front() else { break };
            self.bytes -= oldest.group.len() as u64;
            dropped.add(&oldest.outcomes.unwritten(|e| &mut e.forgotten));
        }
        dropped
    }

    fn oldest_is_too_much(&self) -> bool {
        let (Some(oldest), Some(newest)) = (self.groups.front(), self.groups.back()) else { return false };
        let age = u64::try_from(newest.last_ns.saturating_sub(oldest.last_ns)).unwrap_or(0);
        self.bytes > self.limit.bytes || self.limit.age.is_some_and(|limit| u128::from(age) > limit.as_nanos())
    }

    /// The frame from which on all that is kept can be made again; `None` if nothing is.
    pub fn from(&self) -> Option<u64> {
        self.groups.front().map(|kept| kept.from)
    }

    /// The outcomes of all that is kept, as if it were dropped.
    pub fn as_forgotten(&self) -> Outcomes {
        let mut outcomes = Outcomes::default();
        self.groups.iter().for_each(|kept| outcomes.add(&kept.outcomes.unwritten(|e| &mut e.forgotten)));
        outcomes
    }

    /// All that is kept.
    pub fn take(&mut self) -> VecDeque<Kept> {
        self.bytes = 0;
        std::mem::take(&mut self.groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{BatchBuilder, Event, EventKind};

    fn kept(seq: u64, last_ns: i64) -> Kept {
        let mut builder = BatchBuilder::default();
        builder.push(&Event { seq, mono_ns: last_ns, event: "tee", ..Event::default() });
        let group = EncodedGroup::encode(builder.take().unwrap()).unwrap();
        let mut outcomes = Outcomes::default();
        outcomes.of(EventKind::Tee).written = 1;
        Kept { group, outcomes, clocks: Clocks::default(), seq, last_ns, from: seq }
    }

    #[test]
    fn the_last_that_fits_is_kept() {
        let each = kept(0, 0).group.len() as u64;
        let mut recorder = FlightRecorder::new(Limit { bytes: 2 * each + each / 2, age: None });
        let dropped: u64 =
            (0..5).map(|n| recorder.push(kept(n, n as i64)).get(EventKind::Tee)).map(|e| e.forgotten).sum();
        assert_eq!((dropped, recorder.from()), (3, Some(3)));
        assert_eq!(recorder.take().iter().map(|k| k.seq).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(recorder.from(), None);
    }

    #[test]
    fn what_is_too_old_is_dropped() {
        let mut recorder = FlightRecorder::new(Limit { bytes: u64::MAX, age: Some(Duration::from_nanos(20)) });
        for n in 0..6 {
            recorder.push(kept(n, 10 * n as i64));
        }
        assert_eq!(recorder.from(), Some(3), "20 ns back from the last");
        assert!(recorder.is_old(0, 3) && !recorder.is_old(0, 2));
    }
}
