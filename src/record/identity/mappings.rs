//! Which mappings ranges of a process's memory lie in: from /proc/PID/maps, read soon after the event.
//!
//! A reading is used for an event only if nothing was mapped, unmapped or changed in between. The kernel counts such changes.
//! The event has the count from before its first byte was copied, and a reading is made between two questions for the
//! count: all three must agree. Whatever cannot be shown to be right is not named.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::build_id::BuildIds;
use super::maps;
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

/// Asks the kernel about the mappings of processes.
pub trait AskKernel: std::fmt::Debug + Send {
    /// The present state of a process's mappings; `None` if it has none, or the kernel does not say.
    fn state(&self, pid: i32) -> Option<MappingState>;
    /// How often states were not noted that should have been.
    fn skipped(&self) -> u64;
}

/// Bytes of /proc/PID/maps that are read at most.
const MOST_BYTES: u64 = 16 << 20;
/// Readings per second, and bytes: what was not used in a second is left for later, up to the second number.
const READINGS: (f64, f64) = (100.0, 100.0);
const BYTES: (f64, f64) = ((4u64 << 20) as f64, MOST_BYTES as f64);
/// Of one address space so many readings per second.
const OF_ONE: (f64, f64) = (10.0, 10.0);
/// Address spaces remembered.
const MOST_SPACES: usize = 256;
/// Mappings remembered of all of them.
const MOST_MAPPINGS: usize = 500_000;

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
    /// As read when the count was this.
    read: Option<(u32, Arc<[Arc<Mapping>]>)>,
    budget: Budget,
    used: u64,
}

/// Readings of the system's /proc.
#[derive(Debug)]
pub struct Readings {
    kernel: Box<dyn AskKernel>,
    spaces: HashMap<u32, Space>,
    mappings: usize,
    uses: u64,
    readings: Budget,
    bytes: Budget,
    skipped: u64,
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
            kernel,
            spaces: HashMap::new(),
            mappings: 0,
            uses: 0,
            readings: Budget::new(READINGS, now),
            bytes: Budget::new(BYTES, now),
            build_ids: BuildIds::default(),
            counts: RegionReadings::default(),
        }
    }

    /// The mappings of process `pid` in a state, in order; `None` where that cannot be shown, which is counted.
    pub fn of(&mut self, pid: i32, state: MappingState) -> Option<Arc<[Arc<Mapping>]>> {
        let found = self.find(pid, state);
        match &found {
            Ok(_) => self.counts.named += 1,
            Err(why) => *why(&mut self.counts) += 1,
        }
        found.ok()
    }

    fn find(&mut self, pid: i32, state: MappingState) -> Result<Arc<[Arc<Mapping>]>, Why> {
        if state.space == 0 {
            return Err(|counts| &mut counts.not_noted);
        }
        self.uses += 1;
        let uses = self.uses;
        if let Some(space) = self.spaces.get_mut(&state.space) {
            space.used = uses;
            match &space.read {
                Some((changes, mappings)) if *changes == state.changes => return Ok(mappings.clone()),
                // The count has moved on, so that another reading would be of another state.
                _ if space.latest != state.changes && !is_later(state.changes, space.latest) => {
                    return Err(|counts| &mut counts.changed);
                }
                _ => (),
            }
        }
        let now = Instant::now();
        self.remember(state, now, uses);
        let space = self.spaces.get_mut(&state.space);
        let may = space.is_some_and(|space| space.budget.allows(now));
        if !may || !self.readings.allows(now) || !self.bytes.allows(now) {
            return Err(|counts| &mut counts.too_often);
        }
        let read = self.read(pid, state);
        if let Some(space) = self.spaces.get_mut(&state.space) {
            space.budget.spend(1.0);
            if let Ok(mappings) = &read {
                self.mappings += mappings.len();
                let before = space.read.replace((state.changes, mappings.clone()));
                self.mappings -= before.map_or(0, |(_, mappings)| mappings.len());
            }
        }
        read
    }

    /// Reads /proc/PID/maps, if the process is in that state before and behind.
    fn read(&mut self, pid: i32, state: MappingState) -> Result<Arc<[Arc<Mapping>]>, Why> {
        let before = self.kernel.state(pid);
        self.see(before);
        match before {
            Some(now) if now == state => (),
            Some(now) if now.space == state.space => return Err(|counts| &mut counts.changed),
            _ => return Err(|counts| &mut counts.gone),
        }
        self.readings.spend(1.0);
        self.counts.readings += 1;
        let mut text = Vec::new();
        let file = File::open(format!("/proc/{pid}/maps"));
        let read = file.and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut text));
        self.bytes.spend(text.len() as f64);
        self.counts.bytes += text.len() as u64;
        let after = self.kernel.state(pid);
        self.see(after);
        let skipped = self.kernel.skipped();
        if after != Some(state) || skipped != std::mem::replace(&mut self.skipped, skipped) {
            return Err(|counts| &mut counts.raced);
        }
        if read.is_err() || text.is_empty() {
            return Err(|counts| &mut counts.gone);
        }
        if text.len() as u64 > MOST_BYTES {
            return Err(|counts| &mut counts.too_large);
        }
        let mut mappings = maps::parse(&text).ok_or::<Why>(|counts| &mut counts.gone)?;
        self.build_ids.fill(pid, &mut mappings);
        Ok(mappings.into_iter().map(Arc::new).collect())
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
    fn remember(&mut self, state: MappingState, now: Instant, used: u64) {
        while self.spaces.len() >= MOST_SPACES || self.mappings > MOST_MAPPINGS {
            let oldest = self.spaces.iter().filter(|(number, _)| **number != state.space).min_by_key(|(_, s)| s.used);
            let Some(oldest) = oldest.map(|(number, _)| *number) else { break };
            let removed = self.spaces.remove(&oldest).and_then(|space| space.read);
            self.mappings -= removed.map_or(0, |(_, mappings)| mappings.len());
        }
        let new = || Space { latest: state.changes, read: None, budget: Budget::new(OF_ONE, now), used };
        self.spaces.entry(state.space).or_insert_with(new);
        self.see(Some(state));
    }
}

/// Whether a count is later than another: it may have gone round.
fn is_later(changes: u32, than: u32) -> bool {
    let ahead = changes.wrapping_sub(than);
    ahead != 0 && ahead < 1 << 31
}

/// Which number counts that mappings were not found.
type Why = fn(&mut RegionReadings) -> &mut u64;

/// The mapping of `mappings`, which are in order, that holds an address.
pub fn holding(mappings: &[Arc<Mapping>], address: u64) -> Option<&Arc<Mapping>> {
    let behind = mappings.partition_point(|mapping| mapping.start <= address);
    mappings.get(behind.checked_sub(1)?).filter(|mapping| address < mapping.end)
}
