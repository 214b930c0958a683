//! Every edge case and every kind of transfer under one recorder, on each tier. Where a recorder's start takes seconds, as
//! in an emulated guest, these few recordings stand for most of the others: each case runs in a process of its own, and
//! its rows, which the tree of processes identifies, are compared with its own report.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::catch_unwind;
use std::process::Command;

use serde_json::Value;
use vmtrace::schema::events::EVENTS;

use super::harness::{Row, Tier, compare_calls, is_call, record_by, workload};

/// Edge cases that a report of calls does not describe, or that take many calls or processes; tests of their own, which run
/// in guests, too, have them.
const APART: [&str; 21] = [
    "swapped-descriptors",
    "swapped-received",
    "uring-mem",
    "sockets-registered",
    "pipe-spin",
    "pipe-many",
    "flip",
    "flip-vmsplice",
    "flip-mem",
    "mem-open-flip",
    "uffd-flip",
    "regions",
    "regions-race",
    "regions-between",
    "regions-leftover",
    "vanish",
    "blocked",
    "exit-signal",
    "exit-threads",
    "exit-after-call",
    "exec-thread",
];

/// Transfers that bring numbered payloads, by every call.
const TRANSFERS: [&str; 26] = [
    "readv --count 20 --log 20 --size 200 --segments 7 --remote-segments 3",
    "writev --count 20 --log 20",
    "vmsplice --count 20 --log 20",
    "vmsplice --size 10000 --segments 4 --count 5 --log 5",
    "vmsplice --gift --size 8192 --count 5 --log 5",
    "vmsplice --out --size 1000 --segments 3 --count 20 --log 20",
    "splice --count 20 --log 20 --size 5000",
    "splice --from-file --size 10000 --count 5 --log 5",
    "tee --count 20 --log 20 --size 5000",
    "sendfile --to pipe --size 5000 --count 5 --log 5",
    "sendfile --to pipe --offset --size 5000 --count 5 --log 5",
    "sendfile --to socket --size 5000 --count 5 --log 5",
    "sendfile --to socket --offset --size 5000 --count 5 --log 5",
    "ptrace --op peek --count 20 --log 20",
    "ptrace --op poke --count 20 --log 20",
    "mem --with read --size 300 --count 5 --log 5",
    "mem --with write --size 300 --count 5 --log 5",
    "mem --with pread --size 300 --count 5 --log 5",
    "mem --with pwrite --size 300 --count 5 --log 5",
    "mem --with readv --size 300 --segments 3 --count 5 --log 5",
    "mem --with writev --size 300 --segments 3 --count 5 --log 5",
    "mem --with preadv --size 300 --segments 3 --count 5 --log 5",
    "mem --with pwritev --size 300 --segments 3 --count 5 --log 5",
    "mem --with preadv2 --size 300 --segments 3 --count 5 --log 5",
    "mem --with pwritev2 --size 300 --segments 3 --count 5 --log 5",
    "open --count 20 --log 20",
];

/// Payloads beyond the default snap length.
const LONG: [&str; 6] = [
    "edge big-first",
    "edge segments-1024",
    "edge killed-target",
    "readv --size 100000 --segments 40 --count 2 --log 2",
    "writev --size 65536 --count 2 --log 2",
    "vmsplice --size 60000 --segments 3 --count 2 --log 2",
];

#[test]
#[ignore = "needs root and BPF"]
fn every_case_on_the_best_tier() {
    has_every_event(&sweep(Tier::Best, &[], &every_case()));
}

#[test]
#[ignore = "needs root and BPF"]
fn every_case_on_the_tracepoint_tier() {
    has_every_event(&sweep(Tier::Tracepoint, &[], &every_case()));
}

#[test]
#[ignore = "needs root and BPF"]
fn long_payloads_on_the_best_tier() {
    sweep(Tier::Best, &["-s", "0"], &LONG.map(String::from));
}

#[test]
#[ignore = "needs root and BPF"]
fn long_payloads_on_the_tracepoint_tier() {
    sweep(Tier::Tracepoint, &["-s", "0"], &LONG.map(String::from));
}

