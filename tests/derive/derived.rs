//! What every reader says of a derived capture, and that none takes it for the whole.

use vmtrace::schema::manifest::LedgerRow;
use vmtrace::schema::{Event, Manifest};

use super::captures::*;
use super::*;

fn sliced(dir: &Dir, sample: &str, select: &[&str]) -> String {
    let path = samples().into_iter().find(|path| path.to_str().unwrap().ends_with(sample)).unwrap();
    let out = dir.path("slice.parquet");
    made(&[&["slice", path.to_str().unwrap(), "-o", &out], select].concat());
    out
}

#[test]
fn every_reader_says_what_is_left_out() {
    let dir = Dir::new();
    let out = sliced(&dir, "pipe-relay.parquet", &["-e", "pipe_read"]);
    let left_out = info(&out)["total"]["left_out"].as_u64().unwrap();
    assert!(left_out > 0);
    let said = format!("Made by slice from pipe-relay.parquet: {left_out} events left out.");
    let summary = vmtrace(&["summary", &out]).out;
    assert!(summary.starts_with(&said) || summary.contains(&format!("\n{said}")), "{summary}");
    assert!(summary.contains("Nothing was lost in the recording."), "{summary}");
    let exported = vmtrace(&["export", "-T", "csv", &out]);
    assert_eq!((exported.status, exported.err.trim_end()), (0, format!("vmtrace: {out}: {said}").as_str()));
    let replay = vmtrace(&["replay", &out]).out;
    assert!(replay.contains(&format!(" · {left_out} LEFT OUT")), "{replay}");
    let info = vmtrace(&["info", &out]).out;
    assert!(info.contains("\nDerived      slice of pipe-relay.parquet, root digest "), "{info}");
    assert!(info.contains(&format!("left out: {left_out} events that are not selected")), "{info}");
    assert!(info.contains("filtered + lost + left out + written, and written = rows in the file."), "{info}");
    let verify = vmtrace(&["verify", &out]).out;
    assert!(verify.contains(": derived (slice of pipe-relay.parquet, root digest "), "{verify}");
    assert!(verify.contains("), intact\n"), "{verify}");
    let page = dir.path("page.html");
    assert_eq!(vmtrace(&["report", &out, "-o", &page]).status, 0);
    assert!(std::fs::read_to_string(&page).unwrap().contains(&said));
}

#[test]
fn each_step_is_said_to_leave_out_what_it_left_out() {
    let dir = Dir::new();
    let first = sliced(&dir, "pipe-relay.parquet", &["-e", "pipe_read"]);
    let left_out = info(&first)["total"]["left_out"].as_u64().unwrap();
    let again = dir.path("again.parquet");
    made(&["slice", &first, "-o", &again]);
    let total = format!("Of the original pipe-relay.parquet, {left_out} events are left out");
    let said = format!("Made by slice from slice.parquet: nothing left out. {total}.");
    let summary = vmtrace(&["summary", &again]).out;
    assert!(summary.contains(&said), "{summary}");
    let (status, findings) = verdict(&again);
    assert!(status == 0 && findings.iter().any(|finding| finding.starts_with(&format!("note: {total};"))));
}

#[test]
fn what_moved_in_events_that_are_left_out_is_not_denied() {
    let dir = Dir::new();
    let out = sliced(&dir, "failing-caller.parquet", &["--failed"]);
    let summary = vmtrace(&["summary", &out]).out;
    assert!(summary.contains("No bytes moved in the events that are here. Nothing was lost in the rec"), "{summary}");
}

#[test]
fn flows_of_a_slice_are_unknown_unless_all_calls_at_pipes_are_in_it() {
    let dir = Dir::new();
    let pipes = sliced(&dir, "pipe-relay.parquet", &["-e", "@pipe"]);
    let sample = samples().into_iter().find(|path| path.ends_with("pipe-relay.parquet")).unwrap();
    let flows = |path: &str| vmtrace(&["flows", "-T", "csv", path]).out.replace(path, "");
    assert_eq!(flows(&pipes), flows(sample.to_str().unwrap()), "all of them are there");
    let reads = dir.path("reads.parquet");
    made(&["slice", &pipes, "-e", "pipe_read", "-o", &reads]);
    let flows = vmtrace(&["flows", &reads]);
    assert!(
        flows.err.contains("no flow through a pipe is known: the capture leaves out calls that use pipes"),
        "{}",
        flows.err
    );
}

