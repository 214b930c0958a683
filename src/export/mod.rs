//! Formats for other programs: one file or folder each, behind one trait. An exporter sees one event after another, and knows nothing
//! of files or options. `command` is `vmtrace export`.

pub mod command;
pub mod csv;
pub mod ecs;
mod fields;
pub mod flow_table;
pub mod flows;
pub mod jsonl;
mod left_out;
pub mod ocsf;
pub mod pcapng;
pub mod perfetto;
mod sentence;
pub mod strace;
pub mod timesketch;
pub mod unmatched;

use anyhow::Result;

use crate::schema::reader::Capture;
use crate::schema::{Event, Manifest};

/// What is known of a capture before its events.
#[derive(Debug)]
pub struct Origin<'a> {
    /// What it is called.
    pub name: String,
    /// What it says about itself. Of a recording under way, what it says at its beginning.
    pub manifest: &'a Manifest,
    /// First and last `mono_ns`, where they are known.
    pub mono_span: Option<(i64, i64)>,
}

impl<'a> From<&'a Capture> for Origin<'a> {
    fn from(capture: &'a Capture) -> Self {
        let name = capture.path().display().to_string();
        Origin { name, manifest: capture.manifest(), mono_span: capture.mono_span() }
    }
}

/// A format. Errors are those of the output, unless a method names others.
pub trait Export {
    /// A capture begins.
    ///
    /// # Errors
    /// Also where it cannot stand behind those before it.
    fn capture(&mut self, origin: &Origin<'_>) -> Result<()>;
    /// One of its events.
    fn event(&mut self, event: &Event<'_>) -> Result<()>;
    /// Everything so far goes out.
    fn flush(&mut self) -> Result<()>;
    /// The last capture has ended.
    fn end(&mut self) -> Result<()> {
        self.flush()
    }
    /// Sentences about events that the format has no form for.
    fn left_out(&self) -> Vec<String> {
        Vec::new()
    }
}
