//! The threads of a recording, and the input of each.
//!
//! `vmtrace-drain` empties the rings into the journal, `vmtrace-write` makes captures from it, and `vmtrace-sync` syncs
//! it to the disk. The main thread watches.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow, bail};
use rustix::thread::CapabilitySet;
use serde::Serialize;

use crate::output::{Output, directory, free_bytes};
use crate::record::decode::{Decoder, WallClock};
use crate::record::encode::checkpoint::Living;
use crate::record::encode::flight_recorder::FlightRecorder;
use crate::record::encode::news::News;
use crate::record::encode::rows::{Asked, Progress, Table};
use crate::record::encode::{Encoder, Running, Sizes, Written};
use crate::record::identity::lookup::Live;
use crate::record::identity::mappings::AskKernel;
use crate::record::identity::proc::{all_pids, snapshot};
use crate::record::identity::processes::Processes;
use crate::record::journal::drain::{self, CHUNK_BYTES, Control, Pace};
use crate::record::journal::{Begin, FrameKind, Journal, Limits, Reader, Syncer, frame};
use crate::record::live::{Audience, MakeShow, Tap};
use crate::record::options::Options;
use crate::record::output::disk_policy::{DiskPolicy, OnFull};
use crate::record::output::series::Series;
use crate::record::privileges;
use crate::record::probes::load::Programs;
use crate::record::wire::LAYOUT;
use crate::schema::manifest::{Clocks, Manifest};

/// Bytes of a file of the journal, on a disk that has room.
const SEGMENT: u64 = 32 << 20;
/// Bytes of frames kept in memory while the disk takes none.
const MEMORY: usize = 8 << 20;
/// The same where there is no disk at all.
const ONLY_MEMORY: usize = 64 << 20;
/// Bytes below which a disk gets small row groups, so that it can be filled to its end.
const SMALL_DISK: u64 = 1 << 30;
/// How often the journal is brought to the disk, in windows.
const SYNC_WINDOWS: u32 = 10;

/// What the threads are made from.
#[derive(Debug)]
pub struct Parts<'a> {
    /// What was asked for.
    pub options: &'a Options,
    /// Attached.
    pub programs: &'a Programs,
    /// As it is at the start.
    pub manifest: &'a Manifest,
    /// Shared with the main thread.
    pub progress: &'a Arc<Progress>,
    /// Shared with the main thread.
    pub disk_policy: &'a Arc<DiskPolicy>,
    /// Shared with the main thread.
    pub news: &'a Arc<News>,
    /// Shared with the main thread.
    pub audience: &'a Arc<Audience>,
}

/// Threads at work, and how to speak with them.
#[derive(Debug)]
pub struct Threads {
    /// Between the threads.
    pub journal: Journal,
    /// Ends the draining.
    pub control: Arc<Control>,
    /// Rings to journal.
    pub drainer: JoinHandle<Result<()>>,
    /// Journal to captures.
    pub writer: JoinHandle<Result<Written>>,
    /// Journal to disk.
    pub syncer: Syncer,
}

