//! Losses: what happened and is not in a capture, by event and cause; in a capture of several hosts, by host, too.
//!
//! The same as the view `losses` of `vmtrace query`, which a test compares row by row. The ledger counts every loss; the
//! `lost` rows say where the gaps are, as far as that is known.
//!
//! A later version may add a cause. Its `lost` rows are kept under its word. What the ledger counts of it is not: a
//! [`LedgerRow`] has the causes of this version, and its sum then lacks that number, as `verify` reports. The view has
//! it, since it reads the manifest as text.

use std::collections::BTreeMap;

use crate::schema::manifest::{LedgerRow, Manifest};
use crate::schema::vocabulary::{Loss, LostCause};
use crate::schema::{Event, EventKind};

/// Kinds that are distinguished. A capture of vmtrace has one for each host, event and cause at most.
pub const LIMIT: usize = 16_384;
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

/// A host and an event, if a row names them, and the cause as the ledger names it.
type Of = (Option<String>, Option<String>, String);

/// What was lost: where, which event, by which cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct What<'a> {
    /// What rows call the host, in a capture of several.
    pub host: Option<&'a str>,
    /// The event, if a row names it.
    pub event: Option<&'a str>,
    /// The cause, as the ledger names it.
    pub cause: &'a str,
}

/// The losses of a capture.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    by_kind: BTreeMap<Of, Lost>,
    unlisted: u64,
}

impl Losses {
    /// Those that a manifest counts.
    pub fn of(manifest: &Manifest) -> Self {
        let mut losses = Losses::default();
        losses.count(manifest);
        losses
    }

    /// Adds those that the manifest of another file of the same recording counts: the ledger of each host where it has several,
    /// which is what the ledger of all of them is the sum of.
    pub fn count(&mut self, manifest: &Manifest) {
        if manifest.hosts.is_empty() {
            self.count_of(None, &manifest.ledger);
        }
        for part in &manifest.hosts {
            self.count_of(Some(&part.host), &part.manifest.ledger);
        }
    }

    fn count_of(&mut self, host: Option<&str>, ledger: &[LedgerRow]) {
        for row in ledger {
            for (cause, lost) in row.causes() {
                match self.entry(host, Some(&row.event), cause.as_str()) {
                    Some(entry) => entry.counted = Some(entry.counted.unwrap_or(0).saturating_add(lost)),
                    None => self.unlisted = self.unlisted.saturating_add(1),
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
        let Some(entry) = self.entry(event.host, event.lost_event, &cause) else {
            self.unlisted = self.unlisted.saturating_add(1);
            return;
        };
        entry.reported = entry.reported.saturating_add(event.lost_count.unwrap_or(0));
        entry.gaps += 1;
        let since = event.mono_ns.saturating_sub(event.dur_ns.unwrap_or(0));
        entry.since_mono_ns = Some(entry.since_mono_ns.map_or(since, |known| known.min(since)));
        entry.until_mono_ns = Some(entry.until_mono_ns.map_or(event.mono_ns, |known| known.max(event.mono_ns)));
    }

    /// What an event lost by a cause, on a host where there are several.
    pub fn get(&self, host: Option<&str>, event: &str, cause: Loss) -> Option<&Lost> {
        let host = host.map(|host| front(host).to_string());
        self.by_kind.get(&(host, Some(front(event).to_string()), cause.as_str().to_string()))
    }

    /// What was lost, and how much of it, in the order of host, event and cause.
    pub fn iter(&self) -> impl Iterator<Item = (What<'_>, &Lost)> {
        self.by_kind.iter().map(|((host, event, cause), lost)| {
            (What { host: host.as_deref(), event: event.as_deref(), cause: cause.as_str() }, lost)
        })
    }

    /// Events lost, all together.
    pub fn total(&self) -> u64 {
        self.by_kind.values().fold(0, |sum, lost| sum.saturating_add(lost.count()))
    }

    /// `lost` rows and numbers of ledgers that are left out, since there are too many kinds.
    pub fn unlisted(&self) -> u64 {
        self.unlisted
    }

    fn entry(&mut self, host: Option<&str>, event: Option<&str>, cause: &str) -> Option<&mut Lost> {
        let kept = |text: &str| front(text).to_string();
        let of = (host.map(kept), event.map(kept), cause.to_string());
        if self.by_kind.len() >= LIMIT && !self.by_kind.contains_key(&of) {
            return None;
        }
        Some(self.by_kind.entry(of).or_default())
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
    use crate::schema::hosts::HostPart;

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
        let ledger = vec![LedgerRow { event: "tee".into(), lost_ring_full: 7, lost_crash: 2, ..LedgerRow::default() }];
        let mut losses = Losses::of(&Manifest { ledger, ..Manifest::default() });
        for event in [lost(100, "tee", "ring_full", 3), lost(50, "tee", "ring_full", 4), Event::default()] {
            losses.note(&event);
        }
        let gaps = Lost { counted: Some(7), reported: 7, gaps: 2, since_mono_ns: Some(40), until_mono_ns: Some(100) };
        assert_eq!(losses.get(None, "tee", Loss::RingFull), Some(&gaps));
        let crash = Lost { counted: Some(2), ..Lost::default() };
        assert_eq!((losses.get(None, "tee", Loss::Crash), crash.count()), (Some(&crash), 2));
        assert_eq!(losses.get(None, "tee", Loss::Unread), None);
        assert_eq!((losses.iter().count(), losses.total()), (2, 9));
    }

    #[test]
    fn what_was_lost_on_several_hosts_is_of_each_host_and_counted_once() {
        let ledger = |lost| vec![LedgerRow { event: "tee".into(), lost_ring_full: lost, ..LedgerRow::default() }];
        let part = |host: &str, lost| HostPart {
            host: host.into(),
            manifest: Manifest { ledger: ledger(lost), ..Manifest::default() },
            ..HostPart::default()
        };
        let hosts = vec![part("a", 3), part("b", 4), part("c", 0)];
        let mut losses = Losses::of(&Manifest { ledger: ledger(7), hosts, ..Manifest::default() });
        losses.note(&Event { host: Some("b"), ..lost(100, "tee", "ring_full", 4) });
        losses.note(&lost(100, "tee", "ring_full", 1));
        let of = |host| losses.get(host, "tee", Loss::RingFull).map(|lost| (lost.counted, lost.gaps));
        let wanted = [Some((Some(3), 0)), Some((Some(4), 1)), None, Some((None, 1))];
        assert_eq!([of(Some("a")), of(Some("b")), of(Some("c")), of(None)], wanted);
        assert_eq!(losses.total(), 8, "a row that names no host is of none of them");
    }

    #[test]
    fn what_only_rows_report_is_kept() {
        let mut losses = Losses::default();
        losses.note(&lost(1, "tee", "recorder_killed", 5));
        losses.note(&lost(2, "tee", "of_later", 6));
        losses.note(&Event { lost_event: None, lost_cause: None, lost_count: None, ..lost(3, "", "", 0) });
        let all: Vec<_> = losses.iter().map(|(what, lost)| (what.event, what.cause, lost.count(), lost.gaps)).collect();
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
        for (What { event, cause, .. }, lost) in losses.iter() {
            assert!(event.is_some_and(|event| event.len() <= TEXT_LIMIT) && cause.len() <= TEXT_LIMIT + 5);
            assert_eq!((lost.reported, lost.since_mono_ns), (u64::MAX, Some(i64::MIN)));
        }
    }
}
