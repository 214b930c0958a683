//! What is taken out of the viewer: the filter as SQL, and an event as a line for a report.

use std::io::Write;
use std::path::Path;

use anyhow::{Result, ensure};

use super::sql;
use crate::model::origin;
use crate::model::process::Processes;
use crate::model::select::View;
use crate::model::time;
use crate::output::Whole;
use crate::replay::describe::{self, Line};
use crate::schema::Event;
use crate::schema::expr::Expr;
use crate::schema::reader::Capture;
use crate::terminal::escape::SafeLine;

/// The query that finds the rows of a filter.
///
/// # Errors
/// When the filter has a pattern that has no form in SQL.
pub fn query(capture: &Capture, filter: Option<&Expr>) -> Result<String, String> {
    let path = SafeLine(&capture.path().display().to_string()).to_string();
    let condition = match filter {
        // Gaps are shown whatever is selected.
        Some(expr) => format!(" WHERE event = 'lost' OR ({})", sql::condition(&expr.to_string())?),
        None => String::new(),
    };
    Ok(format!("-- vmtrace query {path}\nSELECT * FROM events{condition} ORDER BY seq;\n"))
}

/// One line about an event: what wrote the file, where, which row, when, and what happened.
pub fn report(capture: &Capture, event: &Event<'_>) -> String {
    let whole = capture.manifest();
    let manifest = whole.of_host(event.host);
    let mut line = Line::of(origin::without_addresses(&whole.derived_from));
    describe::event(&mut line, event, View::Caller, &Processes::default());
    let host = [&manifest.host.sysname, &manifest.host.release, &manifest.host.machine];
    let host: Vec<&str> = host.into_iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
    let since = time::seconds(event.mono_ns.into(), whole.start.monotonic_ns.into());
    let actor = describe::Named { host: event.host, name: Some(event.comm), pid: event.pid };
    let text = format!(
        "vmtrace {} on {}, capture {}, row {}, {since} s ({}): {actor} {}",
        manifest.tool.version,
        host.join(" "),
        whole.capture_id,
        event.seq,
        time::utc(event.ts_ns),
        line.text().trim(),
    );
    // The manifest is a stranger's, too.
    SafeLine(&text).to_string()
}

/// Writes text into a new file.
///
/// # Errors
/// When there is something of that name, or it cannot be written.
pub fn write(path: &Path, text: &str) -> Result<()> {
    // The remedy of other commands is an option.
    ensure!(path.symlink_metadata().is_err(), "{} exists: choose another name", path.display());
    let whole = Whole::create(path, false, 0o600)?;
    whole.file().write_all(text.as_bytes())?;
    whole.publish()
}
