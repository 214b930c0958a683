//! Answers what records do not contain: the executable of a process, the path of a cgroup.
//!
//! While recording the system is asked, and its answers go into the journal. So what a killed recorder left is decoded
//! with the same answers, on any machine. Owns the questions; [`crate::record::identity::proc`] and [`crate::record::identity::cgroupfs`] know how to get
//! the answers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::record::identity::cgroupfs::find_cgroup;
use crate::record::identity::mappings::{AskKernel, MappingState, Readings, holding};
use crate::record::identity::proc::{Snapshot, all_pids, same_start, snapshot};
use crate::record::journal::{FrameKind, Journal};
use crate::schema::manifest::{self, RegionReadings};
use crate::schema::regions::Mapping;

/// Answers questions of the decoder: who a process is, where a cgroup is.
pub trait Lookup: std::fmt::Debug + Send {
    /// The process that has that pid and start, in ns of CLOCK_BOOTTIME.
    fn process(&mut self, pid: i32, start_ns: u64) -> Option<Snapshot>;
    /// The path of a cgroup.
    fn cgroup(&mut self, id: u64) -> Option<String>;
    /// Appends to `found` the mapping of process `pid` in which each of these addresses lies, in that state of its
    /// mappings. `None` where they are not looked up; whether they are known otherwise.
    fn mappings(
        &mut self,
        pid: i32,
        state: MappingState,
        addresses: &mut dyn Iterator<Item = u64>,
        found: &mut Vec<Option<Arc<Mapping>>>,
    ) -> Option<bool>;
    /// What became of readings of mappings.
    fn readings(&self) -> Option<RegionReadings>;
}

/// An answer of the system, as the journal keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// That of [`Lookup::process`].
    Process {
        /// The question.
        pid: i32,
        /// The question.
        start_ns: u64,
        /// The answer.
        found: Snapshot,
    },
    /// That of [`Lookup::cgroup`].
    Cgroup {
        /// The question.
        id: u64,
        /// The answer.
        path: String,
    },
    /// Of [`Lookup::mappings`]: that the mappings of a state were read, and one of them.
    Mapping {
        /// The question.
        state: MappingState,
        /// The answer.
        found: Option<Mapping>,
    },
}

/// The system itself.
#[derive(Debug)]
pub struct Live {
    boot_id: String,
    /// Processes that lived at the start and that no row has named yet.
    lived: HashMap<i32, Snapshot>,
    journal: Option<Journal>,
    looks_up_mappings: bool,
    readings: Option<Readings>,
    /// Mappings of the state that was last asked for whose answers are in the journal, by their start.
    kept: (MappingState, HashSet<u64>),
}

impl Live {
    /// Asks the running system, and keeps its answers in `journal`.
    pub fn new(boot_id: &str, journal: Option<Journal>) -> Self {
        let (lived, kept) = (HashMap::new(), Default::default());
        Live { boot_id: boot_id.to_string(), lived, journal, looks_up_mappings: false, readings: None, kept }
    }

    /// The same, and looks up mappings: they are known if `kernel` can be asked about them.
    pub fn with_mappings(self, kernel: Option<Box<dyn AskKernel>>) -> Self {
        Live { looks_up_mappings: true, readings: kernel.map(Readings::new), ..self }
    }

    /// Keeps the answer about a mapping, once for each state.
    fn keep_mapping(&mut self, state: MappingState, mapping: Option<&Mapping>) {
        if self.kept.0 != state {
            self.kept = (state, HashSet::new());
        }
        if self.kept.1.insert(mapping.map_or(u64::MAX, |mapping| mapping.start)) {
            self.keep(&Answer::Mapping { state, found: mapping.cloned() });
        }
    }

    /// Remembers who lives now, for the case that one is gone by the time a row names it.
    pub fn remember_living(&mut self) {
        let boot_id = &self.boot_id;
        self.lived = all_pids().into_iter().filter_map(|pid| Some((pid, snapshot(boot_id, pid)?))).collect();
    }

    fn keep(&self, answer: &Answer) {
        // An answer that is not in the journal is missing only if the recorder is killed.
        if let (Some(journal), Ok(json)) = (&self.journal, serde_json::to_vec(answer)) {
            journal.offer(FrameKind::Answer, 0, &json);
        }
    }
}

impl Lookup for Live {
    /// What /proc says, or said at the start of a process that is gone.
    fn process(&mut self, pid: i32, start_ns: u64) -> Option<Snapshot> {
        let same = |s: &Snapshot| same_start(s.process.start_ns, start_ns);
        let before = self.lived.remove(&pid).filter(same);
        let found = snapshot(&self.boot_id, pid).filter(same).or(before)?;
        self.keep(&Answer::Process { pid, start_ns, found: found.clone() });
        Some(found)
    }

    fn cgroup(&mut self, id: u64) -> Option<String> {
        let path = find_cgroup(id)?;
        self.keep(&Answer::Cgroup { id, path: path.clone() });
        Some(path)
    }

