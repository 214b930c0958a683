//! Names: of programs that became others, and of files that are no text.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use serde_json::json;
use vmtrace::schema::{Event, Manifest};

use super::captures::{self, BASH, at, ledger, manifest, readv};
use super::{command, kept, query, ran, rows};

/// A process that was strace and became bash, a name that comes first in the alphabet; its target was zsh and became ash.
fn renamed() -> Vec<Event<'static>> {
    let early = |event: Event<'static>| Event {
        comm: "strace",
        exe: Some("/usr/bin/strace"),
        uid: 1000,
        container: Some("web"),
        target_comm: event.target_pid.map(|_| "zsh"),
        target_exe: event.target_pid.map(|_| "/usr/bin/zsh"),
        target_uid: event.target_pid.map(|_| 33),
        ..event
    };
    let late = |event: Event<'static>| Event {
        target_comm: event.target_pid.map(|_| "ash"),
        target_exe: event.target_pid.map(|_| "/bin/ash"),
        target_uid: event.target_pid.map(|_| 7),
        container: Some("app"),
        ..event
    };
    let of_bash = |us, errno| Event {
        errno,
        ret: Some(if errno.is_some() { -1 } else { 65536 }),
        bytes: Some(if errno.is_some() { 0 } else { 65536 }),
        pid: BASH,
        process_key: Some("b4"),
        target_key: Some("7a"),
        comm: "bash",
        exe: Some("/usr/bin/bash"),
        start_ns: 100_000_000,
        ..readv(us)
    };
    let of_life = |us, event, argv, parent| Event {
        process_key: Some("b4"),
        argv: Some(argv),
        parent_pid: Some(parent),
        ..at(us, event, BASH)
    };
    vec![
        early(of_life(0, "process_exec", "strace -f sh", 7)),
        early(of_bash(1, Some("EPERM"))),
        early(of_bash(2, None)),
        late(of_life(3, "process_exec", "bash script", 1)),
        late(of_bash(4, Some("EPERM"))),
        late(of_bash(5, None)),
    ]
}

#[test]
fn a_process_has_the_name_it_had_last() {
    let path = kept("renamed.parquet");
    let events = renamed();
    captures::write(&path, &Manifest { ledger: ledger(&events), ..manifest() }, &[&events]);
    let path = path.to_str().unwrap();
    for (question, wanted) in [
        (
            &["--named", "bulk-reads"][..],
            json!({"comm": "bash", "exe": "/usr/bin/bash", "target_comm": "ash", "target_exe": "/bin/ash"}),
        ),
        (
            &["--named", "denied"],
            json!({"comm": "bash", "exe": "/usr/bin/bash", "uid": 0, "target_comm": "ash", "target_uid": 7}),
        ),
        (
            &["--named", "failed"],
            json!({"comm": "bash", "exe": "/usr/bin/bash", "uid": 0, "target_comm": "ash", "target_uid": 7}),
        ),
        (&["--named", "top-talkers"], json!({"comm": "bash", "target_comm": "ash"})),
        (
            &["SELECT * FROM edges"],
            json!({"comm": "bash", "exe": "/usr/bin/bash", "target_comm": "ash", "target_exe": "/bin/ash"}),
        ),
        (
            &["SELECT * FROM processes WHERE process_key = 'b4'"],
            json!({"comm": "bash", "exe": "/usr/bin/bash", "argv": "bash script", "uid": 0, "container": "app", "parent_pid": 7}),
        ),
        (&["SELECT * FROM processes WHERE process_key = '7a'"], json!({"comm": "ash", "exe": "/bin/ash", "uid": 7})),
    ] {
        let found = rows(&[&[path], question].concat());
        assert_eq!(found.len(), 1, "{question:?}: {found:?}");
        for (column, value) in wanted.as_object().unwrap() {
            assert_eq!(&found[0][column], value, "{question:?}: {column}");
        }
    }
    let then: Vec<_> = rows(&[path, "SELECT dst_comm FROM transfers ORDER BY seq"]);
    assert_eq!(then, [json!({"dst_comm": "strace"}), json!({"dst_comm": "bash"})], "and in a row the one it had then");
}

#[test]
fn no_file_name_is_too_odd() {
    let dir = tempfile::tempdir().unwrap();
    let odd = dir.path().join(OsStr::from_bytes(b"odd\xff\n.parquet"));
    let other = dir.path().join(OsStr::from_bytes(b"odd\xfe\n.parquet"));
    for path in [&odd, &other] {
        captures::write(path, &Manifest { ledger: ledger(&[readv(1)]), ..manifest() }, &[&[readv(1)]]);
    }
    let pattern = dir.path().join("*.parquet");
    let sql = OsString::from("SELECT count(DISTINCT capture) AS n FROM events");
    for (words, n) in [(vec![pattern.into()], 2), (vec![dir.path().into()], 2), (vec![odd.clone().into_os_string()], 1)]
    {
        let ran = ran(&command(&[]).args(words).arg(&sql).arg("-Tcsv").output().unwrap());
        assert_eq!((ran.status, ran.out, ran.err), (0, format!("n\n{n}\n"), String::new()));
    }
    let views = ran(&command(&[]).arg(&odd).arg("--print-duckdb-views").output().unwrap());
    assert!(views.status == 2 && views.err.contains("is not UTF-8"), "{}", views.err);
    let missing = ran(&command(&[]).arg(dir.path().join(OsStr::from_bytes(b"\xff*"))).arg(&sql).output().unwrap());
    assert!(missing.status == 2 && missing.err.contains("cannot open"), "{}", missing.err);
    let out = dir.path().join(OsStr::from_bytes(b"out\xff.csv"));
    let written = ran(&command(&["samples/mpi-pair", "SELECT 1", "-Tcsv", "-o"]).arg(&out).output().unwrap());
    assert_eq!((written.status, written.err.as_str()), (0, ""));
    assert!(out.exists());
    assert_eq!(query(&["samples/mpi-pair", "SELECT 1"]).status, 0);
}
