//! How the engine reads bytes of a capture: from the checked file, according to the checked footer.
//!
//! Does not depend on tables. All bytes that it returns are within the file, and pages were checked (`schema::pages`).

use std::fmt;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{ParquetFileMetrics, ParquetFileReaderFactory};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::future::{BoxFuture, ready};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use tokio::task::yield_now;

use super::open::Opened;
use super::remote::Remote;
use crate::schema::pages::Check;

/// Makes readers of the captures that a scan names.
#[derive(Debug)]
pub struct Readers;

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let opened = file.extension::<Arc<Opened>>().cloned();
        let opened = opened.ok_or_else(|| exec_datafusion_err!("{} was not opened", file.path()))?;
        let metrics = ParquetFileMetrics::new(partition_index, &opened.name, metrics);
        let chunks = chunks(opened.capture.metadata().metadata());
        Ok(Box::new(Reader { opened, metrics, chunks }))
    }
}

/// A column chunk: where it lies, and its row group and leaf.
struct Chunk {
    range: Range<u64>,
    group: usize,
    leaf: usize,
}

fn chunks(metadata: &ParquetMetaData) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    for (group, columns) in metadata.row_groups().iter().enumerate() {
        for (leaf, column) in columns.columns().iter().enumerate() {
            let (start, length) = column.byte_range();
            chunks.push(Chunk { range: start..start.saturating_add(length), group, leaf });
        }
    }
    chunks.sort_by_key(|chunk| chunk.range.start);
    chunks
}

struct Reader {
    opened: Arc<Opened>,
    metrics: ParquetFileMetrics,
    chunks: Vec<Chunk>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("name", &self.opened.name).finish_non_exhaustive()
    }
}

impl Reader {
    fn read(&self, range: &Range<u64>) -> Result<Bytes, ParquetError> {
        let name = &self.opened.name;
        let length = range.end.checked_sub(range.start).filter(|_| range.end <= self.opened.capture.size());
        let length = length.and_then(|length| usize::try_from(length).ok());
        let length =
            length.ok_or_else(|| ParquetError::General(format!("{name}: bytes outside the file are named")))?;
        let mut bytes = vec![0; length];
        let read = self.opened.capture.file().read_exact_at(&mut bytes, range.start);
        read.map_err(|error| ParquetError::General(format!("cannot read {name}: {error}")))?;
        self.check(range, &bytes)?;
        self.metrics.bytes_scanned.add(length);
        Ok(bytes.into())
    }

    async fn fetch(&self, remote: &Arc<Remote>, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>, ParquetError> {
        let parts = remote.read(ranges.clone()).await.map_err(|error| ParquetError::General(format!("{error:#}")))?;
        for (range, bytes) in ranges.iter().zip(&parts) {
            self.check(range, bytes)?;
            self.metrics.bytes_scanned.add(bytes.len());
        }
        Ok(parts)
    }

    /// Looks at the pages in `bytes`, where they belong to a column.
    fn check(&self, range: &Range<u64>, bytes: &[u8]) -> Result<(), ParquetError> {
        let behind = self.chunks.partition_point(|chunk| chunk.range.start <= range.start);
        let chunk = behind.checked_sub(1).and_then(|index| self.chunks.get(index));
        let Some(chunk) = chunk.filter(|chunk| range.start < chunk.range.end) else { return Ok(()) };
        let name = &self.opened.name;
        if range.end > chunk.range.end {
            return Err(ParquetError::General(format!("{name}: bytes of several columns are named as one")));
        }
        let metadata = self.opened.capture.metadata().metadata();
        let Some(group) = metadata.row_groups().get(chunk.group) else { return Ok(()) };
        let Some(column) = group.columns().get(chunk.leaf) else { return Ok(()) };
        let index = metadata.offset_index().and_then(|groups| groups.get(chunk.group)?.get(chunk.leaf));
        let index = index.map(|index| index.page_locations().as_slice());
        let rows = u64::try_from(group.num_rows()).unwrap_or(0);
        let check = Check::new(column, rows, index, self.opened.capture.limits());
        check.all(bytes, range.start).map_err(|what| {
            let column = column.column_path().string();
            // What cannot be unpacked is damage; the rest are claims.
            let damaged = what.chain().any(|cause| cause.is::<std::io::Error>());
            ParquetError::General(match damaged {
                true => format!("{name}: column {column} is damaged in row group {}: {what:#}", chunk.group),
                false => format!("{name}: column {column} has, in row group {}, {what:#}", chunk.group),
            })
        })
    }
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        match self.opened.remote.clone() {
            None => Box::pin(async move {
                yield_now().await;
                self.read(&range)
            }),
            Some(remote) => Box::pin(async move {
                let parts = self.fetch(&remote, vec![range]).await?;
                parts.into_iter().next().ok_or_else(|| ParquetError::General("no bytes came".into()))
            }),
        }
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        match self.opened.remote.clone() {
            None => Box::pin(async move {
                // Local files never wait, and work that never waits cannot be cancelled: it yields after each row group.
                yield_now().await;
                ranges.iter().map(|range| self.read(range)).collect()
            }),
            Some(remote) => Box::pin(async move { self.fetch(&remote, ranges).await }),
        }
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        Box::pin(ready(Ok(Arc::clone(self.opened.capture.metadata().metadata()))))
    }
}
