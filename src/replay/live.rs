//! The lines of `replay`, of a recording that is under way.

use std::io::BufWriter;

use anyhow::Result;

use super::Render;
use super::text::{Look, Text};
use crate::count::Count;
use crate::model::process::Processes;
use crate::model::select::View;
use crate::model::time::Notation;
use crate::schema::manifest::Manifest;
use crate::schema::{Event, EventBatch};
use crate::terminal::pager::Output;
use crate::terminal::{ColorWhen, fit};

/// Writes events to stdout as they come.
#[derive(Debug)]
pub struct Lines {
    text: Text,
    processes: Processes,
}

impl Lines {
    /// Nothing is written yet. On a terminal, lines fit it.
    pub fn new() -> Self {
        let out = BufWriter::with_capacity(1 << 16, Output::Plain(std::io::stdout().lock()));
        let look = Look {
            color: ColorWhen::default().on_stdout(),
            hexdump: false,
            time: Notation::default(),
            name_files: false,
            columns: fit::stdout_columns(),
            // A run would be shown when it ends.
            fold: false,
            snapshots: false,
        };
        Lines { text: Text::new(out, look), processes: Processes::default() }
    }

    /// A recording begins.
    pub fn begin(&mut self, manifest: &Manifest) {
        self.text.begin(&manifest.start);
    }

    /// Writes events.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn events(&mut self, batch: &EventBatch) -> Result<()> {
        batch.try_each(|event| self.event(event))?;
        self.text.flush()
    }

    fn event(&mut self, event: &Event<'_>) -> Result<()> {
        self.processes.note(event);
        self.text.event(event, View::Caller, &self.processes, u64::MAX).map(drop)
    }

    /// Says that events are not shown.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn left(&mut self, events: u64) -> Result<()> {
        let events = Count(events, "event is", "events are");
        self.text.remark(&format!("{events} not shown here, since the reader was too slow"))?;
        self.text.flush()
    }

    /// The recording has ended.
    ///
    /// # Errors
    /// When the last lines cannot be written.
    pub fn end(&mut self) -> Result<()> {
        self.text.end(&self.processes, u64::MAX)?;
        self.text.close()
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}
