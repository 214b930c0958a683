//! One recording from beginning to end: `prepare` → `start_command` → `watch` → `finish`.

use std::fs::File;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

use super::command::{self, CannotStart, shell_status};
use super::decode::{Decoder, WallClock, wire_kind};
use super::drain::{self, Control, QUEUE_CHUNKS};
use super::host;
use super::load::{self, Knobs, Programs};
use super::options::Options;
use super::output::Output;
use super::privileges;
use super::processes::{Processes, all_pids, snapshot};
use super::prove;
use super::report::{self, Display};
use super::write::{self, Books, Job, Message, Progress, Residue, Written};
use crate::cli::status;
use crate::schema::events::{EVENTS, EventKind};
use crate::schema::manifest::{Clocks, FamilyReport, LedgerRow, Manifest};
use crate::schema::writer::CaptureFile;

/// How often limits and signals are looked at.
const TICK: Duration = Duration::from_millis(20);
/// How long COMMAND may take to end by itself after a signal that reached both of us.
const GRACE: Duration = Duration::from_millis(500);

/// Why a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// COMMAND ended so.
    Command(ExitStatus),
    /// This signal came.
    Signal(i32),
    /// `--duration` is over.
    Duration,
    /// `-c` is reached.
    Count,
    /// The last `-p` process is gone.
    ProcessesGone,
    /// The output failed, or a thread did.
    Failed,
}

impl End {
    fn reason(self) -> &'static str {
        match self {
            End::Command(_) => "command_exit",
            End::Signal(_) => "signal",
            End::Duration => "duration",
            End::Count => "count",
            End::ProcessesGone => "processes_gone",
            End::Failed => "write_error",
        }
    }
}

/// A recording under way.
#[derive(Debug)]
pub struct Session<'a> {
    options: &'a Options,
    programs: Programs,
    output: Output,
    manifest: Manifest,
    started: Instant,
    signals: Arc<Signals>,
    progress: Arc<Progress>,
    control: Arc<Control>,
    drainer: Option<JoinHandle<Result<()>>>,
    writer: JoinHandle<Result<Written>>,
    messages: SyncSender<Message>,
    child: Option<Child>,
}

/// Signals that came, as counters that a handler may touch.
#[derive(Debug, Default)]
struct Signals {
    last: AtomicUsize,
    interrupts: AtomicUsize,
}

impl Signals {
    /// INT, TERM and HUP end the recording; a second INT ends it without emptying the rings. XFSZ is harmless.
    fn install() -> Result<Arc<Self>> {
        let signals = Arc::new(Signals::default());
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let seen = signals.clone();
            let note = move || {
                seen.last.store(signal as usize, Ordering::Release);
                if signal == SIGINT {
                    seen.interrupts.fetch_add(1, Ordering::Release);
                }
            };
            // SAFETY: the action only stores to atomics, which is async-signal-safe.
            unsafe { signal_hook::low_level::register(signal, note) }.context("signals cannot be handled")?;
        }
        // Caught, so that a write beyond RLIMIT_FSIZE fails as one to a full disk does, instead of killing us. Not
        // ignored: COMMAND would inherit that.
        // SAFETY: the action does nothing.
        unsafe { signal_hook::low_level::register(SIGXFSZ, || ()) }.context("signals cannot be handled")?;
        Ok(signals)
    }

    fn pending(&self) -> Option<i32> {
        match self.last.load(Ordering::Acquire) {
            0 => None,
            signal => i32::try_from(signal).ok(),
        }
    }
}

impl<'a> Session<'a> {
    /// Loads and attaches the programs and starts the threads: recording begins before this returns.
    ///
    /// # Errors
    /// When the programs cannot be loaded or the output cannot be created; nothing is left behind then.
    pub fn prepare(options: &'a Options) -> Result<Self> {
        let (output, file) = Output::create(&options.output, options.force)?;
        let partial = output.partial().to_path_buf();
        Session::begin(options, output, file).inspect_err(|_| {
            // Nothing is in it yet.
            let _ = std::fs::remove_file(partial);
        })
    }

