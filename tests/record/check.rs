//! `vmtrace check` and the self-test: what is seen is proven, what is not is named, and nothing of it stays behind.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use vmtrace::schema::manifest::FamilyReport;
use vmtrace::terminal::status;

use super::bad_input::public_copy;
use super::harness::{Recording, program, record, record_unchecked, vmtrace};

/// Switches every function hook off.
const NO_FUNCTIONS: (&str, &str) = ("VMTRACE_DISABLE_PROBES", "function");

fn run(command: &mut Command) -> (u8, String) {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().expect("it starts");
    assert!(stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    (code.unwrap_or_else(|| panic!("{status}")), String::from_utf8(stdout).expect("text"))
}

/// What `command`, a `vmtrace check -T json`, found.
fn found(command: &mut Command) -> (Value, Vec<FamilyReport>) {
    let (code, out) = run(command);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"));
    assert_eq!(report["status"], code);
    let families = serde_json::from_value(report["families"].clone()).expect("families");
    (report, families)
}

fn family<'a>(families: &'a [FamilyReport], name: &str) -> &'a FamilyReport {
    families.iter().find(|f| f.family == name).unwrap_or_else(|| panic!("no family {name} in {families:?}"))
}

#[test]
#[ignore = "needs root and BPF"]
fn every_family_is_tested_and_what_is_not_at_its_best_says_why() {
    let (report, families) = found(vmtrace().args(["check", "-T", "json"]));
    assert!(families.len() >= 7, "{families:?}");
    for family in &families {
        assert_eq!(family.self_test, "passed", "{family:?}");
        assert!(family.untested.is_empty(), "{family:?}");
        assert!(["function", "tracepoint"].contains(&family.tier.as_str()), "{family:?}");
        assert!(!family.probes.is_empty(), "{family:?}");
        assert_eq!(family.best, family.gap.is_none(), "{family:?}");
    }
    let wanted = if families.iter().all(|f| f.best) { status::OK } else { status::GAPS };
    assert_eq!((&report["status"], &report["problem"]), (&wanted.into(), &Value::Null));
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("release");
    assert_eq!(report["kernel"], release.trim());
}

