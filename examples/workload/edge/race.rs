//! Calls whose memory a second thread changes under way. Nothing is logged but counts and the facts that rows can be
//! judged by.

use std::cell::{Cell, RefCell};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};

use super::vm::Pair;
use crate::buffer::{Buffer, content, hex};
use crate::mem::{self, MemCall};
use crate::report::{Report, Tally};
use crate::sys::Region;
use crate::vm::{call_raw, event};

/// How many calls race, if `WORKLOAD_RACE_CALLS` does not say.
const CALLS: u64 = 20_000;

/// The number of calls.
pub fn calls() -> Result<u64> {
    std::env::var("WORKLOAD_RACE_CALLS").map_or(Ok(CALLS), |n| n.parse()).context("WORKLOAD_RACE_CALLS")
}

/// Makes that many calls while another thread runs `disturb` again and again. None of them may fail.
pub(super) fn race(disturb: impl Fn() + Sync, transfer: impl Fn() -> i64) -> Result<Tally> {
    let calls = calls()?;
    let done = AtomicBool::new(false);
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                disturb();
            }
        });
        for _ in 0..calls {
            let ret = transfer();
            tally.add(ret, u64::try_from(ret).unwrap_or(0));
        }
        done.store(true, Ordering::Relaxed);
    });
    ensure!(tally.ok == calls, "{tally:?}");
    Ok(tally)
}

/// An iovec of 8 bytes whose address flips between two places.
struct Flipping {
    bases: [u64; 2],
    array: [AtomicU64; 2],
}

impl Flipping {
    fn new(bases: [u64; 2]) -> Self {
        Flipping { bases, array: [AtomicU64::new(bases[0]), AtomicU64::new(8)] }
    }

    fn addr(&self) -> u64 {
        self.array.as_ptr() as u64
    }

    fn flip(&self) {
        self.array[0].store(self.bases[1], Ordering::Relaxed);
        self.array[0].store(self.bases[0], Ordering::Relaxed);
    }
}

/// Which place each call used, as a text of 0 and 1.
#[derive(Default)]
struct Used(RefCell<String>);

impl Used {
    fn note(&self, second: bool) {
        self.0.borrow_mut().push(if second { '1' } else { '0' });
    }
}

/// The iovec's address flips between two places, reported as `bases`; where the bytes of each call really went, as seen
/// afterwards, is `used`.
pub fn flip(report: &mut Report) -> Result<()> {
    let pair = Pair::new(Buffer::new(Region::private, &[8, 8])?, Buffer::new(Region::shared, &[8])?)?;
    let (pid, remote) = (pair.peer.pid() as u64, pair.remote.iov().as_ptr() as u64);
    flip_reads(report, &pair, event(false), |array| call_raw(false, [pid, array, 1, remote, 1], 0))
}

/// The same from /proc/PID/mem.
pub fn flip_mem(report: &mut Report) -> Result<()> {
    let pair = Pair::new(Buffer::new(Region::private, &[8, 8])?, Buffer::new(Region::shared, &[8])?)?;
    let fd = mem::open(&format!("/proc/{}/mem", pair.peer.pid()))?;
    let offset = pair.remote.addr();
    flip_reads(report, &pair, "preadv", |array| mem::call_array(MemCall::Preadv, &fd, array, 1, offset))
}

/// Reads the peer's eight bytes by `call`, which gets the address of the array.
fn flip_reads(report: &mut Report, pair: &Pair, event: &'static str, call: impl Fn(u64) -> i64) -> Result<()> {
    let bases: Vec<u64> = pair.local.iov().iter().map(|v| v.iov_base as u64).collect();
    let [first, second] = bases[..] else { return Ok(()) };
    let (array, used, number) = (Flipping::new([first, second]), Used::default(), Cell::new(0u64));
    let tally = race(
        || array.flip(),
        || {
            number.set(number.get() + 1);
            // SAFETY: eight bytes each of our own mappings, which only the kernel writes besides.
            unsafe { (pair.remote.addr() as *mut u64).write_volatile(number.get()) };
            let ret = call(array.addr());
            // SAFETY: as above.
            let arrived = |base: u64| unsafe { (base as *const u64).read_volatile() } == number.get();
            assert_ne!(arrived(first), arrived(second), "the bytes went to one of two places");
            used.note(arrived(second));
            ret
        },
    )?;
    report.fact("bases", bases);
    report.fact("used", used.0.into_inner());
    report.calls(event, tally, Vec::new());
    Ok(())
}

