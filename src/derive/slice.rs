//! `vmtrace slice`: a part of a recording as a capture of its own.
//!
//! Taken are the rows that are selected, and what they need to stay readable (`context`). Row groups that are taken whole are copied as they
//! are. Row groups that cannot hold a row that is taken are not read.

mod context;
mod pick;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};

use self::pick::Picked;
use super::recording::Recording;
use super::rows::Rows;
use super::source::Source;
use super::writer::Writer;
use super::{Deriving, Target};
use crate::archive;
use crate::model::flow;
use crate::model::select::{Filter, Select};
use crate::sandbox::{Needs, Sandbox};
use crate::schema::expr::Expr;
use crate::schema::limits::{AllowLarge, Limits, MAX_FLOW_CALLS};
use crate::schema::reader::Scan;
use crate::terminal::escape::SafeLine;
use crate::terminal::status;

/// What is said of the rows that are not taken.
const LEFT_OUT: &str = "that are not selected";

/// Options of `vmtrace slice`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Also taken are the process events of all callers and targets and of their ancestors, and the gaps that touch \
the times that are selected. Rows keep their numbers. Exit status: 0 OUT was written, 2 an error: there is no OUT."
)]
pub struct Args {
    /// The capture, or the files of one recording; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    select: Select,
    /// Only calls through which the bytes of row SEQ went, by way of pipes, as vmtrace flows knows it
    #[arg(long, value_name = "SEQ", help_heading = "Selection")]
    flow: Option<u64>,
    #[command(flatten)]
    large: AllowLarge,
    #[command(flatten)]
    sandbox: Sandbox,
}

/// Runs `vmtrace slice`; returns the exit status.
///
/// # Errors
/// When an option is wrong, nothing is selected, a file cannot be read, or the capture cannot be written. Nothing is written then.
pub fn run(args: &Args) -> Result<u8> {
    let mut filter = Filter::new(&args.select)?;
    crate::output::check(args.target.path(), args.target.force)?;
    archive::check_apart(&args.files, args.target.path())?;
    args.sandbox.enter(&Needs::reading(&args.files).and_writing([args.target.path()]));
    let recording = Recording::open(&archive::files(&args.files)?, args.large.limits(), args.target.path())?;
    if let Some((a, b)) = recording.alike() {
        bail!("{a} and {b} are of the same rows: give one of them, or merge them first")
    }
    if let Some(seq) = args.flow {
        filter = filter.of_rows(rows_of_flow(&recording, seq)?);
    }
    let picked = Picked::of(&recording, &filter)?;
    if picked.selected == 0 {
        return Err(nothing(&recording, &filter)?);
    }
    let mut deriving = Deriving::begin("slice", &recording, &args.target)?;
    let taken = take(&recording, &picked, &mut deriving.writer)?;
    deriving.end(&args.target, &taken, LEFT_OUT)?;
    Ok(status::OK)
}

/// Writes the rows of a capture from number `first` on, and what they need, into `file`; `name` is what errors call that.
/// Returns how many rows are in it.
///
/// # Errors
/// When the capture cannot be read, has no such row, or the file cannot be written.
pub fn from_row(capture: &Path, limits: Limits, first: u64, name: &Path, file: File) -> Result<u64> {
    let condition = format!("seq >= {first}");
    let expr = Expr::parse(&condition).map_err(|error| anyhow!("{error}"))?;
    let filter = Filter::new(&Select { condition: Some(expr), ..Select::default() })?;
    // It is apart from what is read: it has no name.
    let recording = Recording::open(&[capture.to_path_buf()], limits, Path::new(""))?;
    let picked = Picked::of(&recording, &filter)?;
    ensure!(picked.selected > 0, "{}: there is no row with the number {first}", capture.display());
    let argv = ["vmtrace", "slice", "--where", &condition];
    let mut deriving = Deriving::into("slice", &argv, &recording, name, file)?;
    let taken = take(&recording, &picked, &mut deriving.writer)?;
    Ok(deriving.finish(&taken, LEFT_OUT)?.0)
}

