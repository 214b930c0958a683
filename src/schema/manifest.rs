//! What a capture records about itself: JSON in the Parquet key-value metadata.
//!
//! Rule of evolution: fields are only added; a reader fills absent ones with defaults and ignores unknown ones.

pub mod hosts;
mod readings;

use anyhow::{Result, anyhow, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::hosts::HostPart;
pub use self::readings::RegionReadings;
use super::derived::Derivation;
use super::limits::is_sparse;
use super::quote::quoted;
pub use super::tool::Tool;
use super::vocabulary::Loss;

/// Metadata key of the schema version, a decimal number.
pub const KEY_SCHEMA_VERSION: &str = "vmtrace.schema_version";
/// Metadata key of the manifest, JSON.
pub const KEY_MANIFEST: &str = "vmtrace.manifest";
/// Metadata key of a table that is no capture: the command that wrote it.
pub const KEY_TABLE: &str = "vmtrace.table";

/// Reads JSON from a file.
///
/// # Errors
/// What is wrong with it. What it quotes of the file is cut.
pub fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T> {
    ensure!(is_sparse(json), "it has more values than vmtrace writes in so many bytes");
    serde_json::from_slice(json).map_err(|error| anyhow!("{}", quoted(&error.to_string())))
}

/// Everything a reader must know to judge a capture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// Random 128 bits in hexadecimal, made when the recording starts.
    pub capture_id: String,
    /// The recorder.
    pub tool: Tool,
    /// The recorder's own command line.
    pub argv: Vec<String>,
    /// `--comment`.
    pub comment: Option<String>,
    /// What was asked for.
    pub filters: Filters,
    /// Where it was recorded.
    pub host: Host,
    /// Clocks when the hooks were in place.
    pub start: Clocks,
    /// Clocks when the hooks were taken away, or when the file was finished and the recording went on.
    pub end: Clocks,
    /// What disciplined the wall clock at the start.
    pub start_clock: Option<ClockState>,
    /// The same at the end.
    pub end_clock: Option<ClockState>,
    /// The file's place among those of its recording; absent where it is the only one.
    pub segment: Option<Segment>,
    /// Every hook that was tried.
    pub hooks: Vec<Hook>,
    /// By what the selected families of events were seen.
    pub families: Vec<FamilyReport>,
    /// What this recording could not see, in words.
    pub gaps: Vec<String>,
    /// Why it ended: an [`EndReason`](super::vocabulary::EndReason), or the word of a later version.
    pub end_reason: String,
    /// Seen, filtered, lost and written by event.
    pub ledger: Vec<LedgerRow>,
    /// The ledger is derived from the rows alone: `vmtrace recover` found no journal with the counters.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ledger_from_rows: bool,
    /// What became of the look-ups of mappings; absent where none were made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regions: Option<RegionReadings>,
    /// The steps that led from recorded captures to this one, the first one first; empty in what a recorder wrote.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub derived_from: Vec<Derivation>,
    /// What is of which host, where `merge` put recordings together that are not one; empty otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "hosts::few")]
    pub hosts: Vec<HostPart>,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filters {
    /// `-a`: every process.
    pub all: bool,
    /// `-p`.
    pub pids: Vec<i32>,
    /// `--tree`: with the children that these had already, and theirs.
    pub tree: bool,
    /// `--comm`: patterns for the names of processes, which are selected as with `-p`.
    pub comms: Vec<String>,
    /// `--target-pid`: processes of which only those are recorded who reach into them.
    pub target_pids: Vec<i32>,
    /// `--target-comm`: the same by patterns for their names.
    pub target_comms: Vec<String>,
    /// The COMMAND and its arguments.
    pub command: Vec<String>,
    /// Whether children of the selected processes are recorded too.
    pub follow: bool,
    /// Whether the mappings that calls reach were to be looked up. Absent in captures of earlier versions, which is no.
    pub regions: bool,
    /// Names of the selected events.
    pub events: Vec<String>,
    /// `-u`; empty for any.
    pub uids: Vec<u32>,
    /// `--cgroup`.
    pub cgroup: Option<String>,
    /// Payload bytes kept per event; 0 with `--payload none`.
    pub snaplen: u32,
    /// `-c`.
    pub count: Option<u64>,
    /// `--duration`, in seconds.
    pub duration_s: Option<f64>,
    /// Bytes of kernel ring buffer.
    pub buffer_size: u64,
}

/// Where it was recorded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Host {
    /// uname -n.
    pub hostname: String,
    /// uname -s.
    pub sysname: String,
    /// uname -r.
    pub release: String,
    /// uname -v.
    pub version: String,
    /// uname -m.
    pub machine: String,
    /// /proc/sys/kernel/random/boot_id.
    pub boot_id: String,
    /// /etc/machine-id, where readable.
    pub machine_id: Option<String>,
    /// Possible CPUs.
    pub cpus: u32,
    /// /sys/kernel/security/lockdown, where readable.
    pub lockdown: Option<String>,
    /// Container that the recorder ran in, if its cgroup path identifies one.
    pub container: Option<String>,
    /// Whether the recorder ran in the initial pid namespace.
    pub initial_pid_namespace: bool,
}

