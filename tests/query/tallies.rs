//! Pairs, events and pipes as the model counts them are those of SQL, row by row.

use std::path::Path;

use serde_json::{Value, json};
use vmtrace::model::tally::{self, Pair, Pipe, Tally, Way};
use vmtrace::schema::Event;
use vmtrace::schema::reader::{Capture, Scan};

use super::captures::{PYTHON, SPY, at, everything, lost, make, readv};
use super::{rows, samples};

const EDGES: &str = "SELECT pid, process_key, comm, exe, target_pid, target_key, target_comm, target_exe, calls, failures, \
                     bytes_in, bytes_out, CAST(first_ts AS BIGINT) AS first_ts, CAST(last_ts AS BIGINT) AS last_ts FROM edges";
const EVENTS: &str = "SELECT event, count(*) AS calls, count(errno) AS failures, coalesce(CAST(sum(bytes) AS BIGINT), 0) AS bytes, \
                      count(dur_ns) AS timed, coalesce(CAST(sum(dur_ns) AS BIGINT), 0) AS total, coalesce(max(dur_ns), 0) AS longest \
                      FROM events WHERE event <> 'lost' GROUP BY event";
const PIPES: &str = "SELECT pipe, writers, readers, duplicators, bytes_in, bytes_out, bytes_duplicated, calls, \
                     CAST(first_ts AS BIGINT) AS first_ts, CAST(last_ts AS BIGINT) AS last_ts FROM pipes";
const KEPT: &str = "SELECT CAST(coalesce(sum(payload_len), 0) AS BIGINT) AS kept, CAST(coalesce(sum(bytes), 0) AS BIGINT) AS moved, \
                    count(*) AS transfers FROM transfers";

fn tallied(path: &Path) -> Tally {
    let capture = Capture::open(path).unwrap();
    let mut tally = Tally::default();
    // The columns that the model asks for, and no others.
    let scan = Scan { columns: tally::COLUMNS.to_vec(), ..Scan::default() };
    for batch in capture.scan(&scan).unwrap() {
        batch.unwrap().iter().for_each(|event| tally.note(&event));
    }
    tally
}

fn micros(ns: i64) -> i64 {
    ns.div_euclid(1000)
}

fn edge(pair: &Pair) -> Value {
    let (target, span) = (pair.target.as_ref().unwrap(), pair.span.unwrap());
    json!({
        "pid": pair.caller.pid,
        "process_key": pair.caller.key.as_deref(),
        "comm": pair.caller.comm.as_deref(),
        "exe": pair.caller.exe.as_deref(),
        "target_pid": target.pid,
        "target_key": target.key.as_deref(),
        "target_comm": target.comm.as_deref(),
        "target_exe": target.exe.as_deref(),
        "calls": pair.calls,
        "failures": pair.failures,
        "bytes_in": pair.bytes_in,
        "bytes_out": pair.bytes_out,
        "first_ts": micros(span.first_ts_ns),
        "last_ts": micros(span.last_ts_ns),
    })
}

fn pipe(pipe: &Pipe) -> Value {
    let span = pipe.span.unwrap();
    let ends = |way: Way| {
        let at = pipe.processes.iter().filter(|at| at.way == way);
        let mut names: Vec<String> = at.map(|at| format!("{}[{}]", at.comm.as_deref().unwrap(), at.pid)).collect();
        names.sort();
        names.dedup();
        (!names.is_empty()).then_some(names)
    };
    let bytes = |sum: tally::Sum| (sum.calls > 0).then_some(sum.bytes);
    json!({
        "pipe": pipe.inode,
        "writers": ends(Way::In),
        "readers": ends(Way::Out),
        "duplicators": ends(Way::Duplicated),
        "bytes_in": bytes(pipe.put),
        "bytes_out": bytes(pipe.taken),
        "bytes_duplicated": bytes(pipe.duplicated),
        "calls": pipe.calls(),
        "first_ts": micros(span.first_ts_ns),
        "last_ts": micros(span.last_ts_ns),
    })
}

