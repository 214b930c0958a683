//! Edge cases: calls that fail, stop short, or are made to be missed.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use vmtrace::schema::Event;
use vmtrace::schema::reader::Scan;

use super::harness::{by_functions, compare, program, record, record_unchecked, record_work, work};
use super::invariants::books_balance;

/// One test per edge case whose rows need nothing but to agree with the workload's log.
macro_rules! edges {
    ($($test:ident $case:literal;)+) => {$(
        #[test]
        #[ignore = "needs root and BPF"]
        fn $test() {
            let recording = record_work(&[], concat!("edge ", $case));
            assert!(!recording.calls().is_empty());
        }
    )+};
}

edges! {
    target_does_not_exist "esrch";
    target_is_forbidden "eperm";
    iovec_array_is_nowhere "efault-array";
    local_segment_is_nowhere "efault-local";
    remote_segment_is_nowhere "efault-remote";
    flags_do_not_exist "einval-flags";
    more_segments_than_allowed "einval-count";
    transfer_stops_at_an_unmapped_page "partial";
    no_segments_at_all "no-segments";
    empty_segments_in_front "decoy";
    first_segment_of_65536_bytes "big-first";
    as_many_segments_as_allowed "segments-1024";
    pages_never_touched "untouched";
    target_named_by_a_thread "thread-target";
    caller_is_its_own_target "self-target";
    pipe_calls_that_fail "pipe-errors";
    full_pipe "pipe-full";
    call_interrupted_by_a_signal "interrupted";
    vmsplice_stops_at_a_full_pipe "vmsplice-partial";
    splice_into_a_file "splice-to-file";
    splice_from_a_fifo "splice-fifo";
    splice_into_a_socket "splice-socket";
    every_ptrace_request "ptrace-requests";
    ptrace_that_fails "ptrace-errors";
    mem_reads_that_fail "mem-errors";
    vectored_mem_calls_that_stop_or_fail "mem-vectors";
    mem_of_a_thread "mem-task";
    mem_of_oneself "mem-self";
    descriptor_of_another_process "pidfd-getfd";
    pidfd_calls_that_fail "pidfd-errors";
    advice_to_another_process "madvise";
    target_killed_during_the_call "killed-target";
    caller_killed_during_its_call "killed-caller";
    int80_from_64_bit_code "int80";
    int80_on_memory_above_4_gib "int80-mem";
    io_uring_splice "uring-splice";
    io_uring_tee "uring-tee";
    io_uring_submitted_by_the_kernel "uring-sqpoll";
    io_uring_without_completion "uring-skip-success";
}

/// Only the function that copies sees it; without, the capture says that it does not.
#[test]
#[ignore = "needs root and BPF"]
fn mem_by_io_uring_is_seen_or_named_as_a_gap() {
    let recording = record(&[], &work("edge uring-mem"));
    let manifest = recording.manifest();
    if manifest.hooks.iter().any(|h| h.attached && h.program == "mem_begin") {
        return compare(&recording, &recording.report());
    }
    assert!(recording.calls().is_empty());
    assert!(manifest.gaps.iter().any(|gap| gap.contains("/proc/PID/mem through io_uring")), "{:?}", manifest.gaps);
}

#[test]
#[ignore = "needs root and BPF"]
fn big_payloads_are_gathered_past_a_big_first_segment() {
    record_work(&["-s", "65536"], "edge big-first");
}

#[test]
#[ignore = "needs root and BPF"]
fn many_segments_are_gathered_whole() {
    record_work(&["-s", "4096"], "edge segments-1024");
}

/// Every edge case that the workload knows is in a test.
#[test]
fn no_edge_case_is_forgotten() {
    let output = Command::new(super::harness::workload()).args(["edge", "list"]).output().expect("workload");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let sources = [include_str!("edges.rs"), include_str!("life.rs"), include_str!("stopping.rs")];
    for name in report["names"].as_array().expect("names") {
        let name = name.as_str().expect("name");
        let quoted = [format!("\"{name}\""), format!("\"edge {name}\"")];
        assert!(sources.iter().any(|s| quoted.iter().any(|q| s.contains(q))), "no test of {name}");
    }
}

/// A second thread changes the iovec all the time. From functions, every row has the place where the bytes really went, and
/// some tell that memory said something else. From the syscall's exit the recorder may have read either place; what it
/// must not do is to call what it read the kernel's.
fn judge_flips(case: &str, event: &str, options: &[&str]) {
    let columns = ["iov_verdict", "iov_source", "local_iov", "bytes", "toctou"];
    let (toctou, right) = (Cell::new(0), Cell::new(0));
    let (report, by_functions) =
        race(&format!("edge {case}"), event, options, &columns, |n, row, report, by_functions| {
            let base = row.local_iov.and_then(|iov| iov.iter().next()).map(|segment| segment.base);
            let used = match report["used"].as_str().and_then(|used| used.as_bytes().get(n)) {
                Some(b'1') => &report["bases"][1],
                _ => &report["bases"][0],
            };
            let is_right = used == &Value::from(base);
            right.set(right.get() + usize::from(is_right));
            toctou.set(toctou.get() + usize::from(row.toctou == Some(true)));
            assert_eq!(row.bytes, Some(8));
            if by_functions {
                assert!(is_right, "call {n} used {used}: {row:?}");
                assert_eq!((row.iov_source, row.iov_verdict), (Some("kernel"), Some("kernel")), "{row:?}");
            } else {
                assert!(["unverified", "conflict"].contains(&row.iov_verdict.unwrap_or_default()), "{row:?}");
                assert_eq!(row.iov_source, Some("user"));
                assert!(report["bases"].as_array().expect("bases").contains(&Value::from(base)), "{row:?}");
            }
        });
    let calls = report["used"].as_str().map_or(0, str::len);
    assert!(!by_functions || toctou.get() > 0, "a forging program is not noticed");
    println!("{case}: {calls} calls, {} addresses right, {} with toctou", right.get(), toctou.get());
}

