//! A capture that rows are taken from. What is read of it is compared with its digests first.

use std::cell::RefCell;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::counts::{COLUMNS, Counts};
use super::stated;
use crate::count;
use crate::schema::derived;
use crate::schema::limits::Limits;
use crate::schema::manifest::{Clocks, LedgerRow, Manifest};
use crate::schema::partial::{Frames, PartialGroup};
use crate::schema::reader::Capture;

/// Such a capture.
#[derive(Debug)]
pub struct Source {
    /// The file.
    pub capture: Capture,
    /// Where its row groups are; `None` of a capture that has no digests.
    frames: Option<Frames>,
    /// Row groups that have been compared, each as it can be copied, if it can.
    compared: RefCell<Vec<Option<Option<PartialGroup>>>>,
}

impl Source {
    /// Opens a capture, which must not be the file that is called `output`.
    ///
    /// # Errors
    /// When it cannot be opened, is that file, or contradicts itself.
    pub fn open(path: &Path, limits: Limits, output: &Path) -> Result<Self> {
        let capture = Capture::open_within(path, limits)?;
        let name = capture.path().display().to_string();
        let of = |found: std::fs::Metadata| (found.dev(), found.ino());
        let own = capture.file().metadata().with_context(|| name.clone())?;
        let is_output = output.symlink_metadata().is_ok_and(|found| of(found) == of(own));
        ensure!(!is_output, "{} is one of the files that are read: choose another -o", output.display());
        stated::check([capture.manifest()]).with_context(|| name.clone())?;
        if let Some(wrong) = wrong_ledger(&capture) {
            bail!("{name}: {wrong}: `vmtrace verify {name}` says more");
        }
        let frames = match capture.chain() {
            Some(_) => Some(frames(&capture).with_context(|| format!("{name} is damaged"))?),
            None => None,
        };
        let compared = RefCell::new(vec![None; capture.row_group_count()]);
        Ok(Source { capture, frames, compared })
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        self.capture.manifest()
    }

    /// Its name, as an error has it.
    pub fn name(&self) -> String {
        self.capture.path().display().to_string()
    }

    /// How it is named in a manifest.
    pub fn described(&self) -> derived::Source {
        let path = self.capture.path();
        let file = path.file_name().unwrap_or(path.as_os_str());
        derived::Source {
            file: file.to_string_lossy().into_owned(),
            root: self.capture.root().map(str::to_string),
            capture_id: self.manifest().capture_id.clone(),
            rows: self.capture.rows(),
            taken: 0,
        }
    }

    /// When row group `index` was written.
    pub fn clocks(&self, index: usize) -> Clocks {
        let link = self.capture.chain().and_then(|chain| chain.groups.get(index));
        link.map(|link| link.clocks).unwrap_or_default()
    }

    /// Compares row group `index` with its digest, unless that was done. Returns it as it can be copied, if it can.
    ///
    /// # Errors
    /// When its bytes are not those that were digested.
    pub fn compare(&self, index: usize) -> Result<Option<PartialGroup>> {
        let known = self.compared.borrow().get(index).cloned().flatten();
        if let Some(known) = known {
            return Ok(known);
        }
        let found = self
            .whole(index)
            .with_context(|| format!("{}: row group {index} is damaged: nothing was written", self.name()))?;
        if let Some(place) = self.compared.borrow_mut().get_mut(index) {
            *place = Some(found.clone());
        }
        Ok(found)
    }

    fn whole(&self, index: usize) -> Result<Option<PartialGroup>> {
        let Some(frames) = &self.frames else { return Ok(None) };
        let (body, rows, group) = frames.whole(self.capture.file(), index)?;
        let (stated, columns) = self.capture.row_group(index).context("it is missing")?;
        ensure!(rows == stated, "it has {}, and the footer says {stated}", count::rows(rows));
        ensure!(columns.start >= body.start && columns.end <= body.end, "it is not where the footer says");
        Ok(group)
    }

    /// Counts all rows of row group `index`, whose numbers must ascend.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn count(&self, index: usize) -> Result<Counts> {
        let mut counts = Counts::default();
        let mut last: Option<u64> = None;
        let columns = COLUMNS.iter().copied().chain(["seq"]).collect();
        for batch in self.capture.group(index, columns, None)? {
            for event in batch?.iter() {
                let follows = last.replace(event.seq).is_none_or(|last| last < event.seq);
                ensure!(follows, "{}: row group {index}: its rows are not in the order of their numbers", self.name());
                counts.note(&event).with_context(|| self.name())?;
            }
        }
        Ok(counts)
    }
}

/// The frames of its row groups.
fn frames(capture: &Capture) -> Result<Frames> {
    let frames = Frames::of(capture.file())?;
    let groups = capture.row_group_count();
    ensure!(
        frames.count() == groups,
        "{} in the footer, and {} between it and the start",
        count::row_groups(groups),
        frames.count()
    );
    Ok(frames)
}

/// What is wrong with its ledger. One that does not fit would not fit what is made of the capture, either, and nobody knew why.
fn wrong_ledger(capture: &Capture) -> Option<String> {
    let ledger = &capture.manifest().ledger;
    if let Some(wrong) = ledger.iter().find_map(LedgerRow::imbalance) {
        return Some(format!("its ledger does not balance: {wrong}"));
    }
    let (rows, written) = (capture.rows(), LedgerRow::total(ledger).written);
    (rows != written).then(|| format!("it holds {}, and its ledger counts {written}", count::rows(rows)))
}
