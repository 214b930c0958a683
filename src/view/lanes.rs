//! Processes over time: what each did in each part of a span, and who moved bytes to whom.
//!
//! Owns the counting. `canvas` draws it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::filter;
use super::job::{Bell, Job, Turn};
use crate::model::process::{HostId, Identity};
use crate::schema::expr::Expr;
use crate::schema::reader::{Capture, Scan};
use crate::schema::vocabulary::Direction;
use crate::schema::{Event, EventKind};

/// Processes that have a lane.
const MOST: usize = 4096;
/// Pairs of processes of one column that are kept.
const LINKS: usize = 64;
/// Bytes of a name.
const NAME: usize = 64;

/// Columns that are read.
const COLUMNS: [&str; 13] = [
    "mono_ns",
    "event",
    "pid",
    "comm",
    "start_ns",
    "target_pid",
    "target_comm",
    "target_start_ns",
    "direction",
    "errno",
    "bytes",
    "ret",
    "host",
];

/// A span of time, in so many columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first instant on CLOCK_MONOTONIC.
    pub first: i64,
    /// Its last.
    pub last: i64,
    /// Its columns, at least one.
    pub columns: usize,
}

impl Window {
    fn length(&self) -> i128 {
        (i128::from(self.last) - i128::from(self.first) + 1).max(1)
    }

    /// The column of an instant; `None` if it is outside.
    pub fn column(&self, mono_ns: i64) -> Option<usize> {
        let inside = (self.first..=self.last).contains(&mono_ns);
        let since = i128::from(mono_ns) - i128::from(self.first);
        inside.then(|| usize::try_from(since * self.columns as i128 / self.length()).ok()).flatten()
    }

    /// The first instant of a column.
    pub fn instant(&self, column: i64) -> i64 {
        let columns = (self.columns as i128).max(1);
        let since = (i128::from(column) * self.length()).div_euclid(columns);
        // Of a column that begins between two instants the later one is the first.
        let rest = (i128::from(column) * self.length()).rem_euclid(columns);
        clamped(i128::from(self.first) + since + i128::from(rest > 0))
    }

    /// The same span around `middle`, as many times as long as `by` says, within `whole`.
    pub fn zoomed(&self, middle: i64, by: f64, whole: (i64, i64)) -> Self {
        let length = ((self.length() as f64 * by) as i128).max(self.columns as i128);
        let before = (i128::from(middle) - i128::from(self.first)).clamp(0, self.length());
        let before = (before as f64 * length as f64 / self.length() as f64) as i128;
        self.placed(i128::from(middle) - before, length, whole)
    }

    /// The same span moved so that `middle` is in its middle, if it is not in it.
    pub fn with(&self, middle: i64, whole: (i64, i64)) -> Self {
        match self.column(middle) {
            Some(_) => *self,
            None => self.placed(i128::from(middle) - self.length() / 2, self.length(), whole),
        }
    }

    fn placed(&self, first: i128, length: i128, (begin, end): (i64, i64)) -> Self {
        let all = (i128::from(end) - i128::from(begin) + 1).max(1);
        let length = length.min(all);
        let first = first.clamp(i128::from(begin), i128::from(end) + 1 - length);
        Window { first: clamped(first), last: clamped(first + length - 1), columns: self.columns }
    }
}

fn clamped(at: i128) -> i64 {
    i64::try_from(at).unwrap_or(if at < 0 { i64::MIN } else { i64::MAX })
}

/// What a process did in a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Events in which it had part.
    pub events: u64,
    /// Whether one of its calls failed.
    pub failed: bool,
}

/// A process.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Which.
    pub process: Identity,
    /// Its host, where the capture is of several; as captured.
    pub host: Option<String>,
    /// Its name, as captured.
    pub name: String,
    /// What it did.
    pub cells: BTreeMap<usize, Cell>,
    /// Events in which it had part.
    pub events: u64,
    /// Bytes that came to it.
    pub came: u64,
    /// Bytes that it gave.
    pub went: u64,
    /// Its calls that failed.
    pub failed: u64,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// The processes, in the order in which they came.
    pub lanes: Vec<Lane>,
    /// By column: bytes from one lane to another.
    pub links: BTreeMap<usize, BTreeMap<(usize, usize), u64>>,
    /// Columns in which events were lost.
    pub gaps: BTreeMap<usize, u64>,
    /// Events of processes that have no lane.
    pub others: u64,
    places: HashMap<Identity, usize>,
    latest: HashMap<(HostId, i32), Identity>,
}

