//! Which rows of a row group are taken.

use std::ops::Range;

/// Rows of a row group, by their place in it.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    bits: Vec<u64>,
    count: u64,
}

impl Rows {
    /// Adds a row.
    pub fn insert(&mut self, row: usize) {
        let (word, bit) = (row / 64, 1 << (row % 64));
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        if let Some(word) = self.bits.get_mut(word)
            && *word & bit == 0
        {
            *word |= bit;
            self.count += 1;
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Those below `end`, in runs.
    pub fn runs(&self, end: usize) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for (at, word) in self.bits.iter().enumerate().filter(|(_, word)| **word != 0) {
            for row in (0..64).filter(|bit| word & (1 << bit) != 0).map(|bit| at * 64 + bit).filter(|row| *row < end) {
                match runs.last_mut().filter(|run| run.end == row) {
                    Some(run) => run.end += 1,
                    None => runs.push(row..row + 1),
                }
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_kept_once_and_come_in_runs() {
        let mut rows = Rows::default();
        [200, 3, 4, 5, 63, 64, 4, 9].into_iter().for_each(|row| rows.insert(row));
        assert_eq!(rows.count(), 7);
        assert_eq!(rows.runs(1_000), [3..6, 9..10, 63..65, 200..201]);
        assert_eq!(rows.runs(64), [3..6, 9..10, 63..64]);
        assert!(Rows::default().runs(9).is_empty());
    }
}
