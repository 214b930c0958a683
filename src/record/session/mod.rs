//! One recording from start to end: `prepare` → `start_command` → `watch` → `finish`.
//!
//! Owns the threads and the reasons to end. The threads own rows, files and the journal.

pub mod bell;
pub mod breakdown;
pub mod command;
pub mod end;
pub mod inherited;
pub mod ready;
pub mod selection;
pub mod setup;
pub mod signals;
pub mod survivors;
pub mod threads;
pub mod timers;
pub mod wait;

use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use self::bell::Bell;
use self::command::CannotStart;
use self::end::{End, announce, end_print, exit_status};
use self::inherited::Inherited;
use self::signals::Signals;
use self::threads::Threads;
use self::timers::Timers;
use self::wait::Waiter;
use super::commands::{Asked, Commands};
use super::encode::Written;
use super::encode::news::News;
use super::host;
use super::journal::{FrameKind, Journal, Syncer};
use super::options::Options;
use super::privileges;
use super::report::{self, Display, Summary};
use crate::output::Output;
use crate::record::encode::checkpoint::{Cut, Finish, Loss};
use crate::record::encode::rows::Progress;
use crate::record::journal::drain::Control;
use crate::record::ledger::Counted;
use crate::record::live::{Audience, MakeShow, Tap};
use crate::record::output::disk_policy::DiskPolicy;
use crate::record::output::series::{Plan, Series};
use crate::record::probes::load::{self, Counters, Programs};
use crate::record::probes::tier_selection;
use crate::schema::manifest::{Clocks, Manifest};
use crate::schema::vocabulary::EndReason;
use crate::terminal::{say_line, status};

/// How often clocks are looked at; limits, signals, which COMMAND's end is one of, and ends of processes are seen at once.
const TICK: Duration = Duration::from_millis(200);

/// How long calls on the memory of `-p` processes that have ended are waited for. Other users of that memory look the
/// same.
const LINGER: Duration = Duration::from_secs(10);

/// A recording under way.
#[derive(Debug)]
pub struct Session<'a> {
    options: &'a Options,
    inherited: Inherited,
    programs: Programs,
    counters: Counters,
    manifest: Manifest,
    /// None where nothing is written.
    output: Option<Output>,
    started: Instant,
    signals: Arc<Signals>,
    progress: Arc<Progress>,
    disk_policy: Arc<DiskPolicy>,
    news: Arc<News>,
    audience: Arc<Audience>,
    commands: Option<Commands>,
    control: Arc<Control>,
    journal: Journal,
    drainer: Option<JoinHandle<Result<()>>>,
    writer: JoinHandle<Result<Written>>,
    syncer: Syncer,
    timers: Timers,
    waiter: Waiter,
    /// Processes that were selected before COMMAND was started.
    selected_at_start: Vec<i32>,
    /// When the last of the `-p` processes was found to have ended.
    gone: Option<Instant>,
    child: Option<Child>,
}

impl<'a> Session<'a> {
    /// Loads and attaches the programs and starts the threads: recording begins before this returns.
    ///
    /// # Errors
    /// When the programs cannot be loaded or the output cannot be created; nothing is left behind then.
    pub fn prepare(options: &'a Options, show: Option<MakeShow>) -> Result<Self> {
        if options.only_prints {
            return Session::begin(options, Series::nowhere(), show);
        }
        let plan = Plan {
            output: options.output.clone(),
            force: options.force,
            numbered: options.rotation.is_on() || options.flight_recorder.is_some(),
            max_files: options.rotation.files.map(|n| n as usize),
            key: options.key.clone(),
            owner: options.commands.user.as_ref().map(|user| (user.uid, user.gid)),
        };
        let series = Series::create(plan)?;
        let output = series.output().cloned();
        let locked = series.lock();
        Session::begin(options, series, show).inspect_err(|_| {
            // Nothing is in it yet.
            let _ = super::journal::remove_all(&options.output);
            output.iter().for_each(Output::discard);
            drop(locked);
        })
    }

