//! What differs between the memory of a process at two instants.

use std::ops::Range;

use super::recording::Found;
use crate::model::memory::{Claim, Origin};

/// Differences that are kept.
const LIMIT: usize = 100_000;

/// How bytes differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// They are known at both instants, and not the same.
    Changed,
    /// They are known at the later instant alone.
    New,
    /// They were known at the earlier instant alone.
    Unknown,
}

impl Change {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Change::Changed => "changed",
            Change::New => "new",
            Change::Unknown => "unknown",
        }
    }
}

/// Bytes that differ in one way, and of which one event shows the later value.
#[derive(Debug)]
pub struct Difference<'a> {
    /// How.
    pub change: Change,
    /// Which bytes.
    pub range: Range<u64>,
    /// The event that shows them, or has overwritten them.
    pub by: Option<&'a Origin>,
}

/// The differences between two instants.
#[derive(Debug, Default)]
pub struct Differences<'a> {
    list: Vec<Difference<'a>>,
    /// The one that may go on.
    last: Option<Difference<'a>>,
    /// Bytes that changed, that are new, and that are unknown again.
    pub bytes: [u64; 3],
    /// Differences that are not kept, since there are too many.
    pub beyond: u64,
}

impl<'a> Differences<'a> {
    /// Those of two instants.
    pub fn of(before: &'a Found, after: &'a Found) -> Self {
        let mut all = Differences::default();
        after.memory.claims(0..u64::MAX).for_each(|claim| all.later(before, &claim));
        // What nothing is said of later: another program began.
        for claim in before.memory.claims(0..u64::MAX).filter(Claim::is_known) {
            let mut at = claim.range.start;
            for is in after.memory.claims(claim.range.clone()) {
                all.add(Change::Unknown, at..is.range.start, None);
                at = is.range.end;
            }
            all.add(Change::Unknown, at..claim.range.end, None);
        }
        all.next(None);
        all.list.sort_by_key(|difference| difference.range.start);
        all
    }

    /// Those that are kept, in the order of addresses.
    pub fn iter(&self) -> impl Iterator<Item = &Difference<'a>> {
        self.list.iter()
    }

    /// What a claim of the later instant says of bytes that were not known, or were others.
    fn later(&mut self, before: &'a Found, claim: &Claim<'a>) {
        let by = Some(claim.origin.as_ref());
        let was = || before.memory.claims(claim.range.clone()).filter(Claim::is_known);
        let Some(bytes) = claim.bytes.filter(|_| claim.is_known()) else {
            was().for_each(|was| self.add(Change::Unknown, was.range, by));
            return;
        };
        let mut at = claim.range.start;
        for was in was() {
            self.add(Change::New, at..was.range.start, by);
            let from = (was.range.start - claim.range.start) as usize;
            let pairs = was.bytes.unwrap_or_default().iter().zip(bytes.get(from..).unwrap_or_default());
            for (address, (old, new)) in was.range.clone().zip(pairs) {
                if old != new {
                    self.add(Change::Changed, address..address + 1, by);
                }
            }
            at = was.range.end;
        }
        self.add(Change::New, at..claim.range.end, by);
    }

    fn add(&mut self, change: Change, range: Range<u64>, by: Option<&'a Origin>) {
        if range.is_empty() {
            return;
        }
        let sum = match change {
            Change::Changed => &mut self.bytes[0],
            Change::New => &mut self.bytes[1],
            Change::Unknown => &mut self.bytes[2],
        };
        *sum += range.end - range.start;
        let seq = |by: Option<&Origin>| by.map(|by| by.seq);
        match &mut self.last {
            Some(last) if last.range.end == range.start && last.change == change && seq(last.by) == seq(by) => {
                last.range.end = range.end;
            }
            Some(_) | None => self.next(Some(Difference { change, range, by })),
        }
    }

    fn next(&mut self, next: Option<Difference<'a>>) {
        match std::mem::replace(&mut self.last, next) {
            Some(last) if self.list.len() < LIMIT => self.list.push(last),
            Some(_) => self.beyond += 1,
            None => {}
        }
    }
}
