//! Sorting by several whole numbers as fast as by one: `PARTITION BY pid ORDER BY mono_ns` and the like.
//!
//! The engine compares rows of several keys by a call for each key, or by bytes it makes of them; rows of one number it
//! compares directly. So a last rule of the optimizer puts such keys into one number of 128 bits, sorts that instead of
//! them, and takes them out of it again. Owns that rule; what sorting does with memory and disk stays the engine's.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Int32Array, Int64Array, PrimitiveArray, RecordBatch, RecordBatchOptions,
    TimestampMicrosecondArray, TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit,
    TimestampMicrosecondType, TimestampNanosecondType, UInt32Type, UInt64Type,
};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, config::ConfigOptions, internal_datafusion_err, internal_err};
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

/// The column that [`push`] put into the keys, `shift` bits from their end.
fn take_out(keys: &[i128], shift: u32, descending: bool, data_type: &DataType) -> Result<ArrayRef> {
    let bits = move |key: &i128| ((key.cast_unsigned() ^ TOP) >> shift) as u64;
    let flip = move |key: &i128| if descending { !bits(key) } else { bits(key) };
    let long = move |key: &i128| (flip(key) ^ (1 << 63)).cast_signed();
    Ok(match data_type {
        DataType::Int32 => {
            let values = keys.iter().map(|key| (flip(key) as u32 ^ (1 << 31)).cast_signed());
            Arc::new(Int32Array::from_iter_values(values))
        }
        DataType::UInt32 => Arc::new(UInt32Array::from_iter_values(keys.iter().map(|key| flip(key) as u32))),
        DataType::UInt64 => Arc::new(UInt64Array::from_iter_values(keys.iter().map(flip))),
        DataType::Int64 => Arc::new(Int64Array::from_iter_values(keys.iter().map(long))),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let values = TimestampMicrosecondArray::from_iter_values(keys.iter().map(long));
            Arc::new(values.with_timezone_opt(zone.clone()))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            let values = TimestampNanosecondArray::from_iter_values(keys.iter().map(long));
            Arc::new(values.with_timezone_opt(zone.clone()))
        }
        other => return internal_err!("{other} is no key"),
    })
}

/// Signed numbers have the order of unsigned ones once the highest bit is the other one.
const TOP: u128 = 1 << 127;

/// Columns as one number that has their order.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key(Vec<Part>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Part {
    column: usize,
    descending: bool,
    width: u32,
}

impl Key {
    /// The key of `order`, if it is one of several columns that are whole numbers, never null, and of 128 bits together.
    fn of(order: &LexOrdering, schema: &Schema) -> Option<Key> {
        let mut bits = 0;
        let part = |sort: &PhysicalSortExpr| {
            let column = sort.expr.downcast_ref::<Column>()?.index();
            let field = schema.fields().get(column).filter(|field| !field.is_nullable())?;
            let width = width(field.data_type())?;
            bits += width;
            Some(Part { column, descending: sort.options.descending, width })
        };
        let parts = order.iter().map(part).collect::<Option<Vec<_>>>()?;
        (parts.len() > 1 && bits <= 128).then_some(Key(parts))
    }

    /// The part that is `column`, and how many bits stand behind it.
    fn part(&self, column: usize) -> Option<(&Part, u32)> {
        let at = self.0.iter().position(|part| part.column == column)?;
        let shift = self.0.iter().skip(at + 1).map(|part| part.width).sum();
        self.0.get(at).map(|part| (part, shift))
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
        let keys: Vec<i128> = keys.into_iter().map(|key| (key ^ TOP).cast_signed()).collect();
        Ok(ColumnarValue::Array(Arc::new(Decimal128Array::new(keys.into(), None))))
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
                let part = |(column, descending): (usize, bool)| {
                    let width = width(batch.column(column).data_type()).unwrap();
                    Part { column, descending, width }
                };
                let packed = Key([1, 0].into_iter().zip(descending).map(part).collect());
                let key = packed.evaluate(&batch).unwrap().into_array(25).unwrap();
                for column in [0, 1] {
                    let (part, shift) = packed.part(column).unwrap();
                    let keys = key.as_primitive::<Decimal128Type>().values();
                    let out = take_out(keys, shift, part.descending, batch.column(column).data_type()).unwrap();
                    assert_eq!(&out, batch.column(column), "{descending:?}");
                }
                let options = |descending| Some(SortOptions { descending, nulls_first: false });
                let sorted = [first, second].into_iter().zip(descending);
                let sorted = sorted.map(|(values, d)| SortColumn { values: Arc::clone(values), options: options(d) });
                let expected = lexsort_to_indices(&sorted.collect::<Vec<_>>(), None).unwrap();
                assert_eq!(sort_to_indices(&key, None, None).unwrap(), expected, "{batch:?} {descending:?}");
            }
        }
    }
}
