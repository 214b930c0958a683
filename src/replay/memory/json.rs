//! What was found as JSON. Bytes are hexadecimal, addresses are text: not every reader has exact numbers of 64 bits.

use std::ops::Range;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::diff::{Change, Difference, Differences};
use super::recording::{Found, Recording};
use super::text;
use super::words;
use crate::model::memory::{Claim, Doubt, Entry, Hit, Origin, Touch};
use crate::model::time;
use crate::terminal::escape::Hex;

/// A process at an instant.
#[derive(Serialize)]
pub struct Facts<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    pid: i32,
    comm: Option<&'a str>,
    start_ticks: Option<i64>,
    at_ns: i64,
    at: String,
    ts: String,
    caveats: Vec<String>,
    /// Runs of bytes, or entries of a history.
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum What<'a> {
    Ranges(Vec<Ranged<'a>>),
    History(Lazy<'a>),
    Differences(Lazy<'a>),
    Hits(Lazy<'a>),
}

/// Values that are made when they are written, one after another: there may be many.
struct Lazy<'a>(Box<dyn Fn() -> Values<'a> + 'a>);

type Values<'a> = Box<dyn Iterator<Item = Value> + 'a>;

impl Serialize for Lazy<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

#[derive(Serialize)]
struct Ranged<'a> {
    address: String,
    length: u64,
    known: u64,
    runs: Lazy<'a>,
}

impl<'a> Facts<'a> {
    fn of(recording: &Recording, found: &'a Found, what: What<'a>) -> Self {
        Facts {
            host: recording.host.clone(),
            pid: found.life.process.pid,
            comm: found.name.as_deref(),
            start_ticks: found.life.process.start,
            at_ns: found.at_ns.saturating_sub(recording.start.monotonic_ns),
            at: recording.seconds(found.at_ns),
            ts: time::utc(recording.start.at(found.at_ns).realtime_ns),
            caveats: text::caveats(recording, found),
            what,
        }
    }

    /// What is known of some ranges.
    pub fn ranges(recording: &Recording, found: &'a Found, ranges: Vec<Range<u64>>) -> Self {
        let of = |range: Range<u64>| Ranged {
            address: address(range.start),
            length: range.end - range.start,
            known: known(found, range.clone()),
            runs: Lazy(Box::new(move || Box::new(found.memory.claims(range.clone()).map(|claim| run(&claim, found))))),
        };
        Facts::of(recording, found, What::Ranges(ranges.into_iter().map(of).collect()))
    }

    /// What happened to a range.
    pub fn history(recording: &'a Recording, found: &'a Found) -> Self {
        let of = |entry: &Entry| match entry {
            Entry::Touch(touch) => touched(touch),
            Entry::Exec { seq, mono_ns } => {
                let at = mono_ns.saturating_sub(recording.start.monotonic_ns);
                json!({ "event": "process_exec", "seq": seq, "at_ns": at })
            }
        };
        let all = move || found.memory.history().into_iter().flat_map(|history| history.iter()).map(of);
        Facts::of(recording, found, What::History(Lazy(Box::new(move || Box::new(all())))))
    }

    /// What differs since an earlier instant.
    pub fn differences(
        recording: &Recording,
        before: &'a Found,
        after: &'a Found,
        differences: &'a Differences<'a>,
        most: usize,
    ) -> Self {
        let of = |difference: &Difference<'_>| {
            let Difference { range, change, by: event } = difference;
            let value = |found: &Found, unless| (*change != unless).then(|| hex(&found.memory.read(range.clone())));
            json!({
                "address": address(range.start),
                "length": range.end - range.start,
                "change": change.word(),
                "before": value(before, Change::New),
                "after": value(after, Change::Unknown),
                "by": event.map(by),
            })
        };
        let all = move || differences.iter().take(most).map(of);
        Facts::of(recording, after, What::Differences(Lazy(Box::new(move || Box::new(all())))))
    }

    /// Where and when bytes stood.
    pub fn search(recording: &'a Recording, found: &'a Found, most: usize) -> Self {
        let since_start = |mono_ns: i64| mono_ns.saturating_sub(recording.start.monotonic_ns);
        let of = move |hit: &Hit| {
            json!({
                "address": address(hit.address),
                "from_ns": since_start(hit.origin.mono_ns),
                "until_ns": hit.until_ns.map(since_start),
                "by": by(&hit.origin),
            })
        };
        let all = move || found.memory.search().into_iter().flat_map(|search| search.iter()).take(most).map(of);
        Facts::of(recording, found, What::Hits(Lazy(Box::new(move || Box::new(all())))))
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
    let bytes = claim.bytes.filter(|_| claim.is_known()).map(|bytes| Hex(bytes).to_string());
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
