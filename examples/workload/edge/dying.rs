//! Targets that are gone when a call on them returns, and targets that share their memory. So that the moment is certain,
//! the second half of the caller's own memory waits for a page (userfaultfd) until the target has ended.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::kill::{HALF, withhold};
use crate::buffer::{Buffer, iovec};
use crate::mem::{self, MemCall};
use crate::peer::{COMM, Peer};
use crate::report::{Entry, Report};
use crate::sys::{self, Region};
use crate::vm::{call, entry};

/// The process to be killed: a peer, or the one that `WORKLOAD_TARGET` names and somebody else waits for.
struct Victim {
    pid: i32,
    tid: i32,
    /// Memory of it.
    address: u64,
    /// What that holds.
    bytes: Vec<u8>,
    comm: String,
}

impl Victim {
    fn new() -> Result<Self> {
        if let Ok(pid) = std::env::var("WORKLOAD_TARGET") {
            return Self::of_pid(pid.parse().context("WORKLOAD_TARGET")?);
        }
        let memory = Buffer::new(Region::shared, &[LEN])?;
        memory.fill(0);
        let (address, bytes) = (memory.addr(), memory.gather());
        let peer = Peer::fork_with_thread()?;
        let (pid, tid) = (peer.pid(), peer.tid());
        // Killed and waited for here.
        std::mem::forget(peer);
        Ok(Victim { pid, tid, address, bytes, comm: COMM.into() })
    }

    /// The first mapping of a program is readable and never changes.
    fn of_pid(pid: i32) -> Result<Self> {
        let maps = std::fs::File::open(format!("/proc/{pid}/maps"))?;
        let mut line = String::new();
        BufReader::new(maps).read_line(&mut line)?;
        let range = line.split(' ').next().and_then(|range| range.split_once('-')).context("no mapping")?;
        let [address, end] = [range.0, range.1].map(|word| u64::from_str_radix(word, 16));
        let (address, end) = (address?, end?);
        let exe = std::fs::File::open(format!("/proc/{pid}/exe"))?;
        let mut bytes = Vec::new();
        exe.take(end - address).read_to_end(&mut bytes)?;
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm"))?.trim_end().to_string();
        Ok(Victim { pid, tid: pid, address, bytes, comm })
    }

    /// Kills it, and waits until nobody has its number any more.
    fn end(&self) -> Result<()> {
        // SAFETY: plain numbers; a child of ours, or a process that we are told to kill.
        sys::check(unsafe { libc::kill(self.pid, libc::SIGKILL) }, "kill")?;
        let mut status = 0;
        // SAFETY: `status` outlives the call, which fails where the process is somebody else's child.
        unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
        while std::path::Path::new(&format!("/proc/{}", self.pid)).exists() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Ok(())
    }
}

/// Has a second thread make a call that fills `local`, and ends the victim while it waits for the second half. Returns the
/// thread's id and what the call returned.
fn outlive(victim: &Victim, local: &Region, call: impl FnOnce() -> i64 + Send) -> Result<(i32, i64)> {
    let withheld = withhold(local)?;
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| (sys::gettid(), call()));
        // The message of a page that is waited for (struct uffd_msg).
        let ended = sys::read_some(&withheld, 32).and_then(|_| victim.end());
        drop(withheld);
        ended?;
        caller.join().map_err(|_| anyhow::anyhow!("the caller panicked"))
    })
}

/// Bytes that are read, half of them into memory that is withheld.
const LEN: usize = 4096;

/// Memory that is withheld in part, and a range across.
fn local() -> Result<(Region, libc::iovec)> {
    let region = Region::private(2 * HALF)?;
    let range = iovec(region.addr() + (HALF - LEN / 2) as u64, LEN);
    Ok((region, range))
}

fn seen(entry: Entry, tid: i32, victim: &Victim) -> Entry {
    let bytes = victim.bytes.get(..LEN).unwrap_or_default();
    let entry = entry.with("tid", tid).with("target_pid", victim.pid).with("target_comm", victim.comm.as_str());
    entry.with("target_ended", true).payload(bytes)
}

/// process_vm_readv.
pub fn vm(report: &mut Report) -> Result<()> {
    let victim = Victim::new()?;
    let (region, range) = local()?;
    let (local, remote) = (Ranges([range]), Ranges([iovec(victim.address, LEN)]));
    let (tid, ret) = outlive(&victim, &region, || call(false, victim.pid, local.get(), remote.get(), 0))?;
    ensure!(ret == LEN as i64, "the call returned {ret}");
    let entry = entry(false, ret, victim.pid, local.get(), remote.get(), 0);
    report.call(seen(entry, tid, &victim));
    Ok(())
}

