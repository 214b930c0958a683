//! Processes: their identity, and what is known of each, learned from the events.
//!
//! Owns identity across pid reuse and hosts, and what is known about each process so far: name, executable, user, parent.
//! It is bounded, so memory stays constant however many processes a capture contains: when it is full it forgets all, and
//! learns again from later events. Owns no output.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::schema::key::TICK_NS;
use crate::schema::{Event, EventKind};

/// Processes remembered at most.
pub const LIMIT: usize = 16_384;
/// Bytes kept of any text: PATH_MAX. A file may claim more.
const TEXT_LIMIT: usize = 4_096;

/// A process that can be distinguished from a later one with the same pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Process id (thread group) in the initial pid namespace.
    pub pid: i32,
    /// Start time in ticks, as `process_key` hashes it; `None` where it is not known.
    pub start: Option<i64>,
    /// Its host; of a capture of one host [`HostId::default`].
    pub host: HostId,
}

/// Tells the hosts of a capture apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostId(u64);

impl HostId {
    /// That of a row, by what it has in `host`.
    pub fn of(host: Option<&str>) -> Self {
        let Some(host) = host else { return HostId::default() };
        let mut hasher = DefaultHasher::new();
        host.hash(&mut hasher);
        HostId(hasher.finish().max(1))
    }
}

impl Identity {
    fn new(pid: i32, start_ns: Option<i64>, host: Option<&str>) -> Self {
        let tick = |ns: i64| ns / TICK_NS as i64;
        Identity { pid, start: start_ns.filter(|ns| *ns > 0).map(tick), host: HostId::of(host) }
    }

    /// The process that acted.
    pub fn caller(event: &Event<'_>) -> Self {
        Identity::new(event.pid, Some(event.start_ns), event.host)
    }

    /// The process whose memory was reached.
    pub fn target(event: &Event<'_>) -> Option<Self> {
        Some(Identity::new(event.target_pid?, event.target_start_ns, event.host))
    }

    /// Whether both may be the same process: an unknown start time contradicts none.
    pub fn matches(self, other: Identity) -> bool {
        self.pid == other.pid
            && self.host == other.host
            && (self.start == other.start || self.start.is_none() || other.start.is_none())
    }
}

/// What is known of one process.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// Name of its main thread, or of another while that is unknown; as captured.
    pub name: String,
    /// Its executable; as captured.
    pub exe: Option<String>,
    /// Its effective user id.
    pub uid: Option<u32>,
    /// Its container; as captured.
    pub container: Option<String>,
    /// Its host, where the capture is of several; as captured.
    pub host: Option<String>,
    /// Who started it.
    pub parent: Option<i32>,
    /// A number that it gets when it becomes known, and another one whenever its executable, user or container changes.
    pub version: u64,
}

/// All processes seen so far.
#[derive(Debug, Default)]
pub struct Processes {
    known: HashMap<Identity, Process>,
    latest: HashMap<(HostId, i32), Identity>,
    /// The last version that was given.
    version: u64,
}

impl Processes {
    /// Learns what `event` says of its caller and its target.
    pub fn note(&mut self, event: &Event<'_>) {
        // A gap has no process.
        if event.event == EventKind::Lost.name() {
            return;
        }
        let identity = Identity::caller(event);
        let caller = self.entry(identity);
        keep_host(caller, event.host);
        let is_main = event.tid == event.pid;
        if is_main || caller.name.is_empty() {
            keep(&mut caller.name, event.comm);
        }
        if event.parent_pid.is_some() {
            caller.parent = event.parent_pid;
        }
        if learn(caller, event.exe, Some(event.uid), event.container) {
            self.renew(identity);
        }
        if let Some(identity) = Identity::target(event) {
            let target = self.entry(identity);
            keep_host(target, event.host);
            // The target's name is that of the thread that was named; it need not be the main one.
            if target.name.is_empty() {
                keep(&mut target.name, event.target_comm.unwrap_or_default());
            }
            if learn(target, event.target_exe, event.target_uid, event.target_container) {
                self.renew(identity);
            }
        }
    }

    /// What is known of `identity`.
    pub fn get(&self, identity: Identity) -> Option<&Process> {
        self.known.get(&self.resolve(identity))
    }

    fn renew(&mut self, identity: Identity) {
        self.version += 1;
        self.entry(identity).version = self.version;
    }

    /// What is known of `identity`, to be added to.
    fn entry(&mut self, identity: Identity) -> &mut Process {
        if self.known.len() >= LIMIT && !self.known.contains_key(&identity) {
            self.known.clear();
            self.latest.clear();
        }
        let identity = self.resolve(identity);
        if self.latest.get(&(identity.host, identity.pid)) != Some(&identity) {
            self.latest.insert((identity.host, identity.pid), identity);
        }
        let version = &mut self.version;
        self.known.entry(identity).or_insert_with(|| {
            *version += 1;
            Process { version: *version, ..Process::default() }
        })
    }

