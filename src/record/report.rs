//! What a recording prints on stderr: progress on a terminal, hooks on demand, a summary at the end.

use std::io::IsTerminal;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use nix::unistd::{getpgrp, tcgetpgrp};

use super::options::Options;
use crate::count::{self, Count};
use crate::record::encode::news::NewFile;
use crate::record::encode::rows::Progress;
use crate::record::output::series::Finished;
use crate::record::probes::load::{self, Programs};
use crate::schema::events::EventSet;
use crate::schema::families;
use crate::schema::manifest::{FamilyReport, Hook, LedgerRow};
use crate::schema::moved::Moved;
use crate::terminal::{is_dumb, say_line};

/// How often the progress line is renewed.
const EVERY: Duration = Duration::from_millis(250);

/// The progress line.
#[derive(Debug)]
pub struct Display {
    bar: Option<ProgressBar>,
    last: Instant,
    last_events: u64,
}

impl Display {
    /// A line if stderr is a terminal that can show one, and events are not printed there.
    pub fn new(options: &Options) -> Self {
        let is_taken = options.quiet || (options.printed.is_some() && std::io::stdout().is_terminal());
        let bar = (!is_taken && !is_dumb() && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(ProgressStyle::with_template("{spinner} {msg}").unwrap_or(ProgressStyle::default_spinner()));
            bar
        });
        Display { bar, last: Instant::now(), last_events: 0 }
    }

    /// Renews the line, not too often. `lost` is asked only then.
    pub fn update(&mut self, progress: &Progress, elapsed: Duration, lost: impl FnOnce() -> u64) {
        let Some(bar) = self.bar.as_ref().filter(|_| is_in_foreground()) else { return };
        let since = self.last.elapsed();
        if since < EVERY {
            return;
        }
        let events = progress.rows.load(Ordering::Relaxed);
        let rate = (events - self.last_events) as f64 / since.as_secs_f64();
        bar.set_message(format!(
            "{} ({}/s), {} moved, {} lost, {}",
            count::events(events),
            HumanCount(rate as u64),
            HumanBytes(progress.bytes.load(Ordering::Relaxed)),
            HumanCount(lost()),
            indicatif::HumanDuration(elapsed),
        ));
        bar.tick();
        self.last = Instant::now();
        self.last_events = events;
    }

    /// Takes the line away.
    pub fn clear(&self) {
        if let Some(bar) = self.bar.as_ref().filter(|_| is_in_foreground()) {
            bar.finish_and_clear();
        }
    }
}

/// Whether the terminal is ours to draw on: in the background it is another's. One that does not control us stops nobody.
fn is_in_foreground() -> bool {
    tcgetpgrp(std::io::stderr()).map_or(true, |group| group == getpgrp())
}

/// Prints which hooks are attached.
pub fn hooks(programs: &Programs) {
    for hook in programs.hooks() {
        match &hook.reason {
            None => say_line(format_args!("hook {} in place: {}", hook.target, hook.serves)),
            Some(reason) => say_line(format_args!("hook {} missing: {}: {reason}", hook.target, hook.serves)),
        }
    }
}

/// Says whether the begin of reads and writes is looked at from now on.
pub fn entries(programs: &Programs) {
    match programs.entries_refused() {
        Some(reason) => say_line(format_args!("the entry of reads and writes cannot be hooked: {reason}")),
        None if programs.entries_watched() => say_line(format_args!("the entry of reads and writes is hooked, too")),
        None => say_line(format_args!("the entry of reads and writes is no longer hooked")),
    }
}

/// Prints how the families of events are hooked, the result of the self-test, and what the hooks cannot see.
pub fn families(families: &[FamilyReport], programs: &Programs, events: &EventSet) {
    families::groups(families).iter().for_each(|group| say_line(format_args!("{group}")));
    let gaps = load::gaps(programs, events);
    families::gaps(&gaps, families).iter().for_each(|gap| say_line(format_args!("gap: {gap}")));
}

