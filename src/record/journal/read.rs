//! Reads the journal: in the writer thread while it grows, and in `recover` when its recorder is gone.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use super::append::{Ahead, Journal};
use super::frame::{self, Frame, FrameKind, HEADER, Header};
use super::segments::{Base, Begin};
use crate::schema::file::{Links, open_regular};
use crate::schema::manifest;
use crate::schema::quote::quoted;

/// Where frames come from.
#[derive(Debug)]
enum Source {
    /// A journal that grows.
    Live(Journal),
    /// The files that are left of one.
    Left { base: Base, segments: VecDeque<u64> },
}

/// Reads frames in their order.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    tag: u64,
    file: Option<File>,
    segment: u64,
    offset: u64,
    /// Number of the frame that must come next, once one has come.
    next: Option<u64>,
    /// Why reading ended before the end of the files.
    broken: Option<String>,
    /// The frame behind what is damaged.
    behind: Option<Frame>,
}

impl Reader {
    /// Reads a journal while it is written, from its begin.
    pub fn live(journal: Journal) -> Self {
        let tag = journal.tag();
        Reader::from(Source::Live(journal), tag)
    }

    fn from(source: Source, tag: u64) -> Self {
        Reader { source, tag, file: None, segment: 0, offset: 0, next: None, broken: None, behind: None }
    }

