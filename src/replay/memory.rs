//! `vmtrace memory`: what is known of a process's memory at an instant, and which event shows it.
//!
//! Owns the options. `recording` reads captures into `model::memory`; `text` and `json` show it.

mod json;
mod recording;
mod text;
mod words;

use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};

use self::json::Facts;
use self::recording::{Found, Part, Question, Recording};
use self::text::{Look, Text};
use crate::model::memory::Claim;
use crate::model::select::{Filter, Select, Span};
use crate::model::time::{self, Zone};
use crate::schema::limits::AllowLarge;
use crate::schema::reader::Scan;
use crate::terminal::fit::stdout_columns;
use crate::terminal::{self, Format, json_line, status};

/// Bytes that an address without a length stands for.
const LENGTH: u64 = 64;
/// Ranges that are listed in text, where `--top` gives no other number.
const TOP: usize = 10;

/// Options of `vmtrace memory`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A byte is `seen` where a read showed that it was there, `written` where a write brought it there, as \
long ago as the line says. The process itself can have changed it since: that is not recorded. `··` is a byte that is not \
known. `??` is one of which two calls that ran at the same time show different values. `can be stale` means that lost events \
may have changed it. Exit status: 0 something is known, 1 nothing is known, 2 an error."
)]
pub struct Args {
    /// Captures of one recording; behind them a range of memory to show, as A+LEN, or as A for 64 bytes
    #[arg(required = true, value_name = "FILE|A[+LEN]")]
    words: Vec<PathBuf>,
    /// The process whose memory is shown
    #[arg(short, long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pid: i32,
    /// The instant: seconds since the start (1.5, 250ms, 2m), UTC (2026-01-02T03:04:05Z), or @UNIX [default: the end]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    at: Option<String>,
    /// Show every event that read or wrote this range, with its bytes before and after
    #[arg(long, value_name = "A[+LEN]")]
    history: Option<String>,
    /// List at most N ranges [default: 10 in text, else all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Output")]
    top: Option<u32>,
    /// Output format
    #[arg(short = 'T', long, value_enum, default_value_t, help_heading = "Output")]
    format: Format,
    #[command(flatten)]
    large: AllowLarge,
}

/// Runs `vmtrace memory`; returns the exit status.
///
/// # Errors
/// Options that are wrong, files that cannot be read, or an output that cannot be written.
pub fn run(args: &Args) -> Result<u8> {
    let (files, range) = words(&args.words)?;
    let history =
        args.history.as_deref().map(|text| range_of(text).map_err(|e| anyhow!("--history: {e}"))).transpose()?;
    if let (Some(_), Some(_)) = (range, history) {
        bail!("--history has a range of its own: leave the other one out");
    }
    let at =
        args.at.as_deref().map(|at| time::parse_in(at, Zone::Utc).map_err(|e| anyhow!("--at: {e}"))).transpose()?;
    let recording = Recording::open(files, args.large.limits())?;
    let at_ns = at.map(|at| recording.instant(at));
    if let Some(sentence) = at_ns.and_then(|at_ns| outside(&recording, at_ns)) {
        return nothing(&sentence);
    }
    let span = history.or(range);
    let whole = 0..u64::MAX;
    let question = Question { pid: args.pid, at_ns, span: span.map_or(whole, Span::range), history: history.is_some() };
    let found = match recording.find(&question)? {
        Ok(found) => found,
        Err(sentence) => return nothing(&sentence),
    };
    show(args, &recording, &found, history, range)
}

fn nothing(sentence: &str) -> Result<u8> {
    terminal::say_line(format_args!("{sentence}"));
    Ok(status::NO_MATCH)
}

