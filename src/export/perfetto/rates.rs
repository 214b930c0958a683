//! Bytes a second that came into the memory of a process and out of it, in windows of equal length.

use std::collections::BTreeMap;

/// Windows in a capture, at most.
const WINDOWS: i64 = 200;
/// Tracks that a window counts, at most: a file may name any number of processes. Others have no counter in it.
const TRACKS: usize = 16_384;
/// The shortest window, in ns.
const SHORTEST: i64 = 1_000_000;

/// A value of a counter: its track, the instant from which it holds, and bytes a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub track: u64,
    pub at: i64,
    pub rate: i64,
}

/// The window that is being filled.
#[derive(Debug)]
pub(super) struct Rates {
    /// Its length in ns.
    length: i64,
    /// Its beginning; none before the first bytes.
    begin: Option<i64>,
    /// Bytes by track.
    bytes: BTreeMap<u64, u64>,
    /// Tracks that had bytes in the window before, right at its end.
    before: Vec<u64>,
}

impl Rates {
    /// Windows for a capture from the first of these instants to the last.
    pub fn new(span: Option<(i64, i64)>) -> Self {
        let whole = span.map_or(0, |(first, last)| last.saturating_sub(first));
        Rates { length: round(whole / WINDOWS), begin: None, bytes: BTreeMap::new(), before: Vec::new() }
    }

    /// Bytes that moved at an instant. Gives the values of windows that have ended to `give`. Instants come in order.
    pub fn note(&mut self, at: i64, track: u64, bytes: u64, give: &mut dyn FnMut(Value)) {
        let begin = at.saturating_sub(at.rem_euclid(self.length));
        // One that comes late counts where it arrives.
        if self.begin.is_none_or(|now| begin > now) {
            self.end_window(give);
            if self.begin.is_none_or(|now| begin > now.saturating_add(self.length)) {
                self.end_gap(give);
            }
            self.begin = Some(begin);
        }
        if self.bytes.len() >= TRACKS && !self.bytes.contains_key(&track) {
            return;
        }
        let sum = self.bytes.entry(track).or_default();
        *sum = sum.saturating_add(bytes);
    }

    /// The values of the last window, and that nothing moved behind it.
    pub fn finish(&mut self, give: &mut dyn FnMut(Value)) {
        self.end_window(give);
        self.end_gap(give);
    }

    fn end_window(&mut self, give: &mut dyn FnMut(Value)) {
        let Some(begin) = self.begin else { return };
        let bytes = std::mem::take(&mut self.bytes);
        for track in self.before.iter().filter(|track| !bytes.contains_key(*track)) {
            give(Value { track: *track, at: begin, rate: 0 });
        }
        for (track, bytes) in &bytes {
            let rate = i128::from(*bytes) * 1_000_000_000 / i128::from(self.length);
            give(Value { track: *track, at: begin, rate: i64::try_from(rate).unwrap_or(i64::MAX) });
        }
        self.before = bytes.into_keys().collect();
    }

    /// Nothing moves from the end of the window on.
    fn end_gap(&mut self, give: &mut dyn FnMut(Value)) {
        let Some(begin) = self.begin else { return };
        let at = begin.saturating_add(self.length);
        self.before.drain(..).for_each(|track| give(Value { track, at, rate: 0 }));
    }
}

/// The next longer length of 1, 2 or 5 of a unit.
fn round(ns: i64) -> i64 {
    let units = std::iter::successors(Some(SHORTEST), |unit| unit.checked_mul(10));
    units
        .flat_map(|unit| [1, 2, 5].map(|times| unit.saturating_mul(times)))
        .find(|length| *length >= ns)
        .unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_round() {
        assert_eq!(
            [0, 1_000_000, 1_000_001, 30_000_000, i64::MAX].map(round),
            [1_000_000, 1_000_000, 2_000_000, 50_000_000, i64::MAX]
        );
    }

    #[test]
    fn any_number_of_processes_in_a_window_takes_bounded_memory() {
        let mut rates = Rates::new(None);
        let mut values = 0;
        (0..3 * TRACKS as u64).for_each(|track| rates.note(5, track, 1, &mut |_| values += 1));
        assert_eq!((rates.bytes.len(), values), (TRACKS, 0));
        rates.finish(&mut |_| values += 1);
        assert_eq!(values, 2 * TRACKS, "what is counted begins and ends");
    }

    #[test]
    fn a_rate_holds_for_its_window_and_ends() {
        let mut rates = Rates::new(Some((0, 200_000_000)));
        let mut values = Vec::new();
        let mut give = |value: Value| values.push((value.track, value.at, value.rate));
        for (at, track, bytes) in [(100, 1, 10), (900_000, 1, 20), (1_200_000, 2, 5), (9_000_000, 1, 7)] {
            rates.note(at, track, bytes, &mut give);
        }
        rates.finish(&mut give);
        let wanted = [
            (1, 0, 30_000),
            (1, 1_000_000, 0),
            (2, 1_000_000, 5_000),
            (2, 2_000_000, 0),
            (1, 9_000_000, 7_000),
            (1, 10_000_000, 0),
        ];
        assert_eq!(values, wanted);
    }

    /// Instants and numbers of a forged file, in any order.
    #[test]
    fn any_number_is_taken() {
        let mut rates = Rates::new(Some((i64::MIN, i64::MAX)));
        for at in [i64::MAX, i64::MIN, 0, i64::MAX] {
            rates.note(at, 1, u64::MAX, &mut |_| {});
        }
        let mut rates = Rates::new(None);
        for at in [i64::MIN, 0, i64::MAX, i64::MIN] {
            rates.note(at, 1, u64::MAX, &mut |value| assert!(value.rate >= 0));
        }
        rates.finish(&mut |value| assert!(value.rate >= 0));
    }
}
