//! What a capture states of its hosts if its rows are of several recordings that were put together.
//!
//! Owns the form of `hosts` in the manifest, how a host is called in rows, and what the manifest says of all of them as one.
//! The rule of evolution is that of the manifest.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Result, bail, ensure};
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::super::limits::MAX_HOSTS;
use super::super::quote::quoted;
use super::super::vocabulary::{ClockSync, Tier};
use super::{Clocks, FamilyReport, Filters, Host, LedgerRow, Manifest};

/// Characters of a boot id that tell two boots of one host apart.
const BOOT: usize = 8;

/// What is of one host, or of one boot of it: processes, pipes and memory of two of these are never the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostPart {
    /// What its rows have in the column `host`.
    pub host: String,
    /// Capture ids of the recordings.
    pub captures: Vec<String>,
    /// What was added to its CLOCK_MONOTONIC, so that all rows have one time line: `mono_ns` of its rows is the sum.
    pub mono_shift_ns: i64,
    /// How far its wall clock may have been from UTC, ns; `None` where that is not known: the clock was not synchronised.
    pub clock_uncertainty_ns: Option<i64>,
    /// What its recordings say of themselves, with their own clocks. The ledger is that of its rows.
    pub manifest: Manifest,
}

impl HostPart {
    /// Rows of it in the capture, as its ledger counts them.
    pub fn rows(&self) -> u64 {
        LedgerRow::total(&self.manifest.ledger).written
    }
}

/// Reads hosts, no more than a capture can have: a few bytes of JSON become a whole manifest each. A host has no hosts.
pub(super) fn few<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<HostPart>, D::Error> {
    from.deserialize_seq(Few)
}

thread_local! {
    /// Whether hosts are being read.
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// Hosts are read as long as it lives.
struct Reading;

impl Drop for Reading {
    fn drop(&mut self) {
        READING.set(false);
    }
}

struct Few;

impl<'de> Visitor<'de> for Few {
    type Value = Vec<HostPart>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of hosts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        if READING.replace(true) {
            let first: Option<IgnoredAny> = list.next_element()?;
            return if first.is_none() { Ok(Vec::new()) } else { Err(A::Error::custom("a host has hosts")) };
        }
        let _reading = Reading;
        let mut parts = Vec::new();
        while let Some(part) = list.next_element()? {
            if parts.len() >= MAX_HOSTS {
                return Err(A::Error::custom(format_args!("more than {MAX_HOSTS} hosts")));
            }
            parts.push(part);
        }
        Ok(parts)
    }
}

/// Whether a manifest names no more hosts than a capture can have, and none twice.
///
/// # Errors
/// What is wrong with it.
pub fn check(manifest: &Manifest) -> Result<()> {
    ensure!(
        manifest.hosts.len() <= MAX_HOSTS,
        "names {} hosts: a capture has at most {MAX_HOSTS}",
        manifest.hosts.len()
    );
    let mut names = BTreeSet::new();
    if let Some(twice) = manifest.hosts.iter().find(|part| !names.insert(part.host.as_str())) {
        bail!("names the host {} twice", quoted(&twice.host));
    }
    Ok(())
}

impl Manifest {
    /// What is stated of the host of a row with this value in `host`; of the capture, where nothing is.
    pub fn of_host(&self, host: Option<&str>) -> &Manifest {
        host.and_then(|host| self.hosts.iter().find(|part| part.host == host)).map_or(self, |part| &part.manifest)
    }

    /// The hosts that have rows, if there are several.
    pub fn several_hosts(&self) -> Option<Vec<&HostPart>> {
        let with_rows: Vec<&HostPart> = self.hosts.iter().filter(|part| part.rows() > 0).collect();
        (with_rows.len() > 1).then_some(with_rows)
    }

    /// Says of the hosts together what the capture says as one: where they differ, nothing, or the least that all have.
    pub fn join_hosts(&mut self) {
        let with_rows: Vec<&HostPart> = self.hosts.iter().filter(|part| part.rows() > 0).collect();
        let parts = if with_rows.is_empty() { self.hosts.iter().collect() } else { with_rows };
        let Some(host) = joined_host(&parts) else { return };
        let filters = joined_filters(&parts);
        let families = joined_families(&parts);
        let gaps = joined_gaps(&parts);
        let reasons: BTreeSet<&str> = parts.iter().map(|part| part.manifest.end_reason.as_str()).collect();
        let end_reason = if reasons.len() == 1 { reasons.first().copied().unwrap_or_default() } else { "" }.to_string();
        let ledger_from_rows = parts.iter().any(|part| part.manifest.ledger_from_rows);
        *self = Manifest { host, filters, families, gaps, end_reason, ledger_from_rows, ..std::mem::take(self) };
    }
}

