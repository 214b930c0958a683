//! A table that fits a terminal: what has no room is abbreviated by `…`, and lines under it say what is left out.
//!
//! Widths come from the rows that are shown, or the first thousand of them. A number that is wider further down is whole all the same.

use std::io::Write;

use anyhow::Result;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;

use super::layout::{self, BETWEEN, Layout, Wanted};
use super::shorten::{Cell, GAP, middle};
use super::{Look, Rest, Sink, note};
use crate::query::{cell, functions};
use crate::terminal::escape::Safe;
use crate::terminal::fit;

/// Rows laid out together.
const CHUNK: usize = 1000;
/// Columns of a line without a limit: more than any text has.
const UNLIMITED: usize = usize::MAX / 2;

struct Column {
    name: String,
    right: bool,
    firm: bool,
    /// Whether its text was made here and may break lines.
    lines: bool,
}

/// Writes a table to its output.
pub struct Fitted<W> {
    out: W,
    look: Look,
    width: usize,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    layout: Option<Layout>,
    rest: Rest,
    /// Whether a value or a name was cut.
    cut: bool,
}

impl<W: Write> Fitted<W> {
    /// A sink that writes rows of `schema` to `out`.
    pub fn new(out: W, schema: &SchemaRef, look: Look) -> Self {
        let columns = schema.fields().iter().map(|field| Column {
            name: Safe(field.name()).to_string(),
            right: cell::is_number(field.data_type()),
            firm: is_firm(field.data_type()),
            lines: field.metadata().contains_key(functions::LINES),
        });
        let (columns, rest) = (columns.collect(), Rest::new(look.rows));
        let width = look.width.unwrap_or(UNLIMITED);
        Fitted { out, look, width, columns, rows: Vec::new(), layout: None, rest, cut: false }
    }

    fn flush(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let layout = match self.layout.take() {
            Some(layout) => layout,
            None => {
                let wanted = self.columns.iter().enumerate().map(|(index, column)| Wanted {
                    name: fit::columns(&column.name),
                    value: rows.iter().filter_map(|row| row.get(index)).map(Cell::columns).max().unwrap_or(0),
                    is_firm: column.firm,
                });
                let layout = layout::fit(&wanted.collect::<Vec<_>>(), self.width);
                self.head(&layout)?;
                layout
            }
        };
        for row in &rows {
            self.row(&layout, row)?;
        }
        self.layout = Some(layout);
        Ok(self.out.flush()?)
    }

    /// The columns that are shown: the index and the width of each, or nothing for those that are left out.
    fn shown(&self, layout: &Layout) -> Vec<Option<(usize, usize)>> {
        let end = self.columns.len().saturating_sub(layout.end.len());
        let first = layout.begin.iter().enumerate().map(|(index, width)| Some((index, *width)));
        let last = layout.end.iter().enumerate().map(|(index, width)| Some((end + index, *width)));
        let gap = (layout.begin.len() < end).then_some(None);
        first.chain(gap).chain(last).collect()
    }

    fn head(&mut self, layout: &Layout) -> Result<()> {
        let shown = self.shown(layout);
        let mut names = Vec::new();
        for place in &shown {
            names.push(match place.and_then(|(index, width)| Some((self.columns.get(index)?, width))) {
                Some((column, width)) => middle(&column.name, width),
                None => GAP.to_string(),
            });
        }
        self.cut |= shown
            .iter()
            .flatten()
            .any(|(index, width)| self.columns.get(*index).is_some_and(|column| fit::columns(&column.name) > *width));
        self.line(&shown, &names)?;
        let dashes = shown.iter().map(|place| "-".repeat(place.map_or(1, |(_, width)| width)));
        self.line(&shown, &dashes.collect::<Vec<_>>())
    }

    fn row(&mut self, layout: &Layout, row: &[Cell]) -> Result<()> {
        let shown = self.shown(layout);
        let mut parts: Vec<Vec<String>> = Vec::new();
        for place in &shown {
            let Some((index, width)) = place else {
                parts.push(vec![GAP.to_string()]);
                continue;
            };
            let (Some(cell), Some(column)) = (row.get(*index), self.columns.get(*index)) else { continue };
            let taken = cell.columns();
            // Half a number is another one.
            let most = if column.firm { taken.min(self.width).max(*width) } else { *width };
            self.cut |= taken > most;
            parts.push(cell.lines(most));
        }
        let height = parts.iter().map(Vec::len).max().unwrap_or(0).max(1);
        for number in 0..height {
            let texts: Vec<String> = parts.iter().map(|lines| lines.get(number).cloned().unwrap_or_default()).collect();
            self.line(&shown, &texts)?;
        }
        Ok(())
    }

    fn line(&mut self, shown: &[Option<(usize, usize)>], texts: &[String]) -> Result<()> {
        let mut line = String::new();
        for (place, text) in shown.iter().zip(texts) {
            let right = place.and_then(|(index, _)| self.columns.get(index)).is_some_and(|column| column.right);
            let gap = " ".repeat(place.map_or(1, |(_, width)| width).saturating_sub(fit::columns(text)));
            let parts = if right { [gap.as_str(), text] } else { [text, gap.as_str()] };
            line.extend(parts);
            line.push_str(&" ".repeat(BETWEEN));
        }
        Ok(writeln!(self.out, "{}", line.trim_end())?)
    }
}

