//! The two output formats of commands that describe something, and JSON on one line.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

use super::escape::SafeJson;

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people
    #[default]
    Text,
    /// One JSON object per line
    Json,
}

/// Writes `value` as one line of terminal-safe JSON.
///
/// # Errors
/// Those of `out`.
pub fn json_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, SafeJson);
    // As an io::Error, so that a closed pipe is recognised.
    value.serialize(&mut serializer).map_err(io::Error::from)?;
    out.write_all(b"\n")
}
