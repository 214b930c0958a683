//! Several whole numbers as one of 128 bits that has their order: comparing it costs as little as comparing one number.
//!
//! Owns how they are packed and taken out again.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Decimal128Array, Int32Array, Int64Array, PrimitiveArray, RecordBatch, TimestampMicrosecondArray,
    TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, Int32Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
    TimestampNanosecondType, UInt32Type, UInt64Type,
};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};

/// Signed numbers have the order of unsigned ones once the highest bit is the other one.
const TOP: i128 = i128::MIN;

/// Columns as one number that has their order.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Key(Vec<Part>);

/// One of the columns of a key.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Part {
    column: usize,
    /// Whether large values come first.
    pub descending: bool,
    width: u32,
}

impl Key {
    /// The key of `order`, if it is one of columns that are whole numbers, never null, and of 128 bits together.
    pub fn of(order: &LexOrdering, schema: &Schema) -> Option<Key> {
        let mut bits = 0;
        let part = |sort: &PhysicalSortExpr| {
            let column = sort.expr.downcast_ref::<Column>()?.index();
            let field = schema.fields().get(column).filter(|field| !field.is_nullable())?;
            let width = width(field.data_type())?;
            bits += width;
            Some(Part { column, descending: sort.options.descending, width })
        };
        let parts = order.iter().map(part).collect::<Option<Vec<_>>>()?;
        (bits <= 128).then_some(Key(parts))
    }

    /// Its columns.
    pub fn columns(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|part| part.column)
    }

    /// The key of the same columns, where there are no others and they stand in its order.
    pub fn alone(&self) -> Key {
        let alone = |(column, part): (usize, &Part)| Part { column, ..*part };
        Key(self.0.iter().enumerate().map(alone).collect())
    }

    /// The keys of the rows of `batch`.
    ///
    /// # Errors
    /// When columns are not what they were when the key was made.
    pub fn values(&self, batch: &RecordBatch) -> Result<Vec<i128>> {
        let mut keys = vec![0; batch.num_rows()];
        self.fill(batch, 0, &mut keys)?;
        Ok(keys)
    }

    /// Puts the keys of the rows of `batch`, those from `row` on, into `keys`, in place of what is there.
    fn fill(&self, batch: &RecordBatch, row: usize, keys: &mut [i128]) -> Result<()> {
        for (nth, part) in self.0.iter().enumerate() {
            let Some(column) = batch.columns().get(part.column) else { return internal_err!("no such column") };
            push(keys, nth > 0, column.slice(row, keys.len()).as_ref(), part.descending)?;
        }
        keys.iter_mut().for_each(|key| *key ^= TOP);
        Ok(())
    }

    /// Whether the rows of `batch` are in order and follow what came before, within `bounds`: the first and the last key.
    ///
    /// # Errors
    /// As of [`Key::values`].
    pub fn follows(&self, batch: &RecordBatch, bounds: &mut Option<(i128, i128)>) -> Result<bool> {
        // A few at a time, which stay in the processor's cache.
        let mut keys = [0; 1024];
        for row in (0..batch.num_rows()).step_by(keys.len()) {
            let few = (batch.num_rows() - row).min(keys.len());
            let Some(keys) = keys.get_mut(..few) else { return internal_err!("more keys than there is room for") };
            self.fill(batch, row, keys)?;
            let (Some(first), Some(last)) = (keys.first(), keys.last()) else { continue };
            let bounds = bounds.get_or_insert((*first, *first));
            if bounds.1 > *first || !keys.is_sorted() {
                return Ok(false);
            }
            bounds.1 = *last;
        }
        Ok(true)
    }

    /// The part that is `column`, and how many bits stand behind it.
    pub fn part(&self, column: usize) -> Option<(&Part, u32)> {
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
        let keys = self.values(batch)?;
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

/// Puts the values of `column` behind what is in `keys`, if anything is.
fn push(keys: &mut [i128], behind: bool, column: &dyn Array, descending: bool) -> Result<()> {
    if column.null_count() > 0 {
        return internal_err!("a column that cannot be null has nulls");
    }
    let flip = |bits: u64| if descending { !bits } else { bits };
    let flip_half = |bits: u32| if descending { !bits } else { bits };
    let long = |value: i64| flip(value.cast_unsigned() ^ (1 << 63)).into();
    match column.data_type() {
        DataType::Int32 => {
            append::<Int32Type>(keys, behind, column, 32, |value| flip_half(value.cast_unsigned() ^ (1 << 31)).into())
        }
        DataType::UInt32 => append::<UInt32Type>(keys, behind, column, 32, |value| flip_half(value).into()),
        DataType::UInt64 => append::<UInt64Type>(keys, behind, column, 64, |value| flip(value).into()),
        DataType::Int64 => append::<Int64Type>(keys, behind, column, 64, long),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            append::<TimestampMicrosecondType>(keys, behind, column, 64, long)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            append::<TimestampNanosecondType>(keys, behind, column, 64, long)
        }
        other => internal_err!("{other} is no key"),
    }
}

fn append<T: ArrowPrimitiveType>(
    keys: &mut [i128],
    behind: bool,
    column: &dyn Array,
    width: u32,
    bits: impl Fn(T::Native) -> u128,
) -> Result<()> {
    let Some(column) = column.as_any().downcast_ref::<PrimitiveArray<T>>() else {
        return internal_err!("a column is not of its type");
    };
    for (key, value) in keys.iter_mut().zip(column.values()) {
        let before = if behind { *key << width } else { 0 };
        *key = before | bits(*value).cast_signed();
    }
    Ok(())
}

/// The column of a key that stands in `keys`, `shift` bits from their end.
///
/// # Errors
/// When no key has columns of `data_type`.
pub fn take_out(keys: &[i128], shift: u32, descending: bool, data_type: &DataType) -> Result<ArrayRef> {
    let bits = move |key: &i128| ((key ^ TOP).cast_unsigned() >> shift) as u64;
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

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
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