impl Picture {
    /// Counts an event.
    pub fn note(&mut self, event: &Event<'_>, window: &Window) {
        let Some(column) = window.column(event.mono_ns) else { return };
        if event.event == EventKind::Lost.name() {
            let lost = self.gaps.entry(column).or_default();
            *lost = lost.saturating_add(event.lost_count.unwrap_or(1));
            return;
        }
        let caller = self.lane(Identity::caller(event), event.host, event.comm);
        let target = Identity::target(event).filter(|target| target.pid != event.pid);
        let target = target.and_then(|target| self.lane(target, event.host, event.target_comm.unwrap_or_default()));
        let Some(caller) = caller else {
            self.others += 1;
            return;
        };
        let failed = event.errno.is_some();
        for (lane, failed) in [(Some(caller), failed), (target, false)] {
            let Some(lane) = lane.and_then(|lane| self.lanes.get_mut(lane)) else { continue };
            lane.events += 1;
            lane.failed += u64::from(failed);
            let cell = lane.cells.entry(column).or_default();
            cell.events += 1;
            cell.failed |= failed;
        }
        let bytes = event.bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
        let Some(target) = target.filter(|_| bytes > 0) else { return };
        let (from, to) = match event.direction.map(Direction::parse) {
            Some(Ok(Direction::In)) => (target, caller),
            Some(Ok(Direction::Out)) => (caller, target),
            Some(Err(_)) | None => return,
        };
        self.link(column, (from, to), bytes);
    }

    fn link(&mut self, column: usize, (from, to): (usize, usize), bytes: u64) {
        if let Some(lane) = self.lanes.get_mut(from) {
            lane.went = lane.went.saturating_add(bytes);
        }
        if let Some(lane) = self.lanes.get_mut(to) {
            lane.came = lane.came.saturating_add(bytes);
        }
        let links = self.links.entry(column).or_default();
        if links.len() < LINKS || links.contains_key(&(from, to)) {
            let sum = links.entry((from, to)).or_default();
            *sum = sum.saturating_add(bytes);
        }
    }

    /// The lane of a process; `None` if there is none left.
    fn lane(&mut self, process: Identity, host: Option<&str>, name: &str) -> Option<usize> {
        let process = match (process.start, self.latest.get(&(process.host, process.pid))) {
            (None, Some(latest)) => *latest,
            _ => process,
        };
        if let Some(place) = self.places.get(&process) {
            return Some(*place);
        }
        if self.lanes.len() >= MOST {
            return None;
        }
        let place = self.lanes.len();
        let front = |text: &str| {
            let end = (0..=text.len().min(NAME)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.get(..end).unwrap_or_default().to_string()
        };
        let (host, name) = (host.map(front), front(name));
        self.lanes.push(Lane { process, host, name, cells: BTreeMap::new(), events: 0, came: 0, went: 0, failed: 0 });
        self.places.insert(process, place);
        self.latest.insert((process.host, process.pid), process);
        Some(place)
    }

    /// The lanes, those with the most events first.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.lanes.len()).collect();
        order.sort_by_key(|lane| std::cmp::Reverse(self.lanes.get(*lane).map_or(0, |lane| lane.events)));
        order
    }
}

