//! Reads captures into counts. Files of one recording are counted together.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::model::loss::Losses;
use crate::model::reading;
use crate::model::recording::{self, Recording};
use crate::model::select::{CaptureFilter, Decision, Filter};
use crate::model::tally::{self, Runs, Tally};
use crate::sandbox::descriptors;
use crate::schema::limits::Limits;
use crate::schema::manifest::{LedgerRow, Manifest};
use crate::schema::reader::{Capture, Scan};
use crate::schema::vocabulary::EndReason;
use crate::schema::{Event, EventKind};

/// Columns of `lost` rows.
const OF_LOSSES: [&str; 4] = ["dur_ns", "lost_event", "lost_cause", "lost_count"];

/// Captures that are read together.
pub type Group = Recording<PathBuf>;

/// Captures by recording, in the order in which they were given; and whether one could not be opened, which has been reported.
pub fn groups(paths: &[PathBuf], limits: Limits) -> (Vec<Group>, bool) {
    if let [only] = paths {
        return (vec![Recording::of_one(only.clone())], false);
    }
    let mut groups: Vec<Group> = Vec::new();
    let mut failed = false;
    for path in paths {
        // Not kept open: there may be any number of files, and a footer may be large.
        match Capture::open_within(path, limits) {
            Ok(capture) => recording::add(&mut groups, path.clone(), capture.manifest()),
            Err(error) => {
                descriptors::report(&error);
                failed = true;
            }
        }
    }
    (groups, failed)
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
        for path in group.files() {
            let capture = Capture::open_within(path, limits)?;
            let report = report.get_or_insert_with(|| Report::begin(capture.manifest()));
            report.add(&capture, &filter.of(&capture)?)?;
        }
        report.context("no file was given")
    }

    /// Counts the events of one capture.
    ///
    /// # Errors
    /// As for [`Report::of`].
    pub fn of_one(capture: &Capture, filter: &CaptureFilter<'_>) -> Result<Self> {
        let mut report = Report::begin(capture.manifest());
        report.add(capture, filter)?;
        Ok(report)
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
        self.losses.count(manifest);
        self.segments.extend(manifest.segment.as_ref().map(|segment| segment.index));
        // A merged capture has several, of which none is missing.
        self.segments.extend(manifest.segment.as_ref().and_then(|segment| segment.last));
        self.goes_on = EndReason::Rotated.is(&manifest.end_reason);
        let columns = columns(filter);
        // Whoever is selected may have got its command line before, and from a process that is not.
        let scan = Scan { columns, pids: Vec::new(), since_mono_ns: None, since_ts_ns: None, ..filter.scan().clone() };
        reading::each(capture, &scan, |batch| {
            let mut runs = Runs::default();
            batch.each(|event| self.note(event, filter, &mut runs));
            self.tally.settle(&mut runs);
            Ok(())
        })
    }

    fn note<'a>(&mut self, event: &Event<'a>, filter: &CaptureFilter<'_>, runs: &mut Runs<'a>) {
        let decision = filter.decide(event);
        if decision == Decision::Skip {
            self.tally.learn(event, runs);
            return;
        }
        if event.event == EventKind::Lost.name() {
            self.losses.note(event);
        } else {
            self.tally.collect(event, runs);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::manifest::Segment;

    fn manifest(capture_id: &str, index: Option<u64>) -> Manifest {
        let segment = index.map(|index| Segment { index, ..Segment::default() });
        Manifest { capture_id: capture_id.into(), segment, ..Manifest::default() }
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
