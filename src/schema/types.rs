//! The column types of a capture: how one value is appended while recording and read back later.
//!
//! Owns the mapping from a Rust value to an Arrow array and back. Does not depend on events: the table of columns is in
//! [`super::columns`]. The types are those that DuckDB, pandas and polars open without loss (docs/FORMAT.md):
//! timestamps in µs UTC, addresses inside lists, text as dictionaries.

use std::sync::Arc;

use arrow_array::builder::BooleanBuilder;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType, UInt32Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Int32Array, ListArray, PrimitiveArray, StringArray,
    StructArray, UInt64Array,
};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::ArrowError;
use arrow_schema::{DataType, Field, Fields, TimeUnit};

use super::build::{DictionaryColumn, Filled, Nullable, Validity};

/// One kind of column: its Arrow type, its builder, and its values.
pub trait ColumnType {
    /// What an event holds for this column; `Default` is the value of an absent column.
    type Value<'a>: Copy + Default + std::fmt::Debug + PartialEq;
    /// Collects values of one batch.
    type Builder: Default;
    /// What the values are read back from: the Arrow array, or its parts.
    type Array: Clone + std::fmt::Debug;
    /// Whether the column may hold null.
    const NULLABLE: bool;

    /// The Arrow type, as the file's schema states it.
    fn data_type() -> DataType;
    /// Whether an array of that type can be read.
    fn accepts(data_type: &DataType) -> bool {
        *data_type == Self::data_type()
    }
    /// Adds one value.
    fn append(builder: &mut Self::Builder, value: Self::Value<'_>);
    /// Ends the batch: returns its array and leaves the builder empty.
    ///
    /// # Errors
    /// When Arrow refuses the parts, which would be a defect of this module.
    fn finish(builder: &mut Self::Builder) -> Result<ArrayRef, ArrowError>;
    /// The array of this type that `array` is; `None` if it is another.
    fn typed(array: &dyn Array) -> Option<Self::Array>;
    /// The value at `row`; `row` must be below the array's length.
    fn value(array: &Self::Array, row: usize) -> Self::Value<'_>;
}

/// The array as it is.
fn plain<T: Array + Clone + 'static>(array: &dyn Array) -> Option<T> {
    array.as_any().downcast_ref::<T>().cloned()
}

/// A Rust number that Arrow stores as it is.
macro_rules! number_column {
    ($required:ident, $optional:ident, $arrow:ty, $native:ty, $data_type:expr, $what:literal) => {
        #[doc = concat!($what, ", never null.")]
        #[derive(Debug)]
        pub struct $required;
        impl ColumnType for $required {
            type Value<'a> = $native;
            type Builder = Filled<$native>;
            type Array = PrimitiveArray<$arrow>;
            const NULLABLE: bool = false;
            fn data_type() -> DataType {
                $data_type
            }
            fn append(builder: &mut Self::Builder, value: Self::Value<'_>) {
                builder.push(value);
            }
            fn finish(builder: &mut Self::Builder) -> Result<ArrayRef, ArrowError> {
                let values = ScalarBuffer::from(builder.take());
                let array = PrimitiveArray::<$arrow>::try_new(values, None)?;
                Ok(Arc::new(array.with_data_type($data_type)))
            }
            fn typed(array: &dyn Array) -> Option<Self::Array> {
                plain(array)
            }
            fn value(array: &Self::Array, row: usize) -> Self::Value<'_> {
                array.value(row)
            }
        }

        #[doc = concat!($what, ", or null.")]
        #[derive(Debug)]
        pub struct $optional;
        impl ColumnType for $optional {
            type Value<'a> = Option<$native>;
            type Builder = Nullable<$native>;
            type Array = PrimitiveArray<$arrow>;
            const NULLABLE: bool = true;
            fn data_type() -> DataType {
                $data_type
            }
            fn append(builder: &mut Self::Builder, value: Self::Value<'_>) {
                builder.values.push(value.unwrap_or_default());
                builder.valid.push(value.is_some());
            }
            fn finish(builder: &mut Self::Builder) -> Result<ArrayRef, ArrowError> {
                let nulls = Some(builder.valid.take());
                let array = PrimitiveArray::<$arrow>::try_new(ScalarBuffer::from(builder.values.take()), nulls)?;
                Ok(Arc::new(array.with_data_type($data_type)))
            }
            fn typed(array: &dyn Array) -> Option<Self::Array> {
                plain(array)
            }
            fn value(array: &Self::Array, row: usize) -> Self::Value<'_> {
                array.is_valid(row).then(|| array.value(row))
            }
        }
    };
}

