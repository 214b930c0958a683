//! Compares the contents of a file with themselves: row numbers, ledger, clocks.
//!
//! Owns these comparisons. Reads every value of the file, a few rows at a time. Its memory grows with the ledger, not
//! with the rows.

use std::collections::BTreeMap;

use anyhow::Result;

use super::hosts;
use super::report::{FindingKind, Report};
use crate::count::{self, Count};
use crate::model::loss::Losses;
use crate::model::{self, origin};
use crate::sandbox::descriptors;
use crate::schema::Event;
use crate::schema::chain::Chain;
use crate::schema::clocks;
use crate::schema::events::{EventKind, EventSpec};
use crate::schema::manifest::{LedgerRow, Manifest};
use crate::schema::quote::quoted;
use crate::schema::reader::{Capture, Scan};
use crate::schema::vocabulary::{Abi, EndReason, IovVerdict, LostCause, PayloadStatus};

/// Columns that are looked at.
const COLUMNS: &[&str] = &[
    "seq",
    "mono_ns",
    "event",
    "abi",
    "lost_count",
    "lost_event",
    "lost_cause",
    "errno",
    "payload_status",
    "iov_verdict",
    "host",
];
/// Compares the file with itself.
pub fn check(capture: &Capture, report: &mut Report) {
    let manifest = capture.manifest();
    manifest
        .ledger
        .iter()
        .filter_map(LedgerRow::imbalance)
        .for_each(|what| report.add(FindingKind::Contradiction, what));
    check_clocks(manifest, capture.chain(), "", report);
    for part in &manifest.hosts {
        check_clocks(&part.manifest, None, &format!("host {}: ", quoted(&part.host)), report);
    }
    hosts::check(manifest, report);
    if !manifest.derived_from.is_empty() {
        let stated = "made from is stated in it, and not proven";
        let text = match origin::total(&manifest.derived_from, LedgerRow::total(&manifest.ledger).left_out) {
            None => format!("what it was {stated}"),
            Some(total) => format!("{total}; what it was {stated}"),
        };
        report.add(FindingKind::Note, text);
    }
    let bad_addresses = if report.has(FindingKind::Altered) {
        report.add(FindingKind::Note, "its rows were not checked, since it is altered");
        0
    } else {
        check_rows(capture, report)
    };
    check_loss(manifest, bad_addresses, report);
}

/// Returns how many rows are of calls that could not be read since the kernel could not read them either.
fn check_rows(capture: &Capture, report: &mut Report) -> u64 {
    let mut rows = Rows::new(capture.manifest());
    match every_value(capture).and_then(|()| look(capture, &mut rows)) {
        Ok(()) => rows.conclude(capture.manifest(), report),
        Err(error) => report.add(FindingKind::Unreadable, descriptors::text(&error)),
    }
    rows.bad_addresses
}

/// Decodes all columns; where pages have checksums, the library compares them.
fn every_value(capture: &Capture) -> Result<()> {
    capture.scan(&Scan::default())?.try_for_each(|batch| batch.map(drop))
}

fn look(capture: &Capture, rows: &mut Rows<'_>) -> Result<()> {
    for batch in capture.scan(&Scan { columns: COLUMNS.to_vec(), ..Scan::default() })? {
        batch?.each(|event| rows.take(event));
    }
    Ok(())
}

/// Clocks that the file states: the monotonic one only goes forward; the wall clock may be stepped, which is said.
fn check_clocks(manifest: &Manifest, chain: Option<&Chain>, whose: &str, report: &mut Report) {
    let instants = clocks::instants(manifest, chain);
    for ((from, a), (to, b)) in instants.iter().zip(instants.iter().skip(1)) {
        if b.monotonic_ns < a.monotonic_ns {
            report
                .add(FindingKind::Contradiction, format!("{whose}the monotonic clock is lower at {to} than at {from}"));
        }
    }
    for step in clocks::steps(&instants) {
        let seconds = step.by_ns as f64 / 1e9;
        let text =
            format!("{whose}the wall clock was stepped by {seconds:+.6} s between {} and {}", step.from, step.to);
        report.add(FindingKind::Note, text);
    }
}

