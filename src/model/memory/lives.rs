//! Which processes had a pid, and where the memory of each came from: a fork copies it, an exec replaces it.

use crate::model::process::Identity;
use crate::schema::{Event, EventKind};

/// Processes of one pid that are kept; of more, the earliest are forgotten.
const LIMIT: usize = 4_096;

/// The columns from which lives are learned.
pub const LIFE_COLUMNS: &[&str] = &[
    "seq",
    "mono_ns",
    "event",
    "pid",
    "tid",
    "comm",
    "start_ns",
    "target_pid",
    "target_comm",
    "target_start_ns",
    "parent_pid",
    "host",
];

/// A process, from the first row that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Which.
    pub process: Identity,
    /// Its first row.
    pub first_ns: i64,
    /// Its last.
    pub last_ns: i64,
    /// When it was created, and by which pid.
    pub forked: Option<(i64, i32)>,
    /// When it began its last program before the end of what was looked at.
    pub exec_ns: Option<i64>,
    /// When it ended.
    pub ended_ns: Option<i64>,
}

/// The processes that had a pid.
#[derive(Clone, Debug)]
pub struct Lives {
    pid: i32,
    until_ns: i64,
    lives: Vec<Life>,
}

impl Lives {
    /// Those that had `pid`; programs that begin after `until_ns` are not looked at.
    pub fn of(pid: i32, until_ns: i64) -> Self {
        Lives { pid, until_ns, lives: Vec::new() }
    }

    /// Learns what `event` says of them.
    pub fn note(&mut self, event: &Event<'_>) {
        if event.event == EventKind::Lost.name() {
            return;
        }
        if event.pid == self.pid {
            let (until_ns, caller) = (self.until_ns, Identity::caller(event));
            let Some(life) = self.life(caller, event.mono_ns) else { return };
            match EventKind::of_name(event.event) {
                Some(EventKind::ProcessFork) => {
                    life.forked = event.parent_pid.map(|parent| (event.mono_ns, parent));
                }
                Some(EventKind::ProcessExec) if event.mono_ns <= until_ns => life.exec_ns = Some(event.mono_ns),
                Some(EventKind::ProcessExit) => life.ended_ns = Some(event.mono_ns),
                Some(_) | None => {}
            }
        }
        if let Some(target) = Identity::target(event).filter(|target| target.pid == self.pid) {
            self.life(target, event.mono_ns);
        }
    }

    fn life(&mut self, process: Identity, mono_ns: i64) -> Option<&mut Life> {
        let at = self.lives.iter().rposition(|life| life.process.matches(process)).unwrap_or_else(|| {
            if self.lives.len() >= LIMIT {
                self.lives.remove(0);
            }
            let life =
                Life { process, first_ns: mono_ns, last_ns: mono_ns, forked: None, exec_ns: None, ended_ns: None };
            self.lives.push(life);
            self.lives.len() - 1
        });
        let life = self.lives.get_mut(at)?;
        life.process.start = life.process.start.or(process.start);
        life.first_ns = life.first_ns.min(mono_ns);
        life.last_ns = life.last_ns.max(mono_ns);
        Some(life)
    }

    /// Each, in the order in which they came first.
    pub fn iter(&self) -> impl Iterator<Item = &Life> {
        self.lives.iter()
    }

    /// The one that had the pid at an instant: the last that was seen by then.
    pub fn at(&self, mono_ns: i64) -> Option<&Life> {
        self.lives.iter().filter(|life| life.first_ns <= mono_ns).max_by_key(|life| life.first_ns)
    }
}
