//! Opening /proc/PID/mem of a peer, by every call that opens a file.

use std::ffi::CString;
use std::os::fd::{FromRawFd, OwnedFd};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::drive::{Plan, Transfer, run as drive};
use super::peer::{COMM, Peer};
use super::report::{Entry, Report};
use super::sys::raw;

/// The event that a recorder sees.
pub const EVENT: &str = "mem_open";

/// include/uapi/linux/openat2.h
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    pub flags: u64,
    pub mode: u64,
    pub resolve: u64,
}

/// One way to open a file.
#[derive(Clone, Copy, Debug)]
pub enum Open {
    Plain { flags: i32 },
    Creat,
    Openat { dirfd: i32, flags: i32 },
    Openat2 { dirfd: i32, how: How },
}

/// The mode passed along, which has no meaning where no file is created.
pub const MODE: u64 = 0o640;

impl Open {
    /// Makes the call; returns the new descriptor or `-errno`.
    pub fn call(self, path: &CString) -> i64 {
        let path = path.as_ptr() as u64;
        let (number, args) = match self {
            Open::Plain { flags } => (libc::SYS_open, [path, flags as u64, MODE, 0, 0, 0]),
            Open::Creat => (libc::SYS_creat, [path, MODE, 0, 0, 0, 0]),
            Open::Openat { dirfd, flags } => (libc::SYS_openat, [dirfd as u64, path, flags as u64, MODE, 0, 0]),
            Open::Openat2 { dirfd, ref how } => {
                let size = size_of::<How>() as u64;
                (libc::SYS_openat2, [dirfd as u64, path, std::ptr::from_ref(how) as u64, size, 0, 0])
            }
        };
        // SAFETY: the path is a C string, and both it and `how` outlive the call.
        unsafe { raw(number, args) }
    }

    /// What a recorder should have seen of it, but for target and file.
    pub fn entry(self, path: &str, ret: i64) -> Entry {
        let (dirfd, flags, mode, resolve) = match self {
            Open::Plain { flags } => (Value::Null, flags as u64, MODE, Value::Null),
            Open::Creat => (Value::Null, (libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC) as u64, MODE, Value::Null),
            Open::Openat { dirfd, flags } => (dirfd.into(), flags as u64, MODE, Value::Null),
            Open::Openat2 { dirfd, how } => (dirfd.into(), how.flags, how.mode, how.resolve.into()),
        };
        let access = ["r", "w", "rw"].get((flags & 3) as usize).copied();
        let (fd, kind, access) = match ret {
            0.. => (ret.into(), "proc_mem".into(), access.into()),
            _ => (Value::Null, Value::Null, Value::Null),
        };
        Entry::new(EVENT, ret)
            .with("bytes", Value::Null)
            .with("direction", Value::Null)
            .with("path", path)
            .with("dirfd", dirfd)
            .with("flags", flags)
            .with("open_mode", mode)
            .with("open_resolve", resolve)
            .with("fd_in", Value::Null)
            .with("fd_out", fd)
            .with("fd_out_kind", kind)
            .with("fd_out_mode", access)
            .with("target_pid_arg", Value::Null)
            .nothing_captured()
    }
}

/// The descriptor that a call has made.
pub fn owned(ret: i64) -> Result<OwnedFd> {
    ensure!(ret >= 0, "the file was not opened: {ret}");
    // SAFETY: new and ours.
    Ok(unsafe { OwnedFd::from_raw_fd(ret as i32) })
}

struct Opening<'a> {
    text: String,
    path: CString,
    peer: &'a Peer,
}

const PLAIN: Open = Open::Openat { dirfd: libc::AT_FDCWD, flags: libc::O_RDWR | libc::O_CLOEXEC };

impl Transfer for Opening<'_> {
    fn event(&self) -> &'static str {
        EVENT
    }

    fn prepare(&mut self, _: u64) -> Result<()> {
        Ok(())
    }

    fn call(&mut self) -> i64 {
        PLAIN.call(&self.path)
    }

    fn moved(&self, _: i64) -> u64 {
        0
    }

    fn describe(&mut self, _: u64, ret: i64) -> Result<Entry> {
        let seen = PLAIN.entry(&self.text, ret).with("target_pid", self.peer.pid()).with("target_comm", COMM);
        Ok(seen.with("fd_out_path", self.text.as_str()))
    }

    fn settle(&mut self, ret: i64) -> Result<()> {
        owned(ret).map(drop)
    }
}

/// Runs `plan` on the memory of one peer.
pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    let peer = Peer::fork()?;
    report.fact("target_pid", peer.pid());
    let text = format!("/proc/{}/mem", peer.pid());
    let one = |_| Ok(Opening { text: text.clone(), path: CString::new(text.as_str())?, peer: &peer });
    drive(plan, plan.workers().map(one).collect::<Result<_>>()?, report)
}
