//! What is left of a recording: complete row groups, and frames of the journal after them.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::Recovered;
use super::found::{self, Sources};
use super::survey::{End, Run, Start, Survey};
use crate::record::encode::checkpoint::Finish;
use crate::record::encode::rows::{Asked, Progress, Table};
use crate::record::encode::{Encoder, Written};
use crate::record::journal::Reader;
use crate::record::ledger::{Counted, KernelCounts, Outcomes};
use crate::record::output::disk_policy::{DiskPolicy, OnFull};
use crate::record::output::series::{Plan, Series};
use crate::record::session::threads;
use crate::schema::events::EventSet;
use crate::schema::manifest::{Clocks, Manifest, Segment};
use crate::schema::reader::Capture;
use crate::schema::vocabulary::EndReason;

/// Bytes of payload in a row group.
const GROUP_BYTES: usize = 64 << 20;

/// What is left.
#[derive(Debug)]
pub struct Left<'a> {
    sources: &'a Sources,
    manifest: Manifest,
    survey: Survey,
    end: End,
}

impl<'a> Left<'a> {
    /// Looks what is there.
    ///
    /// # Errors
    /// When the journal cannot be read, or was written by another version of vmtrace.
    pub fn of(sources: &'a Sources) -> Result<Self> {
        let last = sources.last()?;
        let end = End { file: last.index(), groups: last.partial.groups.len() };
        let manifest = last.partial.manifest.clone();
        let mut left = Left { sources, manifest, survey: Survey::default(), end };
        match left.reader()? {
            Some(reader) => left.survey = Survey::of(reader, end)?,
            None => left.survey.gaps.push(MISSING.into()),
        }
        Ok(left)
    }

    fn reader(&self) -> Result<Option<Reader>> {
        Reader::left(&self.sources.last()?.recording(), &self.manifest.capture_id)
    }

    /// Writes the capture.
    ///
    /// # Errors
    /// When the output cannot be written or the inputs cannot be read.
    pub fn write(mut self, path: &Path, force: bool) -> Result<Recovered> {
        let plan = Plan { output: path.to_path_buf(), force, ..Plan::default() };
        let created = found::create(path, force)?;
        let output = created.0.clone();
        self.fill(Series::on(plan, created)).inspect_err(|_| output.discard())
    }

    fn fill(&mut self, series: Series) -> Result<Recovered> {
        let mut run = self.survey.run.take();
        let start = run.as_mut().map(|run| run.start(self.end));
        let (seq, ledger) = (self.first_seq(start.as_ref()), self.sources.ledger(start.is_some()));
        self.place(seq, ledger.is_none());
        let mut encoder = self.encoder(series, seq)?;
        let mut from_file = 0;
        for found in self.sources.files() {
            for group in &found.partial.groups {
                encoder.adopt(&found.file, group).with_context(|| found.path.display().to_string())?;
                from_file += group.rows;
            }
        }
        let counted = match ledger {
            Some(ledger) => {
                encoder.precede(ledger);
                KernelCounts::new()
            }
            None => encoder.count_adopted(self.sources.last()?.limits())?,
        };
        let rows_before = encoder.rows();
        let finish = match (run, start) {
            (Some(run), Some(start)) => {
                let (first, from) = (run.first, start.from);
                if let Some(checkpoint) = start.checkpoint {
                    encoder.restore(checkpoint);
                }
                match self.read_on(&mut encoder, first, from)? {
                    Some(finish) => finish,
                    None => self.killed(&encoder, run),
                }
            }
            _ => self.cut_off(&encoder, counted),
        };
        let gaps = finish.gaps.clone();
        let Written { finished, error, rows, .. } = encoder.finish(finish);
        if let Some(error) = error {
            return Err(error);
        }
        let finished = finished.first().context("no file was finished")?;
        let ledger = Capture::open_within(&finished.path, self.sources.last()?.limits())?.manifest().ledger.clone();
        let from_journal = rows.saturating_sub(rows_before);
        let damaged = !self.survey.gaps.is_empty();
        Ok(Recovered { from_file, from_journal, ledger, gaps, damaged, root: finished.root.clone() })
    }

