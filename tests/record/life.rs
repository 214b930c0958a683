//! Processes that begin, change and end: who they were at the time of each call.

use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::Value;

use super::harness::{Recording, Row, is_call, program, record, record_work, work, workload};
use super::live::Subject;

/// The rows of process life that concern `pid`.
fn life(recording: &Recording, pid: &Value) -> Vec<Row> {
    recording.rows().into_iter().filter(|r| !is_call(r.text("event")) && &r["pid"] == pid).collect()
}

fn names(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|r| r.text("event")).collect()
}

#[test]
#[ignore = "needs root and BPF"]
fn a_command_has_a_beginning_and_an_end() {
    let recording = record_work(&[], "readv --count 3 --log 3");
    let rows = life(&recording, &recording.report()["pid"]);
    assert_eq!(rows.last().map(|r| r.text("event")), Some("process_exit"));
    assert_eq!(rows.last().map(|r| r.number("exit_code")), Some(0));
    let exec = rows.iter().find(|r| r["event"] == "process_exec").expect("process_exec");
    assert_eq!(exec["exe"], workload().as_str());
    assert_eq!(exec["argv"], format!("{} readv --count 3 --log 3", workload()));
    let call = &recording.event("process_vm_readv")[0];
    assert_eq!(call["exe"], workload().as_str());
    assert_eq!(call["comm"], "workload");
    assert_eq!(call["process_key"], exec["process_key"]);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_forked_target_is_introduced_and_ends() {
    let recording = record_work(&[], "readv --count 3 --log 3");
    let report = recording.report();
    let rows = life(&recording, &report["target_pid"]);
    assert_eq!(names(&rows), ["process_fork", "process_exit"]);
    assert_eq!(rows[0]["parent_pid"], report["pid"]);
    assert_eq!(rows[1]["comm"], "vm-target");
    let call = &recording.event("process_vm_readv")[0];
    assert_eq!(call["target_key"], rows[0]["process_key"]);
    assert_eq!(call["target_start_ns"], rows[0]["start_ns"]);
    assert_eq!(call["target_exe"], workload().as_str());
    assert_eq!(call["target_uid"], 0);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_target_that_execs_changes_its_name() {
    let recording = record_work(&[], "edge exec-target");
    let rows = life(&recording, &recording.report()["target_pid"]);
    assert_eq!(names(&rows), ["process_fork", "process_exec", "process_exit"]);
    assert!(rows[1].text("exe").ends_with("/sleep"), "{:?}", rows[1]);
    assert_eq!(rows[1]["argv"], "sleep 60");
    assert_eq!(rows[2].number("exit_code"), 15, "ended by SIGTERM");
    let calls = recording.event("process_vm_readv");
    assert_eq!(calls[0]["target_exe"], workload().as_str());
    assert!(calls[1].text("target_exe").ends_with("/sleep"), "{:?}", calls[1]);
    assert_eq!(calls[0]["target_key"], calls[1]["target_key"], "the process is the same");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_caller_that_execs_keeps_its_old_name_in_earlier_rows() {
    let recording = record_work(&[], "edge exec-caller");
    let call = &recording.event("process_vm_readv")[0];
    assert_eq!(call["exe"], workload().as_str());
    let rows = life(&recording, &recording.report()["child"]);
    assert_eq!(names(&rows), ["process_fork", "process_exec", "process_exit"]);
    assert_eq!(rows[2]["comm"], "true");
}

#[test]
#[ignore = "needs root and BPF"]
fn callers_that_end_at_once_are_recorded_whole() {
    let recording = record_work(&[], "edge exit-after-call");
    let report = recording.report();
    let children = report["children"].as_array().expect("children");
    for child in children {
        let rows = life(&recording, child);
        assert_eq!(names(&rows), ["process_fork", "process_exit"], "{child}");
        let code = if Some(child) == children.last() { 3 << 8 } else { 0 };
        assert_eq!(rows[1].number("exit_code"), code);
    }
    let keys: std::collections::BTreeSet<_> =
        recording.event("process_vm_readv").iter().map(|r| r.text("process_key").to_string()).collect();
    assert_eq!(keys.len(), children.len(), "one key for each child");
}

#[test]
#[ignore = "needs root and BPF"]
fn threads_that_end_together_end_one_process_once() {
    let recording = record(&[], &work("edge exit-threads"));
    let exits = recording.event("process_exit");
    for child in recording.report()["children"].as_array().expect("children") {
        let ends = exits.iter().filter(|r| &r["pid"] == child).count();
        assert_eq!(ends, 1, "{child}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_killed_caller_ends_by_its_signal() {
    let recording = record(&[], &work("edge exit-signal"));
    let call = &recording.event("process_vm_readv")[0];
    assert_eq!(call["target_pid"], call["pid"]);
    let rows = life(&recording, &call["pid"]);
    assert_eq!(rows.last().map(|r| r.number("exit_code")), Some(9));
}

#[test]
#[ignore = "needs root and BPF"]
fn a_thread_that_execs_is_the_process_from_then_on() {
    let recording = record(&[], &work("edge exec-thread"));
    let child = &recording.report()["child"];
    let rows = life(&recording, child);
    assert_eq!(names(&rows), ["process_fork", "process_exec", "process_exit"]);
    assert_eq!(&rows[1]["tid"], child);
    assert_eq!(rows[0]["process_key"], rows[2]["process_key"]);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_lives_as_long_as_its_last_thread() {
    let recording = record_work(&[], "edge exit-leader");
    let rows = life(&recording, &recording.report()["child"]);
    assert_eq!(names(&rows), ["process_fork", "process_exit"]);
    let call = &recording.event("process_vm_readv")[0];
    assert!(rows[1].number("mono_ns") > call.number("mono_ns"), "it calls before it ends");
    assert_ne!(call["pid"], call["tid"]);
    assert_eq!((&call["process_key"], &call["exe"]), (&rows[0]["process_key"], &Value::from(workload())));
}

/// Names are the attacker's to choose: what is no text is escaped, and read back the same.
#[test]
#[ignore = "needs root and BPF"]
fn names_of_any_bytes_are_kept() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().expect("temporary directory");
    let name = std::ffi::OsStr::from_bytes(b"a\x1b[31m\n\xff\\z");
    let program = dir.path().join(name);
    std::fs::copy(workload(), &program).expect("copy");
    let recording = record(&[], &[program.as_os_str(), "edge".as_ref(), "self-target".as_ref()]);
    let call = &recording.event("process_vm_readv")[0];
    let escaped = "a\x1b[31m\n\\xff\\\\z";
    assert_eq!(call["comm"], escaped);
    assert_eq!(call["target_comm"], escaped);
    assert_eq!(call["exe"], format!("{}/{escaped}", dir.path().display()).as_str());
    let execs = recording.event("process_exec");
    let exec = execs.iter().find(|r| r["pid"] == call["pid"]).expect("process_exec");
    assert_eq!(exec["argv"], format!("{}/{escaped} edge self-target", dir.path().display()).as_str());
}

/// What is UTF-8 is kept as it is, backslashes too, wherever it comes from.
#[test]
#[ignore = "needs root and BPF"]
fn names_with_backslashes_are_kept_as_they_are() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let program = dir.path().join(r"tr\0");
    std::fs::copy(workload(), &program).expect("copy");
    let name = program.to_str().expect("UTF-8 path");
    let recording = record(&[], &[name, "edge", "self-target"]);
    let call = &recording.event("process_vm_readv")[0];
    for column in ["comm", "target_comm"] {
        assert_eq!(call[column], r"tr\0", "{column}");
    }
    assert_eq!((&call["exe"], &call["target_exe"]), (&name.into(), &name.into()));
    let execs = recording.event("process_exec");
    let exec = execs.iter().find(|r| r["pid"] == call["pid"]).expect("process_exec");
    assert_eq!(exec["argv"], format!("{name} edge self-target").as_str());
    // Of one that lived before, /proc says the same.
    let early = Subject::start(Command::new("sleep").arg0(r"-d\0").arg("1000"));
    let recording = record(&["-p", &early.pid().to_string(), "--duration", "1ms"], &[] as &[&str]);
    assert_eq!(recording.event("process_snapshot")[0]["argv"], r"-d\0 1000");
}

/// Inside a pid namespace the caller passes a number that is not the target's outside.
#[test]
#[ignore = "needs root and BPF"]
fn targets_are_resolved_out_of_a_pid_namespace() {
    let unshare = [&*program("unshare"), "--fork", "--pid", "--mount-proc"].map(String::from);
    for words in ["readv --count 5 --log 5", "mem --with pread --count 5 --log 5", "ptrace --count 5 --log 5"] {
        let recording = record(&[], &[&unshare[..], &work(words)].concat());
        let report = recording.report();
        assert!(report["pid"].as_i64() < Some(10), "not in a namespace: {report}");
        let rows = recording.rows();
        let end = rows.iter().find(|r| r["event"] == "process_exit" && r["comm"] == "vm-target").expect("target");
        let mut calls = recording.calls();
        let all = calls.clone();
        calls.retain(|row| row["event"] != "mem_open");
        assert_eq!(calls.len() as u64, report["calls"].as_object().expect("calls").values().map(calls_of).sum::<u64>());
        for row in &all {
            assert_ne!(row["pid"], report["pid"], "pids are those of the initial namespace");
            assert_eq!((&row["target_pid"], &row["target_key"]), (&end["pid"], &end["process_key"]), "{row:?}");
            assert_eq!(row["target_comm"], "vm-target");
            assert_eq!(row["target_exe"], workload().as_str());
        }
        let passed: Vec<&Value> = calls.iter().map(|row| &row["target_pid_arg"]).collect();
        let log = report["log"].as_array().expect("log");
        assert_eq!(passed, log.iter().map(|entry| &entry["target_pid_arg"]).collect::<Vec<_>>(), "as it was passed");
    }
}

fn calls_of(tally: &Value) -> u64 {
    tally["calls"].as_u64().expect("calls")
}