    fn begin(options: &'a Options, series: Series, show: Option<MakeShow>) -> Result<Self> {
        let inherited = Inherited::at_start();
        // Before the hooks, so that every signal finds a handler that cleans up.
        let signals = Signals::install(options.ignore_interrupts)?;
        breakdown::prepare(!options.command.is_empty())?;
        let (programs, families) = setup::attach(options)?;
        let manifest = setup::manifest(options, &programs, families)?;
        let bell = Arc::new(Bell::new()?);
        let progress = Arc::new(Progress::new(bell.clone()));
        let disk_policy = Arc::new(DiskPolicy::new(options.on_full, bell.clone()));
        let news = Arc::new(News::new(bell.clone()));
        let audience = Arc::new(Audience::new(options.only_prints, bell.clone()));
        let output = series.output().cloned();
        let parts = threads::Parts {
            options,
            programs: &programs,
            manifest: &manifest,
            progress: &progress,
            disk_policy: &disk_policy,
            news: &news,
            audience: &audience,
        };
        let asked = Some(options.commands.clone()).filter(Asked::is_any);
        let commands = asked.map(|asked| Commands::start(asked, inherited.clone())).transpose()?;
        let Threads { journal, control, drainer, writer, syncer } = parts.start(series, show)?;
        let counters = programs.counters()?;
        let waiter = Waiter::new(&options.named_pids(), &bell)?;
        programs.holder_bell().map_or(Ok(()), |bell| waiter.heed(bell))?;
        Ok(Session {
            options,
            inherited,
            selected_at_start: programs.tracked(),
            programs,
            counters,
            waiter,
            timers: Timers::new(options.rotation.seconds, manifest.start.realtime_ns),
            manifest,
            output,
            started: Instant::now(),
            signals,
            progress,
            disk_policy,
            news,
            audience,
            commands,
            control,
            journal,
            drainer: Some(drainer),
            writer,
            syncer,
            gone: None,
            child: None,
        })
    }

    /// Starts COMMAND, if there is one; it is recorded from its first instruction.
    ///
    /// # Errors
    /// When it was not found or cannot be executed.
    pub fn start_command(&mut self) -> Result<(), CannotStart> {
        if self.options.verbose {
            report::hooks(&self.programs);
            report::families(&self.manifest.families, &self.programs, &self.options.events);
        }
        ready::say(self.options, &self.manifest.families);
        if self.options.command.is_empty() {
            return Ok(());
        }
        self.programs.arm_spawn(true);
        let child = command::start(&self.options.command, &self.inherited, &self.signals);
        self.programs.arm_spawn(false);
        self.child = Some(child?);
        Ok(())
    }

    /// Gives up the capabilities that finishing does not take. Not before COMMAND is started: it gets ours.
    pub fn give_up_privileges(&self) {
        let reads_maps = || self.counters.read().is_ok();
        let removes = || self.output.as_ref().is_none_or(Output::can_publish);
        let sees_pids = || self.options.named_pids().iter().all(|pid| Path::new(&format!("/proc/{pid}/stat")).exists());
        privileges::keep_only(privileges::needed_for(&[
            (&reads_maps, privileges::read_maps()),
            (&removes, privileges::PUBLISH),
            (&sees_pids, privileges::IDENTIFY), // where /proc is mounted with hidepid
        ]));
    }

    /// Waits for the end.
    pub fn watch(&mut self) -> End {
        let mut display = Display::new(self.options);
        loop {
            if let Some(end) = self.ended() {
                display.clear();
                return end;
            }
            self.tend();
            display.update(&self.progress, self.started.elapsed(), || self.lost_so_far());
            self.waiter.pause(self.until_next_look());
        }
    }

    /// A tick, or what is left of `--duration`.
    fn until_next_look(&self) -> Duration {
        let left = self.options.duration.map(|limit| limit.saturating_sub(self.started.elapsed()));
        // Sleeps are in whole milliseconds.
        left.map_or(TICK, |left| TICK.min(left + Duration::from_millis(1)))
    }

    /// What is done from time to time, and when a signal asks for it.
    fn tend(&mut self) {
        if self.programs.watch_entries() && self.options.verbose {
            report::entries(&self.programs);
        }
        let trigger_waits = self.disk_policy.trigger_waits();
        if (self.timers.counters_are_due() || trigger_waits)
            && let Ok(counted) = self.counters.read()
        {
            self.note_counters(&counted, trigger_waits);
        }
        announce(&self.news, self.commands.as_ref(), self.options.quiet, false);
        if self.timers.disk_is_due() && self.output.as_ref().is_some_and(Output::is_scarce) {
            self.disk_policy.is_scarce();
        }
        for at in self.timers.files_end() {
            self.cut(at);
        }
        if self.signals.wants_rotation() {
            self.cut(host::clocks());
        }
        if self.signals.wants_statistics() {
            let lost = self.lost_so_far();
            report::statistics(&self.progress, lost, self.journal.bytes(), self.started.elapsed());
        }
    }

