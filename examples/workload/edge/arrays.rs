//! Where the iovec arrays themselves lie.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::vm::{NOWHERE, Pair, fails};
use crate::report::Report;
use crate::sys::Region;
use crate::vm::call_raw;

/// The iovec array itself is nowhere.
pub fn efault_array(report: &mut Report) -> Result<()> {
    let pair = Pair::small()?;
    let pid = pair.peer.pid() as u64;
    let (local, remote) = (pair.local.iov(), pair.remote.iov());
    let ret = call_raw(false, [pid, NOWHERE, 1, remote.as_ptr() as u64, 1], 0);
    fails(ret, libc::EFAULT)?;
    report.call(
        pair.entry(false, ret)
            .with("local_iov", Value::Null)
            .with("bytes_requested", Value::Null)
            .with("iov_verdict", "unreadable"),
    );
    let ret = call_raw(true, [pid, local.as_ptr() as u64, 1, NOWHERE, 1], 0);
    fails(ret, libc::EFAULT)?;
    report.call(
        pair.entry(true, ret)
            .with("remote_iov", Value::Null)
            .with("bytes_requested", Value::Null)
            .with("iov_verdict", "unreadable"),
    );
    Ok(())
}

/// Both arrays side by side in memory, either first; and where one of them is on a page that is not there.
pub fn adjacent_arrays(report: &mut Report) -> Result<()> {
    const PAGE: usize = 4096;
    let pair = Pair::small()?;
    let pid = pair.peer.pid() as u64;
    let (local, remote) = (pair.local.iov(), pair.remote.iov());
    for (seq, local_first) in [true, false].into_iter().enumerate() {
        let seq = seq as u64;
        let in_order = |[first, second]: [u64; 2]| if local_first { [first, second] } else { [second, first] };
        let sides = if local_first { [local, remote] } else { [remote, local] }.concat();
        let [at_local, at_remote] = in_order([sides.as_ptr() as u64, sides.as_ptr() as u64 + 16]);
        pair.remote.fill(seq);
        let ret = call_raw(false, [pid, at_local, 1, at_remote, 1], 0);
        ensure!(ret == 64, "the call returned {ret}");
        report.call(pair.entry(false, ret).numbered(seq));

        let mut region = Region::private(2 * PAGE)?;
        let (known, missing) = if local_first { (local, "remote_iov") } else { (remote, "local_iov") };
        // SAFETY: an iovec is two words.
        let bytes = unsafe { std::slice::from_raw_parts(known.as_ptr().cast::<u8>(), 16) };
        region.write(PAGE - 16, bytes);
        region.unmap_from(PAGE)?;
        let [at_local, at_remote] = in_order([region.addr() + PAGE as u64 - 16, region.addr() + PAGE as u64]);
        let ret = call_raw(false, [pid, at_local, 1, at_remote, 1], 0);
        fails(ret, libc::EFAULT)?;
        report.call(
            pair.entry(false, ret)
                .with(missing, Value::Null)
                .with("bytes_requested", Value::Null)
                .with("iov_verdict", "unreadable"),
        );
    }
    Ok(())
}