impl<W: Write> Sink for Fitted<W> {
    fn rows(&mut self, batch: &RecordBatch) -> Result<()> {
        let shown = self.rest.take(batch.num_rows());
        for row in 0..shown {
            let cells = batch.columns().iter().zip(&self.columns);
            self.rows.push(cells.map(|(array, column)| Cell::new(array, row, column.lines, self.width)).collect());
            if self.rows.len() >= CHUNK {
                self.flush()?;
            }
        }
        // Nothing is waited for that will not be shown.
        if self.rest.is_full() && !self.rows.is_empty() { self.flush() } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<()> {
        if self.layout.is_none() || !self.rows.is_empty() {
            self.flush()?;
        }
        let shown = self.layout.as_ref().map_or(0, |layout| layout.begin.len() + layout.end.len());
        let left_out = self.columns.len().saturating_sub(shown);
        if left_out > 0 {
            let what = format!("{left_out} of {} columns are left out", self.columns.len());
            note(&mut self.out, &what, self.look.more.columns, self.look.width)?;
        } else if self.cut {
            note(&mut self.out, "stands for what has no room", self.look.more.columns, self.look.width)?;
        }
        self.rest.say(&mut self.out, &self.look)?;
        Ok(self.out.flush()?)
    }
}

/// Whether half of a value would be taken for another one.
fn is_firm(data_type: &DataType) -> bool {
    cell::is_number(data_type) || data_type.is_temporal() || matches!(data_type, DataType::Boolean)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use arrow::datatypes::{Field, Schema};

    use super::super::More;
    use super::*;

    fn look(width: usize, rows: Option<usize>) -> Look {
        Look { width: Some(width), rows, more: More { rows: "ROWS shows all", columns: "WIDTH shows all" } }
    }

    fn table(columns: &[(&str, ArrayRef)], width: usize, rows: Option<usize>) -> Vec<String> {
        let fields: Vec<_> =
            columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let batch =
            RecordBatch::try_new(schema.clone(), columns.iter().map(|(_, array)| array.clone()).collect()).unwrap();
        let mut out = Vec::new();
        let mut table = Fitted::new(&mut out, &schema, look(width, rows));
        table.rows(&batch).unwrap();
        table.rows(&batch).unwrap();
        table.finish().unwrap();
        drop(table);
        String::from_utf8(out).unwrap().lines().map(Into::into).collect()
    }

    fn numbers(numbers: &[i64]) -> ArrayRef {
        Arc::new(Int64Array::from(numbers.to_vec()))
    }

    fn texts(texts: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(texts.to_vec()))
    }

    #[test]
    fn text_is_abbreviated_and_numbers_are_not() {
        let long = format!("samples/{}.parquet", "x".repeat(100));
        let lines = table(&[("capture", texts(&[&long])), ("n", numbers(&[1_234_567]))], 40, None);
        assert_eq!(lines[0], format!("capture{}n", " ".repeat(32)));
        assert_eq!(lines[2], format!("samples/{}…{}.parquet  1234567", "x".repeat(7), "x".repeat(7)));
        assert!(lines.iter().take(4).all(|line| line.chars().count() <= 40), "{lines:#?}");
        assert_eq!(lines[4..], ["… stands for what has no room:", "  WIDTH shows all"]);
    }

    #[test]
    fn columns_in_the_middle_are_left_out_and_rows_at_the_end() {
        let column = numbers(&[1_000_000_000, -1]);
        let names = ["a", "b", "c", "d", "e", "f"];
        let columns: Vec<_> = names.iter().map(|name| (*name, column.clone())).collect();
        let lines = table(&columns, 45, Some(3));
        assert_eq!(
            lines,
            [
                "         a           b  …           f",
                "----------  ----------  -  ----------",
                "1000000000  1000000000  …  1000000000",
                "        -1          -1  …          -1",
                "1000000000  1000000000  …  1000000000",
                "… 3 of 6 columns are left out:",
                "  WIDTH shows all",
                "… 1 more row: ROWS shows all",
            ]
        );
    }

    #[test]
    fn what_fits_says_nothing_more() {
        let lines = table(&[("n", numbers(&[1]))], 40, Some(2));
        assert_eq!(lines, ["n", "-", "1", "1"]);
        assert_eq!(table(&[("n", numbers(&[]))], 40, Some(2)), ["n", "-"]);
    }

    #[test]
    fn no_byte_of_a_capture_acts_on_the_terminal() {
        let hostile = "\u{1b}]0;x\u{7}\u{202e}\r\n\u{9b}2J".repeat(50);
        let lines = table(&[(hostile.as_str(), texts(&[&hostile])), ("n", numbers(&[1]))], 60, None);
        for line in lines {
            assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}') && fit::columns(&line) <= 60, "{line:?}");
        }
    }
}
