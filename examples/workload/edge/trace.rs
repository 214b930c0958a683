//! ptrace and /proc/PID/mem beyond the plain word and the plain read.

use std::os::fd::OwnedFd;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::buffer::{Buffer, content, iovec};
use crate::mem::{self, MemCall};
use crate::peer::{COMM, Peer};
use crate::report::Report;
use crate::sys::Region;
use crate::trace::{
    GETREGS, PEEKDATA, PEEKTEXT, POKEDATA, POKETEXT, Request, WORD, attach, call, control_entry, detach, moved_entry,
    word_entry,
};

const NOWHERE: u64 = 0x1000;
const PEEKUSER: Request = (3, "PTRACE_PEEKUSER");
const SETREGS: Request = (13, "PTRACE_SETREGS");
const GETFPREGS: Request = (14, "PTRACE_GETFPREGS");
const SETFPREGS: Request = (15, "PTRACE_SETFPREGS");
const GETSIGINFO: Request = (0x4202, "PTRACE_GETSIGINFO");
const SETSIGINFO: Request = (0x4203, "PTRACE_SETSIGINFO");
const GETREGSET: Request = (0x4204, "PTRACE_GETREGSET");
const SETREGSET: Request = (0x4205, "PTRACE_SETREGSET");
/// include/uapi/linux/elf.h
const NT_PRSTATUS: u64 = 1;
const UNKNOWN: Request = (0x7777, "30583");

fn returned(ret: i64, wanted: i64) -> Result<()> {
    ensure!(ret == wanted, "the call returned {ret}, not {wanted}");
    Ok(())
}

/// Every request that moves a word, and some that do not.
pub fn requests(report: &mut Report) -> Result<()> {
    let local = Buffer::new(Region::private, &[512])?;
    let remote = Buffer::new(Region::shared, &[WORD])?;
    let peer = Peer::fork()?;
    let pid = peer.pid();
    report.call(attach(pid)?);
    for (seq, request) in [PEEKTEXT, PEEKDATA].into_iter().enumerate() {
        remote.fill(seq as u64);
        let ret = call(request, pid, remote.addr(), local.addr());
        returned(ret, 0)?;
        report.call(word_entry(request, ret, pid, remote.addr(), local.addr(), &content(seq as u64, WORD)));
    }
    for (request, word) in [(POKETEXT, 0x1122_3344_5566_7788_u64), (POKEDATA, u64::MAX)] {
        let ret = call(request, pid, remote.addr(), word);
        returned(ret, 0)?;
        ensure!(remote.gather() == word.to_le_bytes(), "the word did not arrive");
        report.call(word_entry(request, ret, pid, remote.addr(), word, &word.to_le_bytes()));
    }
    registers(report, pid, &local)?;
    let ret = call(UNKNOWN, pid, 0, local.addr());
    returned(ret, -5)?;
    let mut seen = control_entry(UNKNOWN, ret, pid, 0, local.addr()).with("target_pid", pid);
    seen.forget("bytes");
    report.call(seen);
    report.call(detach(pid)?);
    Ok(())
}

/// Everything that moves registers or a siginfo, as struct user_regs_struct and its like have them.
fn registers(report: &mut Report, pid: i32, local: &Buffer) -> Result<()> {
    let moves = [
        (PEEKUSER, 8),
        (GETREGS, 216),
        (SETREGS, 216),
        (GETFPREGS, 512),
        (SETFPREGS, 512),
        (GETSIGINFO, 128),
        (SETSIGINFO, 128),
    ];
    for (request, len) in moves {
        let ret = call(request, pid, 0, local.addr());
        returned(ret, 0)?;
        let bytes = local.gather();
        report.call(moved_entry(request, pid, 0, local.addr(), local.addr(), &bytes[..len]));
    }
    for request in [GETREGSET, SETREGSET] {
        // The kernel puts the length that it has moved into the iovec.
        let mut set = iovec(local.addr(), if request == GETREGSET { 512 } else { 216 });
        let data = &raw mut set as u64;
        let ret = call(request, pid, NT_PRSTATUS, data);
        returned(ret, 0)?;
        ensure!(set.iov_len == 216, "the register set has {} bytes", set.iov_len);
        let bytes = local.gather();
        report.call(moved_entry(request, pid, NT_PRSTATUS, data, local.addr(), &bytes[..216]));
    }
    Ok(())
}

/// Words nowhere, a process that is not stopped, and one that is not there.
pub fn errors(report: &mut Report) -> Result<()> {
    let local = Buffer::new(Region::private, &[WORD])?;
    let peer = Peer::fork()?;
    let pid = peer.pid();
    let ret = call(PEEKDATA, pid, NOWHERE, local.addr());
    returned(ret, -3)?;
    report.call(word_entry(PEEKDATA, ret, pid, NOWHERE, local.addr(), &[]));
    report.call(attach(pid)?);
    let ret = call(PEEKDATA, pid, NOWHERE, local.addr());
    returned(ret, -5)?;
    report.call(word_entry(PEEKDATA, ret, pid, NOWHERE, local.addr(), &[]));
    let ret = call(POKEDATA, pid, NOWHERE, 1);
    returned(ret, -5)?;
    report.call(word_entry(POKEDATA, ret, pid, NOWHERE, 1, &[]));
    report.call(detach(pid)?);
    Ok(())
}

