//! Which rows of a column hold values: Parquet's definition and repetition levels.

use std::ops::Range;

use arrow_buffer::NullBuffer;

use super::hybrid::{width_of, write, write_run};

/// The rows of one leaf column.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape<'a> {
    /// One value per row.
    Required {
        /// Number of rows.
        rows: usize,
    },
    /// One value per row, or null.
    Optional(&'a NullBuffer),
    /// In each row a list of values, or null. Null lists have no values behind them.
    Lists {
        /// Where each list begins, and where the last ends.
        offsets: &'a [i32],
        /// Which lists are not null.
        nulls: Option<&'a NullBuffer>,
    },
}

/// What a page's levels are.
#[derive(Debug)]
pub(super) struct PageLevels {
    /// Values, nulls and empty lists.
    pub entries: usize,
    /// Values alone.
    pub values: usize,
    /// As they stand in the page.
    pub levels: Vec<u8>,
}

/// Levels of a nullable list whose elements are never null.
const NULL: u32 = 0;
const EMPTY: u32 = 1;
const ELEMENT: u32 = 2;

impl Shape<'_> {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Shape::Required { rows } => *rows,
            Shape::Optional(nulls) => nulls.len(),
            Shape::Lists { offsets, .. } => offsets.len().saturating_sub(1),
        }
    }

    /// Whether all rows are alike: each with one value, or each without.
    pub fn is_uniform(&self) -> bool {
        let rows = self.rows();
        match self {
            Shape::Required { .. } => true,
            Shape::Optional(nulls) => nulls.null_count() == 0 || nulls.null_count() == rows,
            Shape::Lists { offsets, nulls } => match nulls.map_or(0, NullBuffer::null_count) {
                0 => have_one_each(offsets),
                nulls => nulls == rows,
            },
        }
    }

    /// Whether there is nothing but nulls and empty lists.
    pub fn has_no_values(&self) -> bool {
        match self {
            Shape::Required { rows } => *rows == 0,
            Shape::Optional(nulls) => nulls.null_count() == nulls.len(),
            Shape::Lists { offsets, .. } => offsets.first() == offsets.last(),
        }
    }

    /// The levels of `rows`, which exist.
    pub fn page(&self, rows: Range<usize>) -> PageLevels {
        match self {
            Shape::Required { .. } => PageLevels { entries: rows.len(), values: rows.len(), levels: Vec::new() },
            Shape::Optional(nulls) => optional(&nulls.slice(rows.start, rows.len())),
            Shape::Lists { offsets, nulls } => {
                let nulls = nulls.map(|nulls| nulls.slice(rows.start, rows.len()));
                lists(offsets.get(rows.start..=rows.end).unwrap_or_default(), nulls.as_ref())
            }
        }
    }
}

fn have_one_each(offsets: &[i32]) -> bool {
    offsets.windows(2).all(|pair| matches!(pair, [begin, end] if end.wrapping_sub(*begin) == 1))
}

fn optional(nulls: &NullBuffer) -> PageLevels {
    let (rows, values) = (nulls.len(), nulls.len() - nulls.null_count());
    let mut levels = Vec::new();
    if values == 0 || values == rows {
        block(&mut levels, |out| write_run(u32::from(values > 0), rows, 1, out));
    } else {
        let defined: Vec<u32> = nulls.iter().map(u32::from).collect();
        block(&mut levels, |out| write(&defined, 1, out));
    }
    PageLevels { entries: rows, values, levels }
}

fn lists(offsets: &[i32], nulls: Option<&NullBuffer>) -> PageLevels {
    let rows = offsets.len().saturating_sub(1);
    let width = width_of(ELEMENT as usize);
    let mut levels = Vec::new();
    let absent = nulls.map_or(0, NullBuffer::null_count);
    let all = |level: u32, levels: &mut Vec<u8>| {
        block(levels, |out| write_run(0, rows, 1, out));
        block(levels, |out| write_run(level, rows, width, out));
    };
    if absent == rows {
        all(NULL, &mut levels);
        return PageLevels { entries: rows, values: 0, levels };
    }
    if absent == 0 && have_one_each(offsets) {
        all(ELEMENT, &mut levels);
        return PageLevels { entries: rows, values: rows, levels };
    }
    let (mut repeated, mut defined, mut values) = (Vec::new(), Vec::new(), 0);
    for (row, pair) in offsets.windows(2).enumerate() {
        let len = matches!(pair, [begin, end] if end > begin).then(|| pair[1].abs_diff(pair[0]) as usize);
        repeated.push(0);
        defined.push(match len {
            _ if nulls.is_some_and(|nulls| nulls.is_null(row)) => NULL,
            None => EMPTY,
            Some(_) => ELEMENT,
        });
        if let Some(len) = len {
            repeated.resize(repeated.len() + len - 1, 1);
            defined.resize(defined.len() + len - 1, ELEMENT);
            values += len;
        }
    }
    block(&mut levels, |out| write(&repeated, 1, out));
    block(&mut levels, |out| write(&defined, width, out));
    PageLevels { entries: defined.len(), values, levels }
}

/// In V1 pages levels stand behind their length.
fn block(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend([0; 4]);
    write(out);
    let len = (out.len() - at - 4) as u32;
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&len.to_le_bytes());
    }
}
