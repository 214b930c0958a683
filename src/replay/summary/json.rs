//! The JSON of a summary. Rule of evolution: fields are only added.

use serde::Serialize;

use super::gather::Report;
use super::{sentences, tables};
use crate::model::tally::{AtPipe, OfEvent, Pair, Pipe, Span, Sum, Use, Way, Who, Words};
use crate::model::time;
use crate::schema::vocabulary::Direction;

/// The summary of one recording.
#[derive(Debug, Serialize)]
pub struct Facts<'a> {
    /// Paths as given; bytes that are no UTF-8 replaced.
    files: Vec<String>,
    capture_id: &'a str,
    /// Numbers of the files in their recording.
    segments: &'a [u64],
    /// Numbers of other files of it, from and to.
    missing_segments: Vec<(u64, u64)>,
    /// Rows in the files.
    rows: u64,
    /// Rows that were selected: what is below is about these.
    selected: u64,
    /// When the hooks were in place, RFC 3339.
    start_utc: String,
    first_ts: Option<String>,
    last_ts: Option<String>,
    sentences: Vec<String>,
    /// What was lost in the recording, whatever is selected.
    losses: Vec<Lost<'a>>,
    /// Whether every ledger balances, and counts as many rows as there are.
    balances: bool,
    /// Calls that may have been events beside those that were recorded.
    unknown: u64,
    kept: Kept,
    /// Number of calls by `iov_verdict`.
    arguments: Arguments,
    /// Calls whose arguments changed during the call, or contradict what the kernel did.
    conflicts: u64,
    /// Caller and target: the rows of the view `edges`.
    pairs: Vec<PairFacts<'a>>,
    /// Callers with their calls that have no target.
    without_target: Vec<PairFacts<'a>>,
    events: Vec<EventFacts<'a>>,
    pipes: Vec<PipeFacts<'a>>,
    /// What is in none of these lists.
    unlisted: Unlisted,
}

#[derive(Debug, Serialize)]
struct Lost<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    event: Option<&'a str>,
    cause: &'a str,
    count: u64,
    since_mono_ns: Option<i64>,
    until_mono_ns: Option<i64>,
}

#[derive(Debug, Serialize)]
struct Kept {
    /// Bytes of payload.
    bytes: u64,
    /// Bytes that moved; those that went through a pipe count at each call that moved them.
    moved: u64,
    snaplen: u32,
}

#[derive(Debug, Serialize)]
struct Arguments {
    kernel: u64,
    unverified: u64,
    conflict: u64,
    unreadable: u64,
    unknown: u64,
}

#[derive(Debug, Serialize)]
struct Unlisted {
    /// Beyond `--top`.
    pairs: u64,
    without_target: u64,
    events: u64,
    pipes: u64,
    /// Calls of pairs that were too many to be distinguished, and what they moved.
    calls: u64,
    failures: u64,
    bytes_in: u64,
    bytes_out: u64,
    /// Calls at pipes that were too many to be distinguished.
    calls_at_pipes: u64,
}

#[derive(Debug, Serialize)]
struct Process<'a> {
    /// Where the capture is of several hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    pid: i32,
    process_key: Option<&'a str>,
    comm: Option<&'a str>,
    exe: Option<&'a str>,
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct PairFacts<'a> {
    caller: Process<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Process<'a>>,
    calls: u64,
    failures: u64,
    transfers: u64,
    bytes_in: u64,
    bytes_out: u64,
    conflicts: u64,
    first_ts: Option<String>,
    last_ts: Option<String>,
    duration_ns: Option<i64>,
    /// By event and way of the bytes.
    by: Vec<UseFacts<'a>>,
    /// Calls that are in none of these.
    unlisted_calls: u64,
}

