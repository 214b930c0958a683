//! Plain transfers of every kind: each call is a row that says what the workload says.

use super::harness::{Recording, program, record, record_work};

/// The sum of `bytes` in the rows of `event`, beside the workload's own.
fn bytes_agree(recording: &Recording, event: &str) {
    let seen: i64 = recording.event(event).iter().map(|r| r.number("bytes")).sum();
    assert_eq!(Some(seen), recording.report()["calls"][event]["bytes"].as_i64());
}

#[test]
#[ignore = "needs root and BPF"]
fn readv_brings_numbered_payloads() {
    let recording = record_work(&[], "readv --count 300 --log 300");
    bytes_agree(&recording, "process_vm_readv");
}

#[test]
#[ignore = "needs root and BPF"]
fn writev_brings_numbered_payloads() {
    let recording = record_work(&[], "writev --count 300 --log 300");
    bytes_agree(&recording, "process_vm_writev");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_payload_is_gathered_over_segments() {
    record_work(&[], "readv --size 1000 --segments 7 --remote-segments 3 --count 20 --log 20");
    record_work(&[], "writev --size 1000 --segments 7 --remote-segments 3 --count 20 --log 20");
    record_work(&["-s", "1000"], "readv --size 1000 --segments 100 --count 20 --log 20");
}

#[test]
#[ignore = "needs root and BPF"]
fn payloads_end_at_the_snap_length() {
    for snaplen in ["1", "8", "255", "257", "4096", "65536"] {
        record_work(&["--snaplen", snaplen], "readv --size 70000 --segments 5 --log 3 --count 3");
        record_work(&["--snaplen", snaplen], "writev --size 70000 --segments 5 --log 3 --count 3");
        record_work(&["--snaplen", snaplen], "readv --size 256 --segments 2 --log 3 --count 3");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_snap_length_of_zero_means_all_there_is() {
    let recording = record_work(&["-s", "0"], "readv --size 65536 --log 1");
    assert_eq!(recording.manifest().filters.snaplen, 65_536);
}

#[test]
#[ignore = "needs root and BPF"]
fn without_payload_everything_else_is_kept() {
    let recording = super::harness::record(&["--payload", "none"], &super::harness::work("readv --count 5"));
    for row in recording.event("process_vm_readv") {
        assert_eq!(row["payload"], serde_json::Value::Null);
        assert_eq!(row["payload_status"], "off");
        assert_eq!((row.number("payload_len"), row.number("bytes")), (0, 64));
        assert_eq!(row["local_iov"].as_array().map(Vec::len), Some(1));
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn every_thread_is_recorded() {
    let recording = record_work(&[], "readv --threads 4 --count 200 --log 200 --size 32");
    let rows = recording.event("process_vm_readv");
    let mut threads: Vec<i64> = rows.iter().map(|r| r.number("tid")).collect();
    threads.sort_unstable();
    threads.dedup();
    assert_eq!(threads.len(), 4);
    let report = recording.report();
    assert!(rows.iter().all(|r| r["pid"] == report["pid"]));
}

#[test]
#[ignore = "needs root and BPF"]
fn vmsplice_into_a_pipe() {
    let recording = record_work(&[], "vmsplice --count 50 --log 50");
    bytes_agree(&recording, "vmsplice");
    record_work(&[], "vmsplice --size 10000 --segments 4 --count 5 --log 5");
}

#[test]
#[ignore = "needs root and BPF"]
fn vmsplice_with_pages_given_away() {
    record_work(&[], "vmsplice --gift --size 8192 --count 5 --log 5");
}

#[test]
#[ignore = "needs root and BPF"]
fn vmsplice_out_of_a_pipe() {
    let recording = record_work(&[], "vmsplice --out --size 1000 --segments 3 --count 50 --log 50");
    bytes_agree(&recording, "vmsplice");
}

#[test]
#[ignore = "needs root and BPF"]
fn splice_from_pipe_to_pipe() {
    let recording = record_work(&[], "splice --count 50 --log 50 --size 5000");
    bytes_agree(&recording, "splice");
}

#[test]
#[ignore = "needs root and BPF"]
fn splice_from_a_file_keeps_the_offset_before_the_call() {
    record_work(&[], "splice --from-file --size 10000 --count 5 --log 5");
}

#[test]
#[ignore = "needs root and BPF"]
fn tee_from_pipe_to_pipe() {
    let recording = record_work(&[], "tee --count 50 --log 50 --size 5000");
    bytes_agree(&recording, "tee");
}

#[test]
#[ignore = "needs root and BPF"]
fn sendfile_to_a_pipe_and_to_a_socket() {
    for sink in ["pipe", "socket"] {
        let recording = record_work(&[], &format!("sendfile --to {sink} --size 5000 --count 5 --log 5"));
        bytes_agree(&recording, "sendfile");
        record_work(&[], &format!("sendfile --to {sink} --offset --size 5000 --count 5 --log 5"));
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn ptrace_words_both_ways() {
    let recording = record_work(&[], "ptrace --op peek --count 50 --log 50");
    bytes_agree(&recording, "ptrace");
    record_work(&[], "ptrace --op poke --count 50 --log 50 --threads 2");
}

#[test]
#[ignore = "needs root and BPF"]
fn proc_mem_by_every_syscall() {
    for call in ["read", "write", "pread", "pwrite"] {
        let recording = record_work(&[], &format!("mem --with {call} --size 300 --count 5 --log 5"));
        bytes_agree(&recording, call);
    }
    for call in ["readv", "writev", "preadv", "pwritev", "preadv2", "pwritev2"] {
        let recording = record_work(&[], &format!("mem --with {call} --size 300 --segments 3 --count 5 --log 5"));
        bytes_agree(&recording, call);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn every_attempt_to_open_memory_is_a_row() {
    let recording = record_work(&["-e", "mem_open"], "open --count 200 --log 200 --threads 2");
    assert!(recording.calls().iter().all(|row| row["event"] == "mem_open"));
    assert_eq!(recording.manifest().ledger.iter().map(|row| row.bytes).sum::<u64>(), 0, "nothing moved");
}

/// What splice put into a pipe is counted once more when it is read: as moved it is named once.
#[test]
#[ignore = "needs root and BPF"]
fn the_summary_counts_what_moved_once() {
    let script = "import os; r, w = os.pipe(); f = os.open('/proc/self/exe', os.O_RDONLY)\n\
        assert os.splice(f, w, 500) == 500 and len(os.read(r, 500)) == 500";
    let recording = record(&["-e", "@pipe"], &[program("python3").as_str(), "-c", script]);
    recording.succeeded();
    let bytes: Vec<_> = ["splice", "pipe_read"].iter().map(|name| recording.event(name)[0].number("bytes")).collect();
    assert_eq!(bytes, [500, 500]);
    assert!(recording.stderr.contains("; 500 B moved, 500 B through pipes and files, "), "{}", recording.stderr);
}
