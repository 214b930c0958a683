//! Capabilities: which the recorder needs, what it says where one is missing, and which it keeps.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use vmtrace::terminal::status;

use super::bad_input::public_copy;
use super::harness::{compare, finish, program, vmtrace, workload};
use super::invariants;
use super::live::{Live, Waiting, send};

const NO_COMMAND: &[&str] = &[];
const NOBODY: u32 = 65_534;
/// include/uapi/linux/capability.h
const DAC_OVERRIDE: u64 = 1 << 1;
const SYS_PTRACE: u64 = 1 << 19;
const BPF: u64 = 1 << 39;

/// Whether the running kernel is older than `major.minor`.
fn older_than(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("release");
    let mut numbers = release.split(['.', '-', '\n']).map(|n| n.parse::<u32>().unwrap_or(0));
    (numbers.next().expect("major"), numbers.next().expect("minor")) < (major, minor)
}

/// What reading maps takes at the end: nothing since 5.19, and before where anybody may use BPF.
fn to_read_maps() -> u64 {
    let disabled = std::fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled").expect("sysctl");
    if older_than(5, 19) && disabled.trim() != "0" { BPF } else { 0 }
}

/// The lines of a `status` file that show privileges.
fn privileges(status: &str) -> BTreeMap<String, u64> {
    let lines = status.lines().filter_map(|line| line.split_once(':'));
    let ours = lines.filter(|(name, _)| name.starts_with("Cap") || *name == "NoNewPrivs");
    ours.map(|(name, value)| (name.to_string(), u64::from_str_radix(value.trim(), 16).expect("hexadecimal"))).collect()
}

/// Waits until the recorder's threads have exactly these capabilities; they give up theirs one by one. `main`: of the main
/// thread, which are needed by others for the same things.
fn assert_threads(pid: u32, main: u64) {
    let directory = main & DAC_OVERRIDE;
    let wanted =
        [("vmtrace", main), ("vmtrace-drain", 0), ("vmtrace-sync", directory), ("vmtrace-write", SYS_PTRACE | main)];
    let wanted: BTreeMap<String, [u64; 5]> =
        wanted.iter().map(|(name, caps)| (name.to_string(), [*caps, *caps, 0, 0, 1])).collect();
    let mut found = BTreeMap::new();
    for _ in 0..1000 {
        found.clear();
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).expect("threads") {
            let path = task.expect("thread").path();
            let read = |name: &str| std::fs::read_to_string(path.join(name)).expect("thread");
            let held = privileges(&read("status"));
            let sets = ["CapEff", "CapPrm", "CapInh", "CapAmb", "NoNewPrivs"].map(|name| held[name]);
            found.insert(read("comm").trim().to_string(), sets);
        }
        if found == wanted {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the threads hold {found:x?}, not {wanted:x?}");
}

#[test]
#[ignore = "needs root and BPF"]
fn each_thread_keeps_what_it_needs_and_command_gets_all() {
    let script = "echo $$; grep -E '^(Cap|NoNewPrivs)' /proc/self/status; echo end; exec sleep 60";
    let mut live = Live::start(&[], &["sh", "-c", script]);
    let command: u32 = live.line().parse().expect("pid of COMMAND");
    let mut said = String::new();
    loop {
        match live.line().as_str() {
            "end" => break,
            line => said += &format!("{line}\n"),
        }
    }
    let own = std::fs::read_to_string("/proc/self/status").expect("status");
    assert_eq!(privileges(&said), privileges(&own), "COMMAND has not what the recorder was started with");
    assert_threads(live.pid(), to_read_maps());
    live.signal(libc::SIGTERM);
    let recording = live.end();
    send(command, libc::SIGKILL);
    invariants::check(&recording);
}

/// The finished file is renamed in a directory that root may only write by a capability.
#[test]
#[ignore = "needs root and BPF"]
fn a_directory_of_another_user_takes_one_more() {
    let dir = tempfile::tempdir().expect("temporary directory");
    chown(dir.path(), Some(NOBODY), Some(NOBODY)).expect("chown");
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
    let waiting = Waiting::start("readv --count 5");
    let live = Live::start_as(vmtrace(), dir, &["-p", &waiting.pid()], NO_COMMAND);
    assert_threads(live.pid(), to_read_maps() | DAC_OVERRIDE);
    waiting.go();
    let recording = live.end();
    assert!(recording.status.success(), "{}", recording.stderr);
    invariants::check(&recording);
}

/// A command line for `vmtrace` at `copy` as user nobody with only these capabilities.
fn as_nobody(copy: &Path, capabilities: &[&str]) -> Command {
    let sets = capabilities.iter().fold("-all".to_string(), |sets, name| sets + ",+" + name);
    let mut command = Command::new(program("setpriv"));
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command.arg(format!("--inh-caps={sets}")).arg(format!("--ambient-caps={sets}")).arg(copy);
    command
}

/// What recording takes, executables of other users aside. Before 5.11 memory of maps is limited by rlimit.
fn least() -> Vec<&'static str> {
    if older_than(5, 11) { vec!["bpf", "perfmon", "sys_resource"] } else { vec!["bpf", "perfmon"] }
}

