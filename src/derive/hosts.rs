//! `vmtrace merge` of several recordings: one capture with the rows of several hosts, or of several recordings of one boot.
//!
//! Every row gets the name of its host, a new number, and an instant on one time line: CLOCK_MONOTONIC of the host that began first.
//! The clocks of others are shifted as the wall clocks say; those of one boot are one clock. Nothing is copied as it is: every row is another.

mod timeline;

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};

use self::timeline::{Boot, Piece, Timeline};
use super::counts::Counts;
use super::recording::{Recording, check_redacted};
use super::source::Source;
use super::stated;
use super::stream::Stream;
use super::writer::Writer;
use super::{Target, beginning, tool};
use crate::count;
use crate::model;
use crate::schema::derived::{self, Derivation};
use crate::schema::hosts::{self, HostPart};
use crate::schema::limits::MAX_RECORDINGS;
use crate::schema::manifest::LedgerRow;
use crate::schema::quote::quoted;
use crate::schema::{Event, Manifest};
use crate::terminal;
use crate::terminal::escape::SafeLine;

/// Hexadecimal digits of a capture's id.
const DIGITS: usize = 32;

/// Whether captures are of several recordings.
pub fn are_several(sources: &[(usize, Source)]) -> bool {
    let mut ids = sources.iter().map(|(_, source)| &source.manifest().capture_id);
    let first = ids.next();
    ids.any(|id| Some(id) != first)
}

/// Merges captures of several recordings into the file that `target` names.
///
/// # Errors
/// When they cannot be one capture, one cannot be read, or the file cannot be written. Nothing is written then.
pub fn merge(sources: Vec<(usize, Source)>, target: &Target) -> Result<()> {
    let all = sources.iter().fold(0u64, |sum, (_, source)| sum.saturating_add(source.capture.rows()));
    let recordings = recordings(sources)?;
    stated::check(recordings.iter().map(Recording::manifest).collect::<Vec<_>>().iter())
        .context("all captures together")?;
    let timeline = Timeline::of(&recordings)?;
    let mut manifest = manifest(&recordings, &timeline);
    let mut writer = Writer::create(target.path(), target.force, &beginning(&manifest))?;
    let (counts, taken) = copy(&recordings, &timeline, &mut writer)?;
    for (part, boot) in manifest.hosts.iter_mut().zip(&timeline.boots) {
        part.manifest.ledger = ledger(&recordings, &counts, boot)?;
    }
    manifest.ledger = sum(manifest.hosts.iter().map(|part| part.manifest.ledger.as_slice()));
    manifest.join_hosts();
    let missing = LedgerRow::total(&manifest.ledger).left_out;
    if let Some(step) = manifest.derived_from.last_mut() {
        step.sources = described(&recordings, taken);
        step.left_out = if missing > 0 {
            vec![format!("{} that none of the files holds", count::events(missing))]
        } else {
            Vec::new()
        };
    }
    let rows = writer.counts().rows();
    let root = writer.close(&manifest)?;
    let name = target.path().display();
    terminal::say_line(format_args!("{name}: {} of {}, root digest {root}", count::grouped(rows), count::rows(all)));
    if let Some(sentence) = model::hosts::sentence(&manifest) {
        terminal::say_line(format_args!("{name}: {sentence}"));
    }
    Ok(())
}

/// The captures by recording, those that began first, first: whatever the order in which they were given.
fn recordings(sources: Vec<(usize, Source)>) -> Result<Vec<Recording>> {
    let mut groups: Vec<Vec<(usize, Source)>> = Vec::new();
    for (place, source) in sources {
        if let Some((_, first)) = groups.first().and_then(|group| group.first()) {
            check_redacted(first, &source)?;
        }
        let is_of = |group: &&mut Vec<(usize, Source)>| {
            group.first().is_some_and(|(_, other)| other.manifest().capture_id == source.manifest().capture_id)
        };
        match groups.iter_mut().find(is_of) {
            Some(group) => group.push((place, source)),
            None => groups.push(vec![(place, source)]),
        }
        ensure!(
            groups.len() <= MAX_RECORDINGS,
            "more than {MAX_RECORDINGS} recordings at once: merge some of them first"
        );
    }
    groups.sort_by_cached_key(|group| {
        let manifest = group.first().map(|(_, source)| source.manifest());
        manifest.map(|manifest| (manifest.start.realtime_ns, manifest.capture_id.clone()))
    });
    groups.into_iter().map(Recording::of).collect()
}

