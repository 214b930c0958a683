//! Reads captures into counts. Files of one recording are counted together.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::model::loss::Losses;
use crate::model::select::{CaptureFilter, Decision, Filter};
use crate::model::tally::{self, Tally};
use crate::schema::limits::Limits;
use crate::schema::manifest::{LedgerRow, Manifest};
use crate::schema::reader::{Capture, Scan};
use crate::schema::vocabulary::EndReason;
use crate::schema::{Event, EventBatch, EventKind};
use crate::terminal;

/// Columns of `lost` rows.
const OF_LOSSES: [&str; 4] = ["dur_ns", "lost_event", "lost_cause", "lost_count"];

/// Captures that are summarised together.
#[derive(Debug)]
pub struct Group {
    capture_id: String,
    /// Each with its number in the recording, if it has one.
    files: Vec<(Option<u64>, PathBuf)>,
}

impl Group {
    /// The files, in the order of the recording.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(_, path)| path.as_path())
    }
}

/// Captures by recording, in the order in which they were given; and whether one could not be opened, which has been reported.
pub fn groups(paths: &[PathBuf], limits: Limits) -> (Vec<Group>, bool) {
    if let [only] = paths {
        return (vec![Group { capture_id: String::new(), files: vec![(None, only.clone())] }], false);
    }
    let mut groups: Vec<Group> = Vec::new();
    let mut failed = false;
    for path in paths {
        // Not kept open: there may be any number of files, and a footer may be large.
        match Capture::open_within(path, limits) {
            Ok(capture) => add(&mut groups, path, capture.manifest()),
            Err(error) => {
                terminal::report(&error);
                failed = true;
            }
        }
    }
    for group in &mut groups {
        group.files.sort_by_key(|(index, _)| *index);
    }
    (groups, failed)
}

/// Adds a file to the files of its recording. One that is given twice is a recording of its own: nothing counts twice.
fn add(groups: &mut Vec<Group>, path: &Path, manifest: &Manifest) {
    let index = manifest.segment.as_ref().map(|segment| segment.index);
    let takes = |group: &&mut Group| {
        index.is_some()
            && group.capture_id == manifest.capture_id
            && group.files.iter().all(|(other, _)| other.is_some() && *other != index)
    };
    match groups.iter_mut().find(takes) {
        Some(group) => group.files.push((index, path.to_path_buf())),
        None => {
            let capture_id = manifest.capture_id.clone();
            groups.push(Group { capture_id, files: vec![(index, path.to_path_buf())] });
        }
    }
}

/// What is known of one recording, or of the files of it that were given.
#[derive(Debug)]
pub struct Report {
    /// The files, in the order of the recording.
    pub files: Vec<PathBuf>,
    /// The manifest of the first.
    pub manifest: Manifest,
    /// Rows in the files.
    pub rows: u64,
    /// Rows that were selected.
    pub matched: u64,
    /// What the ledgers count, of all files in one row.
    pub total: LedgerRow,
    /// Whether the ledgers balance, and count as many rows as there are.
    pub balances: bool,
    /// Whether what else was seen is not known, since the journal was incomplete.
    pub ledger_from_rows: bool,
    /// Losses, whatever is selected.
    pub losses: Losses,
    /// The counts of the selected events.
    pub tally: Tally,
    /// Numbers of the files of the recording.
    pub segments: Vec<u64>,
    /// Whether the recording went on in another file.
    pub goes_on: bool,
}

impl Report {
    /// Counts the events of `group` that `filter` selects.
    ///
    /// # Errors
    /// When a file cannot be read to its end: counts of a part would pass for those of the whole.
    pub fn of(group: &Group, filter: &Filter, limits: Limits) -> Result<Self> {
        let mut report: Option<Report> = None;
        for (_, path) in &group.files {
            let capture = Capture::open_within(path, limits)?;
            let report = report.get_or_insert_with(|| Report::begin(capture.manifest()));
            report.add(&capture, &filter.on(&capture.manifest().start))?;
        }
        report.context("no file was given")
    }

    fn begin(manifest: &Manifest) -> Self {
        Report {
            files: Vec::new(),
            manifest: manifest.clone(),
            rows: 0,
            matched: 0,
            total: LedgerRow::default(),
            balances: true,
            ledger_from_rows: false,
            losses: Losses::default(),
            tally: Tally::default(),
            segments: Vec::new(),
            goes_on: false,
        }
    }

