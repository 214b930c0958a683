//! The next row, or the one before, with what is looked for: text, bytes, an address, an error, an instant.

use std::ops::Range;
use std::sync::Arc;

use anyhow::Result;
use memchr::memmem::Finder;

use super::filter;
use super::group::{self, Columns};
use super::job::{Bell, Job, Run, Turn};
use crate::model::select::{self, Decision, Select, Span};
use crate::schema::expr::Expr;
use crate::schema::reader::Capture;
use crate::schema::{Event, EventKind};

/// Columns in which text is looked for, beside the payload.
const TEXTS: [&str; 15] = [
    "event",
    "comm",
    "exe",
    "argv",
    "container",
    "target_comm",
    "target_exe",
    "target_container",
    "errno",
    "ptrace_request",
    "fd_in_path",
    "fd_out_path",
    "path",
    "fd_in_peer_addr",
    "fd_out_peer_addr",
];

/// What is looked for.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Text, in names and paths and in captured bytes.
    Text(Finder<'static>),
    /// Captured bytes.
    Bytes(Finder<'static>),
    /// A range of memory that the call names.
    Address(Box<select::Filter>),
    /// A call that failed, or a gap.
    Error,
    /// An event at or after this instant of CLOCK_MONOTONIC.
    Since(i64),
    /// An event before this instant.
    Before(i64),
}

impl Wanted {
    /// Reads `text`, `x:00ff` or `0xADDRESS[+LEN]`.
    ///
    /// # Errors
    /// Says what is wrong, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(digits) = text.strip_prefix("x:") {
            let bytes = hex(digits).filter(|bytes| !bytes.is_empty());
            let bytes = bytes.ok_or("x: is followed by two hexadecimal digits for each byte, as in x:7f454c46")?;
            return Ok(Wanted::Bytes(Finder::new(&bytes).into_owned()));
        }
        if text.starts_with("0x") {
            let span = Span::parse(text)?;
            let filter = select::Filter::new(&Select { address: Some(span), ..Select::default() });
            return filter.map(|filter| Wanted::Address(Box::new(filter))).map_err(|error| format!("{error:#}"));
        }
        match text {
            "" => Err("text, x:HEX or 0xADDRESS is looked for".into()),
            text => Ok(Wanted::Text(Finder::new(text.as_bytes()).into_owned())),
        }
    }

    fn columns(&self) -> Vec<&'static str> {
        match self {
            Wanted::Text(_) => TEXTS.into_iter().chain(["payload"]).collect(),
            Wanted::Bytes(_) => vec!["payload"],
            Wanted::Address(_) => vec!["event", "mono_ns", "ts_ns", "pid", "target_pid", "local_iov", "remote_iov"],
            Wanted::Error => vec!["event", "errno"],
            Wanted::Since(_) | Wanted::Before(_) => vec!["mono_ns"],
        }
    }

    fn meets(&self, event: &Event<'_>, capture: &Capture) -> bool {
        match self {
            Wanted::Text(text) => {
                let payload = event.payload.is_some_and(|bytes| text.find(bytes).is_some());
                payload || texts(event).into_iter().flatten().any(|field| text.find(field.as_bytes()).is_some())
            }
            Wanted::Bytes(bytes) => event.payload.is_some_and(|payload| bytes.find(payload).is_some()),
            Wanted::Address(filter) => {
                let decision = filter.on(&capture.manifest().start).decide(event);
                matches!(decision, Decision::Show(_))
            }
            Wanted::Error => event.errno.is_some() || event.event == EventKind::Lost.name(),
            Wanted::Since(mono_ns) => event.mono_ns >= *mono_ns,
            Wanted::Before(mono_ns) => event.mono_ns < *mono_ns,
        }
    }

    /// Whether a row group may have it, by its statistics.
    fn may_be_in(&self, capture: &Capture, group: usize) -> bool {
        match self {
            Wanted::Since(mono_ns) => group::mono_span(capture, group).is_none_or(|(_, last)| last >= *mono_ns),
            Wanted::Before(mono_ns) => group::mono_span(capture, group).is_none_or(|(first, _)| first < *mono_ns),
            Wanted::Text(_) | Wanted::Bytes(_) | Wanted::Address(_) | Wanted::Error => true,
        }
    }
}

/// The fields named in [`TEXTS`].
fn texts<'a>(event: &Event<'a>) -> [Option<&'a str>; TEXTS.len()] {
    [
        Some(event.event),
        Some(event.comm),
        event.exe,
        event.argv,
        event.container,
        event.target_comm,
        event.target_exe,
        event.target_container,
        event.errno,
        event.ptrace_request,
        event.fd_in_path,
        event.fd_out_path,
        event.path,
        event.fd_in_peer_addr,
        event.fd_out_peer_addr,
    ]
}

