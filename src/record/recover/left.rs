//! What is left of a recording: whole row groups, and frames of the journal behind them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Recovered;
use super::found::{self, Sources};
use crate::record::books::Counted;
use crate::record::checkpoint::{Checkpoint, Finish};
use crate::record::encode::{Encoder, Written};
use crate::record::journal::{Kind, Reader};
use crate::record::room::{OnFull, Room};
use crate::record::series::{Plan, Series};
use crate::record::table::{Asked, Progress, Table};
use crate::record::threads;
use crate::record::witness::Recorded;
use crate::schema::events::EventSet;
use crate::schema::manifest::Manifest;

/// Bytes of payload in a row group.
const GROUP_BYTES: usize = 64 << 20;

/// What a first walk through the journal has found.
#[derive(Debug, Default)]
struct Survey {
    answers: Recorded,
    /// Where to go on from.
    checkpoint: Option<Checkpoint>,
    /// Number of its first frame.
    first: Option<u64>,
    /// The kernel's books that were noted last.
    counted: Option<Counted>,
    /// ns of CLOCK_MONOTONIC, up to which everything has been taken from the rings.
    complete_until_ns: u64,
    /// Why reading ended before the end of the files.
    broken: Option<String>,
}

/// What is left.
#[derive(Debug)]
pub struct Left<'a> {
    sources: &'a Sources,
    manifest: Manifest,
    survey: Survey,
    gaps: Vec<String>,
}

impl<'a> Left<'a> {
    /// Looks what is there.
    ///
    /// # Errors
    /// When the journal cannot be read, or was written by another version of vmtrace.
    pub fn of(sources: &'a Sources) -> Result<Self> {
        let last = sources.last()?;
        let manifest = last.partial.manifest.clone();
        let mut left = Left { sources, manifest, survey: Survey::default(), gaps: Vec::new() };
        match left.reader()? {
            Some(reader) => left.look(reader)?,
            None => {
                left.gaps.push("the journal is missing: events behind the last whole row group are not known".into())
            }
        }
        Ok(left)
    }

    fn reader(&self) -> Result<Option<Reader>> {
        Reader::left(&self.sources.last()?.recording(), &self.manifest.capture_id)
    }

    fn look(&mut self, mut reader: Reader) -> Result<()> {
        let last = self.sources.last()?;
        let (file, groups) = (last.index(), last.partial.groups.len());
        let survey = &mut self.survey;
        while let Some(frame) = reader.next()? {
            survey.first.get_or_insert(frame.number);
            match frame.kind {
                Kind::Answer => survey.answers.learn(&frame.payload),
                Kind::Records => survey.complete_until_ns = survey.complete_until_ns.max(frame.stamp_ns),
                Kind::Books => survey.counted = serde_json::from_slice(&frame.payload).ok().or(survey.counted.take()),
                Kind::Checkpoint => {
                    let found: Option<Checkpoint> = serde_json::from_slice(&frame.payload).ok();
                    let fits = |c: &Checkpoint| c.file == file && c.groups == groups;
                    let known = survey.checkpoint.is_some();
                    // The flight recorder writes no row groups: what it kept begins with the first checkpoint that is left.
                    if let Some(found) = found.filter(|c| fits(c) && !(known && is_flight(c) && groups == 0)) {
                        let whole = survey.first.is_some_and(|first| found.place.from >= first);
                        survey.checkpoint = whole.then_some(found).or(survey.checkpoint.take());
                    }
                }
                _ => (),
            }
        }
        survey.broken = reader.broken().map(str::to_string);
        if let Some(broken) = &survey.broken {
            self.gaps.push(format!("the journal is damaged: {broken}; what follows is not known"));
        }
        Ok(())
    }

    /// Writes the capture.
    ///
    /// # Errors
    /// When the output cannot be written or the inputs cannot be read.
    pub fn write(mut self, path: &Path, force: bool) -> Result<Recovered> {
        let plan = Plan { output: path.to_path_buf(), force, numbered: false, keep: None, key: None };
        let series = Series::on(plan, found::create(path, force)?);
        let output = series.output().clone();
        self.fill(series).inspect_err(|_| output.discard())
    }

