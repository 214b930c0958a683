//! Which mappings ranges of a process's memory lie in: from /proc/PID/maps, read soon after the event.
//!
//! A reading is used for an event only if nothing was mapped, unmapped or changed in between. The kernel counts such changes.
//! The event has the count from before its first byte was copied, and a reading is made between two questions for the
//! count: all three must agree. An event that comes later can use the reading, too, if the kernel has stated that count
//! since: what the event has can be older than its call (bpf/regions.bpf.h). Whatever cannot be shown to be right is not
//! named.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::build_id::BuildIds;
use super::maps;
use crate::record::host::monotonic_ns;
use crate::schema::manifest::RegionReadings;
use crate::schema::regions::Mapping;

/// A state of the mappings of one address space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MappingState {
    /// Number of the address space, which no other of this boot has; 0 where it is not known.
    pub space: u32,
    /// Counts changes.
    pub changes: u32,
}

/// What a call has reached.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reached {
    /// The process whose memory it was.
    pub pid: i32,
    /// The state of its mappings before the first byte was copied, or before that.
    pub state: MappingState,
    /// When the call began, as far as that is known, and when it had ended, in ns of CLOCK_MONOTONIC.
    pub during_ns: (u64, u64),
}

/// Asks the kernel about the mappings of processes.
pub trait AskKernel: std::fmt::Debug + Send {
    /// The present state of a process's mappings; `None` if it has none, or the kernel does not say.
    fn state(&self, pid: i32) -> Option<MappingState>;
    /// How often states were not noted that should have been.
    fn skipped(&self) -> u64;
}

/// Bytes of /proc/PID/maps that are read at most: 65,530 mappings, as many as the kernel allows, usually take less.
const MOST_BYTES: u64 = 8 << 20;
/// Readings per second, and bytes: what was not used in a second is left for later, up to the second number.
const READINGS: (f64, f64) = (100.0, 100.0);
const BYTES: (f64, f64) = ((4u64 << 20) as f64, MOST_BYTES as f64);
/// Of one address space so many readings per second.
const OF_ONE: (f64, f64) = (10.0, 10.0);
/// Address spaces remembered.
const MOST_SPACES: usize = 256;
/// Bytes remembered of all of them, but for the latest.
const MOST_REMEMBERED: usize = 32 << 20;
/// A reading is used for so long: in that time no count goes round.
const MOST_AGE_NS: u64 = 60_000_000_000;

/// What may be spent, and how fast it grows again.
#[derive(Debug)]
struct Budget {
    rate: f64,
    most: f64,
    left: f64,
    at: Instant,
}

impl Budget {
    fn new((rate, most): (f64, f64), now: Instant) -> Self {
        Budget { rate, most, left: most, at: now }
    }

    /// Whether something is left.
    fn allows(&mut self, now: Instant) -> bool {
        let grown = now.saturating_duration_since(self.at).as_secs_f64() * self.rate;
        (self.left, self.at) = ((self.left + grown).min(self.most), now);
        self.left >= 1.0
    }

    /// May make debts.
    fn spend(&mut self, amount: f64) {
        self.left -= amount;
    }
}

/// What is known of one address space.
#[derive(Debug)]
struct Space {
    /// The latest count that was seen: a lower one does not come back.
    latest: u32,
    read: Option<Reading>,
    budget: Budget,
    used: u64,
}

/// The mappings of an address space when its count was this.
#[derive(Debug)]
struct Reading {
    changes: u32,
    mappings: Arc<[Arc<Mapping>]>,
    bytes: usize,
    at_ns: u64,
    /// The process of which the kernel has last stated that count, and when it was asked.
    confirmed: (i32, u64),
}

/// Readings of the system's /proc.
#[derive(Debug)]
pub struct Readings {
    kernel: Box<dyn AskKernel>,
    spaces: HashMap<u32, Space>,
    remembered: usize,
    uses: u64,
    readings: Budget,
    bytes: Budget,
    skipped: u64,
    /// Calls that began before this may have a note that is not their first.
    suspect_until_ns: u64,
    build_ids: BuildIds,
    /// What became of them.
    pub counts: RegionReadings,
}

