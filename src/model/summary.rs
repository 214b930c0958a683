//! What the footer of a capture says of the whole: its span, its counts, what was lost, and whether the ledger balances.
//!
//! Owns the arithmetic. The sentences are those of `info`.

use crate::schema::chain::Chain;
use crate::schema::clocks::{self, Step};
use crate::schema::manifest::{LedgerRow, Manifest};
use crate::schema::moved::Moved;
use crate::schema::reader::Capture;

/// The summary of one capture.
#[derive(Clone, Debug)]
pub struct Summary<'a> {
    /// The manifest.
    pub manifest: &'a Manifest,
    /// Rows in the file: events and `lost` rows.
    pub rows: u64,
    /// Wall clock when the hooks were removed, ns since 1970; `None` where the manifest does not say.
    pub end_realtime_ns: Option<i64>,
    /// From start to end on CLOCK_MONOTONIC; to the last event where the end is not known.
    pub duration_ns: Option<i64>,
    /// How far the wall clock ran ahead of CLOCK_MONOTONIC from start to end.
    pub wall_clock_drift_ns: Option<i64>,
    /// First and last event, ns since the start.
    pub span_ns: Option<(i64, i64)>,
    /// Where the wall clock was stepped.
    pub wall_clock_steps: Vec<Step>,
    /// All events of the ledger in one row.
    pub total: LedgerRow,
    /// Bytes that moved, each counted once, and what is listed beside them.
    pub moved: Moved,
}

impl<'a> Summary<'a> {
    /// The summary of `capture`.
    pub fn of(capture: &'a Capture) -> Self {
        Summary::new(capture.manifest(), capture.chain(), capture.rows(), capture.mono_span())
    }

    /// That of a manifest, of a file with so many rows, whose events are from and to these instants of CLOCK_MONOTONIC.
    pub fn new(manifest: &'a Manifest, chain: Option<&Chain>, rows: u64, span: Option<(i64, i64)>) -> Self {
        let (start, end) = (&manifest.start, &manifest.end);
        let has_end = end.monotonic_ns != 0;
        let since_start = |at: i64| at.saturating_sub(start.monotonic_ns);
        let duration = if has_end { Some(end.monotonic_ns) } else { span.map(|(_, last)| last) };
        let wall = end.realtime_ns.saturating_sub(start.realtime_ns);
        Summary {
            manifest,
            rows,
            end_realtime_ns: has_end.then_some(end.realtime_ns),
            duration_ns: duration.map(since_start),
            wall_clock_drift_ns: has_end.then(|| wall.saturating_sub(since_start(end.monotonic_ns))),
            span_ns: span.map(|(first, last)| (since_start(first), since_start(last))),
            wall_clock_steps: clocks::steps(&clocks::instants(manifest, chain)),
            total: LedgerRow::total(&manifest.ledger),
            moved: Moved::of(&manifest.ledger),
        }
    }

    /// Events lost, by whatever cause.
    pub fn lost(&self) -> u64 {
        self.manifest.lost()
    }

    /// Whether every row of the ledger balances.
    pub fn balances(&self) -> bool {
        self.manifest.ledger.iter().all(LedgerRow::balances)
    }

    /// Whether the file has as many rows as the ledger says were written.
    pub fn rows_match_ledger(&self) -> bool {
        self.rows == self.total.written
    }

    /// Rows of the ledger in which something is counted.
    pub fn counted(&self) -> impl Iterator<Item = &'a LedgerRow> {
        let terms = || Term::CAME.iter().chain(Term::ENDED);
        self.manifest.ledger.iter().filter(move |row| terms().any(|term| term.of(row) > 0) || row.unknown > 0)
    }

    /// Whether a term of the ledger's equation says anything: some of them are 0 in most captures.
    pub fn has(&self, term: Term) -> bool {
        let is_usual = match term {
            Term::Seen | Term::Filtered | Term::Lost | Term::Written => true,
            Term::CarriedIn | Term::Forgotten | Term::LeftOut | Term::CarriedOut => false,
        };
        is_usual || term.of(&self.total) > 0
    }
}

/// A term of the ledger's equation: the sum of [`Term::CAME`] is the sum of [`Term::ENDED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// Occurrences that reached a hook.
    Seen,
    /// Seen for the file before, and not yet accounted for there.
    CarriedIn,
    /// Not selected.
    Filtered,
    /// Dropped by the flight recorder.
    Forgotten,
    /// Lost, by whatever cause.
    Lost,
    /// Rows of the captures that this one was made from, and not of this one.
    LeftOut,
    /// Rows in the file.
    Written,
    /// Accounted for in the next file.
    CarriedOut,
}

