//! Events that are printed as they happen, of which nothing is left.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::harness::{vmtrace, work};
use super::live::{Waiting, send};
use super::print::printed_and_left;

/// `vmtrace watch` in a directory in which nothing may be left.
struct Watch {
    dir: TempDir,
    watch: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
}

fn watch(dir: &TempDir) -> Command {
    let mut watch = vmtrace();
    watch.arg("watch").current_dir(dir.path()).env("TMPDIR", dir.path());
    watch.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    watch
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).expect("directory").next().is_none()
}

impl Watch {
    /// Starts it for a process, and waits until it watches.
    fn start(pid: &str, options: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut watch = watch(&dir).args(options).args(["-p", pid]).spawn().expect("vmtrace starts");
        let stderr = BufReader::new(watch.stderr.take().expect("piped"));
        let mut watch = Watch { dir, watch, stderr, said: String::new() };
        watch.wait_for(&format!("vmtrace: watching pid {pid} ("));
        watch
    }

    /// Waits for a line on stderr, and returns it.
    fn wait_for(&mut self, begin: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.stderr.read_line(&mut line).expect("stderr") > 0, "vmtrace ended early: {}", self.said);
            self.said.push_str(&line);
            if line.starts_with(begin) {
                return line;
            }
        }
    }

    /// Waits until so many events have come, whether they were printed or not.
    fn wait_for_events(&mut self, events: u64) {
        loop {
            send(self.watch.id(), libc::SIGUSR1);
            let line = self.wait_for("vmtrace: ");
            let number = line.split(' ').nth(1).map(|number| number.replace(',', ""));
            if number.and_then(|number| number.parse::<u64>().ok()).is_some_and(|number| number >= events) {
                return;
            }
        }
    }

    /// Its end: what it printed and said.
    fn end(mut self) -> (Output, TempDir) {
        let mut output = self.watch.wait_with_output().expect("vmtrace ends");
        self.stderr.read_to_end(&mut output.stderr).expect("stderr");
        output.stderr.splice(0..0, self.said.into_bytes());
        (output, self.dir)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
#[ignore = "needs root and BPF"]
fn every_event_is_printed_in_order_and_nothing_is_left() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut command = work("readv --count 300 --log 1 --threads 2");
    // Its output goes to the other stream, so that stdout has nothing but events.
    command.splice(0..0, ["sh", "-c", r#"exec "$0" "$@" >&2"#].map(String::from));
    let output = watch(&dir).args(["-T", "jsonl", "--"]).args(&command).output().expect("vmtrace starts");
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let lines: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let calls = lines.iter().filter(|line| line["event"] == "process_vm_readv").count();
    assert_eq!(calls, 600, "{stderr}");
    for (seq, line) in lines.iter().enumerate() {
        assert_eq!(line["seq"], seq);
    }
    let report: Value = stderr.lines().find_map(|line| serde_json::from_str(line).ok()).expect("a report");
    assert_eq!(report["calls"]["process_vm_readv"]["calls"].as_u64().unwrap_or(600), 600);
    let summary = stderr.lines().last().expect("a summary");
    let begin = format!("vmtrace: {} events, 0 lost", lines.len());
    assert!(summary.starts_with(&begin) && !summary.contains("on disk"), "{summary}");
    assert!(is_empty(dir.path()), "something is left");
}

#[test]
#[ignore = "needs root and BPF"]
fn text_is_the_default_and_the_status_is_that_of_the_command() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let script = format!("{} >&2; exit 7", work("readv --count 3").join(" "));
    let output = watch(&dir).args(["--", "sh", "-c", &script]).output().expect("vmtrace starts");
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let stdout = text(&output.stdout);
    assert_eq!(stdout.lines().filter(|line| line.contains("process_vm_readv")).count(), 3, "{stdout}");
    let output = watch(&dir).args(["--", "/no/such/program"]).output().expect("vmtrace starts");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(127), 0), "{output:?}");
}

