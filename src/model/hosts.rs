//! Captures of several hosts: what is said of their clocks, and which row is of which host.

use std::collections::HashMap;

use crate::count::{Count, grouped};
use crate::model::time;
use crate::schema::Manifest;
use crate::schema::hosts::HostPart;
use crate::schema::manifest::LedgerRow;
use crate::terminal::escape::SafeLine;

/// Hosts that a sentence names.
const NAMED: usize = 16;
/// Hosts of which a number is said beside that of all.
const SHARES: usize = 4;

/// How near the order of rows of several hosts is known, in a sentence; `None` of a capture of one host. What is from the file is
/// escaped.
pub fn sentence(manifest: &Manifest) -> Option<String> {
    let parts = manifest.several_hosts()?;
    let named: Vec<String> = parts.iter().take(NAMED).map(|part| named(part)).collect();
    let more = match parts.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {}", Count(more as u64, "more host", "more hosts")),
    };
    Some(format!(
        "Rows of {} are in the order of their wall clocks, as near as these are known: {}{more}.",
        Count(parts.len() as u64, "host", "hosts"),
        named.join(", ")
    ))
}

fn named(part: &HostPart) -> String {
    format!("{} ({})", SafeLine(&part.host), clock(part))
}

/// What is known of the wall clock of a host, in words.
pub fn clock(part: &HostPart) -> String {
    match part.clock_uncertainty_ns {
        Some(ns) => format!("within {} of UTC", time::span(ns)),
        None => "not synchronised with UTC".into(),
    }
}

/// ` (web1 1,234, web2 5)`: how a number of the ledger of all hosts is made up of those of each, the largest first; nothing of a
/// capture of one host. What is from the file is escaped.
pub fn shares(manifest: &Manifest, number: impl Fn(&LedgerRow) -> u64) -> String {
    if manifest.hosts.len() < 2 {
        return String::new();
    }
    let of = |part: &HostPart| number(&LedgerRow::total(&part.manifest.ledger));
    let mut parts: Vec<(&str, u64)> = manifest.hosts.iter().map(|part| (part.host.as_str(), of(part))).collect();
    parts.retain(|(_, number)| *number > 0);
    parts.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
    let mut named: Vec<String> =
        parts.iter().take(SHARES).map(|(host, number)| format!("{} {}", SafeLine(host), grouped(*number))).collect();
    if let Some(more) = parts.len().checked_sub(SHARES).filter(|more| *more > 0) {
        named.push(Count(more as u64, "more host", "more hosts").to_string());
    }
    if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) }
}

/// Numbers for the hosts of a capture, so that what is kept by host need not keep its name. Rows that name no host have the number 0,
/// and those that name one which the manifest does not, one of their own together.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    numbers: HashMap<String, u32>,
}

impl Hosts {
    /// Those of a manifest.
    pub fn of(manifest: &Manifest) -> Self {
        Hosts { numbers: manifest.hosts.iter().map(|part| part.host.clone()).zip(1..).collect() }
    }

    /// The number of a row's host.
    pub fn number(&self, host: Option<&str>) -> u32 {
        host.map_or(0, |host| self.numbers.get(host).copied().unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(host: &str, clock_uncertainty_ns: Option<i64>) -> HostPart {
        let ledger = vec![LedgerRow { written: 1, ..LedgerRow::default() }];
        HostPart {
            host: host.into(),
            clock_uncertainty_ns,
            manifest: Manifest { ledger, ..Manifest::default() },
            ..HostPart::default()
        }
    }

    #[test]
    fn what_is_known_of_each_clock_is_said() {
        let mut manifest =
            Manifest { hosts: vec![part("web1", Some(1_500_000)), part("\x1b", None)], ..Manifest::default() };
        let said = sentence(&manifest).unwrap();
        let wanted =
            "Rows of 2 hosts are in the order of their wall clocks, as near as these are known: web1 (within 1.5";
        assert!(said.starts_with(wanted), "{said}");
        assert!(said.contains("\\x1b (not synchronised with UTC)"), "{said}");
        manifest.hosts.truncate(1);
        assert_eq!(sentence(&manifest), None);
    }

    #[test]
    fn a_number_of_all_hosts_is_that_of_each() {
        let of = |host: &str, lost_crash| {
            let ledger = vec![LedgerRow { lost_crash, ..LedgerRow::default() }];
            HostPart { manifest: Manifest { ledger, ..Manifest::default() }, ..part(host, None) }
        };
        let shares = |hosts: Vec<HostPart>| shares(&Manifest { hosts, ..Manifest::default() }, LedgerRow::lost);
        assert_eq!(shares(vec![of("a", 5), of("\x1b", 1_234), of("c", 0)]), " (\\x1b 1,234, a 5)");
        assert_eq!((shares(vec![of("a", 5)]), shares(vec![of("a", 0), of("b", 0)])), (String::new(), String::new()));
        assert_eq!(shares((0..6).map(|n| of("h", n)).collect()), " (h 5, h 4, h 3, h 2, 1 more host)");
    }

    #[test]
    fn each_host_has_a_number_and_strangers_have_one() {
        let hosts = Hosts::of(&Manifest { hosts: vec![part("a", None), part("b", None)], ..Manifest::default() });
        let numbers = [Some("b"), None, Some("a"), Some("b"), Some("c")].map(|host| hosts.number(host));
        assert_eq!(numbers, [2, 0, 1, 2, u32::MAX]);
    }
}
