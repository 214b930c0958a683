//! JSON lines with the classes of the Open Cybersecurity Schema Framework: Memory Activity for calls on another process, Process
//! Activity for the life of processes, the base event for losses. Calls on pipes and files alone have no class there.

mod attack;
mod fields;

use std::io::Write;

use anyhow::Result;

use super::fields::{Field, Origins, Row, object};
use super::left_out::LeftOut;
use super::sentence::sentence;
use super::{Export, Origin};
use crate::schema::Event;
use crate::terminal::json_line;

/// Writes JSON lines to `out`.
#[derive(Debug)]
pub struct Ocsf<W> {
    out: W,
    origins: Origins,
    message: String,
    left_out: LeftOut,
}

impl<W: Write> Ocsf<W> {
    /// An exporter that writes to `out`.
    pub fn new(out: W) -> Self {
        Ocsf { out, origins: Origins::default(), message: String::new(), left_out: LeftOut::default() }
    }
}

impl<W: Write> Export for Ocsf<W> {
    fn capture(&mut self, origin: &Origin<'_>) -> Result<()> {
        self.origins = Origins::of(origin.manifest);
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>) -> Result<()> {
        let Some(class) = fields::class_of(event) else {
            self.left_out.note(event);
            return Ok(());
        };
        self.message.clear();
        sentence(&mut self.message, event);
        let row = Row { event, spec: event.spec(), facts: self.origins.get(event), message: &self.message };
        Ok(json_line(&mut self.out, &object(fields::tables(class), &row))?)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }

    fn left_out(&self) -> Vec<String> {
        self.left_out.sentences("ocsf")
    }
}

/// The fields and what they are made of, as docs/export.md lists them; those of a class behind those of all.
pub fn mapping() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let of_class = |(class, table): (&'static str, &'static [Field])| {
        table.iter().map(move |field| (class, field.path, field.from))
    };
    fields::NAMED.into_iter().flat_map(of_class)
}