/// Reads that hit unmapped memory at once, and after a page.
pub fn mem_errors(report: &mut Report) -> Result<()> {
    let mut region = Region::shared(8192)?;
    let addr = region.addr();
    region.unmap_from(4096)?;
    let page = Buffer::over(region, vec![(0, 4096)]);
    page.fill(0);
    let peer = Peer::fork()?;
    let fd = mem::open(&format!("/proc/{}/mem", peer.pid()))?;
    let local = Buffer::new(Region::private, &[8192])?;
    for (offset, wanted) in [(NOWHERE, -5), (addr, 4096)] {
        let ret = mem::call(MemCall::Pread, &fd, local.iov(), offset);
        returned(ret, wanted)?;
        let seen = mem::entry(MemCall::Pread, ret, &fd, &local, offset).with("target_pid", peer.pid());
        report.call(seen.numbered(0));
    }
    Ok(())
}

/// Vectored calls with empty segments, that stop short, and that fail before anything is moved.
pub fn mem_vectors(report: &mut Report) -> Result<()> {
    let mut region = Region::shared(8192)?;
    let addr = region.addr();
    region.unmap_from(4096)?;
    let page = Buffer::over(region, vec![(0, 4096)]);
    page.fill(0);
    let peer = Peer::fork()?;
    let fd = mem::open(&format!("/proc/{}/mem", peer.pid()))?;
    let local = Buffer::new(Region::private, &[0, 1000, 0, 3000, 4096, 96])?;
    for kind in [MemCall::Preadv, MemCall::Preadv2, MemCall::Pwritev] {
        let ret = mem::call(kind, &fd, local.iov(), addr);
        returned(ret, 4096)?;
        let seen = mem::entry(kind, ret, &fd, &local, addr).with("target_pid", peer.pid());
        report.call(seen.numbered(0));
    }
    let ret = mem::call(MemCall::Preadv, &fd, local.iov(), NOWHERE);
    returned(ret, -5)?;
    report.call(mem::entry(MemCall::Preadv, ret, &fd, &local, NOWHERE).with("target_pid", peer.pid()));
    unmoved(report, &fd, &local, peer.pid())
}

/// What fails, or ends, before the first segment. What the array holds was never used.
fn unmoved(report: &mut Report, fd: &OwnedFd, local: &Buffer, pid: i32) -> Result<()> {
    let unread = |ret, count: usize| {
        let seen = mem::entry(MemCall::Preadv, ret, fd, local, NOWHERE).with("target_pid", pid);
        let seen = seen.with("local_iov", Value::Null).with("liovcnt", count).with("iov_source", Value::Null);
        seen.with("iov_verdict", Value::Null).with("remote_iov", json!([[NOWHERE, 0]])).nothing_captured()
    };
    let ret = mem::call_array(MemCall::Preadv, fd, NOWHERE, 2, NOWHERE);
    returned(ret, -14)?;
    let seen = unread(ret, 2).with("bytes_requested", Value::Null);
    report.call(seen.with("iov_source", "user").with("iov_verdict", "unreadable"));
    let ret = mem::call_array(MemCall::Preadv, fd, local.addr(), 1025, NOWHERE);
    returned(ret, -22)?;
    report.call(unread(ret, 1025).with("bytes_requested", Value::Null));
    let ret = mem::call_array(MemCall::Preadv, fd, 0, 0, NOWHERE);
    returned(ret, 0)?;
    report.call(unread(ret, 0).with("bytes_requested", 0));
    let read_only: OwnedFd = std::fs::File::open(format!("/proc/{pid}/mem"))?.into();
    let ret = mem::call(MemCall::Pwritev, &read_only, local.iov(), NOWHERE);
    returned(ret, -9)?;
    let seen = mem::entry(MemCall::Pwritev, ret, &read_only, local, NOWHERE).with("target_pid", pid);
    report.call(seen.with("iov_source", "user").with("iov_verdict", "unverified"));
    Ok(())
}

/// The memory file of a thread, as gdb opens it.
pub fn mem_task(report: &mut Report) -> Result<()> {
    let remote = Buffer::new(Region::shared, &[64])?;
    let peer = Peer::fork_with_thread()?;
    let fd = mem::open_task(peer.pid(), peer.tid())?;
    let local = Buffer::new(Region::private, &[64])?;
    for (seq, kind) in [(0, MemCall::Pread), (1, MemCall::Pwrite)] {
        if seq == 0 {
            remote.fill(seq)
        } else {
            local.fill(seq)
        }
        let ret = mem::call(kind, &fd, local.iov(), remote.addr());
        returned(ret, 64)?;
        let seen = mem::entry(kind, ret, &fd, &local, remote.addr()).with("target_pid", peer.pid());
        report.call(seen.with("target_comm", COMM).numbered(seq));
    }
    Ok(())
}

/// A process's own memory file.
pub fn mem_self(report: &mut Report) -> Result<()> {
    let (local, remote) = (Buffer::new(Region::private, &[64])?, Buffer::new(Region::private, &[64])?);
    remote.fill(0);
    let fd = mem::open("/proc/self/mem")?;
    let ret = mem::call(MemCall::Pread, &fd, local.iov(), remote.addr());
    returned(ret, 64)?;
    let seen = mem::entry(MemCall::Pread, ret, &fd, &local, remote.addr());
    report.call(seen.with("target_pid", std::process::id()).with("target_pid_arg", Value::Null).numbered(0));
    Ok(())
}
