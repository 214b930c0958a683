//! `vmtrace memory`: what is known of a process's memory at an instant, and which event shows it.
//!
//! Owns the options. `recording` reads captures into `model::memory`; `text`, `json` and `raw` show it.

mod diff;
mod json;
mod options;
mod raw;
mod recording;
mod text;
mod words;

use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Result, bail, ensure};

use self::diff::Differences;
use self::json::Facts;
pub use self::options::Args;
use self::options::{Pattern, instant, range_of, words};
use self::recording::{Found, Part, Question, Recording, What};
use self::text::{Look, Text};
use crate::archive;
use crate::count;
use crate::model::memory::Claim;
use crate::model::select::{Filter, Select, Span};
use crate::sandbox::Needs;
use crate::schema::limits::Limits;
use crate::schema::reader::Scan;
use crate::terminal::escape::SafeLine;
use crate::terminal::fit::stdout_columns;
use crate::terminal::{self, Format, json_line, status};

/// Ranges that are listed in text, where `--top` gives no other number.
const TOP: usize = 10;

/// Runs `vmtrace memory`; returns the exit status.
///
/// # Errors
/// Options that are wrong, files that cannot be read, or an output that cannot be written.
pub fn run(args: &Args) -> Result<u8> {
    let (files, range) = words(&args.words)?;
    let history = args.history.as_deref().map(|text| range_of("--history: ", text)).transpose()?;
    if let (Some(_), Some(_)) = (range, history) {
        bail!("--history has a range of its own: leave the other one out");
    }
    ensure!(args.raw.is_none() || range.is_some(), "-o needs a range behind the files: A+LEN");
    let (option, times) = match &args.diff {
        Some(both) => ("--diff", both.as_slice()),
        None => ("--at", args.at.as_slice()),
    };
    let times = times.iter().map(|at| instant(option, at)).collect::<Result<Vec<_>>>()?;
    args.sandbox.enter(&Needs::reading(files).and_writing(&args.raw));
    let recording =
        Recording::open(&archive::files(files)?, args.large.limits())?.on(args.host.as_deref(), args.pid)?;
    let instants: Vec<i64> = times.into_iter().map(|at| recording.instant(at)).collect();
    if let Some(sentence) = instants.iter().find_map(|at_ns| outside(&recording, option, *at_ns)) {
        return nothing(&sentence);
    }
    let what = match (history, &args.search) {
        (Some(_), _) => What::History,
        (None, Some(Pattern(bytes))) => What::Search(bytes.clone()),
        (None, None) => What::State,
    };
    let span = history.or(range).map_or(0..u64::MAX, Span::range);
    let question = |at_ns| Question { pid: args.pid, at_ns, span: span.clone(), what: what.clone() };
    let found = match recording.find(option, &question(instants.first().copied()))? {
        Ok(found) => found,
        Err(sentence) => return nothing(&sentence),
    };
    let Some(later) = instants.get(1) else { return show(args, &recording, &found, history.or(range)) };
    match recording.find(option, &question(Some(*later)))? {
        Ok(later) => differences(args, &recording, &found, &later),
        Err(sentence) => nothing(&sentence),
    }
}

