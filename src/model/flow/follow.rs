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
    let mut survey = Survey::default();
    for capture in open() {
        let capture = capture?;
        survey.manifest(capture.borrow().manifest());
        reading::each(capture.borrow(), &scan(SURVEYED), |batch| {
            batch.each(|event| {
                row(event);
                survey.note(event);
            });
            goes_on(batch.len() as u64)
        })?;
    }
    let plan = survey.plan();
    let blind = plan.blind();
    let mut tracker = Tracker::new(plan);
    for capture in open() {
        reading::each(capture?.borrow(), &scan(TRACKED), |batch| {
            giving(&mut flow, |emit| batch.each(|event| tracker.note(event, emit))).1?;
            goes_on(batch.len() as u64)
        })?;
    }
    let ([overflowed, forgot], failed) = giving(&mut flow, |emit| tracker.finish(emit));
    failed.map(|()| Bounds { blind, overflowed, forgot })
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
