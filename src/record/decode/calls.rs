//! Decode functions of the families @vm and @mem, and what all families share.

use super::buffers::{iovecs, take_iovs, total};
use super::names::{Address, FileNames};
use super::verdict::{Verdict, begins_with, by_user_memory, by_written_memory, imported, raced, stated, verdict};
use super::{Decoder, Sink, signed, some};
use crate::record::wire::*;
use crate::schema::Event;
use crate::schema::events::EventKind;
use crate::schema::names::{errno_name, family_name};
use crate::schema::types::{Iovec, Iovecs};
use crate::schema::vocabulary::{
    Abi, DescriptorKind, DescriptorMode, Direction, IovSource, IovVerdict, PayloadAt, PayloadSide, PayloadStatus,
};

pub(super) const IN: Option<&str> = Some(Direction::In.as_str());
pub(super) const OUT: Option<&str> = Some(Direction::Out.as_str());

pub(super) fn abi(hdr: &vmt_hdr) -> Option<&'static str> {
    let abi = match u32::from(hdr.abi) {
        VMT_ABI_NATIVE => Abi::Native,
        VMT_ABI_COMPAT32 => Abi::Compat32,
        VMT_ABI_IO_URING => Abi::IoUring,
        _ => return None,
    };
    Some(abi.as_str())
}

/// A result's columns: ret, errno, bytes.
pub(super) fn result<'a>(ret: i64) -> Event<'a> {
    Event { ret: Some(ret), errno: errno_name(ret), bytes: Some(ret.max(0)), ..Event::default() }
}

/// Payload columns.
pub(super) fn payload<'a>(part: &vmt_payload, bytes: &'a [u8], by_ref: bool) -> Event<'a> {
    let kept = !bytes.is_empty();
    let status = match u32::from(part.status) {
        VMT_PAYLOAD_OK => PayloadStatus::Ok,
        VMT_PAYLOAD_TRUNCATED => PayloadStatus::Truncated,
        VMT_PAYLOAD_FAULT => PayloadStatus::Fault,
        VMT_PAYLOAD_OFF => PayloadStatus::Off,
        _ => PayloadStatus::None,
    };
    let (side, at) = match u32::from(part.side) {
        VMT_SIDE_KERNEL => (PayloadSide::Kernel, PayloadAt::Transfer),
        VMT_SIDE_REGISTER => (PayloadSide::Register, PayloadAt::Exit),
        _ => (PayloadSide::Caller, PayloadAt::Exit),
    };
    Event {
        payload: kept.then_some(bytes),
        payload_len: bytes.len() as u32,
        payload_total: signed(part.total),
        payload_status: Some(status.as_str()),
        payload_side: kept.then_some(side.as_str()),
        payload_at: kept.then_some(at.as_str()),
        payload_by_ref: kept.then_some(by_ref),
        ..Event::default()
    }
}

/// Whether bytes of the payload were read from the caller's memory.
pub(super) fn from_caller(part: &vmt_payload) -> bool {
    part.kept > 0 && u32::from(part.side) == VMT_SIDE_CALLER
}

pub(super) fn payload_fault(part: &vmt_payload) -> bool {
    u32::from(part.status) == VMT_PAYLOAD_FAULT
}

fn fd_kind(fd: &vmt_fd) -> DescriptorKind {
    match u32::from(fd.kind) {
        VMT_FD_CLOSED => DescriptorKind::Closed,
        VMT_FD_FILE => DescriptorKind::File,
        VMT_FD_DIR => DescriptorKind::Dir,
        VMT_FD_PIPE => DescriptorKind::Pipe,
        VMT_FD_FIFO => DescriptorKind::Fifo,
        VMT_FD_SOCKET => DescriptorKind::Socket,
        VMT_FD_CHARDEV => DescriptorKind::Chardev,
        VMT_FD_BLOCKDEV => DescriptorKind::Blockdev,
        VMT_FD_ANON_INODE => DescriptorKind::AnonInode,
        VMT_FD_PROC_MEM => DescriptorKind::ProcMem,
        VMT_FD_REGISTERED => DescriptorKind::Registered,
        _ => DescriptorKind::Other,
    }
}