#[test]
#[ignore = "needs root and BPF"]
fn a_flipping_iovec_is_never_called_verified() {
    judge_flips("flip", "process_vm_readv", &[]);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_flipping_iovec_of_vmsplice_is_never_called_verified() {
    judge_flips("flip-vmsplice", "vmsplice", &["-e", "vmsplice,@process"]);
}

/// The array in memory is, as the call returns, what the call itself has put there.
#[test]
#[ignore = "needs root and BPF"]
fn a_call_that_overwrites_its_own_iovec_is_never_called_verified() {
    let recording = record(&[], &work("edge self-overwrite"));
    let rows = recording.event("process_vm_readv");
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    let stable = recording.report()["stable"].as_str().expect("stable").to_string();
    assert_eq!((row.number("ret"), row.number("bytes"), row.number("payload_total")), (64, 64, 64));
    let book = recording.manifest().ledger.into_iter().find(|l| l.event == "process_vm_readv").expect("ledger");
    if by_functions(&recording.manifest(), row) {
        assert_eq!((row.text("iov_verdict"), &row["toctou"]), ("kernel", &Value::Bool(true)), "{row:?}");
        assert_eq!((row.text("payload_status"), row.number("payload_len")), ("ok", 64));
        assert!(row.text("payload").ends_with(&stable));
        assert_eq!(book.read_faults, 0);
        return;
    }
    assert!(["unverified", "conflict"].contains(&row.text("iov_verdict")), "{row:?}");
    // The first segment is said to be nowhere by now: noted, and the second is read.
    assert_eq!((row.text("payload_status"), row.number("payload_len")), ("fault", 64));
    assert_eq!(row["payload"], "00".repeat(32) + &stable);
    assert_eq!(book.read_faults, 1);
}

/// A segment whose page is gone when the call returns is noted, and the next one is still read.
#[test]
#[ignore = "needs root and BPF"]
fn a_segment_that_vanished_does_not_hide_the_next() {
    let columns = ["payload", "payload_len", "payload_status", "payload_total"];
    let faults = Cell::new(0);
    let (report, _) = race("edge vanish", "process_vm_readv", &[], &columns, |_, row, report, _| {
        assert!(["ok", "fault"].contains(&row.payload_status.unwrap_or_default()), "{row:?}");
        faults.set(faults.get() + u64::from(row.payload_status == Some("fault")));
        assert_eq!((row.payload_len, row.payload_total), (64, 64), "{row:?}");
        let stable = report["stable"].as_str().expect("stable");
        let payload: String = row.payload.unwrap_or_default().iter().map(|b| format!("{b:02x}")).collect();
        assert!(payload.ends_with(stable), "{row:?}");
    });
    assert_eq!(report["read_faults"], faults.get());
    eprintln!("{} of {} payloads had a fault", faults.get(), report["calls"]["process_vm_readv"]["calls"]);
}

/// Records a workload that makes many racing calls, has each row of `event` judged by the workload's report, in order, and
/// returns the report with `read_faults` of the ledger. Reads those columns alone: there are many rows.
fn race(
    words: &str,
    event: &str,
    options: &[&str],
    columns: &[&'static str],
    judge: impl Fn(usize, &Event<'_>, &Value, bool),
) -> (Value, bool) {
    let recording = record_unchecked(options, &work(words));
    assert!(recording.status.success(), "{}", recording.stderr);
    let manifest = recording.manifest();
    books_balance(&manifest);
    let family = manifest.families.iter().find(|f| f.events.iter().any(|e| e == event));
    let by_functions = family.is_some_and(|f| f.tier == "function");
    let mut report = recording.report();
    let scan = Scan { columns: [&["event"], columns].concat(), ..Scan::default() };
    let mut rows = 0;
    for batch in recording.open().scan(&scan).expect("scan") {
        for row in batch.expect("batch").iter().filter(|row| row.event == event) {
            judge(rows, &row, &report, by_functions);
            rows += 1;
        }
    }
    let book = manifest.ledger.iter().find(|l| l.event == event).expect("ledger");
    assert_eq!((report["calls"][event]["calls"].as_u64(), book.lost()), (Some(rows as u64), 0), "{book:?}");
    assert!(rows >= 10_000, "too few calls for a race: {rows}");
    report["read_faults"] = book.read_faults.into();
    (report, by_functions)
}

#[test]
#[ignore = "needs root and BPF"]
fn a_static_32_bit_program_is_seen() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let caller = caller32(dir.path());
    let recording = record(&[], &[&caller]);
    compare(&recording, &recording.report());
    assert!(recording.calls().iter().all(|r| r["exe"] == caller.to_str().expect("UTF-8 path")));
}

/// The 32-bit program, built in `dir` unless `VMTRACE_TEST_CALLER32` names it.
fn caller32(dir: &Path) -> PathBuf {
    if let Some(built) = std::env::var_os("VMTRACE_TEST_CALLER32") {
        return built.into();
    }
    let caller = dir.join("caller32");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/workloads/caller32.c");
    let built = Command::new(program("gcc")).args(["-m32", "-static", "-O1", "-o"]).arg(&caller).arg(source).status();
    assert!(built.expect("gcc").success(), "gcc -m32 failed; install gcc-multilib");
    caller
}
