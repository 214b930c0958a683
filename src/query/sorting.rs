//! Sorting by several whole numbers as fast as by one: `PARTITION BY pid ORDER BY mono_ns` and the like.
//!
//! The engine compares rows of several keys by a call for each key, or by bytes it makes of them; rows of one number it
//! compares directly. So a last rule of the optimizer puts such keys into one number of 128 bits, sorts that instead of
//! them, and takes them out of it again. Owns that rule; what sorting does with memory and disk stays the engine's.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Decimal128Type, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, config::ConfigOptions, internal_datafusion_err, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;

use super::keys::{Key, take_out};

/// Sorts by one number instead of several, where they are never null and fit.
#[derive(Debug)]
pub struct PackKeys;

impl PhysicalOptimizerRule for PackKeys {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let packed = plan.transform_up(|node| {
            let packed = node.downcast_ref::<SortExec>().map(by_one_key).transpose()?.flatten();
            Ok(packed.map_or_else(|| Transformed::no(node), Transformed::yes))
        });
        Ok(packed?.data)
    }

    fn name(&self) -> &str {
        "pack_sort_keys"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn by_one_key(sort: &SortExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let schema = sort.input().schema();
    // Of the first few rows alone, the engine keeps no others.
    // Of one key nothing is gained.
    let key = Key::of(sort.expr(), &schema).filter(|_| sort.expr().len() > 1 && sort.fetch().is_none());
    let Some(key) = key else { return Ok(None) };
    let (mut kept, mut from) = (Vec::new(), Vec::new());
    for (column, field) in schema.fields().iter().enumerate() {
        from.push(match key.part(column) {
            Some((part, shift)) => {
                Place::Key { descending: part.descending, shift, data_type: field.data_type().clone() }
            }
            None => Place::Column(kept.len()),
        });
        if key.part(column).is_none() {
            kept.push(ProjectionExpr::new(Arc::new(Column::new(field.name(), column)), field.name()));
        }
    }
    let name = key.to_string();
    let order = PhysicalSortExpr::new_default(Arc::new(Column::new(&name, kept.len())));
    kept.push(ProjectionExpr::new(Arc::new(key), name));
    let Some(order) = LexOrdering::new([order]) else { return internal_err!("a sort without a key") };
    let input = ProjectionExec::try_new(kept, Arc::clone(sort.input()))?;
    let input = SortExec::new(order, Arc::new(input)).with_preserve_partitioning(sort.preserve_partitioning());
    let properties = Arc::clone(sort.properties());
    Ok(Some(Arc::new(Unpacked { input: Arc::new(input), from: from.into(), properties })))
}

/// Where a column is found again once rows are sorted.
#[derive(Debug)]
enum Place {
    /// Among the columns that were left as they are.
    Column(usize),
    /// In the key, which is the last column: these bits of it.
    Key { descending: bool, shift: u32, data_type: DataType },
}

/// The columns of what `input` sorts, those of the key taken out of it: in the order that the properties tell.
#[derive(Debug)]
struct Unpacked {
    input: Arc<dyn ExecutionPlan>,
    from: Arc<[Place]>,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for Unpacked {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnpackedExec")
    }
}

impl ExecutionPlan for Unpacked {
    fn name(&self) -> &str {
        "UnpackedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("one input is needed");
        };
        let (from, properties) = (Arc::clone(&self.from), Arc::clone(&self.properties));
        Ok(Arc::new(Unpacked { input, from, properties }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (from, schema) = (Arc::clone(&self.from), self.schema());
        let sorted = self.input.execute(partition, context)?;
        let unpacked = sorted.map(move |batch| unpack(&batch?, &from, &schema));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), unpacked)))
    }
}

fn unpack(sorted: &RecordBatch, from: &[Place], schema: &SchemaRef) -> Result<RecordBatch> {
    let keys = sorted.columns().last().and_then(|keys| keys.as_primitive_opt::<Decimal128Type>());
    let Some(keys) = keys else { return internal_err!("no key was sorted by") };
    let column = |from: &Place| match from {
        Place::Column(index) => {
            sorted.columns().get(*index).cloned().ok_or_else(|| internal_datafusion_err!("no such column"))
        }
        Place::Key { descending, shift, data_type } => take_out(keys.values(), *shift, *descending, data_type),
    };
    let columns = from.iter().map(column).collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(sorted.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}