/// Columns of one descriptor, for the side the data came from or went to.
#[derive(Default)]
pub(super) struct Descriptor<'a> {
    pub(super) fd: Option<i32>,
    kind: Option<&'static str>,
    mode: Option<&'static str>,
    family: Option<&'static str>,
    pipe: Option<u64>,
    path: Option<&'a str>,
    local: Option<&'a Address>,
    peer: Option<&'a Address>,
}

pub(super) fn descriptor<'a>(fd: &vmt_fd, names: &'a FileNames) -> Descriptor<'a> {
    let kind = u32::from(fd.kind);
    let mode = match u32::from(fd.flags) & (VMT_MODE_READ | VMT_MODE_WRITE) {
        VMT_MODE_READ => Some(DescriptorMode::Read),
        VMT_MODE_WRITE => Some(DescriptorMode::Write),
        0 => None,
        _ => Some(DescriptorMode::ReadWrite),
    };
    Descriptor {
        fd: Some(fd.fd),
        kind: Some(fd_kind(fd).as_str()),
        mode: mode.map(DescriptorMode::as_str),
        family: (kind == VMT_FD_SOCKET).then(|| family_name(fd.family)),
        pipe: matches!(kind, VMT_FD_PIPE | VMT_FD_FIFO).then_some(fd.ino),
        path: some(&names.path),
        local: names.local.as_ref(),
        peer: names.peer.as_ref(),
    }
}

pub(super) fn with_fd_in<'a>(event: Event<'a>, fd: Descriptor<'a>) -> Event<'a> {
    Event {
        fd_in: fd.fd,
        fd_in_kind: fd.kind,
        fd_in_mode: fd.mode,
        fd_in_family: fd.family,
        pipe_in: fd.pipe,
        fd_in_path: fd.path,
        fd_in_local_addr: fd.local.map(Address::text),
        fd_in_local_port: fd.local.and_then(Address::port),
        fd_in_peer_addr: fd.peer.map(Address::text),
        fd_in_peer_port: fd.peer.and_then(Address::port),
        ..event
    }
}

pub(super) fn with_fd_out<'a>(event: Event<'a>, fd: Descriptor<'a>) -> Event<'a> {
    Event {
        fd_out: fd.fd,
        fd_out_kind: fd.kind,
        fd_out_mode: fd.mode,
        fd_out_family: fd.family,
        pipe_out: fd.pipe,
        fd_out_path: fd.path,
        fd_out_local_addr: fd.local.map(Address::text),
        fd_out_local_port: fd.local.and_then(Address::port),
        fd_out_peer_addr: fd.peer.map(Address::text),
        fd_out_peer_port: fd.peer.and_then(Address::port),
        ..event
    }
}

/// Columns of a target that was resolved.
pub(super) fn target<'a>(process: &vmt_process, buffers: &'a super::Buffers) -> Event<'a> {
    if process.pid == 0 {
        return Event::default();
    }
    Event {
        target_pid: Some(process.pid),
        target_comm: Some(&buffers.target_comm),
        target_exe: some(&buffers.target_exe),
        target_uid: Some(process.uid),
        target_start_ns: Some(signed(process.start_boottime)),
        target_key: some(&buffers.target_key),
        target_cgroup: some(&buffers.target_cgroup),
        target_container: some(&buffers.target_container),
        target_ended: (process.ended != 0).then_some(true),
        ..Event::default()
    }
}

/// Puts the parts of a row together: `base` has who and when; each part fills columns that the others leave.
macro_rules! row {
    ($base:expr; $($part:expr => $($column:ident)+),+; $($field:ident: $value:expr,)*) => {{
        let mut event = $base;
        $({ let part = $part; $(event.$column = part.$column;)+ })+
        $(event.$field = $value;)*
        event
    }};
}

