//! What came out of a pipe counts for whoever fed it, once for each time that it was taken.

use serde_json::json;
use vmtrace::schema::Event;

use super::captures::{self, PYTHON, SPY, at, manifest};
use super::{kept, rows};

const PIPE: u64 = 77;

/// Python puts 192 bytes into a pipe; the spy takes 64 by each of three calls, and adds 10.
fn events() -> Vec<Event<'static>> {
    let moved = |event: Event<'static>, bytes| Event { bytes: Some(bytes), ret: Some(bytes), errno: None, ..event };
    let into = |event| Event { pipe_out: Some(PIPE), fd_out_kind: Some("pipe"), ..event };
    let fed = Event {
        target_pid: Some(PYTHON),
        target_comm: Some("python3"),
        target_key: Some("key"),
        ..at(2, "splice", SPY)
    };
    let fed = Event { pipe_in: Some(PIPE), fd_in_kind: Some("pipe"), ..fed };
    let out_of = |event, direction| {
        let mut row = fed;
        (row.event, row.direction) = (event, direction);
        row
    };
    vec![
        moved(into(Event { direction: Some("out"), process_key: Some("key"), ..at(1, "vmsplice", PYTHON) }), 192),
        moved(out_of("splice", None), 64),
        moved(out_of("vmsplice", Some("in")), 64),
        moved(out_of("pipe_read", Some("in")), 64),
        moved(into(at(3, "splice", SPY)), 10),
    ]
}

#[test]
fn whoever_fed_a_pipe_is_where_bytes_came_from() {
    let path = kept("fed.parquet");
    captures::write(&path, &manifest(), &[&events()]);
    let path = path.to_str().unwrap();
    let edges = rows(&[path, "SELECT pid, target_pid, calls, bytes_in, bytes_out FROM edges"]);
    assert_eq!(edges, [json!({"pid": SPY, "target_pid": PYTHON, "calls": 3, "bytes_in": 192, "bytes_out": 0})]);
    let sql = "SELECT event, src_kind, src_pid, src_pipe, bytes FROM transfers WHERE src_pid = 42 ORDER BY seq";
    let found = rows(&[path, sql]);
    let from = |event: &str, kind: &str, pipe: Option<u64>, bytes: u64| json!({"event": event, "src_kind": kind, "src_pid": PYTHON, "src_pipe": pipe, "bytes": bytes});
    let expected = [
        from("vmsplice", "process", None, 192),
        from("splice", "pipe", Some(PIPE), 64),
        from("vmsplice", "pipe", Some(PIPE), 64),
        from("pipe_read", "pipe", Some(PIPE), 64),
    ];
    assert_eq!(found, expected);
    let left = rows(&[path, "SELECT sum(bytes_out) AS bytes FROM processes WHERE pid = 42"]);
    assert_eq!(left, [json!({"bytes": 192})], "what left its memory is counted as it did");
}
