//! Reads a capture row group by row group, for who copies rows into another capture.

use std::collections::VecDeque;
use std::ops::Range;

use anyhow::{Context, Result, anyhow};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReaderBuilder, RowSelection};
use parquet::bloom_filter::Sbbf;
use parquet::file::statistics::Statistics;

use super::{Capture, Events, Scan, guarded, range};

/// Largest bloom filter that is read, in bytes; ours have 2 KB.
const FILTER: i32 = 1 << 20;

impl Capture {
    /// Whether row group `index` may hold an event of `scan`, by its statistics. Without statistics: yes.
    pub fn may_hold_of(&self, index: usize, scan: &Scan) -> bool {
        self.may_match(index, scan)
    }

    /// Whether row group `index` may hold one of these `words` in a text column, by its statistics and its bloom filter.
    pub fn may_hold(&self, index: usize, column: &str, words: &[&str]) -> bool {
        let Some(leaf) = self.leaf(column) else { return false };
        let statistics = self.row_groups().get(index).and_then(|group| group.columns().get(leaf)?.statistics());
        let inside: Vec<&str> = words.iter().copied().filter(|word| is_within(statistics, word.as_bytes())).collect();
        if inside.is_empty() {
            return false;
        }
        match guarded(|| self.filter(index, leaf)) {
            Ok(Some(filter)) => inside.iter().any(|word| filter.check(word)),
            Ok(None) | Err(_) => true,
        }
    }

    /// The bloom filter of a column in a row group, if it has one of a size that ours may have.
    fn filter(&self, index: usize, leaf: usize) -> Result<Option<Sbbf>> {
        let chunk = self.row_groups().get(index).and_then(|group| group.columns().get(leaf)).context("no column")?;
        let length = chunk.bloom_filter_length().filter(|length| (1..=FILTER).contains(length));
        let place = chunk.bloom_filter_offset().and_then(|at| u64::try_from(at).ok()).zip(length);
        let Some((at, length)) = place else { return Ok(None) };
        let end = at.checked_add(u64::from(length.unsigned_abs()));
        if end.is_none_or(|end| end > self.size) {
            return Ok(None);
        }
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.try_clone()?, self.metadata.clone());
        reader.get_row_group_column_bloom_filter(index, leaf).map_err(|e| anyhow!("{e}"))
    }

    /// Smallest and largest value of an integer column in row group `index`, where its statistics say.
    pub fn span(&self, index: usize, column: &str) -> Option<(i64, i64)> {
        range(self.row_groups().get(index)?, self.leaf(column)?)
    }

    /// Streams the events of row group `index`: those `rows` of it, in ascending order, or all.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn group(&self, index: usize, columns: Vec<&'static str>, rows: Option<&[Range<usize>]>) -> Result<Events> {
        let name = || self.path.display().to_string();
        let (all, _) = self.row_group(index).with_context(|| format!("{}: no row group {index}", name()))?;
        let file = self.file.try_clone().with_context(name)?;
        let scan = Scan { columns, ..Scan::default() };
        let groups = VecDeque::from([index]);
        let events = Events::new(self.path.clone(), file, self.metadata.clone(), scan, groups, self.limits);
        Ok(match rows {
            Some(rows) => {
                let all = usize::try_from(all).with_context(name)?;
                events.of_rows(RowSelection::from_consecutive_ranges(rows.iter().cloned(), all))
            }
            None => events,
        })
    }
}

/// Whether a value is between the smallest and the largest, as far as these are known.
fn is_within(statistics: Option<&Statistics>, value: &[u8]) -> bool {
    let Some(statistics) = statistics else { return true };
    let least = statistics.min_bytes_opt().is_none_or(|least| least <= value);
    // A largest value that was cut is smaller than it was.
    let most = statistics.max_bytes_opt().is_none_or(|most| most >= value || value.starts_with(most));
    least && most
}
