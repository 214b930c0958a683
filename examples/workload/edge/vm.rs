//! process_vm_readv and process_vm_writev with arguments that are wrong, odd or large.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::buffer::{Buffer, content, iovec};
use crate::peer::{COMM, Peer, in_child, reap};
use crate::report::{Entry, Report};
use crate::sys::{self, Region};
use crate::vm::{call, call_raw, entry, event};

/// An address below everything that is ever mapped (vm.mmap_min_addr).
pub const NOWHERE: u64 = 0x1000;

/// Local and remote buffers, filled, and a peer behind the remote one.
pub struct Pair {
    /// In this process.
    pub local: Buffer,
    /// In the peer, and shared with this process.
    pub remote: Buffer,
    /// The target.
    pub peer: Peer,
}

impl Pair {
    /// Forks the peer.
    pub fn new(local: Buffer, remote: Buffer) -> Result<Self> {
        Ok(Pair { local, remote, peer: Peer::fork()? })
    }

    /// 64 bytes in one segment on each side.
    pub fn small() -> Result<Self> {
        Self::new(Buffer::new(Region::private, &[64])?, Buffer::new(Region::shared, &[64])?)
    }

    /// Reads and writes payloads `seq` and `seq + 1`, expecting `moved` bytes each way.
    fn both_ways(&self, seq: u64, moved: i64, report: &mut Report) -> Result<()> {
        for write in [false, true] {
            let seq = seq + u64::from(write);
            let (from, to) = if write { (&self.local, &self.remote) } else { (&self.remote, &self.local) };
            from.fill(seq);
            let ret = call(write, self.peer.pid(), self.local.iov(), self.remote.iov(), 0);
            ensure!(ret == moved, "{} returned {ret}, not {moved}", event(write));
            let arrived = to.gather();
            ensure!(arrived.starts_with(&content(seq, moved.try_into()?)), "the payload did not arrive");
            report.call(self.entry(write, ret).numbered(seq));
        }
        Ok(())
    }

    /// What a recorder should have seen of a call without payload.
    pub fn entry(&self, write: bool, ret: i64) -> Entry {
        entry(write, ret, self.peer.pid(), self.local.iov(), self.remote.iov(), 0)
            .with("target_pid", self.peer.pid())
            .with("target_comm", COMM)
    }
}

/// A process id that was given back a moment ago.
fn dead_pid() -> Result<i32> {
    // SAFETY: the child ends at once.
    match sys::check(unsafe { libc::fork() }, "fork")? {
        // SAFETY: as above.
        0 => unsafe { libc::_exit(0) },
        pid => {
            reap(pid);
            Ok(pid)
        }
    }
}

/// The call failed as it should.
pub fn fails(ret: i64, errno: i32) -> Result<()> {
    ensure!(ret == -i64::from(errno), "the call returned {ret}, not -{errno}");
    Ok(())
}

/// The target does not exist.
pub fn esrch(report: &mut Report) -> Result<()> {
    let buffer = Buffer::new(Region::private, &[64])?;
    let pid = dead_pid()?;
    for write in [false, true] {
        let ret = call(write, pid, buffer.iov(), buffer.iov(), 0);
        fails(ret, libc::ESRCH)?;
        report.call(entry(write, ret, pid, buffer.iov(), buffer.iov(), 0).with("target_pid", Value::Null));
    }
    Ok(())
}

/// A child that gave up its privileges reaches for its parent.
pub fn eperm(report: &mut Report) -> Result<()> {
    const NOBODY: u32 = 65_534;
    let buffer = Buffer::new(Region::private, &[64])?;
    let parent = std::process::id() as i32;
    let (_, output) = in_child(|out| {
        // SAFETY: plain numbers.
        unsafe {
            sys::check(libc::setgroups(0, std::ptr::null()), "setgroups")?;
            sys::check(libc::setresgid(NOBODY, NOBODY, NOBODY), "setresgid")?;
            sys::check(libc::setresuid(NOBODY, NOBODY, NOBODY), "setresuid")?;
        }
        let mut inner = Report::default();
        for write in [false, true] {
            let ret = call(write, parent, buffer.iov(), buffer.iov(), 0);
            fails(ret, libc::EPERM)?;
            let seen = entry(write, ret, parent, buffer.iov(), buffer.iov(), 0);
            inner.call(seen.with("target_pid", parent).with("uid", NOBODY).with("target_uid", 0));
        }
        sys::write_all(out, inner.into_json().to_string().as_bytes())
    })?;
    report.child(&serde_json::from_slice(&output)?)
}

