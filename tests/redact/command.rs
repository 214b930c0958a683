//! The command line: what is refused, in one sentence and with nothing written; the map, the preview, what is kept.

use std::os::unix::fs::PermissionsExt;

use vmtrace::schema::manifest::{Clocks, LedgerRow};
use vmtrace::schema::reader::Capture;
use vmtrace::schema::{Event, Manifest};

use super::made::{self, Place};

/// A place with a capture `t.parquet` of one event.
fn place() -> Place {
    let place = Place::new();
    let at = Clocks { realtime_ns: 1 << 60, monotonic_ns: 1 << 40, boottime_ns: 1 << 40, uncertainty_ns: 1 };
    let line = LedgerRow { event: "process_exec".into(), seen: 1, written: 1, ..LedgerRow::default() };
    let mut manifest =
        Manifest { capture_id: "c0ffee".into(), start: at, end: at, ledger: vec![line], ..Manifest::default() };
    manifest.host.hostname = "build-7.example".into();
    made::write(&place.path("t.parquet"), &manifest, |builder| {
        builder.push(&Event {
            event: "process_exec",
            mono_ns: 1 << 40,
            ts_ns: 1 << 60,
            ts: (1 << 60) / 1_000,
            pid: 4211,
            tid: 4211,
            uid: 1000,
            comm: "victim",
            exe: Some("/home/joe/victim"),
            argv: Some("victim \u{1b}[2J"),
            ..Event::default()
        });
    });
    place
}