    fn add(&mut self, capture: &Capture, filter: &CaptureFilter<'_>) -> Result<()> {
        let manifest = capture.manifest();
        self.files.push(capture.path().to_path_buf());
        self.rows = self.rows.saturating_add(capture.rows());
        let written = LedgerRow::total(&manifest.ledger).written;
        self.balances &= written == capture.rows() && manifest.ledger.iter().all(LedgerRow::balances);
        self.total = LedgerRow::total(&[self.total.clone(), LedgerRow::total(&manifest.ledger)]);
        self.ledger_from_rows |= manifest.ledger_from_rows;
        self.losses.count(&manifest.ledger);
        self.segments.extend(manifest.segment.as_ref().map(|segment| segment.index));
        self.goes_on = EndReason::Rotated.is(&manifest.end_reason);
        let columns = columns(filter);
        each(capture, &Scan { columns, ..filter.scan().clone() }, |batch| {
            batch.iter().for_each(|event| self.note(&event, filter));
            Ok(())
        })
    }

    fn note(&mut self, event: &Event<'_>, filter: &CaptureFilter<'_>) {
        let decision = filter.decide(event);
        if decision == Decision::Skip {
            return;
        }
        if event.event == EventKind::Lost.name() {
            self.losses.note(event);
        } else {
            self.tally.note(event);
        }
        self.matched += u64::from(decision != Decision::Gap);
    }

    /// Since the start of the recording, ns.
    pub fn since_start(&self, mono_ns: i64) -> i64 {
        mono_ns.saturating_sub(self.manifest.start.monotonic_ns)
    }

    /// Numbers of files of the recording that are not among these, as far as it is known that there are any.
    pub fn missing(&self) -> Vec<RangeInclusive<u64>> {
        let mut next = 1;
        let mut missing = Vec::new();
        for index in self.segments.iter().copied() {
            if index > next {
                missing.push(next..=index - 1);
            }
            next = index.saturating_add(1);
        }
        missing
    }
}

/// What must be read: what is counted, what is selected by, and what losses consist of.
fn columns(filter: &CaptureFilter<'_>) -> Vec<&'static str> {
    let mut columns = filter.columns();
    columns.extend(tally::COLUMNS);
    columns.extend(OF_LOSSES);
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// Gives `take` one batch of events after another, until it fails. One is decoded while one is taken: a batch may be large.
///
/// # Errors
/// When the capture cannot be read, and those of `take`.
pub fn each(capture: &Capture, scan: &Scan, mut take: impl FnMut(&EventBatch) -> Result<()>) -> Result<()> {
    let batches = capture.scan(scan)?;
    std::thread::scope(|scope| {
        // The thread ends with the receiver.
        let (send, taken) = std::sync::mpsc::sync_channel(0);
        let decode = move || batches.into_iter().map_while(|batch| send.send(batch).ok()).for_each(drop);
        std::thread::Builder::new().spawn_scoped(scope, decode).context("cannot start a thread to decode with")?;
        for batch in taken {
            take(&batch?)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::manifest::Segment;

    fn manifest(capture_id: &str, index: Option<u64>) -> Manifest {
        let segment = index.map(|index| Segment { index, ..Segment::default() });
        Manifest { capture_id: capture_id.into(), segment, ..Manifest::default() }
    }

    #[test]
    fn files_of_one_recording_are_counted_together_and_none_twice() {
        let mut groups = Vec::new();
        let given = [("a", Some(2)), ("b", None), ("a", Some(1)), ("a", Some(2)), ("b", None), ("b", Some(1))];
        for (id, index) in given {
            add(&mut groups, Path::new(id), &manifest(id, index));
        }
        let indexes: Vec<Vec<_>> = groups.iter().map(|g| g.files.iter().map(|(index, _)| *index).collect()).collect();
        let wanted = [vec![Some(2), Some(1)], vec![None], vec![Some(2)], vec![None], vec![Some(1)]];
        assert_eq!(indexes, wanted);
    }

    #[test]
    fn files_that_are_not_given_are_known_by_their_numbers() {
        let missing = |segments: &[u64]| {
            let report = Report { segments: segments.to_vec(), ..Report::begin(&manifest("a", None)) };
            report.missing()
        };
        assert_eq!(missing(&[]), []);
        assert_eq!(missing(&[1, 2]), []);
        assert_eq!(missing(&[3, 6, 7]), [1..=2, 4..=5]);
        assert_eq!(missing(&[0, u64::MAX]), [1..=u64::MAX - 1]);
    }
}