impl Term {
    /// What came.
    pub const CAME: &[Term] = &[Term::Seen, Term::CarriedIn];
    /// What became of it.
    pub const ENDED: &[Term] =
        &[Term::Filtered, Term::Forgotten, Term::Lost, Term::LeftOut, Term::Written, Term::CarriedOut];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Term::Seen => "seen",
            Term::CarriedIn => "carried in",
            Term::Filtered => "filtered",
            Term::Forgotten => "forgotten",
            Term::Lost => "lost",
            Term::LeftOut => "left out",
            Term::Written => "written",
            Term::CarriedOut => "carried out",
        }
    }

    /// Its value in a row of the ledger.
    pub fn of(self, row: &LedgerRow) -> u64 {
        match self {
            Term::Seen => row.seen,
            Term::CarriedIn => row.carried_in,
            Term::Filtered => row.filtered,
            Term::Forgotten => row.forgotten,
            Term::Lost => row.lost(),
            Term::LeftOut => row.left_out,
            Term::Written => row.written,
            Term::CarriedOut => row.carried_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::manifest::Clocks;

    fn row(event: &str) -> LedgerRow {
        LedgerRow { event: event.into(), ..LedgerRow::default() }
    }

    #[test]
    fn the_equation_is_the_one_that_balances() {
        let full = LedgerRow {
            seen: 19,
            carried_in: 1,
            filtered: 2,
            forgotten: 3,
            left_out: 4,
            lost_ring_full: 3,
            lost_crash: 1,
            written: 5,
            carried_out: 2,
            ..row("tee")
        };
        let sum = |side: &[Term], row: &LedgerRow| side.iter().map(|term| term.of(row)).sum::<u64>();
        for change in 0..2 {
            let row = LedgerRow { written: full.written + change, ..full.clone() };
            assert_eq!(sum(Term::CAME, &row) == sum(Term::ENDED, &row), row.balances(), "{row:?}");
        }
    }

    #[test]
    fn what_is_0_in_most_captures_is_left_out() {
        let manifest = Manifest {
            ledger: vec![
                LedgerRow { seen: 1, filtered: 1, ..row("tee") },
                row("splice"),
                LedgerRow { unknown: 1, ..row("read") },
            ],
            ..Manifest::default()
        };
        let summary = Summary::new(&manifest, None, 0, None);
        let has: Vec<&str> =
            Term::CAME.iter().chain(Term::ENDED).filter(|t| summary.has(**t)).map(|t| t.name()).collect();
        assert_eq!(has, ["seen", "filtered", "lost", "written"]);
        let counted: Vec<&str> = summary.counted().map(|row| row.event.as_str()).collect();
        assert_eq!(counted, ["tee", "read"]);
        let flight = Manifest { ledger: vec![LedgerRow { forgotten: 1, ..row("tee") }], ..Manifest::default() };
        assert!(Summary::new(&flight, None, 0, None).has(Term::Forgotten));
    }

    #[test]
    fn an_end_that_is_not_stated_is_that_of_the_last_event() {
        let clocks = |realtime_ns, monotonic_ns| Clocks { realtime_ns, monotonic_ns, ..Clocks::default() };
        let mut manifest = Manifest { start: clocks(1_000, 100), end: clocks(1_060, 150), ..Manifest::default() };
        let summary = Summary::new(&manifest, None, 0, Some((110, 140)));
        assert_eq!((summary.duration_ns, summary.wall_clock_drift_ns), (Some(50), Some(10)));
        assert_eq!((summary.end_realtime_ns, summary.span_ns), (Some(1_060), Some((10, 40))));
        manifest.end = Clocks::default();
        let summary = Summary::new(&manifest, None, 0, Some((110, 140)));
        assert_eq!((summary.duration_ns, summary.wall_clock_drift_ns, summary.end_realtime_ns), (Some(40), None, None));
        assert_eq!(Summary::new(&manifest, None, 0, None).duration_ns, None);
    }

    #[test]
    fn rows_and_ledger_are_compared() {
        let manifest = Manifest {
            ledger: vec![
                LedgerRow { seen: 2, written: 2, ..row("tee") },
                LedgerRow { seen: 3, lost_crash: 3, ..row("read") },
            ],
            ..Manifest::default()
        };
        let of = |rows| Summary::new(&manifest, None, rows, None);
        assert!(of(2).rows_match_ledger() && of(2).balances() && !of(3).rows_match_ledger());
        assert_eq!((of(2).lost(), of(2).total.seen), (3, 5));
        let absurd = Manifest {
            ledger: vec![LedgerRow { seen: u64::MAX, ..row("tee") }, LedgerRow { seen: 9, ..row("read") }],
            start: Clocks { monotonic_ns: i64::MIN, ..Clocks::default() },
            end: Clocks { monotonic_ns: i64::MAX, realtime_ns: i64::MIN, ..Clocks::default() },
            ..Manifest::default()
        };
        let summary = Summary::new(&absurd, None, 0, Some((i64::MIN, i64::MAX)));
        assert!(!summary.balances());
        assert_eq!((summary.total.seen, summary.duration_ns), (u64::MAX, Some(i64::MAX)));
    }
}
