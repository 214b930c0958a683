//! Row groups of the encoder: made of the rows that are there, appended to the present file, and noted in the journal.

use anyhow::{Context, anyhow};

use super::Encoder;
use crate::record::encode::checkpoint::Checkpoint;
use crate::record::journal::FrameKind;
use crate::record::ledger::Outcomes;
use crate::record::output::series;
use crate::schema::group::EncodedGroup;
use crate::schema::manifest::Clocks;

impl Encoder {
    /// Makes a row group of the rows that are there. `last`: the file is closed next.
    pub(super) fn flush(&mut self, last: bool) {
        if self.series.output().is_none() {
            // They have been shown, and that is all.
            let rows = self.table.take_counts();
            self.table.outcomes.add(&rows);
            return;
        }
        if self.table.rows() == 0 {
            return;
        }
        let seq = self.table.next_seq().saturating_sub(self.table.rows() as u64);
        let raw = self.table.bytes();
        let (batch, rows) = self.table.take();
        let began = std::mem::replace(&mut self.began, self.reorder.place());
        let encoded = batch.and_then(|batch| EncodedGroup::encode(batch).context("a row group cannot be encoded"));
        if let (Ok(group), Some(wanted)) = (&encoded, self.sizes.group) {
            self.table.resize(raw, group.len(), wanted);
        }
        let written = match encoded {
            _ if self.full || self.error.is_some() => false,
            Err(error) => self.fail(error),
            Ok(group) if self.flight_recorder.is_some() => {
                self.keep_group(group, &rows, seq, began);
                return;
            }
            Ok(group) => {
                let clocks = self.counted.clocks;
                let mut outcomes = self.table.outcomes.clone();
                outcomes.add(&rows);
                let number = self.checkpoint(self.series.groups() + 1, &outcomes);
                self.append(&group, clocks, number)
            }
        };
        if !written {
            self.table.outcomes.add(&rows.unwritten(|e| &mut e.write_error));
            return;
        }
        self.table.outcomes.add(&rows);
        self.release(self.began.from);
        if !last {
            self.look_at_size();
        }
    }

    /// Says in the journal what it takes to go on from here, `groups` row groups into the present file.
    pub(super) fn checkpoint(&mut self, groups: usize, outcomes: &Outcomes) -> Option<u64> {
        let checkpoint = Checkpoint {
            file: self.series.index(),
            groups,
            place: self.began,
            seq: self.table.next_seq(),
            first_seq: self.first_seq,
            last_ns: self.table.last_ns(),
            transfers: self.table.transfers(),
            outcomes: outcomes.clone(),
            since: self.since.clone(),
            known: self.decoder.known(),
            reported: self.reported.clone(),
        };
        let running = self.running.as_ref()?;
        let number = running.journal.offer(FrameKind::Checkpoint, 0, &serde_json::to_vec(&checkpoint).ok()?);
        self.decoder.begin_anew();
        number
    }

    /// Appends a group to the present file; makes room where the disk is full. Whether it is there.
    pub(super) fn append(&mut self, group: &EncodedGroup, clocks: Clocks, checkpoint: Option<u64>) -> bool {
        let place = serde_json::json!({ "frame": checkpoint });
        let mut tries = 0;
        loop {
            let error = match self.series.append(group, clocks, &place) {
                Ok(()) => return true,
                Err(error) => error,
            };
            let path = self.series.partial();
            let made = self.running.as_ref().is_some_and(|running| {
                running.disk_policy.make_space(&mut self.series, &running.journal, self.began.from, &error, &mut tries)
            });
            if !made && series::is_full(&error) && self.running.is_some() {
                // The file is a capture all the same; its ledger counts what is missing.
                self.full = true;
                return false;
            }
            if !made {
                return self.fail(anyhow!("{path}: {error}"));
            }
        }
    }

    pub(super) fn fail(&mut self, error: anyhow::Error) -> bool {
        if let Some(running) = &self.running {
            running.disk_policy.fail(&error);
        }
        self.error.get_or_insert(error);
        false
    }

    pub(super) fn release(&self, from: u64) {
        if let (Some(running), Some(file)) = (&self.running, self.series.file()) {
            running.journal.release(from, file);
        }
    }
}