/// What the hosts of rows are called, in the order of `hosts`: by their names, with a part of the boot id where two would have the
/// same one.
pub fn labels(hosts: &[&Host]) -> Vec<String> {
    let name = |host: &Host| if host.hostname.is_empty() { "host".to_string() } else { host.hostname.clone() };
    let names: Vec<String> = hosts.iter().map(|host| name(host)).collect();
    let mut bearers: BTreeMap<&str, usize> = BTreeMap::new();
    names.iter().for_each(|name| *bearers.entry(name).or_default() += 1);
    let mut labels: Vec<String> = Vec::new();
    let mut taken = BTreeSet::new();
    // By a label without a number, the next number to try.
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    for (host, name) in hosts.iter().zip(&names) {
        let is_alone = bearers.get(name.as_str()) == Some(&1);
        let boot: String = host.boot_id.chars().take(BOOT).collect();
        let plain = match (is_alone, boot.is_empty()) {
            (true, _) | (false, true) => name.clone(),
            (false, false) => format!("{name}@{boot}"),
        };
        let mut label = plain.clone();
        let number = numbers.entry(plain.clone()).or_insert(2);
        while taken.contains(&label) || (label != *name && bearers.contains_key(label.as_str())) {
            label = format!("{plain}#{number}");
            *number += 1;
        }
        taken.insert(label.clone());
        labels.push(label);
    }
    labels
}

/// How far the wall clock of a recording may have been from UTC; `None` where that is not known.
pub fn clock_uncertainty(manifest: &Manifest) -> Option<i64> {
    let states = [Some(manifest.start_clock.as_ref()?), manifest.end_clock.as_ref()];
    let mut most = 0i64;
    for state in states.into_iter().flatten() {
        let is_kept = ClockSync::parse(&state.state).is_ok_and(|sync| sync != ClockSync::Error);
        most = most.max(state.max_error_us.checked_mul(1_000).filter(|ns| is_kept && *ns >= 0)?);
    }
    let (start, end) = (&manifest.start, &manifest.end);
    // Instants of rows are converted as the clocks stood at the start; what the wall clock moved since then is missing in them.
    let moved = if end.monotonic_ns == 0 { 0 } else { ahead(end).saturating_sub(ahead(start)).saturating_abs() };
    Some(most.saturating_add(start.uncertainty_ns.max(0)).saturating_add(moved))
}

/// How far the wall clock is ahead of CLOCK_MONOTONIC.
pub fn ahead(clocks: &Clocks) -> i64 {
    clocks.realtime_ns.saturating_sub(clocks.monotonic_ns)
}

/// The value that all have; else the default one.
fn common<T: Clone + Default + PartialEq>(parts: &[&HostPart], of: impl Fn(&Manifest) -> &T) -> T {
    let Some((first, rest)) = parts.split_first() else { return T::default() };
    let value = of(&first.manifest);
    if rest.iter().all(|part| of(&part.manifest) == value) { value.clone() } else { T::default() }
}

fn joined_host(parts: &[&HostPart]) -> Option<Host> {
    let host = match parts {
        [] => return None,
        [only] => only.manifest.host.clone(),
        _ => Host {
            hostname: parts.iter().map(|part| part.host.as_str()).collect::<Vec<_>>().join(", "),
            sysname: common(parts, |of| &of.host.sysname),
            release: common(parts, |of| &of.host.release),
            version: common(parts, |of| &of.host.version),
            machine: common(parts, |of| &of.host.machine),
            boot_id: String::new(),
            machine_id: common(parts, |of| &of.host.machine_id),
            cpus: parts.iter().map(|part| part.manifest.host.cpus).max().unwrap_or(0),
            lockdown: common(parts, |of| &of.host.lockdown),
            container: common(parts, |of| &of.host.container),
            initial_pid_namespace: parts.iter().all(|part| part.manifest.host.initial_pid_namespace),
        },
    };
    Some(host)
}