#[derive(Debug, Serialize)]
struct UseFacts<'a> {
    event: Option<&'a str>,
    direction: Option<&'static str>,
    calls: u64,
    transfers: u64,
    bytes: u64,
    errors: Vec<Error<'a>>,
    other_errors: u64,
    /// From the first to the last call that moved bytes.
    duration_ns: Option<i64>,
    /// The first path through which the target was reached.
    path: Option<&'a str>,
    has_more_paths: bool,
    /// Names of the mappings that were reached, where these are known: a few of them.
    regions: Vec<&'a str>,
    has_more_regions: bool,
}

#[derive(Debug, Serialize)]
struct Error<'a> {
    errno: &'a str,
    calls: u64,
}

#[derive(Debug, Serialize)]
struct EventFacts<'a> {
    event: Option<&'a str>,
    calls: u64,
    failures: u64,
    bytes: u64,
    errors: Vec<Error<'a>>,
    other_errors: u64,
    /// Of calls whose duration is known.
    latency: LatencyFacts,
}

#[derive(Debug, Serialize)]
struct LatencyFacts {
    calls: u64,
    total_ns: u64,
    mean_ns: Option<u64>,
    max_ns: u64,
}

#[derive(Debug, Serialize)]
struct PipeFacts<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    pipe: u64,
    path: Option<&'a str>,
    /// Null where nobody was seen who did that.
    bytes_in: Option<u64>,
    bytes_out: Option<u64>,
    bytes_duplicated: Option<u64>,
    calls: u64,
    writers: Vec<End<'a>>,
    readers: Vec<End<'a>>,
    duplicators: Vec<End<'a>>,
    /// Calls of processes that are in none of these.
    unlisted_calls: u64,
    first_ts: Option<String>,
    last_ts: Option<String>,
}

#[derive(Debug, Serialize)]
struct End<'a> {
    pid: i32,
    process_key: Option<&'a str>,
    comm: Option<&'a str>,
    calls: u64,
    bytes: u64,
}

impl<'a> Facts<'a> {
    /// The summary of `report`, with at most `top` entries of each list.
    pub fn of(report: &'a Report, top: usize) -> Self {
        let tally = &report.tally;
        let (kept, trust, beyond) = (tally.kept(), tally.trust(), tally.beyond());
        let (pairs, without_target): (Vec<&Pair>, Vec<&Pair>) =
            tables::by_bytes(tally).into_iter().partition(|pair| pair.target.is_some());
        let (events, pipes) = (tables::by_calls(tally), tables::by_size(tally));
        let more = |all: usize| all.saturating_sub(top) as u64;
        let unlisted = Unlisted {
            pairs: more(pairs.len()),
            without_target: more(without_target.len()),
            events: more(events.len()),
            pipes: more(pipes.len()),
            calls: beyond.calls,
            failures: beyond.failures,
            bytes_in: beyond.bytes_in,
            bytes_out: beyond.bytes_out,
            calls_at_pipes: tally.beyond_pipes(),
        };
        Facts {
            files: report.files.iter().map(|file| file.display().to_string()).collect(),
            capture_id: &report.manifest.capture_id,
            segments: &report.segments,
            missing_segments: report.missing().iter().map(|range| (*range.start(), *range.end())).collect(),
            rows: report.rows,
            selected: report.matched,
            start_utc: time::utc(report.manifest.start.realtime_ns),
            first_ts: first(tally.span()),
            last_ts: last(tally.span()),
            sentences: sentences::all(report, top),
            losses: losses(report),
            balances: report.balances,
            unknown: report.total.unknown,
            kept: Kept { bytes: kept.kept, moved: kept.moved, snaplen: report.manifest.filters.snaplen },
            arguments: Arguments {
                kernel: trust.kernel,
                unverified: trust.unverified,
                conflict: trust.conflict,
                unreadable: trust.unreadable,
                unknown: trust.unknown,
            },
            conflicts: tally.conflicts(),
            pairs: pairs.into_iter().take(top).map(pair).collect(),
            without_target: without_target.into_iter().take(top).map(pair).collect(),
            events: events.into_iter().take(top).map(event).collect(),
            pipes: pipes.into_iter().take(top).map(pipe).collect(),
            unlisted,
        }
    }
}

