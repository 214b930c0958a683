//! What the journal contains beside records: the state of the capture, and how the recording ended.
//!
//! All of it is JSON, and `recover` reads it with the same version of vmtrace that wrote it.

use serde::{Deserialize, Deserializer, Serialize};

use crate::record::decode::DecoderState;
use crate::record::encode::reorder::Position;
use crate::record::identity::proc::Snapshot;
use crate::record::ledger::{Counted, Outcomes, Since};
use crate::schema::manifest::{ClockState, Clocks, Hook};
use crate::schema::vocabulary::EndReason;

/// All state that decoding needs to continue after the rows of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Number of the file, from 1.
    pub file: u64,
    /// Row groups in it that came before.
    pub groups: usize,
    /// Where to read on.
    pub place: Position,
    /// `seq` of the next row.
    pub seq: u64,
    /// `seq` of the file's first row.
    pub first_seq: u64,
    /// Latest mono_ns of any row.
    pub last_ns: i64,
    /// Transfers so far.
    pub transfers: u64,
    /// What became of the records so far.
    #[serde(rename = "books")]
    pub outcomes: Outcomes,
    /// The same, and the counters, where the file begins.
    pub since: Since,
    /// Who is who.
    pub known: DecoderState,
    /// The kernel's counters up to which `lost` rows were written.
    #[serde(rename = "told")]
    pub reported: Counted,
}

/// Processes that lived when recording began.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Living(pub Vec<Snapshot>);

/// A file ends, when and why. What happened before is in it; what comes later is in the next.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cut {
    /// When; may be still to come.
    pub at: Clocks,
    /// Why that file ends.
    #[serde(deserialize_with = "reason")]
    pub reason: EndReason,
}

/// What one CPU lost and could no longer report.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Loss {
    /// The CPU.
    pub cpu: u32,
    /// ns of CLOCK_MONOTONIC.
    pub first_ns: u64,
    /// ns of CLOCK_MONOTONIC.
    pub last_ns: u64,
    /// Events by wire kind.
    pub count: Vec<u32>,
}

/// The end of a recording: what is known when the hooks are gone and the rings are empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finish {
    /// Clocks when the hooks were taken away, and the kernel's counters.
    pub counted: Counted,
    /// Losses that no record reported.
    pub losses: Vec<Loss>,
    /// io_uring requests without a completion, as records.
    pub requests: Vec<Vec<u8>>,
    /// Every hook, with the runs that the kernel skipped.
    pub hooks: Vec<Hook>,
    /// Gaps that the end has shown.
    pub gaps: Vec<String>,
    /// Why the last file ends.
    #[serde(deserialize_with = "reason")]
    pub reason: EndReason,
    /// What disciplined the wall clock then.
    pub clock: Option<ClockState>,
    /// Nobody ended it: what is not there was lost with the recorder.
    #[serde(default)]
    pub killed: bool,
}

/// The reason that stands in a journal. One of another version is read by `recover` alone, whose captures are recovered
/// whatever stands there.
fn reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EndReason, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(EndReason::parse(&text).unwrap_or(EndReason::Recovered))
}
