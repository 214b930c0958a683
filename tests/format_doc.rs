//! docs/FORMAT.md's tables are made from the schema; this test makes them again and compares.
//! `UPDATE_GOLDEN=1 cargo test --test format_doc` writes them.

use std::fmt::Write;

use vmtrace::schema::columns::{COLUMNS, ColumnSpec, Layout};
use vmtrace::schema::events::EVENTS;

const DOC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/FORMAT.md");

fn type_name(column: &ColumnSpec) -> String {
    use arrow::datatypes::DataType;
    match (column.data_type)() {
        DataType::Dictionary(..) => "Dictionary<Int32, Utf8>".into(),
        DataType::List(_) => "List<Struct<base: UInt64, len: UInt64>>".into(),
        DataType::Timestamp(..) => "Timestamp(µs, UTC)".into(),
        other => other.to_string(),
    }
}

fn layout(layout: Layout) -> &'static str {
    match layout {
        Layout::Clock => "delta, page statistics",
        Layout::Key => "dictionary, page statistics, bloom filter",
        Layout::Repeating => "dictionary",
        Layout::Plain => "plain",
        Layout::Payload => "delta length",
    }
}

fn yes(flag: bool) -> &'static str {
    if flag { "yes" } else { "" }
}

fn columns() -> String {
    let mut out = String::from(
        "| column | type | null | origin | TOCTOU | unit | meaning | Parquet |\n|---|---|---|---|---|---|---|---|\n",
    );
    for c in COLUMNS {
        writeln!(
            out,
            "| `{}` | {} | {} | {} | {} | {} | {} | {} |",
            c.name,
            type_name(c),
            yes(c.nullable),
            c.origin.tag(),
            yes(c.toctou),
            c.unit,
            c.doc,
            layout(c.layout)
        )
        .unwrap();
    }
    out
}

fn events() -> String {
    let mut out = String::from("| event | set | x86-64 | i386 | meaning |\n|---|---|---|---|---|\n");
    let numbers = |list: &[u16]| list.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    for e in EVENTS {
        let set = match e.group.name() {
            "lost" => "always".into(),
            group => format!("@{group}"),
        };
        writeln!(out, "| `{}` | {set} | {} | {} | {} |", e.name, numbers(e.x86_64), numbers(e.i386), e.doc).unwrap();
    }
    out
}

fn arguments() -> String {
    let mut out = String::from(
        "| event | argument | type | column | origin | TOCTOU | optional |\n|---|---|---|---|---|---|---|\n",
    );
    for e in EVENTS {
        for a in e.args {
            writeln!(
                out,
                "| `{}` | `{}` | `{}` | {} | {} | {} | {} |",
                e.name,
                a.name,
                a.c_type,
                a.column,
                a.origin.tag(),
                yes(a.toctou),
                yes(a.optional)
            )
            .unwrap();
        }
    }
    out
}

/// Replaces what stands between the two markers of `name`.
fn fill(doc: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: generated -->\n"), format!("<!-- {name}: end -->"));
    let start = doc.find(&begin).unwrap_or_else(|| panic!("docs/FORMAT.md lacks {begin}")) + begin.len();
    let stop = doc.find(&end).unwrap_or_else(|| panic!("docs/FORMAT.md lacks {end}"));
    format!("{}{table}{}", &doc[..start], &doc[stop..])
}

#[test]
fn the_format_document_matches_the_schema() {
    let doc = std::fs::read_to_string(DOC).unwrap();
    let mut fresh = doc.clone();
    for (name, table) in [("columns", columns()), ("events", events()), ("arguments", arguments())] {
        fresh = fill(&fresh, name, &table);
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(DOC, &fresh).unwrap();
    } else {
        assert_eq!(doc, fresh, "docs/FORMAT.md is out of date: UPDATE_GOLDEN=1 cargo test --test format_doc");
    }
}