/// The instant of the first event, RFC 3339.
pub(super) fn first(span: Option<Span>) -> Option<String> {
    span.map(|span| time::utc(span.first_ts_ns))
}

/// The instant of the last event.
pub(super) fn last(span: Option<Span>) -> Option<String> {
    span.map(|span| time::utc(span.last_ts_ns))
}

fn losses(report: &Report) -> Vec<Lost<'_>> {
    let lost = report.losses.iter().map(|(what, lost)| Lost {
        host: what.host,
        event: what.event,
        cause: what.cause,
        count: lost.count(),
        since_mono_ns: lost.since_mono_ns,
        until_mono_ns: lost.until_mono_ns,
    });
    lost.collect()
}

fn process(who: &Who) -> Process<'_> {
    Process {
        host: who.host.as_deref(),
        pid: who.pid,
        process_key: who.key.as_deref(),
        comm: who.comm.as_deref(),
        exe: who.exe.as_deref(),
        uid: who.uid,
        command: who.command.as_deref(),
    }
}

fn pair(pair: &Pair) -> PairFacts<'_> {
    PairFacts {
        caller: process(&pair.caller),
        target: pair.target.as_ref().map(process),
        calls: pair.calls,
        failures: pair.failures,
        transfers: pair.transfers,
        bytes_in: pair.bytes_in,
        bytes_out: pair.bytes_out,
        conflicts: pair.conflicts,
        first_ts: first(pair.span),
        last_ts: last(pair.span),
        duration_ns: pair.span.map(|span| span.length_ns()),
        by: pair.uses.iter().map(one_use).collect(),
        unlisted_calls: pair.calls_without_use,
    }
}

fn one_use(of: &Use) -> UseFacts<'_> {
    UseFacts {
        event: of.event.as_deref(),
        direction: of.direction.map(Direction::as_str),
        calls: of.calls,
        transfers: of.transfers,
        bytes: of.bytes,
        errors: errors(&of.errors),
        other_errors: of.errors.others(),
        duration_ns: of.moved.map(|span| span.length_ns()),
        path: of.path.as_deref(),
        has_more_paths: of.has_more_paths,
        regions: of.regions.iter().map(|name| &**name).collect(),
        has_more_regions: of.has_more_regions,
    }
}

fn errors(words: &Words) -> Vec<Error<'_>> {
    words.iter().map(|(errno, calls)| Error { errno, calls }).collect()
}

fn event(of: &OfEvent) -> EventFacts<'_> {
    let latency = of.latency;
    EventFacts {
        event: of.event.as_deref(),
        calls: of.calls,
        failures: of.errors.total(),
        bytes: of.bytes,
        errors: errors(&of.errors),
        other_errors: of.errors.others(),
        latency: LatencyFacts {
            calls: latency.calls,
            total_ns: latency.total_ns,
            mean_ns: latency.mean_ns(),
            max_ns: latency.max_ns,
        },
    }
}

fn pipe(pipe: &Pipe) -> PipeFacts<'_> {
    let bytes = |sum: Sum| (sum.calls > 0).then_some(sum.bytes);
    let ends = |way: Way| {
        let ends = pipe.processes.iter().filter(move |at| at.way == way);
        ends.map(|at: &AtPipe| End {
            pid: at.pid,
            process_key: at.key.as_deref(),
            comm: at.comm.as_deref(),
            calls: at.calls,
            bytes: at.bytes,
        })
        .collect()
    };
    PipeFacts {
        host: pipe.host.as_deref(),
        pipe: pipe.inode,
        path: pipe.path.as_deref(),
        bytes_in: bytes(pipe.put),
        bytes_out: bytes(pipe.taken),
        bytes_duplicated: bytes(pipe.duplicated),
        calls: pipe.calls(),
        writers: ends(Way::In),
        readers: ends(Way::Out),
        duplicators: ends(Way::Duplicated),
        unlisted_calls: pipe.calls_of_others,
        first_ts: first(pipe.span),
        last_ts: last(pipe.span),
    }
}
