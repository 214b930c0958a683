//! What the self-test's process reports that it did, in memory that it shares with the recorder.

use anyhow::{Result, ensure};

use crate::schema::types::Iovec;

/// Bytes that one transfer of the self-test moves.
pub const SIZE: usize = 64;

/// How far a transfer came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// The process ended before it.
    #[default]
    NotReached = 0,
    /// The process ended in it.
    Begun,
    /// The call returned.
    Returned,
    /// A process of its own, which made it, was ended by the signal in `ret`.
    Killed,
}

/// One transfer, and what a row about it has to say. What is empty, or −1, is not compared.
#[derive(Clone, Copy, Debug)]
pub struct Expectation {
    pub state: State,
    /// What the system call returned: `-errno` where it was refused.
    pub ret: i64,
    /// What it returns where it is allowed.
    pub wanted: i64,
    /// `pid`.
    pub pid: i32,
    /// `target_pid`; of a fork the parent.
    pub other: i32,
    /// `local_iov`, one range.
    pub local: Iovec,
    /// `remote_iov`, one range.
    pub remote: Iovec,
    /// `fd_in`.
    pub fd_in: i32,
    /// `fd_out`.
    pub fd_out: i32,
    /// `payload`, up to `payload_len`.
    pub payload: [u8; SIZE],
    /// Bytes of `payload`.
    pub payload_len: usize,
}

impl Default for Expectation {
    fn default() -> Self {
        Expectation {
            state: State::Returned,
            ret: 0,
            wanted: 0,
            pid: 0,
            other: -1,
            local: Iovec { base: 0, len: 0 },
            remote: Iovec { base: 0, len: 0 },
            fd_in: -1,
            fd_out: -1,
            payload: [0; SIZE],
            payload_len: 0,
        }
    }
}

impl Expectation {
    /// A call that was not allowed, or whose preparation was not: `ret` is `-errno`.
    pub fn refused(ret: i64) -> Self {
        Expectation { ret, ..Expectation::default() }
    }

    /// With the payload that a row must hold.
    pub fn with_payload(mut self, bytes: &[u8]) -> Self {
        self.payload_len = bytes.len().min(SIZE);
        self.payload.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self
    }

    /// The payload that a row must hold.
    pub fn payload(&self) -> &[u8] {
        self.payload.get(..self.payload_len).unwrap_or_default()
    }
}

/// The expectations, in memory that stays shared across fork.
#[derive(Debug)]
pub struct Board {
    expectations: *mut Expectation,
    len: usize,
}

impl Board {
    /// Space for `len` expectations, no transfer made yet.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new(len: usize) -> Result<Self> {
        let board = Board { expectations: map(len * size_of::<Expectation>(), libc::MAP_SHARED)?.cast(), len };
        (0..len).for_each(|slot| board.write(slot, Expectation { state: State::NotReached, ..Expectation::default() }));
        Ok(board)
    }

    /// Writes an expectation.
    pub fn write(&self, slot: usize, expectation: Expectation) {
        if slot < self.len {
            // SAFETY: inside the mapping, which is aligned to pages; volatile, since another process reads it.
            unsafe { self.expectations.add(slot).write_volatile(expectation) }
        }
    }

    /// Reads an expectation. Valid once its process has ended.
    pub fn read(&self, slot: usize) -> Expectation {
        if slot >= self.len {
            return Expectation::default();
        }
        // SAFETY: inside the mapping; every slot has held a whole expectation since `new`, and every pattern that a write
        // broken off can leave is one too: its fields are numbers, but for `state`, which is written as one.
        unsafe { self.expectations.add(slot).read_volatile() }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // SAFETY: our own mapping, to which no reference is held.
        unsafe { libc::munmap(self.expectations.cast(), self.len * size_of::<Expectation>()) };
    }
}

/// The buffers of the transfers: private memory, which caller and target have at the same addresses and with
/// contents of their own after fork.
#[derive(Debug)]
pub struct Field {
    base: *mut u8,
    len: usize,
}

/// Space for one transfer: its local and its remote buffer, and a 32-bit call's arrays.
const PLOT: usize = 512;
const REMOTE: usize = 128;
const ARRAYS: usize = 256;

impl Field {
    /// Buffers for `len` transfers; below 4 GiB, for 32-bit calls, if `low`.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new(len: usize, low: bool) -> Result<Self> {
        let size = len * PLOT;
        let base = map(size, libc::MAP_PRIVATE | if low { libc::MAP_32BIT } else { 0 })?;
        Ok(Field { base, len: size })
    }

    /// Address of the caller's buffer.
    pub fn local(&self, slot: usize) -> u64 {
        (self.base.addr() + slot * PLOT) as u64
    }

    /// Address of the target's buffer.
    pub fn remote(&self, slot: usize) -> u64 {
        self.local(slot) + REMOTE as u64
    }

    /// Address of two arrays of one 32-bit iovec each, which name the two buffers.
    pub fn arrays32(&self, slot: usize) -> (u64, u64) {
        let at = slot * PLOT + ARRAYS;
        let pair = |address: u64| [(address as u32).to_le_bytes(), (SIZE as u32).to_le_bytes()].concat();
        self.write(at, &pair(self.local(slot)));
        self.write(at + 8, &pair(self.remote(slot)));
        let address = (self.base.addr() + at) as u64;
        (address, address + 8)
    }

    /// Fills the caller's buffer.
    pub fn fill_local(&self, slot: usize, bytes: &[u8; SIZE]) {
        self.write(slot * PLOT, bytes);
    }

    /// Fills the target's buffer.
    pub fn fill_remote(&self, slot: usize, bytes: &[u8; SIZE]) {
        self.write(slot * PLOT + REMOTE, bytes);
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        if at.checked_add(bytes.len()).is_some_and(|end| end <= self.len) {
            // SAFETY: inside the mapping, to which no reference is held.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.add(at), bytes.len()) }
        }
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        // SAFETY: our own mapping, to which no reference is held.
        unsafe { libc::munmap(self.base.cast(), self.len) };
    }
}

fn map(len: usize, flags: i32) -> Result<*mut u8> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping where the kernel likes it.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags | libc::MAP_ANONYMOUS, -1, 0) };
    ensure!(base != libc::MAP_FAILED, "no memory for the self-test: {}", std::io::Error::last_os_error());
    Ok(base.cast())
}
