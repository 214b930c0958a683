//! Selection by name, of targets, and of what a process has started: --comm, --target-comm, --target-pid, --tree.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::harness::{Recording, compare, count, record, vmtrace, workload};
use super::invariants;
use super::live::{Live, Waiting, send};

const NO_COMMAND: &[&str] = &[];

/// The workload under a name that nobody else has.
struct Named {
    name: String,
    path: PathBuf,
    _dir: TempDir,
}

impl Named {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        // Of the directory's name the end is the random part.
        let end: String = dir.path().to_str().expect("UTF-8 path").chars().rev().take(6).collect();
        let name = format!("vmt-{end}");
        let path = dir.path().join(&name);
        std::fs::copy(workload(), &path).expect("copy");
        Named { name, path, _dir: dir }
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(&self.path);
        command.args(words.split_whitespace());
        command
    }

    fn waiting(&self, words: &str) -> Waiting {
        Waiting::start_as(self.command(&format!("--wait {words}")))
    }

    /// A pattern for its name.
    fn pattern(&self) -> String {
        format!("vmt-[!/]?{}*", &self.name[6..])
    }
}

fn ends_by_signal(live: Live) -> Recording {
    live.signal(libc::SIGINT);
    let recording = live.end();
    assert!(recording.status.success(), "{}", recording.stderr);
    assert_eq!(recording.manifest().end_reason, "signal", "others could have come");
    invariants::check(&recording);
    recording
}

