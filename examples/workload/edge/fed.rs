//! Pipes that calls have fed, and who else is at them.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::race::calls;
use super::uring;
use crate::buffer::{Buffer, content};
use crate::peer::in_child;
use crate::pipes::{Pipe, call_splice, call_tee, call_vmsplice, splice_entry, vmsplice_entry};
use crate::report::{Entry, Report, Tally};
use crate::sendfile::call_sendfile;
use crate::sys::{self, Region, raw};

const SIZE: usize = 64;

fn moved(ret: i64) -> Result<i64> {
    ensure!(ret == SIZE as i64, "the call returned {ret}");
    Ok(ret)
}

/// Pipes of [`spin`].
const SPUN: u64 = 100;

/// What a reader has received.
#[derive(Default)]
struct Received {
    reads: AtomicU64,
    bytes: AtomicU64,
    /// Reads that found nothing.
    idle: AtomicU64,
}

impl Received {
    /// Reads a pipe all the time, until nobody can write to it.
    fn spin(&self, read: &OwnedFd) {
        let mut message = [0u8; SIZE];
        loop {
            let args = [read.as_raw_fd() as u64, message.as_mut_ptr() as u64, SIZE as u64, 0, 0, 0];
            // SAFETY: the kernel writes to our own variable.
            match unsafe { raw(libc::SYS_read, args) } {
                0 => return,
                n if n > 0 => {
                    self.reads.fetch_add(1, Ordering::Relaxed);
                    self.bytes.fetch_add(n as u64, Ordering::Relaxed);
                }
                _ => {
                    self.idle.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Waits until the reader finds nothing, again and again.
    fn await_idle(&self) {
        let until = self.idle.load(Ordering::Relaxed) + 10;
        while self.idle.load(Ordering::Relaxed) < until {
            std::hint::spin_loop();
        }
    }
}

/// Small messages by vmsplice through several pipes, one after the other, to a thread that reads all the time, so that it
/// often has a message before the call that brought it returns: the first one of each pipe, too. How many `pipes` it
/// were, and how many `reads` brought how many bytes (`read_bytes`), is in the report.
pub fn spin(report: &mut Report) -> Result<()> {
    let buffer = Buffer::new(Region::private, &[SIZE])?;
    buffer.fill(0);
    let received = Received::default();
    let mut tally = Tally::default();
    for _ in 0..SPUN {
        let Pipe { read, write, .. } = Pipe::new(0)?;
        // SAFETY: plain numbers; the other end has flags of its own.
        sys::check(unsafe { libc::fcntl(read.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }, "F_SETFL")?;
        std::thread::scope(|scope| -> Result<()> {
            scope.spawn(|| received.spin(&read));
            // Closed at the end of this block, so that the reader comes to its end whatever happens.
            let write = write;
            received.await_idle();
            for _ in 0..calls()? / SPUN {
                tally.add(moved(call_vmsplice(write.as_raw_fd(), buffer.iov(), 0))?, SIZE as u64);
            }
            Ok(())
        })?;
    }
    report.fact("pipes", SPUN);
    report.fact("reads", received.reads.into_inner());
    report.fact("read_bytes", received.bytes.into_inner());
    report.calls("vmsplice", tally, Vec::new());
    Ok(())
}

/// More pipes than a recorder can be expected to remember, each fed once and closed.
pub fn many(report: &mut Report) -> Result<()> {
    let buffer = Buffer::new(Region::private, &[SIZE])?;
    buffer.fill(0);
    let mut tally = Tally::default();
    for _ in 0..calls()? {
        let pipe = Pipe::new(0)?;
        tally.add(moved(call_vmsplice(pipe.write.as_raw_fd(), buffer.iov(), 0))?, SIZE as u64);
    }
    report.calls("vmsplice", tally, Vec::new());
    Ok(())
}

/// A process feeds a pipe, and a child of it takes the bytes and adds others, by every call that can. Who fed the pipe
/// last is the target of whoever takes from it.
pub fn outsiders(report: &mut Report) -> Result<()> {
    let (pipe, other) = (Pipe::new(0)?, Pipe::new(0)?);
    let buffer = Buffer::new(Region::private, &[SIZE])?;
    for seq in 0..4 {
        buffer.fill(seq);
        let fd = pipe.write.as_raw_fd();
        let ret = moved(call_vmsplice(fd, buffer.iov(), 0))?;
        report.call(vmsplice_entry(ret, fd, pipe.inode, buffer.ranges(), 1, 0, false));
    }
    let feeder = std::process::id();
    let (_, output) = in_child(|out| {
        let mut inner = Report::default();
        take(&pipe, &other, &buffer, feeder, &mut inner)?;
        add(&pipe, &buffer, &mut inner)?;
        sys::write_all(out, inner.into_json().to_string().as_bytes())
    })?;
    report.child(&serde_json::from_slice(&output)?)
}

/// Takes the four messages out of the pipe, after a copy of the first.
fn take(pipe: &Pipe, other: &Pipe, buffer: &Buffer, feeder: u32, report: &mut Report) -> Result<()> {
    let file = sys::memfd(&[])?;
    let (from, to, file) = (pipe.read.as_raw_fd(), other.write.as_raw_fd(), file.as_raw_fd());
    let fed = |entry: Entry| entry.with("target_pid", feeder).with("target_comm", "workload");
    let ret = moved(call_tee(from, to, SIZE))?;
    report.call(fed(splice_entry("tee", ret, from, to, SIZE)).with("pipe_in", pipe.inode));
    let ret = moved(call_splice(from, None, file, None, SIZE))?;
    report.call(fed(splice_entry("splice", ret, from, file, SIZE)).with("pipe_in", pipe.inode));
    let ret = moved(call_vmsplice(from, buffer.iov(), 0))?;
    report.call(fed(vmsplice_entry(ret, from, pipe.inode, buffer.ranges(), 1, 0, true)));
    // By one thread, whose submission is what is recorded.
    let seen = fed(uring::splice_once(from, to)?).with("tid", sys::gettid());
    report.call(seen.with("pipe_in", pipe.inode).with("pipe_out", other.inode));
    sys::read_exact(&pipe.read, SIZE).map(drop)
}

/// Adds three messages, and reads them by a call that seldom reads pipes.
fn add(pipe: &Pipe, buffer: &Buffer, report: &mut Report) -> Result<()> {
    let file = sys::memfd(&content(0, SIZE))?;
    // SAFETY: plain numbers.
    sys::check(unsafe { libc::lseek(file.as_raw_fd(), 0, libc::SEEK_SET) } as i32, "lseek")?;
    let (to, from) = (pipe.write.as_raw_fd(), file.as_raw_fd());
    let ret = moved(call_vmsplice(to, buffer.iov(), 0))?;
    report.call(vmsplice_entry(ret, to, pipe.inode, buffer.ranges(), 1, 0, false));
    let ret = moved(call_sendfile(to, from, None, SIZE))?;
    let seen = splice_entry("sendfile", ret, from, to, SIZE).with("pipe_out", pipe.inode);
    report.call(seen.with("flags", Value::Null));
    let plain = Buffer::new(Region::private, &[SIZE])?;
    plain.fill(9);
    write_plainly(pipe, &plain, 9, report)?;
    for _ in 0..3 {
        moved(read_at_the_position(&pipe.read, buffer))?;
    }
    Ok(())
}

/// write(2) of the whole buffer, and what a recorder must have seen of it.
fn write_plainly(pipe: &Pipe, buffer: &Buffer, seq: u64, report: &mut Report) -> Result<()> {
    let args = [pipe.write.as_raw_fd() as u64, buffer.addr(), SIZE as u64, 0, 0, 0];
    // SAFETY: the range is memory of our own.
    let ret = moved(unsafe { raw(libc::SYS_write, args) })?;
    report.call(write_entry(ret, pipe, buffer, seq));
    Ok(())
}

/// A write into a known pipe. Which descriptor it used is seen in the tracepoint tier alone.
fn write_entry(ret: i64, pipe: &Pipe, buffer: &Buffer, seq: u64) -> Entry {
    let entry = Entry::new("pipe_write", ret).with("direction", "out").with("pipe_out", pipe.inode);
    let entry = entry.with("pipe_in", Value::Null).with("fd_out_kind", "pipe").with("target_pid", Value::Null);
    entry.with("local_iov", buffer.ranges()).with("liovcnt", 1).with("bytes_requested", SIZE).numbered(seq)
}

/// The offset -1 of pwritev2 means the file's own position, and so works on pipes.
fn write_by_array(number: libc::c_long, pipe: &Pipe, buffer: &Buffer) -> Result<i64> {
    let args = [pipe.write.as_raw_fd() as u64, buffer.iov().as_ptr() as u64, 1, u64::MAX, u64::MAX, 0];
    // SAFETY: the array names memory of our own.
    moved(unsafe { raw(number, args) })
}

/// Plain writes into three pipes: one that vmsplice has fed, one that splice has taken from, and one that no recorded call has
/// used, whose writes are none of a recorder's business.
pub fn writes(report: &mut Report) -> Result<()> {
    let (fed, taken, unknown) = (Pipe::new(0)?, Pipe::new(0)?, Pipe::new(0)?);
    let buffer = Buffer::new(Region::private, &[SIZE])?;
    let other = Buffer::new(Region::private, &[SIZE])?;
    buffer.fill(0);
    let fd = fed.write.as_raw_fd();
    let ret = moved(call_vmsplice(fd, other.iov(), 0))?;
    report.call(vmsplice_entry(ret, fd, fed.inode, other.ranges(), 1, 0, false));
    write_plainly(&fed, &buffer, 0, report)?;
    for (seq, number) in [(1, libc::SYS_writev), (2, libc::SYS_pwritev2)] {
        buffer.fill(seq);
        report.call(write_entry(write_by_array(number, &fed, &buffer)?, &fed, &buffer, seq));
    }
    sys::write_all(&taken.write, &content(3, SIZE))?;
    let file = sys::memfd(&[])?;
    let (from, to) = (taken.read.as_raw_fd(), file.as_raw_fd());
    let ret = moved(call_splice(from, None, to, None, SIZE))?;
    report.call(splice_entry("splice", ret, from, to, SIZE).with("pipe_in", taken.inode));
    buffer.fill(4);
    write_plainly(&taken, &buffer, 4, report)?;
    sys::write_all(&unknown.write, &content(5, SIZE))?;
    // Whoever reads what a recorded call has written is recorded, too.
    sys::read_exact(&taken.read, SIZE)?;
    report.fact("read", taken.inode);
    sys::read_exact(&unknown.read, SIZE).map(drop)
}

/// preadv2 with the offset -1, which means the file's own position, and so works on pipes.
fn read_at_the_position(fd: &OwnedFd, buffer: &Buffer) -> i64 {
    let args = [fd.as_raw_fd() as u64, buffer.iov().as_ptr() as u64, 1, u64::MAX, u64::MAX, 0];
    // SAFETY: the array names memory of our own.
    unsafe { raw(libc::SYS_preadv2, args) }
}
