//! `vmtrace report`: a capture as one page that any current browser opens from the disk.
//!
//! Owns the options, and what is left out where there is too much. `data` and `fold` make the rows, `facts` what stands
//! beside them, `pack` compresses, `page` puts the parts together. The page itself is in `page/`: modules of JavaScript
//! that are a part of this program, so that nothing has to be installed with it.

pub mod bundle;
mod columns;
mod data;
mod facts;
mod fold;
mod pack;
mod page;

use std::fmt;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::value::RawValue;

use self::columns::Described;
use self::data::Rows;
use self::facts::Facts;
use self::fold::Folded;
use self::pack::{Full, Packed};
use self::page::Parts;
use crate::archive;
use crate::count::{self, Count};
use crate::model::flow::{self, Flow};
use crate::model::select::{Filter, Select};
use crate::model::{origin, time};
use crate::output::Whole;
use crate::replay::flows::shown::{self, Shown};
use crate::replay::summary::gather::{self, Report};
use crate::replay::summary::{json, sentences};
use crate::sandbox::{Needs, Sandbox};
use crate::schema::columns::COLUMNS;
use crate::schema::limits::{AllowLarge, Limits, MAX_PAGE, parse_size};
use crate::schema::reader::Capture;
use crate::terminal::escape::SafeLine;
use crate::terminal::status;

/// Sentences of a kind at the top of the page.
const SENTENCES: usize = 20;
/// Entries of a list in the page's summary.
const LISTED: usize = 1_000;
/// Flows in a page.
const FLOWS: usize = 20_000;
/// Bytes of a page without rows, beside all others.
const LEAST: u64 = 1_024;
/// Bytes by which the words at the top may differ when all is known.
const SPARE: u64 = 2_048;

/// Options of `vmtrace report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 the page was written, 2 an error, and nothing was written.")]
pub struct Args {
    /// Capture to show; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write the page to OUT
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Largest page: payloads are left out first, then alike events are folded, and the page says so
    #[arg(long, value_name = "SIZE", default_value = "10M", value_parser = parse_size)]
    max_size: u64,
    /// Replace OUT if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    large: AllowLarge,
    #[command(flatten)]
    sandbox: Sandbox,
}

/// No page of a capture is so small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TooSmall(u64);

impl std::error::Error for TooSmall {}

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--max-size: without any event this page has {}: give more", count::size(self.0))
    }
}

/// Runs `vmtrace report`; returns the exit status.
///
/// # Errors
/// When OUT exists or cannot be written, when FILE cannot be read, or when `--max-size` is too small for any page.
pub fn run(args: &Args) -> Result<u8> {
    ensure!(args.max_size <= MAX_PAGE, "--max-size: no browser opens such a page; give at most {}", size(MAX_PAGE));
    archive::check_apart(std::slice::from_ref(&args.file), &args.output)?;
    args.sandbox.enter(&Needs::reading([&args.file]).and_writing([&args.output]));
    let whole = Whole::create(&args.output, args.force, 0o600)?;
    let limits = args.large.limits();
    let mut out = BufWriter::with_capacity(1 << 16, whole.file());
    write(&archive::file(&args.file)?, limits, args.max_size, &mut out)?;
    out.flush().with_context(|| format!("cannot write {}", args.output.display()))?;
    drop(out);
    whole.publish()?;
    Ok(status::OK)
}

/// Writes the page of a capture, of `most` bytes. Returns what is left out, a sentence each.
fn write(file: &Path, limits: Limits, most: u64, out: &mut impl Write) -> Result<Vec<String>> {
    let capture = Capture::open_within(file, limits)?;
    let recording = Recording::read(&capture, file, limits, most)?;
    recording.write(out)?;
    Ok(recording.left_out)
}

fn size(bytes: u64) -> String {
    format!("{}M", bytes >> 20)
}

