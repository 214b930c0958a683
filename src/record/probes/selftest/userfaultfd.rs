//! Two pages of this process, of which the first is missing until a userfaultfd fills it.

use std::io::{Error, Result};
use std::os::fd::{AsRawFd, OwnedFd};

use super::scene::range;
use super::sys::{owned, raw};
use crate::schema::types::Iovec;

/// Bytes of a page.
const PAGE: usize = 4096;

// include/uapi/linux/userfaultfd.h
const UFFDIO_API: u64 = 0xc018_aa3f;
const UFFDIO_REGISTER: u64 = 0xc020_aa00;
const UFFD_API: u64 = 0xaa;
const REGISTER_MODE_MISSING: u64 = 1;
/// Faults of the kernel itself are left out, which needs no privilege (5.11).
const UFFD_USER_MODE_ONLY: i32 = 1;

/// What is done with the first page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// It becomes a copy of the second.
    Copy,
    /// It becomes the second.
    Move,
    /// It is filled with zeros.
    Zeropage,
    /// It can no longer be touched.
    Poison,
}

/// The pages, and the userfaultfd that they are registered with.
#[derive(Debug)]
pub struct Lazy {
    base: *mut u8,
    fd: OwnedFd,
}

impl Lazy {
    /// New pages, which nobody has touched.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn new() -> Result<Self> {
        let open = |flags: i32| owned(raw(libc::SYS_userfaultfd, [flags as u64, 0, 0, 0, 0, 0]));
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
        let fd = open(flags | UFFD_USER_MODE_ONLY).or_else(|_| open(flags))?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping where the kernel likes it.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), 2 * PAGE, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        let lazy = Lazy { base: base.cast(), fd };
        lazy.ioctl(UFFDIO_API, &mut [UFFD_API, 0, 0])?;
        lazy.ioctl(UFFDIO_REGISTER, &mut [lazy.first().base, PAGE as u64, REGISTER_MODE_MISSING, 0])?;
        Ok(lazy)
    }

    /// The missing page.
    pub fn first(&self) -> Iovec {
        range(self.base.addr() as u64, PAGE)
    }

    /// The other one.
    pub fn second(&self) -> Iovec {
        range((self.base.addr() + PAGE) as u64, PAGE)
    }

    /// The userfaultfd.
    pub fn descriptor(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// Puts bytes at the beginning of the other page.
    pub fn fill_second(&self, bytes: &[u8]) {
        let len = bytes.len().min(PAGE);
        // SAFETY: inside the second page, to which no reference is held, and which is in no userfaultfd.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.add(PAGE), len) }
    }

    /// Makes the call; returns its result.
    pub fn call(&self, command: Command) -> i64 {
        let (first, second, len) = (self.first().base, self.second().base, PAGE as u64);
        let (number, mut words) = match command {
            Command::Copy => (0xc028_aa03, [first, second, len, 0, 0]),
            Command::Zeropage => (0xc020_aa04, [first, len, 0, 0, 0]),
            Command::Move => (0xc028_aa05, [first, second, len, 0, 0]),
            Command::Poison => (0xc020_aa08, [first, len, 0, 0, 0]),
        };
        raw(libc::SYS_ioctl, [self.descriptor() as u64, number, words.as_mut_ptr() as u64, 0, 0, 0])
    }

    fn ioctl(&self, command: u64, words: &mut [u64]) -> Result<()> {
        match raw(libc::SYS_ioctl, [self.descriptor() as u64, command, words.as_mut_ptr() as u64, 0, 0, 0]) {
            0.. => Ok(()),
            failed => Err(Error::from_raw_os_error(i32::try_from(-failed).unwrap_or(libc::EIO))),
        }
    }
}

impl Drop for Lazy {
    fn drop(&mut self) {
        // SAFETY: our own mapping, to which no reference is held.
        unsafe { libc::munmap(self.base.cast(), 2 * PAGE) };
    }
}
