//! What is asked of which captures, and what comes.

use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::json;
use vmtrace::schema::manifest::LedgerRow;
use vmtrace::schema::regions::{Mapping, Regions};
use vmtrace::schema::types::{Iovec, Iovecs};
use vmtrace::schema::{Event, Manifest};

use super::captures::{self, PYTHON, SPY, at, everything, ledger, manifest, readv};
use super::{command, kept, query, ran, rows};

const RELAY: &str = "samples/pipe-relay/pipe-relay.parquet";

#[test]
fn several_captures_are_one_table() {
    let by_capture = "SELECT capture, count(*) AS n FROM events GROUP BY capture ORDER BY capture";
    let samples = rows(&["samples", by_capture]);
    assert!(samples.len() >= 5);
    let relay = json!({"capture": RELAY, "n": 14});
    assert!(samples.contains(&relay));
    assert_eq!(rows(&["samples/*/*.parquet", by_capture]), samples, "a pattern");
    assert_eq!(rows(&["samples", RELAY, by_capture]), samples, "each capture once");
    assert_eq!(rows(&[RELAY, by_capture]), [relay]);
    let one = format!("SELECT count(*) AS n FROM events WHERE capture = '{RELAY}'");
    assert_eq!(rows(&["samples", &one]), [json!({"n": 14})]);
}

#[test]
fn the_status_says_whether_there_were_rows() {
    for (sql, status) in [("SELECT 1", 0), ("SELECT 1 WHERE 1 = 2", 1), ("SELECT", 2)] {
        assert_eq!(query(&[RELAY, sql]).status, status, "{sql}");
    }
    assert_eq!(query(&[RELAY, "--named", "top-talkers"]).status, 0);
    assert_eq!(query(&[RELAY, "--named", "conflicts"]).status, 1);
}

#[test]
fn statements_come_from_stdin() {
    let mut child = command(&[RELAY, "-T", "csv"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let sql =
        b"CREATE VIEW spliced AS SELECT * FROM events WHERE event = 'splice';\nSELECT count(*) AS n FROM spliced;\n";
    child.stdin.take().unwrap().write_all(sql).unwrap();
    let ran = ran(&child.wait_with_output().unwrap());
    assert_eq!((ran.status, ran.out.as_str()), (0, "n\n1\n"));
}

#[test]
fn every_format_has_the_same_rows() {
    let sql = "SELECT seq, ts, comm, local_iov, errno, payload FROM events WHERE seq = 9";
    let json = rows(&["samples/failing-caller", sql]);
    assert_eq!(json.len(), 1);
    let csv = query(&["samples/failing-caller", sql, "-T", "csv"]).out;
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("seq,ts,comm,local_iov,errno,payload"));
    let line = lines.next().unwrap();
    assert!(line.starts_with(&format!("9,{},", json[0]["ts"].as_str().unwrap())), "{line}");
    let table = query(&["samples/failing-caller", sql]).out;
    assert_eq!(table.lines().count(), 3);
    assert!(table.lines().nth(2).unwrap().contains(json[0]["comm"].as_str().unwrap()));
}

/// Where the mapping is known, a write with force is one if the target could not have made it, or if it reaches code.
#[test]
fn forced_writes_go_by_the_mapping() {
    let mapping = |perms: &str, path: &str| {
        Some(Arc::new(Mapping { end: 1 << 40, perms: perms.into(), path: path.into(), ..Mapping::default() }))
    };
    let regions = [
        vec![mapping("rw-p", "[heap]")],
        vec![mapping("r-xp", "/usr/lib/libc.so.6")],
        vec![mapping("r--p", "/usr/lib/libc.so.6")],
        vec![mapping("rwxp", "")],
        vec![mapping("rw-p", "[heap]"), mapping("rwxp", "")],
        // The last byte is behind it.
        vec![Some(Arc::new(Mapping { end: 4096 + 7, perms: "rw-p".into(), ..Mapping::default() }))],
    ];
    let iov = [Iovec { base: 4096, len: 8 }; 2];
    let write = |seq: u64, event: &'static str| Event {
        seq,
        event,
        direction: Some("out"),
        bytes: Some(8),
        target_pid: Some(42),
        fd_out_kind: (event == "pwrite").then_some("proc_mem"),
        ..Event::default()
    };
    let known = |seq: u64, event: &'static str, at: usize| Event {
        remote_iov: Some(Iovecs::Pairs(&iov[..regions[at].len()])),
        region_source: Some("maps"),
        remote_regions: Some(Regions::Known(&regions[at])),
        ..write(seq, event)
    };
    let events = [
        known(0, "pwrite", 0),
        known(1, "pwrite", 1),
        known(2, "pwrite", 2),
        known(3, "pwrite", 3),
        known(4, "process_vm_writev", 4),
        known(5, "process_vm_writev", 0),
        Event { region_source: Some("none"), ..write(6, "pwrite") },
        write(7, "pwrite"),
        write(8, "process_vm_writev"),
        known(9, "pwrite", 5),
        known(10, "process_vm_writev", 5),
    ];
    let path = kept("forced.parquet");
    captures::write(&path, &Manifest::default(), &[&events]);
    let found = rows(&[path.to_str().unwrap(), "--named", "forced-writes"]);
    let shown: Vec<_> = found.iter().map(|row| (row["seq"].clone(), row["perms"].clone())).collect();
    let wanted = [(1, "r-xp"), (2, "r--p"), (3, "rwxp"), (4, "rw-p")].map(|(seq, perms)| (json!(seq), json!(perms)));
    assert_eq!(shown[..4], wanted);
    assert_eq!(shown[4..6], [6, 7].map(|seq| (json!(seq), json!(null))), "not known: every write with force");
    assert_eq!(shown[6..], [(json!(9), json!("rw-p"))], "nor is what is behind it");
}

