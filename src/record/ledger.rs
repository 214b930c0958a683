//! Counters and ledger: what the kernel counted, what became of every record that was read, and the ledger that combines
//! both sides.
//!
//! Everything is counted from the start of the recording. A file's ledger is the difference to the file before it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::decode::{event_kind, wire_kind};
use super::wire::vmt_stats;
use crate::schema::Event;
use crate::schema::events::{EVENTS, EventKind, EventSpec};
use crate::schema::manifest::{Clocks, LedgerRow};
use crate::schema::vocabulary::LostCause;

/// What the kernel counted of one kind of event; see `struct vmt_stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KernelEntry {
    /// Occurrences that a hook looked at.
    pub seen: u64,
    /// Of those, not selected.
    pub filtered: u64,
    /// Of those, lost since the ring was full.
    pub lost: u64,
    /// Of those, lost since there was no room to put them together.
    pub unplaced: u64,
    /// Of those, put into a ring.
    pub delivered: u64,
    /// Occurrences that no hook looked at, since the kernel skipped it.
    pub skipped: u64,
    /// Calls that may have been such an event, and are not among those seen.
    pub unknown: u64,
}

impl From<vmt_stats> for KernelEntry {
    fn from(s: vmt_stats) -> Self {
        let vmt_stats { seen, filtered, lost, unplaced, delivered, unknown } = s;
        KernelEntry { seen, filtered, lost, unplaced, delivered, skipped: 0, unknown }
    }
}

/// The kernel's counters by event.
pub type KernelCounts = BTreeMap<EventKind, KernelEntry>;

/// The kernel's counters at one instant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// The instant.
    pub clocks: Clocks,
    /// What it had counted.
    pub kernel: KernelCounts,
}

/// Numbers of a journal that is recovered may be anything: they are added without overflow, and then do not balance.
fn sum<const N: usize>(numbers: [u64; N]) -> u64 {
    numbers.into_iter().fold(0, u64::saturating_add)
}

/// One more, for the same reason.
pub fn count(number: &mut u64) {
    *number = number.saturating_add(1);
}

/// What became of the records of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// Rows in a file.
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
    /// Kept for a while by the flight recorder, and dropped.
    pub forgotten: u64,
    /// Delivered by the kernel, and lost with the recorder.
    pub crashed: u64,
}

impl Entry {
    fn each(&mut self, other: Entry, op: fn(u64, u64) -> u64) {
        let Entry {
            written,
            bytes,
            failed,
            read_faults,
            filtered,
            unread,
            undecodable,
            write_error,
            forgotten,
            crashed,
        } = self;
        for (mine, its) in [
            (written, other.written),
            (bytes, other.bytes),
            (failed, other.failed),
            (read_faults, other.read_faults),
            (filtered, other.filtered),
            (unread, other.unread),
            (undecodable, other.undecodable),
            (write_error, other.write_error),
            (forgotten, other.forgotten),
            (crashed, other.crashed),
        ] {
            *mine = op(*mine, its);
        }
    }

    /// Records that came out of the rings and have found their end.
    pub fn came(&self) -> u64 {
        sum([self.written, self.filtered, self.undecodable, self.write_error, self.forgotten])
    }
}

/// What became of all records, by event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes(BTreeMap<EventKind, Entry>);

impl Outcomes {
    /// The entry of an event, to be changed.
    pub fn of(&mut self, kind: EventKind) -> &mut Entry {
        self.0.entry(kind).or_default()
    }

    /// The entry of an event.
    pub fn get(&self, kind: EventKind) -> Entry {
        self.0.get(&kind).copied().unwrap_or_default()
    }

