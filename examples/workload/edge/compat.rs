//! 32-bit calls out of 64-bit code: `int 0x80`, with i386 numbers and 32-bit iovecs.

use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::buffer::{Buffer, content, hex};
use crate::mem;
use crate::peer::{COMM, Peer};
use crate::pipes::{Pipe, splice_entry, vmsplice_entry};
use crate::report::{Entry, Report};
use crate::sys::{self, Region};
use crate::trace::{GETREGS, moved_entry};

const PTRACE: u32 = 26;
const SPLICE: u32 = 313;
const TEE: u32 = 315;
const VMSPLICE: u32 = 316;
const READV: u32 = 347;
const WRITEV: u32 = 348;

core::arch::global_asm!(
    // int80(number, a, b, c, d, e, f): six arguments in rsi, rdx, rcx, r8, r9 and on the stack.
    ".globl workload_int80",
    "workload_int80:",
    "push rbx",
    "push rbp",
    "mov eax, edi",
    "mov ebx, esi",
    "mov esi, r8d",
    "mov edi, r9d",
    "mov ebp, [rsp + 24]",
    "xchg ecx, edx",
    "int 0x80",
    "pop rbp",
    "pop rbx",
    "ret",
);

unsafe extern "C" {
    fn workload_int80(number: u32, a: u32, b: u32, c: u32, d: u32, e: u32, f: u32) -> i32;
}

/// Makes the i386 syscall `number`.
///
/// # Safety
/// As for any raw syscall: it may only write to memory that is the caller's to write.
pub(super) unsafe fn syscall32(number: u32, [a, b, c, d, e, f]: [u32; 6]) -> i64 {
    // SAFETY: passed on to the caller.
    i64::from(unsafe { workload_int80(number, a, b, c, d, e, f) })
}

/// A page below 4 GiB: an array of 32-bit iovecs at its start, two segments behind it.
struct LowBuffer {
    page: Region,
}

impl LowBuffer {
    const PARTS: [(usize, usize); 2] = [(1024, 24), (2048, 40)];
    const SIZE: usize = 64;

    fn new() -> Result<Self> {
        let buffer = LowBuffer { page: Region::low(4096)? };
        for (i, (offset, len)) in Self::PARTS.iter().enumerate() {
            let base = u32::try_from(buffer.page.addr() as usize + offset).context("not below 4 GiB")?;
            buffer.page.write(i * 8, &[base.to_le_bytes(), u32::try_from(*len)?.to_le_bytes()].concat());
        }
        Ok(buffer)
    }

    fn array(&self) -> u32 {
        self.page.addr() as u32
    }

    fn ranges(&self) -> Value {
        Self::PARTS.iter().map(|(offset, len)| json!([self.page.addr() + *offset as u64, len])).collect()
    }

    fn fill(&self, seq: u64) {
        let bytes = content(seq, Self::SIZE);
        let (first, second) = bytes.split_at(Self::PARTS[0].1);
        self.page.write(Self::PARTS[0].0, first);
        self.page.write(Self::PARTS[1].0, second);
    }

    fn gather(&self) -> Vec<u8> {
        Self::PARTS.iter().flat_map(|(offset, len)| self.page.read(*offset, *len)).collect()
    }
}

/// Every call that a 32-bit ABI has of its own.
pub fn int80(report: &mut Report) -> Result<()> {
    let local = LowBuffer::new()?;
    let remote = LowBuffer::new()?;
    remote.fill(0);
    let peer = Peer::fork()?;
    vm_calls(report, &local, &remote, &peer)?;
    pipe_calls(report, &local)?;
    word(report, &local, &remote, &peer)
}

