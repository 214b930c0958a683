//! Recording the whole system (-a). Only on a machine that belongs to the test, as guests do.

use super::harness::compare_calls;
use super::invariants;
use super::live::{Live, Waiting};

const NO_COMMAND: &[&str] = &[];

/// Processes that have nothing to do with the recorder are recorded, those there before and those that come later.
#[test]
#[ignore = "needs root and BPF, and records every process of the machine"]
fn unrelated_processes_are_recorded() {
    let allowed = std::env::var_os("VMTRACE_TEST_WHOLE_SYSTEM").is_some();
    assert!(
        allowed,
        "this records every process of the machine; if it is the test's own, set VMTRACE_TEST_WHOLE_SYSTEM"
    );
    let mut early = Waiting::start("readv --count 20 --log 20");
    let live = Live::start(&["-a"], NO_COMMAND);
    early.work();
    let late = Waiting::start("writev --count 20 --log 20").go();
    live.signal(libc::SIGINT);
    let recording = live.end();
    let early = early.leave();
    recording.succeeded();
    let manifest = recording.manifest();
    invariants::books_balance(&manifest);
    assert!(manifest.filters.all && manifest.filters.command.is_empty(), "{:?}", manifest.filters);
    let rows = recording.calls();
    for report in [&early, &late] {
        let own: Vec<_> = rows.iter().filter(|r| r["pid"] == report["pid"]).cloned().collect();
        compare_calls(&own, report, &manifest);
    }
    let snapshots = recording.event("process_snapshot");
    assert!(snapshots.iter().any(|r| r["pid"] == early["pid"]), "who lived before is introduced");
    let forks = recording.event("process_fork");
    assert!(forks.iter().any(|r| r["pid"] == late["pid"]), "who came later has a beginning");
}
