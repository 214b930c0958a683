//! Decode functions of the family @pipe.

use super::buffers::{Buffers, iovecs, take_iovs, total};
use super::calls::*;
use super::names::FileNames;
use super::verdict::{Verdict, by_user_memory, by_written_memory, imported, pages_verdict, stated, verdict};
use super::{Decoder, Sink, signed};
use crate::record::wire::*;
use crate::schema::events::EventKind;
use crate::schema::vocabulary::PayloadStatus;

/// The offset a call began at: the kernel has moved it on by what it transferred.
fn offset_before(status: u8, at_exit: i64, ret: i64) -> Option<i64> {
    (u32::from(status) == VMT_READ_OK).then(|| at_exit.saturating_sub(ret.max(0)))
}

/// Judges a vmsplice. Where the kernel's pages agree with the caller's array, the row has that array: its segments are
/// what was asked for; else the ranges of the pages.
fn transfer_verdict(b: &mut Buffers, ev: &vmt_vmsplice) -> Verdict {
    if u32::from(ev.local.source) != VMT_SOURCE_PAGES {
        let compared = [(b.local.as_slice(), &ev.user_local, b.user_local.as_slice())];
        let requested = total(&b.local, &ev.local);
        let verdict = verdict(&[&ev.local], &compared, requested, ev.ret);
        let taken = u32::from(ev.fd.flags) & VMT_MODE_WRITE == 0;
        let written = if taken { b.local.as_slice() } else { &[] };
        return by_written_memory(verdict, &[&ev.local], written, ev.ret, taken && payload_fault(&ev.payload));
    }
    let verdict = pages_verdict(&b.local, &ev.user_local, &b.user_local);
    if verdict.toctou == Some(false) {
        std::mem::swap(&mut b.local, &mut b.user_local);
    }
    verdict
}

