//! Which events are selected, and from whose side each is shown.
//!
//! Owns the meaning of the selecting options. They are checked once. Then they decide on each event, and for each
//! capture what need not be read at all. Owns no reading and no output.

use anyhow::{Context, Result, anyhow};
use globset::{GlobBuilder, GlobMatcher};

use super::process::Identity;
use super::time::{self, When};
use crate::schema::events::sets;
use crate::schema::manifest::Clocks;
use crate::schema::reader::Scan;
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
const KEYS: [&str; 10] =
    ["ts_ns", "mono_ns", "event", "pid", "comm", "start_ns", "target_pid", "target_comm", "target_start_ns", "errno"];

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
    since: Option<When>,
    until: Option<When>,
}

impl Filter {
    /// Checks the options.
    ///
    /// # Errors
    /// Names the option that is wrong, and what would be right.
    pub fn new(select: &Select) -> Result<Self> {
        let comm = select.comm.as_deref().map(glob).transpose()?;
        let mut events: Option<EventSet> = None;
        for list in &select.events {
            let set = EventSet::parse(list).map_err(|e| anyhow!("-e: {e}"))?;
            events = Some(events.map_or(set.clone(), |all| all.merge(set)));
        }
        let when = |name: &str, text: &Option<String>| {
            text.as_deref().map(|t| time::parse(t).map_err(|e| anyhow!("{name}: {e}"))).transpose()
        };
        Ok(Filter {
            pids: select.pids.clone(),
            peers: select.peers.clone(),
            comm,
            names: events.as_ref().map(EventSet::names).unwrap_or_default(),
            events,
            failed: select.failed,
            since: when("--since", &select.since)?,
            until: when("--until", &select.until)?,
        })
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

    fn selects_any(&self) -> bool {
        let none = self.pids.is_empty() && self.peers.is_empty() && self.comm.is_none() && !self.failed;
        none && self.events.is_none()
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
        KEYS.to_vec()
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
            let counted = only.is_none() && (filter.selects_any() || filter.names.contains(&event.event));
            return if counted { Decision::Show(View::Caller) } else { Decision::Gap };
        }
        if self.gaps_alone {
            return Decision::Skip;
        }
        let named = filter.events.is_none() || filter.names.contains(&event.event);
        if !named || (filter.failed && event.errno.is_none()) {
            return Decision::Skip;
        }
        let may_tell = |side: Identity| only.is_none_or(|only| only.matches(side));
        if may_tell(Identity::caller(event))
            && filter.names_side(event.pid, Some(event.comm))
            && filter.names_peer(event.target_pid)
        {
            return Decision::Show(View::Caller);
        }
        match Identity::target(event) {
            Some(target)
                if may_tell(target)
                    && filter.names_side(target.pid, event.target_comm)
                    && filter.names_peer(Some(event.pid)) =>
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
mod tests {
    use super::*;

    fn select() -> Select {
        Select::default()
    }

    fn decide(select: &Select, event: &Event<'_>) -> Decision {
        let start = Clocks { monotonic_ns: 1_000, realtime_ns: 5_000, ..Clocks::default() };
        Filter::new(select).unwrap().on(&start).decide(event)
    }

    const CALLER: Decision = Decision::Show(View::Caller);
    const TARGET: Decision = Decision::Show(View::Target);

    fn readv() -> Event<'static> {
        Event {
            event: "process_vm_readv",
            pid: 10,
            comm: "py-spy",
            target_pid: Some(20),
            target_comm: Some("python3"),
            mono_ns: 2_000,
            ts_ns: 6_000,
            ..Event::default()
        }
    }

    #[test]
    fn a_pid_is_caller_or_target() {
        let event = readv();
        assert_eq!(decide(&select(), &event), CALLER);
        assert_eq!(decide(&Select { pids: vec![10], ..select() }, &event), CALLER);
        assert_eq!(decide(&Select { pids: vec![20], ..select() }, &event), TARGET);
        assert_eq!(decide(&Select { pids: vec![10, 20], ..select() }, &event), CALLER);
        assert_eq!(decide(&Select { pids: vec![30], ..select() }, &event), Decision::Skip);
    }

    #[test]
    fn a_peer_is_the_other_side() {
        let event = readv();
        let peer = |peers| Select { peers, ..select() };
        assert_eq!(decide(&peer(vec![20]), &event), CALLER);
        assert_eq!(decide(&peer(vec![10]), &event), TARGET);
        assert_eq!(decide(&Select { pids: vec![10], ..peer(vec![20]) }, &event), CALLER);
        assert_eq!(decide(&Select { pids: vec![10], ..peer(vec![10]) }, &event), Decision::Skip);
        assert_eq!(decide(&peer(vec![20]), &Event { target_pid: None, ..event }), Decision::Skip);
    }

    #[test]
    fn names_are_globs() {
        let comm = |glob: &str| Select { comm: Some(glob.into()), ..select() };
        assert_eq!(decide(&comm("py-*"), &readv()), CALLER);
        assert_eq!(decide(&comm("python?"), &readv()), TARGET);
        assert_eq!(decide(&comm("*thon"), &readv()), Decision::Skip);
        assert_eq!(decide(&comm("k*1"), &Event { comm: "kworker/0:1", ..readv() }), CALLER);
        assert!(Filter::new(&comm("[a")).unwrap_err().to_string().starts_with("--comm: \"[a\" is not a glob"));
    }

    #[test]
    fn sets_merge_and_failures_have_an_errno() {
        let events = |lists: &[&str]| Select { events: lists.iter().map(|l| l.to_string()).collect(), ..select() };
        assert_eq!(decide(&events(&["tee", "@vm"]), &readv()), CALLER);
        assert_eq!(decide(&events(&["tee"]), &readv()), Decision::Skip);
        assert_eq!(decide(&Select { failed: true, ..select() }, &readv()), Decision::Skip);
        assert_eq!(decide(&Select { failed: true, ..select() }, &Event { errno: Some("EPERM"), ..readv() }), CALLER);
        assert!(Filter::new(&events(&["nothing"])).unwrap_err().to_string().starts_with("-e: unknown event"));
    }

    #[test]
    fn windows_include_their_ends() {
        let window =
            |since: &str, until: &str| Select { since: Some(since.into()), until: Some(until.into()), ..select() };
        assert_eq!(decide(&window("1us", "1us"), &readv()), CALLER);
        assert_eq!(decide(&window("1001ns", "2s"), &readv()), Decision::Skip);
        assert_eq!(decide(&window("@0.000006", "@0.000006"), &readv()), CALLER);
        assert_eq!(decide(&window("@0", "@0.0000059"), &readv()), Decision::Skip);
        assert_eq!(decide(&window("-1s", "1us"), &readv()), CALLER);
    }

    #[test]
    fn gaps_stay_visible() {
        let lost = Event { event: "lost", mono_ns: 2_000, ..Event::default() };
        assert_eq!(decide(&select(), &lost), CALLER);
        assert_eq!(decide(&Select { pids: vec![10], ..select() }, &lost), Decision::Gap);
        assert_eq!(decide(&Select { events: vec!["lost".into()], ..select() }, &lost), CALLER);
        let later = Select { since: Some("1s".into()), ..select() };
        assert_eq!(decide(&later, &lost), Decision::Skip);
        let filter = Filter::new(&Select { pids: vec![10], ..select() }).unwrap();
        assert_eq!(filter.on(&Clocks::default()).scan().pids, [10, 0]);
    }
}