    fn fill(&mut self, series: Series) -> Result<Recovered> {
        let room = Arc::new(Room::new(OnFull::Stop));
        let filters = &self.manifest.filters;
        let events = EventSet::parse(&filters.events.join(",")).unwrap_or_else(|_| EventSet::all());
        let asked = Asked {
            events,
            count: filters.count,
            trigger: None,
            group_bytes: GROUP_BYTES,
            first_group_bytes: GROUP_BYTES,
        };
        let table = Table::new(asked, Arc::new(Progress::default()), room);
        let answers = std::mem::take(&mut self.survey.answers);
        let decoder = threads::decoder(&self.manifest, Box::new(answers));
        let mut encoder = Encoder::new(self.manifest.clone(), decoder, table, series)?;
        let mut from_file = 0;
        for found in self.sources.files() {
            for group in &found.partial.groups {
                encoder.adopt(&found.file, group).with_context(|| found.path.display().to_string())?;
                from_file += group.rows;
            }
        }
        let checkpoint = self.survey.checkpoint.take();
        let from = match (&checkpoint, from_file, self.survey.first) {
            (Some(checkpoint), ..) => Some(checkpoint.place.from),
            (None, 0, Some(0)) => Some(0),
            _ => None,
        };
        let has_books = checkpoint.is_some() || from == Some(0);
        if let Some(checkpoint) = checkpoint {
            encoder.restore(checkpoint);
        }
        if from.is_none() && self.survey.first.is_some() {
            self.gaps.push("the journal does not go on where the file ends: what it holds is left out".into());
        }
        if !has_books || self.sources.files().len() > 1 {
            encoder.count_adopted()?;
        }
        let rows_before = encoder.rows();
        let finish = match from {
            Some(from) => self.read_on(&mut encoder, from)?,
            None => None,
        };
        let finish = match finish {
            Some(finish) => finish,
            None => self.killed(&encoder),
        };
        let gaps = finish.gaps.clone();
        let Written { finished, ledger, error, rows, .. } = encoder.finish(finish);
        if let Some(error) = error {
            return Err(error);
        }
        let root = finished.first().map(|f| f.root.clone()).unwrap_or_default();
        let from_journal = rows.saturating_sub(rows_before);
        let damaged = !self.gaps.is_empty();
        Ok(Recovered { from_file, from_journal, ledger, gaps, damaged, root })
    }

    /// Reads the journal from a frame on. Returns how the recording ended, if the journal says.
    fn read_on(&self, encoder: &mut Encoder, from: u64) -> Result<Option<Finish>> {
        let Some(mut reader) = self.reader()? else { return Ok(None) };
        while let Some(frame) = reader.next()? {
            if frame.number < from {
                continue;
            }
            if let Some(mut finish) = encoder.take(&frame)? {
                finish.gaps.push("the recorder was killed while it finished: the capture was recovered".into());
                finish.reason = RECOVERED.into();
                return Ok(Some(finish));
            }
        }
        Ok(None)
    }

    /// The end of a recording that nobody ended.
    fn killed(&self, encoder: &Encoder) -> Finish {
        let mut counted = self.survey.counted.clone().unwrap_or_default();
        let began = self.manifest.segment.as_ref().map_or(self.manifest.start, |segment| segment.begin);
        if counted.clocks.monotonic_ns < began.monotonic_ns {
            counted.clocks = began;
        }
        let until = i64::try_from(self.survey.complete_until_ns).unwrap_or(i64::MAX);
        let last_ns = encoder.last_ns().max(until).max(self.manifest.start.monotonic_ns);
        let after =
            Duration::from_nanos(u64::try_from(last_ns.saturating_sub(self.manifest.start.monotonic_ns)).unwrap_or(0));
        let mut gaps = self.gaps.clone();
        gaps.push(format!(
            "the recorder was killed: events later than {:.3} s after its start are not in the capture, and those that were \
             counted but not kept are known up to {:.3} s",
            after.as_secs_f64(),
            counted.clocks.monotonic_ns.saturating_sub(self.manifest.start.monotonic_ns) as f64 / 1e9,
        ));
        let hooks = self.manifest.hooks.clone();
        Finish { counted, hooks, gaps, reason: RECOVERED.into(), killed: true, ..Finish::default() }
    }
}

/// `end_reason`.
const RECOVERED: &str = "recovered";

fn is_flight(checkpoint: &Checkpoint) -> bool {
    checkpoint.groups == 0
}
