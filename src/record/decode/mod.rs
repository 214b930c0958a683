//! Turns wire records into capture rows. Only this module knows both.
//!
//! Does no I/O of its own (identity comes from [`Processes`]) and trusts nothing: a record that is inconsistent is
//! refused and counted. Text and iovecs are copied into buffers that are reused for each record.

mod buffers;
mod calls;
mod life;
mod names;
mod pidfd;
mod pipe;
mod ptrace;
mod verdict;

use serde::{Deserialize, Serialize};

use self::buffers::Buffers;
use super::wire::*;
use crate::record::identity::cgroups::Cgroups;
use crate::record::identity::container::container_id;
use crate::record::identity::lookup::Witness;
use crate::record::identity::proc::Snapshot;
use crate::record::identity::processes::{self, Processes};
use crate::schema::Event;
use crate::schema::events::EventKind;
use crate::schema::vocabulary::LostCause;

/// The event of each wire number. An event that is not made in the kernel has none.
const KINDS: &[(u32, EventKind)] = &[
    (VMT_PROCESS_VM_READV, EventKind::ProcessVmReadv),
    (VMT_PROCESS_VM_WRITEV, EventKind::ProcessVmWritev),
    (VMT_VMSPLICE, EventKind::Vmsplice),
    (VMT_SPLICE, EventKind::Splice),
    (VMT_TEE, EventKind::Tee),
    (VMT_SENDFILE, EventKind::Sendfile),
    (VMT_PTRACE, EventKind::Ptrace),
    (VMT_READ, EventKind::Read),
    (VMT_WRITE, EventKind::Write),
    (VMT_PREAD, EventKind::Pread),
    (VMT_PWRITE, EventKind::Pwrite),
    (VMT_READV, EventKind::Readv),
    (VMT_WRITEV, EventKind::Writev),
    (VMT_PREADV, EventKind::Preadv),
    (VMT_PWRITEV, EventKind::Pwritev),
    (VMT_PREADV2, EventKind::Preadv2),
    (VMT_PWRITEV2, EventKind::Pwritev2),
    (VMT_EXEC, EventKind::ProcessExec),
    (VMT_FORK, EventKind::ProcessFork),
    (VMT_EXIT, EventKind::ProcessExit),
    (VMT_LOST, EventKind::Lost),
    (VMT_PIPE_READ, EventKind::PipeRead),
    (VMT_PIDFD_GETFD, EventKind::PidfdGetfd),
    (VMT_PROCESS_MADVISE, EventKind::ProcessMadvise),
];

/// The wire's number for an event; `None` for events that are not made in the kernel.
pub fn wire_kind(kind: EventKind) -> Option<u32> {
    KINDS.iter().find(|(_, k)| *k == kind).map(|(wire, _)| *wire)
}

/// The event of a wire number.
pub fn event_kind(wire: u32) -> Option<EventKind> {
    KINDS.iter().find(|(w, _)| *w == wire).map(|(_, kind)| *kind)
}

/// What a decoder has learned.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Known {
    processes: processes::Known,
    cgroups: Vec<(u64, String)>,
}

/// A record was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecodable {
    /// The kind it claimed, where known.
    pub kind: Option<EventKind>,
}

/// Where rows go: called once per row, in the order of the records.
pub trait Sink {
    /// Takes a row. `faulted`: a payload segment or an iovec array of it could not be read.
    fn row(&mut self, kind: EventKind, event: &Event<'_>, faulted: bool);
}

/// Puts monotonic instants on the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    /// CLOCK_REALTIME − CLOCK_MONOTONIC in ns, at the recording's start.
    pub offset_ns: i64,
}

impl WallClock {
    /// A row of `kind` at an instant on a CPU, with nothing else in it.
    fn stamp<'a>(self, kind: EventKind, mono_ns: i64, cpu: u32) -> Event<'a> {
        let ts_ns = mono_ns.saturating_add(self.offset_ns);
        Event { ts: ts_ns.div_euclid(1000), ts_ns, mono_ns, cpu, event: kind.name(), ..Event::default() }
    }
}

/// An unsigned number of the wire as the file's signed one.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Turns records into rows.
#[derive(Debug)]
pub struct Decoder {
    clock: WallClock,
    processes: Processes,
    cgroups: Cgroups,
    witness: Box<dyn Witness>,
    buffers: Buffers,
}

impl Decoder {
    /// A decoder that knows `processes`, and asks `witness` for others.
    pub fn new(clock: WallClock, processes: Processes, witness: Box<dyn Witness>) -> Self {
        Decoder { clock, processes, cgroups: Cgroups::default(), witness, buffers: Buffers::default() }
    }

    /// All that is known, for a checkpoint.
    pub fn known(&self) -> Known {
        Known { processes: self.processes.known(), cgroups: self.cgroups.known() }
    }

    /// Goes on from a checkpoint.
    pub fn restore(&mut self, known: Known) {
        self.processes.restore(known.processes);
        self.cgroups.restore(known.cgroups);
    }

