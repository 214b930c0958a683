//! How a recording ends: COMMAND, signals, limits; and what it leaves behind.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::harness::{Recording, record, record_unchecked, vmtrace, work, workload};
use super::invariants;
use super::live::{Live, Waiting, send};

const NO_COMMAND: &[&str] = &[];

#[test]
#[ignore = "needs root and BPF"]
fn the_status_of_command_is_passed_on() {
    for (script, wanted) in [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137), ("kill -15 $$", 143)]
    {
        let recording = record_unchecked(&[], &["sh", "-c", script]);
        assert_eq!(recording.status.code(), Some(wanted), "{script}\n{}", recording.stderr);
        invariants::check(&recording);
        assert_eq!(recording.manifest().end_reason, "command_exit");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_signal_ends_the_recording_and_leaves_command_alone() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let script = format!("{} readv --count 10; echo $$; exec sleep 60", workload());
        let mut live = Live::start(&[], &["sh", "-c", &script]);
        assert!(live.line().contains("process_vm_readv"));
        let command: u32 = live.line().parse().expect("pid of COMMAND");
        live.signal(signal);
        let recording = live.end();
        send(command, libc::SIGKILL);
        invariants::check(&recording);
        assert_eq!(recording.event("process_vm_readv").len(), 10);
        assert_eq!(recording.manifest().end_reason, "signal");
        assert_eq!(recording.status.code(), Some(128 + signal));
        assert!(recording.stderr.contains(&command.to_string()), "COMMAND is named: {}", recording.stderr);
    }
}

/// A call that has not returned by the end is not in the capture, which says so.
#[test]
#[ignore = "needs root and BPF"]
fn a_call_that_is_still_blocked_is_a_named_gap() {
    let mut live = Live::start(&[], &work("edge blocked"));
    let command: u32 = live.line().parse().expect("pid of COMMAND");
    while blocking_call(command) != libc::SYS_vmsplice.to_string() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    live.signal(libc::SIGTERM);
    let recording = live.end();
    send(command, libc::SIGKILL);
    invariants::check(&recording);
    assert_eq!(recording.calls().len(), 0);
    let gaps = recording.manifest().gaps;
    assert!(gaps.iter().any(|gap| gap.contains("had not returned")), "{gaps:?}");
}

/// The number of the syscall that a process sleeps in; `running` if it does not.
fn blocking_call(pid: u32) -> String {
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).expect("syscall");
    call.split_whitespace().next().unwrap_or_default().to_string()
}

#[test]
#[ignore = "needs root and BPF"]
fn a_second_interrupt_still_closes_the_capture() {
    let waiting = Waiting::start("readv --count 50000");
    let live = Live::start(&["-p", &waiting.pid()], NO_COMMAND);
    let pid = waiting.pid().parse().expect("pid");
    live.signal(libc::SIGINT);
    live.signal(libc::SIGINT);
    let recording = live.end();
    invariants::check(&recording);
    send(pid, 0);
    waiting.go();
}

