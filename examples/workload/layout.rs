//! Layout of a `--progress` file, for the workload that writes it and the tests that read it: 64-bit little-endian words.
//!
//! A header of [`HEADER`] words: [`MAGIC`], the number of threads, the process id. Behind it a block of [`BLOCK`] words per thread: calls
//! finished, samples taken, and from word [`RING`] on the latest [`SAMPLES`] samples, number `i` at `i` modulo that: a time of
//! CLOCK_MONOTONIC in ns, and how many calls had finished by then.

/// Word 0 of the file.
pub const MAGIC: u64 = u64::from_le_bytes(*b"workload");
/// Words before the first thread's block.
pub const HEADER: usize = 8;
/// Words of a block before its samples, so that threads share no cache line.
pub const RING: usize = 8;
/// Samples kept per thread: more than five seconds of them.
pub const SAMPLES: usize = 1024;
/// Words of a thread's block.
pub const BLOCK: usize = RING + 2 * SAMPLES;