fn vm_calls(report: &mut Report, local: &LowBuffer, remote: &LowBuffer, peer: &Peer) -> Result<()> {
    local.fill(1);
    let calls = [(WRITEV, "process_vm_writev", "out", 1), (READV, "process_vm_readv", "in", 1)];
    for (number, event, way, seq) in calls {
        let args = [peer.pid() as u32, local.array(), 2, remote.array(), 2, 0];
        // SAFETY: both arrays name memory of our own pages, in this process and in the peer.
        let ret = unsafe { syscall32(number, args) };
        ensure!(ret == LowBuffer::SIZE as i64, "{event} by int 0x80 returned {ret}");
        let seen = Entry::new(event, ret).with("abi", "compat32").with("direction", way);
        let seen = seen.with("target_pid", peer.pid()).with("target_pid_arg", peer.pid()).with("target_comm", COMM);
        let seen = seen.with("local_iov", local.ranges()).with("liovcnt", 2);
        let seen = seen.with("remote_iov", remote.ranges()).with("riovcnt", 2).with("flags", 0);
        report.call(seen.with("bytes_requested", LowBuffer::SIZE).numbered(seq));
    }
    ensure!(local.gather() == content(1, LowBuffer::SIZE), "the payload went another way");
    Ok(())
}

fn pipe_calls(report: &mut Report, local: &LowBuffer) -> Result<()> {
    let (first, second) = (Pipe::new(0)?, Pipe::new(0)?);
    let size = LowBuffer::SIZE as u32;
    local.fill(2);
    let fd = first.write.as_raw_fd();
    // SAFETY: the array names memory of our own page.
    let ret = unsafe { syscall32(VMSPLICE, [fd as u32, local.array(), 2, 0, 0, 0]) };
    ensure!(ret == i64::from(size), "vmsplice by int 0x80 returned {ret}");
    let seen = vmsplice_entry(ret, fd, first.inode, local.ranges(), 2, 0, false).numbered(2);
    report.call(seen.with("abi", "compat32"));
    let (fd_in, fd_out) = (first.read.as_raw_fd(), second.write.as_raw_fd());
    // SAFETY: plain numbers.
    let ret = unsafe { syscall32(TEE, [fd_in as u32, fd_out as u32, size, 0, 0, 0]) };
    ensure!(ret == i64::from(size), "tee by int 0x80 returned {ret}");
    // vmsplice has fed the pipe: its caller is whom the bytes came from.
    let seen = |event, ret| {
        let seen = splice_entry(event, ret, fd_in, fd_out, LowBuffer::SIZE).with("abi", "compat32");
        seen.with("target_pid", std::process::id())
    };
    report.call(seen("tee", ret));
    ensure!(sys::read_exact(&second.read, LowBuffer::SIZE)? == content(2, LowBuffer::SIZE), "tee brought other bytes");
    // SAFETY: plain numbers; the offsets are null.
    let ret = unsafe { syscall32(SPLICE, [fd_in as u32, 0, fd_out as u32, 0, size, 0]) };
    ensure!(ret == i64::from(size), "splice by int 0x80 returned {ret}");
    report.call(seen("splice", ret).with("pipe_in", first.inode).with("pipe_out", second.inode));
    pipe_writes(report, &first, local)
}

/// Plain writes of the first part into a pipe that a recorded call has fed.
fn pipe_writes(report: &mut Report, pipe: &Pipe, local: &LowBuffer) -> Result<()> {
    const WRITE: u32 = 4;
    const WRITEV: u32 = 146;
    let (offset, len) = LowBuffer::PARTS[0];
    let base = local.page.addr() as usize + offset;
    let fd = pipe.write.as_raw_fd() as u32;
    for (number, args) in [(WRITE, [fd, base as u32, len as u32, 0, 0, 0]), (WRITEV, [fd, local.array(), 1, 0, 0, 0])] {
        // SAFETY: the range is part of our own page, and so is the array.
        let ret = unsafe { syscall32(number, args) };
        ensure!(ret == len as i64, "write {number} by int 0x80 returned {ret}");
        let seen = Entry::new("pipe_write", ret).with("abi", "compat32").with("direction", "out");
        let seen = seen.with("pipe_out", pipe.inode).with("local_iov", json!([[base, len]])).with("liovcnt", 1);
        report.call(seen.with("bytes_requested", len).payload(&local.page.read(offset, len)));
    }
    Ok(())
}

