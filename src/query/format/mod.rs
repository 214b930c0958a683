//! The formats of results. A sink gets one batch of rows after another and does not depend on queries or files.

mod csv;
mod jsonl;
mod plain;
mod table;

use std::io::Write;

use anyhow::Result;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use clap::ValueEnum;

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns to read
    #[default]
    Table,
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
    /// Whether it is not for eyes.
    pub fn is_binary(self) -> bool {
        matches!(self, Format::Parquet | Format::Arrow)
    }

    /// A sink of this format that writes rows of `schema` to `out`.
    ///
    /// # Errors
    /// When the format has no way to hold them, or `out` fails.
    pub fn sink<'a>(self, out: Box<dyn Write + Send + 'a>, schema: &SchemaRef) -> Result<Box<dyn Sink + 'a>> {
        Ok(match self {
            Format::Table => Box::new(table::Table::new(out, schema)),
            Format::Csv => Box::new(csv::Csv::new(out, schema)?),
            Format::Jsonl => Box::new(jsonl::Jsonl::new(out)),
            Format::Parquet => Box::new(plain::Parquet::new(out, schema)?),
            Format::Arrow => Box::new(plain::Arrow::new(out, schema)?),
        })
    }
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
