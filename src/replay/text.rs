//! The text renderer: a header per capture, a heading per process, a line per event.
//!
//! Owns layout and colour. `describe` owns the words of a line.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufWriter, Write};

use anyhow::Result;

use super::Render;
use super::describe::{self, Line, Named, Role};
use super::dump;
use super::folding::Run;
use super::info::facts;
use super::snapshots::{self, Held, Snapshots};
use super::summary::layout;
use crate::count::{self, Count};
use crate::model::origin;
use crate::model::process::{self, Identity, Processes};
use crate::model::select::View;
use crate::model::time::{self, Clock, Notation};
use crate::schema::manifest::Clocks;
use crate::schema::reader::Capture;
use crate::schema::{Event, EventKind};
use crate::terminal::escape::Safe;
use crate::terminal::pager::Output;
use crate::terminal::signs;

/// How text is to look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// With colours.
    pub color: bool,
    /// With a hexdump under each line.
    pub hexdump: bool,
    /// How instants are written.
    pub time: Notation,
    /// Whether each capture must be named, there being several.
    pub name_files: bool,
    /// Columns of a line; lines are whole where there is no limit.
    pub columns: Option<usize>,
    /// Whether runs of alike events are folded.
    pub fold: bool,
    /// Whether all snapshots are shown.
    pub snapshots: bool,
}

/// Writes timelines to `out`.
#[derive(Debug)]
pub struct Text {
    out: BufWriter<Output>,
    look: Look,
    clock: Clock,
    /// The version of each process that was introduced.
    introduced: HashMap<Identity, u64>,
    current: Option<Identity>,
    /// Heading of the section, until it has been written.
    title: &'static str,
    buffer: String,
    line: Line,
    first: bool,
    run: Run,
    snapshots: Snapshots,
    /// Columns before the arrow of the line before.
    indent: usize,
}

impl Text {
    /// A renderer that writes to `out`.
    pub fn new(out: BufWriter<Output>, look: Look) -> Self {
        Text {
            out,
            look,
            clock: Clock::new(look.time, &Clocks::default()),
            introduced: HashMap::new(),
            current: None,
            title: "",
            buffer: String::new(),
            line: Line::default(),
            first: true,
            run: Run::default(),
            snapshots: Snapshots::default(),
            indent: 0,
        }
    }

    /// Forgets the capture before; the clock of the next one started as `start` says.
    pub fn begin(&mut self, start: &Clocks) {
        self.clock = Clock::new(self.look.time, start);
        if self.look.columns.is_some() {
            self.clock = self.clock.in_micros();
        }
        self.introduced.clear();
        self.current = None;
        self.title = "";
    }