number_column!(I32, OptI32, Int32Type, i32, DataType::Int32, "Signed 32-bit number");
number_column!(U32, OptU32, UInt32Type, u32, DataType::UInt32, "Unsigned 32-bit number");
number_column!(I64, OptI64, Int64Type, i64, DataType::Int64, "Signed 64-bit number");
number_column!(U64, OptU64, UInt64Type, u64, DataType::UInt64, "Unsigned 64-bit number");
number_column!(
    Timestamp,
    OptTimestamp,
    TimestampMicrosecondType,
    i64,
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    "Microseconds since the Unix epoch, UTC"
);

/// A truth value, or null where it was not determined.
#[derive(Debug)]
pub struct OptBool;

impl ColumnType for OptBool {
    type Value<'a> = Option<bool>;
    type Builder = BooleanColumn;
    type Array = BooleanArray;
    const NULLABLE: bool = true;
    fn data_type() -> DataType {
        DataType::Boolean
    }
    fn append(builder: &mut Self::Builder, value: Self::Value<'_>) {
        builder.0.append_option(value);
    }
    fn finish(builder: &mut Self::Builder) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(builder.0.finish()))
    }
    fn typed(array: &dyn Array) -> Option<Self::Array> {
        plain(array)
    }
    fn value(array: &Self::Array, row: usize) -> Self::Value<'_> {
        array.is_valid(row).then(|| array.value(row))
    }
}

/// Builder of [`OptBool`].
#[derive(Debug)]
pub struct BooleanColumn(BooleanBuilder);

impl Default for BooleanColumn {
    fn default() -> Self {
        BooleanColumn(BooleanBuilder::new())
    }
}

pub(super) fn dictionary_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// A dictionary of text, whose values are looked for once and not for each row.
#[derive(Clone, Debug)]
pub struct Words {
    keys: Int32Array,
    values: StringArray,
}

impl Words {
    pub(super) fn of(array: &dyn Array) -> Option<Self> {
        let array = array.as_any().downcast_ref::<DictionaryArray<Int32Type>>()?;
        let values = array.values().as_any().downcast_ref::<StringArray>()?;
        Some(Words { keys: array.keys().clone(), values: values.clone() })
    }

    /// The text at `row`. Keys are checked: a damaged file may hold any number there.
    pub(super) fn get(&self, row: usize) -> Option<&str> {
        let key = (row < self.keys.len() && self.keys.is_valid(row)).then(|| self.keys.value(row))?;
        let key = usize::try_from(key).ok().filter(|key| *key < self.values.len())?;
        self.values.is_valid(key).then(|| self.values.value(key))
    }
}

/// Repeating text, never null.
#[derive(Debug)]
pub struct Text;

impl ColumnType for Text {
    type Value<'a> = &'a str;
    type Builder = DictionaryColumn;
    type Array = Words;
    const NULLABLE: bool = false;
    fn data_type() -> DataType {
        dictionary_type()
    }
    fn append(builder: &mut Self::Builder, value: Self::Value<'_>) {
        builder.append(Some(value));
    }
    fn finish(builder: &mut Self::Builder) -> Result<ArrayRef, ArrowError> {
        builder.finish(false)
    }
    fn typed(array: &dyn Array) -> Option<Self::Array> {
        Words::of(array)
    }
    fn value(array: &Self::Array, row: usize) -> Self::Value<'_> {
        array.get(row).unwrap_or_default()
    }
}

/// Repeating text, or null.
#[derive(Debug)]
pub struct OptText;

impl ColumnType for OptText {
    type Value<'a> = Option<&'a str>;
    type Builder = DictionaryColumn;
    type Array = Words;
    const NULLABLE: bool = true;
    fn data_type() -> DataType {
        dictionary_type()
    }
    fn append(builder: &mut Self::Builder, value: Self::Value<'_>) {
        builder.append(value);
    }
    fn finish(builder: &mut Self::Builder) -> Result<ArrayRef, ArrowError> {
        builder.finish(true)
    }
    fn typed(array: &dyn Array) -> Option<Self::Array> {
        Words::of(array)
    }
    fn value(array: &Self::Array, row: usize) -> Self::Value<'_> {
        array.get(row)
    }
}

/// Bytes as they were, or null.
#[derive(Debug)]
pub struct OptBytes;

