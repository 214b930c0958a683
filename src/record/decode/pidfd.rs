//! Decode functions of @pidfd and @madvise, whose calls name their target by a PID file descriptor.

use super::buffers::{iovecs, take_iovs, total};
use super::calls::{Descriptor, abi, descriptor, result, target, with_fd_in, with_fd_out, with_target, with_verdict};
use super::verdict::{by_user_memory, stated};
use super::{Decoder, Sink, signed};
use crate::record::wire::*;
use crate::schema::Event;
use crate::schema::events::EventKind;
use crate::schema::names::advice_name;
use crate::schema::vocabulary::PayloadStatus;

impl Decoder {
    /// pidfd_getfd: one open file, behind a descriptor of the target and a new one of the caller.
    pub(super) fn pidfd_getfd(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Option<()> {
        let (ev, mut tail) = take::<vmt_pidfd_getfd>(bytes)?;
        self.meet(&ev.hdr, &ev.hdr.self_, sink);
        self.meet(&ev.hdr, &ev.target, sink);
        let mut b = self.caller_and_target(&ev.hdr, &ev.target);
        b.file_in.take(&ev.fd, &mut tail)?;
        let outcome = result(ev.ret);
        let verdict = stated(ev.exact != 0);
        let event = Event {
            abi: abi(&ev.hdr),
            ret: outcome.ret,
            errno: outcome.errno,
            pidfd: Some(ev.pidfd),
            flags: Some(ev.flags),
            payload_status: Some(PayloadStatus::None.as_str()),
            ..self.base(&ev.hdr, EventKind::PidfdGetfd, &b)
        };
        let event = with_verdict(event, verdict);
        // What was not obtained, or is closed again, was not looked at.
        let obtained = u32::from(ev.fd.kind) != VMT_FD_CLOSED;
        let mut file = if obtained { descriptor(&ev.fd, &b.file_in) } else { Descriptor::default() };
        file.fd = Some(ev.targetfd);
        let event = with_fd_in(event, file);
        let event = if ev.ret >= 0 { with_fd_out(event, descriptor(&ev.fd, &b.file_in)) } else { event };
        sink.row(EventKind::PidfdGetfd, &with_target(event, target(&ev.target, &b)), false);
        self.buffers = b;
        Some(())
    }

    /// process_madvise: the ranges are the target's, the array that names them is the caller's.
    pub(super) fn process_madvise(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Option<()> {
        let (ev, mut tail) = take::<vmt_process_madvise>(bytes)?;
        self.meet(&ev.hdr, &ev.hdr.self_, sink);
        self.meet(&ev.hdr, &ev.target, sink);
        let mut b = self.caller_and_target(&ev.hdr, &ev.target);
        take_iovs(&mut b.remote, &ev.remote, &mut tail)?;
        b.request.clear();
        match advice_name(ev.advice) {
            Some(name) => b.request.push_str(name),
            None => b.request.push_str(&ev.advice.to_string()),
        }
        let requested = total(&b.remote, &ev.remote);
        let verdict = by_user_memory(&[&ev.remote], requested, ev.ret);
        let outcome = result(ev.ret);
        let event = Event {
            abi: abi(&ev.hdr),
            ret: outcome.ret,
            errno: outcome.errno,
            bytes: outcome.bytes,
            pidfd: Some(ev.pidfd),
            bytes_requested: requested.map(signed),
            remote_iov: iovecs(&b.remote, &ev.remote),
            riovcnt: Some(ev.remote.count),
            flags: Some(ev.flags),
            advice: Some(&b.request),
            payload_status: Some(PayloadStatus::None.as_str()),
            ..self.base(&ev.hdr, EventKind::ProcessMadvise, &b)
        };
        let event = with_target(with_verdict(event, verdict), target(&ev.target, &b));
        sink.row(EventKind::ProcessMadvise, &event, verdict.is_unreadable());
        self.buffers = b;
        Some(())
    }
}
