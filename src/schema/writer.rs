//! Record batches to a Parquet file: encodings, compression, statistics, and the manifest in its footer.
//!
//! Settings are the measured ones (docs/FORMAT.md). A file becomes readable only when [`CaptureWriter::close`]
//! has written its footer.

use std::fs::File;
use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::SCHEMA_VERSION;
use super::batch::BATCH_ROWS;
use super::columns::{COLUMNS, ColumnSpec, Layout, arrow_schema};
use super::manifest::{KEY_MANIFEST, KEY_SCHEMA_VERSION, Manifest};

/// Rows per data page: small enough that a time window reads few pages.
const PAGE_ROWS: usize = 20_000;
/// Distinct values a bloom filter is sized for: pids in one row group.
const BLOOM_VALUES: u64 = 1_000;

/// Writes one capture.
pub struct CaptureWriter<W: Write + Send> {
    inner: ArrowWriter<W>,
}

impl<W: Write + Send> std::fmt::Debug for CaptureWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureWriter").finish_non_exhaustive()
    }
}

impl<W: Write + Send> CaptureWriter<W> {
    /// Starts a capture on `sink`.
    ///
    /// # Errors
    /// When `sink` cannot be written.
    pub fn new(sink: W) -> Result<Self, ParquetError> {
        let inner = ArrowWriter::try_new(sink, arrow_schema(), Some(properties()))?;
        Ok(CaptureWriter { inner })
    }

    /// Writes `batch` as one row group.
    ///
    /// # Errors
    /// When `sink` cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        self.inner.write(batch)?;
        self.inner.flush()
    }

    /// Bytes written so far.
    pub fn bytes_written(&self) -> usize {
        self.inner.bytes_written()
    }

    /// Writes the footer with `manifest` in it and hands the sink back.
    ///
    /// # Errors
    /// When `sink` cannot be written.
    pub fn close(mut self, manifest: &Manifest) -> Result<W, ParquetError> {
        let json = serde_json::to_string(manifest).map_err(|e| ParquetError::External(Box::new(e)))?;
        self.inner.append_key_value_metadata(KeyValue::new(KEY_SCHEMA_VERSION.into(), SCHEMA_VERSION.to_string()));
        self.inner.append_key_value_metadata(KeyValue::new(KEY_MANIFEST.into(), json));
        self.inner.into_inner()
    }
}

impl CaptureWriter<File> {
    /// Closes the capture and waits until it is on the disk.
    ///
    /// # Errors
    /// When the file cannot be written or synced.
    pub fn close_durably(self, manifest: &Manifest) -> Result<(), ParquetError> {
        let file = self.close(manifest)?;
        file.sync_all().map_err(|e| ParquetError::External(Box::new(e)))
    }
}

fn properties() -> WriterProperties {
    let builder = WriterProperties::builder()
        .set_created_by(concat!("vmtrace ", env!("CARGO_PKG_VERSION")).into())
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()))
        .set_max_row_group_row_count(Some(BATCH_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::None);
    COLUMNS.iter().fold(builder, column_properties).build()
}

fn column_properties(builder: WriterPropertiesBuilder, column: &ColumnSpec) -> WriterPropertiesBuilder {
    leaves(column).into_iter().fold(builder, |builder, path| match column.layout {
        Layout::Clock => builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED)
            .set_column_statistics_enabled(path, EnabledStatistics::Page),
        Layout::Key => builder
            .set_column_statistics_enabled(path.clone(), EnabledStatistics::Page)
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_max_ndv(path, BLOOM_VALUES),
        Layout::Repeating => builder,
        Layout::Plain => builder.set_column_dictionary_enabled(path, false),
        Layout::Payload => builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_LENGTH_BYTE_ARRAY),
    })
}

/// Parquet paths of a column's leaves: an iovec list has two.
fn leaves(column: &ColumnSpec) -> Vec<ColumnPath> {
    let parts = |tail: &[&str]| {
        let all = std::iter::once(column.name).chain(tail.iter().copied());
        ColumnPath::new(all.map(str::to_string).collect())
    };
    match (column.data_type)() {
        DataType::List(_) => vec![parts(&["list", "item", "base"]), parts(&["list", "item", "len"])],
        _ => vec![parts(&[])],
    }
}
