//! What the recorder and the readers say of ordinary recordings: sentences that need no knowledge of vmtrace.

use super::harness::{Recording, record, vmtrace, work};
use super::live::{Live, Waiting, send};

fn last_line(recording: &Recording) -> &str {
    recording.stderr.lines().last().unwrap_or_default()
}

fn shown(verb: &str, recording: &Recording) -> String {
    let output = vmtrace().arg(verb).arg(&recording.path).output().expect("vmtrace starts");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
#[ignore = "needs root and BPF"]
fn one_event_is_singular_everywhere() {
    let recording = record(&["-c", "1", "-e", "process_vm_readv"], &work("readv --count 3"));
    let line = last_line(&recording);
    assert!(line.contains(": 1 event written, 0 lost, ") && line.contains(" events not requested;"), "{line}");
    let info = shown("info", &recording);
    assert!(info.contains("1 event in 1 row group,") && info.contains("at most 1 event;"), "{info}");
    let verify = shown("verify", &recording);
    assert!(verify.contains("  1 row in 1 row group\n"), "{verify}");
    let replay = shown("replay", &recording);
    assert!(replay.contains(" · 1 event · none lost"), "{replay}");
}

#[test]
#[ignore = "needs root and BPF"]
fn events_of_others_are_called_so() {
    let [recorded, other] = ["readv --count 1", "readv --count 5"].map(Waiting::start);
    let live = Live::start(&["-p", &recorded.pid()], &[] as &[&str]);
    other.go();
    recorded.go();
    let recording = live.end();
    recording.succeeded();
    let line = last_line(&recording);
    assert!(line.contains(" events of other processes ignored; "), "{line}");
    assert!(!recording.stderr.contains("filtered"), "{}", recording.stderr);
}

#[test]
#[ignore = "needs root and BPF"]
fn calls_with_bad_addresses_are_no_fault_of_the_recording() {
    for case in ["efault-array", "efault-local", "efault-remote"] {
        let recording = record(&[], &work(&format!("edge {case}")));
        assert!(recording.calls().iter().any(|row| row["errno"] == "EFAULT"), "{case}");
        let verify = shown("verify", &recording);
        assert!(verify.contains("intact and complete") && !verify.contains("could not be read"), "{case}: {verify}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_daemon_that_outlives_command_is_named() {
    let recording = record(&[], &["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"]);
    let daemon: u32 = recording.stdout.trim().parse().expect("pid");
    send(daemon, libc::SIGKILL);
    let wanted = "1 recorded process outlives COMMAND";
    let line = recording.stderr.lines().find(|line| line.contains(wanted)).unwrap_or_default();
    // It may not have become sleep yet.
    assert!(line.contains(&format!("(pid {daemon})")), "{}", recording.stderr);
    assert!(recording.manifest().gaps.iter().any(|gap| gap.starts_with(wanted)), "{:?}", recording.manifest().gaps);
    let recording = record(&[], &["true"]);
    assert!(!recording.stderr.contains("outlive"), "{}", recording.stderr);
}
