//! Which events are selected, and from whose side each is shown.
//!
//! Owns the meaning of the selecting options. They are checked once. Then they decide on each event, and for each
//! capture what need not be read at all. `address` owns ranges of memory, `nearest` what is said where nothing fits.
//! Owns no reading and no output.

mod address;
mod nearest;

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow, ensure};
use globset::{GlobBuilder, GlobMatcher};

pub use self::address::Span;
pub use self::nearest::Nearest;
use super::origin;
use super::process::Identity;
use super::time::{self, When, Zone};
use crate::schema::events::sets;
use crate::schema::expr::Expr;
use crate::schema::manifest::Clocks;
use crate::schema::reader::{Capture, Scan};
use crate::schema::{Event, EventKind, EventSet};

/// The selecting options, as given.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Selection")]
pub struct Select {
    /// Only events with PID as caller or target, shown from PID's side
    #[arg(short, long = "pid", value_name = "PID", value_delimiter = ',', value_parser = clap::value_parser!(i32).range(1..))]
    pub pids: Vec<i32>,
    /// Only events with PID on the other side
    #[arg(long = "peer", value_name = "PID", value_delimiter = ',', value_parser = clap::value_parser!(i32).range(1..))]
    pub peers: Vec<i32>,
    /// Only events with a caller or target whose thread name matches GLOB
    #[arg(long, value_name = "GLOB")]
    pub comm: Option<String>,
    /// Names and sets of events, separated by commas.
    #[arg(short, long = "events", value_name = "SET", help = help_of_events())]
    pub events: Vec<String>,
    /// Only events for which EXPR holds: conditions on columns, as --trigger of `vmtrace record` takes them
    #[arg(long = "where", value_name = "EXPR", value_parser = Expr::parse)]
    pub condition: Option<Expr>,
    /// Only events that took bytes from a pipe or put bytes into it; ID is its inode
    #[arg(long = "pipe", value_name = "ID", value_delimiter = ',')]
    pub pipes: Vec<u64>,
    /// Only events with a range of memory that touches A, or LEN bytes from A; with -p, in the memory of PID
    #[arg(long, value_name = "A[+LEN]", value_parser = Span::parse)]
    pub address: Option<Span>,
    /// Only events from T on: seconds since the start (1.5, 250ms, 2m), UTC (2026-01-02T03:04:05Z), or @UNIX
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Only events up to and including T
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// Only calls that failed
    #[arg(long)]
    pub failed: bool,
}

fn help_of_events() -> String {
    format!("Only these events: names and {}, separated by commas", sets().join(" "))
}

/// Columns that decide on every event, and say whose it is.
const KEYS: [&str; 11] = [
    "ts_ns",
    "mono_ns",
    "event",
    "pid",
    "comm",
    "start_ns",
    "target_pid",
    "target_comm",
    "target_start_ns",
    "errno",
    "host",
];

/// From whose side an event is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The process that called.
    Caller,
    /// The process whose memory was reached.
    Target,
}

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Not selected.
    Skip,
    /// A gap in the recording: always shown, counted only if it was selected.
    Gap,
    /// Selected.
    Show(View),
}

/// The selecting options, checked.
#[derive(Clone, Debug)]
pub struct Filter {
    pids: Vec<i32>,
    peers: Vec<i32>,
    comm: Option<GlobMatcher>,
    events: Option<EventSet>,
    names: Vec<&'static str>,
    failed: bool,
    condition: Option<Expr>,
    pipes: Vec<u64>,
    address: Option<Span>,
    since: Option<When>,
    until: Option<When>,
    rows: Option<BTreeSet<u64>>,
}

impl Filter {
    /// Checks the options. A time without a zone is UTC.
    ///
    /// # Errors
    /// Names the option that is wrong, and what would be right.
    pub fn new(select: &Select) -> Result<Self> {
        Filter::in_zone(select, Zone::Utc)
    }

    /// Checks the options, in which a time without a zone is in `zone`.
    ///
    /// # Errors
    /// As [`Filter::new`].
    pub fn in_zone(select: &Select, zone: Zone) -> Result<Self> {
        let comm = select.comm.as_deref().map(glob).transpose()?;
        let mut events: Option<EventSet> = None;
        for list in &select.events {
            let set = EventSet::parse(list).map_err(|e| anyhow!("-e: {e}"))?;
            events = Some(events.map_or(set.clone(), |all| all.merge(set)));
        }
        let when = |name: &str, text: &Option<String>| {
            text.as_deref().map(|t| time::parse_in(t, zone).map_err(|e| anyhow!("{name}: {e}"))).transpose()
        };
        Ok(Filter {
            pids: select.pids.clone(),
            peers: select.peers.clone(),
            comm,
            names: events.as_ref().map(EventSet::names).unwrap_or_default(),
            events,
            failed: select.failed,
            condition: select.condition.clone(),
            pipes: select.pipes.clone(),
            address: select.address,
            since: when("--since", &select.since)?,
            until: when("--until", &select.until)?,
            rows: None,
        })
    }

