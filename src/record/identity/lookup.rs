//! Answers what records do not contain: the executable of a process, the path of a cgroup.
//!
//! While recording the system is asked, and its answers go into the journal. So what a killed recorder left is decoded
//! with the same answers, on any machine. Owns the questions; [`crate::record::identity::proc`] and [`crate::record::identity::cgroupfs`] know how to get
//! the answers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::record::identity::cgroupfs::find_cgroup;
use crate::record::identity::mappings::{AskKernel, MappingState, Reached, Readings, place};
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
    /// Appends to `found` the mapping in which each of these addresses of the process that a call has reached lay. `None`
    /// where mappings are not looked up; whether they are known otherwise.
    fn mappings(
        &mut self,
        reached: Reached,
        addresses: &mut dyn Iterator<Item = u64>,
        found: &mut Vec<Option<Arc<Mapping>>>,
    ) -> Option<bool>;
    /// What became of readings of mappings.
    fn readings(&self) -> Option<RegionReadings>;
    /// The journal's frames before the present one may be removed from now on.
    fn begin_anew(&mut self);
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
    /// Of [`Lookup::mappings`].
    Mappings {
        /// The question.
        state: MappingState,
        /// The answer: mappings that addresses lay in.
        mapped: Vec<Mapping>,
        /// The answer: gaps between mappings that addresses lay in, each with the address behind it.
        gaps: Vec<(u64, u64)>,
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
    kept: Kept,
}

/// Mappings and gaps whose answers are in the journal, by their start, of the states that were last asked for; and when
/// that was.
#[derive(Debug, Default)]
struct Kept {
    states: HashMap<MappingState, (HashSet<u64>, u64)>,
    uses: u64,
}

/// States of mappings in [`Kept`].
const MOST_KEPT: usize = 256;

impl Kept {
    /// What is kept of a state.
    fn of(&mut self, state: MappingState) -> &mut HashSet<u64> {
        if self.states.len() >= MOST_KEPT && !self.states.contains_key(&state) {
            let oldest = self.states.iter().min_by_key(|(_, (_, used))| *used).map(|(state, _)| *state);
            oldest.map(|oldest| self.states.remove(&oldest));
        }
        self.uses += 1;
        let (kept, used) = self.states.entry(state).or_default();
        *used = self.uses;
        kept
    }
}

impl Live {
    /// Asks the running system, and keeps its answers in `journal`.
    pub fn new(boot_id: &str, journal: Option<Journal>) -> Self {
        let (lived, kept) = (HashMap::new(), Kept::default());
        Live { boot_id: boot_id.to_string(), lived, journal, looks_up_mappings: false, readings: None, kept }
    }

    /// The same, and looks up mappings: they are known if `kernel` can be asked about them.
    pub fn with_mappings(self, kernel: Option<Box<dyn AskKernel>>) -> Self {
        Live { looks_up_mappings: true, readings: kernel.map(Readings::new), ..self }
    }

    /// Keeps the answer about addresses: of each mapping and gap once for each state.
    fn keep_mappings(&mut self, state: MappingState, places: &[Result<&Arc<Mapping>, (u64, u64)>]) {
        if self.journal.is_none() {
            return;
        }
        let start = |place: &Result<&Arc<Mapping>, (u64, u64)>| place.map_or_else(|(start, _)| start, |m| m.start);
        let kept = self.kept.of(state);
        if places.iter().all(|place| kept.contains(&start(place))) {
            return;
        }
        let mut new = HashSet::new();
        let (mut mapped, mut gaps) = (Vec::new(), Vec::new());
        for place in places.iter().filter(|place| !kept.contains(&start(place))) {
            match place {
                _ if !new.insert(start(place)) => (),
                Ok(mapping) => mapped.push(Mapping::clone(mapping)),
                Err(gap) => gaps.push(*gap),
            }
        }
        if self.keep(&Answer::Mappings { state, mapped, gaps }) {
            self.kept.of(state).extend(new);
        }
    }

    /// Remembers who lives now, for the case that one is gone by the time a row names it.
    pub fn remember_living(&mut self) {
        let boot_id = &self.boot_id;
        self.lived = all_pids().into_iter().filter_map(|pid| Some((pid, snapshot(boot_id, pid)?))).collect();
    }

