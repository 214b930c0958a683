//! The bytes of one address space, each with the event that shows it.
//!
//! Owns how a later event replaces an earlier one, and the bounds: a piece is a range of bytes from one event.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::origin::{Order, Origin};
use crate::schema::limits::{MAX_MEMORY_BYTES, MAX_MEMORY_PIECES};

/// How an event shows bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A read: they were there.
    Seen,
    /// A write: they came there.
    Written,
}

/// Why bytes are less than certain.
#[derive(Clone, Debug)]
pub enum Doubt {
    /// They are not.
    None,
    /// A call by another thread showed other bytes, and when this one began is not known. The one that returned last counts.
    Unordered,
    /// That call was under way at the same time: which of them moved its bytes last is not known, and so the bytes are not.
    Conflict(Arc<Origin>),
}

impl Doubt {
    fn is_same(&self, other: &Doubt) -> bool {
        match (self, other) {
            (Doubt::None, Doubt::None) | (Doubt::Unordered, Doubt::Unordered) => true,
            (Doubt::Conflict(a), Doubt::Conflict(b)) => Arc::ptr_eq(a, b),
            (Doubt::None | Doubt::Unordered | Doubt::Conflict(_), _) => false,
        }
    }
}

/// What an event says of a range.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// The range; its end is the first address behind it.
    pub range: Range<u64>,
    /// Its bytes; `None` where they were overwritten and not captured.
    pub bytes: Option<&'a [u8]>,
    /// How they are shown.
    pub way: Way,
    /// By which event.
    pub origin: &'a Arc<Origin>,
    /// Why they may not be these.
    pub doubt: &'a Doubt,
}

/// Captured bytes, shared by the pieces that are left of them.
#[derive(Clone, Debug)]
struct Part {
    all: Arc<[u8]>,
    range: Range<usize>,
}

impl Part {
    fn bytes(&self) -> &[u8] {
        self.all.get(self.range.clone()).unwrap_or_default()
    }

    /// A part of it. One that is small compared with what it would hold on to gets its own bytes.
    fn part(&self, from: usize, len: usize) -> Part {
        let start = self.range.start.saturating_add(from).min(self.range.end);
        let end = start.saturating_add(len).min(self.range.end);
        if (end - start).saturating_mul(2) >= self.all.len() {
            return Part { all: Arc::clone(&self.all), range: start..end };
        }
        let all: Arc<[u8]> = self.all.get(start..end).unwrap_or_default().into();
        Part { range: 0..all.len(), all }
    }
}

#[derive(Clone, Debug)]
struct Piece {
    len: u64,
    bytes: Option<Part>,
    way: Way,
    origin: Arc<Origin>,
    doubt: Doubt,
}

impl Piece {
    fn part(&self, from: u64, len: u64) -> Piece {
        let bytes = self.bytes.as_ref().map(|part| part.part(from as usize, len as usize));
        Piece { len, bytes, ..self.clone() }
    }

    fn is_known(&self) -> bool {
        self.bytes.is_some() && !matches!(self.doubt, Doubt::Conflict(_))
    }

    fn size(&self) -> u64 {
        self.bytes.as_ref().map_or(0, |part| part.range.len() as u64)
    }
}

/// What is known of an address space.
#[derive(Clone, Debug)]
pub struct Image {
    pieces: BTreeMap<u64, Piece>,
    most_pieces: usize,
    bytes: u64,
    /// When the last write of which nothing was captured, and that was forgotten for want of room, returned.
    forgotten_ns: Option<i64>,
}

impl Default for Image {
    fn default() -> Self {
        Image::within(MAX_MEMORY_PIECES)
    }
}

impl Image {
    /// One that keeps at most so many pieces.
    pub fn within(most_pieces: usize) -> Self {
        Image { pieces: BTreeMap::new(), most_pieces, bytes: 0, forgotten_ns: None }
    }

    /// Forgets everything: another program begins.
    pub fn clear(&mut self) {
        *self = Image::within(self.most_pieces);
    }

