//! The operator: two passes over the rows, or what the engine would have done.
//!
//! Ranges of rows are read side by side, and are told of one another when all have ended: only then is it known what was
//! before the first row of a key in each of them. Owns that; rows come out in no order.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, exec_err, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::Lags;
use super::previous::{Previous, compact};

/// Batches under way from here.
const QUEUE: usize = 4;

/// The rows of the window, each with the values of the row before.
#[derive(Debug)]
pub struct Lag {
    parts: Arc<Parts>,
    properties: Arc<PlanProperties>,
    /// `in_order`: whether rows were.
    metrics: ExecutionPlanMetricsSet,
}

#[derive(Debug)]
struct Parts {
    lags: Arc<Lags>,
    schema: SchemaRef,
    /// What is to be read, in the order of the files.
    rows: Arc<dyn ExecutionPlan>,
    /// The same, the columns of the order alone.
    order: Arc<dyn ExecutionPlan>,
    /// What to do where that is not the order of the rows.
    sorting: Arc<dyn ExecutionPlan>,
}

impl Lag {
    /// Carries out what `sorting` would, by `rows`; `again` are the same, to see whether they are in order.
    ///
    /// # Errors
    /// When `lags` are not of these rows.
    pub(super) fn new(
        lags: Lags,
        rows: Arc<dyn ExecutionPlan>,
        again: Arc<dyn ExecutionPlan>,
        sorting: Arc<dyn ExecutionPlan>,
    ) -> Result<Self> {
        let mut columns = Vec::new();
        for index in lags.order.columns() {
            let name = rows.schema().field(index).name().clone();
            columns.push(ProjectionExpr::new(Arc::new(Column::new(&name, index)), name));
        }
        let order = Arc::new(ProjectionExec::try_new(columns, again)?);
        Ok(Lag::of(Parts { lags: Arc::new(lags), schema: sorting.schema(), rows, order, sorting }))
    }

    fn of(parts: Parts) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&parts.schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Lag { parts: Arc::new(parts), properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for Lag {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LagExec: rows, whether they are in order, and what to do if not")
    }
}

impl ExecutionPlan for Lag {
    fn name(&self) -> &str {
        "LagExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.parts.rows, &self.parts.order, &self.parts.sorting]
    }

    /// The partitions of the rows are to stay ranges of the files.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; 3]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let mut recursion = TreeNodeRecursion::Continue;
        for expression in self.parts.lags.keys.iter().chain(&self.parts.lags.values) {
            recursion = recursion.visit_sibling(|| f(expression))?;
        }
        Ok(recursion)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let Ok([rows, order, sorting]) = <[_; 3]>::try_from(children) else { return internal_err!("not three inputs") };
        let (lags, schema) = (Arc::clone(&self.parts.lags), Arc::clone(&self.parts.schema));
        Ok(Arc::new(Lag::of(Parts { lags, schema, rows, order, sorting })))
    }

