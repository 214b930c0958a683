//! What `info` shows of a capture: the manifest, and the summary that the model makes of it.
//!
//! Owns the form. The JSON of `info -T json` is [`Facts`] itself.

use serde::Serialize;

use crate::count;
use crate::model::summary::Summary;
use crate::model::{hosts, time};
use crate::replay::describe::{Line, Role};
use crate::schema::Manifest;
use crate::schema::chain::Chain;
use crate::schema::clocks::Step;
use crate::schema::derived;
use crate::schema::manifest::LedgerRow;
use crate::schema::moved::Moved;
use crate::schema::quote::quoted;
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
    pub wall_clock_steps: &'a [Step],
    /// The root digest as the file states it, unchecked.
    pub root: Option<&'a str>,
    /// The digest chain as the file states it, with the clocks of every row group.
    pub chain: Option<&'a Chain>,
    /// Bytes of captured payload; null where the file does not say.
    pub payload_bytes: Option<u64>,
    /// All events of the ledger in one row.
    pub total: &'a LedgerRow,
    /// Bytes that moved, each counted once, and what is listed beside them.
    pub moved: Moved,
    /// Events lost, by whatever cause.
    pub lost: u64,
    /// Whether every row of the ledger balances.
    pub balances: bool,
    /// Whether the file has as many rows as the ledger says were written.
    pub rows_match_ledger: bool,
    /// What is wrong with the ledger, in words.
    pub problems: Vec<String>,
    /// The manifest.
    pub manifest: &'a Manifest,
    /// What most of this comes from.
    #[serde(skip)]
    pub summary: &'a Summary<'a>,
}

impl<'a> Facts<'a> {
    /// The facts of `capture`, of which `summary` is the summary.
    pub fn of(capture: &'a Capture, summary: &'a Summary<'a>) -> Self {
        let manifest = summary.manifest;
        Facts {
            file: capture.path().display().to_string(),
            size: capture.size(),
            schema_version: capture.version(),
            rows: summary.rows,
            row_groups: capture.row_group_count(),
            start_utc: time::utc(manifest.start.realtime_ns),
            end_utc: summary.end_realtime_ns.map(time::utc),
            duration_ns: summary.duration_ns,
            wall_clock_drift_ns: summary.wall_clock_drift_ns,
            first_event_ns: summary.span_ns.map(|(first, _)| first),
            last_event_ns: summary.span_ns.map(|(_, last)| last),
            wall_clock_steps: &summary.wall_clock_steps,
            root: capture.root(),
            chain: capture.chain(),
            payload_bytes: capture.payload_bytes(),
            total: &summary.total,
            moved: summary.moved,
            lost: summary.lost(),
            balances: summary.balances(),
            rows_match_ledger: summary.rows_match_ledger(),
            problems: problems(summary),
            manifest,
            summary,
        }
    }
}

fn problems(summary: &Summary<'_>) -> Vec<String> {
    let mut problems: Vec<String> = summary.manifest.ledger.iter().filter_map(LedgerRow::imbalance).collect();
    if !summary.rows_match_ledger() {
        let (rows, written) = (count::rows(summary.rows), summary.total.written);
        problems.push(format!("the file holds {rows}, but the ledger says {written} were written"));
    }
    problems
}

/// Two lines that introduce a capture: where, when, how long; by which command, how much, what is missing. If lines are
/// short, the command comes last: it may be cut, and what is missing may not.
pub fn header(line: &mut Line, capture: &Capture, in_short: bool) {
    let summary = Summary::of(capture);
    let Manifest { host, tool, argv, start, .. } = summary.manifest;
    line.add(Role::Dim, format_args!("# {}", Safe(&host.hostname)));
    line.add(Role::Dim, format_args!(" · {} {} {}", Safe(&host.sysname), Safe(&host.release), Safe(&host.machine)));
    line.add(Role::Dim, format_args!(" · {}", time::utc(start.realtime_ns)));
    if let Some(ns) = summary.duration_ns {
        line.add(Role::Dim, format_args!(" · {}", time::span(ns)));
    }
    line.add(Role::Dim, format_args!(" · {} {}\n# ", Safe(&tool.name), Safe(&tool.version)));
    if in_short {
        counts(line, &summary);
        line.add(Role::Dim, format_args!(" · "));
        command(line, argv);
    } else {
        command(line, argv);
        line.add(Role::Dim, format_args!(" · "));
        counts(line, &summary);
    }
    line.add(Role::Plain, format_args!("\n"));
}

fn command(line: &mut Line, argv: &[String]) {
    for (index, word) in argv.iter().enumerate() {
        let space = if index == 0 { "" } else { " " };
        line.add(Role::Plain, format_args!("{space}{}", Word(word)));
    }
}

fn counts(line: &mut Line, summary: &Summary<'_>) {
    line.add(Role::Dim, format_args!("{}", count::events(summary.rows)));
    if summary.lost() > 0 {
        let of_each = hosts::shares(summary.manifest, LedgerRow::lost);
        line.add(Role::Bad, format_args!(" · {} LOST{of_each}", summary.lost()));
    } else {
        line.add(Role::Dim, format_args!(" · none lost"));
    }
    if let Some(redaction) = derived::redaction(&summary.manifest.derived_from) {
        line.add(Role::Dim, format_args!(" · redacted ({})", Safe(&quoted(&redaction.level))));
    }
    if summary.total.left_out > 0 {
        line.add(Role::Bad, format_args!(" · {} LEFT OUT", summary.total.left_out));
    }
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
    fn problems_are_named() {
        let good = LedgerRow { event: "tee".into(), seen: 5, written: 5, ..LedgerRow::default() };
        let bad = LedgerRow { event: "splice".into(), seen: 5, written: 3, lost_ring_full: 1, ..LedgerRow::default() };
        let mut manifest = Manifest { ledger: vec![good, bad], ..Manifest::default() };
        assert_eq!(
            problems(&Summary::new(&manifest, None, 9, None)),
            [
                "splice: 5 seen is not 0 filtered + 1 lost + 3 written",
                "the file holds 9 rows, but the ledger says 8 were written"
            ]
        );
        manifest.ledger.truncate(1);
        assert!(problems(&Summary::new(&manifest, None, 5, None)).is_empty());
    }

    #[test]
    fn words_are_quoted_as_a_shell_wants_them() {
        let quoted: Vec<String> = ["a-b", "a b", "", "it's", "\x1b"].iter().map(|w| Word(w).to_string()).collect();
        assert_eq!(quoted[..3], ["a-b", "'a b'", "''"]);
        assert_eq!(quoted[4], "'\\x1b'");
    }
}