/// The local segment is nowhere.
pub fn efault_local(report: &mut Report) -> Result<()> {
    let pair = Pair::small()?;
    let local = [iovec(NOWHERE, 64)];
    for write in [false, true] {
        let ret = call(write, pair.peer.pid(), &local, pair.remote.iov(), 0);
        fails(ret, libc::EFAULT)?;
        report.call(pair.entry(write, ret).with("local_iov", json!([[NOWHERE, 64]])));
    }
    Ok(())
}

/// The remote segment is nowhere.
pub fn efault_remote(report: &mut Report) -> Result<()> {
    let pair = Pair::small()?;
    let remote = [iovec(NOWHERE, 64)];
    for write in [false, true] {
        let ret = call(write, pair.peer.pid(), pair.local.iov(), &remote, 0);
        fails(ret, libc::EFAULT)?;
        report.call(pair.entry(write, ret).with("remote_iov", json!([[NOWHERE, 64]])));
    }
    Ok(())
}

/// Flags that do not exist.
pub fn einval_flags(report: &mut Report) -> Result<()> {
    let pair = Pair::small()?;
    for write in [false, true] {
        let ret = call(write, pair.peer.pid(), pair.local.iov(), pair.remote.iov(), 1);
        fails(ret, libc::EINVAL)?;
        report.call(pair.entry(write, ret).with("flags", 1));
    }
    Ok(())
}

/// More segments than UIO_MAXIOV, on either side, and a length that is negative.
pub fn einval_count(report: &mut Report) -> Result<()> {
    let pair = Pair::new(Buffer::new(Region::private, &[1; 1025])?, Buffer::new(Region::shared, &[1; 1025])?)?;
    let one = iovec(pair.local.addr(), 1);
    let pid = pair.peer.pid();
    let unread = |seen: Entry, side: &str| {
        let mut seen = seen.with(side, Value::Null).with("bytes_requested", Value::Null);
        // One array was read and the other refused for its length: one word cannot say both.
        seen.forget("iov_verdict");
        seen
    };
    let ret = call(false, pid, pair.local.iov(), &[one], 0);
    fails(ret, libc::EINVAL)?;
    report.call(unread(entry(false, ret, pid, pair.local.iov(), &[one], 0), "local_iov"));
    let ret = call(true, pid, &[one], pair.remote.iov(), 0);
    fails(ret, libc::EINVAL)?;
    report.call(unread(entry(true, ret, pid, &[one], pair.remote.iov(), 0), "remote_iov"));
    let negative = [iovec(pair.local.addr(), usize::MAX)];
    let ret = call(false, pid, &negative, &[one], 0);
    fails(ret, libc::EINVAL)?;
    report.call(entry(false, ret, pid, &negative, &[one], 0));
    Ok(())
}

/// Two pages asked for, of which the target has lost the second.
pub fn partial(report: &mut Report) -> Result<()> {
    let mut region = Region::shared(8192)?;
    let addr = region.addr();
    region.unmap_from(4096)?;
    let page = Buffer::over(region, vec![(0, 4096)]);
    let peer = Peer::fork()?;
    let local = Buffer::new(Region::private, &[100, 8092])?;
    let remote = [iovec(addr, 8192)];
    for (seq, write) in [(0, false), (1, true)] {
        if write {
            local.fill(seq)
        } else {
            page.fill(seq)
        }
        let ret = call(write, peer.pid(), local.iov(), &remote, 0);
        ensure!(ret == 4096, "the call returned {ret}");
        let seen = entry(write, ret, peer.pid(), local.iov(), &remote, 0).with("target_pid", peer.pid());
        report.call(seen.numbered(seq));
    }
    Ok(())
}

