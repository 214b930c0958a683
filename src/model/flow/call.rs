//! A call that moved bytes through pipes: what is kept of it, and what it did with which pipe.

use std::sync::Arc;

use ahash::HashSet;

use super::telling::tells;
use super::threads::Thread;
use crate::schema::events::Group;
use crate::schema::types::{Iovec, Iovecs};
use crate::schema::vocabulary::{DescriptorKind, Direction, PayloadStatus};
use crate::schema::{Event, EventKind};

/// Bytes of payload that are kept of a call and compared.
pub(super) const PAYLOAD: usize = 1_024;
/// Ranges that are kept of a call. Bytes behind them have no address.
const RANGES: usize = 32;
/// What stands in the place of a masked byte.
const MASK: u8 = b'*';
/// Bytes that are kept of a name.
const NAME: usize = 256;
/// Names that are kept at a time.
const NAMES: usize = 4_096;

/// A pipe. A named one has the inode number of its file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PipeId {
    pub inode: u64,
    pub named: bool,
}

/// What a call did with pipes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Roles {
    /// The pipe that bytes came from.
    pub takes: Option<PipeId>,
    /// They stay in it (tee).
    pub copies: bool,
    /// The pipe that bytes went into.
    pub puts: Option<PipeId>,
}

/// What an event did with pipes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It moved bytes; at most one of its ends is no pipe, or none is one.
    Moves(Roles),
    /// It may have moved bytes through a pipe that the row does not identify.
    Unidentified,
    /// Nothing.
    None,
}

/// Whether events of a kind move bytes through pipes.
pub(super) fn is_of_pipes(kind: EventKind) -> bool {
    OF_PIPES.contains(&kind)
}

/// The events that move bytes through pipes.
pub(super) const OF_PIPES: [EventKind; 6] = [
    EventKind::Vmsplice,
    EventKind::Splice,
    EventKind::Tee,
    EventKind::Sendfile,
    EventKind::PipeRead,
    EventKind::PipeWrite,
];

impl Use {
    /// What `event`, which is of `kind`, did.
    pub fn of(event: &Event<'_>, kind: EventKind) -> Self {
        if event.bytes.is_none_or(|bytes| bytes <= 0) {
            return Use::None;
        }
        let (from_file, to_file) = match kind {
            EventKind::PipeRead => (true, false),
            EventKind::PipeWrite => (false, true),
            EventKind::Vmsplice => match event.direction.map(Direction::parse) {
                Some(Ok(Direction::In)) => (true, false),
                Some(Ok(Direction::Out)) => (false, true),
                Some(Err(_)) | None => return Use::Unidentified,
            },
            EventKind::Splice | EventKind::Tee | EventKind::Sendfile => (true, true),
            _ => return Use::None,
        };
        let must = matches!(kind, EventKind::PipeRead | EventKind::PipeWrite | EventKind::Vmsplice | EventKind::Tee);
        let takes = if from_file { side(event.fd_in_kind, event.pipe_in, must) } else { Some(None) };
        let puts = if to_file { side(event.fd_out_kind, event.pipe_out, must) } else { Some(None) };
        match (takes, puts) {
            (Some(takes), Some(puts)) => Use::Moves(Roles { takes, copies: kind == EventKind::Tee, puts }),
            _ => Use::Unidentified,
        }
    }
}

/// The pipe that a descriptor is, or that it is none; `None` if it may be any pipe.
fn side(kind: Option<&str>, inode: Option<u64>, must_be_pipe: bool) -> Option<Option<PipeId>> {
    let known = kind.map(DescriptorKind::parse);
    let named = known == Some(Ok(DescriptorKind::Fifo));
    if let Some(inode) = inode {
        return Some(Some(PipeId { inode, named }));
    }
    match known {
        _ if must_be_pipe => None,
        Some(Ok(DescriptorKind::Pipe | DescriptorKind::Fifo | DescriptorKind::Registered | DescriptorKind::Closed)) => {
            None
        }
        Some(Ok(_)) => Some(None),
        Some(Err(_)) | None => None,
    }
}

