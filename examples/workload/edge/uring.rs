//! splice and tee as io_uring submissions: no syscall of that name is made.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::buffer::{Buffer, content};
use crate::mem::{self, MemCall};
use crate::peer::{COMM, Peer};
use crate::pipes::Pipe;
use crate::report::{Entry, Report};
use crate::sys::{self, Region, raw};

const OP_SPLICE: u8 = 30;
const OP_TEE: u8 = 33;
const OP_READ: u8 = 22;
const OP_WRITE: u8 = 23;
const ENTER_GETEVENTS: u64 = 1;
const ENTER_SQ_WAKEUP: u64 = 2;
const SETUP_SQPOLL: u32 = 2;
const SQE_FIXED_FILE: u8 = 1;
const SQE_CQE_SKIP_SUCCESS: u8 = 1 << 6;
/// No descriptor of this process.
const NO_FD: i32 = 999;
const OFF_SQES: i64 = 0x1000_0000;
const SIZE: usize = 64;

/// The part of `struct io_uring_params` that is needed: offsets into the shared ring.
#[repr(C)]
#[derive(Default)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    cpu: u32,
    idle_ms: u32,
    unused: [u32; 5],
    sq: [u32; 10],
    cq: [u32; 10],
}

/// A ring of one thread that makes one request at a time.
struct Ring {
    fd: OwnedFd,
    ring: *mut u8,
    sqes: *mut u8,
    params: Params,
}

impl Ring {
    fn new(flags: u32) -> Result<Self> {
        let mut params = Params { flags, idle_ms: 1000, ..Params::default() };
        // SAFETY: `params` has the size of struct io_uring_params (120 bytes) and outlives the call.
        let fd = unsafe { raw(libc::SYS_io_uring_setup, [4, &raw mut params as u64, 0, 0, 0, 0]) };
        ensure!(fd >= 0, "io_uring_setup returned {fd}");
        // SAFETY: the descriptor is new and ours.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        // The queues share one mapping since Linux 5.4 (IORING_FEAT_SINGLE_MMAP).
        Ok(Ring { ring: map(&fd, 0)?, sqes: map(&fd, OFF_SQES)?, fd, params })
    }

    fn number(&self, offset: u32) -> &AtomicU32 {
        // SAFETY: the kernel gave the offset of an aligned 32-bit number inside the mapping, which lives as long
        // as `self`.
        unsafe { AtomicU32::from_ptr(self.ring.add(offset as usize).cast()) }
    }

    /// Puts one entry into the submission queue.
    fn push(&self, entry: [u8; 64]) {
        let [_, tail, mask, .., array, _, _, _] = self.params.sq;
        let slot = self.number(tail).load(Ordering::Relaxed) & self.number(mask).load(Ordering::Relaxed);
        // SAFETY: `slot` is below the number of entries, of 64 bytes each.
        unsafe { std::ptr::copy_nonoverlapping(entry.as_ptr(), self.sqes.add(slot as usize * 64), 64) };
        self.number(array + slot * 4).store(slot, Ordering::Relaxed);
        self.number(tail).fetch_add(1, Ordering::Release);
    }

    /// Makes descriptors known to the ring by their index (IORING_REGISTER_FILES).
    fn register(&self, fds: &[i32]) -> Result<()> {
        let args = [self.fd.as_raw_fd() as u64, 2, fds.as_ptr() as u64, fds.len() as u64, 0, 0];
        // SAFETY: the array outlives the call.
        let ret = unsafe { raw(libc::SYS_io_uring_register, args) };
        ensure!(ret == 0, "io_uring_register returned {ret}");
        Ok(())
    }

    /// Submits what was pushed and waits for `completions`.
    fn enter(&self, completions: u64) -> Result<()> {
        let flags = ENTER_GETEVENTS | if self.params.flags & SETUP_SQPOLL != 0 { ENTER_SQ_WAKEUP } else { 0 };
        // SAFETY: plain numbers.
        let ret = unsafe { raw(libc::SYS_io_uring_enter, [self.fd.as_raw_fd() as u64, 1, completions, flags, 0, 0]) };
        ensure!(ret == 1, "io_uring_enter returned {ret}");
        Ok(())
    }

