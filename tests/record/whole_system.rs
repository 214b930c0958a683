//! What only a machine that belongs to the test can be put through, as guests can: recording the whole system (-a), and a
//! clock that is set.

use std::collections::BTreeSet;
use std::time::Duration;

use super::captures;
use super::containers::Container;
use super::harness::{Recording, compare_calls};
use super::invariants;
use super::live::{Live, Waiting};
use super::progress::monotonic_ns;

const NO_COMMAND: &[&str] = &[];

fn only_on_a_machine_of_its_own(what: &str) {
    let allowed = std::env::var_os("VMTRACE_TEST_WHOLE_SYSTEM").is_some();
    assert!(allowed, "this {what}; if the machine is the test's own, set VMTRACE_TEST_WHOLE_SYSTEM");
}

/// Processes that have nothing to do with the recorder are recorded, those there before and those that come later.
#[test]
#[ignore = "needs root and BPF, and records every process of the machine"]
fn unrelated_processes_are_recorded() {
    only_on_a_machine_of_its_own("records every process of the machine");
    let mut early = Waiting::start("readv --count 20 --log 20");
    let live = Live::start(&["-a"], NO_COMMAND);
    early.work();
    let late = Waiting::start("writev --count 20 --log 20").go();
    live.signal(libc::SIGINT);
    let recording = live.end();
    let early = early.leave();
    recording.succeeded();
    let manifest = recording.manifest();
    invariants::ledger_balances(&manifest);
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

/// What -u and --cgroup leave out is not introduced either: only targets of what is recorded are.
#[test]
#[ignore = "needs root and BPF, and records every process of the machine"]
fn only_processes_of_the_chosen_cgroup_and_user_are_told() {
    only_on_a_machine_of_its_own("records every process of the machine");
    let group = Container::new('f');
    let path = group.path.to_str().expect("UTF-8 path");
    // Moved before the recorder begins; the child that it reads stays outside.
    let waiting = Waiting::start("readv --count 5 --log 5");
    let target = waiting.children();
    group.put(&waiting.pid());
    let live = Live::start(&["-a", "--cgroup", path], NO_COMMAND);
    let report = waiting.go();
    live.signal(libc::SIGINT);
    let recording = live.end();
    recording.succeeded();
    compare_calls(&recording.calls(), &report, &recording.manifest());
    let introduced = told(&recording);
    assert_eq!(introduced, [report["pid"].to_string(), target[0].clone()].into(), "caller and target, nobody else");

    let live = Live::start(&["-a", "-u", "65534"], NO_COMMAND);
    live.signal(libc::SIGINT);
    let recording = live.end();
    assert_eq!(told(&recording), BTreeSet::new(), "nobody of that user lives");
}

/// The processes that a recording introduces.
fn told(recording: &Recording) -> BTreeSet<String> {
    recording.event("process_snapshot").iter().map(|row| row["pid"].to_string()).collect()
}

/// Sets the wall clock, and sets it back when dropped.
struct SteppedClock {
    realtime_ns: i64,
    monotonic_ns: i64,
}

impl SteppedClock {
    fn new() -> Self {
        SteppedClock { realtime_ns: realtime_ns(), monotonic_ns: monotonic_ns() as i64 }
    }

    /// Sets it to what it would be without any step, plus this.
    fn step(&self, seconds: i64) {
        let ns = self.realtime_ns + (monotonic_ns() as i64 - self.monotonic_ns) + seconds * 1_000_000_000;
        let time = libc::timespec { tv_sec: ns / 1_000_000_000, tv_nsec: ns % 1_000_000_000 };
        // SAFETY: `time` outlives the call.
        let ret = unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const time) };
        assert_eq!(ret, 0, "clock_settime: {}", std::io::Error::last_os_error());
    }
}

impl Drop for SteppedClock {
    fn drop(&mut self) {
        self.step(0);
    }
}

fn realtime_ns() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    now.as_nanos() as i64
}

/// The wall clock is set an hour on and two back while it records: order and durations stay, and the steps are told.
#[test]
#[ignore = "needs root and BPF, and sets the machine's clock"]
fn a_stepped_wall_clock_changes_no_order_and_is_told() {
    only_on_a_machine_of_its_own("sets the machine's clock");
    let waiting = Waiting::start("readv --rate 500 --count 1500");
    let clock = SteppedClock::new();
    let pid = waiting.pid();
    let live = Live::start(&["-p", &pid], NO_COMMAND);
    let worker = std::thread::spawn(move || waiting.go());
    for seconds in [3600, -3600] {
        std::thread::sleep(Duration::from_secs(1));
        clock.step(seconds);
        // A file's end is where its clocks are read.
        live.signal(libc::SIGUSR2);
    }
    worker.join().expect("workload");
    let recording = live.end();
    drop(clock);
    let files = captures::finished(recording.path.parent().expect("directory"));
    assert_eq!(files.len(), 3, "{}", recording.stderr);
    captures::intact(&files);
    let mut last = 0;
    let mut offsets = Vec::new();
    for path in &files {
        // In file order, which is that of the monotonic clock; the wall clock is that of the recording's start throughout.
        let mut rows = super::harness::rows(path);
        rows.sort_by_key(|r| r.number("seq"));
        for row in rows {
            assert!(row.number("mono_ns") >= last, "{row:?}");
            last = row.number("mono_ns");
            offsets.push(row.number("ts_ns") - last);
        }
        let manifest = captures::manifest(path);
        let wall = |at: &str| {
            let clocks = &manifest[at];
            let ns = |name: &str| clocks[name].as_i64().expect("ns");
            ns("realtime_ns") - ns("monotonic_ns")
        };
        eprintln!("{}: start {}, end {}", path.display(), wall("start"), wall("end"));
    }
    offsets.dedup();
    assert_eq!(offsets.len(), 1, "order and differences do not follow the wall clock");
    let total: u64 =
        files.iter().map(|path| captures::Numbers::of(std::slice::from_ref(path), "process_vm_readv").count()).sum();
    assert_eq!(total, 1500);
    let steps = files.iter().map(|path| {
        let manifest = captures::open(path).manifest().clone();
        let ahead = manifest.end.realtime_ns - manifest.end.monotonic_ns - offsets[0];
        // To the nearest minute.
        (ahead + 30_000_000_000).div_euclid(60_000_000_000)
    });
    assert_eq!(steps.collect::<Vec<_>>(), [60, -60, -60], "minutes that the clock was ahead at each file's end");
}
