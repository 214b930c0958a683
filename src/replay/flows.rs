//! `vmtrace flows`: where the bytes that went through pipes, or from memory to memory, came from, and where they went.
//!
//! Owns the options, the two readings of the captures, and what is selected. The flows are those of `model::flow`; `words`
//! describes them, `text` prints them to read, `table` for other programs, `answer` those of one row.

mod answer;
mod nearest;
pub(crate) mod shown;
mod table;
mod text;
mod words;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;

use self::nearest::Nearest;
use super::summary::gather::{self, Group};
use crate::archive;
use crate::model::flow::{self, Flow, Why};
use crate::sandbox::{Needs, Sandbox, descriptors};
use crate::schema::limits::{AllowLarge, Limits, MAX_FLOW_CALLS};
use crate::schema::reader::Capture;
use crate::terminal::escape::SafeLine;
use crate::terminal::{self, status};

/// Options of `vmtrace flows`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Files of one recording are read together, other files one after another. Each file is read twice. Exit \
status: 0 flows were printed, 1 no flow matched, 2 an error."
)]
pub struct Args {
    /// Captures; a number behind them is the seq of a row: only flows of its bytes, as an answer in sentences (text)
    #[arg(required = true, value_name = "FILE")]
    words: Vec<PathBuf>,
    /// Only flows of bytes that PID put in
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..), help_heading = "Selection")]
    from: Option<i32>,
    /// Only flows of bytes that PID took out
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..), help_heading = "Selection")]
    to: Option<i32>,
    /// Only flows through the pipe with this inode
    #[arg(long, value_name = "ID", help_heading = "Selection")]
    pipe: Option<u64>,
    /// Output format
    #[arg(short = 'T', long, value_enum, default_value_t, help_heading = "Output")]
    format: Format,
    /// The Parquet file to write (-T parquet)
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
    /// Replace that file if it exists
    #[arg(long, requires = "output", help_heading = "Output")]
    force: bool,
    #[command(flatten)]
    large: AllowLarge,
    #[command(flatten)]
    sandbox: Sandbox,
}

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines to read, those that are alike folded
    #[default]
    Text,
    /// One JSON object per flow
    Json,
    /// Comma-separated values with a header
    Csv,
    /// A row per flow, in the Parquet file that -o names
    Parquet,
}

/// What is selected.
#[derive(Clone, Copy, Debug, Default)]
struct Selected {
    seq: Option<u64>,
    from: Option<i32>,
    to: Option<i32>,
    pipe: Option<u64>,
}

impl Selected {
    fn has(&self, flow: &Flow) -> bool {
        (self.from.is_none() || self.from == flow.from_pid())
            && (self.to.is_none() || self.to == flow.to_pid())
            && self.pipe.is_none_or(|pipe| flow.steps.iter().any(|step| step.pipe == pipe))
            && self.seq.is_none_or(|seq| flow.calls().any(|(call, _)| call.seq == seq))
    }
}

