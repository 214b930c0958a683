//! The formats of results. A sink gets one batch of rows after another and does not depend on queries or files.

mod csv;
mod fitted;
mod jsonl;
mod layout;
mod line;
mod plain;
mod shorten;
mod table;

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use clap::ValueEnum;

use crate::count::Count;
use crate::terminal::fit;

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns to read
    #[default]
    Table,
    /// A line per value, for wide rows
    Line,
    /// Comma-separated values with a header
    Csv,
    /// One JSON object per row
    Jsonl,
    /// A Parquet file
    Parquet,
    /// An Arrow IPC file (Feather version 2)
    Arrow,
}

impl Format {
    /// The format of which files have the ending of `path`, if there is one. What ends otherwise is for eyes.
    pub fn of_ending(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "csv" => Some(Format::Csv),
            "jsonl" => Some(Format::Jsonl),
            "parquet" => Some(Format::Parquet),
            "arrow" => Some(Format::Arrow),
            _ => None,
        }
    }

    /// Whether it is not for eyes.
    pub fn is_binary(self) -> bool {
        matches!(self, Format::Parquet | Format::Arrow)
    }

    /// A sink of this format that writes rows of `schema` to `out`.
    ///
    /// # Errors
    /// When the format has no way to hold them, or `out` fails.
    pub fn sink<'a>(
        self,
        out: Box<dyn Write + Send + 'a>,
        schema: &SchemaRef,
        look: Look,
    ) -> Result<Box<dyn Sink + 'a>> {
        Ok(match (self, look) {
            (Format::Table, Look { width: None, rows: None, .. }) => Box::new(table::Table::new(out, schema)),
            (Format::Table, _) => Box::new(fitted::Fitted::new(out, schema, look)),
            (Format::Line, _) => Box::new(line::Line::new(out, schema, look)),
            (Format::Csv, _) => Box::new(csv::Csv::new(out, schema)?),
            (Format::Jsonl, _) => Box::new(jsonl::Jsonl::new(out, schema)),
            (Format::Parquet, _) => Box::new(plain::Parquet::new(out, schema)?),
            (Format::Arrow, _) => Box::new(plain::Arrow::new(out, schema)?),
        })
    }
}

/// How much of a result a table shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// Columns of a line, if there is a limit.
    pub width: Option<usize>,
    /// Rows at most, if there is a limit.
    pub rows: Option<usize>,
    /// How the reader gets more.
    pub more: More,
}

/// What to say to those who want to see what is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct More {
    /// How all rows are shown.
    pub rows: &'static str,
    /// How whole values and all columns are shown.
    pub columns: &'static str,
}

/// Counts rows up to a limit, and those beyond it.
#[derive(Debug)]
struct Rest {
    room: usize,
    beyond: u64,
}

impl Rest {
    fn new(limit: Option<usize>) -> Self {
        Rest { room: limit.unwrap_or(usize::MAX), beyond: 0 }
    }

    /// How many of `rows` that come next are shown.
    fn take(&mut self, rows: usize) -> usize {
        let shown = rows.min(self.room);
        self.room -= shown;
        self.beyond = self.beyond.saturating_add((rows - shown) as u64);
        shown
    }

    fn is_full(&self) -> bool {
        self.room == 0
    }

    /// Says how many rows were not shown.
    fn say(&self, out: &mut impl Write, look: &Look) -> Result<()> {
        if self.beyond > 0 {
            let beyond = Count(self.beyond, "more row", "more rows").to_string();
            note(out, &beyond, look.more.rows, look.width)?;
        }
        Ok(())
    }
}

/// Writes a line about what is left out, and how to see it; two where one is too long.
fn note(out: &mut impl Write, what: &str, how: &str, width: Option<usize>) -> Result<()> {
    let line = format!("{} {what}: {how}", shorten::GAP);
    match width {
        Some(width) if !fit::fits(&line, width) => writeln!(out, "{} {what}:\n  {how}", shorten::GAP)?,
        _ => writeln!(out, "{line}")?,
    }
    Ok(())
}

/// Where rows go.
pub trait Sink {
    /// Takes some rows.
    ///
    /// # Errors
    /// Those of the output.
    fn rows(&mut self, batch: &RecordBatch) -> Result<()>;
    /// Ends the result.
    ///
    /// # Errors
    /// Those of the output.
    fn finish(&mut self) -> Result<()>;
}
