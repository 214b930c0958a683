//! A row of the list: number, time, way, outcome, call, who, whom, and the first captured bytes.
//!
//! Owns the columns. The words are those of `replay`.

use crate::count;
use crate::model::process::Processes;
use crate::model::select::View;
use crate::model::time;
use crate::replay::describe::{self, Line, Named, Role};
use crate::schema::events::Group;
use crate::schema::vocabulary::{Direction, IovVerdict, PayloadStatus};
use crate::schema::{Event, EventKind};
use crate::terminal::escape::{Preview, Safe};
use crate::terminal::{fit, signs};

/// Columns of the call: the longest name.
const CALL: usize = 17;
/// Columns of what came of it.
const OUTCOME: usize = 7;
/// Fewest and most columns of a process.
const WHO: [usize; 2] = [10, 26];

/// How wide the columns are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    seq: usize,
    time: usize,
    who: usize,
    whole: usize,
}

impl Columns {
    /// Those of a capture of so many rows and of that duration, for `whole` columns.
    pub fn of(rows: u64, duration_ns: i64, whole: usize) -> Self {
        let seq = rows.saturating_sub(1).to_string().len().clamp(3, 20);
        let time = micros(duration_ns.into()).len().clamp(8, 20);
        let fixed = seq + time + OUTCOME + CALL + 6;
        let who = (whole.saturating_sub(fixed) / 3).clamp(WHO[0], WHO[1]);
        Columns { seq, time, who, whole }
    }

    /// The line above the list.
    pub fn heading(&self) -> Line {
        let Columns { seq, time, who, whole } = *self;
        let text = format!(
            "{:>seq$} {:>time$}   {:>OUTCOME$} {:CALL$} {:who$} {:who$} BYTES",
            "ROW", "SECONDS", "RESULT", "CALL", "CALLER", "TARGET"
        );
        let mut line = Line::default();
        line.add(Role::Dim, format_args!("{text}"));
        line.fit(whole);
        line
    }

    /// The line of an event of a capture that began at `start_ns` of CLOCK_MONOTONIC.
    pub fn line(&self, event: &Event<'_>, start_ns: i64) -> Line {
        let Columns { seq, time, whole, .. } = *self;
        let mut line = Line::default();
        let at = micros(i128::from(event.mono_ns) - i128::from(start_ns));
        line.add(Role::Dim, format_args!("{:>seq$} {at:>time$} ", event.seq));
        let is_life = event.spec().is_some_and(|spec| spec.group == Group::Process);
        if is_life || event.event == EventKind::Lost.name() {
            let room = whole.saturating_sub(fit::columns(line.text()));
            self.life(&mut line, event, room);
        } else {
            self.call(&mut line, event);
        }
        line.fit(whole);
        line
    }

    /// A gap, or a step in the life of a process.
    fn life(&self, line: &mut Line, event: &Event<'_>, room: usize) {
        let processes = Processes::default();
        if event.event != EventKind::Lost.name() {
            let named = Named { host: event.host, name: Some(event.comm), pid: event.pid };
            let event_name = fit::cut(event.event, CALL).to_string();
            line.add(
                Role::Dim,
                format_args!("{}  {:OUTCOME$} {:CALL$}", signs::NEITHER, "", Safe(&event_name).to_string()),
            );
            line.word(Role::Name, format_args!("{:w$}", describe::name_in_short(named, self.who), w = self.who));
            describe::life(line, event, &processes);
            return;
        }
        describe::event_in_short(line, event, View::Caller, &processes, room);
    }

    fn call(&self, line: &mut Line, event: &Event<'_>) {
        let who = self.who;
        let (role, arrow) = match event.direction.map(Direction::parse) {
            Some(Ok(Direction::In)) => (Role::In, signs::IN),
            Some(Ok(Direction::Out)) => (Role::Out, signs::OUT),
            Some(Err(_)) | None => (Role::Dim, signs::NEITHER),
        };
        line.add(role, format_args!("{arrow}"));
        line.add(Role::Bad, format_args!("{} ", if is_doubtful(event) { "?" } else { " " }));
        let (role, outcome) = outcome(event);
        line.add(role, format_args!("{:>OUTCOME$}", outcome));
        let call = short(event.event, CALL);
        line.word(Role::Plain, format_args!("{call:CALL$}"));
        let caller = describe::name_in_short(Named { host: event.host, name: Some(event.comm), pid: event.pid }, who);
        line.word(Role::Name, format_args!("{}", padded(&caller, who)));
        line.word(Role::Name, format_args!("{}", padded(&target(event, who), who)));
        let left = self.whole.saturating_sub(fit::columns(line.text()));
        content(line, event, left);
    }
}

/// Seconds to the microsecond.
fn micros(ns: i128) -> String {
    let mut text = time::seconds(ns, 0);
    text.truncate(text.len().saturating_sub(3));
    text
}

/// Text with blanks behind it, up to so many columns.
fn padded(text: &str, columns: usize) -> String {
    let gap = columns.saturating_sub(fit::columns(text));
    format!("{text}{:gap$}", "")
}

