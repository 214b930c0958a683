//! Buffers in several segments, and the numbered payload they carry.
//!
//! A payload begins with its sequence number XOR [`PATTERN`], 8 bytes little endian; the byte at position `i`
//! behind that is `31 × i + 7`, or with `--noise` one of a stream of random numbers that begins with that number. So each
//! payload can be computed from its number and length alone.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use serde_json::{Value, json};

use super::sys::Region;

/// Mixed into sequence numbers, so that a zeroed page is not call number 0.
pub const PATTERN: u64 = 0x766d_7472_6163_6521;

/// Gap between segments, so that a gather which ignores segments is caught.
const GAP: usize = 64;

/// `--noise`, for all payloads of this process.
static NOISE: AtomicBool = AtomicBool::new(false);

/// From now on payloads do not compress.
pub fn make_noise() {
    NOISE.store(true, Ordering::Relaxed);
}

/// The payload of number `seq`, `len` bytes.
pub fn content(seq: u64, len: usize) -> Vec<u8> {
    let stamp = (seq ^ PATTERN).to_le_bytes();
    if NOISE.load(Ordering::Relaxed) {
        let mut bytes = Vec::with_capacity(len + 8);
        bytes.extend(stamp);
        let mut state = seq ^ PATTERN;
        while bytes.len() < len {
            // splitmix64
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            bytes.extend((word ^ word >> 31).to_le_bytes());
        }
        bytes.truncate(len);
        return bytes;
    }
    (0..len).map(|i| stamp.get(i).copied().unwrap_or((i as u8).wrapping_mul(31).wrapping_add(7))).collect()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A list of ranges as the report prints it: `[[base, len], ...]`.
pub fn ranges(iov: &[libc::iovec]) -> Value {
    iov.iter().map(|v| json!([v.iov_base as u64, v.iov_len])).collect()
}

/// A range at any address, for syscalls only.
pub fn iovec(base: u64, len: usize) -> libc::iovec {
    libc::iovec { iov_base: base as *mut libc::c_void, iov_len: len }
}

/// Memory in segments.
#[derive(Debug)]
pub struct Buffer {
    region: Region,
    parts: Vec<(usize, usize)>,
    iov: Vec<libc::iovec>,
}

// SAFETY: the iovecs point into the region, which is Send; nothing is dereferenced through them here.
unsafe impl Send for Buffer {}

impl Buffer {
    /// Segments of the given lengths, with gaps between them, in a region made by `map`.
    pub fn new(map: fn(usize) -> Result<Region>, lengths: &[usize]) -> Result<Self> {
        let mut parts = Vec::with_capacity(lengths.len());
        let mut end = 0;
        for len in lengths {
            parts.push((end, *len));
            end += len + GAP;
        }
        Ok(Self::over(map(end)?, parts))
    }

    /// Segments given as offset and length, in `region`.
    pub fn over(region: Region, parts: Vec<(usize, usize)>) -> Self {
        let iov = parts.iter().map(|(offset, len)| iovec(region.addr() + *offset as u64, *len)).collect();
        Buffer { region, parts, iov }
    }

    /// `size` bytes in `segments` segments as equal as can be; the first ones take the remainder.
    pub fn split(map: fn(usize) -> Result<Region>, size: usize, segments: usize) -> Result<Self> {
        let share = |i| size / segments + usize::from(i < size % segments);
        Self::new(map, &(0..segments).map(share).collect::<Vec<_>>())
    }

    /// Its segments for a syscall.
    pub fn iov(&self) -> &[libc::iovec] {
        &self.iov
    }

    /// The address of its first byte.
    pub fn addr(&self) -> u64 {
        self.iov.first().map_or(0, |v| v.iov_base as u64)
    }

    /// Bytes in all segments.
    pub fn size(&self) -> usize {
        self.parts.iter().map(|(_, len)| len).sum()
    }

    /// Its segments as the report prints them.
    pub fn ranges(&self) -> Value {
        ranges(&self.iov)
    }

    /// Fills all segments, in order, with the payload of number `seq`.
    pub fn fill(&self, seq: u64) {
        self.scatter(&content(seq, self.size()));
    }

    /// Turns a payload into that of number `seq`.
    pub fn stamp(&self, seq: u64) {
        if NOISE.load(Ordering::Relaxed) {
            return self.fill(seq);
        }
        self.scatter(&(seq ^ PATTERN).to_le_bytes());
    }

    /// Writes `bytes` over the segments in order, as far as they go.
    fn scatter(&self, mut bytes: &[u8]) {
        for (offset, len) in &self.parts {
            let (now, later) = bytes.split_at(bytes.len().min(*len));
            self.region.write(*offset, now);
            if later.is_empty() {
                return;
            }
            bytes = later;
        }
    }

    /// The bytes of all segments in order.
    pub fn gather(&self) -> Vec<u8> {
        self.parts.iter().flat_map(|(offset, len)| self.region.read(*offset, *len)).collect()
    }
}
