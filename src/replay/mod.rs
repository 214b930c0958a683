//! `vmtrace replay`: captures printed as timelines, without privileges, on any machine.

pub mod info;

use std::path::PathBuf;

use crate::cli::ColorWhen;

/// Options of `vmtrace replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Captures to print, one after another
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Colour the output
    #[arg(long, value_enum, default_value_t)]
    color: ColorWhen,
}

/// Runs `vmtrace replay`; returns the exit status.
pub fn run(_args: &Args) -> anyhow::Result<u8> {
    anyhow::bail!("not yet")
}
