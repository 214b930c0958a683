//! The kernel's part of the ledger: read, and cleared after the self-test.

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapFlags};

use super::Programs;
use super::counters::Counters;
use super::skips::Skips;
use crate::record::wire::{self, VMT_KINDS, vmt_loss, vmt_stats};

impl Programs {
    /// The kernel's counters, to be read by any thread.
    ///
    /// # Errors
    /// When descriptors cannot be shared.
    pub fn counters(&self) -> Result<Counters> {
        let objects = [Some(&self.object), self.later.as_ref()].into_iter().flatten();
        Counters::of(self.maps.get("stats")?, objects, &self.skipped_before)
    }

    /// Forgets what was counted so far. Nothing may be recorded meanwhile.
    ///
    /// # Errors
    /// When the maps cannot be written.
    pub fn clear_ledger(&mut self) -> Result<()> {
        let (stats, losses) = (self.maps.get("stats")?, self.maps.get("losses")?);
        let zeros = |size: usize| vec![vec![0; size]; self.knobs.cpus as usize];
        let (no_stats, no_loss) = (zeros(size_of::<vmt_stats>()), zeros(size_of::<vmt_loss>()));
        for kind in 0..VMT_KINDS {
            stats
                .update_percpu(&kind.to_ne_bytes(), &no_stats, MapFlags::ANY)
                .context("the counters cannot be cleared")?;
        }
        losses.update_percpu(&0u32.to_ne_bytes(), &no_loss, MapFlags::ANY).context("the losses cannot be cleared")?;
        self.switches.set_untracked(0);
        self.forget_pipes()?;
        self.switches.set_calls_on_ended(0);
        self.forget_unknown_calls()?;
        self.skipped_before = self.all_skips();
        Ok(())
    }

    /// Forgets which pipes were fed.
    fn forget_pipes(&self) -> Result<()> {
        self.switches.set_pipes_fed(false);
        for name in ["fed_pipes", "feeders"] {
            let map = self.maps.get(name)?;
            for key in map.keys().collect::<Vec<_>>() {
                map.delete(&key).context("the pipes of the self-test cannot be forgotten")?;
            }
        }
        let order = self.maps.get("fed_order")?;
        while order.lookup_and_delete(&[]).context("the pipes of the self-test cannot be forgotten")?.is_some() {}
        Ok(())
    }

    fn all_skips(&self) -> Skips {
        Skips::read([Some(&self.object), self.later.as_ref()].into_iter().flatten())
    }

    /// Runs of our programs that the kernel has left out since recording began.
    pub fn skips(&self) -> Skips {
        self.all_skips().since(&self.skipped_before)
    }

    /// What each CPU lost and could no longer report, with the CPU's number.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn losses(&self) -> Result<Vec<(u32, vmt_loss)>> {
        let per_cpu = self.maps.get("losses")?.lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY)?.unwrap_or_default();
        let read = |bytes: &Vec<u8>| wire::take::<vmt_loss>(bytes).map(|(loss, _)| loss);
        Ok((0u32..).zip(per_cpu.iter().filter_map(read)).filter(|(_, loss)| loss.total > 0).collect())
    }
}
