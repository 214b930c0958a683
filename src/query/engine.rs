//! The engine: DataFusion with our table, views and functions, in bounded memory.
//!
//! Owns its settings. What statements may do stands in `allowed`: results leave through `output`, which never writes over
//! anything unasked.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use datafusion::common::DataFusionError;
use datafusion::dataframe::DataFrame;
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParserBuilder, Statement};
use futures::FutureExt;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::cluster::Cluster;
use super::events::Events;
use super::mistakes::Known;
use super::open::{self, Opened};
use super::resources::{MUCH_MEMORY, STACK, half_of_memory, reading, threads};
use super::spill::Spills;
use super::stopping::{StopJoins, Stops};
use super::{allowed, depth, error, flows, functions, headers, signals, tables, views};
use crate::schema::limits::{self, MAX_SQL};
use crate::schema::reader::guard_thread;

/// Below it, queries run in one partition.
const LITTLE_MEMORY: usize = 256 << 20;

/// What a query may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes for sorting, grouping and joining; half of the machine's where not given.
    pub memory: Option<usize>,
    /// Whether statistics may exclude what need not be read.
    pub pruning: bool,
    /// How large parts of a capture may be.
    pub large: limits::Limits,
    /// Whether SQL may read other files than the captures.
    pub files: bool,
}

/// DataFusion over some captures.
pub struct Engine {
    /// Runs the engine's tasks.
    pub runtime: Runtime,
    /// What is registered and set.
    pub context: SessionContext,
    /// Notified of every ^C.
    pub interrupts: Arc<Notify>,
    /// Stops what runs.
    pub stops: Stops,
    /// The captures.
    pub captures: Vec<Arc<Opened>>,
    /// What carries queries out, if not this process.
    pub cluster: Option<Cluster>,
    /// Whether SQL may read other files than the captures.
    pub files: bool,
}

impl Engine {
    /// Opens the captures at `paths` and registers tables, views and functions.
    ///
    /// # Errors
    /// When a capture cannot be read, or threads cannot be started.
    pub fn new(paths: &[PathBuf], limits: Limits, cluster: Option<Cluster>) -> Result<Self> {
        let captures =
            paths.iter().map(|path| Opened::open(path, limits.large).map(Arc::new)).collect::<Result<Vec<_>>>()?;
        let columns = open::table_schema(&captures)?;
        let threads = threads();
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        // A task that panics becomes an error of the query, which names the capture.
        let runtime = runtime.on_thread_start(guard_thread);
        let runtime = runtime.worker_threads(threads).thread_stack_size(STACK).enable_all().build()?;
        let memory = limits.memory.unwrap_or_else(half_of_memory);
        let pool = FairSpillPool::new(if memory >= MUCH_MEMORY { memory - memory / 8 } else { memory });
        let consumers = std::num::NonZeroUsize::new(3).ok_or_else(|| anyhow!("three is not zero"))?;
        let environment = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(TrackConsumersPool::new(pool, consumers)))
            .with_disk_manager_builder(
                DiskManagerBuilder::default().with_temp_file_factory(Arc::new(Spills::default())),
            )
            .build_arc();
        let environment = environment.map_err(|error| anyhow!("{error}"))?;
        let config = config(threads, memory, row_bytes(&captures), limits.pruning);
        let stops = Stops::default();
        let context = match &cluster {
            None => SessionContext::new_with_state(local_state(config, environment, stops.clone())),
            Some(cluster) => cluster.context(config, environment, &captures, paths)?,
        };
        functions::register(&context);
        let engine =
            Engine { runtime, context, interrupts: signals::watch()?, stops, captures, cluster, files: limits.files };
        engine.register(Events::new(engine.captures.clone(), &columns, reading(memory)))?;
        Ok(engine)
    }

    fn register(&self, events: Events) -> Result<()> {
        let plain = |error| anyhow!("{error}");
        self.context.register_table("events", Arc::new(events)).map_err(plain)?;
        self.context.register_table("manifest", Arc::new(tables::manifest(&self.captures)?)).map_err(plain)?;
        self.context.register_table("ledger", Arc::new(tables::ledger(&self.captures)?)).map_err(plain)?;
        // On a cluster, a plan cannot contain it: a query that uses it is refused.
        self.context.register_table("flows", Arc::new(flows::table(&self.captures)?)).map_err(plain)?;
        for (name, view) in views::VIEWS {
            let sql = format!("CREATE VIEW {name} AS {view}");
            self.runtime.block_on(self.context.sql(&sql)).map_err(|e| anyhow!("view {name}: {e}"))?;
        }
        Ok(())
    }

    /// The statements of `text`.
    ///
    /// # Errors
    /// Where the text is no SQL.
    pub fn parse(&self, text: &str) -> Result<Vec<Statement>> {
        check_length(text.len())?;
        let owned = text.to_string();
        let parsed = self.runtime.block_on(self.runtime.spawn_blocking(move || named(&owned)))?;
        Ok(parsed.map_err(|error| error::pointing(&error, text, &Known::default()))?.into())
    }

    /// The names that SQL can use.
    pub fn known(&self) -> Known {
        let state = self.context.state();
        let plain = state.scalar_functions().keys().chain(state.aggregate_functions().keys());
        Known {
            tables: self.tables(),
            functions: plain.cloned().collect(),
            windows: state.window_functions().keys().cloned().collect(),
            makers: state.table_functions().keys().cloned().collect(),
        }
    }

    /// Names of the tables and views, in order.
    pub fn tables(&self) -> Vec<String> {
        let schema = self.context.catalog("datafusion").and_then(|catalog| catalog.schema("public"));
        let mut names = schema.map(|schema| schema.table_names()).unwrap_or_default();
        names.sort();
        names
    }
}

