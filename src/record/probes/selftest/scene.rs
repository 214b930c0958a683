//! Where the transfers of the self-test are made: processes, buffers, and ways from one to the other.

use std::io::Result;
use std::os::fd::OwnedFd;

use super::sys::{code, owned, raw};
use crate::record::probes::selftest::expectation::{Board, Expectation, Field, SIZE};
use crate::schema::types::Iovec;

/// Where a transfer is made.
#[derive(Debug)]
pub struct Scene<'a> {
    /// Where expectations are written.
    pub board: &'a Board,
    /// Buffers anywhere.
    pub field: &'a Field,
    /// Buffers below 4 GiB, if there is room.
    pub low: Option<&'a Field>,
    /// This process.
    pub pid: i32,
    /// Its child, whose memory is reached into.
    pub target: i32,
    /// A descriptor that the target has.
    pub lent: i32,
    /// Number of the transfer.
    pub slot: usize,
    /// Its bytes.
    pub text: [u8; SIZE],
}

/// A range of memory.
pub fn range(base: u64, len: usize) -> Iovec {
    Iovec { base, len: len as u64 }
}

/// What could not be prepared is refused, too.
pub fn whole(result: Result<Expectation>) -> Expectation {
    result.unwrap_or_else(|e| Expectation::refused(code(&e)))
}

impl Scene<'_> {
    /// The caller's buffer.
    pub fn local(&self) -> Iovec {
        range(self.field.local(self.slot), SIZE)
    }

    /// The target's buffer.
    pub fn remote(&self) -> Iovec {
        range(self.field.remote(self.slot), SIZE)
    }

    /// Puts the bytes into the caller's buffer.
    pub fn fill_local(&self) {
        self.field.fill_local(self.slot, &self.text);
    }

    /// A call that returned `ret` where `wanted` is right.
    pub fn returned(&self, ret: i64, wanted: usize) -> Expectation {
        Expectation { ret, wanted: wanted as i64, pid: self.pid, ..Expectation::default() }
    }

    /// An expectation that names the target.
    pub fn with_target(&self, expectation: Expectation) -> Expectation {
        Expectation { other: self.target, ..expectation }
    }

    /// A transfer of all bytes between both buffers.
    pub fn between(&self, ret: i64) -> Expectation {
        let expectation = Expectation { local: self.local(), remote: self.remote(), ..self.returned(ret, SIZE) };
        self.with_target(expectation).with_payload(&self.text)
    }

    /// A call of process_vm_readv(2) or process_vm_writev(2).
    pub fn vm(&self, nr: libc::c_long) -> Expectation {
        let (local, remote) = (self.local(), self.remote());
        let (local, remote) = (&raw const local as u64, &raw const remote as u64);
        self.between(raw(nr, [self.target as u64, local, 1, remote, 1, 0]))
    }

    /// The target's memory.
    pub fn mem_file(&self) -> Result<std::fs::File> {
        let path = format!("/proc/{}/mem", self.target);
        std::fs::File::options().read(true).write(true).open(path)
    }

    /// The target as a PID file descriptor.
    pub fn pidfd(&self) -> Result<OwnedFd> {
        owned(raw(libc::SYS_pidfd_open, [self.target as u64, 0, 0, 0, 0, 0]))
    }

    /// A request to the target.
    pub fn ptrace(&self, request: u32, addr: u64, data: u64) -> i64 {
        raw(libc::SYS_ptrace, [request.into(), self.target as u64, addr, data, 0, 0])
    }

    /// A word of the target's buffer.
    pub fn word(&self) -> (Iovec, &[u8]) {
        let text = self.text.get(..size_of::<u64>()).unwrap_or_default();
        (range(self.remote().base, size_of::<u64>()), text)
    }
}
