//! Errors of the engine as messages that point into the SQL.

use anyhow::{Error, anyhow};
use datafusion::common::{DataFusionError, Diagnostic, Location, SchemaError};

use super::mistakes::{self, Known};

/// The error as a message, with the place in `sql` it is about where that is known. `known` are the names that there are.
pub fn pointing(error: &DataFusionError, sql: &str, known: &Known) -> Error {
    let message = message(error, sql, known);
    let place = from_diagnostic(error).or_else(|| from_message(&message)).or_else(|| from_name(error, sql));
    let message = message.split(" at Line: ").next().unwrap_or(&message);
    match place.and_then(|place| excerpt(sql, place)) {
        Some(excerpt) => anyhow!("{message}\n{excerpt}"),
        None => anyhow!("{message}"),
    }
}

/// What went wrong, without what leads there.
fn message(error: &DataFusionError, sql: &str, known: &Known) -> String {
    let text = match error.find_root() {
        DataFusionError::SQL(error, _) => error.to_string(),
        DataFusionError::ResourcesExhausted(what) => {
            format!("the memory limit is reached: give more with --memory-limit, or ask for less ({what})")
        }
        // A thread of the engine panicked; no capture is damaged. The message of the panic is internal to the engine.
        DataFusionError::ExecutionJoin(_) => {
            "the query engine panicked on the statement: rewrite it, or check the captures with vmtrace verify".into()
        }
        root => root.strip_backtrace(),
    };
    mistakes::plain(without_report(&text).trim_end(), sql, known)
}

/// The message without the engine's invitation to file a bug report with its makers, which it has for every mistake that it
/// did not foresee.
fn without_report(text: &str) -> &str {
    let text = text.split("\n\nbacktrace: ").next().unwrap_or(text);
    match text.split_once("This issue was likely caused by a bug in DataFusion") {
        Some((what, _)) => what.trim_end().trim_end_matches('.'),
        None => text,
    }
}

/// Line and column, both from 1.
type LineColumn = (u64, u64);

fn from_diagnostic(error: &DataFusionError) -> Option<LineColumn> {
    let diagnostic: &Diagnostic = error.diagnostic()?;
    let Location { line, column } = diagnostic.span?.start;
    (line > 0).then_some((line, column))
}

/// The parser says where in its message.
fn from_message(message: &str) -> Option<LineColumn> {
    let (_, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    let digits = column.find(|c: char| !c.is_ascii_digit()).unwrap_or(column.len());
    Some((line.parse().ok()?, column.get(..digits)?.parse().ok()?))
}

/// A column that does not exist, where the SQL first names it.
fn from_name(error: &DataFusionError, sql: &str) -> Option<LineColumn> {
    let DataFusionError::SchemaError(schema, _) = error.find_root() else { return None };
    let SchemaError::FieldNotFound { field, .. } = schema.as_ref() else { return None };
    let lines = sql.lines().zip(1u64..);
    lines.into_iter().find_map(|(text, line)| {
        let at = text.find(field.name())?;
        Some((line, text.get(..at)?.chars().count() as u64 + 1))
    })
}

/// The line of `sql` with a caret under the column.
fn excerpt(sql: &str, (line, column): LineColumn) -> Option<String> {
    let text = sql.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?)?;
    let column = usize::try_from(column).ok()?.saturating_sub(1).min(text.chars().count());
    // A long line is shown around the column.
    let start = column.saturating_sub(60);
    let shown: String = text.chars().skip(start).take(100).map(|c| if c.is_control() { ' ' } else { c }).collect();
    Some(format!("  {shown}\n  {}^", " ".repeat(column - start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_stands_under_the_column() {
        assert_eq!(excerpt("SELECT a\nFROM b", (2, 6)).unwrap(), "  FROM b\n       ^");
        assert_eq!(excerpt("é x", (1, 3)).unwrap(), "  é x\n    ^");
        assert_eq!(excerpt("a", (1, 99)).unwrap(), "  a\n   ^");
        assert_eq!(excerpt("a", (7, 1)), None);
        let long = format!("{}x{}", "a".repeat(500), "b".repeat(500));
        let shown = excerpt(&long, (1, 501)).unwrap();
        assert!(shown.lines().all(|line| line.len() <= 102), "{shown}");
        assert_eq!(shown.lines().next().unwrap().chars().nth(shown.lines().nth(1).unwrap().len() - 1), Some('x'));
    }

    #[test]
    fn the_parser_says_where() {
        assert_eq!(from_message("Expected: x, found: y at Line: 3, Column: 14"), Some((3, 14)));
        assert_eq!(from_message("Expected: x"), None);
    }
}
