//! The captures that a derived one is made from: files of one recording, in its order, or slices of them.
//!
//! Owns which captures belong together, and what their manifests say as one.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::counts::Counts;
use super::source::Source;
use crate::schema::Manifest;
use crate::schema::derived::{self, Derivation, Redaction};
use crate::schema::limits::{Limits, MAX_SLICES};
use crate::schema::manifest::{LedgerRow, Segment};
use crate::schema::vocabulary::EndReason;

/// A file of the recording; or slices of it, of which each may be a part of it.
#[derive(Debug)]
pub struct Part {
    /// The file, or its slices.
    pub sources: Vec<Source>,
    /// What the whole file counts. Where there are slices, `written` and what belongs to it are those of the largest.
    ledger: Vec<LedgerRow>,
    /// The same by host, where its rows are of several.
    hosts: Vec<(String, Vec<LedgerRow>)>,
}

/// The captures, in order.
#[derive(Debug)]
pub struct Recording {
    /// The files of the recording.
    pub parts: Vec<Part>,
    /// The place of each capture among those that were given.
    given: Vec<usize>,
}

impl Recording {
    /// Opens the captures and puts them in order.
    ///
    /// # Errors
    /// When one cannot be read, is the output, or they are not of one recording.
    pub fn open(paths: &[PathBuf], limits: Limits, output: &Path) -> Result<Self> {
        Recording::of(open(paths, limits, output)?)
    }

    /// Puts captures in order, each with its place among those that were given.
    ///
    /// # Errors
    /// When they are not of one recording.
    pub fn of(mut sources: Vec<(usize, Source)>) -> Result<Self> {
        let mut pairs = sources.iter().zip(sources.iter().skip(1));
        pairs.try_for_each(|((_, a), (_, b))| check_pair(a, b))?;
        // Stable, so that slices stay as they were given.
        sources.sort_by_key(|(_, source)| span(source));
        let given = sources.iter().map(|(place, _)| *place).collect();
        let mut parts: Vec<Part> = Vec::new();
        for (_, source) in sources {
            match parts.last_mut().filter(|part| part.sources.first().is_some_and(|of| span(of) == span(&source))) {
                Some(part) => part.add(source)?,
                None => parts.push(Part::of(source)),
            }
        }
        let mut pairs = parts.iter().zip(parts.iter().skip(1));
        pairs.try_for_each(|(a, b)| check_follows(a, b))?;
        ensure!(!parts.is_empty(), "no file was given");
        Ok(Recording { parts, given })
    }

    fn all(&self) -> impl Iterator<Item = &Source> {
        self.parts.iter().flat_map(|part| &part.sources)
    }

    /// The captures, in their order.
    pub fn captures(&self) -> impl Iterator<Item = &Source> {
        self.all()
    }

    /// How they are named in a manifest, in their order.
    pub fn sources(&self) -> impl Iterator<Item = derived::Source> {
        self.all().map(Source::described)
    }

    /// Rows of all files.
    pub fn rows(&self) -> u64 {
        self.all().fold(0, |sum, source| sum.saturating_add(source.capture.rows()))
    }

    /// The names of the first two files that are of the same part of the recording.
    pub fn alike(&self) -> Option<(String, String)> {
        let of = self.parts.iter().find(|part| part.sources.len() > 1)?;
        Some((of.sources.first()?.name(), of.sources.get(1)?.name()))
    }

    /// The ledger of a capture with these rows.
    ///
    /// # Errors
    /// When the files have rows that their ledgers do not count.
    pub fn ledger(&self, counts: &Counts) -> Result<Vec<LedgerRow>> {
        let joined = self.parts.iter().fold(Vec::new(), |joined, part| LedgerRow::joined(&joined, part.ledger.clone()));
        let names: Vec<String> = self.all().map(Source::name).collect();
        counts.ledger(&joined).with_context(|| format!("{}: `vmtrace verify` says what is wrong", names.join(", ")))
    }