    /// Name of the process that was last known by `pid` on a host.
    pub fn name(&self, host: HostId, pid: i32) -> Option<&str> {
        let process = self.known.get(self.latest.get(&(host, pid))?)?;
        (!process.name.is_empty()).then_some(process.name.as_str())
    }

    /// The identity with its start time filled in where it was unknown.
    pub fn resolve(&self, identity: Identity) -> Identity {
        match (identity.start, self.latest.get(&(identity.host, identity.pid))) {
            (None, Some(latest)) => *latest,
            _ => identity,
        }
    }
}

/// Whether anything is new.
fn learn(process: &mut Process, exe: Option<&str>, uid: Option<u32>, container: Option<&str>) -> bool {
    let mut changed = false;
    for (known, now) in [(&mut process.exe, exe), (&mut process.container, container)] {
        if let Some(now) = now
            && known.as_deref() != Some(now)
        {
            keep(known.get_or_insert_default(), now);
            changed = true;
        }
    }
    if uid.is_some() && process.uid != uid {
        process.uid = uid;
        changed = true;
    }
    changed
}

fn keep_host(process: &mut Process, host: Option<&str>) {
    if let Some(host) = host
        && process.host.is_none()
    {
        keep(process.host.get_or_insert_default(), host);
    }
}

fn keep(kept: &mut String, text: &str) {
    let end = (0..=text.len().min(TEXT_LIMIT)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let text = text.get(..end).unwrap_or_default();
    if kept != text {
        kept.clear();
        kept.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_pid_is_another_process() {
        let mut processes = Processes::default();
        let old = Event { pid: 7, tid: 7, comm: "old", start_ns: 10_000_000, parent_pid: Some(1), ..Event::default() };
        let new = Event { comm: "new", start_ns: 20_000_000, parent_pid: None, ..old };
        processes.note(&old);
        processes.note(&new);
        assert_eq!(processes.name(HostId::default(), 7), Some("new"));
        assert_eq!(processes.get(Identity::caller(&old)).unwrap().parent, Some(1));
        assert_eq!(processes.get(Identity::caller(&new)).unwrap().parent, None);
        let same_tick = Event { start_ns: 29_999_999, ..new };
        assert_eq!(Identity::caller(&same_tick), Identity::caller(&new), "a snapshot knows 10 ms");
    }

    #[test]
    fn the_main_thread_names_the_process() {
        let mut processes = Processes::default();
        let main = Event { pid: 7, tid: 7, comm: "server", start_ns: 1, ..Event::default() };
        processes.note(&Event { tid: 8, comm: "worker", ..main });
        assert_eq!(processes.name(HostId::default(), 7), Some("worker"));
        processes.note(&main);
        processes.note(&Event { tid: 8, comm: "worker", ..main });
        assert_eq!(processes.name(HostId::default(), 7), Some("server"));
    }

    #[test]
    fn a_target_without_start_time_is_the_one_last_seen() {
        let mut processes = Processes::default();
        let caller = Event { pid: 7, tid: 7, comm: "a", start_ns: 50_000_000, ..Event::default() };
        processes.note(&caller);
        let unknown = Identity { pid: 7, start: None, host: HostId::default() };
        assert_eq!(processes.resolve(unknown), Identity::caller(&caller));
        assert!(unknown.matches(Identity::caller(&caller)));
    }

    #[test]
    fn the_same_pid_on_two_hosts_is_two_processes() {
        let mut processes = Processes::default();
        let on =
            |host, comm| Event { pid: 7, tid: 7, comm, start_ns: 50_000_000, host: Some(host), ..Event::default() };
        let (a, b) = (on("web1", "server"), on("web2", "client"));
        processes.note(&a);
        processes.note(&b);
        assert_eq!(
            [processes.name(HostId::of(Some("web1")), 7), processes.name(HostId::of(Some("web2")), 7)],
            [Some("server"), Some("client")]
        );
        assert_eq!(processes.name(HostId::default(), 7), None);
        assert!(!Identity::caller(&a).matches(Identity::caller(&b)));
        let unknown = Identity { start: None, ..Identity::caller(&a) };
        assert_eq!(processes.resolve(unknown), Identity::caller(&a));
        assert_eq!(processes.get(Identity::caller(&b)).unwrap().host.as_deref(), Some("web2"));
    }

    #[test]
    fn memory_is_bounded() {
        let mut processes = Processes::default();
        let long = "x".repeat(1 << 20);
        for pid in 0..LIMIT as i32 + 10 {
            processes.note(&Event { pid, start_ns: 1, comm: &long, ..Event::default() });
        }
        assert!(processes.known.len() <= LIMIT && processes.latest.len() <= LIMIT);
        assert_eq!(processes.name(HostId::default(), LIMIT as i32 + 9).map(str::len), Some(TEXT_LIMIT));
    }
}