#[test]
#[ignore = "needs root and BPF"]
fn nothing_is_left_of_one_that_is_killed() {
    let mut waiting = Waiting::start("readv --count 2000 --log 1");
    let mut watch = Watch::start(&waiting.pid(), &[]);
    waiting.work();
    watch.wait_for_events(2000);
    assert!(is_empty(watch.dir.path()), "it writes files");
    let descriptors = format!("/proc/{}/fd", watch.watch.id());
    for descriptor in std::fs::read_dir(descriptors).expect("descriptors") {
        let file = std::fs::metadata(descriptor.expect("entry").path());
        assert!(!file.is_ok_and(|file| file.is_file() && file.len() > 0), "it writes a file without a name");
    }
    send(watch.watch.id(), libc::SIGKILL);
    let (_, dir) = watch.end();
    assert!(is_empty(dir.path()), "something is left");
    waiting.leave();
}

#[test]
#[ignore = "needs root and BPF"]
fn a_reader_that_sleeps_loses_lines_which_are_counted() {
    let mut waiting = Waiting::start("readv --count 90000 --log 1");
    let mut watch = Watch::start(&waiting.pid(), &["-T", "jsonl"]);
    waiting.work();
    // All of them have passed, and nobody has read a line.
    watch.wait_for_events(90_000);
    waiting.leave();
    let (output, _dir) = watch.end();
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let (printed, left) = printed_and_left(&text(&output.stdout));
    assert!(printed > 0 && left > 0 && printed + left > 90_000, "{printed} printed, {left} not");
    let grouped = |number: u64| vmtrace::count::grouped(number);
    let summary = stderr.lines().last().expect("a summary");
    let begin = format!("vmtrace: {} events, 0 lost", grouped(printed + left));
    assert!(summary.starts_with(&begin), "{summary}");
    assert!(summary.contains(&format!(", {} events not printed;", grouped(left))), "{summary}");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let mut waiting = Waiting::start("readv --count 10 --log 1");
    let mut watch = Watch::start(&waiting.pid(), &[]);
    waiting.work();
    let mut reader = BufReader::new(watch.watch.stdout.take().expect("piped"));
    let mut line = String::new();
    assert!(reader.read_line(&mut line).expect("stdout") > 0);
    drop(reader);
    // No other event comes, which could show that nobody reads.
    let (output, _dir) = watch.end();
    let stderr = text(&output.stderr);
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(0), 1), "{stderr}");
    waiting.leave();
}

#[test]
#[ignore = "needs root and BPF"]
fn a_command_outlives_its_reader() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (from, to) = std::io::pipe().expect("pipe");
    drop(from);
    let script = format!("{} >&2; exit 7", work("readv --count 3").join(" "));
    let mut watch = watch(&dir);
    let output = watch.stdout(to).args(["--", "sh", "-c", &script]).output().expect("vmtrace starts");
    assert_eq!(output.status.code(), Some(7), "{output:?}");
}

#[test]
#[ignore = "needs root and BPF"]
fn what_cannot_be_printed_is_a_failure() {
    let mut waiting = Waiting::start("readv --count 10 --log 1");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut command = watch(&dir);
    let mut watch = command.args(["-p", &waiting.pid()]).stdout(full).spawn().expect("vmtrace starts");
    let mut stderr = BufReader::new(watch.stderr.take().expect("piped"));
    let mut said = String::new();
    stderr.read_line(&mut said).expect("stderr");
    waiting.work();
    let status = watch.wait().expect("vmtrace ends");
    stderr.read_to_string(&mut said).expect("stderr");
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("vmtrace: the recording has failed: events can no longer be printed\n"), "{said}");
    waiting.leave();
}

#[test]
fn options_about_files_are_refused_in_one_sentence() {
    let dir = tempfile::tempdir().expect("temporary directory");
    for (words, option) in [(&["-o", "x.parquet"][..], "-o, --output"), (&["-C", "1M"], "-C, --file-size")] {
        let output = watch(&dir).args(words).args(["--", "true"]).output().expect("vmtrace starts");
        let wanted = format!("error: {option} is about files, and watch writes none: use vmtrace record --print\n");
        let stderr = text(&output.stderr);
        assert_eq!((output.status.code(), stderr.starts_with(&wanted)), (Some(2), true), "{words:?}: {stderr}");
    }
    assert!(is_empty(dir.path()));
}
