//! Several files of one recording: whether each follows the one before, and whether one is missing between them.
//!
//! Owns what is compared between files. What is within them is for the other checks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::report::{FindingKind, Report};
use crate::schema::limits::Limits;
use crate::schema::manifest::{LedgerRow, Segment};
use crate::schema::quote::quoted;
use crate::schema::reader::Capture;
use crate::schema::vocabulary::EndReason;

/// What is kept of each file, as it states it.
#[derive(Debug)]
pub struct FileFacts {
    path: PathBuf,
    root: Option<String>,
    capture_id: String,
    segment: Option<Segment>,
    rows: u64,
    went_on: bool,
    forgotten: bool,
    ledger: Vec<LedgerRow>,
    ledger_from_rows: bool,
    /// Whether it was made from others: its digest is no link to them.
    derived: bool,
}

impl FileFacts {
    /// What the footer of `path` states, if that can be read.
    pub fn of(path: &Path, limits: Limits) -> Option<Self> {
        let capture = Capture::open_within(path, limits).ok()?;
        let manifest = capture.manifest();
        Some(FileFacts {
            path: path.to_path_buf(),
            root: capture.root().map(str::to_string),
            capture_id: manifest.capture_id.clone(),
            segment: manifest.segment.clone(),
            rows: capture.rows(),
            went_on: EndReason::Rotated.is(&manifest.end_reason),
            forgotten: manifest.ledger.iter().any(|row| row.forgotten > 0),
            ledger: manifest.ledger.clone(),
            ledger_from_rows: manifest.ledger_from_rows,
            derived: !manifest.derived_from.is_empty(),
        })
    }

    /// Whether it is, or was made from, the file of the recording with this number.
    fn holds(&self, number: u64) -> bool {
        self.segment.as_ref().is_none_or(|segment| (segment.index..=segment.last()).contains(&number))
    }

    fn index(&self) -> u64 {
        self.segment.as_ref().map_or(0, |segment| segment.index)
    }
}

/// Compares the file of `report`, which is `this`, with the others.
pub fn check(this: &FileFacts, all: &[Option<FileFacts>], report: &mut Report) {
    let Some(segment) = &this.segment else { return };
    if this.derived {
        return check_derived(this, segment, all, report);
    }
    let is_other =
        |other: &&FileFacts| other.capture_id == this.capture_id && other.index() != segment.index && !other.derived;
    let others = || all.iter().flatten().filter(is_other);
    if this.went_on && !others().any(|other| other.index() == segment.index.saturating_add(1)) {
        // A single file may be checked alone; if several are given, the last ones are missing.
        let kind = if others().next().is_some() { FindingKind::Loss } else { FindingKind::Note };
        report.add(kind, "the recording continued in another file, which is not given");
    }
    let Some(root) = &segment.previous_root else {
        if segment.index > 1 {
            report.add(
                FindingKind::Contradiction,
                format!("is file {} of its recording and names none before", segment.index),
            );
        }
        return;
    };
    if let Some(previous) = all.iter().flatten().find(|other| other.root.as_ref() == Some(root)) {
        report.follows = Some(previous.path.display().to_string());
        return follows(this, segment, previous, report);
    }
    let before = segment.index.saturating_sub(1);
    let name = segment.previous_file.as_deref().map_or("its name is not known".into(), quoted);
    let root = quoted(root);
    if let Some(previous) = others().find(|other| other.index() == before) {
        let path = previous.path.display();
        report.add(
            FindingKind::Altered,
            format!("follows a file with the root digest {root}, which {path} does not have"),
        );
    } else if others().any(|other| other.index() < before) {
        report.add(FindingKind::Loss, format!("file {before} of the recording ({name}) is not among those given"));
    } else {
        report.add(
            FindingKind::Note,
            format!("file {before} of the recording ({name}), root digest {root}, is not given"),
        );
    }
}

/// A derived file is not linked to others by digests, and its number is that of the file that it was made from.
fn check_derived(this: &FileFacts, segment: &Segment, all: &[Option<FileFacts>], report: &mut Report) {
    let (first, last) = (segment.index, segment.last());
    let of_recording = || all.iter().flatten().filter(|other| other.capture_id == this.capture_id);
    let is_given = |number: u64| of_recording().any(|other| other.holds(number));
    let kind = |is_between: bool| if is_between { FindingKind::Loss } else { FindingKind::Note };
    if this.went_on && !is_given(last.saturating_add(1)) {
        // As of recorded files: if several are given, the last ones are missing.
        let others = of_recording().any(|other| other.index() != first);
        let text = if others { "which is not given" } else { "which is not part of it" };
        report.add(kind(others), format!("the recording continued in another file, {text}"));
    }
    let before = first.saturating_sub(1);
    if before > 0 && !is_given(before) {
        let earlier = of_recording().any(|other| other.index() < before);
        let text = if earlier { "is not among those given" } else { "is not given" };
        report.add(kind(earlier), format!("file {before} of the recording {text}"));
    }
}

/// Row numbers and the ledger continue where the file before ended.
fn follows(this: &FileFacts, segment: &Segment, previous: &FileFacts, report: &mut Report) {
    let first = previous.segment.as_ref().map_or(0, |segment| segment.first_seq);
    let next = first.saturating_add(previous.rows);
    let forgot = this.forgotten && segment.first_seq > next;
    if segment.first_seq != next && !forgot {
        let text = format!("begins with row {}, the file before ends before row {next}", segment.first_seq);
        report.add(FindingKind::Contradiction, text);
    }
    let carried = |ledger: &[LedgerRow], count: fn(&LedgerRow) -> u64| -> BTreeMap<String, u64> {
        ledger.iter().filter(|row| count(row) > 0).map(|row| (row.event.clone(), count(row))).collect()
    };
    // The check of that file reports it.
    if !this.ledger_from_rows
        && carried(&this.ledger, |row| row.carried_in) != carried(&previous.ledger, |row| row.carried_out)
    {
        report.add(FindingKind::Contradiction, "what the file before carries over is not what this one takes over");
    }
}
