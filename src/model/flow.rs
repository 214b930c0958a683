//! Flows: where the bytes that went through pipes came from, and where they went; and bytes that went on from a memory into which a call
//! had put them (`memories`), as far as payloads show it.
//!
//! A pipe is a queue: the byte that went in first comes out first. So the numbers of bytes that calls put in and took out show which
//! bytes a reader got, provided that all calls are known, and their order. Rows have the order in which calls returned,
//! which is another: a reader can return before the writer that fed it. What is known of the order is that a call did its work between its begin and its
//! return, and that the calls of one thread follow each other.
//!
//! A capture is read twice. [`Survey`] learns of every pipe who used it, which calls overlapped, when it was certainly
//! empty, and where events are missing; its [`Plan`] says how far each part of the capture can be trusted. [`Tracker`] then
//! keeps the queues (`queue`) and joins what went from pipe to pipe (`stitch`). Memory is bounded in both: what is beyond a limit is unknown.
//!
//! Does no I/O and no rendering.

mod call;
mod follow;
mod memories;
mod queue;
mod stitch;
mod survey;
mod telling;
mod threads;
mod tracker;

use std::sync::Arc;

pub use self::call::{Call, Peer, Place};
pub use self::follow::{Bounds, follow, follow_while};
pub use self::survey::{Plan, Survey};
pub use self::tracker::Tracker;

/// Columns that [`Survey`] needs.
pub const SURVEYED: &[&str] = &[
    "seq",
    "mono_ns",
    "dur_ns",
    "event",
    "abi",
    "pid",
    "tid",
    "target_pid",
    "direction",
    "errno",
    "bytes",
    "bytes_requested",
    "fd_in_kind",
    "fd_out_kind",
    "pipe_in",
    "pipe_out",
    "payload_status",
    "lost_count",
    "lost_event",
    "host",
];

/// Columns that [`Tracker`] needs.
pub const TRACKED: &[&str] = &[
    "seq",
    "mono_ns",
    "dur_ns",
    "event",
    "abi",
    "pid",
    "tid",
    "comm",
    "process_key",
    "target_pid",
    "target_key",
    "target_comm",
    "direction",
    "errno",
    "bytes",
    "local_iov",
    "liovcnt",
    "remote_iov",
    "riovcnt",
    "off_in",
    "off_out",
    "fd_in_kind",
    "fd_out_kind",
    "fd_in_path",
    "fd_out_path",
    "fd_in_local_addr",
    "fd_in_local_port",
    "fd_in_peer_addr",
    "fd_in_peer_port",
    "fd_out_local_addr",
    "fd_out_local_port",
    "fd_out_peer_addr",
    "fd_out_peer_port",
    "pipe_in",
    "pipe_out",
    "payload",
    "payload_status",
    "payload_by_ref",
    "host",
];

/// How certain a flow is. The later one is the weaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// The place of the bytes in the queue is known, since the pipe was seen empty.
    Exact,
    /// The same, but pages went through the pipe, not bytes (vmsplice): the reader got what was in them when it read.
    ByReference,
    /// The place of the bytes is known except for bytes that were not recorded: [`Why`] says which.
    Bounded,
    /// Two calls, one of which put bytes into a memory from which the other one took the same: their addresses and the captured bytes
    /// agree. The process can have put the same bytes there itself meanwhile.
    Inferred,
    /// Not known.
    Unknown,
}

impl Certainty {
    /// Its word in the output of programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Certainty::Exact => "exact",
            Certainty::ByReference => "by_reference",
            Certainty::Bounded => "bounded",
            Certainty::Inferred => "inferred",
            Certainty::Unknown => "unknown",
        }
    }
}

/// Why a flow is not exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The pipe was never seen empty. It held at least that many bytes before the first recorded call; the flow holds if
    /// it were no more.
    NeverEmpty(u64),
    /// The pipe held that many bytes before the first recorded call, unless a call that is not in the capture put them in:
    /// its event was lost, or it had not returned.
    Held(u64),
    /// Several threads used one end of the pipe, which was not seen empty afterwards. The flow holds if none was still in a call at
    /// the end that had moved bytes before, and if the pipe held no bytes before that did not come out.
    Pending,
    /// Writes into pipes were not recorded. The flow holds if there were none.
    NoWrites,
    /// A named pipe loses its bytes when nobody has it open, which no event shows. The flow holds if that did not happen.
    Named,
    /// The bytes were in the pipe before its first recorded call.
    Before,
    /// Calls overlapped, so that their order in the pipe is not known.
    Overlap,
    /// Events were lost.
    Lost,
    /// Reads of the pipe before its first recorded call had returned are missing.
    MissedReads,
    /// The capture leaves out calls that use pipes.
    LeftOut,
    /// The rows contradict each other.
    Contradiction,
    /// The call on the other side is not in the capture: it had not returned, or was not seen.
    NotSeen,
    /// There was more than this version keeps.
    Limit,
}