/// A recording as its page has it.
struct Recording {
    name: String,
    warnings: Vec<String>,
    left_out: Vec<String>,
    sentences: Vec<String>,
    facts: Vec<(&'static str, Vec<String>)>,
    packed: Packed,
    rows: Rows,
}

impl Recording {
    /// Reads a capture into as much as a page of `most` bytes holds.
    fn read(capture: &Capture, path: &Path, limits: Limits, most: u64) -> Result<Self> {
        let shown = capture.path();
        let name = SafeLine(&shown.file_name().unwrap_or(shown.as_os_str()).to_string_lossy()).to_string();
        let group = gather::groups(&[path.to_path_buf()], limits).0;
        let group = group.first().context("no file was given")?;
        let report = Report::of(group, &Filter::new(&Select::default())?, limits)?;
        let (sentences, facts) = (sentences::all(&report, SENTENCES), facts::recording(capture));
        let warnings = facts::warnings(&report);
        let parts = Parts { name: &name, warnings: &warnings, left_out: &[], sentences: &sentences, facts: &facts };
        let mut empty = Vec::new();
        page::write(&mut empty, &parts, |_| Ok(()))?;
        let bare = empty.len() as u64 + SPARE;
        let room = most.saturating_sub(bare);

        let kept = kept_flows(capture, room / 3)?;
        let mut beside = Beside { report: &report, flows: &kept, listed: LISTED };
        let every_column: Vec<Described> = COLUMNS.iter().map(Described::of).collect();
        // The lists of the summary may have a quarter of the page; what is not in them stands in the rows.
        let mut needed = beside.pack(&every_column, 0, [false; 2])?.in_page() + SPARE;
        while needed > room / 4 && beside.listed > 1 {
            beside.listed /= 2;
            needed = beside.pack(&every_column, 0, [false; 2])?.in_page() + SPARE;
        }
        let for_rows = room.checked_sub(needed).filter(|left| *left > LEAST).ok_or(TooSmall(bare + needed))?;
        let (rows, folded, full) = rows(capture, for_rows)?;
        let no_payload = folded.is_some() || rows.without_payload.0 > 0;
        let packed = beside.pack(&rows.columns, rows.rows, [folded.is_some(), no_payload])?;
        let mut left_out = what_is_left_out(&rows, folded.as_ref());
        left_out.extend(beside.left_out());
        if full == Some(Full::Browser) {
            left_out.push(format!(
                "All of it is more than a browser holds at a time, whatever --max-size is: {}, {} of columns and as much of \
                 payloads, {} of different texts. vmtrace on the capture itself shows the rest.",
                count::rows(data::ROWS),
                count::size(data::UNPACKED),
                count::size(data::TEXTS as u64)
            ));
        } else if !left_out.is_empty() {
            left_out.push(format!(
                "With all of it the page would be larger than {}: a larger --max-size, or vmtrace on the capture itself, \
                 shows the rest.",
                count::size(most)
            ));
        }
        Ok(Recording { name, warnings, left_out, sentences, facts, packed, rows })
    }

    fn write<W: Write>(&self, out: &mut W) -> Result<()> {
        let parts = Parts {
            name: &self.name,
            warnings: &self.warnings,
            left_out: &self.left_out,
            sentences: &self.sentences,
            facts: &self.facts,
        };
        page::write(out, &parts, |out| {
            self.packed.write("facts", out)?;
            self.rows.events.write("events", out)?;
            Ok(self.rows.payload.write("payload", out)?)
        })
    }
}

/// What the page's scripts read beside the rows.
struct Beside<'a> {
    report: &'a Report,
    flows: &'a KeptFlows,
    /// Entries of each list of the summary.
    listed: usize,
}

