//! `vmtrace export`: captures in the formats of other programs.
//!
//! Owns the options, the reading, and where the output goes. What a format contains is its own.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use super::csv::Csv;
use super::ecs::Ecs;
use super::jsonl::Jsonl;
use super::ocsf::Ocsf;
use super::pcapng::Pcapng;
use super::perfetto::Perfetto;
use super::strace::Strace;
use super::timesketch::Timesketch;
use super::unmatched::explain;
use super::{Export, Origin};
use crate::archive;
use crate::model::origin;
use crate::model::select::{CaptureFilter, Decision, Filter, Select};
use crate::output::Whole;
use crate::sandbox::{Needs, Sandbox, descriptors};
use crate::schema::Event;
use crate::schema::limits::{AllowLarge, Limits};
use crate::schema::manifest::LedgerRow;
use crate::schema::reader::Capture;
use crate::terminal::{self, status};

/// Options of `vmtrace export`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Lost events are always exported, where the format has a form for them. Exit status: 0 events were \
exported, 1 no event matched, 2 an error."
)]
pub struct Args {
    /// Captures to export, one after another; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Format of the output
    #[arg(short = 'T', long, value_enum, help_heading = "Output")]
    format: Format,
    /// Write into OUT, which is named when it is complete [default: standard output]
    #[arg(short = 'o', long, value_name = "OUT", help_heading = "Output")]
    output: Option<PathBuf>,
    /// With -o: replace an existing file
    #[arg(long, requires = "output", help_heading = "Output")]
    force: bool,
    #[command(flatten)]
    select: Select,
    #[command(flatten)]
    large: AllowLarge,
    #[command(flatten)]
    sandbox: Sandbox,
}

/// Format of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// JSON lines: an object per event with every column that is not null
    Jsonl,
    /// Comma-separated values with a header and every column
    Csv,
    /// Text as strace -f -ttt -T writes it
    Strace,
    /// A trace for ui.perfetto.dev: tracks, slices, and arrows along the bytes
    Perfetto,
    /// JSON lines in the Elastic Common Schema
    Ecs,
    /// JSON lines in the Open Cybersecurity Schema Framework
    Ocsf,
    /// JSON lines with Timesketch's columns
    Timesketch,
    /// A packet per payload, for Wireshark
    Pcapng,
}

impl Format {
    /// Whether it is no text.
    fn is_binary(self) -> bool {
        match self {
            Format::Perfetto | Format::Pcapng => true,
            Format::Jsonl | Format::Csv | Format::Strace | Format::Ecs | Format::Ocsf | Format::Timesketch => false,
        }
    }

    /// Its name on the command line.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
    }

    fn exporter(self, out: BufWriter<Box<dyn Write>>) -> Box<dyn Export> {
        match self {
            Format::Jsonl => Box::new(Jsonl::new(out)),
            Format::Csv => Box::new(Csv::new(out)),
            Format::Strace => Box::new(Strace::new(out)),
            Format::Perfetto => Box::new(Perfetto::new(out)),
            Format::Ecs => Box::new(Ecs::new(out)),
            Format::Ocsf => Box::new(Ocsf::new(out)),
            Format::Timesketch => Box::new(Timesketch::new(out)),
            Format::Pcapng => Box::new(Pcapng::new(out)),
        }
    }
}

/// Runs `vmtrace export`; returns the exit status.
///
/// # Errors
/// Options that are wrong, or an output that cannot be written.
pub fn run(args: &Args) -> Result<u8> {
    let filter = Filter::new(&args.select)?;
    args.sandbox.enter(&Needs::reading(&args.files).and_writing(&args.output));
    let files = archive::files(&args.files)?;
    let is_shown = args.output.is_none() && std::io::stdout().is_terminal();
    ensure!(
        !(is_shown && args.format.is_binary()),
        "-T {} is no text, and standard output is a terminal: name a file with -o FILE, or redirect the output",
        args.format.name()
    );
    if let Some(output) = &args.output {
        archive::check_apart(&args.files, output)?;
    }
    let whole = args.output.as_deref().map(|path| Whole::create(path, args.force, 0o600)).transpose()?;
    let out: Box<dyn Write> = match &whole {
        Some(whole) => Box::new(whole.file().try_clone()?),
        None => Box::new(stdout()?),
    };
    let exporter = args.format.exporter(BufWriter::with_capacity(1 << 16, out));
    let mut run = Run { limits: args.large.limits(), matched: 0, output: args.output.as_deref(), exporter };
    match run.files(&files, &filter) {
        Ok(true) => {}
        Ok(false) => {
            not_written(args, "as a capture could not be read");
            return Ok(status::ERROR);
        }
        // Nobody waits for what else there is.
        Err(error) if terminal::is_broken_pipe(&error) => return Ok(status::OK),
        Err(error) => return Err(error),
    }
    let (matched, left_out) = (run.matched, run.exporter.left_out());
    drop(run);
    if matched == 0 {
        explain(&files, args.large.limits(), &filter)?;
        not_written(args, "as no event matched");
        return Ok(status::NO_MATCH);
    }
    whole.map_or(Ok(()), Whole::publish)?;
    left_out.iter().for_each(|sentence| terminal::say_line(format_args!("{sentence}")));
    Ok(status::OK)
}

