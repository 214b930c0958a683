//! Sorting by several whole numbers as fast as by one: `PARTITION BY pid ORDER BY mono_ns` and the like.
//!
//! The engine compares rows of several keys by a call for each key, or by bytes it makes of them; rows of one number it
//! compares directly. So a last rule of the optimizer puts such keys into one number of 128 bits, sorts by that, and leaves
//! it out again. Owns that rule; what sorting does with memory and disk stays the engine's.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, Decimal128Array, PrimitiveArray, RecordBatch};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, Int32Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
    TimestampNanosecondType, UInt32Type, UInt64Type,
};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, config::ConfigOptions, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;

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
    let Some(key) = Key::of(sort.expr(), &schema).filter(|_| sort.fetch().is_none()) else { return Ok(None) };
    let names = schema.fields().iter().map(|field| field.name().clone()).enumerate();
    let mut columns: Vec<_> =
        names.map(|(index, name)| ProjectionExpr::new(Arc::new(Column::new(&name, index)), name)).collect();
    let name = key.to_string();
    let order = PhysicalSortExpr::new_default(Arc::new(Column::new(&name, columns.len())));
    columns.push(ProjectionExpr::new(Arc::new(key), name));
    let Some(order) = LexOrdering::new([order]) else { return internal_err!("a sort without a key") };
    let input = ProjectionExec::try_new(columns, Arc::clone(sort.input()))?;
    let input = SortExec::new(order, Arc::new(input)).with_preserve_partitioning(sort.preserve_partitioning());
    Ok(Some(Arc::new(Unpacked { input: Arc::new(input), properties: Arc::clone(sort.properties()) })))
}

/// The first columns of what `input` sorts by a last one: in the order that the properties tell.
#[derive(Debug)]
struct Unpacked {
    input: Arc<dyn ExecutionPlan>,
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
        Ok(Arc::new(Unpacked { input, properties: Arc::clone(&self.properties) }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let columns: Vec<usize> = (0..self.schema().fields().len()).collect();
        let sorted = self.input.execute(partition, context)?;
        let unpacked = sorted.map(move |batch| Ok(batch?.project(&columns)?));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), unpacked)))
    }
}

/// Columns as one number that has their order.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key(Vec<Part>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Part {
    column: usize,
    descending: bool,
}

impl Key {
    /// The key of `order`, if it is one of several columns that are whole numbers, never null, and of 128 bits together.
    fn of(order: &LexOrdering, schema: &Schema) -> Option<Key> {
        let mut bits = 0;
        let part = |sort: &PhysicalSortExpr| {
            let column = sort.expr.downcast_ref::<Column>()?.index();
            let field = schema.fields().get(column).filter(|field| !field.is_nullable())?;
            bits += width(field.data_type())?;
            Some(Part { column, descending: sort.options.descending })
        };
        let parts = order.iter().map(part).collect::<Option<Vec<_>>>()?;
        (parts.len() > 1 && bits <= 128).then_some(Key(parts))
    }
}

fn width(of: &DataType) -> Option<u32> {
    match of {
        DataType::Int32 | DataType::UInt32 => Some(32),
        DataType::Int64 | DataType::UInt64 => Some(64),
        DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, _) => Some(64),
        _ => None,
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("packed(")?;
        for (nth, part) in self.0.iter().enumerate() {
            let (comma, order) = (if nth > 0 { ", " } else { "" }, if part.descending { " DESC" } else { "" });
            write!(f, "{comma}@{}{order}", part.column)?;
        }
        f.write_str(")")
    }
}