impl Decoder {
    /// vmsplice: the descriptor's mode determines the direction (fs/splice.c, vmsplice_type). Out of a pipe that a recorded
    /// call has fed, the target is who did so last.
    pub(super) fn vmsplice(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Option<()> {
        let (ev, mut tail) = take::<vmt_vmsplice>(bytes)?;
        self.meet(&ev.hdr, &ev.hdr.self_, sink);
        self.meet(&ev.hdr, &ev.writer, sink);
        let mut b = self.caller_and_target(&ev.hdr, &ev.writer);
        take_iovs(&mut b.local, &ev.local, &mut tail)?;
        b.file_in.take(&ev.fd, &mut tail)?;
        let moved = take_bytes(&mut tail, ev.payload.kept as usize)?;
        take_iovs(&mut b.user_local, &ev.user_local, &mut tail)?;
        imported(&mut b.user_local);
        let verdict = transfer_verdict(&mut b, &ev);
        let by_pages = u32::from(ev.local.source) == VMT_SOURCE_PAGES;
        let requested = total(&b.local, &ev.local);
        let mode = u32::from(ev.fd.flags);
        let into_pipe = mode & VMT_MODE_WRITE != 0;
        let event = call_row! { self.base(&ev.hdr, EventKind::Vmsplice, &b), ev.ret;
            abi: abi(&ev.hdr),
            direction: if into_pipe { OUT } else { IN.filter(|_| mode & VMT_MODE_READ != 0) },
            bytes_requested: requested.map(signed),
            local_iov: iovecs(&b.local, &ev.local),
            liovcnt: Some(if by_pages { ev.user_local.count } else { ev.local.count }),
            flags: Some(ev.flags),
        };
        let event = with_target(with_verdict(event, verdict), target(&ev.writer, &b));
        let event = with_payload(event, payload(&ev.payload, moved, into_pipe));
        let fd = descriptor(&ev.fd, &b.file_in);
        let event = if into_pipe { with_fd_out(event, fd) } else { with_fd_in(event, fd) };
        let faulted = payload_fault(&ev.payload) || verdict.is_unreadable();
        sink.row(EventKind::Vmsplice, &event, faulted);
        self.buffers = b;
        Some(())
    }

    /// splice, tee and sendfile, through syscalls or io_uring. The target is who fed the pipe that they take from.
    pub(super) fn splice(&mut self, kind: EventKind, bytes: &[u8], sink: &mut impl Sink) -> Option<()> {
        let (ev, mut tail) = take::<vmt_splice>(bytes)?;
        self.meet(&ev.hdr, &ev.hdr.self_, sink);
        self.meet(&ev.hdr, &ev.writer, sink);
        let mut b = self.caller_and_target(&ev.hdr, &ev.writer);
        b.file_in.take(&ev.in_, &mut tail)?;
        b.file_out.take(&ev.out, &mut tail)?;
        // At the exit a syscall has moved them on.
        let moved = if ev.offsets_before != 0 { 0 } else { ev.ret };
        let verdict = match u32::from(ev.source) {
            VMT_SOURCE_KERNEL => Verdict::by_kernel(Some(ev.raced != 0)),
            _ => stated(false),
        };
        let event = call_row! { self.base(&ev.hdr, kind, &b), ev.ret;
            abi: abi(&ev.hdr),
            bytes_requested: Some(signed(ev.len)),
            flags: Some(ev.flags).filter(|_| kind != EventKind::Sendfile),
            off_in: offset_before(ev.off_in_status, ev.off_in, moved),
            off_out: offset_before(ev.off_out_status, ev.off_out, moved),
            payload_total: ev.ret.max(0),
            payload_status: Some(PayloadStatus::None.as_str()),
        };
        let event = with_target(with_verdict(event, verdict), target(&ev.writer, &b));
        let event = with_fd_in(event, descriptor(&ev.in_, &b.file_in));
        let mut event = with_fd_out(event, descriptor(&ev.out, &b.file_out));
        if ev.finished == 0 {
            (event.ret, event.errno, event.bytes, event.payload_total) = (None, None, None, 0);
        }
        let faulted = [ev.off_in_status, ev.off_out_status].iter().any(|s| u32::from(*s) == VMT_READ_FAULT);
        sink.row(kind, &event, faulted);
        self.buffers = b;
        Some(())
    }

    /// A read of a pipe that a recorded call has fed: the target is who did so last.
    pub(super) fn pipe_read(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Option<()> {
        let (ev, mut tail) = take::<vmt_pipe_read>(bytes)?;
        self.meet(&ev.hdr, &ev.hdr.self_, sink);
        self.meet(&ev.hdr, &ev.writer, sink);
        let mut b = self.caller_and_target(&ev.hdr, &ev.writer);
        take_iovs(&mut b.local, &ev.local, &mut tail)?;
        let moved = take_bytes(&mut tail, ev.payload.kept as usize)?;
        let requested = total(&b.local, &ev.local);
        let by_kernel = u32::from(ev.local.source) == VMT_SOURCE_KERNEL;
        let verdict = match u32::from(ev.hdr.tier) == VMT_TIER_FUNCTION {
            true if by_kernel => Verdict::by_kernel(None),
            true => stated(false),
            false => {
                let verdict = by_user_memory(&[&ev.local], requested, ev.ret);
                by_written_memory(verdict, &[&ev.local], &b.local, ev.ret, payload_fault(&ev.payload))
            }
        };
        let event = call_row! { self.base(&ev.hdr, EventKind::PipeRead, &b), ev.ret;
            abi: abi(&ev.hdr),
            direction: IN,
            bytes_requested: requested.map(signed),
            local_iov: iovecs(&b.local, &ev.local),
            liovcnt: Some(ev.local.count).filter(|count| *count > 0),
        };
        let pipe = FileNames::default();
        let event = with_payload(with_verdict(event, verdict), payload(&ev.payload, moved, false));
        let event = with_target(event, target(&ev.writer, &b));
        let mut event = with_fd_in(event, descriptor(&ev.fd, &pipe));
        event.fd_in = event.fd_in.filter(|fd| *fd >= 0);
        let faulted = payload_fault(&ev.payload) || verdict.is_unreadable();
        sink.row(EventKind::PipeRead, &event, faulted);
        self.buffers = b;
        Some(())
    }
}
