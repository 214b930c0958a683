//! `vmtrace flows`: lines, answers about a row, JSON, CSV, and what is said where nothing fits.

use std::path::PathBuf;

use serde_json::Value;
use vmtrace::schema::types::{Iovec, Iovecs};
use vmtrace::schema::{Event, Manifest};

use super::captures::*;
use super::vmtrace;

const SENDER: i32 = 501;
const RELAY: i32 = 502;
const READER: i32 = 503;

fn sample(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "samples", name, &format!("{name}.parquet")].iter().collect();
    path.to_str().unwrap().to_string()
}

fn write(us: i64, payload: &'static [u8]) -> Event<'static> {
    const FROM: &[Iovec] = &[Iovec { base: 0x7000, len: 64 }];
    Event {
        dur_ns: Some(100),
        direction: Some("out"),
        bytes: Some(8),
        bytes_requested: Some(8),
        local_iov: Some(Iovecs::Pairs(FROM)),
        fd_out_kind: Some("pipe"),
        pipe_out: Some(71),
        payload: Some(payload),
        payload_status: Some("ok"),
        ..at(us, "pipe_write", SENDER)
    }
}

fn relayed(us: i64) -> Event<'static> {
    Event {
        dur_ns: Some(100),
        bytes: Some(8),
        bytes_requested: Some(8),
        fd_in_kind: Some("pipe"),
        pipe_in: Some(71),
        fd_out_kind: Some("pipe"),
        pipe_out: Some(72),
        payload_status: Some("none"),
        ..at(us, "splice", RELAY)
    }
}

fn read(us: i64, payload: &'static [u8]) -> Event<'static> {
    const INTO: &[Iovec] = &[Iovec { base: 0x9000, len: 64 }];
    Event {
        direction: Some("in"),
        bytes_requested: Some(64),
        local_iov: Some(Iovecs::Pairs(INTO)),
        fd_out_kind: None,
        pipe_out: None,
        fd_in_kind: Some("pipe"),
        pipe_in: Some(72),
        pid: READER,
        tid: READER,
        event: "pipe_read",
        ..write(us, payload)
    }
}

/// Three bytes' journeys from a sender over a relay to a reader, and one that nobody reads.
fn relay() -> Made {
    make(&[
        write(10, b"number 1"),
        relayed(20),
        read(30, b"number 1"),
        write(40, b"number 2"),
        relayed(50),
        read(60, b"number 2"),
        Event { payload: None, payload_status: Some("off"), ..write(70, b"") },
        readv(80),
    ])
}

#[test]
fn a_flow_is_a_line_from_end_to_end() {
    let ran = vmtrace(&["flows", relay().path()]);
    let wanted = [
        "[0..8) worker[501] 0x7000+8 \"number 1\" → pipe:71 → splice by worker[502] → pipe:72 → worker[503] 0x9000+8 \
         \"number 1\"  (bounded)",
        "[8..16) worker[501] 0x7000+8 \"number 2\" → pipe:71 → splice by worker[502] → pipe:72 → worker[503] 0x9000+8 \
         \"number 2\"  (bounded)",
        "[16..24) worker[501] 0x7000+8 → pipe:71 → not read  (bounded)",
        "3 flows, 24 B bounded: the pipe was never seen empty: this holds if it held nothing before its first recorded \
         call.",
    ];
    assert_eq!((ran.out.lines().collect::<Vec<_>>().as_slice(), ran.err.as_str()), (wanted.as_slice(), ""));
}

#[test]
fn alike_flows_are_folded_in_text_and_not_elsewhere() {
    let payloads: [&[u8]; 5] = [b"number 1", b"number 2", b"number 3", b"number 4", b"number 5"];
    let mut events = Vec::new();
    for (number, payload) in payloads.into_iter().enumerate() {
        let us = 100 * number as i64;
        let got: &[u8] = if number == 4 { b"number x" } else { payload };
        let sent = Event { event: "vmsplice", payload_by_ref: Some(true), ..write(us, payload) };
        events.extend([sent, Event { pipe_in: Some(71), ..read(us + 10, got) }]);
    }
    let made = make(&events);
    let ran = vmtrace(&["flows", made.path()]);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 6, "{lines:#?}");
    assert!(lines[1].starts_with("[8..16) ") && lines[1].ends_with("(by reference)"), "{lines:#?}");
    assert_eq!(lines[2], "… 2 more like it, 16 B");
    assert!(
        lines[3].ends_with("(by reference; other bytes than were sent, from byte 7 on)"),
        "never folded: {lines:#?}"
    );
    assert_eq!(lines[5], "In 1 flow other bytes came out than were sent.");
    let csv = vmtrace(&["flows", "-T", "csv", made.path()]).out;
    assert_eq!(csv.lines().count(), 1 + 5, "{csv}");
    let json: Vec<Value> =
        vmtrace(&["flows", "-T", "json", made.path()]).out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(json.len(), 5);
    let last = &json[4];
    let of = |end: &str, key: &str| last[end][key].clone();
    assert_eq!(
        (of("source", "pid"), of("source", "address"), of("sink", "seq")),
        (SENDER.into(), "0x7000".into(), 9.into())
    );
    assert_eq!(
        (&last["certainty"], &last["by_reference"], &last["differs_at"]),
        (&"by_reference".into(), &true.into(), &7.into())
    );
    assert_eq!(last["pipes"][0]["pipe"], 71);
}