impl PhysicalExpr for Key {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(Decimal128Type::DATA_TYPE)
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(false)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let mut keys = vec![0u128; batch.num_rows()];
        for part in &self.0 {
            let Some(column) = batch.columns().get(part.column) else { return internal_err!("no such column") };
            push(&mut keys, column.as_ref(), part.descending)?;
        }
        // Signed numbers have the order of unsigned ones once the highest bit is the other one.
        let keys = Decimal128Array::from_iter_values(keys.into_iter().map(|key| (key ^ (1 << 127)).cast_signed()));
        Ok(ColumnarValue::Array(Arc::new(keys)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(self)
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Puts the values of `column` behind what is in `keys`.
fn push(keys: &mut [u128], column: &dyn Array, descending: bool) -> Result<()> {
    if column.null_count() > 0 {
        return internal_err!("a column that cannot be null has nulls");
    }
    let flip = |bits: u64| if descending { !bits } else { bits };
    let flip_half = |bits: u32| if descending { !bits } else { bits };
    let long = |value: i64| flip(value.cast_unsigned() ^ (1 << 63)).into();
    match column.data_type() {
        DataType::Int32 => {
            append::<Int32Type>(keys, column, 32, |value| flip_half(value.cast_unsigned() ^ (1 << 31)).into())
        }
        DataType::UInt32 => append::<UInt32Type>(keys, column, 32, |value| flip_half(value).into()),
        DataType::UInt64 => append::<UInt64Type>(keys, column, 64, |value| flip(value).into()),
        DataType::Int64 => append::<Int64Type>(keys, column, 64, long),
        DataType::Timestamp(TimeUnit::Microsecond, _) => append::<TimestampMicrosecondType>(keys, column, 64, long),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => append::<TimestampNanosecondType>(keys, column, 64, long),
        other => internal_err!("{other} is no key"),
    }
}

fn append<T: ArrowPrimitiveType>(
    keys: &mut [u128],
    column: &dyn Array,
    width: u32,
    bits: impl Fn(T::Native) -> u128,
) -> Result<()> {
    let Some(column) = column.as_any().downcast_ref::<PrimitiveArray<T>>() else {
        return internal_err!("a column is not of its type");
    };
    for (key, value) in keys.iter_mut().zip(column.values()) {
        *key = *key << width | bits(*value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int32Array, Int64Array, TimestampNanosecondArray, UInt32Array, UInt64Array};
    use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, sort_to_indices};
    use arrow::datatypes::Field;

    use super::*;

    /// Every pair of the extremes of two columns, sorted by the packed key as by the columns themselves.
    #[test]
    fn packed_keys_have_the_order_of_their_columns() {
        let wide = [i64::MIN, -1, 0, 1, i64::MAX];
        let wides = || wide.iter().flat_map(|value| [*value; 5]);
        let firsts: [ArrayRef; 3] = [
            Arc::new(Int64Array::from_iter_values(wides())),
            Arc::new(UInt64Array::from_iter_values(wides().map(i64::cast_unsigned))),
            Arc::new(TimestampNanosecondArray::from_iter_values(wides())),
        ];
        let half = [i32::MIN, -1, 0, 1, i32::MAX].repeat(5);
        let seconds: [ArrayRef; 3] = [
            Arc::new(Int32Array::from(half.clone())),
            Arc::new(UInt32Array::from_iter_values(half.into_iter().map(i32::cast_unsigned))),
            Arc::new(Int64Array::from(wide.repeat(5))),
        ];
        for (first, second) in firsts.iter().flat_map(|first| seconds.iter().map(move |second| (first, second))) {
            for descending in [[false, false], [false, true], [true, false], [true, true]] {
                let columns = [second, first].map(Arc::clone);
                let fields = columns.each_ref().map(|c| Field::new("c", c.data_type().clone(), false));
                let batch = RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), columns.to_vec()).unwrap();
                let parts = [1, 0].into_iter().zip(descending).map(|(column, descending)| Part { column, descending });
                let key = Key(parts.collect()).evaluate(&batch).unwrap().into_array(25).unwrap();
                let options = |descending| Some(SortOptions { descending, nulls_first: false });
                let sorted = [first, second].into_iter().zip(descending);
                let sorted = sorted.map(|(values, d)| SortColumn { values: Arc::clone(values), options: options(d) });
                let expected = lexsort_to_indices(&sorted.collect::<Vec<_>>(), None).unwrap();
                assert_eq!(sort_to_indices(&key, None, None).unwrap(), expected, "{batch:?} {descending:?}");
            }
        }
    }
}
