//! `vmtrace info`: what a capture holds and how it was made.

use std::path::PathBuf;

/// Options of `vmtrace info`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Captures to describe
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Runs `vmtrace info`; returns the exit status.
pub fn run(_args: &Args) -> anyhow::Result<u8> {
    anyhow::bail!("not yet")
}
