//! Syscalls without libc's changes to arguments and results, and memory they may work on.

use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};

/// Makes syscall `nr`; returns its result, `-errno` on failure, as the kernel does.
///
/// # Safety
/// The arguments must be such that the call writes only to memory that is the caller's to write.
pub unsafe fn raw(nr: libc::c_long, args: [u64; 6]) -> i64 {
    let [a, b, c, d, e, f] = args;
    // SAFETY: passed on to the caller.
    let ret = unsafe { libc::syscall(nr, a, b, c, d, e, f) };
    if ret == -1 { -i64::from(Error::last_os_error().raw_os_error().unwrap_or(0)) } else { ret }
}

/// Symbolic names of the errors that workloads provoke; others by number. A table of its own, so that it is
/// independent of the recorder's.
pub fn errno_name(ret: i64) -> Option<String> {
    let name = match -ret {
        i64::MIN..=0 => return None,
        1 => "EPERM",
        2 => "ENOENT",
        3 => "ESRCH",
        4 => "EINTR",
        5 => "EIO",
        9 => "EBADF",
        11 => "EAGAIN",
        13 => "EACCES",
        14 => "EFAULT",
        17 => "EEXIST",
        18 => "EXDEV",
        20 => "ENOTDIR",
        22 => "EINVAL",
        29 => "ESPIPE",
        32 => "EPIPE",
        38 => "ENOSYS",
        89 => "EDESTADDRREQ",
        104 => "ECONNRESET",
        107 => "ENOTCONN",
        other => return Some(format!("E{other}")),
    };
    Some(name.to_string())
}

/// CPU time of this process.
pub fn cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes to our own variable.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The calling thread's id.
pub fn gettid() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() }
}

/// CLOCK_MONOTONIC in ns.
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` outlives the call, which cannot fail on this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Turns libc's `-1` into an error that names `what`.
pub fn check(ret: i32, what: &str) -> Result<i32> {
    ensure!(ret != -1, "{what}: {}", Error::last_os_error());
    Ok(ret)
}

/// A pipe, its ends in the order read, write, with room for `capacity` bytes.
pub fn pipe(capacity: usize) -> Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: `fds` has room for two descriptors, which are new and ours.
    let (read, write) = unsafe {
        check(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC), "pipe2")?;
        (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1]))
    };
    if capacity > 65_536 {
        let size = i32::try_from(capacity).context("pipe too large")?;
        // SAFETY: plain numbers.
        check(unsafe { libc::fcntl(write.as_raw_fd(), libc::F_SETPIPE_SZ, size) }, "F_SETPIPE_SZ")?;
    }
    Ok((read, write))
}

/// A file in memory that holds `content`.
pub fn memfd(content: &[u8]) -> Result<OwnedFd> {
    // SAFETY: the name is a C string; the descriptor is new and ours.
    let fd = unsafe {
        OwnedFd::from_raw_fd(check(libc::memfd_create(c"workload".as_ptr(), libc::MFD_CLOEXEC), "memfd_create")?)
    };
    write_all(&fd, content)?;
    Ok(fd)
}

/// Writes all of `content` at the descriptor's position.
pub fn write_all(fd: &OwnedFd, mut content: &[u8]) -> Result<()> {
    while !content.is_empty() {
        // SAFETY: the pointer and the length are of one slice.
        let n = unsafe { libc::write(fd.as_raw_fd(), content.as_ptr().cast(), content.len()) };
        let n = usize::try_from(n).map_err(|_| Error::last_os_error()).context("write")?;
        content = content.get(n..).unwrap_or_default();
    }
    Ok(())
}

/// Reads exactly `wanted` bytes from a pipe or socket.
pub fn read_exact(fd: &OwnedFd, wanted: usize) -> Result<Vec<u8>> {
    let mut content = vec![0; wanted];
    let mut done = 0;
    while let Some(rest) = content.get_mut(done..).filter(|r| !r.is_empty()) {
        // SAFETY: the pointer and the length are of one slice.
        let n = unsafe { libc::read(fd.as_raw_fd(), rest.as_mut_ptr().cast(), rest.len()) };
        let n = usize::try_from(n).map_err(|_| Error::last_os_error()).context("read")?;
        ensure!(n > 0, "end of input after {done} of {wanted} bytes");
        done += n;
    }
    Ok(content)
}

/// Reads once, at most `room` bytes; waits for them.
pub fn read_some(fd: &OwnedFd, room: usize) -> Result<Vec<u8>> {
    let mut content = vec![0; room];
    // SAFETY: the pointer and the length are of one buffer.
    let n = unsafe { libc::read(fd.as_raw_fd(), content.as_mut_ptr().cast(), room) };
    content.truncate(usize::try_from(n).map_err(|_| Error::last_os_error()).context("read")?);
    Ok(content)
}

/// The inode number behind a descriptor: what identifies a pipe.
pub fn inode(fd: &OwnedFd) -> Result<u64> {
    // SAFETY: a zeroed stat is valid, and fstat fills it.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` outlives the call.
    check(unsafe { libc::fstat(fd.as_raw_fd(), &raw mut stat) }, "fstat")?;
    Ok(stat.st_ino)
}

