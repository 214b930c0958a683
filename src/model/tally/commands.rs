//! Command lines of processes, as the events about their lives report them.

use std::collections::HashMap;
use std::sync::Arc;

use super::texts::Texts;
use crate::schema::{Event, EventKind};

/// Processes whose command line is remembered.
const LIMIT: usize = 16_384;

/// Process id and key.
type Process = (i32, Option<Arc<str>>);

/// The command lines known so far.
#[derive(Debug, Default)]
pub(super) struct Commands {
    known: HashMap<Process, Arc<str>>,
    /// How often any of them has changed.
    version: u64,
}

impl Commands {
    /// Learns what `event` says. A child has its parent's command line until it executes another.
    pub fn note(&mut self, event: &Event<'_>, texts: &mut Texts) {
        let command = if event.is_any(&[EventKind::ProcessExec, EventKind::ProcessSnapshot]) {
            event.argv.and_then(|argv| texts.front(argv))
        } else if event.event == EventKind::ProcessFork.name() {
            let parent = event.parent_pid.and_then(|pid| Some((pid, key(event.parent_key, texts)?)));
            parent.and_then(|parent| self.known.get(&parent).cloned())
        } else {
            return;
        };
        let Some(key) = key(event.process_key, texts) else { return };
        let process = (event.pid, key);
        self.version += 1;
        match command {
            Some(command) if self.known.len() < LIMIT || self.known.contains_key(&process) => {
                self.known.insert(process, command);
            }
            // What it was before is no longer true.
            Some(_) | None => drop(self.known.remove(&process)),
        }
    }

    /// Changes with every change of a command line.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn get(&self, pid: i32, key: Option<&Arc<str>>) -> Option<Arc<str>> {
        self.known.get(&(pid, key.cloned())).cloned()
    }
}

fn key(key: Option<&str>, texts: &mut Texts) -> Option<Option<Arc<str>>> {
    match key {
        Some(key) => texts.whole(key).map(Some),
        None => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_that_of_the_last_exec_or_of_the_parent() {
        let (mut commands, mut texts) = (Commands::default(), Texts::default());
        let process = |event, pid| Event { event, pid, ..Event::default() };
        let fork = Event { parent_pid: Some(1), ..process("process_fork", 2) };
        commands.note(&Event { argv: Some("sh"), ..process("process_snapshot", 1) }, &mut texts);
        commands.note(&fork, &mut texts);
        assert_eq!(commands.get(2, None).as_deref(), Some("sh"));
        let version = commands.version();
        commands.note(&Event { argv: Some("ls -l"), ..process("process_exec", 2) }, &mut texts);
        assert!(commands.version() > version);
        assert_eq!(commands.get(2, None).as_deref(), Some("ls -l"));
        assert_eq!(commands.get(1, None).as_deref(), Some("sh"));
        let keyed = Event { process_key: Some("k"), ..fork };
        commands.note(&Event { parent_pid: Some(7), ..keyed }, &mut texts);
        assert_eq!(commands.get(2, Some(&Arc::from("k"))), None, "its parent is not known");
        commands.note(&process("process_exec", 2), &mut texts);
        assert_eq!(commands.get(2, None), None, "it executed something else");
        commands.note(&Event { argv: Some("x"), ..process("pread", 1) }, &mut texts);
        assert_eq!(commands.get(1, None).as_deref(), Some("sh"));
    }

    #[test]
    fn memory_is_bounded() {
        let (mut commands, mut texts) = (Commands::default(), Texts::default());
        for pid in 0..LIMIT as i32 + 3 {
            commands.note(&Event { event: "process_exec", pid, argv: Some("a"), ..Event::default() }, &mut texts);
        }
        assert_eq!(commands.known.len(), LIMIT);
    }
}
