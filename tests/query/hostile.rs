//! Captures made to do harm: to the terminal, to memory, to the answer.

use super::captures::{self, manifest, readv};
use super::{kept, query};
use vmtrace::schema::{Event, Manifest};

const EVIL: &str = "\x1b]0;owned\x07\x1b[2J\u{9b}31m\r\n\u{202e}live\u{200b}\\x1b";

fn assert_harmless(what: &str, text: &str) {
    let harmful = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{200b}".contains(c);
    assert!(!text.contains(harmful), "{what}: {text:?}");
}

#[test]
fn nothing_captured_reaches_the_terminal_as_it_is() {
    let path = kept("evil\x1b[31m.parquet");
    let event =
        Event { comm: EVIL, exe: Some(EVIL), target_comm: Some(EVIL), payload: Some(EVIL.as_bytes()), ..readv(1) };
    let manifest = Manifest { comment: Some(EVIL.into()), gaps: vec![EVIL.into()], ..manifest() };
    captures::write(&path, &manifest, &[&[event]]);
    let path = path.to_str().unwrap();
    let mut asked = 0;
    for table in ["events", "transfers", "processes", "edges", "manifest"] {
        for format in ["table", "csv", "jsonl"] {
            let ran = query(&[path, &format!("SELECT * FROM {table}"), "-T", format]);
            assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{table} {format}");
            assert_harmless(table, &ran.out);
            asked += 1;
        }
    }
    assert_eq!(asked, 15);
    let sql = "SELECT hexdump(payload), printable(payload), comm AS \"a\x1b[31mb\" FROM events";
    for args in [
        &[sql][..],
        &[sql, "--explain"],
        &["SELECT x\x1b FROM events"],
        &["--named", "gaps"],
        &["SELECT arrow_cast(comm, 'Int8') FROM events"],
    ] {
        let ran = query(&[&[path], args].concat());
        assert_harmless(&args.join(" "), &(ran.out + &ran.err));
    }
    std::fs::remove_file(path).unwrap();
}
