//! The rows of a recording one after another, each once: where the reading of its files, and of slices of each, is.

use anyhow::{Context, Result, ensure};

use super::recording::{Part, Recording};
use super::source::Source;
use super::writer::Writer;
use crate::schema::partial::PartialGroup;
use crate::schema::reader::Events;
use crate::schema::{Event, EventBatch};

/// Copies the rows of a file, or of its slices: row groups as they are where no other slice has rows among theirs. Returns how many
/// were taken of each.
///
/// # Errors
/// When one cannot be read, two have different rows of one number, or the file cannot be written.
pub fn copy(part: &Part, writer: &mut Writer) -> Result<Vec<u64>> {
    let mut cursors: Vec<Cursor<'_>> = part.sources.iter().map(Cursor::of).collect();
    while let Some(next) = next(&mut cursors)? {
        let Some(cursor) = cursors.get_mut(next.at) else { break };
        if cursor.rows.is_none() {
            match cursor.whole_before(next.others)? {
                Some(group) => cursor.adopt(&group, writer)?,
                None => cursor.open()?,
            }
            continue;
        }
        let Some(event) = cursor.event() else { break };
        writer.push(&event, cursor.source.clocks(cursor.group)).with_context(|| cursor.source.name())?;
        cursor.taken += 1;
        pass(&mut cursors, next.at, next.seq)?;
    }
    Ok(cursors.iter().map(|cursor| cursor.taken).collect())
}

/// The rows of a recording one after another, each once.
pub struct Stream<'a> {
    parts: std::slice::Iter<'a, Part>,
    cursors: Vec<Cursor<'a>>,
    /// Rows taken of the captures that have ended.
    taken: Vec<u64>,
    /// The cursor that has the next row.
    at: usize,
}

impl<'a> Stream<'a> {
    /// Those of `recording`.
    pub fn of(recording: &'a Recording) -> Self {
        Stream { parts: recording.parts.iter(), cursors: Vec::new(), taken: Vec::new(), at: 0 }
    }

    /// The next row, and the capture and row group that it is from.
    ///
    /// # Errors
    /// When a capture cannot be read.
    pub fn head(&mut self) -> Result<Option<(Event<'_>, &'a Source, usize)>> {
        loop {
            let Some(next) = next(&mut self.cursors)? else {
                self.taken.extend(self.cursors.iter().map(|cursor| cursor.taken));
                self.cursors.clear();
                let Some(part) = self.parts.next() else { return Ok(None) };
                self.cursors = part.sources.iter().map(Cursor::of).collect();
                continue;
            };
            match self.cursors.get_mut(next.at) {
                Some(cursor) if cursor.rows.is_none() => cursor.open()?,
                Some(_) => {
                    self.at = next.at;
                    break;
                }
                None => return Ok(None),
            }
        }
        let Some(cursor) = self.cursors.get(self.at) else { return Ok(None) };
        Ok(cursor.event().map(|event| (event, cursor.source, cursor.group)))
    }

    /// Goes beyond the row that [`Stream::head`] gave.
    ///
    /// # Errors
    /// When another slice has another row of its number.
    pub fn pass(&mut self) -> Result<()> {
        let Some(cursor) = self.cursors.get_mut(self.at) else { return Ok(()) };
        let Some(seq) = cursor.event().map(|event| event.seq) else { return Ok(()) };
        cursor.taken += 1;
        pass(&mut self.cursors, self.at, seq)
    }

    /// Rows taken of each capture.
    pub fn taken(self) -> Vec<u64> {
        self.taken
    }
}

/// The row that comes next.
struct Next {
    /// Whose it is.
    at: usize,
    /// Its number, as far as that is known without reading it.
    seq: u64,
    /// The lowest number that others have.
    others: u64,
}

