//! A capture of several hosts: no view joins rows of two of them, and a capture without hosts can be asked beside it.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use vmtrace::schema::manifest::Host;
use vmtrace::schema::{Event, Manifest};

use super::captures::{SPY, at, ledger, manifest, readv, write};
use super::rows;

/// Two machines on which processes, pipes and memory have the same numbers, merged; and one of them.
fn merged(dir: &Path) -> (String, String) {
    let put =
        Event { pipe_out: Some(77), fd_out_kind: Some("pipe"), direction: Some("out"), ..at(1, "pipe_write", SPY) };
    let taken = Event { event: "pipe_read", pipe_in: put.pipe_out, pipe_out: None, direction: Some("in"), ..put };
    let capture = |name: &str, events: &[Event<'_>]| {
        let path = dir.join(format!("{name}.parquet"));
        let host = Host { hostname: name.into(), boot_id: name.into(), ..manifest().host };
        let manifest = Manifest { capture_id: name.into(), host, ledger: ledger(events), ..manifest() };
        write(&path, &manifest, &[events]);
        path.to_str().unwrap().to_string()
    };
    let of = |event: Event<'static>| Event { bytes: Some(7), ret: Some(7), ..event };
    let one = capture("web1", &[of(put), readv(10), readv(20)]);
    let other = capture("web2", &[of(taken), readv(30)]);
    let both = dir.join("both.parquet").to_str().unwrap().to_string();
    let merge =
        Command::new(env!("CARGO_BIN_EXE_vmtrace")).args(["merge", &one, &other, "-o", &both]).status().unwrap();
    assert!(merge.success());
    (both, one)
}

#[test]
fn no_view_joins_rows_of_two_hosts() {
    let dir = tempfile::tempdir().unwrap();
    let (both, one) = merged(dir.path());
    let edges = "SELECT host, calls FROM edges ORDER BY host";
    assert_eq!(rows(&[&both, edges]), [json!({"host": "web1", "calls": 2}), json!({"host": "web2", "calls": 1})]);
    let pipes = "SELECT host, bytes_in, bytes_out FROM pipes ORDER BY host";
    let wanted = [
        json!({"host": "web1", "bytes_in": 7, "bytes_out": null}),
        json!({"host": "web2", "bytes_in": null, "bytes_out": 7}),
    ];
    assert_eq!(rows(&[&both, pipes]), wanted);
    let processes = "SELECT host, count(*) AS processes FROM processes GROUP BY host ORDER BY host";
    let two = |host: &str| json!({"host": host, "processes": 2});
    assert_eq!(rows(&[&both, processes]), [two("web1"), two("web2")]);
    let transfers = "SELECT host, count(*) AS moved FROM transfers GROUP BY host ORDER BY host";
    assert_eq!(rows(&[&both, transfers]), [json!({"host": "web1", "moved": 3}), json!({"host": "web2", "moved": 2})]);
    let flows = "SELECT count(*) AS n FROM flows WHERE source_seq IS NOT NULL AND sink_seq IS NOT NULL";
    assert_eq!(rows(&[&both, flows]), [json!({"n": 0})]);
    let talkers = rows(&[&both, "--named", "top-talkers"]);
    assert_eq!(talkers.len(), 2, "{talkers:?}");
    let ledger = "SELECT host, sum(count) AS written FROM ledger WHERE entry = 'written' GROUP BY host ORDER BY host";
    let written = |host: &str, written: u64| json!({"host": host, "written": written});
    assert_eq!(rows(&[&both, ledger]), [written("web1", 3), written("web2", 2)], "and no sum of both beside them");
    // Beside a capture of one host, which has no hosts.
    let beside = "SELECT count(host) AS named, count(*) AS n FROM events";
    assert_eq!(rows(&[&both, &one, beside]), [json!({"named": 5, "n": 8})]);
}
