//! Pages that are missing until somebody fills them through a userfaultfd: those of this process, and those of another one that
//! has passed its userfaultfd on, as in a live migration or a lazy restore.

use std::cell::RefCell;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::compat::syscall32;
use super::descriptors::Message;
use super::race::race;
use crate::buffer::content;
use crate::peer::{COMM, reap};
use crate::report::{Entry, Report};
use crate::sys::{self, Region};

// include/uapi/linux/userfaultfd.h
const API: u64 = 0xc018_aa3f;
const REGISTER: u64 = 0xc020_aa00;
const COPY: u64 = 0xc028_aa03;
const ZEROPAGE: u64 = 0xc020_aa04;
/// Since 6.8.
const MOVE: u64 = 0xc028_aa05;
/// Since 6.6.
const POISON: u64 = 0xc020_aa08;
const USER_MODE_ONLY: i32 = 1;
const DONTWAKE: u64 = 1;
const PAGE: u64 = 4096;
const NOWHERE: u64 = 0x1000;
const IOCTL_I386: u32 = 54;

const ESRCH: i64 = -3;
const EAGAIN: i64 = -11;
const EFAULT: i64 = -14;
const EEXIST: i64 = -17;
const EINVAL: i64 = -22;

/// A range of which `pages` are missing, behind a userfaultfd.
struct Lazy {
    fd: OwnedFd,
    region: Region,
}

fn ioctl(fd: &OwnedFd, command: u64, words: &mut [u64]) -> i64 {
    // SAFETY: the kernel reads and writes `words`, and fills pages that nobody has touched.
    unsafe { sys::raw(libc::SYS_ioctl, [fd.as_raw_fd() as u64, command, words.as_mut_ptr() as u64, 0, 0, 0]) }
}

impl Lazy {
    fn over(region: Region, pages: u64) -> Result<Self> {
        let open = |flags: i32| {
            // SAFETY: takes a number; the descriptor is new.
            let fd = unsafe { sys::raw(libc::SYS_userfaultfd, [flags as u64, 0, 0, 0, 0, 0]) };
            i32::try_from(fd).unwrap_or(-1)
        };
        // Before 5.11 there is no such flag.
        let modes = [libc::O_CLOEXEC | USER_MODE_ONLY, libc::O_CLOEXEC];
        let fd = modes.into_iter().map(open).find(|fd| *fd >= 0).context("userfaultfd")?;
        // SAFETY: new and ours.
        let lazy = Lazy { fd: unsafe { OwnedFd::from_raw_fd(fd) }, region };
        ensure!(ioctl(&lazy.fd, API, &mut [0xaa, 0, 0]) == 0, "UFFDIO_API");
        let registered = ioctl(&lazy.fd, REGISTER, &mut [lazy.page(0), pages * PAGE, 1, 0]);
        ensure!(registered == 0, "UFFDIO_REGISTER: {registered}");
        Ok(lazy)
    }

    fn page(&self, number: u64) -> u64 {
        self.region.addr() + number * PAGE
    }
}

/// One call: its struct, and what a recorder should have seen of it.
#[derive(Clone, Copy)]
struct Call {
    command: u64,
    dst: u64,
    src: u64,
    len: u64,
    mode: u64,
}

impl Call {
    fn copy(dst: u64, src: u64, len: u64) -> Self {
        Call { command: COPY, dst, src, len, mode: 0 }
    }

    /// One of the others; zeros and poison have no source.
    fn of(command: u64, dst: u64, src: u64, len: u64) -> Self {
        Call { command, dst, src, len, mode: 0 }
    }

    fn has_source(self) -> bool {
        [COPY, MOVE].contains(&self.command)
    }

    fn words(self) -> [u64; 5] {
        match self.has_source() {
            true => [self.dst, self.src, self.len, self.mode, 0],
            false => [self.dst, self.len, self.mode, 0, 0],
        }
    }

    fn make(self, fd: &OwnedFd) -> i64 {
        ioctl(fd, self.command, &mut self.words())
    }

