//! The thread that turns records into the capture: order, decode, build, encode. And the books of what became of
//! every record that was taken from the kernel.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};

use anyhow::{Result, anyhow};

use super::decode::{Decoder, LEFT_IN_RING, RING_FULL, Sink, event_kind};
use super::drain::Chunk;
use super::host;
use super::privileges;
use super::processes::Snapshot;
use super::reorder::Reorder;
use super::wire::vmt_loss;
use crate::schema::events::{EVENTS, EventKind, EventSet, Group};
use crate::schema::group::EncodedGroup;
use crate::schema::writer::CaptureFile;
use crate::schema::{BatchBuilder, Event};

/// What became of the records of one kind in this thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Rows in the file.
    pub written: u64,
    /// Bytes they moved.
    pub bytes: u64,
    /// Of them, those that returned an error.
    pub failed: u64,
    /// Of them, those with something unreadable.
    pub read_faults: u64,
    /// Not asked for, or past `-c`.
    pub filtered: u64,
    /// Delivered by the kernel and never taken from the ring.
    pub unread: u64,
    /// Refused by the decoder.
    pub undecodable: u64,
    /// Decoded, and not written because the output failed.
    pub write_error: u64,
}

/// The books by event.
pub type Books = BTreeMap<EventKind, Entry>;

/// Seen by the main thread while recording.
#[derive(Debug, Default)]
pub struct Progress {
    /// Rows so far, process events included.
    pub rows: AtomicU64,
    /// Transfers so far.
    pub transfers: AtomicU64,
    /// Bytes they moved.
    pub bytes: AtomicU64,
    /// `-c` is reached.
    pub limit_reached: AtomicBool,
    /// The output failed.
    pub failed: AtomicBool,
}

/// What the kernel still held when the rings had been emptied for the last time.
#[derive(Debug, Default)]
pub struct Residue {
    /// Losses that no later record told, by CPU.
    pub losses: Vec<(u32, vmt_loss)>,
    /// io_uring requests without a completion, as records.
    pub requests: Vec<Vec<u8>>,
    /// Records delivered to the rings, by wire kind.
    pub delivered: Vec<u64>,
    /// When the hooks were taken away, in ns of CLOCK_MONOTONIC.
    pub end_ns: u64,
}

/// What the writing thread is sent.
#[derive(Debug)]
pub enum Message {
    /// Processes that lived when recording began, and that instant.
    Snapshots(Vec<Snapshot>, i64),
    /// Records.
    Chunk(Chunk),
    /// The end.
    Finish(Residue),
}

/// The result of the writing thread.
#[derive(Debug)]
pub struct Written {
    /// The capture, still open.
    pub writer: CaptureFile,
    /// The books.
    pub books: Books,
    /// Why the output failed, if it did.
    pub error: Option<anyhow::Error>,
}

/// Rows on their way into the file.
struct Table {
    builder: BatchBuilder,
    writer: CaptureFile,
    selected: EventSet,
    limit: Option<u64>,
    seq: u64,
    /// mono_ns of the latest row.
    last_ns: i64,
    books: Books,
    /// Of the rows in `builder`, which are not in the file yet.
    unwritten: Books,
    error: Option<anyhow::Error>,
    progress: Arc<Progress>,
}

fn is_transfer(kind: EventKind) -> bool {
    EVENTS.iter().any(|e| e.kind == kind && !matches!(e.group, Group::Process | Group::Ledger))
}

impl Sink for Table {
    fn row(&mut self, kind: EventKind, event: &Event<'_>, faulted: bool) {
        let transfer = is_transfer(kind);
        if !self.selected.contains(kind) || (transfer && self.limit_reached()) {
            self.books.entry(kind).or_default().filtered += 1;
            return;
        }
        if self.error.is_some() {
            self.books.entry(kind).or_default().write_error += 1;
            return;
        }
        self.builder.push(&Event { seq: self.seq, ..*event });
        self.seq += 1;
        self.last_ns = self.last_ns.max(event.mono_ns);
        let bytes = event.bytes.and_then(|b| u64::try_from(b).ok()).unwrap_or(0);
        let entry = self.unwritten.entry(kind).or_default();
        entry.written += 1;
        entry.bytes = entry.bytes.saturating_add(bytes);
        entry.failed += u64::from(event.errno.is_some());
        entry.read_faults += u64::from(faulted);
        self.progress.rows.fetch_add(1, Ordering::Relaxed);
        if transfer {
            self.progress.transfers.fetch_add(1, Ordering::Relaxed);
            self.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        if self.builder.is_full() {
            self.flush();
        }
    }
}

impl Table {
    /// Whether `-c` is reached; says so to the main thread the first time.
    fn limit_reached(&self) -> bool {
        let reached = self.limit.is_some_and(|limit| self.progress.transfers.load(Ordering::Relaxed) >= limit);
        if reached {
            self.progress.limit_reached.store(true, Ordering::Release);
        }
        reached
    }