    /// Writes a line about what comes next.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remark(&mut self, sentence: &str) -> Result<()> {
        self.line.clear();
        self.line.add(Role::Dim, format_args!("# {sentence}"));
        self.paint();
        self.buffer.push('\n');
        self.write()
    }

    /// Writes whose line comes next, if that is not the process of the line before.
    fn heading(&mut self, focus: Identity, processes: &Processes) {
        let focus = processes.resolve(focus);
        let Some(process) = processes.get(focus) else { return };
        if self.introduced.len() >= process::LIMIT {
            self.introduced.clear();
        }
        let introduced = self.introduced.insert(focus, process.version) == Some(process.version);
        if self.current == Some(focus) && introduced {
            return;
        }
        self.current = Some(focus);
        self.line.clear();
        self.line.add(
            Role::Name,
            format_args!("{}", Named { host: process.host.as_deref(), name: Some(&process.name), pid: focus.pid }),
        );
        // Facts are printed once; later lines have only the name of the process.
        if !introduced {
            self.buffer.push('\n');
            if let Some(exe) = &process.exe {
                self.line.add(Role::Plain, format_args!("  {}", Safe(exe)));
            }
            if let Some(uid) = process.uid.filter(|uid| *uid != u32::MAX) {
                self.line.add(Role::Dim, format_args!("  uid {uid}"));
            }
            if let Some(container) = &process.container {
                self.line.add(Role::Dim, format_args!("  container {}", Safe(short_id(container))));
            }
            if let Some(pid) = process.parent.filter(|pid| *pid != 0) {
                let (host, name) = (process.host.as_deref(), processes.name(focus.host, pid));
                self.line.add(Role::Dim, format_args!("  started by {}", Named { host, name, pid }));
            }
        }
        self.paint();
        self.buffer.push('\n');
    }

    /// Moves the line into the buffer, cut to the width, with or without colours.
    fn paint(&mut self) {
        if let Some(columns) = self.look.columns {
            self.line.fit(columns);
        }
        for (role, part) in self.line.parts() {
            match sgr(role).filter(|_| self.look.color) {
                Some(sgr) => {
                    let _ = write!(self.buffer, "\x1b[{sgr}m{part}\x1b[0m");
                }
                None => self.buffer.push_str(part),
            }
        }
    }

    /// What `write` writes into the buffer, taken out of it.
    fn painted(&mut self, write: impl FnOnce(&mut Self)) -> String {
        let start = self.buffer.len();
        write(self);
        self.buffer.split_off(start)
    }

    /// Writes an event, below a heading where one is needed.
    fn print(&mut self, event: &Event<'_>, view: View, processes: &Processes) {
        if event.event != EventKind::Lost.name() {
            let focus = match view {
                View::Caller => Some(Identity::caller(event)),
                View::Target => Identity::target(event),
            };
            self.heading(focus.unwrap_or_else(|| Identity::caller(event)), processes);
        }
        let title = std::mem::take(&mut self.title);
        if !title.is_empty() {
            self.line.clear();
            self.line.add(Role::Name, format_args!("\n{title}\n"));
            self.paint();
        }
        self.describe(event, view, processes);
        if self.look.hexdump {
            self.dump(event);
        }
    }

    /// Writes the line of an event.
    fn describe(&mut self, event: &Event<'_>, view: View, processes: &Processes) {
        // In ASCII.
        let mut at = String::new();
        self.clock.write(&mut at, event);
        self.line.clear();
        self.line.add(Role::Dim, format_args!("{at}"));
        match self.look.columns {
            None => {
                self.line.add(Role::Plain, format_args!("  "));
                self.indent = at.len() + 2;
                describe::event(&mut self.line, event, view, processes);
            }
            Some(columns) => {
                self.line.add(Role::Plain, format_args!(" "));
                self.indent = at.len() + 1;
                let left = columns.saturating_sub(self.indent);
                describe::event_in_short(&mut self.line, event, view, processes, left);
            }
        }
        self.paint();
        self.buffer.push('\n');
    }

    fn dump(&mut self, event: &Event<'_>) {
        for row in dump::rows(event, self.look.columns) {
            self.line.clear();
            self.line.add(Role::Payload, format_args!("{row}"));
            self.paint();
            self.buffer.push('\n');
        }
    }

    /// Adds an event to the run.
    fn fold(&mut self, event: &Event<'_>, view: View, processes: &Processes) {
        let mut run = std::mem::take(&mut self.run);
        let mut printed = false;
        run.add(event, || {
            printed = true;
            self.painted(|text| text.describe(event, view, processes))
        });
        if !printed {
            self.clock.pass(event);
        }
        self.run = run;
    }

    /// Writes what was folded of the run, which ends.
    fn end_run(&mut self) {
        let Some(folded) = self.run.end() else { return };
        if folded.count == 1 {
            self.buffer.push_str(&folded.only);
            return;
        }
        let (count, span) = (count::grouped(folded.count), time::span(folded.span_ns));
        let longest = folded.longest_ns.map(|ns| format!(", longest took {}", time::span(ns))).unwrap_or_default();
        let bytes = folded.bytes.map(|bytes| format!("{}, ", count::size(bytes))).unwrap_or_default();
        self.line.clear();
        self.line.add(
            Role::Dim,
            format_args!(
                "{:indent$}{} {count} more like it, {bytes}{span}{longest}",
                "",
                signs::MORE,
                indent = self.indent
            ),
        );
        self.paint();
        self.buffer.push('\n');
    }

    /// Writes a snapshot that was held back, below its heading.
    fn release(&mut self, held: &Held, processes: &Processes) {
        self.heading(held.process, processes);
        self.buffer.push_str(&held.text);
    }

    fn write(&mut self) -> Result<()> {
        self.out.write_all(self.buffer.as_bytes())?;
        self.buffer.clear();
        Ok(())
    }
}

