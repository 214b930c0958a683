//! Descriptors of /proc/PID/mem that another thread replaces or closes while a call is under way. So that the moment is
//! certain, the call's own memory waits for a page (userfaultfd) until that is done.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};

use super::kill::{HALF, withhold};
use crate::buffer::{Buffer, iovec};
use crate::mem::{self, MemCall};
use crate::peer::{Peer, in_child, reap};
use crate::report::{Entry, Report};
use crate::sys::{self, Region};

/// Bytes that move.
const LEN: usize = 4096;

/// What happens to the descriptor.
#[derive(Clone, Copy)]
enum Swap {
    /// It leads to another file.
    Replace,
    /// It is closed.
    Close,
}

/// With `WORKLOAD_GATE`, the name of a FIFO: waits until somebody has written to it.
fn gate() -> Result<()> {
    if let Some(gate) = std::env::var_os("WORKLOAD_GATE") {
        std::fs::read(gate).context("WORKLOAD_GATE")?;
    }
    Ok(())
}

/// Has a second thread make `call` on `fd` with memory that is withheld, and does `swap` while it waits. Returns the
/// thread's id and what the call returned.
fn raced(fd: &OwnedFd, other: &OwnedFd, swap: Swap, kind: MemCall, offset: u64) -> Result<(i32, i64)> {
    let region = Region::private(2 * HALF)?;
    // All of it in the second half, so that a write waits before it has moved anything.
    let range = Range([iovec(region.addr() + HALF as u64, LEN)]);
    let withheld = withhold(&region)?;
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| (sys::gettid(), mem::call(kind, fd, range.get(), offset)));
        // The message of a page that is waited for (struct uffd_msg).
        let swapped = sys::read_some(&withheld, 32).and_then(|_| {
            // SAFETY: plain numbers; the descriptor's owner is forgotten by who called us.
            let ret = unsafe {
                match swap {
                    Swap::Replace => libc::dup2(other.as_raw_fd(), fd.as_raw_fd()),
                    Swap::Close => libc::close(fd.as_raw_fd()),
                }
            };
            sys::check(ret, "the descriptor cannot be swapped")
        });
        drop(withheld);
        swapped?;
        caller.join().map_err(|_| anyhow::anyhow!("the caller panicked"))
    })
}

/// The same, reported as a call on the memory of `target`.
fn raced_call(report: &mut Report, fd: OwnedFd, swap: Swap, write: bool, target: i32, offset: u64) -> Result<()> {
    let (kind, name) = if write { (MemCall::Pwrite, "pwrite") } else { (MemCall::Pread, "pread") };
    let zero = mem::open("/dev/zero")?;
    let (tid, ret) = raced(&fd, &zero, swap, kind, offset)?;
    // Closed by now, or it leads elsewhere.
    std::mem::forget(fd);
    ensure!(ret == LEN as i64, "the call returned {ret}");
    let entry = Entry::new(name, ret).with("tid", tid).with("target_pid", target);
    report.call(entry.with("remote_iov", serde_json::json!([[offset, LEN]])));
    Ok(())
}

/// Reads and a write of a peer's memory, one by a child that has inherited the descriptor; and a read of another file, whose
/// descriptor leads to that memory by the time it returns.
pub fn swapped(report: &mut Report) -> Result<()> {
    let remote = Buffer::new(Region::shared, &[LEN])?;
    let peer = Peer::fork()?;
    let (pid, offset) = (peer.pid(), remote.addr());
    let path = format!("/proc/{pid}/mem");
    let held = mem::open(&path)?;
    gate()?;
    raced_call(report, mem::open(&path)?, Swap::Replace, false, pid, offset)?;
    raced_call(report, mem::open(&path)?, Swap::Close, false, pid, offset)?;
    raced_call(report, mem::open(&path)?, Swap::Replace, true, pid, offset)?;
    let zero = mem::open("/dev/zero")?;
    let (_, ret) = raced(&zero, &held, Swap::Replace, MemCall::Pread, offset)?;
    ensure!(ret == LEN as i64, "the call returned {ret}");
    let (_, output) = in_child(|out| {
        let mut inner = Report::default();
        raced_call(&mut inner, held.try_clone()?, Swap::Replace, false, pid, offset)?;
        sys::write_all(out, inner.into_json().to_string().as_bytes())
    })?;
    report.child(&serde_json::from_slice(&output)?)
}

