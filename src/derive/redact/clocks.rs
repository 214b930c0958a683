//! Clocks, shifted: each by one secret span, so that all differences stay.
//!
//! The wall clock goes back by 30 days to 10 years: the date, the time of day and so the zone are hidden. CLOCK_MONOTONIC
//! and CLOCK_BOOTTIME go forward together by 1 to 1,000 days, since how long a machine has been up, to the nanosecond,
//! identifies it. The span is a whole number of ticks in which start times of processes are compared. Times of 0 stay: they
//! mean that a time is not known.

use super::secret::Secret;
use crate::schema::key::TICK_NS;
use crate::schema::manifest::{ClockState, Clocks};

const SECOND_NS: i64 = 1_000_000_000;
const DAY_NS: i64 = 86_400 * SECOND_NS;

/// By how much the clocks of a capture are shifted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    /// Added to the wall clock, ns; a whole number of µs, below 0.
    pub wall_ns: i64,
    /// Added to the monotonic clock and to that since boot, ns; a whole number of ticks.
    pub uptime_ns: i64,
}

impl Shift {
    /// That of a secret.
    pub fn of(secret: &Secret) -> Self {
        let within = |name: &str, from: i64, to: i64, unit: i64| {
            let count = ((to - from) / unit).unsigned_abs();
            from + i64::try_from(secret.number(name, b"") % count).unwrap_or(0) * unit
        };
        Shift {
            wall_ns: -within("wall clock", 30 * DAY_NS, 3_653 * DAY_NS, 1_000),
            uptime_ns: within("monotonic clock", DAY_NS, 1_000 * DAY_NS, TICK_NS.cast_signed()),
        }
    }

    /// An instant of the wall clock, ns.
    pub fn wall(self, ns: i64) -> i64 {
        shifted(ns, self.wall_ns)
    }

    /// The same, µs.
    pub fn wall_micros(self, micros: i64) -> i64 {
        shifted(micros, self.wall_ns / 1_000)
    }

    /// An instant since boot, ns.
    pub fn uptime(self, ns: i64) -> i64 {
        shifted(ns, self.uptime_ns)
    }

    /// One instant on all clocks.
    pub fn clocks(self, clocks: &Clocks) -> Clocks {
        Clocks {
            realtime_ns: self.wall(clocks.realtime_ns),
            monotonic_ns: self.uptime(clocks.monotonic_ns),
            boottime_ns: self.uptime(clocks.boottime_ns),
            uncertainty_ns: clocks.uncertainty_ns,
        }
    }
}

fn shifted(time: i64, by: i64) -> i64 {
    if time == 0 { 0 } else { time.saturating_add(by) }
}

/// What disciplines a wall clock, without what identifies its quartz.
pub fn state(state: &ClockState) -> ClockState {
    let ClockState { state, status, offset_ns: _, frequency_ppm: _, max_error_us, estimated_error_us: _, tai_s } =
        state;
    ClockState {
        state: state.clone(),
        status: *status,
        max_error_us: *max_error_us,
        tai_s: *tai_s,
        ..ClockState::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::key::process_key;

    #[test]
    fn differences_stay_and_days_are_hidden() {
        for number in 0..50u8 {
            let shift = Shift::of(&Secret::of(&[number]));
            assert!((30 * DAY_NS..=3_653 * DAY_NS).contains(&-shift.wall_ns), "{shift:?}");
            assert!((DAY_NS..=1_000 * DAY_NS).contains(&shift.uptime_ns), "{shift:?}");
            let (a, b) = (1_795_532_986_799_823_365, 1_795_532_987_349_909_279);
            assert_eq!(shift.wall(b) - shift.wall(a), b - a);
            assert_eq!(shift.wall_micros(a / 1_000), shift.wall(a) / 1_000);
            let (early, late) = (12_345_678_901, 12_349_999_999);
            assert_eq!(process_key("", 1, early), process_key("", 1, late));
            let of = |ns: u64| process_key("", 1, shift.uptime(ns.cast_signed()).cast_unsigned());
            assert_eq!(of(early), of(late), "the same tick stays one");
        }
        assert_ne!(Shift::of(&Secret::of(b"a")), Shift::of(&Secret::of(b"b")));
        let shift = Shift { wall_ns: -5_000, uptime_ns: 7 };
        assert_eq!((shift.wall(0), shift.uptime(0)), (0, 0));
        assert_eq!((shift.wall(i64::MIN), shift.uptime(i64::MAX)), (i64::MIN, i64::MAX), "no overflow");
    }
}
