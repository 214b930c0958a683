//! One event as one line: direction, bytes, call, the other side, and what is unusual.
//!
//! Owns the wording. A line is text in parts, each with a role; the renderer decides how a role looks. All text in a
//! line is safe for a terminal. Does no I/O.

mod life;
mod line;
mod ranges;
mod short;

use std::fmt;

pub use self::life::describe as life;
pub use self::line::{Line, Role};
pub use self::short::event as event_in_short;
#[cfg_attr(not(feature = "view"), allow(unused_imports))]
pub use self::short::name as name_in_short;
use crate::model::process::{HostId, Processes};
use crate::model::select::View;
use crate::model::time;
use crate::schema::events::{EventSpec, Group};
use crate::schema::vocabulary::{Abi, Direction, IovVerdict, PayloadStatus};
use crate::schema::{Event, EventKind};
use crate::terminal::escape::{Preview, Safe};
use crate::terminal::signs;

/// Columns of a payload preview.
const PREVIEW: usize = 32;

/// Which way data went, seen from the process whose line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    In,
    Out,
    Unknown,
}

impl Way {
    fn of(event: &Event<'_>, view: View) -> Self {
        let direction = event.direction.and_then(|direction| Direction::parse(direction).ok());
        match (direction, view) {
            (Some(Direction::In), View::Caller) | (Some(Direction::Out), View::Target) => Way::In,
            (Some(Direction::Out), View::Caller) | (Some(Direction::In), View::Target) => Way::Out,
            (None, View::Caller | View::Target) => Way::Unknown,
        }
    }

    /// How the process at the other end has part in it.
    fn how(self, event: &Event<'_>, view: View) -> &'static str {
        // The target fed the pipe that the bytes were taken from: both descriptors show where they went.
        let between_files = event.spec().is_some_and(EventSpec::is_between_files);
        match (self, view) {
            (Way::In, View::Caller) => "from ",
            (Way::In, View::Target) => "from caller ",
            (Way::Out, View::Caller) => "to ",
            (Way::Out, View::Target) => "to caller ",
            (Way::Unknown, View::Caller) if between_files => "fed by ",
            (Way::Unknown, View::Caller) => "on ",
            (Way::Unknown, View::Target) => "by caller ",
        }
    }

    /// The same where an arrow says the rest.
    fn how_in_short(self, event: &Event<'_>, view: View) -> &'static str {
        match (self, view) {
            (Way::In | Way::Out, View::Caller) => "",
            (Way::In | Way::Out, View::Target) => "caller ",
            (Way::Unknown, View::Caller | View::Target) => self.how(event, view),
        }
    }

    /// What stands before the memory of the process whose line it is.
    fn own(self) -> &'static str {
        match self {
            Way::In => "into",
            Way::Out => "from",
            Way::Unknown => "with",
        }
    }

    fn arrow(self) -> (Role, &'static str) {
        match self {
            Way::In => (Role::In, signs::IN),
            Way::Out => (Role::Out, signs::OUT),
            Way::Unknown => (Role::Dim, signs::NEITHER),
        }
    }
}

/// `name[pid]`, or `pid N` where no name is known; behind `host:` where the capture is of several.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// Host, as captured, where the capture is of several.
    pub host: Option<&'a str>,
    /// Name, as captured.
    pub name: Option<&'a str>,
    /// Process id.
    pub pid: i32,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = self.host {
            write!(f, "{}:", Safe(host))?;
        }
        match self.name {
            Some(name) if !name.is_empty() => write!(f, "{}[{}]", Safe(name), self.pid),
            _ => write!(f, "pid {}", self.pid),
        }
    }
}

