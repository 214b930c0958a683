//! When the row groups of a capture were written. The rows of a redacted one are in groups of its own, which get these clocks.

use crate::schema::manifest::Clocks;
use crate::schema::reader::Capture;

/// When the row groups of a capture were written.
#[derive(Debug)]
pub struct GroupClocks {
    /// Behind how many rows a group ends, and its clocks.
    groups: Vec<(u64, Clocks)>,
    end: Clocks,
}

impl GroupClocks {
    /// Those of a capture, as it states them.
    pub fn of(capture: &Capture) -> Self {
        let mut rows = 0u64;
        let links = capture.chain().map(|chain| chain.groups.as_slice()).unwrap_or_default();
        let groups = links.iter().map(|link| {
            rows = rows.saturating_add(link.rows);
            (rows, link.clocks)
        });
        GroupClocks { groups: groups.collect(), end: capture.manifest().end }
    }

    /// Those of the group of a row, which is counted from 0.
    pub fn at(&self, row: u64) -> Clocks {
        let group = self.groups.partition_point(|(end, _)| *end <= row);
        self.groups.get(group).map_or(self.end, |(_, clocks)| *clocks)
    }
}
