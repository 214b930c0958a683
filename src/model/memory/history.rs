//! What happened to a range of memory: every event that read or wrote it.

use std::ops::Range;
use std::sync::Arc;

use super::image::{Image, Way};
use super::origin::Origin;

/// Entries that are kept.
const LIMIT: usize = 10_000;
/// Bytes that are kept of each entry, before and after.
const BYTES: u64 = 1_024;

/// An entry of a history.
#[derive(Clone, Debug)]
pub enum Entry {
    /// An event touched it.
    Touch(Touch),
    /// The process began another program, and with it another memory.
    Exec {
        /// Its row.
        seq: u64,
        /// When.
        mono_ns: i64,
    },
}

/// An event that read or wrote bytes.
#[derive(Clone, Debug)]
pub struct Touch {
    /// Which event.
    pub origin: Arc<Origin>,
    /// Whether it wrote.
    pub way: Way,
    /// From the first to the last byte that it touched.
    pub range: Range<u64>,
    /// The first of them before it, as far as they are known.
    pub before: Vec<Option<u8>>,
    /// The same after it.
    pub after: Vec<Option<u8>>,
}

/// The entries of one range.
#[derive(Clone, Debug, Default)]
pub struct History {
    entries: Vec<Entry>,
    beyond: u64,
}

impl History {
    /// Each, in the order in which they happened.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Entries that are not kept, since there are too many.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    pub(super) fn exec(&mut self, seq: u64, mono_ns: i64) {
        self.add(Entry::Exec { seq, mono_ns });
    }

    /// An event is about to touch `range`.
    pub(super) fn begin(image: &Image, range: Range<u64>) -> (Range<u64>, Vec<Option<u8>>) {
        let before = image.read(front(&range));
        (range, before)
    }

    /// It has.
    pub(super) fn end(
        &mut self,
        image: &Image,
        (range, before): (Range<u64>, Vec<Option<u8>>),
        way: Way,
        origin: &Arc<Origin>,
    ) {
        let after = image.read(front(&range));
        self.add(Entry::Touch(Touch { origin: Arc::clone(origin), way, range, before, after }));
    }

    fn add(&mut self, entry: Entry) {
        if self.entries.len() < LIMIT { self.entries.push(entry) } else { self.beyond += 1 }
    }
}

fn front(range: &Range<u64>) -> Range<u64> {
    range.start..range.end.min(range.start.saturating_add(BYTES))
}
