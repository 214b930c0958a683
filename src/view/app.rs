//! The state of the viewer: which rows are shown, which is selected, what is open.
//!
//! Owns moving about. `act` owns what keys do, `draw` how it looks; neither reads a terminal, so tests do without one.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;

use super::filter::Filter;
use super::find::{Found, Search, Wanted};
use super::job::{Bell, Job, Turn};
use super::lanes::{self, Picture, Window};
use super::look::Look;
use super::pane::{Kind, Pane};
use super::prompt::{Prompt, Purpose};
use super::source::Source;
use crate::model::origin;
use crate::model::process::Identity;
use crate::schema::Event;
use crate::schema::expr::Expr;
use crate::schema::reader::Capture;

/// What the screen shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// The list, and a pane if one is open.
    List,
    /// Processes over time.
    Lanes,
    /// The keys.
    Help,
}

/// What the next key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// The name of a mark to set.
    Mark,
    /// The name of a mark to go to.
    ToMark,
    /// What is written.
    Write,
    /// What is copied.
    Copy,
}

/// What the program around the screen is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// End.
    Quit,
    /// Stop, until a shell lets it go on.
    Suspend,
    /// Draw everything again.
    Redraw,
    /// Hand the text to the terminal's clipboard.
    Copy(String),
}

/// A sentence in the last line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// The sentence, safe for a terminal.
    pub text: String,
    /// Whether something went wrong.
    pub bad: bool,
}

/// A search that runs.
#[derive(Debug)]
pub struct Finding {
    /// The search.
    pub job: Job<Option<Found>>,
    /// What it is for, in words.
    pub what: String,
    /// What is said where there is nothing.
    pub none: String,
}

/// The lanes.
#[derive(Debug, Default)]
pub struct Lanes {
    /// The span that is shown; `None` until the size of the screen is known.
    pub window: Option<Window>,
    /// What happened in it.
    pub job: Option<Job<Picture>>,
    /// The span of the last picture, and the filter.
    pub drawn: Option<(Window, Option<String>)>,
    /// The process that is looked at.
    pub chosen: Option<Identity>,
    /// The first lane that is shown.
    pub top: usize,
}

/// Jobs of one kind at a time.
#[derive(Debug, Default)]
pub struct Turns {
    pub filter: Turn,
    pub find: Turn,
    pub pane: Turn,
    pub lanes: Turn,
}

/// The viewer.
#[derive(Debug)]
pub struct App {
    pub source: Source,
    pub look: Look,
    pub bell: Bell,
    pub turns: Turns,
    /// The number of the selected row among those that are shown, and of the first on the screen.
    pub at: u64,
    pub top: u64,
    /// Rows of the list on the screen, columns of it, and lines of the pane: as it was drawn last.
    pub shown: u64,
    pub columns: u16,
    pub pane_lines: usize,
    pub filter: Option<Filter>,
    /// A row that is selected as soon as the filter has come to it.
    pub anchor: Option<u64>,
    /// The filter and the row before a new filter was typed.
    pub before: Option<(Option<Expr>, u64)>,
    pub wanted: Option<(Wanted, String, bool)>,
    pub finding: Option<Finding>,
    pub marks: HashMap<char, u64>,
    /// Where the selection was before it went far.
    pub last: u64,
    pub screen: Screen,
    /// The screen under the help.
    pub under: Screen,
    pub help_top: usize,
    pub pane: Option<Pane>,
    pub in_pane: bool,
    pub whole: bool,
    /// Of which side memory is shown.
    pub side: usize,
    pub lanes: Lanes,
    pub prompt: Option<Prompt>,
    pub past: HashMap<Purpose, Vec<String>>,
    pub pending: Option<Pending>,
    pub count: Option<u64>,
    /// The number of the first row.
    pub first_seq: u64,
    pub notice: Notice,
    pub asks: Vec<Ask>,
}

