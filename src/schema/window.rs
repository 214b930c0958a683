//! How many rows of a row group are decoded at a time, so that they fit in memory whatever they contain.
//!
//! Owns the estimate of their size, from what is known about their pages. Rows of vmtrace are small, a thousand at a
//! time; rows of another capture may be large, and are decoded a few at a time.

use anyhow::{Context, Result};
use parquet::basic::Type;
use parquet::file::metadata::ColumnChunkMetaData;

use super::limits::{Limits, MAX_RANGES};
use super::pages::Facts;

/// Bytes of a number and what says that it is not null; of a range, which has levels, too.
const NUMBER: u64 = 16;
/// Rows decoded at a time where they are not large.
const ROWS: u64 = 1024;

/// A column of a row group that is read.
#[derive(Debug)]
pub(super) struct Column<'a> {
    pub chunk: &'a ColumnChunkMetaData,
    pub facts: Facts,
}

impl Column<'_> {
    fn name(&self) -> String {
        self.chunk.column_path().string()
    }

    /// What is held of it while its rows are decoded: a page and the dictionary.
    fn held(&self) -> u64 {
        let page = self.facts.pages.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
        page.saturating_add(self.facts.dictionary)
    }

    /// What `rows` of it take at most, wherever they begin.
    fn decoded(&self, rows: u64) -> u64 {
        if self.chunk.column_descr().max_rep_level() > 0 {
            let values = u64::try_from(self.chunk.num_values()).unwrap_or(0);
            let of_row = if self.facts.ranges > 0 { self.facts.ranges } else { MAX_RANGES };
            let values = values.min(rows.saturating_mul(of_row));
            let text = self.chunk.column_type() == Type::BYTE_ARRAY;
            // Where a page has no dictionary, those that have one are unpacked with it.
            let each = if text { self.facts.longest } else { 0 };
            let plain = if text { self.held() } else { 0 };
            return values.saturating_mul(NUMBER.saturating_add(each)).saturating_add(plain);
        }
        let numbers = rows.saturating_mul(NUMBER);
        if self.chunk.column_type() != Type::BYTE_ARRAY {
            return numbers;
        }
        let repeated = rows.saturating_mul(self.facts.longest);
        numbers.saturating_add(repeated).saturating_add(self.touched(rows))
    }

    /// Bytes of the pages in which `rows` may lie, wherever they begin.
    fn touched(&self, rows: u64) -> u64 {
        let pages = &self.facts.pages;
        // Bytes of the pages up to `end`, and their rows without those of the first page: its last row may be the
        // first decoded one.
        let (mut end, mut bytes, mut behind, mut most) = (0, 0u64, 0u64, 0);
        for first in 0..pages.len() {
            while let Some((more_rows, more_bytes)) = pages.get(end).filter(|_| end <= first || behind + 1 < rows) {
                behind = if end == first { 0 } else { behind.saturating_add(*more_rows) };
                bytes = bytes.saturating_add(*more_bytes);
                end += 1;
            }
            most = bytes.max(most);
            bytes = bytes.saturating_sub(pages.get(first).map_or(0, |(_, bytes)| *bytes));
            let next = pages.get(first + 1).filter(|_| first + 1 < end);
            behind = behind.saturating_sub(next.map_or(0, |(rows, _)| *rows));
        }
        most
    }
}