fn check_loss(manifest: &Manifest, bad_addresses: u64, report: &mut Report) {
    let total = LedgerRow::total(&manifest.ledger);
    for (cause, count) in total.causes() {
        let of_each = model::hosts::shares(manifest, |row| row.lost_by(cause));
        report.add(FindingKind::Loss, format!("{} lost: {}{of_each}", count::events(count), cause.words()));
    }
    let is_recovered = |of: &Manifest| EndReason::Recovered.is(&of.end_reason);
    if is_recovered(manifest) || manifest.hosts.iter().any(|part| is_recovered(&part.manifest)) {
        report.add(FindingKind::Loss, "the recorder died, and this is what was recovered: nothing later is in it");
    }
    if total.unknown > 0 {
        let calls = Count(total.unknown, "call", "calls");
        let text = format!("{calls} may have been events that are not in the file: `vmtrace info` names their callers");
        report.add(FindingKind::Note, text);
    }
    if manifest.ledger_from_rows {
        let text = "its journal was incomplete: the ledger counts only the rows, and what else was seen is not known";
        report.add(FindingKind::Loss, text);
    }
    let faults = total.read_faults.saturating_sub(bad_addresses);
    if faults > 0 {
        let text = format!("of {} some bytes could not be read when they were recorded", count::rows(faults));
        report.add(FindingKind::Note, text);
    }
}

/// Whether something of a call could not be read, and the call failed for that: it named memory that is not there. Of splice
/// and sendfile that is where their offsets are.
fn has_bad_address(event: &Event<'_>) -> bool {
    let unread = event.payload_status == Some(PayloadStatus::Fault.as_str())
        || event.iov_verdict == Some(IovVerdict::Unreadable.as_str());
    let of_offsets = event.spec().is_some_and(EventSpec::has_offsets);
    event.errno == Some("EFAULT") && (unread || of_offsets)
}

/// What the rows say, as they come.
struct Rows<'a> {
    next: u64,
    count: u64,
    /// Row, its number, and the number it should have, where the first gap is.
    gap: Option<(u64, u64, u64)>,
    gaps: u64,
    /// Latest instant so far.
    last_ns: i64,
    late: u64,
    late_ns: i64,
    /// Rows that are late by their nature.
    placed: u64,
    /// By the ledger's events: rows.
    written: BTreeMap<&'a str, u64>,
    /// Rows of events that are not in the ledger.
    others: u64,
    /// Of the rows of which something could not be read, those of calls that failed for that reason.
    bad_addresses: u64,
    /// What `lost` rows report, and what the ledger counts.
    losses: Losses,
    /// Whether numbers may be missing: the file was made from others, and rows of these are left out.
    is_thinned: bool,
    hosts: hosts::Rows<'a>,
}

impl<'a> Rows<'a> {
    fn new(manifest: &'a Manifest) -> Self {
        let first = manifest.segment.as_ref().map_or(0, |segment| segment.first_seq);
        let total = LedgerRow::total(&manifest.ledger);
        let is_thinned = !manifest.derived_from.is_empty() && (total.left_out > 0 || total.forgotten > 0);
        let events = manifest.ledger.iter().map(|row| row.event.as_str());
        Rows {
            next: first,
            count: 0,
            gap: None,
            gaps: 0,
            last_ns: i64::MIN,
            late: 0,
            late_ns: 0,
            placed: 0,
            written: events.map(|event| (event, 0)).collect(),
            others: 0,
            bad_addresses: 0,
            losses: Losses::of(manifest),
            is_thinned,
            hosts: hosts::Rows::new(manifest),
        }
    }

    fn take(&mut self, event: &Event<'_>) {
        let follows = if self.is_thinned { event.seq >= self.next } else { event.seq == self.next };
        if !follows {
            self.gap.get_or_insert((self.count, event.seq, self.next));
            self.gaps += 1;
        }
        self.next = event.seq.saturating_add(1);
        self.count += 1;
        self.clock(event);
        self.bad_addresses += u64::from(has_bad_address(event));
        match self.written.get_mut(event.event) {
            Some(count) => *count += 1,
            None => self.others += 1,
        }
        self.losses.note(event);
        self.hosts.take(event);
    }