impl App {
    /// A viewer of a capture.
    pub fn new(mut source: Source, look: Look, bell: Bell) -> Self {
        // Where it cannot be read, the list says so.
        let first_seq = source.event(0, |event| event.seq).unwrap_or(0);
        App {
            source,
            look,
            bell,
            turns: Turns::default(),
            at: 0,
            top: 0,
            shown: 1,
            columns: 80,
            pane_lines: 1,
            filter: None,
            anchor: None,
            before: None,
            wanted: None,
            finding: None,
            marks: HashMap::new(),
            last: 0,
            screen: Screen::List,
            under: Screen::List,
            help_top: 0,
            pane: None,
            in_pane: false,
            whole: false,
            side: 0,
            lanes: Lanes::default(),
            prompt: None,
            past: HashMap::new(),
            pending: None,
            count: None,
            first_seq,
            notice: Notice::default(),
            asks: Vec::new(),
        }
    }

    /// The capture.
    pub fn capture(&self) -> &Arc<Capture> {
        self.source.capture()
    }

    /// How many rows are shown, as far as it is known.
    pub fn len(&self) -> u64 {
        self.filter.as_ref().map_or(self.source.rows(), Filter::len)
    }

    /// The n-th row that is shown.
    pub fn row(&self, n: u64) -> Option<u64> {
        match &self.filter {
            Some(filter) => filter.nth(n),
            None => (n < self.source.rows()).then_some(n),
        }
    }

    /// The row that is selected.
    pub fn selected(&self) -> Option<u64> {
        self.row(self.at)
    }

