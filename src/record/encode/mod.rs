//! Frames of the journal to captures: order, decode, build, encode, and when a file ends.
//!
//! What comes out depends on the frames alone (and, while recording, on how full the disk is), so that `recover` makes
//! the same of them as the recorder would have. Owns the order of events; files are [`crate::record::output::series`]'s, rows
//! [`crate::record::encode::rows`]'s. Frames come in here; `groups` makes row groups of their rows, `trigger` keeps them for the flight
//! recorder, `rotation` ends one file and begins the next, `adopted` takes over what stands in files already, and `finish`
//! ends it all.

mod adopted;
pub mod checkpoint;
mod finish;
pub mod flight_recorder;
mod groups;
pub mod news;
pub mod reorder;
mod rotation;
pub mod rows;
mod trigger;

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use self::checkpoint::{Checkpoint, Cut, Finish, Living};
use self::flight_recorder::FlightRecorder;
use self::news::News;
use self::reorder::{Position, Reorder};
use self::rows::Table;
use super::decode::Decoder;
use super::journal::{Frame, FrameKind, Journal};
use crate::record::ledger::{Counted, Outcomes, Since, count};
use crate::record::live::Tap;
use crate::record::output::disk_policy::DiskPolicy;
use crate::record::output::series::{Finished, Series};
use crate::record::probes::load::Counters;
use crate::schema::events::EventKind;
use crate::schema::manifest::{self, ClockState, Clocks, LedgerRow, Manifest};

/// What ends a row group, a file, or the recording.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    /// Bytes that an encoded row group should have at most.
    pub group: Option<u64>,
    /// `-C`: a file ends with this many bytes.
    pub file: Option<u64>,
    /// `--max-size`: the recording does.
    pub recording: Option<u64>,
}

/// The running recording, as far as encoding needs it. `recover` has none.
#[derive(Debug)]
pub struct Running {
    /// Where checkpoints go.
    pub journal: Journal,
    /// The kernel's counters.
    pub counters: Counters,
    /// What is done when the disk is full, and what the main thread learns of it.
    pub disk_policy: Arc<DiskPolicy>,
    /// Finished files, for the main thread.
    pub news: Arc<News>,
}

/// Makes captures of frames.
#[derive(Debug)]
pub struct Encoder {
    running: Option<Running>,
    begin: Manifest,
    reorder: Reorder,
    decoder: Decoder,
    table: Table,
    series: Series,
    flight_recorder: Option<FlightRecorder>,
    sizes: Sizes,
    counted: Counted,
    /// mono_ns when they were read; the clocks in them may be those of a cut before.
    counted_ns: i64,
    /// Where files are to end, in the order of their instants.
    cuts: VecDeque<Cut>,
    /// The kernel's counters up to which `lost` rows have been written.
    reported: Counted,
    end_clock: Option<ClockState>,
    /// Of files that were copied into this one: what their ledgers say.
    before: Vec<LedgerRow>,
    /// Counters and outcomes where the current file begins.
    since: Since,
    /// `seq` of its first row.
    first_seq: u64,
    /// Records that come out again, and are in the file already.
    skip: u64,
    /// Where the rows in `table` begin.
    began: Position,
    /// mono_ns of the first of them.
    began_ns: i64,
    /// A row has met the trigger, and is in no file yet.
    triggered: bool,
    /// mono_ns when the trigger last made a file.
    triggered_ns: i64,
    /// Bytes of finished files.
    finished_bytes: u64,
    /// The disk is full, and there is no more room to be made.
    full: bool,
    error: Option<anyhow::Error>,
}

/// What is left when everything is written.
#[derive(Debug)]
pub struct Written {
    /// Finished files that are there, oldest first.
    pub finished: Vec<Finished>,
    /// The ledger of the whole recording.
    pub ledger: Vec<LedgerRow>,
    /// Rows of the last file.
    pub rows: u64,
    /// Whether something was not written since the disk is full.
    pub full: bool,
    /// Why something was not written, if that is so.
    pub error: Option<anyhow::Error>,
    /// Rows on their way to be shown.
    pub tap: Option<Tap>,
}

impl Written {
    /// The same, if everything was written.
    ///
    /// # Errors
    /// Why something was not.
    pub fn all(self) -> Result<Self> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }
}

