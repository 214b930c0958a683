//! Calls whose bytes land on their own iovec array, which says something else by the time they return. It takes no second
//! thread.

use std::os::fd::AsRawFd;

use anyhow::{Result, ensure};

use crate::buffer::{Buffer, content};
use crate::mem::{self, MemCall};
use crate::peer::Peer;
use crate::pipes::{Pipe, call_vmsplice};
use crate::report::{Report, Tally};
use crate::sys::{self, Region, raw};
use crate::vm::{call_raw, event};

const STABLE: usize = 1024;
const ELSEWHERE: usize = 2048;
const ARRAY: usize = 512;
const LEN: usize = 48;

/// Memory with an array of two ranges at its start: 32 bytes that nothing is wrong with, and the array's first entry.
struct Own(Region);

fn list(pairs: &[(u64, u64)]) -> Vec<u8> {
    pairs.iter().flat_map(|(base, len)| [base.to_le_bytes(), len.to_le_bytes()].concat()).collect()
}

impl Own {
    fn addr(&self, offset: usize) -> u64 {
        self.0.addr() + offset as u64
    }

    /// The address of the array, whole again.
    fn array(&self) -> u64 {
        self.0.write(0, &list(&[(self.addr(STABLE), 32), (self.addr(0), 16)]));
        self.addr(0)
    }

    /// What lands on it: the first entry then leads to another place of the same memory.
    fn payload(&self) -> Vec<u8> {
        [content(0, 32), list(&[(self.addr(ELSEWHERE), 32)])].concat()
    }
}

/// A call returned what it should.
fn count(report: &mut Report, event: &'static str, ret: i64, wanted: usize) -> Result<()> {
    ensure!(ret == wanted as i64, "{event} returned {ret}");
    let mut tally = Tally::default();
    tally.add(ret, wanted as u64);
    report.calls(event, tally, Vec::new());
    Ok(())
}

/// By every call that writes to the caller's memory by an array.
pub fn overwrites(report: &mut Report) -> Result<()> {
    let own = Own(Region::private(4096)?);
    let remote = Buffer::over(Region::shared(4096)?, vec![(0, LEN)]);
    let peer = {
        // SAFETY: inside our own mapping, which the peer will share.
        unsafe { std::ptr::copy_nonoverlapping(own.payload().as_ptr(), remote.addr() as *mut u8, LEN) };
        Peer::fork()?
    };
    let (pid, remote_array) = (peer.pid() as u64, remote.iov().as_ptr() as u64);
    count(report, event(false), call_raw(false, [pid, own.array(), 2, remote_array, 1], 0), LEN)?;
    let fd = mem::open(&format!("/proc/{pid}/mem"))?;
    count(report, "preadv", mem::call_array(MemCall::Preadv, &fd, own.array(), 2, remote.addr()), LEN)?;
    from_pipes(report, &own)?;
    // The array of the other side is in the caller's memory, too.
    own.0.write(ARRAY, &list(&[(remote.addr(), 16)]));
    own.0.write(0, &list(&[(own.addr(ARRAY), 16)]));
    count(report, event(false), call_raw(false, [pid, own.addr(0), 1, own.addr(ARRAY), 1], 0), 16)?;
    // And a process may write to itself.
    own.0.write(ARRAY, &list(&[(own.array(), 16)]));
    let me = u64::from(std::process::id());
    count(report, event(true), call_raw(true, [me, own.addr(0), 1, own.addr(ARRAY), 1], 0), 16)
}

/// vmsplice and readv out of a pipe.
fn from_pipes(report: &mut Report, own: &Own) -> Result<()> {
    let pipe = Pipe::new(0)?;
    sys::write_all(&pipe.write, &own.payload())?;
    let vmsplice = |array: u64| {
        // SAFETY: both ranges are of our own memory.
        unsafe { raw(libc::SYS_vmsplice, [pipe.read.as_raw_fd() as u64, array, 2, 0, 0, 0]) }
    };
    count(report, "vmsplice", vmsplice(own.array()), LEN)?;
    let payload = Region::private(LEN)?;
    payload.write(0, &own.payload());
    let fed = Buffer::over(payload, vec![(0, LEN)]);
    count(report, "vmsplice", call_vmsplice(pipe.write.as_raw_fd(), fed.iov(), 0), LEN)?;
    // SAFETY: as above.
    let ret = unsafe { raw(libc::SYS_readv, [pipe.read.as_raw_fd() as u64, own.array(), 2, 0, 0, 0]) };
    ensure!(ret == LEN as i64, "readv returned {ret}");
    Ok(())
}
