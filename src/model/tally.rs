//! A capture in numbers: its events counted by pair of processes, by event and by pipe, in one pass.
//!
//! Owns what is counted, and its bounds: memory does not grow with the number of events, and what is not distinguished is
//! counted together, never left out. The sentences and tables are those of `summary`.

mod calls;
mod commands;
mod pairs;
mod pipes;
mod row;
mod runs;
mod texts;
mod uses;

pub use self::calls::OfEvent;
pub use self::pairs::{Beyond, LIMIT, Pair};
pub use self::pipes::{AtPipe, Pipe, Sum, Way};
pub use self::row::{Latency, Span, Who};
pub use self::runs::Runs;
pub use self::texts::Words;
pub use self::uses::{Denied, Use, is_denial};

use self::calls::Calls;
use self::commands::Commands;
use self::pairs::Pairs;
use self::pipes::Pipes;
use self::row::{Counted, Sums};
use self::texts::Texts;
use crate::model::transfer::Transfer;
use crate::schema::events::{EventSpec, Group, event_by_name};
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

    fn note(&mut self, verdict: Option<&str>, calls: u64) {
        *match verdict.map(IovVerdict::parse) {
            Some(Ok(IovVerdict::Kernel)) => &mut self.kernel,
            Some(Ok(IovVerdict::Unverified)) => &mut self.unverified,
            Some(Ok(IovVerdict::Conflict)) => &mut self.conflict,
            Some(Ok(IovVerdict::Unreadable)) => &mut self.unreadable,
            Some(Err(_)) | None => &mut self.unknown,
        } += calls;
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
        if event.event != EventKind::Lost.name() {
            self.note_all(event, Sums::of(event));
        }
    }

    /// Counts an event together with those of `runs` that are alike: until [`Tally::settle`], it is not in the counts.
    pub fn collect<'a>(&mut self, event: &Event<'a>, runs: &mut Runs<'a>) {
        if runs.add(event) || event.event == EventKind::Lost.name() {
            return;
        }
        // What processes are called changes with these.
        let is_of_lives = event_by_name(event.event).is_some_and(|spec| spec.group == Group::Process);
        if is_of_lives || runs.is_full() {
            self.settle(runs);
        }
        if is_of_lives {
            return self.note_all(event, Sums::of(event));
        }
        runs.begin(event);
    }

    /// Counts what was collected.
    pub fn settle(&mut self, runs: &mut Runs<'_>) {
        runs.in_order().for_each(|(event, sums)| self.note_all(event, *sums));
        // A process has the names of its last row.
        let Tally { pairs, commands, texts, .. } = self;
        runs.in_order_of_ends().for_each(|event| pairs.rename(event, commands, texts));
        runs.clear();
    }

    /// Counts rows that are alike but for these numbers.
    fn note_all(&mut self, event: &Event<'_>, sums: Sums) {
        let Tally { texts, commands, calls, pairs, pipes, trust, kept, removed, overfull, conflicts, span } = self;
        Span::extend(span, sums.span);
        let place = calls.note(event, &sums, texts);
        let Some(of) = calls.get(place) else { return };
        let spec = of.spec;
        let moved = Transfer::bytes_of(event, spec.is_some_and(EventSpec::is_between_files)).is_some();
        if moved {
            kept.moved = kept.moved.saturating_add(sums.bytes);
            kept.kept = kept.kept.saturating_add(sums.kept);
            *overfull += sums.overfull;
            let is_removed = event.payload_status == Some(PayloadStatus::Redacted.as_str());
            *removed += if is_removed { sums.rows } else { 0 };
        }
        pipes.note(event, &sums, texts);
        let is_call = spec.is_none_or(|spec| spec.group.is_of_calls());
        if is_call {
            trust.note(event.iov_verdict, sums.rows);
            *conflicts += if pairs::is_conflict(event) { sums.rows } else { 0 };
        }
        if spec.is_some_and(|spec| spec.group == Group::Process) {
            commands.note(event);
        }
        if is_call || event.target_pid.is_some() {
            pairs.note(event, Counted { place, event: of.event.as_ref(), spec, moved, sums }, commands, texts);
        }
        commands.forget(event);
    }

    /// Learns from an event that is not counted what processes are called: one that is may come from it.
    pub fn learn<'a>(&mut self, event: &Event<'a>, runs: &mut Runs<'a>) {
        if event.is_any(&LIVES) {
            self.settle(runs);
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