impl Readings {
    /// Nothing read yet.
    pub fn new(kernel: Box<dyn AskKernel>) -> Self {
        let now = Instant::now();
        Readings {
            skipped: kernel.skipped(),
            suspect_until_ns: 0,
            kernel,
            spaces: HashMap::new(),
            remembered: 0,
            uses: 0,
            readings: Budget::new(READINGS, now),
            bytes: Budget::new(BYTES, now),
            build_ids: BuildIds::default(),
            counts: RegionReadings::default(),
        }
    }

    /// The mappings that a call has reached, in order; `None` where that cannot be shown, which is counted.
    pub fn of(&mut self, call: Reached) -> Option<Arc<[Arc<Mapping>]>> {
        let found = self.find(call);
        match &found {
            Ok(_) => self.counts.named += 1,
            Err(why) => *why(&mut self.counts) += 1,
        }
        found.ok()
    }

    fn find(&mut self, call: Reached) -> Result<Arc<[Arc<Mapping>]>, Why> {
        let Reached { pid, state, during_ns: (from_ns, until_ns) } = call;
        if state.space == 0 {
            return Err(|counts| &mut counts.not_noted);
        }
        self.uses += 1;
        if let Some(known) = self.known(state, until_ns) {
            let (mappings, (of, confirmed_ns)) = (known.mappings.clone(), known.confirmed);
            if of != pid || confirmed_ns < until_ns {
                self.confirm(pid, state)?;
            }
            return self.unless_suspect(from_ns, mappings);
        }
        // The count has moved on, so that a reading would be of another state.
        let space = self.spaces.get(&state.space);
        if space.is_some_and(|space| space.latest != state.changes && !is_later(state.changes, space.latest)) {
            return Err(|counts| &mut counts.changed);
        }
        let now = Instant::now();
        self.remember(state, now);
        let space = self.spaces.get_mut(&state.space);
        let may = space.is_some_and(|space| space.budget.allows(now));
        if !may || !self.readings.allows(now) || !self.bytes.allows(now) {
            return Err(|counts| &mut counts.too_often);
        }
        if let Some(space) = self.spaces.get_mut(&state.space) {
            space.budget.spend(1.0);
        }
        let mappings = self.read(pid, state)?;
        self.unless_suspect(from_ns, mappings)
    }

    /// What was read of a state, not too long ago.
    fn known(&mut self, state: MappingState, until_ns: u64) -> Option<&Reading> {
        let space = self.spaces.get_mut(&state.space)?;
        space.used = self.uses;
        let is_fresh = |read: &&Reading| until_ns <= read.at_ns.saturating_add(MOST_AGE_NS);
        space.read.as_ref().filter(|read| read.changes == state.changes).filter(is_fresh)
    }

    /// Asks whether a process is in a state still; notes of a reading of it when that was so.
    fn confirm(&mut self, pid: i32, state: MappingState) -> Result<(), Why> {
        let asked_ns = monotonic_ns();
        self.ask(pid, state)?;
        if let Some(read) = self.spaces.get_mut(&state.space).and_then(|space| space.read.as_mut()) {
            read.confirmed = (pid, asked_ns);
        }
        Ok(())
    }

    /// Asks whether a process is in a state.
    fn ask(&mut self, pid: i32, state: MappingState) -> Result<(), Why> {
        let asked_ns = monotonic_ns();
        let found = self.kernel.state(pid);
        self.see(found);
        let skipped = self.kernel.skipped();
        if self.skipped != skipped {
            (self.skipped, self.suspect_until_ns) = (skipped, asked_ns);
        }
        match found {
            Some(now) if now == state => Ok(()),
            Some(now) if now.space == state.space => Err(|counts| &mut counts.changed),
            _ => Err(|counts| &mut counts.gone),
        }
    }

    /// Refuses what a call has reached whose first note the kernel may have skipped: a later one proves less.
    fn unless_suspect<T>(&self, from_ns: u64, found: T) -> Result<T, Why> {
        if from_ns > self.suspect_until_ns { Ok(found) } else { Err(|counts| &mut counts.raced) }
    }

