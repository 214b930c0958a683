//! What can be read of a capture without its footer: an unfinished file, or one that was truncated.
//!
//! Owns the walk from its start, frame by frame. Accepts nothing that the capture's id and the digest chain do not
//! confirm, and stops at the first frame that they do not.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};

use super::chain::{self, Digest};
use super::file::each_part;
use super::frame::{Frame, GroupHead, PARQUET_MAGIC};
use super::group::Description;
use super::limits::is_modest;
use super::manifest::{self, Clocks, Manifest};

/// What was found.
#[derive(Debug)]
pub struct Partial {
    /// The manifest as it was when the recording began.
    pub manifest: Manifest,
    /// Whole row groups, in the order of the file.
    pub groups: Vec<PartialGroup>,
    /// Why nothing more was found.
    pub end: String,
    /// Where that was.
    pub end_at: u64,
}

/// A row group that is whole.
#[derive(Clone, Debug)]
pub struct PartialGroup {
    /// Rows in it.
    pub rows: u64,
    /// First and last `seq`.
    pub seq: (u64, u64),
    /// Smallest and largest `mono_ns`.
    pub mono_ns: (i64, i64),
    /// When it was written.
    pub clocks: Clocks,
    /// BLAKE3 of its bytes.
    pub digest: Digest,
    /// Where they are.
    pub body: Range<u64>,
    /// Where its frame begins.
    frame_at: u64,
    frame_end: u64,
}

/// The begin of a capture, which was written when its recording began.
#[derive(Debug)]
pub struct Begin {
    /// The manifest as it was then.
    pub manifest: Manifest,
    /// The chain's first link.
    pub link: Digest,
    /// Where it ends.
    pub end: u64,
}

/// Reads the begin of a capture.
///
/// # Errors
/// When `file` does not begin as a capture of this version does.
pub fn begin(file: &File) -> Result<Begin> {
    let size = file.metadata()?.len();
    let mut magic = [0; PARQUET_MAGIC.len()];
    let begins = file.read_exact_at(&mut magic, 0).is_ok() && magic == *PARQUET_MAGIC;
    ensure!(begins, "does not begin as a capture does");
    let frame = Frame::read(file, magic.len() as u64, size).context("the manifest at its start is damaged")?;
    ensure!(is_modest(&frame.head), "the manifest at its start is larger than any capture's");
    let manifest: Manifest = manifest::parse(&frame.head).context("the manifest at its start cannot be read")?;
    ensure!(frame.body.is_empty() && frame.is_of(&manifest.capture_id), "the manifest at its start is damaged");
    Ok(Begin { manifest, link: chain::first(&frame.head), end: frame.end })
}

/// Reads what is whole in `file`.
///
/// # Errors
/// As [`begin`].
pub fn read(file: &File) -> Result<Partial> {
    let size = file.metadata()?.len();
    let Begin { manifest, link: mut previous, end: mut at } = begin(file)?;
    let mut groups = Vec::new();
    let end = loop {
        match group(file, at, size, &manifest.capture_id, &previous) {
            Ok((group, link)) => {
                at = group.frame_end;
                previous = link;
                groups.push(group);
            }
            Err(error) => break format!("after {} whole row groups: {error:#}", groups.len()),
        }
    };
    Ok(Partial { manifest, groups, end, end_at: at })
}

/// The row group whose frame is at `at`, and its link.
fn group(file: &File, at: u64, size: u64, capture_id: &str, previous: &Digest) -> Result<(PartialGroup, Digest)> {
    let frame = Frame::read(file, at, size)?;
    ensure!(frame.is_of(capture_id), "a frame is damaged, or of another capture");
    let (head, digest, link) = digested(file, &frame, previous)?;
    Ok((described(frame, at, &head, digest)?, link))
}

/// The head of a frame, the digest of its body, and its link, which must be the one that the head states.
fn digested(file: &File, frame: &Frame, previous: &Digest) -> Result<(GroupHead, Digest, Digest)> {
    let head = head(frame)?;
    let digest = digest(file, &frame.body).context("a row group cannot be read")?;
    let link = chain::link(previous, &digest, head.rows, &head.clocks);
    ensure!(head.link == link.to_string(), "a row group is damaged: its digest is not the one in the chain");
    Ok((head, digest, link))
}

