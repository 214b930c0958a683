//! The two readings of a recording, from which its flows come.

use std::borrow::Borrow;

use anyhow::Result;

use super::{Flow, SURVEYED, Survey, TRACKED, Tracker, Why};
use crate::model::reading;
use crate::schema::Event;
use crate::schema::reader::{Capture, Scan};

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
    let mut surveys: ByHost<Survey> = ByHost::default();
    for capture in open() {
        let capture = capture?;
        let manifest = capture.borrow().manifest();
        match manifest.hosts.as_slice() {
            [] => surveys.of_host_or_default(None).manifest(manifest),
            parts => parts
                .iter()
                .filter(|part| part.rows() > 0)
                .for_each(|part| surveys.of_host_or_default(Some(&part.host)).manifest(&part.manifest)),
        }
        reading::each(capture.borrow(), &scan(SURVEYED), |batch| {
            batch.each(|event| {
                row(event);
                if let Some(survey) = surveys.of_host(event.host) {
                    survey.note(event);
                }
            });
            goes_on(batch.len() as u64)
        })?;
    }
    let plans: Vec<_> = surveys.0.into_iter().map(|(host, survey)| (host, survey.plan())).collect();
    // What is said of the whole recording holds for all hosts.
    let blind = plans.iter().map(|(_, plan)| plan.blind()).reduce(|all, one| all.filter(|_| one.is_some())).flatten();
    let mut trackers = ByHost(plans.into_iter().map(|(host, plan)| (host, Tracker::new(plan))).collect());
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
    for (_, tracker) in trackers.0 {
        let ([overflowed, forgot], failed) = giving(&mut flow, |emit| tracker.finish(emit));
        failed?;
        bounds.overflowed |= overflowed;
        bounds.forgot |= forgot;
    }
    Ok(bounds)
}

/// One for each host that a manifest names; of captures of one host there is one.
struct ByHost<T>(Vec<(Option<String>, T)>);

impl<T> Default for ByHost<T> {
    fn default() -> Self {
        ByHost(Vec::new())
    }
}

impl<T> ByHost<T> {
    fn of_host(&mut self, host: Option<&str>) -> Option<&mut T> {
        self.0.iter_mut().find(|(known, _)| known.as_deref() == host).map(|(_, of)| of)
    }
}

impl<T: Default> ByHost<T> {
    fn of_host_or_default(&mut self, host: Option<&str>) -> &mut T {
        let at = self.0.iter().position(|(known, _)| known.as_deref() == host).unwrap_or(self.0.len());
        if at == self.0.len() {
            self.0.push((host.map(str::to_string), T::default()));
        }
        &mut self.0[at].1
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
