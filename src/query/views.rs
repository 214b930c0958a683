//! The views, in SQL that both DataFusion and DuckDB accept; each is a file in `views/`.
//!
//! Owns their names and order. The files and docs/query.md describe their meaning.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::datatypes::{DataType, Field};

use crate::schema::columns::COLUMNS;

/// Name and SQL of each view, those that others use before them. `events`, `manifest` and `ledger` are tables.
pub const VIEWS: [(&str, &str); 5] = [
    ("transfers", include_str!("views/transfers.sql")),
    ("processes", include_str!("views/processes.sql")),
    ("edges", include_str!("views/edges.sql")),
    ("pipes", include_str!("views/pipes.sql")),
    ("losses", include_str!("views/losses.sql")),
];

/// Names of all tables and views.
pub fn names() -> impl Iterator<Item = &'static str> {
    ["events", "manifest", "ledger", "flows"].into_iter().chain(VIEWS.iter().map(|(name, _)| *name))
}

/// What makes of DuckDB what the engine here is: functions, and the tables that come from files.
const DUCKDB: &str = include_str!("views/duckdb.sql");

/// Name of a column's type in DuckDB; `None` for those that are in every capture.
fn duckdb_type(data_type: &DataType) -> Option<Cow<'static, str>> {
    Some(Cow::Borrowed(match data_type {
        DataType::Int32 => "INTEGER",
        DataType::UInt32 => "UINTEGER",
        DataType::Int64 => "BIGINT",
        DataType::UInt64 => "UBIGINT",
        DataType::Boolean => "BOOLEAN",
        DataType::Binary => "BLOB",
        DataType::Dictionary(..) => "VARCHAR",
        DataType::List(item) => return Some(Cow::Owned(format!("{}[]", duckdb_type(item.data_type())?))),
        DataType::Struct(parts) => {
            let part = |part: &Arc<Field>| Some(format!("{} {}", quoted(part.name()), duckdb_type(part.data_type())?));
            let parts: Vec<String> = parts.iter().map(part).collect::<Option<_>>()?;
            return Some(Cow::Owned(format!("STRUCT({})", parts.join(", "))));
        }
        _ => return None,
    }))
}

/// A name as DuckDB takes it: `end` is a word of its own there.
fn quoted(name: &str) -> Cow<'_, str> {
    if name == "end" { Cow::Borrowed("\"end\"") } else { Cow::Borrowed(name) }
}

/// A null of each column that a capture may lack, by its name.
fn optional_columns() -> String {
    let optional = COLUMNS.iter().filter(|column| column.nullable);
    let nulls = optional
        .filter_map(|column| duckdb_type(&(column.data_type)()).map(|kind| format!("NULL::{kind} AS {}", column.name)));
    nulls.collect::<Vec<_>>().join(", ")
}

/// What stands before views that are made for no certain captures: where DuckDB finds some (docs/views.sql).
const ANY_CAPTURES: &str = "\
-- Captures of vmtrace in DuckDB, without vmtrace: its views and functions (docs/query.md). Say which captures, then read this file:
--     SET VARIABLE captures = 'captures/*.parquet';    -- or a list: ['a.parquet', 'b.parquet']; else *.parquet in this directory
--     .read views.sql
--     SELECT * FROM edges;
-- Made by `vmtrace query --print-duckdb-views`.
CREATE OR REPLACE MACRO captures() AS coalesce(
    TRY_CAST(getvariable('captures') AS VARCHAR[]),
    CASE WHEN getvariable('captures') IS NOT NULL THEN [getvariable('captures')::VARCHAR] END,
    ['*.parquet']);
";

/// All views and functions over `paths` as DuckDB SQL; without any, over those that a variable of DuckDB names.
///
/// # Errors
/// When a name is no text, which SQL cannot say.
pub fn duckdb(paths: &[PathBuf]) -> Result<String> {
    let name = |path: &PathBuf| {
        let text = path.to_str().with_context(|| {
            format!("{}: the name is not UTF-8, and DuckDB takes no other: rename the capture", path.display())
        })?;
        Ok(format!("'{}'", text.replace('\'', "''")))
    };
    let names = paths.iter().map(name).collect::<Result<Vec<_>>>()?.join(", ");
    let (before, files) =
        if paths.is_empty() { (ANY_CAPTURES, "captures()".into()) } else { ("", format!("[{names}]")) };
    let mut sql = format!("{before}{}", DUCKDB.replace("{files}", &files).replace("{columns}", &optional_columns()));
    for (name, view) in VIEWS {
        // Writing to a String cannot fail.
        let _ = write!(sql, "\nCREATE OR REPLACE VIEW {name} AS\n{};\n", view.trim_end());
    }
    Ok(sql)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_says_what_it_is() {
        for (name, sql) in VIEWS {
            assert!(sql.starts_with("-- ") && !sql.contains(';'), "{name}");
        }
    }

    #[test]
    fn file_names_are_quoted() {
        let sql = duckdb(&[PathBuf::from("a'b.parquet"), PathBuf::from("c")]).unwrap();
        assert!(sql.contains("read_parquet(['a''b.parquet', 'c'],"), "{sql}");
        assert!(!sql.contains("{files}"));
    }

    #[test]
    fn those_for_any_captures_name_none() {
        let sql = duckdb(&[]).unwrap();
        assert!(sql.contains("read_parquet(captures(),") && !sql.contains("{files}"), "{sql}");
    }

    #[test]
    fn columns_that_may_be_absent_have_a_type() {
        let sql = optional_columns();
        for column in COLUMNS.iter().filter(|column| column.nullable) {
            assert!(sql.split(", ").any(|null| null.ends_with(&format!(" AS {}", column.name))), "{}", column.name);
        }
        let number = |column| sql.contains(&format!("NULL::UINTEGER AS {column}"));
        assert!(number("fd_in_local_port") && !number("fd_in_local_addr"), "{sql}");
    }
}
