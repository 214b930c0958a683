//! Opens files that may be of the wrong kind, and reads them piece by piece without changing a shared file position.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Bytes read at a time.
const STEP: usize = 1 << 20;

/// Whether a name may be a link to a regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// Somebody gave us the name.
    Follow,
    /// We have put the name together.
    #[cfg(feature = "record")]
    Refuse,
}

/// Opens a regular file to be read; `None` where `path` is something else. A FIFO or a device does not make us wait, nor
/// is it touched.
///
/// # Errors
/// When it cannot be looked at or opened.
pub(crate) fn open_regular(path: &Path, links: Links) -> io::Result<Option<File>> {
    let (found, flags) = match links {
        Links::Follow => (std::fs::metadata(path)?, 0),
        #[cfg(feature = "record")]
        Links::Refuse => (std::fs::symlink_metadata(path)?, libc::O_NOFOLLOW),
    };
    if !found.is_file() {
        return Ok(None);
    }
    let file = OpenOptions::new().read(true).custom_flags(flags | libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)?;
    // The path may lead to another file by now.
    Ok(file.metadata()?.is_file().then_some(file))
}

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