/// Rows to decode at a time.
///
/// # Errors
/// When one row, or the pages it is decoded from, would take more than the limits allow.
pub(super) fn rows(columns: &[Column<'_>], limits: Limits) -> Result<usize> {
    let sum = |size: &dyn Fn(&Column<'_>) -> u64| columns.iter().map(size).fold(0u64, u64::saturating_add);
    let largest = |size: &dyn Fn(&Column<'_>) -> u64| {
        columns.iter().max_by_key(|column| size(column)).map(Column::name).unwrap_or_default()
    };
    let held = |column: &Column<'_>| column.held();
    limits.check_pages(sum(&held), || {
        format!("pages that are read together, the largest of column {},", largest(&held))
    })?;
    let mut rows = ROWS;
    while rows > 1 && sum(&|column| column.decoded(rows)) > limits.batch() {
        rows /= 2;
    }
    let one = |column: &Column<'_>| column.decoded(rows);
    limits.check_batch(sum(&one), || format!("a row, whose largest column may be {},", largest(&one)))?;
    usize::try_from(rows).context("too many rows")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::schema::parser::parse_message_type;
    use parquet::schema::types::SchemaDescriptor;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn chunk(column: &str, values: i64) -> ColumnChunkMetaData {
        let text = format!("message m {{ {column} }}");
        let schema = SchemaDescriptor::new(Arc::new(parse_message_type(&text).unwrap()));
        ColumnChunkMetaData::builder(schema.column(0)).set_num_values(values).build().unwrap()
    }

    fn decided(chunk: &ColumnChunkMetaData, facts: &Facts) -> Result<usize> {
        rows(&[Column { chunk, facts: facts.clone() }, Column { chunk, facts: Facts::default() }], Limits::default())
    }

    #[test]
    fn large_values_come_a_few_at_a_time() {
        let text = chunk("required binary b;", 4096);
        let of = |longest| Facts { dictionary: 2 * MIB, longest, pages: vec![(4096, 600)], ..Facts::default() };
        assert_eq!(decided(&text, &of(10)).unwrap(), 1024);
        assert_eq!(decided(&text, &of(MIB)).unwrap(), 64);
        // A group of the largest payloads, in one page, as it is recorded.
        let whole = Facts { pages: vec![(1024, 64 * MIB)], ..Facts::default() };
        assert_eq!(decided(&text, &whole).unwrap(), 1024);
    }

    #[test]
    fn rows_are_fewer_where_their_pages_are_large() {
        let text = chunk("required binary b;", 4096);
        let pages = |rows: u64, bytes: u64| {
            let pages = (0..4096 / rows).map(|_| (rows, bytes)).collect::<Vec<_>>();
            Column { chunk: &text, facts: Facts { pages, ..Facts::default() } }
        };
        assert_eq!(pages(100, 7).touched(1), 7);
        assert_eq!(pages(100, 7).touched(2), 14);
        assert_eq!(pages(100, 7).touched(101), 14);
        assert_eq!(pages(100, 7).touched(102), 21);
        assert_eq!(pages(1, 7).touched(4096), 7 * 4096);
        assert_eq!(decided(&text, &pages(128, 20 * MIB).facts).unwrap(), 256);
        let error = decided(&text, &pages(1, 200 * MIB).facts).unwrap_err().to_string();
        assert!(error.contains("column b, of 209715200 bytes") && error.contains("--allow-large 134M"), "{error}");
    }

    #[test]
    fn ranges_are_counted_with_their_levels() {
        let text = "optional group l (LIST) { repeated group list { required int64 item; } }";
        let ranges = chunk(text, 4 << 20);
        assert_eq!(decided(&ranges, &Facts::default()).unwrap(), 1024);
        let column = Column { chunk: &ranges, facts: Facts::default() };
        assert_eq!(column.decoded(1024), 16 * MIB);
        assert_eq!(column.decoded(1 << 20), 64 * MIB, "no more than there are");
        let few = Column { chunk: &ranges, facts: Facts { ranges: 2, ..Facts::default() } };
        assert_eq!(few.decoded(1024), 2 * 1024 * NUMBER);
        let texts = chunk("optional group l (LIST) { repeated group list { required binary item; } }", 4 << 20);
        let facts = Facts { dictionary: MIB, longest: 4080, ranges: 1, ..Facts::default() };
        let column = Column { chunk: &texts, facts };
        assert_eq!(column.decoded(1024), 1024 * 4096 + MIB, "texts in lists count, too");
    }
}