impl Render for Text {
    fn capture(&mut self, capture: &Capture) -> Result<()> {
        self.begin(&capture.manifest().start);
        if !std::mem::take(&mut self.first) {
            self.buffer.push('\n');
        }
        self.line.clear();
        if self.look.name_files {
            let name = capture.path().display().to_string();
            self.line.add(Role::Name, format_args!("==> {} <==\n", Safe(&name)));
        }
        facts::header(&mut self.line, capture, self.look.columns.is_some());
        self.paint();
        self.write()?;
        self.line = Line::of(origin::without_addresses(&capture.manifest().derived_from));
        if self.line.is_without_addresses() {
            self.remark("redaction took all addresses away: of ranges of memory, only the lengths are known")?;
        }
        Ok(())
    }

    fn section(&mut self, title: &'static str) {
        self.end_run();
        self.clock.restart();
        self.current = None;
        self.title = title;
    }

    fn opening(&mut self, sentences: &[String]) {
        self.buffer.push('\n');
        for sentence in sentences {
            layout::wrap(&mut self.buffer, sentence, self.look.columns.unwrap_or(usize::MAX));
        }
    }

    fn event(&mut self, event: &Event<'_>, view: View, processes: &Processes, left: u64) -> Result<u64> {
        let mut released = 0;
        if !self.look.snapshots {
            if snapshots::is_snapshot(event) && self.snapshots.have_room() {
                // It may come much later: the clock runs on as if it had not been there.
                let clock = self.clock;
                let text = self.painted(|text| text.describe(event, view, processes));
                self.clock = clock;
                self.snapshots.hold(Identity::caller(event), text);
                return Ok(0);
            }
            for held in self.snapshots.of(event) {
                if released == left {
                    break;
                }
                self.end_run();
                self.release(&held, processes);
                released += 1;
            }
            // Nothing is left for the event itself.
            if released == left {
                return self.write().map(|()| released);
            }
        }
        if self.look.fold {
            if self.run.takes(event, view) {
                self.fold(event, view, processes);
                return Ok(released + 1);
            }
            self.end_run();
            self.run.begin(event);
        }
        self.print(event, view, processes);
        self.write()?;
        Ok(released + 1)
    }

    fn end(&mut self, processes: &Processes, left: u64) -> Result<u64> {
        self.end_run();
        let (alone, left_out) = self.snapshots.end();
        let mut released = 0;
        for (held, number) in alone.iter().zip(1..=left) {
            self.release(held, processes);
            released = number;
        }
        if let Ok(left_out @ 1..) = u64::try_from(left_out) {
            let processes = Count(left_out, "process without an event is", "processes without an event are");
            self.line.clear();
            self.line.add(Role::Dim, format_args!("\n# {processes} left out: --snapshots shows all\n"));
            self.paint();
        }
        self.write()?;
        Ok(released)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }

    fn close(&mut self) -> Result<()> {
        let flushed = self.out.flush();
        // If a pager failed, that is why nobody reads.
        self.out.get_mut().close()?;
        Ok(flushed?)
    }
}

/// The beginning of a full container id, as container managers list it; a name stays whole.
fn short_id(container: &str) -> &str {
    if container.len() == 64 { container.get(..12).unwrap_or(container) } else { container }
}

/// Parameters of the terminal sequence that sets a role's look (ECMA-48 SGR), kept to what every terminal has.
fn sgr(role: Role) -> Option<&'static str> {
    match role {
        Role::Plain => None,
        Role::Dim => Some("2"),
        Role::Name => Some("1"),
        Role::In => Some("1;32"),
        Role::Out => Some("1;34"),
        Role::Bad => Some("1;31"),
        Role::Warn => Some("33"),
        Role::Payload => Some("36"),
    }
}