    fn clock(&mut self, event: &Event<'_>) {
        if event.mono_ns >= self.last_ns {
            self.last_ns = event.mono_ns;
            return;
        }
        // A gap is recorded at its end, a process when it is first seen, a request without completion at the end.
        if event.is_any(&[EventKind::Lost, EventKind::ProcessSnapshot]) || event.abi == Some(Abi::IoUring.as_str()) {
            self.placed += 1;
            return;
        }
        self.late += 1;
        self.late_ns = self.late_ns.max(self.last_ns.saturating_sub(event.mono_ns));
    }

    fn conclude(&self, manifest: &Manifest, report: &mut Report) {
        if let Some((row, found, expected)) = self.gap {
            let more = match self.gaps {
                1 => String::new(),
                gaps => format!(", and {}", Count(gaps - 1, "more gap", "more gaps")),
            };
            let text = if self.is_thinned {
                format!("row {row} has the number {found}, below {expected}: rows are duplicated or out of order{more}")
            } else {
                format!("row {row} has the number {found}, not {expected}: rows are missing or duplicated{more}")
            };
            report.add(FindingKind::Contradiction, text);
        }
        for row in &manifest.ledger {
            let found = self.written.get(row.event.as_str()).copied().unwrap_or(0);
            if found != row.written {
                let text = format!(
                    "{}: {} in the file, {} in the ledger",
                    quoted(&row.event),
                    count::rows(found),
                    row.written
                );
                report.add(FindingKind::Contradiction, text);
            }
        }
        if self.others > 0 {
            let others = Count(self.others, "row is of an event", "rows are of events");
            report.add(FindingKind::Contradiction, format!("{others} that the ledger does not list"));
        }
        self.hosts.conclude(report);
        self.conclude_losses(manifest, report);
        if self.late > 0 {
            let ms = self.late_ns as f64 / 1e6;
            let text = format!(
                "{} behind rows of later instants, by up to {ms:.3} ms",
                Count(self.late, "row is", "rows are")
            );
            report.add(FindingKind::Note, text);
        }
        if self.placed > 0 {
            let which = "losses, processes first met, io_uring requests that did not complete";
            let placed = Count(
                self.placed,
                "row was recorded later than its instant",
                "rows were recorded later than their instants",
            );
            report.add(FindingKind::Note, format!("{placed} ({which})"));
        }
    }

    /// What `lost` rows report is what the ledger counts. In a recording of several files it may be reported in a later one
    /// than it is counted in; a recorder that was killed, or forgets, may not have reported it.
    fn conclude_losses(&self, manifest: &Manifest, report: &mut Report) {
        let is_whole = |of: &Manifest| of.segment.is_none() && !EndReason::Recovered.is(&of.end_reason);
        let whole = is_whole(manifest) && manifest.hosts.iter().all(|part| is_whole(&part.manifest));
        let kind = if whole { FindingKind::Contradiction } else { FindingKind::Note };
        if self.losses.unlisted() > 0 {
            let rows = Count(self.losses.unlisted(), "loss was", "losses were");
            report.add(kind, format!("{rows} not compared: they name too many hosts, events and causes"));
        }
        if manifest.hosts.is_empty() {
            self.compare_losses(None, &manifest.ledger, kind, report);
        }
        for part in &manifest.hosts {
            self.compare_losses(Some(&part.host), &part.manifest.ledger, kind, report);
        }
    }

    fn compare_losses(&self, host: Option<&str>, ledger: &[LedgerRow], kind: FindingKind, report: &mut Report) {
        let whose = host.map(|host| format!("host {}: ", quoted(host))).unwrap_or_default();
        let of_losses = ledger.iter().find(|row| row.event == EventKind::Lost.name());
        let leaves_out = of_losses.is_some_and(|row| row.left_out > 0);
        for row in ledger {
            for cause in LostCause::ALL {
                let counted = row.lost_by(cause.loss());
                let reported = self.losses.get(host, &row.event, cause.loss()).map_or(0, |lost| lost.reported);
                // A slice has the gaps of its time, and the ledger counts all.
                let differs = if leaves_out { reported > counted } else { reported != counted };
                if differs {
                    let (event, cause) = (quoted(&row.event), cause.as_str());
                    let text = format!("{whose}{event}: `lost` rows report {reported} ({cause}), the ledger {counted}");
                    report.add(kind, text);
                }
            }
        }
    }
}
