//! vmsplice, splice and tee.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::buffer::{Buffer, content};
use super::drive::{Plan, Transfer, run as drive};
use super::report::{Entry, Report};
use super::sys::{self, Region, raw};

/// A pipe that this process holds both ends of.
#[derive(Debug)]
pub struct Pipe {
    /// The end to read from.
    pub read: OwnedFd,
    /// The end to write to.
    pub write: OwnedFd,
    /// Its inode.
    pub inode: u64,
}

impl Pipe {
    /// A pipe with room for `capacity` bytes.
    pub fn new(capacity: usize) -> Result<Self> {
        let (read, write) = sys::pipe(capacity)?;
        Ok(Pipe { inode: sys::inode(&read)?, read, write })
    }

    fn expect(&self, bytes: u64, content: &[u8]) -> Result<()> {
        let got = sys::read_exact(&self.read, usize::try_from(bytes)?)?;
        ensure!(got == content, "the pipe did not bring the payload");
        Ok(())
    }
}

/// vmsplice of `iov` into or out of a pipe by its descriptor.
pub fn call_vmsplice(fd: i32, iov: &[libc::iovec], flags: u32) -> i64 {
    let args = [fd as u64, iov.as_ptr() as u64, iov.len() as u64, u64::from(flags), 0, 0];
    // SAFETY: the kernel checks the array and what it points to; callers pass segments of their own mappings.
    unsafe { raw(libc::SYS_vmsplice, args) }
}

/// splice, with offsets where given.
pub fn call_splice(fd_in: i32, off_in: Option<&mut i64>, fd_out: i32, off_out: Option<&mut i64>, len: usize) -> i64 {
    let pointer = |offset: Option<&mut i64>| offset.map_or(0, |o| std::ptr::from_mut(o) as u64);
    let args = [fd_in as u64, pointer(off_in), fd_out as u64, pointer(off_out), len as u64, 0];
    // SAFETY: the offsets are null or live for the call.
    unsafe { raw(libc::SYS_splice, args) }
}

/// tee from pipe to pipe.
pub fn call_tee(fd_in: i32, fd_out: i32, len: usize) -> i64 {
    // SAFETY: plain numbers.
    unsafe { raw(libc::SYS_tee, [fd_in as u64, fd_out as u64, len as u64, 0, 0, 0]) }
}

/// What a recorder should have seen of a vmsplice into (`out` false: the data leaves the caller) a pipe.
pub fn vmsplice_entry(ret: i64, fd: i32, inode: u64, iov: Value, count: usize, flags: u32, receive: bool) -> Entry {
    let (way, fd_column, pipe_column, kind) = match receive {
        true => ("in", "fd_in", "pipe_in", "fd_in_kind"),
        false => ("out", "fd_out", "pipe_out", "fd_out_kind"),
    };
    let other = if receive { "fd_out" } else { "fd_in" };
    let entry = Entry::new("vmsplice", ret)
        .with("direction", way)
        .with(fd_column, fd)
        .with(other, Value::Null)
        .with(pipe_column, inode)
        .with(kind, "pipe")
        .with("local_iov", iov)
        .with("liovcnt", count)
        .with("flags", flags)
        .with("target_pid", Value::Null)
        .with("iov_source", "user");
    if receive || ret < 0 { entry } else { entry.with("payload_by_ref", true) }
}

/// What a recorder should have seen of a splice or tee between two descriptors.
pub fn splice_entry(event: &str, ret: i64, fd_in: i32, fd_out: i32, len: usize) -> Entry {
    Entry::new(event, ret)
        .with("fd_in", fd_in)
        .with("fd_out", fd_out)
        .with("bytes_requested", len)
        .with("flags", 0)
        .with("local_iov", Value::Null)
        .with("remote_iov", Value::Null)
        .with("target_pid", Value::Null)
        .with("payload_status", "none")
        .with("payload", Value::Null)
}

struct VmspliceIn {
    pipe: Pipe,
    buffer: Buffer,
    flags: u32,
    seq: u64,
}

impl Transfer for VmspliceIn {
    fn event(&self) -> &'static str {
        "vmsplice"
    }

    fn prepare(&mut self, seq: u64) -> Result<()> {
        self.seq = seq;
        self.buffer.stamp(seq);
        Ok(())
    }

    fn call(&mut self) -> i64 {
        call_vmsplice(self.pipe.write.as_raw_fd(), self.buffer.iov(), self.flags)
    }

    fn describe(&mut self, seq: u64, ret: i64) -> Result<Entry> {
        let (fd, inode) = (self.pipe.write.as_raw_fd(), self.pipe.inode);
        let entry = vmsplice_entry(ret, fd, inode, self.buffer.ranges(), self.buffer.iov().len(), self.flags, false);
        Ok(entry.with("bytes_requested", self.buffer.size()).numbered(seq))
    }

    fn settle(&mut self, ret: i64) -> Result<()> {
        ensure!(ret == self.buffer.size() as i64, "vmsplice returned {ret}");
        self.pipe.expect(ret as u64, &content(self.seq, self.buffer.size()))
    }
}

/// vmsplice into a pipe that is read empty after each call.
pub fn vmsplice_in(plan: &Plan, gift: bool, report: &mut Report) -> Result<()> {
    let flags = if gift { libc::SPLICE_F_GIFT } else { 0 };
    let mut transfers = Vec::new();
    for _ in plan.workers() {
        let buffer = Buffer::split(Region::private, plan.size, plan.segments.into())?;
        buffer.fill(0);
        // A segment takes at least one page of the pipe.
        let pipe = Pipe::new(plan.size + (usize::from(plan.segments) + 1) * 4096)?;
        transfers.push(VmspliceIn { pipe, buffer, flags, seq: 0 });
    }
    drive(plan, transfers, report)
}

