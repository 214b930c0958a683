//! Frames: the bytes between the row groups of a capture, which make it readable without its footer.
//!
//! Owns their layout (docs/FORMAT.md), and the head of the frame before a row group.
//!
//! A traced process chooses payload bytes, so it can make them look like a frame. They are never accepted as one: a
//! frame is expected only where the one before it ends, and its check covers the capture's random id.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::file::read_at;
use super::limits::{MAX_HEAD, MAX_TAIL};
use super::manifest::Clocks;

/// First and last bytes of a Parquet file.
pub(super) const PARQUET_MAGIC: &[u8; 4] = b"PAR1";
const MAGIC: [u8; 8] = *b"VMTFRAM1";
/// Magic, length of the head, of the body, of the tail; little-endian.
const PREFIX: usize = 8 + 4 + 8 + 4;
/// BLAKE3 of the capture's id, a newline, the prefix, the head and the tail.
const CHECK: usize = 32;

/// What a row group's frame says in its head.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GroupHead {
    pub rows: u64,
    pub clocks: Clocks,
    pub link: String,
    /// The writer's own note: where it was.
    pub checkpoint: Box<RawValue>,
}

/// Everything of a frame before its body, as bytes of the file.
///
/// # Errors
/// When `head` or `tail` is larger than a reader accepts.
pub(super) fn before_body(capture_id: &str, head: &[u8], body_len: u64, tail: &[u8]) -> Result<Vec<u8>> {
    let head_len = u32::try_from(head.len()).ok().filter(|len| *len <= MAX_HEAD);
    let tail_len = u32::try_from(tail.len()).ok().filter(|len| *len <= MAX_TAIL);
    let head_len = head_len.with_context(|| format!("{} bytes are too many for the head of a frame", head.len()))?;
    let tail_len = tail_len.with_context(|| format!("{} bytes are too many for the tail of a frame", tail.len()))?;
    let mut bytes = Vec::with_capacity(PREFIX + CHECK + head.len());
    bytes.extend(MAGIC);
    bytes.extend(head_len.to_le_bytes());
    bytes.extend(body_len.to_le_bytes());
    bytes.extend(tail_len.to_le_bytes());
    let check = check(capture_id, &bytes, head, tail);
    bytes.extend(check.as_bytes());
    bytes.extend(head);
    Ok(bytes)
}

fn check(capture_id: &str, prefix: &[u8], head: &[u8], tail: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for part in [capture_id.as_bytes(), b"\n", prefix, head, tail] {
        hasher.update(part);
    }
    hasher.finalize()
}

/// A frame found in a file. Nothing of it may be believed before [`Frame::is_of`] has said yes.
#[derive(Debug)]
pub(super) struct Frame {
    prefix: [u8; PREFIX],
    check: [u8; CHECK],
    /// What the frame says.
    pub head: Vec<u8>,
    /// Where its body is.
    pub body: Range<u64>,
    /// What follows the body.
    pub tail: Vec<u8>,
    /// Where the frame ends.
    pub end: u64,
}

impl Frame {
    /// Reads the frame at `at` in a file of `size` bytes, without its body.
    ///
    /// # Errors
    /// When none begins there or it does not end within the file.
    pub fn read(file: &File, at: u64, size: u64) -> Result<Self> {
        let mut prefix = [0; PREFIX];
        let mut check = [0; CHECK];
        ensure!(at < size, "nothing follows");
        ensure!(size - at >= (PREFIX + CHECK) as u64, "what follows is cut off");
        file.read_exact_at(&mut prefix, at)?;
        file.read_exact_at(&mut check, at + PREFIX as u64)?;
        let (head_len, body_len, tail_len) = lengths(&prefix).context("what follows is no frame")?;
        ensure!(head_len <= MAX_HEAD && tail_len <= MAX_TAIL, "a frame claims lengths that vmtrace does not write");
        let head_at = at + (PREFIX + CHECK) as u64;
        let body_at = head_at + u64::from(head_len);
        let tail_at = body_at.checked_add(body_len);
        let end = tail_at.and_then(|tail_at| tail_at.checked_add(u64::from(tail_len))).filter(|end| *end <= size);
        let (Some(tail_at), Some(end)) = (tail_at, end) else { bail!("a frame is cut off") };
        Ok(Frame {
            prefix,
            check,
            head: read_at(file, head_at, head_len as usize)?,
            body: body_at..tail_at,
            tail: read_at(file, tail_at, tail_len as usize)?,
            end,
        })
    }

    /// Whether the frame is whole and was written into the capture of this id.
    pub fn is_of(&self, capture_id: &str) -> bool {
        check(capture_id, &self.prefix, &self.head, &self.tail) == self.check
    }
}

fn lengths(prefix: &[u8; PREFIX]) -> Option<(u32, u64, u32)> {
    let (magic, rest) = prefix.split_first_chunk()?;
    let (head, rest) = rest.split_first_chunk()?;
    let (body, rest) = rest.split_first_chunk()?;
    let (tail, _) = rest.split_first_chunk()?;
    (*magic == MAGIC).then(|| (u32::from_le_bytes(*head), u64::from_le_bytes(*body), u32::from_le_bytes(*tail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with the prefix of a frame, and behind it nothing but room.
    fn claiming(head: u32, tail: u32) -> (File, u64) {
        let file = tempfile::tempfile().unwrap();
        let size = (PREFIX + CHECK) as u64 + u64::from(head) + u64::from(tail);
        file.set_len(size).unwrap();
        let prefix = [&MAGIC[..], &head.to_le_bytes(), &0u64.to_le_bytes(), &tail.to_le_bytes()].concat();
        file.write_all_at(&prefix, 0).unwrap();
        (file, size)
    }

    #[test]
    fn heads_and_tails_are_as_long_as_they_may_be_and_no_longer() {
        for (head, tail, fits) in
            [(MAX_HEAD, 0, true), (0, MAX_TAIL, true), (MAX_HEAD + 1, 0, false), (0, MAX_TAIL + 1, false)]
        {
            let (file, size) = claiming(head, tail);
            let read = Frame::read(&file, 0, size).map(|frame| (frame.head.len(), frame.tail.len()));
            let written = before_body("id", &vec![0; head as usize], 0, &vec![0; tail as usize]);
            match fits {
                true => assert_eq!(read.unwrap(), (head as usize, tail as usize)),
                false => {
                    let said = read.unwrap_err().to_string();
                    assert_eq!(said, "a frame claims lengths that vmtrace does not write");
                }
            }
            assert_eq!(written.is_ok(), fits, "what is written can be read");
        }
    }
}
