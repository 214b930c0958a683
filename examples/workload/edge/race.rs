//! Calls whose memory a second thread changes under way. What was used cannot be known; what must not be claimed
//! can. Nothing is logged but counts and the facts that rows can be judged by.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};

use super::vm::Pair;
use crate::buffer::{Buffer, content, hex};
use crate::report::{Report, Tally};
use crate::sys::Region;
use crate::vm::{call_raw, event};

/// How many calls race, if `WORKLOAD_RACE_CALLS` does not say.
const CALLS: u64 = 20_000;

/// Makes that many calls while another thread runs `disturb` again and again. None of them may fail.
fn race(disturb: impl Fn() + Sync, transfer: impl Fn() -> i64) -> Result<Tally> {
    let calls = std::env::var("WORKLOAD_RACE_CALLS").map_or(Ok(CALLS), |n| n.parse()).context("WORKLOAD_RACE_CALLS")?;
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

/// The iovec's address flips between two places, reported as `bases`.
pub fn flip(report: &mut Report) -> Result<()> {
    let pair = Pair::new(Buffer::new(Region::private, &[8, 8])?, Buffer::new(Region::shared, &[8])?)?;
    pair.remote.fill(0);
    let bases: Vec<u64> = pair.local.iov().iter().map(|v| v.iov_base as u64).collect();
    let [first, second] = bases[..] else { return Ok(()) };
    let array = [AtomicU64::new(first), AtomicU64::new(8)];
    let (pid, remote) = (pair.peer.pid() as u64, pair.remote.iov().as_ptr() as u64);
    let array_addr = array.as_ptr() as u64;
    let flip = || {
        array[0].store(second, Ordering::Relaxed);
        array[0].store(first, Ordering::Relaxed);
    };
    let tally = race(flip, || call_raw(false, [pid, array_addr, 1, remote, 1], 0))?;
    report.fact("bases", bases);
    report.calls(event(false), tally, Vec::new());
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
    const NOWHERE: u64 = 0x1000;
    let region = Region::private(4096)?;
    let (array, stable) = (region.addr(), region.addr() + 1024);
    let list = |first: u64| [first, 32, stable, 32].map(u64::to_le_bytes).concat();
    region.write(0, &list(array));
    let remote = Region::shared(64)?;
    remote.write(0, &list(NOWHERE));
    remote.write(32, &content(0, 32));
    let pair = Pair::new(Buffer::over(region, vec![(0, 32), (1024, 32)]), Buffer::over(remote, vec![(0, 64)]))?;
    let ret = call_raw(false, [pair.peer.pid() as u64, array, 2, pair.remote.iov().as_ptr() as u64, 1], 0);
    ensure!(ret == 64 && pair.local.gather() == [list(NOWHERE), content(0, 32)].concat(), "the call returned {ret}");
    let mut tally = Tally::default();
    tally.add(ret, 64);
    report.fact("stable", hex(&content(0, 32)));
    report.calls(event(false), tally, Vec::new());
    Ok(())
}
