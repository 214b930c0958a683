//! What a row says that is counted: who, when, and what moved.

use std::sync::Arc;

use crate::schema::Event;
use crate::schema::events::EventSpec;

/// A process, with the names that it had last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// Host, where the capture is of several; as captured.
    pub host: Option<Arc<str>>,
    /// Process id.
    pub pid: i32,
    /// `process_key`; `None` if it is not known.
    pub key: Option<Arc<str>>,
    /// Thread name, as captured.
    pub comm: Option<Arc<str>>,
    /// The first of its names, if it had several. Of callers alone.
    pub earlier_comm: Option<Arc<str>>,
    /// Executable, as captured.
    pub exe: Option<Arc<str>>,
    /// Effective user id.
    pub uid: Option<u32>,
    /// Command line of its last exec: the beginning, with `…` where it went on. Of callers alone.
    pub command: Option<Arc<str>>,
}

/// From the first to the last of some events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First, ns since 1970.
    pub first_ts_ns: i64,
    /// Last.
    pub last_ts_ns: i64,
    /// First, on CLOCK_MONOTONIC.
    pub first_mono_ns: i64,
    /// Last.
    pub last_mono_ns: i64,
}

impl Span {
    fn of(event: &Event<'_>) -> Self {
        let (ts, mono) = (event.ts_ns, event.mono_ns);
        Span { first_ts_ns: ts, last_ts_ns: ts, first_mono_ns: mono, last_mono_ns: mono }
    }

    pub(super) fn extend(span: &mut Option<Self>, more: Span) {
        span.get_or_insert(more).join(more);
    }

    fn join(&mut self, more: Span) {
        self.first_ts_ns = self.first_ts_ns.min(more.first_ts_ns);
        self.last_ts_ns = self.last_ts_ns.max(more.last_ts_ns);
        self.first_mono_ns = self.first_mono_ns.min(more.first_mono_ns);
        self.last_mono_ns = self.last_mono_ns.max(more.last_mono_ns);
    }

    /// How long, ns.
    pub fn length_ns(&self) -> i64 {
        self.last_mono_ns.saturating_sub(self.first_mono_ns)
    }
}

/// How long calls took, where that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Calls of which it is known.
    pub calls: u64,
    /// Sum.
    pub total_ns: u64,
    /// Longest.
    pub max_ns: u64,
}

impl Latency {
    pub(super) fn note(&mut self, ns: Option<i64>) {
        let Some(ns) = ns else { return };
        let ns = u64::try_from(ns).unwrap_or(0);
        self.add(Latency { calls: 1, total_ns: ns, max_ns: ns });
    }

    pub(super) fn add(&mut self, more: Latency) {
        self.calls += more.calls;
        self.total_ns = self.total_ns.saturating_add(more.total_ns);
        self.max_ns = self.max_ns.max(more.max_ns);
    }

    /// Mean; `None` where none is known.
    pub fn mean_ns(&self) -> Option<u64> {
        self.total_ns.checked_div(self.calls)
    }
}

/// The numbers of a row, or of some rows that are alike in everything else: whether bytes moved is a part of that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    /// Rows.
    pub rows: u64,
    /// Sum of the column `bytes`.
    pub bytes: u64,
    /// Bytes of payload, of each row at most as many as moved: what is more was not kept of it.
    pub kept: u64,
    /// Rows with more payload than that, which contradict themselves.
    pub overfull: u64,
    /// How long the calls took.
    pub latency: Latency,
    /// From the first to the last.
    pub span: Span,
}

impl Sums {
    pub fn of(event: &Event<'_>) -> Self {
        let bytes = bytes(event);
        let payload = u64::from(event.payload_len);
        let mut latency = Latency::default();
        latency.note(event.dur_ns);
        let (kept, overfull) = (payload.min(bytes), u64::from(payload > bytes));
        Sums { rows: 1, bytes, kept, overfull, latency, span: Span::of(event) }
    }

    /// Adds a row that is alike.
    pub fn add(&mut self, event: &Event<'_>) {
        let more = Sums::of(event);
        self.rows += 1;
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.kept = self.kept.saturating_add(more.kept);
        self.overfull += more.overfull;
        self.latency.add(more.latency);
        self.span.join(more.span);
    }
}

/// The column `bytes`, which is negative in no row of a recorder.
fn bytes(event: &Event<'_>) -> u64 {
    event.bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0)
}

/// What rows say that is counted, their event looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted<'a> {
    /// Place of the event.
    pub place: usize,
    /// Its name.
    pub event: Option<&'a Arc<str>>,
    /// Its entry in the table.
    pub spec: Option<&'static EventSpec>,
    /// Whether it is a transfer: bytes moved.
    pub moved: bool,
    /// The numbers.
    pub sums: Sums,
}

impl Counted<'_> {
    /// Whether its bytes pass no memory of a process.
    pub fn is_between_files(&self) -> bool {
        self.spec.is_some_and(EventSpec::is_between_files)
    }
}
