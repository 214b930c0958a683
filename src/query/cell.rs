//! One value of a result as text or JSON. Owns no layout and no escaping: `terminal::escape` does that for the output.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Number, Value};

use crate::terminal::escape::Hex;

/// Lists in lists accepted; a query can make any type.
const MAX_DEPTH: usize = 16;

/// The value at `row` as JSON: numbers exact, bytes in hexadecimal, instants as RFC 3339.
pub fn json(array: &ArrayRef, row: usize) -> Value {
    value(array, row, 0)
}

/// The value at `row` as text; nothing where it is null.
pub fn text(array: &ArrayRef, row: usize) -> String {
    match json(array, row) {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Whether values of this type are right-aligned.
pub fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

fn value(array: &ArrayRef, row: usize, depth: usize) -> Value {
    if row >= array.len() || array.is_null(row) || depth > MAX_DEPTH {
        return Value::Null;
    }
    macro_rules! number {
        ($arrow:ty) => {
            Value::from(array.as_primitive::<$arrow>().value(row))
        };
    }
    match array.data_type() {
        DataType::Boolean => Value::from(array.as_boolean().value(row)),
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float32 => float(f64::from(array.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => Value::from(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Value::from(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Value::from(array.as_string_view().value(row)),
        DataType::Binary => hex(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => hex(array.as_binary::<i64>().value(row)),
        DataType::BinaryView => hex(array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => hex(array.as_fixed_size_binary().value(row)),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            instant(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::List(_) => list(&array.as_list::<i32>().value(row), depth),
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row), depth),
        DataType::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row), depth),
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            let pairs = columns.map(|(field, column)| (field.name().clone(), value(column, row, depth + 1)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        _ => other(array, row),
    }
}

/// What JSON has no number for (NaN, infinite) becomes text.
fn float(value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| Value::from(value.to_string()), Value::Number)
}

fn hex(bytes: &[u8]) -> Value {
    Value::from(Hex(bytes).to_string())
}

/// RFC 3339 in UTC; the number of microseconds where the calendar does not reach that far.
fn instant(micros: i64) -> Value {
    let time = DateTime::from_timestamp_micros(micros);
    Value::from(time.map_or_else(|| micros.to_string(), |time| time.to_rfc3339_opts(SecondsFormat::Micros, true)))
}

fn list(items: &ArrayRef, depth: usize) -> Value {
    (0..items.len()).map(|row| value(items, row, depth + 1)).collect()
}

/// Types that our tables do not have: dates, intervals, decimals, maps.
fn other(array: &ArrayRef, row: usize) -> Value {
    let formatted = ArrayFormatter::try_new(array.as_ref(), &FormatOptions::default());
    formatted.map_or(Value::Null, |formatter| Value::from(formatter.value(row).to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BinaryArray, Decimal128Array, Float64Array, TimestampMicrosecondArray, UInt64Array};

    use super::*;

    #[test]
    fn values_are_exact() {
        let array: ArrayRef = Arc::new(UInt64Array::from(vec![Some(u64::MAX), None]));
        assert_eq!((text(&array, 0), text(&array, 1)), ("18446744073709551615".into(), String::new()));
        let array: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1, i64::MAX]).with_timezone("UTC"));
        assert_eq!(text(&array, 0), "1970-01-01T00:00:00.000001Z");
        assert_eq!(text(&array, 1), i64::MAX.to_string());
        let array: ArrayRef = Arc::new(BinaryArray::from(vec![&b"\x00\xfe"[..]]));
        assert_eq!(json(&array, 0), Value::from("00fe"));
        let array: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 0.5]));
        assert_eq!((text(&array, 0), text(&array, 1)), ("NaN".into(), "0.5".into()));
        let array: ArrayRef = Arc::new(Decimal128Array::from(vec![12345]).with_precision_and_scale(10, 2).unwrap());
        assert_eq!(text(&array, 0), "123.45");
        assert_eq!(json(&array, 7), Value::Null, "no such row");
    }
}