    /// Reads one record and hands its rows to `sink`: usually one; one more for each process that is met for the
    /// first time; one per event kind for a `lost` record.
    ///
    /// # Errors
    /// When the bytes are not a whole record of a known kind.
    pub fn record(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<(), Undecodable> {
        let (hdr, _) = take::<vmt_hdr>(bytes).ok_or(Undecodable { kind: None })?;
        let kind = event_kind(u32::from(hdr.kind)).ok_or(Undecodable { kind: None })?;
        let done = match kind {
            EventKind::ProcessVmReadv | EventKind::ProcessVmWritev => self.vm(kind, bytes, sink),
            EventKind::Vmsplice => self.vmsplice(bytes, sink),
            EventKind::Splice | EventKind::Tee | EventKind::Sendfile => self.splice(kind, bytes, sink),
            EventKind::PipeRead => self.pipe_read(bytes, sink),
            EventKind::Ptrace => self.ptrace(bytes, sink),
            EventKind::PidfdGetfd => self.pidfd_getfd(bytes, sink),
            EventKind::ProcessMadvise => self.process_madvise(bytes, sink),
            EventKind::ProcessExec => self.exec(bytes, sink),
            EventKind::ProcessFork => self.fork(bytes, sink),
            EventKind::ProcessExit => self.exit(bytes, sink),
            EventKind::Lost => self.lost_record(bytes, sink),
            _ => self.mem(kind, bytes, sink),
        };
        done.ok_or(Undecodable { kind: Some(kind) })
    }

    fn lost_record(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Option<()> {
        let (lost, _) = take::<vmt_lost>(bytes)?;
        self.lost(lost.hdr.cpu, lost.first_ns, lost.last_ns, &lost.count, LostCause::RingFull, sink);
        Some(())
    }

    /// One row per event kind that a CPU lost between two instants of CLOCK_MONOTONIC.
    /// `counts` are by wire kind.
    pub fn lost(
        &mut self,
        cpu: u32,
        first_ns: u64,
        last_ns: u64,
        counts: &[u32],
        cause: LostCause,
        sink: &mut impl Sink,
    ) {
        for (wire, count) in (0u32..).zip(counts).filter(|(_, count)| **count > 0) {
            let event = Event {
                dur_ns: Some(signed(last_ns.saturating_sub(first_ns))),
                uid: u32::MAX,
                lost_count: Some(u64::from(*count)),
                lost_event: event_kind(wire).map(EventKind::name),
                lost_cause: Some(cause.as_str()),
                ..self.clock.stamp(EventKind::Lost, signed(last_ns), cpu)
            };
            sink.row(EventKind::Lost, &event, false);
        }
    }

    /// Learns a process that lives now, with a row for it. For the start of a recording.
    pub fn introduce(&mut self, snapshot: &Snapshot, mono_ns: i64, sink: &mut impl Sink) {
        let process = &snapshot.process;
        if self.processes.get(process.pid, process.start_ns).is_none() {
            self.processes.insert(process.pid, process.start_ns, process.exe.clone());
            self.snapshot(snapshot, mono_ns, 0, sink);
        }
    }

    /// Makes sure a process is known before a row names it; the first meeting is a row of its own.
    fn meet(&mut self, hdr: &vmt_hdr, process: &vmt_process, sink: &mut impl Sink) {
        if let Some(found) = self.processes.meet(process.pid, process.start_boottime, self.witness.as_mut()) {
            self.snapshot(&found, signed(hdr.mono_ns), hdr.cpu, sink);
        }
    }

    fn snapshot(&self, snapshot: &Snapshot, mono_ns: i64, cpu: u32, sink: &mut impl Sink) {
        let process = &snapshot.process;
        let event = Event {
            pid: process.pid,
            tid: process.pid,
            uid: snapshot.uid,
            comm: &snapshot.comm,
            exe: process.exe.as_deref(),
            start_ns: signed(process.start_ns),
            process_key: Some(&process.key),
            cgroup: snapshot.cgroup.as_deref(),
            container: snapshot.cgroup.as_deref().and_then(container_id),
            parent_pid: Some(snapshot.parent),
            argv: Some(&snapshot.argv),
            ..self.clock.stamp(EventKind::ProcessSnapshot, mono_ns, cpu)
        };
        sink.row(EventKind::ProcessSnapshot, &event, false);
    }

    /// Takes the buffers, with the caller's identity in them. They come back through `self.buffers = ...`, so
    /// that rows cost no allocation.
    fn caller(&mut self, hdr: &vmt_hdr) -> Buffers {
        let mut buffers = std::mem::take(&mut self.buffers);
        buffers.set_caller(&hdr.self_, &self.processes, self.cgroups.get(hdr.self_.cgroup_id, self.witness.as_mut()));
        buffers
    }

    /// The same, with the target's identity in them where it was resolved.
    fn caller_and_target(&mut self, hdr: &vmt_hdr, target: &vmt_process) -> Buffers {
        let mut buffers = self.caller(hdr);
        if target.pid != 0 {
            buffers.set_target(target, &self.processes, self.cgroups.get(target.cgroup_id, self.witness.as_mut()));
        }
        buffers
    }

    /// What every row of a caller has.
    fn base<'a>(&self, hdr: &vmt_hdr, kind: EventKind, buffers: &'a Buffers) -> Event<'a> {
        Event {
            dur_ns: (hdr.begin_ns > 0).then(|| signed(hdr.mono_ns.saturating_sub(hdr.begin_ns))),
            pid: hdr.self_.pid,
            tid: hdr.tid,
            uid: hdr.self_.uid,
            start_ns: signed(hdr.self_.start_boottime),
            comm: &buffers.comm,
            exe: some(&buffers.exe),
            process_key: some(&buffers.key),
            cgroup: some(&buffers.cgroup),
            container: some(&buffers.container),
            ..self.clock.stamp(kind, signed(hdr.mono_ns), hdr.cpu)
        }
    }
}

/// Text of a buffer; an empty buffer is no text.
fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
