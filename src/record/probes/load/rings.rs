//! The ring buffers, which the recorder creates itself: one per CPU up to a limit.

use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result, anyhow};
use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType};

/// How many rings there are with so many CPUs.
pub fn count(cpus: usize) -> usize {
    cpus.clamp(1, MAX_RINGS)
}

/// One ring per CPU up to [`MAX_RINGS`]: beyond that CPUs share, since more rings leave each too small.
pub fn create(cpus: usize, total: u64) -> Result<Vec<MapHandle>> {
    let count = count(cpus) as u64;
    let each = (total / count).max(MIN_RING);
    // Ring sizes are powers of two (kernel/bpf/ringbuf.c); round down to stay within what was asked for.
    let size = 1u32 << each.ilog2().min(30);
    let options = libbpf_rs::libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_rs::libbpf_sys::bpf_map_create_opts>() as u64,
        ..Default::default()
    };
    (0..count)
        .map(|_| {
            MapHandle::create(MapType::RingBuf, Some("vmtrace_ring"), 0, 0, size, &options).map_err(|error| {
                if matches!(error.kind(), libbpf_rs::ErrorKind::PermissionDenied) {
                    return super::no_permission();
                }
                anyhow!("a ring buffer of {size} bytes cannot be created ({error}); choose a smaller --buffer-size")
            })
        })
        .collect()
}

const MAX_RINGS: usize = 16;
const MIN_RING: u64 = 64 << 10;

/// Puts the rings into the map where the programs find them.
///
/// # Errors
/// When the kernel refuses.
pub fn install(rings: &[MapHandle], map: &MapHandle) -> Result<()> {
    for (index, ring) in (0u32..).zip(rings) {
        let fd = ring.as_fd().as_raw_fd().to_ne_bytes();
        map.update(&index.to_ne_bytes(), &fd, MapFlags::ANY).context("a ring buffer cannot be installed")?;
    }
    Ok(())
}