    /// Reads /proc/PID/maps, if the process is in that state before and behind.
    fn read(&mut self, pid: i32, state: MappingState) -> Result<Arc<[Arc<Mapping>]>, Why> {
        self.ask(pid, state)?;
        self.readings.spend(1.0);
        self.counts.readings += 1;
        let mut text = Vec::new();
        let file = File::open(format!("/proc/{pid}/maps"));
        let read = file.and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut text));
        self.bytes.spend(text.len() as f64);
        self.counts.bytes += text.len() as u64;
        let asked_ns = monotonic_ns();
        self.ask(pid, state).map_err::<Why, _>(|_| |counts| &mut counts.raced)?;
        if read.is_err() || text.is_empty() {
            return Err(|counts| &mut counts.gone);
        }
        if text.len() as u64 > MOST_BYTES {
            return Err(|counts| &mut counts.too_large);
        }
        let mut mappings = maps::parse(&text).ok_or::<Why>(|counts| &mut counts.unreadable)?;
        self.bytes.spend(self.build_ids.fill(pid, &mut mappings) as f64);
        let bytes = mappings.iter().map(bytes_of).sum();
        let mappings: Arc<[_]> = mappings.into_iter().map(Arc::new).collect();
        let (changes, confirmed) = (state.changes, (pid, asked_ns));
        self.put(state, Reading { changes, mappings: mappings.clone(), bytes, at_ns: asked_ns, confirmed });
        Ok(mappings)
    }

    /// Remembers a reading in the place of an earlier one.
    fn put(&mut self, state: MappingState, reading: Reading) {
        if let Some(space) = self.spaces.get_mut(&state.space) {
            self.remembered += reading.bytes;
            let before = space.read.replace(reading);
            self.remembered -= before.map_or(0, |reading| reading.bytes);
        }
    }

    /// Learns a count that the kernel has stated.
    fn see(&mut self, state: Option<MappingState>) {
        let Some(state) = state else { return };
        if let Some(space) = self.spaces.get_mut(&state.space)
            && is_later(state.changes, space.latest)
        {
            space.latest = state.changes;
        }
    }

    /// Makes room for an address space, and that one known.
    fn remember(&mut self, state: MappingState, now: Instant) {
        while self.spaces.len() >= MOST_SPACES || self.remembered > MOST_REMEMBERED {
            let oldest = self.spaces.iter().filter(|(number, _)| **number != state.space).min_by_key(|(_, s)| s.used);
            let Some(oldest) = oldest.map(|(number, _)| *number) else { break };
            let removed = self.spaces.remove(&oldest).and_then(|space| space.read);
            self.remembered -= removed.map_or(0, |reading| reading.bytes);
        }
        let new = || Space { latest: state.changes, read: None, budget: Budget::new(OF_ONE, now), used: self.uses };
        self.spaces.entry(state.space).or_insert_with(new);
        self.see(Some(state));
    }
}

/// Bytes that a mapping takes in memory.
fn bytes_of(mapping: &Mapping) -> usize {
    let Mapping { perms, path, device, build_id, .. } = mapping;
    size_of::<Mapping>() + [perms, path, device, build_id].map(String::len).iter().sum::<usize>()
}

/// Whether a count is later than another: it may have gone round.
fn is_later(changes: u32, than: u32) -> bool {
    let ahead = changes.wrapping_sub(than);
    ahead != 0 && ahead < 1 << 31
}

/// Which number counts that mappings were not found.
type Why = fn(&mut RegionReadings) -> &mut u64;

/// The mapping of `mappings`, which are in order, that holds an address, or the gap between them that does: its first address,
/// and the one behind it.
pub fn place(mappings: &[Arc<Mapping>], address: u64) -> Result<&Arc<Mapping>, (u64, u64)> {
    let behind = mappings.partition_point(|mapping| mapping.start <= address);
    let before = behind.checked_sub(1).and_then(|index| mappings.get(index));
    let gap = || (before.map_or(0, |mapping| mapping.end), mappings.get(behind).map_or(u64::MAX, |next| next.start));
    before.filter(|mapping| address < mapping.end).ok_or_else(gap)
}

#[cfg(test)]
mod tests;
