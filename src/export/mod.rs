//! Formats for other programs: one file each, behind one trait. An exporter sees one event after another, and knows nothing of
//! files or options.

pub mod csv;
pub mod flow_table;
pub mod flows;
pub mod jsonl;

use anyhow::Result;

use crate::schema::Event;
use crate::schema::reader::Capture;

/// A format. Errors are those of the output.
pub trait Export {
    /// A capture begins.
    fn capture(&mut self, capture: &Capture) -> Result<()>;
    /// One of its events.
    fn event(&mut self, event: &Event<'_>) -> Result<()>;
    /// Everything so far goes out.
    fn flush(&mut self) -> Result<()>;
}
