//! `vmtrace info`: what a capture contains and how it was made, from its footer alone.
//!
//! Owns the options and the choice of format. The facts are in `facts`, their text in `table`. Reads no event, so the
//! answer comes at once, whatever the size of the file.

pub(crate) mod facts;
pub(crate) mod families;
mod regions;
mod table;

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;

use self::facts::Facts;
use crate::archive;
use crate::model::summary::Summary;
use crate::sandbox::{Needs, Sandbox, descriptors};
use crate::schema::limits::AllowLarge;
use crate::schema::reader::Capture;
use crate::terminal::{Format, json_line, status};

/// Options of `vmtrace info`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Captures to describe; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Output format
    #[arg(short = 'T', long, value_enum, default_value_t)]
    format: Format,
    /// Print one row per family of events, every hook, and each gap as the capture contains it
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    large: AllowLarge,
    #[command(flatten)]
    sandbox: Sandbox,
}

/// Runs `vmtrace info`; returns the exit status.
///
/// # Errors
/// When the output cannot be written.
pub fn run(args: &Args) -> Result<u8> {
    args.sandbox.enter(&Needs::reading(&args.files));
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut status = status::OK;
    for (index, path) in archive::files(&args.files)?.iter().enumerate() {
        match describe(path, args, index > 0) {
            Ok(text) => {
                out.write_all(&text)?;
                out.flush()?;
            }
            Err(error) => {
                descriptors::report(&error);
                status = status::ERROR;
            }
        }
    }
    Ok(status)
}

/// What `vmtrace info -T json` prints of a capture.
///
/// # Errors
/// When it cannot be written as JSON.
pub(crate) fn json(capture: &Capture) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    json_line(&mut out, &Facts::of(capture, &Summary::of(capture)))?;
    Ok(out)
}

fn describe(path: &Path, args: &Args, follows: bool) -> Result<Vec<u8>> {
    let capture = Capture::open_within(path, args.large.limits())?;
    let summary = Summary::of(&capture);
    let facts = Facts::of(&capture, &summary);
    let mut out = Vec::new();
    match args.format {
        Format::Json => json_line(&mut out, &facts)?,
        Format::Text => {
            let gap = if follows { "\n" } else { "" };
            out.extend_from_slice(format!("{gap}{}", table::render(&facts, args.verbose)).as_bytes());
        }
    }
    Ok(out)
}