    /// What a recorder should have seen of it, if it returned `ret` after `moved` bytes of `from`.
    fn entry(self, fd: &OwnedFd, ret: i64, moved: u64, from: &[u8], target: Value) -> Entry {
        let (event, direction) = match self.command {
            COPY => ("uffd_copy", json!("out")),
            MOVE => ("uffd_move", json!("out")),
            ZEROPAGE => ("uffd_zeropage", json!("out")),
            _ => ("uffd_poison", Value::Null),
        };
        let source = self.has_source();
        let entry = Entry::new(event, ret)
            .with("bytes", moved)
            .with("bytes_requested", self.len)
            .with("direction", direction)
            .with("fd_out", fd.as_raw_fd())
            .with("fd_out_kind", "anon_inode")
            .with("remote_iov", json!([[self.dst, self.len]]))
            .with("riovcnt", 1)
            .with("local_iov", if source { json!([[self.src, self.len]]) } else { Value::Null })
            .with("liovcnt", if source { json!(1) } else { Value::Null })
            .with("flags", self.mode)
            .with("iov_source", "user")
            .with("target_pid", target)
            .with("target_pid_arg", Value::Null);
        match from.get(..moved as usize).filter(|bytes| source && !bytes.is_empty()) {
            Some(bytes) => entry.payload(bytes),
            None => entry.nothing_captured(),
        }
    }
}

/// Makes a call on this process's own pages, and reports it.
fn on_own(report: &mut Report, fd: &OwnedFd, call: Call, (wanted, moved): (i64, u64), from: &[u8]) -> Result<()> {
    let ret = call.make(fd);
    ensure!(ret == wanted, "command {:#x} returned {ret}, not {wanted}", call.command);
    report.call(call.entry(fd, ret, moved, from, json!(std::process::id())));
    Ok(())
}

/// The result of a command that older kernels do not know, and how many bytes it was done with.
fn known(ret: i64, len: u64) -> Result<(i64, u64)> {
    ensure!([0, EINVAL].contains(&ret), "the call returned {ret}");
    Ok((ret, if ret == 0 { len } else { 0 }))
}

/// Each command on this process's own pages; a copy and zeros that stop at a page which is there.
pub fn own(report: &mut Report) -> Result<()> {
    let lazy = Lazy::over(Region::private(12 * PAGE as usize)?, 10)?;
    let source = Region::private(3 * PAGE as usize)?;
    let bytes = content(1, 3 * PAGE as usize);
    source.write(0, &bytes);
    let (fd, src) = (&lazy.fd, source.addr());
    let copy = |page, pages| Call::copy(lazy.page(page), src, pages * PAGE);
    on_own(report, fd, copy(1, 1), (0, PAGE), &bytes)?;
    on_own(report, fd, Call { mode: DONTWAKE, ..copy(3, 2) }, (0, 2 * PAGE), &bytes)?;
    // The second page is there.
    on_own(report, fd, copy(0, 3), (EAGAIN, PAGE), &bytes)?;
    let zero = |page, pages| Call::of(ZEROPAGE, lazy.page(page), 0, pages * PAGE);
    on_own(report, fd, zero(5, 1), (0, PAGE), &[])?;
    on_own(report, fd, zero(2, 2), (EAGAIN, PAGE), &[])?;
    // What is moved is behind the pages that are registered.
    lazy.region.write(11 * PAGE as usize, &bytes[..PAGE as usize]);
    let moved = Call::of(MOVE, lazy.page(6), lazy.page(11), PAGE);
    let ret = moved.make(fd);
    let done = known(ret, PAGE)?;
    report.call(moved.entry(fd, ret, done.1, &bytes, json!(std::process::id())));
    report.fact("moves", ret == 0);
    let poison = Call::of(POISON, lazy.page(7), 0, PAGE);
    let ret = poison.make(fd);
    let done = known(ret, PAGE)?;
    report.call(poison.entry(fd, ret, done.1, &[], json!(std::process::id())));
    report.fact("poisons", ret == 0);
    Ok(())
}

