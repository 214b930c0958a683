//! Captures made to do harm: to the terminal, to memory, to the answer.

use super::captures::{self, manifest, readv};
use super::{kept, query};
use vmtrace::schema::{Event, Manifest};

const EVIL: &str = "\x1b]0;owned\x07\x1b[2J\u{9b}31m\r\n\u{202e}live\u{200b}\\x1b";

fn assert_harmless(what: &str, text: &str) {
    let harmful = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{200b}".contains(c);
    assert!(!text.contains(harmful), "{what}: {text:?}");
}

/// The name of a file and a word of the command line are no better than what a capture holds.
#[test]
fn names_and_words_reach_it_neither() {
    let forged = format!("{EVIL}\nvmtrace: forged\n.parquet").replace('\0', "");
    let path = kept(&forged);
    captures::write(&path, &manifest(), &[&[readv(1)]]);
    let whole = std::fs::read(&path).unwrap();
    let name = path.to_str().unwrap().to_string();
    let harmless = |what: &str, args: &[&str]| {
        let ran = query(args);
        let said = ran.out + &ran.err;
        assert_harmless(what, &said);
        assert!(!said.lines().any(|line| line.starts_with("vmtrace: forged")), "{what}: {said}");
        said
    };
    for sql in ["SELECT count(*) FROM events", "selct", &format!("SELECT '{forged}'"), &format!("SELECT \"{forged}\"")]
    {
        harmless(sql, &[&name, sql]);
    }
    let option = format!("--{forged}");
    for args in
        [[&option as &str, "x"], ["-T", &forged], ["--named", &forged], ["--memory-limit", &forged], ["-o", &name]]
    {
        harmless(args[0], &[&[&name, "SELECT 1"], &args[..]].concat());
    }
    for (what, bytes) in [("empty", &[][..]), ("garbage", EVIL.as_bytes()), ("unfinished", &whole[..whole.len() - 9])] {
        std::fs::write(&path, bytes).unwrap();
        let said = harmless(what, &[&name, "SELECT count(*) FROM events"]);
        assert_eq!(said.contains("vmtrace recover "), what == "unfinished", "{said}");
    }
    std::fs::remove_file(&path).unwrap();
    harmless("missing", &[&name, "SELECT count(*) FROM events"]);
}

#[test]
fn nothing_captured_reaches_the_terminal_as_it_is() {
    let path = kept("evil\x1b[31m.parquet");
    let event =
        Event { comm: EVIL, exe: Some(EVIL), target_comm: Some(EVIL), payload: Some(EVIL.as_bytes()), ..readv(1) };
    let manifest = Manifest { comment: Some(EVIL.into()), gaps: vec![EVIL.into()], ..manifest() };
    let flow = Event {
        comm: EVIL,
        fd_in_kind: Some("file"),
        fd_in_path: Some(EVIL),
        fd_out_kind: Some("pipe"),
        pipe_out: Some(7),
        bytes: Some(8),
        ..captures::at(2, "splice", captures::SPY)
    };
    captures::write(&path, &manifest, &[&[event, flow]]);
    let path = path.to_str().unwrap();
    let mut asked = 0;
    for table in ["events", "transfers", "processes", "edges", "flows", "manifest"] {
        for format in ["table", "line", "csv", "jsonl", "table --width 80", "table --width 0 --rows 1"] {
            let sql = format!("SELECT * FROM {table}");
            let words: Vec<&str> = [path, &sql, "-T"].into_iter().chain(format.split(' ')).collect();
            let ran = query(&words);
            assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{table} {format}");
            assert_harmless(table, &ran.out);
            asked += 1;
        }
    }
    assert_eq!(asked, 36);
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