/// What SIGUSR1 asks for.
pub fn statistics(progress: &Progress, lost: u64, journal: u64, elapsed: Duration) {
    say_line(format_args!(
        "{}, {} moved, {} lost, {} in the journal, {:.1} s",
        count::events(progress.rows.load(Ordering::Relaxed)),
        HumanBytes(progress.bytes.load(Ordering::Relaxed)),
        HumanCount(lost),
        HumanBytes(journal),
        elapsed.as_secs_f64(),
    ));
}

/// Why a recording has ended before its time.
pub fn full(finished: &[Finished], cause: &str) {
    let Some(last) = finished.last() else {
        return say_line(format_args!("the disk is full ({cause}): recording stopped"));
    };
    say_line(format_args!(
        "{}: the disk is full ({cause}): recording stopped, the capture is complete up to there",
        last.path.display()
    ));
}

/// Finished files by names that are there.
fn names(finished: &[Finished]) -> String {
    match finished {
        [] => "no file".to_string(),
        [one] => one.path.display().to_string(),
        [first, .., last] => {
            let files = Count(finished.len() as u64, "file", "files");
            format!("{} to {} ({files})", first.path.display(), last.path.display())
        }
    }
}

/// A file was finished, while the recording goes on.
pub fn finished(new: &NewFile) {
    let what = if new.triggered { "the trigger has fired, and what was kept is in this file" } else { "finished" };
    say_line(format_args!("{}: {what}", new.path.display()));
}

/// What the last lines are made of.
#[derive(Debug)]
pub struct Summary<'a> {
    /// What was asked for.
    pub options: &'a Options,
    /// Of the whole recording.
    pub ledger: &'a [LedgerRow],
    /// As they were at the end.
    pub hooks: &'a [Hook],
    /// How long it took.
    pub elapsed: Duration,
    /// Events that were not printed.
    pub not_shown: u64,
}

impl Summary<'_> {
    /// The last lines: each file's root digest; then written, lost by cause, ignored, bytes, duration.
    pub fn say(&self, finished: &[Finished]) {
        for file in finished {
            say_line(format_args!("{}: root digest {}", file.path.display(), file.root));
        }
        let seconds = self.elapsed.as_secs_f64();
        let moved = Moved::of(self.ledger).in_words(|bytes| HumanBytes(bytes).to_string());
        let events = count::events(self.sum(|r| r.written));
        let counts = self.counts();
        if self.options.only_prints {
            let not_shown = match self.not_shown {
                0 => String::new(),
                n => format!(", {} not printed", count::events(n)),
            };
            return say_line(format_args!("{events}, {counts}{not_shown}; {moved}, {seconds:.2} s"));
        }
        let name = names(finished);
        let size: u64 = finished.iter().filter_map(|f| Some(std::fs::metadata(&f.path).ok()?.len())).sum();
        let size = HumanBytes(size);
        say_line(format_args!("{name}: {events} written, {counts}; {moved}, {size} on disk, {seconds:.2} s"));
    }

    fn sum(&self, of: fn(&LedgerRow) -> u64) -> u64 {
        self.ledger.iter().map(of).sum()
    }

    /// What did not become a row, and why.
    fn counts(&self) -> String {
        // Otherwise only events of other processes are left out.
        let narrowed = self.options.count.is_some() || self.options.events != EventSet::all();
        let total = LedgerRow::total(self.ledger);
        let causes = total.causes().map(|(cause, n)| format!("{} {}", HumanCount(n), cause.words()));
        let lost = match self.sum(LedgerRow::lost) {
            0 => "0 lost".to_string(),
            n => format!("{} LOST ({})", HumanCount(n), causes.collect::<Vec<_>>().join(", ")),
        };
        let ignored = match self.sum(|r| r.filtered) {
            0 => String::new(),
            n if narrowed => format!(", {} not requested", count::events(n)),
            n => format!(", {} of other processes ignored", count::events(n)),
        };
        let skipped = match self.hooks.iter().map(|h| h.skipped).sum::<u64>() {
            0 => String::new(),
            n => format!(", {} SKIPPED by the kernel", Count(n, "run of a hook", "runs of hooks")),
        };
        let forgotten = match self.sum(|r| r.forgotten) {
            0 => String::new(),
            n => format!(", {} not kept", HumanCount(n)),
        };
        format!("{lost}{ignored}{skipped}{forgotten}")
    }
}
