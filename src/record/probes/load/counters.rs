//! The kernel's counters, readable by any thread.

use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapFlags, MapHandle, Object};

use super::skips::Skips;
use crate::record::decode::event_kind;
use crate::record::host;
use crate::record::ledger::{Counted, KernelCounts, KernelEntry};
use crate::record::wire::{self, VMT_KINDS, vmt_stats};

/// Where the kernel counts.
#[derive(Debug)]
pub struct Counters {
    stats: MapHandle,
    /// Loaded programs by name.
    programs: Vec<(String, OwnedFd)>,
    before: Skips,
}

impl Counters {
    pub(super) fn of<'a>(stats: &MapHandle, objects: impl Iterator<Item = &'a Object>, before: &Skips) -> Result<Self> {
        let programs = objects.flat_map(|object| object.progs()).filter(|p| p.autoload()).map(|program| {
            let fd = program.as_fd().try_clone_to_owned().context("a program cannot be shared")?;
            Ok((program.name().to_string_lossy().into_owned(), fd))
        });
        let stats = MapHandle::try_from(stats).context("the counters cannot be shared")?;
        Ok(Counters { stats, programs: programs.collect::<Result<_>>()?, before: before.clone() })
    }

    /// What was counted since recording began.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn read(&self) -> Result<Counted> {
        let skips = Skips::of_programs(&self.programs).since(&self.before);
        let mut kernel = KernelCounts::new();
        for wire in 0..VMT_KINDS {
            let Some(kind) = event_kind(wire) else { continue };
            let entry = self.entry(wire)?;
            let entry = KernelEntry { skipped: skips.of_event(kind), ..entry };
            if entry != KernelEntry::default() {
                kernel.insert(kind, entry);
            }
        }
        Ok(Counted { clocks: host::clocks(), kernel })
    }

    fn entry(&self, wire: u32) -> Result<KernelEntry> {
        let per_cpu = self.stats.lookup_percpu(&wire.to_ne_bytes(), MapFlags::ANY)?;
        let mut sum = vmt_stats::default();
        for bytes in per_cpu.into_iter().flatten() {
            let (cpu, _) = wire::take::<vmt_stats>(&bytes).context("unexpected size of the stats map value")?;
            sum.seen += cpu.seen;
            sum.filtered += cpu.filtered;
            sum.lost += cpu.lost;
            sum.unplaced += cpu.unplaced;
            sum.delivered += cpu.delivered;
            sum.unknown += cpu.unknown;
        }
        Ok(sum.into())
    }
}