/// Builder of [`OptBytes`]. A batch must stay below 2 GiB; [`super::batch::BatchBuilder`] sees to that.
#[derive(Debug)]
pub struct BytesColumn {
    offsets: Vec<i32>,
    values: Vec<u8>,
    valid: Validity,
}

impl Default for BytesColumn {
    fn default() -> Self {
        BytesColumn { offsets: vec![0], values: Vec::new(), valid: Validity::default() }
    }
}

impl ColumnType for OptBytes {
    type Value<'a> = Option<&'a [u8]>;
    type Builder = BytesColumn;
    type Array = BinaryArray;
    const NULLABLE: bool = true;
    fn data_type() -> DataType {
        DataType::Binary
    }
    fn append(builder: &mut Self::Builder, value: Self::Value<'_>) {
        builder.values.extend_from_slice(value.unwrap_or_default());
        builder.offsets.push(builder.values.len() as i32);
        builder.valid.push(value.is_some());
    }
    fn finish(builder: &mut Self::Builder) -> Result<ArrayRef, ArrowError> {
        let mut part = std::mem::take(builder);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(part.offsets));
        let nulls = Some(part.valid.take());
        Ok(Arc::new(BinaryArray::try_new(offsets, part.values.into(), nulls)?))
    }
    fn typed(array: &dyn Array) -> Option<Self::Array> {
        plain(array)
    }
    fn value(array: &Self::Array, row: usize) -> Self::Value<'_> {
        array.is_valid(row).then(|| array.value(row))
    }
}

/// One `struct iovec` (readv(2)): an address in some process and a length in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Iovec {
    /// `iov_base`: start address.
    pub base: u64,
    /// `iov_len`: bytes.
    pub len: u64,
}

/// A borrowed iovec array: pairs while recording, two columns when read from a file.
#[derive(Clone, Copy, Debug)]
pub enum Iovecs<'a> {
    /// As the kernel lays them out.
    Pairs(&'a [Iovec]),
    /// As Arrow lays them out; both slices have the same length.
    Columns {
        /// `iov_base` of each element.
        base: &'a [u64],
        /// `iov_len` of each element.
        len: &'a [u64],
    },
}

impl<'a> Iovecs<'a> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Iovecs::Pairs(pairs) => pairs.len(),
            Iovecs::Columns { base, len } => base.len().min(len.len()),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at `index`.
    pub fn get(&self, index: usize) -> Option<Iovec> {
        match self {
            Iovecs::Pairs(pairs) => pairs.get(index).copied(),
            Iovecs::Columns { base, len } => Some(Iovec { base: *base.get(index)?, len: *len.get(index)? }),
        }
    }

    /// All elements, in order.
    pub fn iter(self) -> impl Iterator<Item = Iovec> + 'a {
        (0..self.len()).map_while(move |i| self.get(i))
    }

    /// Sum of all lengths in bytes, saturating: a caller may pass any number.
    pub fn total(&self) -> u64 {
        self.iter().fold(0, |sum, iov| sum.saturating_add(iov.len))
    }
}

impl PartialEq for Iovecs<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

/// An iovec array as `List<Struct<base: UInt64, len: UInt64>>`, or null where there is none.
///
/// Inside a list 64-bit addresses stay integers in every reader; a nullable UInt64 column would become
/// floating point in default pandas.
#[derive(Debug)]
pub struct OptIovecs;

/// Builder of [`OptIovecs`].
#[derive(Debug)]
pub struct IovecsColumn {
    offsets: Vec<i32>,
    base: Vec<u64>,
    len: Vec<u64>,
    valid: Validity,
}

impl Default for IovecsColumn {
    fn default() -> Self {
        IovecsColumn { offsets: vec![0], base: Vec::new(), len: Vec::new(), valid: Validity::default() }
    }
}

fn iovec_fields() -> Fields {
    Fields::from(vec![Field::new("base", DataType::UInt64, false), Field::new("len", DataType::UInt64, false)])
}

fn iovec_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(iovec_fields()), false))
}

impl OptIovecs {
    /// The Arrow type of a range.
    pub fn item_type() -> DataType {
        DataType::Struct(iovec_fields())
    }
}

