//! Each family without its function hooks: its events are there all the same, and the capture says how they were seen.

use serde_json::Value;

use super::harness::{Recording, Row, compare, record_by, vmtrace, work};

/// Records `words` with some probes disabled, and compares the rows with what the workload says.
fn without(probes: &str, words: &str) -> Recording {
    let mut recorder = vmtrace();
    recorder.env("VMTRACE_DISABLE_PROBES", probes);
    let recording = record_by(recorder, &[], &work(words));
    recording.succeeded();
    compare(&recording, &recording.report());
    recording
}

/// Reads and writes of pipes: a family of their own, which keeps its hooks.
fn of_pipes(row: &Row) -> bool {
    row["event"] == "pipe_read" || row["event"] == "pipe_write"
}

/// The tier of a family in a capture.
fn tier(recording: &Recording, family: &str) -> String {
    let families = recording.manifest().families;
    families.iter().find(|f| f.family == family).map(|f| f.tier.clone()).unwrap_or_default()
}

#[test]
#[ignore = "needs root and BPF"]
fn every_family_falls_back() {
    // Family, what it does, and the verdict on a row that the syscall's exit has recorded.
    let cases = [
        ("vm", "readv --count 5 --log 5", Some("unverified")),
        ("vmsplice", "vmsplice --count 5 --log 5", Some("unverified")),
        ("splice", "splice --count 5 --log 5", Some("unverified")),
        ("uring", "edge uring-splice", Some("unverified")),
        ("ptrace", "ptrace --op peek --count 5 --log 5", Some("unverified")),
        ("mem", "mem --with pread --count 5 --log 5", Some("unverified")),
        ("pidfd", "edge pidfd-getfd", Some("unverified")),
        ("madvise", "edge madvise", Some("unverified")),
    ];
    for (family, words, verdict) in cases {
        let recording = without(family, words);
        assert_eq!(tier(&recording, family), "tracepoint", "{family}");
        let manifest = recording.manifest();
        let report = manifest.families.iter().find(|f| f.family == family).expect("family");
        assert!(!report.best && report.gap.as_deref().is_some_and(|gap| !gap.is_empty()), "{report:?}");
        assert_eq!(report.self_test, "passed", "{report:?}");
        // Of rows that succeeded: a call may be refused before anything that could be raced is looked at.
        let rows = recording.calls();
        let moved: Vec<_> = rows.iter().filter(|r| r["errno"].is_null() && !of_pipes(r)).collect();
        assert!(!moved.is_empty(), "{family}");
        if family != "uring" {
            let verdicts = moved.iter().filter(|r| r["ptrace_request"].is_null() || r["direction"] == "in");
            verdicts.for_each(|r| assert_eq!(r["iov_verdict"].as_str(), verdict, "{family}: {r:?}"));
        }
    }
}

/// A hook that can be done without leaves its family where it was.
#[test]
#[ignore = "needs root and BPF"]
fn a_family_does_without_a_further_hook() {
    let best = without("nothing", "readv --count 5 --log 5");
    let less = without("fexit/mm_access", "readv --count 5 --log 5");
    assert_eq!(tier(&best, "vm"), tier(&less, "vm"));
    assert!(less.manifest().hooks.iter().all(|h| !(h.attached && h.serves == "vm" && h.target == "fexit/mm_access")));
    assert!(less.event("process_vm_readv").iter().all(|r| r["target_pid"] != Value::Null));
}