impl Encoder {
    /// An encoder of a recording that begins with `begin`. The first file's begin is written.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn new(begin: Manifest, decoder: Decoder, table: Table, mut series: Series) -> Result<Self> {
        series.begin(&begin, begin.start, table.next_seq())?;
        // For an unfinished file of a recovered series, the beginning of that file.
        let clocks = begin.segment.as_ref().map_or(begin.start, |segment| segment.begin);
        let counted = Counted { clocks, ..Counted::default() };
        let first_seq = table.next_seq();
        Ok(Encoder {
            running: None,
            begin,
            reorder: Reorder::default(),
            decoder,
            table,
            series,
            flight_recorder: None,
            sizes: Sizes::default(),
            reported: counted.clone(),
            counted_ns: counted.clocks.monotonic_ns,
            counted,
            cuts: VecDeque::new(),
            end_clock: None,
            before: Vec::new(),
            since: Since::default(),
            first_seq,
            skip: 0,
            began: Position::default(),
            began_ns: 0,
            triggered: false,
            triggered_ns: i64::MIN,
            finished_bytes: 0,
            full: false,
            error: None,
        })
    }

    /// The same for a recording under way.
    pub fn of_running(self, running: Running, sizes: Sizes, flight_recorder: Option<FlightRecorder>) -> Self {
        Encoder { running: Some(running), sizes, flight_recorder, ..self }
    }

    /// The clocks have been read later than those that are known: what comes now is no older.
    fn come_to(&mut self, clocks: Clocks) {
        if clocks.monotonic_ns > self.counted.clocks.monotonic_ns {
            self.counted.clocks = clocks;
        }
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.table.next_seq().saturating_sub(self.first_seq)
    }

    /// Latest mono_ns of any row.
    pub fn last_ns(&self) -> i64 {
        self.table.last_ns()
    }

    /// What became of the records so far.
    pub fn outcomes(&self) -> Outcomes {
        let mut outcomes = self.table.outcomes.clone();
        outcomes.add(self.table.rows_so_far());
        if let Some(recorder) = &self.flight_recorder {
            outcomes.add(&recorder.as_forgotten());
        }
        outcomes
    }

    /// Goes on behind what a checkpoint says is written.
    pub fn restore(&mut self, checkpoint: Checkpoint) {
        self.skip = checkpoint.place.skip;
        let Checkpoint { place, seq, last_ns, transfers, outcomes, since, known, reported, .. } = checkpoint;
        self.reorder = Reorder::at(place);
        self.table.restore(seq, last_ns, transfers, outcomes);
        self.decoder.restore(known);
        (self.since, self.began, self.reported) = (since, place, reported);
    }

    /// Whether the kernel's counters can be read, with the capabilities now in effect.
    pub fn reads_counters(&self) -> bool {
        self.running.as_ref().is_none_or(|running| running.counters.read().is_ok())
    }

    /// Takes a frame. Returns what is left of the recording if it was the last.
    ///
    /// # Errors
    /// When the frame cannot be understood.
    pub fn take(&mut self, frame: &Frame) -> Result<Option<Finish>> {
        let taken = self.take_frame(frame);
        self.table.show();
        taken
    }

    fn take_frame(&mut self, frame: &Frame) -> Result<Option<Finish>> {
        self.look_at_journal();
        match frame.kind {
            FrameKind::Records => self.records(frame),
            FrameKind::Living => {
                let Living(living) = json(frame)?;
                let at = signed(frame.stamp_ns);
                living.iter().for_each(|s| self.decoder.introduce(s, at, &mut self.table));
            }
            FrameKind::Counters => {
                let counted: Counted = json(frame)?;
                // All records from before the last counters have arrived by now.
                self.emit_unrecorded_losses();
                // The counters of a cut were read after this frame was written to the journal.
                if counted.clocks.monotonic_ns >= self.counted_ns {
                    self.counted_ns = counted.clocks.monotonic_ns;
                    // The current file states no instant after its end.
                    let ends = self.cuts.front().map_or(i64::MAX, |cut| cut.at.monotonic_ns);
                    let at_ns = self.counted_ns.min(ends).max(self.counted.clocks.monotonic_ns);
                    self.counted = Counted { clocks: counted.clocks.at(at_ns), ..counted };
                }
                self.run_trigger(self.counted_ns);
            }
            FrameKind::Cut => self.await_cut(json(frame)?),
            FrameKind::Finish => return json(frame).map(Some),
            FrameKind::Begin | FrameKind::Answer | FrameKind::Checkpoint | FrameKind::Spare => (),
        }
        Ok(None)
    }

    fn records(&mut self, frame: &Frame) {
        if self.reorder.push(frame.number, frame.stamp_ns, &frame.payload) > 0 {
            count(&mut self.table.outcomes.of(EventKind::Lost).undecodable);
        }
        self.decode_ready();
    }

    /// Decodes what is in order, and writes row groups as they become full.
    fn decode_ready(&mut self) {
        loop {
            self.cut_where_due();
            let Some(record) = self.reorder.next() else { break };
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            if let Err(refused) = self.decoder.record(record, &mut self.table) {
                count(&mut self.table.outcomes.of(refused.kind.unwrap_or(EventKind::Lost)).undecodable);
            }
            if self.table.is_full() || self.is_old() {
                self.flush(false);
            }
            self.triggered |= self.table.was_triggered();
            self.run_trigger(self.table.last_ns());
        }
    }

    /// Does what is to be done where the disk took nothing of the journal.
    fn look_at_journal(&mut self) {
        let Some(running) = &self.running else { return };
        if let Some(error) = running.journal.failure() {
            running.disk_policy.journal_failed(&mut self.series, &running.journal, &error);
        }
    }
}

fn signed(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

fn json<T: DeserializeOwned>(frame: &Frame) -> Result<T> {
    manifest::parse(&frame.payload).with_context(|| format!("frame {} cannot be understood", frame.number))
}