/// One way to print flows. Errors are those of the output.
trait Render {
    /// A flow of the recording that begins with the file of this name.
    fn flow(&mut self, out: &mut dyn Write, file: &str, flow: Flow) -> Result<()>;
    /// The flows of a recording have ended.
    fn end(&mut self, _out: &mut dyn Write) -> Result<()> {
        Ok(())
    }
    /// All flows have been printed.
    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// Runs `vmtrace flows`; returns the exit status.
///
/// # Errors
/// Options that are wrong, or an output that cannot be written.
pub fn run(args: &Args) -> Result<u8> {
    let (files, seq) = files_and_row(&args.words)?;
    if let Some(output) = &args.output {
        archive::check_apart(files, output)?;
    }
    args.sandbox.enter(&Needs::reading(files).and_writing(&args.output));
    let files = archive::files(files)?;
    let selected = Selected { seq, from: args.from, to: args.to, pipe: args.pipe };
    let limits = args.large.limits();
    let output = output_of(args)?;
    let (groups, mut failed) = gather::groups(&files, limits);
    let mut nearest = Nearest::new(selected);
    let mut render: Box<dyn Render> = match (args.format, seq, output) {
        (Format::Text, None, None) => Box::new(text::Text::new(groups.len() > 1)),
        (Format::Text, Some(seq), None) => Box::new(answer::Answer::new(seq)),
        (Format::Json, _, None) => Box::new(table::Json),
        (_, _, Some(path)) => Box::new(table::Parquet::create(path, args.force)?),
        (Format::Csv | Format::Parquet, _, None) => Box::new(table::Csv::default()),
    };
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let mut matched = 0u64;
    for group in &groups {
        match follow(group, limits, &mut nearest, render.as_mut(), &mut out, &|_| Ok(())) {
            Ok(followed) => {
                followed.say();
                matched = matched.saturating_add(followed.printed);
            }
            Err(error) if terminal::is_broken_pipe(&error) => return Err(error),
            Err(error) => {
                out.flush()?;
                descriptors::report(&error);
                failed = true;
            }
        }
    }
    out.flush()?;
    // Half a table would pass for a whole one.
    if !failed {
        render.close()?;
    }
    if matched == 0 && !failed {
        nearest.sentences().iter().for_each(|sentence| terminal::say_line(format_args!("{sentence}")));
    }
    Ok(match (failed, matched) {
        (true, _) => status::ERROR,
        (false, 0) => status::NO_MATCH,
        (false, _) => status::OK,
    })
}

/// The file to write; none unless it is a Parquet file.
fn output_of(args: &Args) -> Result<Option<&Path>> {
    match (args.format, args.output.as_deref()) {
        (Format::Parquet, None) => bail!("-T parquet needs -o FILE"),
        (Format::Parquet, output) => Ok(output),
        (Format::Text | Format::Json | Format::Csv, Some(_)) => bail!("-o is for -T parquet; others print to stdout"),
        (Format::Text | Format::Json | Format::Csv, None) => Ok(None),
    }
}

/// The calls through which the bytes of a row went, by `seq`, itself among them. Where there are none, says why.
///
/// # Errors
/// When the files cannot be read, are of several recordings, or there are too many such calls.
pub(super) fn rows(files: &[PathBuf], seq: u64, limits: Limits) -> Result<BTreeSet<u64>> {
    let (groups, failed) = gather::groups(files, limits);
    ensure!(!failed, "--follow reads all files first");
    let [group] = groups.as_slice() else {
        bail!("--follow: these are several recordings, and each has a row {seq}; give the files of one")
    };
    let mut nearest = Nearest::new(Selected { seq: Some(seq), ..Selected::default() });
    let mut rows = Rows::default();
    follow(group, limits, &mut nearest, &mut rows, &mut std::io::sink(), &|_| Ok(()))?.say();
    if rows.0.is_empty() {
        nearest.sentences().iter().for_each(|sentence| terminal::say_line(format_args!("--follow: {sentence}")));
    }
    Ok(rows.0)
}

/// What is printed of the flows of a row, safe for a terminal, and the calls through which its bytes went. Gives `goes_on` the number of rows that were
/// read, again and again.
///
/// # Errors
/// When the file cannot be read, and those of `goes_on`.
#[cfg_attr(not(feature = "view"), allow(dead_code))]
pub(crate) fn answer(
    path: &Path,
    limits: Limits,
    seq: u64,
    goes_on: &dyn Fn(u64) -> Result<()>,
) -> Result<(String, BTreeSet<u64>)> {
    let (groups, _) = gather::groups(&[path.to_path_buf()], limits);
    let mut nearest = Nearest::new(Selected { seq: Some(seq), ..Selected::default() });
    let mut both = (answer::Answer::new(seq), Rows::default());
    let mut out = Vec::new();
    let mut notes = Vec::new();
    let mut printed = 0u64;
    for group in &groups {
        let followed = follow(group, limits, &mut nearest, &mut both, &mut out, goes_on)?;
        printed = printed.saturating_add(followed.printed);
        notes.extend(followed.notes);
    }
    if printed == 0 {
        notes.extend(nearest.sentences());
    }
    let mut text = String::from_utf8_lossy(&out).into_owned();
    notes.iter().for_each(|note| text.extend([SafeLine(note).to_string().as_str(), "\n"]));
    Ok((text, both.1.0))
}

impl Render for (answer::Answer, Rows) {
    fn flow(&mut self, out: &mut dyn Write, file: &str, flow: Flow) -> Result<()> {
        // The answer has room for all that are of this row; of their calls, the first are kept.
        if self.1.0.len() < MAX_FLOW_CALLS {
            self.1.0.extend(flow.calls().map(|(call, _)| call.seq));
        }
        self.0.flow(out, file, flow)
    }

