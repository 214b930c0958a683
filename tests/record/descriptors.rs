//! Descriptors that are replaced under way: no transfer disappears by it, and none is made up without a mark.

use std::io::Write;
use std::process::Command;

use serde_json::Value;

use super::harness::{Recording, Row, Tier, record_by, vmtrace, work};
use super::live::Live;

/// Records a case whose calls wait until the recorder says that it looks at the begin of calls, if it does.
fn watched(tier: Tier, case: &str) -> Recording {
    let dir = tempfile::tempdir().expect("temporary directory");
    let gate = dir.path().join("gate");
    let made = Command::new("mkfifo").arg(&gate).status().expect("mkfifo");
    assert!(made.success());
    let mut recorder = tier.recorder();
    recorder.env("WORKLOAD_GATE", &gate);
    let mut live = Live::start_as(recorder, tempfile::tempdir().expect("temporary directory"), &[], &work(case));
    if !live.serves("mem", "function") {
        live.wait_until_it_says("the entry of reads and writes is hooked, too");
    }
    std::fs::OpenOptions::new().write(true).open(&gate).and_then(|mut gate| gate.write_all(b"\n")).expect("gate");
    let report = live.line();
    let mut recording = live.end();
    recording.stdout.insert_str(0, &report);
    recording.succeeded();
    tier.check(&recording);
    recording
}

fn served_by_functions(recording: &Recording) -> bool {
    recording.manifest().families.iter().any(|f| f.family == "mem" && f.tier == "function")
}

/// Every call of the report has its row, in order; returns the rows that stand for none of them.
fn judge(recording: &Recording) -> Vec<Row> {
    let mut rows = recording.calls_but_opens();
    let exact = served_by_functions(recording);
    for entry in recording.report()["log"].as_array().expect("log") {
        let of_call =
            |row: &Row| ["event", "tid", "ret", "target_pid", "remote_iov"].iter().all(|c| row[c] == entry[*c]);
        let at = rows.iter().position(of_call).unwrap_or_else(|| panic!("no row of {entry} in {rows:?}"));
        let row = rows.remove(at);
        let verdict = (row.text("iov_verdict"), &row["toctou"]);
        match exact {
            true => assert_eq!(verdict.0, "kernel", "{row:?}"),
            false => assert_eq!(verdict, ("conflict", &Value::Bool(true)), "{row:?}"),
        }
        let write = entry["event"] == "pwrite";
        assert_eq!(row.text(if write { "fd_out_kind" } else { "fd_in_kind" }), "proc_mem", "{row:?}");
    }
    rows
}

fn swapped(tier: Tier) {
    let recording = watched(tier, "edge swapped-descriptors");
    let others = judge(&recording);
    // What was read of another file is no read of memory: not told, or with a mark.
    if served_by_functions(&recording) {
        assert!(others.is_empty(), "{others:?}");
    } else {
        let [made_up] = others.as_slice() else { panic!("{others:?}") };
        assert_eq!((made_up.text("iov_verdict"), &made_up["toctou"]), ("conflict", &Value::Bool(true)), "{made_up:?}");
    }
    let manifest = recording.manifest();
    assert!(manifest.ledger.iter().all(|book| book.unknown == 0), "{:?}", manifest.ledger);
    assert!(!manifest.gaps.iter().any(|gap| gap.contains("may have been of /proc/PID/mem")), "{:?}", manifest.gaps);
}

#[test]
#[ignore = "needs root and BPF"]
fn swapped_descriptors_hide_nothing_on_the_best_tier() {
    swapped(Tier::Best);
}

#[test]
#[ignore = "needs root and BPF"]
fn swapped_descriptors_hide_nothing_on_the_tracepoint_tier() {
    swapped(Tier::Tracepoint);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_descriptor_that_came_with_a_message_is_known() {
    assert!(judge(&watched(Tier::Tracepoint, "edge swapped-received")).is_empty());
}

/// Where the begin of calls is not looked at, what cannot be known is counted, and its caller is named.
#[test]
#[ignore = "needs root and BPF"]
fn what_cannot_be_known_is_counted_and_named() {
    let mut recorder = Tier::Tracepoint.recorder();
    recorder.env("VMTRACE_DISABLE_PROBES", "function,tp_btf/sys_enter");
    let recording = record_by(recorder, &[], &work("edge swapped-received"));
    recording.succeeded();
    assert!(recording.calls_but_opens().is_empty(), "{:?}", recording.calls());
    let manifest = recording.manifest();
    let of_pread = manifest.ledger.iter().find(|book| book.event == "pread").map_or(0, |book| book.unknown);
    assert_eq!(of_pread, 1, "{:?}", manifest.ledger);
    // Its other calls were not looked at as they began, either.
    let all: u64 = manifest.ledger.iter().map(|book| book.unknown).sum();
    let named = format!("{all} reads or writes of workload (pid {}) may have been of", recording.report()["pid"]);
    assert!(manifest.gaps.iter().any(|gap| gap.contains(&named)), "{:?}", manifest.gaps);
    let why = "not when it begins (disabled by VMTRACE_DISABLE_PROBES)";
    assert!(manifest.gaps.iter().any(|gap| gap.contains(why)), "{:?}", manifest.gaps);
    let info = vmtrace().arg("info").arg(&recording.path).output().expect("vmtrace starts");
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    assert!(info.contains(&format!("{all} calls may have been such events")), "{info}");
}

/// More processes than can be noted have memory open: the capture says how many were not.
#[test]
#[ignore = "needs root and BPF"]
fn holders_that_could_not_be_noted_are_counted() {
    let refused = |holders: u32| -> u64 {
        let mut recorder = Tier::Tracepoint.recorder();
        recorder.env("WORKLOAD_HOLDERS", holders.to_string());
        let recording = record_by(recorder, &["-e", "@mem"], &work("edge mem-holders"));
        recording.succeeded();
        let gaps = recording.manifest().gaps;
        let gap = gaps.iter().find(|gap| gap.contains("had no room to note"));
        gap.map_or(0, |gap| gap.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number"))
    };
    // The parent is one of 4,096.
    assert_eq!(refused(100), 0);
    assert_eq!(refused(4_200), 105);
}
