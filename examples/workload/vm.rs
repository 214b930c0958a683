//! process_vm_readv and process_vm_writev.

use anyhow::{Result, ensure};

use super::buffer::{Buffer, content, ranges};
use super::drive::{Plan, Transfer, run as drive};
use super::peer::{COMM, Peer};
use super::report::{Entry, Report};
use super::sys::{Region, raw};

/// One call with any arguments; returns what the kernel returned.
pub fn call(write: bool, pid: i32, local: &[libc::iovec], remote: &[libc::iovec], flags: u64) -> i64 {
    let args = [pid as u64, local.as_ptr() as u64, local.len() as u64, remote.as_ptr() as u64, remote.len() as u64];
    call_raw(write, args, flags)
}

/// As [`call`], with the arrays given by address and count, which need not be valid.
pub fn call_raw(write: bool, [pid, local, liovcnt, remote, riovcnt]: [u64; 5], flags: u64) -> i64 {
    let nr = if write { libc::SYS_process_vm_writev } else { libc::SYS_process_vm_readv };
    // SAFETY: the kernel checks both arrays and all they point to; callers pass local segments that lie in their
    // own mappings or in none.
    unsafe { raw(nr, [pid, local, liovcnt, remote, riovcnt, flags]) }
}

/// Name of the event.
pub fn event(write: bool) -> &'static str {
    if write { "process_vm_writev" } else { "process_vm_readv" }
}

/// What a recorder should have seen of a call, but for target and payload.
pub fn entry(write: bool, ret: i64, pid: i32, local: &[libc::iovec], remote: &[libc::iovec], flags: u64) -> Entry {
    let total = |iov: &[libc::iovec]| iov.iter().map(|v| v.iov_len).sum::<usize>();
    Entry::new(event(write), ret)
        .with("direction", if write { "out" } else { "in" })
        .with("target_pid_arg", pid)
        .with("local_iov", ranges(local))
        .with("liovcnt", local.len())
        .with("remote_iov", ranges(remote))
        .with("riovcnt", remote.len())
        .with("flags", flags)
        .with("bytes_requested", total(local).min(total(remote)))
        .with("iov_source", "user")
        .with("iov_verdict", "unverified")
}

/// Transfers between this process and one peer.
struct Vm<'a> {
    write: bool,
    local: Buffer,
    remote: Buffer,
    peer: &'a Peer,
}

impl Transfer for Vm<'_> {
    fn event(&self) -> &'static str {
        event(self.write)
    }

    fn prepare(&mut self, seq: u64) -> Result<()> {
        if self.write {
            self.local.stamp(seq)
        } else {
            self.remote.stamp(seq)
        }
        Ok(())
    }

    fn call(&mut self) -> i64 {
        call(self.write, self.peer.pid(), self.local.iov(), self.remote.iov(), 0)
    }

    fn describe(&mut self, seq: u64, ret: i64) -> Result<Entry> {
        let got = if self.write { self.remote.gather() } else { self.local.gather() };
        ensure!(got == content(seq, got.len()), "call {seq} did not bring its payload");
        Ok(entry(self.write, ret, self.peer.pid(), self.local.iov(), self.remote.iov(), 0)
            .with("target_pid", self.peer.pid())
            .with("target_comm", COMM)
            .numbered(seq))
    }
}

/// Runs `plan` against one peer.
pub fn run(plan: &Plan, write: bool, report: &mut Report) -> Result<()> {
    let mut buffers = Vec::new();
    for _ in plan.workers() {
        let local = Buffer::split(Region::private, plan.size, plan.segments.into())?;
        let remote = Buffer::split(Region::shared, plan.size, plan.remote_segments.into())?;
        if write {
            local.fill(0)
        } else {
            remote.fill(0)
        }
        buffers.push((local, remote));
    }
    let peer = Peer::fork()?;
    report.fact("target_pid", peer.pid());
    report.fact("local", buffers.iter().map(|(local, _)| local.ranges()).collect::<serde_json::Value>());
    report.fact("remote", buffers.iter().map(|(_, remote)| remote.ranges()).collect::<serde_json::Value>());
    let transfers = buffers.into_iter().map(|(local, remote)| Vm { write, local, remote, peer: &peer }).collect();
    drive::<Vm<'_>>(plan, transfers, report)
}
