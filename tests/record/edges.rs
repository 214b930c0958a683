//! Edge cases: calls that fail, stop short, or are made to be missed.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::harness::{Tier, compare, program, record, record_by, record_work, work};

/// One test per edge case whose rows need nothing but to agree with the workload's log.
macro_rules! edges {
    ($($test:ident $case:literal;)+) => {$(
        #[test]
        #[ignore = "needs root and BPF"]
        fn $test() {
            let recording = record_work(&[], concat!("edge ", $case));
            assert!(!recording.calls().is_empty());
        }
    )+};
}

edges! {
    target_does_not_exist "esrch";
    target_is_forbidden "eperm";
    iovec_array_is_nowhere "efault-array";
    arrays_that_lie_side_by_side "adjacent-arrays";
    local_segment_is_nowhere "efault-local";
    remote_segment_is_nowhere "efault-remote";
    flags_do_not_exist "einval-flags";
    more_segments_than_allowed "einval-count";
    transfer_stops_at_an_unmapped_page "partial";
    no_segments_at_all "no-segments";
    empty_segments_in_front "decoy";
    first_segment_of_65536_bytes "big-first";
    as_many_segments_as_allowed "segments-1024";
    pages_never_touched "untouched";
    target_named_by_a_thread "thread-target";
    caller_is_its_own_target "self-target";
    pipe_calls_that_fail "pipe-errors";
    full_pipe "pipe-full";
    call_interrupted_by_a_signal "interrupted";
    vmsplice_stops_at_a_full_pipe "vmsplice-partial";
    splice_into_a_file "splice-to-file";
    splice_from_a_fifo "splice-fifo";
    splice_into_a_socket "splice-socket";
    every_ptrace_request "ptrace-requests";
    ptrace_that_fails "ptrace-errors";
    mem_reads_that_fail "mem-errors";
    vectored_mem_calls_that_stop_or_fail "mem-vectors";
    mem_of_a_thread "mem-task";
    mem_of_oneself "mem-self";
    mem_opened_by_every_way "mem-open";
    mem_that_is_not_opened "mem-open-errors";
    mem_opened_by_int80 "mem-open-int80";
    descriptor_of_another_process "pidfd-getfd";
    pidfd_calls_that_fail "pidfd-errors";
    advice_to_another_process "madvise";
    missing_pages_of_the_caller "uffd-own";
    missing_pages_of_another_process "uffd-peer";
    missing_pages_that_are_not_filled "uffd-errors";
    missing_pages_filled_by_int80 "uffd-int80";
    target_killed_during_the_call "killed-target";
    caller_killed_during_its_call "killed-caller";
    target_gone_before_the_call_returns "dying-vm";
    target_of_mem_gone_before_the_call_returns "dying-mem";
    target_of_a_threads_mem_gone_before_the_call_returns "dying-mem-task";
    mem_of_threads_that_ended_together "dead-pairs-mem";
    mem_of_a_process_that_shares_memory "shared-memory";
    int80_from_64_bit_code "int80";
    int80_on_memory_above_4_gib "int80-mem";
    io_uring_splice "uring-splice";
    io_uring_tee "uring-tee";
    io_uring_submitted_by_the_kernel "uring-sqpoll";
    io_uring_without_completion "uring-skip-success";
}

/// Only the function that copies sees it; without, the capture says that it does not.
#[test]
#[ignore = "needs root and BPF"]
fn mem_by_io_uring_is_seen_or_named_as_a_gap() {
    let recording = record(&[], &work("edge uring-mem"));
    let manifest = recording.manifest();
    if manifest.hooks.iter().any(|h| h.attached && h.program == "mem_begin") {
        return compare(&recording, &recording.report());
    }
    assert!(recording.calls_but_opens().is_empty());
    assert!(manifest.gaps.iter().any(|gap| gap.contains("/proc/PID/mem through io_uring")), "{:?}", manifest.gaps);
}

#[test]
#[ignore = "needs root and BPF"]
fn big_payloads_are_gathered_past_a_big_first_segment() {
    record_work(&["-s", "65536"], "edge big-first");
}

#[test]
#[ignore = "needs root and BPF"]
fn many_segments_are_gathered_whole() {
    record_work(&["-s", "4096"], "edge segments-1024");
}

/// Every edge case that the workload knows is in a test.
#[test]
fn no_edge_case_is_forgotten() {
    let output = Command::new(super::harness::workload()).args(["edge", "list"]).output().expect("workload");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let sources = [
        include_str!("edges.rs"),
        include_str!("descriptors.rs"),
        include_str!("fed.rs"),
        include_str!("life.rs"),
        include_str!("races.rs"),
        include_str!("regions.rs"),
        include_str!("sockets.rs"),
        include_str!("stopping.rs"),
    ];
    for name in report["names"].as_array().expect("names") {
        let name = name.as_str().expect("name");
        let quoted = [format!("\"{name}\""), format!("\"edge {name}\"")];
        assert!(sources.iter().any(|s| quoted.iter().any(|q| s.contains(q))), "no test of {name}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_static_32_bit_program_is_seen() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let caller = caller32(dir.path());
    for tier in [Tier::Best, Tier::Tracepoint] {
        let recording = record_by(tier.recorder(), &[], &[&caller]);
        recording.succeeded();
        tier.check(&recording);
        compare(&recording, &recording.report());
        assert!(recording.calls().iter().all(|r| r["exe"] == caller.to_str().expect("UTF-8 path")));
    }
}

/// The 32-bit program, built in `dir` unless `VMTRACE_TEST_CALLER32` names it.
fn caller32(dir: &Path) -> PathBuf {
    if let Some(built) = std::env::var_os("VMTRACE_TEST_CALLER32") {
        return built.into();
    }
    let caller = dir.join("caller32");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/workloads/caller32.c");
    let built = Command::new(program("gcc")).args(["-m32", "-static", "-O1", "-o"]).arg(&caller).arg(source).status();
    assert!(built.expect("gcc").success(), "gcc -m32 failed; install gcc-multilib");
    caller
}