/// Pages that are there, that are not registered, and arguments that are wrong; descriptors that are no userfaultfd.
pub fn errors(report: &mut Report) -> Result<()> {
    let lazy = Lazy::over(Region::private(4 * PAGE as usize)?, 2)?;
    let source = Region::private(PAGE as usize)?;
    let bytes = content(2, PAGE as usize);
    source.write(0, &bytes);
    let (fd, src) = (&lazy.fd, source.addr());
    on_own(report, fd, Call::copy(lazy.page(0), src, PAGE), (0, PAGE), &bytes)?;
    on_own(report, fd, Call::copy(lazy.page(0), src, PAGE), (EEXIST, 0), &[])?;
    on_own(report, fd, Call::copy(lazy.page(2), src, PAGE), (-2, 0), &[])?;
    on_own(report, fd, Call::copy(lazy.page(1), NOWHERE, PAGE), (EFAULT, 0), &[])?;
    for (dst, len, mode) in
        [(lazy.page(1) + 8, PAGE, 0), (lazy.page(1), PAGE - 8, 0), (lazy.page(1), 0, 0), (lazy.page(1), PAGE, 1 << 40)]
    {
        on_own(report, fd, Call { mode, ..Call::copy(dst, src, len) }, (EINVAL, 0), &[])?;
    }
    on_own(report, fd, Call::of(ZEROPAGE, lazy.page(0), 0, PAGE), (EEXIST, 0), &[])?;
    on_own(report, fd, Call::of(ZEROPAGE, lazy.page(1) + 8, 0, PAGE), (EINVAL, 0), &[])?;
    // A struct that is nowhere.
    let call = Call::copy(0, 0, 0);
    // SAFETY: there is nothing at that address.
    let ret = unsafe { sys::raw(libc::SYS_ioctl, [fd.as_raw_fd() as u64, COPY, NOWHERE, 0, 0, 0]) };
    ensure!(ret == EFAULT, "the call returned {ret}");
    let seen = call.entry(fd, ret, 0, &[], json!(std::process::id())).with("iov_verdict", "unreadable");
    let unread = ["remote_iov", "local_iov", "bytes_requested", "flags"];
    report.call(unread.into_iter().fold(seen, |seen, column| seen.with(column, Value::Null)));
    // No userfaultfd, and another command: no events.
    let (read, _write) = sys::pipe(0)?;
    let ret = Call::copy(lazy.page(1), src, PAGE).make(&read);
    ensure!(ret == -25, "the call returned {ret}");
    ensure!(ioctl(fd, 0x8010_aa02, &mut [lazy.page(0), PAGE]) == 0, "UFFDIO_WAKE");
    Ok(())
}

/// Another process waits for the first of its pages, until this one fills it.
pub fn of_a_peer(report: &mut Report) -> Result<()> {
    const PAGES: usize = 6;
    let (region, source) = (Region::private(PAGES * PAGE as usize)?, Region::private(PAGE as usize)?);
    let bytes = content(3, PAGE as usize);
    source.write(0, &bytes);
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors, which are new and ours.
    let (here, there) = unsafe {
        sys::check(libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, ends.as_mut_ptr()), "socketpair")?;
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    };
    let start = region.addr();
    // SAFETY: this process has one thread, so the child may use everything.
    let pid = match sys::check(unsafe { libc::fork() }, "fork")? {
        0 => {
            drop(here);
            let done = wait_for_pages(region, PAGES as u64, &there);
            // SAFETY: ends the process.
            unsafe { libc::_exit(i32::from(done.is_err())) }
        }
        pid => pid,
    };
    drop(there);
    let fd = Message::new().receive(&here)?;
    let mut call = |call: Call, wanted: Option<(i64, u64)>, from: &[u8]| {
        let ret = call.make(&fd);
        let (wanted, moved) = wanted.map_or_else(|| known(ret, call.len), Ok)?;
        ensure!(ret == wanted, "command {:#x} returned {ret}, not {wanted}", call.command);
        report.call(call.entry(&fd, ret, moved, from, json!(pid)).with("target_comm", COMM));
        Ok(())
    };
    let page = |number: u64| start + number * PAGE;
    call(Call::copy(page(0), source.addr(), PAGE), Some((0, PAGE)), &bytes)?;
    ensure!(sys::read_exact(&here, 8)? == bytes[..8], "the other process has read something else");
    call(Call::of(ZEROPAGE, page(2), 0, PAGE), Some((0, PAGE)), &[])?;
    call(Call::copy(page(1), source.addr(), PAGE), Some((0, PAGE)), &bytes)?;
    call(Call::copy(page(1), source.addr(), PAGE), Some((EEXIST, 0)), &[])?;
    call(Call::of(POISON, page(3), 0, PAGE), None, &[])?;
    // Nobody moves pages of another process.
    call(Call::of(MOVE, page(4), page(5), PAGE), Some((EINVAL, 0)), &[])?;
    sys::write_all(&here, &[0])?;
    ensure!(reap(pid) == 0, "the other process failed");
    // Its memory has no owner any more.
    let late = Call::copy(page(4), source.addr(), PAGE);
    let ret = late.make(&fd);
    ensure!(ret == ESRCH, "the call returned {ret}");
    report.call(late.entry(&fd, ret, 0, &[], Value::Null));
    Ok(())
}

