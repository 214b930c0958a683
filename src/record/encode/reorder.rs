//! Sorts the records of several rings by their clock.
//!
//! A record waits here until every ring has been emptied past its timestamp. Owns order only; bytes stay unchanged. The
//! result depends on the input frames and on nothing else: [`Reorder::place`] is the frame from which they must be read
//! again to continue.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::record::wire::vmt_hdr;

/// A record is stamped a little before it is committed; this much later than its stamp it has surely been.
pub const COMMIT_NS: u64 = 5_000_000;

/// Whether all records older than `instant_ns` have been taken from rings that were emptied up to `complete_until_ns`.
pub const fn has_passed(complete_until_ns: u64, instant_ns: u64) -> bool {
    complete_until_ns > instant_ns.saturating_add(COMMIT_NS)
}

/// Where to go on reading: the records of frame `from` and later ones come out in the same order again, and the first
/// `skip` of them have come out before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Number of a frame.
    pub from: u64,
    /// Records.
    pub skip: u64,
    /// ns of CLOCK_MONOTONIC, up to which all rings had been emptied before that frame.
    pub complete_until_ns: u64,
}

#[derive(Debug)]
struct Entry {
    clock: u64,
    at: usize,
    size: usize,
    frame: u64,
}

/// A frame of which some record has not been handed on.
#[derive(Debug)]
struct Open {
    frame: u64,
    records: u64,
    handed_on: u64,
    /// `complete_until_ns` before it came.
    complete_before_ns: u64,
}

/// Records not yet handed on.
#[derive(Debug, Default)]
pub struct Reorder {
    bytes: Vec<u8>,
    /// Sorted from `next` on; records before it were passed on.
    index: Vec<Entry>,
    next: usize,
    complete_until_ns: u64,
    /// In order; all before the first were handed on whole.
    open: VecDeque<Open>,
    /// The frame behind the last that was pushed.
    behind: u64,
    everything: bool,
}

impl Reorder {
    /// Goes on from a place.
    pub fn at(place: Position) -> Self {
        Reorder { complete_until_ns: place.complete_until_ns, behind: place.from, ..Reorder::default() }
    }

    /// Takes the records of frame number `frame`; all older than `complete_until_ns` are in it or in one before. Returns
    /// how many bytes at its end were no whole record, 0 in practice.
    pub fn push(&mut self, frame: u64, complete_until_ns: u64, bytes: &[u8]) -> usize {
        self.compact();
        let complete_before_ns = self.complete_until_ns;
        self.complete_until_ns = self.complete_until_ns.max(complete_until_ns);
        let (mut at, before) = (0, self.index.len());
        while let Some((size, clock)) = bytes.get(at..).and_then(size_and_clock) {
            let Some(end) = at.checked_add(size).filter(|end| *end <= bytes.len()) else { break };
            self.index.push(Entry { clock, at: self.bytes.len() + at, size, frame });
            at = end.next_multiple_of(8);
        }
        let whole = at.min(bytes.len());
        self.bytes.extend_from_slice(bytes.get(..whole).unwrap_or_default());
        let records = (self.index.len() - before) as u64;
        self.open.push_back(Open { frame, records, handed_on: 0, complete_before_ns });
        self.behind = frame.saturating_add(1);
        // Stable, so that records of one ring with equal timestamps keep their order; cheap on sorted runs.
        self.index.sort_by_key(|entry| entry.clock);
        bytes.len() - whole
    }

    /// From now on nothing waits: no more frames come.
    pub fn release_all(&mut self) {
        self.everything = true;
    }

    /// The next record in order, if no older one can follow any more.
    pub fn next(&mut self) -> Option<&[u8]> {
        let ready = |entry: &&Entry| self.everything || has_passed(self.complete_until_ns, entry.clock);
        let entry = self.index.get(self.next).filter(ready)?;
        self.next += 1;
        let of = self.open.binary_search_by_key(&entry.frame, |open| open.frame);
        if let Some(open) = of.ok().and_then(|i| self.open.get_mut(i)) {
            open.handed_on += 1;
        }
        self.bytes.get(entry.at..entry.at + entry.size)
    }

    /// Whether every record older than `instant_ns` has been handed on.
    pub fn is_past(&self, instant_ns: u64) -> bool {
        let known = self.everything || has_passed(self.complete_until_ns, instant_ns);
        known && self.index.get(self.next).is_none_or(|entry| entry.clock >= instant_ns)
    }

    /// From where on to read again, to go on behind the record handed on last.
    pub fn place(&mut self) -> Position {
        while self.open.front().is_some_and(|open| open.handed_on == open.records) {
            self.open.pop_front();
        }
        Position {
            from: self.open.front().map_or(self.behind, |open| open.frame),
            skip: self.open.iter().map(|open| open.handed_on).sum(),
            complete_until_ns: self.open.front().map_or(self.complete_until_ns, |open| open.complete_before_ns),
        }
    }

    /// Drops the bytes of records that were handed on.
    fn compact(&mut self) {
        self.index.drain(..self.next);
        self.next = 0;
        if self.index.is_empty() {
            self.bytes.clear();
            return;
        }
        let mut kept = Vec::with_capacity(self.index.iter().map(|entry| entry.size).sum());
        for entry in &mut self.index {
            let start = kept.len();
            kept.extend_from_slice(self.bytes.get(entry.at..entry.at + entry.size).unwrap_or_default());
            entry.at = start;
        }
        self.bytes = kept;
    }
}

