//! Rows on their way into row groups: which are selected, how many, and what was counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Result, anyhow};
use arrow_array::RecordBatch;

use crate::record::decode::Sink;
use crate::record::ledger::{Outcomes, count};
use crate::record::live::Tap;
use crate::record::output::disk_policy::DiskPolicy;
use crate::record::session::bell::Bell;
use crate::schema::events::{Bytes, EventKind, EventSet};
use crate::schema::expr::Expr;
use crate::schema::vocabulary::{EndReason, PayloadStatus};
use crate::schema::{BatchBuilder, Event};

/// Seen by the main thread while recording.
#[derive(Debug, Default)]
pub struct Progress {
    /// Rows so far, process events included.
    pub rows: AtomicU64,
    /// Transfers so far.
    pub transfers: AtomicU64,
    /// Bytes that they brought into the memory of processes.
    pub bytes: AtomicU64,
    limit_reached: AtomicBool,
    bell: Arc<Bell>,
}

impl Progress {
    /// Nothing yet. `bell` is rung when the main thread has to end the recording.
    pub fn new(bell: Arc<Bell>) -> Self {
        Progress { bell, ..Progress::default() }
    }

    /// Whether `-c` is reached.
    pub fn limit_reached(&self) -> bool {
        self.limit_reached.load(Ordering::Acquire)
    }

    fn reach_limit(&self) {
        if !self.limit_reached.swap(true, Ordering::AcqRel) {
            self.bell.ring();
        }
    }
}

/// Which rows become part of a capture.
#[derive(Debug)]
pub struct Asked {
    /// Events.
    pub events: EventSet,
    /// `-c`.
    pub count: Option<u64>,
    /// `--trigger`.
    pub trigger: Option<Expr>,
    /// A row group ends with this many bytes of payload and iovecs at the latest.
    pub group_bytes: usize,
    /// The first one does.
    pub first_group_bytes: usize,
    /// Rows are kept for row groups; else they are only shown.
    pub keep: bool,
}

/// Rows that are in no row group yet.
#[derive(Debug)]
pub struct Table {
    builder: BatchBuilder,
    asked: Asked,
    group_bytes: usize,
    seq: u64,
    /// mono_ns of the latest row.
    last_ns: i64,
    /// Of the rows in `builder`.
    rows: Outcomes,
    /// Of everything else.
    pub outcomes: Outcomes,
    /// A row has met the trigger.
    triggered: bool,
    /// No more rows.
    ended: bool,
    transfers: u64,
    progress: Arc<Progress>,
    disk_policy: Arc<DiskPolicy>,
    tap: Option<Tap>,
}

/// Fewest bytes of payload and iovecs that make a row group.
const LEAST_GROUP: usize = 64 << 10;

fn is_transfer(kind: EventKind) -> bool {
    kind.spec().group.is_of_calls()
}

impl Sink for Table {
    fn row(&mut self, kind: EventKind, event: &mut Event<'_>, faulted: bool) {
        let transfer = is_transfer(kind);
        let over = self.ended && kind != EventKind::Lost;
        if over || !self.asked.events.contains(kind) || (transfer && self.limit_reached()) {
            count(&mut self.outcomes.of(kind).filtered);
            return;
        }
        event.seq = self.seq;
        if event.payload_len > 0 && self.disk_policy.without_payload() {
            (event.payload, event.payload_len) = (None, 0);
            event.payload_status = Some(PayloadStatus::Dropped.as_str());
        }
        self.triggered |= self.asked.trigger.as_ref().is_some_and(|trigger| trigger.matches(event));
        if self.asked.keep {
            self.builder.push(event);
        }
        if let Some(tap) = &mut self.tap {
            tap.row(event);
        }
        self.seq = self.seq.saturating_add(1);
        self.last_ns = self.last_ns.max(event.mono_ns);
        let bytes = event.bytes.and_then(|b| u64::try_from(b).ok()).unwrap_or(0);
        let entry = self.rows.of(kind);
        entry.written += 1;
        entry.bytes = entry.bytes.saturating_add(bytes);
        entry.failed += u64::from(event.errno.is_some());
        entry.read_faults += u64::from(faulted);
        self.progress.rows.fetch_add(1, Ordering::Relaxed);
        if transfer {
            self.transfers = self.transfers.saturating_add(1);
            self.progress.transfers.fetch_add(1, Ordering::Relaxed);
            if kind.spec().bytes == Bytes::Memory {
                self.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            self.look_at_limit();
        }
    }
}

impl Table {
    /// Nothing yet.
    pub fn new(asked: Asked, progress: Arc<Progress>, disk_policy: Arc<DiskPolicy>) -> Self {
        Table {
            builder: BatchBuilder::default(),
            group_bytes: asked.group_bytes.min(asked.first_group_bytes),
            asked,
            seq: 0,
            last_ns: 0,
            rows: Outcomes::default(),
            outcomes: Outcomes::default(),
            triggered: false,
            ended: false,
            transfers: 0,
            progress,
            disk_policy,
            tap: None,
        }
    }

