//! sendfile.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use serde_json::Value;

use super::buffer::content;
use super::drive::{Plan, Transfer, run as drive};
use super::pipes::splice_entry;
use super::report::{Entry, Report};
use super::sys::{self, raw};

/// Where the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sink {
    /// A pipe.
    Pipe,
    /// A connected unix stream socket.
    Socket,
}

/// Where in the file the bytes begin.
const OFFSET: i64 = 100;

/// sendfile, with an offset where given.
pub fn call_sendfile(fd_out: i32, fd_in: i32, offset: Option<&mut i64>, len: usize) -> i64 {
    let pointer = offset.map_or(0, |o| std::ptr::from_mut(o) as u64);
    // SAFETY: the offset is null or lives for the call.
    unsafe { raw(libc::SYS_sendfile, [fd_out as u64, fd_in as u64, pointer, len as u64, 0, 0]) }
}

struct Sendfile {
    file: OwnedFd,
    read: OwnedFd,
    write: OwnedFd,
    sink: Sink,
    offset: bool,
    size: usize,
}

impl Transfer for Sendfile {
    fn event(&self) -> &'static str {
        "sendfile"
    }

    fn prepare(&mut self, _: u64) -> Result<()> {
        // SAFETY: plain numbers.
        sys::check(unsafe { libc::lseek(self.file.as_raw_fd(), OFFSET, libc::SEEK_SET) } as i32, "lseek")?;
        Ok(())
    }

    fn call(&mut self) -> i64 {
        let mut offset = OFFSET;
        call_sendfile(self.write.as_raw_fd(), self.file.as_raw_fd(), self.offset.then_some(&mut offset), self.size)
    }

    fn describe(&mut self, _: u64, ret: i64) -> Result<Entry> {
        let entry = splice_entry("sendfile", ret, self.file.as_raw_fd(), self.write.as_raw_fd(), self.size)
            .with("flags", Value::Null)
            .with("off_in", self.offset.then_some(OFFSET))
            .with("off_out", Value::Null)
            .with("fd_in_kind", "file");
        Ok(match self.sink {
            Sink::Pipe => entry.with("fd_out_kind", "pipe").with("pipe_out", sys::inode(&self.write)?),
            Sink::Socket => entry.with("fd_out_kind", "socket").with("fd_out_family", "AF_UNIX"),
        })
    }

    fn settle(&mut self, ret: i64) -> Result<()> {
        ensure!(ret == self.size as i64, "sendfile returned {ret}");
        ensure!(sys::read_exact(&self.read, self.size)? == content(0, self.size), "sendfile brought other bytes");
        Ok(())
    }
}

/// sendfile from a file, `--offset` or its own position, to `sink`.
pub fn run(plan: &Plan, sink: Sink, offset: bool, report: &mut Report) -> Result<()> {
    let mut transfers = Vec::new();
    for _ in plan.workers() {
        let mut bytes = vec![b'x'; OFFSET as usize];
        bytes.extend(content(0, plan.size));
        let (read, write) = match sink {
            Sink::Pipe => sys::pipe(plan.size + 4096)?,
            Sink::Socket => UnixStream::pair().map(|(a, b)| (a.into(), b.into()))?,
        };
        transfers.push(Sendfile { file: sys::memfd(&bytes)?, read, write, sink, offset, size: plan.size });
    }
    drive(plan, transfers, report)
}