/// One instant on three clocks, read within the stated uncertainty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Clocks {
    /// CLOCK_REALTIME, ns since 1970.
    pub realtime_ns: i64,
    /// CLOCK_MONOTONIC, ns.
    pub monotonic_ns: i64,
    /// CLOCK_BOOTTIME, ns.
    pub boottime_ns: i64,
    /// ns between the first and the last reading.
    pub uncertainty_ns: i64,
}

impl Clocks {
    /// The clocks at a near instant of CLOCK_MONOTONIC, as they stood to each other here.
    pub fn at(self, monotonic_ns: i64) -> Self {
        let later = monotonic_ns.saturating_sub(self.monotonic_ns);
        Clocks {
            realtime_ns: self.realtime_ns.saturating_add(later),
            monotonic_ns,
            boottime_ns: self.boottime_ns.saturating_add(later),
            uncertainty_ns: self.uncertainty_ns,
        }
    }
}

/// What adjtimex(2) says of the wall clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClockState {
    /// Its return value: a [`ClockSync`](super::vocabulary::ClockSync), or the word of a later version.
    pub state: String,
    /// STA_* bits.
    pub status: i32,
    /// What is still to be slewed, ns.
    pub offset_ns: i64,
    /// How much faster or slower the clock is made to run, parts per million.
    pub frequency_ppm: f64,
    /// Largest error, µs.
    pub max_error_us: i64,
    /// Estimated error, µs.
    pub estimated_error_us: i64,
    /// TAI − UTC, s; 0 if it was not set in the kernel.
    pub tai_s: i32,
}

/// The place of a file among those of one recording, which share a capture id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Segment {
    /// Number of the file, from 1.
    pub index: u64,
    /// When the file began.
    pub begin: Clocks,
    /// `seq` of its first row.
    pub first_seq: u64,
    /// Root digest of the file before.
    pub previous_root: Option<String>,
    /// Its name when it was written, without directories.
    pub previous_file: Option<String>,
    /// Number of the last file of the recording that is in it, where `merge` put several into one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
}

impl Segment {
    /// Number of the last file of the recording that is in it.
    pub fn last(&self) -> u64 {
        self.last.unwrap_or(self.index)
    }
}

/// One hook that was tried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hook {
    /// BPF program.
    pub program: String,
    /// Where it attaches, such as `tp_btf/sys_exit`.
    pub target: String,
    /// Event groups it serves.
    pub serves: String,
    /// Whether it is in place.
    pub attached: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Runs that the kernel left out: another thread had been preempted in the program on the same CPU.
    pub skipped: u64,
}

/// By what one family of events was seen, and whether that was put to the test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FamilyReport {
    /// Its name, such as `vm`.
    pub family: String,
    /// Values of the `event` column that it makes.
    pub events: Vec<String>,
    /// By what they are seen: a [`Tier`](super::vocabulary::Tier), or the word of a later version.
    pub tier: String,
    /// Whether no kernel offers this family a better tier.
    pub best: bool,
    /// Where its hooks are attached.
    pub probes: Vec<String>,
    /// What came of known transfers made at the start: a [`SelfTest`](super::vocabulary::SelfTest), or the word of a
    /// later version.
    pub self_test: String,
    /// Of these transfers, those that the system did not allow, and why.
    pub untested: Vec<String>,
    /// Why it is not at its best tier, or what is not seen.
    pub gap: Option<String>,
}

/// What the hooks see on a system, which `check` finds out.
#[derive(Debug, Default, Serialize)]
pub struct Coverage {
    /// By family.
    pub families: Vec<FamilyReport>,
    /// What no recording here can see, in words.
    pub gaps: Vec<String>,
}

