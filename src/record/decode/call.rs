//! What the decode functions of calls share: how a call becomes a row, and what its parts become.

use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::buffers::{Buffers, take_iovs};
use super::names::{Address, FileNames};
use super::provenance::Provenance;
use super::regions::set_regions;
use super::values::{self, Array};
use super::{Decoder, Sink, WallClock, signed, some};
use crate::record::wire::*;
use crate::schema::Event;
use crate::schema::events::EventKind;
use crate::schema::names::{errno_name, family_name};
use crate::schema::types::Iovec;
use crate::schema::vocabulary::{
    Abi, DescriptorKind, DescriptorMode, Direction, IovSource, IovVerdict, PayloadAt, PayloadSide, PayloadStatus, Tier,
};

/// The wire struct of a call.
pub(super) trait Record: FromBytes + KnownLayout + Immutable {
    fn hdr(&self) -> &vmt_hdr;
    fn ret(&self) -> i64;
    /// Whom the call reached: its target, or who fed the pipe that it took from. pid 0 where that is not known.
    fn reached(&self) -> &vmt_process;
}

macro_rules! records {
    ($($record:ident $reached:ident;)+) => {
        $(impl $crate::record::decode::call::Record for $record {
            fn hdr(&self) -> &vmt_hdr {
                &self.hdr
            }

            fn ret(&self) -> i64 {
                self.ret
            }

            fn reached(&self) -> &vmt_process {
                &self.$reached
            }
        })+
    };
}
pub(super) use records;

/// One call while it is decoded.
pub(super) struct Call<'a, T> {
    pub ev: &'a T,
    pub kind: EventKind,
    pub abi: Abi,
    pub tier: Tier,
    clock: WallClock,
}

/// A row, and whether something that belongs to it could not be read.
pub(super) struct Row<'a> {
    pub event: Event<'a>,
    pub faulted: bool,
}

impl<T: Record> Call<'_, T> {
    /// Whether the caller is the one that was reached.
    pub fn is_on_itself(&self) -> bool {
        self.ev.reached().pid == self.ev.hdr().self_.pid
    }

    /// What every row of a call has: when, who, by which ABI, on whom, and the result.
    pub fn base<'b>(&self, buffers: &'b Buffers) -> Event<'b> {
        let (hdr, reached) = (self.ev.hdr(), self.ev.reached());
        let mut event = self.clock.of_caller(hdr, self.kind, buffers);
        event.abi = Some(self.abi.as_str());
        event.ret = Some(self.ev.ret());
        event.errno = errno_name(self.ev.ret());
        if reached.pid != 0 {
            event.target_pid = Some(reached.pid);
            event.target_comm = Some(&buffers.target_comm);
            event.target_exe = some(&buffers.target_exe);
            event.target_uid = Some(reached.uid);
            event.target_start_ns = Some(signed(reached.start_boottime));
            event.target_key = some(&buffers.target_key);
            event.target_cgroup = some(&buffers.target_cgroup);
            event.target_container = some(&buffers.target_container);
            event.target_ended = (reached.ended != 0).then_some(true);
        }
        event
    }
}

impl Decoder {
    /// Decodes a call: learns the processes that it names, has `decode` make the row, and hands that over. `None` where the
    /// record is not whole or has a number that means nothing.
    pub(super) fn call<T: Record, S: Sink>(
        &mut self,
        kind: EventKind,
        bytes: &[u8],
        sink: &mut S,
        decode: impl for<'b> FnOnce(&Call<'b, T>, &'b mut Buffers, &'b [u8]) -> Option<Row<'b>>,
    ) -> Option<()> {
        let (ev, tail) = take::<T>(bytes)?;
        let hdr = ev.hdr();
        let call = Call { ev: &ev, kind, abi: values::abi(hdr.abi)?, tier: values::tier(hdr.tier)?, clock: self.clock };
        self.meet(hdr, &hdr.self_, sink);
        self.meet(hdr, ev.reached(), sink);
        let mut buffers = self.caller_and_target(hdr, ev.reached());
        let mut row = decode(&call, &mut buffers, tail);
        let mut mappings = std::mem::take(&mut self.mappings);
        let done = row.as_mut().map(|row| {
            set_regions(&mut row.event, hdr, &mut mappings, self.lookup.as_mut());
            sink.row(kind, &mut row.event, row.faulted);
        });
        self.mappings = mappings;
        self.buffers = buffers;
        done
    }
}

/// The payload of a record.
#[derive(Clone, Copy)]
pub(super) struct Payload<'a> {
    bytes: &'a [u8],
    /// Bytes that moved.
    pub total: u64,
    status: PayloadStatus,
    side: PayloadSide,
}

impl<'a> Payload<'a> {
    /// Takes it off the tail.
    pub fn take(part: &vmt_payload, tail: &mut &'a [u8]) -> Option<Self> {
        let bytes = take_bytes(tail, part.kept as usize)?;
        let (status, side) = (values::payload_status(part.status)?, values::side(part.side)?);
        Some(Payload { bytes, total: part.total, status, side })
    }

    /// Whether bytes of it were read from the caller's memory.
    pub fn is_from_caller(&self) -> bool {
        !self.bytes.is_empty() && self.side == PayloadSide::Caller
    }

