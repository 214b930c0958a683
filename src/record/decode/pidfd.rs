//! Decode functions of @pidfd and @madvise, whose calls name their target by a PID file descriptor.

use super::buffers::{Buffers, iovecs, set_name, total};
use super::call::{Call, Descriptor, File, Row, array, moved, with_fd_in, with_fd_out, with_verdict};
use super::signed;
use super::verdict::{by_user_memory, stated};
use crate::record::wire::*;
use crate::schema::Event;
use crate::schema::names::advice_name;
use crate::schema::vocabulary::{DescriptorKind, PayloadStatus};

/// pidfd_getfd: one open file, behind a descriptor of the target and a new one of the caller.
pub(super) fn pidfd_getfd<'a>(
    call: &Call<'a, vmt_pidfd_getfd>,
    b: &'a mut Buffers,
    mut tail: &'a [u8],
) -> Option<Row<'a>> {
    let ev = call.ev;
    let file = File::take(&ev.fd, &mut b.file_in, &mut tail)?;
    let b = &*b;
    let event = Event {
        pidfd: Some(ev.pidfd),
        flags: Some(ev.flags),
        payload_status: Some(PayloadStatus::None.as_str()),
        ..call.base(b)
    };
    let event = with_verdict(event, stated(ev.exact != 0));
    // What was not obtained, or is closed again, was not looked at.
    let obtained = file.kind != DescriptorKind::Closed;
    let mut theirs = if obtained { file.columns(&b.file_in) } else { Descriptor::default() };
    theirs.fd = Some(ev.targetfd);
    let event = with_fd_in(event, theirs);
    let event = if ev.ret >= 0 { with_fd_out(event, file.columns(&b.file_in)) } else { event };
    Some(Row { event, faulted: false })
}

/// process_madvise: the ranges are the target's, the array that names them is the caller's.
pub(super) fn process_madvise<'a>(
    call: &Call<'a, vmt_process_madvise>,
    b: &'a mut Buffers,
    mut tail: &'a [u8],
) -> Option<Row<'a>> {
    let ev = call.ev;
    let remote = array(&mut b.remote, &ev.remote, &mut tail)?;
    set_name(&mut b.request, advice_name(ev.advice), ev.advice);
    let b = &*b;
    let requested = total(&b.remote, remote);
    let verdict = by_user_memory(&[remote], requested, ev.ret);
    let event = Event {
        bytes: moved(ev.ret),
        pidfd: Some(ev.pidfd),
        bytes_requested: requested.map(signed),
        remote_iov: iovecs(&b.remote, remote),
        riovcnt: Some(remote.count),
        flags: Some(ev.flags),
        advice: Some(&b.request),
        payload_status: Some(PayloadStatus::None.as_str()),
        ..call.base(b)
    };
    Some(Row { event: with_verdict(event, verdict), faulted: verdict.is_unreadable() })
}
