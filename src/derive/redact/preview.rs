//! What a reader would see, beside what there is. Writes nothing but text that is safe for a terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufWriter, Write};

use anyhow::Result;
use serde_json::Value;

use super::manifest;
use super::redactor::Redactor;
use crate::count;
use crate::schema::reader::{Capture, Scan};
use crate::schema::{Cell, Event, Manifest};
use crate::terminal::escape::Safe;
use crate::terminal::fit;

/// Columns of each of the two sides.
const SIDE: usize = 44;
/// Columns of a name.
const NAME: usize = 24;
/// Kinds of events of which the first row is shown.
const SHOWN: usize = 12;
/// Ranges and bytes of a value that are shown.
const PARTS: usize = 3;
const BYTES: usize = 16;
/// Rows that are looked through.
const LOOKED_AT: usize = 100_000;

/// Prints the manifest and the first row of each kind of event.
///
/// # Errors
/// When the capture cannot be read, or the output cannot be written.
pub fn print(capture: &Capture, redactor: &mut Redactor) -> Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let (name, level) = (capture.path().display().to_string(), redactor.names.level.as_str());
    writeln!(out, "{} at the level {level}: nothing is written", Safe(&name))?;
    writeln!(out, "{:NAME$} {:SIDE$} a reader would see", "", "there is")?;
    let redacted = manifest::redacted(redactor, capture.manifest());
    writeln!(out, "manifest")?;
    let (before, after) = (fields(capture.manifest()), fields(&redacted));
    for (field, text) in before.iter().filter(|(_, text)| !text.is_empty()) {
        line(&mut out, field, text, after.get(field).map_or("", String::as_str))?;
    }
    let mut shown: Vec<String> = Vec::new();
    let mut looked_at = 0;
    'rows: for batch in capture.scan(&Scan::default())? {
        for event in batch?.iter() {
            looked_at += 1;
            if shown.len() >= SHOWN || looked_at > LOOKED_AT {
                break 'rows;
            }
            if !shown.iter().any(|name| name == event.event) {
                shown.push(event.event.to_string());
                row(&mut out, redactor, &event)?;
            }
        }
    }
    Ok(out.flush()?)
}

fn row(out: &mut impl Write, redactor: &mut Redactor, event: &Event<'_>) -> Result<()> {
    writeln!(out, "row {}: {}", event.seq, Safe(event.event))?;
    let before = cells(event);
    let after = redactor.row(event, cells);
    let mut same = 0;
    for ((name, before), (_, after)) in before.iter().zip(&after) {
        same += u64::from(before == after && !before.is_empty());
        line(out, name, before, after)?;
    }
    Ok(writeln!(out, "  {} as they are", count::Count(same, "other column stays", "other columns stay"))?)
}

/// Both sides, where they differ.
fn line(out: &mut impl Write, name: &str, before: &str, after: &str) -> Result<()> {
    if before == after {
        return Ok(());
    }
    let cut = |text: &str, most: usize| match fit::fits(text, most) {
        true => text.to_string(),
        false => format!("{}…", fit::cut(text, most - 1)),
    };
    let (name, before) = (cut(&Safe(name).to_string(), NAME - 2), cut(&Safe(before).to_string(), SIDE));
    let after = if after.is_empty() { "(nothing)".to_string() } else { cut(&Safe(after).to_string(), SIDE) };
    let blanks = " ".repeat((SIDE + 1).saturating_sub(fit::columns(&before)));
    Ok(writeln!(out, "  {name:width$} {before}{blanks}{after}", width = NAME - 2)?)
}

fn cells(event: &Event<'_>) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    event.cells(|name, cell| all.push((name, text(cell))));
    all
}

fn text(cell: Cell<'_>) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Int(number) | Cell::Micros(number) => number.to_string(),
        Cell::Uint(number) => number.to_string(),
        Cell::Bool(truth) => truth.to_string(),
        Cell::Text(text) => text.to_string(),
        Cell::Bytes(bytes) => {
            let more = if bytes.len() > BYTES { "…" } else { "" };
            bytes.iter().take(BYTES).fold(String::new(), |text, byte| format!("{text}{byte:02x}")) + more
        }
        Cell::Iovecs(ranges) => {
            let mut text = String::new();
            for range in ranges.iter().take(PARTS) {
                // Writing to a String cannot fail.
                let _ = write!(text, "{}{:#x}+{}", if text.is_empty() { "" } else { ", " }, range.base, range.len);
            }
            text + if ranges.len() > PARTS { ", …" } else { "" }
        }
        Cell::Regions(regions) => {
            let shown: Vec<String> = regions.iter().take(PARTS).map(|region| region.to_string()).collect();
            shown.join("; ") + if regions.len() > PARTS { "; …" } else { "" }
        }
    }
}

/// The fields of a manifest, those of objects in it with their names before them; lists in one.
fn fields(manifest: &Manifest) -> BTreeMap<String, String> {
    fn add(all: &mut BTreeMap<String, String>, name: &str, value: &Value) {
        match value {
            Value::Object(object) => object.iter().for_each(|(key, value)| {
                add(all, &if name.is_empty() { key.clone() } else { format!("{name}.{key}") }, value);
            }),
            Value::String(text) => drop(all.insert(name.into(), text.clone())),
            Value::Null => {}
            Value::Array(list) if list.is_empty() => {}
            other => drop(all.insert(name.into(), other.to_string())),
        }
    }
    let mut all = BTreeMap::new();
    if let Ok(value) = serde_json::to_value(manifest) {
        add(&mut all, "", &value);
    }
    all
}
