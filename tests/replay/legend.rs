//! The legend explains every sign that is printed.

use std::collections::BTreeSet;

use super::captures::*;
use super::{vmtrace, width};

/// Numbers, addresses and names in a sign are any.
fn form(sign: &str) -> String {
    let mut form = String::new();
    for c in sign.chars() {
        match c {
            '0'..='9' if form.ends_with('N') => {}
            '0'..='9' => form.push('N'),
            c => form.push(c),
        }
    }
    form
}

/// The text between `open` and `close`, with both.
fn enclosed(line: &str, open: char, close: char) -> Vec<&str> {
    let starts = line.match_indices(open).map(|(at, _)| at);
    starts.filter_map(|at| line[at..].find(close).map(|end| &line[at..=at + end])).collect()
}

/// A line of an event without what was captured: text in quotes, and arguments.
fn own(line: &str) -> String {
    let line = line.replace("\\\\", "").replace("\\\"", "");
    let mut parts = line.split('"');
    let mut own = parts.next().unwrap_or_default().to_string();
    while let (Some(_), Some(after)) = (parts.next(), parts.next()) {
        own.push_str(after);
    }
    own
}

/// The signs of a line: those beyond ASCII, and words in brackets that stand alone.
fn signs(line: &str) -> BTreeSet<String> {
    let own = own(line);
    let mut signs: BTreeSet<String> = own
        .chars()
        .filter(|c| !c.is_ascii() && !c.is_alphanumeric() && *c != '×' && *c != 'µ')
        .map(String::from)
        .collect();
    for (open, close) in [('[', ']'), ('(', ')')] {
        let alone = format!(" {open}");
        let words =
            own.match_indices(&alone).flat_map(|(at, _)| enclosed(&own[at + 1..], open, close).into_iter().take(1));
        signs.extend(
            words.filter(|word| !word.starts_with("[0x") && word.contains(|c: char| c.is_alphabetic())).map(form),
        );
    }
    signs
}

fn is_event(line: &str) -> bool {
    line.starts_with(' ') && !line.contains(" process_exec ") && !line.contains(" process_snapshot ")
}

#[test]
fn every_sign_is_explained() {
    let ran = vmtrace(&["replay", "--legend"]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let legend: BTreeSet<String> = ran.out.lines().map(form).collect();
    let explains = |sign: &str| legend.iter().any(|line| line.starts_with(sign));
    let made = make(&everything());
    let mut captures = width::samples();
    captures.push(made.path().to_string());
    let mut seen = BTreeSet::new();
    for capture in &captures {
        for args in [&["--wide"][..], &["--width", "80", "--fold"], &["--width", "200"]] {
            let out = vmtrace(&[&["replay", capture], args].concat()).out;
            for line in
                out.lines().filter(|line| is_event(line) && !line.contains("GAP") && !line.contains(" process_exit "))
            {
                for sign in signs(line) {
                    assert!(explains(&sign), "{sign}: {line}");
                    seen.insert(sign);
                }
            }
        }
    }
    for sign in ["←", "→", "·", "…", "(unresolved)", "[iovec conflict]", "(first N of N B)", "(by reference)"] {
        assert!(seen.contains(sign), "{sign} was not seen, so it was not compared: {seen:?}");
    }
}

#[test]
fn the_manual_has_the_legend() {
    let page = vmtrace(&["man", "replay"]).out;
    for sign in ["←", "[iovec conflict]", "(by reference)"] {
        assert!(page.contains(sign), "{sign}: {page}");
    }
    assert!(page.contains("pages were passed on: who reads them may get later bytes"), "{page}");
}

#[test]
fn the_legend_stands_alone() {
    let ran = vmtrace(&["replay", "--legend", "x.parquet"]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("'--legend' cannot be used with one or more of the other"), "{}", ran.err);
    assert_eq!(vmtrace(&["replay"]).status, 2, "without it there must be a file");
}
