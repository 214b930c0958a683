//! `vmtrace summary`: who moved what from whom, in sentences and tables.
//!
//! Owns the options and the choice of format. The counts are those of `model::tally`; `gather` reads captures into them,
//! `sentences` and `tables` put them into words, `json` and `csv` are for other programs.

mod csv;
pub mod gather;
pub(crate) mod json;
pub(super) mod layout;
pub(crate) mod sentences;
mod tables;
mod words;

use std::io::{BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use self::gather::Report;
use crate::archive;
use crate::model::select::{CaptureFilter, Filter, Select};
use crate::sandbox::{Needs, Sandbox, descriptors};
use crate::schema::limits::{AllowLarge, Limits};
use crate::schema::reader::Capture;
use crate::terminal::{self, json_line, status};

/// Columns of the output where it goes to no terminal.
const WIDTH: usize = 100;
/// Columns of the narrowest and the widest terminal that tables are made for.
const WIDTHS: (usize, usize) = (80, 250);
/// Sentences of a kind and rows of a table in text, where `--top` gives no other number.
const TOP: usize = 10;

/// Options of `vmtrace summary`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Files of one recording are summarised together, other files one after another. Lost events are \
always reported, whatever is selected. Exit status: 0 events were counted, 1 no event matched, 2 an error."
)]
pub struct Args {
    /// Captures to summarise; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    select: Select,
    /// List at most N pairs of processes, events and pipes [default: 10 in text, else all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Output")]
    top: Option<u32>,
    /// Print the sentences alone, without heading and tables (text)
    #[arg(long, help_heading = "Output")]
    brief: bool,
    /// Output format
    #[arg(short = 'T', long, value_enum, default_value_t, help_heading = "Output")]
    format: Format,
    #[command(flatten)]
    large: AllowLarge,
    #[command(flatten)]
    sandbox: Sandbox,
}

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Sentences and tables to read
    #[default]
    Text,
    /// One JSON object per recording
    Json,
    /// The pairs of processes as comma-separated values with a header
    Csv,
}

/// How text is to look.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// Columns of a line of a table.
    width: usize,
    /// Whether sentences are broken into lines of that width.
    wrap: bool,
    /// Sentences of a kind, and rows of a table.
    top: usize,
    /// Whether heading and tables are left out.
    brief: bool,
    /// Whether each recording must be named, there being several.
    name_files: bool,
}

/// Runs `vmtrace summary`; returns the exit status.
///
/// # Errors
/// Options that are wrong, or an output that cannot be written.
pub fn run(args: &Args) -> Result<u8> {
    ensure!(!args.brief || args.format == Format::Text, "--brief is for text; leave it out or use -T text");
    let filter = Filter::new(&args.select)?;
    let limits = args.large.limits();
    args.sandbox.enter(&Needs::reading(&args.files));
    let files = archive::files(&args.files)?;
    let (groups, mut failed) = gather::groups(&files, limits);
    let mut out = Output::new(args, groups.len() + usize::from(failed) > 1);
    let mut matched = 0;
    for group in &groups {
        match Report::of(group, &filter, limits) {
            Ok(report) => {
                matched += report.matched;
                out.report(&report)?;
            }
            Err(error) => {
                descriptors::report(&error);
                failed = true;
            }
        }
    }
    out.end()?;
    Ok(match (failed, matched) {
        (true, _) => status::ERROR,
        (false, 0) => {
            super::explain(&files, limits, &filter)?;
            status::NO_MATCH
        }
        (false, _) => status::OK,
    })
}

/// The summaries of captures as text, with lines of the usual width.
///
/// # Errors
/// When one cannot be read to its end.
pub(crate) fn text(files: &[PathBuf], limits: Limits) -> Result<String> {
    let filter = Filter::new(&Select::default())?;
    let (groups, failed) = gather::groups(files, limits);
    ensure!(!failed, "a capture cannot be read");
    let look = Look { width: WIDTH, wrap: false, top: TOP, brief: false, name_files: files.len() > 1 };
    let reports = groups.iter().map(|group| Report::of(group, &filter, limits));
    let texts = reports.map(|report| Ok(tables::render(&report?, look))).collect::<Result<Vec<_>>>()?;
    Ok(texts.join("\n"))
}

/// Where the summaries go.
struct Output {
    out: BufWriter<std::io::StdoutLock<'static>>,
    format: Format,
    look: Look,
    top: Option<usize>,
    follows: bool,
    csv: csv::Csv,
}

impl Output {
    fn new(args: &Args, name_files: bool) -> Self {
        let terminal = width_of_terminal();
        let top = args.top.and_then(|top| usize::try_from(top).ok());
        let look = Look {
            width: terminal.map_or(WIDTH, |width| width.clamp(WIDTHS.0, WIDTHS.1)),
            wrap: terminal.is_some(),
            top: top.unwrap_or(TOP),
            brief: args.brief,
            name_files,
        };
        let out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
        Output { out, format: args.format, look, top, follows: false, csv: csv::Csv::default() }
    }

    fn report(&mut self, report: &Report) -> Result<()> {
        let most = self.top.unwrap_or(usize::MAX);
        match self.format {
            Format::Text => {
                let between = if self.follows { "\n" } else { "" };
                let text = tables::render(report, self.look);
                self.out.write_all(format!("{between}{text}").as_bytes())?;
            }
            Format::Json => json_line(&mut self.out, &json::Facts::of(report, most))?,
            Format::Csv => {
                self.csv.report(&mut self.out, report, most)?;
                let file = report.files.first().map(|file| file.display().to_string()).unwrap_or_default();
                for caveat in sentences::caveats(report) {
                    terminal::say_line(format_args!("{file}: {caveat}"));
                }
            }
        }
        self.follows = true;
        Ok(self.out.flush()?)
    }

    fn end(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

/// The sentences about what `filter` selects of a capture. Safe for a terminal.
///
/// # Errors
/// When the capture cannot be read to its end.
pub(super) fn sentences_of(capture: &Capture, filter: &CaptureFilter<'_>) -> Result<Vec<String>> {
    Ok(sentences::all(&Report::of_one(capture, filter)?, TOP))
}

fn width_of_terminal() -> Option<usize> {
    let stdout = std::io::stdout();
    let (terminal_size::Width(width), _) = terminal_size::terminal_size_of(&stdout).filter(|_| stdout.is_terminal())?;
    Some(width.into())
}
