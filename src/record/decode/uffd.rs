//! The decode function of @uffd: pages that are filled, moved and poisoned through a userfaultfd.

use super::buffers::Buffers;
use super::call::{Call, File, Payload, Row, direction, set_fd_out, set_payload, set_provenance};
use super::provenance::Provenance;
use super::signed;
use super::values::{self, Read};
use crate::record::wire::*;
use crate::schema::events::EventKind;
use crate::schema::types::{Iovec, Iovecs};
use crate::schema::vocabulary::IovVerdict;

/// EAGAIN: a call that was not done with all.
const EAGAIN: i64 = -11;

/// The ranges are in a struct in the caller's memory; in the function tier the kernel's own copy of them was seen, if the call
/// came as far as that.
pub(super) fn uffd<'a>(call: &Call<'a, vmt_uffd>, b: &'a mut Buffers, mut tail: &'a [u8]) -> Option<Row<'a>> {
    let ev = call.ev;
    let payload = Payload::take(&ev.payload, &mut tail)?;
    let file = File::take(&ev.fd, &mut b.file_in, &mut tail)?;
    let has_struct = values::read(ev.args)? == Read::Ok;
    let known = has_struct || ev.exact != 0;
    let has_source = matches!(call.kind, EventKind::UffdCopy | EventKind::UffdMove);
    b.local.clear();
    b.local.extend(has_source.then_some(Iovec { base: ev.src, len: ev.len }));
    b.remote.clear();
    b.remote.push(Iovec { base: ev.dst, len: ev.len });
    let provenance = provenance(ev, has_struct);
    let b = &*b;
    let mut event = call.base(b);
    // How much is known, unless the call says that it did nothing.
    let is_counted = known || ![0, EAGAIN].contains(&ev.ret);
    event.bytes = is_counted.then_some(signed(ev.moved));
    event.direction = (call.kind != EventKind::UffdPoison).then(|| direction(true)).flatten();
    event.bytes_requested = known.then_some(signed(ev.len));
    event.local_iov = (known && has_source).then_some(Iovecs::Pairs(&b.local));
    event.liovcnt = has_source.then_some(1);
    event.remote_iov = known.then_some(Iovecs::Pairs(&b.remote));
    event.riovcnt = Some(1);
    event.flags = has_struct.then_some(ev.mode);
    set_provenance(&mut event, provenance);
    set_payload(&mut event, payload, false);
    set_fd_out(&mut event, file.columns(&b.file_in));
    Some(Row { event, faulted: payload.is_faulted() || provenance.is_unreadable() })
}