impl ColumnType for OptIovecs {
    type Value<'a> = Option<Iovecs<'a>>;
    type Builder = IovecsColumn;
    type Array = ListArray;
    const NULLABLE: bool = true;
    fn data_type() -> DataType {
        DataType::List(iovec_item())
    }
    fn append(builder: &mut Self::Builder, value: Self::Value<'_>) {
        for iov in value.into_iter().flat_map(Iovecs::iter) {
            builder.base.push(iov.base);
            builder.len.push(iov.len);
        }
        builder.offsets.push(builder.base.len() as i32);
        builder.valid.push(value.is_some());
    }
    fn finish(builder: &mut Self::Builder) -> Result<ArrayRef, ArrowError> {
        let mut part = std::mem::take(builder);
        let base: ArrayRef = Arc::new(UInt64Array::from(part.base));
        let len: ArrayRef = Arc::new(UInt64Array::from(part.len));
        let items = StructArray::try_new(iovec_fields(), vec![base, len], None)?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(part.offsets));
        let nulls = Some(part.valid.take());
        Ok(Arc::new(ListArray::try_new(iovec_item(), offsets, Arc::new(items), nulls)?))
    }
    fn typed(array: &dyn Array) -> Option<Self::Array> {
        plain(array)
    }
    fn value(array: &Self::Array, row: usize) -> Self::Value<'_> {
        if array.is_null(row) {
            return None;
        }
        let items = array.values().as_any().downcast_ref::<StructArray>()?;
        let base = items.column(0).as_any().downcast_ref::<UInt64Array>()?;
        let len = items.column(1).as_any().downcast_ref::<UInt64Array>()?;
        let offsets = array.value_offsets();
        let start = usize::try_from(*offsets.get(row)?).ok()?;
        let end = usize::try_from(*offsets.get(row + 1)?).ok()?;
        Some(Iovecs::Columns { base: base.values().get(start..end)?, len: len.values().get(start..end)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: ColumnType>(values: &[T::Value<'_>]) -> ArrayRef {
        let mut builder = T::Builder::default();
        values.iter().for_each(|v| T::append(&mut builder, *v));
        let array = T::finish(&mut builder).unwrap();
        let typed = T::typed(&array).unwrap();
        assert_eq!(array.data_type(), &T::data_type());
        for (row, value) in values.iter().enumerate() {
            assert!(same::<T>(*value, &typed, row), "row {row}");
        }
        array
    }

    fn same<T: ColumnType>(value: T::Value<'_>, array: &T::Array, row: usize) -> bool {
        let mut again = T::Builder::default();
        T::append(&mut again, value);
        let again = T::finish(&mut again).unwrap();
        let again = T::typed(&again).unwrap();
        format!("{:?}", T::value(&again, 0)) == format!("{:?}", T::value(array, row))
    }

    #[test]
    fn numbers_keep_every_bit() {
        let array = round_trip::<U64>(&[0, u64::MAX, (1 << 53) + 1]);
        assert_eq!(array.as_any().downcast_ref::<UInt64Array>().unwrap().value(2), (1 << 53) + 1);
        let array = round_trip::<OptI64>(&[None, Some(i64::MIN)]);
        assert!(array.is_null(0) && array.is_valid(1));
    }

    #[test]
    fn a_dictionary_of_nothing_but_nulls_is_valid() {
        assert_eq!(round_trip::<OptText>(&[None, None]).null_count(), 2);
    }

    #[test]
    fn equal_text_shares_one_value() {
        let array = round_trip::<Text>(&["a", "b", "a", "a", "b"]);
        let dictionary = array.as_any().downcast_ref::<DictionaryArray<Int32Type>>().unwrap();
        assert_eq!(dictionary.values().len(), 2);
    }

    #[test]
    fn iovecs_keep_null_apart_from_empty() {
        let pairs = [Iovec { base: u64::MAX, len: 1 }, Iovec { base: 2, len: u64::MAX }];
        let array = round_trip::<OptIovecs>(&[None, Some(Iovecs::Pairs(&[])), Some(Iovecs::Pairs(&pairs))]);
        let list = array.as_any().downcast_ref::<ListArray>().unwrap();
        assert_eq!(OptIovecs::value(list, 0), None);
        assert_eq!(OptIovecs::value(list, 1).map(|v| v.len()), Some(0));
        assert_eq!(OptIovecs::value(list, 2), Some(Iovecs::Pairs(&pairs)));
        assert_eq!(Iovecs::Pairs(&pairs).total(), u64::MAX, "sums saturate");
    }

    #[test]
    fn bytes_keep_null_apart_from_empty() {
        let array = round_trip::<OptBytes>(&[None, Some(b""), Some(b"\0\xff")]);
        assert!(array.is_null(0) && array.is_valid(1));
    }
}
