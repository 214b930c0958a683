//! Decode functions of the families @vm and @mem.

use super::buffers::{Buffers, iovecs, total};
use super::call::{
    Call, File, Payload, Row, array, direction, moved, set_fd_in, set_fd_out, set_payload, set_provenance,
};
use super::provenance::{
    Provenance, begins_with, by_user_memory, by_written_memory, imported, of_arrays, raced, stated,
};
use super::signed;
use super::values::{Array, Read, Source};
use crate::record::wire::*;
use crate::schema::events::EventKind;
use crate::schema::types::{Iovec, Iovecs};
use crate::schema::vocabulary::Abi;

/// process_vm_readv and process_vm_writev.
pub(super) fn vm<'a>(call: &Call<'a, vmt_vm>, b: &'a mut Buffers, mut tail: &'a [u8]) -> Option<Row<'a>> {
    let ev = call.ev;
    let reads = call.kind == EventKind::ProcessVmReadv;
    let local = array(&mut b.local, &ev.local, &mut tail)?;
    let remote = array(&mut b.remote, &ev.remote, &mut tail)?;
    let payload = Payload::take(&ev.payload, &mut tail)?;
    let user_local = array(&mut b.user_local, &ev.user_local, &mut tail)?;
    let user_remote = array(&mut b.user_remote, &ev.user_remote, &mut tail)?;
    imported(&mut b.user_local);
    let b = &*b;
    let requested = total(&b.local, local).zip(total(&b.remote, remote)).map(|(l, r)| l.min(r));
    let compared = [
        (b.local.as_slice(), user_local, b.user_local.as_slice()),
        (b.remote.as_slice(), user_remote, b.user_remote.as_slice()),
    ];
    // What the call wrote to, of the caller's memory.
    let (written, vanished) = match (reads, call.is_on_itself()) {
        (true, _) => (b.local.as_slice(), payload.is_faulted()),
        (false, true) => (b.remote.as_slice(), false),
        (false, false) => (&[][..], false),
    };
    let provenance = of_arrays(&[local, remote], &compared, requested, ev.ret);
    let provenance = by_written_memory(provenance, &[local, remote], written, ev.ret, vanished);
    let mut event = call.base(b);
    event.bytes = moved(ev.ret);
    event.target_pid_arg = Some(ev.pid_arg);
    event.direction = direction(!reads);
    event.bytes_requested = requested.map(signed);
    event.local_iov = iovecs(&b.local, local);
    event.liovcnt = Some(local.count);
    event.remote_iov = iovecs(&b.remote, remote);
    event.riovcnt = Some(remote.count);
    event.flags = Some(ev.flags);
    set_provenance(&mut event, provenance);
    set_payload(&mut event, payload, false);
    Some(Row { event, faulted: payload.is_faulted() || provenance.is_unreadable() })
}

/// Which way a read or write of a file goes, and how it names memory.
#[derive(Clone, Copy)]
pub(super) struct Access {
    writes: bool,
    vectored: bool,
    has_flags: bool,
}

impl Access {
    pub(super) const READ: Access = Access { writes: false, vectored: false, has_flags: false };
    pub(super) const WRITE: Access = Access { writes: true, ..Access::READ };
    pub(super) const READV: Access = Access { vectored: true, ..Access::READ };
    pub(super) const WRITEV: Access = Access { writes: true, ..Access::READV };
    pub(super) const READV2: Access = Access { has_flags: true, ..Access::READV };
    pub(super) const WRITEV2: Access = Access { writes: true, ..Access::READV2 };
}

/// Reads and writes of /proc/PID/mem.
pub(super) fn mem<'a>(
    call: &Call<'a, vmt_mem>,
    access: Access,
    b: &'a mut Buffers,
    mut tail: &'a [u8],
) -> Option<Row<'a>> {
    let ev = call.ev;
    let payload = Payload::take(&ev.payload, &mut tail)?;
    let local = array(&mut b.local, &ev.local, &mut tail)?;
    let user = array(&mut b.user_local, &ev.user_local, &mut tail)?;
    let file = File::take(&ev.fd, &mut b.file_in, &mut tail)?;
    let provenance = mem_provenance(call, access, b, payload, [local, user]);
    let requested = total(&b.local, local);
    b.remote.clear();
    b.remote.push(Iovec { base: ev.offset, len: requested.unwrap_or(ev.payload.total) });
    let b = &*b;
    let mut event = call.base(b);
    event.bytes = moved(ev.ret);
    event.direction = direction(access.writes);
    event.bytes_requested = requested.map(signed);
    event.local_iov = iovecs(&b.local, local);
    event.liovcnt = Some(local.count);
    event.remote_iov = Some(Iovecs::Pairs(&b.remote));
    event.riovcnt = Some(1);
    event.flags = Some(ev.flags).filter(|_| access.has_flags);
    set_provenance(&mut event, provenance);
    set_payload(&mut event, payload, false);
    let mut fd = file.columns(&b.file_in);
    // The function that copies does not get the descriptor that was passed to the ring.
    fd.fd = fd.fd.filter(|_| call.abi != Abi::IoUring);
    let set_fd = if access.writes { set_fd_out } else { set_fd_in };
    set_fd(&mut event, fd);
    Some(Row { event, faulted: payload.is_faulted() || provenance.is_unreadable() })
}

/// Judges a read or write of /proc/PID/mem. Where the kernel was seen to use segments, `b.local` becomes the caller's
/// whole array if that begins with them, and stays what the kernel used if not.
fn mem_provenance(
    call: &Call<'_, vmt_mem>,
    access: Access,
    b: &mut Buffers,
    payload: Payload<'_>,
    [local, user]: [Array; 2],
) -> Provenance {
    let ev = call.ev;
    if ev.raced != 0 {
        return raced();
    }
    if !access.vectored {
        return stated(ev.exact != 0 && !payload.is_from_caller());
    }
    if local.source != Source::Kernel {
        let provenance = by_user_memory(&[local], total(&b.local, local), ev.ret);
        let own = [Iovec { base: ev.offset, len: ev.payload.total }];
        let (written, vanished) = match (access.writes, call.is_on_itself()) {
            (false, _) => (b.local.as_slice(), payload.is_faulted()),
            (true, true) => (&own[..], false),
            (true, false) => (&[][..], false),
        };
        return by_written_memory(provenance, &[local], written, ev.ret, vanished);
    }
    if user.read != Read::Ok {
        return Provenance { toctou: None, ..stated(true) };
    }
    imported(&mut b.user_local);
    let agree = begins_with(&b.user_local, &b.local);
    if agree {
        std::mem::swap(&mut b.local, &mut b.user_local);
    }
    Provenance { toctou: Some(!agree), ..stated(true) }
}