/// What is not known is left out of a row, or null; rows come in any order.
fn sorted(rows: &[Value]) -> Vec<String> {
    let known = |row: &Value| {
        let fields = row.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
        let mut fields: Vec<String> = fields.map(|(name, value)| format!("{name}: {value}")).collect();
        fields.sort();
        fields.join(", ")
    };
    let mut rows: Vec<String> = rows.iter().map(known).collect();
    rows.sort();
    rows
}

/// How many rows were compared.
fn compare(path: &Path) -> usize {
    let tally = tallied(path);
    let name = path.to_str().unwrap();
    let events = tally.events().map(|of| {
        json!({
            "event": of.event.as_deref(),
            "calls": of.calls,
            "failures": of.errors.total(),
            "bytes": of.bytes,
            "timed": of.latency.calls,
            "total": of.latency.total_ns,
            "longest": of.latency.max_ns,
        })
    });
    let kept = tally.kept();
    let transfers: u64 = tally.pairs().chain(tally.alone()).map(|pair| pair.transfers).sum();
    let kept = json!({ "kept": kept.kept, "moved": kept.moved, "transfers": transfers });
    let mut compared = 0;
    for (sql, model) in [
        (EDGES, tally.pairs().map(edge).collect::<Vec<_>>()),
        (EVENTS, events.collect()),
        (PIPES, tally.pipes().map(pipe).collect()),
        (KEPT, vec![kept]),
    ] {
        assert_eq!(sorted(&rows(&[name, sql])), sorted(&model), "{name}: {sql}");
        compared += model.len();
    }
    assert_eq!(tally.beyond(), tally::Beyond::default());
    // What a pair did in each way is all that it did.
    for pair in tally.pairs().chain(tally.alone()) {
        assert_eq!(pair.uses.iter().map(|of| of.calls).sum::<u64>(), pair.calls);
        assert_eq!(pair.uses.iter().map(|of| of.transfers).sum::<u64>(), pair.transfers);
        assert_eq!(pair.uses.iter().map(|of| of.errors.total()).sum::<u64>(), pair.failures);
    }
    compared
}

#[test]
fn the_models_counts_are_those_of_the_views() {
    let samples = samples();
    assert!(samples.len() >= 7, "{samples:?}");
    let compared: usize = samples.iter().map(|sample| compare(sample)).sum();
    assert!(compared > 60, "only {compared} rows were compared");
    let made = make(&everything());
    assert!(compare(&made.path) > 15);
}

/// Names that change with an exec, pids that come again, calls without key or target, gaps, and words of later versions.
#[test]
fn so_they_are_where_processes_change() {
    let keyed = |event: Event<'static>, key, target_key| Event { process_key: key, target_key, ..event };
    let own = |us, key| Event {
        target_pid: Some(SPY),
        direction: Some("out"),
        bytes: Some(3),
        ..keyed(at(us, "pwrite", SPY), key, key)
    };
    let events = [
        lost(1),
        keyed(readv(2), Some("a"), Some("t")),
        Event { comm: "zzz", exe: Some("/zzz"), ..keyed(readv(3), Some("a"), Some("t")) },
        Event { comm: "aaa", exe: None, target_comm: None, ..keyed(readv(4), Some("a"), Some("t")) },
        keyed(readv(5), Some("b"), Some("t")),
        keyed(readv(6), None, Some("t")),
        keyed(readv(7), Some("a"), None),
        Event { target_pid: None, ..keyed(readv(8), Some("a"), None) },
        own(9, Some("a")),
        own(10, None),
        Event { direction: Some("sideways"), ..keyed(readv(11), Some("a"), Some("t")) },
        Event { event: "of_later", errno: Some("EOF"), dur_ns: Some(7), ..keyed(readv(12), Some("a"), Some("t")) },
        Event { bytes: None, direction: None, ..keyed(readv(13), Some("a"), Some("t")) },
        Event { target_pid: Some(PYTHON), event: "process_exit", ..at(14, "process_exit", SPY) },
        Event { dur_ns: Some(9_000), ..readv(15) },
    ];
    let made = make(&events);
    assert_eq!(compare(&made.path), 12);
}