impl Why {
    /// Its word in the output of programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::NeverEmpty(_) => "never_empty",
            Why::Held(_) => "held",
            Why::Pending => "pending",
            Why::NoWrites => "no_writes",
            Why::Named => "named_pipe",
            Why::Before => "before",
            Why::Overlap => "overlap",
            Why::Lost => "lost",
            Why::MissedReads => "missed_reads",
            Why::LeftOut => "left_out",
            Why::Contradiction => "contradiction",
            Why::NotSeen => "not_seen",
            Why::Limit => "limit",
        }
    }
}

/// Where bytes came from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A call put them in, from this offset of its bytes on.
    Call(Arc<Call>, u64),
    /// Not known.
    Unknown(Why),
}

/// Where bytes went.
#[derive(Clone, Debug)]
pub enum Sink {
    /// A call took them out, to this offset of its bytes.
    Call(Arc<Call>, u64),
    /// Nobody took them out in this capture.
    Left,
    /// Not known.
    Unknown(Why),
}

/// A pipe on the way of bytes.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its inode.
    pub pipe: u64,
    /// How many recorded bytes were put in before these.
    pub stream: Option<u64>,
    /// The call that moved the bytes on to the next pipe, from this offset of its bytes on; `None` of the last pipe.
    pub moved: Option<(Arc<Call>, u64)>,
}

/// A memory in which bytes were between two calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// Whose.
    pub pid: i32,
    /// Its thread name, as captured.
    pub comm: Arc<str>,
    /// Where the first byte was.
    pub address: u64,
}

/// What a comparison of both payloads shows, as far as they were kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// One of them was not kept.
    No,
    /// Redaction removed one of them.
    Removed,
    /// So many bytes were compared and are equal.
    Equal(u64),
    /// The first byte that differs.
    Differs(u64),
}

/// A run of bytes on its way.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Where they came from.
    pub source: Source,
    /// The pipes.
    pub steps: Vec<Step>,
    /// The memory between, of a flow that is inferred.
    pub via: Option<Via>,
    /// Where they went.
    pub sink: Sink,
    /// How many.
    pub bytes: u64,
    /// How certain that is.
    pub certainty: Certainty,
    /// Why it is not exact.
    pub why: Option<Why>,
    /// Whether pages went through the pipe (vmsplice).
    pub by_reference: bool,
    /// Whether what came out is what went in.
    pub compared: Compared,
}

impl Flow {
    /// Who had the bytes in memory, or put them in.
    pub fn from_pid(&self) -> Option<i32> {
        match &self.source {
            Source::Call(call, _) => Some(call.giver().map_or(call.pid, |(pid, _)| pid)),
            Source::Unknown(_) => None,
        }
    }

    /// Who got the bytes into memory, or took them out.
    pub fn to_pid(&self) -> Option<i32> {
        match &self.sink {
            Sink::Call(call, _) => Some(call.taker().map_or(call.pid, |(pid, _)| pid)),
            Sink::Left | Sink::Unknown(_) => None,
        }
    }

    /// The host of its calls, where the capture is of several; as captured.
    pub fn host(&self) -> Option<&str> {
        self.calls().find_map(|(call, _)| call.host.as_deref())
    }

    /// The calls of the flow, with their offsets: the source, those between pipes, the sink.
    pub fn calls(&self) -> impl Iterator<Item = (&Arc<Call>, u64)> {
        let source = match &self.source {
            Source::Call(call, offset) => Some((call, *offset)),
            Source::Unknown(_) => None,
        };
        let sink = match &self.sink {
            Sink::Call(call, offset) => Some((call, *offset)),
            Sink::Left | Sink::Unknown(_) => None,
        };
        let moved = self.steps.iter().filter_map(|step| step.moved.as_ref()).map(|(call, offset)| (call, *offset));
        source.into_iter().chain(moved).chain(sink)
    }
}

#[cfg(test)]
mod tests;
