//! A disk that is full: recording ends or makes room, what is claimed is there, and COMMAND does not notice.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use super::captures::{self, Numbers};
use super::harness::{Recording, finish, vmtrace, work};
use super::invariants::ledger_balances;
use super::live::Waiting;

/// Bytes of each payload; nothing compresses them.
const SIZE: u64 = 4096;
const EVENT: &str = "process_vm_readv";

/// Runs `test` with a directory on a file system of its own that holds `mib` MiB. It is there for this thread and what that
/// starts, and is gone with them.
fn on_a_disk_of(mib: u64, test: impl FnOnce(&Path) + Send) {
    let point = tempfile::tempdir().expect("temporary directory");
    let run = || {
        mount_here(point.path(), mib);
        test(point.path());
    };
    let outcome = std::thread::scope(|scope| scope.spawn(run).join());
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

fn mount_here(point: &Path, mib: u64) {
    let point = std::ffi::CString::new(point.to_str().expect("UTF-8 path")).expect("path");
    let size = std::ffi::CString::new(format!("size={mib}m")).expect("options");
    let (none, tmpfs) = (c"none".as_ptr(), c"tmpfs".as_ptr());
    let fails = |ret: i32, what: &str| assert_eq!(ret, 0, "{what}: {}", std::io::Error::last_os_error());
    // SAFETY: all strings end with a NUL and outlive the calls.
    unsafe {
        fails(libc::unshare(libc::CLONE_NEWNS), "unshare");
        fails(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, std::ptr::null()), "mount /");
        fails(libc::mount(none, point.as_ptr(), tmpfs, 0, size.as_ptr().cast()), "mount tmpfs");
    }
}

/// A workload that moves `mib` MiB in calls at that rate, and how many calls that are.
fn words(mib: u64, rate: u64) -> (String, u64) {
    let count = mib * (1 << 20) / SIZE;
    (format!("readv --noise --size {SIZE} --rate {rate} --count {count}"), count)
}

fn record_on(disk: &Path, options: &[&str], words: &str) -> Recording {
    let dir = TempDir::new_in(disk).expect("temporary directory");
    let path = dir.path().join("capture.parquet");
    let mut recorder = vmtrace();
    recorder.args(["record", "-s", "4096", "-o"]).arg(&path).args(options).arg("--").args(work(words));
    let output = recorder.stdin(Stdio::null()).output().expect("vmtrace starts");
    finish(dir, path, output)
}

fn captures_of(recording: &Recording) -> Vec<PathBuf> {
    captures::finished(recording.path.parent().expect("directory"))
}

/// COMMAND did all it had to do.
fn is_untouched(report: &Value, count: u64) {
    assert_eq!(report["calls"][EVENT]["ok"], count, "{report}");
    assert_eq!(report["stopped"], false);
}

/// What holds for every capture that is left: intact, and as many rows as the ledger and the last line claim.
fn claims_what_is_there(recording: &Recording, captures: &[PathBuf]) -> Numbers {
    captures::intact(captures);
    for path in captures {
        let manifest = captures::open(path).manifest().clone();
        ledger_balances(&manifest);
        let written: u64 = manifest.ledger.iter().map(|l| l.written).sum();
        assert_eq!(written, captures::rows(std::slice::from_ref(path)), "{}", path.display());
    }
    let dir = recording.path.parent().expect("directory");
    assert!(captures::partial(dir).is_empty() && captures::journal(dir).is_empty(), "something is left in {dir:?}");
    Numbers::of(captures, EVENT)
}

/// The number in front of `events written` in the last line.
fn claimed(recording: &Recording) -> u64 {
    let line = recording.stderr.lines().last().unwrap_or_default().replace(',', "");
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.windows(3).position(|w| w[1] == "events" && w[2].starts_with("written"));
    at.and_then(|at| words[at].parse().ok()).unwrap_or_else(|| panic!("no number of events in {line:?}"))
}

fn says_file_and_cause(recording: &Recording) {
    let said = &recording.stderr;
    assert!(said.contains("capture.parquet") && said.contains("No space left on device"), "{said}");
}

