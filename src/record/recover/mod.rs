//! `vmtrace recover`: makes a capture from what a killed recorder left.
//!
//! Complete row groups of the unfinished file are copied. After them the journal is read, by the code that reads it while
//! recording. The input is never changed. The capture reports what is missing; nothing is invented.

mod found;
mod salvage;
mod search;
mod survey;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use indicatif::HumanCount;

use self::found::{Found, Sources};
use self::salvage::Left;
use crate::count;
use crate::output::directory;
use crate::sandbox::{Needs, Sandbox};
use crate::schema::limits::AllowLarge;
use crate::schema::manifest::LedgerRow;
use crate::schema::reader::Capture;
use crate::terminal::{say_line, status};

/// Options of `vmtrace recover`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads NAME.parquet.partial and, beside it, NAME.parquet.journal-*; neither is changed. Either is enough to find the \
other, and so is the name NAME.parquet, which need not exist. Exit status: 0 done, 3 events are lost or may be, 2 \
nothing could be recovered.")]
pub struct Args {
    /// Pieces of one recording, one of which is enough: an unfinished file, a file of the journal, or the name the
    /// capture was to have
    #[arg(required = true, value_name = "FILE")]
    pub pieces: Vec<PathBuf>,
    /// File to write
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
    /// Replace an existing output file
    #[arg(long)]
    pub force: bool,
    /// Print only errors
    #[arg(short, long)]
    pub quiet: bool,
    /// For recordings of strangers
    #[command(flatten)]
    pub large: AllowLarge,
    /// What it gives up
    #[command(flatten)]
    pub sandbox: Sandbox,
}

/// Runs `vmtrace recover`; returns the exit status.
///
/// # Errors
/// One sentence naming the file.
pub fn run(args: &Args) -> Result<u8> {
    // Pieces are searched for beside those that are named, and the output is read once it is there.
    let beside: Vec<&Path> = args.pieces.iter().chain([&args.output]).map(|path| directory(path)).collect();
    let needs = Needs::reading(&args.pieces).and_reading(beside.iter().flat_map(|place| search::links(place)));
    args.sandbox.enter(&needs.and_reading(beside).and_writing([&args.output]));
    let limits = args.large.limits();
    let sources = Sources::open(&search::unfinished(&args.pieces, limits)?, limits)?;
    for file in sources.left_out() {
        say_line(format_args!("{} is left out: {:#}", file.path.display(), file.reason));
    }
    let recovered = match sources.complete()? {
        Some(found) => copy(found, args)?,
        None => Left::of(&sources)?.write(&args.output, args.force)?,
    };
    if !args.quiet {
        recovered.gaps.iter().for_each(|gap| say_line(format_args!("gap: {gap}")));
        summary(&args.output, &recovered);
    }
    // What else is in a file without its beginning nobody knows.
    let unread = sources.left_out().iter().any(|file| !file.is_empty);
    let lost = unread || recovered.damaged || recovered.ledger.iter().any(|row| row.lost() > 0);
    Ok(if lost { status::LOSS } else { status::OK })
}

/// What was recovered.
#[derive(Debug)]
pub struct Recovered {
    /// Rows that stood in the unfinished file.
    pub from_file: u64,
    /// Rows made of the journal.
    pub from_journal: u64,
    /// The capture's ledger.
    pub ledger: Vec<LedgerRow>,
    /// What is missing.
    pub gaps: Vec<String>,
    /// Part of the journal is missing or damaged: nobody counted what was in it.
    pub damaged: bool,
    /// Root digest.
    pub root: String,
}

/// The last lines.
fn summary(output: &Path, recovered: &Recovered) {
    let lost = recovered.ledger.iter().fold(0u64, |sum, row| sum.saturating_add(row.lost()));
    let lost = match (lost, recovered.damaged) {
        (0, false) => "0 known to be lost".to_string(),
        (0, true) => "how many are LOST is not known".to_string(),
        (n, false) => format!("{} LOST", HumanCount(n)),
        (n, true) => format!("{} LOST, and how many more is not known", HumanCount(n)),
    };
    say_line(format_args!("{}: root digest {}", output.display(), recovered.root));
    say_line(format_args!(
        "{}: {} recovered, {} from the file and {} from the journal; {lost}",
        output.display(),
        count::events(recovered.from_file + recovered.from_journal),
        HumanCount(recovered.from_file),
        HumanCount(recovered.from_journal),
    ));
}

/// A file that was complete and only had not got its name.
fn copy(found: &Found, args: &Args) -> Result<Recovered> {
    let (output, mut file) = found::create(&args.output, args.force)?;
    let mut copied = || -> Result<()> {
        let mut source = std::fs::File::open(&found.path)?;
        std::io::copy(&mut source, &mut file)?;
        file.sync_all()?;
        Ok(())
    };
    if let Err(error) = copied() {
        output.discard();
        return Err(error).with_context(|| format!("{} cannot be written", args.output.display()));
    }
    output.publish()?;
    let capture = Capture::open_within(&args.output, args.large.limits())?;
    let ledger = capture.manifest().ledger.clone();
    let root = capture.root().unwrap_or_default().to_string();
    Ok(Recovered { from_file: capture.rows(), from_journal: 0, ledger, gaps: Vec::new(), damaged: false, root })
}
