//! The decode function of mem_open: an attempt to open /proc/PID/mem.

use super::buffers::Buffers;
use super::call::{Call, File, Row, set_fd_out, set_provenance};
use super::provenance::stated;
use super::values::{self, Read};
use crate::record::text;
use crate::record::wire::*;
use crate::schema::vocabulary::PayloadStatus;

/// Path and file are looked up when the call returns: the caller's memory has the one, its table of descriptors the other.
pub(super) fn mem_open<'a>(call: &Call<'a, vmt_mem_open>, b: &'a mut Buffers, mut tail: &'a [u8]) -> Option<Row<'a>> {
    let ev = call.ev;
    let (path, how) = (values::read(ev.path)?, values::read(ev.how)?);
    b.path.clear();
    text::escape_into(&mut b.path, take_bytes(&mut tail, usize::from(ev.path_len))?);
    let file = File::take(&ev.fd, &mut b.file_in, &mut tail)?;
    let b = &*b;
    // Those of openat2 are in memory, which may be nowhere.
    let known = how != Read::Fault;
    let mut event = call.base(b);
    event.path = (path == Read::Ok).then_some(&b.path);
    event.dirfd = (ev.has_dirfd != 0).then_some(ev.dirfd);
    event.flags = known.then_some(ev.flags);
    event.open_mode = known.then_some(ev.mode);
    event.open_resolve = (how == Read::Ok).then_some(ev.resolve);
    event.payload_status = Some(PayloadStatus::None.as_str());
    set_provenance(&mut event, stated(false));
    if ev.ret >= 0 {
        set_fd_out(&mut event, file.columns(&b.file_in));
    }
    Some(Row { event, faulted: path == Read::Fault || how == Read::Fault })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TARGET, bytes, header, one, process};
    use super::*;

    /// A denied openat of another process's memory.
    fn denied() -> vmt_mem_open {
        vmt_mem_open {
            hdr: header(VMT_MEM_OPEN, VMT_ABI_NATIVE),
            ret: -13,
            flags: 0x8_0002,
            target: process(TARGET, "target"),
            fd: vmt_fd { fd: -13, ..Default::default() },
            dirfd: -100,
            has_dirfd: 1,
            path: VMT_READ_OK as u8,
            path_len: 11,
            ..Default::default()
        }
    }

    #[test]
    fn a_denied_attempt_has_its_target_and_its_path() {
        let batch = one(&bytes(&denied(), &[b"/proc/7/mem"]));
        let row = batch.get(0).unwrap();
        assert_eq!((row.event, row.ret, row.errno, row.bytes), ("mem_open", Some(-13), Some("EACCES"), None));
        assert_eq!((row.target_pid, row.target_comm), (Some(TARGET.0), Some("target")));
        assert_eq!((row.path, row.dirfd, row.flags), (Some("/proc/7/mem"), Some(-100), Some(0x8_0002)));
        assert_eq!((row.open_mode, row.open_resolve), (Some(0), None));
        assert_eq!((row.fd_in, row.fd_out, row.fd_out_kind, row.direction), (None, None, None, None));
        assert_eq!((row.iov_source, row.iov_verdict, row.toctou), (Some("user"), Some("unverified"), None));
        assert_eq!((row.payload, row.payload_status), (None, Some("none")));
    }

    #[test]
    fn what_was_opened_has_the_path_of_the_file() {
        let fd = vmt_fd {
            fd: 5,
            kind: VMT_FD_PROC_MEM as u8,
            flags: (VMT_MODE_READ | VMT_MODE_WRITE) as u8,
            path_len: 11,
            ..Default::default()
        };
        let ev = vmt_mem_open { ret: 5, has_dirfd: 0, path_len: 4, fd, ..denied() };
        let batch = one(&bytes(&ev, &[b"link", b"mem\x007\0proc\0"]));
        let row = batch.get(0).unwrap();
        assert_eq!((row.path, row.dirfd, row.errno), (Some("link"), None, None));
        assert_eq!((row.fd_out, row.fd_out_kind, row.fd_out_mode), (Some(5), Some("proc_mem"), Some("rw")));
        assert_eq!((row.fd_out_path, row.fd_in), (Some("/proc/7/mem"), None));
    }

    #[test]
    fn what_could_not_be_read_is_null() {
        let (ok, fault) = (VMT_READ_OK as u8, VMT_READ_FAULT as u8);
        let of = |path, path_len, how| vmt_mem_open { path, path_len, how, mode: 0o600, resolve: 8, ..denied() };
        let batch = one(&bytes(&of(fault, 0, ok), &[]));
        let row = batch.get(0).unwrap();
        assert_eq!((row.path, row.flags), (None, Some(0x8_0002)));
        assert_eq!((row.open_mode, row.open_resolve), (Some(0o600), Some(8)));
        let batch = one(&bytes(&of(ok, 11, fault), &[b"/proc/7/mem"]));
        let row = batch.get(0).unwrap();
        assert_eq!((row.path, row.flags, row.open_mode, row.open_resolve), (Some("/proc/7/mem"), None, None, None));
    }
}