    /// Whether there is more than is kept.
    pub fn is_too_large(&self) -> bool {
        self.pieces.len() > self.most_pieces || self.bytes > MAX_MEMORY_BYTES
    }

    /// Puts what an event says in the place of what was known. `bytes` are as many as the range has; `None` where it was
    /// overwritten by bytes that were not captured.
    pub fn put(&mut self, range: Range<u64>, bytes: Option<&[u8]>, way: Way, origin: &Arc<Origin>) {
        if range.is_empty() {
            return;
        }
        let mut doubts = Doubts::default();
        let mut at = range.start;
        let fresh = self.doubt_of_nothing(origin);
        for (start, piece) in self.take(range.clone()) {
            doubts.add(at..start, fresh.clone());
            let new = bytes.map(|bytes| bytes.get((start - range.start) as usize..).unwrap_or_default());
            compare(&mut doubts, start, &piece, new, origin);
            at = start + piece.len;
        }
        doubts.add(at..range.end, fresh);
        let whole = bytes.map(|bytes| Part { all: bytes.into(), range: 0..bytes.len() });
        for (part, doubt) in doubts.0 {
            let offset = (part.start - range.start) as usize;
            let len = part.end - part.start;
            let bytes = whole.as_ref().map(|whole| whole.part(offset, len as usize));
            self.insert(part.start, Piece { len, bytes, way, origin: Arc::clone(origin), doubt });
        }
        if self.is_too_large() {
            self.forget_unknown();
        }
    }

    /// What is said of `range`, in the order of addresses.
    pub fn claims(&self, range: Range<u64>) -> impl Iterator<Item = Claim<'_>> {
        let before = self.pieces.range(..range.start).next_back();
        let from = before.filter(|(start, piece)| **start + piece.len > range.start).map_or(range.start, |(at, _)| *at);
        self.pieces.range(from..range.end.max(from)).map(move |(start, piece)| {
            let cut = range.start.max(*start)..range.end.min(start + piece.len);
            let bytes = piece.bytes.as_ref().map(|part| {
                let from = (cut.start - start) as usize;
                part.bytes().get(from..from + (cut.end - cut.start) as usize).unwrap_or_default()
            });
            Claim { range: cut, bytes, way: piece.way, origin: &piece.origin, doubt: &piece.doubt }
        })
    }

    /// The bytes of `range`, `None` where one is not known.
    pub fn read(&self, range: Range<u64>) -> Vec<Option<u8>> {
        let mut all = vec![None; (range.end - range.start) as usize];
        for claim in self.claims(range.clone()).filter(Claim::is_known) {
            let at = (claim.range.start - range.start) as usize;
            let slots = all.get_mut(at..).unwrap_or_default();
            slots.iter_mut().zip(claim.bytes.unwrap_or_default()).for_each(|(slot, byte)| *slot = Some(*byte));
        }
        all
    }

    /// What is to be said of bytes where nothing is known.
    fn doubt_of_nothing(&self, origin: &Arc<Origin>) -> Doubt {
        match self.forgotten_ns.map(|at| origin.order(at)) {
            None | Some(Order::After) => Doubt::None,
            Some(Order::Overlaps) => Doubt::Conflict(Arc::clone(origin)),
            Some(Order::Unknown) => Doubt::Unordered,
        }
    }

    fn insert(&mut self, at: u64, piece: Piece) {
        self.bytes += piece.size();
        self.pieces.insert(at, piece);
    }

    fn remove(&mut self, at: u64) -> Option<Piece> {
        let piece = self.pieces.remove(&at)?;
        self.bytes = self.bytes.saturating_sub(piece.size());
        Some(piece)
    }

    /// Makes two pieces of one that reaches over `at`.
    fn split(&mut self, at: u64) {
        let Some((start, piece)) = self.pieces.range(..at).next_back() else { return };
        let start = *start;
        if start + piece.len <= at {
            return;
        }
        let (left, right) = (piece.part(0, at - start), piece.part(at - start, start + piece.len - at));
        self.remove(start);
        self.insert(start, left);
        self.insert(at, right);
    }

    /// Takes out what is in `range`.
    fn take(&mut self, range: Range<u64>) -> Vec<(u64, Piece)> {
        self.split(range.start);
        self.split(range.end);
        let places: Vec<u64> = self.pieces.range(range).map(|(at, _)| *at).collect();
        places.into_iter().filter_map(|at| Some((at, self.remove(at)?))).collect()
    }

    /// Makes room: where nothing is known, it need not be known why.
    fn forget_unknown(&mut self) {
        let unknown = self.pieces.values().filter(|piece| piece.bytes.is_none());
        let last = unknown.map(|piece| piece.origin.mono_ns).max();
        self.forgotten_ns = self.forgotten_ns.max(last);
        self.pieces.retain(|_, piece| piece.bytes.is_some());
    }
}

