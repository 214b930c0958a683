//! The recorder, and what it records, in namespaces of each kind: what holds there.

use std::process::Command;

use serde_json::Value;
use vmtrace::terminal::status;

use super::containers::Container;
use super::harness::{Recording, Row, compare, program, record, record_by, work};
use super::invariants;
use super::live::{Live, Waiting};

/// vmtrace in namespaces of its own, by the options of unshare(1).
fn inside(options: &str) -> Command {
    let mut command = Command::new(program("unshare"));
    command.args(options.split_whitespace()).arg(env!("CARGO_BIN_EXE_vmtrace"));
    command
}

/// Both commands say that they cannot work there, in the same words, and write nothing.
fn is_refused(options: &str, remedy: &str) {
    let output = inside(options).args(["check", "-T", "json"]).output().expect("unshare starts");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["status"], status::ERROR, "{report}");
    let problem = report["problem"].as_str().expect("a problem");
    assert!(problem.contains(remedy), "{problem}");
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("c.parquet");
    for words in [&["--", "true"][..], &["-p", "1"], &["--no-self-test", "--", "true"]] {
        let output = inside(options).args(["record", "-o"]).arg(&path).args(words).output().expect("unshare starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(problem), "{words:?}: {said}");
        let wanted = if words.contains(&"true") { status::RECORDER_FAILED } else { status::ERROR };
        assert_eq!(output.status.code(), Some(wanted.into()), "{words:?}: {said}");
        assert_eq!(std::fs::read_dir(dir.path()).expect("directory").count(), 0, "{words:?}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_recorder_in_a_pid_namespace_is_refused() {
    is_refused("--pid --fork --mount-proc", "outside of this pid namespace");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_recorder_in_a_time_namespace_is_refused() {
    for options in ["--time --fork", "--time --fork --monotonic 100000", "--time --fork --boottime 100000"] {
        is_refused(options, "outside of this time namespace");
    }
}

/// The kernel lets nobody load programs from there.
#[test]
#[ignore = "needs root and BPF"]
fn a_recorder_in_a_user_namespace_is_refused() {
    is_refused("--user --map-root-user", "user namespaces");
}

/// One clock, one key and one place for each process, and every executable known.
fn is_whole(recording: &Recording, words: &str) {
    recording.succeeded();
    compare(recording, &recording.report());
    let calls = recording.calls();
    assert!(!calls.is_empty(), "{words}");
    let rows = recording.rows();
    for row in &calls {
        assert!(row.text("exe").ends_with("/workload"), "{row:?}");
        let same = |other: &&Row| other["pid"] == row["pid"] && other.text("exe").ends_with("/workload");
        let own: Vec<&Row> = rows.iter().filter(same).collect();
        assert!(own.iter().all(|other| other["process_key"] == row["process_key"]), "{own:?}");
        assert!(own.iter().all(|other| other["cgroup"] == row["cgroup"]), "{own:?}");
    }
    invariants::check(recording);
}

const WORDS: [&str; 2] = ["readv --count 5 --log 5", "mem --with pread --count 5 --log 5"];

/// Mounts, host names and places in the hierarchy of cgroups are none of the hooks' business.
#[test]
#[ignore = "needs root and BPF"]
fn a_recorder_in_other_namespaces_records_as_ever() {
    for options in ["--mount", "--uts", "--cgroup", "--mount --uts --cgroup --ipc --net"] {
        for words in WORDS {
            let recording = record_by(inside(options), &[], &work(words));
            is_whole(&recording, words);
        }
    }
}

/// A process has one place in the hierarchy, whether /proc tells it, which begins where the namespace does, or the mount.
#[test]
#[ignore = "needs root and BPF"]
fn a_recorder_in_a_cgroup_namespace_tells_one_place_of_each_process() {
    let group = Container::new('e');
    let waiting = Waiting::start(WORDS[0]);
    let mut recorder = Command::new("sh");
    let enter = format!("echo $$ > {}/cgroup.procs; exec unshare --cgroup \"$@\"", group.path.display());
    recorder.args(["-c", &enter, "sh", env!("CARGO_BIN_EXE_vmtrace")]);
    let dir = tempfile::tempdir().expect("temporary directory");
    let live = Live::start_as::<&str>(recorder, dir, &["-p", &waiting.pid()], &[]);
    let report = waiting.go();
    let recording = live.end();
    recording.succeeded();
    compare(&recording, &report);
    let rows = recording.rows();
    for pid in [&report["pid"], &report["target_pid"]] {
        let own = rows.iter().filter(|row| row["pid"] == *pid).map(|row| row["cgroup"].clone());
        let targets = rows.iter().filter(|row| row["target_pid"] == *pid).map(|row| row["target_cgroup"].clone());
        let mut places: Vec<_> = own.chain(targets).collect();
        assert!(places.len() > 1 && places[0].is_string(), "{places:?}");
        places.dedup();
        assert_eq!(places.len(), 1, "{places:?}");
    }
}

/// Of what runs in namespaces of its own, all is as the hooks see it from outside.
#[test]
#[ignore = "needs root and BPF"]
fn who_is_recorded_may_be_in_any_namespace() {
    let kinds = ["--time --fork --monotonic 100000 --boottime 100000", "--user --map-root-user", "--mount", "--uts"];
    for options in kinds.into_iter().chain(["--cgroup", "--net --ipc"]) {
        for words in WORDS {
            let unshare = std::iter::once(program("unshare")).chain(options.split_whitespace().map(String::from));
            let recording = record(&[], &[unshare.collect(), work(words)].concat());
            is_whole(&recording, words);
            let (start, end) = (recording.manifest().start, recording.manifest().end);
            let span = start.monotonic_ns..=end.monotonic_ns;
            assert!(recording.calls().iter().all(|row| span.contains(&row.number("mono_ns"))), "{options}");
        }
    }
}
