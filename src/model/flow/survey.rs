//! The first reading: of every pipe, which calls overlapped, when it was certainly empty, and where events are missing.
//!
//! A read that got less than it asked for left the pipe empty. That is certain for the queue only if no other call can have been at work meanwhile: so a
//! moment counts as empty if whoever put bytes in had returned before the reader began, or began after it had returned.
//! From one such moment to the next, as many bytes must have come out as went in; else something was not recorded.

mod givers;
mod plan;
mod side;

use std::collections::VecDeque;

use ahash::HashMap;

use self::givers::Givers;
pub use self::plan::Plan;
pub(super) use self::plan::{PipePlan, State};
use self::side::Side;
use super::Why;
use super::call::{OF_PIPES, PipeId, Redacted, Roles, Use, is_of_pipes};
use super::threads::{Thread, Threads, UNKNOWN};
use crate::model::origin;
use crate::schema::manifest::{LedgerRow, Manifest};
use crate::schema::vocabulary::{PayloadStatus, Tier};
use crate::schema::{Event, EventKind};

/// Pipes that are distinguished. Flows through others are unknown.
const PIPES: usize = 16_384;
/// Empty moments that are kept of a pipe. When there are more, every second is forgotten.
const EMPTIES: usize = 64;
/// Reads that were ahead of what is known to have been put in, of a pipe.
const AHEAD: usize = 64;
/// Spans in which events were lost. What is beyond joins the last.
const LOSSES: usize = 65_536;

/// A moment at which a pipe was certainly empty: a read that got less than it asked for.
#[derive(Clone, Copy, Debug)]
struct Empty {
    seq: u64,
    thread: Thread,
    begin: i64,
    end: i64,
    /// Bytes put in and taken out until then.
    put: u128,
    taken: u128,
}

/// What is learned of a pipe.
#[derive(Debug, Default)]
struct Pipe {
    first: i64,
    put: u128,
    taken: u128,
    puts: Side,
    takes: Side,
    empties: Vec<Empty>,
    /// Ends of reads, and by how many bytes they were ahead of the writes that can have been in time.
    ahead: VecDeque<(i64, u128)>,
    /// Bytes that were certainly in the pipe before.
    least: u128,
}

/// A call of which everything but its place in the queue is known.
#[derive(Clone, Copy, Debug)]
struct Moved {
    seq: u64,
    thread: Thread,
    begin: i64,
    end: i64,
    bytes: u64,
}

impl Pipe {
    fn put(&mut self, call: Moved) {
        self.disturb(call, true);
        self.puts.note(call.seq, call.thread, call.begin, call.end);
        // Reads that ended before this call can have begun were not fed by it, nor by a later one of the same thread.
        while let Some((end, bytes)) = self.ahead.front().copied().filter(|_| !self.puts.is_shared())
            && end < call.begin
        {
            self.least = self.least.max(bytes);
            self.ahead.pop_front();
        }
        let bytes = u128::from(call.bytes);
        if !self.ahead.is_empty() {
            self.ahead.iter_mut().for_each(|(_, ahead)| *ahead = ahead.saturating_sub(bytes));
            self.ahead.retain(|(_, ahead)| *ahead > 0);
        }
        self.put += bytes;
    }

    fn take(&mut self, call: Moved, is_short: bool) {
        self.disturb(call, false);
        let alone = is_short
            && call.begin > UNKNOWN
            && self.puts.all_returned_before(call.begin, None)
            && self.takes.all_returned_before(call.begin, Some(call.thread));
        self.takes.note(call.seq, call.thread, call.begin, call.end);
        self.taken += u128::from(call.bytes);
        if let Some(ahead) = self.taken.checked_sub(self.put).filter(|ahead| *ahead > 0) {
            if self.ahead.len() >= AHEAD {
                self.ahead.pop_front();
            }
            self.ahead.push_back((call.end, ahead));
        }
        if alone {
            if self.empties.len() >= EMPTIES {
                let mut number = 0;
                self.empties.retain(|_| {
                    number += 1;
                    number % 2 == 0
                });
            }
            let Moved { seq, thread, begin, end, .. } = call;
            self.empties.push(Empty { seq, thread, begin, end, put: self.put, taken: self.taken });
        }
    }

    /// Forgets the empty moments during which this call can have been at work.
    fn disturb(&mut self, call: Moved, is_put: bool) {
        let overlaps = |empty: &Empty| {
            let same = empty.thread == call.thread;
            if same { is_put && empty.end > call.begin } else { empty.end >= call.begin }
        };
        while self.empties.last().is_some_and(overlaps) {
            self.empties.pop();
        }
    }
}

/// What is learned of a recording in the first reading.
#[derive(Debug, Default)]
pub struct Survey {
    pipes: HashMap<PipeId, Pipe>,
    threads: Threads,
    /// Spans in which events of pipes were lost, in the order of their ends.
    losses: Vec<(i64, i64)>,
    /// Events of pipes that `lost` rows report, and that ledgers count.
    reported: u64,
    counted: u64,
    /// Why nothing is known of any flow.
    blind: Option<Why>,
    /// Whether writes into pipes were not recorded.
    no_writes: bool,
    missed_reads: bool,
    redacted: Redacted,
    givers: Givers,
    /// Number of the last file in the recording.
    segment: Option<u64>,
    begins_late: bool,
    last: i64,
}

