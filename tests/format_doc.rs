//! docs/FORMAT.md's tables, and the sets of events in docs/guide.md, are made from the schema; these tests make them again and
//! compare. `UPDATE_GOLDEN=1 cargo test --test format_doc` writes them.

use std::fmt::Write;

use arrow::datatypes::{DataType, FieldRef};
use vmtrace::schema::columns::{COLUMNS, ColumnSpec, Layout};
use vmtrace::schema::events::{EVENTS, Group, sets};
use vmtrace::schema::vocabulary::{IovVerdict, Loss, LostCause, VOCABULARIES};

fn type_name(column: &ColumnSpec) -> String {
    match (column.data_type)() {
        DataType::List(item) => format!("List<{}>", parts(item.data_type())),
        DataType::Timestamp(..) => "Timestamp(µs, UTC)".into(),
        other => short(&other),
    }
}

/// The parts of a list's items, named and with their types.
fn parts(item: &DataType) -> String {
    let DataType::Struct(parts) = item else { return item.to_string() };
    let part = |part: &FieldRef| format!("{}: {}", part.name(), short(part.data_type()));
    format!("Struct<{}>", parts.iter().map(part).collect::<Vec<_>>().join(", "))
}

fn short(data_type: &DataType) -> String {
    match data_type {
        DataType::Dictionary(..) => "Dictionary<Int32, Utf8>".into(),
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
        let set = if e.group == Group::Ledger { "always".into() } else { e.group.set() };
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

fn verdicts() -> String {
    let mut out = String::from("| `iov_verdict` | meaning |\n|---|---|\n");
    for (word, meaning) in IovVerdict::VOCABULARY.words {
        writeln!(out, "| `{word}` | {meaning} |").unwrap();
    }
    out
}

/// Words of columns, or of the manifest, that have no table of their own.
fn words(heading: &str, of_columns: bool) -> String {
    let mut out = format!("| {heading} | word | meaning |\n|---|---|---|\n");
    let own_table = [IovVerdict::VOCABULARY.places, LostCause::VOCABULARY.places, Loss::VOCABULARY.places];
    for vocabulary in VOCABULARIES.iter().filter(|v| !own_table.contains(&v.places)) {
        if vocabulary.places.iter().any(|place| COLUMNS.iter().any(|c| c.name == *place)) != of_columns {
            continue;
        }
        let places = vocabulary.places.iter().map(|place| format!("`{place}`")).collect::<Vec<_>>().join(", ");
        for (word, meaning) in vocabulary.words {
            writeln!(out, "| {places} | `{word}` | {meaning} |").unwrap();
        }
    }
    out
}

fn losses() -> String {
    let mut out = String::from("| cause | what happened | `lost` rows |\n|---|---|---|\n");
    for (loss, (word, meaning)) in Loss::ALL.iter().zip(Loss::VOCABULARY.words) {
        let rows = LostCause::ALL.iter().zip(LostCause::VOCABULARY.words).filter(|(cause, _)| cause.loss() == *loss);
        let rows: Vec<String> = rows.map(|(_, (word, meaning))| format!("`{word}`: {meaning}")).collect();
        writeln!(out, "| `{word}` | {meaning} | {} |", rows.join("; ")).unwrap();
    }
    out
}

/// Replaces what stands between the two markers of `name`.
fn fill(doc: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: generated -->\n"), format!("<!-- {name}: end -->"));
    let start = doc.find(&begin).unwrap_or_else(|| panic!("no {begin}")) + begin.len();
    let stop = doc.find(&end).unwrap_or_else(|| panic!("no {end}"));
    format!("{}{table}{}", &doc[..start], &doc[stop..])
}

fn compare(path: &str, tables: &[(&str, String)]) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let doc = std::fs::read_to_string(&file).unwrap();
    let fresh = tables.iter().fold(doc.clone(), |doc, (name, table)| fill(&doc, name, table));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &fresh).unwrap();
    } else {
        assert_eq!(doc, fresh, "{path} is out of date: UPDATE_GOLDEN=1 cargo test --test format_doc");
    }
}

#[test]
fn the_format_document_matches_the_schema() {
    let tables = [
        ("iov_verdict", verdicts()),
        ("events", events()),
        ("columns", columns()),
        ("words of columns", words("column", true)),
        ("arguments", arguments()),
        ("words of the manifest", words("field", false)),
        ("losses", losses()),
    ];
    compare("docs/FORMAT.md", &tables);
}

#[test]
fn the_guide_names_every_set_of_events() {
    let names: Vec<String> = sets().iter().map(|set| format!("`{set}`")).collect();
    compare("docs/guide.md", &[("sets", format!("  {}\n  ", names.join(" ")))]);
}
