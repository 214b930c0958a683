//! JSON lines with the fields of the Elastic Common Schema. The table in `fields` is all that knows their names.

mod fields;

use std::io::Write;

use anyhow::Result;

use super::fields::{Origins, Row, object};
use super::sentence::sentence;
use super::{Export, Origin};
use crate::schema::Event;
use crate::terminal::json_line;

/// Writes JSON lines to `out`.
#[derive(Debug)]
pub struct Ecs<W> {
    out: W,
    origins: Origins,
    message: String,
}

impl<W: Write> Ecs<W> {
    /// An exporter that writes to `out`.
    pub fn new(out: W) -> Self {
        Ecs { out, origins: Origins::default(), message: String::new() }
    }
}

impl<W: Write> Export for Ecs<W> {
    fn capture(&mut self, origin: &Origin<'_>) -> Result<()> {
        self.origins = Origins::of(origin.manifest);
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>) -> Result<()> {
        self.message.clear();
        sentence(&mut self.message, event);
        let row = Row { event, spec: event.spec(), facts: self.origins.get(event), message: &self.message };
        Ok(json_line(&mut self.out, &object(fields::TABLES, &row))?)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

/// The fields and what they are made of, as docs/export.md lists them.
pub fn mapping() -> impl Iterator<Item = (&'static str, &'static str)> {
    fields::TABLES.into_iter().flatten().map(|field| (field.path, field.from))
}