/// Judges the struct. Where it was read from the caller's memory, its last member, which the kernel has written, contradicts it if
/// it is not all that a call which succeeded was asked for.
fn provenance(ev: &vmt_uffd, has_struct: bool) -> Provenance {
    let contradicts = match ev.ret {
        0 => ev.len == 0 || i64::try_from(ev.len) != Ok(ev.result),
        EAGAIN => i64::try_from(ev.len).is_ok_and(|len| ev.result > len),
        _ => false,
    };
    match (ev.exact != 0, has_struct) {
        (true, _) => Provenance::by_kernel(has_struct.then_some(ev.changed != 0)),
        (false, false) => Provenance::by_user(IovVerdict::Unreadable, None),
        (false, true) if contradicts => Provenance::by_user(IovVerdict::Conflict, Some(true)),
        (false, true) => Provenance::by_user(IovVerdict::Unverified, None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TARGET, bytes, header, one, process};
    use super::*;

    const DST: u64 = 0x7f00_0000_0000;
    const SRC: u64 = 0x5500_0000_0000;

    /// A copy of a page into another process, as the exit of the call shows it.
    fn copy() -> vmt_uffd {
        vmt_uffd {
            hdr: header(VMT_UFFD_COPY, VMT_ABI_NATIVE),
            ret: 0,
            dst: DST,
            src: SRC,
            len: 4096,
            mode: 1,
            result: 4096,
            moved: 4096,
            target: process(TARGET, "lazy"),
            fd: vmt_fd { fd: 5, kind: VMT_FD_ANON_INODE as u8, path_len: 14, ..Default::default() },
            payload: vmt_payload {
                total: 4096,
                kept: 4,
                status: VMT_PAYLOAD_TRUNCATED as u8,
                side: VMT_SIDE_CALLER as u8,
                ..Default::default()
            },
            args: VMT_READ_OK as u8,
            ..Default::default()
        }
    }

    const TAIL: [&[u8]; 2] = [b"page", b"[userfaultfd]\0"];

    #[test]
    fn a_copy_has_its_ranges_on_both_sides() {
        let batch = one(&bytes(&copy(), &TAIL));
        let row = batch.get(0).unwrap();
        assert_eq!((row.event, row.ret, row.errno, row.direction), ("uffd_copy", Some(0), None, Some("out")));
        assert_eq!((row.bytes, row.bytes_requested, row.flags), (Some(4096), Some(4096), Some(1)));
        assert_eq!((row.target_pid, row.target_comm), (Some(TARGET.0), Some("lazy")));
        let first = |ranges: Option<Iovecs<'_>>| ranges.and_then(|r| r.get(0)).unwrap();
        assert_eq!(first(row.local_iov), Iovec { base: SRC, len: 4096 });
        assert_eq!(first(row.remote_iov), Iovec { base: DST, len: 4096 });
        assert_eq!((row.fd_out, row.fd_out_kind, row.fd_in), (Some(5), Some("anon_inode"), None));
        assert_eq!((row.payload, row.payload_total), (Some(&b"page"[..]), 4096));
        assert_eq!((row.iov_source, row.iov_verdict, row.toctou), (Some("user"), Some("unverified"), None));
    }

    #[test]
    fn what_the_kernel_was_seen_to_use_is_its_own() {
        let of = |changed| vmt_uffd { exact: 1, changed, ..copy() };
        for (changed, toctou) in [(0, false), (1, true)] {
            let batch = one(&bytes(&of(changed), &TAIL));
            let row = batch.get(0).unwrap();
            assert_eq!((row.iov_source, row.iov_verdict, row.toctou), (Some("kernel"), Some("kernel"), Some(toctou)));
        }
        let batch = one(&bytes(&vmt_uffd { args: VMT_READ_FAULT as u8, ..of(0) }, &TAIL));
        let row = batch.get(0).unwrap();
        assert_eq!((row.iov_verdict, row.toctou, row.flags, row.bytes), (Some("kernel"), None, None, Some(4096)));
    }

    #[test]
    fn a_struct_that_denies_what_the_call_did_is_a_conflict() {
        for (ret, len, result, verdict) in [
            (0, 8192, 4096, "conflict"),
            (0, 0, 0, "conflict"),
            (0, u64::MAX, -1, "conflict"),
            (-11, 4096, 8192, "conflict"),
            (-11, 8192, 4096, "unverified"),
            (-11, u64::MAX, 4096, "unverified"),
            (-17, 4096, 0, "unverified"),
        ] {
            let batch = one(&bytes(&vmt_uffd { ret, len, result, ..copy() }, &TAIL));
            assert_eq!(batch.get(0).unwrap().iov_verdict, Some(verdict), "{ret} {len} {result}");
        }
    }

    #[test]
    fn a_struct_that_is_nowhere_leaves_nulls() {
        let nothing = vmt_payload { status: VMT_PAYLOAD_NONE as u8, ..Default::default() };
        let of = |ret| vmt_uffd { ret, args: VMT_READ_FAULT as u8, moved: 0, payload: nothing, ..copy() };
        for (ret, bytes_moved) in [(0, None), (-14, Some(0))] {
            let batch = one(&bytes(&of(ret), &TAIL[1..]));
            let row = batch.get(0).unwrap();
            assert_eq!((row.bytes, row.bytes_requested, row.flags), (bytes_moved, None, None));
            assert!(row.local_iov.is_none() && row.remote_iov.is_none());
            assert_eq!(row.iov_verdict, Some("unreadable"));
        }
    }

    #[test]
    fn zeros_and_poison_have_no_source() {
        let nothing = vmt_payload { status: VMT_PAYLOAD_NONE as u8, ..Default::default() };
        for (kind, name, direction) in
            [(VMT_UFFD_ZEROPAGE, "uffd_zeropage", Some("out")), (VMT_UFFD_POISON, "uffd_poison", None)]
        {
            let ev = vmt_uffd { hdr: header(kind, VMT_ABI_NATIVE), src: 0, payload: nothing, ..copy() };
            let batch = one(&bytes(&ev, &TAIL[1..]));
            let row = batch.get(0).unwrap();
            assert_eq!((row.event, row.direction, row.bytes), (name, direction, Some(4096)));
            assert!(row.local_iov.is_none() && row.remote_iov.is_some());
            assert_eq!((row.payload, row.payload_total, row.payload_status), (None, 0, Some("none")));
        }
    }
}