    fn mappings(
        &mut self,
        pid: i32,
        state: MappingState,
        addresses: &mut dyn Iterator<Item = u64>,
        found: &mut Vec<Option<Arc<Mapping>>>,
    ) -> Option<bool> {
        if !self.looks_up_mappings {
            return None;
        }
        let Some(mappings) = self.readings.as_mut().and_then(|readings| readings.of(pid, state)) else {
            return Some(false);
        };
        self.keep_mapping(state, None);
        for address in addresses {
            let mapping = holding(&mappings, address);
            mapping.iter().for_each(|mapping| self.keep_mapping(state, Some(mapping)));
            found.push(mapping.cloned());
        }
        Some(true)
    }

    fn readings(&self) -> Option<RegionReadings> {
        self.readings.as_ref().map(|readings| readings.counts.clone())
    }
}

/// The answers that a journal has kept.
#[derive(Debug, Default)]
pub struct Recorded {
    processes: HashMap<(i32, u64), Snapshot>,
    cgroups: HashMap<u64, String>,
    mappings: HashMap<MappingState, BTreeMap<u64, Arc<Mapping>>>,
    looks_up_mappings: bool,
}

impl Recorded {
    /// The same for a recording that has looked up mappings, or not.
    pub fn with_mappings(self, looks_up_mappings: bool) -> Self {
        Recorded { looks_up_mappings, ..self }
    }

    /// Learns an answer. What cannot be read is as if it had not been kept.
    pub fn learn(&mut self, json: &[u8]) {
        match manifest::parse(json) {
            Ok(Answer::Process { pid, start_ns, found }) => drop(self.processes.insert((pid, start_ns), found)),
            Ok(Answer::Cgroup { id, path }) => drop(self.cgroups.insert(id, path)),
            Ok(Answer::Mapping { state, found }) => {
                let known = self.mappings.entry(state).or_default();
                known.extend(found.map(|mapping| (mapping.start, Arc::new(mapping))));
            }
            Err(_) => (),
        }
    }
}

impl Lookup for Recorded {
    fn process(&mut self, pid: i32, start_ns: u64) -> Option<Snapshot> {
        self.processes.get(&(pid, start_ns)).cloned()
    }

    fn cgroup(&mut self, id: u64) -> Option<String> {
        self.cgroups.get(&id).cloned()
    }

    fn mappings(
        &mut self,
        _pid: i32,
        state: MappingState,
        addresses: &mut dyn Iterator<Item = u64>,
        found: &mut Vec<Option<Arc<Mapping>>>,
    ) -> Option<bool> {
        if !self.looks_up_mappings {
            return None;
        }
        let Some(known) = self.mappings.get(&state) else { return Some(false) };
        for address in addresses {
            let below = known.range(..=address).next_back().map(|(_, mapping)| mapping);
            found.push(below.filter(|mapping| address < mapping.end).cloned());
        }
        Some(true)
    }

    fn readings(&self) -> Option<RegionReadings> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::identity::proc::Process;

    #[test]
    fn a_process_that_lived_at_the_start_is_known_after_its_end() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id() as i32;
        let start_ns = snapshot("boot", pid).unwrap().process.start_ns;
        let mut lookup = Live::new("boot", None);
        lookup.remember_living();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(snapshot("boot", pid), None);
        assert!(lookup.process(pid, start_ns).unwrap().process.exe.unwrap().ends_with("/sleep"));
        assert_eq!(lookup.process(pid, start_ns), None, "once");
    }

    #[test]
    fn kept_mappings_are_named_again() {
        let (state, other) = (MappingState { space: 3, changes: 4 }, MappingState { space: 3, changes: 6 });
        let heap = Mapping { start: 0x1000, end: 0x3000, path: "[heap]".into(), ..Mapping::default() };
        let mut recorded = Recorded::default();
        for found in [None, Some(heap.clone())] {
            recorded.learn(&serde_json::to_vec(&Answer::Mapping { state, found }).unwrap());
        }
        let asked = |recorded: &mut Recorded, state| {
            let mut found = Vec::new();
            let known = recorded.mappings(7, state, &mut [0x2fff, 0x3000, 0].into_iter(), &mut found);
            (known, found)
        };
        assert_eq!(asked(&mut recorded, state), (None, vec![]), "nobody asked for them");
        let mut recorded = recorded.with_mappings(true);
        assert_eq!(asked(&mut recorded, state), (Some(true), vec![Some(Arc::new(heap)), None, None]));
        assert_eq!(asked(&mut recorded, other), (Some(false), vec![]));
    }

    #[test]
    fn kept_answers_are_given_again() {
        let process = Process { pid: 7, start_ns: 70, key: "k".into(), exe: Some("/bin/x".into()) };
        let found = Snapshot { process, comm: "x".into(), uid: 1, parent: 1, argv: "x y".into(), cgroup: None };
        let mut recorded = Recorded::default();
        let answer = Answer::Process { pid: 7, start_ns: 75, found: found.clone() };
        recorded.learn(&serde_json::to_vec(&answer).unwrap());
        recorded.learn(&serde_json::to_vec(&Answer::Cgroup { id: 3, path: "/a".into() }).unwrap());
        recorded.learn(b"{");
        assert_eq!(recorded.process(7, 75), Some(found));
        assert_eq!(recorded.process(7, 70), None);
        assert_eq!(recorded.cgroup(3).as_deref(), Some("/a"));
    }
}