/// What is printed of a range of a process's memory at an instant of CLOCK_MONOTONIC, in lines of so many columns, safe for a
/// terminal. Nothing more is
/// read as soon as `stop` is true.
///
/// # Errors
/// When the file cannot be read to its end, or more is known than is kept.
#[cfg_attr(not(feature = "view"), allow(dead_code))]
pub(crate) fn text_at(
    path: &Path,
    limits: Limits,
    (host, pid, at_ns, span): (Option<&str>, i32, i64, Span),
    columns: usize,
    stop: Arc<AtomicBool>,
) -> Result<String> {
    let recording = Recording::open(&[path.to_path_buf()], limits)?.until(stop).on(host, pid)?;
    let question = Question { pid, at_ns: Some(at_ns), span: span.range(), what: What::State };
    let found = match recording.find("memory", &question)? {
        Ok(found) => found,
        Err(sentence) => return Ok(SafeLine(&sentence).to_string()),
    };
    if is_empty(&found) {
        return Ok(SafeLine(&nearest(&recording, &found, Some(span))?).to_string());
    }
    let mut out = Vec::new();
    let look = Look { columns: Some(columns), top: TOP };
    let mut text = Text::to(Box::new(&mut out), &recording, &found, look);
    text.range(span.range(), json::known(&found, span.range()));
    text.end()?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn nothing(sentence: &str) -> Result<u8> {
    terminal::say_line(format_args!("{sentence}"));
    Ok(status::NO_MATCH)
}

fn is_empty(found: &Found) -> bool {
    !found.memory.claims(0..u64::MAX).any(|claim| claim.bytes.is_some())
}

/// Shows what was found; says what comes nearest where that is nothing.
fn show(args: &Args, recording: &Recording, found: &Found, span: Option<Span>) -> Result<u8> {
    let is_nothing = match (found.memory.history(), found.memory.search()) {
        (Some(history), _) => history.iter().next().is_none(),
        (None, Some(search)) => search.iter().next().is_none(),
        (None, None) => is_empty(found),
    };
    if is_nothing {
        return nothing(&nearest(recording, found, span)?);
    }
    if let (Some(path), Some(span)) = (&args.raw, span) {
        let beside = raw::write(path, args.force, recording, found, span.range())?;
        let (known, all) = (json::known(found, span.range()), span.range().end - span.range().start);
        let known = format!("{} of {} known", count::grouped(known), count::bytes(all));
        terminal::say_line(format_args!("wrote {}: {known}, as {} says", path.display(), beside.display()));
        return Ok(status::OK);
    }
    match args.format {
        Format::Text => {
            let mut text = Text::new(recording, found, look(args.top()));
            match span {
                _ if found.memory.search().is_some() => text.search(),
                Some(span) if found.memory.history().is_some() => text.history(span.range()),
                Some(span) => text.range(span.range(), json::known(found, span.range())),
                None => text.list(&ranges(found)),
            }
            text.end()?;
            Ok(status::OK)
        }
        Format::Json => {
            let most = args.top().unwrap_or(usize::MAX);
            let facts = match span {
                _ if found.memory.search().is_some() => Facts::search(recording, found, most),
                Some(_) if found.memory.history().is_some() => Facts::history(recording, found),
                Some(span) => Facts::ranges(recording, found, vec![span.range()]),
                None => {
                    let mut ranges = ranges(found);
                    ranges.truncate(most);
                    Facts::ranges(recording, found, ranges)
                }
            };
            print_json(&facts)
        }
    }
}

/// Shows what differs between two instants.
fn differences(args: &Args, recording: &Recording, before: &Found, after: &Found) -> Result<u8> {
    let pid = args.pid;
    if before.life.process != after.life.process {
        let since = recording.shown(after.life.first_ns);
        return nothing(&format!("--diff: at T2 another process has pid {pid}, first seen at {since}"));
    }
    if is_empty(before) && is_empty(after) {
        let at = recording.shown(after.at_ns);
        return nothing(&format!("nothing is known of the memory of process {pid} at T1, nor at {at}"));
    }
    let differences = Differences::of(before, after);
    match args.format {
        Format::Text => {
            let mut text = Text::new(recording, after, look(args.top()));
            text.differences(before, &differences);
            text.end()?;
            Ok(status::OK)
        }
        Format::Json => {
            let most = args.top().unwrap_or(usize::MAX);
            print_json(&Facts::differences(recording, before, after, &differences, most))
        }
    }
}

fn look(top: Option<usize>) -> Look {
    Look { columns: stdout_columns(), top: top.unwrap_or(TOP) }
}

fn print_json(facts: &Facts<'_>) -> Result<u8> {
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    json_line(&mut out, facts)?;
    out.flush()?;
    Ok(status::OK)
}

/// A sentence where an instant is outside the recording.
fn outside(recording: &Recording, option: &str, at_ns: i64) -> Option<String> {
    let (first, last) = recording.span;
    match at_ns {
        at if at < first => {
            Some(format!("{option} is before the recording, which begins at {}", recording.shown(first)))
        }
        at if at > last => Some(format!("{option} is after the recording, which ends at {}", recording.shown(last))),
        _ => None,
    }
}

/// The sentence about what is not there.
fn nearest(recording: &Recording, found: &Found, span: Option<Span>) -> Result<String> {
    let (pid, at) = (found.life.process.pid, recording.shown(found.at_ns));
    if found.memory.search().is_some() {
        return Ok(format!(
            "--search: these bytes are nowhere in what is known of the memory of process {pid} until {at}"
        ));
    }
    let Some(span) = span else { return Ok(format!("nothing is known of the memory of process {pid} at {at}")) };
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
    let near = match known_near(recording, found, &span.range()) {
        Some(Range { start, end }) => {
            format!("; the nearest that is known is {start:#x}, {}", count::bytes(end - start))
        }
        None => String::new(),
    };
    Ok(format!("nothing is known of {span} in process {pid} at {at}{near}"))
}

/// The range of which every byte is known at that instant that is nearest to another.
fn known_near(recording: &Recording, found: &Found, to: &Range<u64>) -> Option<Range<u64>> {
    let pid = found.life.process.pid;
    let question = Question { pid, at_ns: Some(found.at_ns), span: 0..u64::MAX, what: What::State };
    // More may be known elsewhere than is kept: then it is not named.
    let found = recording.find("memory", &question).ok()?.ok()?;
    let distance = |range: &Range<u64>| range.start.saturating_sub(to.end).max(to.start.saturating_sub(range.end));
    ranges(&found).into_iter().min_by_key(distance)
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
