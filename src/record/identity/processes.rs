//! Identity of processes while recording: executables, keys and parents, from exec, fork and exit records, and from /proc
//! if a process existed before it was first seen.
//!
//! Owns identity on the recording side. Does not decide what becomes a row; [`crate::record::decode`] does.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::record::identity::lookup::Lookup;
use crate::record::identity::proc::{Process, Snapshot, same_start};
use crate::schema::key::process_key;

/// Ended processes remembered, for records that arrive late.
const KEEP_ENDED: usize = 4096;
/// All processes seen so far.
#[derive(Debug)]
pub struct Processes {
    boot_id: String,
    by_pid: HashMap<i32, Process>,
    ended: VecDeque<(i32, u64)>,
}

impl Processes {
    /// Nothing known yet. `boot_id` goes into keys.
    pub fn new(boot_id: &str) -> Self {
        Processes { boot_id: boot_id.to_string(), by_pid: HashMap::new(), ended: VecDeque::new() }
    }

    /// The process, if it is known.
    pub fn get(&self, pid: i32, start_ns: u64) -> Option<&Process> {
        self.by_pid.get(&pid).filter(|p| same_start(p.start_ns, start_ns))
    }

    /// Its key, known or not.
    pub fn key(&self, pid: i32, start_ns: u64) -> String {
        match self.get(pid, start_ns) {
            Some(process) => process.key.clone(),
            None => process_key(&self.boot_id, pid, start_ns),
        }
    }

    /// A process began or was found with this executable.
    pub fn insert(&mut self, pid: i32, start_ns: u64, exe: Option<String>) {
        let key = process_key(&self.boot_id, pid, start_ns);
        self.by_pid.insert(pid, Process { pid, start_ns, key, exe });
    }

    /// A process ended. It stays known for a while.
    pub fn end(&mut self, pid: i32, start_ns: u64) {
        self.ended.push_back((pid, start_ns));
        if self.ended.len() > KEEP_ENDED
            && let Some((pid, start_ns)) = self.ended.pop_front()
            && self.get(pid, start_ns).is_some()
        {
            self.by_pid.remove(&pid);
        }
    }

    /// Makes sure the process is known. Returns what `lookup` finds of one that was not known before; one of which it
    /// knows nothing has no executable.
    pub fn meet(&mut self, pid: i32, start_ns: u64, lookup: &mut dyn Lookup) -> Option<Snapshot> {
        if pid == 0 || self.get(pid, start_ns).is_some() {
            return None;
        }
        let found = lookup.process(pid, start_ns);
        let exe = found.as_ref().and_then(|s| s.process.exe.clone());
        self.insert(pid, start_ns, exe);
        found
    }

    /// All that is known, for a checkpoint.
    pub fn known(&self) -> KnownProcesses {
        KnownProcesses {
            processes: self.by_pid.values().cloned().collect(),
            ended: self.ended.iter().copied().collect(),
        }
    }

    /// Knows what a checkpoint says, and nothing else.
    pub fn restore(&mut self, known: KnownProcesses) {
        self.by_pid = known.processes.into_iter().map(|p| (p.pid, p)).collect();
        self.ended = known.ended.into();
    }
}

/// All that is known of processes at one instant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KnownProcesses {
    processes: Vec<Process>,
    ended: Vec<(i32, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::identity::lookup::Live;
    use crate::record::identity::proc::snapshot;
    use crate::schema::key::TICK_NS;

    #[test]
    fn this_process_is_found_and_met_once() {
        let pid = std::process::id() as i32;
        let me = snapshot("boot", pid).unwrap();
        assert!(me.process.exe.as_ref().unwrap().contains("vmtrace"));
        let (mut processes, lookup) = (Processes::new("boot"), &mut Live::new("boot", None));
        assert_eq!(processes.meet(pid, me.process.start_ns, lookup), Some(me.clone()));
        assert_eq!(processes.meet(pid, me.process.start_ns + 1, lookup), None, "the same tick is the same process");
        assert_eq!(processes.key(pid, me.process.start_ns), me.process.key);
        assert_eq!(processes.meet(pid, me.process.start_ns + 5 * TICK_NS, lookup), None, "another process of that pid");
        assert_eq!(processes.get(pid, me.process.start_ns + 5 * TICK_NS).unwrap().exe, None);
    }

    #[test]
    fn ended_processes_are_forgotten_in_time() {
        let mut processes = Processes::new("boot");
        for pid in 1..=(KEEP_ENDED as i32 + 10) {
            processes.insert(pid, 1, None);
            processes.end(pid, 1);
        }
        assert_eq!(processes.by_pid.len(), KEEP_ENDED);
        let mut again = Processes::new("boot");
        again.restore(processes.known());
        assert_eq!((again.by_pid, again.ended), (processes.by_pid, processes.ended));
    }
}
