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

    pub(super) fn extend(span: &mut Option<Self>, event: &Event<'_>) {
        let span = span.get_or_insert(Span::of(event));
        span.first_ts_ns = span.first_ts_ns.min(event.ts_ns);
        span.last_ts_ns = span.last_ts_ns.max(event.ts_ns);
        span.first_mono_ns = span.first_mono_ns.min(event.mono_ns);
        span.last_mono_ns = span.last_mono_ns.max(event.mono_ns);
    }

    /// How long, ns.
    pub fn length_ns(&self) -> i64 {
        self.last_mono_ns.saturating_sub(self.first_mono_ns)
    }
}

/// What a row says that is counted, its event looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted<'a> {
    /// Place of the event.
    pub place: usize,
    /// Its name.
    pub event: Option<&'a Arc<str>>,
    /// Its entry in the table.
    pub spec: Option<&'static EventSpec>,
    /// Bytes that it moved, if it is a transfer.
    pub moved: Option<u64>,
}

impl Counted<'_> {
    /// Whether its bytes pass no memory of a process.
    pub fn is_between_files(&self) -> bool {
        self.spec.is_some_and(EventSpec::is_between_files)
    }
}
