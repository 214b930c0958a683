//! Turns wire records into capture rows. Only this module knows both.
//!
//! Does no I/O of its own (identity comes from [`Processes`]) and trusts nothing: a record that is inconsistent is
//! refused and counted. Text and iovecs are copied into buffers that are reused for each record.

mod buffers;
mod call;
mod life;
mod mem_open;
mod names;
mod pidfd;
mod pipe;
mod provenance;
mod ptrace;
mod regions;
mod transfers;
mod uffd;
mod values;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::buffers::Buffers;
use self::call::records;
use self::mem_open::mem_open;
use self::pidfd::{pidfd_getfd, process_madvise};
use self::pipe::{pipe_io, splice, vmsplice};
use self::ptrace::ptrace;
use self::transfers::{Access, mem, vm};
use self::uffd::uffd;
use super::wire::*;
use crate::record::identity::cgroups::Cgroups;
use crate::record::identity::container::container_id;
use crate::record::identity::lookup::Lookup;
use crate::record::identity::proc::Snapshot;
use crate::record::identity::processes::{self, Processes};
use crate::schema::Event;
use crate::schema::events::{EVENTS, EventKind};
use crate::schema::manifest::RegionReadings;
use crate::schema::regions::Mapping;
use crate::schema::vocabulary::LostCause;

// The wire structs of calls, and the process that each has reached.
records! {
    vmt_vm target;
    vmt_mem target;
    vmt_mem_open target;
    vmt_ptrace target;
    vmt_pidfd_getfd target;
    vmt_process_madvise target;
    vmt_uffd target;
    vmt_vmsplice writer;
    vmt_splice writer;
    vmt_pipe_io writer;
}

/// The wire's number for an event; `None` for events that are not made in the kernel.
pub const fn wire_kind(kind: EventKind) -> Option<u32> {
    Some(match kind {
        EventKind::ProcessVmReadv => VMT_PROCESS_VM_READV,
        EventKind::ProcessVmWritev => VMT_PROCESS_VM_WRITEV,
        EventKind::Vmsplice => VMT_VMSPLICE,
        EventKind::Splice => VMT_SPLICE,
        EventKind::Tee => VMT_TEE,
        EventKind::Sendfile => VMT_SENDFILE,
        EventKind::PipeRead => VMT_PIPE_READ,
        EventKind::PipeWrite => VMT_PIPE_WRITE,
        EventKind::Ptrace => VMT_PTRACE,
        EventKind::Read => VMT_READ,
        EventKind::Write => VMT_WRITE,
        EventKind::Pread => VMT_PREAD,
        EventKind::Pwrite => VMT_PWRITE,
        EventKind::Readv => VMT_READV,
        EventKind::Writev => VMT_WRITEV,
        EventKind::Preadv => VMT_PREADV,
        EventKind::Pwritev => VMT_PWRITEV,
        EventKind::Preadv2 => VMT_PREADV2,
        EventKind::Pwritev2 => VMT_PWRITEV2,
        EventKind::MemOpen => VMT_MEM_OPEN,
        EventKind::PidfdGetfd => VMT_PIDFD_GETFD,
        EventKind::ProcessMadvise => VMT_PROCESS_MADVISE,
        EventKind::UffdCopy => VMT_UFFD_COPY,
        EventKind::UffdMove => VMT_UFFD_MOVE,
        EventKind::UffdZeropage => VMT_UFFD_ZEROPAGE,
        EventKind::UffdPoison => VMT_UFFD_POISON,
        EventKind::ProcessExec => VMT_EXEC,
        EventKind::ProcessFork => VMT_FORK,
        EventKind::ProcessExit => VMT_EXIT,
        EventKind::Lost => VMT_LOST,
        EventKind::ProcessSnapshot => return None,
    })
}

/// Events by their number on the wire.
const EVENTS_BY_NUMBER: [Option<EventKind>; VMT_KINDS as usize] = {
    let mut events = [None; VMT_KINDS as usize];
    let mut next = 0;
    while next < EVENTS.len() {
        let kind = EVENTS[next].kind;
        if let Some(number) = wire_kind(kind) {
            events[number as usize] = Some(kind);
        }
        next += 1;
    }
    events
};

/// The event of a wire number; `None` where that is no event.
pub fn event_kind(wire: u32) -> Option<EventKind> {
    EVENTS_BY_NUMBER.get(wire as usize).copied().flatten()
}

/// What a decoder has learned.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DecoderState {
    processes: processes::KnownProcesses,
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
    /// Takes a row, and may change it: it is not used again. `faulted`: a payload segment or an iovec array of it could not be
    /// read.
    fn row(&mut self, kind: EventKind, event: &mut Event<'_>, faulted: bool);
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

    /// What every row of a caller has.
    fn of_caller<'a>(self, hdr: &vmt_hdr, kind: EventKind, buffers: &'a Buffers) -> Event<'a> {
        // Field by field, here and in the decode functions: an event has a hundred fields, and `..event` moves each of them.
        let mut event = self.stamp(kind, signed(hdr.mono_ns), hdr.cpu);
        event.dur_ns = (hdr.begin_ns > 0).then(|| signed(hdr.mono_ns.saturating_sub(hdr.begin_ns)));
        event.pid = hdr.self_.pid;
        event.tid = hdr.tid;
        event.uid = hdr.self_.uid;
        event.start_ns = signed(hdr.self_.start_boottime);
        event.comm = &buffers.comm;
        event.exe = some(&buffers.exe);
        event.process_key = some(&buffers.key);
        event.cgroup = some(&buffers.cgroup);
        event.container = some(&buffers.container);
        event
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
    lookup: Box<dyn Lookup>,
    buffers: Buffers,
    /// Mappings of a row.
    mappings: Vec<Option<Arc<Mapping>>>,
}

