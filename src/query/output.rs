//! The destination of a result: stdout, or a file with mode 0600 that gets its name only when it is complete.

use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use arrow::datatypes::SchemaRef;

use super::format::{Format, Sink};
use crate::output::{self, Whole};

/// Bytes gathered before they are written.
const BUFFER: usize = 1 << 16;

/// The place of one result.
pub struct Output {
    format: Format,
    file: Option<Whole>,
}

impl Output {
    /// The file `path`, or stdout where there is none.
    ///
    /// # Errors
    /// When the file exists and `force` is not given, when its directory cannot be written, or when the format is not for
    /// a terminal.
    pub fn new(path: Option<&Path>, force: bool, format: Format) -> Result<Self> {
        let Some(path) = path else {
            let unfit = format.is_binary() && std::io::stdout().is_terminal();
            ensure!(!unfit, "that format is not for a terminal: give -o OUT, or redirect stdout");
            return Ok(Output { format, file: None });
        };
        output::check_kind(path).map_err(|error| anyhow!("{error}, or leave it out for stdout"))?;
        Ok(Output { format, file: Some(Whole::create(path, force, 0o600)?) })
    }

    /// A sink for rows of `schema`.
    ///
    /// # Errors
    /// When the format cannot hold them.
    pub fn sink(&self, schema: &SchemaRef) -> Result<Box<dyn Sink + '_>> {
        let out: Box<dyn Write + Send> = match &self.file {
            Some(whole) => Box::new(BufWriter::with_capacity(BUFFER, whole.file())),
            None => Box::new(BufWriter::with_capacity(BUFFER, std::io::stdout())),
        };
        self.format.sink(out, schema)
    }

    /// Gives a finished file its name.
    ///
    /// # Errors
    /// When something of that name has come up meanwhile, or the disk fails.
    pub fn publish(self) -> Result<()> {
        self.file.map_or(Ok(()), Whole::publish)
    }
}
