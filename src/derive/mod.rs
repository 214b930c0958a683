//! Captures that are made from captures: `vmtrace slice`, `vmtrace merge` and `vmtrace redact`. Offline, without privileges.
//!
//! Data flows one way: files → the files of one recording, in order (`recording`) → the rows that are taken → `writer`. A row keeps its
//! number. The manifest says what the capture was made from, and its ledger what was left out.

mod counts;
mod hosts;
pub mod merge;
mod recording;
pub mod redact;
mod rows;
pub mod slice;
mod source;
mod stated;
mod stream;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Result;

use self::recording::Recording;
use self::writer::Writer;
use crate::count;
use crate::schema::Manifest;
use crate::schema::derived::{Derivation, Source};
use crate::schema::manifest::{LedgerRow, Tool};
use crate::terminal;

/// Where a derived capture goes.
#[derive(Debug, clap::Args)]
pub struct Target {
    /// The capture to write, which is named when it is complete
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Replace that file if it exists
    #[arg(long)]
    force: bool,
}

impl Target {
    /// The file to write.
    fn path(&self) -> &Path {
        &self.output
    }
}

/// A derived capture on its way: what it is made from, and the file.
struct Deriving<'a> {
    recording: &'a Recording,
    /// The manifest as far as it is known.
    manifest: Manifest,
    writer: Writer,
}

impl<'a> Deriving<'a> {
    /// Begins the file that `command` makes of `recording`.
    fn begin(command: &str, recording: &'a Recording, target: &Target) -> Result<Self> {
        let argv = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        let (manifest, begin) = manifests(command, argv, recording);
        let writer = Writer::create(target.path(), target.force, &begin)?;
        Ok(Deriving { recording, manifest, writer })
    }

    /// The same in a file that gets no name: `name` is what errors call it, and `argv` what made it.
    fn into(command: &str, argv: &[&str], recording: &'a Recording, name: &Path, file: File) -> Result<Self> {
        let argv = argv.iter().map(ToString::to_string).collect();
        let (manifest, begin) = manifests(command, argv, recording);
        let writer = Writer::into(name, file, &begin)?;
        Ok(Deriving { recording, manifest, writer })
    }

    /// Ends the file. `taken` are the rows taken of each source, `left_out` words for the others. Returns how many rows are in it,
    /// and its root digest.
    fn finish(mut self, taken: &[u64], left_out: &str) -> Result<(u64, String)> {
        self.manifest.ledger = self.recording.ledger(self.writer.counts())?;
        for part in &mut self.manifest.hosts {
            part.manifest.ledger = self.recording.ledger_of_host(&part.host, self.writer.counts())?;
        }
        // What is said of the hosts that have rows, as one.
        self.manifest.join_hosts();
        let missing = LedgerRow::total(&self.manifest.ledger).left_out;
        if let Some(step) = self.manifest.derived_from.last_mut() {
            let sources = self.recording.sources().zip(taken).map(|(of, taken)| Source { taken: *taken, ..of });
            step.sources = self.recording.as_given(sources);
            step.left_out =
                if missing > 0 { vec![format!("{} {left_out}", count::events(missing))] } else { Vec::new() };
        }
        let rows = self.writer.counts().rows();
        Ok((rows, self.writer.close(&self.manifest)?))
    }

    /// The same, and says what is in the file.
    fn end(self, target: &Target, taken: &[u64], left_out: &str) -> Result<()> {
        let all = self.recording.rows();
        let (rows, root) = self.finish(taken, left_out)?;
        let name = target.path().display();
        terminal::say_line(format_args!(
            "{name}: {} of {}, root digest {root}",
            count::grouped(rows),
            count::rows(all)
        ));
        Ok(())
    }
}

/// The manifest of what `command` makes of `recording` as far as it is known, and as the file begins with.
fn manifests(command: &str, argv: Vec<String>, recording: &Recording) -> (Manifest, Manifest) {
    let mut manifest = recording.manifest();
    let step = Derivation { command: command.into(), argv, tool: tool(), ..Derivation::default() };
    manifest.derived_from.push(step);
    let begin = beginning(&manifest);
    (manifest, begin)
}

/// What a file begins with that ends with `manifest`: nothing is counted yet.
fn beginning(manifest: &Manifest) -> Manifest {
    let mut begin = Manifest { ledger: Vec::new(), ..manifest.clone() };
    begin.hosts.iter_mut().for_each(|part| part.manifest.ledger.clear());
    begin
}

/// This program.
fn tool() -> Tool {
    Tool {
        name: "vmtrace".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        git: env!("VMTRACE_GIT").into(),
        ..Tool::default()
    }
}