/// Copies the rows that are taken. Returns how many of each capture.
fn take(recording: &Recording, picked: &Picked, writer: &mut Writer) -> Result<Vec<u64>> {
    let mut taken = Vec::new();
    for (source, groups) in recording.captures().zip(&picked.groups) {
        let mut rows = 0u64;
        for (index, picked) in groups.iter().enumerate().filter(|(_, picked)| picked.count() > 0) {
            copy(source, index, picked, writer)?;
            rows = rows.saturating_add(picked.count());
        }
        taken.push(rows);
    }
    Ok(taken)
}

/// Copies the rows of a row group that are taken.
fn copy(source: &Source, index: usize, picked: &Rows, writer: &mut Writer) -> Result<()> {
    let whole = source.compare(index)?;
    let (all, _) = source.capture.row_group(index).context("a row group is missing")?;
    if let Some(group) = whole.filter(|_| picked.count() == all) {
        return writer.adopt(source.capture.file(), &group, &source.count(index)?).with_context(|| source.name());
    }
    let runs = picked.runs(usize::try_from(all)?);
    let clocks = source.clocks(index);
    for batch in source.capture.group(index, Vec::new(), Some(&runs))? {
        batch?.iter().try_for_each(|event| writer.push(&event, clocks)).with_context(|| source.name())?;
    }
    Ok(())
}

/// The calls through which the bytes of a row went, by `seq`, itself among them.
fn rows_of_flow(recording: &Recording, seq: u64) -> Result<BTreeSet<u64>> {
    for source in recording.captures() {
        (0..source.capture.row_group_count()).try_for_each(|index| source.compare(index).map(drop))?;
    }
    let mut event_of: Option<String> = None;
    let mut rows = BTreeSet::new();
    flow::follow(
        || recording.captures().map(|source| Ok(&source.capture)),
        |event| {
            if event.seq == seq {
                event_of = Some(event.event.to_string());
            }
        },
        |flow| {
            if flow.calls().any(|(call, _)| call.seq == seq) {
                rows.extend(flow.calls().map(|(call, _)| call.seq));
            }
            check_flow(&rows)
        },
    )?;
    match event_of {
        _ if !rows.is_empty() => Ok(rows),
        Some(event) => bail!("--flow: row {seq} is a {}, which is in no flow", SafeLine(&event)),
        None => bail!("--flow: there is no row {seq}: `vmtrace replay -T jsonl` prints the numbers of rows, `seq`"),
    }
}

/// Whether a flow has no more calls than are taken.
fn check_flow(rows: &BTreeSet<u64>) -> Result<()> {
    ensure!(rows.len() <= MAX_FLOW_CALLS, "--flow: the bytes went through more than {MAX_FLOW_CALLS} calls");
    Ok(())
}

/// The error where no event is selected: what comes nearest to each option.
fn nothing(recording: &Recording, filter: &Filter) -> Result<anyhow::Error> {
    let mut sentences = Vec::new();
    let mut captures = recording.captures();
    if let (Some(only), None) = (captures.next(), captures.next()) {
        let span = only.capture.mono_span();
        sentences.extend(span.and_then(|span| filter.outside(&only.manifest().start, span)));
    }
    if let Some(mut nearest) = filter.nearest() {
        for source in recording.captures() {
            for batch in source.capture.scan(&Scan { columns: nearest.columns(), ..Scan::default() })? {
                batch?.iter().for_each(|event| nearest.note(&event));
            }
        }
        sentences.extend(nearest.sentences());
    }
    let why = if sentences.is_empty() { String::new() } else { format!(": {}", sentences.join("; ")) };
    Ok(anyhow::anyhow!("no event is selected, and nothing was written{why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_has_so_many_calls() {
        let mut rows: BTreeSet<u64> = (1..=MAX_FLOW_CALLS as u64).collect();
        assert!(check_flow(&rows).is_ok());
        rows.insert(0);
        let said = check_flow(&rows).unwrap_err().to_string();
        assert_eq!(said, "--flow: the bytes went through more than 100000 calls");
    }
}