    /// The same filter for rows with one of these `seq` alone.
    #[must_use]
    pub fn of_rows(mut self, rows: BTreeSet<u64>) -> Self {
        self.rows = Some(rows);
        self
    }

    /// One sentence where all events of a capture, which are from `first` to `last` on CLOCK_MONOTONIC, are outside the
    /// times that are selected.
    pub fn outside(&self, start: &Clocks, (first, last): (i64, i64)) -> Option<String> {
        let at = |mono_ns: i64| start.at(mono_ns).realtime_ns;
        let after = |when: When, mono_ns: i64| match when {
            When::Relative(ns) => start.monotonic_ns.saturating_add(ns) > mono_ns,
            When::Absolute(ns) => ns > at(mono_ns),
        };
        let shown = |mono_ns: i64| {
            let relative = time::seconds(mono_ns.into(), start.monotonic_ns.into());
            format!("which is at {relative} ({})", time::utc(at(mono_ns)))
        };
        if self.since.is_some_and(|since| after(since, last)) {
            return Some(format!("--since is after the last event, {}", shown(last)));
        }
        let is_before = self.until.is_some_and(|until| !after(until, first.saturating_sub(1)));
        is_before.then(|| format!("--until is before the first event, {}", shown(first)))
    }

    /// The filter for the capture that started at `start`.
    pub fn on(&self, start: &Clocks) -> CaptureFilter<'_> {
        let mono = |when: Option<When>| match when {
            Some(When::Relative(ns)) => Some(start.monotonic_ns.saturating_add(ns)),
            _ => None,
        };
        let ts = |when: Option<When>| match when {
            Some(When::Absolute(ns)) => Some(ns),
            _ => None,
        };
        let mut pids = if self.pids.is_empty() { self.peers.clone() } else { self.pids.clone() };
        if !pids.is_empty() {
            // `lost` rows have no process; a gap must stay visible.
            pids.push(0);
        }
        let scan = Scan {
            columns: Vec::new(),
            since_mono_ns: mono(self.since),
            until_mono_ns: mono(self.until),
            since_ts_ns: ts(self.since),
            until_ts_ns: ts(self.until),
            pids,
        };
        CaptureFilter { filter: self, scan, only: None, gaps_alone: false }
    }

    /// As [`Filter::on`], of a capture that must have what is selected by.
    ///
    /// # Errors
    /// When it selects by address, and redaction took the addresses away: what is left of them would fit many.
    pub fn of(&self, capture: &Capture) -> Result<CaptureFilter<'_>> {
        let manifest = capture.manifest();
        ensure!(
            self.address.is_none() || !origin::without_addresses(&manifest.derived_from),
            "{}: redaction took all addresses away (level metadata), so --address finds nothing: ask for a capture of the \
             level share, which keeps distances between addresses",
            capture.path().display()
        );
        Ok(self.on(&manifest.start))
    }

    /// Whether the options, apart from times and a condition, select every event.
    fn selects_any(&self) -> bool {
        let none = self.pids.is_empty() && self.peers.is_empty() && self.comm.is_none() && !self.failed;
        none && self.events.is_none() && self.pipes.is_empty() && self.address.is_none() && self.rows.is_none()
    }

    fn meets_condition(&self, event: &Event<'_>) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.matches(event))
    }

    fn names_pipe(&self, event: &Event<'_>) -> bool {
        let both = [event.pipe_in, event.pipe_out];
        self.pipes.is_empty() || both.iter().flatten().any(|pipe| self.pipes.contains(pipe))
    }

    /// Whether the memory of a selected process is reached: that of the side of `view`, where processes are selected.
    fn names_memory(&self, event: &Event<'_>, view: View) -> bool {
        let Some(span) = self.address else { return true };
        let sides = match view {
            _ if self.pids.is_empty() || event.target_pid == Some(event.pid) => [true, true],
            View::Caller => [true, false],
            View::Target => [false, true],
        };
        let [local, remote] = sides;
        (local && span.touches(event.local_iov)) || (remote && span.touches(event.remote_iov))
    }

    /// Whether the memory of that side belongs to a selected process.
    fn owns_memory(&self, event: &Event<'_>, side: View) -> bool {
        let pid = match side {
            View::Caller => Some(event.pid),
            View::Target => event.target_pid,
        };
        self.pids.is_empty() || pid.is_some_and(|pid| self.pids.contains(&pid))
    }

    fn names_side(&self, pid: i32, comm: Option<&str>) -> bool {
        (self.pids.is_empty() || self.pids.contains(&pid))
            && self.comm.as_ref().is_none_or(|glob| comm.is_some_and(|c| glob.is_match(c)))
    }

    fn names_peer(&self, pid: Option<i32>) -> bool {
        self.peers.is_empty() || pid.is_some_and(|pid| self.peers.contains(&pid))
    }
}

