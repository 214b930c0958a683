//! A whole table: a header, a line of dashes, rows; numbers are right-aligned. `fitted` makes those that fit a terminal.
//!
//! Widths come from the first chunk of rows. Longer results keep that header, and a column may become wider further
//! down. So memory stays constant, and the first rows appear at once.

use std::io::Write;

use anyhow::Result;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use unicode_width::UnicodeWidthStr;

use super::Sink;
use crate::query::{cell, functions};
use crate::terminal::escape::Safe;

/// Rows laid out together.
const CHUNK: usize = 1000;

struct Column {
    name: String,
    right: bool,
    /// Whether its text was made here and may break lines.
    lines: bool,
    width: usize,
}

/// Writes a table to its output.
pub struct Table<W> {
    out: W,
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    started: bool,
}

impl<W: Write> Table<W> {
    /// A sink that writes rows of `schema` to `out`.
    pub fn new(out: W, schema: &SchemaRef) -> Self {
        let columns = schema.fields().iter().map(|field| {
            let name = Safe(field.name()).to_string();
            let lines = field.metadata().contains_key(functions::LINES);
            Column { right: cell::is_number(field.data_type()), lines, width: name.width(), name }
        });
        Table { out, columns: columns.collect(), rows: Vec::new(), started: false }
    }

    fn flush(&mut self) -> Result<()> {
        for row in &self.rows {
            for (column, text) in self.columns.iter_mut().zip(row) {
                column.width = text.lines().map(UnicodeWidthStr::width).fold(column.width, usize::max);
            }
        }
        if !std::mem::replace(&mut self.started, true) {
            let names: Vec<_> = self.columns.iter().map(|column| column.name.clone()).collect();
            let dashes: Vec<_> = self.columns.iter().map(|column| "-".repeat(column.width)).collect();
            line(&mut self.out, &self.columns, &names)?;
            line(&mut self.out, &self.columns, &dashes)?;
        }
        for row in std::mem::take(&mut self.rows) {
            let height = row.iter().map(|text| text.lines().count()).max().unwrap_or(0).max(1);
            for number in 0..height {
                let part: Vec<_> = row.iter().map(|text| text.lines().nth(number).unwrap_or_default().into()).collect();
                line(&mut self.out, &self.columns, &part)?;
            }
        }
        Ok(self.out.flush()?)
    }
}

impl<W: Write> Sink for Table<W> {
    fn rows(&mut self, batch: &RecordBatch) -> Result<()> {
        for row in 0..batch.num_rows() {
            let columns = batch.columns().iter().zip(&self.columns);
            let texts = columns.map(|(array, column)| shown(&cell::text(array, row), column.lines));
            self.rows.push(texts.collect());
            if self.rows.len() >= CHUNK {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.flush()
    }
}

fn shown(text: &str, lines: bool) -> String {
    let harmless = lines && text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n'));
    if harmless { text.to_string() } else { Safe(text).to_string() }
}

fn line(out: &mut impl Write, columns: &[Column], texts: &[String]) -> Result<()> {
    let mut text = String::new();
    for (column, value) in columns.iter().zip(texts) {
        let gap = " ".repeat(column.width.saturating_sub(value.width()));
        let parts = if column.right { [&gap, value] } else { [value, &gap] };
        text.extend(parts.map(String::as_str));
        text.push_str("  ");
    }
    writeln!(out, "{}", text.trim_end())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn table(fields: Vec<Field>, columns: Vec<ArrayRef>) -> String {
        let schema = Arc::new(Schema::new(fields));
        let mut out = Vec::new();
        let mut table = Table::new(&mut out, &schema);
        table.rows(&RecordBatch::try_new(schema, columns).unwrap()).unwrap();
        table.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_and_captured_text_is_harmless() {
        let text = table(
            vec![Field::new("comm", DataType::Utf8, true), Field::new("n", DataType::Int64, true)],
            vec![
                Arc::new(StringArray::from(vec![Some("日本"), Some("a\nb\x1b"), None])),
                Arc::new(Int64Array::from(vec![1, 100, -1])),
            ],
        );
        let rows = ["comm        n", "--------  ---", "日本        1", "a\\nb\\x1b  100", "           -1"];
        assert_eq!(text.lines().collect::<Vec<_>>(), rows);
    }

    #[test]
    fn only_text_made_here_breaks_lines() {
        let field = Field::new("dump", DataType::Utf8, true);
        let lines = field.clone().with_metadata([(functions::LINES.to_string(), "true".to_string())].into());
        let value = || vec![Arc::new(StringArray::from(vec!["00 |a\\|\n10 |b|"])) as ArrayRef];
        assert_eq!(table(vec![lines], value()), "dump\n-------\n00 |a\\|\n10 |b|\n");
        assert_eq!(table(vec![field], value()).lines().count(), 3);
    }
}