impl Claim<'_> {
    /// Whether its bytes are known.
    pub fn is_known(&self) -> bool {
        self.bytes.is_some() && !matches!(self.doubt, Doubt::Conflict(_))
    }
}

/// Ranges with the doubt about each, joined where it is the same.
#[derive(Debug, Default)]
struct Doubts(Vec<(Range<u64>, Doubt)>);

impl Doubts {
    fn add(&mut self, range: Range<u64>, doubt: Doubt) {
        if range.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some((last, of)) if last.end == range.start && of.is_same(&doubt) => last.end = range.end,
            _ => self.0.push((range, doubt)),
        }
    }
}

/// Compares new bytes with an earlier piece at `start` that they replace.
fn compare(doubts: &mut Doubts, start: u64, old: &Piece, new: Option<&[u8]>, origin: &Arc<Origin>) {
    let range = start..start + old.len;
    let doubt = || match origin.order(old.origin.mono_ns) {
        Order::After => Doubt::None,
        Order::Overlaps => Doubt::Conflict(Arc::clone(&old.origin)),
        Order::Unknown => Doubt::Unordered,
    };
    let (Some(new), Doubt::Conflict(_) | Doubt::Unordered) = (new, doubt()) else {
        return doubts.add(range, Doubt::None);
    };
    let Some(known) = old.bytes.as_ref().filter(|_| old.is_known()) else {
        return doubts.add(range, doubt());
    };
    // Where both show the same byte, the order does not matter.
    let kept = if matches!(old.doubt, Doubt::Unordered) { Doubt::Unordered } else { Doubt::None };
    let doubt = doubt();
    for ((at, new), old) in range.zip(new).zip(known.bytes()) {
        doubts.add(at..at + 1, if new == old { kept.clone() } else { doubt.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_as_large_as_it_may_be() {
        let origin = Arc::new(Origin {
            seq: 0,
            event: "pread",
            pid: 1,
            comm: "".into(),
            target_pid: None,
            target_comm: None,
            mono_ns: 0,
            ts_ns: 0,
            begin_ns: None,
            not_before_ns: None,
            verified: true,
        });
        let mut image = Image::default();
        // A byte each, and none beside another.
        (0..MAX_MEMORY_PIECES as u64).for_each(|at| image.put(2 * at..2 * at + 1, Some(b"x"), Way::Seen, &origin));
        assert!(!image.is_too_large());
        image.put(u64::MAX - 1..u64::MAX, Some(b"x"), Way::Seen, &origin);
        assert!(image.is_too_large(), "by a piece");
        let mut image = Image::default();
        image.put(0..MAX_MEMORY_BYTES, Some(&vec![0; MAX_MEMORY_BYTES as usize]), Way::Seen, &origin);
        assert!(!image.is_too_large());
        image.put(MAX_MEMORY_BYTES..MAX_MEMORY_BYTES + 1, Some(b"x"), Way::Seen, &origin);
        assert!(image.is_too_large(), "by a byte");
    }
}
