//! The operator: two passes over the rows, or what the engine would have done.
//!
//! Ranges of rows are read side by side, and are told of one another when all have ended: only then is it known what was
//! before the first row of a key in each of them. Owns that; rows come out in no order.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, exec_err, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::previous::{Previous, compact};
use super::{Lags, keeps_order};

const CHANGED: &str = "the capture changed while it was read: its rows were in order, and are not";

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
    /// The same and maybe more, the columns of the order alone.
    order: Arc<dyn ExecutionPlan>,
    /// What to do where that is not the order of the rows.
    sorting: Arc<dyn ExecutionPlan>,
}

impl Lag {
    /// Carries out what `sorting` would, by `rows`; `order` has the columns of the order, of these rows and others.
    pub(super) fn new(
        lags: Lags,
        rows: Arc<dyn ExecutionPlan>,
        order: Arc<dyn ExecutionPlan>,
        sorting: Arc<dyn ExecutionPlan>,
    ) -> Self {
        Lag::of(Parts { lags: Arc::new(lags), schema: sorting.schema(), rows, order, sorting })
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
        // The engine may have spread them over threads, where it thought that useful.
        if self.rows.exists(|plan| Ok(!keeps_order(plan.as_ref())))? {
            return Ok(false);
        }
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
        Ok(follow_one_another(&bounds))
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
        let bounds: Vec<Bounds> = found.iter().filter_map(|(_, range)| range.as_ref()?.bounds).collect();
        if !follow_one_another(&bounds) {
            return exec_err!("{CHANGED}");
        }
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
    /// Of all its rows.
    bounds: Option<Bounds>,
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
                return exec_err!("{CHANGED}");
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
        Ok(Some(Range { bounds, first, last, _memory: memory }))
    }
}

/// Whether ranges, in the order of the files, are in the order of their keys.
fn follow_one_another(ranges: &[Bounds]) -> bool {
    ranges.iter().zip(ranges.iter().skip(1)).all(|(before, after)| before.1 <= after.0)
}

fn streams(plan: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> Result<Vec<SendableRecordBatchStream>> {
    let partitions = plan.output_partitioning().partition_count();
    (0..partitions).map(|partition| plan.execute(partition, Arc::clone(context))).collect()
}

fn joined<T>(task: Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    task.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
}

#[cfg(test)]
mod tests;