/// Writes `event` as seen from the side of `view`: everything after the time.
pub fn event(line: &mut Line, event: &Event<'_>, view: View, processes: &Processes) {
    if event.event == EventKind::Lost.name() {
        return life::gap(line, event);
    }
    let way = Way::of(event, view);
    let (role, arrow) = way.arrow();
    line.add(role, format_args!("{arrow}"));
    outcome(line, event);
    line.add(Role::Plain, format_args!("  {:<17}", Safe(event.event).to_string()));
    if life::describe(line, event, processes) {
        return;
    }
    if let Some(request) = event.ptrace_request.or(event.advice) {
        line.word(Role::Plain, format_args!("{}", Safe(request)));
    }
    let has_peer = peer(line, event, view, way.how(event, view), processes, &|named| named.to_string());
    ranges::path(line, event);
    match view {
        View::Caller => ranges::remote(line, event),
        View::Target => ranges::local(line, event),
    }
    ranges::descriptors(line, event, has_peer);
    match view {
        View::Caller => ranges::after(line, way.own(), |line| ranges::local(line, event)),
        View::Target => ranges::after(line, way.own(), |line| ranges::remote(line, event)),
    }
    if event.data != 0 {
        line.word(Role::Plain, format_args!("data {:#x}", event.data));
    }
    ranges::flags(line, event);
    abi(line, event);
    doubts(line, event, false);
    thread(line, event);
    payload(line, event);
    if let Some(ns) = event.dur_ns {
        line.word(Role::Dim, format_args!("took {}", time::span(ns)));
    }
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome<'a> {
    /// An error.
    Failed(&'a str),
    /// Bytes moved, of how many where that is another number.
    Moved { bytes: i64, asked: Option<i64> },
    /// A value.
    Returned(i64),
    /// Nothing is known.
    None,
}

impl<'a> Outcome<'a> {
    fn of(event: &Event<'a>) -> Self {
        match (event.errno, event.bytes, event.ret) {
            (Some(errno), ..) => Outcome::Failed(errno),
            (None, Some(bytes), _) => {
                Outcome::Moved { bytes, asked: event.bytes_requested.filter(|asked| *asked != bytes) }
            }
            (None, None, Some(ret)) => Outcome::Returned(ret),
            (None, None, None) => Outcome::None,
        }
    }

    fn role(self) -> Role {
        match self {
            Outcome::Failed(_) => Role::Bad,
            Outcome::Moved { .. } => Role::Plain,
            Outcome::Returned(_) | Outcome::None => Role::Dim,
        }
    }
}

fn outcome(line: &mut Line, event: &Event<'_>) {
    let outcome = Outcome::of(event);
    let text = match outcome {
        Outcome::Failed(errno) => Safe(errno).to_string(),
        Outcome::Moved { bytes, asked: Some(asked) } => format!("{bytes}/{asked} B"),
        Outcome::Moved { bytes, asked: None } => format!("{bytes} B"),
        Outcome::Returned(0) => "ok".into(),
        Outcome::Returned(value) => format!("= {value}"),
        Outcome::None => String::new(),
    };
    line.add(outcome.role(), format_args!(" {text:>12}"));
}

/// Who is at the other end, behind `how` and as `write` writes the name; returns whether anyone is, and the descriptors are
/// but the way to them.
fn peer(
    line: &mut Line,
    event: &Event<'_>,
    view: View,
    how: &str,
    processes: &Processes,
    write: &dyn Fn(Named<'_>) -> String,
) -> bool {
    let between_files = event.spec().is_some_and(EventSpec::is_between_files);
    if view == View::Target {
        // The line is under the target; the caller is named in it.
        line.word(Role::Plain, format_args!("{how}"));
        let name = processes.name(HostId::of(event.host), event.pid).or(Some(event.comm));
        line.add(Role::Name, format_args!("{}", write(Named { host: event.host, name, pid: event.pid })));
        return !between_files;
    }
    match (event.target_pid, event.target_pid_arg) {
        (Some(pid), _) if pid == event.pid => line.word(Role::Plain, format_args!("{how}itself")),
        (Some(pid), passed) => {
            let name = event.target_comm.or_else(|| processes.name(HostId::of(event.host), pid));
            line.word(Role::Plain, format_args!("{how}"));
            line.add(Role::Name, format_args!("{}", write(Named { host: event.host, name, pid })));
            if let Some(passed) = passed.filter(|passed| *passed != pid) {
                line.word(Role::Dim, format_args!("(passed as {passed})"));
            }
            if event.target_ended == Some(true) {
                line.word(Role::Dim, format_args!("{}", signs::ENDED));
            }
        }
        // ptrace(2): the pid of this request is ignored; the parent becomes the tracer.
        (None, _) if event.ptrace_request == Some("PTRACE_TRACEME") => return false,
        (None, Some(passed)) => line.word(Role::Plain, format_args!("{how}pid {passed} {}", signs::UNRESOLVED)),
        (None, None) if event.pidfd.is_some() => {
            line.word(Role::Plain, format_args!("{how}a process {}", signs::UNRESOLVED))
        }
        (None, None) => return false,
    }
    if let Some(pidfd) = event.pidfd {
        line.word(Role::Plain, format_args!("via pidfd {pidfd}"));
    }
    !between_files
}

/// An unusual way into the kernel, and a direction that this version does not know.
fn abi(line: &mut Line, event: &Event<'_>) {
    match event.abi.map(Abi::parse) {
        Some(Ok(Abi::Native)) | None => {}
        Some(Ok(abi @ (Abi::Compat32 | Abi::IoUring))) => line.word(Role::Warn, format_args!("[{}]", abi.as_str())),
        Some(Err(unknown)) => line.word(Role::Warn, format_args!("[{}]", Safe(unknown))),
    }
    if let Some(Err(unknown)) = event.direction.map(Direction::parse) {
        line.word(Role::Warn, format_args!("[direction {}]", Safe(unknown)));
    }
}

/// What contradicts the record: a careful reader must not miss it.
fn doubts(line: &mut Line, event: &Event<'_>, in_short: bool) {
    let of = |sign: signs::Doubt| if in_short { sign.in_short } else { sign.whole };
    if event.toctou == Some(true) {
        line.word(Role::Bad, format_args!("{}", of(signs::TOCTOU)));
    }
    match event.iov_verdict.map(IovVerdict::parse) {
        // Calls with one buffer have no array.
        Some(Ok(IovVerdict::Conflict)) if event.spec().is_some_and(|e| e.group == Group::Mem && !e.has_iovecs()) => {
            line.word(Role::Bad, format_args!("{}", of(signs::DESCRIPTOR_CONFLICT)));
        }
        Some(Ok(IovVerdict::Conflict)) => line.word(Role::Bad, format_args!("{}", of(signs::IOVEC_CONFLICT))),
        Some(Ok(IovVerdict::Unreadable)) => line.word(Role::Warn, format_args!("{}", of(signs::IOVEC_UNREADABLE))),
        Some(Ok(IovVerdict::Unverified | IovVerdict::Kernel)) | None => {}
        Some(Err(unknown)) => line.word(Role::Warn, format_args!("[iovec {}]", Safe(unknown))),
    }
}

fn thread(line: &mut Line, event: &Event<'_>) {
    if event.tid != event.pid {
        line.word(Role::Dim, format_args!("thread {}", Named { host: None, name: Some(event.comm), pid: event.tid }));
    }
}

fn payload(line: &mut Line, event: &Event<'_>) {
    if let Some(bytes) = event.payload.filter(|bytes| !bytes.is_empty()) {
        line.word(Role::Payload, format_args!("{}", Preview { bytes, width: PREVIEW }));
    }
    payload_marks(line, event, true);
    if event.payload_by_ref == Some(true) {
        line.word(Role::Dim, format_args!("{}", signs::BY_REFERENCE));
    }
}

/// How much of the payload is there; that a part of it was kept only `if_truncated`.
fn payload_marks(line: &mut Line, event: &Event<'_>, if_truncated: bool) {
    let (len, total) = (event.payload_len, event.payload_total);
    match event.payload_status.map(PayloadStatus::parse) {
        Some(Ok(PayloadStatus::Truncated)) if if_truncated => {
            line.word(Role::Dim, format_args!("(first {len} of {total} B)"));
        }
        Some(Ok(PayloadStatus::Fault)) if event.payload_digest.is_some() => {
            line.word(Role::Warn, format_args!("(fault, payload redacted)"));
        }
        Some(Ok(PayloadStatus::Fault)) => line.word(Role::Warn, format_args!("(fault: {len} of {total} B readable)")),
        Some(Ok(PayloadStatus::Redacted)) if if_truncated => line.word(Role::Dim, format_args!("(payload redacted)")),
        Some(Ok(
            PayloadStatus::Truncated
            | PayloadStatus::Redacted
            | PayloadStatus::Ok
            | PayloadStatus::Off
            | PayloadStatus::Dropped
            | PayloadStatus::None,
        ))
        | None => {}
        Some(Err(unknown)) => line.word(Role::Warn, format_args!("({}: {len} of {total} B)", Safe(unknown))),
    }
}

#[cfg(test)]
mod tests;
