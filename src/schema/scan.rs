//! Streams the events of an opened capture in bounded memory, and skips what is not needed.
//!
//! Row groups are opened one after another, so the first events come at once, and damage in one group does not affect
//! the groups before it. Within a group the columns of the condition are read first, and the others only for the rows
//! that match it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use arrow_array::{Array, BooleanArray, Int32Array, Int64Array, RecordBatch};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowFilter,
    RowSelection,
};
use parquet::file::metadata::ColumnChunkMetaData;

use super::columns::EventBatch;
use super::file::read_at;
use super::guard::guarded;
use super::layout::place;
use super::limits::{Limits, TooLarge};
use super::pages::{Check, Facts, Header};
use super::window::{self, Column};

/// Bytes read in search of the end of a page's header, at first and at most.
const HEADER: [usize; 2] = [256, 1 << 20];
/// Which events a scan must bring; it may bring more. All conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// Only columns of these names; empty for all.
    pub columns: Vec<&'static str>,
    /// Only events whose `mono_ns` is at least this.
    pub since_mono_ns: Option<i64>,
    /// Only events whose `mono_ns` is at most this.
    pub until_mono_ns: Option<i64>,
    /// Only events whose `ts_ns` is at least this.
    pub since_ts_ns: Option<i64>,
    /// Only events whose `ts_ns` is at most this.
    pub until_ts_ns: Option<i64>,
    /// Only events whose `pid` or `target_pid` is one of these; empty for all.
    pub pids: Vec<i32>,
}

impl Scan {
    fn is_everything(&self) -> bool {
        let bounds = [self.since_mono_ns, self.until_mono_ns, self.since_ts_ns, self.until_ts_ns];
        self.pids.is_empty() && bounds.iter().all(Option::is_none)
    }

    /// Columns that the conditions look at.
    fn condition(&self) -> Vec<&'static str> {
        let is_bounded = |since: Option<i64>, until: Option<i64>| since.is_some() || until.is_some();
        let mut columns = Vec::new();
        columns.extend(is_bounded(self.since_ts_ns, self.until_ts_ns).then_some("ts_ns"));
        columns.extend(is_bounded(self.since_mono_ns, self.until_mono_ns).then_some("mono_ns"));
        columns.extend(["pid", "target_pid"].into_iter().filter(|_| !self.pids.is_empty()));
        columns
    }

    /// Which rows of `batch` meet the conditions, as far as it has their columns.
    fn matching(&self, batch: &RecordBatch) -> BooleanArray {
        let mono = column::<Int64Array>(batch, "mono_ns");
        let ts = column::<Int64Array>(batch, "ts_ns");
        let pid = column::<Int32Array>(batch, "pid");
        let target = column::<Int32Array>(batch, "target_pid");
        let within = |clock: Option<&Int64Array>, row, since: Option<i64>, until: Option<i64>| {
            clock.is_none_or(|clock| {
                let at = clock.value(row);
                since.is_none_or(|since| at >= since) && until.is_none_or(|until| at <= until)
            })
        };
        let named = |pid: Option<&Int32Array>, row| {
            pid.is_some_and(|pid| pid.is_valid(row) && self.pids.contains(&pid.value(row)))
        };
        let rows = 0..batch.num_rows();
        let matches = rows.map(|row| {
            within(mono, row, self.since_mono_ns, self.until_mono_ns)
                && within(ts, row, self.since_ts_ns, self.until_ts_ns)
                && (self.pids.is_empty() || pid.is_none() || named(pid, row) || named(target, row))
        });
        matches.map(Some).collect()
    }
}

fn column<'a, T: Array + 'static>(batch: &'a RecordBatch, name: &str) -> Option<&'a T> {
    batch.column_by_name(name)?.as_any().downcast_ref()
}

/// Batches of events, in file order. Ends after the first error.
pub struct Events {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
    scan: Scan,
    groups: VecDeque<usize>,
    limits: Limits,
    reader: Option<ParquetRecordBatchReader>,
    /// Of the row groups, these rows; all without it.
    rows: Option<RowSelection>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("path", &self.path).field("groups", &self.groups).finish_non_exhaustive()
    }
}

impl Events {
    pub(super) fn new(
        path: PathBuf,
        file: File,
        metadata: ArrowReaderMetadata,
        scan: Scan,
        groups: VecDeque<usize>,
        limits: Limits,
    ) -> Self {
        Events { path, file, metadata, scan, groups, limits, reader: None, rows: None }
    }

    /// Only these rows, of the one row group that is to be read.
    pub(super) fn of_rows(self, rows: RowSelection) -> Self {
        Events { rows: Some(rows), ..self }
    }

    fn advance(&mut self) -> Result<Option<EventBatch>> {
        loop {
            if let Some(reader) = self.reader.as_mut() {
                match reader.next() {
                    Some(batch) => return EventBatch::new(&batch?).map(Some).map_err(|e| anyhow!(e)),
                    None => self.reader = None,
                }
            }
            match self.groups.pop_front() {
                Some(group) => self.reader = Some(self.open(group)?),
                None => return Ok(None),
            }
        }
    }