/// What the capture says of itself, without a ledger.
fn manifest(recordings: &[Recording], timeline: &Timeline) -> Manifest {
    let first = recordings.first().map(Recording::manifest).unwrap_or_default();
    let hosts: Vec<HostPart> = timeline.parts();
    let mut steps: Vec<Derivation> = Vec::new();
    for step in recordings.iter().flat_map(|recording| recording.manifest().derived_from) {
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    let argv = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    steps.push(Derivation { command: "merge".into(), argv, tool: tool(), ..Derivation::default() });
    let mut manifest = Manifest {
        capture_id: capture_id(recordings),
        tool: first.tool,
        start: timeline.start,
        end: timeline.start.at(timeline.end),
        derived_from: steps,
        hosts,
        ..Manifest::default()
    };
    manifest.join_hosts();
    manifest
}

/// The same of the same captures: rows of captures with one id have the same numbers.
fn capture_id(recordings: &[Recording]) -> String {
    let mut hasher = blake3::Hasher::new();
    for source in recordings.iter().flat_map(Recording::sources) {
        hasher.update(source.capture_id.as_bytes());
        hasher.update(b"\n");
        hasher.update(source.root.unwrap_or_default().as_bytes());
        hasher.update(b"\n");
    }
    hasher.finalize().to_hex().chars().take(DIGITS).collect()
}

/// Where the next row of a recording stands.
#[derive(Clone, Copy)]
struct Head {
    mono_ns: i64,
    /// What is added to its clock.
    shift_ns: i64,
    /// The number of its host.
    boot: usize,
}

/// Copies all rows in the order of the time line. Returns what is counted of each recording, and the rows taken of each capture.
fn copy(recordings: &[Recording], timeline: &Timeline, writer: &mut Writer) -> Result<(Vec<Counts>, Vec<Vec<u64>>)> {
    let mut counts: Vec<Counts> = vec![Counts::default(); recordings.len()];
    let mut streams: Vec<Stream<'_>> = recordings.iter().map(Stream::of).collect();
    let mut heads = Vec::new();
    for (number, stream) in streams.iter_mut().enumerate() {
        heads.push(head(number, stream, timeline)?);
    }
    let mut seq = 0;
    loop {
        let next = heads.iter().enumerate().filter_map(|(number, head)| Some((number, (*head)?)));
        let Some((number, head_of)) = next.min_by_key(|(_, head)| head.mono_ns) else { break };
        let (Some(stream), Some(count)) = (streams.get_mut(number), counts.get_mut(number)) else { break };
        if let Some((event, source, group)) = stream.head()? {
            count.note(&event).with_context(|| source.name())?;
            let label = timeline.boots.get(head_of.boot).map(|boot| boot.label.as_str());
            let row = Event {
                seq,
                mono_ns: head_of.mono_ns,
                host: label,
                host_seq: Some(event.host_seq.filter(|_| event.host.is_some()).unwrap_or(event.seq)),
                ..event
            };
            let clocks = source.clocks(group);
            let at = clocks.monotonic_ns.saturating_add(head_of.shift_ns);
            let clocks = if clocks.monotonic_ns == 0 { clocks } else { timeline.start.at(at) };
            writer.push(&row, clocks).with_context(|| source.name())?;
            seq += 1;
        }
        stream.pass()?;
        let next = head(number, stream, timeline)?;
        if let Some(slot) = heads.get_mut(number) {
            *slot = next;
        }
    }
    Ok((counts, streams.into_iter().map(Stream::taken).collect()))
}

fn head(number: usize, stream: &mut Stream<'_>, timeline: &Timeline) -> Result<Option<Head>> {
    let Some((event, source, _)) = stream.head()? else { return Ok(None) };
    let (boot, shift_ns) = timeline.place(number, event.host).with_context(|| {
        let host = event.host.map_or_else(|| "none".to_string(), |host| SafeLine(&quoted(host)).to_string());
        format!("{}: row {} is of a host that its manifest does not name: {host}", source.name(), event.seq)
    })?;
    Ok(Some(Head { mono_ns: event.mono_ns.saturating_add(shift_ns), shift_ns, boot }))
}

/// The ledger of the rows of a host.
fn ledger(recordings: &[Recording], counts: &[Counts], boot: &Boot) -> Result<Vec<LedgerRow>> {
    let mut ledgers = Vec::new();
    for Piece { recording, label, .. } in &boot.pieces {
        let (Some(of), Some(counts)) = (recordings.get(*recording), counts.get(*recording)) else { continue };
        ledgers.push(match label {
            Some(label) => of.ledger_of_host(label, counts)?,
            None => of.ledger(counts)?,
        });
    }
    Ok(sum(ledgers.iter().map(Vec::as_slice)))
}

/// The sum of ledgers, by event.
fn sum<'a>(ledgers: impl Iterator<Item = &'a [LedgerRow]>) -> Vec<LedgerRow> {
    let mut sum: Vec<LedgerRow> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for row in ledgers.flatten() {
        match places.get(row.event.as_str()).and_then(|place| sum.get_mut(*place)) {
            Some(other) => {
                let event = std::mem::take(&mut other.event);
                *other = LedgerRow { event, ..LedgerRow::total(&[other.clone(), row.clone()]) };
            }
            None => {
                places.insert(&row.event, sum.len());
                sum.push(row.clone());
            }
        }
    }
    sum
}

/// The captures as the manifest names them, in the order in which they were given.
fn described(recordings: &[Recording], taken: Vec<Vec<u64>>) -> Vec<derived::Source> {
    let mut placed: Vec<(usize, derived::Source)> = Vec::new();
    for (recording, taken) in recordings.iter().zip(taken) {
        let sources = recording.sources().zip(taken).map(|(source, taken)| derived::Source { taken, ..source });
        placed.extend(recording.places().zip(sources));
    }
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, source)| source).collect()
}