/// Bytes of which `digits` are two hexadecimal digits each; blanks may stand between them.
fn hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = digits.chars().filter(|c| *c != ' ').map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    });
    pairs.collect()
}

/// A search.
#[derive(Clone, Debug)]
pub struct Search {
    /// What for.
    pub wanted: Wanted,
    /// Only among the rows that this selects.
    pub filter: Option<Expr>,
    /// The row from which it begins; that itself comes last, or first where it does not go around.
    pub from: u64,
    /// Towards the begin of the capture.
    pub back: bool,
    /// Whether it goes on at the other end.
    pub goes_around: bool,
}

/// A row that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub row: u64,
    /// Whether the search went on at the other end.
    pub went_around: bool,
}

impl Search {
    /// Begins to search.
    pub fn start(self, capture: &Arc<Capture>, bell: &Bell, turn: &Turn) -> Job<Option<Found>> {
        let capture = Arc::clone(capture);
        Job::start(bell, turn, None, move |run| {
            for (number, span) in self.spans(capture.rows()).into_iter().enumerate() {
                if let Some(row) = self.look(&capture, span, run)? {
                    let found = Found { row, went_around: number > 0 };
                    return run.note(0, |value| *value = Some(found));
                }
            }
            Ok(())
        })
    }

    /// The rows in which to look first, and those in which to look then.
    fn spans(&self, rows: u64) -> [Range<u64>; 2] {
        match (self.goes_around, self.back) {
            (false, false) => [self.from..rows, 0..0],
            (false, true) => [0..self.from.saturating_add(1).min(rows), 0..0],
            (true, false) => {
                let next = self.from.saturating_add(1).min(rows);
                [next..rows, 0..next]
            }
            (true, true) => [0..self.from.min(rows), self.from.min(rows)..rows],
        }
    }

    /// The first row of a span, or the last one if it looks back.
    fn look(&self, capture: &Capture, span: Range<u64>, run: &Run<Option<Found>>) -> Result<Option<u64>> {
        let mut parts = Vec::new();
        let mut start = 0u64;
        for group in 0..capture.row_group_count() {
            let end = start.saturating_add(capture.row_group(group).map_or(0, |(rows, _)| rows));
            let inside = span.start.max(start)..span.end.min(end);
            if !inside.is_empty() {
                parts.push((group, start, inside));
            }
            start = end;
        }
        if self.back {
            parts.reverse();
        }
        let condition = self.filter.iter().flat_map(filter::columns);
        let columns = Columns::of(self.wanted.columns().into_iter().chain(condition));
        for (group, start, inside) in parts {
            if !self.wanted.may_be_in(capture, group) {
                continue;
            }
            run.goes_on()?;
            group::check(capture, group, &columns)?;
            let (mut row, mut last) = (inside.start, None);
            for batch in group::rows(capture, group, &columns, inside.start - start..inside.end - start)? {
                let (batch, _) = batch?;
                let mut matching = (row..).zip(batch.iter()).filter(|(_, event)| {
                    self.filter.as_ref().is_none_or(|expr| filter::selects(expr, event))
                        && self.wanted.meets(event, capture)
                });
                let found = if self.back { matching.last() } else { matching.next() };
                run.note(batch.len() as u64, |_| ())?;
                match found {
                    Some((found, _)) if !self.back => return Ok(Some(found)),
                    Some((found, _)) => last = Some(found),
                    None => {}
                }
                row = row.saturating_add(batch.len() as u64);
            }
            if last.is_some() {
                return Ok(last);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_has_three_forms() {
        assert!(matches!(Wanted::parse("hunter2"), Ok(Wanted::Text(text)) if text.needle() == b"hunter2"));
        assert!(matches!(Wanted::parse("x:00 fF"), Ok(Wanted::Bytes(bytes)) if bytes.needle() == [0, 0xff]));
        assert!(matches!(Wanted::parse("0x10+8"), Ok(Wanted::Address(_))));
        for wrong in ["x:", "x:0", "x:zz", "0x", "0x10+0", ""] {
            assert!(Wanted::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_search_begins_beside_its_row_and_ends_with_it() {
        let search = |back, goes_around| {
            let search = Search { wanted: Wanted::Error, filter: None, from: 3, back, goes_around };
            search.spans(10)
        };
        assert_eq!(search(false, true), [4..10, 0..4]);
        assert_eq!(search(true, true), [0..3, 3..10]);
        assert_eq!(search(false, false), [3..10, 0..0]);
        assert_eq!(search(true, false), [0..4, 0..0]);
    }
}