    /// Reads what is left of the journal of the recording that wrote `output`. `None` if there is nothing.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn left(output: &Path, capture_id: &str) -> Result<Option<Self>> {
        let base = Base::of(output);
        let segments = base.list().with_context(|| format!("{}: cannot be looked for", base.path(1).display()))?;
        if segments.is_empty() {
            return Ok(None);
        }
        let source = Source::Left { base, segments: segments.into() };
        Ok(Some(Reader::from(source, frame::tag(capture_id))))
    }

    /// The next frame, of any kind but `Begin` and `Spare`; waits for it if the journal grows. `None` at the end, and
    /// where what is left is damaged: see [`Reader::broken`].
    ///
    /// # Errors
    /// When a file cannot be opened, or one that grows holds something else than was written.
    pub fn next(&mut self) -> Result<Option<Frame>> {
        loop {
            let frame = match (self.behind.take(), &self.source) {
                (Some(frame), _) => Some(frame),
                (None, Source::Live(_)) => self.next_live()?,
                (None, Source::Left { .. }) => self.next_left()?,
            };
            let Some(frame) = frame else { return Ok(None) };
            if !self.goes_on_with(&frame)? {
                self.behind = Some(frame);
                return Ok(None);
            }
            if frame.kind == FrameKind::Begin {
                self.check_layout(&frame)?;
                self.next = Some(frame.number);
                continue;
            }
            self.next = Some(frame.number.saturating_add(1));
            return Ok(Some(frame));
        }
    }

    /// Whether nothing is missing before that frame.
    fn goes_on_with(&mut self, frame: &Frame) -> Result<bool> {
        match self.next {
            // The unreadable part contained no whole frame.
            Some(next) if next == frame.number => self.broken = None,
            Some(next) => {
                let gap = format!("frame {} stands where {next} should", frame.number);
                if matches!(self.source, Source::Live(_)) {
                    bail!("the journal was changed while it was written: {gap}");
                }
                self.broken.get_or_insert(gap);
            }
            None => (),
        }
        Ok(self.broken.is_none())
    }

    /// Why reading ended before the end of the files, if it did.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Goes on behind what is damaged. Whether there is anything.
    pub fn resume(&mut self) -> bool {
        (self.next, self.broken) = (None, None);
        self.behind.is_some()
    }

    fn next_live(&mut self) -> Result<Option<Frame>> {
        loop {
            let Source::Live(journal) = &self.source else { return Ok(None) };
            match journal.ahead(self.segment, self.offset) {
                Ahead::Here => {
                    let path = journal.base().path(self.segment);
                    let found = self.read_here().with_context(|| path.display().to_string())?;
                    return found.map(Some).with_context(|| format!("{} was changed meanwhile", path.display()));
                }
                Ahead::Next(segment) => {
                    let path = journal.base().path(segment);
                    self.open(segment, &path)?;
                }
                Ahead::Memory(bytes) => return in_memory(&bytes, self.tag).map(Some),
                Ahead::End => return Ok(None),
            }
        }
    }

    fn next_left(&mut self) -> Result<Option<Frame>> {
        loop {
            match self.read_here() {
                Ok(Some(frame)) if frame.kind != FrameKind::Spare => return Ok(Some(frame)),
                Ok(Some(_)) => (),
                Ok(None) => self.look_at_the_end(),
                Err(error) => self.damaged(format!("{} cannot be read: {error}", self.path().display())),
            }
            self.file = None;
            let Source::Left { base, segments } = &mut self.source else { return Ok(None) };
            let Some(segment) = segments.pop_front() else { return Ok(None) };
            let (path, before) = (base.path(segment), base.path(segment.saturating_sub(1)));
            if self.segment > 0 && segment - 1 > self.segment {
                self.damaged(format!("{} is missing", before.display()));
            }
            self.open_left(segment, &path)?;
        }
    }

    /// The first damage is the one that is said.
    fn damaged(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    /// A file that is left ends behind its last frame.
    fn look_at_the_end(&mut self) {
        let Some(end) = self.file.as_ref().map(|file| file.metadata().map_or(0, |m| m.len())) else { return };
        let path = self.path();
        match (end, self.offset) {
            (0, _) => self.damaged(format!("{} is empty", path.display())),
            (end, at) if at < end => self.damaged(format!("{} has no complete frame after byte {at}", path.display())),
            _ => (),
        }
    }

    fn open_left(&mut self, segment: u64, path: &Path) -> Result<()> {
        (self.segment, self.offset) = (segment, 0);
        match open_regular(path, Links::Refuse) {
            Ok(None) => self.damaged(format!("{} is not a regular file", path.display())),
            Ok(file) => self.file = file,
            Err(error) => return Err(error).with_context(|| format!("cannot open {}", path.display())),
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        match &self.source {
            Source::Live(journal) => journal.base().path(self.segment),
            Source::Left { base, .. } => base.path(self.segment),
        }
    }

    fn open(&mut self, segment: u64, path: &Path) -> Result<()> {
        self.file = Some(File::open(path).with_context(|| format!("cannot open {}", path.display()))?);
        self.segment = segment;
        self.offset = 0;
        Ok(())
    }

    /// The frame at the present place, if there is a whole one of this recording.
    fn read_here(&mut self) -> io::Result<Option<Frame>> {
        let Some(file) = &self.file else { return Ok(None) };
        let mut head = [0; HEADER];
        if !read_whole(file, &mut head, self.offset)? {
            return Ok(None);
        }
        let Some(header) = frame::header(&head, self.tag) else { return Ok(None) };
        let behind = self.offset + HEADER as u64;
        // A length that the file cannot hold must not be allocated.
        if behind + header.len as u64 > file.metadata()?.len() {
            return Ok(None);
        }
        let mut payload = vec![0; header.len];
        if !read_whole(file, &mut payload, behind)? || !frame::is_whole(&head, &header, &payload) {
            return Ok(None);
        }
        self.offset = behind + header.len as u64;
        Ok(Some(framed(&header, payload)))
    }

    /// Refuses records that are laid out otherwise than we read them.
    fn check_layout(&self, frame: &Frame) -> Result<()> {
        let begin: Begin = manifest::parse(&frame.payload)
            .with_context(|| format!("{}: its first frame cannot be read", self.path().display()))?;
        if begin.wire != crate::record::wire::LAYOUT {
            bail!(
                "{} was written by another version of vmtrace ({}{}): recover it with that one",
                self.path().display(),
                quoted(&begin.manifest.tool.version),
                Some(begin.manifest.tool.git)
                    .filter(|git| !git.is_empty())
                    .map_or(String::new(), |git| format!(", {}", quoted(&git)))
            );
        }
        Ok(())
    }
}

/// The id of the recording whose journal is beside `output`, if one of its files contains it.
pub fn capture_id(output: &Path) -> Option<String> {
    let base = Base::of(output);
    base.list().ok()?.into_iter().find_map(|segment| {
        let file = open_regular(&base.path(segment), Links::Refuse).ok()??;
        let mut head = [0; HEADER];
        file.read_exact_at(&mut head, 0).ok()?;
        let tag = frame::stated_tag(&head);
        let mut reader = Reader {
            file: Some(file),
            ..Reader::from(Source::Left { base: base.clone(), segments: VecDeque::new() }, tag)
        };
        let frame = reader.read_here().ok()?.filter(|frame| frame.kind == FrameKind::Begin)?;
        let begin: Begin = manifest::parse(&frame.payload).ok()?;
        Some(begin.manifest.capture_id).filter(|id| frame::tag(id) == tag)
    })
}

fn framed(header: &Header, payload: Vec<u8>) -> Frame {
    Frame { kind: header.kind, number: header.number, stamp_ns: header.stamp_ns, payload }
}

fn in_memory(bytes: &[u8], tag: u64) -> Result<Frame> {
    let (head, payload) = bytes.split_first_chunk::<HEADER>().ok_or_else(|| anyhow!("a frame without a header"))?;
    let header = frame::header(head, tag).ok_or_else(|| anyhow!("a frame of another recording"))?;
    Ok(framed(&header, payload.to_vec()))
}

/// Reads as many bytes as `into` has; false if the file ends before.
fn read_whole(file: &File, into: &mut [u8], offset: u64) -> io::Result<bool> {
    match file.read_exact_at(into, offset) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
