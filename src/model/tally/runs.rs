//! Rows that are alike, counted at once: a recording is mostly the same few calls over and over.
//!
//! Rows are alike if they differ in their numbers alone: times, bytes, lengths of payload. Texts are compared by where they
//! lie, not by what they say: a batch has each word once. Alike rows that are not taken for such count twice as one, and no
//! count differs.

use super::row::Sums;
use crate::schema::Event;

/// Runs that are collected before they are counted.
const LIMIT: usize = 128;
/// Places in which a run is looked for; a power of two.
const SLOTS: usize = 512;
/// Neighbours that are looked at.
const NEIGHBOURS: usize = 4;

/// Runs of alike rows of one batch.
#[derive(Debug)]
pub struct Runs<'a> {
    /// In the order of their first rows.
    all: Vec<Run<'a>>,
    /// Numbers of runs, from 1 on; 0 where there is none.
    slots: [u16; SLOTS],
    /// Where the run of the row before is.
    last: usize,
    /// Rows so far.
    rows: u64,
}

#[derive(Debug)]
struct Run<'a> {
    first: Event<'a>,
    sums: Sums,
    /// Number of its last row.
    end: u64,
}

impl Default for Runs<'_> {
    fn default() -> Self {
        Runs { all: Vec::new(), slots: [0; SLOTS], last: 0, rows: 0 }
    }
}

impl<'a> Runs<'a> {
    /// Adds a row to its run, if there is one.
    pub(super) fn add(&mut self, event: &Event<'a>) -> bool {
        self.rows += 1;
        let is_of_last = self.all.get(self.last).is_some_and(|run| are_alike(&run.first, event));
        let found = if is_of_last { Some(self.last) } else { self.find(event) };
        let Some(run) = found.and_then(|at| self.all.get_mut(at)) else { return false };
        run.sums.add(event);
        run.end = self.rows;
        self.last = found.unwrap_or_default();
        true
    }

    fn find(&self, event: &Event<'a>) -> Option<usize> {
        places(event).find_map(|place| {
            let at = usize::from(*self.slots.get(place)?).checked_sub(1)?;
            are_alike(&self.all.get(at)?.first, event).then_some(at)
        })
    }

    pub(super) fn is_full(&self) -> bool {
        self.all.len() >= LIMIT
    }

    /// Begins a run with a row that is in none.
    pub(super) fn begin(&mut self, event: &Event<'a>) {
        self.all.push(Run { first: *event, sums: Sums::of(event), end: self.rows });
        self.last = self.all.len() - 1;
        let free = places(event).find(|place| self.slots.get(*place) == Some(&0));
        // Without a place, the next such row begins another run.
        if let (Some(place), Ok(number)) = (free, u16::try_from(self.all.len()))
            && let Some(slot) = self.slots.get_mut(place)
        {
            *slot = number;
        }
    }

    /// A row of each run and the numbers of all, in the order of their first rows.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (&Event<'a>, &Sums)> {
        self.all.iter().map(|run| (&run.first, &run.sums))
    }

    /// A row of each run, in the order of their last rows; none where that is the same order.
    pub(super) fn in_order_of_ends(&self) -> impl Iterator<Item = &Event<'a>> {
        let mut ends: Vec<&Run<'a>> =
            if self.all.is_sorted_by_key(|run| run.end) { Vec::new() } else { self.all.iter().collect() };
        ends.sort_unstable_by_key(|run| run.end);
        ends.into_iter().map(|run| &run.first)
    }

    pub(super) fn clear(&mut self) {
        if !self.all.is_empty() {
            self.all.clear();
            self.slots = [0; SLOTS];
        }
    }
}

/// Where the run of a row may be.
fn places(event: &Event<'_>) -> impl Iterator<Item = usize> {
    let at = |text: Option<&str>| text.map_or(0, |text| text.as_ptr() as usize as u64);
    let words = [
        event.pid as u32 as u64 | (event.target_pid.unwrap_or(0) as u32 as u64) << 32,
        at(Some(event.event)),
        at(Some(event.comm)) ^ at(event.errno).rotate_left(20),
        at(event.direction) ^ at(event.fd_in_path).rotate_left(20),
        event.pipe_in.unwrap_or(0) ^ event.pipe_out.unwrap_or(0).rotate_left(32),
    ];
    let hash =
        words.into_iter().fold(0u64, |hash, word| (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (0..NEIGHBOURS).map(move |next| ((hash >> 40) as usize + next) % SLOTS)
}

/// Whether two rows differ in their numbers alone. Every column that is counted or compared is one of these, a number, or
/// of events that are in no run.
fn are_alike(a: &Event<'_>, b: &Event<'_>) -> bool {
    a.pid == b.pid
        && a.target_pid == b.target_pid
        && is_same(Some(a.event), Some(b.event))
        && is_same(Some(a.comm), Some(b.comm))
        && is_same(a.errno, b.errno)
        && moves(a) == moves(b)
        && is_same(a.direction, b.direction)
        && is_same(a.exe, b.exe)
        && a.uid == b.uid
        && is_same(a.process_key, b.process_key)
        && is_same(a.target_comm, b.target_comm)
        && is_same(a.target_exe, b.target_exe)
        && a.target_uid == b.target_uid
        && is_same(a.target_key, b.target_key)
        && is_same(a.iov_verdict, b.iov_verdict)
        && a.toctou == b.toctou
        && is_same(a.fd_in_path, b.fd_in_path)
        && is_same(a.fd_out_path, b.fd_out_path)
        && a.pipe_in == b.pipe_in
        && a.pipe_out == b.pipe_out
        && is_same(a.payload_status, b.payload_status)
        && is_same(a.host, b.host)
        && reach_the_same(a, b)
}

/// Whether the mappings that two rows reach have the same names.
fn reach_the_same(a: &Event<'_>, b: &Event<'_>) -> bool {
    match (a.remote_regions, b.remote_regions) {
        (Some(a), Some(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| is_same(Some(a.path), Some(b.path)))
        }
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn moves(event: &Event<'_>) -> bool {
    event.bytes.is_some_and(|bytes| bytes > 0)
}

/// Whether both are the same piece of memory.
fn is_same(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => std::ptr::eq(a, b),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}
