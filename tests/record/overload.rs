//! A recorder that does not come to run: what is lost then is counted, to the last call, and stands where it was.

use std::path::Path;

use vmtrace::schema::reader::Scan;

use super::harness::{Recording, vmtrace, work};
use super::invariants::ledger_balances;
use super::live::{Live, Waiting};
use super::progress::{Progress, monotonic_ns, wait_for_calls};

const EVENT: &str = "process_vm_readv";
/// Half of them are made while the recorder is stopped: many times what the small buffer holds.
const WORDS: &str = "readv --threads 2 --rate 10000 --count 40000";
const BUFFER: [&str; 2] = ["--buffer-size", "1M"];

fn words(progress: &Path) -> String {
    format!("{WORDS} --progress {}", progress.display())
}

/// Stops the recorder while the workload makes 40,000 calls. Returns the middle of that time on CLOCK_MONOTONIC.
fn pause(live: &Live, progress: &Path) -> i64 {
    wait_for_calls(progress, 5_000);
    live.signal(libc::SIGSTOP);
    let begin = monotonic_ns();
    wait_for_calls(progress, Progress::read(progress).all_done() + 40_000);
    let end = monotonic_ns();
    live.signal(libc::SIGCONT);
    (begin.midpoint(end)) as i64
}

/// Every call is a row or counted in a `lost` row, and such a row covers `middle_ns`.
fn nothing_is_unaccounted_for(recording: &Recording, made: u64, middle_ns: i64) {
    let manifest = recording.manifest();
    ledger_balances(&manifest);
    let book = manifest.ledger.iter().find(|l| l.event == EVENT).expect("ledger");
    let (mut rows, mut lost, mut covered) = (0, 0, false);
    let columns = vec!["event", "mono_ns", "dur_ns", "lost_event", "lost_count", "lost_cause"];
    for batch in recording.open().scan(&Scan { columns, ..Scan::default() }).expect("scan") {
        for row in batch.expect("batch").iter() {
            if row.event == EVENT {
                rows += 1;
            } else if row.lost_event == Some(EVENT) {
                lost += row.lost_count.expect("lost_count");
                let begin = row.mono_ns - row.dur_ns.expect("dur_ns");
                covered |= row.lost_cause == Some("ring_full") && (begin..=row.mono_ns).contains(&middle_ns);
            }
        }
    }
    eprintln!("{made} made, {rows} rows, {lost} lost; {book:?}");
    assert!(lost > 0, "nothing was lost: the pause did not overload the recorder");
    assert_eq!(rows + lost, made, "recorded + lost = done");
    assert_eq!((book.written, book.lost()), (rows, lost), "{book:?}");
    assert!(covered, "no lost row covers the pause");
    assert!(recording.stderr.lines().last().is_some_and(|line| line.contains("LOST")), "{}", recording.stderr);
    assert!(!super::captures::intact(std::slice::from_ref(&recording.path)), "verify says that events were lost");
}

fn of_command(options: &[&str], status: i32) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let progress = dir.path().join("progress");
    let live = Live::start_as(vmtrace(), dir, &[&BUFFER, options].concat(), &work(&words(&progress)));
    let middle_ns = pause(&live, &progress);
    let recording = live.end();
    let report = recording.report();
    let made = report["calls"][EVENT]["ok"].as_u64().expect("calls");
    assert_eq!(made, 80_000, "{report}");
    nothing_is_unaccounted_for(&recording, made, middle_ns);
    assert_eq!(recording.status.code(), Some(status), "{}", recording.stderr);
}

#[test]
#[ignore = "needs root and BPF"]
fn loss_does_not_change_the_status_of_command() {
    of_command(&[], 0);
}

#[test]
#[ignore = "needs root and BPF"]
fn loss_is_a_failure_if_asked() {
    of_command(&["--fail-on-loss"], 125);
}

#[test]
#[ignore = "needs root and BPF"]
fn loss_is_the_status_without_command() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let progress = dir.path().join("progress");
    let waiting = Waiting::start(&words(&progress));
    let pid = waiting.pid();
    let live = Live::start::<&str>(&[BUFFER[0], BUFFER[1], "-p", &pid], &[]);
    let worker = std::thread::spawn(move || waiting.go());
    let middle_ns = pause(&live, &progress);
    let report = worker.join().expect("workload");
    let recording = live.end();
    let made = report["calls"][EVENT]["ok"].as_u64().expect("calls");
    nothing_is_unaccounted_for(&recording, made, middle_ns);
    assert_eq!(recording.status.code(), Some(3), "{}", recording.stderr);
}