#[test]
#[ignore = "needs root and BPF"]
fn a_count_is_kept_to_the_event() {
    let recording = record(&["-c", "10"], &work("readv --count 100"));
    let rows = recording.event("process_vm_readv");
    assert_eq!(rows.len(), 10);
    let local = &recording.report()["local"][0];
    assert!(rows.iter().all(|r| &r["local_iov"] == local));
    let book = recording.manifest().ledger.into_iter().find(|l| l.event == "process_vm_readv").expect("ledger");
    // Calls of others on this machine are filtered, too.
    assert!(book.balances() && book.written == 10 && book.lost() == 0, "{book:?}");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_time_limit_ends_the_recording() {
    let waiting = Waiting::start("readv --count 1");
    let live = Live::start(&["--duration", "200ms", "-p", &waiting.pid()], NO_COMMAND);
    let recording = live.end();
    assert!(recording.status.success());
    invariants::check(&recording);
    let manifest = recording.manifest();
    assert_eq!((manifest.end_reason.as_str(), manifest.filters.duration_s), ("duration", Some(0.2)));
    assert!(manifest.end.monotonic_ns - manifest.start.monotonic_ns >= 200_000_000);
    waiting.go();
}

#[test]
#[ignore = "needs root and BPF"]
fn the_capture_is_private_and_alone() {
    let recording = record(&[], &["true"]);
    let metadata = std::fs::metadata(&recording.path).expect("capture");
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
    let dir = recording.path.parent().expect("directory");
    assert_eq!(std::fs::read_dir(dir).expect("directory").count(), 1, "no temporary file is left");
}

#[test]
#[ignore = "needs root and BPF"]
fn the_capture_says_how_it_was_made() {
    let recording = record(&["--comment", "a test", "-s", "100"], &work("readv --count 1"));
    let manifest = recording.manifest();
    assert_eq!((manifest.tool.name.as_str(), manifest.comment.as_deref()), ("vmtrace", Some("a test")));
    assert_eq!(manifest.tool.version, env!("CARGO_PKG_VERSION"));
    assert_eq!((manifest.filters.snaplen, manifest.filters.follow, manifest.filters.all), (100, true, false));
    assert_eq!(manifest.filters.command, work("readv --count 1"));
    assert!(manifest.hooks.iter().any(|h| h.attached), "{:?}", manifest.hooks);
    assert!(manifest.argv.contains(&"--comment".to_string()));
    assert_eq!(manifest.capture_id.len(), 32);
    assert!(manifest.end.monotonic_ns > manifest.start.monotonic_ns);
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("boot id");
    assert_eq!(manifest.host.boot_id, boot_id.trim_end());
    events_lie_within(&recording);
}

fn events_lie_within(recording: &Recording) {
    let manifest = recording.manifest();
    for row in recording.calls() {
        let at = row.number("mono_ns");
        assert!(manifest.start.monotonic_ns <= at && at <= manifest.end.monotonic_ns, "{row:?}");
        assert_eq!(row.number("ts_ns") - at, manifest.start.realtime_ns - manifest.start.monotonic_ns);
    }
}

/// COMMAND has the streams of the recorder, and none of its descriptors.
#[test]
#[ignore = "needs root and BPF"]
fn command_has_its_own_streams_and_nothing_of_ours() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let input = dir.path().join("input");
    std::fs::write(&input, "from stdin\n").expect("input");
    let mut recorder = vmtrace();
    recorder.args(["record", "-q", "-o"]).arg(dir.path().join("c.parquet"));
    let command = ["sh", "-c", "cat; echo to stderr >&2; ls /proc/self/fd"];
    recorder.arg("--").args(command);
    let [recorded, bare] = [recorder, Command::new("sh")].map(|mut runner| {
        if runner.get_program() == "sh" {
            runner.args(&command[1..]);
        }
        runner.stdin(std::fs::File::open(&input).expect("input")).output().expect("command starts")
    });
    assert!(bare.stdout.starts_with(b"from stdin\n0\n1\n"));
    assert_eq!(String::from_utf8_lossy(&recorded.stdout), String::from_utf8_lossy(&bare.stdout));
    assert_eq!(String::from_utf8_lossy(&recorded.stderr), "to stderr\n", "--quiet says nothing");
}

/// Nobody listens on stderr any more: the status of COMMAND and the capture are what matters.
#[test]
#[ignore = "needs root and BPF"]
fn a_closed_stderr_changes_nothing() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("c.parquet");
    let (reader, writer) = std::io::pipe().expect("pipe");
    drop(reader);
    let mut recorder = vmtrace();
    recorder.args(["record", "-v", "-o"]).arg(&path).args(["--", "sh", "-c", "exit 7"]);
    let status = recorder.stderr(writer).status().expect("vmtrace starts");
    assert_eq!(status.code(), Some(7));
    assert!(!super::harness::rows(&path).is_empty());
}

#[test]
#[ignore = "needs root and BPF"]
fn without_a_name_the_capture_goes_to_the_current_directory() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let output = vmtrace().current_dir(dir.path()).args(["record", "--", "true"]).output().expect("vmtrace starts");
    assert!(output.status.success());
    let entries = std::fs::read_dir(dir.path()).expect("directory");
    let names: Vec<String> = entries.map(|e| e.expect("entry").file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(names[0].starts_with("vmtrace-") && names[0].ends_with(".parquet"), "{names:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains(&names[0]), "the summary names the file");
}

/// A recorder that is killed leaves COMMAND alone, and no file that looks whole.
#[test]
#[ignore = "needs root and BPF"]
fn a_killed_recorder_leaves_command_alone() {
    let mut live = Live::start(&[], &["sh", "-c", "echo $$; exec sleep 60"]);
    let command: u32 = live.line().parse().expect("pid of COMMAND");
    live.signal(libc::SIGKILL);
    let state = std::fs::read_to_string(format!("/proc/{command}/stat")).expect("COMMAND lives");
    send(command, libc::SIGTERM);
    let recording = live.end();
    assert!(!state.contains(") Z"), "{state}");
    assert_eq!(recording.status.code(), None);
    assert!(!recording.path.exists());
}