    fn begin(options: &'a Options, output: Output, file: File) -> Result<Self> {
        // Before the hooks, so that a signal always finds someone who tidies up.
        let signals = Signals::install()?;
        let (programs, families) = arm(options)?;
        let manifest = Manifest { families, ..manifest(options)? };
        let start = manifest.start;
        let progress = Arc::new(Progress::default());
        let control = Control::new()?;
        let job = Job {
            decoder: Decoder::new(wall_clock(&start), Processes::new(&manifest.host.boot_id)),
            writer: CaptureFile::create(file, &manifest).context("the capture cannot be written")?,
            selected: options.events.clone(),
            limit: options.count,
            progress: progress.clone(),
        };
        let (messages, inbox) = sync_channel(QUEUE_CHUNKS);
        let (used, empties) = channel();
        let writer = thread("vmtrace-write", move || write::run(job, &inbox, &used))?;
        let drainer = Some(start_draining(&programs, &control, &messages, empties)?);
        introduce(options, &manifest.host.boot_id, &start, &messages)?;
        let started = Instant::now();
        Ok(Session {
            options,
            programs,
            output,
            manifest,
            started,
            signals,
            progress,
            control,
            drainer,
            writer,
            messages,
            child: None,
        })
    }

    /// Starts COMMAND, if there is one; it is recorded from its first instruction.
    ///
    /// # Errors
    /// When it was not found or cannot be executed.
    pub fn start_command(&mut self) -> Result<(), CannotStart> {
        if self.options.verbose {
            report::hooks(&self.programs, &self.options.events);
            report::families(&self.manifest.families);
        }
        if self.options.command.is_empty() {
            return Ok(());
        }
        self.programs.arm_spawn(true);
        let child = command::start(&self.options.command);
        self.programs.arm_spawn(false);
        self.child = Some(child?);
        Ok(())
    }

    /// Gives up the capabilities that finishing does not take. Not before COMMAND is started: it gets ours.
    pub fn give_up_privileges(&self) {
        let reads_maps = || self.programs.stats().is_ok();
        let publishes = || self.output.can_publish();
        let replaces = || self.output.can_replace();
        let sees_pids = || self.options.pids.iter().all(|pid| Path::new(&format!("/proc/{pid}/stat")).exists());
        privileges::keep_only(privileges::needed_for(&[
            (&reads_maps, privileges::read_maps()),
            (&publishes, privileges::PUBLISH),
            (&replaces, privileges::REPLACE),
            (&sees_pids, privileges::IDENTIFY), // where /proc is mounted with hidepid
        ]));
    }

    /// Waits for the end.
    pub fn watch(&mut self) -> End {
        let mut display = Display::new(self.options.quiet);
        loop {
            if let Some(end) = self.ended() {
                display.clear();
                return end;
            }
            display.update(&self.progress, self.started.elapsed(), || self.lost_so_far());
            std::thread::sleep(TICK);
        }
    }

    fn ended(&mut self) -> Option<End> {
        if let Some(Ok(Some(ended))) = self.child.as_mut().map(Child::try_wait) {
            return Some(End::Command(ended));
        }
        if let Some(signal) = self.signals.pending() {
            return Some(End::Signal(signal));
        }
        if self.progress.failed.load(Ordering::Acquire) || self.thread_ended() {
            return Some(End::Failed);
        }
        if self.progress.limit_reached.load(Ordering::Acquire) {
            return Some(End::Count);
        }
        if self.options.duration.is_some_and(|limit| self.started.elapsed() >= limit) {
            return Some(End::Duration);
        }
        let pids = &self.options.pids;
        let only_pids = !pids.is_empty() && !self.options.all && self.child.is_none();
        (only_pids && pids.iter().all(|pid| is_gone(*pid))).then_some(End::ProcessesGone)
    }

