//! Writes a capture that is made from others.
//!
//! Owns the row groups, what is counted of their rows, and that the file gets its name only when it is whole. Which rows it gets, and
//! what its manifest says, is for the command that makes it.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};

use super::counts::Counts;
use crate::output::Whole;
use crate::schema::cell::Cell;
use crate::schema::group::EncodedGroup;
use crate::schema::limits::is_modest;
use crate::schema::manifest::{Clocks, Manifest};
use crate::schema::partial::PartialGroup;
use crate::schema::writer::CaptureFile;
use crate::schema::{BatchBuilder, Event};

/// A row group ends with so many bytes of text, each text counted in each row: a hostile capture may have long ones.
const TEXT: usize = 256 << 20;

/// A capture being written, which has no name yet.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    /// What gives it a name, if it will have one.
    whole: Option<Whole>,
    file: CaptureFile,
    builder: BatchBuilder,
    /// Bytes of text in it.
    text: usize,
    /// The latest of what the rows in it were given.
    clocks: Clocks,
    counts: Counts,
    last: Option<u64>,
}

impl Writer {
    /// Begins a capture that will be called `path`; `begin` is its manifest as far as it is known.
    ///
    /// # Errors
    /// When something has that name (and not `force`), or it cannot be created.
    pub fn create(path: &Path, force: bool, begin: &Manifest) -> Result<Self> {
        check_size(begin)?;
        let whole = Whole::create(path, force, 0o600)?;
        let file = whole.file().try_clone().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Writer { whole: Some(whole), ..Writer::into(path, file, begin)? })
    }

    /// Begins a capture in `file`, which gets no name; `path` is what errors call it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn into(path: &Path, file: File, begin: &Manifest) -> Result<Self> {
        check_size(begin)?;
        let file = CaptureFile::create(file, begin).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Writer {
            path: path.to_path_buf(),
            whole: None,
            file,
            builder: BatchBuilder::default(),
            text: 0,
            clocks: Clocks::default(),
            counts: Counts::default(),
            last: None,
        })
    }

    /// Adds a row. `clocks` are those of the row group that it is from.
    ///
    /// # Errors
    /// When its number is not above that of the row before, or the file cannot be written.
    pub fn push(&mut self, event: &Event<'_>, clocks: Clocks) -> Result<()> {
        self.follow(event.seq)?;
        self.counts.note(event)?;
        if clocks.monotonic_ns > self.clocks.monotonic_ns {
            self.clocks = clocks;
        }
        self.builder.push(event);
        event.cells(|_, cell| {
            if let Cell::Text(text) = cell {
                self.text = self.text.saturating_add(text.len());
            }
        });
        if self.builder.is_full() || self.text >= TEXT { self.flush() } else { Ok(()) }
    }

    /// Copies a row group as it is, whose rows were counted before.
    ///
    /// # Errors
    /// As for [`Writer::push`], or when `source` cannot be read, or is not what it was when `group` was found.
    pub fn adopt(&mut self, source: &File, group: &PartialGroup, counts: &Counts) -> Result<()> {
        self.flush()?;
        self.follow(group.seq.0)?;
        ensure!(group.seq.1 >= group.seq.0, "its rows are not in the order of their numbers");
        self.last = Some(group.seq.1);
        self.counts.add(counts)?;
        self.file.adopt(source, group).with_context(|| self.name())
    }

    fn follow(&mut self, seq: u64) -> Result<()> {
        if let Some(last) = self.last.replace(seq) {
            ensure!(seq > last, "row {seq} comes after row {last}: its rows are not in the order of their numbers");
        }
        Ok(())
    }

    /// Ends the row group.
    fn flush(&mut self) -> Result<()> {
        if self.builder.rows() == 0 {
            return Ok(());
        }
        self.text = 0;
        let batch = self.builder.take()?;
        let group = EncodedGroup::encode(batch).map_err(|e| anyhow!("{e}")).with_context(|| self.name())?;
        self.file.append(&group, self.clocks, &serde_json::Value::Null).with_context(|| self.name())
    }

    fn name(&self) -> String {
        format!("cannot write {}", self.path.display())
    }

    /// What is counted of the rows so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Ends the file with `manifest`, gives it its name, and returns its root digest.
    ///
    /// # Errors
    /// When it cannot be written, or something has that name by now. Nothing is left then.
    pub fn close(mut self, manifest: &Manifest) -> Result<String> {
        let root = self.finish(manifest)?;
        self.publish()?;
        Ok(root)
    }

    /// Ends the file with `manifest`, and returns its root digest. It has no name yet.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&mut self, manifest: &Manifest) -> Result<String> {
        check_size(manifest)?;
        self.flush()?;
        self.file.close(manifest).with_context(|| self.name())
    }

    /// Gives the file its name, if it is to have one.
    ///
    /// # Errors
    /// When something has that name by now. Nothing is left then.
    pub fn publish(self) -> Result<()> {
        self.whole.map_or(Ok(()), Whole::publish)
    }
}

/// A manifest that readers would refuse is not written.
fn check_size(manifest: &Manifest) -> Result<()> {
    let json = serde_json::to_vec(manifest)?;
    ensure!(is_modest(&json), "the manifest would be larger than any capture's: merge fewer files at once");
    Ok(())
}
