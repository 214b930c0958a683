//! The first reading: which rows are selected, and who acted in them.

use std::collections::HashSet;

use anyhow::Result;

use super::context::{Pid, Surroundings};
use crate::derive::recording::Recording;
use crate::derive::rows::Rows;
use crate::derive::source::Source;
use crate::model::hosts::Hosts;
use crate::model::select::{CaptureFilter, Decision, Filter};
use crate::schema::EventKind;

/// The rows that are taken.
#[derive(Debug)]
pub struct Picked {
    /// By capture and row group.
    pub groups: Vec<Vec<Rows>>,
    /// Rows that were selected: beside these, others are taken for their sake.
    pub selected: u64,
}

impl Picked {
    /// Finds the rows that `filter` selects, and what they need.
    ///
    /// # Errors
    /// When a capture cannot be read.
    pub fn of(recording: &Recording, filter: &Filter) -> Result<Self> {
        let of = |source: &Source| vec![Rows::default(); source.capture.row_group_count()];
        let mut picked = Picked { groups: recording.captures().map(of).collect(), selected: 0 };
        let mut acting = Acting::default();
        for (source, groups) in recording.captures().zip(&mut picked.groups) {
            let filter = filter.of(&source.capture)?;
            for (index, rows) in groups.iter_mut().enumerate() {
                if source.capture.may_hold_of(index, filter.scan()) {
                    source.compare(index)?;
                    picked.selected += select(source, index, &filter, rows, &mut acting)?;
                }
            }
        }
        if picked.selected == 0 {
            return Ok(picked);
        }
        let mut surroundings = Surroundings::of(acting.hosts, acting.pids);
        for (number, source) in recording.captures().enumerate() {
            let Some(groups) = picked.groups.get_mut(number) else { continue };
            let filter = filter.of(&source.capture)?;
            for (index, rows) in groups.iter_mut().enumerate() {
                surroundings.read(source, (number, index), filter.scan(), rows)?;
            }
        }
        for ((number, index), row) in surroundings.rows() {
            if let Some(rows) = picked.groups.get_mut(number).and_then(|groups| groups.get_mut(index)) {
                rows.insert(row);
            }
        }
        Ok(picked)
    }
}

/// Who acted in the selected rows.
#[derive(Default)]
struct Acting {
    hosts: HashSet<u32>,
    pids: HashSet<Pid>,
}

/// Adds the selected rows of a row group to `rows`, and who acted in them to `acting`. Returns how many they are.
fn select(
    source: &Source,
    index: usize,
    filter: &CaptureFilter<'_>,
    rows: &mut Rows,
    acting: &mut Acting,
) -> Result<u64> {
    let mut columns = filter.columns();
    columns.extend(["parent_pid", "host"]);
    columns.sort_unstable();
    columns.dedup();
    let hosts = Hosts::of(source.manifest());
    let mut row = 0;
    for batch in source.capture.group(index, columns, None)? {
        for event in batch?.iter() {
            if let Decision::Show(_) = filter.decide(&event) {
                rows.insert(row);
                let host = hosts.number(event.host);
                acting.hosts.insert(host);
                if event.event != EventKind::Lost.name() {
                    let pids = [Some(event.pid), event.target_pid, event.parent_pid].into_iter().flatten();
                    acting.pids.extend(pids.map(|pid| (host, pid)));
                }
            }
            row += 1;
        }
    }
    Ok(rows.count())
}