fn joined_filters(parts: &[&HostPart]) -> Filters {
    let filters = || parts.iter().map(|part| &part.manifest.filters);
    let of_first = filters().next().map(|filters| filters.events.clone()).unwrap_or_default();
    Filters {
        all: filters().all(|of| of.all),
        pids: common(parts, |of| &of.filters.pids),
        tree: filters().any(|of| of.tree),
        comms: common(parts, |of| &of.filters.comms),
        target_pids: common(parts, |of| &of.filters.target_pids),
        target_comms: common(parts, |of| &of.filters.target_comms),
        command: common(parts, |of| &of.filters.command),
        follow: filters().all(|of| of.follow),
        regions: filters().all(|of| of.regions),
        events: of_first.into_iter().filter(|event| filters().all(|of| of.events.contains(event))).collect(),
        uids: common(parts, |of| &of.filters.uids),
        cgroup: common(parts, |of| &of.filters.cgroup),
        snaplen: filters().map(|of| of.snaplen).min().unwrap_or(0),
        count: common(parts, |of| &of.filters.count),
        duration_s: common(parts, |of| &of.filters.duration_s),
        buffer_size: filters().map(|of| of.buffer_size).min().unwrap_or(0),
    }
}

/// By family the least that a host reports of it: what is said of all holds for each.
fn joined_families(parts: &[&HostPart]) -> Vec<FamilyReport> {
    let rank = |report: &FamilyReport| match Tier::parse(&report.tier) {
        Ok(Tier::Function) => 3,
        Ok(Tier::Tracepoint) => 2,
        Err(_) => 1,
        Ok(Tier::None) => 0,
    };
    let mut least: Vec<(&str, FamilyReport)> = Vec::new();
    for part in parts {
        for report in &part.manifest.families {
            match least.iter_mut().find(|(_, known)| known.family == report.family) {
                Some((host, known)) if rank(report) < rank(known) => (*host, *known) = (&part.host, report.clone()),
                Some(_) => {}
                None => least.push((&part.host, report.clone())),
            }
        }
    }
    let is_everywhere = |report: &FamilyReport| {
        parts
            .iter()
            .all(|part| part.manifest.families.iter().any(|of| of.tier == report.tier && of.family == report.family))
    };
    let name = |(host, report): (&str, FamilyReport)| {
        let differs = !is_everywhere(&report);
        let gap = report.gap.as_ref().map(|gap| if differs { format!("on {host}: {gap}") } else { gap.clone() });
        FamilyReport { gap, ..report }
    };
    least.into_iter().map(name).collect()
}

