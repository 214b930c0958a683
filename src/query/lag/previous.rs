//! The last row of each key, and from it the row before of every other.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array, new_null_array};
use arrow::compute::{interleave, take};
use arrow::datatypes::DataType;
use datafusion::common::{Result, internal_datafusion_err};

use super::numbered::Numbered;

/// Chunks that are kept before they are put into one.
const MAX_CHUNKS: usize = 128;

/// Where a row is: in which chunk, and there.
type Place = (usize, usize);

/// The last values seen of each key.
pub struct Previous {
    keys: Numbered,
    /// Values, a column each: chunk 0 is a row of nulls, for keys not seen before, the others hold last rows.
    chunks: Vec<Vec<ArrayRef>>,
    /// Of each key.
    last: Vec<Place>,
    /// Of each row of a batch, its key and the row before: kept for their memory.
    ids: Vec<usize>,
    before: Vec<Place>,
}

/// What was before the rows of a batch.
pub struct Before {
    /// Values of the row before, a column each; null where there is none.
    pub values: Vec<ArrayRef>,
    /// Which rows are the first of their keys, if any is.
    pub first: Option<BooleanArray>,
}

impl Previous {
    /// Nothing seen yet of keys and values of the types of these.
    ///
    /// # Errors
    /// When keys of these types cannot be told apart.
    pub fn new(keys: &[ArrayRef], values: &[ArrayRef]) -> Result<Self> {
        let nothing = values.iter().map(|value| new_null_array(value.data_type(), 1)).collect();
        Ok(Previous {
            keys: Numbered::new(keys)?,
            chunks: vec![nothing],
            last: Vec::new(),
            ids: Vec::new(),
            before: Vec::new(),
        })
    }

    /// Takes in rows, which follow all that came before.
    ///
    /// # Errors
    /// When columns differ in type from the first ones.
    pub fn step(&mut self, keys: &[ArrayRef], values: &[ArrayRef]) -> Result<Before> {
        let lost = || internal_datafusion_err!("a key without a place");
        self.keys.number(keys, &mut self.ids)?;
        let known = self.last.len();
        self.last.resize(self.keys.len(), (0, 0));
        let here = self.chunks.len();
        let mut seen = Vec::new();
        self.before.clear();
        for (row, id) in self.ids.iter().enumerate() {
            let last = self.last.get_mut(*id).ok_or_else(lost)?;
            let place = std::mem::replace(last, (here, row));
            if place.0 != here {
                seen.push(*id);
            }
            self.before.push(place);
        }
        self.chunks.push(values.to_vec());
        let any_first = self.last.len() > known;
        let previous = self.at(&self.before, any_first)?;
        // Of this batch nothing is kept but the last rows.
        let mut rows = Vec::with_capacity(seen.len());
        for (place, id) in seen.iter().enumerate() {
            let last = self.last.get_mut(*id).ok_or_else(lost)?;
            rows.push(u32::try_from(last.1).map_err(|_| lost())?);
            *last = (here, place);
        }
        let rows = UInt32Array::from(rows);
        let kept = values.iter().map(|value| Ok(compact(&take(value, &rows, None)?))).collect::<Result<_>>()?;
        *self.chunks.last_mut().ok_or_else(lost)? = kept;
        if here > MAX_CHUNKS {
            self.gather()?;
        }
        let first = any_first.then(|| self.before.iter().map(|place| Some(place.0 == 0)).collect());
        Ok(Before { values: previous, first })
    }

    /// Every key with its last values.
    ///
    /// # Errors
    /// As of [`Previous::step`].
    pub fn finish(self) -> Result<(Vec<ArrayRef>, Vec<ArrayRef>)> {
        let values = self.at(&self.last, false)?;
        Ok((self.keys.finish()?, values))
    }

    /// Bytes of memory that it takes.
    pub fn size(&self) -> usize {
        let chunks = self.chunks.iter().flatten().map(|values| values.get_array_memory_size()).sum::<usize>();
        self.keys.size()
            + chunks
            + (self.last.capacity() + self.before.capacity()) * size_of::<Place>()
            + self.ids.capacity() * size_of::<usize>()
    }

    /// Puts the last rows of all keys into one chunk.
    fn gather(&mut self) -> Result<()> {
        let values = self.at(&self.last, false)?;
        self.chunks.truncate(1);
        self.chunks.push(values);
        self.last.iter_mut().enumerate().for_each(|(row, last)| *last = (1, row));
        Ok(())
    }

    /// The values at `places`. Where none is chunk 0, its null is left out, and the library need not look for nulls.
    fn at(&self, places: &[Place], with_nulls: bool) -> Result<Vec<ArrayRef>> {
        let nulls = self.chunks.first().into_iter().flatten();
        let nulls = nulls.map(|null| if with_nulls { Arc::clone(null) } else { null.slice(0, 0) });
        let column = |(nth, nulls): (usize, ArrayRef)| {
            let chunks = self.chunks.iter().skip(1).filter_map(|chunk| chunk.get(nth)).map(AsRef::as_ref);
            let chunks: Vec<&dyn Array> = std::iter::once(nulls.as_ref()).chain(chunks).collect();
            Ok(interleave(&chunks, places)?)
        };
        nulls.enumerate().map(column).collect()
    }
}

/// Without bytes of values that are not in it.
pub fn compact(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()),
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        _ => Arc::clone(column),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use arrow::array::{Int32Array, Int64Array, StringViewArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    fn columns(rows: &[(i32, i64)]) -> (Vec<ArrayRef>, Vec<ArrayRef>) {
        let number = Int32Array::from_iter_values(rows.iter().map(|row| row.0));
        let text = StringViewArray::from_iter_values(rows.iter().map(|row| format!("process number {}", row.0 % 3)));
        let values = Int64Array::from_iter_values(rows.iter().map(|row| row.1));
        (vec![Arc::new(number), Arc::new(text)], vec![Arc::new(values)])
    }

    /// More batches than chunks are kept, of keys that come and go, against a map.
    #[test]
    fn the_row_before_is_the_last_one_of_the_same_keys() {
        let (keys, values) = columns(&[]);
        let mut previous = Previous::new(&keys, &values).unwrap();
        let mut last = HashMap::new();
        for batch in 0..400 {
            let rows: Vec<(i32, i64)> =
                (0..50).map(|row| ((batch / 7 + row * row) % (batch + 1), i64::from(batch * 50 + row))).collect();
            let (keys, values) = columns(&rows);
            let before = previous.step(&keys, &values).unwrap();
            let expected: Vec<Option<i64>> = rows.iter().map(|(key, value)| last.insert(*key, *value)).collect();
            assert_eq!(before.values[0].as_primitive::<Int64Type>(), &Int64Array::from(expected.clone()), "{batch}");
            let first: BooleanArray = expected.iter().map(|value| Some(value.is_none())).collect();
            assert_eq!(before.first.unwrap_or_else(|| BooleanArray::from(vec![false; 50])), first, "{batch}");
        }
        let (keys, values) = previous.finish().unwrap();
        let found = keys[0].as_primitive::<arrow::datatypes::Int32Type>().values().iter();
        let found = found.copied().zip(values[0].as_primitive::<Int64Type>().values().iter().copied());
        assert_eq!(found.collect::<HashMap<_, _>>(), last);
    }
}
