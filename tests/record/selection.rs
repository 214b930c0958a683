//! What is selected is recorded, and nothing else: -p, --no-follow, -e, -u, --cgroup.

use super::harness::{Row, compare, count, record, record_work, work, workload};
use super::invariants;
use super::live::{Live, Waiting};

const NO_COMMAND: &[&str] = &[];

fn callers(rows: &[Row]) -> Vec<i64> {
    let mut pids: Vec<i64> = rows.iter().map(|r| r.number("pid")).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

#[test]
#[ignore = "needs root and BPF"]
fn a_running_process_is_recorded_until_it_ends() {
    let waiting = Waiting::start("readv --count 20 --log 20 --threads 2");
    let live = Live::start(&["-p", &waiting.pid()], NO_COMMAND);
    let report = waiting.go();
    let recording = live.end();
    assert!(recording.status.success(), "{}", recording.stderr);
    invariants::check(&recording);
    compare(&recording, &report);
    assert_eq!(recording.manifest().end_reason, "processes_gone");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_thread_stands_for_its_process() {
    let waiting = Waiting::start("readv --threads 2 --count 20 --log 20");
    let other = waiting.threads().into_iter().find(|tid| *tid != waiting.pid()).expect("a second thread");
    let live = Live::start(&["-p", &other], NO_COMMAND);
    let report = waiting.go();
    let recording = live.end();
    invariants::check(&recording);
    compare(&recording, &report);
}

#[test]
#[ignore = "needs root and BPF"]
fn who_lived_before_is_introduced() {
    let mut waiting = Waiting::start("readv --count 20 --log 20");
    let live = Live::start(&["-p", &waiting.pid()], NO_COMMAND);
    waiting.work();
    live.signal(libc::SIGINT);
    let recording = live.end();
    let report = waiting.leave();
    assert!(recording.status.success(), "{}", recording.stderr);
    invariants::check(&recording);
    compare(&recording, &report);
    let snapshots = recording.event("process_snapshot");
    let of = |pid: &serde_json::Value| snapshots.iter().filter(|r| &r["pid"] == pid).count();
    assert_eq!((of(&report["pid"]), of(&report["target_pid"])), (1, 1), "both lived before");
    let call = &recording.event("process_vm_readv")[0];
    assert_eq!((call["exe"].as_str(), call["target_exe"].as_str()), (Some(&*workload()), Some(&*workload())));
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_that_is_not_selected_is_not_recorded() {
    let (chosen, other) = (Waiting::start("readv --count 20 --log 20"), Waiting::start("writev --count 20"));
    let live = Live::start(&["-p", &chosen.pid()], NO_COMMAND);
    other.go();
    let report = chosen.go();
    let recording = live.end();
    invariants::check(&recording);
    compare(&recording, &report);
}

/// What files of /proc/PID/mem look like is learned, whichever of their calls is wanted.
#[test]
#[ignore = "needs root and BPF"]
fn one_call_of_mem_alone_is_recorded() {
    for call in ["read", "pread", "write", "preadv", "pwritev2"] {
        let recording = record(&["-e", call], &work(&format!("mem --with {call} --count 5 --log 5")));
        compare(&recording, &recording.report());
        assert_eq!(count(&recording.calls()).get(call), Some(&5), "{call}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn several_processes_can_be_selected() {
    let (one, two) = (Waiting::start("readv --count 7"), Waiting::start("writev --count 9"));
    let live = Live::start(&["-p", &format!("{},{}", one.pid(), two.pid())], NO_COMMAND);
    one.go();
    two.go();
    let counts = count(&live.end().calls());
    assert_eq!((counts.get("process_vm_readv"), counts.get("process_vm_writev")), (Some(&7), Some(&9)));
}

/// As the help says: whoever reaches into the memory of a selected process is recorded, too.
#[test]
#[ignore = "needs root and BPF"]
fn reaching_into_a_selected_process_is_recorded() {
    for words in ["readv --count 5 --log 5", "mem --with pwrite --count 5 --log 5"] {
        let waiting = Waiting::start(words);
        let targets = waiting.children();
        let live = Live::start(&["-p", &targets[0]], NO_COMMAND);
        let report = waiting.go();
        let recording = live.end();
        invariants::check(&recording);
        compare(&recording, &report);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn reaching_into_a_selected_process_by_pidfd_is_recorded() {
    let waiting = Waiting::start("edge pidfd-errors");
    let live = Live::start(&["-p", &waiting.pid(), "--no-follow"], NO_COMMAND);
    let report = waiting.go();
    let recording = live.end();
    invariants::check(&recording);
    // The last two calls are a child's, which is not selected itself.
    compare(&recording, &report);
    let calls = recording.calls();
    let (own, others): (Vec<_>, Vec<_>) = calls.iter().partition(|r| r["pid"] == report["pid"]);
    assert_eq!((own.len(), others.len()), (5, 2));
    assert!(others.iter().all(|r| r["target_pid"] == report["pid"]), "{others:?}");
}

#[test]
#[ignore = "needs root and BPF"]
fn children_are_followed_unless_asked_not_to() {
    let script = format!("{} readv --count 5; true", workload());
    let followed = record(&[], &["sh", "-c", &script]);
    assert_eq!(followed.event("process_vm_readv").len(), 5);
    let alone = record(&["--no-follow"], &["sh", "-c", &script]);
    assert_eq!(alone.calls().len(), 0);
    let own = record(&["--no-follow"], &work("readv --count 5"));
    assert_eq!(own.event("process_vm_readv").len(), 5, "COMMAND's own calls");
    let children = record(&["--no-follow"], &work("edge exit-after-call"));
    assert_eq!(children.calls().len(), 0, "forked children call, COMMAND does not");
}

#[test]
#[ignore = "needs root and BPF"]
fn only_selected_events_are_recorded() {
    let recording = record(&["-e", "process_vm_writev"], &work("edge decoy"));
    assert_eq!(recording.rows().iter().map(|r| r.text("event")).collect::<Vec<_>>(), ["process_vm_writev"]);
    let row = &recording.rows()[0];
    assert_eq!(row["exe"], workload().as_str(), "names resolve though process events are not written");
    let recording = record(&["-e", "@pipe,@ptrace"], &work("edge int80"));
    let counts = count(&recording.rows());
    let expected = [("pipe_read", 1), ("pipe_write", 2), ("ptrace", 4), ("splice", 1), ("tee", 1), ("vmsplice", 1)];
    assert_eq!(counts, expected.map(|(event, n)| (event.to_string(), n)).into());
    let recording = record(&["-e", "@process"], &work("readv --count 5"));
    assert!(recording.calls().is_empty() && recording.rows().len() >= 4);
    let recording = record(&["-e", "tee", "-e", "vmsplice"], &work("edge int80"));
    assert_eq!(recording.rows().len(), 2);
    assert_eq!(recording.manifest().filters.events, ["vmsplice", "tee"]);
}

#[test]
#[ignore = "needs root and BPF"]
fn only_selected_users_are_recorded() {
    let nobody = record_work(&["-u", "65534"], "edge eperm");
    assert_eq!(nobody.calls().len(), 2);
    let root = record(&["-u", "0"], &work("edge eperm"));
    assert_eq!(root.calls().len(), 0);
    let both = record(&["-u", "0", "-u", "65534"], &work("edge eperm"));
    assert_eq!(both.calls().len(), 2);
}

#[test]
#[ignore = "needs root and BPF"]
fn only_a_selected_cgroup_is_recorded() {
    let mount = cgroup_mount();
    let groups = [0, 1].map(|n| mount.join(format!("vmtrace-test-{}-{n}", std::process::id())));
    let made = groups.each_ref().map(std::fs::create_dir);
    let script = |group: &std::path::Path| {
        format!("echo $$ > {}/cgroup.procs && exec {} readv --count 5", group.display(), workload())
    };
    let chosen = groups[0].to_str().expect("UTF-8 path");
    let result = std::panic::catch_unwind(|| {
        groups.each_ref().map(|g| record(&["--cgroup", chosen], &["sh", "-c", &script(g)]).event("process_vm_readv"))
    });
    let removed = groups.each_ref().map(std::fs::remove_dir);
    let [inside, outside] = result.expect("recordings");
    assert!(made.iter().chain(&removed).all(Result::is_ok), "{made:?} {removed:?}");
    assert_eq!((inside.len(), outside.len()), (5, 0));
    let name = groups[0].file_name().and_then(|n| n.to_str()).expect("name");
    assert!(inside.iter().all(|r| r.text("cgroup").ends_with(&format!("/{name}"))), "{:?}", inside[0]);
    assert_eq!(callers(&inside).len(), 1);
}

/// Where cgroup v2 is mounted.
pub fn cgroup_mount() -> std::path::PathBuf {
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
    let mut fields = mounts.lines().map(|l| l.split(' ').collect::<Vec<_>>());
    fields.find(|f| f[2] == "cgroup2").map(|f| f[1].into()).expect("cgroup v2 is not mounted")
}