#[test]
#[ignore = "needs root and BPF"]
fn without_function_hooks_tracepoints_serve_every_family() {
    let (name, value) = NO_FUNCTIONS;
    let (report, families) = found(vmtrace().env(name, value).args(["check", "-T", "json"]));
    assert_eq!(report["status"], status::GAPS);
    for family in &families {
        assert_eq!((family.tier.as_str(), family.self_test.as_str()), ("tracepoint", "passed"), "{family:?}");
        assert!(family.probes.iter().all(|p| p.starts_with("tp_btf/")), "{family:?}");
        assert!(family.best || family.gap.as_deref().is_some_and(|gap| gap.contains(name)), "{family:?}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn the_text_says_what_the_json_says() {
    let (report, families) = found(vmtrace().args(["check", "-T", "json"]));
    let (code, text) = run(vmtrace().args(["check", "-v"]));
    assert_eq!(report["status"], code);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    for f in &families {
        let words = [f.family.as_str(), &f.tier, &f.self_test];
        assert!(lines.iter().any(|line| line.starts_with(&words)), "no {words:?} in\n{text}");
        assert!(f.gap.iter().all(|gap| text.contains(gap.as_str())), "no gap of {f:?} in\n{text}");
    }
    for capability in report["capabilities"].as_array().expect("capabilities") {
        let words = [capability["name"].as_str().unwrap(), if capability["present"] == true { "yes" } else { "NO" }];
        assert!(lines.iter().any(|line| line.starts_with(&words)), "no {words:?} in\n{text}");
    }
    for setting in report["settings"].as_array().expect("settings") {
        let words = [setting["name"].as_str().unwrap(), setting["value"].as_str().unwrap_or("-")];
        assert!(lines.iter().any(|line| line.starts_with(&words)), "no {words:?} in\n{text}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn without_v_each_cause_is_said_once() {
    let (_, families) = found(vmtrace().args(["check", "-T", "json"]));
    let (_, check) = run(vmtrace().arg("check"));
    let recording = record(&["-v"], &["true"]);
    let (_, info) = run(vmtrace().arg("info").arg(&recording.path));
    for text in [&check, &info, &recording.stderr] {
        for group in vmtrace::schema::families::groups(&families) {
            assert_eq!(text.matches(&group.to_string()).count(), 1, "{group} in\n{text}");
        }
        let causes = families.iter().filter_map(|family| family.gap.as_deref());
        causes.for_each(|cause| assert!(text.matches(cause).count() <= 1, "{cause} in\n{text}"));
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn without_privileges_it_names_them_and_ends_with_2() {
    let (dir, copy) = public_copy();
    let unprivileged = |args: &[&str]| {
        let mut command = Command::new(program("setpriv"));
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&copy).args(args);
        command.current_dir(dir.path());
        command
    };
    let (report, families) = found(&mut unprivileged(&["check", "-T", "json"]));
    assert_eq!((&report["status"], families.len()), (&status::ERROR.into(), 0));
    let problem = report["problem"].as_str().expect("a problem");
    assert!(problem.contains("run as root") && problem.contains("CAP_BPF"), "{problem}");
    let (code, text) = run(&mut unprivileged(&["check"]));
    assert_eq!(code, status::ERROR);
    assert!(text.contains(problem), "{text}");
    assert!(text.lines().any(|l| l.split_whitespace().take(2).eq(["CAP_BPF", "NO"])), "{text}");
}

#[test]
#[ignore = "needs root and BPF"]
fn where_nothing_is_seen_recording_is_refused() {
    // Of these two strace answers every call.
    let hidden = ["process_vm_readv:retval=64", "process_vm_writev:retval=64"];
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("c.parquet");
    let path = path.to_str().expect("path");
    let output = tampered(&hidden, &["record", "-e", "@vm", "-o", path, "--", "true"]).output().expect("strace starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("do not see what vmtrace's own processes do"), "{said}");
    assert_eq!(output.status.code(), Some(status::RECORDER_FAILED.into()), "{said}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("directory").count(), 0);
}

/// vmtrace under strace, which changes what system calls of its self-test return: a call that strace answers never
/// reaches the kernel's functions, nor its number the hooks.
fn tampered(inject: &[&str], args: &[&str]) -> Command {
    let mut command = Command::new(program("strace"));
    command.args(["-f", "-qqq", "-o", "/dev/null"]);
    for expression in inject {
        command.arg("-e").arg(format!("inject={expression}"));
    }
    command.arg(env!("CARGO_BIN_EXE_vmtrace")).args(args);
    command
}

#[test]
#[ignore = "needs root and BPF"]
fn a_transfer_whose_event_does_not_come_fails_its_family() {
    let (report, families) = found(&mut tampered(&["process_vm_readv:retval=64"], &["check", "-T", "json"]));
    assert_eq!(report["status"], status::GAPS);
    let vm = family(&families, "vm");
    assert_eq!((vm.tier.as_str(), vm.self_test.as_str(), vm.best), ("none", "failed", false), "{vm:?}");
    assert!(vm.gap.as_deref().is_some_and(|gap| gap.contains("process_vm_readv: no event came")), "{vm:?}");
    assert_eq!(family(&families, "vmsplice").self_test, "passed");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_transfer_that_the_system_refuses_is_no_failure() {
    let refusals = ["io_uring_setup:error=EPERM", "process_vm_writev:error=ENOSYS"];
    let (_, families) = found(&mut tampered(&refusals, &["check", "-T", "json"]));
    let uring = family(&families, "uring");
    assert_eq!(uring.self_test, "untestable", "{uring:?}");
    assert_eq!(uring.untested, ["splice through io_uring: EPERM", "tee through io_uring: EPERM"]);
    assert_ne!(uring.tier, "none");
    let vm = family(&families, "vm");
    assert_eq!(
        (vm.self_test.as_str(), vm.untested.as_slice()),
        ("passed", &["process_vm_writev: ENOSYS".to_string()][..])
    );
    // strace traces the target already.
    assert_eq!(family(&families, "ptrace").untested.first().map(String::as_str), Some("PTRACE_SEIZE: EPERM"));
}

#[test]
#[ignore = "needs root and BPF"]
fn a_recording_says_what_its_self_test_found() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("c.parquet");
    let args = ["record", "-v", "-o", path.to_str().expect("path"), "--", "true"];
    let output = tampered(&["process_vm_readv:retval=64"], &args).output().expect("strace starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("vm: not seen, self-test failed. Cause: process_vm_readv: no event came"), "{said}");
    let capture = vmtrace::schema::reader::Capture::open(&path).expect("capture");
    let manifest = capture.manifest();
    assert_eq!(family(&manifest.families, "vm").tier, "none");
    assert!(manifest.gaps.iter().any(|gap| gap.starts_with("vm: the self-test failed")), "{:?}", manifest.gaps);
    let (_, info) = run(vmtrace().args(["info", "-v"]).arg(&path));
    assert!(info.contains("vm         none       failed"), "{info}");
}

fn nothing_of_the_self_test(recording: &Recording) {
    for row in recording.rows() {
        // "vmtrace self-test"
        assert!(!row.text("payload").contains("766d74726163652073656c662d74657374"), "{row:?}");
        assert!(!row.text("argv").contains("self-test"), "{row:?}");
    }
    let ledger = recording.manifest().ledger;
    // Others' events are seen and filtered.
    let counts = ledger.iter().map(|row| (row.event.as_str(), row.seen - row.filtered));
    let counts: Vec<(&str, u64)> = counts.filter(|(_, own)| *own > 0).collect();
    assert_eq!(counts, [("process_exec", 1), ("process_fork", 1), ("process_exit", 1)]);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_capture_holds_nothing_of_the_self_test() {
    for options in [&[][..], &["--no-follow"], &["-s", "10"], &["--payload", "none"]] {
        let recording = record(options, &["true"]);
        nothing_of_the_self_test(&recording);
        for family in recording.manifest().families {
            assert_eq!((family.self_test.as_str(), family.untested.len()), ("passed", 0), "{options:?} {family:?}");
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_selection_does_not_narrow_the_self_test() {
    let cgroup = std::fs::read_to_string("/proc/self/cgroup").expect("cgroup");
    let cgroup = cgroup.lines().find_map(|line| line.strip_prefix("0::")).expect("cgroup v2").to_string();
    for options in [&["-u", "65534"][..], &["--cgroup", &cgroup], &["-e", "@vm,tee"]] {
        let recording = record_unchecked(options, &["true"]);
        assert!(recording.status.success(), "{}", recording.stderr);
        let families = recording.manifest().families;
        assert!(families.iter().all(|f| f.self_test == "passed"), "{options:?} {families:?}");
        if options[0] == "-e" {
            let names: Vec<&str> = families.iter().map(|f| f.family.as_str()).collect();
            assert_eq!(names, ["vm", "splice", "uring"], "only what is recorded");
            assert_eq!(family(&families, "splice").events, ["tee"]);
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn the_self_test_can_be_left_out() {
    let recording = record(&["--no-self-test"], &["true"]);
    nothing_of_the_self_test(&recording);
    let families = recording.manifest().families;
    assert!(!families.is_empty() && families.iter().all(|f| f.self_test == "off"), "{families:?}");
}

/// Processes of a process group that have not ended, with their parents, as `/proc/PID/stat` has them.
fn members(group: u32) -> Vec<(String, u32)> {
    let stat = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        (fields.get(2)?.parse() == Ok(group) && fields[0] != "Z")
            .then(|| (pid.to_string(), fields[1].parse().expect("parent")))
    };
    let processes = std::fs::read_dir("/proc").expect("/proc");
    let names = processes.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.bytes().all(|b| b.is_ascii_digit())).filter_map(|pid| stat(&pid)).collect()
}

/// Starts a command in a process group of its own.
fn grouped(command: &mut Command) -> Child {
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts")
}

/// Waits until `done`; a minute without it is a failure.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} has not happened");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn no_process_stays_behind() {
    let mut check = grouped(vmtrace().arg("check"));
    let group = check.id();
    assert!(check.wait().expect("it ends").code().is_some_and(|code| code < 2));
    assert_eq!(members(group), []);
}

/// The caller of the self-test is held in a call when the recorder is killed.
#[test]
#[ignore = "needs root and BPF"]
fn a_killed_recorder_takes_its_processes_with_it() {
    let mut strace = grouped(&mut tampered(&["process_vm_readv:signal=SIGSTOP"], &["check"]));
    let group = strace.id();
    // strace, the recorder, the caller and the target.
    until("the self-test", || members(group).len() == 4);
    let recorder = members(group).into_iter().find(|(_, parent)| *parent == group).expect("the recorder");
    let recorder: i32 = recorder.0.parse().expect("pid");
    // SAFETY: plain numbers; strace, which we have not waited for, still holds this pid.
    assert_eq!(unsafe { libc::kill(recorder, libc::SIGKILL) }, 0);
    until("the end of strace", || strace.try_wait().expect("strace").is_some());
    until("the end of all", || members(group).is_empty());
}