struct VmspliceOut {
    pipe: Pipe,
    buffer: Buffer,
}

impl Transfer for VmspliceOut {
    fn event(&self) -> &'static str {
        "vmsplice"
    }

    fn prepare(&mut self, seq: u64) -> Result<()> {
        sys::write_all(&self.pipe.write, &content(seq, self.buffer.size()))
    }

    fn call(&mut self) -> i64 {
        call_vmsplice(self.pipe.read.as_raw_fd(), self.buffer.iov(), 0)
    }

    fn describe(&mut self, seq: u64, ret: i64) -> Result<Entry> {
        let (fd, inode) = (self.pipe.read.as_raw_fd(), self.pipe.inode);
        ensure!(self.buffer.gather() == content(seq, self.buffer.size()), "vmsplice brought other bytes");
        let entry = vmsplice_entry(ret, fd, inode, self.buffer.ranges(), self.buffer.iov().len(), 0, true);
        Ok(entry.with("bytes_requested", self.buffer.size()).numbered(seq))
    }
}

/// vmsplice out of a pipe that is written full before each call.
pub fn vmsplice_out(plan: &Plan, report: &mut Report) -> Result<()> {
    let mut transfers = Vec::new();
    for _ in plan.workers() {
        let buffer = Buffer::split(Region::private, plan.size, plan.segments.into())?;
        transfers.push(VmspliceOut { pipe: Pipe::new(plan.size)?, buffer });
    }
    drive(plan, transfers, report)
}

struct PipeToPipe {
    tee: bool,
    from: Pipe,
    to: Pipe,
    size: usize,
    seq: u64,
}

impl Transfer for PipeToPipe {
    fn event(&self) -> &'static str {
        if self.tee { "tee" } else { "splice" }
    }

    fn prepare(&mut self, seq: u64) -> Result<()> {
        self.seq = seq;
        sys::write_all(&self.from.write, &content(seq, self.size))
    }

    fn call(&mut self) -> i64 {
        let (fd_in, fd_out) = (self.from.read.as_raw_fd(), self.to.write.as_raw_fd());
        if self.tee { call_tee(fd_in, fd_out, self.size) } else { call_splice(fd_in, None, fd_out, None, self.size) }
    }

    fn describe(&mut self, _: u64, ret: i64) -> Result<Entry> {
        let (fd_in, fd_out) = (self.from.read.as_raw_fd(), self.to.write.as_raw_fd());
        Ok(splice_entry(self.event(), ret, fd_in, fd_out, self.size)
            .with("pipe_in", self.from.inode)
            .with("pipe_out", self.to.inode)
            .with("fd_in_kind", "pipe")
            .with("fd_out_kind", "pipe")
            .with("off_in", Value::Null)
            .with("off_out", Value::Null))
    }

    fn settle(&mut self, ret: i64) -> Result<()> {
        ensure!(ret == self.size as i64, "{} returned {ret}", self.event());
        let sent = content(self.seq, self.size);
        self.to.expect(ret as u64, &sent)?;
        if self.tee { self.from.expect(ret as u64, &sent) } else { Ok(()) }
    }
}

fn pipe_to_pipe(plan: &Plan, tee: bool, report: &mut Report) -> Result<()> {
    let mut transfers = Vec::new();
    for _ in plan.workers() {
        let (from, to) = (Pipe::new(plan.size)?, Pipe::new(plan.size)?);
        transfers.push(PipeToPipe { tee, from, to, size: plan.size, seq: 0 });
    }
    drive(plan, transfers, report)
}

/// splice from pipe to pipe.
pub fn splice(plan: &Plan, report: &mut Report) -> Result<()> {
    pipe_to_pipe(plan, false, report)
}

/// tee from pipe to pipe.
pub fn tee(plan: &Plan, report: &mut Report) -> Result<()> {
    pipe_to_pipe(plan, true, report)
}

/// Where the file's part begins that is spliced.
const OFFSET: usize = 4096;

struct FileToPipe {
    file: OwnedFd,
    to: Pipe,
    size: usize,
}

impl Transfer for FileToPipe {
    fn event(&self) -> &'static str {
        "splice"
    }

    fn prepare(&mut self, _: u64) -> Result<()> {
        Ok(())
    }

    fn call(&mut self) -> i64 {
        let mut offset = OFFSET as i64;
        call_splice(self.file.as_raw_fd(), Some(&mut offset), self.to.write.as_raw_fd(), None, self.size)
    }

    fn describe(&mut self, _: u64, ret: i64) -> Result<Entry> {
        Ok(splice_entry("splice", ret, self.file.as_raw_fd(), self.to.write.as_raw_fd(), self.size)
            .with("off_in", OFFSET)
            .with("off_out", Value::Null)
            .with("pipe_in", Value::Null)
            .with("pipe_out", self.to.inode)
            .with("fd_in_kind", "file")
            .with("fd_out_kind", "pipe"))
    }

    fn settle(&mut self, ret: i64) -> Result<()> {
        ensure!(ret == self.size as i64, "splice returned {ret}");
        self.to.expect(ret as u64, &content(0, self.size))
    }
}

/// splice from a file, from an offset that is passed in memory.
pub fn splice_from_file(plan: &Plan, report: &mut Report) -> Result<()> {
    let mut transfers = Vec::new();
    for _ in plan.workers() {
        let mut bytes = vec![b'x'; OFFSET];
        bytes.extend(content(0, plan.size));
        transfers.push(FileToPipe { file: sys::memfd(&bytes)?, to: Pipe::new(plan.size)?, size: plan.size });
    }
    drive(plan, transfers, report)
}