    /// The same of its rows of one host, where its rows are of several.
    ///
    /// # Errors
    /// As [`Recording::ledger`].
    pub fn ledger_of_host(&self, host: &str, counts: &Counts) -> Result<Vec<LedgerRow>> {
        // Such a capture is no file of a recording of several.
        let of = self.parts.first().and_then(|part| part.hosts.iter().find(|(label, _)| label == host));
        let ledger = of.map(|(_, ledger)| ledger.as_slice()).unwrap_or_default();
        let names: Vec<String> = self.all().map(Source::name).collect();
        let of_host = counts.of_host(host).unwrap_or_default();
        of_host.ledger(ledger).with_context(|| format!("{}: `vmtrace verify` says what is wrong", names.join(", ")))
    }

    /// The place of each capture among those that were given, in their order.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        self.given.iter().copied()
    }

    /// What the captures say of themselves, as one, without a ledger.
    pub fn manifest(&self) -> Manifest {
        let (Some(first), Some(last)) = (self.all().next(), self.all().last()) else { return Manifest::default() };
        let (first, last) = (first.manifest(), last.manifest());
        let mut gaps = first.gaps.clone();
        let mut known: HashSet<&str> = first.gaps.iter().map(String::as_str).collect();
        let mut steps: Vec<Derivation> = Vec::new();
        for manifest in self.all().map(Source::manifest) {
            gaps.extend(manifest.gaps.iter().filter(|gap| known.insert(gap)).cloned());
            let more: Vec<Derivation> =
                manifest.derived_from.iter().filter(|step| !steps.contains(step)).cloned().collect();
            steps.extend(more);
        }
        Manifest {
            segment: place(first, last),
            end: last.end,
            end_clock: last.end_clock.clone(),
            end_reason: last.end_reason.clone(),
            hooks: last.hooks.clone(),
            families: last.families.clone(),
            // Counted from the start of the recording.
            regions: last.regions.clone(),
            gaps,
            ledger: Vec::new(),
            ledger_from_rows: self.all().any(|source| source.manifest().ledger_from_rows),
            derived_from: steps,
            ..first.clone()
        }
    }

    /// What belongs to each capture, in the order in which they were given.
    pub fn as_given<T>(&self, of: impl Iterator<Item = T>) -> Vec<T> {
        let mut placed: Vec<(usize, T)> = self.given.iter().copied().zip(of).collect();
        placed.sort_by_key(|(place, _)| *place);
        placed.into_iter().map(|(_, of)| of).collect()
    }
}

/// The place in the recording of files from `first` to `last`; none if they are all of it.
fn place(first: &Manifest, last: &Manifest) -> Option<Segment> {
    let (begin, end) = (first.segment.as_ref()?, last.segment.as_ref()?.last());
    if begin.index == end {
        return Some(begin.clone());
    }
    let is_all = begin.index <= 1 && !EndReason::Rotated.is(&last.end_reason);
    (!is_all).then(|| Segment { last: Some(end), ..begin.clone() })
}

/// The numbers of the first and the last file of the recording that a capture holds.
fn span(source: &Source) -> Option<(u64, u64)> {
    source.manifest().segment.as_ref().map(|segment| (segment.index, segment.last()))
}

/// What was made unrecognisable in a capture, step by step.
fn redactions(manifest: &Manifest) -> Vec<Redaction> {
    let of = manifest.derived_from.iter().filter_map(|step| step.redaction.clone());
    of.map(|redaction| Redaction { values: Vec::new(), ..redaction }).collect()
}

/// Whether two captures are of one recording, and of the same kind.
fn check_pair(a: &Source, b: &Source) -> Result<()> {
    let (a_name, b_name) = (a.name(), b.name());
    ensure!(
        a.manifest().capture_id == b.manifest().capture_id,
        "{a_name} and {b_name} are of different recordings: a part can be taken of the files of one recording; make one capture of \
         both first (`vmtrace merge`)"
    );
    check_redacted(a, b)?;
    ensure!(
        span(a).is_some() == span(b).is_some(),
        "{a_name} and {b_name} overlap: one is a file of the recording, the other all of it"
    );
    Ok(())
}

