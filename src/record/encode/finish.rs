//! The end of a recording: what no record says, the last file, and the ledger.

use anyhow::Result;

use super::{Encoder, Written};
use crate::record::encode::checkpoint::Finish;
use crate::record::ledger::{Entry, Since, added_by_wire, count, ledger, settle};
use crate::record::output::series;
use crate::record::wire::VMT_EVENTS;
use crate::schema::events::EventKind;
use crate::schema::vocabulary::{EndReason, LostCause};

impl Encoder {
    /// Writes everything that is there, and closes the last file.
    pub fn finish(mut self, end: Finish) -> Written {
        let cut = self.counted.clocks;
        self.counted = end.counted.clone();
        // A file may have been cut after the hooks were removed.
        self.come_to(cut);
        self.end_clock = end.clock.clone();
        // Records that were announced and did not arrive.
        self.cuts.retain(|announced| announced.at.monotonic_ns <= end.counted.clocks.monotonic_ns);
        self.reorder.release_all();
        self.decode_ready();
        // Before the requests below, which were never in a ring.
        let mut came = self.outcomes();
        if end.killed {
            settle(&mut self.counted.kernel, &self.since.kernel, &came);
        }
        let kernel = &self.counted.kernel;
        let ended: fn(&mut Entry) -> &mut u64 = if end.killed { |e| &mut e.crashed } else { |e| &mut e.unread };
        let unread = came.count_unread(kernel, ended);
        self.table.outcomes.count_missing(&came);
        self.emit_trailing_losses(&end, &unread);
        self.flush(self.flight_recorder.is_none());
        if let Some(error) = self.error.take() {
            let finished = self.series.finished().cloned().collect();
            let error = Some(error.context(self.series.left()));
            let (rows, tap) = (self.rows(), self.table.take_tap());
            return Written { finished, ledger: Vec::new(), rows, full: self.full, error, tap };
        }
        let triggered = self.triggered || self.table.was_triggered();
        let nothing_new = self.flight_recorder.is_some() && !self.write_kept() && self.series.index() > 1;
        if nothing_new {
            self.series.discard();
        } else if let Err(error) = self.close_last(&end).and_then(|()| self.publish(triggered)) {
            self.error.get_or_insert(error);
        }
        let ledger = ledger(&Since::default(), &self.counted.kernel, &self.table.outcomes);
        let (rows, tap) = (self.rows(), self.table.take_tap());
        let finished = self.series.finished().cloned().collect();
        Written { finished, ledger, rows, full: self.full, error: self.error, tap }
    }

    pub(super) fn close_last(&mut self, end: &Finish) -> Result<()> {
        let mut tries = 0;
        // The disk may have become full after the recording had ended for another reason.
        let limit = self.running.as_ref().and_then(|_| self.table.ended_by());
        let reason = if self.full { EndReason::DiskFull } else { limit.unwrap_or(end.reason) };
        while self.series.is_open() {
            let Err(error) = self.close(reason, &end.gaps, Some(&end.hooks)) else { break };
            let made = self.running.as_ref().is_some_and(|running| {
                let io = series::io_cause(&error);
                io.is_some_and(|io| {
                    running.disk_policy.make_space(&mut self.series, &running.journal, u64::MAX, io, &mut tries)
                })
            });
            if !made {
                return Err(error.context(self.series.left()));
            }
        }
        Ok(())
    }

    /// Rows of what is not in a ring any more: requests without completion, and losses at the end.
    pub(super) fn emit_trailing_losses(&mut self, end: &Finish, unread: &[u32]) {
        for request in &end.requests {
            // Stored at the map's value size; the record contains its own size.
            let size = request.first_chunk().map_or(0, |b| u32::from_ne_bytes(*b) as usize);
            let record = request.get(..size).unwrap_or(request);
            if self.decoder.record(record, &mut self.table).is_err() {
                count(&mut self.table.outcomes.of(EventKind::Lost).undecodable);
            }
        }
        for loss in &end.losses {
            let counts = loss.count.get(..VMT_EVENTS as usize).unwrap_or_default();
            self.decoder.lost(loss.cpu, loss.first_ns, loss.last_ns, counts, LostCause::RingFull, &mut self.table);
        }
        self.emit_unrecorded_losses();
        let last_ns = u64::try_from(self.table.last_ns()).unwrap_or(0);
        let end_ns = u64::try_from(end.counted.clocks.monotonic_ns).unwrap_or(0);
        let cause = if end.killed { LostCause::RecorderKilled } else { LostCause::LeftInRing };
        self.decoder.lost(0, last_ns, end_ns, unread, cause, &mut self.table);
    }

    /// Rows of losses that only the kernel's counters show: of all CPUs together, between their last two readings.
    pub(super) fn emit_unrecorded_losses(&mut self) {
        let [first_ns, last_ns] =
            [&self.reported, &self.counted].map(|c| u64::try_from(c.clocks.monotonic_ns).unwrap_or(0));
        let added = |of| added_by_wire(&self.reported.kernel, &self.counted.kernel, of);
        let causes = [(LostCause::ScratchFull, added(|k| k.unplaced)), (LostCause::HookSkipped, added(|k| k.skipped))];
        for (cause, counts) in causes {
            self.decoder.lost(0, first_ns, last_ns, &counts, cause, &mut self.table);
        }
        self.reported = self.counted.clone();
    }
}
