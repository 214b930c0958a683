//! The distinct values of a column, and which of them stands where.

use std::cmp::Ordering;
use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, TimeUnit};

use super::hybrid;

/// Most distinct numbers of a dictionary; a power of two.
const MOST_NUMBERS: usize = 4096;
/// Fewest that must repeat.
const FEW_NUMBERS: usize = 64;
/// Most bytes of text in a dictionary.
const MOST_TEXT: usize = 1 << 20;
/// Bytes that text may have to be in statistics.
const LONGEST_TOLD: usize = 64;

/// A column's values by way of a dictionary.
#[derive(Debug)]
pub(super) struct Dictionary {
    /// The distinct values, as they stand in a dictionary page.
    pub page: Vec<u8>,
    /// How many there are.
    pub entries: usize,
    ordered: Ordered,
    /// Of each value its place; empty if there is but one.
    indices: Vec<u32>,
}

/// Values that can be compared for statistics.
#[derive(Debug)]
enum Ordered {
    Int32(Vec<i32>),
    Text(StringArray),
    Not,
}

/// Smallest and largest of some values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extremes {
    /// Its place in the dictionary.
    pub least: usize,
    /// Its place in the dictionary.
    pub most: usize,
}

impl Dictionary {
    /// The dictionary of `values` without nulls; `None` if it does not pay, or there is none for their type.
    pub fn of(values: &ArrayRef) -> Option<Self> {
        let nulls = values.nulls().filter(|nulls| nulls.null_count() > 0);
        match values.data_type() {
            DataType::Int32 => {
                let (mut made, distinct) = numbers(values.as_primitive_opt::<Int32Type>()?.values(), nulls)?;
                made.ordered = Ordered::Int32(distinct);
                Some(made)
            }
            DataType::UInt32 => Some(numbers(values.as_primitive_opt::<UInt32Type>()?.values(), nulls)?.0),
            DataType::Int64 => Some(numbers(values.as_primitive_opt::<Int64Type>()?.values(), nulls)?.0),
            DataType::UInt64 => Some(numbers(values.as_primitive_opt::<UInt64Type>()?.values(), nulls)?.0),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Some(numbers(values.as_primitive_opt::<TimestampMicrosecondType>()?.values(), nulls)?.0)
            }
            DataType::Dictionary(..) => text(values, nulls),
            _ => None,
        }
    }

    /// Whether all values are equal.
    pub fn is_constant(&self) -> bool {
        self.entries <= 1
    }

    /// Appends the part of a data page with `values`, of which the first is number 0.
    pub fn write(&self, values: Range<usize>, out: &mut Vec<u8>) {
        let width = hybrid::width_of(self.entries.saturating_sub(1));
        out.push(width as u8);
        match self.indices.get(values.clone()) {
            Some(indices) if !self.is_constant() => hybrid::write(indices, width, out),
            _ => hybrid::write_run(0, values.len(), width, out),
        }
    }

    /// The extremes among `values`; `None` if there are none, or they have no order here.
    pub fn extremes(&self, values: Range<usize>) -> Option<Extremes> {
        if values.is_empty() || matches!(self.ordered, Ordered::Not) {
            return None;
        }
        if self.is_constant() {
            return Some(Extremes { least: 0, most: 0 });
        }
        let mut used = vec![false; self.entries];
        for index in self.indices.get(values)? {
            *used.get_mut(*index as usize)? = true;
        }
        let used = used.iter().enumerate().filter(|(_, used)| **used).map(|(index, _)| index);
        used.fold(None, |so_far, index| self.wider(so_far, Some(Extremes { least: index, most: index })))
    }

    /// The extremes of both.
    pub fn wider(&self, one: Option<Extremes>, other: Option<Extremes>) -> Option<Extremes> {
        let (Some(one), Some(other)) = (one, other) else { return one.or(other) };
        let least = if self.compare(other.least, one.least).is_lt() { other.least } else { one.least };
        let most = if self.compare(other.most, one.most).is_gt() { other.most } else { one.most };
        Some(Extremes { least, most })
    }

    fn compare(&self, one: usize, other: usize) -> Ordering {
        match &self.ordered {
            Ordered::Int32(values) => values.get(one).cmp(&values.get(other)),
            Ordered::Text(values) => self.text(values, one).cmp(self.text(values, other)),
            Ordered::Not => Ordering::Equal,
        }
    }

    fn text<'a>(&self, values: &'a StringArray, index: usize) -> &'a [u8] {
        if index < values.len() { values.value(index).as_bytes() } else { &[] }
    }

    /// The value at `index` of the dictionary, if it is a number that can be compared.
    pub fn int32(&self, index: usize) -> Option<i32> {
        match &self.ordered {
            Ordered::Int32(values) => values.get(index).copied(),
            _ => None,
        }
    }

    /// Its bytes as statistics and bloom filters have them.
    pub fn bytes(&self, index: usize) -> Vec<u8> {
        match &self.ordered {
            Ordered::Int32(values) => values.get(index).map(|v| v.to_le_bytes().to_vec()).unwrap_or_default(),
            Ordered::Text(values) => self.text(values, index).to_vec(),
            Ordered::Not => Vec::new(),
        }
    }

    /// Whether statistics can be made of it that hold whole values.
    pub fn has_whole_values(&self) -> bool {
        match &self.ordered {
            Ordered::Int32(_) => true,
            Ordered::Text(values) => values.iter().flatten().all(|text| text.len() <= LONGEST_TOLD),
            Ordered::Not => false,
        }
    }
}

