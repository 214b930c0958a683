//! What each command that reads files of strangers takes of memory for each kind of bomb.

use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::{Value, json};

use super::archive::{Forged, forge};
use super::captures::{ledger, manifest, readv, write};
use super::footers::with_manifest;
use super::forged::{
    MEMORY, large_value, lengths, many_values, ranges, repeated, with_children, with_offset_index_of, with_pages,
};
use super::{Room, counted};

/// Commands on `%`, each with what it may take: docs/LIMITS.md.
const COMMANDS: &[(&str, u64)] = &[
    ("info %", MEMORY),
    ("info -T json %", MEMORY),
    ("verify %", MEMORY),
    ("replay %", MEMORY),
    ("replay -T csv %", MEMORY),
    ("replay --by process %", MEMORY),
    ("summary %", MEMORY),
    ("summary -T json %", MEMORY),
    ("memory -p 42 %", MEMORY),
    ("flows %", MEMORY),
    ("export -T strace %", MEMORY),
    ("export -T pcapng -o out.export %", MEMORY),
    ("export -T perfetto -o out.export %", MEMORY),
    ("slice -o out.slice --force --since 0 %", MEMORY),
    ("merge -o out.merge --force % %", MEMORY),
    ("report -o out.html --force %", MEMORY),
    ("redact -o out.redact --force %", 2 * MEMORY),
    ("bundle -o out.zip --force %", 2 * MEMORY),
];

/// Runs all commands on `file` in `room`: none is killed, panics or takes more than it may.
fn bounded(room: &Room, file: &str, commands: &[(&str, u64)]) {
    let mut above = Vec::new();
    for (command, most) in commands {
        let words = command.replace('%', file);
        let words: Vec<&str> = words.split(' ').collect();
        let ran = counted::run(room.0.path(), &words);
        assert!(matches!(ran.status, Some(0 | 2)), "{command}: {ran:?}");
        assert!(!ran.err.contains("panicked"), "{command}: {ran:?}");
        let counts = ran.counts;
        if counts.peak > *most || counts.resident > *most {
            above.push(format!("{command}: {ran:?}"));
        }
    }
    assert!(above.is_empty(), "{}", above.join("\n"));
}

/// A capture of so many rows in `room`, with a right ledger.
fn capture(room: &Room, rows: i64) -> std::path::PathBuf {
    let path = room.path("t.parquet");
    let events: Vec<_> = (0..rows).map(readv).collect();
    write(&path, &vmtrace::schema::Manifest { ledger: ledger(&events), ..manifest() }, &[&events]);
    path
}

fn both(many: u64, rows: u64) -> Vec<(&'static str, super::forged::Pages)> {
    ["local_iov.list.item.base", "local_iov.list.item.len"].map(|leaf| (leaf, ranges(many, rows))).into()
}

#[test]
fn footers_and_indexes() {
    let room = Room::new();
    with_offset_index_of(&capture(&room, 3), (1 << 31) - 1);
    bounded(&room, "t.parquet", COMMANDS);
    with_children(&capture(&room, 3), 1 << 30);
    bounded(&room, "t.parquet", COMMANDS);
    let file = std::fs::File::create(room.path("t.parquet")).unwrap();
    let length = 250u32 << 20;
    file.set_len(u64::from(length) + 12).unwrap();
    file.write_all_at(b"PAR1", 0).unwrap();
    file.write_all_at(&[&length.to_le_bytes()[..], b"PAR1"].concat(), u64::from(length) + 4).unwrap();
    bounded(&room, "t.parquet", COMMANDS);
}

#[test]
fn pages_of_values() {
    let room = Room::new();
    for pages in [large_value(300 << 20), large_value(300 << 20).claiming(1000), large_value(1 << 20), lengths(1 << 31)]
    {
        with_pages(&capture(&room, 1), vec![("payload", pages)]);
        bounded(&room, "t.parquet", COMMANDS);
    }
    let leaves = ["payload", "argv", "exe"].map(|leaf| (leaf, many_values(48, 1_200_000)));
    with_pages(&capture(&room, 48), leaves.into());
    bounded(&room, "t.parquet", COMMANDS);
}

