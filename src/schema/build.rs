//! What column builders collect values in. Most columns of most rows have the same value as the row before, or none:
//! such a column takes no memory and hardly any time.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{BooleanBufferBuilder, StringBuilder};
use arrow_array::{ArrayRef, DictionaryArray, Int32Array};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use arrow_schema::ArrowError;

/// Values of which none is kept while all are the type's default.
#[derive(Debug, Default)]
pub struct Filled<T> {
    len: usize,
    values: Vec<T>,
}

impl<T: Copy + Default + PartialEq> Filled<T> {
    /// Adds a value.
    pub(super) fn push(&mut self, value: T) {
        if self.values.is_empty() {
            if value == T::default() {
                self.len += 1;
                return;
            }
            self.values.resize(self.len, T::default());
        }
        self.values.push(value);
        self.len += 1;
    }

    /// The values; none are left.
    pub(super) fn take(&mut self) -> Vec<T> {
        let Filled { len, values } = std::mem::take(self);
        // Zeroed pages take no memory until they are accessed.
        if values.is_empty() { vec![T::default(); len] } else { values }
    }
}

/// Which values are not null: whole runs, until one ends.
#[derive(Debug)]
pub struct Validity {
    bits: BooleanBufferBuilder,
    valid: bool,
    run: usize,
}

impl Default for Validity {
    fn default() -> Self {
        Validity { bits: BooleanBufferBuilder::new(0), valid: false, run: 0 }
    }
}

impl Validity {
    /// Adds whether a value is not null.
    pub(super) fn push(&mut self, valid: bool) {
        if valid != self.valid {
            self.bits.append_n(self.run, self.valid);
            (self.valid, self.run) = (valid, 0);
        }
        self.run += 1;
    }

    /// What was added; nothing is left.
    pub(super) fn take(&mut self) -> NullBuffer {
        let mut part = std::mem::take(self);
        match part.bits.len() {
            0 if part.valid => NullBuffer::new_valid(part.run),
            0 => NullBuffer::new_null(part.run),
            _ => {
                part.bits.append_n(part.run, part.valid);
                NullBuffer::new(part.bits.finish())
            }
        }
    }
}

/// Values beside what says which of them are not null.
#[derive(Debug, Default)]
pub struct Nullable<T> {
    pub(super) values: Filled<T>,
    pub(super) valid: Validity,
}

/// Texts whose place is remembered beside the map.
const REMEMBERED: usize = 64;

/// Text that repeats, as `Dictionary<Int32, Utf8>`: VARCHAR in DuckDB, category in pandas.
///
/// Equal neighbours cost one comparison, texts that were met lately two; only others look into the map.
#[derive(Debug, Default)]
pub struct DictionaryColumn {
    keys: Filled<i32>,
    valid: Validity,
    map: HashMap<Box<str>, i32>,
    values: Vec<Box<str>>,
    last: i32,
    remembered: Vec<i32>,
}

impl DictionaryColumn {
    pub(super) fn append(&mut self, text: Option<&str>) {
        let key = text.map_or(0, |text| self.key(text));
        self.keys.push(key);
        self.valid.push(text.is_some());
    }

    fn is(&self, key: i32, text: &str) -> bool {
        usize::try_from(key).ok().and_then(|key| self.values.get(key)).is_some_and(|value| **value == *text)
    }

    fn key(&mut self, text: &str) -> i32 {
        if self.is(self.last, text) {
            return self.last;
        }
        let hint = hint(text);
        let remembered = self.remembered.get(hint).copied();
        self.last = match remembered.filter(|key| self.is(*key, text)) {
            Some(key) => key,
            None => self.look_up(text),
        };
        self.remembered.resize(REMEMBERED, -1);
        if let Some(place) = self.remembered.get_mut(hint) {
            *place = self.last;
        }
        self.last
    }

    fn look_up(&mut self, text: &str) -> i32 {
        if let Some(key) = self.map.get(text) {
            return *key;
        }
        let key = self.values.len() as i32;
        self.values.push(text.into());
        self.map.insert(text.into(), key);
        key
    }

    pub(super) fn finish(&mut self, nullable: bool) -> Result<ArrayRef, ArrowError> {
        let mut part = std::mem::take(self);
        let keys = part.keys.take();
        if part.values.is_empty() && !keys.is_empty() {
            // Null slots carry key 0, which must exist.
            part.values.push("".into());
        }
        let mut values = StringBuilder::with_capacity(part.values.len(), part.values.iter().map(|v| v.len()).sum());
        part.values.iter().for_each(|v| values.append_value(v));
        let keys = Int32Array::try_new(ScalarBuffer::from(keys), nullable.then(|| part.valid.take()))?;
        Ok(Arc::new(DictionaryArray::try_new(keys, Arc::new(values.finish()))?))
    }
}

/// Where a text is remembered: computed from its length and its ends, which distinguish those that occur together.
fn hint(text: &str) -> usize {
    let bytes = text.as_bytes();
    let ends = bytes.iter().rev().take(4).chain(bytes.first());
    ends.fold(bytes.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte))) % REMEMBERED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_from_the_first_that_is_not_the_default() {
        let mut filled = Filled::default();
        [0, 0, 7, 0].into_iter().for_each(|value| filled.push(value));
        assert_eq!(filled.take(), [0, 0, 7, 0]);
        [0, 0].into_iter().for_each(|value| filled.push(value));
        assert_eq!(filled.take(), [0, 0]);
        assert_eq!(filled.take(), Vec::<i32>::new());
    }

    #[test]
    fn validity_is_the_same_in_runs_and_alone() {
        for pattern in [&[true; 9][..], &[false; 9], &[true, false, false, true], &[false, true, true], &[]] {
            let mut validity = Validity::default();
            pattern.iter().for_each(|valid| validity.push(*valid));
            assert_eq!(validity.take(), NullBuffer::from(pattern.to_vec()));
        }
    }

    #[test]
    fn texts_that_are_remembered_in_one_place_stay_apart() {
        let texts: Vec<String> = (0..2_000).map(|i| format!("text {}", i % 700)).collect();
        let mut column = DictionaryColumn::default();
        texts.iter().for_each(|text| column.append(Some(text)));
        let array = column.finish(false).unwrap();
        let array = array.as_any().downcast_ref::<DictionaryArray<arrow_array::types::Int32Type>>().unwrap();
        assert_eq!(array.values().len(), 700);
        let values = array.downcast_dict::<arrow_array::StringArray>().unwrap();
        assert!(values.into_iter().eq(texts.iter().map(|text| Some(text.as_str()))));
    }
}