/// Passes its userfaultfd on, reads its first page, and waits to be let go.
fn wait_for_pages(region: Region, pages: u64, socket: &OwnedFd) -> Result<()> {
    // SAFETY: prctl reads the name; the child dies with its parent.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"vm-target".as_ptr());
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
    let lazy = Lazy::over(region, pages)?;
    Message::new().send(socket, &lazy.fd)?;
    sys::write_all(socket, &lazy.region.read(0, 8))?;
    sys::read_exact(socket, 1)?;
    Ok(())
}

/// By `int 0x80`: the struct is the same.
pub fn int80(report: &mut Report) -> Result<()> {
    let lazy = Lazy::over(Region::private(PAGE as usize)?, 1)?;
    let (source, low) = (Region::private(PAGE as usize)?, Region::low(PAGE as usize)?);
    let bytes = content(4, PAGE as usize);
    source.write(0, &bytes);
    let call = Call::copy(lazy.page(0), source.addr(), PAGE);
    low.write(0, &call.words().map(u64::to_ne_bytes).concat());
    let address = u32::try_from(low.addr()).context("not below 4 GiB")?;
    // SAFETY: the struct is in our own page, and the page that it names is missing.
    let ret = unsafe { syscall32(IOCTL_I386, [lazy.fd.as_raw_fd() as u32, COPY as u32, address, 0, 0, 0]) };
    ensure!(ret == 0, "the call returned {ret}");
    let seen = call.entry(&lazy.fd, ret, PAGE, &bytes, json!(std::process::id()));
    report.call(seen.with("abi", "compat32"));
    Ok(())
}

/// Another thread changes the source in the struct all the time, between two places, reported as `bases`; what each call has
/// copied, as its page has it afterwards, is `used`.
pub fn flip(report: &mut Report) -> Result<()> {
    let lazy = Lazy::over(Region::private(PAGE as usize)?, 1)?;
    let sources = [Region::private(PAGE as usize)?, Region::private(PAGE as usize)?];
    for (number, source) in (0u64..).zip(&sources) {
        source.write(0, &content(number, PAGE as usize));
    }
    let bases = [sources[0].addr(), sources[1].addr()];
    let words = Call::copy(lazy.page(0), bases[0], PAGE).words().map(AtomicU64::new);
    let (second, used) = (content(1, 8), RefCell::new(String::new()));
    let flip = || {
        words[1].store(bases[1], Ordering::Relaxed);
        words[1].store(bases[0], Ordering::Relaxed);
    };
    let tally = race(flip, || {
        let args = [lazy.fd.as_raw_fd() as u64, COPY, words.as_ptr() as u64, 0, 0, 0];
        // SAFETY: the struct lives; the page that it names is our own, and missing.
        let ret = unsafe { sys::raw(libc::SYS_ioctl, args) };
        used.borrow_mut().push(if ret == 0 && lazy.region.read(0, 8) == second { '1' } else { '0' });
        // SAFETY: a page of our own, which is missing again behind it.
        unsafe { libc::madvise(lazy.page(0) as *mut libc::c_void, PAGE as usize, libc::MADV_DONTNEED) };
        ret
    })?;
    report.fact("used", used.into_inner());
    report.fact("bases", bases.to_vec());
    report.fact("each", PAGE);
    report.calls("uffd_copy", tally, Vec::new());
    Ok(())
}
