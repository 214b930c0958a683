//! When the main thread has something to do.

use std::time::{Duration, Instant};

use crate::record::host;
use crate::record::ledger::KernelCounts;
use crate::schema::manifest::Clocks;

/// Between two readings of the kernel's counters.
const COUNTERS: Duration = Duration::from_secs(1);
/// Between two looks at how much space the disk has.
const DISK: Duration = Duration::from_millis(250);
/// How long before it comes the end of a file is announced: what happens behind it must not be written before.
const AHEAD_NS: i64 = 1_000_000_000;

/// Instants at which something is due.
#[derive(Debug)]
pub struct Timers {
    counters: Instant,
    disk: Instant,
    /// `-G`, and the last span of the wall clock whose begin was announced.
    file: Option<(i64, i64)>,
    /// The counters that were noted last, and whether they were a second time.
    noted: Option<(KernelCounts, bool)>,
}

impl Timers {
    /// Of a recording that began at `start_ns` of the wall clock. `file_seconds` is `-G`.
    pub fn new(file_seconds: Option<u64>, start_ns: i64) -> Self {
        let every = file_seconds.map(|s| i64::try_from(s).unwrap_or(i64::MAX).saturating_mul(1_000_000_000).max(1));
        let file = every.map(|every| (every, start_ns.div_euclid(every)));
        Timers { counters: Instant::now(), disk: Instant::now(), file, noted: None }
    }

    /// Whether the counters are to be read.
    pub fn counters_are_due(&mut self) -> bool {
        is_due(&mut self.counters, COUNTERS)
    }

    /// Whether to look at the disk.
    pub fn disk_is_due(&mut self) -> bool {
        is_due(&mut self.disk, DISK)
    }

    /// Whether counters are to be noted: those that differ from the last, and once more, since rows are made of the losses that
    /// they show when the next ones come.
    pub fn are_news(&mut self, counts: &KernelCounts) -> bool {
        let (same, again) = self.noted.as_ref().map_or((false, false), |(last, again)| (last == counts, *again));
        self.noted = Some((counts.clone(), same));
        !same || !again
    }

    /// Where files are to end, as far as that is soon and was not said before.
    pub fn files_end(&mut self) -> Vec<Clocks> {
        self.file.as_mut().map(|file| ends(file, host::clocks())).unwrap_or_default()
    }
}

/// When the wall clock comes to multiples of `every`, up to [`AHEAD_NS`] from now. `announced` is the last multiple that was
/// given before. A clock that is set ends a file, too.
fn ends((every, announced): &mut (i64, i64), now: Clocks) -> Vec<Clocks> {
    let span = |at_ns: i64| at_ns.div_euclid(*every);
    let (this, next) = (span(now.realtime_ns), span(now.realtime_ns.saturating_add(AHEAD_NS)));
    let at = |left_ns: i64| now.at(now.monotonic_ns.saturating_add(left_ns));
    if next < *announced {
        *announced = this;
        return vec![at(0)];
    }
    // If several were missed, since the clock was set or the thread was delayed, the last one is enough.
    let first = announced.saturating_add(1).max(this);
    *announced = next;
    let left = |span: i64| span.saturating_mul(*every).saturating_sub(now.realtime_ns);
    (first..=next).map(|span| at(left(span).max(-AHEAD_NS))).collect()
}

fn is_due(last: &mut Instant, every: Duration) -> bool {
    let due = last.elapsed() >= every;
    if due {
        *last = Instant::now();
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    /// What is announced at an instant, in seconds of the wall clock: that is `ahead_s` before the monotonic one.
    fn announced(file: &mut (i64, i64), now_s: f64, ahead_s: i64) -> Vec<f64> {
        let realtime_ns = (now_s * 1e9) as i64;
        let now = Clocks { realtime_ns, monotonic_ns: realtime_ns + ahead_s * S, ..Clocks::default() };
        let ends = ends(file, now).into_iter();
        ends.inspect(|at| assert_eq!(at.monotonic_ns - at.realtime_ns, ahead_s * S))
            .map(|at| at.realtime_ns as f64 / 1e9)
            .collect()
    }

    #[test]
    fn each_end_of_a_file_is_announced_once_and_before_it_comes() {
        let file = &mut (3 * S, 3);
        let all: Vec<(f64, Vec<f64>)> = [10.0, 10.9, 11.1, 11.2, 12.5, 13.9, 14.05, 15.5]
            .map(|now| (now, announced(file, now, 5)))
            .into_iter()
            .filter(|(_, ends)| !ends.is_empty())
            .collect();
        assert_eq!(all, [(11.1, vec![12.0]), (14.05, vec![15.0])]);
        assert_eq!(announced(&mut (S, 10), 10.3, 5), [11.0], "also where files are as short as that");
    }

    #[test]
    fn counters_are_noted_twice_when_they_change() {
        use crate::record::ledger::KernelEntry;
        use crate::schema::events::EventKind;

        let counts =
            |lost| -> KernelCounts { [(EventKind::Tee, KernelEntry { lost, ..KernelEntry::default() })].into() };
        let mut timers = Timers::new(None, 0);
        let news = [0, 0, 0, 1, 2, 2, 2, 2].map(|lost| timers.are_news(&counts(lost)));
        assert_eq!(news, [true, true, false, true, true, true, false, false]);
    }

    #[test]
    fn a_clock_that_is_set_and_a_late_look_end_one_file() {
        let file = &mut (3 * S, 4);
        assert_eq!(announced(file, 3600.5, 5), [3600.0], "forwards");
        assert_eq!(announced(file, 3604.8, 5), [3603.8], "a second back at most");
        assert_eq!(announced(file, 10.5, 5), [10.5], "backwards: now");
        assert_eq!(announced(file, 10.6, 5), [0.0; 0]);
        assert_eq!(announced(file, 11.5, 5), [12.0], "and then as ever");
        assert_eq!(announced(file, 17.5, 5), [16.5, 18.0]);
    }
}