/// Size and clock of the record that `bytes` begin with.
fn size_and_clock(bytes: &[u8]) -> Option<(usize, u64)> {
    const CLOCK: usize = std::mem::offset_of!(vmt_hdr, mono_ns);
    let size = usize::try_from(u32::from_ne_bytes(bytes.first_chunk().copied()?)).ok()?;
    let clock = u64::from_ne_bytes(bytes.get(CLOCK..)?.first_chunk().copied()?);
    (size >= size_of::<vmt_hdr>()).then_some((size, clock))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(records: &[(u64, usize)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (clock, extra) in records {
            let size = size_of::<vmt_hdr>() + extra;
            let mut record = vec![0; size];
            record[..4].copy_from_slice(&(size as u32).to_ne_bytes());
            record[8..16].copy_from_slice(&clock.to_ne_bytes());
            bytes.extend(record);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        bytes
    }

    fn out(reorder: &mut Reorder) -> Vec<(u64, usize)> {
        let mut out = Vec::new();
        while let Some(record) = reorder.next() {
            out.push((size_and_clock(record).unwrap().1, record.len() - size_of::<vmt_hdr>()));
        }
        out
    }

    const fn ms(n: u64) -> u64 {
        n * 1_000_000
    }

    #[test]
    fn rings_are_merged_by_clock() {
        let mut reorder = Reorder::default();
        assert_eq!(reorder.push(0, ms(36), &records(&[(ms(20), 3), (ms(40), 0), (ms(30), 1)])), 0);
        assert_eq!(out(&mut reorder), [(ms(20), 3), (ms(30), 1)]);
        assert_eq!(reorder.push(1, ms(60), &records(&[(ms(35), 2)])), 0);
        assert_eq!(out(&mut reorder), [(ms(35), 2), (ms(40), 0)]);
    }

    /// The last record before a quiet while, too: the rings have been emptied past it once more.
    #[test]
    fn a_frame_without_records_releases_those_before() {
        let mut reorder = Reorder::default();
        reorder.push(0, ms(21), &records(&[(ms(20), 0)]));
        assert_eq!(out(&mut reorder), []);
        let waiting = Position { from: 0, skip: 0, complete_until_ns: 0 };
        assert_eq!(reorder.place(), waiting);
        reorder.push(1, ms(50), &[]);
        assert_eq!(reorder.place(), waiting, "the record is still to come");
        assert_eq!(out(&mut reorder), [(ms(20), 0)]);
        assert_eq!(reorder.place(), Position { from: 2, skip: 0, complete_until_ns: ms(50) });
    }

    #[test]
    fn an_instant_is_past_when_no_older_record_can_come() {
        let mut reorder = Reorder::default();
        reorder.push(0, ms(30), &records(&[(ms(20), 0), (ms(40), 0)]));
        assert!(!reorder.is_past(ms(22)), "the first is not handed on");
        assert_eq!(out(&mut reorder), [(ms(20), 0)]);
        assert!(reorder.is_past(ms(22)) && !reorder.is_past(ms(25)), "no further than the rings were emptied");
        reorder.push(1, ms(90), &[]);
        assert!(reorder.is_past(ms(40)) && !reorder.is_past(ms(41)), "no further than what was handed on");
        assert_eq!(out(&mut reorder), [(ms(40), 0)]);
        assert!(reorder.is_past(ms(84)) && !reorder.is_past(ms(85)));
        reorder.release_all();
        assert!(reorder.is_past(ms(1000)), "nothing comes any more");
    }

    #[test]
    fn the_end_releases_everything() {
        let mut reorder = Reorder::default();
        reorder.push(0, 0, &records(&[(9, 0), (5, 0)]));
        assert_eq!(out(&mut reorder), []);
        reorder.release_all();
        assert_eq!(out(&mut reorder), [(5, 0), (9, 0)]);
    }

    #[test]
    fn broken_bytes_are_counted_not_followed() {
        let mut reorder = Reorder::default();
        let mut broken = records(&[(1, 0)]);
        broken.extend([0xff; 24]);
        assert_eq!(reorder.push(0, 10, &broken), 24);
        reorder.release_all();
        assert_eq!(out(&mut reorder).len(), 1);
    }

    /// Whatever came out before: from the place on, the rest comes out as it would have.
    #[test]
    fn reading_goes_on_from_a_place_as_if_it_had_not_stopped() {
        let frames: Vec<(u64, Vec<u8>)> = (0..12)
            .map(|f| {
                // Clocks of two rings that lag behind each other, some equal, some late.
                let clocks = [f * 10 + 7, f * 10 + 30, f * 10 + 30, f * 10 + 2, f * 10 + 55];
                // Some hold no record, and only say that time went on.
                let count = if f % 4 == 3 { 0 } else { clocks.len() };
                (ms(f * 10 + 20), records(&clocks.map(|c| (ms(c), (c % 5) as usize))[..count]))
            })
            .collect();
        let mut whole = Reorder::default();
        let mut all = Vec::new();
        let mut places = Vec::new();
        // Other frames are between them.
        for (number, (until, bytes)) in (0..).step_by(3).zip(&frames) {
            whole.push(number, *until, bytes);
            loop {
                places.push((whole.place(), number, all.len()));
                let Some(record) = whole.next() else { break };
                all.push((size_and_clock(record).unwrap().1, record.len() - size_of::<vmt_hdr>()));
            }
        }
        whole.release_all();
        all.extend(out(&mut whole));
        assert_eq!(all.len(), 45);
        for (place, number, before) in places {
            let mut again = Reorder::at(place);
            let mut rest = Vec::new();
            for (number, (until, bytes)) in (0..).step_by(3).zip(&frames).filter(|(n, _)| *n >= place.from) {
                again.push(number, *until, bytes);
                rest.extend(out(&mut again));
            }
            again.release_all();
            rest.extend(out(&mut again));
            assert_eq!(rest[place.skip as usize..], all[before..], "at {place:?} in frame {number}");
        }
    }
}