/// Standard output without the buffer of lines that Rust puts before it.
fn stdout() -> Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(std::io::stdout().as_fd().try_clone_to_owned().context("standard output")?))
}

/// Says that there is no file.
fn not_written(args: &Args, why: &str) {
    if let Some(path) = &args.output {
        terminal::say_line(format_args!("{} was not written, {why}", path.display()));
    }
}

/// Says of a capture that was made from others what it is: no format has a place for that.
fn say_what_it_is(capture: &Capture) {
    let manifest = capture.manifest();
    let left_out = LedgerRow::total(&manifest.ledger).left_out;
    let redacted = origin::redacted(&manifest.derived_from);
    let said: Vec<String> = redacted.into_iter().chain(origin::sentence(&manifest.derived_from, left_out)).collect();
    if !said.is_empty() {
        terminal::say_line(format_args!("{}: {}", capture.path().display(), said.join(" ")));
    }
}

/// An export under way, over all files.
struct Run<'a> {
    limits: Limits,
    /// Events that were selected.
    matched: u64,
    output: Option<&'a Path>,
    exporter: Box<dyn Export>,
}

/// What ended the export of a file.
enum Failed {
    /// The capture, or what it holds. The next file may be exported still.
    Input(anyhow::Error),
    /// The output, which ends everything.
    Output(anyhow::Error),
}

impl Run<'_> {
    /// Exports every file; whether all could be read. Those that cannot have been reported.
    fn files(&mut self, files: &[PathBuf], filter: &Filter) -> Result<bool> {
        let mut whole = true;
        for path in files {
            match self.file(path, filter) {
                Ok(()) => {}
                Err(Failed::Output(error)) => return Err(self.named(error)),
                Err(Failed::Input(error)) => {
                    // What was exported before the damage comes before the error.
                    self.exporter.flush().map_err(|error| self.named(error))?;
                    descriptors::report(&error);
                    whole = false;
                }
            }
        }
        self.exporter.end().map_err(|error| self.named(error))?;
        Ok(whole)
    }

    /// The error with the name of the output, if it has one.
    fn named(&self, error: anyhow::Error) -> anyhow::Error {
        match self.output {
            Some(path) => error.context(format!("cannot write {}", path.display())),
            None => error,
        }
    }

    fn file(&mut self, path: &Path, filter: &Filter) -> Result<(), Failed> {
        let capture = Capture::open_within(path, self.limits).map_err(Failed::Input)?;
        self.exporter.capture(&Origin::from(&capture)).map_err(|error| {
            match error.downcast_ref::<std::io::Error>() {
                Some(_) => Failed::Output(error),
                // It does not fit the captures before it.
                None => Failed::Input(error),
            }
        })?;
        say_what_it_is(&capture);
        let filter = filter.of(&capture).map_err(Failed::Input)?;
        let batches = capture.scan(filter.scan()).map_err(Failed::Input)?;
        std::thread::scope(|scope| {
            // One batch is decoded while one is exported. The thread ends with the receiver.
            let (send, taken) = std::sync::mpsc::sync_channel(0);
            let decode = move || batches.into_iter().map_while(|batch| send.send(batch).ok()).for_each(drop);
            let started = std::thread::Builder::new().spawn_scoped(scope, decode);
            started.context("cannot start a thread to decode with").map_err(Failed::Input)?;
            for batch in taken {
                for event in batch.map_err(Failed::Input)?.iter() {
                    self.event(&event, &filter).map_err(Failed::Output)?;
                }
                // A slow search shows its results so far.
                self.exporter.flush().map_err(Failed::Output)?;
            }
            Ok(())
        })
    }

    fn event(&mut self, event: &Event<'_>, filter: &CaptureFilter<'_>) -> Result<()> {
        match filter.decide(event) {
            Decision::Skip => return Ok(()),
            Decision::Gap => {}
            Decision::Show(_) => self.matched += 1,
        }
        self.exporter.event(event)
    }
}
