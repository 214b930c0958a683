//! The tables of limits in docs/LIMITS.md are made of the code. `UPDATE_GOLDEN=1 cargo test --test limits document` writes them.

use std::fmt::Write;

use vmtrace::count;
use vmtrace::schema::limits::{FIXED, GROWING, Limit, Limits, Part, Unit};

fn bytes(most: u64) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if most >= 1 << shift && most.is_multiple_of(1 << (shift - 2)) {
            return format!("{} {unit}", most as f64 / (1u64 << shift) as f64);
        }
    }
    format!("{} bytes", count::grouped(most))
}

fn most(limit: &Limit) -> String {
    match limit.unit {
        Unit::Bytes => bytes(limit.most),
        Unit::Number => count::grouped(limit.most),
        Unit::Times => format!("{} times", count::grouped(limit.most)),
    }
}

fn growing() -> String {
    let mut out = String::from("| limit | default | with `--allow-large SIZE` | why |\n|---|---|---|---|\n");
    for limit in GROWING {
        let usual = bytes((limit.most)(Limits::default()));
        writeln!(out, "| {} | {usual} | {} | {} |", limit.what, limit.raised, limit.why).unwrap();
    }
    out
}

fn fixed() -> String {
    let mut out = String::new();
    for part in Part::ALL {
        writeln!(out, "| {} | at most | why |\n|---|---|---|", part.heading()).unwrap();
        for limit in FIXED.iter().filter(|limit| limit.part == part) {
            writeln!(out, "| {} | {} | {} |", limit.what, most(limit), limit.why).unwrap();
        }
        out.push('\n');
    }
    out.trim_end().to_string() + "\n"
}

/// Replaces what stands between the two markers of `name`.
fn fill(doc: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: generated -->\n"), format!("<!-- {name}: end -->"));
    let start = doc.find(&begin).unwrap_or_else(|| panic!("no {begin}")) + begin.len();
    let stop = doc.find(&end).unwrap_or_else(|| panic!("no {end}"));
    format!("{}{table}{}", &doc[..start], &doc[stop..])
}

#[test]
fn the_document_lists_the_limits_of_the_code() {
    let file = super::root().join("docs/LIMITS.md");
    let doc = std::fs::read_to_string(&file).unwrap();
    let fresh = fill(&fill(&doc, "limits that grow", &growing()), "limits", &fixed());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &fresh).unwrap();
    } else {
        assert_eq!(doc, fresh, "out of date: UPDATE_GOLDEN=1 cargo test --test limits document");
    }
}

#[test]
fn sizes_are_those_of_the_code() {
    for (most, text) in
        [(5 << 20, "5 MiB"), (80 << 14, "1.25 MiB"), (1 << 30, "1 GiB"), (255, "255 bytes"), (4096, "4 KiB")]
    {
        assert_eq!(bytes(most), text);
    }
}