/// Whether calls of a kind, which moves bytes through pipes, move them from or to the caller's memory.
pub(super) fn uses_memory(kind: EventKind) -> bool {
    matches!(kind, EventKind::Vmsplice | EventKind::PipeRead | EventKind::PipeWrite)
}

/// The captured bytes, as far as they are kept and are those that moved.
fn payload(event: &Event<'_>) -> Option<Box<[u8]>> {
    let is_whole = match event.payload_status.map(PayloadStatus::parse) {
        Some(Ok(PayloadStatus::Ok | PayloadStatus::Truncated)) => true,
        Some(Ok(
            PayloadStatus::Fault
            | PayloadStatus::Off
            | PayloadStatus::Dropped
            | PayloadStatus::Redacted
            | PayloadStatus::None,
        ))
        | Some(Err(_))
        | None => false,
    };
    let payload = event.payload.filter(|_| is_whole)?;
    payload.get(..payload.len().min(PAYLOAD)).map(Box::from)
}

fn is_removed(event: &Event<'_>) -> bool {
    event.payload_status.is_some_and(|status| PayloadStatus::Redacted.is(status))
}

/// A file or socket that bytes came from or went to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its kind, as captured.
    pub kind: Option<Arc<str>>,
    /// Its path, or the address of a socket and its peer.
    pub name: Option<Arc<str>>,
    /// Where in the file the call began, if the caller passed an offset.
    pub offset: Option<i64>,
}

/// The process at the other end of a call between memories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its pid.
    pub pid: i32,
    /// Its thread name, as captured.
    pub comm: Arc<str>,
    /// The first ranges of its memory.
    pub memory: Vec<Iovec>,
    /// Whether the bytes came from its memory, and did not go there.
    pub gave: bool,
}

/// A call between memories.
pub(super) struct Between {
    /// The other process.
    pub pid: i32,
    /// Whether the bytes came from its memory.
    pub gave: bool,
    /// How many.
    pub bytes: u64,
}

impl Between {
    /// `None` where it is none, moved nothing, or its other end is not known.
    pub fn of(event: &Event<'_>, kind: EventKind) -> Option<Self> {
        let between = matches!(kind.spec().group, Group::Vm | Group::Mem) || kind == EventKind::UffdCopy;
        let pid = event.target_pid.filter(|_| between)?;
        let bytes = u64::try_from(event.bytes?).ok().filter(|bytes| *bytes > 0)?;
        let gave = event.direction.map(Direction::parse)?.ok()? != Direction::Out;
        Some(Between { pid, gave, bytes })
    }
}

/// A call that moved bytes.
#[derive(Debug)]
pub struct Call {
    /// `seq` of its row.
    pub seq: u64,
    /// What it was.
    pub kind: EventKind,
    /// On which host, where the capture is of several; as captured.
    pub host: Option<Arc<str>>,
    /// Who called.
    pub pid: i32,
    /// Its thread name, as captured.
    pub comm: Arc<str>,
    /// How many bytes it moved.
    pub bytes: u64,
    /// The first ranges of the caller's memory, for calls that use it.
    pub memory: Vec<Iovec>,
    /// The other process, of calls between memories.
    pub peer: Option<Peer>,
    /// The pipe that bytes came from, and the one that they went into.
    pub pipes: [Option<u64>; 2],
    /// What the bytes came from, if that is neither memory nor a pipe.
    pub file_in: Option<Place>,
    /// What they went to.
    pub file_out: Option<Place>,
    /// The first bytes that moved, as far as they were captured and can be compared.
    pub payload: Option<Box<[u8]>>,
    /// Whether redaction removed its payload.
    pub is_removed: bool,
    /// How many of the first captured bytes are the original ones: redaction may have masked what follows.
    original: usize,
    /// Whether bytes that are like those captured can be so by no accident.
    pub(super) tells: bool,
    /// Whether pages went into the pipe, not bytes.
    pub by_reference: bool,
    /// When it returned, CLOCK_MONOTONIC.
    pub(super) end: i64,
    /// When it began, if the row says how long it took.
    pub(super) began: Option<i64>,
    /// The earliest moment at which it can have begun.
    pub(super) begin: i64,
    /// Whether it took from one pipe and put into another.
    pub(super) is_between: bool,
}

