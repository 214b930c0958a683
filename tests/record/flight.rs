//! The flight recorder: nothing is written until somebody asks, and then the last of it.

use std::path::PathBuf;
use std::time::Duration;

use super::captures::{self, Numbers};
use super::harness::{Recording, work};
use super::invariants::ledger_balances;
use super::live::Live;
use super::progress::{Progress, monotonic_ns, wait_for_calls};

const EVENT: &str = "process_vm_readv";

struct Flight {
    live: Live,
    progress: PathBuf,
}

impl Flight {
    /// Records a workload of one thread for `seconds`, with its progress beside the captures.
    fn start(options: &[&str], seconds: u32) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let progress = dir.path().join("progress");
        let (rate, name) = (1000, progress.display().to_string());
        let words = format!("readv --noise --rate {rate} --count {} --progress {name}", rate * seconds);
        let live = Live::start_as(super::harness::vmtrace(), dir, options, &work(&words));
        Flight { live, progress }
    }

    fn captures(&self) -> Vec<PathBuf> {
        captures::finished(self.live.path().parent().expect("directory"))
    }

    /// Waits until there are `n` captures.
    fn wait_for_captures(&self, n: usize) -> Vec<PathBuf> {
        let begin = monotonic_ns();
        loop {
            let captures = self.captures();
            if captures.len() >= n {
                return captures;
            }
            assert!(monotonic_ns() - begin < 20_000_000_000, "{n} captures were expected, there are {captures:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn sound(captures: &[PathBuf]) {
    for path in captures {
        captures::intact(std::slice::from_ref(path));
        ledger_balances(captures::open(path).manifest());
    }
}

/// The numbers of the one thread in one capture, which are without gaps: the first and the last.
fn span(capture: &PathBuf) -> (u64, u64) {
    let numbers = Numbers::of(std::slice::from_ref(capture), EVENT);
    let found = numbers.of_thread(0);
    let (first, last) = (found[0], found[found.len() - 1]);
    let missing = found.len() as u64 + captures::lost(std::slice::from_ref(capture), EVENT);
    assert!(missing > last - first, "{}: numbers between {first} and {last} are missing", capture.display());
    (first, last)
}

/// The last second of four, on request: what had happened is there, what was long ago is not.
#[test]
#[ignore = "needs root and BPF"]
fn a_signal_writes_the_last_of_it() {
    let flight = Flight::start(&["--flight-recorder", "1s"], 8);
    wait_for_calls(&flight.progress, 4000);
    assert!(flight.captures().is_empty(), "nothing is written before: {:?}", flight.captures());
    let before = Progress::read(&flight.progress).done(0);
    flight.live.signal(libc::SIGUSR2);
    let first = flight.wait_for_captures(1);
    let recording = flight.live.end();
    assert_eq!(recording.status.code(), Some(0), "{}", recording.stderr);
    sound(&first);
    let (begin, end) = span(&first[0]);
    eprintln!("{before} were made at the request; the capture has {begin} to {end}");
    // What is in a ring still, at most a window's worth, is in the next.
    assert!(end + 250 >= before, "what was made before the signal is there");
    assert!(begin + 1000 <= before + 400, "at least most of a second is there");
    assert!(begin >= before.saturating_sub(2500), "what was seconds ago is not");
    let all = captures::finished(recording.path.parent().expect("directory"));
    assert_eq!(all.len(), 2, "on request, and at the end: {all:?}");
    sound(&all);
    assert_eq!(span(&all[1]).1, 7999, "the end is in the last");
    Numbers::of(&all, EVENT); // none twice
    captures::keep(&all, "flight-signal");
}

/// By size: as much as fits.
#[test]
#[ignore = "needs root and BPF"]
fn the_end_writes_the_last_that_fits() {
    let flight = Flight::start(&["--flight-recorder", "128K"], 10);
    let recording = flight.live.end();
    assert_eq!(recording.status.code(), Some(0), "{}", recording.stderr);
    let all = captures::finished(recording.path.parent().expect("directory"));
    assert_eq!(all.len(), 1, "{all:?}");
    sound(&all);
    let (begin, end) = span(&all[0]);
    assert_eq!(end, 9999);
    assert!(begin > 0, "10,000 events take more than 128 KiB");
    let size = all[0].metadata().expect("metadata").len();
    assert!(size < 512 << 10, "{size} bytes");
}

fn at_a_denied_call(trigger: &str) -> (Recording, Vec<PathBuf>) {
    let work = |words: &str| work(words).join(" ");
    let script = format!("{}; {}; {}", work("readv --rate 1000 --count 1500"), work("edge eperm"), "sleep 1.5");
    let live = Live::start(&["--flight-recorder", "10s", "--trigger", trigger], &["sh", "-c", &script]);
    let recording = live.end();
    assert_eq!(recording.status.code(), Some(0), "{}", recording.stderr);
    let all = captures::finished(recording.path.parent().expect("directory"));
    sound(&all);
    (recording, all)
}

/// The past of an incident, with the incident in it.
#[test]
#[ignore = "needs root and BPF"]
fn an_event_that_meets_the_trigger_writes_what_came_before() {
    let (_recording, all) = at_a_denied_call("errno = EPERM and event = process_vm_readv");
    assert_eq!(all.len(), 2, "the incident, and the end: {all:?}");
    assert_eq!(captures::open(&all[0]).manifest().end_reason, "triggered");
    let rows = super::harness::rows(&all[0]);
    assert!(rows.iter().any(|r| r["errno"] == "EPERM"), "the event itself is in it");
    assert_eq!(span(&all[0]), (0, 1499), "and what came before");
    captures::keep(&all, "flight-trigger");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_trigger_that_is_not_met_writes_nothing_before_the_end() {
    let (_recording, all) = at_a_denied_call("errno = ENOSYS");
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(captures::open(&all[0]).manifest().end_reason, "command_exit");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_wrong_trigger_is_refused_in_one_sentence() {
    for (trigger, wanted) in
        [("erno = EPERM", "similar: errno"), ("errno =", "expected a value"), ("pid ~ x", "a number")]
    {
        let own = std::process::id().to_string();
        let options = ["--flight-recorder", "1s", "--trigger", trigger, "-p", &own];
        let recording = super::harness::record_unchecked::<&str>(&options, &[]);
        assert_eq!(recording.status.code(), Some(2), "{}", recording.stderr);
        assert!(recording.stderr.contains(wanted), "{}", recording.stderr);
        assert!(!recording.path.exists());
    }
}
