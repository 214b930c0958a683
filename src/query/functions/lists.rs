//! Functions over lists: the ranges that a payload was gathered from, and the matches of a regular expression.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BinaryViewBuilder, Int64Builder, ListArray, ListBuilder, StringBuilder,
    StringViewArray, StructBuilder, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Fields, Int64Type, UInt64Type};
use datafusion::common::{Result, exec_err};

use super::{find, locate};
use crate::schema::limits::MAX_MADE_TEXT;

/// What is said of a match.
pub fn hit_fields() -> Fields {
    [Field::new("at", DataType::Int64, true), Field::new("text", DataType::Utf8, true)].into_iter().collect()
}

/// Every match of each row, in bounded memory.
pub fn find_all(whole: &BinaryViewArray, patterns: &StringViewArray) -> Result<ArrayRef> {
    let fields: [Box<dyn arrow::array::ArrayBuilder>; 2] =
        [Box::new(Int64Builder::new()), Box::new(StringBuilder::new())];
    let mut out = ListBuilder::new(StructBuilder::new(hit_fields(), fields.into()));
    let mut finder = find::Finder::default();
    let mut total = 0usize;
    for (bytes, pattern) in whole.iter().zip(patterns.iter()) {
        let Some((bytes, pattern)) = bytes.zip(pattern) else {
            out.append_null();
            continue;
        };
        let hits = match finder.all(bytes, pattern) {
            Ok(hits) => hits,
            Err(error) => return exec_err!("{pattern:?} is not a regular expression: {error}"),
        };
        for (at, text) in hits {
            total = total.saturating_add(text.len());
            if total > MAX_MADE_TEXT {
                return exec_err!("payloads match in too many places to be shown: pick fewer rows first");
            }
            let hit = out.values();
            if let Some(offsets) = hit.field_builder::<Int64Builder>(0) {
                offsets.append_value(i64::try_from(at).unwrap_or(i64::MAX));
            }
            if let Some(texts) = hit.field_builder::<StringBuilder>(1) {
                texts.append_value(text);
            }
            hit.append(true);
        }
        out.append(true);
    }
    Ok(Arc::new(out.finish()))
}

/// The part of each payload from an address on.
pub fn payload_at(whole: &BinaryViewArray, iov: &ArrayRef, address: &ArrayRef) -> ArrayRef {
    let mut out = BinaryViewBuilder::with_capacity(whole.len());
    let addresses = address.as_primitive::<UInt64Type>();
    for row in 0..whole.len() {
        let known = whole.is_valid(row) && addresses.is_valid(row);
        let part = known
            .then(|| of_ranges(iov, row, |base, len| locate::part(whole.value(row), base, len, addresses.value(row))));
        out.append_option(part.flatten());
    }
    Arc::new(out.finish())
}

/// The address that each offset of a payload came from.
pub fn address_of(iov: &ArrayRef, offset: &ArrayRef) -> ArrayRef {
    let offsets = offset.as_primitive::<Int64Type>();
    let address = |(row, offset): (usize, Option<i64>)| {
        let offset = u64::try_from(offset?).ok()?;
        of_ranges(iov, row, |base, len| locate::address(base, len, offset))
    };
    Arc::new(offsets.iter().enumerate().map(address).collect::<UInt64Array>())
}

/// What `of` makes of the bases and lengths in a row; `None` where there are none.
fn of_ranges<T>(iov: &ArrayRef, row: usize, of: impl FnOnce(&[u64], &[u64]) -> Option<T>) -> Option<T> {
    let ranges: Option<&ListArray> = iov.as_list_opt();
    let range = ranges.filter(|ranges| ranges.is_valid(row)).map(|ranges| ranges.value(row))?;
    let range = range.as_struct_opt()?;
    let base = range.column(0).as_primitive_opt::<UInt64Type>()?;
    let len = range.column(1).as_primitive_opt::<UInt64Type>()?;
    of(base.values(), len.values())
}