/// The row group of the frame at `at`, as the frame describes it.
fn described(frame: Frame, at: u64, head: &GroupHead, digest: Digest) -> Result<PartialGroup> {
    let (_, described) = Description::from_file(frame.tail, frame.body.end - frame.body.start)?;
    let rows = described.group()?.num_rows();
    ensure!(u64::try_from(rows) == Ok(head.rows), "a row group of {} rows is described with {rows}", head.rows);
    let span = |name: &str| described.span(name).with_context(|| format!("a row group without statistics of {name}"));
    let seq = span("seq")?;
    Ok(PartialGroup {
        rows: head.rows,
        seq: (seq.0.cast_unsigned(), seq.1.cast_unsigned()),
        mono_ns: span("mono_ns")?,
        clocks: head.clocks,
        digest,
        body: frame.body,
        frame_at: at,
        frame_end: frame.end,
    })
}

/// Where the frames of a finished capture's row groups are. Their bodies have not been read.
#[derive(Debug)]
pub struct Frames {
    capture_id: String,
    size: u64,
    /// Where each begins, and the link before it.
    places: Vec<(u64, Digest)>,
}

impl Frames {
    /// Walks from frame to frame.
    ///
    /// # Errors
    /// As [`begin`].
    pub fn of(file: &File) -> Result<Self> {
        let size = file.metadata()?.len();
        let Begin { manifest, link: mut previous, end: mut at } = begin(file)?;
        let mut places = Vec::new();
        while let Some((end, link)) = Self::step(file, at, size, &manifest.capture_id) {
            places.push((at, previous));
            (at, previous) = (end, link);
        }
        Ok(Frames { capture_id: manifest.capture_id, size, places })
    }

    /// Where the frame at `at` ends, and its link; `None` where none begins there.
    fn step(file: &File, at: u64, size: u64, capture_id: &str) -> Option<(u64, Digest)> {
        let frame = Frame::read(file, at, size).ok().filter(|frame| frame.is_of(capture_id))?;
        let link = Digest::from_hex(head(&frame).ok()?.link).ok()?;
        Some((frame.end, link))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.places.len()
    }

    /// Reads the body of row group `index` and compares it with its digest. Returns where it is, how many rows it has, and the group
    /// for who copies it; `None` for that where it cannot be copied, since an older version wrote other columns.
    ///
    /// # Errors
    /// When it cannot be read, or its bytes are not those that were digested.
    pub fn whole(&self, file: &File, index: usize) -> Result<(Range<u64>, u64, Option<PartialGroup>)> {
        let (at, previous) = self.places.get(index).context("it has no frame")?;
        let frame = Frame::read(file, *at, self.size)?;
        ensure!(frame.is_of(&self.capture_id), "its frame is damaged");
        let (head, digest, _) = digested(file, &frame, previous)?;
        let body = frame.body.clone();
        Ok((body, head.rows, described(frame, *at, &head, digest).ok()))
    }
}

fn head(frame: &Frame) -> Result<GroupHead> {
    ensure!(is_modest(&frame.head), "the head of a row group's frame is larger than any capture's");
    manifest::parse(&frame.head).context("the head of a row group's frame cannot be read")
}

/// BLAKE3 of a range of bytes.
///
/// # Errors
/// When they cannot be read.
pub(crate) fn digest(file: &File, range: &Range<u64>) -> Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    each_part(file, range, |part| {
        hasher.update(part);
        Ok(())
    })?;
    Ok(hasher.finalize())
}

impl PartialGroup {
    /// Where the group and what belongs to it end.
    pub fn end(&self) -> u64 {
        self.frame_end
    }

    /// The note that the writer left with the group.
    ///
    /// # Errors
    /// When `file` is not what it was when the group was found.
    pub fn checkpoint(&self, file: &File) -> Result<serde_json::Value> {
        let (head, _) = self.reread(file)?;
        manifest::parse(head.checkpoint.get().as_bytes()).context("a checkpoint cannot be read")
    }

    /// What the group's frame says, read again: kept in memory it would be most of what is.
    pub(super) fn reread(&self, file: &File) -> Result<(GroupHead, Description)> {
        let frame = Frame::read(file, self.frame_at, self.frame_end).context("the file changed while it was read")?;
        ensure!(frame.body == self.body, "the file changed while it was read");
        let head = head(&frame)?;
        let (description, _) = Description::from_file(frame.tail, self.body.end - self.body.start)?;
        Ok((head, description))
    }
}
