//! What was found as JSON. Bytes are hexadecimal, addresses are text: not every reader has exact numbers of 64 bits.

use std::ops::Range;

use serde::Serialize;
use serde_json::{Value, json};

use super::diff::{Change, Difference};
use super::recording::{Found, Recording};
use super::text;
use super::words;
use crate::model::memory::{Claim, Doubt, Entry, Hit, Origin, Touch};
use crate::model::time;

/// A process at an instant.
#[derive(Debug, Serialize)]
pub struct Facts {
    pid: i32,
    comm: Option<String>,
    start_ticks: Option<i64>,
    at_ns: i64,
    at: String,
    ts: String,
    caveats: Vec<String>,
    /// Runs of bytes, or entries of a history.
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Ranges(Vec<Ranged>),
    History(Vec<Value>),
    Differences(Vec<Value>),
    Hits(Vec<Value>),
}

#[derive(Debug, Serialize)]
struct Ranged {
    address: String,
    length: u64,
    known: u64,
    runs: Vec<Value>,
}

impl Facts {
    fn of(recording: &Recording, found: &Found, what: What) -> Self {
        Facts {
            pid: found.life.process.pid,
            comm: found.name.clone(),
            start_ticks: found.life.process.start,
            at_ns: found.at_ns.saturating_sub(recording.start.monotonic_ns),
            at: recording.seconds(found.at_ns),
            ts: time::utc(recording.start.at(found.at_ns).realtime_ns),
            caveats: text::caveats(recording, found),
            what,
        }
    }

    /// What is known of some ranges.
    pub fn ranges(recording: &Recording, found: &Found, ranges: &[Range<u64>]) -> Self {
        let of = |range: &Range<u64>| Ranged {
            address: address(range.start),
            length: range.end - range.start,
            known: known(found, range.clone()),
            runs: found.memory.claims(range.clone()).map(|claim| run(&claim, found)).collect(),
        };
        Facts::of(recording, found, What::Ranges(ranges.iter().map(of).collect()))
    }

    /// What happened to a range.
    pub fn history(recording: &Recording, found: &Found) -> Self {
        let entries = found.memory.history().into_iter().flat_map(|history| history.iter());
        let entries = entries.map(|entry| match entry {
            Entry::Touch(touch) => touched(touch),
            Entry::Exec { seq, mono_ns } => {
                let at = mono_ns.saturating_sub(recording.start.monotonic_ns);
                json!({ "event": "process_exec", "seq": seq, "at_ns": at })
            }
        });
        Facts::of(recording, found, What::History(entries.collect()))
    }
}

impl Facts {
    /// What differs since an earlier instant.
    pub fn differences(recording: &Recording, before: &Found, after: &Found, differences: &[Difference<'_>]) -> Self {
        let of = |difference: &Difference<'_>| {
            let Difference { range, change, .. } = difference;
            // Of bytes that were known at one of the instants, there are as many as were kept.
            let value = |found: &Found, other| {
                if *change == other { None } else { Some(hex(&found.memory.read(range.clone()))) }
            };
            json!({
                "address": address(range.start),
                "length": range.end - range.start,
                "change": change.word(),
                "before": value(before, Change::New),
                "after": value(after, Change::Unknown),
                "by": difference.by.map(by),
            })
        };
        Facts::of(recording, after, What::Differences(differences.iter().map(of).collect()))
    }

    /// Where and when bytes stood.
    pub fn search(recording: &Recording, found: &Found, most: usize) -> Self {
        let since_start = |mono_ns: i64| mono_ns.saturating_sub(recording.start.monotonic_ns);
        let hits = found.memory.search().into_iter().flat_map(|search| search.iter());
        let of = |hit: &Hit| {
            json!({
                "address": address(hit.address),
                "from_ns": since_start(hit.origin.mono_ns),
                "until_ns": hit.until_ns.map(since_start),
                "by": by(&hit.origin),
            })
        };
        Facts::of(recording, found, What::Hits(hits.take(most).map(of).collect()))
    }
}

/// Bytes that are known of a range.
pub fn known(found: &Found, range: Range<u64>) -> u64 {
    let claims = found.memory.claims(range).filter(Claim::is_known);
    claims.map(|claim| claim.range.end - claim.range.start).sum()
}

fn address(at: u64) -> String {
    format!("{at:#x}")
}

fn run(claim: &Claim<'_>, found: &Found) -> Value {
    let bytes = claim.bytes.filter(|_| claim.is_known()).map(|bytes| crate::terminal::escape::Hex(bytes).to_string());
    let conflict = match claim.doubt {
        Doubt::Conflict(other) => Some(other.seq),
        Doubt::None | Doubt::Unordered => None,
    };
    json!({
        "address": address(claim.range.start),
        "length": claim.range.end - claim.range.start,
        "state": words::state(claim, found.at_ns),
        "bytes": bytes,
        "age_ns": found.at_ns.saturating_sub(claim.origin.mono_ns),
        "stale": claim.is_known() && found.memory.is_stale(claim.origin),
        "order_unknown": matches!(claim.doubt, Doubt::Unordered),
        "conflicts_with": conflict,
        "by": by(claim.origin),
    })
}

fn by(origin: &Origin) -> Value {
    json!({
        "seq": origin.seq,
        "event": origin.event,
        "ts": time::utc(origin.ts_ns),
        "pid": origin.pid,
        "comm": origin.comm.as_ref(),
        "target_pid": origin.target_pid,
        "target_comm": origin.target_comm.as_deref(),
        "verified": origin.verified,
    })
}

fn touched(touch: &Touch) -> Value {
    json!({
        "address": address(touch.range.start),
        "length": touch.range.end - touch.range.start,
        "state": words::way_word(touch.way),
        "before": hex(&touch.before),
        "after": hex(&touch.after),
        "by": by(&touch.origin),
    })
}

/// Hexadecimal digits, `··` where a byte is not known.
fn hex(bytes: &[Option<u8>]) -> String {
    bytes.iter().map(|byte| byte.map_or_else(|| "··".to_string(), |byte| format!("{byte:02x}"))).collect()
}
