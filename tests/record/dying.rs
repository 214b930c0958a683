//! Targets that have ended when a call on them returns: still selected, and known.

use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use super::harness::{Tier, compare, program, workload};
use super::invariants;
use super::live::Live;

const NO_COMMAND: &[&str] = &[];

/// `-p VICTIM` alone: the recording waits for the call that is under way, made by nobody that is selected.
fn outlived(tier: Tier, case: &str) {
    let mut victim = Command::new(program("sleep")).arg("1000").spawn().expect("sleep");
    let pid = victim.id().to_string();
    let dir = tempfile::tempdir().expect("temporary directory");
    let live = Live::start_as(tier.recorder(), dir, &["-p", &pid], NO_COMMAND);
    let mut caller = Command::new(workload());
    caller.args(["edge", case]).env("WORKLOAD_TARGET", &pid).stdin(Stdio::null()).stdout(Stdio::piped());
    let caller = caller.spawn().expect("workload");
    victim.wait().expect("killed by the workload");
    let output = caller.wait_with_output().expect("workload ends");
    assert!(output.status.success());
    let report = serde_json::from_slice(&output.stdout).expect("JSON");
    let recording = live.end();
    assert!(recording.status.success(), "{}", recording.stderr);
    tier.check(&recording);
    invariants::check(&recording);
    compare(&recording, &report);
    assert_eq!(recording.manifest().end_reason, "processes_gone");
    let calls = recording.calls_but_opens();
    let exit = recording.event("process_exit").into_iter().find(|r| r["pid"] == calls[0]["target_pid"]).expect("exit");
    assert_eq!((&calls[0]["target_key"], &calls[0]["target_exe"]), (&exit["process_key"], &exit["exe"]));
    assert!(calls[0].number("mono_ns") > exit.number("mono_ns"));
}

#[test]
#[ignore = "needs root and BPF"]
fn a_selected_target_that_ends_stays_selected_on_the_best_tier() {
    outlived(Tier::Best, "dying-vm");
    outlived(Tier::Best, "dying-mem");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_selected_target_that_ends_stays_selected_on_the_tracepoint_tier() {
    outlived(Tier::Tracepoint, "dying-vm");
    outlived(Tier::Tracepoint, "dying-mem");
}

extern "C" fn idle(_: *mut libc::c_void) -> libc::c_int {
    loop {
        // SAFETY: takes nothing.
        unsafe { libc::pause() };
    }
}

/// The process that was opened is the target, not the one that shares its memory.
#[test]
#[ignore = "needs root and BPF"]
fn a_process_that_shares_memory_can_be_selected() {
    let mut stack = vec![0u128; 4096];
    // SAFETY: the child has a stack of its own, and only waits to be killed.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.len()).cast();
        libc::clone(idle, top, libc::CLONE_VM | libc::SIGCHLD, std::ptr::null_mut())
    };
    assert!(pid > 0, "{}", std::io::Error::last_os_error());
    for tier in [Tier::Best, Tier::Tracepoint] {
        let dir = tempfile::tempdir().expect("temporary directory");
        let live = Live::start_as(tier.recorder(), dir, &["-p", &pid.to_string()], NO_COMMAND);
        let (value, mut read) = (*b"sentinel", [0; 8]);
        for path in [format!("/proc/{pid}/mem"), "/proc/self/mem".into()] {
            let file = std::fs::File::open(path).expect("memory opens");
            file.read_exact_at(&mut read, value.as_ptr().addr() as u64).expect("memory is read");
        }
        assert_eq!(read, value);
        live.signal(libc::SIGINT);
        let recording = live.end();
        invariants::check(&recording);
        tier.check(&recording);
        let calls = recording.calls();
        let own = calls.iter().filter(|r| r.number("pid") == i64::from(std::process::id()));
        let targets: Vec<(&str, i64)> = own.map(|r| (r.text("event"), r.number("target_pid"))).collect();
        assert_eq!(targets, ["mem_open", "pread"].map(|event| (event, i64::from(pid))), "{calls:?}");
    }
    // SAFETY: our own child, which is not reaped yet.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        libc::waitpid(pid, std::ptr::null_mut(), 0);
    }
    drop(stack);
}
