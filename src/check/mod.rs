//! `vmtrace check`: whether this system can be recorded, and what a recording would miss.
//!
//! Like the command line it is above both halves. The facts of the system come from /proc. The recorder loads, attaches
//! and tests the hooks as `record` does. Nothing is recorded.

mod system;
mod table;

use std::io::Write;

use anyhow::Result;
use serde::Serialize;

use self::system::{Capability, Setting};
use crate::sandbox::Available;
use crate::schema::manifest::{Coverage, FamilyReport};
use crate::schema::vocabulary::SelfTest;
use crate::terminal::{Format, json_line, status};

/// Options of `vmtrace check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Loads, attaches and tests the hooks as `record` does, and records nothing.\n\
Exit status: 0 every family of events is seen in the best way; 1 with gaps; 2 recording is impossible.")]
pub struct Args {
    /// Output format
    #[arg(short = 'T', long, value_enum, default_value_t)]
    format: Format,
    /// Print one row per family of events, and each gap as a capture contains it
    #[arg(short, long)]
    verbose: bool,
}

/// All findings of `check`. The JSON of `check -T json` is exactly this; fields are only added.
#[derive(Debug, Serialize)]
struct Report {
    /// Release of the running kernel.
    kernel: String,
    /// Exit status: 0, 1 or 2.
    status: u8,
    /// Why recording is impossible, and the remedy.
    problem: Option<String>,
    /// Whether the kernel has BTF.
    btf: bool,
    /// Effective user id.
    uid: Option<u32>,
    /// Capabilities that recording can need, and whether they are there.
    capabilities: Vec<Capability>,
    /// Settings of the kernel that bear on recording.
    settings: Vec<Setting>,
    /// What commands that read captures can give up here.
    sandbox: Available,
    /// What the hooks see.
    #[serde(flatten)]
    coverage: Coverage,
}

/// Runs `vmtrace check`; returns the exit status.
///
/// # Errors
/// When the output cannot be written.
pub fn run(args: &Args) -> Result<u8> {
    let report = examine();
    let mut text = Vec::new();
    match args.format {
        Format::Text => text.extend(table::render(&report, args.verbose).bytes()),
        Format::Json => json_line(&mut text, &report)?,
    }
    if !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    std::io::stdout().write_all(&text)?;
    Ok(report.status)
}

fn examine() -> Report {
    let (status, problem, coverage) = match hooks() {
        Err(error) => (status::ERROR, Some(format!("{error:#}")), Coverage::default()),
        Ok(coverage) if coverage.families.iter().all(is_whole) => (status::OK, None, coverage),
        Ok(coverage) => (status::GAPS, None, coverage),
    };
    Report {
        kernel: system::release(),
        status,
        problem,
        btf: system::has_btf(),
        uid: system::uid(),
        capabilities: system::capabilities(),
        settings: system::settings(),
        sandbox: Available::here(),
        coverage,
    }
}

/// At its best tier, with nothing against it.
fn is_whole(family: &FamilyReport) -> bool {
    family.best && family.gap.is_none() && !SelfTest::Failed.is(&family.self_test)
}

#[cfg(feature = "record")]
fn hooks() -> Result<Coverage> {
    crate::record::check()
}

#[cfg(not(feature = "record"))]
fn hooks() -> Result<Coverage> {
    anyhow::bail!("this build of vmtrace only replays: install one with the feature `record`, which is the default")
}