impl Call {
    /// The address of its byte `offset` in the caller's memory.
    pub fn address(&self, offset: u64) -> Option<u64> {
        address(&self.memory, offset)
    }

    /// Of a call between memories: whose memory the bytes came from, and its ranges.
    pub fn giver(&self) -> Option<(i32, &[Iovec])> {
        self.end(true)
    }

    /// Of a call between memories: whose memory they went into, and its ranges.
    pub fn taker(&self) -> Option<(i32, &[Iovec])> {
        self.end(false)
    }

    /// Of a call between memories: whose memory its byte `offset` came from, and the address.
    pub fn given_from(&self, offset: u64) -> Option<(i32, Option<u64>)> {
        self.giver().map(|(pid, ranges)| (pid, address(ranges, offset)))
    }

    /// Of a call between memories: whose memory its byte `offset` went into, and the address.
    pub fn taken_to(&self, offset: u64) -> Option<(i32, Option<u64>)> {
        self.taker().map(|(pid, ranges)| (pid, address(ranges, offset)))
    }

    fn end(&self, gives: bool) -> Option<(i32, &[Iovec])> {
        let peer = self.peer.as_ref()?;
        Some(if peer.gave == gives { (peer.pid, peer.memory.as_slice()) } else { (self.pid, self.memory.as_slice()) })
    }

    /// Its payload from byte `offset` on, at most `len` bytes, as far as it is kept.
    pub fn payload_at(&self, offset: u64, len: u64) -> Option<&[u8]> {
        let payload = self.payload.as_deref()?;
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(len).ok()?)?.min(payload.len());
        payload.get(start..end).filter(|part| !part.is_empty())
    }

    /// Whether redaction removed or masked captured bytes.
    pub(super) fn is_redacted(&self) -> bool {
        self.is_removed || self.payload.as_ref().is_some_and(|payload| self.original < payload.len())
    }

    /// The same, as far as the bytes are the original ones.
    pub(super) fn comparable_at(&self, offset: u64, len: u64) -> Option<&[u8]> {
        let left = (self.original as u64).saturating_sub(offset);
        self.payload_at(offset, len.min(left))
    }
}

/// The address of byte `offset` of what lies in `ranges`.
pub(super) fn address(ranges: &[Iovec], offset: u64) -> Option<u64> {
    let mut left = offset;
    for range in ranges {
        if left < range.len {
            return range.base.checked_add(left);
        }
        left -= range.len;
    }
    None
}

/// Makes calls of events; keeps their names, each once.
#[derive(Debug, Default)]
pub(super) struct Calls {
    names: HashSet<Arc<str>>,
    redacted: Redacted,
}

/// What redaction did to all rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redacted {
    /// It took the addresses away.
    pub without_addresses: bool,
    /// It masked secrets in captured bytes.
    pub masked: bool,
}

impl Calls {
    /// Makes calls of the events of a recording.
    pub fn new(redacted: Redacted) -> Self {
        Calls { names: HashSet::default(), redacted }
    }

    pub fn of(&mut self, event: &Event<'_>, kind: EventKind, roles: Roles, (_, begin): (Thread, i64)) -> Arc<Call> {
        let uses_memory = uses_memory(kind);
        let file_in = (!uses_memory && roles.takes.is_none()).then(|| self.place_in(event));
        let file_out = (!uses_memory && roles.puts.is_none()).then(|| self.place_out(event));
        let payload = payload(event);
        let original = self.original(payload.as_deref());
        Arc::new(Call {
            seq: event.seq,
            kind,
            host: event.host.map(|host| self.name(host)),
            pid: event.pid,
            comm: self.name(event.comm),
            bytes: event.bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
            memory: if uses_memory { self.ranges(event.local_iov) } else { Vec::new() },
            peer: None,
            pipes: [roles.takes, roles.puts].map(|pipe| pipe.map(|pipe| pipe.inode)),
            file_in,
            file_out,
            tells: payload.as_ref().and_then(|payload| payload.get(..original)).is_some_and(tells),
            original,
            payload,
            is_removed: is_removed(event),
            by_reference: kind == EventKind::Vmsplice && roles.puts.is_some() && event.payload_by_ref != Some(false),
            end: event.mono_ns,
            began: event.dur_ns.filter(|ns| *ns >= 0).map(|ns| event.mono_ns.saturating_sub(ns)),
            begin,
            is_between: roles.takes.is_some() && roles.puts.is_some(),
        })
    }

