//! `vmtrace merge`: files of one recording, or slices of one capture, as one capture; and captures of several recordings (`hosts`).
//!
//! Rows of a recording come in the order of their numbers, each once. Row groups are copied as they are where no other file has rows among theirs.

use std::path::PathBuf;

use anyhow::Result;

use super::recording::{self, Recording};
use super::{Deriving, Target, hosts, stream};
use crate::archive;
use crate::sandbox::{Needs, Sandbox};
use crate::schema::limits::AllowLarge;
use crate::terminal::status;

/// Options of `vmtrace merge`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Of files of one recording none may be missing between them. A row that is in several slices is taken once. Captures of several \
recordings become one whose rows have a column host, in the order of the hosts' wall clocks; captures of one boot of a host, which must not be \
of the same time, in the order of its monotonic clock. Exit status: 0 OUT was written, 2 an error: there is no OUT."
)]
pub struct Args {
    /// Files of one recording, slices of one capture, or captures of several hosts, in any order
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    large: AllowLarge,
    #[command(flatten)]
    sandbox: Sandbox,
}

/// Runs `vmtrace merge`; returns the exit status.
///
/// # Errors
/// When the files do not belong together, one cannot be read, or the capture cannot be written. Nothing is written then.
pub fn run(args: &Args) -> Result<u8> {
    crate::output::check(args.target.path(), args.target.force)?;
    archive::check_apart(&args.files, args.target.path())?;
    args.sandbox.enter(&Needs::reading(&args.files).and_writing([args.target.path()]));
    let sources = recording::open(&archive::files(&args.files)?, args.large.limits(), args.target.path())?;
    if hosts::are_several(&sources) {
        hosts::merge(sources, &args.target)?;
        return Ok(status::OK);
    }
    let recording = Recording::of(sources)?;
    let mut deriving = Deriving::begin("merge", &recording, &args.target)?;
    let mut taken = Vec::new();
    for part in &recording.parts {
        taken.extend(stream::copy(part, &mut deriving.writer)?);
    }
    deriving.end(&args.target, &taken, "that none of the files holds")?;
    Ok(status::OK)
}
