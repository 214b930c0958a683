//! Losses: what happened and is not in a capture, by event and cause.
//!
//! The same as the view `losses` of `vmtrace query`, which a test compares row by row. The ledger counts every loss; the
//! `lost` rows say where the gaps are, as far as that is known.
//!
//! A later version may add a cause. Its `lost` rows are kept under its word. What the ledger counts of it is not: a
//! [`LedgerRow`] has the causes of this version, and its sum then lacks that number, as `verify` reports. The view has
//! it, since it reads the manifest as text.

use std::collections::BTreeMap;

use crate::schema::manifest::LedgerRow;
use crate::schema::vocabulary::{Loss, LostCause};
use crate::schema::{Event, EventKind};

/// Pairs of event and cause that are distinguished. A capture of vmtrace has one for each event and cause at most.
pub const LIMIT: usize = 1_024;
/// Bytes kept of a word. A file may claim more.
const TEXT_LIMIT: usize = 256;

/// What one event lost by one cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Events lost, as the ledger counts them; `None` where it counts none.
    pub counted: Option<u64>,
    /// Events lost, as `lost` rows report them.
    pub reported: u64,
    /// How many `lost` rows report them.
    pub gaps: u64,
    /// Beginning of the first gap, CLOCK_MONOTONIC.
    pub since_mono_ns: Option<i64>,
    /// End of the last gap.
    pub until_mono_ns: Option<i64>,
}

impl Lost {
    /// Events lost: what the ledger says, else what the rows say.
    pub fn count(&self) -> u64 {
        self.counted.unwrap_or(self.reported)
    }
}

/// An event, if a row names it, and the cause as the ledger names it.
type Of = (Option<String>, String);

/// The losses of a capture.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    by_event_and_cause: BTreeMap<Of, Lost>,
    unlisted: u64,
}

impl Losses {
    /// Those that a ledger counts.
    pub fn of(ledger: &[LedgerRow]) -> Self {
        let mut losses = Losses::default();
        losses.count(ledger);
        losses
    }

    /// Adds those that the ledger of another file of the same recording counts.
    pub fn count(&mut self, ledger: &[LedgerRow]) {
        for row in ledger {
            for (cause, lost) in row.causes() {
                if let Some(entry) = self.entry(Some(&row.event), cause.as_str()) {
                    entry.counted = Some(entry.counted.unwrap_or(0).saturating_add(lost));
                }
            }
        }
    }

    /// Adds what a `lost` row reports. Other rows report nothing.
    pub fn note(&mut self, event: &Event<'_>) {
        if event.event != EventKind::Lost.name() {
            return;
        }
        let cause = match event.lost_cause.map(LostCause::parse) {
            Some(Ok(cause)) => cause.loss().as_str().to_string(),
            Some(Err(unknown)) => format!("lost_{}", front(unknown)),
            None => "lost_unknown".to_string(),
        };
        let Some(entry) = self.entry(event.lost_event, &cause) else {
            self.unlisted = self.unlisted.saturating_add(1);
            return;
        };
        entry.reported = entry.reported.saturating_add(event.lost_count.unwrap_or(0));
        entry.gaps += 1;
        let since = event.mono_ns.saturating_sub(event.dur_ns.unwrap_or(0));
        entry.since_mono_ns = Some(entry.since_mono_ns.map_or(since, |known| known.min(since)));
        entry.until_mono_ns = Some(entry.until_mono_ns.map_or(event.mono_ns, |known| known.max(event.mono_ns)));
    }

    /// What an event lost by a cause.
    pub fn get(&self, event: &str, cause: Loss) -> Option<&Lost> {
        self.by_event_and_cause.get(&(Some(front(event).to_string()), cause.as_str().to_string()))
    }

    /// Event, cause and loss, in the order of event and cause.
    pub fn iter(&self) -> impl Iterator<Item = (Option<&str>, &str, &Lost)> {
        self.by_event_and_cause.iter().map(|((event, cause), lost)| (event.as_deref(), cause.as_str(), lost))
    }

    /// `lost` rows that are left out, since there are too many pairs of event and cause.
    pub fn unlisted(&self) -> u64 {
        self.unlisted
    }

    fn entry(&mut self, event: Option<&str>, cause: &str) -> Option<&mut Lost> {
        let of = (event.map(|event| front(event).to_string()), cause.to_string());
        if self.by_event_and_cause.len() >= LIMIT && !self.by_event_and_cause.contains_key(&of) {
            return None;
        }
        Some(self.by_event_and_cause.entry(of).or_default())
    }
}

/// As much of a word as is kept.
fn front(text: &str) -> &str {
    let end = (0..=text.len().min(TEXT_LIMIT)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(mono_ns: i64, event: &'static str, cause: &'static str, count: u64) -> Event<'static> {
        Event {
            event: "lost",
            mono_ns,
            dur_ns: Some(10),
            lost_event: Some(event),
            lost_cause: Some(cause),
            lost_count: Some(count),
            ..Event::default()
        }
    }

    #[test]
    fn rows_say_where_the_gaps_of_the_ledger_are() {
        let ledger = [LedgerRow { event: "tee".into(), lost_ring_full: 7, lost_crash: 2, ..LedgerRow::default() }];
        let mut losses = Losses::of(&ledger);
        for event in [lost(100, "tee", "ring_full", 3), lost(50, "tee", "ring_full", 4), Event::default()] {
            losses.note(&event);
        }
        let gaps = Lost { counted: Some(7), reported: 7, gaps: 2, since_mono_ns: Some(40), until_mono_ns: Some(100) };
        assert_eq!(losses.get("tee", Loss::RingFull), Some(&gaps));
        let crash = Lost { counted: Some(2), ..Lost::default() };
        assert_eq!((losses.get("tee", Loss::Crash), crash.count()), (Some(&crash), 2));
        assert_eq!(losses.get("tee", Loss::Unread), None);
        assert_eq!(losses.iter().count(), 2);
    }

    #[test]
    fn what_only_rows_report_is_kept() {
        let mut losses = Losses::of(&[]);
        losses.note(&lost(1, "tee", "recorder_killed", 5));
        losses.note(&lost(2, "tee", "of_later", 6));
        losses.note(&Event { lost_event: None, lost_cause: None, lost_count: None, ..lost(3, "", "", 0) });
        let all: Vec<_> = losses.iter().map(|(event, cause, lost)| (event, cause, lost.count(), lost.gaps)).collect();
        let wanted =
            [(None, "lost_unknown", 0, 1), (Some("tee"), "lost_crash", 5, 1), (Some("tee"), "lost_of_later", 6, 1)];
        assert_eq!(all, wanted);
    }

    #[test]
    fn memory_and_numbers_are_bounded() {
        let names: Vec<String> = (0..LIMIT + 5).map(|n| format!("{n}{}", "é".repeat(TEXT_LIMIT))).collect();
        let mut losses = Losses::default();
        for name in &names {
            let row = lost(i64::MIN, "", "", u64::MAX);
            let named = Event { lost_event: Some(name), lost_cause: Some(name), ..row };
            (0..2).for_each(|_| losses.note(&named));
        }
        assert_eq!((losses.iter().count(), losses.unlisted()), (LIMIT, 10));
        for (event, cause, lost) in losses.iter() {
            assert!(event.is_some_and(|event| event.len() <= TEXT_LIMIT) && cause.len() <= TEXT_LIMIT + 5);
            assert_eq!((lost.reported, lost.since_mono_ns), (u64::MAX, Some(i64::MIN)));
        }
    }
}