#[test]
fn dictionaries_and_lists() {
    let room = Room::new();
    with_pages(&capture(&room, 4096), vec![("payload", repeated(4096, 1_900_000))]);
    bounded(&room, "t.parquet", COMMANDS);
    // Of a size that is accepted, in each row. CSV would write 1.1 GB.
    let others: Vec<_> = COMMANDS.iter().copied().filter(|(command, _)| !command.contains("csv")).collect();
    for leaf in ["payload", "comm"] {
        with_pages(&capture(&room, 550), vec![(leaf, repeated(550, 1_000_000))]);
        bounded(&room, "t.parquet", &others);
    }
    with_pages(&capture(&room, 1), both(100_000_000, 1));
    bounded(&room, "t.parquet", COMMANDS);
    with_pages(&capture(&room, 1), both(1024, 1));
    bounded(&room, "t.parquet", COMMANDS);
}

/// A manifest with as much in it as it may have, of what takes most in memory.
#[test]
fn manifests() {
    let room = Room::new();
    let many = |what: Value, number: usize| Value::from(vec![what; number]);
    for (key, value) in [
        ("hosts", many(json!({}), 500_000)),
        ("hosts", many(json!({ "manifest": { "hosts": [{}] } }), 200_000)),
        ("families", many(json!({}), 500_000)),
        ("hooks", many(json!({}), 500_000)),
        ("ledger", many(json!({}), 500_000)),
        ("derived_from", many(json!({}), 500_000)),
        ("gaps", many(json!(""), 1_000_000)),
        ("gaps", many(json!("x".repeat(1 << 20)), 30)),
    ] {
        let path = capture(&room, 3);
        with_manifest(&path, |manifest| {
            let mut manifest: Value = serde_json::from_str(&manifest).unwrap();
            manifest[key] = value;
            manifest.to_string()
        });
        bounded(&room, "t.parquet", COMMANDS);
    }
}

#[test]
fn archives() {
    let room = Room::new();
    let zeros = vec![0; 64 << 20];
    let put = |entries: &[Forged]| std::fs::write(room.path("x.zip"), forge(entries)).unwrap();
    put(&[Forged::deflated("c.parquet", &zeros)]);
    bounded(&room, "x.zip", COMMANDS);
    put(&[Forged { size: 1 << 20, ..Forged::deflated("c.parquet", &zeros) }]);
    bounded(&room, "x.zip", COMMANDS);
    put(&(0..1_000).map(|n| Forged::stored(&format!("{n}.parquet"), b"")).collect::<Vec<_>>());
    bounded(&room, "x.zip", COMMANDS);
    bounded(&room, "x.zip", &[("bundle --check %", MEMORY)]);
}

#[cfg(feature = "record")]
#[test]
fn journals() {
    use super::journals::{ANSWER, CHECKPOINT, COUNTERS, FINISH, LIVING, begin, left, left_after};
    let room = Room::new();
    let recover: &[(&str, u64)] = &[("recover -o out.parquet --force %", MEMORY)];
    let list = |before: &str, one: &str, after: &str| {
        let list = format!("{one},").repeat((24 << 20) / (one.len() + 1));
        format!("{before}{list}{one}{after}").into_bytes()
    };
    let finish = r#"{"counted":{"clocks":{},"kernel":{}},"losses":[],"requests":[],"hooks":[],"reason":"x","clock":null,"gaps":["#;
    for (kind, payload) in [
        (FINISH, list(finish, "\"\"", "]}")),
        (FINISH, list(r#"{"hooks":["#, "{}", "]}")),
        (FINISH, list(r#"{"losses":["#, "{}", "]}")),
        (LIVING, list("[", "{}", "]")),
        (ANSWER, list(r#"{"later":["#, "{}", "]}")),
        (COUNTERS, list(r#"{"clocks":{},"kernel":{"later":["#, "{}", "]}}")),
        (CHECKPOINT, list(r#"{"later":["#, "{}", "]}")),
    ] {
        left(room.0.path(), "t", &[(kind, payload)]);
        bounded(&room, "t.partial", recover);
    }
    let first = String::from_utf8(begin(&json!("HERE"))).unwrap();
    for (key, one) in [("families", "{}"), ("hosts", "{}"), ("gaps", "\"\""), ("hooks", "{}"), ("ledger", "{}")] {
        let (before, after) = first.split_once("\"later\":\"HERE\"").unwrap();
        let before = before.replace(&format!("\"{key}\":["), "\"older\":[");
        left_after(room.0.path(), "t", &list(&format!("{before}\"{key}\":["), one, &format!("]{after}")), &[]);
        bounded(&room, "t.partial", recover);
    }
}

/// A sparse file is not read because it is large.
#[test]
fn files_that_are_large_and_empty() {
    let room = Room::new();
    let path: &Path = &room.path("t.parquet");
    std::fs::File::create(path).unwrap().set_len(64 << 30).unwrap();
    bounded(&room, "t.parquet", COMMANDS);
}
