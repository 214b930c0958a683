//! Limits of what commands are given, and of what they make.

use std::os::unix::fs::PermissionsExt;

use vmtrace::schema::limits::{
    MAX_BUNDLED, MAX_CONDITION_DEPTH, MAX_KEY, MAX_KINDS, MAX_PAGE, MAX_PATTERN, MAX_RECORDINGS, MAX_SLICES,
};
use vmtrace::schema::manifest::{Clocks, Host};
use vmtrace::schema::{Event, Manifest};

use super::Room;
use super::captures::{ledger, manifest, readv, write};

#[test]
fn so_many_kinds_of_events_are_counted() {
    let room = Room::new();
    let names: Vec<String> = (0..=MAX_KINDS).map(|n| format!("kind{n}")).collect();
    // A capture may hold them and need not count them in its ledger; so each host may.
    let of = |many: usize| {
        let events: Vec<Event<'_>> =
            names[..many].iter().zip(1..).map(|(event, at)| Event { event, ..readv(at) }).collect();
        let parts = events.chunks(200).zip(0..).map(|(events, n)| {
            let host = Host { hostname: format!("h{n}"), boot_id: format!("{n}"), ..manifest().host };
            let rows = Manifest { ledger: ledger(events), capture_id: format!("{n}"), host, ..manifest() };
            write(&room.path(&format!("{n}.parquet")), &rows, &[events]);
            format!("{n}.parquet")
        });
        parts.collect::<Vec<_>>()
    };
    let merge = |parts: &[String]| {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        [&["merge", "--force", "-o", "out.parquet"][..], &parts]
            .concat()
            .iter()
            .map(|w| w.to_string())
            .collect::<Vec<_>>()
    };
    let parts = of(MAX_KINDS);
    let words = merge(&parts);
    let ran = room.run(&words);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let parts = of(MAX_KINDS + 1);
    let words = merge(&parts);
    room.refuses(
        &words.iter().map(String::as_str).collect::<Vec<_>>(),
        "the rows are of more than 1024 kinds of events",
    );
}

#[test]
fn so_many_slices_are_merged() {
    let room = Room::new();
    write(&room.path("t.parquet"), &Manifest { ledger: ledger(&[readv(1)]), ..manifest() }, &[&[readv(1)]]);
    let merge = |many: usize| [&["merge", "--force", "-o", "out.parquet"][..], &vec!["t.parquet"; many]].concat();
    let ran = room.run(&merge(MAX_SLICES));
    assert_eq!(ran.status, Some(0), "{ran:?}");
    room.refuses(&merge(MAX_SLICES + 1), "more than 64 captures of the same rows: merge some of them first");
}

/// Recordings, each of another host, or each of another time of one boot of a host; their names.
fn recordings(room: &Room, many: usize, of_one_host: bool) -> Vec<String> {
    let shifted = |clocks: Clocks, by: i64| Clocks {
        realtime_ns: clocks.realtime_ns + by,
        monotonic_ns: clocks.monotonic_ns + by,
        boottime_ns: clocks.boottime_ns + by,
        ..clocks
    };
    let name = |n: usize| {
        let by = if of_one_host { n as i64 * 10_000_000_000 } else { 0 };
        let event = readv(1);
        let event = Event { ts: event.ts + by / 1_000, ts_ns: event.ts_ns + by, mono_ns: event.mono_ns + by, ..event };
        let mut rows = Manifest { capture_id: format!("{n:032x}"), ledger: ledger(&[event]), ..manifest() };
        (rows.start, rows.end) = (shifted(rows.start, by), shifted(rows.end, by));
        if !of_one_host {
            rows.host = Host { hostname: format!("h{n}"), boot_id: format!("{n:08}"), ..rows.host };
        }
        let name = format!("r{n}.parquet");
        write(&room.path(&name), &rows, &[&[event]]);
        name
    };
    (0..many).map(name).collect()
}

