//! Captures in plans that are sent: named when a query is planned, opened where they are read.
//!
//! An executor would rebuild a stock Parquet scan without the checks of [`super::super::reader`]. So the scan is
//! wrapped: its plans go through [`super::codec`] alone, which rebuilds it with these checks.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, exec_err, internal_err};
use datafusion::datasource::TableProvider;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileGroup, FileOpener, FileScanConfig, FileScanConfigBuilder, FileSource, ParquetFileReaderFactory, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::object_store::ObjectStore;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan};
use datafusion::scalar::ScalarValue;
use datafusion_datasource::morsel::Morselizer;
use parquet::arrow::async_reader::AsyncFileReader;
use serde::{Deserialize, Serialize};

use super::super::events::Events;
use super::super::open::{self, Opened};
use super::super::reader::Readers;
use super::super::resources;
use crate::schema::limits::Limits;

/// What the captures of a query are called, and where each lies: a path from the root on, or a URL.
#[derive(Debug, Serialize, Deserialize)]
pub struct Places(Vec<(String, String)>);

impl Places {
    /// The captures, by name and place.
    pub fn new(places: Vec<(String, String)>) -> Arc<Self> {
        Arc::new(Places(places))
    }

    fn open(&self) -> anyhow::Result<Vec<Arc<Opened>>> {
        self.0.iter().map(|(name, path)| open_as(name, path).map(Arc::new)).collect()
    }
}

/// Opens the capture at `path` under the name that the query has for it.
fn open_as(name: &str, path: &str) -> anyhow::Result<Opened> {
    Ok(Opened { name: name.to_string(), ..Opened::open(Path::new(path), Limits::default())? })
}

fn external(error: anyhow::Error) -> DataFusionError {
    exec_datafusion_err!("{error:#}")
}

/// The table `events` on a scheduler.
#[derive(Debug)]
pub struct Fleet {
    /// The captures it is of.
    pub places: Arc<Places>,
    /// Its columns, as the client saw them.
    pub schema: SchemaRef,
}

#[async_trait]
impl TableProvider for Fleet {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Opens the captures for as long as it takes to plan: a scheduler keeps plans, but no files open.
    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let places = Arc::clone(&self.places);
        let opened = tokio::task::spawn_blocking(move || places.open()).await;
        let captures = opened.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?.map_err(external)?;
        let columns = open::table_schema(&captures).map_err(external)?;
        let events = Events::new(captures, &columns, resources::reading(resources::half_of_memory()));
        if events.schema() != self.schema {
            return exec_err!("the captures have other columns here: they changed, or are others on this machine");
        }
        let scan = events.scan(state, projection, filters, limit).await?;
        let Some((config, source)) = parquet(&scan) else { return internal_err!("events are no Parquet scan") };
        Ok(shared(config, source.clone(), &self.places))
    }
}

/// A scan of captures, and what it reads with, if `plan` is one.
fn parquet(plan: &Arc<dyn ExecutionPlan>) -> Option<(&FileScanConfig, &ParquetSource)> {
    let config = files(plan)?;
    Some((config, config.file_source.downcast_ref::<ParquetSource>()?))
}

fn files(plan: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    plan.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<FileScanConfig>()
}

/// The scan with files that are named and not open.
fn shared(config: &FileScanConfig, source: ParquetSource, places: &Arc<Places>) -> Arc<dyn ExecutionPlan> {
    let closed = |file: &PartitionedFile| PartitionedFile { extensions: Default::default(), ..file.clone() };
    let groups = config.file_groups.iter();
    let groups = groups.map(|group| FileGroup::new(group.files().iter().map(closed).collect())).collect();
    let source = source.with_parquet_file_reader_factory(Arc::new(Reopening(Arc::clone(places))));
    let source = Shared { source: Arc::new(source), places: Arc::clone(places) };
    let config = FileScanConfigBuilder::from(config.clone()).with_file_groups(groups).with_source(Arc::new(source));
    DataSourceExec::from_data_source(config.build())
}

/// Takes a scan of captures apart into a stock scan, which can be sent, and what the stock scan lacks.
pub fn split(plan: &Arc<dyn ExecutionPlan>) -> Option<(Arc<dyn ExecutionPlan>, &Places)> {
    let config = files(plan)?;
    let Shared { source, places } = config.file_source.downcast_ref::<Shared>()?;
    let plain = FileScanConfigBuilder::from(config.clone()).with_source(Arc::clone(source)).build();
    Some((DataSourceExec::from_data_source(plain), places))
}

/// Puts together again what [`split`] took apart.
///
/// # Errors
/// When `plan` is another one.
pub fn join(plan: &Arc<dyn ExecutionPlan>, places: Places) -> Result<Arc<dyn ExecutionPlan>> {
    let Some((config, source)) = parquet(plan) else { return exec_err!("a scan was sent that reads no captures") };
    Ok(shared(config, source.clone(), &Arc::new(places)))
}

/// Makes checked readers, each of a capture that it opens.
#[derive(Debug)]
struct Reopening(Arc<Places>);

impl ParquetFileReaderFactory for Reopening {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let name = match file.partition_values.first() {
            Some(ScalarValue::Utf8View(Some(name))) => name,
            _ => return exec_err!("a capture was sent without its name"),
        };
        let places: HashMap<_, _> = self.0.0.iter().map(|(name, path)| (name.as_str(), path.as_str())).collect();
        let Some(path) = places.get(name.as_str()) else { return exec_err!("{name} was sent without its path") };
        let opened = open_as(name, path).map_err(external)?;
        // Ranges, row counts and statistics in the plan are those of the file that the scheduler saw.
        if opened.capture.size() != file.object_meta.size {
            return exec_err!("{name} has {} bytes, not the {} it had", opened.capture.size(), file.object_meta.size);
        }
        Readers.create_reader(partition_index, file.with_extension(Arc::new(opened)), metadata_size_hint, metrics)
    }
}

/// A Parquet source that stock code does not take for one, and so does not send without its checks.
#[derive(Clone)]
struct Shared {
    source: Arc<dyn FileSource>,
    places: Arc<Places>,
}

impl Shared {
    fn with(&self, source: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(Shared { source, places: Arc::clone(&self.places) })
    }
}

impl FileSource for Shared {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        self.source.create_file_opener(store, config, partition)
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        self.source.create_morselizer(store, config, partition)
    }

    fn table_schema(&self) -> &TableSchema {
        self.source.table_schema()
    }

    fn with_batch_size(&self, rows: usize) -> Arc<dyn FileSource> {
        self.with(self.source.with_batch_size(rows))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.source.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.source.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.source.metrics()
    }

    fn file_type(&self) -> &str {
        self.source.file_type()
    }

    fn fmt_extra(&self, format: DisplayFormatType, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt_extra(format, to)
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let pushed = self.source.try_pushdown_filters(filters, config)?;
        let updated_node = pushed.updated_node.map(|source| self.with(source));
        Ok(FilterPushdownPropagation { filters: pushed.filters, updated_node })
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        Ok(self.source.try_pushdown_projection(projection)?.map(|source| self.with(source)))
    }

    fn apply_expressions(
        &self,
        of: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.source.apply_expressions(of)
    }
}
