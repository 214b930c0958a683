//! What the footer of a capture shows: the manifest, and what follows from it.
//!
//! Owns the arithmetic and the assessment. The JSON of `info -T json` is [`Facts`] itself.

use serde::Serialize;

use crate::count;
use crate::model::time;
use crate::replay::story::{Line, Role};
use crate::schema::Manifest;
use crate::schema::chain::Chain;
use crate::schema::clocks::{self, Step};
use crate::schema::manifest::LedgerRow;
use crate::schema::moved::Moved;
use crate::schema::reader::Capture;
use crate::terminal::escape::Safe;

/// What `info` knows of one capture. Rule of evolution: fields are only added.
#[derive(Debug, Serialize)]
pub struct Facts<'a> {
    /// Path as given; bytes that are no UTF-8 replaced.
    pub file: String,
    /// Size in bytes.
    pub size: u64,
    /// Schema version.
    pub schema_version: u32,
    /// Rows in the file: events and `lost` rows.
    pub rows: u64,
    /// Row groups.
    pub row_groups: usize,
    /// When the hooks were in place, RFC 3339.
    pub start_utc: String,
    /// When they were taken away; null where the manifest does not say.
    pub end_utc: Option<String>,
    /// From start to end on CLOCK_MONOTONIC; to the last event where the end is not known.
    pub duration_ns: Option<i64>,
    /// How far the wall clock ran ahead of CLOCK_MONOTONIC from start to end.
    pub wall_clock_drift_ns: Option<i64>,
    /// First event, ns since the start.
    pub first_event_ns: Option<i64>,
    /// Last event, ns since the start.
    pub last_event_ns: Option<i64>,
    /// Where the wall clock was stepped.
    pub wall_clock_steps: Vec<Step>,
    /// The root digest as the file states it, unchecked.
    pub root: Option<&'a str>,
    /// The digest chain as the file states it, with the clocks of every row group.
    pub chain: Option<&'a Chain>,
    /// Bytes of captured payload; null where the file does not say.
    pub payload_bytes: Option<u64>,
    /// All events of the ledger in one row.
    pub total: LedgerRow,
    /// Bytes that moved, each counted once, and what is listed beside them.
    pub moved: Moved,
    /// Events lost, by whatever cause.
    pub lost: u64,
    /// Whether every row of the ledger balances.
    pub balances: bool,
    /// Whether the file has as many rows as the ledger says were written.
    pub rows_match_ledger: bool,
    /// What is wrong with the books, in words.
    pub problems: Vec<String>,
    /// The manifest.
    pub manifest: &'a Manifest,
}

impl<'a> Facts<'a> {
    /// The facts of `capture`.
    pub fn of(capture: &'a Capture) -> Self {
        let manifest = capture.manifest();
        let (start, end) = (&manifest.start, &manifest.end);
        let span = capture.mono_span();
        let has_end = end.monotonic_ns != 0;
        let since_start = |at: i64| at.saturating_sub(start.monotonic_ns);
        let duration = if has_end { Some(end.monotonic_ns) } else { span.map(|(_, last)| last) };
        let wall = end.realtime_ns.saturating_sub(start.realtime_ns);
        let total = LedgerRow::total(&manifest.ledger);
        let rows = capture.rows();
        Facts {
            file: capture.path().display().to_string(),
            size: capture.size(),
            schema_version: capture.version(),
            rows,
            row_groups: capture.row_group_count(),
            start_utc: time::utc(start.realtime_ns),
            end_utc: has_end.then(|| time::utc(end.realtime_ns)),
            duration_ns: duration.map(since_start),
            wall_clock_drift_ns: has_end.then(|| wall.saturating_sub(since_start(end.monotonic_ns))),
            first_event_ns: span.map(|(first, _)| since_start(first)),
            last_event_ns: span.map(|(_, last)| since_start(last)),
            wall_clock_steps: clocks::steps(&clocks::instants(manifest, capture.chain())),
            root: capture.root(),
            chain: capture.chain(),
            payload_bytes: capture.payload_bytes(),
            lost: manifest.lost(),
            balances: manifest.ledger.iter().all(LedgerRow::balances),
            rows_match_ledger: rows == total.written,
            problems: problems(&manifest.ledger, &total, rows),
            total,
            moved: Moved::of(&manifest.ledger),
            manifest,
        }
    }
}

fn problems(ledger: &[LedgerRow], total: &LedgerRow, rows: u64) -> Vec<String> {
    let mut problems: Vec<String> = ledger.iter().filter_map(LedgerRow::imbalance).collect();
    if rows != total.written {
        let written = total.written;
        problems.push(format!("the file holds {}, but the ledger says {written} were written", count::rows(rows)));
    }
    problems
}

/// Two lines that introduce a capture: where, when, how long; by which command, how much, what is missing.
pub fn header(line: &mut Line, capture: &Capture) {
    let facts = Facts::of(capture);
    let (host, tool) = (&facts.manifest.host, &facts.manifest.tool);
    line.add(Role::Dim, format_args!("# {}", Safe(&host.hostname)));
    line.add(Role::Dim, format_args!(" · {} {} {}", Safe(&host.sysname), Safe(&host.release), Safe(&host.machine)));
    line.add(Role::Dim, format_args!(" · {}", facts.start_utc));
    if let Some(ns) = facts.duration_ns {
        line.add(Role::Dim, format_args!(" · {}", time::span(ns)));
    }
    line.add(Role::Dim, format_args!(" · {} {}\n# ", Safe(&tool.name), Safe(&tool.version)));
    for (index, word) in facts.manifest.argv.iter().enumerate() {
        let space = if index == 0 { "" } else { " " };
        line.add(Role::Plain, format_args!("{space}{}", Word(word)));
    }
    line.add(Role::Dim, format_args!(" · {}", count::events(facts.rows)));
    if facts.lost > 0 {
        line.add(Role::Bad, format_args!(" · {} LOST", facts.lost));
    } else {
        line.add(Role::Dim, format_args!(" · none lost"));
    }
    line.add(Role::Plain, format_args!("\n"));
}

/// A word of a command line, quoted where a shell would need it.
#[derive(Clone, Copy, Debug)]
pub struct Word<'a>(pub &'a str);

impl std::fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(&b);
        if !self.0.is_empty() && self.0.bytes().all(plain) {
            return f.write_str(self.0);
        }
        write!(f, "'{}'", Safe(&self.0.replace('\'', "'\\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_said_plainly() {
        let good = LedgerRow { event: "tee".into(), seen: 5, written: 5, ..LedgerRow::default() };
        let bad = LedgerRow { event: "splice".into(), seen: 5, written: 3, lost_ring_full: 1, ..LedgerRow::default() };
        let ledger = [good, bad];
        let sum = LedgerRow::total(&ledger);
        assert_eq!((sum.seen, sum.written, sum.lost()), (10, 8, 1));
        assert_eq!(
            problems(&ledger, &sum, 9),
            [
                "splice: 5 seen is not 0 filtered + 1 lost + 3 written",
                "the file holds 9 rows, but the ledger says 8 were written"
            ]
        );
        assert!(problems(&ledger[..1], &LedgerRow::total(&ledger[..1]), 5).is_empty());
    }

    #[test]
    fn words_are_quoted_as_a_shell_wants_them() {
        let quoted: Vec<String> = ["a-b", "a b", "", "it's", "\x1b"].iter().map(|w| Word(w).to_string()).collect();
        assert_eq!(quoted[..3], ["a-b", "'a b'", "''"]);
        assert_eq!(quoted[4], "'\\x1b'");
    }
}
