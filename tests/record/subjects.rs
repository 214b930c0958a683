//! Programs that make it hard for the recorder of them (tests/workloads/subject.py): whatever they do, each call is a row or counted
//! as lost, memory stays within bounds, and the capture verifies.
//!
//! Each takes half a second; `VMTRACE_TEST_SUBJECT_SECONDS=60` gives them more.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::captures;
use super::harness::{finish, vmtrace};
use super::invariants::ledger_balances;

/// Bytes of its own that a recorder with default options may use beside its rings: rows that are not yet encoded
/// (`--memory-limit`, 64 MiB), and twice as much for all else: a debug build encodes slowly.
const MOST_MEMORY: u64 = 192 << 20;

/// Memory of a process that is no file's and not the kernel's rings, bytes.
fn memory(recorder: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", recorder.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

fn survives(what: &str) {
    let seconds = std::env::var("VMTRACE_TEST_SUBJECT_SECONDS").unwrap_or_else(|_| "0.5".into());
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("capture.parquet");
    let subject = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/workloads/subject.py");
    let mut command: Command = vmtrace();
    command.arg("record").arg("-o").arg(&path).args(["--", "python3", subject, what, &seconds]).env("OUT", dir.path());
    let mut recorder =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("vmtrace starts");
    let mut most = 0;
    while recorder.try_wait().expect("vmtrace").is_none() {
        most = most.max(memory(&recorder).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    let recording = finish(dir, path, recorder.wait_with_output().expect("vmtrace ends"));
    assert_eq!(recording.status.code(), Some(0), "{}", recording.stderr);
    let manifest = recording.manifest();
    assert_eq!(manifest.end_reason, "command_exit", "{}", recording.stderr);
    ledger_balances(&manifest);
    let report: Value = serde_json::from_str(recording.stdout.trim()).expect("a line of JSON");
    for (event, made) in report.as_object().expect("an object") {
        let book =
            manifest.ledger.iter().find(|row| row.event == *event).unwrap_or_else(|| panic!("no ledger of {event}"));
        assert_eq!(Some(book.written + book.lost()), made.as_u64(), "{event}: {book:?}");
        assert!(book.written > 0, "{event}: {book:?}");
    }
    let is_complete = captures::intact(std::slice::from_ref(&recording.path));
    let lost = manifest.ledger.iter().map(|row| row.lost()).sum::<u64>();
    assert_eq!(is_complete, lost == 0, "{lost} lost");
    eprintln!("{what}: {report}, {lost} lost, {} MiB", most >> 20);
    assert!((1..MOST_MEMORY).contains(&most), "{} MiB of memory", most >> 20);
}

macro_rules! subjects {
    ($($what:ident)*) => {
        $(
            #[test]
            #[ignore = "needs root and BPF"]
            fn $what() {
                survives(stringify!($what));
            }
        )*
    };
}

subjects! { flood names forks pipes paths iovecs frames signals processes }