#[test]
fn so_many_recordings_are_merged() {
    let room = Room::new();
    let merge = |names: &[String]| {
        let names = names.iter().map(String::as_str);
        ["merge", "--force", "-o", "out.parquet"].into_iter().chain(names).map(String::from).collect::<Vec<_>>()
    };
    let names = recordings(&room, MAX_RECORDINGS, false);
    let ran = room.run(&merge(&names));
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let names = recordings(&room, MAX_RECORDINGS + 1, false);
    let words = merge(&names);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    room.refuses(&words, "more than 64 recordings at once: merge some of them first");
    // In two steps, those of one boot come together again.
    let names = recordings(&room, MAX_RECORDINGS + 1, true);
    let half = [merge(&names[..MAX_RECORDINGS]), vec![]].concat();
    let ran = room.run(&half);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    std::fs::rename(room.path("out.parquet"), room.path("half.parquet")).unwrap();
    let ran = room.run(&["merge", "half.parquet", &names[MAX_RECORDINGS], "-o", "all.parquet"]);
    assert_eq!(ran.status, Some(0), "a capture that was merged has one host of a boot: {ran:?}");
}

#[test]
fn a_key_has_so_many_bytes() {
    let room = Room::new();
    write(&room.path("t.parquet"), &Manifest { ledger: ledger(&[readv(1)]), ..manifest() }, &[&[readv(1)]]);
    let redact = ["redact", "t.parquet", "-o", "out.parquet", "--force", "--key", "key"];
    for (length, fits) in [(MAX_KEY, true), (MAX_KEY + 1, false)] {
        std::fs::write(room.path("key"), vec![7; length as usize]).unwrap();
        std::fs::set_permissions(room.path("key"), std::fs::Permissions::from_mode(0o600)).unwrap();
        match fits {
            true => assert_eq!(room.run(&redact).status, Some(0)),
            false => room.refuses(&redact, "--key: key has 1048577 bytes, and a key has 32 to 1048576"),
        }
    }
}

#[test]
fn a_bundle_has_so_many_captures() {
    let room = Room::new();
    // None of them is there, which is found out later.
    let bundle = |many: usize| [&["bundle", "-o", "out.zip"][..], &vec!["none.parquet"; many]].concat();
    room.refuses(&bundle(MAX_BUNDLED), "none.parquet");
    room.passes(&bundle(MAX_BUNDLED), "a bundle holds at most");
    room.refuses(&bundle(MAX_BUNDLED + 1), "201 captures, and a bundle holds at most 200: merge some first");
}

#[test]
fn a_page_is_as_large_as_it_may_be() {
    let room = Room::new();
    write(&room.path("t.parquet"), &Manifest { ledger: ledger(&[readv(1)]), ..manifest() }, &[&[readv(1)]]);
    let report = |size: u64| {
        ["report", "t.parquet", "-o", "out.html", "--force", "--max-size", &size.to_string()].map(String::from)
    };
    assert_eq!(room.run(&report(MAX_PAGE)).status, Some(0));
    let words = report(MAX_PAGE + 1);
    room.refuses(&words.each_ref().map(String::as_str), "--max-size: no browser opens such a page");
}

#[test]
fn conditions_are_nested_so_deep() {
    let room = Room::new();
    write(&room.path("t.parquet"), &manifest(), &[&[readv(1)]]);
    // The condition itself is a level.
    for nested in [
        |levels: usize| format!("{}pid > 0{}", "(".repeat(levels - 1), ")".repeat(levels - 1)),
        |levels: usize| {
            format!("{}pid > 0", "not ".repeat((levels - 1) / 2 * 2) + &"(".repeat((levels - 1) % 2))
                + &")".repeat((levels - 1) % 2)
        },
    ] {
        room.accepts(&["replay", "t.parquet", "--where", &nested(MAX_CONDITION_DEPTH)]);
        let ran = room.run(&["replay", "t.parquet", "--where", &nested(MAX_CONDITION_DEPTH + 1)]);
        assert!(ran.status == Some(2) && ran.err.contains("more than 64 levels of nesting"), "{ran:?}");
    }
}

#[test]
fn a_pattern_has_so_many_bytes() {
    let room = Room::new();
    write(&room.path("t.parquet"), &manifest(), &[&[readv(1)]]);
    let said = "1 to 4096 bytes can be searched for";
    room.passes(&["memory", "-p", "42", "t.parquet", "--search", &"x".repeat(MAX_PATTERN)], said);
    let ran = room.run(&["memory", "-p", "42", "t.parquet", "--search", &"x".repeat(MAX_PATTERN + 1)]);
    assert!(ran.status == Some(2) && ran.err.contains(said), "{ran:?}");
}