    /// Submits one entry and waits for its completion; returns its result.
    fn submit(&self, entry: [u8; 64]) -> Result<i64> {
        self.push(entry);
        self.enter(1)?;
        let [head, tail, mask, _, _, cqes, ..] = self.params.cq;
        let at = self.number(head).load(Ordering::Relaxed);
        ensure!(self.number(tail).load(Ordering::Acquire) != at, "io_uring completed nothing");
        let slot = at & self.number(mask).load(Ordering::Relaxed);
        let result = self.number(cqes + slot * 16 + 8).load(Ordering::Relaxed) as i32;
        self.number(head).store(at + 1, Ordering::Release);
        Ok(i64::from(result))
    }
}

fn map(fd: &OwnedFd, offset: i64) -> Result<*mut u8> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_POPULATE);
    // SAFETY: a new mapping; both parts of a ring of 4 entries fit into a page.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, fd.as_raw_fd(), offset) };
    ensure!(base != libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
    Ok(base.cast())
}

/// A submission entry for splice or tee (struct io_uring_sqe).
fn request(opcode: u8, fd_in: i32, off_in: i64, fd_out: i32, off_out: i64) -> [u8; 64] {
    let mut entry = [0; 64];
    let mut put = |at: usize, bytes: &[u8]| entry[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[opcode]);
    put(4, &fd_out.to_le_bytes());
    put(8, &off_out.to_le_bytes());
    put(16, &off_in.to_le_bytes());
    put(24, &(SIZE as u32).to_le_bytes());
    put(44, &fd_in.to_le_bytes());
    entry
}

fn uring_entry(event: &str, ret: i64, fd_in: i32, fd_out: i32) -> Entry {
    let mut entry = Entry::new(event, ret)
        .with("abi", "io_uring")
        .with("fd_in", fd_in)
        .with("fd_out", fd_out)
        .with("bytes_requested", SIZE)
        .with("flags", 0)
        .with("payload_status", "none");
    // Whether it is the submitting thread's or a worker's is the kernel's choice.
    entry.forget("tid");
    entry
}

/// One splice of 64 bytes from pipe to pipe, and what a recorder should have seen of it.
pub fn splice_once(fd_in: i32, fd_out: i32) -> Result<Entry> {
    let ret = Ring::new(0)?.submit(request(OP_SPLICE, fd_in, -1, fd_out, -1)).context("splice")?;
    ensure!(ret == SIZE as i64, "splice by io_uring returned {ret}");
    Ok(uring_entry("splice", ret, fd_in, fd_out))
}

/// One splice of 64 bytes from a pipe to any file, by its descriptor or by an index of the ring's registered files, and
/// what a recorder should have seen of it.
pub fn splice_to(fd_in: i32, fd_out: i32, registered: bool) -> Result<Entry> {
    let ring = Ring::new(0)?;
    let mut entry = request(OP_SPLICE, fd_in, -1, if registered { 0 } else { fd_out }, -1);
    if registered {
        ring.register(&[fd_out])?;
        entry[1] = SQE_FIXED_FILE;
    }
    let ret = ring.submit(entry).context("splice")?;
    ensure!(ret == SIZE as i64, "splice by io_uring returned {ret}");
    Ok(uring_entry("splice", ret, fd_in, if registered { 0 } else { fd_out }))
}

/// From pipe to pipe, and from a file with an offset.
pub fn splice(report: &mut Report) -> Result<()> {
    let ring = Ring::new(0)?;
    let (from, to) = (Pipe::new(0)?, Pipe::new(0)?);
    sys::write_all(&from.write, &content(0, SIZE))?;
    let (fd_in, fd_out) = (from.read.as_raw_fd(), to.write.as_raw_fd());
    let ret = ring.submit(request(OP_SPLICE, fd_in, -1, fd_out, -1)).context("splice")?;
    ensure!(ret == SIZE as i64, "splice by io_uring returned {ret}");
    ensure!(sys::read_exact(&to.read, SIZE)? == content(0, SIZE), "splice brought other bytes");
    let seen = uring_entry("splice", ret, fd_in, fd_out).with("off_in", Value::Null);
    report.call(seen.with("off_out", Value::Null).with("pipe_in", from.inode).with("pipe_out", to.inode));
    let file = sys::memfd(&[7; 8192])?;
    let ret = ring.submit(request(OP_SPLICE, file.as_raw_fd(), 4096, fd_out, -1))?;
    ensure!(ret == SIZE as i64, "splice by io_uring returned {ret}");
    report.call(uring_entry("splice", ret, file.as_raw_fd(), fd_out).with("off_in", 4096));
    let ret = ring.submit(request(OP_SPLICE, NO_FD, -1, fd_out, -1))?;
    ensure!(ret == -9, "splice from no descriptor returned {ret}");
    report.call(uring_entry("splice", ret, NO_FD, fd_out).with("fd_in_kind", "closed"));
    Ok(())
}

