//! Compares what a capture of several hosts states of each with its rows and with its ledger.

use std::collections::{BTreeMap, HashMap};

use super::report::{FindingKind, Report};
use crate::count::{self, Count};
use crate::schema::Event;
use crate::schema::manifest::{LedgerRow, Manifest};
use crate::schema::quote::quoted;

/// Compares what the manifest states of the hosts with what it states of all of them.
pub fn check(manifest: &Manifest, report: &mut Report) {
    let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for part in &manifest.hosts {
        let whose = format!("host {}: ", quoted(&part.host));
        for row in &part.manifest.ledger {
            let (written, lost) = sums.entry(&row.event).or_default();
            *written = written.saturating_add(row.written);
            *lost = lost.saturating_add(row.lost());
            if let Some(what) = row.imbalance() {
                report.add(FindingKind::Contradiction, format!("{whose}{what}"));
            }
        }
    }
    for row in manifest.ledger.iter().filter(|_| !manifest.hosts.is_empty()) {
        let (written, lost) = sums.remove(row.event.as_str()).unwrap_or_default();
        let lost = (Count(lost, "loss", "losses"), row.lost());
        for (sum, of_all) in [(count::rows(written), row.written), lost].iter().filter(|(sum, of_all)| sum.0 != *of_all)
        {
            let event = quoted(&row.event);
            let text = format!("{event}: {sum} in the ledgers of the hosts, {of_all} in the one of all");
            report.add(FindingKind::Contradiction, text);
        }
    }
    if sums.values().any(|(written, lost)| *written > 0 || *lost > 0) {
        report
            .add(FindingKind::Contradiction, "the ledgers of the hosts have events that the one of all does not list");
    }
}

/// The rows of each host, as they come.
pub struct Rows<'a> {
    /// By host: its rows by event, as its ledger counts them, and as they are.
    of: HashMap<&'a str, HashMap<&'a str, (u64, u64)>>,
    has_hosts: bool,
    /// Rows that name no host which the manifest names.
    strangers: u64,
    /// Rows of events that the ledger of their host does not list.
    others: u64,
}

impl<'a> Rows<'a> {
    /// None yet.
    pub fn new(manifest: &'a Manifest) -> Self {
        let written = |row: &'a LedgerRow| (row.event.as_str(), (row.written, 0));
        let of = manifest.hosts.iter().map(|part| {
            let events = part.manifest.ledger.iter().map(written).collect();
            (part.host.as_str(), events)
        });
        Rows { of: of.collect(), has_hosts: !manifest.hosts.is_empty(), strangers: 0, others: 0 }
    }

    /// Counts a row.
    pub fn take(&mut self, event: &Event<'_>) {
        let Some(host) = event.host else {
            self.strangers += u64::from(self.has_hosts);
            return;
        };
        let Some(events) = self.of.get_mut(host) else {
            self.strangers += 1;
            return;
        };
        match events.get_mut(event.event) {
            Some((_, found)) => *found += 1,
            None => self.others += 1,
        }
    }

    /// Says what does not fit.
    pub fn conclude(&self, report: &mut Report) {
        let mut wrong: Vec<String> = Vec::new();
        for (host, events) in &self.of {
            for (event, (written, found)) in events.iter().filter(|(_, (written, found))| written != found) {
                let (host, event) = (quoted(host), quoted(event));
                wrong.push(format!(
                    "host {host}: {event}: {} in the file, {written} in its ledger",
                    count::rows(*found)
                ));
            }
        }
        wrong.sort();
        wrong.into_iter().for_each(|text| report.add(FindingKind::Contradiction, text));
        if self.strangers > 0 {
            let strangers = Count(self.strangers, "row is of a host", "rows are of hosts");
            report.add(FindingKind::Contradiction, format!("{strangers} that the manifest does not name"));
        }
        if self.others > 0 {
            let others = Count(self.others, "row is of an event", "rows are of events");
            report.add(FindingKind::Contradiction, format!("{others} that the ledger of their host does not list"));
        }
    }
}