/// Shows what was found; says what comes nearest where that is nothing.
fn show(args: &Args, recording: &Recording, found: &Found, history: Option<Span>, range: Option<Span>) -> Result<u8> {
    let is_empty = match (history, found.memory.history()) {
        (Some(_), Some(history)) => history.iter().next().is_none(),
        (Some(_), None) | (None, _) => !found.memory.claims(0..u64::MAX).any(|claim| claim.bytes.is_some()),
    };
    if is_empty {
        let sentence = match history.or(range) {
            Some(span) => nearest(recording, found, span)?,
            None => {
                format!("nothing is known of the memory of process {} at {}", args.pid, recording.shown(found.at_ns))
            }
        };
        return nothing(&sentence);
    }
    let top = args.top.and_then(|top| usize::try_from(top).ok());
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Text => {
            let look = Look { columns: stdout_columns(), top: top.unwrap_or(TOP) };
            let mut text = Text { recording, found, look, out: String::new() };
            match (history, range) {
                (Some(span), _) => text.history(span.range()),
                (None, Some(span)) => text.range(span.range(), json::known(found, span.range())),
                (None, None) => text.list(&ranges(found)),
            }
            out.write_all(text.out.as_bytes())?;
        }
        Format::Json => {
            let facts = match (history, range) {
                (Some(_), _) => Facts::history(recording, found),
                (None, Some(span)) => Facts::ranges(recording, found, &[span.range()]),
                (None, None) => {
                    let ranges = ranges(found);
                    Facts::ranges(recording, found, ranges.get(..top.unwrap_or(usize::MAX)).unwrap_or(&ranges))
                }
            };
            json_line(&mut out, &facts)?;
        }
    }
    out.flush()?;
    Ok(status::OK)
}

/// Files, and the range behind them.
fn words(words: &[PathBuf]) -> Result<(&[PathBuf], Option<Span>)> {
    let Some((last, files)) = words.split_last().filter(|(last, files)| !files.is_empty() && is_range(last)) else {
        return Ok((words, None));
    };
    let range = last.to_str().map_or_else(|| Err("is not text".to_string()), range_of);
    Ok((files, Some(range.map_err(|error| anyhow!("{error}"))?)))
}

/// Whether a word begins as a range does, and is no file.
fn is_range(word: &Path) -> bool {
    word.to_str().is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit())) && !word.exists()
}

fn range_of(text: &str) -> Result<Span, String> {
    if text.contains('+') { Span::parse(text) } else { Span::parse(text).and_then(|span| span.of_length(LENGTH)) }
}

/// A sentence where an instant is outside the recording.
fn outside(recording: &Recording, at_ns: i64) -> Option<String> {
    let (first, last) = recording.span;
    match at_ns {
        at if at < first => Some(format!("--at is before the recording, which begins at {}", recording.shown(first))),
        at if at > last => Some(format!("--at is after the recording, which ends at {}", recording.shown(last))),
        _ => None,
    }
}

/// The sentence about a range of which nothing is known.
fn nearest(recording: &Recording, found: &Found, span: Span) -> Result<String> {
    let pid = found.life.process.pid;
    let select = Select { pids: vec![pid], address: Some(span), ..Select::default() };
    let filter = Filter::new(&select)?;
    if let Some(mut nearest) = filter.nearest() {
        let scan = Scan { columns: nearest.columns(), pids: vec![pid], ..Scan::default() };
        recording.each(&scan, |part| {
            if let Part::Event(event) = part {
                nearest.note(event);
            }
            Ok(())
        })?;
        if let Some(sentence) = nearest.sentences().pop() {
            return Ok(sentence.trim_start_matches("--address: ").to_string());
        }
    }
    Ok(format!("nothing is known of {span} in process {pid} at {}", recording.shown(found.at_ns)))
}

/// Ranges of which every byte is known.
fn ranges(found: &Found) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for claim in found.memory.claims(0..u64::MAX).filter(Claim::is_known) {
        match ranges.last_mut() {
            Some(last) if last.end == claim.range.start => last.end = claim.range.end,
            _ => ranges.push(claim.range),
        }
    }
    ranges
}
