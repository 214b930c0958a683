//! The named analyses: useful queries for any capture, each an SQL file in `named/` that a user can read and change.
//!
//! Owns their names. Each file describes what it finds, what that can indicate, and what looks the same.

use std::fmt::Write;

use anyhow::{Context, Result};

use super::nearest::nearest;

macro_rules! named {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("named/", $name, ".sql")))),+]
    };
}

/// Name and SQL of each analysis.
const NAMED: &[(&str, &str)] = named![
    "top-talkers",
    "denied",
    "failed",
    "written-by-others",
    "bulk-reads",
    "conflicts",
    "forced-writes",
    "secrets",
    "gaps",
];

/// The SQL of the analysis called `name`.
///
/// # Errors
/// When there is none of that name.
pub fn sql(name: &str) -> Result<&'static str> {
    let found = NAMED.iter().find(|(known, _)| *known == name).map(|(_, sql)| *sql);
    found.with_context(|| match nearest(name, names()) {
        Some(near) => format!("there is no analysis {name:?}: did you mean {near}? --list has all"),
        None => format!("there is no analysis {name:?}: take one of {}", names().collect::<Vec<_>>().join(", ")),
    })
}

/// The names of all.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMED.iter().map(|(name, _)| *name)
}

/// Every analysis with the first sentence of its file.
pub fn list() -> String {
    let width = NAMED.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    NAMED.iter().fold(String::new(), |mut text, (name, sql)| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:width$}  {}", headline(sql));
        text
    })
}

fn headline(sql: &str) -> String {
    let comment = sql.lines().map_while(|line| line.strip_prefix("-- "));
    let text = comment.collect::<Vec<_>>().join(" ");
    text.split_inclusive(['.', ':']).next().unwrap_or_default().trim_end_matches([':', '.']).to_string() + "."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_analysis_is_documented() {
        for (name, sql) in NAMED {
            assert!(headline(sql).len() > 20, "{name}");
            assert!(sql.contains("-- Lead: ") && sql.contains("-- Benign: ") && sql.contains("ATT&CK T"), "{name}");
            assert!(sql.contains("ORDER BY"), "{name}: the same order each time");
        }
        assert_eq!(list().lines().count(), NAMED.len());
        assert!(super::sql("nothing").unwrap_err().to_string().contains("top-talkers"));
    }
}
