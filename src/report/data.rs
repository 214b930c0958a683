//! The events of a capture as the page gets them: all, or all without their payload.
//!
//! Owns the two streams `events` and `payload`, and when there is too much for them. `fold` owns what is shown instead.

use anyhow::Result;

use super::columns::{self, Column, Described};
use super::pack::{Full, Packed, Stream};
use crate::model::reading;
use crate::schema::Cell;
use crate::schema::columns::COLUMNS;
use crate::schema::reader::{Capture, Scan};

/// Rows of a block. What has no number in a column costs a byte.
const BLOCK: usize = 8_192;
/// Rows of a page: the browser keeps some columns of all of them, 4 or 8 bytes a value.
pub(super) const ROWS: u64 = 1_000_000;
/// Bytes of a stream before it is compressed: the browser keeps all of them.
pub(super) const UNPACKED: u64 = 128 << 20;
/// Bytes of the different texts of all columns, which are kept here as well as by the browser.
pub(super) const TEXTS: usize = 32 << 20;
/// Bytes of a block, before it is compressed.
const BLOCK_BYTES: usize = 8 << 20;

/// The rows of a page.
#[derive(Debug)]
pub(super) struct Rows {
    pub columns: Vec<Described>,
    pub rows: u64,
    pub events: Packed,
    pub payload: Packed,
    /// Events whose payload is left out, and its bytes.
    pub without_payload: (u64, u64),
}

impl Rows {
    /// Bytes in the page.
    pub fn in_page(&self) -> u64 {
        self.events.in_page() + self.payload.in_page()
    }
}

/// All events; or which limit they exceed: `room` bytes of the page, or one of those of the browser.
///
/// # Errors
/// When the capture cannot be read.
pub(super) fn all(capture: &Capture, with_payload: bool, room: u64) -> Result<Result<Rows, Full>> {
    if capture.rows() > ROWS {
        return Ok(Err(Full::Browser));
    }
    let described = COLUMNS.iter().map(Described::of).collect();
    let mut writer = Writer::new(described, with_payload, room);
    let read = reading::each(capture, &Scan::default(), |batch| {
        batch.try_each(|event| writer.push(COLUMNS.iter().map(|column| (column.cell)(event))))
    });
    match read.and_then(|()| writer.finish()) {
        Ok(rows) => Ok(Ok(rows)),
        Err(error) => error.downcast::<Full>().map(Err),
    }
}

/// Writes rows into the streams.
#[derive(Debug)]
pub(super) struct Writer {
    columns: Vec<Column>,
    with_payload: bool,
    room: u64,
    /// Bytes of different texts at most.
    texts: usize,
    in_block: usize,
    bytes_in_block: usize,
    rows: u64,
    buffer: Vec<u8>,
    events: Stream,
    payload: Stream,
    without_payload: (u64, u64),
}

impl Writer {
    /// One for rows of these columns, that may take `room` bytes of the page.
    pub fn new(columns: Vec<Described>, with_payload: bool, room: u64) -> Self {
        Writer {
            columns: columns.into_iter().map(Column::new).collect(),
            with_payload,
            room,
            texts: TEXTS,
            in_block: 0,
            bytes_in_block: 0,
            rows: 0,
            buffer: Vec::new(),
            events: Stream::new(UNPACKED),
            payload: Stream::new(UNPACKED),
            without_payload: (0, 0),
        }
    }

    /// Adds a row, whose cells are in the order of the columns.
    ///
    /// # Errors
    /// [`Full`] where there is no more room.
    pub fn push<'a>(&mut self, cells: impl Iterator<Item = Cell<'a>>) -> Result<()> {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            self.bytes_in_block += 1 + column.push(cell);
            if let Cell::Bytes(bytes) = cell
                && !self.with_payload
            {
                self.without_payload.0 += 1;
                self.without_payload.1 += bytes.len() as u64;
                column.bytes.clear();
            }
        }
        self.in_block += 1;
        self.rows += 1;
        if self.in_block >= BLOCK || self.bytes_in_block >= BLOCK_BYTES { self.block() } else { Ok(()) }
    }

    fn block(&mut self) -> Result<()> {
        let texts: usize = self.columns.iter().map(|column| column.kept).sum();
        if self.rows > ROWS || texts > self.texts {
            return Err(Full::Browser.into());
        }
        if self.with_payload {
            self.columns.iter().try_for_each(|column| self.payload.write(&column.bytes))?;
        }
        self.buffer.clear();
        columns::block(&mut self.columns, self.in_block, self.rows - self.in_block as u64, &mut self.buffer);
        self.events.write(&self.buffer)?;
        (self.in_block, self.bytes_in_block) = (0, 0);
        if self.events.in_page() + self.payload.in_page() > self.room { Err(Full::Page.into()) } else { Ok(()) }
    }

    /// The rows.
    ///
    /// # Errors
    /// As [`Writer::push`].
    pub fn finish(mut self) -> Result<Rows> {
        if self.in_block > 0 {
            self.block()?;
        }
        let rows = Rows {
            columns: self.columns.iter().map(|column| column.described).collect(),
            rows: self.rows,
            events: self.events.finish()?,
            payload: self.payload.finish()?,
            without_payload: self.without_payload,
        };
        if rows.in_page() > self.room { Err(Full::Page.into()) } else { Ok(rows) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::columns::{Kind, OF_A_TEXT};

    fn writer(kinds: &[Kind]) -> Writer {
        Writer::new(kinds.iter().map(|kind| Described::new("some", *kind, "")).collect(), false, u64::MAX)
    }

    fn outcome(mut writer: Writer, rows: impl Iterator<Item = Vec<Option<String>>>) -> Result<u64, Full> {
        let write = || {
            for row in rows {
                writer.push(row.iter().map(|text| text.as_deref().map_or(Cell::Int(7), Cell::Text)))?;
            }
            writer.finish()
        };
        write().map(|rows| rows.rows).map_err(|error| error.downcast().expect("no other error is known"))
    }

    #[test]
    fn rows_are_bounded() {
        for (rows, wanted) in [(ROWS, Ok(ROWS)), (ROWS + 1, Err(Full::Browser))] {
            assert_eq!(outcome(writer(&[Kind::Signed]), (0..rows).map(|_| vec![None])), wanted);
        }
    }

    #[test]
    fn different_texts_of_all_columns_together_are_bounded() {
        const EACH: usize = 8 << 10;
        const MOST: usize = 1 << 20;
        let text = |number: usize, long: usize| Some(format!("{number:04}{}", " ".repeat(long - 4)));
        let fit = MOST / EACH / 2;
        for (long, wanted) in [(EACH - OF_A_TEXT, Ok(fit as u64 + 1)), (EACH - OF_A_TEXT + 1, Err(Full::Browser))] {
            let rows = (0..fit).map(|row| vec![text(row, EACH - OF_A_TEXT), text(row, long)]);
            // The last row repeats texts, which takes nothing.
            let again = std::iter::once(vec![text(0, EACH - OF_A_TEXT), text(0, long)]);
            let writer = Writer { texts: MOST, ..writer(&[Kind::Text, Kind::Text]) };
            assert_eq!(outcome(writer, rows.chain(again)), wanted);
        }
    }
}
