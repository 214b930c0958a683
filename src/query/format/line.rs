//! A line per value, for rows that are too wide to be read side by side: `name = value`, a blank line between rows.

use std::io::Write;

use anyhow::Result;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::shorten::is_harmless;
use super::{Look, Rest, Sink};
use crate::query::{cell, functions};
use crate::terminal::escape::Safe;
use crate::terminal::fit;

/// Writes lines to its output.
pub struct Line<W> {
    out: W,
    look: Look,
    /// Name, and whether its text was made here and may break lines.
    columns: Vec<(String, bool)>,
    width: usize,
    started: bool,
    rest: Rest,
}

impl<W: Write> Line<W> {
    /// A sink that writes rows of `schema` to `out`.
    pub fn new(out: W, schema: &SchemaRef, look: Look) -> Self {
        let column = |field: &arrow::datatypes::FieldRef| {
            (Safe(field.name()).to_string(), field.metadata().contains_key(functions::LINES))
        };
        let columns: Vec<_> = schema.fields().iter().map(column).collect();
        let width = columns.iter().map(|(name, _)| fit::columns(name)).max().unwrap_or(0);
        Line { out, look, columns, width, started: false, rest: Rest::new(look.rows) }
    }
}

impl<W: Write> Sink for Line<W> {
    fn rows(&mut self, batch: &RecordBatch) -> Result<()> {
        for row in 0..self.rest.take(batch.num_rows()) {
            if std::mem::replace(&mut self.started, true) {
                writeln!(self.out)?;
            }
            for (array, (name, lines)) in batch.columns().iter().zip(&self.columns) {
                let text = cell::text(array, row);
                let text = if *lines && is_harmless(&text) { text } else { Safe(&text).to_string() };
                let mut parts = text.lines();
                let indent = " ".repeat(self.width.saturating_sub(fit::columns(name)));
                writeln!(self.out, "{}", format!("{indent}{name} = {}", parts.next().unwrap_or_default()).trim_end())?;
                for part in parts {
                    writeln!(self.out, "{}   {part}", " ".repeat(self.width))?;
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.rest.say(&mut self.out, &self.look)?;
        Ok(self.out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn a_value_has_a_line() {
        let lines = [(functions::LINES.to_string(), "true".to_string())];
        let schema = Arc::new(Schema::new(vec![
            Field::new("seq", DataType::Int64, true),
            Field::new("dump", DataType::Utf8, true).with_metadata(lines.into()),
            Field::new("c\u{1b}", DataType::Utf8, true),
        ]));
        let batch = RecordBatch::try_new(
            schema.clone(),
            vec![
                Arc::new(Int64Array::from(vec![1, 2])),
                Arc::new(StringArray::from(vec!["00 a\n10 b", "00 c"])),
                Arc::new(StringArray::from(vec![Some("a\nb\u{1b}"), None])),
            ],
        );
        let mut out = Vec::new();
        let mut line = Line::new(&mut out, &schema, Look::default());
        line.rows(&batch.unwrap()).unwrap();
        line.finish().unwrap();
        drop(line);
        let wanted =
            "  seq = 1\n dump = 00 a\n        10 b\nc\\x1b = a\\nb\\x1b\n\n  seq = 2\n dump = 00 c\nc\\x1b =\n";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }
}