/// All transfers and all edge cases but those [`APART`] and those that `VMTRACE_TEST_WITHOUT` names, one a line.
fn every_case() -> Vec<String> {
    let output = Command::new(workload()).args(["edge", "list"]).output().expect("workload");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let edges: Vec<&str> = report["names"].as_array().expect("names").iter().filter_map(Value::as_str).collect();
    assert!(APART.iter().all(|name| edges.contains(name)), "{edges:?}");
    let edges = edges.into_iter().filter(|name| !APART.contains(name)).map(|name| format!("edge {name}"));
    let cases: Vec<String> = TRANSFERS.map(String::from).into_iter().chain(edges).collect();
    let without = std::env::var("VMTRACE_TEST_WITHOUT").unwrap_or_default();
    assert!(without.lines().all(|name| cases.iter().any(|c| c == name)), "VMTRACE_TEST_WITHOUT: {without}");
    cases.into_iter().filter(|case| !without.lines().any(|name| name == case)).collect()
}

/// Whether a kernel older than an event has refused to make it, so that rows can be of calls that fail alone.
fn is_too_new(row: &Row) -> bool {
    let since = match row.text("event") {
        "uffd_poison" => (6, 6),
        "uffd_move" => (6, 8),
        _ => return false,
    };
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("release");
    let mut numbers = release.split('.').map(|number| number.parse::<u32>().expect("a number"));
    row["errno"] == "EINVAL" && (numbers.next(), numbers.next()) < (Some(since.0), Some(since.1))
}

/// Every event that a hook serves was made at least once, and did not fail. Of the others, which the recorder makes itself,
/// `process_snapshot` is tested in selection.rs, `lost` in overload.rs.
fn has_every_event(recorded: &BTreeSet<String>) {
    let served = EVENTS.iter().filter(|event| !event.services.is_empty());
    let missing: Vec<&str> = served.map(|event| event.name).filter(|name| !recorded.contains(*name)).collect();
    assert!(missing.is_empty(), "no case makes {missing:?}: add one to TRANSFERS or to the workload's edge cases");
}

/// Records all `cases` at once, and compares each one's rows with its report. Returns the events of rows that did not fail.
fn sweep(tier: Tier, options: &[&str], cases: &[String]) -> BTreeSet<String> {
    let command = [&[workload(), "sweep".to_string()], cases].concat();
    let recording = record_by(tier.recorder(), options, &command);
    recording.succeeded();
    tier.check(&recording);
    let manifest = recording.manifest();
    let reports: Vec<Value> = recording.stdout.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    assert_eq!(reports.iter().filter_map(|r| r["case"].as_str()).collect::<Vec<_>>(), *cases);
    let roots: Vec<i64> = reports.iter().map(|r| r["pid"].as_i64().unwrap_or(0)).collect();
    let rows = recording.rows();
    let is_made = |row: &&Row| row.number("ret") >= 0 || is_too_new(row);
    let recorded = rows.iter().filter(is_made).map(|row| row.text("event").to_string()).collect();
    let mut calls = calls_by_root(rows, &roots);
    let strangers = calls.remove(&0).unwrap_or_default();
    assert!(strangers.is_empty(), "of none of the cases' processes: {strangers:?}");
    let mut failed = Vec::new();
    for report in &reports {
        let rows = calls.remove(&report["pid"].as_i64().unwrap_or(0)).unwrap_or_default();
        let agrees = catch_unwind(|| {
            assert!(report["failed"].is_null(), "{report}");
            compare_calls(&rows, report, &manifest);
        });
        println!("case {}: {} calls, {}", report["case"], rows.len(), if agrees.is_ok() { "ok" } else { "FAILED" });
        failed.extend(agrees.is_err().then_some(&report["case"]));
    }
    assert!(failed.is_empty(), "{} of {} cases failed, see above: {failed:?}", failed.len(), cases.len());
    recorded
}

/// The rows of calls by the process in `roots` that their caller descends from; under 0 those of any other.
fn calls_by_root(rows: Vec<Row>, roots: &[i64]) -> BTreeMap<i64, Vec<Row>> {
    let mut root_of: BTreeMap<i64, i64> = roots.iter().map(|pid| (*pid, *pid)).collect();
    let mut calls: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
    for row in rows {
        let parent = root_of.get(&row.number("parent_pid")).copied();
        match (row["event"] == "process_fork", parent) {
            (true, Some(root)) => drop(root_of.insert(row.number("pid"), root)),
            _ if is_call(row.text("event")) => {
                let root = root_of.get(&row.number("pid")).copied().unwrap_or(0);
                calls.entry(root).or_default().push(row);
            }
            _ => {}
        }
    }
    calls
}