    /// Puts the kernel's counters into the journal if they changed, or if a trigger waits for a later instant.
    fn note_counters(&mut self, counted: &Counted, awaited: bool) {
        let new = self.timers.are_news(&counted.kernel);
        if (new || awaited)
            && let Ok(json) = serde_json::to_vec(counted)
        {
            self.journal.offer(FrameKind::Counters, 0, &json);
        }
    }

    /// Ends the present file at an instant.
    fn cut(&self, at: Clocks) {
        if self.output.is_none() {
            return;
        }
        let reason = if self.options.flight_recorder.is_some() { EndReason::Triggered } else { EndReason::Rotated };
        let cut = Cut { at, reason };
        // If the receiver is gone, the recording is about to end anyway.
        let _ = threads::append(&self.journal, FrameKind::Cut, 0, &cut);
        // The cut is made when all older records have arrived, even if there are few, from long ago.
        self.control.complete_until(u64::try_from(at.monotonic_ns).unwrap_or(0));
    }

    fn ended(&mut self) -> Option<End> {
        if let Some(Ok(Some(ended))) = self.child.as_mut().map(Child::try_wait) {
            return Some(End::Command(ended));
        }
        if let Some(signal) = self.signals.pending() {
            return Some(End::Signal(signal));
        }
        if self.disk_policy.must_stop() {
            return Some(End::Full);
        }
        if self.disk_policy.has_failed() || self.audience.has_failed() || self.thread_ended() {
            return Some(End::Failed);
        }
        if self.audience.has_gone() {
            return Some(End::Unread);
        }
        if self.progress.limit_reached() {
            return Some(End::Count);
        }
        if self.disk_policy.at_max_size() {
            return Some(End::MaxSize);
        }
        if self.options.duration.is_some_and(|limit| self.started.elapsed() >= limit) {
            return Some(End::Duration);
        }
        let others = self.options.all || self.child.is_some() || self.options.selects_by_name();
        let only_pids = !self.options.named_pids().is_empty() && !others;
        (only_pids && self.waiter.all_gone() && !self.is_reached_into()).then_some(End::ProcessesGone)
    }

    /// Whether calls on the memory of processes that have ended are under way, and waiting for them makes sense.
    fn is_reached_into(&mut self) -> bool {
        let gone = *self.gone.get_or_insert_with(Instant::now);
        self.programs.calls_on_ended() > 0 && gone.elapsed() < LINGER
    }

