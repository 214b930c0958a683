//! What is shown beside the list: everything about the event, where its bytes went, the memory that it touched.
//!
//! Owns the text and which of its lines are shown. Flows and memory are what `vmtrace flows` and `vmtrace memory` print; they
//! take a while on a large capture.

use std::sync::Arc;

use super::job::{Bell, Job, Turn};
use super::look;
use crate::count;
use crate::model::select::Span;
use crate::replay::describe::{Line, Role};
use crate::replay::{flows, memory};
use crate::schema::Event;
use crate::schema::reader::Capture;
use crate::schema::types::Iovecs;
use crate::terminal::escape::SafeMessage;

/// Bytes of memory that are shown, at least and at most.
const MEMORY: [u64; 2] = [64, 4096];

/// What a pane is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The event.
    Detail,
    /// Its bytes.
    Flow,
    /// The memory that it touched.
    Memory,
}

/// What a job has read.
#[derive(Clone, Debug, Default)]
pub struct Told {
    text: String,
    calls: Vec<u64>,
}

/// A pane.
#[derive(Debug)]
pub struct Pane {
    /// What it is about.
    pub kind: Kind,
    /// What it is called.
    pub title: String,
    /// Its text.
    pub lines: Vec<Line>,
    /// The first line that is shown.
    pub top: usize,
    /// The calls of a flow, by `seq`.
    pub calls: Vec<u64>,
    job: Option<Job<Told>>,
    /// Columns of a line.
    columns: usize,
}

/// A range of memory at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// On which host, where the capture is of several.
    pub host: Option<String>,
    /// Whose.
    pub pid: i32,
    /// When.
    pub mono_ns: i64,
    /// Where.
    pub span: Span,
}

/// The memory that an event touched: that of the target, then that of the caller.
pub fn places(event: &Event<'_>) -> Vec<Place> {
    let first = |iovecs: Option<Iovecs<'_>>| iovecs.and_then(|iovecs| iovecs.iter().find(|range| range.len > 0));
    let sides = [(event.target_pid, first(event.remote_iov)), (Some(event.pid), first(event.local_iov))];
    let places = sides.into_iter().filter_map(|(pid, range)| {
        let (pid, range) = (pid?, range?);
        let length = range.len.clamp(MEMORY[0], MEMORY[1]).min(u64::MAX - range.base);
        let span = Span::parse(&format!("{:#x}+{}", range.base, length.max(1))).ok()?;
        Some(Place { host: event.host.map(str::to_string), pid, mono_ns: event.mono_ns, span })
    });
    places.collect()
}

impl Pane {
    /// All about an event.
    pub fn detail(seq: u64, lines: Vec<Line>) -> Self {
        Pane {
            kind: Kind::Detail,
            title: format!("row {seq}"),
            lines,
            top: 0,
            calls: Vec::new(),
            job: None,
            columns: 0,
        }
    }

    fn reading(kind: Kind, title: String, job: Job<Told>, columns: usize) -> Self {
        Pane { kind, title, lines: Vec::new(), top: 0, calls: Vec::new(), job: Some(job), columns }
    }

    /// Where the bytes of an event came from and went, in lines of so many columns.
    pub fn flow(capture: &Arc<Capture>, seq: u64, columns: usize, bell: &Bell, turn: &Turn) -> Self {
        let of = Arc::clone(capture);
        let job = Job::start(bell, turn, Told::default(), move |run| {
            let goes_on = |rows| run.note(rows, |_| ());
            let (text, calls) = flows::answer(of.path(), of.limits(), seq, &goes_on)?;
            run.note(0, |told| *told = Told { text, calls: calls.into_iter().collect() })
        });
        Pane::reading(Kind::Flow, format!("flow of row {seq}"), job, columns)
    }

    /// Memory at an instant, in lines of so many columns.
    pub fn memory(capture: &Arc<Capture>, place: Place, columns: usize, bell: &Bell, turn: &Turn) -> Self {
        let of = Arc::clone(capture);
        let title = format!("memory of process {} at {}", place.pid, place.span);
        let job = Job::start(bell, turn, Told::default(), move |run| {
            let Place { host, pid, mono_ns, span } = place;
            let text =
                memory::text_at(of.path(), of.limits(), (host.as_deref(), pid, mono_ns, span), columns, run.stop())?;
            run.note(0, |told| *told = Told { text, calls: Vec::new() })
        });
        Pane::reading(Kind::Memory, title, job, columns)
    }

    /// Whether its text is not there yet.
    pub fn is_reading(&self) -> bool {
        self.job.is_some()
    }

    /// How far it has come.
    pub fn progress(&self) -> String {
        let rows = self.job.as_ref().map_or(0, |job| job.state(|state| state.rows));
        match rows {
            0 => "reading… (Esc cancels)".into(),
            rows => format!("reading… {} (Esc cancels)", count::rows(rows)),
        }
    }

    /// Takes the text of a job that has ended; returns whether it did.
    pub fn poll(&mut self) -> bool {
        let Some(job) = self.job.take_if(|job| job.has_ended()) else { return false };
        let (told, end) = job.state(|state| (state.value.clone(), state.end.clone()));
        self.calls = told.calls;
        let (role, text) = match end {
            Some(Err(error)) => (Role::Bad, SafeMessage(&error).to_string()),
            // What these commands print is safe for a terminal.
            Some(Ok(())) | None => (Role::Plain, told.text),
        };
        let lines = look::wrapped(&text, self.columns);
        self.lines = lines.iter().map(|text| look::plain(role, text)).collect();
        true
    }

    /// Waits until its text is there.
    #[cfg(test)]
    pub fn wait(&mut self) {
        if let Some(job) = &self.job {
            job.wait();
        }
        self.poll();
    }

    /// Moves the text, of which `shown` lines fit.
    pub fn scroll(&mut self, lines: i64, shown: usize) {
        let most = self.lines.len().saturating_sub(shown);
        let moved = i64::try_from(self.top).unwrap_or(i64::MAX).saturating_add(lines).max(0);
        self.top = usize::try_from(moved).unwrap_or(usize::MAX).min(most);
    }

    /// The call of the flow behind that of this `seq`, or before it.
    pub fn call_beside(&self, seq: u64, back: bool) -> Option<u64> {
        if back {
            self.calls.iter().rev().copied().find(|call| *call < seq)
        } else {
            self.calls.iter().copied().find(|call| *call > seq)
        }
    }
}
