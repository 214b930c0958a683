//! JSON lines and CSV: every value can be had back, and a reader that goes away is no error.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use vmtrace::schema::Event;
use vmtrace::schema::columns::COLUMNS;
use vmtrace::schema::types::{Iovec, Iovecs};

use super::captures::*;
use super::{command, vmtrace};

const RANGES: &[Iovec] = &[Iovec { base: u64::MAX, len: (1 << 53) + 1 }, Iovec { base: 0xffff_8000_0000_0001, len: 0 }];

fn extreme() -> Event<'static> {
    Event {
        remote_iov: Some(Iovecs::Pairs(RANGES)),
        local_iov: Some(Iovecs::Pairs(&[])),
        riovcnt: Some(u64::MAX),
        ret: Some(i64::MIN),
        data: u64::MAX,
        comm: "a,\"b\"\n\x1b",
        ..readv(1)
    }
}

#[test]
fn json_lines_are_exact() {
    let made = make(&[extreme(), readv(2)]);
    let ran = vmtrace(&["replay", "-T", "jsonl", made.path()]);
    assert_eq!(ran.status, 0);
    let lines: Vec<serde_json::Value> = ran.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let event = &lines[0];
    assert_eq!(event["remote_iov"][0]["base"], "0xffffffffffffffff");
    assert_eq!(event["remote_iov"][0]["len"], "0x20000000000001");
    assert_eq!(event["remote_iov"][1]["base"], "0xffff800000000001");
    let second = &lines[1];
    assert!(second["remote_iov"][0]["base"].is_u64(), "readers of JSON tell it from its neighbours");
    assert_eq!(second["ts_ns_text"], second["ts_ns"].as_i64().unwrap().to_string());
    assert_eq!(event["local_iov"], serde_json::json!([]));
    assert_eq!(event["riovcnt"].as_u64(), Some(u64::MAX));
    assert_eq!(event["ret"].as_i64(), Some(i64::MIN));
    assert_eq!(event["data"].as_u64(), Some(u64::MAX));
    assert_eq!(event["comm"], "a,\"b\"\n\x1b");
    assert_eq!(event["ts"], "2023-11-14T22:13:20.000001Z");
    assert!(event["payload"].as_str().unwrap().starts_with("7f454c46"));
    assert!(event.get("errno").is_none());
}

#[test]
fn csv_is_exact() {
    let made = make(&[extreme(), at(2, "tee", BASH)]);
    let ran = vmtrace(&["replay", "-T", "csv", made.path(), made.path()]);
    let mut reader = csv::Reader::from_reader(ran.out.as_bytes());
    let header = reader.headers().unwrap().clone();
    assert_eq!(header.iter().collect::<Vec<_>>(), COLUMNS.iter().map(|c| c.name).collect::<Vec<_>>());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 4, "one header over both files");
    let field =
        |row: usize, name: &str| rows[row].get(header.iter().position(|h| h == name).unwrap()).unwrap().to_string();
    assert_eq!(field(0, "remote_iov"), "0xffffffffffffffff:0x20000000000001;0xffff800000000001:0x0");
    assert_eq!(field(0, "ret"), i64::MIN.to_string());
    assert_eq!(field(0, "data"), u64::MAX.to_string());
    assert_eq!(field(0, "comm"), "a,\"b\"\\n\\x1b");
    assert!(field(0, "payload").starts_with("7f454c46"));
    assert_eq!(field(1, "target_pid"), "");
    assert_eq!(field(1, "event"), "tee");
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let events: Vec<Event<'_>> = (0..5_000).map(readv).collect();
    let made = make(&events);
    for format in ["text", "jsonl", "csv"] {
        let mut child = command(&["replay", "-T", format, made.path()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(!first.is_empty());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{format}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let made = make(&[readv(1)]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for format in ["text", "jsonl", "csv"] {
        let full = full.try_clone().unwrap();
        let output = command(&["replay", "-T", format, made.path()]).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{format}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("No space left on device"));
    }
}