    fn execute(&self, _partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut stream = RecordBatchReceiverStream::builder(Arc::clone(&self.parts.schema), QUEUE);
        let (parts, to) = (Arc::clone(&self.parts), stream.tx());
        let in_order = MetricBuilder::new(&self.metrics).counter("in_order", 0);
        stream.spawn(async move {
            if !parts.is_in_order(&context).await? {
                return parts.by_sorting(&context, &to).await;
            }
            in_order.add(1);
            parts.from_last_rows(&context, &to).await
        });
        Ok(stream.build())
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

type Out = Sender<Result<RecordBatch>>;

/// First and last key of a range of rows.
type Bounds = (i128, i128);

impl Parts {
    /// Reads the order of all rows, and ends as soon as one is out of it.
    async fn is_in_order(&self, context: &Arc<TaskContext>) -> Result<bool> {
        let mut ranges = JoinSet::new();
        for (nth, mut rows) in streams(&self.order, context)?.into_iter().enumerate() {
            let key = self.lags.order.alone();
            ranges.spawn(async move {
                let mut bounds = None;
                while let Some(batch) = rows.try_next().await? {
                    if !key.follows(&batch, &mut bounds)? {
                        return Ok(None);
                    }
                }
                Ok::<_, DataFusionError>(Some((nth, bounds)))
            });
        }
        let mut found = Vec::new();
        while let Some(range) = ranges.join_next().await {
            match joined(range)? {
                Some(range) => found.push(range),
                None => return Ok(false),
            }
        }
        found.sort_unstable_by_key(|(nth, _)| *nth);
        let bounds: Vec<Bounds> = found.into_iter().filter_map(|(_, bounds)| bounds).collect();
        Ok(bounds.iter().zip(bounds.iter().skip(1)).all(|(before, after)| before.1 <= after.0))
    }

    async fn by_sorting(&self, context: &Arc<TaskContext>, to: &Out) -> Result<()> {
        let mut partitions = JoinSet::new();
        for mut rows in streams(&self.sorting, context)? {
            let to = to.clone();
            partitions.spawn(async move {
                while let Some(batch) = rows.next().await {
                    if to.send(batch).await.is_err() {
                        break;
                    }
                }
            });
        }
        while let Some(partition) = partitions.join_next().await {
            partition.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?;
        }
        Ok(())
    }

    async fn from_last_rows(self: &Arc<Self>, context: &Arc<TaskContext>, to: &Out) -> Result<()> {
        let mut ranges = JoinSet::new();
        for (nth, rows) in streams(&self.rows, context)?.into_iter().enumerate() {
            let memory = MemoryConsumer::new(format!("LagExec[{nth}]")).register(context.memory_pool());
            let (parts, to) = (Arc::clone(self), to.clone());
            ranges.spawn(async move { Ok((nth, Range::read(&parts, rows, memory, &to).await?)) });
        }
        let mut found = Vec::new();
        while let Some(range) = ranges.join_next().await {
            found.push(joined(range)?);
        }
        found.sort_unstable_by_key(|(nth, _)| *nth);
        let mut previous: Option<Previous> = None;
        let memory = MemoryConsumer::new("LagExec").register(context.memory_pool());
        for range in found.into_iter().filter_map(|(_, range)| range) {
            for batch in range.first {
                let (keys, values) = self.of(&batch)?;
                let mut seen = previous.take().map_or_else(|| Previous::new(&keys, &values), Ok)?;
                let before = seen.step(&keys, &values)?;
                memory.try_resize(seen.size())?;
                previous = Some(seen);
                if to.send(self.with(&batch, before.values)).await.is_err() {
                    return Ok(());
                }
            }
            if let Some(seen) = &mut previous {
                seen.step(&range.last.0, &range.last.1)?;
                memory.try_resize(seen.size())?;
            }
        }
        Ok(())
    }

    /// Keys and values of the rows of `batch`.
    fn of(&self, batch: &RecordBatch) -> Result<(Vec<ArrayRef>, Vec<ArrayRef>)> {
        let all = |of: &[Arc<dyn PhysicalExpr>]| {
            of.iter().map(|of| of.evaluate(batch)?.into_array(batch.num_rows())).collect::<Result<Vec<_>>>()
        };
        Ok((all(&self.lags.keys)?, all(&self.lags.values)?))
    }

    /// `batch` with the values of the row before behind its columns.
    fn with(&self, batch: &RecordBatch, before: Vec<ArrayRef>) -> Result<RecordBatch> {
        let columns = batch.columns().iter().cloned().chain(before).collect();
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

/// What a range of rows leaves to be settled.
struct Range {
    /// The first row of each key: what was before is not known here.
    first: Vec<RecordBatch>,
    /// The last values of each key.
    last: (Vec<ArrayRef>, Vec<ArrayRef>),
    /// What these take of the memory.
    _memory: MemoryReservation,
}

impl Range {
    /// Reads a range of rows and hands on all that are not the first of their keys.
    async fn read(
        parts: &Parts,
        mut rows: SendableRecordBatchStream,
        memory: MemoryReservation,
        to: &Out,
    ) -> Result<Option<Range>> {
        let (mut previous, mut bounds): (Option<Previous>, Option<Bounds>) = (None, None);
        let (mut first, mut held) = (Vec::new(), 0);
        while let Some(batch) = rows.try_next().await? {
            if !parts.lags.order.follows(&batch, &mut bounds)? {
                return exec_err!("the capture changed while it was read: its rows were in order, and are not");
            }
            let (keys, values) = parts.of(&batch)?;
            let mut seen = previous.take().map_or_else(|| Previous::new(&keys, &values), Ok)?;
            let before = seen.step(&keys, &values)?;
            let known = match before.first {
                None => parts.with(&batch, before.values)?,
                Some(is_first) => {
                    let (new, known) = (filter_record_batch(&batch, &is_first)?, not(&is_first)?);
                    let new = RecordBatch::try_new(new.schema(), new.columns().iter().map(compact).collect())?;
                    held += new.get_array_memory_size();
                    first.push(new);
                    filter_record_batch(&parts.with(&batch, before.values)?, &known)?
                }
            };
            memory.try_resize(seen.size() + held)?;
            previous = Some(seen);
            if to.send(Ok(known)).await.is_err() {
                return Ok(None);
            }
        }
        let Some(last) = previous.map(Previous::finish).transpose()? else { return Ok(None) };
        Ok(Some(Range { first, last, _memory: memory }))
    }
}

fn streams(plan: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> Result<Vec<SendableRecordBatchStream>> {
    let partitions = plan.output_partitioning().partition_count();
    (0..partitions).map(|partition| plan.execute(partition, Arc::clone(context))).collect()
}

fn joined<T>(task: Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    task.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use arrow::array::{AsArray, Int32Array, Int64Array};
    use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
    use datafusion::datasource::memory::MemorySourceConfig;
    use datafusion::execution::memory_pool::GreedyMemoryPool;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
    use datafusion::physical_plan::{collect, replace_children_if_necessary};

    use super::super::super::keys::Key;
    use super::*;

    type Row = (i32, i64);

    fn schema(names: &[&str]) -> SchemaRef {
        let pid = Field::new("pid", DataType::Int32, false);
        let numbers = names.iter().map(|name| Field::new(*name, DataType::Int64, *name == "before"));
        Arc::new(Schema::new(std::iter::once(pid).chain(numbers).collect::<Vec<_>>()))
    }

    /// Ranges of batches of rows.
    fn source(ranges: &[Vec<Vec<Row>>]) -> Arc<dyn ExecutionPlan> {
        let batch = |rows: &Vec<Row>| {
            let pid = Int32Array::from_iter_values(rows.iter().map(|row| row.0));
            let mono_ns = Int64Array::from_iter_values(rows.iter().map(|row| row.1));
            RecordBatch::try_new(schema(&["mono_ns"]), vec![Arc::new(pid), Arc::new(mono_ns)]).unwrap()
        };
        let ranges: Vec<Vec<_>> = ranges.iter().map(|range| range.iter().map(batch).collect()).collect();
        MemorySourceConfig::try_new_exec(&ranges, schema(&["mono_ns"]), None).unwrap()
    }

    /// The operator over `ranges`; what it would do otherwise gives no rows.
    fn lag(ranges: &[Vec<Vec<Row>>]) -> Arc<dyn ExecutionPlan> {
        let rows = source(ranges);
        let mono_ns = Arc::new(Column::new("mono_ns", 1));
        let order = LexOrdering::new([PhysicalSortExpr::new_default(Arc::clone(&mono_ns) as _)]).unwrap();
        let order = Key::of(&order, &rows.schema()).unwrap();
        let lags = Lags { keys: vec![Arc::new(Column::new("pid", 0))], order, values: vec![mono_ns] };
        let none = RecordBatch::new_empty(schema(&["mono_ns", "before"]));
        let sorting = MemorySourceConfig::try_new_exec(&[vec![none]], schema(&["mono_ns", "before"]), None).unwrap();
        Arc::new(Lag::new(lags, Arc::clone(&rows), rows, sorting).unwrap())
    }

    fn run(lag: Arc<dyn ExecutionPlan>, context: TaskContext) -> Result<Vec<(i32, i64, Option<i64>)>> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let batches = runtime.block_on(collect(lag, Arc::new(context)))?;
        let rows = batches.iter().flat_map(|batch| {
            let pid = batch.column(0).as_primitive::<Int32Type>().values().to_vec();
            let mono_ns = batch.column(1).as_primitive::<Int64Type>().values().to_vec();
            let before = batch.column(2).as_primitive::<Int64Type>().iter().collect::<Vec<_>>();
            pid.into_iter().zip(mono_ns).zip(before).map(|((pid, mono_ns), before)| (pid, mono_ns, before))
        });
        let mut rows = rows.collect::<Vec<_>>();
        rows.sort_unstable();
        Ok(rows)
    }

    /// Pids that are in all ranges, in some, and in one; ranges without rows among them.
    #[test]
    fn ranges_know_of_those_before_them() {
        let mut ranges = Vec::new();
        let mut at = 0;
        for range in 0..6_i32 {
            let mut batches = Vec::new();
            for batch in 0..5_i32 {
                let rows = if range == 3 { 0 } else { 20 };
                batches.push(
                    (0..rows)
                        .map(|row| {
                            at += i64::from(row % 3);
                            (if row % 4 == 0 { range / 2 * 100 + batch } else { row * (range % 3) }, at)
                        })
                        .collect::<Vec<Row>>(),
                );
            }
            ranges.push(batches);
        }
        let mut last = HashMap::new();
        let all = ranges.iter().flatten().flatten();
        let mut expected: Vec<_> = all.map(|(pid, at)| (*pid, *at, last.insert(*pid, *at))).collect();
        expected.sort_unstable();
        assert!(last.len() > 20 && expected.len() == 500);
        assert_eq!(run(lag(&ranges), TaskContext::default()).unwrap(), expected);
    }

    #[test]
    fn what_is_out_of_order_is_sorted() {
        let in_order = [vec![vec![(1, 5), (1, 6)], vec![(1, 6)]], vec![vec![(1, 6), (2, 9)]]];
        assert_eq!(run(lag(&in_order), TaskContext::default()).unwrap().len(), 5);
        for (range, batch, row) in [(0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1)] {
            let mut rows = in_order.clone();
            rows[range][batch][row].1 = 4;
            assert_eq!(run(lag(&rows), TaskContext::default()).unwrap(), [], "{rows:?}");
        }
    }

    /// The check says that rows are in order, but those that come are not.
    #[test]
    fn rows_that_change_meanwhile_are_an_error() {
        let lag = lag(&[vec![vec![(1, 5), (1, 6)]]]);
        let mut children: Vec<_> = lag.children().into_iter().cloned().collect();
        children[0] = source(&[vec![vec![(1, 6), (1, 5)]]]);
        let lag = replace_children_if_necessary(lag, children).unwrap();
        let error = run(lag, TaskContext::default()).unwrap_err();
        assert!(error.to_string().contains("changed while it was read"), "{error}");
    }

    #[test]
    fn memory_is_bounded() {
        let rows: Vec<Vec<Row>> =
            (0..100).map(|n| (n * 1000..(n + 1) * 1000).map(|n| (n, i64::from(n))).collect()).collect();
        let memory = Arc::new(GreedyMemoryPool::new(1 << 20));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(memory).build_arc().unwrap();
        let context = TaskContext::default().with_runtime(runtime);
        let error = run(lag(&[rows]), context).unwrap_err();
        assert!(matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)), "{error}");
    }
}
