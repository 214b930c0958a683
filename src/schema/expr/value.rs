//! Values by the type of the column they are compared with: numbers with units, truth values, times, text and patterns.
//!
//! Owns which operators and values fit a column. If the values of a column are known, a value that it cannot have is
//! refused: a trigger that never fires would be noticed too late.

use arrow_schema::DataType;
use globset::GlobBuilder;

use super::Check;
use crate::schema::columns::ColumnSpec;
use crate::schema::events::EVENTS;
use crate::schema::names;

/// Which part of a condition is wrong, and why.
pub(super) enum Wrong {
    Operator(String),
    Value(String),
}

/// What `column OPERATOR text` asks; `!` has been taken off the operator.
pub(super) fn check(column: &ColumnSpec, operator: &str, text: &str) -> Result<Check, Wrong> {
    let name = column.name;
    match (column.data_type)() {
        DataType::Boolean => match (operator, text.to_ascii_lowercase().as_str()) {
            ("=" | "==", "true") => Ok(Check::Bool(true)),
            ("=" | "==", "false") => Ok(Check::Bool(false)),
            ("=" | "==", _) => Err(Wrong::Value(format!("{name} is true or false, not {text:?}"))),
            _ => Err(Wrong::Operator(format!("{name} is a truth value: compare it with = or !="))),
        },
        DataType::Dictionary(..) => text_check(name, operator, text),
        DataType::Timestamp(..) => {
            let time = chrono::DateTime::parse_from_rfc3339(text);
            let time = time.map_err(|_| format!("{name} is a time such as 2026-01-02T03:04:05Z, not {text:?}"));
            compare(name, operator, time.map_err(Wrong::Value)?.timestamp_micros().into())
        }
        DataType::Int32 | DataType::UInt32 | DataType::Int64 | DataType::UInt64 => {
            let number = number(text, column.unit).ok_or_else(|| {
                let units = match units(column.unit) {
                    [] => String::new(),
                    units => format!(", if need be with {}", units.iter().map(|u| u.0).collect::<Vec<_>>().join(", ")),
                };
                Wrong::Value(format!("{name} is a number{units}, not {text:?}"))
            })?;
            compare(name, operator, number)
        }
        _ => Err(Wrong::Operator(format!("{name} can only be asked for with `is null` and `is not null`"))),
    }
}

fn compare(name: &str, operator: &str, number: i128) -> Result<Check, Wrong> {
    let (least, most) = (i128::MIN, i128::MAX);
    Ok(Check::Number(match operator {
        "=" | "==" => number..=number,
        "<" => least..=number - 1,
        "<=" => least..=number,
        ">" => number + 1..=most,
        ">=" => number..=most,
        _ => return Err(Wrong::Operator(format!("{name} is a number: compare it with =, !=, <, <=, > or >="))),
    }))
}

fn text_check(name: &str, operator: &str, text: &str) -> Result<Check, Wrong> {
    match operator {
        "=" | "==" => {
            possible(name, text).map_err(Wrong::Value)?;
            Ok(Check::Text(text.to_string()))
        }
        "~" => {
            // A name may hold a slash (`kworker/0:1`), which `*` shall match.
            let glob = GlobBuilder::new(text).literal_separator(false).build();
            let glob = glob.map_err(|e| Wrong::Value(format!("{text:?} is not a glob pattern: {}", e.kind())))?;
            Ok(Check::Glob(Box::new(glob.compile_matcher())))
        }
        _ => Err(Wrong::Operator(format!("{name} is text: compare it with =, !=, ~ or !~ (glob patterns)"))),
    }
}

/// Refuses what a column with a fixed set of values cannot hold.
fn possible(name: &str, text: &str) -> Result<(), String> {
    let known: Vec<&str> = match name {
        "event" | "lost_event" => EVENTS.iter().map(|e| e.name).collect(),
        "errno" => names::errno_names().collect(),
        // Requests and advice without a name are shown by number.
        "ptrace_request" | "advice" if text.parse::<i64>().is_ok() => return Ok(()),
        "ptrace_request" => names::ptrace_request_names().collect(),
        "advice" => names::advice_names().collect(),
        _ => return Ok(()),
    };
    if known.contains(&text) {
        return Ok(());
    }
    Err(format!("{name} is never {text:?}{}", similar(text, known.into_iter())))
}

/// Suffixes of numbers in a unit, and what they stand for.
fn units(unit: &str) -> &'static [(&'static str, i128)] {
    match unit {
        "bytes" => &[("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30)],
        "ns" => &[("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)],
        _ => &[],
    }
}

fn number(text: &str, unit: &str) -> Option<i128> {
    let (digits, factor) = match units(unit).iter().find_map(|(suffix, n)| Some((text.strip_suffix(suffix)?, *n))) {
        Some((digits, factor)) => (digits, factor),
        None => (text, 1),
    };
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, digits),
    };
    let number = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse::<u64>().ok()?,
    };
    Some(sign * i128::from(number) * factor)
}

/// `; similar: ...` with the names nearest to `word`; empty where none is near.
pub(super) fn similar(word: &str, names: impl Iterator<Item = &'static str>) -> String {
    let mut near: Vec<(f64, &str)> = names.map(|name| (strsim::jaro_winkler(word, name), name)).collect();
    near.retain(|(likeness, _)| *likeness > 0.75);
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<&str> = near.into_iter().take(3).map(|(_, name)| name).collect();
    if near.is_empty() { String::new() } else { format!("; similar: {}", near.join(", ")) }
}
