//! What differs between the memory of a process at two instants.

use std::ops::Range;

use super::recording::Found;
use crate::model::memory::{Claim, Origin};

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

/// Every difference, in the order of addresses.
pub fn of<'a>(before: &'a Found, after: &'a Found) -> Vec<Difference<'a>> {
    let whole = 0..u64::MAX;
    let mut differences = Vec::new();
    // What is known later: it was not known, or it was another value.
    for claim in after.memory.claims(whole.clone()) {
        let Some(bytes) = claim.bytes.filter(|_| claim.is_known()) else {
            let known = before.memory.claims(claim.range.clone()).filter(Claim::is_known);
            known.for_each(|was| add(&mut differences, Change::Unknown, was.range, Some(claim.origin)));
            continue;
        };
        let mut at = claim.range.start;
        for was in before.memory.claims(claim.range.clone()).filter(Claim::is_known) {
            add(&mut differences, Change::New, at..was.range.start, Some(claim.origin));
            let from = (was.range.start - claim.range.start) as usize;
            let pairs = was.bytes.unwrap_or_default().iter().zip(bytes.get(from..).unwrap_or_default());
            for (address, (old, new)) in was.range.clone().zip(pairs) {
                if old != new {
                    add(&mut differences, Change::Changed, address..address + 1, Some(claim.origin));
                }
            }
            at = was.range.end;
        }
        add(&mut differences, Change::New, at..claim.range.end, Some(claim.origin));
    }
    // What nothing is said of later: another program began.
    for claim in before.memory.claims(whole).filter(Claim::is_known) {
        let mut at = claim.range.start;
        for is in after.memory.claims(claim.range.clone()) {
            add(&mut differences, Change::Unknown, at..is.range.start, None);
            at = is.range.end;
        }
        add(&mut differences, Change::Unknown, at..claim.range.end, None);
    }
    differences.sort_by_key(|difference| difference.range.start);
    differences
}

fn add<'a>(differences: &mut Vec<Difference<'a>>, change: Change, range: Range<u64>, by: Option<&'a Origin>) {
    if range.is_empty() {
        return;
    }
    let seq = |by: Option<&Origin>| by.map(|by| by.seq);
    match differences.last_mut() {
        Some(last) if last.range.end == range.start && last.change == change && seq(last.by) == seq(by) => {
            last.range.end = range.end;
        }
        _ => differences.push(Difference { change, range, by }),
    }
}
