//! Frames of the journal to captures: order, decode, build, encode, and when a file ends.
//!
//! What comes out depends on the frames alone (and, while recording, on how full the disk is), so that `recover` makes
//! the same of them as the recorder would have. Owns the order of events; files are [`super::series`]'s, rows
//! [`super::table`]'s.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use serde::de::DeserializeOwned;

use super::books::{Books, Counted, Entry, KernelBooks, Since, added_by_wire, count, ledger, settle};
use super::checkpoint::{Checkpoint, Cut, Finish, Living};
use super::decode::Decoder;
use super::journal::{Frame, Journal, Kind};
use super::keep::{Keep, Kept};
use super::load::Counters;
use super::reorder::{Place, Reorder};
use super::room::Room;
use super::series::{self, Finished, Series};
use super::table::Table;
use super::wire::VMT_KINDS;
use crate::schema::events::EventKind;
use crate::schema::group::EncodedGroup;
use crate::schema::limits::Limits;
use crate::schema::manifest::{self, ClockState, Clocks, Hook, LedgerRow, Manifest};
use crate::schema::partial::PartialGroup;
use crate::schema::reader::{Capture, Scan};
use crate::schema::vocabulary::{EndReason, LostCause};

/// Between two files that the trigger makes.
const TRIGGER_PAUSE_NS: i64 = 1_000_000_000;

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
    /// The kernel's books.
    pub counters: Counters,
    /// What is done when the disk is full, and what main is told.
    pub room: Arc<Room>,
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
    keep: Option<Keep>,
    sizes: Sizes,
    counted: Counted,
    /// mono_ns when they were read; the clocks in them may be those of a cut before.
    counted_ns: i64,
    /// Where files are to end, in the order of their instants.
    cuts: VecDeque<Cut>,
    /// The books of which `lost` rows tell all that no record does.
    told: Counted,
    end_clock: Option<ClockState>,
    /// Of files that were copied into this one: what their ledgers say.
    before: Vec<LedgerRow>,
    /// Books at the begin of the present file.
    since: Since,
    /// `seq` of its first row.
    first_seq: u64,
    /// Records that come out again, and are in the file already.
    skip: u64,
    /// Where the rows in `table` begin.
    began: Place,
    /// mono_ns of the first of them.
    began_ns: i64,
    /// A row has met the trigger, and is in no file yet.
    triggered: bool,
    /// mono_ns when the trigger last made a file.
    told_ns: i64,
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
    /// The books of the whole recording.
    pub ledger: Vec<LedgerRow>,
    /// Rows of the last file.
    pub rows: u64,
    /// Whether something was not written since the disk is full.
    pub full: bool,
    /// Why something was not written, if that is so.
    pub error: Option<anyhow::Error>,
}

