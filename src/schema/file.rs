//! Reading a file piece by piece, without moving anybody's place in it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Bytes read at a time.
const STEP: usize = 1 << 20;

/// Hands on the bytes of `range`, in order, with little of them in memory.
///
/// # Errors
/// When they cannot be read, or those of `take`.
pub(crate) fn each_part(
    file: &File,
    range: &Range<u64>,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let len = range.end.saturating_sub(range.start);
    let mut buffer = vec![0; usize::try_from(len).unwrap_or(STEP).min(STEP)];
    let mut at = range.start;
    while at < range.end {
        let left = usize::try_from(range.end - at).unwrap_or(STEP).min(STEP);
        let Some(part) = buffer.get_mut(..left) else { break };
        file.read_exact_at(part, at)?;
        take(part)?;
        at += left as u64;
    }
    Ok(())
}

/// `len` bytes at `at`. Whoever asks has compared `len` with what the file holds.
///
/// # Errors
/// When they cannot be read.
pub(crate) fn read_at(file: &File, at: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}
