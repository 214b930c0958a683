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
/// Bytes of a stream before it is compressed, and so many more for each byte of the page. Ours have a tenth of that.
const UNPACKED: u64 = 64 << 20;
const UNPACKED_OF_ROOM: u64 = 32;
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

/// All events; `None` where they take more than `room` bytes of the page.
///
/// # Errors
/// When the capture cannot be read.
pub(super) fn all(capture: &Capture, with_payload: bool, room: u64) -> Result<Option<Rows>> {
    let described = COLUMNS.iter().map(Described::of).collect();
    let mut writer = Writer::new(described, with_payload, room);
    let read = reading::each(capture, &Scan::default(), |batch| {
        batch.iter().try_for_each(|event| writer.push(COLUMNS.iter().map(|column| (column.cell)(&event))))
    });
    match read.and_then(|()| writer.finish()) {
        Ok(rows) => Ok(Some(rows)),
        Err(error) if error.is::<Full>() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes rows into the streams.
#[derive(Debug)]
pub(super) struct Writer {
    columns: Vec<Column>,
    with_payload: bool,
    room: u64,
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
            in_block: 0,
            bytes_in_block: 0,
            rows: 0,
            buffer: Vec::new(),
            events: Stream::new(UNPACKED + UNPACKED_OF_ROOM * room),
            payload: Stream::new(UNPACKED + UNPACKED_OF_ROOM * room),
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
        if self.with_payload {
            self.columns.iter().try_for_each(|column| self.payload.write(&column.bytes))?;
        }
        self.buffer.clear();
        columns::block(&mut self.columns, self.in_block, self.rows - self.in_block as u64, &mut self.buffer);
        self.events.write(&self.buffer)?;
        (self.in_block, self.bytes_in_block) = (0, 0);
        if self.events.in_page() + self.payload.in_page() > self.room { Err(Full.into()) } else { Ok(()) }
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
        if rows.in_page() > self.room { Err(Full.into()) } else { Ok(rows) }
    }
}