impl Encoder {
    /// An encoder of a recording that begins with `begin`. The first file's begin is written.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn new(begin: Manifest, decoder: Decoder, table: Table, mut series: Series) -> Result<Self> {
        series.begin(&begin, begin.start, table.next_seq())?;
        // Of an unfinished file of a series that is recovered, its own begin.
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
            keep: None,
            sizes: Sizes::default(),
            told: counted.clone(),
            counted_ns: counted.clocks.monotonic_ns,
            counted,
            cuts: VecDeque::new(),
            end_clock: None,
            before: Vec::new(),
            since: Since::default(),
            first_seq,
            skip: 0,
            began: Place::default(),
            began_ns: 0,
            triggered: false,
            told_ns: i64::MIN,
            finished_bytes: 0,
            full: false,
            error: None,
        })
    }

    /// The same for a recording under way.
    pub fn of_running(self, running: Running, sizes: Sizes, keep: Option<Keep>) -> Self {
        Encoder { running: Some(running), sizes, keep, ..self }
    }

    /// Copies a row group of a file of the same recording.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn adopt(&mut self, source: &File, group: &PartialGroup) -> Result<()> {
        self.series.adopt(source, group)?;
        self.come_to(group.clocks);
        self.table.restore(group.seq.1.saturating_add(1), group.mono_ns.1, 0, Books::default());
        Ok(())
    }

    /// The clocks have been read later than those that are known: what comes now is no older.
    fn come_to(&mut self, clocks: Clocks) {
        if clocks.monotonic_ns > self.counted.clocks.monotonic_ns {
            self.counted.clocks = clocks;
        }
    }

    /// The file goes on where files end whose ledger is this one, and whose rows were copied.
    pub fn precede(&mut self, ledger: Vec<LedgerRow>) {
        self.before = ledger;
    }

    /// Counts the rows that were copied, where nothing says what else was seen. Returns what they tell of the kernel's books.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn count_adopted(&mut self, limits: Limits) -> Result<KernelBooks> {
        self.series.write_footer(&self.begin)?;
        let capture = Capture::open_within(self.series.output().partial(), limits)?;
        let columns = vec!["event", "bytes", "errno", "lost_count", "lost_event", "lost_cause"];
        for batch in capture.scan(&Scan { columns, ..Scan::default() })? {
            batch?.iter().for_each(|event| self.table.books.count_row(&event, &mut self.told.kernel));
        }
        Ok(self.told.kernel.clone())
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
    pub fn books(&self) -> Books {
        let mut books = self.table.books.clone();
        books.add(self.table.rows_so_far());
        if let Some(keep) = &self.keep {
            books.add(&keep.as_forgotten());
        }
        books
    }

    /// Goes on behind what a checkpoint says is written.
    pub fn restore(&mut self, checkpoint: Checkpoint) {
        self.skip = checkpoint.place.skip;
        let Checkpoint { place, seq, last_ns, transfers, books, since, known, told, .. } = checkpoint;
        self.reorder = Reorder::at(place);
        self.table.restore(seq, last_ns, transfers, books);
        self.decoder.restore(known);
        (self.since, self.began, self.told) = (since, place, told);
    }

    /// Whether the kernel's books can be read, with the capabilities now in effect.
    pub fn reads_books(&self) -> bool {
        self.running.as_ref().is_none_or(|running| running.counters.read().is_ok())
    }

    /// Takes a frame. Returns what is left of the recording if it was the last.
    ///
    /// # Errors
    /// When the frame cannot be understood.
    pub fn take(&mut self, frame: &Frame) -> Result<Option<Finish>> {
        self.look_at_journal();
        match frame.kind {
            Kind::Records => self.records(frame),
            Kind::Living => {
                let Living(living) = json(frame)?;
                let at = signed(frame.stamp_ns);
                living.iter().for_each(|s| self.decoder.introduce(s, at, &mut self.table));
            }
            Kind::Books => {
                let counted: Counted = json(frame)?;
                // By now every record from before the last books has come.
                self.tell_unrecorded();
                // Those of a cut were read when this frame was in the journal already.
                if counted.clocks.monotonic_ns >= self.counted_ns {
                    self.counted_ns = counted.clocks.monotonic_ns;
                    // The present file states no instant behind the one where it ends.
                    let ends = self.cuts.front().map_or(i64::MAX, |cut| cut.at.monotonic_ns);
                    let at_ns = self.counted_ns.min(ends).max(self.counted.clocks.monotonic_ns);
                    self.counted = Counted { clocks: counted.clocks.at(at_ns), ..counted };
                }
                self.tell_trigger(self.counted_ns);
            }
            Kind::Cut => self.await_cut(json(frame)?),
            Kind::Finish => return json(frame).map(Some),
            Kind::Begin | Kind::Answer | Kind::Checkpoint | Kind::Spare => (),
        }
        Ok(None)
    }

    fn records(&mut self, frame: &Frame) {
        if self.reorder.push(frame.number, frame.stamp_ns, &frame.payload) > 0 {
            count(&mut self.table.books.of(EventKind::Lost).undecodable);
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
                count(&mut self.table.books.of(refused.kind.unwrap_or(EventKind::Lost)).undecodable);
            }
            if self.table.is_full() || self.is_old() {
                self.flush(false);
            }
            self.triggered |= self.table.was_triggered();
            self.tell_trigger(self.table.last_ns());
        }
    }

    /// Ends the present file when all that happened before the cut's instant is in it. `recover` makes one file.
    fn await_cut(&mut self, cut: Cut) {
        if self.running.is_some() {
            let behind = self.cuts.partition_point(|other| other.at.monotonic_ns <= cut.at.monotonic_ns);
            self.cuts.insert(behind, cut);
        }
        self.cut_where_due();
    }

    fn cut_where_due(&mut self) {
        while let Some(cut) = self.cuts.front()
            && self.reorder.is_past(u64::try_from(cut.at.monotonic_ns).unwrap_or(0))
        {
            let cut = cut.clone();
            self.cuts.pop_front();
            self.cut(cut.reason, Some(cut.at));
        }
    }

    fn is_old(&mut self) -> bool {
        if self.table.rows() <= 1 {
            self.began_ns = self.table.last_ns();
        }
        self.keep.as_ref().is_some_and(|keep| keep.is_old(self.began_ns, self.table.last_ns()))
    }

    /// Makes a row group of the rows that are there. `last`: the file is closed next.
    fn flush(&mut self, last: bool) {
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
            Ok(group) if self.keep.is_some() => {
                self.keep_group(group, &rows, seq, began);
                return;
            }
            Ok(group) => {
                let clocks = self.counted.clocks;
                let mut books = self.table.books.clone();
                books.add(&rows);
                let number = self.checkpoint(self.series.groups() + 1, &books);
                self.append(&group, clocks, number)
            }
        };
        if !written {
            self.table.books.add(&rows.unwritten(|e| &mut e.write_error));
            return;
        }
        self.table.books.add(&rows);
        self.release(self.began.from);
        if !last {
            self.look_at_size();
        }
    }

    fn keep_group(&mut self, group: EncodedGroup, rows: &Books, seq: u64, began: Place) {
        let (clocks, last_ns) = (self.counted.clocks, self.table.last_ns());
        let kept = Kept { group, books: rows.clone(), clocks, seq, last_ns, from: began.from };
        let Some(keep) = &mut self.keep else { return };
        let dropped = keep.push(kept);
        let from = keep.from();
        self.table.books.add(&dropped);
        // Where the next group begins. Whoever goes on from there does not have those before.
        let mut books = self.table.books.clone();
        books.add(&keep.as_forgotten());
        self.checkpoint(0, &books);
        if let Some(from) = from {
            self.release(from);
        }
    }

    /// Says in the journal what it takes to go on from here, `groups` row groups into the present file.
    fn checkpoint(&mut self, groups: usize, books: &Books) -> Option<u64> {
        let running = self.running.as_ref()?;
        let checkpoint = Checkpoint {
            file: self.series.index(),
            groups,
            place: self.began,
            seq: self.table.next_seq(),
            first_seq: self.first_seq,
            last_ns: self.table.last_ns(),
            transfers: self.table.transfers(),
            books: books.clone(),
            since: self.since.clone(),
            known: self.decoder.known(),
            told: self.told.clone(),
        };
        running.journal.offer(Kind::Checkpoint, 0, &serde_json::to_vec(&checkpoint).ok()?)
    }

    /// Appends a group to the present file; makes room where the disk is full. Whether it is there.
    fn append(&mut self, group: &EncodedGroup, clocks: Clocks, checkpoint: Option<u64>) -> bool {
        let place = serde_json::json!({ "frame": checkpoint });
        let mut tries = 0;
        loop {
            let error = match self.series.append(group, clocks, &place) {
                Ok(()) => return true,
                Err(error) => error,
            };
            let path = self.series.output().partial().to_path_buf();
            let made = self.running.as_ref().is_some_and(|running| {
                running.room.make(&mut self.series, &running.journal, self.began.from, &error, &mut tries)
            });
            if !made && series::is_full(&error) && self.running.is_some() {
                // What is there is a capture all the same; its books say what is not.
                self.full = true;
                return false;
            }
            if !made {
                return self.fail(anyhow!("{}: {error}", path.display()));
            }
        }
    }

    fn fail(&mut self, error: anyhow::Error) -> bool {
        if let Some(running) = &self.running {
            running.room.fail(&error);
        }
        self.error.get_or_insert(error);
        false
    }

    fn release(&self, from: u64) {
        if let (Some(running), Some(file)) = (&self.running, self.series.file()) {
            running.journal.release(from, file);
        }
    }

    fn look_at_size(&mut self) {
        if let Some(running) = &self.running
            && self.series.output().is_scarce()
        {
            running.room.is_scarce();
        }
        let bytes = self.series.bytes();
        // One more row group must not go beyond it.
        let full = |limit: u64| self.finished_bytes + bytes + self.sizes.group.unwrap_or(0) >= limit;
        if self.sizes.recording.is_some_and(full)
            && let Some(running) = &self.running
        {
            running.room.reached_max_size();
            self.table.end();
        }
        if self.sizes.file.is_some_and(|limit| bytes >= limit) {
            self.cut(EndReason::Rotated, None);
        }
    }

    /// Ends the present file and begins the next, at the instant `at` or now.
    fn cut(&mut self, reason: EndReason, at: Option<Clocks>) {
        let Some(running) = self.running.as_ref().filter(|_| !self.full && self.error.is_none()) else { return };
        match running.counters.read() {
            Ok(counted) => {
                self.counted_ns = counted.clocks.monotonic_ns;
                let possible = self.counted.clocks.monotonic_ns..=self.counted_ns;
                let clocks = match at {
                    Some(at) if possible.contains(&at.monotonic_ns) => at,
                    // It was asked for when the file had come further already.
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
        self.flush(self.keep.is_none());
        if self.keep.is_some() && !self.write_kept() {
            return;
        }
        self.series.number();
        let next = self.close(reason, &[], None).and_then(|()| self.begin_next());
        let named = self.series.publish();
        if let Err(error) = next.and(named) {
            self.fail(error);
        }
    }

    /// Puts the kept row groups into the present file. Whether there were any.
    fn write_kept(&mut self) -> bool {
        let groups = self.keep.as_mut().map(Keep::take).unwrap_or_default();
        let Some(first) = groups.front() else { return false };
        self.first_seq = first.seq;
        for kept in groups {
            let written = !self.full && self.error.is_none() && self.append(&kept.group, kept.clocks, None);
            let books = if written { kept.books } else { kept.books.unwritten(|e| &mut e.write_error) };
            self.table.books.add(&books);
        }
        true
    }

    /// Begins a file before the one before it is named, so that a killed recorder leaves a name to recover from.
    fn begin_next(&mut self) -> Result<()> {
        if self.table.rows() == 0 {
            // Records that gave no row are counted in `since`: they must not come again.
            self.began = self.reorder.place();
        }
        self.since = Since { kernel: self.counted.kernel.clone(), own: self.table.books.clone() };
        self.first_seq = self.table.next_seq();
        self.series.begin(&self.begin, self.counted.clocks, self.first_seq)?;
        let books = self.table.books.clone();
        self.checkpoint(0, &books);
        self.release(self.began.from);
        Ok(())
    }

    /// Closes the present file.
    fn close(&mut self, reason: EndReason, gaps: &[String], hooks: Option<&[Hook]>) -> Result<()> {
        let mut manifest = self.begin.clone();
        manifest.end = self.counted.clocks;
        let ledger = ledger(&self.since, &self.counted.kernel, &self.table.books);
        manifest.ledger = LedgerRow::joined(&self.before, ledger);
        manifest.gaps.extend(gaps.iter().filter(|gap| !self.begin.gaps.contains(gap)).cloned());
        if let Some(hooks) = hooks {
            manifest.hooks = hooks.to_vec();
        }
        manifest.end_clock = self.end_clock.clone();
        manifest.end_reason = reason.as_str().into();
        let bytes = self.series.bytes();
        self.series.close(&manifest, self.first_seq)?;
        self.finished_bytes += bytes;
        Ok(())
    }

    /// Writes what is kept if the trigger was met; at most one file a second.
    fn tell_trigger(&mut self, now_ns: i64) {
        if self.triggered && now_ns.saturating_sub(self.told_ns) >= TRIGGER_PAUSE_NS {
            self.told_ns = now_ns;
            self.triggered = false;
            self.cut(EndReason::Triggered, None);
        }
        if let Some(running) = &self.running {
            running.room.set_trigger_waits(self.triggered);
        }
    }

    /// Does what is to be done where the disk took nothing of the journal.
    fn look_at_journal(&mut self) {
        let Some(running) = &self.running else { return };
        if let Some(error) = running.journal.failure() {
            running.room.journal_failed(&mut self.series, &running.journal, &error);
        }
    }

    /// Writes everything that is there, and closes the last file.
    pub fn finish(mut self, end: Finish) -> Written {
        let cut = self.counted.clocks;
        self.counted = end.counted.clone();
        // A file may have been cut when the hooks were gone already.
        self.come_to(cut);
        self.end_clock = end.clock.clone();
        // What was announced and did not come.
        self.cuts.retain(|announced| announced.at.monotonic_ns <= end.counted.clocks.monotonic_ns);
        self.reorder.release_all();
        self.decode_ready();
        // Before the requests below, which never were in a ring.
        let mut came = self.books();
        if end.killed {
            settle(&mut self.counted.kernel, &self.since.kernel, &came);
        }
        let kernel = &self.counted.kernel;
        let ended: fn(&mut Entry) -> &mut u64 = if end.killed { |e| &mut e.crashed } else { |e| &mut e.unread };
        let unread = came.count_unread(kernel, ended);
        self.table.books.count_missing(&came);
        self.tell_the_rest(&end, &unread);
        self.flush(self.keep.is_none());
        if let Some(error) = self.error.take() {
            let finished = self.series.finished().cloned().collect();
            let error = Some(error.context(self.series.left()));
            return Written { finished, ledger: Vec::new(), rows: self.rows(), full: self.full, error };
        }
        let nothing_new = self.keep.is_some() && !self.write_kept() && self.series.index() > 1;
        if nothing_new {
            self.series.discard();
        } else if let Err(error) = self.close_last(&end).and_then(|()| self.series.publish()) {
            self.error.get_or_insert(error);
        }
        let ledger = ledger(&Since::default(), &self.counted.kernel, &self.table.books);
        let rows = self.rows();
        let finished = self.series.finished().cloned().collect();
        Written { finished, ledger, rows, full: self.full, error: self.error }
    }

    fn close_last(&mut self, end: &Finish) -> Result<()> {
        let mut tries = 0;
        // It may have become so when the recording had ended for another reason.
        let limit = self.running.as_ref().and_then(|_| self.table.ended_by());
        let reason = if self.full { EndReason::DiskFull } else { limit.unwrap_or(end.reason) };
        while self.series.is_open() {
            let Err(error) = self.close(reason, &end.gaps, Some(&end.hooks)) else { break };
            let made = self.running.as_ref().is_some_and(|running| {
                let io = series::io_cause(&error);
                io.is_some_and(|io| running.room.make(&mut self.series, &running.journal, u64::MAX, io, &mut tries))
            });
            if !made {
                return Err(error.context(self.series.left()));
            }
        }
        Ok(())
    }

    /// Rows of what no ring told any more.
    fn tell_the_rest(&mut self, end: &Finish, unread: &[u32]) {
        for request in &end.requests {
            // Stored at the map's value size; the record says its own.
            let size = request.first_chunk().map_or(0, |b| u32::from_ne_bytes(*b) as usize);
            let record = request.get(..size).unwrap_or(request);
            if self.decoder.record(record, &mut self.table).is_err() {
                count(&mut self.table.books.of(EventKind::Lost).undecodable);
            }
        }
        for loss in &end.losses {
            let counts = loss.count.get(..VMT_KINDS as usize).unwrap_or_default();
            self.decoder.lost(loss.cpu, loss.first_ns, loss.last_ns, counts, LostCause::RingFull, &mut self.table);
        }
        self.tell_unrecorded();
        let last_ns = u64::try_from(self.table.last_ns()).unwrap_or(0);
        let end_ns = u64::try_from(end.counted.clocks.monotonic_ns).unwrap_or(0);
        let cause = if end.killed { LostCause::RecorderKilled } else { LostCause::LeftInRing };
        self.decoder.lost(0, last_ns, end_ns, unread, cause, &mut self.table);
    }

    /// Rows of losses that only the kernel's books show: of all CPUs together, between the books before and the last.
    fn tell_unrecorded(&mut self) {
        let [first_ns, last_ns] =
            [&self.told, &self.counted].map(|c| u64::try_from(c.clocks.monotonic_ns).unwrap_or(0));
        let added = |of| added_by_wire(&self.told.kernel, &self.counted.kernel, of);
        let causes = [(LostCause::ScratchFull, added(|k| k.unplaced)), (LostCause::HookSkipped, added(|k| k.skipped))];
        for (cause, counts) in causes {
            self.decoder.lost(0, first_ns, last_ns, &counts, cause, &mut self.table);
        }
        self.told = self.counted.clone();
    }
}

fn signed(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

fn json<T: DeserializeOwned>(frame: &Frame) -> Result<T> {
    manifest::parse(&frame.payload).with_context(|| format!("frame {} cannot be understood", frame.number))
}
