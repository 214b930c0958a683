//! A line in parts, each with a role, and how it is cut. Knows nothing of events.

use std::fmt::{self, Arguments, Write};
use std::ops::Range;

use crate::terminal::{fit, signs};

/// What a part of a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Ordinary text.
    Plain,
    /// Text that may fade.
    Dim,
    /// Name of a process.
    Name,
    /// Data that came in.
    In,
    /// Data that went out.
    Out,
    /// A failure, a loss or a contradiction.
    Bad,
    /// Something not quite whole.
    Warn,
    /// Captured bytes.
    Payload,
}

/// A line in parts. Reused from line to line, so that printing allocates nothing in the long run.
#[derive(Debug, Default)]
pub struct Line {
    pub(super) text: String,
    pub(super) ends: Vec<(Role, usize)>,
    /// Bytes that it takes, where that is limited: a file may claim a text of any length.
    pub(super) most: Option<usize>,
    /// Whether there were more. No more is taken then.
    pub(super) is_full: bool,
    /// Whether redaction took the addresses away: of ranges of memory, only lengths are written.
    pub(super) without_addresses: bool,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.is_full |= self.most.is_some_and(|most| self.text.len().saturating_add(text.len()) > most);
        if self.is_full {
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}

impl Line {
    /// A line about a capture from which redaction has taken the addresses, or has not.
    pub fn of(without_addresses: bool) -> Self {
        Line { without_addresses, ..Line::default() }
    }

    /// Whether redaction has.
    pub fn is_without_addresses(&self) -> bool {
        self.without_addresses
    }

    /// Forgets all parts.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.is_full = false;
    }

    /// Adds a part as it is.
    pub fn add(&mut self, role: Role, text: Arguments<'_>) {
        // Fails where the line is full.
        let _ = self.write_fmt(text);
        self.ends.push((role, self.text.len()));
    }

    /// Adds a part after a space.
    pub fn word(&mut self, role: Role, text: Arguments<'_>) {
        self.add(role, format_args!(" {text}"));
    }

    /// All parts in order.
    pub fn parts(&self) -> impl Iterator<Item = (Role, &str)> {
        let mut start = 0;
        self.ends.iter().map(move |(role, end)| {
            let part = self.text.get(start..*end).unwrap_or_default();
            start = *end;
            (*role, part)
        })
    }

    /// The text without roles.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds the parts of another line.
    pub fn append(&mut self, other: &Line) {
        self.copy(other, 0..other.text.len());
    }

    /// Cuts the line, or each of its lines, at `most` columns, with `…` for what is cut off.
    pub fn fit(&mut self, most: usize) {
        if self.text.split('\n').all(|line| fit::fits(line, most)) {
            return;
        }
        let whole = std::mem::replace(self, Line::of(self.without_addresses));
        let mut start = 0;
        for line in whole.text.split_inclusive('\n') {
            let content = line.strip_suffix('\n').unwrap_or(line);
            let fits = fit::fits(content, most);
            let kept = if fits { content } else { fit::cut(content, most.saturating_sub(1)) };
            self.copy(&whole, start..start + kept.len());
            if !fits {
                self.add(Role::Dim, format_args!("{}", signs::MORE));
            }
            if content.len() < line.len() {
                self.add(Role::Plain, format_args!("\n"));
            }
            start += line.len();
        }
    }

    /// Adds the parts of a range of another line's text.
    fn copy(&mut self, other: &Line, range: Range<usize>) {
        let mut at = 0;
        for (role, part) in other.parts() {
            let inside = range.start.max(at)..range.end.min(at + part.len());
            at += part.len();
            if let Some(text) = other.text.get(inside).filter(|text| !text.is_empty()) {
                self.add(role, format_args!("{text}"));
            }
        }
    }
}