    /// A call between memories; `None` where it is none, moved nothing, or its other end is not known.
    pub fn between_memories(&mut self, event: &Event<'_>, kind: EventKind, begin: i64) -> Option<Arc<Call>> {
        let Between { pid, gave, bytes } = Between::of(event, kind)?;
        let peer = Peer {
            pid,
            comm: self.name(event.target_comm.unwrap_or_default()),
            memory: self.ranges(event.remote_iov),
            gave,
        };
        let payload = payload(event);
        let original = self.original(payload.as_deref());
        Some(Arc::new(Call {
            seq: event.seq,
            kind,
            host: event.host.map(|host| self.name(host)),
            pid: event.pid,
            comm: self.name(event.comm),
            bytes,
            memory: self.ranges(event.local_iov),
            peer: Some(peer),
            pipes: [None; 2],
            file_in: None,
            file_out: None,
            tells: payload.as_ref().and_then(|payload| payload.get(..original)).is_some_and(tells),
            original,
            payload,
            is_removed: is_removed(event),
            by_reference: false,
            end: event.mono_ns,
            began: event.dur_ns.filter(|ns| *ns >= 0).map(|ns| event.mono_ns.saturating_sub(ns)),
            begin,
            is_between: false,
        }))
    }

    /// Up to the first byte that may be masked.
    fn original(&self, payload: Option<&[u8]>) -> usize {
        let payload = payload.unwrap_or_default();
        let masked = payload.iter().position(|byte| *byte == MASK).filter(|_| self.redacted.masked);
        masked.unwrap_or(payload.len())
    }

    fn ranges(&self, ranges: Option<Iovecs<'_>>) -> Vec<Iovec> {
        let ranges = ranges.filter(|_| !self.redacted.without_addresses);
        ranges.map(|ranges| ranges.iter().take(RANGES).collect()).unwrap_or_default()
    }

    fn place_in(&mut self, event: &Event<'_>) -> Place {
        let local = (event.fd_in_local_addr, event.fd_in_local_port);
        let peer = (event.fd_in_peer_addr, event.fd_in_peer_port);
        self.place(event.fd_in_kind, event.fd_in_path, [local, peer], event.off_in)
    }

    fn place_out(&mut self, event: &Event<'_>) -> Place {
        let local = (event.fd_out_local_addr, event.fd_out_local_port);
        let peer = (event.fd_out_peer_addr, event.fd_out_peer_port);
        self.place(event.fd_out_kind, event.fd_out_path, [local, peer], event.off_out)
    }

    fn place(
        &mut self,
        kind: Option<&str>,
        path: Option<&str>,
        [local, peer]: [(Option<&str>, Option<u32>); 2],
        offset: Option<i64>,
    ) -> Place {
        let bound = |(addr, port): (Option<&str>, Option<u32>)| {
            addr.map(|addr| port.map_or_else(|| addr.to_string(), |port| format!("{addr} port {port}")))
        };
        let name = match (path, bound(local), bound(peer)) {
            (Some(path), ..) => Some(path.to_string()),
            (None, Some(local), Some(peer)) => Some(format!("{local}, peer {peer}")),
            (None, Some(local), None) => Some(local),
            (None, None, Some(peer)) => Some(format!("peer {peer}")),
            (None, None, None) => None,
        };
        Place { kind: kind.map(|kind| self.name(kind)), name: name.map(|name| self.name(&name)), offset }
    }

    /// The beginning of a text, kept once.
    fn name(&mut self, text: &str) -> Arc<str> {
        let end = (0..=text.len().min(NAME)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let front = text.get(..end).unwrap_or_default();
        if let Some(known) = self.names.get(front) {
            return Arc::clone(known);
        }
        if self.names.len() >= NAMES {
            self.names.clear();
        }
        let name: Arc<str> = front.into();
        self.names.insert(Arc::clone(&name));
        name
    }
}
