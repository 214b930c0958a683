//! Rows printed while they are recorded, and the word that a recording has begun.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use vmtrace::schema::reader::Capture;

use super::harness::{Recording, finish, vmtrace, work};
use super::live::{Live, Waiting, send};

/// `work`, with its own output in a file: what is left on stdout is the recorder's.
fn work_apart(dir: &TempDir, words: &str) -> Vec<String> {
    let report = dir.path().join("report").to_str().expect("UTF-8 path").to_string();
    ["sh", "-c", r#"exec "$@" >"$0""#].map(String::from).into_iter().chain([report]).chain(work(words)).collect()
}

fn print(options: &[&str], words: &str) -> Recording {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("capture.parquet");
    let command = work_apart(&dir, words);
    let mut recorder = vmtrace();
    recorder.args(["record", "--print", "-o"]).arg(&path).args(options).arg("--").args(command);
    let output = recorder.stdin(Stdio::null()).output().expect("vmtrace starts");
    let recording = finish(dir, path, output);
    recording.succeeded();
    recording
}

fn replay(path: &Path, options: &[&str]) -> String {
    let output = vmtrace().arg("replay").args(options).arg(path).output().expect("vmtrace starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn export(path: &Path, format: &str) -> String {
    let output = vmtrace().args(["export", "-T", format]).arg(path).output().expect("vmtrace starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
#[ignore = "needs root and BPF"]
fn what_is_printed_is_what_is_recorded() {
    let words = "readv --count 300 --log 1 --threads 2";
    let jsonl = print(&["-T", "jsonl"], words);
    assert_eq!(jsonl.stdout, replay(&jsonl.path, &["-T", "jsonl"]));
    assert!(jsonl.calls().len() >= 600);
    for format in ["ecs", "ocsf"] {
        let printed = print(&["-T", format], words);
        assert_eq!(printed.stdout, export(&printed.path, format));
    }
    let text = print(&[], words);
    let replayed = replay(&text.path, &[]);
    assert!(replayed.ends_with(&text.stdout) && text.stdout.lines().count() > 600, "{}\n{replayed}", text.stdout);
}

/// A recorder whose capture is complete, and of whose output nothing was read.
fn without_a_reader(words: &str) -> (TempDir, PathBuf, Child) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("capture.parquet");
    let command = work_apart(&dir, words);
    let mut recorder = vmtrace();
    recorder.args(["record", "--print", "-T", "jsonl", "-o"]).arg(&path).arg("--").args(command);
    let mut recorder =
        recorder.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("vmtrace");
    // The capture has its name when it is whole, whether anybody reads or not.
    while !path.exists() {
        assert_eq!(recorder.try_wait().expect("vmtrace"), None, "it waits for the reader");
        std::thread::sleep(Duration::from_millis(5));
    }
    (dir, path, recorder)
}

#[test]
#[ignore = "needs root and BPF"]
fn a_reader_that_sleeps_loses_lines_and_the_capture_none() {
    let (dir, path, recorder) = without_a_reader("readv --count 90000 --log 1");
    let recording = finish(dir, path, recorder.wait_with_output().expect("vmtrace ends"));
    recording.succeeded();
    let rows = Capture::open(&recording.path).expect("capture").rows();
    let (printed, left) = printed_and_left(&recording.stdout);
    assert!(rows > 90_000 && left > 0, "{rows} rows, {left} not printed");
    assert_eq!(printed + left, rows);
}

/// How many events are printed as JSON lines, and how many the lines say are not, which is where they are missing.
pub fn printed_and_left(stdout: &str) -> (u64, u64) {
    let (mut printed, mut left, mut next) = (0u64, 0, 0);
    for line in stdout.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        if line["lost_cause"] == "not_printed" {
            left += line["lost_count"].as_u64().expect("lost_count");
            next = printed + left;
        } else {
            assert_eq!(line["seq"], next, "printed in order, and what is missing is said where it is");
            printed += 1;
            next += 1;
        }
    }
    (printed, left)
}

#[test]
#[ignore = "needs root and BPF"]
fn a_reader_that_does_not_read_is_left_to_itself_with_a_signal() {
    // More than a pipe takes.
    let (dir, path, mut recorder) = without_a_reader("readv --count 2000 --log 1");
    assert_eq!(recorder.try_wait().expect("vmtrace"), None);
    send(recorder.id(), libc::SIGTERM);
    assert!(recorder.wait().expect("vmtrace ends").success());
    let recording = finish(dir, path, recorder.wait_with_output().expect("output"));
    recording.succeeded();
    let said = "vmtrace: --print: the reader does not read: the last events were not printed\n";
    assert!(recording.stderr.contains(said), "{}", recording.stderr);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_reader_that_goes_ends_nothing() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("capture.parquet");
    let (from, to) = std::io::pipe().expect("pipe");
    drop(from);
    let mut recorder = vmtrace();
    recorder.args(["record", "--print", "-o"]).arg(&path).arg("--").args(work_apart(&dir, "readv --count 100 --log 1"));
    let recorder = recorder.stdin(Stdio::null()).stdout(to).stderr(Stdio::piped()).spawn().expect("vmtrace");
    let recording = finish(dir, path, recorder.wait_with_output().expect("vmtrace ends"));
    recording.succeeded();
    assert!(recording.calls().len() >= 100 && !recording.stderr.contains("--print"), "{}", recording.stderr);
}

#[test]
#[ignore = "needs root and BPF"]
fn the_begin_of_a_recording_is_said() {
    let waiting = Waiting::start("readv --count 5 --log 5");
    let pid = waiting.pid();
    let mut live = Live::start::<&str>(&["-p", &pid], &[]);
    live.wait_until_it_says(&format!("vmtrace: recording pid {pid} ("));
    live.wait_until_it_says("; ^C ends\n");
    waiting.go();
    live.end().succeeded();
}

#[test]
#[ignore = "needs root and BPF"]
fn scripts_and_service_managers_learn_that_it_has_begun_before_the_command_runs() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let [ready, socket, path] = ["ready", "socket", "capture.parquet"].map(|name| dir.path().join(name));
    let manager = UnixDatagram::bind(&socket).expect("socket");
    // The descriptor has been written to, and is not COMMAND's.
    let check = r#"[ "$(wc -l <"$0")" = 1 ] && [ ! -e /proc/self/fd/9 ]"#;
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(r#"exec "$@" 9>"$0""#).arg(&ready).arg(env!("CARGO_BIN_EXE_vmtrace"));
    shell.args(["record", "--ready-fd", "9", "-o"]).arg(&path).args(["--", "sh", "-c", check]).arg(&ready);
    let output = shell.env("NOTIFY_SOCKET", &socket).stdin(Stdio::null()).output().expect("sh");
    assert!(output.status.success(), "{output:?}");
    let mut said = [0; 64];
    let length = manager.recv(&mut said).expect("a datagram");
    assert_eq!(said.get(..length), Some(&b"READY=1\n"[..]));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("^C ends"), "COMMAND's output is its own: {output:?}");
}

#[test]
fn a_descriptor_that_is_not_there_is_refused() {
    for (words, status, said) in [
        (vec!["--ready-fd", "77", "-p", "1"], 2, "--ready-fd 77: there is no such descriptor: open it, as in 77>FIFO"),
        (vec!["--ready-fd", "1", "--", "true"], 125, "--ready-fd 1: 0, 1 and 2 are the standard streams"),
        (vec!["-T", "jsonl", "--", "true"], 2, "--print"),
        (vec!["--print", "-T", "yaml", "--", "true"], 2, "'yaml'"),
    ] {
        let output = vmtrace().arg("record").args(&words).output().expect("vmtrace starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.contains(said)), (Some(status), true), "{words:?}: {stderr}");
    }
}
