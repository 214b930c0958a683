//! The `--progress` file: how far each thread has come and had come when, for whoever kills a recorder and asks later.
//!
//! It is mapped and written with plain stores, so that telling costs no syscall and what was told outlives the process.

use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};

use super::layout::{BLOCK, HEADER, MAGIC, RING, SAMPLES};
use super::sys;

/// Time between samples, in ns, if there are calls.
const INTERVAL_NS: u64 = 2_000_000;

/// A progress file, mapped.
#[derive(Debug)]
pub struct Progress {
    words: &'static [AtomicU64],
}

impl Progress {
    /// Makes the file at `path` for `threads` threads. It stays mapped until the process ends.
    pub fn create(path: &Path, threads: usize) -> Result<Self> {
        let name = path.display();
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
        let file = file.with_context(|| format!("{name}"))?;
        let count = HEADER + threads * BLOCK;
        file.set_len(8 * count as u64).with_context(|| format!("{name}"))?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping of a file of that size.
        let base =
            unsafe { libc::mmap(std::ptr::null_mut(), 8 * count, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        ensure!(base != libc::MAP_FAILED, "{name}: mmap: {}", std::io::Error::last_os_error());
        // SAFETY: the mapping begins at a page, holds `count` words, is never unmapped, and is only reached as atomics.
        let words = unsafe { std::slice::from_raw_parts(base.cast::<AtomicU64>(), count) };
        words[1].store(threads as u64, Ordering::Relaxed);
        words[2].store(std::process::id().into(), Ordering::Relaxed);
        words[0].store(MAGIC, Ordering::Release);
        Ok(Progress { words })
    }

    /// The part of thread `index`.
    pub fn thread(&self, index: usize) -> Track {
        let start = HEADER + index * BLOCK;
        Track { block: &self.words[start..start + BLOCK], last_ns: 0 }
    }
}

/// One thread's part of a progress file.
#[derive(Debug)]
pub struct Track {
    block: &'static [AtomicU64],
    last_ns: u64,
}

impl Track {
    /// Tells that `done` calls have finished.
    pub fn tell(&mut self, done: u64) {
        self.block[0].store(done, Ordering::Release);
        let now = sys::monotonic_ns();
        if now.saturating_sub(self.last_ns) < INTERVAL_NS {
            return;
        }
        self.last_ns = now;
        let taken = self.block[1].load(Ordering::Relaxed);
        let slot = RING + 2 * (taken as usize % SAMPLES);
        self.block[slot].store(now, Ordering::Relaxed);
        self.block[slot + 1].store(done, Ordering::Relaxed);
        self.block[1].store(taken + 1, Ordering::Release);
    }
}
