//! The two readings of a recording, from which its flows come.

use std::borrow::Borrow;
use std::collections::HashMap;

use anyhow::Result;

use super::{Flow, SURVEYED, Survey, TRACKED, Tracker, Why};
use crate::model::reading;
use crate::schema::reader::{Capture, Scan};
use crate::schema::{Event, Manifest};

/// What bounds all flows of a recording.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Why nothing is known of any flow through a pipe.
    pub blind: Option<Why>,
    /// Whether there was more than is kept at a time: those flows are unknown.
    pub overflowed: bool,
    /// Whether there was more in memories than is kept: flows from memory to memory may be missing.
    pub forgot: bool,
}

/// Follows the bytes through the pipes of a recording. `open` opens its files one after another, in their order, and is called twice.
/// `row` gets every row of the first reading, `flow` every flow of the second.
///
/// # Errors
/// When a capture cannot be read, and those of `flow`.
pub fn follow<C: Borrow<Capture>, I: Iterator<Item = Result<C>>>(
    open: impl Fn() -> I,
    row: impl FnMut(&Event<'_>),
    flow: impl FnMut(Flow) -> Result<()>,
) -> Result<Bounds> {
    follow_while(&|_| Ok(()), open, row, flow)
}

/// The same until `goes_on` fails, which gets the number of rows that were read, again and again.
///
/// # Errors
/// As [`follow`], and those of `goes_on`.
pub fn follow_while<C: Borrow<Capture>, I: Iterator<Item = Result<C>>>(
    goes_on: &dyn Fn(u64) -> Result<()>,
    open: impl Fn() -> I,
    mut row: impl FnMut(&Event<'_>),
    mut flow: impl FnMut(Flow) -> Result<()>,
) -> Result<Bounds> {
    let scan = |columns: &[&'static str]| Scan { columns: columns.to_vec(), ..Scan::default() };
    // Each host has pipes and memories of its own. A row of a host that no manifest names is in no flow.
    let mut surveys: ByHost<Surveyed> = ByHost::default();
    for capture in open() {
        let capture = capture?;
        let manifest = capture.borrow().manifest();
        match manifest.hosts.as_slice() {
            [] => surveys.manifest(None, manifest, true),
            // Whatever their ledgers say: rows that these do not count are rows of a host all the same.
            parts => parts.iter().for_each(|part| {
                // What was made unrecognisable, the capture says of all its rows.
                let derived_from = manifest.derived_from.clone();
                let of_host = Manifest { derived_from, ..part.manifest.clone() };
                surveys.manifest(Some(&part.host), &of_host, part.rows() > 0);
            }),
        }
        reading::each(capture.borrow(), &scan(SURVEYED), |batch| {
            batch.each(|event| {
                row(event);
                if let Some(of) = surveys.of_host(event.host) {
                    of.has_rows = true;
                    of.survey.note(event);
                }
            });
            goes_on(batch.len() as u64)
        })?;
    }
    // A slice of one host names the others, too. Of these there is nothing to follow.
    let surveyed = surveys.all.into_iter().filter(|(_, of)| of.has_rows);
    let plans: Vec<_> = surveyed.map(|(host, of)| (host, of.survey.plan())).collect();
    // What is said of the whole recording holds for all hosts.
    let blind = plans.iter().map(|(_, plan)| plan.blind()).reduce(|all, one| all.filter(|_| one.is_some())).flatten();
    let mut trackers: ByHost<Tracker> = ByHost::default();
    plans.into_iter().for_each(|(host, plan)| trackers.add(host, Tracker::new(plan)));
    for capture in open() {
        reading::each(capture?.borrow(), &scan(TRACKED), |batch| {
            let note = |emit: &mut dyn FnMut(Flow)| {
                batch.each(|event| {
                    if let Some(tracker) = trackers.of_host(event.host) {
                        tracker.note(event, emit);
                    }
                });
            };
            giving(&mut flow, note).1?;
            goes_on(batch.len() as u64)
        })?;
    }
    let mut bounds = Bounds { blind, overflowed: false, forgot: false };
    for (_, tracker) in trackers.all {
        let ([overflowed, forgot], failed) = giving(&mut flow, |emit| tracker.finish(emit));
        failed?;
        bounds.overflowed |= overflowed;
        bounds.forgot |= forgot;
    }
    Ok(bounds)
}

/// One for each host that a manifest names; of captures of one host there is one.
struct ByHost<T> {
    all: Vec<(Option<String>, T)>,
    places: HashMap<String, usize>,
    /// Of captures of one host, whose rows name none.
    unnamed: Option<usize>,
}

impl<T> Default for ByHost<T> {
    fn default() -> Self {
        ByHost { all: Vec::new(), places: HashMap::new(), unnamed: None }
    }
}

impl<T> ByHost<T> {
    fn place(&self, host: Option<&str>) -> Option<usize> {
        host.map_or(self.unnamed, |host| self.places.get(host).copied())
    }

    fn of_host(&mut self, host: Option<&str>) -> Option<&mut T> {
        let place = self.place(host)?;
        self.all.get_mut(place).map(|(_, of)| of)
    }

    fn add(&mut self, host: Option<String>, of: T) {
        match &host {
            Some(host) => drop(self.places.insert(host.clone(), self.all.len())),
            None => self.unnamed = Some(self.all.len()),
        }
        self.all.push((host, of));
    }
}

/// What the first reading learns of a host.
#[derive(Default)]
struct Surveyed {
    survey: Survey,
    /// Whether there are rows of it, or its ledger counts some.
    has_rows: bool,
}

impl ByHost<Surveyed> {
    /// Learns what a file says of a host.
    fn manifest(&mut self, host: Option<&str>, manifest: &Manifest, has_rows: bool) {
        if self.place(host).is_none() {
            self.add(host.map(str::to_string), Surveyed::default());
        }
        if let Some(of) = self.of_host(host) {
            of.has_rows |= has_rows;
            of.survey.manifest(manifest);
        }
    }
}

/// What `work` returns, and the first error of `flow`, which gets what `work` emits until then.
fn giving<T>(
    flow: &mut impl FnMut(Flow) -> Result<()>,
    work: impl FnOnce(&mut dyn FnMut(Flow)) -> T,
) -> (T, Result<()>) {
    let mut failed = Ok(());
    let returned = work(&mut |found| {
        if failed.is_ok() {
            failed = flow(found);
        }
    });
    (returned, failed)
}
