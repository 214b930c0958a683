//! Arguments that change under way: what is recorded of them, and what is said of it.

use std::cell::Cell;

use serde_json::Value;
use vmtrace::schema::Event;
use vmtrace::schema::reader::Scan;

use super::harness::{Row, Tier, by_functions, compare, record_by, work};
use super::invariants::ledger_balances;

/// A second thread changes the iovec all the time. From functions, every row has the place where the bytes really went, and
/// some tell that memory said something else. From the syscall's exit the recorder may have read either place; what it
/// must not do is to call what it read the kernel's.
fn judge_flips(tier: Tier, case: &str, event: &str, options: &[&str]) {
    let columns = ["iov_verdict", "iov_source", "local_iov", "bytes", "toctou"];
    let (toctou, right) = (Cell::new(0), Cell::new(0));
    let (report, by_functions) =
        race(tier, &format!("edge {case}"), event, options, &columns, |n, row, report, by_functions| {
            let base = row.local_iov.and_then(|iov| iov.iter().next()).map(|segment| segment.base);
            let used = match report["used"].as_str().and_then(|used| used.as_bytes().get(n)) {
                Some(b'1') => &report["bases"][1],
                _ => &report["bases"][0],
            };
            let is_right = used == &Value::from(base);
            right.set(right.get() + usize::from(is_right));
            toctou.set(toctou.get() + usize::from(row.toctou == Some(true)));
            assert_eq!(row.bytes, Some(report["each"].as_i64().unwrap_or(8)));
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
fn a_flipping_iovec_on_the_best_tier() {
    judge_flips(Tier::Best, "flip", "process_vm_readv", &[]);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_flipping_iovec_on_the_tracepoint_tier() {
    judge_flips(Tier::Tracepoint, "flip", "process_vm_readv", &[]);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_flipping_iovec_of_vmsplice_on_the_best_tier() {
    judge_flips(Tier::Best, "flip-vmsplice", "vmsplice", &["-e", "vmsplice,@process"]);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_flipping_iovec_of_vmsplice_on_the_tracepoint_tier() {
    judge_flips(Tier::Tracepoint, "flip-vmsplice", "vmsplice", &["-e", "vmsplice,@process"]);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_flipping_iovec_of_mem_on_the_best_tier() {
    judge_flips(Tier::Best, "flip-mem", "preadv", &["-e", "preadv,@process"]);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_flipping_iovec_of_mem_on_the_tracepoint_tier() {
    judge_flips(Tier::Tracepoint, "flip-mem", "preadv", &["-e", "preadv,@process"]);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_call_that_overwrites_its_own_iovec() {
    judge_overwriting(Tier::Best, "edge self-overwrite", "process_vm_readv");
    judge_overwriting(Tier::Tracepoint, "edge self-overwrite", "process_vm_readv");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_mem_call_that_overwrites_its_own_iovec() {
    judge_overwriting(Tier::Best, "edge mem-overwrite", "preadv");
    judge_overwriting(Tier::Tracepoint, "edge mem-overwrite", "preadv");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_flipping_source_of_a_userfaultfd_on_the_best_tier() {
    judge_flips(Tier::Best, "uffd-flip", "uffd_copy", &["-e", "uffd_copy,@process"]);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_flipping_source_of_a_userfaultfd_on_the_tracepoint_tier() {
    judge_flips(Tier::Tracepoint, "uffd-flip", "uffd_copy", &["-e", "uffd_copy,@process"]);
}

/// A second thread changes the path of an open all the time, between memory and an ordinary file. As many rows as calls that
/// opened memory: what was opened decides, whatever the path says afterwards.
#[test]
#[ignore = "needs root and BPF"]
fn a_flipping_path_of_an_open() {
    for tier in [Tier::Best, Tier::Tracepoint] {
        let recording = record_by(tier.recorder(), &["-e", "mem_open,@process"], &work("edge mem-open-flip"));
        recording.succeeded();
        tier.check(&recording);
        let (report, rows) = (recording.report(), recording.event("mem_open"));
        assert_eq!(Some(rows.len() as u64), report["calls"]["mem_open"]["calls"].as_u64(), "of {}", report["made"]);
        for row in &rows {
            assert_eq!((row.text("fd_out_kind"), &row["target_pid"]), ("proc_mem", &report["target_pid"]), "{row:?}");
        }
        println!("{} of {} opened memory", rows.len(), report["made"]);
    }
}

/// By each call that can. Where the array that stands in memory still leads to itself, that alone says that it cannot be
/// trusted, though the address that it names first is a place like any other by now.
#[test]
#[ignore = "needs root and BPF"]
fn every_call_that_overwrites_its_own_iovec() {
    for tier in [Tier::Best, Tier::Tracepoint] {
        let recording = record_by(tier.recorder(), &[], &work("edge overwrites"));
        recording.succeeded();
        tier.check(&recording);
        compare(&recording, &recording.report());
        let manifest = recording.manifest();
        let fed = |r: &Row| r["event"] == "vmsplice" && r["direction"] == "out";
        let rows: Vec<Row> = recording.calls_but_opens().into_iter().filter(|r| !fed(r)).collect();
        let events: Vec<_> = rows.iter().map(|r| r.text("event")).collect();
        let expected = ["process_vm_readv", "preadv", "vmsplice", "pipe_read", "process_vm_readv", "process_vm_writev"];
        assert_eq!(events, expected);
        for row in rows {
            let verdict = (row.text("iov_verdict"), &row["toctou"]);
            match by_functions(&manifest, &row) {
                // Where the kernel put the bytes is not known of several ranges; the caller's array is not shown.
                true if row["event"] == "pipe_read" => assert_eq!(row["local_iov"], Value::Null, "{row:?}"),
                true => assert_eq!(verdict, ("kernel", &Value::Bool(true)), "{row:?}"),
                false => assert_eq!(verdict, ("conflict", &Value::Bool(true)), "{row:?}"),
            }
        }
    }
}

/// The array in memory is, as the call returns, what the call itself has put there.
fn judge_overwriting(tier: Tier, case: &str, event: &str) {
    let recording = record_by(tier.recorder(), &[], &work(case));
    recording.succeeded();
    tier.check(&recording);
    let rows = recording.event(event);
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    let stable = recording.report()["stable"].as_str().expect("stable").to_string();
    assert_eq!((row.number("ret"), row.number("bytes"), row.number("payload_total")), (64, 64, 64));
    let book = recording.manifest().ledger.into_iter().find(|l| l.event == event).expect("ledger");
    if by_functions(&recording.manifest(), row) {
        assert_eq!(row["local_iov"], recording.report()["ranges"], "{row:?}");
        assert_eq!((row.text("iov_verdict"), &row["toctou"]), ("kernel", &Value::Bool(true)), "{row:?}");
        assert_eq!((row.text("payload_status"), row.number("payload_len")), ("ok", 64));
        assert!(row.text("payload").ends_with(&stable));
        assert_eq!(book.read_faults, 0);
        return;
    }
    // The first segment is said to be nowhere by now, though bytes were put there: noted, and the second is read. Whether
    // the array or the memory was changed is not known.
    assert_eq!((row.text("iov_verdict"), &row["toctou"]), ("conflict", &Value::Null), "{row:?}");
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
    let (report, _) = race(Tier::Best, "edge vanish", "process_vm_readv", &[], &columns, |_, row, report, _| {
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
    tier: Tier,
    words: &str,
    event: &str,
    options: &[&str],
    columns: &[&'static str],
    judge: impl Fn(usize, &Event<'_>, &Value, bool),
) -> (Value, bool) {
    let recording = record_by(tier.recorder(), options, &work(words));
    tier.check(&recording);
    assert!(recording.status.success(), "{}", recording.stderr);
    let manifest = recording.manifest();
    ledger_balances(&manifest);
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
