//! How columns are stored: encodings, compression, statistics, bloom filters. The settings were measured
//! (docs/FORMAT.md).

use std::sync::{Arc, OnceLock};

use arrow_schema::DataType;
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterPropertiesPtr, WriterVersion,
};
use parquet::schema::types::{ColumnPath, SchemaDescPtr};

use super::batch::BATCH_ROWS;
use super::columns::{COLUMNS, ColumnSpec, Layout, arrow_schema};

/// What the footer says wrote the file.
pub(super) const CREATED_BY: &str = concat!("vmtrace ", env!("CARGO_PKG_VERSION"));
/// Rows per data page: small enough that a time window reads few pages.
pub(super) const PAGE_ROWS: usize = 20_000;
/// zstd's, while recording.
pub(super) const LEVEL: i32 = 1;
/// Distinct values a bloom filter is sized for: pids in one row group.
pub(super) const BLOOM_VALUES: u64 = 1_000;

/// The columns as Parquet has them.
///
/// # Errors
/// When the Parquet library has no type for one, which would be a defect of the table of columns.
pub(super) fn parquet_schema() -> Result<SchemaDescPtr, ParquetError> {
    static SCHEMA: OnceLock<SchemaDescPtr> = OnceLock::new();
    if let Some(schema) = SCHEMA.get() {
        return Ok(schema.clone());
    }
    let schema = Arc::new(ArrowSchemaConverter::new().convert(&arrow_schema())?);
    Ok(SCHEMA.get_or_init(|| schema).clone())
}

/// The settings of every row group.
pub(super) fn properties() -> WriterPropertiesPtr {
    static PROPERTIES: OnceLock<WriterPropertiesPtr> = OnceLock::new();
    PROPERTIES.get_or_init(|| Arc::new(made())).clone()
}

fn made() -> WriterProperties {
    let builder = WriterProperties::builder()
        .set_created_by(CREATED_BY.into())
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL).unwrap_or_default()))
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

/// Parquet paths of a column's leaves: a list has one for each part of its elements.
fn leaves(column: &ColumnSpec) -> Vec<ColumnPath> {
    let parts = |tail: &[&str]| {
        let all = std::iter::once(column.name).chain(tail.iter().copied());
        ColumnPath::new(all.map(str::to_string).collect())
    };
    match (column.data_type)() {
        DataType::List(item) => match item.data_type() {
            DataType::Struct(fields) => fields.iter().map(|field| parts(&["list", "item", field.name()])).collect(),
            _ => vec![parts(&["list", "item"])],
        },
        _ => vec![parts(&[])],
    }
}