    /// Counts a row of a file; if it reports a loss, also counts that in the kernel's counters.
    pub fn count_row(&mut self, row: &Event<'_>, kernel: &mut KernelCounts) {
        let Some(kind) = EventKind::of_name(row.event) else { return };
        let entry = self.of(kind);
        count(&mut entry.written);
        entry.failed += u64::from(row.errno.is_some());
        entry.bytes = entry.bytes.saturating_add(row.bytes.and_then(|b| u64::try_from(b).ok()).unwrap_or(0));
        let lost = row.lost_event.and_then(EventKind::of_name).filter(|kind| is_from_kernel(*kind));
        let (Some(lost), Some(number)) = (lost, row.lost_count) else { return };
        let lost = kernel.entry(lost).or_default();
        let counted = match row.lost_cause.map(LostCause::parse) {
            Some(Ok(LostCause::RingFull)) => &mut lost.lost,
            Some(Ok(LostCause::ScratchFull)) => &mut lost.unplaced,
            Some(Ok(LostCause::HookSkipped)) => &mut lost.skipped,
            Some(Ok(LostCause::LeftInRing | LostCause::RecorderKilled) | Err(_)) | None => return,
        };
        *counted = counted.saturating_add(number);
    }

    /// Adds what others say.
    pub fn add(&mut self, other: &Outcomes) {
        other.0.iter().for_each(|(kind, entry)| self.of(*kind).each(*entry, u64::saturating_add));
    }

    /// These rows were not written, but met another end, which `end` counts.
    pub fn unwritten(&self, end: fn(&mut Entry) -> &mut u64) -> Outcomes {
        let mut outcomes = Outcomes::default();
        self.0.iter().for_each(|(kind, entry)| *end(outcomes.of(*kind)) = entry.written);
        outcomes
    }

    /// Takes over what `counted` says never came.
    pub fn count_missing(&mut self, counted: &Outcomes) {
        for (kind, entry) in counted.iter().filter(|(_, e)| e.unread > 0 || e.crashed > 0) {
            (self.of(kind).unread, self.of(kind).crashed) = (entry.unread, entry.crashed);
        }
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = (EventKind, Entry)> {
        self.0.iter().map(|(kind, entry)| (*kind, *entry))
    }

    /// Counts the records that `kernel` says were put into the rings and never came out, at `end` of their entries; by
    /// wire kind.
    pub fn count_unread(&mut self, kernel: &KernelCounts, end: fn(&mut Entry) -> &mut u64) -> Vec<u32> {
        let mut by_wire = vec![0; super::wire::VMT_KINDS as usize];
        for (wire, count) in (0u32..).zip(&mut by_wire) {
            let Some(kind) = event_kind(wire).filter(|kind| *kind != EventKind::Lost) else { continue };
            let delivered = kernel.get(&kind).map_or(0, |k| k.delivered);
            let unread = delivered.saturating_sub(self.get(kind).came());
            *end(self.of(kind)) = unread;
            *count = u32::try_from(unread).unwrap_or(u32::MAX);
        }
        by_wire
    }
}

/// How much one number grew between two readings of the counters, by wire kind.
pub fn added_by_wire(before: &KernelCounts, now: &KernelCounts, of: fn(&KernelEntry) -> u64) -> Vec<u32> {
    let number = |counts: &KernelCounts, kind| counts.get(&kind).map_or(0, of);
    let added = |kind| number(now, kind).saturating_sub(number(before, kind));
    let kinds = (0..super::wire::VMT_KINDS).map(event_kind);
    kinds.map(|kind| kind.map_or(0, |kind| u32::try_from(added(kind)).unwrap_or(u32::MAX))).collect()
}

/// Takes over what was counted by another instant, where that was later.
fn catch_up(kernel: &mut KernelCounts, other: &KernelCounts) {
    for (kind, other) in other {
        let entry = kernel.entry(*kind).or_default();
        let KernelEntry { seen, filtered, lost, unplaced, delivered, skipped, unknown } = entry;
        for (mine, its) in [
            (seen, other.seen),
            (filtered, other.filtered),
            (lost, other.lost),
            (unplaced, other.unplaced),
            (delivered, other.delivered),
            (skipped, other.skipped),
            (unknown, other.unknown),
        ] {
            *mine = its.max(*mine);
        }
    }
}

/// The kernel's counters of a recorder that was killed were noted before the last records were delivered: these were seen and
/// delivered, too. They may even be older than those at the begin of the file, `since`. What was seen and then neither
/// filtered nor lost nor found is taken for delivered, and so for lost with the recorder.
pub fn settle(kernel: &mut KernelCounts, since: &KernelCounts, own: &Outcomes) {
    catch_up(kernel, since);
    for (kind, entry) in own.iter().filter(|(kind, _)| is_from_kernel(*kind)) {
        let now = kernel.entry(kind).or_default();
        now.delivered = now.delivered.max(entry.came());
    }
    for now in kernel.values_mut() {
        let others = sum([now.filtered, now.lost, now.unplaced]);
        now.seen = now.seen.max(sum([others, now.delivered]));
        now.delivered = now.seen.saturating_sub(others);
    }
}

/// Both sides at the begin of a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Since {
    /// The kernel's.
    pub kernel: KernelCounts,
    /// Ours.
    pub own: Outcomes,
}