#[test]
fn selecting_options_name_ends_and_pipes() {
    let made = relay();
    let count = |options: &[&str]| {
        let ran = vmtrace(&[&["flows", "-T", "json", made.path()], options].concat());
        (ran.out.lines().count(), ran.status, ran.err)
    };
    let some = |number| (number, 0, String::new());
    assert_eq!(count(&["--from", "501"]), some(3));
    assert_eq!(count(&["--to", "503"]), some(2));
    assert_eq!(count(&["--from", "501", "--to", "503", "--pipe", "72"]), some(2));
    assert_eq!(count(&["--pipe", "71"]), some(3));
    let none = |sentence: &str| (0, 1, format!("vmtrace: {sentence}\n"));
    assert_eq!(count(&["--from", "600"]), none("--from: no bytes came from process 600; the nearest is 501"));
    assert_eq!(count(&["--to", "501"]), none("--to: no bytes went to process 501; the nearest is 503"));
    assert_eq!(count(&["--pipe", "75"]), none("--pipe: no bytes went through pipe 75; the nearest is 72"));
    assert_eq!(count(&["--from", "501", "0"]), some(1));
    let row = "row 7, process_vm_readv, is in no flow; the nearest that is in one is 6";
    assert_eq!(count(&["7"]), none(row));
    assert_eq!(count(&["99"]), none("there is no row 99; the nearest that is in one is 6"));
    assert_eq!(count(&["--to", "503", "6"]), none("no flow has all that was selected"));
}

#[test]
fn a_row_is_answered_in_five_lines() {
    let answer = |name: &str, seq: &str| {
        let ran = vmtrace(&["flows", &sample(name), seq]);
        assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{name} {seq}");
        let lines: Vec<String> = ran.out.lines().map(str::to_string).collect();
        assert!((3..=5).contains(&lines.len()), "{lines:#?}");
        lines
    };
    // Where did the bytes of this vmsplice end up?
    let lines = answer("pipe-relay", "4");
    assert!(lines[1].contains("tee by relay[28184] → pipe:406603 → reader[28183] 0x2c6bf5e0+31"), "{lines:#?}");
    assert!(lines[2].contains("→ relay[28184] by splice, /tmp/relay.out"), "{lines:#?}");
    // Why did the consumer read other bytes than the producer sent?
    for (seq, ends) in [("3", "consumer[32475]"), ("9", "from producer[32476]")] {
        let lines = answer("pipe-corruption", seq);
        assert!(lines[1].contains(ends), "{lines:#?}");
        let why = "from byte 20 on: vmsplice put pages in, not bytes, and producer[32476] had changed them";
        assert!(lines[2].contains(why), "{lines:#?}");
        assert!(lines[3].starts_with("Certainty: bounded, by reference. The pipe was never seen empty"), "{lines:#?}");
    }
    for name in ["pipe-relay", "pipe-corruption"] {
        (4..10)
            .filter(|seq| (name, *seq) != ("pipe-corruption", 8))
            .for_each(|seq| drop(answer(name, &seq.to_string())));
    }
}

#[test]
fn replay_follows_the_bytes_of_a_row() {
    let made = relay();
    let events = |options: &[&str]| {
        let ran = vmtrace(&[&["replay", "-T", "jsonl", made.path()], options].concat());
        let seqs = ran.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap());
        (seqs.collect::<Vec<_>>(), ran.status, ran.err)
    };
    for seq in ["3", "4", "5"] {
        assert_eq!(events(&["--follow", seq]), (vec![3, 4, 5], 0, String::new()), "from any of them");
    }
    assert_eq!(events(&["--follow", "6"]).0, [6]);
    assert_eq!(events(&["--follow", "4", "-e", "pipe_read"]).0, [5]);
    let text = vmtrace(&["replay", "--by", "process", "--follow", "4", made.path()]).out;
    assert_eq!(text.matches("number 2").count(), 2, "{text}");
    let none = "vmtrace: --follow: row 7, process_vm_readv, is in no flow; the nearest that is in one is 6\n";
    assert_eq!(events(&["--follow", "7"]), (vec![], 1, none.to_string()));
    let two = events(&[relay().path(), "--follow", "4"]);
    assert!(two.1 == 2 && two.2.contains("several recordings"), "{}", two.2);
}

#[test]
fn what_a_recording_cannot_show_is_said() {
    let events = relay();
    let mut manifest = Manifest { ledger: ledger(&[]), ..manifest() };
    manifest.filters.events.retain(|event| event != "tee");
    let made = make_with(&manifest, &[&[write(10, b"number 1"), relayed(20)]]);
    let ran = vmtrace(&["flows", made.path()]);
    assert!(
        ran.err.contains("no flow through a pipe is known: the capture leaves out calls that use pipes"),
        "{}",
        ran.err
    );
    assert!(ran.out.lines().take(2).all(|line| line.ends_with("(unknown)")), "{}", ran.out);
    let none = vmtrace(&["flows", make(&[readv(10)]).path()]);
    assert_eq!((none.status, none.out.as_str()), (1, ""));
    assert_eq!(none.err, "vmtrace: no recorded call moved bytes through a pipe, or on from a memory\n");
    let several = vmtrace(&["flows", events.path(), relay().path()]).out;
    let headings = several.lines().filter(|line| line.starts_with("# ") && line.ends_with("demo.parquet"));
    assert_eq!((headings.count(), several.lines().count()), (2, 2 * (1 + 4)), "{several}");
    let both = vmtrace(&["flows", events.path(), "no-such-file.parquet"]);
    assert!(both.status == 2 && both.out.contains("pipe:72") && both.err.contains("no-such-file"), "{}", both.err);
    let captured = Event { comm: "a\x1b[31m", ..write(10, b"\x1b[31mxyz") };
    for format in ["text", "json", "csv"] {
        let out = vmtrace(&["flows", "-T", format, make(&[captured]).path()]).out;
        assert!(!out.contains('\x1b') && out.contains("31m"), "{format}: {out}");
    }
}
