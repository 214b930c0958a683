//! `vmtrace bundle`: captures with all that a reader needs in one zip archive, small enough to be attached to a bug report.
//!
//! Data flows one way: captures → copies, redacted (`parts`) → what is said of them (`contents`, `readme`) → the archive (`pack`), made again with
//! less until it fits (`fit`). Nothing but the copies is looked at once they exist: what the originals hold, and how they are called, cannot
//! be in what is made beside them. `check` is for whoever gets one.

mod check;
mod contents;
mod fit;
mod pack;
mod parts;
mod readme;

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use self::fit::Fitted;
use self::parts::Part;
use crate::archive;
use crate::count::{self, Count};
use crate::derive::redact::{Level, Redaction};
use crate::output::Whole;
use crate::sandbox::{Needs, Sandbox};
use crate::schema::limits::{AllowLarge, MAX_BUNDLED, MAX_UNPACKED, parse_size};
use crate::terminal::{self, say_line, status};

/// What a bundle may be at most: vmtrace reads no larger one.
const LARGEST: u64 = MAX_UNPACKED;

/// Options of `vmtrace bundle`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "vmtrace bundle [OPTIONS] -o OUT.zip FILE...\n       vmtrace bundle --check OUT.zip",
    after_help = "OUT.zip has the captures, redacted as vmtrace redact does, a page for the browser, a summary, digests, and a README.txt \
that says how to open each part and what was left out. Every reading command takes OUT.zip as FILE. Exit status: 0 OUT.zip \
was written, 2 an error, and nothing was written; of --check that of vmtrace verify."
)]
pub struct Args {
    /// Captures to put into the bundle; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "check")]
    files: Vec<PathBuf>,
    /// The archive to write, which is named when it is complete
    #[arg(short, long, value_name = "OUT.zip", required_unless_present = "check")]
    output: Option<PathBuf>,
    /// How much is hidden
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t)]
    level: Level,
    /// Make pseudonyms with the secret in FILE, so that those of several bundles are the same [default: a random secret]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Put the captures in as they are, with captured bytes, names and command lines
    #[arg(long, conflicts_with_all = ["level", "key"])]
    as_is: bool,
    /// With --as-is: do not ask
    #[arg(long, requires = "as_is")]
    yes: bool,
    /// Largest archive: the page shrinks first, then payloads are left out, then the beginning; README.txt says so
    #[arg(long, value_name = "SIZE", default_value = "25M", value_parser = parse_size)]
    max_size: u64,
    /// Replace OUT.zip if it exists
    #[arg(long)]
    force: bool,
    /// Check a bundle: its digests, and each capture as vmtrace verify does, in one line each
    #[arg(long, value_name = "OUT.zip", conflicts_with_all = ["files", "output", "level", "key", "as_is", "max_size", "force"])]
    check: Option<PathBuf>,
    #[command(flatten)]
    large: AllowLarge,
    #[command(flatten)]
    sandbox: Sandbox,
}

/// Runs `vmtrace bundle`; returns the exit status.
///
/// # Errors
/// When OUT exists or cannot be written, when a FILE cannot be read or redacted, or when nothing of it fits into `--max-size`.
pub fn run(args: &Args) -> Result<u8> {
    if let Some(bundle) = &args.check {
        args.sandbox.enter(&Needs::reading([bundle]));
        return check::run(bundle);
    }
    let output = args.output.as_deref().context("no output was given")?;
    ensure!(args.max_size <= LARGEST, "--max-size: vmtrace reads no such bundle; give at most {}M", LARGEST >> 20);
    archive::check_apart(&args.files, output)?;
    archive::check_apart(args.key.as_slice(), output).context("--key")?;
    let needs = Needs::reading(&args.files).and_reading(&args.key);
    args.sandbox.enter(&needs.and_writing([output]).and_copies());
    let whole = Whole::create(output, args.force, 0o600)?;
    let limits = args.large.limits();
    let redaction = match args.as_is {
        false => Some(Redaction::new(args.level, args.key.as_deref())?),
        true => None,
    };
    let files = archive::files(&args.files)?;
    ensure!(
        files.len() <= MAX_BUNDLED,
        "{} captures, and a bundle holds at most {MAX_BUNDLED}: merge some first",
        files.len()
    );
    if args.as_is && !args.yes {
        confirm()?;
    }
    let parts = parts::of(&files, limits, redaction.as_ref())?;
    let fitted = fit::fit(parts, args.max_size, limits, whole.file())?;
    whole.publish()?;
    say(output, &fitted);
    Ok(status::OK)
}

/// Asks whether captures may be handed on as they are.
fn confirm() -> Result<()> {
    let everything = "--as-is puts captured bytes, names and command lines into the bundle";
    let stdin = std::io::stdin();
    ensure!(
        stdin.is_terminal() && std::io::stderr().is_terminal(),
        "{everything}, and nobody can be asked here: give --yes, too, or leave --as-is out"
    );
    terminal::say(&format!("{everything}. Whoever gets it can read them. Go on? [y/N]"));
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).context("cannot read the answer")?;
    if !["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        bail!("nothing was written: without --as-is, the captures are redacted")
    }
    Ok(())
}

fn say(output: &std::path::Path, fitted: &Fitted) {
    let name = output.display();
    let rows = fitted.parts.iter().fold(0u64, |rows, part| rows.saturating_add(part.rows));
    let captures = Count(fitted.parts.len() as u64, "capture", "captures");
    let levels: Vec<String> = fitted.parts.iter().filter_map(Part::level).collect();
    let redacted = match levels.first() {
        Some(level) if levels.len() == fitted.parts.len() => format!("redacted at the level {level}"),
        _ => "AS RECORDED".into(),
    };
    let size = count::size(fitted.size);
    say_line(format_args!("{name}: {captures} with {}, {redacted}, {size}", count::rows(rows)));
    for sentence in fitted.left_out() {
        say_line(format_args!("{name}: {sentence}"));
    }
}