    /// Both threads live until they are told to end.
    fn thread_ended(&self) -> bool {
        self.writer.is_finished() || self.drainer.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn lost_so_far(&self) -> u64 {
        self.programs.stats().map_or(0, |stats| stats.iter().map(|s| s.lost + s.unplaced).sum())
    }

    /// Gives up before anything was recorded; leaves nothing behind.
    pub fn discard(mut self) {
        self.programs.detach();
        self.control.abandon();
        let _ = self.drainer.take().map(JoinHandle::join);
        let _ = self.messages.send(Message::Finish(Residue::default()));
        let _ = self.writer.join();
        self.output.discard();
    }

    /// Takes the hooks away, writes what was recorded, and closes the capture. Returns the exit status.
    ///
    /// # Errors
    /// When the capture could not be completed.
    pub fn finish(mut self, end: End) -> Result<u8> {
        self.programs.detach();
        let elapsed = self.started.elapsed();
        self.manifest.end = host::clocks();
        self.manifest.end_clock = host::clock_state();
        let drained = self.stop_draining();
        let residue = Residue {
            losses: self.programs.losses()?,
            requests: self.programs.open_requests()?,
            delivered: self.programs.stats()?.iter().map(|s| s.delivered).collect(),
            end_ns: u64::try_from(self.manifest.end.monotonic_ns).unwrap_or(0),
        };
        // A writing thread that is gone says why when it is joined.
        let _ = self.messages.send(Message::Finish(residue));
        let joined = self.writer.join().map_err(|_| anyhow!("the writing thread broke down"))?;
        let Written { mut writer, books, error } = joined?;
        self.manifest.ledger = ledger(&self.programs, &books)?;
        let skips = self.programs.skips();
        self.manifest.hooks = self.programs.hooks().cloned().collect();
        self.manifest.hooks.iter_mut().for_each(|hook| hook.skipped = skips.of(&hook.program));
        self.manifest.gaps.extend(load::gaps(&self.programs, &self.options.events));
        self.manifest.gaps.extend(prove::gaps(&self.manifest.families));
        self.manifest.end_reason = end.reason().into();
        let path = self.output.path().to_path_buf();
        let partial = self.output.partial().to_path_buf();
        if let Err(error) = drained {
            // What was taken out is worth keeping; the ledger says how much was not.
            self.manifest.gaps.push(format!("the ring buffers could not be emptied: {error:#}"));
        }
        let closed = match error {
            Some(error) => Err(error),
            None => writer.close(&self.manifest).and_then(|_| writer.sync()).map_err(Into::into),
        };
        if let Err(error) = closed {
            let left =
                format!("{}: recording stopped; what was written stays at {}", path.display(), partial.display());
            return Err(error.context(left));
        }
        self.output.publish()?;
        let status = exit_status(end, self.child.as_mut(), &self.manifest);
        // Last, behind whatever is said of COMMAND: scripts read the last line.
        if !self.options.quiet {
            report::summary(&path, &self.manifest, elapsed);
        }
        Ok(status)
    }

    /// Empties the rings, unless a second INT says to leave it.
    fn stop_draining(&mut self) -> Result<()> {
        let Some(drainer) = self.drainer.take() else { return Ok(()) };
        let interrupts = self.signals.interrupts.load(Ordering::Acquire);
        self.control.stop();
        while !drainer.is_finished() {
            if self.signals.interrupts.load(Ordering::Acquire) > interrupts {
                self.control.abandon();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        drainer.join().map_err(|_| anyhow!("the draining thread broke down"))?
    }
}

fn thread<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.into()).spawn(work).context("a thread cannot be started")
}

/// Loads the programs, attaches and tests them, and selects what exists already: from here on the kernel records.
///
/// # Errors
/// As [`load::load`]; or when what everything rests on cannot be attached.
pub fn arm(options: &Options) -> Result<(Programs, Vec<FamilyReport>)> {
    let knobs = Knobs {
        events: options.events.clone(),
        snaplen: options.snaplen,
        all: options.all,
        follow: options.follow,
        uids: options.uids.clone(),
        cgroup: options.cgroup.as_ref().map(|(_, id, level)| (*id, *level)),
        buffer_size: options.buffer_size,
    };
    let mut programs = load::load(&knobs)?;
    // While the self-test lasts nobody else is seen, so that none of it comes into books and rings.
    programs.self_test(options.self_test);
    programs.attach()?;
    let families = if options.self_test {
        prove::test(&mut programs, &options.events, options.snaplen)?
    } else {
        prove::untested(&programs, &options.events)
    };
    options.pids.iter().try_for_each(|pid| programs.track(*pid))?;
    programs.self_test(false);
    Ok((programs, families))
}

fn wall_clock(start: &Clocks) -> WallClock {
    WallClock { offset_ns: start.realtime_ns.saturating_sub(start.monotonic_ns) }
}

fn manifest(options: &Options) -> Result<Manifest> {
    Ok(Manifest {
        capture_id: host::capture_id().context("no random numbers")?,
        tool: host::tool(),
        argv: std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect(),
        comment: options.comment.clone(),
        filters: options.filters(),
        host: host::host(),
        start: host::clocks(),
        start_clock: host::clock_state(),
        gaps: privileges::gaps(),
        ..Manifest::default()
    })
}

fn start_draining(
    programs: &Programs,
    control: &Arc<Control>,
    messages: &SyncSender<Message>,
    empties: Receiver<Vec<u8>>,
) -> Result<JoinHandle<Result<()>>> {
    let rings = programs.rings()?;
    let (control, messages) = (control.clone(), messages.clone());
    thread("vmtrace-drain", move || {
        let mut deliver = |chunk| messages.send(Message::Chunk(chunk)).ok().context("the writing thread has ended");
        drain::run(&rings, &control, &mut deliver, &empties)
    })
}

/// Tells the writer who lives already: with -a everybody, else the -p processes.
fn introduce(options: &Options, boot_id: &str, start: &Clocks, messages: &SyncSender<Message>) -> Result<()> {
    let pids = if options.all { all_pids() } else { options.pids.clone() };
    let snapshots = pids.into_iter().filter_map(|pid| snapshot(boot_id, pid)).collect();
    let message = Message::Snapshots(snapshots, start.monotonic_ns);
    messages.send(message).ok().context("the writing thread has ended")
}

/// Gone, or dead with all its threads and not yet waited for.
fn is_gone(pid: i32) -> bool {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.iter().rposition(|b| *b == b')').and_then(|close| stat.get(close + 2));
    let threads = || std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    match state {
        None | Some(b'X') => true,
        Some(b'Z') => threads() <= 1,
        Some(_) => false,
    }
}

/// The books of every event: the kernel's side and the writer's side.
fn ledger(programs: &Programs, books: &Books) -> Result<Vec<LedgerRow>> {
    let stats = programs.stats()?;
    let skips = programs.skips();
    let rows = EVENTS.iter().map(|event| {
        let kernel = wire_kind(event.kind).and_then(|wire| stats.get(wire as usize).copied()).unwrap_or_default();
        let own = books.get(&event.kind).copied().unwrap_or_default();
        let from_kernel = wire_kind(event.kind).is_some() && event.kind != EventKind::Lost;
        // Snapshots and `lost` rows are made here, not in the kernel.
        let made_here = own.written + own.write_error + own.undecodable;
        LedgerRow {
            event: event.name.into(),
            seen: if from_kernel { kernel.seen + skips.of_event(event.kind) } else { made_here },
            filtered: if from_kernel { kernel.filtered + own.filtered } else { 0 },
            lost_ring_full: kernel.lost,
            lost_scratch_full: kernel.unplaced,
            lost_hook_skipped: skips.of_event(event.kind),
            lost_unread: own.unread,
            lost_undecodable: own.undecodable,
            lost_write_error: own.write_error,
            written: own.written,
            failed: own.failed,
            bytes: own.bytes,
            read_faults: own.read_faults,
            ..LedgerRow::default()
        }
    });
    Ok(rows.filter(|row| row.seen > 0 || row.written > 0).collect())
}

/// COMMAND's status; without it, whether anything was lost.
fn exit_status(end: End, child: Option<&mut Child>, manifest: &Manifest) -> u8 {
    match (end, child) {
        (End::Command(ended), _) => shell_status(ended),
        (_, Some(child)) => await_command(end, child),
        (_, None) if manifest.lost() > 0 => status::LOSS,
        (_, None) => status::OK,
    }
}

/// The recording ended first. COMMAND is left alone, but a ^C has usually reached it too.
fn await_command(end: End, child: &mut Child) -> u8 {
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline {
        if let Ok(Some(ended)) = child.try_wait() {
            return shell_status(ended);
        }
        std::thread::sleep(TICK);
    }
    report::say(format_args!("the recording has ended; COMMAND (pid {}) was left running", child.id()));
    match end {
        End::Signal(signal) => u8::try_from(128 + signal).unwrap_or(status::OK),
        _ => status::OK,
    }
}
