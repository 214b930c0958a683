//! /proc/PID/mem of a peer, through every syscall that reads or writes a file.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde_json::{Value, json};

use super::buffer::{Buffer, content};
use super::drive::{Plan, Transfer, run as drive};
use super::peer::{COMM, Peer};
use super::report::{Entry, Report};
use super::sys::{Region, raw};

/// The syscall to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)] // Each is the syscall of its name.
pub enum MemCall {
    Read,
    Write,
    Pread,
    Pwrite,
    Readv,
    Writev,
    Preadv,
    Pwritev,
    Preadv2,
    Pwritev2,
}

impl MemCall {
    fn name(self) -> &'static str {
        match self {
            MemCall::Read => "read",
            MemCall::Write => "write",
            MemCall::Pread => "pread",
            MemCall::Pwrite => "pwrite",
            MemCall::Readv => "readv",
            MemCall::Writev => "writev",
            MemCall::Preadv => "preadv",
            MemCall::Pwritev => "pwritev",
            MemCall::Preadv2 => "preadv2",
            MemCall::Pwritev2 => "pwritev2",
        }
    }

    fn number(self) -> libc::c_long {
        match self {
            MemCall::Read => libc::SYS_read,
            MemCall::Write => libc::SYS_write,
            MemCall::Pread => libc::SYS_pread64,
            MemCall::Pwrite => libc::SYS_pwrite64,
            MemCall::Readv => libc::SYS_readv,
            MemCall::Writev => libc::SYS_writev,
            MemCall::Preadv => libc::SYS_preadv,
            MemCall::Pwritev => libc::SYS_pwritev,
            MemCall::Preadv2 => libc::SYS_preadv2,
            MemCall::Pwritev2 => libc::SYS_pwritev2,
        }
    }

    fn writes(self) -> bool {
        self.name().contains("write")
    }

    /// Takes an iovec array rather than one buffer.
    fn vectored(self) -> bool {
        self.name().contains('v')
    }

    /// Takes the offset as an argument rather than from the descriptor.
    fn positioned(self) -> bool {
        self.name().starts_with('p')
    }
}

/// Opens `path` under /proc to read and write.
pub fn open(path: &str) -> Result<OwnedFd> {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).with_context(|| path.to_string())?;
    Ok(file.into())
}

/// Makes the call on `fd` at address `offset` of the other process.
pub fn call(call: MemCall, fd: &OwnedFd, local: &[libc::iovec], offset: u64) -> i64 {
    let (buffer, count) = match local {
        [one] if !call.vectored() => (one.iov_base as u64, one.iov_len as u64),
        all => (all.as_ptr() as u64, all.len() as u64),
    };
    call_array(call, fd, buffer, count, offset)
}

/// The same with a buffer or array by its address, which may be nowhere.
pub fn call_array(call: MemCall, fd: &OwnedFd, buffer: u64, count: u64, offset: u64) -> i64 {
    // preadv takes the offset in two halves, of which the high one is ignored on 64 bits; then come the flags.
    let offset = if call.positioned() { offset } else { 0 };
    let args = [fd.as_raw_fd() as u64, buffer, count, offset, 0, 0];
    // SAFETY: the kernel checks the buffers; callers pass their own.
    unsafe { raw(call.number(), args) }
}

/// Puts the descriptor's position at `offset`.
pub fn seek(fd: &OwnedFd, offset: u64) -> Result<()> {
    // SAFETY: plain numbers.
    let at = unsafe { libc::lseek(fd.as_raw_fd(), offset as i64, libc::SEEK_SET) };
    ensure!(at == offset as i64, "lseek returned {at}");
    Ok(())
}

/// What a recorder should have seen of the call, but for the payload.
pub fn entry(call: MemCall, ret: i64, fd: &OwnedFd, local: &Buffer, offset: u64) -> Entry {
    let (way, column, kind, other) = match call.writes() {
        true => ("out", "fd_out", "fd_out_kind", "fd_in"),
        false => ("in", "fd_in", "fd_in_kind", "fd_out"),
    };
    let entry = Entry::new(call.name(), ret)
        .with("direction", way)
        .with(column, fd.as_raw_fd())
        .with(other, Value::Null)
        .with(kind, "proc_mem")
        .with("local_iov", local.ranges())
        .with("remote_iov", json!([[offset, local.size()]]))
        .with("bytes_requested", local.size());
    if call.vectored() { entry.with("liovcnt", local.iov().len()) } else { entry }
}

struct Mem<'a> {
    call: MemCall,
    fd: OwnedFd,
    local: Buffer,
    remote: Buffer,
    peer: &'a Peer,
}

impl Transfer for Mem<'_> {
    fn event(&self) -> &'static str {
        self.call.name()
    }

    fn prepare(&mut self, seq: u64) -> Result<()> {
        if !self.call.positioned() {
            seek(&self.fd, self.remote.addr())?;
        }
        if self.call.writes() {
            self.local.stamp(seq)
        } else {
            self.remote.stamp(seq)
        }
        Ok(())
    }

    fn call(&mut self) -> i64 {
        call(self.call, &self.fd, self.local.iov(), self.remote.addr())
    }

    fn describe(&mut self, seq: u64, ret: i64) -> Result<Entry> {
        let got = if self.call.writes() { self.remote.gather() } else { self.local.gather() };
        ensure!(got == content(seq, got.len()), "{} did not bring the payload", self.call.name());
        Ok(entry(self.call, ret, &self.fd, &self.local, self.remote.addr())
            .with("target_pid", self.peer.pid())
            .with("target_comm", COMM)
            .numbered(seq))
    }
}

/// Runs `plan` on the memory of one peer.
pub fn run(plan: &Plan, call: MemCall, report: &mut Report) -> Result<()> {
    ensure!(call.vectored() || plan.segments == 1, "{} has one segment", call.name());
    let mut buffers = Vec::new();
    for _ in plan.workers() {
        let local = Buffer::split(Region::private, plan.size, plan.segments.into())?;
        let remote = Buffer::new(Region::shared, &[plan.size])?;
        if call.writes() {
            local.fill(0)
        } else {
            remote.fill(0)
        }
        buffers.push((local, remote));
    }
    let peer = Peer::fork()?;
    report.fact("target_pid", peer.pid());
    let mut transfers = Vec::new();
    for (local, remote) in buffers {
        let fd = open(&format!("/proc/{}/mem", peer.pid()))?;
        transfers.push(Mem { call, fd, local, remote, peer: &peer });
    }
    drive(plan, transfers, report)
}

/// Opens the memory of thread `tid` of process `pid`, as gdb does.
pub fn open_task(pid: i32, tid: i32) -> Result<OwnedFd> {
    open(&format!("/proc/{pid}/task/{tid}/mem"))
}