/// Whether two captures are redacted alike.
pub fn check_redacted(a: &Source, b: &Source) -> Result<()> {
    ensure!(
        redactions(a.manifest()) == redactions(b.manifest()),
        "{} and {} are not redacted in the same way: redact all of them alike first",
        a.name(),
        b.name()
    );
    Ok(())
}

/// Whether files of a recording follow each other.
fn check_follows(a: &Part, b: &Part) -> Result<()> {
    let (Some(a), Some(b)) = (a.sources.last(), b.sources.first()) else { return Ok(()) };
    let (Some((_, before)), Some((after, _))) = (span(a), span(b)) else { return Ok(()) };
    let (a_name, b_name) = (a.name(), b.name());
    let next = before.saturating_add(1);
    ensure!(after >= next, "{a_name} and {b_name} overlap: both hold file {after} of the recording");
    ensure!(after == next, "file {next} of the recording is missing between {a_name} and {b_name}: give it, too");
    let previous = b.manifest().segment.as_ref().and_then(|segment| segment.previous_root.as_deref());
    let both_recorded = a.manifest().derived_from.is_empty() && b.manifest().derived_from.is_empty();
    ensure!(
        !both_recorded || previous.is_none() || previous == a.capture.root(),
        "{b_name} does not follow {a_name}: it names another root digest of the file before"
    );
    let is_guessed = b.manifest().ledger_from_rows;
    ensure!(
        is_guessed || carried(a.manifest(), |row| row.carried_out) == carried(b.manifest(), |row| row.carried_in),
        "{b_name} does not follow {a_name}: its ledger does not take over what that one carries over"
    );
    Ok(())
}

/// What is under way between two files, by event.
fn carried(manifest: &Manifest, count: fn(&LedgerRow) -> u64) -> BTreeMap<&str, u64> {
    manifest.ledger.iter().map(|row| (row.event.as_str(), count(row))).filter(|(_, count)| *count > 0).collect()
}

impl Part {
    fn of(source: Source) -> Self {
        let manifest = source.manifest();
        let hosts = manifest.hosts.iter().map(|part| (part.host.clone(), part.manifest.ledger.clone())).collect();
        Part { ledger: manifest.ledger.clone(), hosts, sources: vec![source] }
    }

    /// Adds a slice of the same file.
    fn add(&mut self, source: Source) -> Result<()> {
        ensure!(
            self.sources.len() < MAX_SLICES,
            "more than {MAX_SLICES} captures of the same rows: merge some of them first"
        );
        let hosts = &source.manifest().hosts;
        let mut is_same = widen(&mut self.ledger, &source.manifest().ledger) && self.hosts.len() == hosts.len();
        for ((mine, ledger), its) in self.hosts.iter_mut().zip(hosts) {
            is_same &= *mine == its.host && widen(ledger, &its.manifest.ledger);
        }
        if !is_same {
            let name = self.sources.first().map(Source::name).unwrap_or_default();
            bail!("{name} and {} are not of the same capture: their ledgers differ", source.name());
        }
        self.sources.push(source);
        Ok(())
    }
}

/// Makes of the ledger of a slice that of the larger one of two, of each line. Returns whether both are slices of one capture.
fn widen(mine: &mut [LedgerRow], its: &[LedgerRow]) -> bool {
    let of = |row: &LedgerRow| LedgerRow {
        written: 0,
        left_out: row.written.saturating_add(row.left_out),
        failed: 0,
        bytes: 0,
        read_faults: 0,
        ..row.clone()
    };
    let is_same = mine.len() == its.len() && mine.iter().zip(its).all(|(a, b)| of(a) == of(b));
    for (mine, its) in mine.iter_mut().zip(its).filter(|_| is_same) {
        if its.written > mine.written {
            mine.clone_from(its);
        }
    }
    is_same
}

/// Opens captures, each with its place.
///
/// # Errors
/// When one cannot be read, or is the output.
pub fn open(paths: &[PathBuf], limits: Limits, output: &Path) -> Result<Vec<(usize, Source)>> {
    let open = |(place, path): (usize, &PathBuf)| Ok((place, Source::open(path, limits, output)?));
    paths.iter().enumerate().map(open).collect()
}
