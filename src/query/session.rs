//! An engine and how its results are to be written: what the command line and the prompt share.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};

use super::engine::Engine;
use super::output::{Form, Output};
use super::run::{self, Outcome};
use crate::terminal::status;

/// An engine and how its results are to be written.
pub struct Session {
    /// The engine.
    pub engine: Engine,
    /// The file for the result, if not stdout.
    pub output: Option<PathBuf>,
    /// Whether that file is replaced.
    pub force: bool,
    /// Whether it is shown how a statement ran, not its rows.
    pub explain: bool,
    /// The form of results.
    pub form: Form,
}

impl Session {
    /// Runs the statements of `text`; returns the exit status.
    ///
    /// # Errors
    /// Those of the SQL, the captures and the output; ^C.
    pub fn script(&mut self, text: &str) -> Result<u8> {
        let statements = self.engine.parse(text)?;
        ensure!(!statements.is_empty(), "there is no SQL to run");
        let one = statements.len() == 1;
        ensure!(one || self.output.is_none(), "-o takes one statement; there are {}", statements.len());
        let mut rows = false;
        for statement in statements {
            let output = Output::new(self.output.as_deref(), self.force, self.form)?;
            match run::statement(&self.engine, statement, text, output, self.explain)? {
                Outcome::Rows(count) => rows |= count > 0,
                Outcome::Cancelled => bail!("cancelled"),
            }
        }
        Ok(if rows { status::OK } else { status::NO_MATCH })
    }
}