impl Beside<'_> {
    fn pack(&self, columns: &[Described], rows: u64, [folded, payload_left_out]: [bool; 2]) -> Result<Packed> {
        let start = &self.report.manifest.start;
        let facts = Facts {
            version: 1,
            rows,
            start_mono_ns: start.monotonic_ns.to_string(),
            start_realtime_ns: start.realtime_ns.to_string(),
            columns,
            folded,
            payload_left_out,
            without_addresses: origin::without_addresses(&self.report.manifest.derived_from),
            events: facts::events(),
            words: facts::words(),
            flows: &self.flows.flows,
            flow_count: self.flows.all,
            flow_notes: &self.flows.notes,
            summary: json::Facts::of(self.report, self.listed),
        };
        Packed::of(&serde_json::to_vec(&facts)?)
    }

    fn left_out(&self) -> Vec<String> {
        let tally = &self.report.tally;
        let beyond = |all: usize| all.saturating_sub(self.listed) as u64;
        let flows = self.flows.all.saturating_sub(self.flows.flows.len() as u64);
        let lists = [
            (beyond(tally.pairs().count()), "pair of processes", "pairs of processes"),
            (beyond(tally.alone().count()), "caller without a target", "callers without a target"),
            (beyond(tally.pipes().count()), "pipe", "pipes"),
            (flows, "flow", "flows"),
        ];
        let some = lists.into_iter().filter(|(number, _, _)| *number > 0);
        some.map(|(number, one, many)| {
            let are = if number == 1 { "is" } else { "are" };
            format!("{} {are} not listed.", Count(number, one, many))
        })
        .collect()
    }
}

/// The rows that fit into `room` bytes of the page: all, all without payloads, or folded ones; and the limit that keeps
/// the rest out.
fn rows(capture: &Capture, room: u64) -> Result<(Rows, Option<Folded>, Option<Full>)> {
    let mut full = None;
    // Less than two bytes a row is not enough for any.
    if capture.rows() <= room / 2 || capture.rows() > data::ROWS {
        for with_payload in [true, false] {
            match data::all(capture, with_payload, room)? {
                Ok(rows) => return Ok((rows, None, full)),
                Err(limit) => full = Some(limit),
            }
        }
    }
    let (rows, folded) = fold::fold(capture, room)?;
    Ok((rows, Some(folded), full))
}

fn what_is_left_out(rows: &Rows, folded: Option<&Folded>) -> Vec<String> {
    let (events, bytes) = rows.without_payload;
    let Some(folded) = folded else {
        let payloads = || {
            let of = if events == 1 { "The payload of" } else { "The payloads of" };
            format!("{of} {} ({}) are left out.", count::events(events), count::size(bytes))
        };
        return if events > 0 { vec![payloads()] } else { Vec::new() };
    };
    let mut sentences = vec![format!(
        "Alike events within {} are folded into one row: {} stand for {}. Addresses, descriptors and payloads are left out.",
        time::span(i64::try_from(folded.within_ns).unwrap_or(i64::MAX)),
        count::rows(rows.rows),
        count::events(folded.events)
    )];
    if folded.left_out > 0 {
        sentences
            .push(format!("{} are in no row; the tables of the summary count them.", count::events(folded.left_out)));
    }
    sentences
}

/// Flows as the page has them.
#[derive(Default)]
struct KeptFlows {
    flows: Vec<Box<RawValue>>,
    bytes: u64,
    all: u64,
    /// What bounds all of them.
    notes: Vec<String>,
}

/// The first flows, as many as take `room` bytes at most before they are compressed.
fn kept_flows(capture: &Capture, room: u64) -> Result<KeptFlows> {
    let mut kept = KeptFlows::default();
    let keep = |flow: Flow| {
        kept.all += 1;
        if kept.flows.len() < FLOWS && kept.bytes < room {
            let json = serde_json::value::to_raw_value(&Shown::of(&flow))?;
            kept.bytes += json.get().len() as u64;
            kept.flows.push(json);
        }
        Ok(())
    };
    let bounds = flow::follow(|| std::iter::once(Ok(capture)), |_| {}, keep)?;
    kept.notes = shown::bounds(bounds);
    Ok(kept)
}
