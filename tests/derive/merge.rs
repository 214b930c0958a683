//! What can be merged, and what cannot.

use vmtrace::schema::{Event, Manifest};

use super::captures::*;
use super::*;

/// The file of another recording, in `dir`.
fn other(dir: &Dir, capture_id: &str, events: &[Event<'_>]) -> String {
    let path = dir.path(&format!("{capture_id}.parquet"));
    let manifest = Manifest { capture_id: capture_id.into(), ledger: ledger(events), ..manifest() };
    write(Path::new(&path), &manifest, &[events]);
    path
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let dir = Dir::new();
    let (a, b) = (other(&dir, "a", &[readv(1)]), other(&dir, "b", &[readv(1)]));
    let out = dir.path("out.parquet");
    let refused = [
        ("merge", "are recordings of the same time on the host dev: what both saw would count twice"),
        ("slice", "are of different recordings: a part can be taken of the files of one recording"),
    ];
    for (command, why) in refused {
        let ran = vmtrace(&[command, &a, &b, "-o", &out]);
        assert_eq!((ran.status, ran.err.lines().count()), (2, 1), "{}", ran.err);
        assert!(ran.err.contains(why), "{}", ran.err);
    }
    // The same id, and other counts: somebody has made one of them.
    let events = [readv(1), readv(2)];
    let path = dir.path("c.parquet");
    write(Path::new(&path), &Manifest { capture_id: "a".into(), ledger: ledger(&events), ..manifest() }, &[&events]);
    let ran = vmtrace(&["merge", &a, &path, "-o", &out]);
    assert!(ran.status == 2 && ran.err.contains("not of the same capture: their ledgers differ"), "{}", ran.err);
    // The same id and counts, and another row.
    let path = dir.path("d.parquet");
    let events = [Event { comm: "other", ..readv(1) }];
    write(Path::new(&path), &Manifest { capture_id: "a".into(), ledger: ledger(&events), ..manifest() }, &[&events]);
    let ran = vmtrace(&["merge", &a, &path, "-o", &out]);
    assert!(ran.status == 2 && ran.err.contains("have different rows with the number 0"), "{}", ran.err);
    assert!(!Path::new(&out).exists());
}

#[test]
fn a_capture_merged_with_itself_is_itself() {
    let dir = Dir::new();
    let events = everything();
    let made_of = make(&events);
    let out = dir.path("m.parquet");
    made(&["merge", made_of.path(), made_of.path(), "-o", &out]);
    assert_eq!(rows(&out, &[]), rows(made_of.path(), &[]));
    let counted = |path: &str| {
        let total = info(path)["total"].clone();
        ["seen", "left_out", "written", "bytes"].map(|name| total[name].clone())
    };
    assert_eq!(counted(&out), counted(made_of.path()));
    let sources = &info(&out)["manifest"]["derived_from"][0]["sources"];
    assert_eq!([&sources[0]["taken"], &sources[1]["taken"]], [events.len(), 0]);
}