impl Parts<'_> {
    /// Starts them.
    ///
    /// # Errors
    /// When the journal cannot be created, or a thread cannot be started.
    pub fn start(&self, series: Series, show: Option<MakeShow>) -> Result<Threads> {
        let output = series.output().cloned();
        let begin = Begin { wire: LAYOUT.into(), segment: 0, manifest: self.manifest.clone() };
        let limits = self.limits();
        let journal = match &output {
            Some(_) => Journal::create(&self.options.output, begin, limits)?,
            None => Journal::without_files(begin, ONLY_MEMORY),
        };
        // Before anything that names one of them.
        append(&journal, FrameKind::Living, self.start_ns(), &self.living())?;
        let tap = show.map(|show| Tap::open(show, self.manifest.clone(), self.audience.clone())).transpose()?;
        let encoder = self.encoder(series, &journal, tap)?;
        let writer = write(encoder, &journal, output.clone(), self.options.commands.user.is_some())?;
        let control = Control::new()?;
        let chunk = CHUNK_BYTES.min(usize::try_from(limits.segment / 4).unwrap_or(CHUNK_BYTES));
        let drainer = self.drain(&journal, &control, Pace { chunk, window: self.options.window })?;
        let syncer = Syncer::start(journal.clone(), self.options.window * SYNC_WINDOWS, output)?;
        Ok(Threads { journal, control, drainer, writer, syncer })
    }

    /// Files small enough that removing them makes room on a small disk; and no more of them than leaves room for the
    /// capture.
    fn limits(&self) -> Limits {
        if self.options.only_prints {
            return Limits { segment: SEGMENT, total: 0, memory: ONLY_MEMORY };
        }
        let free = free_bytes(directory(&self.options.output));
        let part = if self.options.on_full == OnFull::RotateOut || free < SMALL_DISK { 4 } else { 2 };
        Limits { segment: (free / 32).clamp(64 << 10, SEGMENT), total: free / part, memory: MEMORY }
    }

    fn start_ns(&self) -> u64 {
        u64::try_from(self.manifest.start.monotonic_ns).unwrap_or(0)
    }

    /// Who lives already: with -a everybody who is not left out, else the selected processes.
    fn living(&self) -> Living {
        let all = self.options.all;
        let pids = if all { all_pids() } else { self.programs.tracked() };
        let snapshots = pids.into_iter().filter_map(|pid| snapshot(&self.manifest.host.boot_id, pid));
        Living(snapshots.filter(|living| !all || self.options.admits(living)).collect())
    }

    fn encoder(&self, series: Series, journal: &Journal, tap: Option<Tap>) -> Result<Encoder> {
        let options = self.options;
        let mut lookup = Live::new(&self.manifest.host.boot_id, Some(journal.clone()).filter(|_| !options.only_prints));
        if options.regions {
            let asker = self.programs.asker()?;
            lookup = lookup.with_mappings(asker.map(|asker| Box::new(asker) as Box<dyn AskKernel>));
        }
        lookup.remember_living();
        let decoder = decoder(self.manifest, Box::new(lookup));
        let limit = options.flight_recorder.as_ref();
        // A file, or the flight recorder, takes several row groups, so that both come close to their limits.
        let small_disk = Some(free_bytes(directory(&options.output)));
        let small_disk = small_disk.filter(|free| *free < SMALL_DISK && !options.only_prints);
        let wanted = [options.rotation.size, options.max_size, limit.map(|limit| limit.bytes), small_disk];
        let group = wanted.into_iter().flatten().min().map(|bytes| bytes / 8);
        let asked = Asked {
            events: options.events.clone(),
            count: options.count,
            trigger: options.trigger.clone(),
            group_bytes: options.memory_limit,
            first_group_bytes: group.map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
            keep: !options.only_prints,
        };
        let table = Table::new(asked, self.progress.clone(), self.disk_policy.clone()).with_tap(tap);
        let running = Running {
            journal: journal.clone(),
            counters: self.programs.counters()?,
            disk_policy: self.disk_policy.clone(),
            news: self.news.clone(),
        };
        let sizes = Sizes { group, file: options.rotation.size, recording: options.max_size };
        let encoder = Encoder::new(self.manifest.clone(), decoder, table, series)?;
        Ok(encoder.of_running(running, sizes, limit.copied().map(FlightRecorder::new)))
    }

    fn drain(&self, journal: &Journal, control: &Arc<Control>, pace: Pace) -> Result<JoinHandle<Result<()>>> {
        let (rings, switches) = (self.programs.rings()?, self.programs.switches()?);
        let (journal, control) = (journal.clone(), control.clone());
        let (opened, is_open) = sync_channel(1);
        let drainer = thread("vmtrace-drain", move || {
            let mut deliver = |chunk: &mut drain::Chunk| {
                journal.append(FrameKind::Records, chunk.complete_until_ns, &mut chunk.frame).map(drop)
            };
            drain::run((&rings, &switches), &control, pace, &mut deliver, opened)
        })?;
        match is_open.recv() {
            Ok(()) => Ok(drainer),
            // It has ended instead, before COMMAND was started.
            Err(_) => match drainer.join() {
                Ok(ended) => Err(ended.err().unwrap_or_else(|| anyhow!("the drain thread ended"))),
                Err(_) => Err(anyhow!("the drain thread panicked")),
            },
        }
    }
}

/// A decoder of the recording that began with `manifest`.
pub fn decoder(manifest: &Manifest, lookup: Box<dyn crate::record::identity::lookup::Lookup>) -> Decoder {
    Decoder::new(wall_clock(&manifest.start), Processes::new(&manifest.host.boot_id), lookup)
}

fn wall_clock(start: &Clocks) -> WallClock {
    WallClock { offset_ns: start.realtime_ns.saturating_sub(start.monotonic_ns) }
}

/// Says so when the reader of a journal ends, however it does.
struct Gone(Journal);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.reader_is_gone();
    }
}

/// The writing thread: frames to captures, until the recording ends.
fn write(
    mut encoder: Encoder,
    journal: &Journal,
    output: Option<Output>,
    gives: bool,
) -> Result<JoinHandle<Result<Written>>> {
    let (journal, mut reader) = (journal.clone(), Reader::live(journal.clone()));
    thread("vmtrace-write", move || {
        // Also on a panic: no other thread may wait forever.
        let _gone = Gone(journal);
        let reads_maps = || encoder.reads_counters();
        let publishes = || output.as_ref().is_none_or(Output::can_publish);
        let replaces = || output.as_ref().is_none_or(Output::can_replace);
        let needed = privileges::needed_for(&[
            (&reads_maps, privileges::read_maps()),
            (&publishes, privileges::PUBLISH),
            (&replaces, privileges::REPLACE),
        ]);
        let gives = if gives { privileges::GIVE } else { CapabilitySet::empty() };
        privileges::keep_only(needed | privileges::IDENTIFY | gives);
        let mut until_finish = || -> Result<_> {
            while let Some(frame) = reader.next()? {
                if let Some(finish) = encoder.take(&frame)? {
                    return Ok(finish);
                }
            }
            bail!("the recording was abandoned")
        };
        until_finish().map(|finish| encoder.finish(finish))
    })
}

/// Appends a frame of JSON.
///
/// # Errors
/// When there is no reader any more.
pub fn append(journal: &Journal, kind: FrameKind, stamp_ns: u64, what: &impl Serialize) -> Result<()> {
    let mut bytes = frame::begin();
    serde_json::to_writer(&mut bytes, what)?;
    journal.append(kind, stamp_ns, &mut bytes).map(drop)
}

fn thread<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.into()).spawn(work).context("a thread cannot be started: see ulimit -u")
}