/// /proc/PID/mem.
pub fn mem(report: &mut Report) -> Result<()> {
    let victim = Victim::new()?;
    let fd = mem::open(&format!("/proc/{}/mem", victim.pid))?;
    of_file(report, &victim, &fd)
}

/// /proc/PID/task/TID/mem.
pub fn mem_task(report: &mut Report) -> Result<()> {
    let victim = Victim::new()?;
    let fd = mem::open_task(victim.pid, victim.tid)?;
    of_file(report, &victim, &fd)
}

/// /proc/PID/task/TID/mem of processes whose two threads end at the same time, on two CPUs: any of the two may be the last.
/// It shows whose memory it was, and nothing is left to read.
pub fn mem_pairs(report: &mut Report) -> Result<()> {
    let memory = Buffer::new(Region::shared, &[LEN])?;
    for _ in 0..50 {
        let peer = Peer::fork_with_busy_thread()?;
        let fd = mem::open_task(peer.pid(), peer.tid())?;
        let pid = peer.pid();
        let victim = Victim { pid, tid: peer.tid(), address: memory.addr(), bytes: Vec::new(), comm: COMM.into() };
        // Killed and waited for here.
        std::mem::forget(peer);
        victim.end()?;
        let ret = mem::call(MemCall::Pread, &fd, memory.iov(), memory.addr());
        let entry = mem::entry(MemCall::Pread, ret, &fd, &memory, memory.addr()).with("target_pid", pid);
        report.call(entry.with("target_comm", COMM).with("target_ended", true));
    }
    Ok(())
}

fn of_file(report: &mut Report, victim: &Victim, fd: &OwnedFd) -> Result<()> {
    let (region, range) = local()?;
    let local = Ranges([range]);
    let (tid, ret) = outlive(victim, &region, || mem::call(MemCall::Pread, fd, local.get(), victim.address))?;
    ensure!(ret == LEN as i64, "the call returned {ret}");
    let entry = Entry::new("pread", ret)
        .with("direction", "in")
        .with("fd_in", fd.as_raw_fd())
        .with("fd_in_kind", "proc_mem")
        .with("remote_iov", serde_json::json!([[victim.address, LEN]]));
    report.call(seen(entry, tid, victim));
    Ok(())
}

/// Ranges that another thread may use.
struct Ranges([libc::iovec; 1]);

// SAFETY: numbers for syscalls; nothing is dereferenced through them here.
unsafe impl Sync for Ranges {}

impl Ranges {
    fn get(&self) -> &[libc::iovec] {
        &self.0
    }
}

extern "C" fn idle(_: *mut libc::c_void) -> libc::c_int {
    loop {
        // SAFETY: takes nothing.
        unsafe { libc::pause() };
    }
}

/// /proc/PID/mem of a process that shares this one's memory. Whose memory that is, is who was opened.
pub fn shared_memory(report: &mut Report) -> Result<()> {
    let stack = Region::private(65536)?;
    let top = (stack.addr() + 65536) as *mut libc::c_void;
    // SAFETY: the child has a stack of its own, and only waits to be killed.
    let pid = unsafe { libc::clone(idle, top, libc::CLONE_VM | libc::SIGCHLD, std::ptr::null_mut()) };
    let pid = sys::check(pid, "clone")?;
    let mut read = || -> Result<()> {
        let (local, remote) = (Buffer::new(Region::private, &[64])?, Buffer::new(Region::private, &[64])?);
        remote.fill(0);
        for (path, who) in [(format!("/proc/{pid}/mem"), pid), ("/proc/self/mem".into(), std::process::id() as i32)] {
            let fd = mem::open(&path)?;
            let ret = mem::call(MemCall::Pread, &fd, local.iov(), remote.addr());
            ensure!(ret == 64, "the call returned {ret}");
            let seen = mem::entry(MemCall::Pread, ret, &fd, &local, remote.addr()).with("target_pid", who);
            report.call(seen.with("target_ended", Value::Null).numbered(0));
        }
        Ok(())
    };
    let done = read();
    // SAFETY: our own child, which is not reaped yet.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    crate::peer::reap(pid);
    done
}