#[test]
#[ignore = "needs root and BPF"]
fn those_with_a_name_are_recorded_whenever_they_come() {
    let named = Named::new();
    let (before, other) = (named.waiting("readv --count 5"), Waiting::start("writev --count 9"));
    let live = Live::start(&["--comm", &named.pattern()], NO_COMMAND);
    before.go();
    other.go();
    assert!(named.command("readv --count 7").output().expect("workload").status.success());
    let recording = ends_by_signal(live);
    let counts = count(&recording.calls());
    assert_eq!((counts.get("process_vm_readv"), counts.get("process_vm_writev")), (Some(&12), None));
    let filters = &recording.manifest().filters;
    assert_eq!((filters.comms.as_slice(), filters.pids.len()), ([named.pattern()].as_slice(), 0));
    // The one that lived before is introduced, and the other one seen from its exec on.
    let names = |event: &str| recording.event(event).iter().filter(|row| row["comm"] == named.name.as_str()).count();
    assert_eq!((names("process_exec"), names("process_snapshot") >= 1), (1, true));
    let said = format!("recording every process called {} (", named.pattern());
    assert!(recording.stderr.contains(&said), "{}", recording.stderr);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_that_takes_the_name_is_recorded_from_then_on() {
    // Its children have its name until their exec.
    for (options, calls) in [(&["--comm"][..], 5), (&["--no-follow", "--comm"], 0), (&["--target-comm"], 0)] {
        let named = Named::new();
        let script = format!(
            "{0} readv --count 3; printf {1} >/proc/$$/comm; {0} readv --count 5; true",
            workload(),
            named.name
        );
        let live = Live::start(&[options, &[named.name.as_str()]].concat(), NO_COMMAND);
        assert!(Command::new("sh").args(["-c", &script]).output().expect("sh").status.success());
        let recording = ends_by_signal(live);
        assert_eq!(recording.event("process_vm_readv").len(), calls, "{options:?}");
        let of_children = |event| recording.event(event).iter().filter(|row| row["comm"] == "workload").count();
        assert_eq!(of_children("process_exec"), usize::from(calls > 0), "{options:?}");
    }
}

/// Who was selected by name is no child of COMMAND.
#[test]
#[ignore = "needs root and BPF"]
fn what_outlives_command_and_was_there_before_is_not_named() {
    let named = Named::new();
    let waiting = named.waiting("readv --count 5");
    let recording = record(&["--comm", &named.name], &["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"]);
    send(recording.stdout.trim().parse().expect("a pid"), libc::SIGKILL);
    assert!(
        !recording.stderr.contains(&named.name) && recording.manifest().gaps.iter().all(|gap| !gap.contains("outlive"))
    );
    waiting.go();
}

#[test]
#[ignore = "needs root and BPF"]
fn of_a_target_only_those_are_recorded_who_reach_into_it() {
    // Its calls reach its child and not itself.
    for (target, calls) in [("child", 5), ("caller", 0)] {
        let waiting = Waiting::start("readv --count 5 --log 5");
        let pid = if target == "child" { waiting.children()[0].clone() } else { waiting.pid() };
        let live = Live::start(&["--target-pid", &pid], NO_COMMAND);
        let report = waiting.go();
        let recording = live.end();
        assert_eq!(recording.manifest().end_reason, "processes_gone", "{}", recording.stderr);
        invariants::check(&recording);
        assert_eq!(recording.calls().len(), calls, "{target}");
        if calls > 0 {
            compare(&recording, &report);
        }
        let ended = recording.event("process_exit");
        assert!(ended.iter().any(|row| row.number("pid").to_string() == pid), "its life is known: {ended:?}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn targets_with_a_name_are_found_whenever_they_come() {
    let named = Named::new();
    let before = named.waiting("readv --count 5");
    let live = Live::start(&["--target-comm", &named.name], NO_COMMAND);
    let pid = before.pid();
    // Nothing is at address 0.
    let read = Command::new("head").args(["-c", "8", &format!("/proc/{pid}/mem")]).output().expect("head");
    assert!(!read.status.success());
    // Its calls reach a child that has taken another name; those of the next one a child that has this name at first.
    before.go();
    assert!(named.command("readv --count 7").output().expect("workload").status.success());
    // Pipes are nobody's memory.
    assert!(named.command("vmsplice --count 3").output().expect("workload").status.success());
    let recording = ends_by_signal(live);
    let found = [("mem_open", 1), ("process_vm_readv", 7), ("read", 1)].map(|(event, n)| (event.to_string(), n));
    assert_eq!(count(&recording.calls()), found.into());
    let of_head = recording.event("read").remove(0);
    assert_eq!((of_head["comm"].as_str(), of_head["target_pid"].to_string()), (Some("head"), pid));
    assert_eq!(recording.manifest().filters.target_comms, [named.name.as_str()]);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_tree_has_what_was_started_before() {
    for (options, calls) in [(&["--tree"][..], 5), (&[], 0)] {
        let mut shell = Command::new("sh");
        // Two levels below it.
        shell.args(["-c", &format!("sh -c '{} --wait readv --count 5; true'; true", workload())]);
        let waiting = Waiting::start_as(shell);
        let live = Live::start(&[&["-p", waiting.pid().as_str()], options].concat(), NO_COMMAND);
        waiting.go();
        let recording = live.end();
        assert_eq!(recording.manifest().end_reason, "processes_gone");
        assert_eq!(recording.event("process_vm_readv").len(), calls, "{options:?}");
        assert_eq!(recording.manifest().filters.tree, calls > 0);
    }
}

#[test]
fn a_selection_that_cannot_be_is_refused() {
    let own = std::process::id().to_string();
    let cases: [(&[&str], &str); 8] = [
        (&["-a", "--comm", "x"], "-a records every process"),
        (&["-a", "--target-pid", &own], "-a records every process"),
        (&["--tree"], "--pid <PID>"),
        (&["--comm", ""], "--comm : no process has an empty name"),
        (&["--comm", "a-name-that-is-too-long"], "names have at most 15 bytes"),
        (&["--target-comm", "[x"], "--target-comm [x: [ is never closed"),
        (&["--target-pid", "0"], "--target-pid 0: there is no such process"),
        (&["-p", "1,two"], "invalid value 'two'"),
    ];
    for (options, said) in cases {
        let dir = tempfile::tempdir().expect("temporary directory");
        let output = vmtrace().arg("record").args(options).current_dir(dir.path()).output().expect("vmtrace");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.contains(said)), (Some(2), true), "{options:?}: {stderr}");
        assert_eq!(std::fs::read_dir(dir.path()).expect("directory").count(), 0, "{options:?}");
    }
}