fn stops_cleanly(mib: u64, rate: u64) {
    on_a_disk_of(mib, |disk| {
        let (words, count) = words(3 * mib, rate);
        let recording = record_on(disk, &[], &words);
        eprintln!("{mib} MiB: {}", recording.stderr);
        assert_eq!(recording.status.code(), Some(0), "COMMAND's status is passed on");
        is_untouched(&recording.report(), count);
        says_file_and_cause(&recording);
        let captures = captures_of(&recording);
        assert!(captures.iter().eq([&recording.path]), "{captures:?}");
        let numbers = claims_what_is_there(&recording, &captures);
        assert_eq!(claimed(&recording), captures::rows(&captures));
        assert_eq!(recording.manifest().end_reason, "disk_full");
        assert!(numbers.count() > 0 && numbers.count() < count, "{} of {count}", numbers.count());
        numbers.all_made(&[count]);
        // What was recorded until then is there from the first call on.
        let last = numbers.of_thread(0).last().copied().unwrap_or(0);
        let missing = numbers.missing(0, last).len() as u64;
        assert!(missing <= captures::lost(&captures, EVENT), "{missing} are missing below {last}");
        captures::keep(&captures, &format!("full{mib}"));
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_disk_of_1_mib_stops_the_recording_cleanly() {
    stops_cleanly(1, 5000);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_disk_of_4_mib_stops_the_recording_cleanly() {
    stops_cleanly(4, 5000);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_disk_of_16_mib_stops_the_recording_cleanly() {
    stops_cleanly(16, 5000);
}

/// COMMAND has ended when the disk becomes full with what was recorded of it.
#[test]
#[ignore = "needs root and BPF"]
fn a_disk_that_is_full_only_at_the_end_is_told_of_all_the_same() {
    stops_cleanly(2, 0);
}

/// Loss is a failure where that was asked for, and only loss is.
#[test]
#[ignore = "needs root and BPF"]
fn a_full_disk_is_a_failure_if_it_lost_something_and_that_was_asked_for() {
    on_a_disk_of(2, |disk| {
        let (words, count) = words(8, 5000);
        let recording = record_on(disk, &["--fail-on-loss"], &words);
        is_untouched(&recording.report(), count);
        says_file_and_cause(&recording);
        let wanted = if recording.manifest().lost() > 0 { 125 } else { 0 };
        assert_eq!(recording.status.code(), Some(wanted), "{}", recording.stderr);
    });
}

/// Without COMMAND the status reports it.
#[test]
#[ignore = "needs root and BPF"]
fn a_recorded_process_goes_on_when_the_disk_is_full() {
    on_a_disk_of(2, |disk| {
        let (words, count) = words(8, 5000);
        let waiting = Waiting::start(&words);
        let dir = TempDir::new_in(disk).expect("temporary directory");
        let options = ["-s", "4096", "-p", &waiting.pid()];
        let live = super::live::Live::start_as::<&str>(vmtrace(), dir, &options, &[]);
        let report = waiting.go();
        let recording = live.end();
        is_untouched(&report, count);
        says_file_and_cause(&recording);
        assert!(matches!(recording.status.code(), Some(2 | 3)), "{}\n{}", recording.status, recording.stderr);
        claims_what_is_there(&recording, &captures_of(&recording));
    });
}

/// Payloads are left out when they no longer fit; the events go on.
#[test]
#[ignore = "needs root and BPF"]
fn payloads_are_dropped_first_if_asked() {
    on_a_disk_of(4, |disk| {
        let (words, count) = words(12, 5000);
        let recording = record_on(disk, &["--on-full", "drop-payload"], &words);
        eprintln!("{}", recording.stderr);
        assert_eq!(recording.status.code(), Some(0));
        is_untouched(&recording.report(), count);
        let numbers = claims_what_is_there(&recording, &captures_of(&recording));
        eprintln!("{} rows with payload, {} without", numbers.count(), numbers.without_payload);
        assert!(numbers.count() > 0 && numbers.without_payload > 0);
    });
}

/// The oldest files of the recording make room for the newest.
#[test]
#[ignore = "needs root and BPF"]
fn old_files_make_room_if_asked() {
    on_a_disk_of(4, |disk| {
        // A rate that even a debug build keeps up with: else its journal takes the room.
        let (words, count) = words(12, 800);
        let recording = record_on(disk, &["--on-full", "rotate-out", "-C", "512K"], &words);
        eprintln!("{}", recording.stderr);
        assert_eq!(recording.status.code(), Some(0));
        is_untouched(&recording.report(), count);
        let captures = captures_of(&recording);
        assert!(captures.len() > 1, "{captures:?}");
        assert!(!captures[0].ends_with("capture-0001.parquet"), "the oldest has gone: {captures:?}");
        let numbers = claims_what_is_there(&recording, &captures);
        let found = numbers.of_thread(0);
        assert_eq!(found.last(), Some(&(count - 1)), "recorded to the end");
        let first = found.first().copied().unwrap_or(0);
        let missing = numbers.missing(0, count).len() as u64 - first;
        assert!(missing <= captures::lost(&captures, EVENT), "{missing} are missing behind {first}");
    });
}