    fn encoder(&mut self, series: Series, seq: u64) -> Result<Encoder> {
        let disk_policy = Arc::new(DiskPolicy::new(OnFull::Stop, Arc::default()));
        let filters = &self.manifest.filters;
        let events = EventSet::parse(&filters.events.join(",")).unwrap_or_else(|_| EventSet::all());
        let asked = Asked {
            events,
            count: filters.count,
            trigger: None,
            group_bytes: GROUP_BYTES,
            first_group_bytes: GROUP_BYTES,
            keep: true,
        };
        let mut table = Table::new(asked, Arc::new(Progress::default()), disk_policy);
        table.restore(seq, 0, 0, Outcomes::default());
        let answers = std::mem::take(&mut self.survey.answers).with_mappings(self.manifest.filters.regions);
        let decoder = threads::decoder(&self.manifest, Box::new(answers));
        Encoder::new(self.manifest.clone(), decoder, table, series)
    }

    /// Number of the first row: of the first one in the files; where there is none, the one that the journal goes on with.
    fn first_seq(&self, start: Option<&Start>) -> u64 {
        let group = self.sources.files().iter().find_map(|found| found.partial.groups.first());
        let checkpoint = start.and_then(|start| start.checkpoint.as_ref());
        let begin = self.sources.files().first().and_then(|found| found.partial.manifest.segment.as_ref());
        let begin = || begin.map_or(0, |segment| segment.first_seq);
        group.map(|group| group.seq.0).or(checkpoint.map(|c| c.seq)).unwrap_or_else(begin)
    }

    /// The capture takes the place of the first file among those of its recording.
    fn place(&mut self, first_seq: u64, ledger_from_rows: bool) {
        let first = self.sources.files().first().and_then(|found| found.partial.manifest.segment.clone());
        self.manifest.segment = first.map(|segment| Segment { first_seq, ..segment });
        self.manifest.ledger_from_rows = ledger_from_rows;
    }

    /// Reads the journal from a frame on, which stands in the run that begins with frame `first`. Returns how the
    /// recording ended, if the journal says.
    fn read_on(&self, encoder: &mut Encoder, first: u64, from: u64) -> Result<Option<Finish>> {
        let Some(mut reader) = self.reader()? else { return Ok(None) };
        let mut next = reader.next()?;
        while next.as_ref().is_none_or(|frame| frame.number != first) {
            if next.is_none() && !reader.resume() {
                bail!("the journal was changed while it was read");
            }
            next = reader.next()?;
        }
        while let Some(frame) = next {
            if frame.number >= from
                && let Some(mut finish) = encoder.take(&frame)?
            {
                finish.gaps.push("the recorder was killed while it finished: the capture was recovered".into());
                finish.reason = EndReason::Recovered;
                return Ok(Some(finish));
            }
            next = reader.next()?;
        }
        Ok(None)
    }

    /// The end of a recording that nobody ended.
    fn killed(&self, encoder: &Encoder, run: Run) -> Finish {
        let mut counted = run.counted.unwrap_or_default();
        let began = self.began();
        if counted.clocks.monotonic_ns < began.monotonic_ns {
            counted.clocks = began;
        }
        let until = i64::try_from(run.complete_until_ns).unwrap_or(i64::MAX);
        let gap = format!(
            "the recorder was killed: events later than {} s after its start are not in the capture, and those that were \
             counted but not kept are known up to {} s",
            self.after_start(encoder.last_ns().max(until)),
            self.after_start(counted.clocks.monotonic_ns),
        );
        self.ended(counted, gap)
    }

    /// The same if nothing is known but the content of files.
    fn cut_off(&self, encoder: &Encoder, kernel: KernelCounts) -> Finish {
        let gap = format!(
            "the recorder was killed: events later than {} s after its start are not in the capture, and how many there \
             were is not known",
            self.after_start(encoder.last_ns()),
        );
        self.ended(Counted { clocks: self.began(), kernel }, gap)
    }

    fn ended(&self, counted: Counted, gap: String) -> Finish {
        let gaps = self.survey.gaps.iter().cloned().chain([gap]).collect();
        let hooks = self.manifest.hooks.clone();
        Finish {
            counted,
            losses: Vec::new(),
            requests: Vec::new(),
            hooks,
            gaps,
            reason: EndReason::Recovered,
            clock: None,
            killed: true,
        }
    }

    /// When the file that is recovered began.
    fn began(&self) -> Clocks {
        self.manifest.segment.as_ref().map_or(self.manifest.start, |segment| segment.begin)
    }

    /// Seconds from the start of the recording to an instant, in words.
    fn after_start(&self, monotonic_ns: i64) -> String {
        let ns = monotonic_ns.saturating_sub(self.manifest.start.monotonic_ns).max(0);
        format!("{:.3}", ns as f64 / 1e9)
    }
}

/// Said where there is no journal at all.
const MISSING: &str = "the journal is missing: events after the last complete row group are not known";
