//! Writes one capture file: row groups one after another, then the footer.
//!
//! Owns the order of bytes in the file and what is digested. Each row group can be read without the footer
//! (`super::partial`), so an interrupted recording is not lost. A failed write leaves nothing behind: the file is
//! truncated to its old length, and the write can be retried when there is space.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

use serde_json::value::RawValue;

use super::chain::{self, Chain, Digest, Link};
use super::file::each_part;
use super::footer::footer;
use super::frame::{self, GroupHead, PARQUET_MAGIC};
use super::group::{Description, EncodedGroup};
use super::limits::MAX_FOOTER;
use super::manifest::{Clocks, Manifest};
use super::partial::PartialGroup;
use super::seal::Seal;

/// Of the footer, what does not depend on the row groups: schemas, and a ledger and gaps that are not known yet.
const FOOTER_BASE: u64 = 192 << 10;

/// A capture being written.
#[derive(Debug)]
pub struct CaptureFile {
    file: File,
    capture_id: String,
    /// Where the last row group ends and the next, or the footer, begins.
    end: u64,
    /// End of what is written.
    size: u64,
    /// Over all bytes before `end` that are not a row group's own.
    seal: Seal,
    chain: Chain,
    last_link: Digest,
    groups: Vec<Description>,
    footer: u64,
    rows: u64,
}

/// A row group on its way into the file.
struct Incoming<'a> {
    rows: u64,
    len: u64,
    digest: Digest,
    description: &'a Description,
    clocks: Clocks,
    checkpoint: &'a RawValue,
}

