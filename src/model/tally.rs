//! A capture in numbers: its events counted by pair of processes, by event and by pipe, in one pass.
//!
//! Owns what is counted, and its bounds: memory does not grow with the number of events, and what is not distinguished is
//! counted together, never left out. The sentences and tables are those of `summary`.

mod calls;
mod commands;
mod pairs;
mod pipes;
mod row;
mod texts;
mod uses;

pub use self::calls::{Latency, OfEvent};
pub use self::pairs::{Beyond, LIMIT, Pair};
pub use self::pipes::{AtPipe, Pipe, Sum, Way};
pub use self::row::{Span, Who};
pub use self::texts::Words;
pub use self::uses::{Denied, Use, is_denial};

use self::calls::Calls;
use self::commands::Commands;
use self::pairs::Pairs;
use self::pipes::Pipes;
use self::row::Counted;
use self::texts::Texts;
use crate::model::transfer::Transfer;
use crate::schema::events::{EventSpec, Group};
use crate::schema::vocabulary::{IovVerdict, PayloadStatus};
use crate::schema::{Event, EventKind};

/// The columns that are counted; the others need not be read.
pub const COLUMNS: &[&str] = &[
    "ts_ns",
    "mono_ns",
    "dur_ns",
    "event",
    "pid",
    "uid",
    "comm",
    "exe",
    "process_key",
    "target_pid",
    "target_comm",
    "target_exe",
    "target_uid",
    "target_key",
    "direction",
    "errno",
    "bytes",
    "iov_verdict",
    "toctou",
    crate::schema::regions::PATHS,
    "fd_in_path",
    "fd_out_path",
    "pipe_in",
    "pipe_out",
    "payload_len",
    "payload_status",
    "parent_pid",
    "parent_key",
    "argv",
    "host",
];

/// Events that say which command line a process has.
const LIVES: [EventKind; 4] =
    [EventKind::ProcessExec, EventKind::ProcessSnapshot, EventKind::ProcessFork, EventKind::ProcessExit];

/// How far the arguments of calls can be trusted: how many calls have which `iov_verdict`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// What the kernel used.
    pub kernel: u64,
    /// Read from user memory, or looked up, when the call returned.
    pub unverified: u64,
    /// They contradict what the kernel did.
    pub conflict: u64,
    /// They could not be read.
    pub unreadable: u64,
    /// The row says nothing, or a word of a later version.
    pub unknown: u64,
}

impl Trust {
    /// All calls.
    pub fn calls(&self) -> u64 {
        self.kernel + self.unverified + self.conflict + self.unreadable + self.unknown
    }

    fn note(&mut self, verdict: Option<&str>) {
        *match verdict.map(IovVerdict::parse) {
            Some(Ok(IovVerdict::Kernel)) => &mut self.kernel,
            Some(Ok(IovVerdict::Unverified)) => &mut self.unverified,
            Some(Ok(IovVerdict::Conflict)) => &mut self.conflict,
            Some(Ok(IovVerdict::Unreadable)) => &mut self.unreadable,
            Some(Err(_)) | None => &mut self.unknown,
        } += 1;
    }
}

/// How much of what moved was captured: of all transfers, as the view `transfers` has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Bytes of payload.
    pub kept: u64,
    /// Bytes that moved; those that went through a pipe count at each call that moved them.
    pub moved: u64,
}

/// The counts.
#[derive(Debug, Default)]
pub struct Tally {
    texts: Texts,
    commands: Commands,
    calls: Calls,
    pairs: Pairs,
    pipes: Pipes,
    trust: Trust,
    kept: Kept,
    removed: u64,
    overfull: u64,
    conflicts: u64,
    span: Option<Span>,
}

impl Tally {
    /// Counts an event. `lost` rows are counted by [`super::loss::Losses`].
    pub fn note(&mut self, event: &Event<'_>) {
        if event.event == EventKind::Lost.name() {
            return;
        }
        let Tally { texts, commands, calls, pairs, pipes, trust, kept, removed, overfull, conflicts, span } = self;
        Span::extend(span, event);
        let place = calls.note(event, texts);
        let Some(of) = calls.get(place) else { return };
        let spec = of.spec;
        let moved = Transfer::bytes_of(event, spec.is_some_and(EventSpec::is_between_files));
        if let Some(bytes) = moved {
            kept.moved = kept.moved.saturating_add(bytes);
            // What is more than moved was not kept of it: the row contradicts itself.
            let payload = u64::from(event.payload_len);
            kept.kept = kept.kept.saturating_add(payload.min(bytes));
            *overfull += u64::from(payload > bytes);
            *removed += u64::from(bytes > 0 && event.payload_status == Some(PayloadStatus::Redacted.as_str()));
        }
        pipes.note(event, texts);
        let is_call = spec.is_none_or(|spec| spec.group.is_of_calls());
        if is_call {
            trust.note(event.iov_verdict);
            *conflicts += u64::from(pairs::is_conflict(event));
        }
        if spec.is_some_and(|spec| spec.group == Group::Process) {
            commands.note(event);
        }
        if is_call || event.target_pid.is_some() {
            pairs.note(event, Counted { place, event: of.event.as_ref(), spec, moved }, commands, texts);
        }
        commands.forget(event);
    }

    /// Learns from an event that is not counted what processes are called: one that is may come from it.
    pub fn learn(&mut self, event: &Event<'_>) {
        if event.is_any(&LIVES) {
            self.commands.note(event);
            self.commands.forget(event);
        }
    }

    /// Each caller and target, in the order in which they came first: the rows of the view `edges`.
    pub fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.pairs.iter().filter(|pair| pair.target.is_some())
    }

    /// Each caller with its calls that have no target.
    pub fn alone(&self) -> impl Iterator<Item = &Pair> {
        self.pairs.iter().filter(|pair| pair.target.is_none())
    }

    /// Calls that are in no pair, since there were more than [`LIMIT`], or keys longer than any.
    pub fn beyond(&self) -> Beyond {
        self.pairs.beyond()
    }

    /// Each event, in the order in which they came first.
    pub fn events(&self) -> impl Iterator<Item = &OfEvent> {
        self.calls.iter()
    }

    /// Each pipe, in the order in which they came first.
    pub fn pipes(&self) -> impl Iterator<Item = &Pipe> {
        self.pipes.iter()
    }

    /// Calls at pipes that are not distinguished, since there were too many.
    pub fn beyond_pipes(&self) -> u64 {
        self.pipes.beyond()
    }

    /// How far the arguments of calls can be trusted.
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// Calls whose arguments changed during the call, or contradict what the kernel did.
    pub fn conflicts(&self) -> u64 {
        self.conflicts
    }

    /// How much of what moved was captured.
    pub fn kept(&self) -> Kept {
        self.kept
    }

    /// Transfers whose captured bytes were removed by redaction.
    pub fn removed(&self) -> u64 {
        self.removed
    }

    /// Transfers with more payload than they moved, which no capture of vmtrace has.
    pub fn overfull(&self) -> u64 {
        self.overfull
    }

    /// From the first to the last event.
    pub fn span(&self) -> Option<Span> {
        self.span
    }

    /// Events that were counted.
    pub fn rows(&self) -> u64 {
        self.events().map(|of| of.calls).sum()
    }
}

#[cfg(test)]
mod tests;
