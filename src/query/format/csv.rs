//! CSV: a header, one line per row, null as an empty field. Control characters in text are escaped as on a terminal,
//! and so is the backslash, so the original can be restored. Lists and structs are JSON.

use std::io::{self, Write};

use anyhow::Result;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::Sink;
use crate::query::cell;
use crate::terminal::escape::Safe;

/// Writes CSV to its output.
pub struct Csv<W: Write> {
    out: csv::Writer<W>,
}

impl<W: Write> Csv<W> {
    /// A sink that writes to `out`, the header at once.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: W, schema: &SchemaRef) -> Result<Self> {
        let mut out = csv::Writer::from_writer(out);
        out.write_record(schema.fields().iter().map(|f| Safe(f.name()).to_string())).map_err(plain)?;
        Ok(Csv { out })
    }
}

impl<W: Write> Sink for Csv<W> {
    fn rows(&mut self, batch: &RecordBatch) -> Result<()> {
        for row in 0..batch.num_rows() {
            let fields = batch.columns().iter().map(|column| Safe(&cell::text(column, row)).to_string());
            self.out.write_record(fields).map_err(plain)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

/// The io::Error within, so that a closed pipe is known for one.
fn plain(error: csv::Error) -> anyhow::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        kind => io::Error::other(format!("{kind:?}")).into(),
    }
}
