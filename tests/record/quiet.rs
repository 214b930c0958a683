//! One event, and nothing after it: what follows from it must not wait for the next one. The process that made it lives on,
//! and does nothing until the test lets it end.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use vmtrace::schema::manifest::Manifest;

use super::captures;
use super::harness::{Row, is_call, rows};
use super::live::{Live, Subject, Waiting};
use super::progress::monotonic_ns;

/// A shell that makes one attempt when told to, a byte of another process's memory from where there is none, and lives on. Before, it
/// opens that memory.
struct Attempt {
    shell: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

const ATTEMPT: &str = "read go; exec 3</proc/$1/mem; read byte <&3; echo done; read end";

impl Attempt {
    fn on(target: u32) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", ATTEMPT, "sh", &target.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().expect("sh starts");
        let stdin = shell.stdin.take().expect("piped");
        let stdout = BufReader::new(shell.stdout.take().expect("piped"));
        Attempt { shell, stdin, stdout }
    }

    fn pid(&self) -> String {
        self.shell.id().to_string()
    }

    fn make(&mut self) {
        self.stdin.write_all(b"go\n").expect("start");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("done line");
        assert_eq!(line, "done\n");
    }

    fn leave(mut self) {
        self.stdin.write_all(b"end\n").expect("end");
        self.shell.wait().expect("sh ends");
    }
}

/// Begins to record, and lets nothing happen for so long that the recorder sleeps until it is woken.
fn record(options: &[&str], pid: &str) -> Live {
    let live = Live::start::<&str>(&[options, &["-p", pid]].concat(), &[]);
    std::thread::sleep(Duration::from_millis(500));
    live
}

/// Waits for something that a recorder does by itself; it has never come where it waits for another event.
fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begin = monotonic_ns();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(monotonic_ns() - begin < 20_000_000_000, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The calls in a file, and what it says of itself.
fn calls(path: &Path) -> (Vec<Row>, Manifest) {
    let calls = rows(path).into_iter().filter(|row| is_call(row.text("event"))).collect();
    (calls, captures::open(path).manifest().clone())
}

/// Finished files, and those of them that hold calls.
fn files(live: &Live) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let all = captures::finished(live.path().parent().expect("directory"));
    let with_calls = all.iter().filter(|path| !calls(path).0.is_empty()).cloned().collect();
    (all, with_calls)
}

