//! A first pass over the journal: what is complete in it, and from where it can be read again.

use anyhow::Result;

use crate::record::encode::checkpoint::Checkpoint;
use crate::record::identity::lookup::Recorded;
use crate::record::journal::{Frame, FrameKind, Reader};
use crate::record::ledger::Counted;
use crate::schema::manifest;

/// The place in a series of files that the journal is to go on from.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// Number of the last file, from 1.
    pub file: u64,
    /// Whole row groups in it.
    pub groups: usize,
}

impl End {
    fn fits(self, checkpoint: &Checkpoint) -> bool {
        (checkpoint.file, checkpoint.groups) == (self.file, self.groups)
    }

    /// Nothing of the recording is in a file.
    fn is_begin(self) -> bool {
        self.file == 1 && self.groups == 0
    }
}

/// Frames of the journal between which none is missing.
#[derive(Debug)]
pub struct Run {
    /// Number of the first.
    pub first: u64,
    /// What goes on where the file ends, from a frame of this run on.
    pub checkpoint: Option<Checkpoint>,
    /// The kernel's counters that were noted last.
    pub counted: Option<Counted>,
    /// ns of CLOCK_MONOTONIC, up to which everything has been taken from the rings.
    pub complete_until_ns: u64,
    /// Why the next frame is not known, if it is not.
    pub broken: Option<String>,
    /// Whether records follow the position to continue from.
    has_records: bool,
}

/// Where to go on from.
#[derive(Debug)]
pub struct Start {
    /// Number of the frame.
    pub from: u64,
    /// What is known there; nothing where the recording begins.
    pub checkpoint: Option<Checkpoint>,
}

impl Run {
    fn new(first: u64) -> Self {
        Run { first, checkpoint: None, counted: None, complete_until_ns: 0, broken: None, has_records: false }
    }

    fn take(&mut self, frame: &Frame, end: End) {
        match frame.kind {
            FrameKind::Records => {
                self.complete_until_ns = self.complete_until_ns.max(frame.stamp_ns);
                self.has_records |= self.from(end).is_some_and(|from| frame.number >= from);
            }
            FrameKind::Counters => self.counted = manifest::parse(&frame.payload).ok().or(self.counted.take()),
            FrameKind::Checkpoint => {
                let found: Option<Checkpoint> = manifest::parse(&frame.payload).ok();
                // The flight recorder writes no row groups: its rows begin with the first remaining checkpoint.
                let wanted = |c: &Checkpoint| end.fits(c) && (end.groups > 0 || self.checkpoint.is_none());
                if let Some(found) = found.filter(|c| wanted(c) && c.place.from >= self.first) {
                    self.checkpoint = Some(found);
                }
            }
            _ => (),
        }
    }

    /// The frame from which on it is to be read, to go on where the file ends.
    pub fn from(&self, end: End) -> Option<u64> {
        // Better than any checkpoint: the flight recorder's first checkpoint is behind the rows that it kept before.
        if end.is_begin() && self.first == 0 { Some(0) } else { self.checkpoint.as_ref().map(|c| c.place.from) }
    }

    /// Where that is.
    pub fn start(&mut self, end: End) -> Start {
        match self.from(end) {
            None | Some(0) => Start { from: 0, checkpoint: None },
            Some(from) => Start { from, checkpoint: self.checkpoint.take() },
        }
    }

    /// Whether rows before the place to go on from may have stood in what is missing before this run.
    fn misses_something(&self) -> bool {
        // Only the flight recorder has a checkpoint that is not where a file or a row group begins.
        self.checkpoint.as_ref().is_some_and(|c| c.groups == 0 && c.seq > c.first_seq)
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Survey {
    /// What the system had answered.
    pub answers: Recorded,
    /// The frames that go on where the file ends, if there are such.
    pub run: Option<Run>,
    /// What is missing, in words.
    pub gaps: Vec<String>,
}

impl Survey {
    /// Walks through the journal of a recording of which everything up to `end` is in files.
    ///
    /// # Errors
    /// When it cannot be read, or was written by another version of vmtrace.
    pub fn of(mut reader: Reader, end: End) -> Result<Self> {
        let mut survey = Survey::default();
        let mut runs = Vec::new();
        loop {
            let mut run: Option<Run> = None;
            while let Some(frame) = reader.next()? {
                if frame.kind == FrameKind::Answer {
                    survey.answers.learn(&frame.payload);
                }
                run.get_or_insert_with(|| Run::new(frame.number)).take(&frame, end);
            }
            let broken = reader.broken().map(str::to_string);
            match run {
                Some(run) => runs.push(Run { broken, ..run }),
                None => survey.gaps.extend(broken.map(|what| format!("the journal is damaged: {what}"))),
            }
            if !reader.resume() {
                break;
            }
        }
        survey.choose(runs, end);
        Ok(survey)
    }

    /// Of several runs that could be gone on from, the flight recorder's, the last one that holds anything.
    fn choose(&mut self, mut runs: Vec<Run>, end: End) {
        let rank = |run: &Run| (run.from(end).is_some(), run.has_records);
        let best = (0..runs.len()).max_by_key(|i| runs.get(*i).map(rank));
        let Some(best) = best.filter(|best| runs.get(*best).is_some_and(|run| run.from(end).is_some())) else {
            let damaged = |what: &String| format!("the journal is damaged: {what}");
            self.gaps.extend(runs.iter().filter_map(|run| run.broken.as_ref().map(damaged)));
            self.gaps.push("the journal does not continue where the file ends: its content is omitted".into());
            return;
        };
        let before: Vec<Run> = runs.drain(..best).collect();
        let Some(run) = runs.into_iter().next() else { return };
        if run.misses_something() {
            let broken = before.iter().filter_map(|run| run.broken.as_ref());
            self.gaps
                .extend(broken.map(|what| format!("the journal is damaged: {what}; what came before is not known")));
        } else {
            // Its rows are in a file.
            self.gaps.clear();
        }
        if let Some(broken) = &run.broken {
            self.gaps.push(format!("the journal is damaged: {broken}; what follows is not known"));
        }
        self.run = Some(run);
    }
}