/// The ledger of the file that began at `since`.
pub fn ledger(since: &Since, kernel: &KernelCounts, own: &Outcomes) -> Vec<LedgerRow> {
    let rows = EVENTS.iter().map(|event| row(event, since, kernel, own));
    rows.filter(|row| row.seen > 0 || row.written > 0 || row.carried_in > 0 || row.carried_out > 0 || row.unknown > 0)
        .collect()
}

/// Whether the kernel counts events of that kind: snapshots and `lost` rows are made here.
pub fn is_from_kernel(kind: EventKind) -> bool {
    wire_kind(kind).is_some() && kind != EventKind::Lost
}

fn row(event: &EventSpec, since: &Since, kernel: &KernelCounts, own: &Outcomes) -> LedgerRow {
    let kind = event.kind;
    let from_kernel = is_from_kernel(kind);
    let of = |counts: &KernelCounts| counts.get(&kind).copied().unwrap_or_default();
    let (before, now) = (of(&since.kernel), of(kernel));
    let (own_before, own_now) = (since.own.get(kind), own.get(kind));
    let mut added = own_now;
    added.each(own_before, u64::saturating_sub);
    let counted = |f: fn(&KernelEntry) -> u64| f(&now).saturating_sub(f(&before));
    let made_here = sum([added.written, added.write_error, added.undecodable, added.forgotten]);
    let pending = |k: &KernelEntry, e: &Entry| {
        let ended = sum([k.filtered, k.lost, k.unplaced, e.came(), e.unread, e.crashed]);
        if from_kernel { k.seen.saturating_sub(ended) } else { 0 }
    };
    LedgerRow {
        event: event.name.into(),
        seen: if from_kernel { counted(|k| sum([k.seen, k.skipped])) } else { made_here },
        carried_in: pending(&before, &own_before),
        filtered: if from_kernel { sum([counted(|k| k.filtered), added.filtered]) } else { 0 },
        lost_ring_full: counted(|k| k.lost),
        lost_scratch_full: counted(|k| k.unplaced),
        lost_hook_skipped: counted(|k| k.skipped),
        lost_unread: added.unread,
        lost_undecodable: added.undecodable,
        lost_write_error: added.write_error,
        lost_crash: added.crashed,
        forgotten: added.forgotten,
        written: added.written,
        carried_out: pending(&now, &own_now),
        failed: added.failed,
        bytes: added.bytes,
        read_faults: added.read_faults,
        unknown: counted(|k| k.unknown),
        ..LedgerRow::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: EventKind = EventKind::ProcessVmReadv;

    fn kernel(seen: u64, filtered: u64, lost: u64, delivered: u64) -> KernelCounts {
        [(KIND, KernelEntry { seen, filtered, lost, delivered, ..KernelEntry::default() })].into()
    }

    fn own(written: u64) -> Outcomes {
        let mut outcomes = Outcomes::default();
        outcomes.of(KIND).written = written;
        outcomes
    }

    #[test]
    fn what_is_under_way_between_two_files_is_carried() {
        // 100 seen, 10 filtered, 5 lost, 85 delivered, of which 60 are in the first file.
        let start = Since::default();
        let first = ledger(&start, &kernel(100, 10, 5, 85), &own(60));
        assert_eq!((first[0].seen, first[0].written, first[0].carried_in, first[0].carried_out), (100, 60, 0, 25));
        assert!(first[0].balances());
        let since = Since { kernel: kernel(100, 10, 5, 85), own: own(60) };
        let second = ledger(&since, &kernel(150, 10, 5, 135), &own(135));
        assert_eq!((second[0].seen, second[0].written, second[0].carried_in), (50, 75, 25));
        assert_eq!((second[0].carried_out, second[0].filtered, second[0].lost()), (0, 0, 0));
        assert!(second[0].balances());
    }

    #[test]
    fn what_grew_between_two_readings_is_told_by_wire_kind() {
        let of = |k: &KernelEntry| k.lost;
        let added = added_by_wire(&kernel(100, 10, 5, 85), &kernel(150, 10, 12, 128), of);
        assert_eq!(added.iter().sum::<u32>(), 7);
        assert_eq!(added[wire_kind(KIND).unwrap() as usize], 7);
        let back = added_by_wire(&kernel(150, 10, 12, 128), &KernelCounts::new(), of);
        assert!(back.iter().all(|n| *n == 0));
        let much = added_by_wire(&KernelCounts::new(), &kernel(1, 0, u64::MAX, 0), of);
        assert_eq!(much.iter().max(), Some(&u32::MAX));
    }

    #[test]
    fn absurd_numbers_do_not_break_the_ledger() {
        let most = u64::MAX;
        let mut noted = kernel(most, most, most, most);
        let mut outcomes = own(most);
        (outcomes.of(KIND).filtered, outcomes.of(KIND).forgotten) = (most, most);
        let since = Since { kernel: kernel(most, 1, most, 1), own: own(1) };
        settle(&mut noted, &since.kernel, &outcomes);
        outcomes.count_unread(&noted, |e| &mut e.crashed);
        assert!(ledger(&since, &noted, &outcomes).iter().all(|row| !row.balances()));
    }

    #[test]
    fn what_was_delivered_and_never_came_is_unread() {
        let mut outcomes = own(60);
        outcomes.of(KIND).filtered = 3;
        let by_wire = outcomes.count_unread(&kernel(100, 10, 5, 85), |e| &mut e.unread);
        assert_eq!(by_wire[wire_kind(KIND).unwrap() as usize], 22);
        let ledger = ledger(&Since::default(), &kernel(100, 10, 5, 85), &outcomes);
        assert_eq!(ledger[0].lost_unread, 22);
        assert!(ledger[0].balances());
    }

    /// Seen when the file began, and found neither in its rows nor in later counters: lost, and the ledger balances.
    #[test]
    fn what_was_under_way_when_the_recorder_died_is_lost() {
        let since = Since { kernel: kernel(101, 10, 5, 85), own: own(85) };
        let mut noted = kernel(90, 8, 5, 77);
        let mut outcomes = own(88);
        settle(&mut noted, &since.kernel, &outcomes);
        outcomes.count_unread(&noted, |e| &mut e.crashed);
        let ledger = ledger(&since, &noted, &outcomes);
        assert!(ledger[0].balances(), "{ledger:?}");
        assert_eq!((ledger[0].carried_in, ledger[0].written, ledger[0].lost_crash), (1, 3, 0));
        let mut noted = kernel(90, 8, 5, 77);
        let mut outcomes = own(85);
        settle(&mut noted, &since.kernel, &outcomes);
        outcomes.count_unread(&noted, |e| &mut e.crashed);
        let ledger = super::ledger(&since, &noted, &outcomes);
        assert!(ledger[0].balances(), "{ledger:?}");
        assert_eq!((ledger[0].carried_in, ledger[0].written, ledger[0].lost_crash), (1, 0, 1));
    }
}