#[test]
fn rare_things_are_found() {
    let (events, manifest) = rare();
    let path = kept("rare.parquet");
    captures::write(&path, &manifest, &[&events]);
    let path = path.to_str().unwrap();
    let ask = |sql: &str| rows(&[path, sql]);
    let named = |name: &str| rows(&[path, "--named", name]);
    let losses = ask("SELECT event, cause, count, gaps, until_mono_ns - since_mono_ns AS ns FROM losses ORDER BY 1, 2");
    assert_eq!(
        losses,
        [
            json!({"event": "process_vm_readv", "cause": "lost_ring_full", "count": 1234, "gaps": 1, "ns": 250_000_000}),
            json!({"event": "ptrace", "cause": "lost_write_error", "count": 7, "gaps": 0, "ns": null}),
        ]
    );
    let conflicts = named("conflicts");
    assert_eq!(conflicts.len(), 1);
    assert_eq!((&conflicts[0]["event"], &conflicts[0]["toctou"]), (&json!("process_vm_writev"), &json!(true)));
    let forced = named("forced-writes");
    assert_eq!(forced.len(), 1);
    assert_eq!((&forced[0]["ptrace_request"], &forced[0]["has_int3"]), (&json!("PTRACE_POKETEXT"), &json!(true)));
    let gaps = named("gaps");
    assert_eq!(gaps.len(), 3, "two losses, one gap of the manifest: {gaps:?}");
    let attempts = |name: &str| {
        named(name).iter().map(|row| (row["errno"].clone(), row["target_pid"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(attempts("denied"), [(json!("EPERM"), json!(42))]);
    assert_eq!(
        attempts("failed"),
        [(json!("EFAULT"), json!(42)), (json!("EPERM"), json!(42)), (json!("ESRCH"), json!(null))]
    );
    let pipes = ask("SELECT pipe, writers, readers, bytes_in, bytes_out, bytes_duplicated FROM pipes WHERE pipe > 800");
    let unseen = json!({"pipe": 801, "writers": null, "readers": ["worker[900]"], "bytes_in": null, "bytes_out": 5,
        "bytes_duplicated": null});
    assert_eq!(pipes, [unseen], "who wrote, and how much, is not known");
}

/// Everything, and what is rarer.
fn rare() -> (Vec<Event<'static>>, Manifest) {
    let mut events = everything();
    events.push(Event { ret: Some(-14), errno: Some("EFAULT"), bytes: Some(0), payload: None, ..readv(7_000) });
    let drained = at(7_100, "splice", 900);
    events.push(Event { ret: Some(5), bytes: Some(5), fd_in_kind: Some("pipe"), pipe_in: Some(801), ..drained });
    let mut manifest = Manifest { ledger: ledger(&events), ..manifest() };
    manifest.ledger[3].lost_ring_full = 1234;
    manifest.ledger.push(LedgerRow { event: "ptrace".into(), seen: 7, lost_write_error: 7, ..LedgerRow::default() });
    let readv = manifest.ledger.iter().position(|row| row.event == "process_vm_readv");
    assert_eq!(readv, Some(3), "the ledger's order");
    (events, manifest)
}

#[test]
fn functions_take_captured_bytes() {
    const FAR: &[Iovec] = &[Iovec { base: u64::MAX - 63, len: 64 }];
    let path = kept("far.parquet");
    let event = Event { remote_iov: Some(Iovecs::Pairs(FAR)), ..readv(1) };
    captures::write(&path, &manifest(), &[&[event, at(2, "tee", SPY)]]);
    let sql = "SELECT payload_at(payload, remote_iov, remote_iov[1]['base']) AS whole, \
        payload_at(payload, remote_iov, 18446744073709551553) AS rest, payload_at(payload, remote_iov, 0) AS none, \
        contains_bytes(payload, x'7f454c46') AS elf, hexdump(payload) AS dump FROM events ORDER BY seq";
    let found = rows(&[path.to_str().unwrap(), sql]);
    let whole = found[0]["whole"].as_str().unwrap();
    assert!(whole.starts_with("7f454c46") && found[0]["rest"] == whole[2..]);
    assert_eq!((&found[0]["none"], &found[0]["elf"]), (&json!(null), &json!(true)));
    assert!(found[0]["dump"].as_str().unwrap().starts_with("00000000  7f 45 4c 46 "));
    assert!(found[1].as_object().unwrap().values().all(serde_json::Value::is_null), "{}", found[1]);
    assert_eq!(PYTHON, 42);
}

#[test]
fn what_cannot_match_is_not_read() {
    let path = kept("groups.parquet");
    let groups = super::many(40_000, 10_000);
    captures::write(&path, &manifest(), &groups.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let path = path.to_str().unwrap();
    let explain = |sql: &str| query(&[path, "--explain", sql]).out;
    let by_pid = explain("SELECT seq FROM events WHERE pid = 4212");
    assert!(by_pid.starts_with("10,000 rows\n"), "{by_pid}");
    assert!(by_pid.contains("columns seq pid\n"), "only what is named: {by_pid}");
    assert!(by_pid.contains("row groups, by statistics: 3 of 4 left out"), "{by_pid}");
    let by_time = explain(&format!("SELECT seq FROM events WHERE mono_ns < {}", captures::MONO + 1_000_000));
    assert!(by_time.starts_with("1,000 rows\n"), "{by_time}");
    assert!(by_time.contains("row groups, by statistics: 3 of 4 left out"), "{by_time}");
    let absent = explain("SELECT seq FROM events WHERE target_pid = 41 OR target_pid = 43");
    assert!(absent.contains("4 of 4 left out"), "{absent}");
    let all = query(&[path, "--explain", "--no-pruning", "SELECT seq FROM events WHERE pid = 4212"]).out;
    assert!(all.starts_with("10,000 rows\n") && !all.contains("3 of 4 left out"), "{all}");
}
