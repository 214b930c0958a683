//! docs/redaction.md has the rules of the code. `UPDATE_GOLDEN=1 cargo test --test redact docs` writes them.

use std::fmt::Write;

use vmtrace::derive::redact::{known, rows, rules, rules::Rule};
use vmtrace::schema::vocabulary::RedactionLevel;

use super::made;

fn table(what: &str, rules: &[(&str, Rule)]) -> String {
    let mut out = format!("| {what} | `payload` | `share` | `metadata` |\n|---|---|---|---|\n");
    // Neighbours with one rule share a row.
    for group in rules.chunk_by(|(_, one), (_, other)| one == other) {
        let names: Vec<String> = group.iter().map(|(name, _)| format!("`{name}`")).collect();
        let words: Vec<&str> = RedactionLevel::ALL.iter().map(|level| group[0].1.words(*level)).collect();
        writeln!(out, "| {} | {} |", names.join(", "), words.join(" | ")).unwrap();
    }
    out
}

fn list(names: &[&str]) -> String {
    let mut out = String::new();
    let mut width = 0;
    for name in names {
        if width > 0 && width + name.len() + 3 > 140 {
            out.push('\n');
            width = 0;
        } else if width > 0 {
            out.push(' ');
        }
        write!(out, "`{name}`").unwrap();
        width += name.len() + 3;
    }
    out + "\n"
}

#[test]
fn the_document_has_the_rules_and_the_well_known_names() {
    let numbers: Vec<String> = known::USERS.iter().map(u32::to_string).collect();
    let parts = [
        ("columns", table("column", rows::COLUMNS)),
        ("manifest", table("field", rules::MANIFEST)),
        ("file", table("part of the file", rules::FILE)),
        ("programs", list(known::PROGRAMS)),
        ("libraries", list(known::LIBRARIES)),
        ("places", list(known::PLACES)),
        ("files of a process", list(known::OF_A_PROCESS)),
        ("cgroups", list(known::CGROUPS)),
        ("endings", list(known::ENDINGS)),
        (
            "numbers",
            list(&numbers.iter().map(String::as_str).chain(known::NETWORK.iter().copied()).collect::<Vec<_>>()),
        ),
    ];
    let path = made::root().join("docs/redaction.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let fresh = parts.iter().fold(document.clone(), |document, (name, text)| {
        let (begin, end) = (format!("<!-- {name}: generated -->\n"), format!("<!-- {name}: end -->"));
        let start = document.find(&begin).unwrap_or_else(|| panic!("no {begin}")) + begin.len();
        let stop = document.find(&end).unwrap_or_else(|| panic!("no {end}"));
        format!("{}{text}{}", &document[..start], &document[stop..])
    });
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    } else {
        assert_eq!(document, fresh, "docs/redaction.md: UPDATE_GOLDEN=1 cargo test --test redact docs writes it");
    }
}
