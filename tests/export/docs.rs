//! The tables of docs/export.md are made from the code. `UPDATE_GOLDEN=1 cargo test --test export` writes them.

use std::fmt::Write;

use vmtrace::export::{ecs, ocsf};

use super::root;

fn check(name: &str, table: &str) {
    let path = root().join("docs/export.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {name}: generated -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = document.split_once(&begin).unwrap_or_else(|| panic!("no {begin}"));
    let (found, after) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, format!("{before}{begin}{table}{end}{after}")).unwrap();
    } else {
        assert_eq!(found, table, "{}: run `make golden`", path.display());
    }
}

#[test]
fn the_tables_of_the_document_are_those_of_the_code() {
    let mut table = String::from("| field | made of |\n|---|---|\n");
    ecs::mapping().for_each(|(path, from)| writeln!(table, "| `{path}` | {from} |").unwrap());
    check("ecs", &table);
    let mut table = String::from("| class | field | made of |\n|---|---|---|\n");
    ocsf::mapping().for_each(|(class, path, from)| writeln!(table, "| {class} | `{path}` | {from} |").unwrap());
    check("ocsf", &table);
}
