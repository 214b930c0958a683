//! Captures whose every text and number tries to do harm.

use vmtrace::schema::derived::{Derivation, Source};
use vmtrace::schema::{Event, Manifest};

use super::captures::*;
use super::*;

const EVIL: &str = "\x1b]0;owned\x07\x1b[2J\u{9b}31m\r\n\u{202e}live\u{7f}\0";

#[test]
fn what_a_capture_says_of_its_origin_does_not_act_on_a_terminal() {
    let long = "x".repeat(1 << 16);
    let source = |file: &str| Source {
        file: file.into(),
        root: Some(EVIL.into()),
        rows: u64::MAX,
        taken: u64::MAX,
        ..Source::default()
    };
    let step = Derivation {
        command: EVIL.into(),
        argv: vec![EVIL.into()],
        sources: vec![source(EVIL), source(&long), source(EVIL), source(EVIL), source(EVIL)],
        left_out: vec![EVIL.into(); 100],
        ..Derivation::default()
    };
    let events = [readv(1)];
    let manifest = Manifest { ledger: ledger(&events), derived_from: vec![step; 50], ..manifest() };
    let made_of = make_with(&manifest, &[&events]);
    for args in [&["info"][..], &["verify"], &["summary"], &["replay"]] {
        let ran = vmtrace(&[args, &[made_of.path()]].concat());
        assert_eq!(ran.status, 0, "{args:?}: {}", ran.err);
        let shown = ran.out + &ran.err;
        assert!(!shown.chars().any(|c| c != '\n' && c.is_control() || c == '\u{202e}'), "{args:?}: {shown:?}");
        assert!(shown.len() < 200_000, "{args:?}: {}", shown.len());
    }
    let dir = Dir::new();
    let out = dir.path("again.parquet");
    made(&["slice", made_of.path(), "-o", &out]);
    assert_eq!(info(&out)["manifest"]["derived_from"].as_array().unwrap().len(), 51);
}

#[test]
fn hostile_rows_are_copied_as_they_are() {
    let evil = Event {
        event: EVIL,
        comm: EVIL,
        argv: Some(EVIL),
        errno: Some(EVIL),
        lost_event: Some(EVIL),
        parent_pid: Some(i32::MIN),
        mono_ns: i64::MIN,
        ts_ns: i64::MAX,
        dur_ns: Some(i64::MIN),
        bytes: Some(i64::MIN),
        payload_total: i64::MIN,
        ..readv(1)
    };
    let gap = Event { event: "lost", dur_ns: Some(i64::MAX), ..evil };
    let events = [evil, gap, Event { event: "process_fork", parent_pid: Some(SPY), ..evil }];
    let mut manifest = manifest();
    manifest.ledger = ledger(&events);
    manifest.ledger.iter_mut().for_each(|row| row.bytes = 0);
    let whole = make_with(&manifest, &[&events[..1], &events[1..]]);
    let dir = Dir::new();
    for (number, select) in [&[][..], &["-p", "4211"], &["--failed"], &["--since", "0"]].iter().enumerate() {
        let out = dir.path(&format!("{number}.parquet"));
        let ran = vmtrace(&[&["slice", whole.path(), "-o", &out], *select].concat());
        assert!([0, 2].contains(&ran.status), "{select:?}: {}", ran.err);
        assert!(!ran.err.contains('\x1b') && !ran.err.contains("panicked"), "{:?}", ran.err);
        if ran.status == 0 {
            assert_eq!(rows(&out, select), rows(whole.path(), select), "{select:?}");
            let again = dir.path("merged.parquet");
            made(&["merge", &out, &out, "-o", &again]);
            std::fs::remove_file(&again).unwrap();
        }
    }
}