impl Survey {
    /// Learns what a file says of itself. Files of a recording come in their order, each before its rows.
    pub fn manifest(&mut self, manifest: &Manifest) {
        let follows = match (self.segment, manifest.segment.as_ref().map(|segment| segment.index)) {
            (None, None) => true,
            (None, Some(index)) => index <= 1,
            (Some(before), Some(index)) => before.checked_add(1) == Some(index),
            (Some(_), None) => false,
        };
        self.segment = manifest.segment.as_ref().map(|segment| segment.index);
        let of_pipes = manifest.ledger.iter().filter(|row| EventKind::of_name(&row.event).is_some_and(is_of_pipes));
        self.counted = of_pipes.clone().fold(self.counted, |sum, row| sum.saturating_add(LedgerRow::lost(row)));
        self.begins_late |= !follows || of_pipes.clone().any(|row| row.forgotten > 0);
        let leaves_out = OF_PIPES.iter().filter(|kind| !is_recorded(manifest, **kind));
        for kind in leaves_out {
            match kind {
                EventKind::PipeWrite => self.no_writes = true,
                _ => self.blind = Some(Why::LeftOut),
            }
        }
        let has_gap = |words: &[&str]| manifest.gaps.iter().any(|gap| words.iter().any(|word| gap.contains(word)));
        self.missed_reads |= has_gap(&MISSED_READS);
        self.redacted.without_addresses |= origin::without_addresses(&manifest.derived_from);
        self.redacted.masked |= origin::is_masked(&manifest.derived_from);
        if has_gap(&BLIND) {
            self.blind = Some(Why::LeftOut);
        }
        if of_pipes.clone().any(|row| row.left_out > 0) {
            // Where they were, nothing shows.
            self.blind = Some(Why::LeftOut);
        }
        if manifest.ledger_from_rows {
            self.blind = Some(Why::Lost);
        }
    }

    /// Learns from a row. Rows come in their order.
    pub fn note(&mut self, event: &Event<'_>) {
        if event.mono_ns < self.last {
            self.blind = Some(Why::Contradiction);
        }
        self.last = event.mono_ns;
        if std::mem::take(&mut self.begins_late) {
            self.lose(i64::MIN, event.mono_ns);
        }
        let known = EventKind::of_name(event.event);
        if known == Some(EventKind::Lost) {
            return self.note_loss(event);
        }
        if let Some(kind) = known {
            self.givers.note(event, kind);
        }
        let Some(kind) = known.filter(|kind| is_of_pipes(*kind)) else { return self.threads.note(event, known) };
        let (thread, begin) = self.threads.begin(event, known);
        let bytes = event.bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
        let call = Moved { seq: event.seq, thread, begin, end: event.mono_ns, bytes };
        match Use::of(event, kind) {
            Use::None => {}
            Use::Unidentified => self.lose(begin, event.mono_ns),
            Use::Moves(roles) => self.moved(call, roles, is_short(event, kind)),
        }
    }

    fn moved(&mut self, call: Moved, Roles { takes, copies, puts }: Roles, is_short: bool) {
        if let Some(pipe) = takes.and_then(|id| self.pipe(id, call.begin)) {
            if copies {
                // It takes nothing, but what it sees depends on who took before.
                pipe.takes.note(call.seq, call.thread, call.begin, call.end);
            } else {
                pipe.take(call, is_short);
            }
        }
        if let Some(pipe) = puts.and_then(|id| self.pipe(id, call.begin)) {
            pipe.put(call);
        }
    }

    fn pipe(&mut self, id: PipeId, begin: i64) -> Option<&mut Pipe> {
        if self.pipes.len() >= PIPES && !self.pipes.contains_key(&id) {
            return None;
        }
        let pipe = self.pipes.entry(id).or_insert_with(|| Pipe { first: begin, ..Pipe::default() });
        pipe.first = pipe.first.min(begin);
        Some(pipe)
    }

    fn note_loss(&mut self, event: &Event<'_>) {
        let kind = event.lost_event.map(EventKind::of_name);
        if let Some(Some(kind)) = kind
            && !is_of_pipes(kind)
        {
            return;
        }
        self.reported = self.reported.saturating_add(event.lost_count.unwrap_or(0));
        let since = event.dur_ns.map_or(i64::MIN, |ns| event.mono_ns.saturating_sub(ns));
        self.lose(since, event.mono_ns);
    }

    fn lose(&mut self, since: i64, until: i64) {
        let is_full = self.losses.len() >= LOSSES;
        match self.losses.last_mut() {
            Some(last) if is_full => *last = (last.0.min(since), last.1.max(until)),
            _ => self.losses.push((since, until)),
        }
    }
}

/// A read that got less than it asked for, and not since its buffer could not be written.
fn is_short(event: &Event<'_>, kind: EventKind) -> bool {
    let faulted = || event.payload_status.is_some_and(|status| PayloadStatus::Fault.is(status));
    let asked = event.bytes_requested.zip(event.bytes).is_some_and(|(asked, got)| got > 0 && got < asked);
    kind == EventKind::PipeRead && asked && !faulted()
}

/// Whether a recording has the events of a kind.
fn is_recorded(manifest: &Manifest, kind: EventKind) -> bool {
    let name = kind.name();
    let selected = manifest.filters.events.iter().any(|event| event == name);
    let mut families = manifest.families.iter().filter(|family| family.events.iter().any(|event| event == name));
    selected && !families.any(|family| Tier::None.is(&family.tier))
}

/// Gaps of a manifest by which any call at any pipe may be missing.
const BLIND: [&str; 4] = [
    "pipes that recorded calls had used were forgotten",
    "used a pipe that the kernel had no room to note",
    "not recorded: no BPF program records calls of that kind",
    "the kernel did not run this hook",
];
/// Gaps by which what a pipe first held may have been read unseen.
const MISSED_READS: [&str; 1] = ["read before the first recorded call that fed them returned"];
