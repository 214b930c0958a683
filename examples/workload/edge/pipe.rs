//! vmsplice, splice, tee and sendfile where they fail, stop short, or meet something else than a pipe.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::buffer::{Buffer, content, iovec};
use crate::pipes::{Pipe, call_splice, call_tee, call_vmsplice, splice_entry, vmsplice_entry};
use crate::report::{Entry, Report};
use crate::sys::{self, Region};

/// No descriptor of this process.
const NO_FD: i32 = 999;

fn returned(ret: i64, wanted: i64) -> Result<()> {
    ensure!(ret == wanted, "the call returned {ret}, not {wanted}");
    Ok(())
}

/// Calls that fail before a byte moves.
pub fn errors(report: &mut Report) -> Result<()> {
    let buffer = Buffer::new(Region::private, &[64])?;
    let file = sys::memfd(b"not a pipe")?;
    let pipe = Pipe::new(0)?;
    let (read, write, file) = (pipe.read.as_raw_fd(), pipe.write.as_raw_fd(), file.as_raw_fd());
    let failed_vmsplice = |ret| {
        let (iov, count) = (buffer.ranges(), buffer.iov().len());
        Entry::new("vmsplice", ret).with("target_pid_arg", Value::Null).with("local_iov", iov).with("liovcnt", count)
    };
    for fd in [NO_FD, file] {
        let ret = call_vmsplice(fd, buffer.iov(), 0);
        returned(ret, -9)?;
        report.call(failed_vmsplice(ret));
    }
    let nowhere = [iovec(0x1000, 64)];
    let ret = call_vmsplice(write, &nowhere, 0);
    returned(ret, -14)?;
    report.call(vmsplice_entry(ret, write, pipe.inode, json!([[0x1000, 64]]), 1, 0, false));
    let ret = call_tee(read, write, 10);
    returned(ret, -22)?;
    report.call(splice_entry("tee", ret, read, write, 10).with("pipe_in", pipe.inode).with("pipe_out", pipe.inode));
    let ret = call_splice(file, None, file, None, 10);
    returned(ret, -22)?;
    report.call(splice_entry("splice", ret, file, file, 10).with("fd_in_kind", "file").with("pipe_in", Value::Null));
    let ret = call_splice(NO_FD, None, write, None, 10);
    returned(ret, -9)?;
    report.call(splice_entry("splice", ret, NO_FD, write, 10).with("fd_in_kind", "closed"));
    let mut offset = 5;
    let ret = call_splice(read, Some(&mut offset), file, None, 10);
    returned(ret, -29)?;
    report.call(splice_entry("splice", ret, read, file, 10).with("off_in", 5));
    Ok(())
}

/// A full pipe that may not block.
pub fn full(report: &mut Report) -> Result<()> {
    let pipe = Pipe::new(0)?;
    let fd = pipe.write.as_raw_fd();
    sys::write_all(&pipe.write, &vec![0; 65_536])?;
    let buffer = Buffer::new(Region::private, &[64])?;
    let ret = call_vmsplice(fd, buffer.iov(), libc::SPLICE_F_NONBLOCK);
    returned(ret, -11)?;
    report.call(vmsplice_entry(ret, fd, pipe.inode, buffer.ranges(), 1, libc::SPLICE_F_NONBLOCK, false));
    Ok(())
}

/// A call that waits for room in a pipe is interrupted by a signal. The kernel's own result is not the EINTR that
/// the program gets.
pub fn interrupted(report: &mut Report) -> Result<()> {
    const ERESTARTSYS: i64 = -512;
    extern "C" fn nothing(_: i32) {}
    let pipe = Pipe::new(0)?;
    let fd = pipe.write.as_raw_fd();
    sys::write_all(&pipe.write, &vec![0; 65_536])?;
    let buffer = Buffer::new(Region::private, &[64])?;
    // SAFETY: a zeroed sigaction is valid and means no flags, so no restart; the handler does nothing. The timer
    // goes on, so that one that comes too early is followed by another.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(i32) as libc::sighandler_t;
        sys::check(libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()), "sigaction")?;
        let every = libc::timeval { tv_sec: 0, tv_usec: 20_000 };
        let timer = libc::itimerval { it_interval: every, it_value: every };
        sys::check(libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()), "setitimer")?;
    }
    let ret = call_vmsplice(fd, buffer.iov(), 0);
    returned(ret, -4)?;
    let seen = vmsplice_entry(ERESTARTSYS, fd, pipe.inode, buffer.ranges(), 1, 0, false);
    report.call(seen.with("errno", "ERESTARTSYS"));
    // SAFETY: a null timer value stops it.
    unsafe {
        let never: libc::itimerval = std::mem::zeroed();
        sys::check(libc::setitimer(libc::ITIMER_REAL, &raw const never, std::ptr::null_mut()), "setitimer")?;
    }
    Ok(())
}

