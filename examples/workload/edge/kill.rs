//! A process that is killed while a call copies its memory, and one that is killed while its own call does. So that
//! the moment is certain, the second half of the target's memory waits for a page that nobody brings (userfaultfd).

use std::os::fd::{FromRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};

use super::life::wait_for;
use crate::buffer::{Buffer, content, iovec};
use crate::peer::reap;
use crate::report::{Entry, Report};
use crate::sys::{self, Region, raw};
use crate::vm::{call, entry};

pub(super) const HALF: usize = 8 * 4096;

/// `struct uffdio_api` and `struct uffdio_register` (linux/userfaultfd.h), and the numbers of their requests.
#[repr(C)]
struct UffdioApi {
    api: u64,
    features: u64,
    ioctls: u64,
}
#[repr(C)]
struct UffdioRegister {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}
const UFFDIO_API: libc::c_ulong = 0xc018_aa3f;
const UFFDIO_REGISTER: libc::c_ulong = 0xc020_aa00;
const UFFD_API: u64 = 0xaa;
const UFFDIO_REGISTER_MODE_MISSING: u64 = 1;

/// A target with memory, half of it there and half of it waiting; killed and reaped at the end.
struct Target {
    pid: i32,
    memory: Region,
}

impl Target {
    fn fork() -> Result<Self> {
        let memory = Region::private(2 * HALF)?;
        let (ready, tell) = sys::pipe(0)?;
        // SAFETY: this process has one thread, so the child may use everything.
        match sys::check(unsafe { libc::fork() }, "fork")? {
            0 => {
                drop(ready);
                let told = withhold(&memory).and_then(|waiting| sys::write_all(&tell, &[0]).map(|()| waiting));
                if let Err(error) = &told {
                    eprintln!("workload: target: {error:#}");
                }
                // SAFETY: dies with its parent at the latest, by a signal; the descriptor must live as long.
                unsafe {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    while told.is_ok() {
                        libc::pause();
                    }
                    libc::_exit(1)
                }
            }
            pid => {
                drop(tell);
                let target = Target { pid, memory };
                sys::read_exact(&ready, 1).context("the target did not start")?;
                Ok(target)
            }
        }
    }

    fn kill(&self) {
        // SAFETY: our own child, which is not reaped before the end.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.kill();
        reap(self.pid);
    }
}

/// Fills the first half of this process's `memory`. Whoever touches the second waits, until the descriptor is closed.
pub(super) fn withhold(memory: &Region) -> Result<OwnedFd> {
    memory.write(0, &content(0, HALF));
    // SAFETY: the structs outlive the calls; the descriptor is new and ours.
    unsafe {
        let fd = raw(libc::SYS_userfaultfd, [libc::O_CLOEXEC as u64, 0, 0, 0, 0, 0]);
        ensure!(fd >= 0, "userfaultfd returned {fd}");
        let fd = i32::try_from(fd)?;
        let mut api = UffdioApi { api: UFFD_API, features: 0, ioctls: 0 };
        sys::check(libc::ioctl(fd, UFFDIO_API, &raw mut api), "UFFDIO_API")?;
        let start = memory.addr() + HALF as u64;
        let mut register = UffdioRegister { start, len: HALF as u64, mode: UFFDIO_REGISTER_MODE_MISSING, ioctls: 0 };
        sys::check(libc::ioctl(fd, UFFDIO_REGISTER, &raw mut register), "UFFDIO_REGISTER")?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// What a recorder should have seen of the call `pid` made.
fn seen(ret: i64, pid: i32, target: i32, local: &[libc::iovec], remote: &[libc::iovec]) -> Entry {
    let seen = entry(false, ret, target, local, remote, 0).with("pid", pid).with("tid", pid);
    seen.with("target_pid", target).with("comm", "workload")
}

/// Starts a caller that reads all of a target's memory, and calls `then` with its pid when it waits in the call.
/// Returns the caller's pid, its wait status, and the result that it told, if it could.
fn caught(
    target: &Target,
    local: &Buffer,
    remote: libc::iovec,
    then: impl FnOnce(i32),
) -> Result<(i32, i32, Option<i64>)> {
    let (told, tell) = sys::pipe(0)?;
    // SAFETY: this process has one thread, so the child may use everything.
    match sys::check(unsafe { libc::fork() }, "fork")? {
        0 => {
            let ret = call(false, target.pid, local.iov(), &[remote], 0);
            let done = sys::write_all(&tell, &ret.to_le_bytes());
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(done.is_err())) }
        }
        caller => {
            drop(tell);
            let number = format!("{} ", libc::SYS_process_vm_readv);
            wait_for(caller, "syscall", |line| line.starts_with(&number))?;
            then(caller);
            let ret = sys::read_exact(&told, 8).ok().and_then(|b| b.try_into().ok()).map(i64::from_le_bytes);
            Ok((caller, reap(caller), ret))
        }
    }
}

/// The target is killed. Its memory lives until the call is over: the pages it waits for are empty ones then.
pub fn target(report: &mut Report) -> Result<()> {
    let target = Target::fork()?;
    let local = Buffer::new(Region::private, &[2 * HALF])?;
    let remote = iovec(target.memory.addr(), 2 * HALF);
    let (caller, status, ret) = caught(&target, &local, remote, |_| target.kill())?;
    ensure!(status == 0, "the caller ended with wait status {status}");
    let ret = ret.context("the caller told nothing")?;
    ensure!(ret == 2 * HALF as i64, "the call returned {ret}");
    let bytes = [content(0, HALF), vec![0; HALF]].concat();
    let seen = seen(ret, caller, target.pid, local.iov(), &[remote]).with("target_ended", true);
    report.call(seen.payload(&bytes));
    Ok(())
}

/// The caller is killed: its call ends with the pages that it got, and nobody is there to be told.
pub fn caller(report: &mut Report) -> Result<()> {
    let target = Target::fork()?;
    let local = Buffer::new(Region::private, &[2 * HALF])?;
    let remote = iovec(target.memory.addr(), 2 * HALF);
    let kill = |caller| {
        // SAFETY: our own child, which is not reaped yet.
        unsafe { libc::kill(caller, libc::SIGKILL) };
    };
    let (caller, status, ret) = caught(&target, &local, remote, kill)?;
    ensure!(status == libc::SIGKILL && ret.is_none(), "the caller ended with wait status {status}");
    report.call(seen(HALF as i64, caller, target.pid, local.iov(), &[remote]).payload(&content(0, HALF)));
    report.fact("child", caller);
    Ok(())
}
