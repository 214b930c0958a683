//! The table `events`: all captures as one, with the column `capture` in front.
//!
//! Owns what the engine gets to know of the files: their columns, row counts, and how they are spread over threads. What a
//! filter excludes is found by the engine, from statistics, page index and bloom filters.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{Result, ScalarValue, Statistics, exec_datafusion_err};
use datafusion::datasource::TableProvider;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use super::open::{CAPTURE, Opened};
use super::reader::Readers;
use crate::schema::limits::FEW_RANGES;

/// Bytes of payload that a batch of rows may come to, on average.
const BATCH_BYTES: usize = 16 << 20;
/// Rows of as many ranges as can be that a batch has, over all lists.
const RANGES: usize = 2048;

/// All captures of a query.
#[derive(Debug)]
pub struct Events {
    captures: Vec<Arc<Opened>>,
    /// As queries see it: `capture`, then the columns of the files.
    schema: SchemaRef,
    /// As the scan knows it: columns of the files, then `capture`.
    table: TableSchema,
    /// Bytes for reading, all threads together.
    reading: u64,
}

impl Events {
    /// The table over `captures`, whose columns are `columns`; reading them may take so many bytes.
    pub fn new(captures: Vec<Arc<Opened>>, columns: &SchemaRef, reading: u64) -> Self {
        let capture = Arc::new(Field::new(CAPTURE, DataType::Utf8View, false));
        let fields = std::iter::once(&capture).chain(columns.fields()).cloned().collect::<Vec<_>>();
        let table = TableSchema::builder(Arc::clone(columns)).with_table_partition_cols(vec![capture]).build();
        Events { captures, schema: Arc::new(Schema::new(fields)), table, reading }
    }

    fn file(&self, opened: &Arc<Opened>) -> PartitionedFile {
        let mut statistics = Statistics::new_unknown(self.table.file_schema());
        statistics.num_rows = Precision::Exact(opened.rows());
        let path = Path::new(&opened.name).file_name().map(|name| name.to_string_lossy().into_owned());
        PartitionedFile::new(path.unwrap_or_default(), opened.capture.size())
            .with_partition_values(vec![ScalarValue::Utf8View(Some(opened.name.clone()))])
            .with_arrow_schema(Arc::clone(&opened.schema))
            .with_extension(Arc::clone(opened))
            .with_statistics(Arc::new(statistics))
    }

    /// Rows to decode at a time: fewer where payloads are large, or rows have many ranges.
    fn batch_rows(&self, usual: usize, columns: &[&str]) -> usize {
        let groups = || self.captures.iter().flat_map(|c| c.capture.metadata().metadata().row_groups());
        let per_row = groups().map(|group| {
            let bytes = usize::try_from(group.total_byte_size()).unwrap_or(usize::MAX);
            bytes / usize::try_from(group.num_rows()).unwrap_or(0).max(1)
        });
        let rows = (BATCH_BYTES / per_row.max().unwrap_or(0).max(1)).clamp(64, usual.max(64));
        let ranges = groups().map(|group| {
            let lists = read(group, columns).filter(|chunk| chunk.column_descr().max_rep_level() > 0);
            let values = lists.map(|chunk| u64::try_from(chunk.num_values()).unwrap_or(0));
            values.filter(|values| *values > FEW_RANGES).count()
        });
        match ranges.max() {
            None | Some(0) => rows,
            Some(lists) => rows.min(RANGES / lists),
        }
    }

    /// How many threads may read `columns` at a time, each of them a row group of its own.
    fn threads(&self, usual: usize, columns: &[&str]) -> Result<usize> {
        let mut threads = usual.max(1);
        for opened in &self.captures {
            for (index, group) in opened.capture.metadata().metadata().row_groups().iter().enumerate() {
                let limits = opened.capture.limits();
                let size = |size: i64| u64::try_from(size).unwrap_or(0);
                let packed =
                    read(group, columns).map(|chunk| size(chunk.compressed_size())).fold(0, u64::saturating_add);
                let unpacked = read(group, columns).map(|chunk| size(chunk.uncompressed_size()).min(limits.page()));
                let held = packed.saturating_add(unpacked.fold(0, u64::saturating_add));
                if held > self.reading {
                    // The pages of each column in turn, as far as they can be checked here.
                    let checked = limits.check_pages(packed, || "columns that are read together".into());
                    let wanted = |name: &str| columns.contains(&name);
                    let checked = checked.map_err(Into::into).and_then(|()| match &opened.remote {
                        None => opened.capture.check_group(index, wanted),
                        Some(_) => Ok(()),
                    });
                    checked.map_err(|what| exec_datafusion_err!("{}: row group {index}: {what:#}", opened.name))?;
                }
                threads = threads.min(usize::try_from(self.reading / held.max(1)).unwrap_or(usize::MAX).max(1));
            }
        }
        Ok(threads)
    }
}

/// The column chunks that make up `columns`.
fn read<'a>(group: &'a RowGroupMetaData, columns: &'a [&str]) -> impl Iterator<Item = &'a ColumnChunkMetaData> {
    let root = |chunk: &'a ColumnChunkMetaData| chunk.column_path().parts().first().map_or("", String::as_str);
    group.columns().iter().filter(move |chunk| columns.contains(&root(chunk)))
}

#[async_trait]
impl TableProvider for Events {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = self.table.file_schema().fields().len();
        let all = || (0..=columns).collect::<Vec<_>>();
        let projection = projection.cloned().unwrap_or_else(all);
        let read: Vec<&str> =
            projection.iter().filter_map(|index| Some(self.schema.fields().get(*index)?.name().as_str())).collect();
        let projection = projection.iter().map(|index| index.checked_sub(1).unwrap_or(columns)).collect();
        let threads = self.threads(state.config().target_partitions(), &read)?;
        let groups = FileGroup::new(self.captures.iter().map(|c| self.file(c)).collect()).split_files(threads);
        let mut statistics = Statistics::new_unknown(self.table.table_schema());
        statistics.num_rows = Precision::Exact(self.captures.iter().map(|c| c.rows()).sum());
        let source = ParquetSource::new(self.table.clone())
            .with_table_parquet_options(state.table_options().parquet.clone())
            .with_parquet_file_reader_factory(Arc::new(Readers));
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_batch_size(Some(self.batch_rows(state.config().batch_size(), &read)))
            .with_limit(limit)
            .with_projection_indices(Some(projection))?
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