/// The row of one event in the ledger:
/// `seen + carried_in = filtered + forgotten + lost + left_out + written + carried_out`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LedgerRow {
    /// Value of the `event` column.
    pub event: String,
    /// Occurrences that reached the hook, counted in the kernel.
    pub seen: u64,
    /// Counted as seen for the file before, and not yet accounted for there: they were under way. 0 in a first file.
    pub carried_in: u64,
    /// Of those, not selected by pid, uid, cgroup or `-c`.
    pub filtered: u64,
    /// Of those, kept by the flight recorder for the configured time or size, and dropped.
    pub forgotten: u64,
    /// Of those, selected and lost because the ring buffer was full, counted in the kernel.
    pub lost_ring_full: u64,
    /// Of those, selected and lost because there was no room to put the record together, counted in the kernel.
    pub lost_scratch_full: u64,
    /// Of those, never looked at: the kernel did not run the hook, since another thread had been preempted in it on that
    /// CPU. Whether they would have been selected is not known.
    pub lost_hook_skipped: u64,
    /// Of those, delivered to the ring and never taken out: a second ^C ended the recording at once.
    pub lost_unread: u64,
    /// Of those, taken from the ring and not kept because the journal could not be written. No recorder loses events so:
    /// who appends to the journal waits until it takes them. It is read, and written only where it is not 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub lost_journal: u64,
    /// Of those, not in the journal when the recorder died: what `vmtrace recover` could not find any more.
    pub lost_crash: u64,
    /// Of those, taken from the ring and refused by the decoder.
    pub lost_undecodable: u64,
    /// Of those, taken from the ring and not written because the output failed.
    pub lost_write_error: u64,
    /// Of those, rows of the captures that this one was made from, and not rows of this one. Written only where it is not 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// Rows in the file.
    pub written: u64,
    /// Under way when the file was finished, and counted in the next one. 0 in a last file.
    pub carried_out: u64,
    /// Of the rows in the file, calls that returned an error.
    pub failed: u64,
    /// The `bytes` of the written rows; what they are, says [`super::moved`].
    pub bytes: u64,
    /// Written rows of which a payload segment or an iovec array could not be read.
    pub read_faults: u64,
    /// Calls that may have been such an event, beside those seen: nothing shows which file they were on. The gaps name
    /// their callers.
    pub unknown: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl LedgerRow {
    /// Events lost by one cause.
    pub fn lost_by(&self, cause: Loss) -> u64 {
        match cause {
            Loss::RingFull => self.lost_ring_full,
            Loss::ScratchFull => self.lost_scratch_full,
            Loss::HookSkipped => self.lost_hook_skipped,
            Loss::Unread => self.lost_unread,
            Loss::Journal => self.lost_journal,
            Loss::Crash => self.lost_crash,
            Loss::Undecodable => self.lost_undecodable,
            Loss::WriteError => self.lost_write_error,
        }
    }

    /// The causes by which events were lost, and how many.
    pub fn causes(&self) -> impl Iterator<Item = (Loss, u64)> {
        Loss::ALL.iter().map(|cause| (*cause, self.lost_by(*cause))).filter(|(_, lost)| *lost > 0)
    }

    /// Events lost, by whatever cause.
    pub fn lost(&self) -> u64 {
        self.causes().fold(0, |sum, (_, lost)| sum.saturating_add(lost))
    }

    /// Whether every occurrence is accounted for.
    pub fn balances(&self) -> bool {
        let ends = [self.filtered, self.forgotten, self.lost(), self.left_out, self.written, self.carried_out];
        let ended = ends.iter().try_fold(0u64, |sum, end| sum.checked_add(*end));
        ended.is_some() && ended == self.seen.checked_add(self.carried_in)
    }

    /// Why the row does not balance, in words; `None` where it does.
    pub fn imbalance(&self) -> Option<String> {
        let some = |number: u64, what: &str| if number > 0 { format!(" + {number} {what}") } else { String::new() };
        let LedgerRow { event, seen, filtered, written, .. } = self;
        let (carried_in, forgotten) = (some(self.carried_in, "carried in"), some(self.forgotten, "forgotten"));
        let (lost, carried_out) = (self.lost(), some(self.carried_out, "carried out"));
        (!self.balances()).then(|| {
            let left_out = some(self.left_out, "left out");
            let ends =
                format!("{filtered} filtered{forgotten} + {lost} lost{left_out} + {written} written{carried_out}");
            format!("{}: {seen} seen{carried_in} is not {ends}", quoted(event))
        })
    }

    /// The ledger of two files that follow each other and have become one.
    pub fn joined(first: &[LedgerRow], second: Vec<LedgerRow>) -> Vec<LedgerRow> {
        let mut joined = first.to_vec();
        for row in second {
            match joined.iter_mut().find(|other| other.event == row.event) {
                // The second carried in what the first carried out.
                Some(other) => {
                    let (carried_in, carried_out) = (other.carried_in, row.carried_out);
                    let event = std::mem::take(&mut other.event);
                    *other = LedgerRow { event, carried_in, carried_out, ..LedgerRow::total(&[other.clone(), row]) };
                }
                None => joined.push(row),
            }
        }
        joined
    }

    /// The rows of a ledger in one.
    pub fn total(ledger: &[LedgerRow]) -> Self {
        let sum = |field: fn(&LedgerRow) -> u64| ledger.iter().fold(0u64, |sum, row| sum.saturating_add(field(row)));
        LedgerRow {
            event: "total".into(),
            seen: sum(|r| r.seen),
            carried_in: sum(|r| r.carried_in),
            filtered: sum(|r| r.filtered),
            forgotten: sum(|r| r.forgotten),
            lost_ring_full: sum(|r| r.lost_ring_full),
            lost_scratch_full: sum(|r| r.lost_scratch_full),
            lost_hook_skipped: sum(|r| r.lost_hook_skipped),
            lost_unread: sum(|r| r.lost_unread),
            lost_journal: sum(|r| r.lost_journal),
            lost_crash: sum(|r| r.lost_crash),
            lost_undecodable: sum(|r| r.lost_undecodable),
            lost_write_error: sum(|r| r.lost_write_error),
            left_out: sum(|r| r.left_out),
            written: sum(|r| r.written),
            carried_out: sum(|r| r.carried_out),
            failed: sum(|r| r.failed),
            bytes: sum(|r| r.bytes),
            read_faults: sum(|r| r.read_faults),
            unknown: sum(|r| r.unknown),
        }
    }
}