#[test]
#[ignore = "needs root and BPF"]
fn a_count_ends_the_recording_with_the_transfer_that_reaches_it() {
    for count in ["1", "3"] {
        let mut waiting = Waiting::start(&format!("readv --count {count}"));
        let mut live = record(&["-c", count], &waiting.pid());
        waiting.work();
        wait_for("the end", || live.has_ended_within(Duration::from_millis(5)).then_some(()));
        let recording = live.end();
        recording.succeeded();
        assert_eq!(recording.manifest().end_reason, "count");
        assert_eq!(recording.calls().len().to_string(), count);
        waiting.leave();
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn statistics_count_what_has_happened() {
    let mut waiting = Waiting::start("readv --count 2");
    let mut live = record(&[], &waiting.pid());
    waiting.work();
    // Two transfers, and the two processes that they are about.
    wait_for("4 events", || (live.events() == 4).then_some(()));
    waiting.leave();
    live.end().succeeded();
}

/// A process that nobody asked to record is looked up when it is met, not when something else happens.
#[test]
#[ignore = "needs root and BPF"]
fn a_caller_that_ends_later_has_its_executable() {
    let target = Subject::start(Command::new("sleep").arg("1000"));
    let mut live = record(&[], &target.pid().to_string());
    // It begins behind the recorder, which knows those that lived before.
    let mut attempt = Attempt::on(target.pid());
    attempt.make();
    let exe = std::fs::read_link(format!("/proc/{}/exe", attempt.pid())).expect("executable");
    // The transfer, the open before it, and the two processes that these are about.
    wait_for("4 events", || (live.events() == 4).then_some(()));
    attempt.leave();
    live.signal(libc::SIGINT);
    let recording = live.end();
    recording.succeeded();
    assert_eq!(recording.event("mem_open").len(), 1);
    let calls = recording.calls_but_opens();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!((calls[0].text("errno"), calls[0].text("exe")), ("EIO", exe.to_str().expect("UTF-8")));
}

#[test]
#[ignore = "needs root and BPF"]
fn a_trigger_writes_its_file_right_behind_the_event() {
    let target = Subject::start(Command::new("sleep").arg("1000"));
    let mut attempt = Attempt::on(target.pid());
    let live = record(&["--flight-recorder", "1h", "--trigger", "errno = EIO"], &attempt.pid());
    attempt.make();
    let file = wait_for("the trigger's file", || files(&live).0.pop());
    let (calls, manifest) = calls(&file);
    assert_eq!(manifest.end_reason, "triggered");
    assert_eq!(calls.iter().map(|row| row.text("errno")).collect::<Vec<_>>(), ["", "EIO"]);
    attempt.leave();
    live.end();
}

/// The second comes while the first one's second is not over: its file follows then.
#[test]
#[ignore = "needs root and BPF"]
fn a_trigger_that_must_wait_does_not_wait_for_another_event() {
    let mut waiting = Waiting::start("readv --count 2 --rate 4");
    let live = record(&["--flight-recorder", "1h", "--trigger", "event = process_vm_readv"], &waiting.pid());
    waiting.work();
    let written = wait_for("two files", || Some(files(&live).1).filter(|written| written.len() == 2));
    assert!(written.iter().all(|path| calls(path).0.len() == 1));
    waiting.leave();
    live.end();
}

fn is_within(calls: &[Row], manifest: &Manifest) -> bool {
    let begin = manifest.segment.as_ref().expect("a file of a series").begin.monotonic_ns;
    calls.iter().all(|row| (begin..manifest.end.monotonic_ns).contains(&row.number("mono_ns")))
}

#[test]
#[ignore = "needs root and BPF"]
fn an_event_stands_in_the_file_of_its_interval() {
    let mut waiting = Waiting::start("readv --count 1");
    let live = record(&["-G", "2"], &waiting.pid());
    waiting.work();
    let file = wait_for("the file with the event", || files(&live).1.pop());
    let (event, manifest) = calls(&file);
    assert!(is_within(&event, &manifest), "{event:?} {manifest:?}");
    let interval = |at_ns: i64| at_ns.div_euclid(2_000_000_000);
    assert_eq!(manifest.end.realtime_ns % 2_000_000_000 / 1000, 0, "it ends with the interval");
    assert_eq!(interval(event[0].number("ts_ns")), interval(manifest.end.realtime_ns - 1000));
    waiting.leave();
    live.end();
}

/// A signal ends the file, with everything that happened before it.
#[test]
#[ignore = "needs root and BPF"]
fn what_happened_before_a_signal_is_in_the_file_it_ends() {
    for options in [&["-C", "1G"][..], &["--flight-recorder", "1h"]] {
        let mut waiting = Waiting::start("readv --count 5");
        let live = record(options, &waiting.pid());
        waiting.work();
        live.signal(libc::SIGUSR2);
        let file = wait_for("the first file", || files(&live).0.pop());
        assert_eq!(calls(&file).0.len(), 5, "{options:?}");
        waiting.leave();
        live.end();
    }
}

/// Where much happens, too: each call stands in the file in whose time it was made.
#[test]
#[ignore = "needs root and BPF"]
fn busy_files_end_where_they_say() {
    let waiting = Waiting::start("readv --rate 3000 --count 12000");
    let live = record(&["-G", "1"], &waiting.pid());
    waiting.go();
    let recording = live.end();
    let all = captures::finished(recording.path.parent().expect("directory"));
    captures::intact(&all);
    let mut made = 0;
    for path in &all {
        let (calls, manifest) = calls(path);
        assert!(is_within(&calls, &manifest), "{}: {:?}", path.display(), (&manifest.segment, &manifest.end));
        made += calls.len() as u64 + captures::lost(std::slice::from_ref(path), "process_vm_readv");
    }
    assert!(all.len() > 3 && made == 12_000, "{made} in {all:?}");
}