/// A mapping. Its memory is only reached through `read` and `write`, and by syscalls.
#[derive(Debug)]
pub struct Region {
    base: *mut u8,
    len: usize,
}

// SAFETY: the mapping belongs to the process; the value is used by one thread at a time.
unsafe impl Send for Region {}

impl Region {
    fn map(len: usize, flags: i32, fd: i32) -> Result<Self> {
        let len = len.max(1).next_multiple_of(4096);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping where the kernel likes it.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, fd, 0) };
        ensure!(base != libc::MAP_FAILED, "mmap: {}", Error::last_os_error());
        Ok(Region { base: base.cast(), len })
    }

    /// Anonymous memory of this process, not touched yet.
    pub fn private(len: usize) -> Result<Self> {
        Self::map(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)
    }

    /// Anonymous memory shared with children forked later.
    pub fn shared(len: usize) -> Result<Self> {
        Self::map(len, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1)
    }

    /// Anonymous memory below 4 GiB, for 32-bit calls.
    pub fn low(len: usize) -> Result<Self> {
        Self::map(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT, -1)
    }

    /// Memory that holds `content` and whose pages this process has never touched.
    pub fn untouched(content: &[u8]) -> Result<Self> {
        let mut padded = content.to_vec();
        padded.resize(content.len().max(1).next_multiple_of(4096), 0);
        let file = memfd(&padded)?;
        Self::map(padded.len(), libc::MAP_PRIVATE, file.as_raw_fd())
    }

    /// Its first address.
    pub fn addr(&self) -> u64 {
        self.base as u64
    }

    /// Copies `bytes` to `offset`.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset.checked_add(bytes.len()).is_some_and(|end| end <= self.len), "outside the mapping");
        // SAFETY: inside the mapping, as asserted; `bytes` is not part of it, for no reference to it exists.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.add(offset), bytes.len()) }
    }

    /// A copy of `len` bytes from `offset`.
    pub fn read(&self, offset: usize, len: usize) -> Vec<u8> {
        assert!(offset.checked_add(len).is_some_and(|end| end <= self.len), "outside the mapping");
        let mut bytes = vec![0; len];
        // SAFETY: as in `write`.
        unsafe { std::ptr::copy_nonoverlapping(self.base.add(offset), bytes.as_mut_ptr(), len) }
        bytes
    }

    /// Takes the pages from `offset` on out of the address space.
    pub fn unmap_from(&mut self, offset: usize) -> Result<()> {
        assert!(offset.is_multiple_of(4096) && offset < self.len, "not a page of the mapping");
        // SAFETY: pages of our own mapping, which `len` excludes from here on.
        check(unsafe { libc::munmap(self.base.add(offset).cast(), self.len - offset) }, "munmap")?;
        self.len = offset;
        Ok(())
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: our own mapping; nobody holds a reference into it.
            unsafe { libc::munmap(self.base.cast(), self.len) };
        }
    }
}
