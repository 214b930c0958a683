//! One time line for the clocks of several recordings, and what their rows call their hosts.
//!
//! Recordings of one boot have one clock, and must follow each other: an event that both saw would count twice.

use std::collections::{HashMap, HashSet};

use anyhow::{Result, ensure};

use super::super::recording::Recording;
use super::super::source::Source;
use super::HostPart;
use super::hosts;
use crate::schema::Manifest;
use crate::schema::limits::{MAX_HOSTS, MAX_RECORDINGS};
use crate::schema::manifest::Clocks;
use crate::terminal::escape::SafeLine;

/// A recording, or what is of one host in a capture that was merged before.
#[derive(Debug)]
pub struct Piece {
    /// The number of the recording.
    pub recording: usize,
    /// What its rows have in `host` until now.
    pub label: Option<String>,
    /// The names of its files.
    name: String,
    captures: Vec<String>,
    /// What was added to its clock already.
    shift_ns: i64,
    /// When it ended, on its own clock.
    end: i64,
    manifest: Manifest,
}

/// What is of one boot of a host.
#[derive(Debug)]
pub struct Boot {
    /// What rows call it.
    pub label: String,
    /// Its recordings, in the order of time.
    pub pieces: Vec<Piece>,
    /// How far its wall clock was ahead of its monotonic one when the first of them began.
    ahead_ns: i64,
}

/// All of them.
#[derive(Debug)]
pub struct Timeline {
    /// The hosts; that which began first, first.
    pub boots: Vec<Boot>,
    /// When the first recording began: what the time line is measured by.
    pub start: Clocks,
    /// When the last one ended, on the time line.
    pub end: i64,
    /// By recording: where its rows are.
    places: Vec<Places>,
}

/// The number of the host of rows, and what is added to their clock.
type Place = (usize, i64);

/// The places of the rows of a recording, by what they have in `host` until now.
#[derive(Debug, Default)]
struct Places {
    unnamed: Option<Place>,
    named: HashMap<String, Place>,
}

impl Timeline {
    /// The time line of some recordings.
    ///
    /// # Errors
    /// When two are of the same time on one host.
    pub fn of(recordings: &[Recording]) -> Result<Self> {
        let mut pieces: Vec<Piece> =
            recordings.iter().enumerate().flat_map(|(number, recording)| pieces(number, recording)).collect();
        pieces.sort_by_key(|piece| piece.manifest.start.realtime_ns);
        let mut boots: Vec<Vec<Piece>> = Vec::new();
        for piece in pieces {
            let is_of = |boot: &&mut Vec<Piece>| {
                let boot_id = &piece.manifest.host.boot_id;
                !boot_id.is_empty() && boot.first().is_some_and(|other| &other.manifest.host.boot_id == boot_id)
            };
            match boots.iter_mut().find(is_of) {
                Some(boot) => boot.push(piece),
                None => boots.push(vec![piece]),
            }
            ensure!(boots.len() <= MAX_HOSTS, "they are of more than {MAX_HOSTS} hosts: merge fewer");
        }
        for boot in &mut boots {
            boot.sort_by_key(|piece| piece.manifest.start.monotonic_ns);
            // A capture that was merged has one host of a boot.
            ensure!(
                boot.len() <= MAX_RECORDINGS,
                "more than {MAX_RECORDINGS} recordings of one boot of the host {}: merge some of them first",
                boot.first().map_or_else(String::new, |piece| SafeLine(&piece.manifest.host.hostname).to_string())
            );
            check_apart(boot)?;
        }
        let hosts: Vec<_> = boots.iter().filter_map(|boot| boot.first().map(|piece| &piece.manifest.host)).collect();
        let labels = hosts::labels(&hosts);
        let boots = boots.into_iter().zip(labels).map(|(pieces, label)| {
            let ahead_ns = pieces.first().map_or(0, |piece| hosts::ahead(&piece.manifest.start));
            Boot { label, pieces, ahead_ns }
        });
        let boots: Vec<Boot> = boots.collect();
        let start = boots.first().and_then(|boot| boot.pieces.first()).map(|piece| piece.manifest.start);
        let mut timeline = Timeline { boots, start: start.unwrap_or_default(), end: 0, places: Vec::new() };
        let ends = timeline.boots.iter().filter_map(|boot| {
            let last = boot.pieces.last()?;
            Some(last.end.saturating_add(timeline.shift(boot)))
        });
        timeline.end = ends.max().unwrap_or(timeline.start.monotonic_ns).max(timeline.start.monotonic_ns);
        timeline.places = timeline.places(recordings.len());
        Ok(timeline)
    }

    /// What is added to the monotonic clock of a host.
    fn shift(&self, boot: &Boot) -> i64 {
        boot.ahead_ns.saturating_sub(hosts::ahead(&self.start))
    }

