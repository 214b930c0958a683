//! Command lines of processes, as the events about their lives report them.

use std::collections::HashMap;
use std::sync::Arc;

use super::texts::front;
use crate::model::process::HostId;
use crate::schema::{Event, EventKind};

/// Processes whose command line is remembered.
const LIMIT: usize = 16_384;
/// Bytes kept of a command line, and of a key.
const KEPT: usize = 200;

/// A process that lives, or lived last under its id.
#[derive(Debug)]
struct Known {
    key: Option<Box<str>>,
    command: Arc<str>,
}

/// The command lines known so far, by process id.
#[derive(Debug, Default)]
pub(super) struct Commands {
    known: HashMap<(HostId, i32), Known>,
    /// How often any of them has changed.
    version: u64,
}

impl Commands {
    /// Learns what `event` says. A child has its parent's command line until it executes another.
    pub fn note(&mut self, event: &Event<'_>) {
        let host = HostId::of(event.host);
        let command = if event.is_any(&[EventKind::ProcessExec, EventKind::ProcessSnapshot]) {
            event.argv.filter(|argv| !argv.is_empty()).map(shortened)
        } else if event.event == EventKind::ProcessFork.name() {
            event.parent_pid.and_then(|pid| self.get(host, pid, event.parent_key))
        } else {
            return;
        };
        self.version += 1;
        let is_short = event.process_key.is_none_or(|key| key.len() <= KEPT);
        match command.filter(|_| is_short) {
            Some(command) if self.known.len() < LIMIT || self.known.contains_key(&(host, event.pid)) => {
                self.known.insert((host, event.pid), Known { key: event.process_key.map(Into::into), command });
            }
            // What it was before is no longer true.
            Some(_) | None => drop(self.known.remove(&(host, event.pid))),
        }
    }

    /// Makes room for others if `event` is the end of a process.
    pub fn forget(&mut self, event: &Event<'_>) {
        let host = HostId::of(event.host);
        if event.event == EventKind::ProcessExit.name() && self.get(host, event.pid, event.process_key).is_some() {
            self.version += 1;
            self.known.remove(&(host, event.pid));
        }
    }

    /// Changes with every change of a command line.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn get(&self, host: HostId, pid: i32, key: Option<&str>) -> Option<Arc<str>> {
        let known = self.known.get(&(host, pid)).filter(|known| known.key.as_deref() == key)?;
        Some(Arc::clone(&known.command))
    }
}

fn shortened(argv: &str) -> Arc<str> {
    match front(argv, KEPT) {
        whole if whole.len() == argv.len() => whole.into(),
        front => format!("{front}…").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_that_of_the_last_exec_or_of_the_parent() {
        let mut commands = Commands::default();
        let process = |event, pid| Event { event, pid, ..Event::default() };
        let fork = Event { parent_pid: Some(1), ..process("process_fork", 2) };
        commands.note(&Event { argv: Some("sh"), ..process("process_snapshot", 1) });
        commands.note(&fork);
        assert_eq!(commands.get(HostId::default(), 2, None).as_deref(), Some("sh"));
        let version = commands.version();
        commands.note(&Event { argv: Some("ls -l"), ..process("process_exec", 2) });
        assert!(commands.version() > version);
        assert_eq!(commands.get(HostId::default(), 2, None).as_deref(), Some("ls -l"));
        assert_eq!(commands.get(HostId::default(), 1, None).as_deref(), Some("sh"));
        let keyed = Event { process_key: Some("k"), ..fork };
        assert_eq!(commands.get(HostId::default(), 2, Some("k")), None, "another process");
        commands.note(&keyed);
        assert_eq!(
            (commands.get(HostId::default(), 2, Some("k")).as_deref(), commands.get(HostId::default(), 2, None)),
            (Some("sh"), None)
        );
        commands.note(&Event { parent_pid: Some(7), ..keyed });
        assert_eq!(commands.get(HostId::default(), 2, Some("k")), None, "its parent is not known");
        commands.note(&process("process_exec", 1));
        assert_eq!(commands.get(HostId::default(), 1, None), None, "it executed something else");
        commands.note(&Event { argv: Some("x"), ..process("pread", 1) });
        assert_eq!(commands.get(HostId::default(), 1, None), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut commands = Commands::default();
        let (long, key) = ("é".repeat(KEPT), "k".repeat(KEPT + 1));
        let exec = |pid| Event { event: "process_exec", pid, argv: Some(&long), ..Event::default() };
        for pid in 0..LIMIT as i32 + 3 {
            commands.note(&exec(pid));
        }
        assert_eq!(commands.known.len(), LIMIT);
        let kept = commands.get(HostId::default(), 0, None).unwrap();
        assert_eq!((kept.chars().count(), kept.ends_with('…')), (KEPT / 2 + 1, true));
        commands.note(&Event { process_key: Some(&key), ..exec(0) });
        assert_eq!(commands.known.len(), LIMIT - 1, "no such key is kept");
    }

    #[test]
    fn a_process_that_ends_makes_room() {
        let mut commands = Commands::default();
        let of = |event, pid| Event { event, pid, argv: Some("a"), process_key: Some("k"), ..Event::default() };
        for pid in 0..LIMIT as i32 + 3 {
            commands.note(&of("process_exec", pid));
            commands.forget(&Event { process_key: None, ..of("process_exit", pid) });
            assert!(commands.get(HostId::default(), pid, Some("k")).is_some(), "another process ended");
            commands.forget(&of("process_exit", pid));
        }
        assert_eq!(commands.known.len(), 0);
    }
}