    /// Writes a row group. Its rows count as written only when that succeeded.
    fn flush(&mut self) {
        if self.builder.rows() == 0 {
            return;
        }
        let batch = self.builder.take().map_err(|e| anyhow!("a row group cannot be built: {e}"));
        let group = batch.and_then(|batch| Ok(EncodedGroup::encode(&batch)?));
        let result =
            group.and_then(|group| Ok(self.writer.append(&group, host::clocks(), &serde_json::Value::Null)?));
        let failed = result.is_err();
        for (kind, rows) in std::mem::take(&mut self.unwritten) {
            let entry = self.books.entry(kind).or_default();
            if failed {
                entry.write_error += rows.written;
            } else {
                entry.written += rows.written;
                entry.bytes = entry.bytes.saturating_add(rows.bytes);
                entry.failed += rows.failed;
                entry.read_faults += rows.read_faults;
            }
        }
        if let Err(error) = result {
            self.error.get_or_insert(error);
            self.progress.failed.store(true, Ordering::Release);
        }
    }
}

/// What the thread is started with.
#[derive(Debug)]
pub struct Job {
    /// Reads records.
    pub decoder: Decoder,
    /// The capture.
    pub writer: CaptureFile,
    /// Events that become rows.
    pub selected: EventSet,
    /// `-c`.
    pub limit: Option<u64>,
    /// Shared with the main thread.
    pub progress: Arc<Progress>,
}

/// Writes everything that comes until the end; buffers go back through `used`.
///
/// # Errors
/// When the sender is gone without having said [`Message::Finish`].
pub fn run(job: Job, messages: &Receiver<Message>, used: &Sender<Vec<u8>>) -> Result<Written> {
    privileges::keep_only(privileges::IDENTIFY);
    let Job { mut decoder, writer, selected, limit, progress } = job;
    let mut table = Table {
        builder: BatchBuilder::default(),
        writer,
        selected,
        limit,
        seq: 0,
        last_ns: 0,
        books: Books::default(),
        unwritten: Books::default(),
        error: None,
        progress,
    };
    let mut reorder = Reorder::default();
    loop {
        match messages.recv().map_err(|_| anyhow!("the recording was abandoned"))? {
            Message::Snapshots(snapshots, mono_ns) => {
                snapshots.iter().for_each(|s| decoder.introduce(s, mono_ns, &mut table));
                decoder.remember_living();
            }
            Message::Chunk(chunk) => {
                let broken = reorder.push(&chunk);
                if broken > 0 {
                    table.books.entry(EventKind::Lost).or_default().undecodable += 1;
                }
                reorder.release(|record| decode(&mut decoder, record, &mut table));
                let mut buffer = chunk.bytes;
                buffer.clear();
                // The draining thread may have ended already.
                let _ = used.send(buffer);
            }
            Message::Finish(residue) => {
                reorder.release_all(|record| decode(&mut decoder, record, &mut table));
                finish(&mut decoder, &residue, &mut table);
                table.flush();
                return Ok(Written { writer: table.writer, books: table.books, error: table.error });
            }
        }
    }
}

fn decode(decoder: &mut Decoder, record: &[u8], table: &mut Table) {
    if let Err(refused) = decoder.record(record, table) {
        table.books.entry(refused.kind.unwrap_or(EventKind::Lost)).or_default().undecodable += 1;
    }
}

/// Counts, by wire kind, the records that were delivered to the rings and never came here.
fn count_unread(table: &mut Table, delivered: &[u64]) -> Vec<u32> {
    let mut counts = vec![0; delivered.len()];
    for ((wire, sent), count) in (0u32..).zip(delivered).zip(&mut counts) {
        let Some(kind) = event_kind(wire).filter(|kind| *kind != EventKind::Lost) else { continue };
        let came =
            |books: &Books| books.get(&kind).map_or(0, |e| e.written + e.filtered + e.undecodable + e.write_error);
        let unread = sent.saturating_sub(came(&table.books) + came(&table.unwritten));
        table.books.entry(kind).or_default().unread = unread;
        *count = u32::try_from(unread).unwrap_or(u32::MAX);
    }
    counts
}

fn finish(decoder: &mut Decoder, residue: &Residue, table: &mut Table) {
    // Before the requests below, which never were in a ring.
    let unread = count_unread(table, &residue.delivered);
    for request in &residue.requests {
        // Stored at the map's value size; the record says its own.
        let size = request.first_chunk().map_or(0, |b| u32::from_ne_bytes(*b) as usize);
        decode(decoder, request.get(..size).unwrap_or(request), table);
    }
    for (cpu, loss) in &residue.losses {
        decoder.lost(*cpu, loss.first_ns, loss.last_ns, &loss.count, RING_FULL, table);
    }
    let last_ns = u64::try_from(table.last_ns).unwrap_or(0);
    decoder.lost(0, last_ns, residue.end_ns, &unread, LEFT_IN_RING, table);
}