/// A number of a column.
trait Number: Copy + PartialEq {
    fn bits(self) -> u64;
    fn put(self, page: &mut Vec<u8>);
}

macro_rules! number {
    ($($native:ty),+) => {$(
        impl Number for $native {
            fn bits(self) -> u64 {
                self as u64
            }
            fn put(self, page: &mut Vec<u8>) {
                page.extend_from_slice(&self.to_le_bytes());
            }
        }
    )+};
}
number!(i32, u32, i64, u64);

/// Finds numbers again. A program can choose numbers that all fall on one place: then there is no dictionary.
struct Finder<T> {
    /// Of a number its place in `distinct`, plus one.
    slots: Vec<u16>,
    distinct: Vec<T>,
    last: u32,
}

impl<T: Number> Finder<T> {
    const SLOTS: usize = 4 * MOST_NUMBERS;
    const PROBES: usize = 32;

    fn new() -> Self {
        Finder { slots: vec![0; Self::SLOTS], distinct: Vec::new(), last: 0 }
    }

    fn index(&mut self, number: T) -> Option<u32> {
        if self.distinct.get(self.last as usize) == Some(&number) {
            return Some(self.last);
        }
        // 2^64 divided by the golden ratio: spreads neighbours.
        let hash = number.bits().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - Self::SLOTS.ilog2());
        for probe in 0..Self::PROBES {
            let slot = self.slots.get_mut((hash as usize + probe) % Self::SLOTS)?;
            let place = match *slot {
                0 if self.distinct.len() == MOST_NUMBERS => return None,
                0 => {
                    self.distinct.push(number);
                    *slot = self.distinct.len() as u16;
                    *slot
                }
                place if self.distinct.get(usize::from(place) - 1) == Some(&number) => place,
                _ => continue,
            };
            self.last = u32::from(place) - 1;
            return Some(self.last);
        }
        None
    }
}

fn numbers<T: Number>(values: &[T], nulls: Option<&NullBuffer>) -> Option<(Dictionary, Vec<T>)> {
    let mut finder = Finder::new();
    let mut indices = Vec::with_capacity(values.len() - nulls.map_or(0, NullBuffer::null_count));
    let mut take = |part: &[T]| {
        part.iter().try_for_each(|number| {
            indices.push(finder.index(*number)?);
            Some(())
        })
    };
    match nulls {
        None => take(values)?,
        Some(nulls) => nulls.valid_slices().try_for_each(|(begin, end)| take(values.get(begin..end)?))?,
    }
    let distinct = finder.distinct;
    if distinct.len() > FEW_NUMBERS.max(indices.len() / 2) {
        return None;
    }
    let mut page = Vec::with_capacity(distinct.len() * size_of::<T>());
    distinct.iter().for_each(|number| number.put(&mut page));
    let made = Dictionary { page, entries: distinct.len(), ordered: Ordered::Not, indices };
    Some((made, distinct))
}

fn text(values: &ArrayRef, nulls: Option<&NullBuffer>) -> Option<Dictionary> {
    let array = values.as_dictionary_opt::<Int32Type>()?;
    let distinct = array.values().as_string_opt::<i32>()?;
    if distinct.null_count() > 0 || distinct.value_data().len() > MOST_TEXT {
        return None;
    }
    let keys = array.keys().values();
    let indices = match nulls {
        _ if distinct.len() <= 1 => Vec::new(),
        None => keys.iter().map(|key| *key as u32).collect(),
        Some(nulls) => {
            let parts = nulls.valid_slices().flat_map(|(begin, end)| keys.get(begin..end).unwrap_or_default());
            parts.map(|key| *key as u32).collect()
        }
    };
    let mut page = Vec::with_capacity(distinct.value_data().len() + 4 * distinct.len());
    for text in distinct.iter().flatten() {
        page.extend_from_slice(&(text.len() as u32).to_le_bytes());
        page.extend_from_slice(text.as_bytes());
    }
    Some(Dictionary { page, entries: distinct.len(), ordered: Ordered::Text(distinct.clone()), indices })
}