    fn end(&mut self, out: &mut dyn Write) -> Result<()> {
        self.0.end(out)
    }
}

/// Collects the calls of flows.
#[derive(Debug, Default)]
struct Rows(BTreeSet<u64>);

impl Render for Rows {
    fn flow(&mut self, _out: &mut dyn Write, _file: &str, flow: Flow) -> Result<()> {
        self.add(flow.calls().map(|(call, _)| call.seq))
    }
}

impl Rows {
    /// Takes calls, as long as there are not too many.
    fn add(&mut self, calls: impl Iterator<Item = u64>) -> Result<()> {
        self.0.extend(calls);
        ensure!(
            self.0.len() <= MAX_FLOW_CALLS,
            "--follow: the bytes went through more than {MAX_FLOW_CALLS} calls; vmtrace flows lists them"
        );
        Ok(())
    }
}

/// The files, and the row behind them: a number that is no file.
fn files_and_row(words: &[PathBuf]) -> Result<(&[PathBuf], Option<u64>)> {
    let Some((last, front)) = words.split_last() else { bail!("no file was given") };
    let number = last.to_str().and_then(|word| word.parse::<u64>().ok());
    match number {
        Some(seq) if !front.is_empty() && !last.exists() => Ok((front, Some(seq))),
        Some(_) | None => Ok((words, None)),
    }
}

/// What came of following flows.
#[derive(Debug)]
struct Followed {
    /// How many were printed.
    printed: u64,
    /// What is to be known of them.
    notes: Vec<String>,
}

impl Followed {
    fn say(&self) {
        self.notes.iter().for_each(|note| terminal::say_line(format_args!("{note}")));
    }
}

/// Reads the files of one recording twice and prints its flows. Gives `goes_on` the number of rows that were read.
fn follow(
    group: &Group,
    limits: Limits,
    nearest: &mut Nearest,
    render: &mut dyn Render,
    out: &mut dyn Write,
    goes_on: &dyn Fn(u64) -> Result<()>,
) -> Result<Followed> {
    let name = group.files().next().map(|path| path.display().to_string()).unwrap_or_default();
    // Rows come in the first reading, flows in the second.
    let nearest = RefCell::new(nearest);
    let mut printed = 0;
    let bounds = flow::follow_while(
        goes_on,
        || group.files().map(|path| Capture::open_within(path, limits)),
        |event| nearest.borrow_mut().row(event),
        |flow| {
            let mut nearest = nearest.borrow_mut();
            nearest.flow(&flow);
            if !nearest.selected.has(&flow) {
                return Ok(());
            }
            printed += 1;
            render.flow(out, &name, flow)
        },
    )?;
    let mut notes = Vec::new();
    if bounds.overflowed {
        notes.push(format!("{name}: {}: those flows are unknown", words::why(Why::Limit)));
    }
    if bounds.forgot {
        notes.push(format!("{name}: {}", words::FORGOT));
    }
    notes.extend(bounds.blind.filter(|_| printed > 0).map(|why| format!("{name}: {}", words::blind(why))));
    render.end(out)?;
    Ok(Followed { printed, notes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_has_so_many_calls() {
        let mut rows = Rows::default();
        assert!(rows.add(1..=MAX_FLOW_CALLS as u64).is_ok());
        assert!(rows.add(1..3).is_ok(), "the same calls");
        let said = rows.add(0..1).unwrap_err().to_string();
        assert_eq!(said, "--follow: the bytes went through more than 100000 calls; vmtrace flows lists them");
    }
}
