//! `lag` by rows that lie in order, without sorting: the same answers as by sorting.

use std::path::Path;

use vmtrace::schema::{Event, Manifest};

use super::captures::{self, manifest};
use super::{query, root};

/// What is taken over, and the same once more with a default, which is left to the engine.
const VALUES: [(&str, &str); 3] = [
    ("lag(mono_ns)", "lag(mono_ns, 1, NULL)"),
    ("lag(event, 1)", "lag(event, 1, NULL)"),
    ("lag(seq + 1)", "lag(seq + 1, 1, NULL)"),
];

const WINDOWS: [&str; 4] = [
    "PARTITION BY pid ORDER BY mono_ns, seq",
    "PARTITION BY pid, comm ORDER BY mono_ns, seq",
    "PARTITION BY event ORDER BY seq, mono_ns",
    "PARTITION BY capture, process_key ORDER BY ts, seq",
];

/// What `captures` and `condition` give without sorting is what they give with it; returns how the first was carried out.
fn same(captures: &[&str], condition: &str) -> Vec<bool> {
    let mut in_order = Vec::new();
    for window in WINDOWS {
        let sql = |values: [&str; 3]| {
            let [a, b, c] = values.map(|value| format!("{value} OVER ({window})"));
            let values = format!("{a} AS a, {b} AS b, {c} AS c");
            format!(
                "SELECT capture, seq, mono_ns, contains_bytes(payload, x'0041') AS p, {values} FROM events {condition} ORDER BY capture, seq"
            )
        };
        let asked = |sql: &str, option: &[&str]| {
            let ran = query(&[captures, &[sql], option].concat());
            assert!(ran.status < 2 && ran.err.is_empty(), "{sql}: {}", ran.err);
            ran.out
        };
        let (ours, engines) = (sql(VALUES.map(|(ours, _)| ours)), sql(VALUES.map(|(_, engines)| engines)));
        let answers = [&ours, &engines].map(|sql| asked(sql, &["-T", "jsonl"]));
        let other = answers[0].lines().zip(answers[1].lines()).find(|(ours, engines)| ours != engines);
        assert!(answers[0] == answers[1], "{captures:?} {ours}: {other:?}");
        let (ours, engines) = (asked(&ours, &["--explain"]), asked(&engines, &["--explain"]));
        assert!(!engines.contains("LagExec"), "{engines}");
        if ours.contains("LagExec") {
            in_order.push(ours.contains("in_order=1"));
        }
    }
    in_order
}

fn write(path: &Path, manifest: &Manifest, rows: &[Event<'_>]) -> String {
    captures::write(path, manifest, &rows.chunks(1000).collect::<Vec<_>>());
    path.to_str().unwrap().to_string()
}

/// `count` reads from `from` µs on, 1 µs apart, by `pids` processes; payloads that zstd cannot make smaller.
fn reads<'a>(from: i64, count: i64, pids: i64, noise: &'a [u8]) -> Vec<Event<'a>> {
    let row = |n: i64| Event {
        pid: 4211 + (n * n % pids) as i32,
        payload: Some(&noise[n as usize * 1024 % (noise.len() - 1024)..][..1024]),
        payload_len: 1024,
        payload_total: 1024,
        ..captures::readv(from + n)
    };
    (0..count).map(row).collect()
}

fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..16 << 20).map(|_| byte()).collect()
}

/// What real recordings are like.
#[test]
fn rows_of_the_samples_are_in_order() {
    let samples = std::fs::read_dir(root().join("samples")).unwrap().map(|entry| entry.unwrap().path());
    let samples: Vec<_> = samples.filter(|path| path.is_dir()).collect();
    assert!(samples.len() > 5);
    for sample in samples {
        assert_eq!(same(&[sample.to_str().unwrap()], ""), [true; 4], "{sample:?}");
    }
}

#[test]
fn a_large_capture_is_read_in_ranges() {
    let dir = tempfile::tempdir().unwrap();
    let noise = noise();
    let path = write(&dir.path().join("large.parquet"), &manifest(), &reads(0, 16_000, 300, &noise));
    assert!(std::fs::metadata(&path).unwrap().len() > 15 << 20);
    assert_eq!(same(&[&path], ""), [true; 4]);
    assert_eq!(same(&[&path], "WHERE pid % 3 = 0 AND seq BETWEEN 4500 AND 9500"), [true; 4]);
    assert_eq!(same(&[&path], "WHERE pid < 0"), [true; 4]);
    let sql = "SELECT count(seq - before) FROM \
        (SELECT seq, lag(seq) OVER (PARTITION BY pid ORDER BY mono_ns) AS before FROM events)";
    let little = query(&[&path, sql, "--memory-limit", "16M", "-T", "csv"]);
    let pids = (0..16_000).map(|n| n * n % 300).collect::<std::collections::HashSet<_>>().len();
    let expected = (16_000 - pids).to_string();
    assert_eq!((little.err.as_str(), little.out.lines().last()), ("", Some(expected.as_str())));
}

/// Of what a query makes there may be as many as rows: sorting can go to disk.
#[test]
fn keys_that_are_no_columns_are_sorted() {
    for key in ["pid + 0", "p", "hexdump(payload)"] {
        let sql = format!(
            "SELECT lag(seq) OVER (PARTITION BY {key} ORDER BY mono_ns) FROM (SELECT *, pid * 2 AS p FROM events)"
        );
        let explained = query(&["samples/mpi-pair", &sql, "--explain"]);
        assert_eq!((explained.status, explained.err.as_str()), (0, ""), "{key}");
        assert!(!explained.out.contains("LagExec"), "{key}: {}", explained.out);
    }
}

#[test]
fn rows_out_of_order_are_sorted() {
    let dir = tempfile::tempdir().unwrap();
    let noise = noise();
    let mut rows = reads(0, 16_000, 7, &noise);
    rows.swap(100, 101);
    let path = write(&dir.path().join("swapped.parquet"), &manifest(), &rows);
    let of_seq = "seq counts the rows as they are: by it they are in order";
    assert_eq!(same(&[&path], ""), [false, false, true, false], "{of_seq}");
    assert_eq!(same(&[&path], "WHERE seq > 100"), [false, false, true, false]);
    // The row group that they are in is left out.
    assert_eq!(same(&[&path], "WHERE seq >= 1000"), [true; 4]);
}

#[test]
fn captures_that_follow_one_another_are_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let noise = noise();
    let mut begun = manifest();
    let first = write(&dir.path().join("a.parquet"), &begun, &reads(0, 2000, 7, &noise));
    let aside = write(&dir.path().join("b.parquet"), &begun, &reads(1000, 2000, 7, &noise));
    begun.start = begun.end;
    begun.end.monotonic_ns += 1_000_000_000;
    let second = write(&dir.path().join("c.parquet"), &begun, &reads(2_410_001, 2000, 7, &noise));
    // Each numbers its rows from 0 on.
    assert_eq!(same(&[&first, &second], ""), [true, true, false, true]);
    assert!(same(&[&first, &aside], "").is_empty());
}