    fn open(&self, group: usize) -> Result<ParquetRecordBatchReader> {
        let file = self.file.try_clone()?;
        let columns =
            |names: &[&'static str]| ProjectionMask::columns(self.metadata.parquet_schema(), names.iter().copied());
        let wanted = if self.scan.columns.is_empty() { ProjectionMask::all() } else { columns(&self.scan.columns) };
        let condition = columns(&self.scan.condition());
        let rows = self.rows_at_a_time(group, |leaf| wanted.leaf_included(leaf) || condition.leaf_included(leaf));
        let rows = rows.with_context(|| format!("row group {group}"))?;
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_row_groups(vec![group])
            .with_projection(wanted)
            .with_batch_size(rows);
        if let Some(rows) = &self.rows {
            builder = builder.with_row_selection(rows.clone());
        }
        if !self.scan.is_everything() {
            let scan = self.scan.clone();
            let condition = ArrowPredicateFn::new(condition, move |batch| Ok(scan.matching(&batch)));
            builder = builder.with_row_filter(RowFilter::new(vec![Box::new(condition)]));
        }
        Ok(builder.build()?)
    }

    /// Whether a leaf is of a column that is `wanted`.
    fn is_of(&self, leaf: usize, wanted: impl Fn(&str) -> bool) -> bool {
        let columns = self.metadata.parquet_schema().columns();
        columns.get(leaf).and_then(|column| column.path().parts().first()).is_some_and(|name| wanted(name))
    }

    /// Checks the pages of the columns that are `wanted`.
    pub(super) fn check_group(&self, group: usize, wanted: impl Fn(&str) -> bool) -> Result<()> {
        self.rows_at_a_time(group, |leaf| self.is_of(leaf, &wanted)).map(drop)
    }

    /// Decodes one column.
    pub(super) fn check_column(&self, group: usize, column: &str) -> Result<()> {
        let wanted = |leaf| self.is_of(leaf, |name| name == column);
        let rows = self.rows_at_a_time(group, wanted)?;
        let schema = self.metadata.parquet_schema();
        let leaves = (0..schema.num_columns()).filter(|leaf| wanted(*leaf));
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.try_clone()?, self.metadata.clone())
            .with_row_groups(vec![group])
            .with_projection(ProjectionMask::leaves(schema, leaves))
            .with_batch_size(rows)
            .build()?;
        reader.into_iter().try_for_each(|batch| batch.map(drop))?;
        Ok(())
    }

    /// Checks the pages of those columns of a row group that are `read`; returns how many rows to decode at a time.
    fn rows_at_a_time(&self, group: usize, read: impl Fn(usize) -> bool) -> Result<usize> {
        let metadata = self.metadata.metadata();
        let row_group = metadata.row_groups().get(group).context("is not there")?;
        let rows = u64::try_from(row_group.num_rows())?;
        let index = metadata.offset_index().and_then(|groups| groups.get(group));
        let leaves = row_group.columns().iter().enumerate().filter(|(leaf, _)| read(*leaf));
        let columns = leaves.map(|(leaf, chunk)| {
            let index = index.and_then(|columns| columns.get(leaf)).map(|index| index.page_locations().as_slice());
            let check = Check::new(chunk, rows, index, self.limits);
            let facts = self.check(check, chunk).with_context(|| format!("column {}", chunk.column_path().string()))?;
            Ok(Column { chunk, facts })
        });
        window::rows(&columns.collect::<Result<Vec<_>>>()?, self.limits)
    }

    /// Checks all pages of a column chunk.
    fn check<'a>(&'a self, mut check: Check<'a>, chunk: &ColumnChunkMetaData) -> Result<Facts> {
        let (start, length) = place(chunk).context("is outside the file")?;
        let end = start.saturating_add(length);
        let mut at = start;
        while at < end {
            let header = self.header(at, end).context("has a page header that cannot be read")?;
            let body = at.saturating_add(header.length);
            let next = body.checked_add(header.packed).filter(|next| *next <= end);
            let next = next.context("has a page that ends behind its column")?;
            let packed = usize::try_from(header.packed)?;
            check.page(&header, at, &mut || Ok(Cow::Owned(read_at(&self.file, body, packed)?)))?;
            at = next;
        }
        check.finish(start, end)
    }

    fn header(&self, at: u64, end: u64) -> Option<Header> {
        let left = usize::try_from(end - at).ok()?;
        let [mut length, most] = HEADER;
        loop {
            let bytes = read_at(&self.file, at, length.min(left)).ok()?;
            match Header::read(&bytes) {
                None if length < left.min(most) => length *= 8,
                header => return header,
            }
        }
    }
}

impl Iterator for Events {
    type Item = Result<EventBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = guarded(|| self.advance());
        if !matches!(result, Ok(Some(_))) {
            self.reader = None;
            self.groups.clear();
        }
        let path = self.path.display();
        let context = |error: &anyhow::Error| match error.downcast_ref::<TooLarge>() {
            Some(_) => format!("{path}: the events before this point were read"),
            None => format!("{path}: damaged; the events before this point were read"),
        };
        result
            .map_err(|error| {
                let context = context(&error);
                error.context(context)
            })
            .transpose()
    }
}