impl Decoder {
    /// A decoder that knows `processes`, and asks `lookup` for others.
    pub fn new(clock: WallClock, processes: Processes, lookup: Box<dyn Lookup>) -> Self {
        let (cgroups, buffers) = Default::default();
        Decoder { clock, processes, cgroups, lookup, buffers, mappings: Vec::new() }
    }

    /// What became of readings of mappings.
    pub fn readings(&self) -> Option<RegionReadings> {
        self.lookup.readings()
    }

    /// All that is known, for a checkpoint.
    pub fn known(&self) -> DecoderState {
        DecoderState { processes: self.processes.known(), cgroups: self.cgroups.known() }
    }

    /// A recovery can begin here: answers that it needs are kept again.
    pub fn begin_anew(&mut self) {
        self.lookup.begin_anew();
    }

    /// Goes on from a checkpoint.
    pub fn restore(&mut self, known: DecoderState) {
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
            EventKind::ProcessVmReadv | EventKind::ProcessVmWritev => self.call(kind, bytes, sink, vm),
            EventKind::Vmsplice => self.call(kind, bytes, sink, vmsplice),
            EventKind::Splice | EventKind::Tee | EventKind::Sendfile => self.call(kind, bytes, sink, splice),
            EventKind::PipeRead | EventKind::PipeWrite => self.call(kind, bytes, sink, pipe_io),
            EventKind::Ptrace => self.call(kind, bytes, sink, ptrace),
            EventKind::Read | EventKind::Pread => self.mem(kind, Access::READ, bytes, sink),
            EventKind::Write | EventKind::Pwrite => self.mem(kind, Access::WRITE, bytes, sink),
            EventKind::Readv | EventKind::Preadv => self.mem(kind, Access::READV, bytes, sink),
            EventKind::Writev | EventKind::Pwritev => self.mem(kind, Access::WRITEV, bytes, sink),
            EventKind::Preadv2 => self.mem(kind, Access::READV2, bytes, sink),
            EventKind::Pwritev2 => self.mem(kind, Access::WRITEV2, bytes, sink),
            EventKind::MemOpen => self.call(kind, bytes, sink, mem_open),
            EventKind::PidfdGetfd => self.call(kind, bytes, sink, pidfd_getfd),
            EventKind::ProcessMadvise => self.call(kind, bytes, sink, process_madvise),
            EventKind::UffdCopy | EventKind::UffdMove | EventKind::UffdZeropage | EventKind::UffdPoison => {
                self.call(kind, bytes, sink, uffd)
            }
            EventKind::ProcessExec => self.exec(bytes, sink),
            EventKind::ProcessFork => self.fork(bytes, sink),
            EventKind::ProcessExit => self.exit(bytes, sink),
            EventKind::Lost => self.lost_record(bytes, sink),
            // Made here, of what /proc says.
            EventKind::ProcessSnapshot => None,
        };
        done.ok_or(Undecodable { kind: Some(kind) })
    }

    fn mem(&mut self, kind: EventKind, access: Access, bytes: &[u8], sink: &mut impl Sink) -> Option<()> {
        self.call(kind, bytes, sink, |call, buffers, tail| mem(call, access, buffers, tail))
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
            let mut event = Event {
                dur_ns: Some(signed(last_ns.saturating_sub(first_ns))),
                uid: u32::MAX,
                lost_count: Some(u64::from(*count)),
                lost_event: event_kind(wire).map(EventKind::name),
                lost_cause: Some(cause.as_str()),
                ..self.clock.stamp(EventKind::Lost, signed(last_ns), cpu)
            };
            sink.row(EventKind::Lost, &mut event, false);
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
        if let Some(found) = self.processes.meet(process.pid, process.start_boottime, self.lookup.as_mut()) {
            self.snapshot(&found, signed(hdr.mono_ns), hdr.cpu, sink);
        }
    }

    fn snapshot(&self, snapshot: &Snapshot, mono_ns: i64, cpu: u32, sink: &mut impl Sink) {
        let process = &snapshot.process;
        let mut event = Event {
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
        sink.row(EventKind::ProcessSnapshot, &mut event, false);
    }

    /// Takes the buffers, with the caller's identity in them. They come back through `self.buffers = ...`, so
    /// that rows cost no allocation.
    fn caller(&mut self, hdr: &vmt_hdr) -> Buffers {
        let mut buffers = std::mem::take(&mut self.buffers);
        buffers.set_caller(&hdr.self_, &self.processes, self.cgroups.get(hdr.self_.cgroup_id, self.lookup.as_mut()));
        buffers
    }

    /// The same, with the target's identity in them where it was resolved.
    fn caller_and_target(&mut self, hdr: &vmt_hdr, target: &vmt_process) -> Buffers {
        let mut buffers = self.caller(hdr);
        if target.pid != 0 {
            buffers.set_target(target, &self.processes, self.cgroups.get(target.cgroup_id, self.lookup.as_mut()));
        }
        buffers
    }
}

/// Text of a buffer; an empty buffer is no text.
fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