    /// The same, and each row is shown, too.
    pub fn with_tap(self, tap: Option<Tap>) -> Self {
        Table { tap, ..self }
    }

    /// Passes on the rows so far to be shown.
    pub fn show(&mut self) {
        if let Some(tap) = &mut self.tap {
            tap.pass_on();
        }
    }

    /// No more rows are shown.
    pub fn take_tap(&mut self) -> Option<Tap> {
        self.tap.take()
    }

    /// Whether the rows make up a row group.
    pub fn is_full(&self) -> bool {
        self.builder.is_full() || self.builder.bytes() >= self.group_bytes
    }

    /// Bytes of payload and iovecs in the rows.
    pub fn bytes(&self) -> usize {
        self.builder.bytes()
    }

    /// Makes row groups of such a size that they have about `wanted` bytes when encoded, if the next ones are like the
    /// last, of which `raw` bytes became `encoded`.
    pub fn resize(&mut self, raw: usize, encoded: usize, wanted: u64) {
        let fitting = (raw as u64).saturating_mul(wanted) / (encoded as u64).max(1);
        self.group_bytes = usize::try_from(fitting).unwrap_or(usize::MAX).max(LEAST_GROUP).min(self.asked.group_bytes);
    }

    /// Rows that [`Table::take`] would give.
    pub fn rows(&self) -> usize {
        self.builder.rows()
    }

    /// What is counted of the rows that [`Table::take`] would give.
    pub fn rows_so_far(&self) -> &Outcomes {
        &self.rows
    }

    /// Whether a row has met the trigger since this was last asked.
    pub fn was_triggered(&mut self) -> bool {
        std::mem::take(&mut self.triggered)
    }

    /// From now on no row is asked for.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Which limit ended the rows, if one did: whatever ended the recording came later.
    pub fn ended_by(&self) -> Option<EndReason> {
        if self.ended { Some(EndReason::MaxSize) } else { self.limit_reached().then_some(EndReason::Count) }
    }

    /// Latest mono_ns of any row.
    pub fn last_ns(&self) -> i64 {
        self.last_ns
    }

    /// The rows, and what is counted of them.
    ///
    /// # Errors
    /// When they cannot be built into a batch, which would be a defect.
    pub fn take(&mut self) -> (Result<RecordBatch>, Outcomes) {
        let batch = self.builder.take().map_err(|e| anyhow!("a row group cannot be built: {e}"));
        (batch, std::mem::take(&mut self.rows))
    }

    /// What is counted of the rows that were not kept.
    pub fn take_counts(&mut self) -> Outcomes {
        std::mem::take(&mut self.rows)
    }

    /// `seq` of the next row.
    pub fn next_seq(&self) -> u64 {
        self.seq
    }

    /// Goes on from a checkpoint.
    pub fn restore(&mut self, seq: u64, last_ns: i64, transfers: u64, outcomes: Outcomes) {
        (self.seq, self.last_ns, self.transfers, self.outcomes) = (seq, last_ns, transfers, outcomes);
    }

    /// Transfers so far.
    pub fn transfers(&self) -> u64 {
        self.transfers
    }

    /// Whether `-c` is reached.
    fn limit_reached(&self) -> bool {
        self.asked.count.is_some_and(|limit| self.transfers >= limit)
    }

    /// Says to the main thread that `-c` is reached, with the transfer that reaches it: no other may come.
    fn look_at_limit(&self) {
        if self.limit_reached() {
            self.progress.reach_limit();
        }
    }
}
