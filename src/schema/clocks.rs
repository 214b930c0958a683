//! The wall clock of a recording compared with its monotonic clock, at the instants that a capture records.
//!
//! Determines when the wall clock was stepped. Prints nothing.

use serde::Serialize;

use super::chain::Chain;
use super::manifest::{Clocks, Manifest};

/// What readings may differ by without anything having moved.
const NOISE_NS: i64 = 1_000_000;
/// A clock that is slewed (adjtime(3), adjtimex(2)) moves by at most 1 ms in a second against one that is not.
const SLEW_PER: i64 = 1_000;

/// The wall clock was stepped between two instants.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The earlier instant, in words.
    pub from: String,
    /// The later one.
    pub to: String,
    /// By how much, forwards if positive.
    pub by_ns: i64,
}

/// How far the wall clock is ahead of the monotonic clock.
fn offset(clocks: &Clocks) -> i64 {
    clocks.realtime_ns.saturating_sub(clocks.monotonic_ns)
}

/// The instants that a capture states, with their names, in order.
pub fn instants(manifest: &Manifest, chain: Option<&Chain>) -> Vec<(String, Clocks)> {
    let begin = match &manifest.segment {
        Some(segment) => segment.begin,
        None => manifest.start,
    };
    let groups = chain.map(|chain| chain.groups.as_slice()).unwrap_or_default();
    let groups = groups.iter().enumerate().map(|(index, group)| (format!("row group {index}"), group.clocks));
    let all = std::iter::once(("the start".to_string(), begin)).chain(groups);
    let all = all.chain([("the end".to_string(), manifest.end)]);
    all.filter(|(_, clocks)| clocks.monotonic_ns != 0).collect()
}

/// When the wall clock was stepped.
pub fn steps(instants: &[(String, Clocks)]) -> Vec<Step> {
    let pairs = instants.iter().zip(instants.iter().skip(1));
    let steps = pairs.filter_map(|((from, a), (to, b))| {
        let by_ns = offset(b).saturating_sub(offset(a));
        let elapsed = b.monotonic_ns.saturating_sub(a.monotonic_ns).max(0);
        let readings = a.uncertainty_ns.saturating_add(b.uncertainty_ns).max(NOISE_NS);
        let stepped = by_ns.saturating_abs() > readings.saturating_add(elapsed / SLEW_PER);
        stepped.then(|| Step { from: from.clone(), to: to.clone(), by_ns })
    });
    steps.collect()
}

#[cfg(test)]
mod tests {
    use super::super::chain::Link;
    use super::*;

    fn at(monotonic_s: i64, ahead_ns: i64) -> Clocks {
        let monotonic_ns = monotonic_s * 1_000_000_000;
        Clocks { realtime_ns: monotonic_ns + ahead_ns, monotonic_ns, boottime_ns: 0, uncertainty_ns: 100 }
    }

    #[test]
    fn a_step_is_told_from_a_slew() {
        let hour = 3_600_000_000_000;
        let link = |clocks| Link { clocks, ..Link::default() };
        let chain = Chain {
            groups: [at(20, 0), at(30, -hour), at(40, -hour + 9_000_000), at(50, -hour + 9_000_000)].map(link).into(),
            ..Chain::default()
        };
        let manifest = Manifest { start: at(10, 500_000), ..Manifest::default() };
        let instants = instants(&manifest, Some(&chain));
        assert_eq!(instants.len(), 5, "an end that is not stated is none");
        let step = Step { from: "row group 0".into(), to: "row group 1".into(), by_ns: -hour };
        assert_eq!(steps(&instants), [step]);
    }

    #[test]
    fn clocks_of_hostile_files_do_not_overflow() {
        let extreme = |realtime_ns, monotonic_ns| Clocks {
            realtime_ns,
            monotonic_ns,
            boottime_ns: i64::MIN,
            uncertainty_ns: i64::MAX,
        };
        let all = [(i64::MAX, i64::MIN), (i64::MIN, i64::MAX), (i64::MAX, i64::MIN)];
        steps(&all.map(|(real, mono)| (String::new(), extreme(real, mono))));
    }
}