/// Begins to count what happened in a window, of the events that a condition selects.
pub fn start(capture: &Arc<Capture>, expr: Option<Expr>, window: Window, bell: &Bell, turn: &Turn) -> Job<Picture> {
    let capture = Arc::clone(capture);
    Job::start(bell, turn, Picture::default(), move |run| {
        let is_all = capture.mono_span().is_some_and(|(first, last)| first >= window.first && last <= window.last);
        let condition = expr.iter().flat_map(filter::columns);
        let mut columns: Vec<&'static str> = COLUMNS.into_iter().chain(["lost_count"]).chain(condition).collect();
        columns.sort_unstable();
        columns.dedup();
        let bound = |at: i64| (!is_all).then_some(at);
        let scan =
            Scan { columns, since_mono_ns: bound(window.first), until_mono_ns: bound(window.last), ..Scan::default() };
        for batch in capture.scan(&scan)? {
            let batch = batch?;
            run.note(batch.len() as u64, |picture| {
                batch.each(|event| {
                    if expr.as_ref().is_none_or(|expr| filter::selects(expr, event)) {
                        picture.note(event, &window);
                    }
                });
            })?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { first: 100, last: 199, columns: 10 };

    fn read(mono_ns: i64) -> Event<'static> {
        Event {
            event: "process_vm_readv",
            mono_ns,
            pid: 1,
            comm: "spy",
            start_ns: 10_000_000,
            target_pid: Some(2),
            target_comm: Some("app"),
            direction: Some("in"),
            bytes: Some(8),
            ..Event::default()
        }
    }

    #[test]
    fn instants_have_columns_and_columns_instants() {
        assert_eq!(
            [99, 100, 109, 110, 199, 200].map(|at| WINDOW.column(at)),
            [None, Some(0), Some(0), Some(1), Some(9), None]
        );
        for window in [WINDOW, Window { first: i64::MIN, last: i64::MAX, columns: 61 }, Window { last: 102, ..WINDOW }]
        {
            for column in 0..window.columns as i64 {
                let at = window.instant(column);
                // Several columns may have the same instant where there are more of them than instants.
                assert!(window.column(at).is_none_or(|found| found as i64 >= column), "{window:?} {column}");
            }
        }
        assert_eq!(WINDOW.instant(3), 130);
    }

    #[test]
    fn windows_stay_within_the_capture() {
        let whole = (100, 199);
        let near = WINDOW.zoomed(150, 0.5, whole);
        assert_eq!(near, Window { first: 125, last: 174, ..WINDOW });
        assert_eq!(near.column(150), WINDOW.column(150), "what is looked at stays where it is");
        assert_eq!(near.zoomed(150, 100.0, whole), WINDOW);
        assert_eq!(near.zoomed(150, 0.001, whole).length(), 10, "no shorter than an instant a column");
        assert_eq!(near.with(199, whole), Window { first: 150, last: 199, ..WINDOW });
        assert_eq!(near.with(130, whole), near);
        let widest = Window { first: i64::MIN, last: i64::MAX, columns: 80 };
        assert_eq!(widest.zoomed(0, 2.0, (i64::MIN, i64::MAX)), widest);
    }

    #[test]
    fn bytes_go_from_one_lane_to_another() {
        let mut picture = Picture::default();
        picture.note(&read(110), &WINDOW);
        picture.note(&Event { direction: Some("out"), event: "process_vm_writev", ..read(111) }, &WINDOW);
        picture.note(&Event { errno: Some("EPERM"), bytes: Some(0), ..read(199) }, &WINDOW);
        picture.note(&read(99), &WINDOW);
        let names: Vec<_> = picture.lanes.iter().map(|lane| (lane.name.as_str(), lane.events, lane.failed)).collect();
        assert_eq!(names, [("spy", 3, 1), ("app", 3, 0)]);
        assert_eq!(picture.links, BTreeMap::from([(1, BTreeMap::from([((0, 1), 8), ((1, 0), 8)]))]));
        assert_eq!((picture.lanes[0].came, picture.lanes[0].went), (8, 8));
        assert!(picture.lanes[0].cells[&9].failed && !picture.lanes[1].cells[&9].failed);
        picture.note(&Event { start_ns: 90_000_000, ..read(150) }, &WINDOW);
        assert_eq!(picture.lanes.len(), 3, "a pid that is used again");
    }

    #[test]
    fn lanes_and_links_are_bounded() {
        let mut picture = Picture::default();
        for pid in 0..MOST as i32 + 10 {
            picture.note(&Event { pid, start_ns: 0, target_pid: Some(pid + 1), ..read(110) }, &WINDOW);
        }
        assert_eq!((picture.lanes.len(), picture.links[&1].len()), (MOST, LINKS));
        assert!(picture.others > 0);
    }
}