/// Reads of a peer's memory by a descriptor that came with a message.
pub fn received(report: &mut Report) -> Result<()> {
    let remote = Buffer::new(Region::shared, &[LEN])?;
    let peer = Peer::fork()?;
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors, which are new and ours.
    let (here, there) = unsafe {
        sys::check(libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, ends.as_mut_ptr()), "socketpair")?;
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    };
    let path = format!("/proc/{}/mem", peer.pid());
    // The sender lives until it is received, so that at no time nobody holds the file.
    // SAFETY: this process has one thread, so the child may use everything.
    let fd = match sys::check(unsafe { libc::fork() }, "fork")? {
        0 => {
            drop(here);
            let sent = mem::open(&path).and_then(|fd| {
                Message::new().send(&there, &fd)?;
                sys::read_exact(&there, 1)
            });
            // SAFETY: ends the process.
            unsafe { libc::_exit(i32::from(sent.is_err())) }
        }
        sender => {
            let fd = Message::new().receive(&here)?;
            sys::write_all(&here, &[0])?;
            ensure!(reap(sender) == 0, "the child that sends failed");
            fd
        }
    };
    gate()?;
    raced_call(report, fd, Swap::Replace, false, peer.pid(), remote.addr())
}

/// Children that have a descriptor of their parent's memory, all at once: `WORKLOAD_HOLDERS`, or 3. None makes a call on it.
pub fn holders(report: &mut Report) -> Result<()> {
    let many = std::env::var("WORKLOAD_HOLDERS").map_or(Ok(3), |n| n.parse::<usize>()).context("WORKLOAD_HOLDERS")?;
    let _held = mem::open("/proc/self/mem")?;
    let (wait, hold) = sys::pipe(0)?;
    let mut children = Vec::new();
    for _ in 0..many {
        // SAFETY: the child makes plain syscalls alone.
        match unsafe { libc::fork() } {
            -1 => break,
            0 => {
                drop(hold);
                let ended = sys::read_exact(&wait, 1).is_err();
                // SAFETY: ends the process.
                unsafe { libc::_exit(i32::from(!ended)) }
            }
            pid => children.push(pid),
        }
    }
    drop(hold);
    let ended = children.iter().filter(|pid| reap(**pid) == 0).count();
    ensure!(ended == many, "{ended} of {many} children came to their end");
    report.fact("children", many as u64);
    Ok(())
}

/// A message of one byte with one descriptor.
pub(super) struct Message {
    byte: u8,
    control: [u64; 4],
    range: libc::iovec,
}

impl Message {
    pub(super) fn new() -> Box<Self> {
        let mut message = Box::new(Message { byte: 0, control: [0; 4], range: iovec(0, 1) });
        message.range.iov_base = (&raw mut message.byte).cast();
        message
    }

    fn header(&mut self) -> libc::msghdr {
        // SAFETY: all zeros are a valid header.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        (header.msg_iov, header.msg_iovlen) = (&raw mut self.range, 1);
        // SAFETY: computes a length.
        header.msg_controllen = unsafe { libc::CMSG_SPACE(4) } as usize;
        header.msg_control = self.control.as_mut_ptr().cast();
        header
    }

    pub(super) fn send(&mut self, socket: &OwnedFd, fd: &OwnedFd) -> Result<()> {
        let header = self.header();
        // SAFETY: the control data have room for one descriptor.
        let sent = unsafe {
            let control = libc::CMSG_FIRSTHDR(&raw const header);
            (*control).cmsg_level = libc::SOL_SOCKET;
            (*control).cmsg_type = libc::SCM_RIGHTS;
            (*control).cmsg_len = libc::CMSG_LEN(4) as usize;
            libc::CMSG_DATA(control).cast::<i32>().write_unaligned(fd.as_raw_fd());
            libc::sendmsg(socket.as_raw_fd(), &raw const header, 0)
        };
        ensure!(sent == 1, "sendmsg: {}", std::io::Error::last_os_error());
        Ok(())
    }

    pub(super) fn receive(&mut self, socket: &OwnedFd) -> Result<OwnedFd> {
        let mut header = self.header();
        // SAFETY: as in `send`; the descriptor is new and ours.
        unsafe {
            let came = libc::recvmsg(socket.as_raw_fd(), &raw mut header, 0);
            ensure!(came == 1, "recvmsg: {}", std::io::Error::last_os_error());
            let control = libc::CMSG_FIRSTHDR(&raw const header);
            ensure!(!control.is_null(), "no descriptor came");
            Ok(OwnedFd::from_raw_fd(libc::CMSG_DATA(control).cast::<i32>().read_unaligned()))
        }
    }
}

/// A range that another thread may use.
struct Range([libc::iovec; 1]);

// SAFETY: numbers for syscalls; nothing is dereferenced through them here.
unsafe impl Sync for Range {}

impl Range {
    fn get(&self) -> &[libc::iovec] {
        &self.0
    }
}
