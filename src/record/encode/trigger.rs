//! The flight recorder: row groups that are kept for a while, and written when the trigger is met.

use super::Encoder;
use crate::record::encode::flight_recorder::{FlightRecorder, Kept};
use crate::record::encode::reorder::Position;
use crate::record::ledger::Outcomes;
use crate::schema::group::EncodedGroup;
use crate::schema::vocabulary::EndReason;

/// Between two files that the trigger makes.
const TRIGGER_PAUSE_NS: i64 = 1_000_000_000;

impl Encoder {
    pub(super) fn is_old(&mut self) -> bool {
        if self.table.rows() <= 1 {
            self.began_ns = self.table.last_ns();
        }
        self.flight_recorder.as_ref().is_some_and(|recorder| recorder.is_old(self.began_ns, self.table.last_ns()))
    }

    pub(super) fn keep_group(&mut self, group: EncodedGroup, rows: &Outcomes, seq: u64, began: Position) {
        let (clocks, last_ns) = (self.counted.clocks, self.table.last_ns());
        let kept = Kept { group, outcomes: rows.clone(), clocks, seq, last_ns, from: began.from };
        let Some(recorder) = &mut self.flight_recorder else { return };
        let dropped = recorder.push(kept);
        let from = recorder.from();
        self.table.outcomes.add(&dropped);
        // Where the next group begins. A recovery from there does not have the groups before.
        let mut outcomes = self.table.outcomes.clone();
        outcomes.add(&recorder.as_forgotten());
        self.checkpoint(0, &outcomes);
        if let Some(from) = from {
            self.release(from);
        }
    }

    /// Puts the kept row groups into the present file. Whether there were any.
    pub(super) fn write_kept(&mut self) -> bool {
        let groups = self.flight_recorder.as_mut().map(FlightRecorder::take).unwrap_or_default();
        let Some(first) = groups.front() else { return false };
        self.first_seq = first.seq;
        for kept in groups {
            let written = !self.full && self.error.is_none() && self.append(&kept.group, kept.clocks, None);
            let outcomes = if written { kept.outcomes } else { kept.outcomes.unwritten(|e| &mut e.write_error) };
            self.table.outcomes.add(&outcomes);
        }
        true
    }

    /// Writes what is kept if the trigger was met; at most one file a second.
    pub(super) fn run_trigger(&mut self, now_ns: i64) {
        if self.triggered && now_ns.saturating_sub(self.triggered_ns) >= TRIGGER_PAUSE_NS {
            self.triggered_ns = now_ns;
            self.triggered = false;
            self.cut(EndReason::Triggered, None);
        }
        if let Some(running) = &self.running {
            running.disk_policy.set_trigger_waits(self.triggered);
        }
    }
}