    /// Both threads live until they are asked to end.
    fn thread_ended(&self) -> bool {
        self.writer.is_finished() || self.drainer.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn lost_so_far(&self) -> u64 {
        self.counters.read().map_or(0, |counted| counted.kernel.values().map(|k| k.lost + k.unplaced).sum())
    }

    /// Gives up before anything was recorded; leaves nothing behind.
    pub fn discard(mut self) {
        self.programs.detach();
        self.control.abandon();
        let _ = self.drainer.take().map(JoinHandle::join);
        self.journal.close();
        let _ = self.writer.join();
        self.syncer.join();
        self.journal.remove();
        self.output.iter().for_each(Output::discard);
    }

    /// Takes the hooks away, writes what was recorded, and closes the capture. Returns the exit status.
    ///
    /// # Errors
    /// When the capture could not be completed.
    pub fn finish(mut self, end: End) -> Result<u8> {
        // A signal that comes from now on is another one.
        let endings = self.signals.endings();
        self.programs.detach();
        let elapsed = self.started.elapsed();
        let at_end = self.counters.read();
        let mut gaps = Vec::new();
        let left = match end {
            // Those that have come by their names are nobody's children.
            End::Command(_) if !self.options.selects_by_name() => {
                survivors::among(self.programs.tracked(), &self.selected_at_start)
            }
            _ => Vec::new(),
        };
        gaps.extend(survivors::gap(&left));
        // The drained records are kept; the ledger counts the others.
        let failure =
            self.stop_draining().err().map(|error| format!("the ring buffers could not be emptied: {error:#}"));
        gaps.extend(failure.clone());
        let at_end = Counted { clocks: at_end?.clocks, ..self.counters.read()? };
        let finish = self.build_finish(end, at_end, gaps)?;
        // If the writer thread has ended, joining it gives the reason.
        let _ = threads::append(&self.journal, FrameKind::Finish, 0, &finish);
        self.journal.close();
        let written = self.writer.join().map_err(|_| anyhow!("the writer thread panicked"));
        self.syncer.join();
        let signals = self.signals.clone();
        let is_enough = || signals.endings() > endings;
        let Written { finished, ledger, full, tap, .. } = match written.and_then(|written| written?.all()) {
            Ok(written) => written,
            Err(error) => {
                // Files that were finished before are whole, and announced as any.
                announce(&self.news, self.commands.as_ref(), self.options.quiet, false);
                let sentence = self.commands.and_then(|commands| commands.close(is_enough));
                sentence.iter().for_each(|sentence| say_line(format_args!("{sentence}")));
                return Err(error);
            }
        };
        self.journal.remove();
        announce(&self.news, self.commands.as_ref(), self.options.quiet, true);
        let not_shown = tap.as_ref().map_or(0, Tap::left_in_all);
        if let Some(tap) = tap {
            end_print(tap, end, &self.signals, endings);
        }
        let commands = self.commands.and_then(|commands| commands.close(is_enough));
        let full = full || end == End::Full;
        if !self.options.quiet && full {
            report::full(&finished, &self.disk_policy.cause().unwrap_or_default());
        }
        let lost = ledger.iter().fold(0u64, |sum, row| sum.saturating_add(row.lost()));
        let early = match self.audience.has_failed() {
            true => "events can no longer be printed",
            false => "a thread ended before its time",
        };
        let early = (end == End::Failed).then(|| early.to_string());
        let failure = failure.or(early);
        let status = match (exit_status(self.options, (end, full), self.child.as_mut(), &self.signals, lost), &failure)
        {
            (status, None) => status,
            (_, Some(failure)) => {
                say_line(format_args!("the recording has failed: {failure}"));
                if self.child.is_some() { status::RECORDER_FAILED } else { status::ERROR }
            }
        };
        commands.iter().for_each(|sentence| say_line(format_args!("{sentence}")));
        let is_quiet = self.options.quiet || end == End::Unread;
        if !is_quiet {
            survivors::gap(&left).iter().for_each(|gap| say_line(format_args!("{gap}")));
        }
        // Last, after messages about COMMAND: scripts read the last line.
        if !is_quiet {
            let summary = Summary { options: self.options, ledger: &ledger, hooks: &finish.hooks, elapsed, not_shown };
            summary.say(&finished);
        }
        Ok(status)
    }

    /// What the capture has to say of the end.
    fn build_finish(&self, end: End, counted: Counted, mut gaps: Vec<String>) -> Result<Finish> {
        gaps.extend(load::gaps(&self.programs, &self.options.events));
        gaps.extend(tier_selection::gaps(&self.manifest.families));
        if let Some(cause) = self.disk_policy.cause() {
            gaps.push(format!("recording ended early: {cause}"));
        }
        let skips = self.programs.skips();
        let mut hooks: Vec<_> = self.programs.hooks().cloned().collect();
        hooks.iter_mut().for_each(|hook| hook.skipped = skips.of(&hook.program));
        let losses = self.programs.losses()?.into_iter().map(|(cpu, loss)| Loss {
            cpu,
            first_ns: loss.first_ns,
            last_ns: loss.last_ns,
            count: loss.count.to_vec(),
        });
        Ok(Finish {
            counted,
            losses: losses.collect(),
            requests: self.programs.open_requests()?,
            hooks,
            gaps,
            reason: end.reason(),
            clock: host::clock_state(),
            killed: false,
        })
    }

    /// Empties the rings, unless a second INT says to leave it.
    fn stop_draining(&mut self) -> Result<()> {
        let Some(drainer) = self.drainer.take() else { return Ok(()) };
        let interrupts = self.signals.interrupts();
        self.control.stop();
        while !drainer.is_finished() {
            if self.signals.interrupts() > interrupts {
                self.control.abandon();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        drainer.join().map_err(|_| anyhow!("the drain thread panicked"))?
    }
}