    /// Gives `take` the selected event.
    pub fn with_event<R>(&mut self, take: impl FnOnce(&Event<'_>) -> R) -> Option<Result<R>> {
        let row = self.selected()?;
        Some(self.source.event(row, take))
    }

    /// The same, where an error becomes the notice.
    pub fn of_event<R>(&mut self, take: impl FnOnce(&Event<'_>) -> R) -> Option<R> {
        match self.with_event(take)? {
            Ok(taken) => Some(taken),
            Err(error) => {
                self.warn(&format!("{error:#}"));
                None
            }
        }
    }

    /// When the recording began, on CLOCK_MONOTONIC.
    pub fn start_ns(&self) -> i64 {
        self.capture().manifest().start.monotonic_ns
    }

    /// From the first to the last instant.
    pub fn span(&self) -> (i64, i64) {
        let start = self.start_ns();
        let (first, last) = self.capture().mono_span().unwrap_or((start, start));
        (first.min(last), last.max(first))
    }

    /// Says something in the last line. What it quotes may be captured.
    pub fn say(&mut self, text: &str) {
        self.notice = Notice { text: crate::terminal::escape::SafeLine(text).to_string(), bad: false };
    }

    /// Says what is wrong.
    pub fn warn(&mut self, text: &str) {
        self.say(text);
        self.notice.bad = true;
    }

    /// Selects the n-th row that is shown, or the last one.
    pub fn select(&mut self, n: u64) {
        self.anchor = None;
        self.place(n);
    }

    fn place(&mut self, n: u64) {
        let before = self.selected();
        self.at = n.min(self.len().saturating_sub(1));
        if before != self.selected() {
            self.refresh();
        }
    }

    /// Moves the selection by so many rows.
    pub fn step(&mut self, rows: i64) {
        let to =
            if rows < 0 { self.at.saturating_sub(rows.unsigned_abs()) } else { self.at.saturating_add(rows as u64) };
        self.select(to);
    }

    /// Selects a row of the capture, or the first one behind it that is shown; remembers where the selection was.
    pub fn go(&mut self, row: u64) {
        if let Some(from) = self.selected() {
            self.last = from;
        }
        self.select_row(row);
    }

    fn select_row(&mut self, row: u64) {
        match &self.filter {
            None => self.select(row),
            Some(filter) => {
                let (n, comes) = (filter.before(row), !filter.has_ended() && filter.looked_at() <= row);
                self.select(n);
                self.anchor = comes.then_some(row);
            }
        }
    }

    /// Shows only rows that `expr` selects; all without one.
    pub fn set_filter(&mut self, expr: Option<Expr>) {
        let row = self.anchor.or(self.selected()).unwrap_or(0);
        let capture = Arc::clone(self.capture());
        self.filter = expr.map(|expr| Filter::start(&capture, expr, &self.bell, &self.turns.filter));
        self.select_row(row);
        self.top = self.at.saturating_sub(self.shown / 2);
        self.refresh();
    }

    /// The condition of the filter.
    pub fn expr(&self) -> Option<Expr> {
        self.filter.as_ref().map(|filter| filter.expr.clone())
    }

    /// Begins to look for something from the selected row.
    pub fn find(&mut self, wanted: Wanted, back: bool, what: String, none: String) {
        let (goes_around, from) = match wanted {
            Wanted::Since(_) => (false, 0),
            Wanted::Before(_) => (false, u64::MAX),
            _ => (true, self.selected().unwrap_or(0)),
        };
        let search = Search { wanted, filter: self.expr(), from, back, goes_around };
        let capture = Arc::clone(self.capture());
        let job = search.start(&capture, &self.bell, &self.turns.find);
        self.finding = Some(Finding { job, what, none });
    }

    /// Takes what jobs have found since.
    pub fn poll(&mut self) {
        if let Some(finding) = self.finding.take_if(|finding| finding.job.has_ended()) {
            let (found, end) = finding.job.state(|state| (state.value, state.end.clone()));
            match (found, end) {
                (Some(found), _) => {
                    self.go(found.row);
                    if found.went_around {
                        self.say("the search went on at the other end");
                    }
                }
                (None, Some(Err(error))) => self.warn(&error),
                (None, Some(Ok(())) | None) => self.warn(&finding.none),
            }
        }
        if let (Some(row), Some(filter)) = (self.anchor, &self.filter)
            && (filter.has_ended() || filter.looked_at() > row)
        {
            self.anchor = None;
            self.place(self.filter.as_ref().map_or(0, |filter| filter.before(row)));
            self.top = self.at.saturating_sub(self.shown / 2);
        }
        if self.selected().is_none() && self.len() > 0 {
            self.place(self.len());
        }
        if let Some(pane) = &mut self.pane {
            pane.poll();
        }
        // Nobody sees what is counted.
        let counts = self.lanes.job.as_ref().is_some_and(|job| !job.has_ended());
        if counts && self.screen == Screen::List {
            (self.lanes.job, self.lanes.drawn) = (None, None);
        }
    }

    /// Brings what depends on the selection up to date.
    fn refresh(&mut self) {
        if self.pane.as_ref().is_some_and(|pane| pane.kind == Kind::Detail) {
            self.open_detail();
        }
    }

    /// Opens the pane with all about the event.
    pub fn open_detail(&mut self) {
        let columns = usize::from(self.columns);
        let without_addresses = origin::without_addresses(&self.capture().manifest().derived_from);
        let lines = |event: &Event<'_>| super::detail::lines(event, columns, without_addresses);
        let pane = self.of_event(|event| Pane::detail(event.seq, lines(event)));
        self.pane = pane;
    }

    /// Begins to count for the lanes, if what is counted is not what is shown.
    pub fn count_lanes(&mut self, columns: usize) {
        let whole = self.span();
        let mut window = self.lanes.window.unwrap_or(Window { first: whole.0, last: whole.1, columns });
        window.columns = columns;
        let cursor = self.of_event(|event| event.mono_ns);
        let window = cursor.map_or(window, |at| window.with(at, whole));
        self.lanes.window = Some(window);
        let drawn = Some((window, self.expr().map(|expr| expr.to_string())));
        if self.lanes.drawn != drawn {
            self.lanes.drawn = drawn;
            let capture = Arc::clone(self.capture());
            self.lanes.job = Some(lanes::start(&capture, self.expr(), window, &self.bell, &self.turns.lanes));
        }
    }

    /// Waits until everything has been read.
    #[cfg(test)]
    pub fn settle(&mut self) {
        if let Some(filter) = &self.filter {
            filter.wait();
        }
        if let Some(finding) = &self.finding {
            finding.job.wait();
        }
        if let Some(pane) = &mut self.pane {
            pane.wait();
        }
        if let Some(job) = &self.lanes.job {
            job.wait();
        }
        self.poll();
    }
}
