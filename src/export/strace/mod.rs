//! The text of strace(1), as `strace -f -ttt -T -o FILE` writes it: a line per system call, with the thread, the instant at which
//! the call began, its arguments, what it returned, and how long it took.
//!
//! What a capture does not contain is `...`, as strace writes what it leaves out: environments, and arrays that could not be
//! read. Where a capture does not say when a call began, the line has the instant at which it returned, and no duration.
//! Texts and bytes are quoted as strace quotes them: nothing in them acts on a terminal.

mod args;
mod ptrace;
mod quote;
mod words;

use std::fmt::Write as _;
use std::io::Write;

use anyhow::{Result, bail};

use self::quote::Quoted;
use super::left_out::{LeftOut, is_io_uring};
use super::{Export, Origin};
use crate::model::origin;
use crate::schema::events::{EventSpec, Group};
use crate::schema::{Event, EventKind};

/// strace's columns up to what a call returned.
const COLUMN: usize = 39;

/// Writes strace's text to `out`.
#[derive(Debug)]
pub struct Strace<W> {
    out: W,
    line: Line,
    /// The capture that is written.
    name: String,
    /// What its rows have in `host`, after the first.
    host: Option<Option<String>>,
    left_out: LeftOut,
}

impl<W: Write> Strace<W> {
    /// An exporter that writes to `out`.
    pub fn new(out: W) -> Self {
        Strace { out, line: Line::default(), name: String::new(), host: None, left_out: LeftOut::default() }
    }
}

impl<W: Write> Export for Strace<W> {
    fn capture(&mut self, origin: &Origin<'_>) -> Result<()> {
        self.name.clone_from(&origin.name);
        self.host = None;
        self.line.without_addresses = origin::without_addresses(&origin.manifest.derived_from);
        if origin.manifest.several_hosts().is_some() { several(&self.name) } else { Ok(()) }
    }

    fn event(&mut self, event: &Event<'_>) -> Result<()> {
        // Whatever the manifest says of them.
        match &self.host {
            Some(host) if host.as_deref() != event.host => return several(&self.name),
            Some(_) => {}
            None => self.host = Some(event.host.map(str::to_string)),
        }
        self.line.text.clear();
        if describe(&mut self.line, event) {
            self.line.push_str("\n");
            self.out.write_all(self.line.text.as_bytes())?;
        } else {
            self.left_out.note(event);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }

    fn left_out(&self) -> Vec<String> {
        self.left_out.sentences("strace")
    }
}

fn several(name: &str) -> Result<()> {
    bail!(
        "{name} is of several hosts, which lines of strace do not name: slice one first (vmtrace slice --where 'host = NAME')"
    )
}

/// Writes the line of an event; whether it has one. strace shows system calls, and the ends of processes.
fn describe(line: &mut Line, event: &Event<'_>) -> bool {
    let Some(spec) = event.spec() else { return false };
    if is_io_uring(event) {
        return false;
    }
    match (spec.kind, event.parent_pid) {
        (EventKind::ProcessExec, _) => {
            front(line, event.tid, event);
            exec(line, event);
        }
        // The call was its parent's.
        (EventKind::ProcessFork, Some(parent)) => {
            front(line, parent, event);
            add(line, format_args!("fork()"));
            returned(line, format_args!("{}", event.pid));
        }
        (EventKind::ProcessExit, _) => {
            front(line, event.tid, event);
            end(line, event.exit_code);
        }
        (EventKind::ProcessFork | EventKind::ProcessSnapshot | EventKind::Lost, _) => return false,
        (_, _) => {
            front(line, event.tid, event);
            call(line, spec, event);
        }
    }
    true
}

/// A line as far as it is written.
#[derive(Debug, Default)]
struct Line {
    text: String,
    /// Whether redaction took the addresses of the capture away: they are `...` then.
    without_addresses: bool,
}

impl Line {
    fn push_str(&mut self, text: &str) {
        self.text.push_str(text);
    }
}

/// Writing to a String cannot fail.
fn add(line: &mut Line, text: std::fmt::Arguments<'_>) {
    let _ = line.text.write_fmt(text);
}

/// An address, or what is written in the place of one that redaction took away.
fn address(line: &mut Line, address: impl std::fmt::Display) {
    match line.without_addresses {
        true => line.push_str("..."),
        false => add(line, format_args!("{address}")),
    }
}

/// The thread, and the instant at which the call began, in seconds since 1970.
fn front(line: &mut Line, tid: i32, event: &Event<'_>) {
    let began = event.ts_ns.saturating_sub(event.dur_ns.unwrap_or(0));
    let micros = began.div_euclid(1_000);
    add(line, format_args!("{tid:<5} {}.{:06} ", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000)));
}

/// What a call returned, in its column.
fn returned(line: &mut Line, value: std::fmt::Arguments<'_>) {
    let length = line.text.len();
    line.text.extend(std::iter::repeat_n(' ', COLUMN.saturating_sub(length)));
    add(line, format_args!(" = {value}"));
}

fn call(line: &mut Line, spec: &EventSpec, event: &Event<'_>) {
    add(line, format_args!("{}(", words::call(spec.kind, event)));
    match spec.kind {
        EventKind::Ptrace => ptrace::arguments(line, event),
        EventKind::MemOpen => args::of_open(line, event),
        _ if spec.group == Group::Uffd => args::of_uffd(line, spec, event),
        _ => args::arguments(line, spec, event),
    }
    line.push_str(")");
    match (event.ret, event.errno) {
        (None, _) => returned(line, format_args!("?")),
        (Some(code), Some(name)) => match words::error(code) {
            Some(words::Error::Plain(text)) => returned(line, format_args!("-1 {} ({text})", words::Word(name))),
            // The kernel has not returned yet: it begins the call again.
            Some(words::Error::Restart(text)) => returned(line, format_args!("? {} ({text})", words::Word(name))),
            None => returned(line, format_args!("{code}")),
        },
        (Some(value), None) => returned(line, format_args!("{value}")),
    }
    if let Some(ns) = event.dur_ns.and_then(|ns| u64::try_from(ns).ok()) {
        let micros = ns / 1_000;
        add(line, format_args!(" <{}.{:06}>", micros / 1_000_000, micros % 1_000_000));
    }
}

/// A capture has the words of the command line joined by spaces.
fn exec(line: &mut Line, event: &Event<'_>) {
    line.push_str("execve(");
    match event.exe {
        Some(path) => add(line, format_args!("{}", Quoted::text(path))),
        None => line.push_str("..."),
    }
    line.push_str(", ");
    match event.argv {
        Some(words) => {
            line.push_str("[");
            for (index, word) in words.split(' ').enumerate() {
                add(line, format_args!("{}{}", if index == 0 { "" } else { ", " }, Quoted::text(word)));
            }
            line.push_str("]");
        }
        None => line.push_str("..."),
    }
    line.push_str(", ...)");
    returned(line, format_args!("0"));
}

/// How a process ended: its wait status (wait(2)).
fn end(line: &mut Line, status: Option<i32>) {
    match status {
        Some(status) if status & 0x7f == 0 => add(line, format_args!("+++ exited with {} +++", (status >> 8) & 0xff)),
        Some(status) => {
            let dumped = if status & 0x80 == 0 { "" } else { " (core dumped)" };
            add(line, format_args!("+++ killed by {}{dumped} +++", words::Signal(status & 0x7f)));
        }
        None => line.push_str("+++ exited with ? +++"),
    }
}

#[cfg(test)]
mod tests;
