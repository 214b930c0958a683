//! Where and when bytes stood in a memory: every place at which they came to be known.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::image::{Claim, Image};
use super::origin::Origin;

/// Places that are kept.
const LIMIT: usize = 10_000;

/// A place at which the bytes stood.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Where.
    pub address: u64,
    /// The event with which they were known to stand there: the one that shows the last of them.
    pub origin: Arc<Origin>,
    /// When they were known not to stand there any more, or it was not known whether they did.
    pub until_ns: Option<i64>,
}

/// A search for bytes.
#[derive(Clone, Debug)]
pub struct Search {
    pattern: Vec<u8>,
    hits: Vec<Hit>,
    /// Where they stand now, and which of the hits that is, if it was kept.
    standing: BTreeMap<u64, Option<usize>>,
    beyond: u64,
}

impl Search {
    /// A search for some bytes, at least one.
    pub fn new(pattern: &[u8]) -> Self {
        Search { pattern: pattern.to_vec(), hits: Vec::new(), standing: BTreeMap::new(), beyond: 0 }
    }

    /// Each, in the order in which they came to be known.
    pub fn iter(&self) -> impl Iterator<Item = &Hit> {
        self.hits.iter()
    }

    /// Places that are not kept, since there are too many.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Looks at all that is known.
    pub(super) fn look_at_all(&mut self, image: &Image, span: &Range<u64>) {
        let known: Vec<Range<u64>> =
            image.claims(span.clone()).filter(Claim::is_known).map(|claim| claim.range).collect();
        known.into_iter().for_each(|range| self.look(image, range, i64::MAX));
    }

    /// An event that returned at `mono_ns` has overwritten a range, however large, with bytes that are not known.
    pub(super) fn overwritten(&mut self, range: Range<u64>, mono_ns: i64) {
        let before = (self.pattern.len() as u64).saturating_sub(1);
        let from = range.start.saturating_sub(before);
        let stood: Vec<u64> = self.standing.range(from..range.end.max(from)).map(|(address, _)| *address).collect();
        stood.into_iter().for_each(|address| self.gone(address, mono_ns));
    }

    /// Looks at what an event that returned at `mono_ns` has changed.
    pub(super) fn look(&mut self, image: &Image, changed: Range<u64>, mono_ns: i64) {
        let Some(before) = (self.pattern.len() as u64).checked_sub(1) else { return };
        let range = changed.start.saturating_sub(before)..changed.end.saturating_add(before);
        let bytes = image.read(range.clone());
        let found: Vec<u64> = (range.start..)
            .zip(bytes.windows(self.pattern.len()))
            .filter(|(_, window)| window.iter().zip(&self.pattern).all(|(byte, wanted)| *byte == Some(*wanted)))
            .map(|(address, _)| address)
            .collect();
        let stood: Vec<u64> = self.standing.range(range.start..changed.end).map(|(address, _)| *address).collect();
        for address in stood.into_iter().filter(|address| found.binary_search(address).is_err()) {
            self.gone(address, mono_ns);
        }
        for address in found {
            if !self.standing.contains_key(&address) {
                let hit = self.hit(image, address);
                self.standing.insert(address, hit);
            }
        }
    }

    /// Another program begins.
    pub(super) fn clear(&mut self, mono_ns: i64) {
        let all: Vec<u64> = self.standing.keys().copied().collect();
        all.into_iter().for_each(|address| self.gone(address, mono_ns));
    }

    fn gone(&mut self, address: u64, mono_ns: i64) {
        if let Some(hit) = self.standing.remove(&address).flatten().and_then(|index| self.hits.get_mut(index)) {
            hit.until_ns = Some(mono_ns);
        }
    }

    fn hit(&mut self, image: &Image, address: u64) -> Option<usize> {
        let end = address.saturating_add(self.pattern.len() as u64);
        let last = image.claims(address..end).max_by_key(|claim| claim.origin.mono_ns)?;
        if self.hits.len() >= LIMIT {
            self.beyond += 1;
            return None;
        }
        self.hits.push(Hit { address, origin: Arc::clone(last.origin), until_ns: None });
        Some(self.hits.len() - 1)
    }
}
