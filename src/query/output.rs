//! The destination of a result: stdout, or a file with mode 0600 that gets its name only when it is complete.

use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use arrow::datatypes::SchemaRef;

use super::format::{Format, Look, More, Sink};
use super::headers;
use crate::output::{self, Whole};
use crate::terminal::fit::stdout_columns;

/// Bytes gathered before they are written.
const BUFFER: usize = 1 << 16;
/// Rows that a terminal shows unasked.
const ROWS: usize = 40;

/// The form of results that people read, as asked for: nothing where it is left to the output, 0 for no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Form {
    /// The format.
    pub format: Format,
    /// Columns of a line.
    pub width: Option<usize>,
    /// Rows.
    pub rows: Option<usize>,
    /// Whether it is asked for at the prompt.
    pub at_prompt: bool,
}

impl Form {
    /// How much is shown: on a terminal, what has room.
    fn look(&self, to_terminal: bool) -> Look {
        let limit = |asked: Option<usize>, usual: Option<usize>| match asked {
            None => usual.filter(|_| to_terminal),
            asked => asked.filter(|limit| *limit > 0),
        };
        let more = match self.at_prompt {
            true => More { rows: ".rows 0 shows all", columns: ".mode line or .width 0 shows all" },
            false => More { rows: "--rows 0 shows all", columns: "-T line or --width 0 shows all" },
        };
        Look { width: limit(self.width, stdout_columns()), rows: limit(self.rows, Some(ROWS)), more }
    }
}

/// Reads columns of a line: 0 for no limit.
///
/// # Errors
/// Says what it may be.
pub fn parse_width(text: &str) -> Result<usize, String> {
    match text.parse::<u16>() {
        Ok(0) => Ok(0),
        Ok(width @ 40..=4_000) => Ok(width.into()),
        _ => Err("give 0 for whole lines, or 40 to 4000".to_string()),
    }
}

/// The place of one result.
pub struct Output {
    form: Form,
    file: Option<Whole>,
}

impl Output {
    /// The file `path`, or stdout where there is none.
    ///
    /// # Errors
    /// When the file exists and `force` is not given, when its directory cannot be written, or when the format is not for
    /// a terminal.
    pub fn new(path: Option<&Path>, force: bool, form: Form) -> Result<Self> {
        let Some(path) = path else {
            let unfit = form.format.is_binary() && std::io::stdout().is_terminal();
            ensure!(!unfit, "that format is not for a terminal: give -o OUT, or redirect stdout");
            return Ok(Output { form, file: None });
        };
        output::check_kind(path).map_err(|error| anyhow!("{error}, or leave it out for stdout"))?;
        Ok(Output { form, file: Some(Whole::create(path, force, 0o600)?) })
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
        let to_terminal = self.file.is_none() && std::io::stdout().is_terminal();
        self.form.format.sink(out, &headers::distinct(schema), self.form.look(to_terminal))
    }

    /// Gives a finished file its name.
    ///
    /// # Errors
    /// When something of that name has come up meanwhile, or the disk fails.
    pub fn publish(self) -> Result<()> {
        self.file.map_or(Ok(()), Whole::publish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_gets_less_unasked() {
        let look = |form: Form, to_terminal| {
            let Look { width, rows, .. } = form.look(to_terminal);
            (width, rows)
        };
        assert_eq!(look(Form::default(), false), (None, None));
        assert_eq!(look(Form::default(), true).1, Some(ROWS));
        let asked = Form { width: Some(99), rows: Some(3), ..Form::default() };
        assert_eq!([look(asked, false), look(asked, true)], [(Some(99), Some(3)); 2]);
        let all = Form { width: Some(0), rows: Some(0), ..Form::default() };
        assert_eq!([look(all, false), look(all, true)], [(None, None); 2]);
    }
}