/// The same into a pipe: the two places hold different bytes, and what comes out of the pipe tells which was used.
pub fn flip_vmsplice(report: &mut Report) -> Result<()> {
    let local = Buffer::new(Region::private, &[8, 8])?;
    local.fill(0);
    let bases: Vec<u64> = local.iov().iter().map(|v| v.iov_base as u64).collect();
    let [first, second] = bases[..] else { return Ok(()) };
    let (array, used) = (Flipping::new([first, second]), Used::default());
    let (reader, writer) = crate::sys::pipe(4096)?;
    // SAFETY: eight bytes of our own mapping, which nobody writes any more.
    let other = unsafe { (second as *const u64).read_volatile() }.to_ne_bytes();
    let tally = race(
        || array.flip(),
        || {
            // SAFETY: the array lives; the kernel refuses what it cannot read.
            let ret = unsafe { libc::syscall(libc::SYS_vmsplice, writer.as_raw_fd(), array.addr(), 1, 0) };
            used.note(crate::sys::read_exact(&reader, 8).is_ok_and(|bytes| bytes == other));
            ret
        },
    )?;
    report.fact("bases", bases);
    report.fact("used", used.0.into_inner());
    report.calls("vmsplice", tally, Vec::new());
    Ok(())
}

/// The page of the first of two segments, 32 bytes each, is taken away again and again, so that its bytes may be
/// gone when the call returns. The second segment, reported as `stable`, stays.
pub fn vanish(report: &mut Report) -> Result<()> {
    let region = Region::private(8192)?;
    let page = region.addr();
    let pair = Pair::new(Buffer::over(region, vec![(0, 32), (4096, 32)]), Buffer::new(Region::shared, &[64])?)?;
    pair.remote.fill(0);
    let disturb = || {
        // SAFETY: a page of our own, in which only the kernel writes.
        unsafe { libc::madvise(page as *mut libc::c_void, 4096, libc::MADV_DONTNEED) };
    };
    let (pid, local, remote) = (pair.peer.pid(), pair.local.iov(), pair.remote.iov());
    let arrays = [local.as_ptr() as u64, remote.as_ptr() as u64];
    let tally = race(disturb, || call_raw(false, [pid as u64, arrays[0], 2, arrays[1], 1], 0))?;
    report.fact("stable", hex(&content(0, 64)[32..]));
    report.calls(event(false), tally, Vec::new());
    Ok(())
}

/// No second thread needed: the call's own bytes land on its iovec array, of two segments of 32 bytes. By the
/// time it returns, the first one points nowhere; the second is `stable`.
pub fn self_overwrite(report: &mut Report) -> Result<()> {
    overwriting(report, event(false), |array, pair| {
        call_raw(false, [pair.peer.pid() as u64, array, 2, pair.remote.iov().as_ptr() as u64, 1], 0)
    })
}

/// The same from /proc/PID/mem.
pub fn mem_overwrite(report: &mut Report) -> Result<()> {
    overwriting(report, "preadv", |array, pair| {
        let fd = mem::open(&format!("/proc/{}/mem", pair.peer.pid())).expect("the peer's memory opens");
        mem::call_array(MemCall::Preadv, &fd, array, 2, pair.remote.addr())
    })
}

/// Makes the call with the array at the address that it gets.
fn overwriting(report: &mut Report, event: &'static str, call: impl Fn(u64, &Pair) -> i64) -> Result<()> {
    const NOWHERE: u64 = 0x1000;
    let region = Region::private(4096)?;
    let (array, stable) = (region.addr(), region.addr() + 1024);
    let list = |first: u64| [first, 32, stable, 32].map(u64::to_le_bytes).concat();
    region.write(0, &list(array));
    let remote = Region::shared(64)?;
    remote.write(0, &list(NOWHERE));
    remote.write(32, &content(0, 32));
    let pair = Pair::new(Buffer::over(region, vec![(0, 32), (1024, 32)]), Buffer::over(remote, vec![(0, 64)]))?;
    let ret = call(array, &pair);
    ensure!(ret == 64 && pair.local.gather() == [list(NOWHERE), content(0, 32)].concat(), "the call returned {ret}");
    let mut tally = Tally::default();
    tally.add(ret, 64);
    report.fact("ranges", [[array, 32], [stable, 32]]);
    report.fact("stable", hex(&content(0, 32)));
    report.calls(event, tally, Vec::new());
    Ok(())
}
