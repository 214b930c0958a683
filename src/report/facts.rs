//! What the page has of a recording beside its events: as text at its top, and as JSON for its scripts.

use serde::Serialize;

use super::columns::Described;
use crate::count::{self, Count, grouped};
use crate::model::summary::Summary;
use crate::model::{hosts, origin, time};
use crate::replay::info::facts::Word;
use crate::replay::summary::gather::Report;
use crate::replay::summary::{json, sentences};
use crate::schema::events::{EVENTS, EventSpec};
use crate::schema::manifest::LedgerRow;
use crate::schema::reader::Capture;
use crate::schema::{families, names};
use crate::terminal::escape::Safe;

/// Gaps that are listed, and words of a command line.
const LISTED: usize = 50;
/// Characters of a text.
const LONGEST: usize = 1_000;

/// What the scripts read. Numbers that JavaScript would round are texts.
#[derive(Serialize)]
pub(super) struct Facts<'a> {
    /// Raised when an older script would misread a page.
    pub version: u32,
    pub rows: u64,
    pub start_mono_ns: String,
    pub start_realtime_ns: String,
    pub columns: &'a [Described],
    /// Whether a row stands for several events.
    pub folded: bool,
    pub payload_left_out: bool,
    /// Whether redaction took the addresses away.
    pub without_addresses: bool,
    pub events: Vec<EventFacts>,
    pub words: Words,
    pub flows: &'a [Box<serde_json::value::RawValue>],
    /// All of them, also those that are left out.
    pub flow_count: u64,
    /// What bounds all of them.
    pub flow_notes: &'a [String],
    pub summary: json::Facts<'a>,
}

/// What the numbers of a pair depend on.
#[derive(Serialize)]
pub(super) struct EventFacts {
    name: &'static str,
    is_call: bool,
    between_files: bool,
}

/// Words that a column can have, where these are known: a condition with another is refused.
#[derive(Serialize)]
pub(super) struct Words {
    event: Vec<&'static str>,
    lost_event: Vec<&'static str>,
    errno: Vec<&'static str>,
    ptrace_request: Vec<&'static str>,
    advice: Vec<&'static str>,
}

/// All events that vmtrace knows.
pub(super) fn events() -> Vec<EventFacts> {
    let of = |spec: &EventSpec| EventFacts {
        name: spec.name,
        is_call: spec.group.is_of_calls(),
        between_files: spec.is_between_files(),
    };
    EVENTS.iter().map(of).collect()
}

/// All such words.
pub(super) fn words() -> Words {
    let events: Vec<&'static str> = EVENTS.iter().map(|event| event.name).collect();
    Words {
        event: events.clone(),
        lost_event: events,
        errno: names::errno_names().collect(),
        ptrace_request: names::ptrace_request_names().collect(),
        advice: names::advice_names().collect(),
    }
}

/// What is known of the recording, for the top of the page.
pub(super) fn recording(capture: &Capture) -> Vec<(&'static str, Vec<String>)> {
    let summary = Summary::of(capture);
    let manifest = summary.manifest;
    let host = &manifest.host;
    let end = summary.end_realtime_ns.map(time::utc).unwrap_or_else(|| "an end that is not known".into());
    let mut span = vec![format!("{} to {end}", time::utc(manifest.start.realtime_ns))];
    span.extend(summary.duration_ns.map(time::span));
    let families = families::groups(&manifest.families);
    let gaps = families::gaps(&manifest.gaps, &manifest.families);
    let of_each = hosts::shares(manifest, LedgerRow::lost);
    let command: Vec<String> = manifest.argv.iter().take(LISTED).map(|word| Word(word).to_string()).collect();
    vec![
        ("Host", vec![safe(&host.hostname)]),
        ("Kernel", vec![safe(&format!("{} {} {}", host.sysname, host.release, host.machine))]),
        ("Container", host.container.as_deref().map(safe).into_iter().collect()),
        ("Recorded", span),
        ("Command", vec![front(&command.join(" "))]),
        ("Comment", manifest.comment.as_deref().map(safe).into_iter().collect()),
        ("Derived", manifest.derived_from.iter().take(LISTED).map(|step| front(&origin::made(step))).collect()),
        ("Recorder", vec![safe(&format!("{} {}", manifest.tool.name, manifest.tool.version))]),
        ("Events", vec![front(&format!("{}, {} lost{of_each}", count::events(summary.rows), grouped(summary.lost())))]),
        ("Hooks", families.iter().take(LISTED).map(|group| safe(&group.to_string())).collect()),
        ("Not seen", gaps.iter().take(LISTED).map(|gap| safe(gap)).collect()),
        ("Root digest", vec![root(capture)]),
    ]
}

/// As much of a text as is shown.
fn front(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_string(),
    }
}

/// A text of the file, made visible and cut where it is long.
fn safe(text: &str) -> String {
    Safe(&front(text)).to_string()
}

fn root(capture: &Capture) -> String {
    match capture.root() {
        Some(root) => format!("{} (as the file states it; vmtrace verify checks it)", safe(root)),
        None => "none in the file".into(),
    }
}

/// What was lost, and what cannot be trusted.
pub(super) fn warnings(report: &Report) -> Vec<String> {
    let mut warnings = sentences::caveats(report);
    let trust = report.tally.trust();
    if trust.kernel < trust.calls() {
        warnings.extend(sentences::arguments(report));
    }
    if trust.conflict > 0 {
        let calls = Count(trust.conflict, "call has", "calls have");
        warnings.push(format!("{calls} arguments that contradict what the kernel did."));
    }
    warnings
}