/// A [`Filter`] with the times of one capture, and at most one process.
#[derive(Clone, Debug)]
pub struct CaptureFilter<'a> {
    filter: &'a Filter,
    scan: Scan,
    only: Option<Identity>,
    gaps_alone: bool,
}

impl CaptureFilter<'_> {
    /// What must be read.
    pub fn scan(&self) -> &Scan {
        &self.scan
    }

    /// The columns that [`CaptureFilter::decide`] looks at, and those that say whose an event is.
    pub fn columns(&self) -> Vec<&'static str> {
        let mut columns = KEYS.to_vec();
        if !self.filter.pipes.is_empty() {
            columns.extend(["pipe_in", "pipe_out"]);
        }
        if self.filter.rows.is_some() {
            columns.push("seq");
        }
        if self.filter.address.is_some() {
            columns.extend(["local_iov", "remote_iov"]);
        }
        if let Some(condition) = &self.filter.condition {
            columns.extend(condition.columns());
        }
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// The same filter for one process alone, which is seen from `first` to `last` on CLOCK_MONOTONIC.
    #[must_use]
    pub fn only(&self, process: Identity, first: i64, last: i64) -> Self {
        let mut only = self.clone();
        only.only = Some(process);
        only.scan.pids = vec![process.pid, 0];
        only.scan.since_mono_ns = Some(self.scan.since_mono_ns.map_or(first, |since| since.max(first)));
        only.scan.until_mono_ns = Some(self.scan.until_mono_ns.map_or(last, |until| until.min(last)));
        only
    }

    /// The same filter for gaps alone.
    #[must_use]
    pub fn gaps(&self) -> Self {
        let mut gaps = self.clone();
        gaps.gaps_alone = true;
        gaps.scan.pids = vec![0];
        gaps
    }

    /// What becomes of `event`.
    pub fn decide(&self, event: &Event<'_>) -> Decision {
        self.decide_for(event, self.only)
    }

    /// What becomes of `event` if only one process is shown.
    pub fn decide_for(&self, event: &Event<'_>, only: Option<Identity>) -> Decision {
        if !self.in_time(event) {
            return Decision::Skip;
        }
        let filter = self.filter;
        if event.event == EventKind::Lost.name() {
            let selected = filter.selects_any() || filter.names.contains(&event.event);
            let counted = only.is_none() && selected && filter.meets_condition(event);
            return if counted { Decision::Show(View::Caller) } else { Decision::Gap };
        }
        if self.gaps_alone {
            return Decision::Skip;
        }
        let named = filter.events.is_none() || filter.names.contains(&event.event);
        if !named || (filter.failed && event.errno.is_none()) {
            return Decision::Skip;
        }
        if filter.rows.as_ref().is_some_and(|rows| !rows.contains(&event.seq)) {
            return Decision::Skip;
        }
        if !filter.names_pipe(event) || !filter.meets_condition(event) {
            return Decision::Skip;
        }
        let may_tell = |side: Identity| only.is_none_or(|only| only.matches(side));
        if may_tell(Identity::caller(event))
            && filter.names_side(event.pid, Some(event.comm))
            && filter.names_peer(event.target_pid)
            && filter.names_memory(event, View::Caller)
        {
            return Decision::Show(View::Caller);
        }
        match Identity::target(event) {
            Some(target)
                if may_tell(target)
                    && filter.names_side(target.pid, event.target_comm)
                    && filter.names_peer(Some(event.pid))
                    && filter.names_memory(event, View::Target) =>
            {
                Decision::Show(View::Target)
            }
            _ => Decision::Skip,
        }
    }

    fn in_time(&self, event: &Event<'_>) -> bool {
        let within = |at: i64, since: Option<i64>, until: Option<i64>| {
            since.is_none_or(|since| at >= since) && until.is_none_or(|until| at <= until)
        };
        within(event.mono_ns, self.scan.since_mono_ns, self.scan.until_mono_ns)
            && within(event.ts_ns, self.scan.since_ts_ns, self.scan.until_ts_ns)
    }
}

fn glob(pattern: &str) -> Result<GlobMatcher> {
    // A name may hold a slash (`kworker/0:1`), which `*` shall match.
    let glob = GlobBuilder::new(pattern).literal_separator(false).build();
    glob.map(|g| g.compile_matcher()).with_context(|| format!("--comm: {pattern:?} is not a glob pattern"))
}

#[cfg(test)]
mod tests;