fn one_line(said: &str) -> &str {
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_written() {
    let place = place();
    let before = place.names();
    let said = |words: &[&str]| {
        let all: Vec<&str> = ["redact", "t.parquet", "-o", "out.parquet"].iter().chain(words).copied().collect();
        let said = place.refused(&all);
        assert_eq!(place.names(), before, "{words:?}");
        said
    };
    assert!(one_line(&said(&["--level", "all"])).contains("'--level <LEVEL>': give one of payload, share, metadata"));
    assert!(one_line(&said(&["--levle", "share"])).contains("did you mean --level?"));
    assert!(one_line(&said(&["--keep", "comm=spy"])).contains("the capture has none"));
    assert!(one_line(&said(&["--keep", "comm=victims"])).contains("did you mean victim?"));
    assert!(one_line(&said(&["--keep", "name=spy"])).contains("kinds are comm"));
    assert!(one_line(&said(&["--keep", "comm=victim", "--level", "payload"])).contains("keeps all names"));
    assert!(one_line(&said(&["--drop", "com"])).contains("did you mean comm"));
    assert!(one_line(&said(&["--drop", "seq"])).contains("readers need"));
    assert!(one_line(&said(&["--payload", "masked", "--level", "metadata"])).contains("level share"));
    assert!(one_line(&said(&["--payload", "masked", "--drop", "exe,payload"])).contains("leave out one of the two"));
    assert!(one_line(&said(&["--key", "none"])).contains("cannot open none"));
    let directory = place.path("").file_name().unwrap().to_str().unwrap().to_string();
    let whole = place.path("out.parquet").to_str().unwrap().to_string();
    for map in ["out.parquet", "./out.parquet", ".//out.parquet", &format!("../{directory}/out.parquet"), &whole] {
        assert!(one_line(&said(&["--map", map, "--force"])).contains("cannot have the name of -o"), "{map}");
    }
    assert!(one_line(&said(&["--map", "t.parquet", "--force"])).contains("FILE itself"));
    std::fs::set_permissions(place.path("key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(one_line(&said(&["--key", "key"])).contains("chmod 600"));
    assert!(one_line(&place.refused(&["redact", "t.parquet", "-o", "t.parquet", "--force"])).contains("FILE itself"));
    assert!(one_line(&place.refused(&["redact", "none.parquet", "-o", "x.parquet"])).contains("none.parquet"));
    assert!(one_line(&place.refused(&["redact", "t.parquet"])).contains("--output"));
    assert_eq!(place.names(), before);
}

#[test]
fn outputs_are_not_replaced_without_being_asked() {
    let place = place();
    place.ok(&["redact", "t.parquet", "-o", "out.parquet", "--map", "map.json", "--key", "key"]);
    let bytes = |name: &str| std::fs::read(place.path(name)).unwrap();
    let (out, map) = (bytes("out.parquet"), bytes("map.json"));
    assert!(one_line(&place.refused(&["redact", "t.parquet", "-o", "out.parquet"])).contains("exists"));
    let said = place.refused(&["redact", "t.parquet", "-o", "other.parquet", "--map", "map.json"]);
    assert!(one_line(&said).contains("map.json exists"));
    // The map of another capture does not fit, whatever is asked.
    made::write(&place.path("u.parquet"), &Manifest::default(), |_| {});
    let said = place.refused(&["redact", "u.parquet", "-o", "other.parquet", "--map", "map.json", "--force"]);
    assert!(one_line(&said).contains("map of another capture"));
    // Nor does that of a result with other pseudonyms: another secret, or another level.
    for options in [&["--level", "share"][..], &["--key", "key", "--level", "metadata"]] {
        let words = ["redact", "t.parquet", "-o", "other.parquet", "--map", "map.json", "--force"];
        let said = place.refused(&[&words, options].concat());
        assert!(one_line(&said).contains("map of another result"), "{said}");
    }
    std::fs::write(place.path("notes.json"), "[]").unwrap();
    let said = place.refused(&["redact", "t.parquet", "-o", "other.parquet", "--map", "notes.json", "--force"]);
    assert!(one_line(&said).contains("is no map"));
    assert_eq!((bytes("out.parquet"), bytes("map.json"), bytes("notes.json")), (out.clone(), map, b"[]".to_vec()));
    assert!(!place.path("other.parquet").exists());
    place.ok(&["redact", "t.parquet", "-o", "out.parquet", "--map", "map.json", "--key", "key", "--force"]);
    place.ok(&["redact", "t.parquet", "-o", "out.parquet", "--map", "map-2.json", "--force"]);
    assert_ne!(bytes("out.parquet"), out, "another secret");
}

#[test]
fn what_is_hidden_does_not_come_back() {
    let place = place();
    let redact =
        |from: &str, to: &str, level: &str| place.run(&["redact", from, "-o", to, "--level", level, "--key", "key"]);
    assert!(redact("t.parquet", "1.parquet", "share").status.success());
    for level in ["share", "metadata"] {
        assert!(redact("1.parquet", &format!("{level}.parquet"), level).status.success(), "{level}");
    }
    assert_eq!(Capture::open(&place.path("metadata.parquet")).unwrap().manifest().derived_from.len(), 2);
    let said = place.refused(&["redact", "1.parquet", "-o", "2.parquet", "--level", "payload"]);
    assert!(one_line(&said).contains("redacted at the level share already"), "{said}");
    let said = place.refused(&["redact", "1.parquet", "-o", "2.parquet", "--payload", "masked"]);
    assert!(one_line(&said).contains("payloads are removed"), "{said}");
    let mut manifest = Capture::open(&place.path("1.parquet")).unwrap().manifest().clone();
    manifest.derived_from[0].redaction.as_mut().unwrap().level = "later\u{1b}".into();
    made::write(&place.path("later.parquet"), &manifest, |_| {});
    let said = place.refused(&["redact", "later.parquet", "-o", "2.parquet", "--level", "metadata"]);
    assert!(one_line(&said).contains("does not know") && !said.contains('\u{1b}'), "{said}");
    assert!(!place.path("2.parquet").exists());
}

#[test]
fn a_map_leads_back_and_is_for_its_owner_alone() {
    let place = place();
    place.ok(&["redact", "t.parquet", "-o", "out.parquet", "--map", "map.json"]);
    let path = place.path("map.json");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(place.path("out.parquet").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let map: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let redacted = Capture::open(&place.path("out.parquet")).unwrap();
    let original = Capture::open(&place.path("t.parquet")).unwrap();
    assert_eq!(map["redacted"]["root"].as_str(), redacted.root());
    assert_eq!(map["original"]["root"].as_str(), original.root());
    let of = |kind: &str, pseudonym: &str| map["values"][kind][pseudonym].as_str().unwrap().to_string();
    made::each(&place.path("out.parquet"), |event| {
        assert_eq!(of("comm", event.comm), "victim");
        assert_eq!(of("path", event.exe.unwrap()), "/home/joe/victim");
        assert_eq!(of("pid", &event.pid.to_string()), "4211");
        assert_eq!(of("uid", &event.uid.to_string()), "1000");
        assert_eq!(event.ts_ns - map["wall_clock_ns"].as_i64().unwrap(), 1 << 60);
    });
    assert_eq!(of("host", &redacted.manifest().host.hostname), "build-7.example");
    assert_eq!(of("host", &redacted.manifest().capture_id), "c0ffee");
}

#[test]
fn a_preview_shows_both_sides_and_writes_nothing() {
    let place = place();
    let before = place.names();
    let shown = place.ok(&["redact", "t.parquet", "--preview", "--key", "key"]);
    assert_eq!(place.names(), before);
    assert!(shown.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte) || byte >= 0x80), "{shown:?}");
    let line = |name: &str| {
        shown.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_else(|| panic!("{shown}"))
    };
    assert!(line("comm").contains("victim") && line("comm").contains("comm-"), "{shown}");
    assert!(line("exe").contains("/home/joe/victim") && line("exe").contains("/home/user-"), "{shown}");
    assert!(line("host.hostname").contains("build-7.example") && line("host.hostname").contains("host-"), "{shown}");
    assert!(line("row 0").contains("process_exec"));
    let metadata = place.ok(&["redact", "t.parquet", "--preview", "--level", "metadata"]);
    assert!(metadata.lines().any(|line| line.contains("argv") && line.contains("(nothing)")), "{metadata}");
    // It shows what is written.
    place.ok(&["redact", "t.parquet", "-o", "out.parquet", "--key", "key"]);
    made::each(&place.path("out.parquet"), |event| assert!(line("comm").contains(event.comm)));
    assert!(place.refused(&["redact", "t.parquet", "--preview", "-o", "x.parquet"]).contains("--preview"));
}

#[test]
fn values_are_kept_and_columns_left_out() {
    let place = place();
    let options = ["--keep", "comm=victim", "--keep", "uid=1000", "--drop", "exe,exit_code"];
    let out = place.redact(&place.path("t.parquet"), "out.parquet", &options);
    made::each(&out, |event| {
        assert_eq!((event.comm, event.uid, event.exe), ("victim", 1000, None));
        assert!(event.argv.unwrap().starts_with("victim text-"), "{event:?}");
        assert_ne!(event.pid, 4211);
    });
    let manifest = Capture::open(&out).unwrap().manifest().clone();
    let options = &manifest.derived_from[0].redaction.as_ref().unwrap().options;
    assert_eq!(options, &["--keep comm=victim", "--keep uid=1000", "--drop exe", "--drop exit_code"]);
}