/// Submitted by a thread of the kernel's (IORING_SETUP_SQPOLL): not even io_uring_enter stands for the request.
pub fn sqpoll(report: &mut Report) -> Result<()> {
    let ring = Ring::new(SETUP_SQPOLL)?;
    let (from, to) = (Pipe::new(0)?, Pipe::new(0)?);
    sys::write_all(&from.write, &content(0, SIZE))?;
    let (fd_in, fd_out) = (from.read.as_raw_fd(), to.write.as_raw_fd());
    let ret = ring.submit(request(OP_SPLICE, fd_in, -1, fd_out, -1)).context("splice")?;
    ensure!(ret == SIZE as i64, "splice by io_uring returned {ret}");
    report.call(uring_entry("splice", ret, fd_in, fd_out).with("pipe_in", from.inode).with("pipe_out", to.inode));
    Ok(())
}

/// Without a completion where it succeeds (IOSQE_CQE_SKIP_SUCCESS): the result is nobody's to see.
pub fn skip_success(report: &mut Report) -> Result<()> {
    let ring = Ring::new(0)?;
    let (from, to) = (Pipe::new(0)?, Pipe::new(0)?);
    sys::write_all(&from.write, &content(0, SIZE))?;
    let (fd_in, fd_out) = (from.read.as_raw_fd(), to.write.as_raw_fd());
    let mut request = request(OP_SPLICE, fd_in, -1, fd_out, -1);
    request[1] = SQE_CQE_SKIP_SUCCESS;
    ring.push(request);
    ring.enter(0)?;
    ensure!(sys::read_exact(&to.read, SIZE)? == content(0, SIZE), "splice brought other bytes");
    let seen = uring_entry("splice", 0, fd_in, fd_out).with("ret", Value::Null).with("bytes", Value::Null);
    report.call(seen.with("pipe_in", from.inode).with("pipe_out", to.inode));
    Ok(())
}

/// From pipe to pipe.
pub fn tee(report: &mut Report) -> Result<()> {
    let ring = Ring::new(0)?;
    let (from, to) = (Pipe::new(0)?, Pipe::new(0)?);
    sys::write_all(&from.write, &content(0, SIZE))?;
    let (fd_in, fd_out) = (from.read.as_raw_fd(), to.write.as_raw_fd());
    let ret = ring.submit(request(OP_TEE, fd_in, 0, fd_out, 0)).context("tee")?;
    ensure!(ret == SIZE as i64, "tee by io_uring returned {ret}");
    ensure!(sys::read_exact(&to.read, SIZE)? == content(0, SIZE), "tee brought other bytes");
    report.call(uring_entry("tee", ret, fd_in, fd_out).with("pipe_in", from.inode).with("pipe_out", to.inode));
    Ok(())
}

/// /proc/PID/mem, read and written by requests.
pub fn mem(report: &mut Report) -> Result<()> {
    let ring = Ring::new(0)?;
    let (local, remote) = (Buffer::new(Region::private, &[SIZE])?, Buffer::new(Region::shared, &[SIZE])?);
    let peer = Peer::fork()?;
    let fd = mem::open(&format!("/proc/{}/mem", peer.pid()))?;
    for (seq, (opcode, call)) in (0..).zip([(OP_READ, MemCall::Pread), (OP_WRITE, MemCall::Pwrite)]) {
        if opcode == OP_READ {
            remote.fill(seq)
        } else {
            local.fill(seq)
        }
        // Offset and buffer stand where a splice has its offsets, the file where it has the one to write to.
        let ret = ring.submit(request(opcode, 0, local.addr() as i64, fd.as_raw_fd(), remote.addr() as i64))?;
        ensure!(ret == SIZE as i64, "opcode {opcode} returned {ret}");
        ensure!(local.gather() == remote.gather(), "opcode {opcode} brought other bytes");
        let mut seen = mem::entry(call, ret, &fd, &local, remote.addr()).with("abi", "io_uring").with("liovcnt", 1);
        seen.forget("tid");
        let seen = seen.with(if opcode == OP_READ { "fd_in" } else { "fd_out" }, Value::Null);
        report.call(seen.with("target_pid", peer.pid()).with("target_comm", COMM).numbered(seq));
    }
    Ok(())
}
