//! pidfd_getfd and process_madvise, whose target is named by a PID file descriptor.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::compat::syscall32;
use crate::buffer::{Buffer, iovec, ranges};
use crate::peer::{COMM, Peer, in_child};
use crate::report::{Entry, Report};
use crate::sys::{self, Region};

/// The same on x86-64 and i386.
const GETFD: u32 = 438;
const MADVISE: u32 = 440;
const COLD: (i32, &str) = (20, "MADV_COLD");
const NOWHERE: u64 = 0x1000;
/// include/uapi/linux/pidfd.h: the calling thread, where the kernel knows that (6.15).
const PIDFD_SELF_THREAD: i32 = -10_000;
const NOBODY: u32 = 65_534;

fn returned(ret: i64, wanted: i64) -> Result<()> {
    ensure!(ret == wanted, "the call returned {ret}, not {wanted}");
    Ok(())
}

pub(super) fn pidfd_open(pid: i32) -> Result<OwnedFd> {
    // SAFETY: plain numbers; the descriptor is new and ours.
    unsafe {
        let fd = i32::try_from(libc::syscall(libc::SYS_pidfd_open, pid, 0))?;
        Ok(OwnedFd::from_raw_fd(sys::check(fd, "pidfd_open")?))
    }
}

pub(super) fn getfd(pidfd: i32, targetfd: i32, flags: u64) -> i64 {
    // SAFETY: plain numbers.
    unsafe { sys::raw(libc::SYS_pidfd_getfd, [pidfd as u64, targetfd as u64, flags, 0, 0, 0]) }
}

/// What a recorder should have seen of a pidfd_getfd, but for target and file.
pub(super) fn getfd_entry(ret: i64, pidfd: i32, targetfd: i32, flags: u64) -> Entry {
    Entry::new("pidfd_getfd", ret)
        .with("bytes", Value::Null)
        .with("pidfd", pidfd)
        .with("fd_in", targetfd)
        .with("fd_out", if ret >= 0 { json!(ret) } else { Value::Null })
        .with("fd_in_kind", Value::Null)
        .with("flags", flags)
        .with("target_pid", Value::Null)
        .with("target_pid_arg", Value::Null)
        .nothing_captured()
}

pub(super) fn with_peer(entry: Entry, peer: &Peer) -> Entry {
    entry.with("target_pid", peer.pid()).with("target_comm", COMM)
}

/// The target's pipe and file, natively and by `int 0x80`.
pub fn getfd_of_a_peer(report: &mut Report) -> Result<()> {
    let (read, write) = sys::pipe(0)?;
    let exe = std::env::current_exe()?.canonicalize()?;
    let file: OwnedFd = std::fs::File::open(&exe)?.into();
    let peer = Peer::fork()?;
    let pidfd = pidfd_open(peer.pid())?;
    let inode = sys::inode(&read)?;
    for (fd, mode) in [(&read, "r"), (&write, "w")] {
        let ret = getfd(pidfd.as_raw_fd(), fd.as_raw_fd(), 0);
        ensure!(ret >= 0, "pidfd_getfd returned {ret}");
        let seen = with_peer(getfd_entry(ret, pidfd.as_raw_fd(), fd.as_raw_fd(), 0), &peer);
        let seen = seen.with("fd_in_kind", "pipe").with("fd_in_mode", mode).with("pipe_in", inode);
        report.call(seen.with("fd_out_kind", "pipe").with("fd_out_mode", mode).with("pipe_out", inode));
    }
    let args = [pidfd.as_raw_fd() as u32, file.as_raw_fd() as u32, 0, 0, 0, 0];
    // SAFETY: plain numbers.
    let ret = unsafe { syscall32(GETFD, args) };
    ensure!(ret >= 0, "pidfd_getfd by int 0x80 returned {ret}");
    let path = exe.to_str().context("the path is not UTF-8")?;
    let seen = with_peer(getfd_entry(ret, pidfd.as_raw_fd(), file.as_raw_fd(), 0), &peer).with("abi", "compat32");
    let seen = seen.with("fd_in_kind", "file").with("fd_in_mode", "r").with("fd_in_path", path);
    report.call(seen.with("fd_out_kind", "file").with("fd_out_mode", "r").with("fd_out_path", path));
    Ok(())
}

/// No pidfd, one of a process that is gone, one out of reach, and arguments that are wrong.
pub fn errors(report: &mut Report) -> Result<()> {
    let (read, _write) = sys::pipe(0)?;
    for fd in [-1, read.as_raw_fd()] {
        let ret = getfd(fd, 0, 0);
        returned(ret, -9)?;
        report.call(getfd_entry(ret, fd, 0, 0));
    }
    let gone = Peer::fork()?;
    let (pid, pidfd) = (gone.pid(), pidfd_open(gone.pid())?);
    drop(gone);
    let ret = getfd(pidfd.as_raw_fd(), 0, 0);
    returned(ret, -3)?;
    // The descriptor still stands for it, and for nobody else.
    let seen = getfd_entry(ret, pidfd.as_raw_fd(), 0, 0).with("target_pid", pid).with("target_comm", COMM);
    report.call(seen.with("target_ended", true));
    let peer = Peer::fork()?;
    let pidfd = pidfd_open(peer.pid())?;
    for (targetfd, flags, wanted) in [(0, 1, -22), (999, 0, -9)] {
        let ret = getfd(pidfd.as_raw_fd(), targetfd, flags);
        returned(ret, wanted)?;
        report.call(with_peer(getfd_entry(ret, pidfd.as_raw_fd(), targetfd, flags), &peer));
    }
    forbidden(report)
}