impl Manifest {
    /// Events lost, by whatever cause and of whatever kind.
    pub fn lost(&self) -> u64 {
        self.ledger.iter().fold(0, |sum, row| sum.saturating_add(row.lost()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_unknown_fields_do_not_hinder_reading() {
        let manifest: Manifest = serde_json::from_str(r#"{"capture_id":"x","later_field":1}"#).unwrap();
        assert_eq!(manifest, Manifest { capture_id: "x".into(), ..Manifest::default() });
    }

    #[test]
    fn every_cause_of_loss_counts() {
        let mut json = serde_json::json!({ "seen": Loss::ALL.len() });
        Loss::ALL.iter().for_each(|cause| json[cause.as_str()] = 1.into());
        let row: LedgerRow = serde_json::from_value(json).unwrap();
        assert!(Loss::ALL.iter().all(|cause| row.lost_by(*cause) == 1), "{row:?}");
        let json = serde_json::to_value(&row).unwrap();
        let causes = json.as_object().unwrap().keys().filter(|key| key.starts_with("lost_"));
        assert!(causes.clone().all(|cause| Loss::parse(cause).is_ok()), "{json}");
        assert_eq!((row.lost(), causes.count()), (Loss::ALL.len() as u64, Loss::ALL.len()));
        let none = serde_json::to_value(LedgerRow::default()).unwrap();
        assert_eq!(none.get(Loss::Journal.as_str()), None, "never written as 0");
        let total = LedgerRow::total(&[row.clone(), row.clone()]);
        assert_eq!((total.lost(), total.seen), (2 * row.lost(), 16));
        assert!(row.balances());
    }

    #[test]
    fn two_ledgers_become_one() {
        let row = |event: &str, [seen, carried_in, written, carried_out]: [u64; 4]| LedgerRow {
            event: event.into(),
            seen,
            carried_in,
            written,
            carried_out,
            ..LedgerRow::default()
        };
        let first = [row("tee", [10, 1, 8, 3]), row("splice", [5, 0, 5, 0])];
        let joined = LedgerRow::joined(&first, vec![row("tee", [4, 3, 5, 2]), row("lost", [1, 0, 1, 0])]);
        let wanted = [row("tee", [14, 1, 13, 2]), row("splice", [5, 0, 5, 0]), row("lost", [1, 0, 1, 0])];
        assert_eq!(joined, wanted);
        assert!(joined.iter().all(LedgerRow::balances));
        assert_eq!(LedgerRow::joined(&[], wanted.to_vec()), wanted);
    }

    #[test]
    fn the_ledger_balances_or_not() {
        let mut row = LedgerRow { seen: 10, filtered: 2, lost_ring_full: 3, written: 5, ..LedgerRow::default() };
        assert!(row.balances());
        row.lost_write_error = 1;
        assert!(!row.balances());
        row.carried_in = 1;
        assert!(row.balances());
        (row.carried_out, row.forgotten, row.seen) = (2, 3, 15);
        assert_eq!(row.imbalance(), None);
        (row.carried_in, row.event) = (2, "tee".into());
        let words = "tee: 15 seen + 2 carried in is not 2 filtered + 3 forgotten + 4 lost + 5 written + 2 carried out";
        assert_eq!(row.imbalance().as_deref(), Some(words));
        (row.seen, row.left_out) = (21, 6);
        let left_out = words.replace("15 seen", "21 seen").replace("4 lost", "4 lost + 6 left out");
        assert_eq!(row.imbalance(), Some(left_out));
        row.seen = 20;
        assert!(row.balances());
        row.written = u64::MAX;
        assert!(!row.balances(), "no overflow");
    }
}
