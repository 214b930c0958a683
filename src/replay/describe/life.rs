//! Words for the life of a process, and for gaps in the recording.

use super::{Line, Named, Role};
use crate::model::process::{HostId, Processes};
use crate::model::time;
use crate::schema::{Event, EventKind};
use crate::terminal::escape::Safe;
use crate::terminal::signs;

/// Characters shown of an argument list, or of the path that stands for it; the whole of it is in `-T jsonl`.
const ARGV: usize = 120;

/// A step in the life of a process.
#[derive(Clone, Copy)]
enum Step {
    Fork,
    Exec,
    Snapshot,
    Exit,
}

impl Step {
    const ALL: [Step; 4] = [Step::Fork, Step::Exec, Step::Snapshot, Step::Exit];

    const fn kind(self) -> EventKind {
        match self {
            Step::Fork => EventKind::ProcessFork,
            Step::Exec => EventKind::ProcessExec,
            Step::Snapshot => EventKind::ProcessSnapshot,
            Step::Exit => EventKind::ProcessExit,
        }
    }

    fn of(event: &Event<'_>) -> Option<Self> {
        Step::ALL.into_iter().find(|step| step.kind().name() == event.event)
    }
}

/// Whether an event is a step in the life of a process.
pub(super) fn is_one(event: &Event<'_>) -> bool {
    Step::of(event).is_some()
}

/// Writes a process event; returns whether it is one.
pub fn describe(line: &mut Line, event: &Event<'_>, processes: &Processes) -> bool {
    let Some(step) = Step::of(event) else { return false };
    match step {
        Step::Fork => parent(line, "started by", event, processes),
        Step::Exec => argv(line, event),
        Step::Snapshot => {
            argv(line, event);
            parent(line, "· started earlier by", event, processes);
        }
        Step::Exit => exit(line, event.exit_code),
    }
    true
}

fn parent(line: &mut Line, how: &str, event: &Event<'_>, processes: &Processes) {
    let Some(pid) = event.parent_pid.filter(|pid| *pid != 0) else { return };
    let name = processes.name(HostId::of(event.host), pid);
    line.word(Role::Plain, format_args!("{how} "));
    line.add(Role::Name, format_args!("{}", Named { host: event.host, name, pid }));
}

fn argv(line: &mut Line, event: &Event<'_>) {
    let Some(argv) = event.argv.filter(|argv| !argv.is_empty()).or(event.exe) else { return };
    let end = argv.char_indices().nth(ARGV).map_or(argv.len(), |(at, _)| at);
    line.word(Role::Plain, format_args!("{}", Safe(argv.get(..end).unwrap_or_default())));
    if end < argv.len() {
        line.add(Role::Dim, format_args!("{} +{} B", signs::MORE, argv.len() - end));
    }
}

fn exit(line: &mut Line, status: Option<i32>) {
    let Some(status) = status else { return };
    // wait(2): the low seven bits are the signal, the eighth says that it dumped core.
    let (signal, core, code) = (status & 0x7f, status & 0x80 != 0, (status >> 8) & 0xff);
    match signal {
        0 if code == 0 => line.word(Role::Plain, format_args!("exited with status 0")),
        0 => line.word(Role::Warn, format_args!("exited with status {code}")),
        _ => {
            let name = nix::sys::signal::Signal::try_from(signal).map_or("signal", |s| s.as_str());
            line.word(Role::Bad, format_args!("killed by {name} ({signal})"));
            if core {
                line.add(Role::Bad, format_args!(", core dumped"));
            }
        }
    }
}

/// Writes a `lost` row.
pub(super) fn gap(line: &mut Line, event: &Event<'_>) {
    let count = event.lost_count.unwrap_or(0);
    let what = event.lost_event.unwrap_or("event");
    let cause = event.lost_cause.unwrap_or("cause unknown");
    line.add(Role::Bad, format_args!("{}  GAP: {count} × {} lost ({})", signs::GAP, Safe(what), Safe(cause)));
    if let Some(ns) = event.dur_ns {
        line.add(Role::Bad, format_args!(" in the {} before this", time::span(ns)));
    }
}