/// A child that gave up its privileges reaches for its parent.
fn forbidden(report: &mut Report) -> Result<()> {
    let parent = std::process::id() as i32;
    let pidfd = pidfd_open(parent)?;
    let iov = [iovec(NOWHERE, 4096)];
    let (_, output) = in_child(|out| {
        // SAFETY: plain numbers.
        unsafe {
            sys::check(libc::setgroups(0, std::ptr::null()), "setgroups")?;
            sys::check(libc::setresgid(NOBODY, NOBODY, NOBODY), "setresgid")?;
            sys::check(libc::setresuid(NOBODY, NOBODY, NOBODY), "setresuid")?;
        }
        let mut inner = Report::default();
        let ret = getfd(pidfd.as_raw_fd(), 0, 0);
        returned(ret, -1)?;
        inner.call(getfd_entry(ret, pidfd.as_raw_fd(), 0, 0).with("target_pid", parent).with("uid", NOBODY));
        let ret = advise(pidfd.as_raw_fd(), &iov, COLD.0, 0);
        returned(ret, -13)?; // mm_access() says EACCES where others say EPERM
        let seen = advice_entry(ret, pidfd.as_raw_fd(), ranges(&iov), 1, 4096, COLD.1);
        inner.call(seen.with("target_pid", parent).with("uid", NOBODY));
        sys::write_all(out, inner.into_json().to_string().as_bytes())
    })?;
    report.child(&serde_json::from_slice(&output)?)
}

fn advise(pidfd: i32, iov: &[libc::iovec], advice: i32, flags: u64) -> i64 {
    advise_raw(pidfd, iov.as_ptr() as u64, iov.len() as u64, advice, flags)
}

fn advise_raw(pidfd: i32, iov: u64, vlen: u64, advice: i32, flags: u64) -> i64 {
    // SAFETY: the kernel checks the array; advice used here changes no content.
    unsafe { sys::raw(libc::SYS_process_madvise, [pidfd as u64, iov, vlen, advice as u64, flags, 0]) }
}

/// What a recorder should have seen of a process_madvise, but for the target.
fn advice_entry(ret: i64, pidfd: i32, remote: Value, vlen: usize, total: usize, advice: &str) -> Entry {
    Entry::new("process_madvise", ret)
        .with("pidfd", pidfd)
        .with("remote_iov", remote)
        .with("riovcnt", vlen)
        .with("bytes_requested", total)
        .with("local_iov", Value::Null)
        .with("advice", advice)
        .with("flags", 0)
        .with("iov_source", "user")
        .with("iov_verdict", "unverified")
        .with("target_pid", Value::Null)
        .with("target_pid_arg", Value::Null)
        .nothing_captured()
}

/// Two ranges natively and by `int 0x80`, and what the kernel refuses.
pub fn madvise(report: &mut Report) -> Result<()> {
    let remote = Buffer::over(Region::private(3 * 4096)?, vec![(0, 4096), (2 * 4096, 4096)]);
    let low = Region::low(3 * 4096)?;
    let peer = Peer::fork()?;
    let pidfd = pidfd_open(peer.pid())?;
    let fd = pidfd.as_raw_fd();
    let seen = |ret, advice| with_peer(advice_entry(ret, fd, ranges(remote.iov()), 2, 2 * 4096, advice), &peer);
    let ret = advise(fd, remote.iov(), COLD.0, 0);
    returned(ret, 2 * 4096)?;
    report.call(seen(ret, COLD.1));
    let ret = advise(fd, remote.iov(), 77, 0);
    returned(ret, -22)?;
    report.call(seen(ret, "77"));
    let ret = advise(fd, remote.iov(), COLD.0, 1);
    returned(ret, -22)?;
    report.call(seen(ret, COLD.1).with("flags", 1));
    let ret = advise_raw(fd, NOWHERE, 2, COLD.0, 0);
    returned(ret, -14)?;
    let unread = |entry: Entry| entry.with("remote_iov", Value::Null).with("bytes_requested", Value::Null);
    report.call(unread(seen(ret, COLD.1)).with("iov_verdict", "unreadable"));
    let many = vec![iovec(remote.addr(), 4096); 1025];
    let ret = advise(fd, &many, COLD.0, 0);
    returned(ret, -22)?;
    let refused = unread(seen(ret, COLD.1)).with("riovcnt", 1025);
    report.call(refused.with("iov_source", Value::Null).with("iov_verdict", Value::Null));
    report.call(with_peer(compat(&low, fd)?, &peer));
    let ret = advise(PIDFD_SELF_THREAD, remote.iov(), COLD.0, 0);
    let own = if ret == -9 { Value::Null } else { json!(std::process::id()) };
    let seen = advice_entry(ret, PIDFD_SELF_THREAD, ranges(remote.iov()), 2, 2 * 4096, COLD.1);
    report.call(seen.with("target_pid", own));
    Ok(())
}

/// By `int 0x80`, with 32-bit iovecs in the first page of `low` that name the other two.
fn compat(low: &Region, pidfd: i32) -> Result<Entry> {
    let pages = [1, 2].map(|n| low.addr() + n * 4096);
    for (n, page) in pages.into_iter().enumerate() {
        let base = u32::try_from(page).context("not below 4 GiB")?;
        low.write(n * 8, &[base.to_le_bytes(), 4096u32.to_le_bytes()].concat());
    }
    // SAFETY: the array names memory of our own pages; the advice changes no content.
    let ret = unsafe { syscall32(MADVISE, [pidfd as u32, low.addr() as u32, 2, COLD.0 as u32, 0, 0]) };
    returned(ret, 2 * 4096)?;
    let remote = json!(pages.map(|page| json!([page, 4096])));
    Ok(advice_entry(ret, pidfd, remote, 2, 2 * 4096, COLD.1).with("abi", "compat32"))
}