    /// Whether the journal has taken it. An answer that is not there is missing only if the recorder is killed.
    fn keep(&self, answer: &Answer) -> bool {
        match (&self.journal, serde_json::to_vec(answer)) {
            (Some(journal), Ok(json)) => journal.offer(FrameKind::Answer, 0, &json).is_some(),
            _ => false,
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
        reached: Reached,
        addresses: &mut dyn Iterator<Item = u64>,
        found: &mut Vec<Option<Arc<Mapping>>>,
    ) -> Option<bool> {
        if !self.looks_up_mappings {
            return None;
        }
        let Some(mappings) = self.readings.as_mut().and_then(|readings| readings.of(reached)) else {
            return Some(false);
        };
        let places: Vec<_> = addresses.map(|address| place(&mappings, address)).collect();
        self.keep_mappings(reached.state, &places);
        found.extend(places.into_iter().map(|place| place.ok().cloned()));
        Some(true)
    }

    fn readings(&self) -> Option<RegionReadings> {
        self.readings.as_ref().map(|readings| readings.counts.clone())
    }

    fn begin_anew(&mut self) {
        self.kept = Kept::default();
    }
}

/// Mappings, and gaps between them, by their start; each with the address behind it.
type Places = BTreeMap<u64, (u64, Option<Arc<Mapping>>)>;

/// The answers that a journal has kept.
#[derive(Debug, Default)]
pub struct Recorded {
    processes: HashMap<(i32, u64), Snapshot>,
    cgroups: HashMap<u64, String>,
    mappings: HashMap<MappingState, Places>,
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
            Ok(Answer::Mappings { state, mapped, gaps }) => {
                let known = self.mappings.entry(state).or_default();
                known.extend(mapped.into_iter().map(|m| (m.start, (m.end, Some(Arc::new(m))))));
                known.extend(gaps.into_iter().map(|(start, end)| (start, (end, None))));
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

    /// Known only if the journal has an answer for each address.
    fn mappings(
        &mut self,
        reached: Reached,
        addresses: &mut dyn Iterator<Item = u64>,
        found: &mut Vec<Option<Arc<Mapping>>>,
    ) -> Option<bool> {
        if !self.looks_up_mappings {
            return None;
        }
        let Some(known) = self.mappings.get(&reached.state) else { return Some(false) };
        for address in addresses {
            let below = known.range(..=address).next_back().map(|(_, place)| place);
            let Some((_, mapping)) = below.filter(|(end, _)| address < *end) else {
                found.clear();
                return Some(false);
            };
            found.push(mapping.clone());
        }
        Some(true)
    }

    fn readings(&self) -> Option<RegionReadings> {
        None
    }

    fn begin_anew(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::identity::proc::Process;
    use crate::record::journal::{Begin, Limits, Reader};
    use crate::record::wire::LAYOUT;
    use crate::schema::manifest::Manifest;

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
        let asked = |recorded: &mut Recorded, state, addresses: &[u64]| {
            let mut found = Vec::new();
            let reached = Reached { state, ..Reached::default() };
            let known = recorded.mappings(reached, &mut addresses.iter().copied(), &mut found);
            (known, found)
        };
        let learn = |recorded: &mut Recorded, mapped, gaps| {
            recorded.learn(&serde_json::to_vec(&Answer::Mappings { state, mapped, gaps }).unwrap());
        };
        learn(&mut recorded, vec![heap.clone()], Vec::new());
        assert_eq!(asked(&mut recorded, state, &[0x2fff]), (None, vec![]), "nobody asked for them");
        let mut recorded = recorded.with_mappings(true);
        assert_eq!(asked(&mut recorded, state, &[0x2fff]), (Some(true), vec![Some(Arc::new(heap.clone()))]));
        for other in [0, 0xfff, 0x3000, u64::MAX] {
            assert_eq!(
                asked(&mut recorded, state, &[0x2fff, other]),
                (Some(false), vec![]),
                "no answer about {other:#x}"
            );
        }
        learn(&mut recorded, Vec::new(), vec![(0x3000, 0x8000), (0, 0x1000)]);
        let all = asked(&mut recorded, state, &[0x2fff, 0x3000, 0]);
        assert_eq!(all, (Some(true), vec![Some(Arc::new(heap)), None, None]));
        assert_eq!(asked(&mut recorded, state, &[0x8000]), (Some(false), vec![]));
        assert_eq!(asked(&mut recorded, other, &[0x2fff]), (Some(false), vec![]));
    }

    /// A kernel in which nothing changes.
    #[derive(Debug)]
    struct Quiet;

    impl AskKernel for Quiet {
        fn state(&self, pid: i32) -> Option<MappingState> {
            Some(MappingState { space: pid as u32, changes: 4 })
        }

        fn skipped(&self) -> u64 {
            0
        }
    }

    /// What the journal has is what was answered, whichever targets come in turn; and again from where it may begin.
    #[test]
    fn every_answer_about_mappings_is_kept_once() {
        let dir = tempfile::tempdir().unwrap();
        let begin = Begin { wire: LAYOUT.into(), segment: 0, manifest: Manifest::default() };
        let limits = Limits { segment: 1 << 20, total: u64::MAX, memory: 1 << 20 };
        let journal = Journal::create(&dir.path().join("t.parquet"), begin, limits).unwrap();
        let mut reader = Reader::live(journal.clone());
        let mut lookup = Live::new("boot", Some(journal.clone())).with_mappings(Some(Box::new(Quiet)));
        // This process and its parent.
        let own = std::process::id() as i32;
        let targets = [own, std::os::unix::process::parent_id() as i32];
        let local = 7;
        let stack = std::ptr::from_ref(&local).addr() as u64;
        let addresses = [0x10, stack, stack + 1, u64::MAX - 1];
        let ask = |lookup: &mut Live, pid: i32| {
            let reached = Reached { pid, state: MappingState { space: pid as u32, changes: 4 }, during_ns: (1, 1) };
            let mut found = Vec::new();
            assert_eq!(lookup.mappings(reached, &mut addresses.into_iter(), &mut found), Some(true));
            found
        };
        let mut live = Vec::new();
        for _ in 0..5 {
            live = targets.map(|pid| ask(&mut lookup, pid)).to_vec();
        }
        lookup.begin_anew();
        ask(&mut lookup, own);
        journal.close();
        let mut recorded = Recorded::default().with_mappings(true);
        let mut frames = 0;
        while let Some(frame) = reader.next().unwrap() {
            frames += 1;
            recorded.learn(&frame.payload);
        }
        assert_eq!(frames, 3);
        for (pid, live) in targets.into_iter().zip(live) {
            let reached = Reached { pid, state: MappingState { space: pid as u32, changes: 4 }, during_ns: (1, 1) };
            let mut found = Vec::new();
            assert_eq!(recorded.mappings(reached, &mut addresses.into_iter(), &mut found), Some(true));
            assert_eq!(found, live);
        }
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