impl CaptureFile {
    /// Begins a capture in `file`, which must be empty; `begin` is the manifest as far as it is known.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(file: File, begin: &Manifest) -> io::Result<Self> {
        let json = serde_json::to_vec(begin)?;
        let frame = frame::before_body(&begin.capture_id, &json, 0, &[]).map_err(io::Error::other)?;
        let bytes = [PARQUET_MAGIC.as_slice(), &frame].concat();
        let mut capture = CaptureFile {
            file,
            capture_id: begin.capture_id.clone(),
            end: 0,
            size: 0,
            seal: Seal::default(),
            chain: Chain { begin: chain::first(&json).to_string(), groups: Vec::new() },
            last_link: chain::first(&json),
            groups: Vec::new(),
            footer: FOOTER_BASE + 2 * json.len() as u64,
            rows: 0,
        };
        capture.write(&bytes, |_, _| Ok(()), &[], 0)?;
        capture.seal.add(&bytes);
        capture.end = capture.size;
        Ok(capture)
    }

    /// Writes a row group, with the instant and a note of the writer's own for whoever finds the file unfinished.
    ///
    /// # Errors
    /// When the file cannot be written, or would hold more row groups than a reader accepts
    /// ([`ErrorKind::FileTooLarge`]). The capture is as it was before.
    pub fn append(&mut self, group: &EncodedGroup, clocks: Clocks, checkpoint: &serde_json::Value) -> io::Result<()> {
        let incoming = Incoming {
            rows: group.rows,
            len: group.body.len() as u64,
            digest: group.digest,
            description: &group.description,
            clocks,
            checkpoint: &serde_json::value::to_raw_value(checkpoint)?,
        };
        self.add(&incoming, |file, at| file.write_all_at(&group.body, at))
    }

    /// Copies a row group out of another capture, `source`, as it is; only its link is made anew.
    ///
    /// # Errors
    /// As [`CaptureFile::append`]; or when `source` cannot be read or is not what it was when `group` was found.
    pub fn adopt(&mut self, source: &File, group: &PartialGroup) -> io::Result<()> {
        let (head, description) = group.reread(source).map_err(io::Error::other)?;
        let incoming = Incoming {
            rows: group.rows,
            len: group.body.end - group.body.start,
            digest: group.digest,
            description: &description,
            clocks: group.clocks,
            checkpoint: &head.checkpoint,
        };
        self.add(&incoming, |file, at| copy(source, group, file, at))
    }

    fn add(&mut self, group: &Incoming<'_>, write_body: impl Fn(&File, u64) -> io::Result<()>) -> io::Result<()> {
        let footer = self.footer + 512 + 2 * group.description.full_len;
        if footer > MAX_FOOTER {
            return Err(io::Error::new(
                ErrorKind::FileTooLarge,
                "a capture cannot hold more row groups: let it begin new files (-C)",
            ));
        }
        let link = chain::link(&self.last_link, &group.digest, group.rows, &group.clocks);
        let head = GroupHead {
            rows: group.rows,
            clocks: group.clocks,
            link: link.to_string(),
            checkpoint: group.checkpoint.to_owned(),
        };
        let tail = &group.description.packed;
        let before = frame::before_body(&self.capture_id, &serde_json::to_vec(&head)?, group.len, tail);
        let before = before.map_err(io::Error::other)?;
        let at = self.end + before.len() as u64;
        self.write(&before, write_body, tail, group.len)?;
        self.seal.add(&before);
        self.seal.add(tail);
        self.chain.groups.push(Link {
            at,
            len: group.len,
            rows: group.rows,
            clocks: group.clocks,
            link: link.to_string(),
        });
        self.last_link = link;
        self.groups.push(group.description.clone());
        self.footer = footer;
        self.rows += group.rows;
        self.end = self.size;
        Ok(())
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.size
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Row groups written so far.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// At most this much is written by [`CaptureFile::close`].
    pub fn footer_estimate(&self) -> u64 {
        self.footer
    }

    /// Waits until what was written is on the disk.
    ///
    /// # Errors
    /// When the operating system says so.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Writes the footer with `manifest` in it and returns the root digest. The file is a complete capture then, and
    /// still a begun one: a row group that is appended later takes the footer's place, until the next close.
    ///
    /// # Errors
    /// When the file cannot be written. It is as it was before then.
    pub fn close(&mut self, manifest: &Manifest) -> io::Result<String> {
        let placed = self.groups.iter().zip(&self.chain.groups).enumerate();
        let placed = placed.map(|(i, (description, link))| description.read(link.len)?.placed(link.at, i));
        let placed = placed.collect::<anyhow::Result<Vec<_>>>().map_err(io::Error::other)?;
        let mut footer = footer(placed, self.end, manifest, &self.chain).map_err(io::Error::other)?;
        let mut seal = self.seal.clone();
        seal.add(&footer.bytes);
        let root = seal.root().to_hex();
        if let Some(digits) = footer.bytes.get_mut(footer.seal) {
            digits.copy_from_slice(root.as_bytes());
        }
        self.write(&footer.bytes, |_, _| Ok(()), &[], 0)?;
        Ok(root.to_string())
    }

    /// Puts bytes behind the last row group and ends the file there; on failure cuts it back.
    fn write(
        &mut self,
        before: &[u8],
        write_body: impl Fn(&File, u64) -> io::Result<()>,
        tail: &[u8],
        body_len: u64,
    ) -> io::Result<()> {
        let body_at = self.end + before.len() as u64;
        let tail_at = body_at + body_len;
        let size = tail_at + tail.len() as u64;
        let all = || {
            self.file.write_all_at(before, self.end)?;
            write_body(&self.file, body_at)?;
            self.file.write_all_at(tail, tail_at)?;
            self.file.set_len(size)
        };
        if let Err(error) = all() {
            self.size = self.end;
            // If it cannot be cut off, the next attempt overwrites it.
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        self.size = size;
        Ok(())
    }
}

/// Copies the bytes of `group`, and demands that they are what was found before.
fn copy(source: &File, group: &PartialGroup, target: &File, mut at: u64) -> io::Result<()> {
    let mut hasher = blake3::Hasher::new();
    each_part(source, &group.body, |part| {
        hasher.update(part);
        target.write_all_at(part, at)?;
        at += part.len() as u64;
        Ok(())
    })?;
    if hasher.finalize() != group.digest {
        return Err(io::Error::new(ErrorKind::InvalidData, "a row group changed while it was copied"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