/// Reads and writes of the memory file, by every i386 number. The peer's memory lies above 4 GiB, so that offsets
/// come in two halves.
pub fn int80_mem(report: &mut Report) -> Result<()> {
    let local = LowBuffer::new()?;
    let remote = Buffer::new(Region::shared, &[LowBuffer::SIZE])?;
    ensure!(remote.addr() > 1 << 32, "the peer's memory is below 4 GiB");
    let peer = Peer::fork()?;
    let fd = mem::open(&format!("/proc/{}/mem", peer.pid()))?;
    for (seq, (event, number)) in (0..).zip(MEM_CALLS) {
        let (writes, vectored) = (event.contains("write"), event.contains('v'));
        if writes {
            local.fill(seq)
        } else {
            remote.fill(seq)
        }
        if !event.starts_with('p') {
            mem::seek(&fd, remote.addr())?;
        }
        let (low, high) = (remote.addr() as u32, (remote.addr() >> 32) as u32);
        let part = LowBuffer::PARTS[0];
        let (buffer, count) =
            if vectored { (local.array(), 2) } else { (local.array() + part.0 as u32, part.1 as u32) };
        // SAFETY: the kernel writes to our own page at most.
        let ret = unsafe { syscall32(number, [fd.as_raw_fd() as u32, buffer, count, low, high, 0]) };
        let size = if vectored { LowBuffer::SIZE } else { part.1 };
        ensure!(ret == size as i64, "{event} by int 0x80 returned {ret}");
        let ranges = if vectored { local.ranges() } else { json!([[u64::from(buffer), count]]) };
        let seen = Entry::new(event, ret).with("abi", "compat32").with("direction", if writes { "out" } else { "in" });
        let seen = seen.with("local_iov", ranges).with("remote_iov", json!([[remote.addr(), size]]));
        let seen = seen.with(if writes { "fd_out" } else { "fd_in" }, fd.as_raw_fd());
        // A short transfer brings the beginning of a payload.
        report.call(seen.with("target_pid", peer.pid()).payload(&content(seq, size)));
    }
    Ok(())
}

const MEM_CALLS: [(&str, u32); 10] = [
    ("read", 3),
    ("write", 4),
    ("readv", 145),
    ("writev", 146),
    ("pread", 180),
    ("pwrite", 181),
    ("preadv", 333),
    ("pwritev", 334),
    ("preadv2", 378),
    ("pwritev2", 379),
];

fn word(report: &mut Report, local: &LowBuffer, remote: &LowBuffer, peer: &Peer) -> Result<()> {
    report.call(crate::trace::attach(peer.pid())?);
    let (addr, data) = (remote.page.addr() + 1024, local.page.addr() + 1024);
    local.page.write(1024, &[0xff; 8]);
    // SAFETY: PEEKDATA writes a word of 4 bytes to our own page.
    let ret = unsafe { syscall32(PTRACE, [2, peer.pid() as u32, addr as u32, data as u32, 0, 0]) };
    ensure!(ret == 0, "ptrace by int 0x80 returned {ret}");
    let word = content(1, 4);
    ensure!(local.page.read(1024, 5) == [&word[..], &[0xff]].concat(), "the word is {}", hex(&word));
    let seen = Entry::new("ptrace", ret).with("abi", "compat32").with("ptrace_request", "PTRACE_PEEKDATA");
    let seen = seen.with("direction", "in").with("target_pid", peer.pid()).with("data", data);
    report.call(seen.with("remote_iov", json!([[addr, 4]])).with("bytes", 4).payload(&word));
    // SAFETY: GETREGS writes struct user_regs_struct32 to our own page.
    let ret = unsafe { syscall32(PTRACE, [GETREGS.0 as u32, peer.pid() as u32, 0, data as u32, 0, 0]) };
    ensure!(ret == 0, "ptrace by int 0x80 returned {ret}");
    let seen = moved_entry(GETREGS, peer.pid(), 0, data, data, &local.page.read(1024, 68));
    report.call(seen.with("abi", "compat32"));
    report.call(crate::trace::detach(peer.pid())?);
    Ok(())
}
