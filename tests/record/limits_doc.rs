//! docs/LIMITS.md says of each gap where a capture shows it. Here that column is compared with what the tool has: columns,
//! their words, and the sentences that `vmtrace` prints.

use std::collections::BTreeSet;
use std::process::Stdio;

use vmtrace::schema::columns::COLUMNS;

use super::harness::vmtrace;

const LIMITS: &str = include_str!("../../docs/LIMITS.md");
const FORMAT: &str = include_str!("../../docs/FORMAT.md");

/// The rows of the table under `## Missing…`: the gap, and where it shows.
fn rows() -> Vec<(&'static str, &'static str)> {
    let section = LIMITS.split("\n## ").find(|s| s.starts_with("Missing")).expect("the section on what is missing");
    let lines = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    lines
        .map(|line| {
            let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
            let cells = (cells.next(), cells.next(), cells.next());
            let (Some(gap), Some(shows), None) = cells else { panic!("not two cells: {line}") };
            (gap, shows)
        })
        .collect()
}

/// What stands between backquotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// What stands between quotation marks: sentences of the tool.
fn sentences(cell: &str) -> Vec<&str> {
    cell.split('"').skip(1).step_by(2).collect()
}

#[test]
fn every_limit_says_where_it_shows() {
    let rows = rows();
    assert!(rows.len() > 15, "the table was not found whole: {rows:?}");
    for (gap, shows) in rows {
        assert!(!quoted(shows).is_empty() || !sentences(shows).is_empty(), "nothing shows this limit: {gap}");
    }
}

#[test]
fn columns_and_words_of_the_limits_are_those_of_the_format() {
    let columns: BTreeSet<&str> = COLUMNS.iter().map(|c| c.name).collect();
    let words = FORMAT.split(|c: char| !c.is_alphanumeric() && c != '_');
    let documented: BTreeSet<&str> = words.chain(quoted(FORMAT)).collect();
    for (gap, shows) in rows() {
        for word in quoted(shows) {
            let known = match word.strip_suffix('*') {
                Some(prefix) => columns.iter().any(|column| column.starts_with(prefix)),
                None => columns.contains(word) || documented.contains(word),
            };
            assert!(known, "FORMAT.md has no `{word}`: {gap}");
        }
    }
}

/// The program holds every sentence that the document quotes: one that is not in it cannot be printed.
#[test]
fn sentences_of_the_limits_are_in_the_program() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_vmtrace")).expect("the program");
    let holds = |text: &str| program.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!holds("no program holds this sentence, since it stands in a test alone"));
    for (gap, shows) in rows() {
        for sentence in sentences(shows) {
            assert!(holds(sentence), "vmtrace does not say \"{sentence}\": {gap}");
        }
    }
}

/// What is said of every recording, and of every one in the tracepoint tier, is said by the tool that runs.
#[test]
#[ignore = "needs root and BPF"]
fn gaps_that_hold_always_are_printed() {
    let mut check = vmtrace();
    check.args(["check", "-T", "json"]).env("VMTRACE_DISABLE_PROBES", "function").stdin(Stdio::null());
    let printed = String::from_utf8(check.output().expect("it starts").stdout).expect("text");
    let mut looked_at = 0;
    let holds = |(gap, shows): &&(&str, &str)| gap.starts_with("tracepoint tier") || shows.contains("always, gap");
    for (gap, shows) in rows().iter().filter(holds) {
        for sentence in sentences(shows) {
            assert!(printed.contains(sentence), "vmtrace check does not say \"{sentence}\": {gap}\n{printed}");
            looked_at += 1;
        }
    }
    assert!(looked_at >= 3, "only {looked_at} sentences");
}