    /// The places of the rows of each recording.
    fn places(&self, recordings: usize) -> Vec<Places> {
        let mut places: Vec<Places> = Vec::new();
        places.resize_with(recordings, Places::default);
        for (number, boot) in self.boots.iter().enumerate() {
            for piece in &boot.pieces {
                let place = (number, self.shift(boot).saturating_sub(piece.shift_ns));
                let Some(of) = places.get_mut(piece.recording) else { continue };
                match &piece.label {
                    Some(label) => drop(of.named.insert(label.clone(), place)),
                    None => of.unnamed = Some(place),
                }
            }
        }
        places
    }

    /// The number of the host of a row of a recording, and what is added to the row's clock.
    pub fn place(&self, recording: usize, label: Option<&str>) -> Option<(usize, i64)> {
        let places = self.places.get(recording)?;
        label.map_or(places.unnamed, |label| places.named.get(label).copied())
    }

    /// What the manifest says of each host, without ledgers.
    pub fn parts(&self) -> Vec<HostPart> {
        self.boots.iter().map(|boot| self.part(boot)).collect()
    }

    fn part(&self, boot: &Boot) -> HostPart {
        let mut pieces = boot.pieces.iter();
        let Some(first) = pieces.next() else { return HostPart::default() };
        let mut part = HostPart {
            host: boot.label.clone(),
            captures: first.captures.clone(),
            mono_shift_ns: self.shift(boot),
            clock_uncertainty_ns: hosts::clock_uncertainty(&first.manifest),
            manifest: first.manifest.clone(),
        };
        for piece in pieces {
            let moved = hosts::ahead(&piece.manifest.start).saturating_sub(boot.ahead_ns).saturating_abs();
            let its = hosts::clock_uncertainty(&piece.manifest).map(|ns| ns.saturating_add(moved));
            part.clock_uncertainty_ns = part.clock_uncertainty_ns.zip(its).map(|(a, b)| a.max(b));
            part.captures.extend(piece.captures.iter().cloned());
            join(&mut part.manifest, &piece.manifest);
        }
        part
    }
}

/// Says of two recordings of one boot what one would say.
fn join(manifest: &mut Manifest, later: &Manifest) {
    let gaps = {
        let mut known: HashSet<&str> = manifest.gaps.iter().map(String::as_str).collect();
        let new = later.gaps.iter().filter(|gap| known.insert(gap));
        manifest.gaps.iter().chain(new.collect::<Vec<_>>()).cloned().collect()
    };
    let of = |manifest: &Manifest| Manifest { gaps: Vec::new(), ..manifest.clone() };
    let parts = [&*manifest, later].map(|manifest| HostPart { manifest: of(manifest), ..HostPart::default() });
    let mut both = Manifest { hosts: parts.into(), ..Manifest::default() };
    both.join_hosts();
    let steps: Vec<_> =
        later.derived_from.iter().filter(|step| !manifest.derived_from.contains(step)).cloned().collect();
    manifest.derived_from.extend(steps);
    *manifest = Manifest {
        filters: both.filters,
        families: both.families,
        gaps,
        ledger_from_rows: both.ledger_from_rows,
        end: later.end,
        end_clock: later.end_clock.clone(),
        end_reason: later.end_reason.clone(),
        segment: manifest.segment.clone().or_else(|| later.segment.clone()),
        ..std::mem::take(manifest)
    };
}

/// A recording, or what was merged into one.
fn pieces(number: usize, recording: &Recording) -> Vec<Piece> {
    // Without a ledger.
    let manifest = recording.manifest();
    let names: Vec<String> = recording.captures().map(Source::name).collect();
    let name = names.first().cloned().unwrap_or_default();
    let last = recording.captures().filter_map(|source| source.capture.mono_span()).map(|(_, last)| last).max();
    let end = |manifest: &Manifest, shift_ns: i64| match manifest.end.monotonic_ns {
        0 => last.unwrap_or(manifest.start.monotonic_ns).saturating_sub(shift_ns),
        end => end,
    };
    if manifest.hosts.is_empty() {
        return vec![Piece {
            recording: number,
            label: None,
            name,
            captures: vec![manifest.capture_id.clone()],
            shift_ns: 0,
            end: end(&manifest, 0),
            manifest,
        }];
    }
    let of = |part: &HostPart| Piece {
        recording: number,
        label: Some(part.host.clone()),
        name: name.clone(),
        captures: part.captures.clone(),
        shift_ns: part.mono_shift_ns,
        end: end(&part.manifest, part.mono_shift_ns),
        // Hosts have no hosts.
        manifest: Manifest { hosts: Vec::new(), ledger: Vec::new(), ..part.manifest.clone() },
    };
    manifest.hosts.iter().map(of).collect()
}

/// Whether recordings of one boot follow each other.
fn check_apart(pieces: &[Piece]) -> Result<()> {
    for (a, b) in pieces.iter().zip(pieces.iter().skip(1)) {
        ensure!(
            a.end <= b.manifest.start.monotonic_ns,
            "{} and {} are recordings of the same time on the host {}: what both saw would count twice; merge one of them alone",
            a.name,
            b.name,
            SafeLine(&b.manifest.host.hostname)
        );
    }
    Ok(())
}
