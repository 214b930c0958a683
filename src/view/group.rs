//! Reads rows of one row group, wherever they are in it.
//!
//! Owns how many rows are decoded at a time, so that they fit in memory whatever they contain. The checks of untrusted files are
//! those of `schema`: the pages of a group are checked before any of them is decoded.

use std::ops::Range;

use anyhow::{Context, Result, anyhow};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::basic::Type;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;

use crate::schema::EventBatch;
use crate::schema::columns::COLUMNS;
use crate::schema::limits::MAX_RANGES;
use crate::schema::reader::{Capture, guarded};

/// Rows decoded at a time where they are not large.
const ROWS: u64 = 1024;
/// Bytes of a number and what says that it is not null.
const NUMBER: u64 = 16;

/// The columns of the table that are read.
#[derive(Clone, Debug)]
pub struct Columns(Vec<&'static str>);

impl Columns {
    /// All that this version knows.
    pub fn all() -> Self {
        Columns(COLUMNS.iter().map(|column| column.name).collect())
    }

    /// These.
    pub fn of(names: impl IntoIterator<Item = &'static str>) -> Self {
        let mut names: Vec<&'static str> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        Columns(names)
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains(&name)
    }
}

/// Rows of a group, a few at a time, in their order. Ends after the first error.
pub struct Rows {
    name: String,
    reader: Option<ParquetRecordBatchReader>,
}

/// Checks the pages of a row group.
///
/// # Errors
/// What is wrong with them.
pub fn check(capture: &Capture, group: usize, columns: &Columns) -> Result<()> {
    capture.check_group(group, |name| columns.has(name)).with_context(|| name(capture, group))
}

/// Reads `rows` of a row group that has been checked; they count from its first.
///
/// # Errors
/// When it cannot be read.
pub fn rows(capture: &Capture, group: usize, columns: &Columns, rows: Range<u64>) -> Result<Rows> {
    let name = name(capture, group);
    let reader = guarded(|| open(capture, group, columns, rows)).with_context(|| name.clone())?;
    Ok(Rows { name, reader: Some(reader) })
}

fn name(capture: &Capture, group: usize) -> String {
    format!("{}: row group {group} cannot be read", capture.path().display())
}

fn open(capture: &Capture, group: usize, columns: &Columns, rows: Range<u64>) -> Result<ParquetRecordBatchReader> {
    let metadata = capture.metadata().clone();
    let mask = ProjectionMask::columns(metadata.parquet_schema(), columns.0.iter().copied());
    let at_a_time = usize::try_from(rows_at_a_time(capture, group, columns)?)?;
    let (skip, length) = (usize::try_from(rows.start)?, usize::try_from(rows.end.saturating_sub(rows.start))?);
    let selection = RowSelection::from(vec![RowSelector::skip(skip), RowSelector::select(length)]);
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(capture.file().try_clone()?, metadata)
        .with_row_groups(vec![group])
        .with_projection(mask)
        .with_row_selection(selection)
        .with_batch_size(at_a_time.min(length.max(1)));
    Ok(builder.build()?)
}

/// How many rows of a group are decoded at a time: at least one, whose values are below the limits.
///
/// # Errors
/// When there is no such group.
pub fn rows_at_a_time(capture: &Capture, group: usize, columns: &Columns) -> Result<u64> {
    let group = capture.metadata().metadata().row_groups().get(group).context("is not there")?;
    let read: Vec<&ColumnChunkMetaData> = group
        .columns()
        .iter()
        .filter(|chunk| chunk.column_path().parts().first().is_some_and(|name| columns.has(name)))
        .collect();
    let limits = capture.limits();
    let size = |rows: u64| {
        read.iter().map(|chunk| decoded(chunk, rows, limits.value())).fold(0u64, |sum, bytes| sum.saturating_add(bytes))
    };
    let mut rows = ROWS;
    while rows > 1 && size(rows) > limits.batch() {
        rows /= 2;
    }
    Ok(rows)
}

/// What `rows` of a column take at most. A value in a dictionary may be that of each of them.
fn decoded(chunk: &ColumnChunkMetaData, rows: u64, longest: u64) -> u64 {
    let all = u64::try_from(chunk.uncompressed_size()).unwrap_or(u64::MAX);
    if chunk.column_descr().max_rep_level() > 0 {
        let values = u64::try_from(chunk.num_values()).unwrap_or(0);
        return values.min(rows.saturating_mul(MAX_RANGES)).saturating_mul(NUMBER);
    }
    let numbers = rows.saturating_mul(NUMBER);
    match (chunk.column_type(), chunk.dictionary_page_offset()) {
        (Type::BYTE_ARRAY, None) => numbers.saturating_add(all.min(rows.saturating_mul(longest))),
        (Type::BYTE_ARRAY, Some(_)) => numbers.saturating_add(rows.saturating_mul(all.min(longest))),
        (_, _) => numbers,
    }
}

impl Iterator for Rows {
    type Item = Result<(EventBatch, usize)>;

    /// The next rows, and the bytes that they take.
    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.reader.as_mut()?;
        let next = guarded(|| {
            let Some(batch) = reader.next() else { return Ok(None) };
            let batch = batch?;
            let bytes = batch.get_array_memory_size();
            Ok(Some((EventBatch::new(&batch).map_err(|error| anyhow!(error))?, bytes)))
        });
        let next = next.with_context(|| self.name.clone()).transpose();
        if !matches!(next, Some(Ok(_))) {
            self.reader = None;
        }
        next
    }
}

/// First and last instant of a group on CLOCK_MONOTONIC, where its statistics say.
pub fn mono_span(capture: &Capture, group: usize) -> Option<(i64, i64)> {
    let group = capture.metadata().metadata().row_groups().get(group)?;
    let chunk = group.columns().iter().find(|chunk| chunk.column_path().string() == "mono_ns")?;
    match chunk.statistics()? {
        Statistics::Int64(statistics) => Some((*statistics.min_opt()?, *statistics.max_opt()?)),
        _ => None,
    }
}
