//! The pairs of a summary as CSV: one header, a row per caller and target. Text is escaped as on a terminal.

use std::io::{self, Write};

use anyhow::Result;

use super::gather::Report;
use super::{json, tables};
use crate::model::tally::{Pair, Who};
use crate::terminal::escape::Safe;

const HEADER: [&str; 19] = [
    "capture",
    "pid",
    "process_key",
    "comm",
    "exe",
    "command",
    "target_pid",
    "target_key",
    "target_comm",
    "target_exe",
    "calls",
    "transfers",
    "failures",
    "conflicts",
    "bytes_in",
    "bytes_out",
    "first_ts",
    "last_ts",
    "host",
];

/// Writes pairs of one recording after another.
#[derive(Debug, Default)]
pub struct Csv {
    started: bool,
}

impl Csv {
    /// Writes at most `top` pairs.
    ///
    /// # Errors
    /// Those of the output.
    pub fn report(&mut self, out: &mut impl Write, report: &Report, top: usize) -> Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        if !std::mem::replace(&mut self.started, true) {
            writer.write_record(HEADER).map_err(plain)?;
        }
        let files: Vec<String> = report.files.iter().map(|file| file.display().to_string()).collect();
        let files = safe(Some(&files.join(";")));
        for pair in tables::by_bytes(&report.tally).into_iter().take(top) {
            writer.write_record(record(&files, pair)).map_err(plain)?;
        }
        Ok(writer.flush()?)
    }
}

fn record(files: &str, pair: &Pair) -> [String; 19] {
    let none = Who::default();
    let (caller, target) = (&pair.caller, pair.target.as_ref().unwrap_or(&none));
    [
        files.to_string(),
        caller.pid.to_string(),
        safe(caller.key.as_deref()),
        safe(caller.comm.as_deref()),
        safe(caller.exe.as_deref()),
        safe(caller.command.as_deref()),
        pair.target.as_ref().map(|target| target.pid.to_string()).unwrap_or_default(),
        safe(target.key.as_deref()),
        safe(target.comm.as_deref()),
        safe(target.exe.as_deref()),
        pair.calls.to_string(),
        pair.transfers.to_string(),
        pair.failures.to_string(),
        pair.conflicts.to_string(),
        pair.bytes_in.to_string(),
        pair.bytes_out.to_string(),
        json::first(pair.span).unwrap_or_default(),
        json::last(pair.span).unwrap_or_default(),
        safe(caller.host.as_deref()),
    ]
}

fn safe(text: Option<&str>) -> String {
    text.map(|text| Safe(text).to_string()).unwrap_or_default()
}

/// The io::Error within, so that a closed pipe is known for one.
fn plain(error: csv::Error) -> anyhow::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        kind => io::Error::other(format!("{kind:?}")).into(),
    }
}
