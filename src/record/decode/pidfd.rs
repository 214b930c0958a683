//! Decode functions of @pidfd and @madvise, whose calls name their target by a PID file descriptor.

use super::buffers::{Buffers, iovecs, set_name, total};
use super::call::{Call, Descriptor, File, Row, array, moved, set_fd_in, set_fd_out, set_provenance};
use super::provenance::{by_user_memory, stated};
use super::signed;
use crate::record::wire::*;
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
    let mut event = call.base(b);
    event.pidfd = Some(ev.pidfd);
    event.flags = Some(ev.flags);
    event.payload_status = Some(PayloadStatus::None.as_str());
    set_provenance(&mut event, stated(ev.exact != 0));
    // What was not obtained, or is closed again, was not looked at.
    let obtained = file.kind != DescriptorKind::Closed;
    let mut theirs = if obtained { file.columns(&b.file_in) } else { Descriptor::default() };
    theirs.fd = Some(ev.targetfd);
    set_fd_in(&mut event, theirs);
    if ev.ret >= 0 {
        set_fd_out(&mut event, file.columns(&b.file_in));
    }
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
    let provenance = by_user_memory(&[remote], requested, ev.ret);
    let mut event = call.base(b);
    event.bytes = moved(ev.ret);
    event.pidfd = Some(ev.pidfd);
    event.bytes_requested = requested.map(signed);
    event.remote_iov = iovecs(&b.remote, remote);
    event.riovcnt = Some(remote.count);
    event.flags = Some(ev.flags);
    event.advice = Some(&b.request);
    event.payload_status = Some(PayloadStatus::None.as_str());
    set_provenance(&mut event, provenance);
    Some(Row { event, faulted: provenance.is_unreadable() })
}
