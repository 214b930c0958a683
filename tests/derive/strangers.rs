//! Captures of several hosts whose manifests do not say what is so, or far too much.

use vmtrace::schema::reader::Capture;
use vmtrace::schema::{Event, Manifest};

use super::captures::*;
use super::hosts::both;
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
