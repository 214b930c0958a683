//! Streaming the events of an opened capture in bounded memory, and not reading what is not asked for.
//!
//! Row groups are opened one after another, so that the first events come at once and damage in one group costs
//! nothing that stands before it. Within a group the columns of the condition are read first, and the others only
//! for the rows that meet it.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use arrow::array::{Array, BooleanArray, Int32Array, Int64Array, RecordBatch};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowFilter,
};

use super::columns::EventBatch;
use super::reader::guarded;

/// Rows decoded at a time: a batch of the largest payloads stays near 64 MiB.
const SCAN_ROWS: usize = 1024;
/// Columns that a scan's condition may look at.
const CONDITION: [&str; 4] = ["ts_ns", "mono_ns", "pid", "target_pid"];

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
    reader: Option<ParquetRecordBatchReader>,
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
    ) -> Self {
        Events { path, file, metadata, scan, groups, reader: None }
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
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_row_groups(vec![group])
            .with_projection(wanted)
            .with_batch_size(SCAN_ROWS);
        if !self.scan.is_everything() {
            let scan = self.scan.clone();
            let condition = ArrowPredicateFn::new(columns(&CONDITION), move |batch| Ok(scan.matching(&batch)));
            builder = builder.with_row_filter(RowFilter::new(vec![Box::new(condition)]));
        }
        Ok(builder.build()?)
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
        let context = || format!("{}: damaged; the events before this point were read", self.path.display());
        result.map_err(|e| e.context(context())).transpose()
    }
}