fn next(cursors: &mut [Cursor<'_>]) -> Result<Option<Next>> {
    let mut next: Option<Next> = None;
    for (at, cursor) in cursors.iter_mut().enumerate() {
        let Some(seq) = cursor.seq()? else { continue };
        next = Some(match next {
            Some(next) if next.seq <= seq => Next { others: next.others.min(seq), ..next },
            Some(next) => Next { at, seq, others: next.seq },
            None => Next { at, seq, others: u64::MAX },
        });
    }
    Ok(next)
}

/// Goes beyond the row of this number, which was taken from cursor `at`; the others must have the same row.
fn pass(cursors: &mut [Cursor<'_>], at: usize, seq: u64) -> Result<()> {
    for other in (0..cursors.len()).filter(|other| *other != at) {
        let Some(cursor) = cursors.get_mut(other) else { continue };
        while cursor.seq()? == Some(seq) && cursor.rows.is_none() {
            cursor.open()?;
        }
        if cursor.seq()? != Some(seq) {
            continue;
        }
        let (Some(mine), Some(its)) = (cursors.get(at), cursors.get(other)) else { continue };
        ensure!(
            mine.event() == its.event(),
            "{} and {} have different rows with the number {seq}",
            mine.source.name(),
            its.source.name()
        );
        if let Some(cursor) = cursors.get_mut(other) {
            cursor.row += 1;
        }
    }
    if let Some(cursor) = cursors.get_mut(at) {
        cursor.row += 1;
    }
    Ok(())
}

/// Where the reading of a capture is.
struct Cursor<'a> {
    source: &'a Source,
    group: usize,
    /// The rows of the row group that are to come; `None` if it has not been read.
    rows: Option<Events>,
    batch: Option<EventBatch>,
    /// The next row in the batch.
    row: usize,
    taken: u64,
}

impl<'a> Cursor<'a> {
    fn of(source: &'a Source) -> Self {
        Cursor { source, group: 0, rows: None, batch: None, row: 0, taken: 0 }
    }

    /// The next row, of a row group that is being read.
    fn event(&self) -> Option<Event<'_>> {
        self.batch.as_ref()?.get(self.row)
    }

    /// The number of the next row: of a row group that has not been read, as its statistics say.
    fn seq(&mut self) -> Result<Option<u64>> {
        loop {
            if self.group >= self.source.capture.row_group_count() {
                return Ok(None);
            }
            let Some(rows) = &mut self.rows else {
                match self.source.capture.span(self.group, "seq") {
                    Some((first, _)) => return Ok(Some(first.cast_unsigned())),
                    None => self.open()?,
                }
                continue;
            };
            if let Some(event) = self.batch.as_ref().and_then(|batch| batch.get(self.row)) {
                return Ok(Some(event.seq));
            }
            self.row = 0;
            self.batch = rows.next().transpose()?;
            if self.batch.is_none() {
                self.leave();
            }
        }
    }

    /// Goes to the next row group.
    fn leave(&mut self) {
        self.group += 1;
        (self.rows, self.batch, self.row) = (None, None, 0);
    }

    /// Begins to read the row group.
    fn open(&mut self) -> Result<()> {
        self.source.compare(self.group)?;
        self.rows = Some(self.source.capture.group(self.group, Vec::new(), None)?);
        Ok(())
    }

    /// The row group, if it can be copied and ends before the row `others`.
    fn whole_before(&self, others: u64) -> Result<Option<PartialGroup>> {
        let last = self.source.capture.span(self.group, "seq").map(|(_, last)| last.cast_unsigned());
        if last.is_none_or(|last| last >= others) {
            return Ok(None);
        }
        Ok(self.source.compare(self.group)?.filter(|group| group.seq.1 < others))
    }

    fn adopt(&mut self, group: &PartialGroup, writer: &mut Writer) -> Result<()> {
        let counts = self.source.count(self.group)?;
        writer.adopt(self.source.capture.file(), group, &counts).with_context(|| self.source.name())?;
        self.taken = self.taken.saturating_add(counts.rows());
        self.leave();
        Ok(())
    }
}
