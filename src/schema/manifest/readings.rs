//! What became of the look-ups of mappings.

use serde::{Deserialize, Serialize};

/// Events with remote ranges, by whether the mappings of these are known, and why not; and what that took. Counted from the
/// start of the recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegionReadings {
    /// Events whose mappings are known.
    pub named: u64,
    /// Which state of the mappings the call reached was not noted.
    pub not_noted: u64,
    /// The mappings had changed by the time of the reading.
    pub changed: u64,
    /// They changed during the reading, or the kernel had not noted what some call reached.
    pub raced: u64,
    /// The target had ended, executed another program, or could not be read.
    pub gone: u64,
    /// There had been as many readings as a second allows.
    pub too_often: u64,
    /// The target had more mappings than are read.
    pub too_large: u64,
    /// What the kernel says of its mappings could not be understood.
    pub unreadable: u64,
    /// Readings of /proc/PID/maps.
    pub readings: u64,
    /// Bytes of them.
    pub bytes: u64,
}

impl RegionReadings {
    /// Events whose mappings are not known, by cause, in words.
    pub fn unnamed(&self) -> impl Iterator<Item = (u64, &'static str)> {
        let RegionReadings { not_noted, changed, raced, gone, too_often, too_large, unreadable, .. } = *self;
        let causes = [
            (not_noted, "not noted by the kernel"),
            (changed, "mapped since"),
            (raced, "mapped during the reading"),
            (gone, "the target was gone"),
            (too_often, "too many readings"),
            (too_large, "too many mappings"),
            (unreadable, "not understood"),
        ];
        causes.into_iter().filter(|(count, _)| *count > 0)
    }
}
