//! Recordings of several files: when one ends, that nothing falls between two, and that each stands for itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use vmtrace::schema::reader::Scan;

use super::captures::{self, Numbers};
use super::harness::{Recording, record_unchecked, work};
use super::invariants::ledger_balances;
use super::live::{Live, send};
use super::progress::{Progress, monotonic_ns, wait_for_calls};

const EVENT: &str = "process_vm_readv";
const NO_COMMAND: &[&str] = &[];

/// The files of a recording, each of which is intact, balanced and chained to the one before.
fn files(recording: &Recording) -> Vec<PathBuf> {
    let dir = recording.path.parent().expect("directory");
    let captures = captures::finished(dir);
    assert!(captures::partial(dir).is_empty() && captures::journal(dir).is_empty(), "something is left in {dir:?}");
    captures::intact(&captures);
    for path in &captures {
        captures::intact(std::slice::from_ref(path));
        ledger_balances(captures::open(path).manifest());
    }
    is_a_series(&captures);
    captures
}

fn name(path: &Path) -> String {
    path.file_name().expect("name").to_string_lossy().into_owned()
}

/// Numbers, names, links and rows follow each other.
fn is_a_series(captures: &[PathBuf]) {
    let segments: Vec<Value> = captures.iter().map(|path| captures::manifest(path)["segment"].clone()).collect();
    let ids: Vec<String> = captures.iter().map(|path| captures::open(path).manifest().capture_id.clone()).collect();
    assert!(ids.windows(2).all(|w| w[0] == w[1]), "one recording has one id: {ids:?}");
    for (path, segment) in captures.iter().zip(&segments) {
        let index = segment["index"].as_u64().expect("index");
        assert_eq!(name(path), format!("capture-{index:04}.parquet"));
        let linked = segment["previous_root"].is_string() && segment["previous_file"].is_string();
        assert_eq!(linked, index > 1, "{segment}");
    }
    for (pair, segment) in captures.windows(2).zip(&segments[1..]) {
        assert_eq!(segment["previous_file"], name(&pair[0]));
    }
    let mut next = None;
    for path in captures {
        for batch in captures::open(path).scan(&Scan { columns: vec!["seq"], ..Scan::default() }).expect("scan") {
            for row in batch.expect("batch").iter() {
                assert_eq!(next.unwrap_or(row.seq), row.seq, "{}", path.display());
                next = Some(row.seq + 1);
            }
        }
    }
}

/// Every call of a workload of one thread that made `count` is in one of the files, but for what the ledger counts as lost.
fn are_complete(captures: &[PathBuf], count: u64) {
    let numbers = Numbers::of(captures, EVENT);
    let lost = captures::lost(captures, EVENT);
    assert_eq!(numbers.count() + lost, count, "{} rows and {lost} lost", numbers.count());
    numbers.all_made(&[count]);
}

#[test]
#[ignore = "needs root and BPF"]
fn files_end_by_size() {
    let words = "readv --noise --size 1024 --rate 4000 --count 8000";
    let recording = record_unchecked(&["-s", "1024", "-C", "1M"], &work(words));
    assert_eq!(recording.status.code(), Some(0), "{}", recording.stderr);
    let captures = files(&recording);
    assert!(captures.len() >= 4, "8 MB in files of 1 MiB: {captures:?}");
    are_complete(&captures, 8000);
    for path in &captures[..captures.len() - 1] {
        let size = path.metadata().expect("metadata").len();
        assert!((512 << 10..=2 << 20).contains(&size), "{}: {size} bytes", path.display());
        assert_eq!(captures::open(path).manifest().end_reason, "rotated");
    }
    assert_eq!(captures::open(captures.last().expect("files")).manifest().end_reason, "command_exit");
    assert!(!recording.path.exists(), "files are numbered");
    captures::keep(&captures, "rotate-size");
}

/// The wall clock ends files, also where nothing happens.
#[test]
#[ignore = "needs root and BPF"]
fn files_end_by_the_wall_clock() {
    let script = format!("{}; sleep 3.5", work("readv --rate 500 --count 200").join(" "));
    let recording = record_unchecked(&["-G", "1"], &["sh", "-c", &script]);
    assert_eq!(recording.status.code(), Some(0), "{}", recording.stderr);
    let captures = files(&recording);
    assert!((4..=6).contains(&captures.len()), "{captures:?}");
    are_complete(&captures, 200);
    let begins = captures.iter().map(|path| captures::manifest(path)["segment"]["begin"]["realtime_ns"].clone());
    let begins: Vec<i64> = begins.map(|b| b.as_i64().expect("realtime_ns")).collect();
    for pair in begins.windows(2) {
        let (second, into) = (pair[1].div_euclid(1_000_000_000), pair[1].rem_euclid(1_000_000_000));
        assert_eq!(second, pair[0].div_euclid(1_000_000_000) + 1, "{begins:?}");
        assert!(into < 900_000_000, "not aligned to the clock: {begins:?}");
    }
    captures::keep(&captures, "rotate-time");
}