/// A word made safe, in at most so many columns: a file may claim one of any length.
fn short(word: &str, most: usize) -> String {
    let front: String = word.chars().take(most + 1).collect();
    let text = Safe(&front).to_string();
    if fit::fits(&text, most) { text } else { format!("{}{}", fit::cut(&text, most.saturating_sub(1)), signs::MORE) }
}

fn outcome(event: &Event<'_>) -> (Role, String) {
    let size = |bytes: i64| u64::try_from(bytes).map_or_else(|_| bytes.to_string(), count::short_size);
    let (role, text) = match (event.errno, event.bytes, event.ret) {
        (Some(errno), ..) => (Role::Bad, short(errno, OUTCOME)),
        (None, Some(bytes), _) if event.bytes_requested.is_some_and(|asked| asked != bytes) => {
            (Role::Warn, size(bytes))
        }
        (None, Some(bytes), _) => (Role::Plain, size(bytes)),
        (None, None, Some(0)) => (Role::Dim, "ok".into()),
        (None, None, Some(value)) => (Role::Dim, format!("={value}")),
        (None, None, None) => (Role::Dim, String::new()),
    };
    (role, short(&text, OUTCOME))
}

/// Whether anything contradicts the row.
fn is_doubtful(event: &Event<'_>) -> bool {
    let verdict = event.iov_verdict.map(IovVerdict::parse);
    event.toctou == Some(true) || matches!(verdict, Some(Ok(IovVerdict::Conflict | IovVerdict::Unreadable) | Err(_)))
}

/// Who is at the other end: a process, a pipe, a file.
fn target(event: &Event<'_>, most: usize) -> String {
    let between_files = event.spec().is_some_and(|spec| spec.is_between_files());
    match (event.target_pid, event.target_pid_arg) {
        (Some(pid), _) if pid == event.pid && !between_files => "itself".into(),
        (Some(pid), _) if !between_files => {
            describe::name_in_short(Named { host: None, name: event.target_comm, pid }, most)
        }
        (None, Some(pid)) => short(&format!("pid {pid} ?"), most),
        (_, _) => [(event.pipe_out, event.fd_out_path), (event.pipe_in, event.fd_in_path)]
            .into_iter()
            .find_map(|end| match end {
                (Some(pipe), _) => Some(format!("pipe:[{pipe}]")),
                (None, Some(path)) => Some(short(path, most)),
                (None, None) => None,
            })
            .unwrap_or_default(),
    }
}

/// The first captured bytes, or what else is to be known of the call.
fn content(line: &mut Line, event: &Event<'_>, columns: usize) {
    // A blank and quotes, and the sign that it goes on.
    let width = columns.saturating_sub(4);
    match event.payload.filter(|bytes| !bytes.is_empty()) {
        Some(bytes) if width > 0 => {
            line.word(Role::Payload, format_args!("{}", Preview { bytes, width }));
            if matches!(event.payload_status.map(PayloadStatus::parse), Some(Ok(PayloadStatus::Fault))) {
                line.word(Role::Warn, format_args!("(fault)"));
            }
        }
        Some(_) => {}
        None => {
            if let Some(request) = event.ptrace_request.or(event.advice) {
                line.word(Role::Plain, format_args!("{}", short(request, columns.saturating_sub(1))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(event: &Event<'_>, whole: usize) -> String {
        Columns::of(1000, 9_000_000_000, whole).line(event, 0).text().to_string()
    }

    #[test]
    fn a_line_has_what_matters_in_80_columns() {
        let event = Event {
            seq: 12,
            mono_ns: 1_500_000_000,
            event: "process_vm_readv",
            direction: Some("in"),
            pid: 4211,
            comm: "py-spy",
            target_pid: Some(42),
            target_comm: Some("python3"),
            bytes: Some(64),
            ret: Some(64),
            payload: Some(b"\x7fELF and more"),
            ..Event::default()
        };
        let line = text(&event, 80);
        assert_eq!(line, " 12 1.500000 ←       64 process_vm_readv  py-spy[4211]  python3[42]   \"\\x7fELF\"…");
        assert!(fit::columns(&line) <= 80);
        let failed = Event { errno: Some("EPERM"), bytes: Some(0), toctou: Some(true), payload: None, ..event };
        assert!(text(&failed, 80).contains("←?   EPERM process_vm_readv"));
    }

    #[test]
    fn no_text_of_a_file_is_longer_than_the_line_or_acts() {
        let long = "\x1b[2J\u{202e}".repeat(100_000);
        let bytes = long.clone().into_bytes();
        for event in ["process_vm_readv", "splice", "process_exec", "process_fork", "lost", &long] {
            let event = Event {
                event,
                seq: u64::MAX,
                mono_ns: i64::MIN,
                comm: &long,
                target_pid: Some(i32::MIN),
                target_comm: Some(&long),
                errno: Some(&long),
                argv: Some(&long),
                exe: Some(&long),
                fd_out_path: Some(&long),
                lost_event: Some(&long),
                lost_cause: Some(&long),
                ptrace_request: Some(&long),
                payload: Some(&bytes),
                ..Event::default()
            };
            for whole in [60, 80, 200] {
                let line = text(&event, whole);
                assert!(fit::columns(&line) <= whole && !line.chars().any(char::is_control), "{line}");
            }
        }
    }
}