macro_rules! call_row {
    ($base:expr, $ret:expr; $($field:ident: $value:expr,)*) => {
        row! { $base; result($ret) => ret errno bytes; $($field: $value,)* }
    };
}

pub(super) use {call_row, row};

pub(super) fn with_payload<'a>(event: Event<'a>, part: Event<'a>) -> Event<'a> {
    row! { event; part => payload payload_len payload_total payload_status payload_side payload_at payload_by_ref; }
}

pub(super) fn with_verdict(event: Event<'_>, verdict: Verdict) -> Event<'_> {
    Event {
        iov_source: verdict.source.map(IovSource::as_str),
        iov_verdict: verdict.verdict.map(IovVerdict::as_str),
        toctou: verdict.toctou,
        ..event
    }
}

pub(super) fn with_target<'a>(event: Event<'a>, part: Event<'a>) -> Event<'a> {
    row! { event; part => target_pid target_comm target_exe target_uid target_start_ns target_key target_cgroup target_container target_ended; }
}

impl Decoder {
    /// process_vm_readv and process_vm_writev.
    pub(super) fn vm(&mut self, kind: EventKind, bytes: &[u8], sink: &mut impl Sink) -> Option<()> {
        let (ev, mut tail) = take::<vmt_vm>(bytes)?;
        self.meet(&ev.hdr, &ev.hdr.self_, sink);
        self.meet(&ev.hdr, &ev.target, sink);
        let mut b = self.caller_and_target(&ev.hdr, &ev.target);
        take_iovs(&mut b.local, &ev.local, &mut tail)?;
        take_iovs(&mut b.remote, &ev.remote, &mut tail)?;
        let moved = take_bytes(&mut tail, ev.payload.kept as usize)?;
        take_iovs(&mut b.user_local, &ev.user_local, &mut tail)?;
        take_iovs(&mut b.user_remote, &ev.user_remote, &mut tail)?;
        let requested = total(&b.local, &ev.local).zip(total(&b.remote, &ev.remote)).map(|(l, r)| l.min(r));
        imported(&mut b.user_local);
        let compared = [
            (b.local.as_slice(), &ev.user_local, b.user_local.as_slice()),
            (b.remote.as_slice(), &ev.user_remote, b.user_remote.as_slice()),
        ];
        let arrays = [&ev.local, &ev.remote];
        // What the call wrote to, of the caller's memory.
        let (written, vanished) = match kind {
            EventKind::ProcessVmReadv => (b.local.as_slice(), payload_fault(&ev.payload)),
            _ if ev.target.pid == ev.hdr.self_.pid => (b.remote.as_slice(), false),
            _ => (&[][..], false),
        };
        let verdict = verdict(&arrays, &compared, requested, ev.ret);
        let verdict = by_written_memory(verdict, &arrays, written, ev.ret, vanished);
        let event = call_row! { self.base(&ev.hdr, kind, &b), ev.ret;
            abi: abi(&ev.hdr),
            target_pid_arg: Some(ev.pid_arg),
            direction: if kind == EventKind::ProcessVmReadv { IN } else { OUT },
            bytes_requested: requested.map(signed),
            local_iov: iovecs(&b.local, &ev.local),
            liovcnt: Some(ev.local.count),
            remote_iov: iovecs(&b.remote, &ev.remote),
            riovcnt: Some(ev.remote.count),
            flags: Some(ev.flags),
        };
        let event = with_payload(with_verdict(event, verdict), payload(&ev.payload, moved, false));
        let event = with_target(event, target(&ev.target, &b));
        let faulted = payload_fault(&ev.payload) || verdict.is_unreadable();
        sink.row(kind, &event, faulted);
        self.buffers = b;
        Some(())
    }

    /// Reads and writes of /proc/PID/mem.
    pub(super) fn mem(&mut self, kind: EventKind, bytes: &[u8], sink: &mut impl Sink) -> Option<()> {
        let (ev, mut tail) = take::<vmt_mem>(bytes)?;
        self.meet(&ev.hdr, &ev.hdr.self_, sink);
        self.meet(&ev.hdr, &ev.target, sink);
        let mut b = self.caller_and_target(&ev.hdr, &ev.target);
        let moved = take_bytes(&mut tail, ev.payload.kept as usize)?;
        take_iovs(&mut b.local, &ev.local, &mut tail)?;
        take_iovs(&mut b.user_local, &ev.user_local, &mut tail)?;
        b.file_in.take(&ev.fd, &mut tail)?;
        let verdict = mem_verdict(kind, &ev, &mut b);
        let requested = total(&b.local, &ev.local);
        b.remote.clear();
        b.remote.push(Iovec { base: ev.offset, len: requested.unwrap_or(ev.payload.total) });
        let writes = is_write(kind);
        let event = call_row! { self.base(&ev.hdr, kind, &b), ev.ret;
            abi: abi(&ev.hdr),
            direction: if writes { OUT } else { IN },
            bytes_requested: requested.map(signed),
            local_iov: iovecs(&b.local, &ev.local),
            liovcnt: Some(ev.local.count),
            remote_iov: Some(Iovecs::Pairs(&b.remote)),
            riovcnt: Some(1),
            flags: Some(ev.flags).filter(|_| matches!(kind, EventKind::Preadv2 | EventKind::Pwritev2)),
        };
        let event = with_payload(with_verdict(event, verdict), payload(&ev.payload, moved, false));
        let event = with_target(event, target(&ev.target, &b));
        let mut fd = descriptor(&ev.fd, &b.file_in);
        // The function that copies does not get the descriptor that was passed to the ring.
        fd.fd = fd.fd.filter(|_| u32::from(ev.hdr.abi) != VMT_ABI_IO_URING);
        let event = if writes { with_fd_out(event, fd) } else { with_fd_in(event, fd) };
        let faulted = payload_fault(&ev.payload) || verdict.is_unreadable();
        sink.row(kind, &event, faulted);
        self.buffers = b;
        Some(())
    }
}

/// Judges a read or write of /proc/PID/mem. Where the kernel was seen to use segments, `b.local` becomes the caller's
/// whole array if that begins with them, and stays what the kernel used if not.
fn mem_verdict(kind: EventKind, ev: &vmt_mem, b: &mut super::Buffers) -> Verdict {
    if ev.raced != 0 {
        return raced();
    }
    if !is_vectored(kind) {
        return stated(ev.exact != 0 && !from_caller(&ev.payload));
    }
    if u32::from(ev.local.source) != VMT_SOURCE_KERNEL {
        let verdict = by_user_memory(&[&ev.local], total(&b.local, &ev.local), ev.ret);
        let own = [Iovec { base: ev.offset, len: ev.payload.total }];
        let (written, vanished) = match is_write(kind) {
            false => (b.local.as_slice(), payload_fault(&ev.payload)),
            true if ev.target.pid == ev.hdr.self_.pid => (&own[..], false),
            true => (&[][..], false),
        };
        return by_written_memory(verdict, &[&ev.local], written, ev.ret, vanished);
    }
    if u32::from(ev.user_local.status) != VMT_READ_OK {
        return Verdict { toctou: None, ..stated(true) };
    }
    imported(&mut b.user_local);
    let agree = begins_with(&b.user_local, &b.local);
    if agree {
        std::mem::swap(&mut b.local, &mut b.user_local);
    }
    Verdict { toctou: Some(!agree), ..stated(true) }
}

fn is_write(kind: EventKind) -> bool {
    use EventKind::{Pwrite, Pwritev, Pwritev2, Write, Writev};
    matches!(kind, Write | Pwrite | Writev | Pwritev | Pwritev2)
}

fn is_vectored(kind: EventKind) -> bool {
    use EventKind::{Preadv, Preadv2, Pwritev, Pwritev2, Readv, Writev};
    matches!(kind, Readv | Writev | Preadv | Pwritev | Preadv2 | Pwritev2)
}