/// Gaps of all hosts as they are, those of some with the hosts' names.
fn joined_gaps(parts: &[&HostPart]) -> Vec<String> {
    let mut gaps: Vec<String> = Vec::new();
    let has = |part: &&HostPart, gap: &String| part.manifest.gaps.contains(gap);
    for part in parts {
        for gap in &part.manifest.gaps {
            let everywhere = parts.iter().all(|other| has(other, gap));
            let gap = if everywhere { gap.clone() } else { format!("{}: {gap}", part.host) };
            if !gaps.contains(&gap) {
                gaps.push(gap);
            }
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::super::ClockState;
    use super::*;

    fn host(name: &str, boot: &str) -> Host {
        Host { hostname: name.into(), boot_id: boot.into(), ..Host::default() }
    }

    #[test]
    fn two_boots_of_a_host_are_told_apart() {
        let hosts = [host("web1", "0123456789"), host("web2", "5"), host("web1", "fedcba9876")];
        let of = |hosts: &[Host]| labels(&hosts.iter().collect::<Vec<_>>());
        assert_eq!(of(&hosts), ["web1@01234567", "web2", "web1@fedcba98"]);
        let alike = [host("a", "012345678"), host("a", "012345679"), host("a@01234567", ""), host("", "")];
        assert_eq!(of(&alike), ["a@01234567#2", "a@01234567#3", "a@01234567", "host"]);
        let unnamed = [host("", ""), host("", "")];
        assert_eq!(of(&unnamed), ["host", "host#2"]);
    }

    #[test]
    fn a_thousand_hosts_of_one_name_have_labels_of_their_own() {
        let hosts = vec![host("a", "01234567"); MAX_HOSTS];
        let labels = labels(&hosts.iter().collect::<Vec<_>>());
        assert_eq!(
            (&*labels[0], &*labels[1], &*labels[MAX_HOSTS - 1]),
            ("a@01234567", "a@01234567#2", "a@01234567#1024")
        );
    }

    #[test]
    fn a_manifest_with_too_many_hosts_or_one_twice_is_refused() {
        let named = |names: Vec<String>| {
            let hosts = names.into_iter().map(|host| HostPart { host, ..HostPart::default() }).collect();
            check(&Manifest { hosts, ..Manifest::default() }).map_err(|error| error.to_string())
        };
        assert_eq!(named((0..MAX_HOSTS).map(|n| n.to_string()).collect()), Ok(()));
        let many = named((0..=MAX_HOSTS).map(|n| n.to_string()).collect()).unwrap_err();
        assert_eq!(many, "names 1025 hosts: a capture has at most 1024");
        assert_eq!(named(vec!["a".into(), "b".into(), "a".into()]).unwrap_err(), "names the host a twice");
        assert_eq!(named(vec!["a\nb".into(), "a\nb".into()]).unwrap_err(), r"names the host a\nb twice", "in one line");
    }

    #[test]
    fn hosts_are_not_read_where_there_are_too_many() {
        let read = |json: &str| super::super::parse::<Manifest>(json.as_bytes());
        let of = |many: usize| format!("{{\"hosts\":[{}]}}", vec!["{}"; many].join(","));
        assert_eq!(read(&of(MAX_HOSTS)).unwrap().hosts.len(), MAX_HOSTS);
        for (json, said) in [
            (of(MAX_HOSTS + 1), "more than 1024 hosts"),
            (of(200_000), "more than 1024 hosts"),
            (r#"{"hosts":[{"manifest":{"hosts":[{}]}}]}"#.into(), "a host has hosts"),
            (r#"{"hosts":[{"host":5}]}"#.into(), "expected a string"),
            (r#"{"hosts":5}"#.into(), "expected a list of hosts"),
        ] {
            let error = read(&json).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            // What follows is read anew.
            assert_eq!(read(r#"{"hosts":[{"manifest":{"hosts":[]}},{}]}"#).unwrap().hosts.len(), 2);
        }
    }

    #[test]
    fn the_uncertainty_is_known_only_of_a_clock_that_was_kept() {
        let state =
            |state: &str, max_error_us| Some(ClockState { state: state.into(), max_error_us, ..ClockState::default() });
        let clocks =
            |realtime_ns, monotonic_ns| Clocks { realtime_ns, monotonic_ns, uncertainty_ns: 7, boottime_ns: 0 };
        let kept = Manifest {
            start: clocks(1_000, 10),
            end: clocks(2_040, 1_010),
            start_clock: state("TIME_OK", 5),
            end_clock: state("TIME_INS", 9),
            ..Manifest::default()
        };
        assert_eq!(clock_uncertainty(&kept), Some(9_000 + 7 + 40));
        for bad in
            [None, state("TIME_ERROR", 5), state("of later", 5), state("TIME_OK", -1), state("TIME_OK", i64::MAX)]
        {
            assert_eq!(clock_uncertainty(&Manifest { start_clock: bad, ..kept.clone() }), None);
        }
    }

    #[test]
    fn what_is_said_of_all_hosts_holds_for_each() {
        let family = |tier: Tier, gap: Option<&str>| FamilyReport {
            family: "vm".into(),
            tier: tier.as_str().into(),
            gap: gap.map(Into::into),
            ..FamilyReport::default()
        };
        let part = |name: &str, tier, gap, events: &[&str], written| HostPart {
            host: name.into(),
            manifest: Manifest {
                host: Host { release: "6".into(), ..host(name, name) },
                filters: Filters { events: events.iter().map(ToString::to_string).collect(), ..Filters::default() },
                families: vec![family(tier, gap)],
                gaps: vec!["x32".into(), name.into()],
                end_reason: name.into(),
                ledger: vec![LedgerRow { written, ..LedgerRow::default() }],
                ..Manifest::default()
            },
            ..HostPart::default()
        };
        let a = part("a", Tier::Function, None, &["tee", "splice"], 1);
        let b = part("b", Tier::Tracepoint, Some("old"), &["splice"], 1);
        let none = part("c", Tier::None, None, &[], 0);
        let mut manifest = Manifest { hosts: vec![a, b, none], ..Manifest::default() };
        manifest.join_hosts();
        assert_eq!((&*manifest.host.hostname, &*manifest.host.release, &*manifest.host.boot_id), ("a, b", "6", ""));
        assert_eq!(
            (manifest.filters.events.as_slice(), &*manifest.end_reason),
            (["splice".to_string()].as_slice(), "")
        );
        assert_eq!(
            manifest.families,
            [FamilyReport { gap: Some("on b: old".into()), ..family(Tier::Tracepoint, None) }]
        );
        assert_eq!(manifest.gaps, ["x32", "a: a", "b: b"]);
        assert_eq!(manifest.several_hosts().unwrap().len(), 2);
        assert_eq!(manifest.of_host(Some("b")).host.hostname, "b");
        assert_eq!(manifest.of_host(Some("no")).host.hostname, "a, b");
        manifest.hosts[1].manifest.ledger.clear();
        manifest.join_hosts();
        assert_eq!((&*manifest.host.boot_id, manifest.several_hosts()), ("a", None), "a slice of one host");
    }
}
