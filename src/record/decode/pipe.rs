//! Decode functions of the family @pipe.

use super::buffers::{Buffers, iovecs, total};
use super::call::{
    Call, File, Payload, Row, array, direction, moved, set_fd_in, set_fd_out, set_payload, set_provenance,
};
use super::names::FileNames;
use super::provenance::{Provenance, by_user_memory, by_written_memory, imported, of_arrays, of_pages, stated};
use super::signed;
use super::values::{self, Array, Read, Source};
use crate::record::wire::*;
use crate::schema::events::EventKind;
use crate::schema::vocabulary::{PayloadStatus, Tier};

/// The offset a call began at: the kernel has moved it on by what it transferred.
fn offset_before(status: Read, at_exit: i64, ret: i64) -> Option<i64> {
    (status == Read::Ok).then(|| at_exit.saturating_sub(ret.max(0)))
}

/// Judges a vmsplice. Where the kernel's pages agree with the caller's array, the row has that array: its segments are
/// what was asked for; else the ranges of the pages.
fn vmsplice_provenance(
    b: &mut Buffers,
    ret: i64,
    [local, user]: [Array; 2],
    into_pipe: bool,
    faulted: bool,
) -> Provenance {
    if local.source != Source::Pages {
        let compared = [(b.local.as_slice(), user, b.user_local.as_slice())];
        let provenance = of_arrays(&[local], &compared, total(&b.local, local), ret);
        let written = if into_pipe { &[] } else { b.local.as_slice() };
        return by_written_memory(provenance, &[local], written, ret, !into_pipe && faulted);
    }
    let provenance = of_pages(&b.local, user, &b.user_local);
    if provenance.toctou == Some(false) {
        std::mem::swap(&mut b.local, &mut b.user_local);
    }
    provenance
}

/// vmsplice: the descriptor's mode determines the direction (fs/splice.c, vmsplice_type). Out of a pipe that a recorded
/// call has fed, the target is who did so last.
pub(super) fn vmsplice<'a>(call: &Call<'a, vmt_vmsplice>, b: &'a mut Buffers, mut tail: &'a [u8]) -> Option<Row<'a>> {
    let ev = call.ev;
    let local = array(&mut b.local, &ev.local, &mut tail)?;
    let file = File::take(&ev.fd, &mut b.file_in, &mut tail)?;
    let payload = Payload::take(&ev.payload, &mut tail)?;
    let user = array(&mut b.user_local, &ev.user_local, &mut tail)?;
    imported(&mut b.user_local);
    let into_pipe = file.is_writable();
    let provenance = vmsplice_provenance(b, ev.ret, [local, user], into_pipe, payload.is_faulted());
    let b = &*b;
    let mut event = call.base(b);
    event.bytes = moved(ev.ret);
    event.direction = file.mode.and_then(|_| direction(into_pipe));
    event.bytes_requested = total(&b.local, local).map(signed);
    event.local_iov = iovecs(&b.local, local);
    event.liovcnt = Some(if local.source == Source::Pages { user.count } else { local.count });
    event.flags = Some(ev.flags);
    set_provenance(&mut event, provenance);
    set_payload(&mut event, payload, into_pipe);
    let fd = file.columns(&b.file_in);
    let set_fd = if into_pipe { set_fd_out } else { set_fd_in };
    set_fd(&mut event, fd);
    Some(Row { event, faulted: payload.is_faulted() || provenance.is_unreadable() })
}

/// splice, tee and sendfile, through syscalls or io_uring. The target is who fed the pipe that they take from.
pub(super) fn splice<'a>(call: &Call<'a, vmt_splice>, b: &'a mut Buffers, mut tail: &'a [u8]) -> Option<Row<'a>> {
    let ev = call.ev;
    let file_in = File::take(&ev.in_, &mut b.file_in, &mut tail)?;
    let file_out = File::take(&ev.out, &mut b.file_out, &mut tail)?;
    let (off_in, off_out) = (values::read(ev.off_in_status)?, values::read(ev.off_out_status)?);
    // At the exit a syscall has moved them on.
    let advanced = if ev.offsets_before != 0 { 0 } else { ev.ret };
    let provenance = match values::source(ev.source)? {
        Source::Kernel => Provenance::by_kernel(Some(ev.raced != 0)),
        Source::User | Source::Pages => stated(false),
    };
    let b = &*b;
    let mut event = call.base(b);
    event.bytes = moved(ev.ret);
    event.bytes_requested = Some(signed(ev.len));
    event.flags = Some(ev.flags).filter(|_| call.kind != EventKind::Sendfile);
    event.off_in = offset_before(off_in, ev.off_in, advanced);
    event.off_out = offset_before(off_out, ev.off_out, advanced);
    event.payload_total = ev.ret.max(0);
    event.payload_status = Some(PayloadStatus::None.as_str());
    set_provenance(&mut event, provenance);
    set_fd_in(&mut event, file_in.columns(&b.file_in));
    set_fd_out(&mut event, file_out.columns(&b.file_out));
    if ev.finished == 0 {
        (event.ret, event.errno, event.bytes, event.payload_total) = (None, None, None, 0);
    }
    Some(Row { event, faulted: off_in == Read::Fault || off_out == Read::Fault })
}

/// A pipe has no names.
static NAMELESS: FileNames = FileNames { path: String::new(), local: None, peer: None };

/// A read of a pipe that a recorded call has fed: the target is who did so last. Or a write into a pipe that one has used, which
/// has no target: who will read is not known.
pub(super) fn pipe_io<'a>(call: &Call<'a, vmt_pipe_io>, b: &'a mut Buffers, mut tail: &'a [u8]) -> Option<Row<'a>> {
    let ev = call.ev;
    let writes = call.kind == EventKind::PipeWrite;
    let local = array(&mut b.local, &ev.local, &mut tail)?;
    let payload = Payload::take(&ev.payload, &mut tail)?;
    let file = File::of(&ev.fd)?;
    let b = &*b;
    let requested = total(&b.local, local);
    let provenance = match (call.tier, local.source) {
        (Tier::Function, Source::Kernel) => Provenance::by_kernel(None),
        (Tier::Function, Source::User | Source::Pages) => stated(false),
        (Tier::Tracepoint | Tier::None, _) => {
            let provenance = by_user_memory(&[local], requested, ev.ret);
            let written = if writes { &[][..] } else { &b.local };
            by_written_memory(provenance, &[local], written, ev.ret, !writes && payload.is_faulted())
        }
    };
    let mut event = call.base(b);
    event.bytes = moved(ev.ret);
    event.direction = direction(writes);
    event.bytes_requested = requested.map(signed);
    event.local_iov = iovecs(&b.local, local);
    event.liovcnt = Some(local.count).filter(|count| *count > 0);
    set_provenance(&mut event, provenance);
    set_payload(&mut event, payload, false);
    let mut fd = file.columns(&NAMELESS);
    fd.fd = fd.fd.filter(|fd| *fd >= 0);
    let faulted = payload.is_faulted() || provenance.is_unreadable();
    let set_fd = if writes { set_fd_out } else { set_fd_in };
    set_fd(&mut event, fd);
    Some(Row { event, faulted })
}