#[test]
fn a_flow_is_sliced_by_one_of_its_calls() {
    let dir = Dir::new();
    let sample = samples().into_iter().find(|path| path.ends_with("pipe-relay.parquet")).unwrap();
    let sample = sample.to_str().unwrap();
    let read = rows(sample, &["-e", "pipe_read", "--where", "bytes > 0"]);
    let seq = json(read.last().unwrap())["seq"].to_string();
    let out = dir.path("flow.parquet");
    made(&["slice", sample, "--flow", &seq, "-o", &out]);
    let calls = |path: &str, select: &[&str]| -> Vec<String> {
        rows(path, select).into_iter().filter(|row| !row.contains("\"event\":\"process_")).collect()
    };
    assert_eq!(calls(&out, &[]), calls(sample, &["--follow", &seq]));
    assert!(calls(&out, &[]).len() > 1);
    check_whole(&out, verdict(sample).0);
}

#[test]
fn a_capture_with_loss_keeps_its_ledger_and_the_gaps_of_its_time() {
    let gap = |us, count, event| Event {
        lost_count: Some(count),
        lost_event: Some(event),
        lost_cause: Some("ring_full"),
        dur_ns: Some(1_000_000),
        pid: 0,
        ..at(us, "lost", 0)
    };
    let events = [readv(1), gap(1_500, 7, "process_vm_readv"), readv(5_000), gap(9_000, 5, "tee"), readv(10_000)];
    let mut ledger = ledger(&events);
    let mut lose = |event: &str, lost| {
        let row = ledger.iter_mut().find(|row| row.event == event).unwrap();
        (row.seen, row.lost_ring_full) = (row.seen + lost, lost);
    };
    lose("process_vm_readv", 7);
    ledger.push(LedgerRow { event: "tee".into(), seen: 5, lost_ring_full: 5, ..LedgerRow::default() });
    let whole = make_with(&Manifest { ledger, ..manifest() }, &[&events]);
    assert_eq!(verdict(whole.path()).0, 3);
    let dir = Dir::new();
    let out = dir.path("s.parquet");
    // The first gap begins at 0.5 ms and ends at 1.5 ms; the second one is from 8 to 9 ms.
    made(&["slice", whole.path(), "--since", "1ms", "--until", "5ms", "-o", &out]);
    let seqs: Vec<u64> = rows(&out, &[]).iter().map(|row| json(row)["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [1, 2]);
    let (status, findings) = verdict(&out);
    assert_eq!(status, 3, "{findings:?}");
    assert!(findings.contains(&"loss: 12 events lost: ring full".to_string()), "{findings:?}");
    assert!(vmtrace(&["verify", &out]).out.contains("), intact; loss is recorded\n"));
}

#[test]
fn memory_of_a_slice_can_be_stale() {
    let dir = Dir::new();
    let out = sliced(&dir, "mem-editor.parquet", &["--failed"]);
    let pid = json(&rows(&out, &["--failed"])[0])["pid"].to_string();
    let memory = vmtrace(&["memory", &out, "-p", &pid]);
    let text = memory.out + &memory.err;
    assert!(text.contains("all bytes can be stale") || memory.status == 1, "{text}");
}

#[test]
fn a_table_is_no_capture() {
    let dir = Dir::new();
    let sample = samples().into_iter().find(|path| path.ends_with("pipe-relay.parquet")).unwrap();
    let table = dir.path("flows.parquet");
    assert_eq!(vmtrace(&["flows", sample.to_str().unwrap(), "-T", "parquet", "-o", &table]).status, 0);
    for command in ["replay", "info", "verify"] {
        let ran = vmtrace(&[command, &table]);
        assert_eq!(ran.status, 2);
        let said = "is a table that `vmtrace flows` wrote, not a capture";
        assert!((ran.err + &ran.out).contains(said), "{command}");
    }
}
