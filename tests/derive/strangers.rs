//! Captures of several hosts whose manifests do not say what is so, or far too much.

use vmtrace::schema::derived::{Derivation, Redaction};
use vmtrace::schema::reader::{Capture, Scan};
use vmtrace::schema::{Event, Manifest};

use super::captures::*;
use super::hosts::{both, colliding, lines};
use super::*;

/// A capture whose manifest is that of another one, but for what `change` does to it. Its rows are those of `events`.
fn changed(dir: &Dir, of: &str, file: &str, events: &[Event<'_>], change: impl FnOnce(&mut Manifest)) -> String {
    let capture = Capture::open(Path::new(of)).unwrap();
    let mut manifest = Manifest { ledger: ledger(events), ..capture.manifest().clone() };
    change(&mut manifest);
    let path = dir.path(file);
    write(Path::new(&path), &manifest, &[events]);
    path
}

/// Runs that must end with one line on stderr, which is returned, and make nothing.
fn refused(dir: &Dir, args: &[&str]) -> String {
    let names = dir.names();
    let ran = vmtrace(args);
    assert_eq!((ran.status, ran.err.lines().count(), ran.out.as_str()), (2, 1, ""), "{args:?}: {}", ran.err);
    assert_eq!(dir.names(), names);
    ran.err
}

/// Each would be compared with each: with so many, for hours.
#[test]
fn a_manifest_that_states_more_than_any_recorder_is_refused() {
    let dir = Dir::new();
    let (out, [a, _]) = both(&dir);
    let events = [Event { host: Some("web1"), host_seq: Some(0), ..readv(1) }];
    let gaps = changed(&dir, &out, "gaps.parquet", &events, |manifest| {
        manifest.hosts[1].manifest.gaps = (0..400_000).map(|n| format!("gap {n}")).collect();
    });
    let kinds = changed(&dir, &out, "kinds.parquet", &events, |manifest| {
        for part in &mut manifest.hosts {
            part.manifest.filters.events = vec!["tee".into(); 200_000];
        }
    });
    let alone = changed(&dir, &a, "alone.parquet", &[readv(1)], |manifest| {
        manifest.capture_id = "1".repeat(32);
        manifest.gaps = (0..400_000).map(|n| format!("gap {n}")).collect();
    });
    let no = dir.path("no.parquet");
    for (file, said) in [(&gaps, "400,000 gaps"), (&kinds, "200,000 kinds of events"), (&alone, "400,000 gaps")] {
        for args in [
            &["slice", file, "-o", &no][..],
            &["merge", file, &a, "-o", &no],
            &["redact", file, "-o", &no],
            &["redact", file, "--preview"],
        ] {
            let err = refused(&dir, args);
            assert!(err.contains(&format!("{file}: the manifest states {said}")), "{args:?}: {err}");
        }
    }
}

#[test]
fn the_name_of_a_strangers_host_makes_no_line_of_its_own() {
    let dir = Dir::new();
    let (out, [_, b]) = both(&dir);
    let name = "\x1b[31mevil\nvmtrace: all is well";
    let said = "\\x1b[31mevil\\nvmtrace: all is well";
    let events = [Event { host: Some(name), host_seq: Some(0), ..readv(1) }];
    let evil = changed(&dir, &out, "evil.parquet", &events, |manifest| manifest.hosts.truncate(1));
    let err = refused(&dir, &["merge", &evil, &b, "-o", &dir.path("no.parquet")]);
    assert!(err.contains(said), "{err}");
    let level = changed(&dir, &b, "level.parquet", &[readv(1)], |manifest| {
        let redaction = Some(Redaction { level: name.into(), ..Redaction::default() });
        manifest.derived_from = vec![Derivation { redaction, ..Derivation::default() }];
    });
    let err = refused(&dir, &["redact", &level, "-o", &dir.path("no.parquet")]);
    assert!(err.contains(said), "{err}");
}

/// The capture of [`colliding`], in which the ledger of web2 counts no row, and which has `more` rows.
fn silenced(dir: &Dir, more: &[Event<'static>]) -> String {
    let of = colliding(dir);
    let capture = Capture::open(Path::new(&of)).unwrap();
    let batches: Vec<_> = capture.scan(&Scan::default()).unwrap().map(Result::unwrap).collect();
    // They live as long as those that are added.
    let batches = batches.leak();
    let events: Vec<Event<'_>> = batches.iter().flat_map(|batch| batch.iter()).chain(more.iter().copied()).collect();
    assert_eq!(events.len(), 4 + more.len());
    changed(dir, &of, "silenced.parquet", &events, |manifest| {
        let ledger = &mut manifest.hosts.last_mut().unwrap().manifest.ledger;
        ledger.iter_mut().for_each(|row| (row.written, row.left_out) = (0, row.written));
    })
}

#[test]
fn a_host_whose_ledger_counts_no_row_is_a_host() {
    let dir = Dir::new();
    let out = silenced(&dir, &[]);
    let flows = lines(&["flows", "-T", "json", &out]);
    let wanted = lines(&["flows", "-T", "json", &dir.path("colliding.parquet")]);
    assert!(wanted.iter().any(|flow| flow["host"] == "web2"), "{wanted:?}");
    assert_eq!(flows.len(), wanted.len(), "{flows:?}");
    assert!(flows.iter().any(|flow| flow["host"] == "web2"), "{flows:?}");
    let ran = vmtrace(&["export", "-T", "strace", &out]);
    let last = ran.err.lines().last().unwrap_or_default();
    assert!(ran.status == 2 && last.contains("is of several hosts, which lines of strace do not name"), "{}", ran.err);
    let pid = PYTHON.to_string();
    let ran = vmtrace(&["memory", &out, "-p", &pid]);
    assert!(ran.status == 2 && ran.err.contains("on several hosts: say on which with --host"), "{}", ran.err);
    let ran = vmtrace(&["memory", &out, "-p", &pid, "--host", "web2", "-T", "json"]);
    assert!(ran.status == 0 && ran.out.contains("22222222") && !ran.out.contains("11111111"), "{}", ran.out);
    // A slice of one host names the other one, and has no row of it.
    let slice = dir.path("slice.parquet");
    made(&["slice", &dir.path("colliding.parquet"), "--where", "host = web2", "-o", &slice]);
    assert_eq!(vmtrace(&["export", "-T", "strace", &slice]).status, 0);
}

#[test]
fn memory_joins_no_rows_of_hosts_that_the_manifest_does_not_name() {
    let dir = Dir::new();
    let read = |us, pid, host, byte: &'static [u8; 64]| Event {
        host,
        host_seq: Some(0),
        target_pid: Some(pid),
        payload: Some(byte),
        payload_len: 64,
        payload_total: 64,
        payload_status: Some("ok"),
        ..readv(us)
    };
    let strangers = [
        read(4_000, 777, Some("web3"), &[0x33; 64]),
        read(5_000, 777, Some("web4"), &[0x44; 64]),
        read(6_000, 778, None, &[0x55; 64]),
    ];
    let out = silenced(&dir, &strangers);
    for pid in ["777", "778"] {
        let err = refused(&dir, &["memory", &out, "-p", pid]);
        assert!(err.contains(&format!("-p: the process {pid} is on no host that the manifest names")), "{err}");
    }
    let ran = vmtrace(&["memory", &out, "-p", "779"]);
    assert!(ran.status == 1 && ran.err.contains("-p: no event has process 779; the nearest is 778"), "{}", ran.err);
    // Of a capture that states no hosts, rows that name one are not its own.
    let none = changed(&dir, &out, "none.parquet", &strangers, |manifest| manifest.hosts.clear());
    let ran = vmtrace(&["memory", &none, "-p", "777"]);
    assert!(ran.status == 1 && ran.err.contains("-p: no event has process 777"), "{}", ran.err);
    assert_eq!(vmtrace(&["memory", &none, "-p", "778"]).status, 0);
}