    /// Whether parts of it could not be read.
    pub fn is_faulted(&self) -> bool {
        self.status == PayloadStatus::Fault
    }
}

pub(super) fn set_payload<'a>(event: &mut Event<'a>, payload: Payload<'a>, by_ref: bool) {
    let kept = !payload.bytes.is_empty();
    let at = match payload.side {
        PayloadSide::Kernel => PayloadAt::Transfer,
        PayloadSide::Caller | PayloadSide::Register => PayloadAt::Exit,
    };
    event.payload = kept.then_some(payload.bytes);
    event.payload_len = payload.bytes.len() as u32;
    event.payload_total = signed(payload.total);
    event.payload_status = Some(payload.status.as_str());
    event.payload_side = kept.then_some(payload.side.as_str());
    event.payload_at = kept.then_some(at.as_str());
    event.payload_by_ref = kept.then_some(by_ref);
}

pub(super) fn set_provenance(event: &mut Event<'_>, provenance: Provenance) {
    event.iov_source = provenance.source.map(IovSource::as_str);
    event.iov_verdict = provenance.verdict.map(IovVerdict::as_str);
    event.toctou = provenance.toctou;
}

/// The direction as a column has it.
pub(super) fn direction(out: bool) -> Option<&'static str> {
    Some(if out { Direction::Out } else { Direction::In }.as_str())
}

/// Bytes that a call moved which returns their number.
pub(super) fn moved(ret: i64) -> Option<i64> {
    Some(ret.max(0))
}

/// A descriptor that a record describes, without its names.
#[derive(Clone, Copy)]
pub(super) struct File<'a> {
    fd: &'a vmt_fd,
    pub kind: DescriptorKind,
    pub mode: Option<DescriptorMode>,
}

impl<'a> File<'a> {
    pub fn of(fd: &'a vmt_fd) -> Option<Self> {
        Some(File { fd, kind: values::fd_kind(fd.kind)?, mode: values::fd_mode(fd.flags) })
    }

    /// The same; its names are taken off the tail.
    pub fn take(fd: &'a vmt_fd, names: &mut FileNames, tail: &mut &[u8]) -> Option<Self> {
        let file = File::of(fd)?;
        names.take(fd, file.kind, tail)?;
        Some(file)
    }

    /// Whether it can be written to.
    pub fn is_writable(&self) -> bool {
        matches!(self.mode, Some(DescriptorMode::Write | DescriptorMode::ReadWrite))
    }

    /// Its columns.
    pub fn columns<'b>(&self, names: &'b FileNames) -> Descriptor<'b> {
        let is_pipe = matches!(self.kind, DescriptorKind::Pipe | DescriptorKind::Fifo);
        Descriptor {
            fd: Some(self.fd.fd),
            kind: Some(self.kind.as_str()),
            mode: self.mode.map(DescriptorMode::as_str),
            family: (self.kind == DescriptorKind::Socket).then(|| family_name(self.fd.family)),
            pipe: is_pipe.then_some(self.fd.ino),
            path: some(&names.path),
            local: names.local.as_ref(),
            peer: names.peer.as_ref(),
        }
    }
}

/// Columns of one descriptor, for the side the data came from or went to.
#[derive(Default)]
pub(super) struct Descriptor<'a> {
    pub fd: Option<i32>,
    kind: Option<&'static str>,
    mode: Option<&'static str>,
    family: Option<&'static str>,
    pipe: Option<u64>,
    path: Option<&'a str>,
    local: Option<&'a Address>,
    peer: Option<&'a Address>,
}

pub(super) fn set_fd_in<'a>(event: &mut Event<'a>, fd: Descriptor<'a>) {
    event.fd_in = fd.fd;
    event.fd_in_kind = fd.kind;
    event.fd_in_mode = fd.mode;
    event.fd_in_family = fd.family;
    event.pipe_in = fd.pipe;
    event.fd_in_path = fd.path;
    event.fd_in_local_addr = fd.local.map(Address::text);
    event.fd_in_local_port = fd.local.and_then(Address::port);
    event.fd_in_peer_addr = fd.peer.map(Address::text);
    event.fd_in_peer_port = fd.peer.and_then(Address::port);
}

pub(super) fn set_fd_out<'a>(event: &mut Event<'a>, fd: Descriptor<'a>) {
    event.fd_out = fd.fd;
    event.fd_out_kind = fd.kind;
    event.fd_out_mode = fd.mode;
    event.fd_out_family = fd.family;
    event.pipe_out = fd.pipe;
    event.fd_out_path = fd.path;
    event.fd_out_local_addr = fd.local.map(Address::text);
    event.fd_out_local_port = fd.local.and_then(Address::port);
    event.fd_out_peer_addr = fd.peer.map(Address::text);
    event.fd_out_peer_port = fd.peer.and_then(Address::port);
}

/// Takes an array off the tail into `out`.
pub(super) fn array(out: &mut Vec<Iovec>, iovs: &vmt_iovs, tail: &mut &[u8]) -> Option<Array> {
    take_iovs(out, iovs, tail)?;
    Array::of(iovs)
}
