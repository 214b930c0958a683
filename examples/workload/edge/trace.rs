//! ptrace and /proc/PID/mem beyond the plain word and the plain read.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::buffer::{Buffer, content};
use crate::mem::{self, MemCall};
use crate::peer::{COMM, Peer};
use crate::report::Report;
use crate::sys::Region;
use crate::trace::{
    PEEKDATA, PEEKTEXT, POKEDATA, POKETEXT, Request, WORD, attach, call, control_entry, detach, word_entry,
};

const NOWHERE: u64 = 0x1000;
const PEEKUSER: Request = (3, "PTRACE_PEEKUSER");
const GETREGS: Request = (12, "PTRACE_GETREGS");
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
    for (request, addr, errno) in [(PEEKUSER, 0, 0), (GETREGS, 0, 0), (UNKNOWN, 0, -5)] {
        let ret = call(request, pid, addr, local.addr());
        returned(ret, errno)?;
        let mut seen = control_entry(request, ret, pid, addr, local.addr()).with("target_pid", pid);
        // PEEKUSER and GETREGS copy registers: whether that counts as bytes moved is the recorder's to say.
        for column in ["local_iov", "bytes", "payload", "payload_total", "payload_side", "remote_iov"] {
            seen.forget(column);
        }
        report.call(seen);
    }
    report.call(detach(pid)?);
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
