//! What stays on disk when a query ends before its time: nothing, above all no captured bytes.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::captures::{self, manifest};
use super::{command, kept, ran};

/// A capture that several tests share, written once.
fn large() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = kept("ended.parquet");
        let groups = super::many(60_000, 30_000);
        captures::write(&path, &manifest(), &groups.iter().map(Vec::as_slice).collect::<Vec<_>>());
        path.to_str().unwrap().to_string()
    })
}

const SIGNALS: [Signal; 5] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGKILL];

/// Waits until `child` has written to an open file of which the link in /proc begins with `place`.
fn wait_for_file(child: &Child, place: &Path) {
    let until = Instant::now() + Duration::from_secs(120);
    let fds = format!("/proc/{}/fd", child.id());
    let written = || {
        std::fs::read_dir(&fds).unwrap().flatten().any(|fd| {
            let within = std::fs::read_link(fd.path()).is_ok_and(|link| link.starts_with(place));
            within && std::fs::metadata(fd.path()).is_ok_and(|file| file.len() > 0)
        })
    };
    while !written() {
        assert!(Instant::now() < until, "no file in {}", place.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_empty(directory: &Path) -> bool {
    directory.read_dir().unwrap().next().is_none()
}

#[test]
fn what_did_not_fit_into_memory_has_no_name() {
    // Four times the limit are sorted, of which nobody takes the result.
    let sql = "SELECT repeat(CAST(seq AS VARCHAR), 400) AS filler FROM events ORDER BY filler";
    for signal in SIGNALS {
        let temporary = tempfile::tempdir().unwrap();
        let mut child = command(&[large(), sql, "-T", "csv", "--memory-limit", "32M"]);
        let mut child = child.env("TMPDIR", temporary.path()).stdout(Stdio::piped()).spawn().unwrap();
        wait_for_file(&child, temporary.path());
        assert!(is_empty(temporary.path()), "{signal}: other users can see it");
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        drop(child.stdout.take());
        child.wait().unwrap();
        assert!(is_empty(temporary.path()), "{signal}");
    }
}

#[test]
fn a_result_that_is_not_whole_has_no_name() {
    for signal in SIGNALS {
        let results = tempfile::tempdir().unwrap();
        let out = results.path().join("out.csv");
        // 3,600,000,000 pairs.
        let sql = "SELECT a.seq FROM events a CROSS JOIN events b";
        let mut child = command(&[large(), sql, "-T", "csv", "-o", out.to_str().unwrap()]);
        let mut child = child.stderr(Stdio::null()).spawn().unwrap();
        wait_for_file(&child, results.path());
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        assert!(!child.wait().unwrap().success());
        assert!(is_empty(results.path()), "{signal}");
    }
}

#[test]
fn a_signal_that_was_ignored_stays_so() {
    use std::os::unix::process::ExitStatusExt;
    for (ignored, ends) in [("", true), ("trap '' HUP;", false)] {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("{ignored} exec \"$0\" query {} \"$@\"", large()), env!("CARGO_BIN_EXE_vmtrace")]);
        // Its result is larger than a pipe that nobody reads.
        let mut child = shell.args(["SELECT seq, ts_ns FROM events", "-Tcsv"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut first = [0];
        let mut out = child.stdout.take().unwrap();
        std::io::Read::read_exact(&mut out, &mut first).unwrap();
        kill(Pid::from_raw(child.id() as i32), Signal::SIGHUP).unwrap();
        if !ends {
            // It goes on to the end.
            std::io::copy(&mut out, &mut std::io::sink()).unwrap();
        }
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), ends.then_some(Signal::SIGHUP as i32), "{ignored}");
        assert_eq!(status.code(), (!ends).then_some(0), "{ignored}");
    }
}

#[test]
fn no_more_of_stdin_is_read_than_may_be_run() {
    let mut child = command(&["samples/mpi-pair"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Nobody ends it: who reads all of it waits here for ever, or takes a gigabyte.
    let filler = vec![b' '; 1 << 20];
    let written = (0..1024).take_while(|_| stdin.write_all(&filler).is_ok()).count();
    assert!(written < 1024, "all was read");
    drop(stdin);
    let ran = ran(&child.wait_with_output().unwrap());
    assert_eq!(ran.status, 2);
    assert_eq!(ran.err, "vmtrace: the SQL is longer than 65536 bytes\n");
}
