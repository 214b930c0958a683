//! What a recording says on stderr: progress on a terminal, hooks on demand, a summary at the end.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use super::load::{self, Programs};
use super::write::Progress;
use crate::schema::events::EventSet;
use crate::schema::manifest::{FamilyReport, LedgerRow, Manifest};

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
    /// A line if stderr is a terminal that can show one.
    pub fn new(quiet: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let bar = (!quiet && !dumb && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(ProgressStyle::with_template("{spinner} {msg}").unwrap_or(ProgressStyle::default_spinner()));
            bar
        });
        Display { bar, last: Instant::now(), last_events: 0 }
    }

    /// Renews the line, not too often. `lost` is asked only then.
    pub fn update(&mut self, progress: &Progress, elapsed: Duration, lost: impl FnOnce() -> u64) {
        let Some(bar) = &self.bar else { return };
        let since = self.last.elapsed();
        if since < EVERY {
            return;
        }
        let events = progress.transfers.load(Ordering::Relaxed);
        let rate = (events - self.last_events) as f64 / since.as_secs_f64();
        bar.set_message(format!(
            "{} transfers ({}/s), {} moved, {} lost, {}",
            HumanCount(events),
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
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Writes a line to stderr. Nobody may be listening: eprintln! would panic, and COMMAND's status be lost.
pub fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "vmtrace: {line}");
}

/// Says which hooks are in place and what they cannot see.
pub fn hooks(programs: &Programs, events: &EventSet) {
    for hook in programs.hooks() {
        match &hook.reason {
            None => say(format_args!("hook {} in place: {}", hook.target, hook.serves)),
            Some(reason) => say(format_args!("hook {} missing: {}: {reason}", hook.target, hook.serves)),
        }
    }
    load::gaps(programs, events).iter().for_each(|gap| say(format_args!("gap: {gap}")));
}

/// Says by what each family is seen, and what the self-test found.
pub fn families(families: &[FamilyReport]) {
    for family in families {
        let FamilyReport { family: name, tier, self_test, .. } = family;
        say(format_args!("family {name}: tier {tier}, self-test {self_test}"));
        family.untested.iter().for_each(|transfer| say(format_args!("family {name}: not tested: {transfer}")));
        family.gap.iter().for_each(|gap| say(format_args!("family {name}: {gap}")));
    }
}

/// The last line: written, filtered, lost by cause, bytes, duration.
pub fn summary(path: &Path, manifest: &Manifest, elapsed: Duration) {
    let sum = |f: fn(&LedgerRow) -> u64| manifest.ledger.iter().map(f).sum::<u64>();
    let causes = LedgerRow::total(&manifest.ledger).causes();
    let causes = causes.iter().filter(|(_, n)| *n > 0).map(|(cause, n)| format!("{} {cause}", HumanCount(*n)));
    let causes: Vec<String> = causes.collect();
    let lost = match manifest.lost() {
        0 => "0 lost".to_string(),
        n => format!("{} LOST ({})", HumanCount(n), causes.join(", ")),
    };
    let skipped: u64 = manifest.hooks.iter().map(|h| h.skipped).sum();
    let skipped = match skipped {
        0 => String::new(),
        n => format!(", {} runs of hooks SKIPPED by the kernel", HumanCount(n)),
    };
    let size = std::fs::metadata(path).map_or(0, |m| m.len());
    say(format_args!(
        "{}: {} events written, {} filtered, {lost}{skipped}; {} moved, {} on disk, {:.2} s",
        path.display(),
        HumanCount(sum(|r| r.written)),
        HumanCount(sum(|r| r.filtered)),
        HumanBytes(sum(|r| r.bytes)),
        HumanBytes(size),
        elapsed.as_secs_f64(),
    ));
}