/// Refuses SQL that is too long.
///
/// # Errors
/// When it is.
pub fn check_length(bytes: usize) -> Result<()> {
    ensure!(bytes <= MAX_SQL, "the SQL is longer than {MAX_SQL} bytes");
    Ok(())
}

fn statements(text: &str) -> Result<VecDeque<Statement>, DataFusionError> {
    DFParserBuilder::new(text).with_recursion_limit(64).build()?.parse_statements()
}

/// The same with names for their columns.
fn named(text: &str) -> Result<VecDeque<Statement>, DataFusionError> {
    let mut statements = statements(text)?;
    statements.iter().try_for_each(depth::check)?;
    statements.iter_mut().for_each(headers::name);
    Ok(statements)
}

/// Whether a word without blanks is SQL.
pub fn is_sql(word: &str) -> bool {
    // Longer texts are not names. They would be processed outside the engine's threads.
    word.len() <= 4096 && statements(word).is_ok_and(|statements| !statements.is_empty())
}

/// The engine in this process: as it comes, with one more rule when all else is settled, so that ^C stops joins.
fn local_state(config: SessionConfig, environment: Arc<RuntimeEnv>, stops: Stops) -> SessionState {
    let mut rules = PhysicalOptimizer::new().rules;
    rules.push(Arc::new(StopJoins(stops)));
    SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(environment)
        .with_default_features()
        .with_physical_optimizer_rules(rules)
        .build()
}

impl Engine {
    /// Forgets a ^C that came while nothing ran.
    pub fn forget_interrupt(&self) {
        let _ = self.interrupts.notified().now_or_never();
    }
}

impl Drop for Engine {
    /// Threads that are busy with a cancelled query are not waited for.
    fn drop(&mut self) {
        if let Ok(idle) = tokio::runtime::Builder::new_current_thread().build() {
            std::mem::replace(&mut self.runtime, idle).shutdown_background();
        }
    }
}

/// What `statement` comes to.
///
/// # Errors
/// Where it names what is not there, means nothing, or does what SQL may not do: with `files` it may read other files.
pub async fn plan(context: &SessionContext, statement: Statement, files: bool) -> Result<DataFrame, DataFusionError> {
    allowed::check_kind(&statement)?;
    let plan = context.state().statement_to_plan(statement).await?;
    allowed::check(&plan, files)?;
    context.execute_logical_plan(plan).await
}

/// Bytes that a row has on average, as far as the footers can be believed.
fn row_bytes(captures: &[Arc<Opened>]) -> usize {
    let groups = captures.iter().flat_map(|opened| opened.capture.metadata().metadata().row_groups());
    let [bytes, rows] = groups.fold([0_u64; 2], |[bytes, rows], group| {
        let of = |number: i64| u64::try_from(number).unwrap_or(0);
        [bytes.saturating_add(of(group.total_byte_size())), rows.saturating_add(of(group.num_rows()))]
    });
    usize::try_from(bytes / rows.max(1)).unwrap_or(usize::MAX).max(1)
}

fn config(threads: usize, memory: usize, row_bytes: usize, pruning: bool) -> SessionConfig {
    // With little memory, batches are small: the sorter holds several of them at a time. With much memory they are large:
    // each is sorted by itself, and the runs are merged.
    let rows = (memory >> 17).min(memory / 256 / row_bytes).clamp(16, 32_768);
    // With little memory there is one partition: sorters would compete for memory. With much, there are two for each
    // processor: with half the rows, half as many runs are merged.
    let partitions = match memory {
        ..LITTLE_MEMORY => 1,
        LITTLE_MEMORY..MUCH_MEMORY => threads,
        _ => threads.saturating_mul(2),
    };
    let config = SessionConfig::new().with_target_partitions(partitions).with_batch_size(rows);
    let mut config = config.with_information_schema(true);
    let options = config.options_mut();
    options.execution.sort_spill_reservation_bytes = (memory / 8 / partitions.max(1)).min(10 << 20);
    options.sql_parser.collect_spans = true;
    options.execution.parquet.pruning = pruning;
    options.execution.parquet.enable_page_index = pruning;
    options.execution.parquet.bloom_filter_on_read = pruning;
    config
}
