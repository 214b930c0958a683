//! Where a file ends and the next one begins.

use anyhow::Result;

use super::Encoder;
use crate::output::Output;
use crate::record::encode::checkpoint::Cut;
use crate::record::encode::news::NewFile;
use crate::record::ledger::{Counted, Since, ledger};
use crate::schema::manifest::{Clocks, Hook, LedgerRow};
use crate::schema::vocabulary::EndReason;

impl Encoder {
    /// Ends the present file when all that happened before the cut's instant is in it. `recover` makes one file.
    pub(super) fn await_cut(&mut self, cut: Cut) {
        if self.running.is_some() {
            let behind = self.cuts.partition_point(|other| other.at.monotonic_ns <= cut.at.monotonic_ns);
            self.cuts.insert(behind, cut);
        }
        self.cut_where_due();
    }

    pub(super) fn cut_where_due(&mut self) {
        while let Some(cut) = self.cuts.front()
            && self.reorder.is_past(u64::try_from(cut.at.monotonic_ns).unwrap_or(0))
        {
            let cut = cut.clone();
            self.cuts.pop_front();
            self.cut(cut.reason, Some(cut.at));
        }
    }

    pub(super) fn look_at_size(&mut self) {
        if let Some(running) = &self.running
            && self.series.output().is_some_and(Output::is_scarce)
        {
            running.disk_policy.is_scarce();
        }
        let bytes = self.series.bytes();
        // One more row group must not go beyond it.
        let full = |limit: u64| self.finished_bytes + bytes + self.sizes.group.unwrap_or(0) >= limit;
        if self.sizes.recording.is_some_and(full)
            && let Some(running) = &self.running
        {
            running.disk_policy.reached_max_size();
            self.table.end();
        }
        if self.sizes.file.is_some_and(|limit| bytes >= limit) {
            self.cut(EndReason::Rotated, None);
        }
    }

    /// Ends the present file and begins the next, at the instant `at` or now.
    pub(super) fn cut(&mut self, reason: EndReason, at: Option<Clocks>) {
        let Some(running) = self.running.as_ref().filter(|_| !self.full && self.error.is_none()) else { return };
        match running.counters.read() {
            Ok(counted) => {
                self.counted_ns = counted.clocks.monotonic_ns;
                let possible = self.counted.clocks.monotonic_ns..=self.counted_ns;
                let clocks = match at {
                    Some(at) if possible.contains(&at.monotonic_ns) => at,
                    // The file already contained later rows when the cut was requested.
                    Some(at) if at.monotonic_ns < self.counted_ns => counted.clocks.at(*possible.start()),
                    _ => counted.clocks,
                };
                self.counted = Counted { clocks, ..counted };
            }
            Err(error) => {
                self.fail(error);
                return;
            }
        }
        self.flush(self.flight_recorder.is_none());
        if self.flight_recorder.is_some() && !self.write_kept() {
            return;
        }
        self.series.number();
        // Of those that end so, the others are requested for an instant.
        let triggered = reason == EndReason::Triggered && at.is_none();
        let next = self.close(reason, &[], None).and_then(|()| self.begin_next());
        let named = self.publish(triggered);
        if let Err(error) = next.and(named) {
            self.fail(error);
        }
    }

    /// Names the file that was closed, and says so to the main thread. `triggered`: the trigger has made it.
    pub(super) fn publish(&mut self, triggered: bool) -> Result<()> {
        if let Some(path) = self.series.publish()?
            && let Some(running) = &self.running
        {
            running.news.add(NewFile { path, triggered });
        }
        Ok(())
    }

    /// Begins a file before the one before it is named, so that a killed recorder leaves a name to recover from.
    pub(super) fn begin_next(&mut self) -> Result<()> {
        if self.table.rows() == 0 {
            // Records that gave no row are counted in `since`: they must not be read again.
            self.began = self.reorder.place();
        }
        self.since = Since { kernel: self.counted.kernel.clone(), own: self.table.outcomes.clone() };
        self.first_seq = self.table.next_seq();
        self.series.begin(&self.begin, self.counted.clocks, self.first_seq)?;
        let outcomes = self.table.outcomes.clone();
        self.checkpoint(0, &outcomes);
        self.release(self.began.from);
        Ok(())
    }

    /// Closes the present file.
    pub(super) fn close(&mut self, reason: EndReason, gaps: &[String], hooks: Option<&[Hook]>) -> Result<()> {
        let mut manifest = self.begin.clone();
        manifest.end = self.counted.clocks;
        let ledger = ledger(&self.since, &self.counted.kernel, &self.table.outcomes);
        manifest.ledger = LedgerRow::joined(&self.before, ledger);
        manifest.gaps.extend(gaps.iter().filter(|gap| !self.begin.gaps.contains(gap)).cloned());
        if let Some(hooks) = hooks {
            manifest.hooks = hooks.to_vec();
        }
        manifest.regions = self.decoder.readings();
        manifest.end_clock = self.end_clock.clone();
        manifest.end_reason = reason.as_str().into();
        let bytes = self.series.bytes();
        self.series.close(&manifest, self.first_seq)?;
        self.finished_bytes += bytes;
        Ok(())
    }
}