/// A directory for a capture that nobody may write.
fn open_directory() -> TempDir {
    let dir = tempfile::tempdir().expect("temporary directory");
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).expect("chmod");
    dir
}

#[test]
#[ignore = "needs root and BPF"]
fn the_least_set_records_a_transfer_whole() {
    let (dir, copy) = public_copy();
    let work = dir.path().join("workload");
    std::fs::copy(workload(), &work).expect("copy");
    for words in ["readv", "mem --with pread", "ptrace --op peek", "vmsplice"] {
        let dir = open_directory();
        let path = dir.path().join("capture.parquet");
        let mut recorder = as_nobody(&copy, &least());
        recorder.arg("record").arg("-o").arg(&path).arg("--").arg(&work).args(words.split(' '));
        recorder.args(["--count", "20", "--log", "20"]).stdin(Stdio::null());
        let recording = finish(dir, path, recorder.output().expect("vmtrace starts"));
        assert!(recording.status.success(), "{}", recording.stderr);
        invariants::check(&recording);
        compare(&recording, &recording.report());
    }
}

/// Capabilities of the file, as README.md has it. Started by a program that has none, such a process is not dumpable,
/// and /proc/self is root's (proc(5)).
#[test]
#[ignore = "needs root and BPF"]
fn capabilities_of_the_file_do_as_well() {
    let (dir, copy) = public_copy();
    let work = dir.path().join("workload");
    std::fs::copy(workload(), &work).expect("copy");
    let capabilities: Vec<String> = least().iter().map(|name| format!("cap_{name}")).collect();
    let set = Command::new(program("setcap")).arg(capabilities.join(",") + "=ep").arg(&copy).status();
    assert!(set.expect("setcap").success(), "setcap failed");
    let path = dir.path().join("capture.parquet");
    let mut recorder = as_nobody(Path::new("/bin/sh"), &[]);
    recorder.args(["-c", "exec \"$0\" \"$@\""]).arg(&copy);
    recorder.arg("record").arg("-o").arg(&path).arg("--").arg(&work).args(["mem", "--with", "pread"]);
    recorder.args(["--count", "20", "--log", "20"]).stdin(Stdio::null());
    let output = recorder.output().expect("vmtrace starts");
    let recording = finish(dir, path, output);
    assert!(recording.status.success(), "{}", recording.stderr);
    invariants::check(&recording);
    compare(&recording, &recording.report());
}

#[test]
#[ignore = "needs root and BPF"]
fn executables_of_other_users_take_one_more() {
    let (_dir, copy) = public_copy();
    for with in [true, false] {
        let waiting = Waiting::start("readv --count 5 --log 5");
        let mut capabilities = least();
        capabilities.extend(with.then_some("sys_ptrace"));
        let recorder = as_nobody(&copy, &capabilities);
        let live = Live::start_as(recorder, open_directory(), &["-p", &waiting.pid()], NO_COMMAND);
        let report = waiting.go();
        let recording = live.end();
        assert!(recording.status.success(), "{}", recording.stderr);
        invariants::check(&recording);
        compare(&recording, &report);
        let gap = recording.manifest().gaps.iter().any(|gap| gap.starts_with("CAP_SYS_PTRACE is missing"));
        let known = recording.calls().iter().all(|row| row["exe"] == workload().as_str());
        assert_eq!((known, gap), (with, !with));
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_missing_capability_is_named() {
    let (dir, copy) = public_copy();
    let cases: [(&[&str], &str); 3] = [
        (&["perfmon", "sys_ptrace"], "CAP_BPF is missing"),
        (&["bpf", "sys_ptrace"], "CAP_PERFMON is missing"),
        (&["sys_ptrace"], "CAP_BPF and CAP_PERFMON are missing"),
    ];
    for (capabilities, about) in cases {
        let mut recorder = as_nobody(&copy, capabilities);
        recorder.args(["record", "-o", "x.parquet", "--", "true"]).current_dir(dir.path()).stdin(Stdio::null());
        let output = recorder.output().expect("vmtrace starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status::RECORDER_FAILED.into()), "{stderr}");
        assert!(stderr.lines().count() == 1 && stderr.contains(about), "no {about:?} in {stderr}");
        assert_eq!(std::fs::read_dir(dir.path()).expect("directory").count(), 1, "a file was left");
    }
}
