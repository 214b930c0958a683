//! Rows of a capture by their number, without reading what comes before them.
//!
//! Owns where a row is, and a cache of rows around those that were asked for: the least recently used go first.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::group::{self, Columns};
use crate::schema::limits::Limits;
use crate::schema::reader::Capture;
use crate::schema::{Event, EventBatch};

/// Rows that are read together: they lie in the same pages.
const WINDOW: u64 = 1024;
/// Bytes of a window after which no more of it is read than is needed.
const WINDOW_BYTES: usize = 16 << 20;
/// Places whose failure is remembered.
const FAILED: usize = 1_024;
/// Bytes of all rows that are kept.
const CACHE_BYTES: usize = 48 << 20;

/// The rows of a capture.
#[derive(Debug)]
pub struct Source {
    capture: Arc<Capture>,
    columns: Columns,
    /// The number of the first row of each group, and behind them that of all rows.
    starts: Vec<u64>,
    checked: HashSet<usize>,
    /// Why a group, or a window of it, cannot be read. Its rows are asked for again and again while they are on the screen.
    failed: HashMap<(usize, Option<u64>), String>,
    blocks: HashMap<u64, Block>,
    /// First rows of the blocks, the least recently used first.
    used: VecDeque<u64>,
    bytes: usize,
}

/// Rows that were decoded together.
#[derive(Debug)]
struct Block {
    rows: u64,
    bytes: usize,
    batch: EventBatch,
}

impl Source {
    /// Opens a capture: its footer is read, its rows are not.
    ///
    /// # Errors
    /// Those of [`Capture::open_within`].
    pub fn open(path: &Path, limits: Limits) -> Result<Self> {
        let capture = Capture::open_within(path, limits)?;
        let mut starts = vec![0u64];
        for group in 0..capture.row_group_count() {
            let rows = capture.row_group(group).map_or(0, |(rows, _)| rows);
            starts.push(starts.last().copied().unwrap_or(0).saturating_add(rows));
        }
        Ok(Source {
            capture: Arc::new(capture),
            columns: Columns::all(),
            starts,
            checked: HashSet::new(),
            failed: HashMap::new(),
            blocks: HashMap::new(),
            used: VecDeque::new(),
            bytes: 0,
        })
    }

    /// The capture.
    pub fn capture(&self) -> &Arc<Capture> {
        &self.capture
    }

    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Bytes that the rows take which are kept.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives `take` the event in a row.
    ///
    /// # Errors
    /// When there is no such row, or it cannot be read.
    pub fn event<R>(&mut self, row: u64, take: impl FnOnce(&Event<'_>) -> R) -> Result<R> {
        let first = match self.find(row) {
            Some(first) => first,
            None => self.read(row)?,
        };
        self.touch(first);
        let block = self.blocks.get(&first).context("the row was not read")?;
        let at = usize::try_from(row - first)?;
        let event = block.batch.get(at).with_context(|| format!("row {row} is missing: the file is damaged"))?;
        Ok(take(&event))
    }

    /// The first row of the block that has a row. Few blocks are kept.
    fn find(&self, row: u64) -> Option<u64> {
        let recent = self.used.iter().rev();
        recent
            .copied()
            .find(|first| self.blocks.get(first).is_some_and(|block| (*first..*first + block.rows).contains(&row)))
    }

    fn touch(&mut self, first: u64) {
        if self.used.back() != Some(&first) {
            self.used.retain(|other| *other != first);
            self.used.push_back(first);
        }
    }

    /// Reads the rows around a row; returns the first of the block that has it. What failed once is not tried again.
    fn read(&mut self, row: u64) -> Result<u64> {
        let group = self.starts.partition_point(|start| *start <= row).saturating_sub(1);
        let (start, end) = match (self.starts.get(group), self.starts.get(group + 1)) {
            (Some(start), Some(end)) if row < *end => (*start, *end),
            _ => anyhow::bail!("there is no row {row}"),
        };
        let places = [(group, None), (group, Some((row - start) / WINDOW))];
        if let Some(why) = places.iter().find_map(|place| self.failed.get(place)) {
            anyhow::bail!("{why}");
        }
        if !self.checked.contains(&group) {
            let checked = group::check(&self.capture, group, &self.columns);
            checked.map_err(|error| self.fail((group, None), error))?;
            self.checked.insert(group);
        }
        self.read_window(row, group, start, end)
            .map_err(|error| self.fail((group, Some((row - start) / WINDOW)), error))
    }

    /// Remembers why nothing can be read there.
    fn fail(&mut self, place: (usize, Option<u64>), error: anyhow::Error) -> anyhow::Error {
        if self.failed.len() >= FAILED {
            self.failed.clear();
        }
        self.failed.insert(place, format!("{error:#}"));
        error
    }

    /// Reads the rows around a row of a group that has the rows from `start` to `end`.
    fn read_window(&mut self, row: u64, group: usize, start: u64, end: u64) -> Result<u64> {
        let at_a_time = group::rows_at_a_time(&self.capture, group, &self.columns)?;
        let inside = row - start;
        let wanted = inside - inside % at_a_time;
        // Where rows are large, those before it are not read: they might push it out.
        let first = if at_a_time < WINDOW / 4 { wanted } else { inside - inside % WINDOW };
        let last = (inside - inside % WINDOW).saturating_add(WINDOW).min(end - start);
        let mut at = start + first;
        let (mut found, mut read) = (None, 0);
        for batch in group::rows(&self.capture, group, &self.columns, first..last)? {
            let (batch, bytes) = batch?;
            let rows = batch.len() as u64;
            if (at..at + rows).contains(&row) {
                found = Some(at);
            }
            self.keep(at, Block { rows, bytes, batch });
            (at, read) = (at + rows, read + bytes);
            if found.is_some() && (read >= WINDOW_BYTES || self.blocks.contains_key(&at)) {
                break;
            }
        }
        found.with_context(|| format!("row {row} is missing: the file is damaged"))
    }

    fn keep(&mut self, first: u64, block: Block) {
        if block.rows == 0 {
            return;
        }
        self.bytes += block.bytes;
        if let Some(old) = self.blocks.insert(first, block) {
            self.bytes = self.bytes.saturating_sub(old.bytes);
        }
        self.touch(first);
        while self.bytes > CACHE_BYTES && self.used.len() > 1 {
            let oldest = self.used.pop_front().and_then(|first| self.blocks.remove(&first));
            self.bytes = self.bytes.saturating_sub(oldest.map_or(0, |block| block.bytes));
        }
    }
}
