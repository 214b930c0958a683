//! The tracks of a trace: one for each process, thread and pipe. A track is described before the first event on it.
//!
//! Perfetto takes processes with one pid for one process. So those of a capture of several hosts are tracks with names and no pids.

use std::collections::HashMap;

use super::intern::limited;
use super::proto::{CounterDescriptor, ProcessDescriptor, SIZE_BYTES, ThreadDescriptor, TrackDescriptor};
use crate::model::process::{HostId, Identity};

/// Tracks that are remembered. When there are more, all are forgotten, and described again when events come.
const LIMIT: usize = 65_536;
/// Hosts whose names are remembered.
const HOSTS: usize = 1_024;

/// What a track is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Of {
    /// A process.
    Process(Identity),
    /// A thread of a process.
    Thread(Identity, i32),
    /// Bytes a second that came into the memory of a process.
    Received(Identity),
    /// Bytes a second that came out of it.
    Sent(Identity),
    /// A pipe, by its host and inode.
    Pipe(HostId, u64),
    /// Gaps in the recording.
    Losses,
}

/// The tracks that have been described.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    known: HashMap<Of, u64>,
    /// How many there have been. Numbers are never used again.
    count: u64,
    /// Descriptions that are to be written.
    fresh: Vec<TrackDescriptor>,
    /// Names of hosts.
    hosts: HashMap<HostId, String>,
}

impl Tracks {
    /// Learns how a host is called.
    pub fn note_host(&mut self, host: Option<&str>) {
        if let Some(host) = host
            && self.hosts.len() < HOSTS
        {
            self.hosts.entry(HostId::of(Some(host))).or_insert_with(|| limited(host).to_string());
        }
    }

    /// The track of a process, called `name` where it is new.
    pub fn process(&mut self, of: Identity, name: &str) -> u64 {
        if let Some(track) = self.known.get(&Of::Process(of)) {
            return *track;
        }
        let track = self.add(Of::Process(of));
        self.describe_process(track, of, name, None);
        track
    }

    /// Describes a process again, which has another program now.
    pub fn renamed(&mut self, of: Identity, name: &str, command: Option<&str>) {
        let track = match self.known.get(&Of::Process(of)) {
            Some(track) => *track,
            None => self.add(Of::Process(of)),
        };
        self.describe_process(track, of, name, command);
    }

    /// The track of a thread.
    pub fn thread(&mut self, of: Identity, tid: i32, name: &str) -> u64 {
        let process = self.process(of, name);
        if let Some(track) = self.known.get(&Of::Thread(of, tid)) {
            return *track;
        }
        let track = self.add(Of::Thread(of, tid));
        let name = limited(name).to_string();
        let is_named = of.host != HostId::default();
        let title = is_named.then(|| format!("{name} {tid}"));
        let thread = ThreadDescriptor { pid: Some(of.pid), tid: Some(tid), thread_name: Some(name) };
        self.fresh.push(TrackDescriptor {
            uuid: Some(track),
            parent_uuid: Some(process),
            name: title,
            thread: Some(thread).filter(|_| !is_named),
            ..TrackDescriptor::default()
        });
        track
    }

    /// A counter of a process, whose track has been described.
    pub fn counter(&mut self, process: Identity, of: Of, name: &str) -> u64 {
        if let Some(track) = self.known.get(&of) {
            return *track;
        }
        let parent = self.process(process, "");
        let track = self.add(of);
        self.fresh.push(TrackDescriptor {
            uuid: Some(track),
            parent_uuid: Some(parent),
            name: Some(name.to_string()),
            counter: Some(CounterDescriptor { unit: Some(SIZE_BYTES) }),
            ..TrackDescriptor::default()
        });
        track
    }

    /// A track that belongs to no process.
    pub fn global(&mut self, of: Of, name: impl FnOnce() -> String) -> u64 {
        if let Some(track) = self.known.get(&of) {
            return *track;
        }
        let track = self.add(of);
        let name = Some(limited(&name()).to_string());
        self.fresh.push(TrackDescriptor { uuid: Some(track), name, ..TrackDescriptor::default() });
        track
    }

    /// Descriptions that are to be written before anything else.
    pub fn take_fresh(&mut self) -> Vec<TrackDescriptor> {
        std::mem::take(&mut self.fresh)
    }

    fn add(&mut self, of: Of) -> u64 {
        if self.known.len() >= LIMIT {
            self.known.clear();
        }
        self.count += 1;
        self.known.insert(of, self.count);
        self.count
    }

    fn describe_process(&mut self, track: u64, of: Identity, name: &str, command: Option<&str>) {
        if of.host != HostId::default() {
            let host = self.hosts.get(&of.host).map(String::as_str).unwrap_or_default();
            let name = Some(format!("{}:{}[{}]", limited(host), limited(name), of.pid));
            return self.fresh.push(TrackDescriptor { uuid: Some(track), name, ..TrackDescriptor::default() });
        }
        let process = ProcessDescriptor {
            pid: Some(of.pid),
            process_name: (!name.is_empty()).then(|| limited(name).to_string()),
            cmdline: command.map(|words| limited(words).to_string()).into_iter().collect(),
        };
        self.fresh.push(TrackDescriptor { uuid: Some(track), process: Some(process), ..TrackDescriptor::default() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, start: i64) -> Identity {
        Identity { pid, start: Some(start), host: HostId::default() }
    }

    #[test]
    fn a_track_is_described_once_and_before_its_threads() {
        let mut tracks = Tracks::default();
        let thread = tracks.thread(process(7, 1), 8, "worker");
        let described = tracks.take_fresh();
        assert_eq!(described.len(), 2);
        let parent = described.first().and_then(|track| track.uuid);
        assert_eq!(described.get(1).map(|track| (track.uuid, track.parent_uuid)), Some((Some(thread), parent)));
        assert_eq!(tracks.thread(process(7, 1), 8, "worker"), thread);
        assert!(tracks.take_fresh().is_empty());
    }

    #[test]
    fn a_reused_pid_has_a_track_of_its_own() {
        let mut tracks = Tracks::default();
        assert_ne!(tracks.process(process(7, 1), "old"), tracks.process(process(7, 2), "new"));
    }

    #[test]
    fn memory_is_bounded_and_numbers_are_not_used_again() {
        let mut tracks = Tracks::default();
        let pipes = 0..LIMIT as u64 + 10;
        let numbers: Vec<u64> =
            pipes.map(|inode| tracks.global(Of::Pipe(HostId::default(), inode), String::new)).collect();
        assert!(tracks.known.len() <= LIMIT && numbers.is_sorted_by(|a, b| a < b));
        assert!(tracks.global(Of::Pipe(HostId::default(), 0), String::new) > *numbers.last().unwrap());
    }
}