/// A full pipe that nobody empties: the call does not return. Says so before, since it cannot after.
pub fn blocked(_: &mut Report) -> Result<()> {
    let pipe = Pipe::new(0)?;
    sys::write_all(&pipe.write, &vec![0; 65_536])?;
    let buffer = Buffer::new(Region::private, &[64])?;
    println!("{}", std::process::id());
    let ret = call_vmsplice(pipe.write.as_raw_fd(), buffer.iov(), 0);
    returned(ret, 0)
}

/// Twenty pages into a pipe that has room for sixteen.
pub fn vmsplice_partial(report: &mut Report) -> Result<()> {
    let pipe = Pipe::new(0)?;
    let fd = pipe.write.as_raw_fd();
    let buffer = Buffer::over(Region::private(81_920)?, vec![(0, 4096), (4096, 77_824)]);
    buffer.fill(0);
    let ret = call_vmsplice(fd, buffer.iov(), libc::SPLICE_F_NONBLOCK);
    returned(ret, 65_536)?;
    ensure!(sys::read_exact(&pipe.read, 65_536)? == content(0, 65_536), "the pipe brought other bytes");
    let seen = vmsplice_entry(ret, fd, pipe.inode, buffer.ranges(), 2, libc::SPLICE_F_NONBLOCK, false);
    report.call(seen.with("bytes_requested", 81_920).numbered(0));
    Ok(())
}

/// From a pipe to a place in a file.
pub fn splice_to_file(report: &mut Report) -> Result<()> {
    let pipe = Pipe::new(0)?;
    sys::write_all(&pipe.write, &content(0, 64))?;
    let file = sys::memfd(&[0; 8192])?;
    let mut offset = 4096;
    let (fd_in, fd_out) = (pipe.read.as_raw_fd(), file.as_raw_fd());
    let ret = call_splice(fd_in, None, fd_out, Some(&mut offset), 100);
    returned(ret, 64)?;
    ensure!(offset == 4160, "the offset is {offset}");
    let seen = splice_entry("splice", ret, fd_in, fd_out, 100).with("off_in", Value::Null).with("off_out", 4096);
    report.call(seen.with("pipe_in", pipe.inode).with("pipe_out", Value::Null).with("fd_out_kind", "file"));
    Ok(())
}

/// A new FIFO, open both ways, so that opening does not wait.
fn fifo(path: &std::path::Path) -> Result<OwnedFd> {
    let name = std::ffi::CString::new(path.to_string_lossy().as_bytes())?;
    // SAFETY: `name` is a C string.
    sys::check(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, "mkfifo")?;
    // SAFETY: as above. The descriptor is new and ours.
    unsafe { Ok(OwnedFd::from_raw_fd(sys::check(libc::open(name.as_ptr(), libc::O_RDWR), "open")?)) }
}

/// From a named FIFO to a pipe. Then FIFOs that are not spliced, of which a file system may give one the number of the first:
/// what is written into them and read is no event.
pub fn splice_fifo(report: &mut Report) -> Result<()> {
    let path = std::env::temp_dir().join(format!("workload-fifo-{}", std::process::id()));
    let spliced = spliced(&path, report);
    std::fs::remove_file(&path)?;
    let number = spliced?;
    for _ in 0..10 {
        let another = fifo(&path).and_then(|fifo| {
            sys::write_all(&fifo, &content(0, 64))?;
            sys::read_exact(&fifo, 64)?;
            sys::inode(&fifo)
        });
        std::fs::remove_file(&path)?;
        if another? == number {
            break;
        }
    }
    Ok(())
}

/// Its number.
fn spliced(path: &std::path::Path, report: &mut Report) -> Result<u64> {
    let fifo = fifo(path)?;
    let pipe = Pipe::new(0)?;
    sys::write_all(&fifo, &content(0, 64))?;
    let (fd_in, fd_out) = (fifo.as_raw_fd(), pipe.write.as_raw_fd());
    let ret = call_splice(fd_in, None, fd_out, None, 64);
    returned(ret, 64)?;
    let seen = splice_entry("splice", ret, fd_in, fd_out, 64).with("fd_in_kind", "fifo").with("fd_in_mode", "rw");
    let seen = seen.with("fd_in_path", path.to_string_lossy()).with("fd_out_mode", "w");
    let number = sys::inode(&fifo)?;
    report.call(seen.with("pipe_in", number).with("pipe_out", pipe.inode));
    Ok(number)
}

/// From a pipe to a socket.
pub fn splice_socket(report: &mut Report) -> Result<()> {
    let pipe = Pipe::new(0)?;
    let (near, _far) = UnixStream::pair()?;
    sys::write_all(&pipe.write, &content(0, 64))?;
    let (fd_in, fd_out) = (pipe.read.as_raw_fd(), near.as_raw_fd());
    let ret = call_splice(fd_in, None, fd_out, None, 64);
    returned(ret, 64)?;
    let seen = splice_entry("splice", ret, fd_in, fd_out, 64).with("fd_out_kind", "socket");
    report.call(seen.with("fd_out_family", "AF_UNIX").with("pipe_in", pipe.inode).with("pipe_out", Value::Null));
    Ok(())
}