/// No segment at all: succeeds and moves nothing.
pub fn no_segments(report: &mut Report) -> Result<()> {
    let pair = Pair::small()?;
    for (local, remote) in [(&[][..], pair.remote.iov()), (pair.local.iov(), &[][..])] {
        let ret = call(false, pair.peer.pid(), local, remote, 0);
        ensure!(ret == 0, "the call returned {ret}");
        let mut seen = entry(false, ret, pair.peer.pid(), local, remote, 0).nothing_captured();
        // Whether an empty list is null or empty is the recorder's choice; its count is not.
        seen.forget("iov_verdict");
        seen.forget("iov_source");
        seen.forget(if local.is_empty() { "local_iov" } else { "remote_iov" });
        report.call(seen);
    }
    Ok(())
}

/// Segments of length zero in front of those that count.
pub fn decoy(report: &mut Report) -> Result<()> {
    let local = Buffer::new(Region::private, &[0, 30, 0, 34])?;
    Pair::new(local, Buffer::new(Region::shared, &[0, 64])?)?.both_ways(0, 64, report)
}

/// A first segment of 65,536 bytes: its length has no low 16 bits.
pub fn big_first(report: &mut Report) -> Result<()> {
    let lengths = [65_536, 64, 64];
    let pair = Pair::new(Buffer::new(Region::private, &lengths)?, Buffer::new(Region::shared, &lengths)?)?;
    pair.both_ways(0, 65_664, report)
}

/// As many segments as the kernel allows, on both sides and on each alone.
pub fn segments_1024(report: &mut Report) -> Result<()> {
    let many = || Buffer::new(Region::private, &[4; 1024]);
    let many_shared = || Buffer::new(Region::shared, &[4; 1024]);
    Pair::new(many()?, many_shared()?)?.both_ways(0, 4096, report)?;
    Pair::new(many()?, Buffer::new(Region::shared, &[4096])?)?.both_ways(2, 4096, report)?;
    Pair::new(Buffer::new(Region::private, &[4096])?, many_shared()?)?.both_ways(4, 4096, report)
}

/// Everything the call names lies in pages that this process has not touched yet.
pub fn untouched(report: &mut Report) -> Result<()> {
    let remote = Buffer::new(Region::shared, &[64])?;
    remote.fill(0);
    let peer = Peer::fork()?;
    for write in [false, true] {
        let region = if write { Region::untouched(&content(1, 64))? } else { Region::private(64)? };
        let local = Buffer::over(region, vec![(0, 64)]);
        let local_array = Region::untouched(&array(local.addr(), 64))?;
        let remote_array = Region::untouched(&array(remote.addr(), 64))?;
        let ret = call_raw(write, [peer.pid() as u64, local_array.addr(), 1, remote_array.addr(), 1], 0);
        ensure!(ret == 64, "the call returned {ret}");
        let seen = entry(write, ret, peer.pid(), local.iov(), remote.iov(), 0).with("target_pid", peer.pid());
        report.call(seen.numbered(u64::from(write)));
    }
    Ok(())
}

/// One `struct iovec` as bytes.
fn array(base: u64, len: u64) -> Vec<u8> {
    [base.to_le_bytes(), len.to_le_bytes()].concat()
}

/// The target is named by the id of a thread that is not its first.
pub fn thread_target(report: &mut Report) -> Result<()> {
    let pair = Pair::small()?;
    let peer = Peer::fork_with_thread()?;
    ensure!(peer.tid() != peer.pid(), "the peer has one thread only");
    pair.remote.fill(0);
    let ret = call(false, peer.tid(), pair.local.iov(), pair.remote.iov(), 0);
    ensure!(ret == 64, "the call returned {ret}");
    let seen = entry(false, ret, peer.tid(), pair.local.iov(), pair.remote.iov(), 0);
    report.call(seen.with("target_pid", peer.pid()).with("target_comm", COMM).numbered(0));
    Ok(())
}

/// The caller is its own target.
pub fn self_target(report: &mut Report) -> Result<()> {
    let pid = std::process::id() as i32;
    let (local, remote) = (Buffer::new(Region::private, &[64])?, Buffer::new(Region::private, &[64])?);
    remote.fill(0);
    let ret = call(false, pid, local.iov(), remote.iov(), 0);
    ensure!(ret == 64, "the call returned {ret}");
    report.call(entry(false, ret, pid, local.iov(), remote.iov(), 0).with("target_pid", pid).numbered(0));
    Ok(())
}