#[test]
#[ignore = "needs root and BPF"]
fn only_the_latest_files_are_kept_if_asked() {
    let words = "readv --noise --size 1024 --rate 4000 --count 8000";
    let recording = record_unchecked(&["-s", "1024", "-C", "1M", "-W", "3"], &work(words));
    assert_eq!(recording.status.code(), Some(0), "{}", recording.stderr);
    let captures = files(&recording);
    assert_eq!(captures.len(), 3, "{captures:?}");
    let numbers = Numbers::of(&captures, EVENT);
    let found = numbers.of_thread(0);
    assert_eq!(found.last(), Some(&7999));
    let first = found[0];
    assert!(first > 0, "the first files are gone");
    let missing = numbers.missing(0, 8000).len() as u64 - first;
    assert!(missing <= captures::lost(&captures, EVENT), "{missing} missing behind {first}");
}

/// All files together stay within the limit; COMMAND goes on.
#[test]
#[ignore = "needs root and BPF"]
fn a_size_ends_the_recording() {
    for options in [&["--max-size", "2M"][..], &["--max-size", "2M", "-C", "512K"]] {
        let words = "readv --noise --size 1024 --rate 4000 --count 8000";
        let recording = record_unchecked(&[options, &["-s", "1024"]].concat(), &work(words));
        assert_eq!(recording.status.code(), Some(0), "{}", recording.stderr);
        assert_eq!(recording.report()["calls"][EVENT]["ok"], 8000);
        let dir = recording.path.parent().expect("directory");
        let captures = captures::finished(dir);
        captures::intact(&captures);
        let size: u64 = captures.iter().map(|path| path.metadata().expect("metadata").len()).sum();
        assert!((1 << 20..=2 << 20).contains(&size), "{options:?}: {size} bytes");
        assert_eq!(captures::open(captures.last().expect("files")).manifest().end_reason, "max_size");
        assert_eq!(captures.len() > 1, options.len() > 2, "{captures:?}");
        Numbers::of(&captures, EVENT).all_made(&[8000]);
    }
}

/// SIGUSR2 begins a new file, also in a recording that had one; SIGUSR1 reports how it goes. COMMAND works until both files
/// are there, however long that takes.
#[test]
#[ignore = "needs root and BPF"]
fn signals_rotate_and_report() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let progress = dir.path().join("progress");
    let words = work(&format!("readv --rate 1000 --count 0 --duration 120 --progress {}", progress.display()));
    let mut live = Live::start_as(super::harness::vmtrace(), dir, &[], &words);
    let mut made = wait_for_calls(&progress, 500);
    live.signal(libc::SIGUSR1);
    live.wait_until_it_says(" events, ");
    for ended in 1..=2 {
        made = wait_for_calls(&progress, made + 500);
        live.signal(libc::SIGUSR2);
        wait_for_files(&live, ended);
    }
    wait_for_calls(&progress, made + 500);
    send(Progress::read(&progress).pid(), libc::SIGTERM);
    let recording = live.end();
    assert_eq!(recording.status.code(), Some(0), "{}", recording.stderr);
    let reports = recording.stderr.lines().filter(|line| line.contains(" events, ") && line.contains(" lost"));
    assert_eq!(reports.count(), 1, "statistics, once: {}", recording.stderr);
    let captures = files(&recording);
    assert_eq!(captures.len(), 3, "{captures:?}");
    are_complete(&captures, recording.report()["calls"][EVENT]["ok"].as_u64().expect("calls"));
}

/// Waits until that many files are finished.
fn wait_for_files(live: &Live, count: usize) {
    let begin = monotonic_ns();
    while captures::finished(live.path().parent().expect("directory")).len() < count {
        assert!(monotonic_ns() - begin < 60_000_000_000, "{count} files were expected within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A new file every few milliseconds: nothing falls between two.
#[test]
#[ignore = "needs root and BPF"]
fn nothing_falls_between_two_files() {
    let mut live = Live::start(&[], &work("readv --rate 5000 --count 20000"));
    let pause = Duration::from_millis(40);
    while !live.has_ended_within(pause) {
        live.signal(libc::SIGUSR2);
    }
    let recording = live.end();
    assert_eq!(recording.status.code(), Some(0), "{}", recording.stderr);
    let captures = files(&recording);
    eprintln!("{} files", captures.len());
    assert!(captures.len() > 5, "{captures:?}");
    are_complete(&captures, 20_000);
}

/// The name of a file that is to come may be taken: it is not overwritten, and what was recorded stays.
#[test]
#[ignore = "needs root and BPF"]
fn a_later_file_does_not_overwrite_another() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let taken = dir.path().join("capture-0002.parquet");
    std::fs::write(&taken, "kept").expect("file");
    let live = Live::start_as(super::harness::vmtrace(), dir, &["-C", "1M"], NO_COMMAND_BUT_SLEEP);
    live.signal(libc::SIGUSR2);
    let recording = live.end();
    assert_eq!(std::fs::read(&taken).expect("file"), b"kept");
    assert!(recording.stderr.contains("capture-0002.parquet"), "{}", recording.stderr);
    super::output::names_files_that_are_there(&recording.stderr, recording.path.parent().expect("directory"));
    captures::intact(&[recording.path.with_file_name("capture-0001.parquet")]);
}

const NO_COMMAND_BUT_SLEEP: &[&str] = &["sleep", "1"];

/// Options that contradict each other are refused before anything is written.
#[test]
#[ignore = "needs root and BPF"]
fn files_to_keep_need_a_reason_to_rotate() {
    let own = std::process::id().to_string();
    let recording = record_unchecked(&["-W", "3", "-p", &own], NO_COMMAND);
    assert_eq!(recording.status.code(), Some(2), "{}", recording.stderr);
    assert!(recording.stderr.contains("-W") || recording.stderr.contains("--files"), "{}", recording.stderr);
}
