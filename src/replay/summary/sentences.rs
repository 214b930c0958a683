//! What a recording shows, in sentences, worst news first: losses, contradictions, denied attempts, what moved, what failed,
//! and how far all of it can be trusted. Safe for a terminal.

mod pairs;

use std::ops::RangeInclusive;

use super::gather::Report;
use super::words::{event, list, short};
use crate::count::{self, Count, grouped};
use crate::model::tally::{OfEvent, Trust};
use crate::model::{hosts, origin, time};
use crate::schema::vocabulary::{Loss, Tier};

/// Kinds of losses, and files that are missing, that are named.
const NAMED: usize = 5;

/// All sentences; at most `top` about pairs of processes of each kind.
pub fn all(report: &Report, top: usize) -> Vec<String> {
    let mut all = missing(report);
    all.extend(hosts::sentence(&report.manifest));
    if report.rows == 0 && report.total.left_out > 0 {
        all.push("No event is left.".into());
    } else if report.rows == 0 {
        all.push("No event was recorded.".into());
    } else if report.matched == 0 {
        all.push("No event matches.".into());
    }
    pairs::all(&mut all, &report.tally, top);
    all.extend(pairs::beyond(&report.tally));
    all.extend(trust(report));
    all
}

/// What the pairs do not show, for an output that has nothing else.
pub fn caveats(report: &Report) -> Vec<String> {
    let mut all = missing(report);
    all.extend(pairs::beyond(&report.tally));
    all
}

/// What is not in the recording, or not in these files.
fn missing(report: &Report) -> Vec<String> {
    let mut all = Vec::new();
    all.extend(origin::redacted(&report.manifest.derived_from));
    all.extend(origin::sentence(&report.manifest.derived_from, report.total.left_out));
    all.extend(lost(report));
    all.extend(ledger(report));
    all.extend(files(report));
    all
}

/// What was lost; nothing where nothing was.
fn lost(report: &Report) -> Option<String> {
    let total = report.losses.total();
    if total == 0 {
        return None;
    }
    let mut kinds: Vec<_> = report.losses.iter().filter(|(_, lost)| lost.count() > 0).collect();
    kinds.sort_by_key(|(_, lost)| std::cmp::Reverse(lost.count()));
    let mut named: Vec<String> = kinds
        .iter()
        .take(NAMED)
        .map(|(what, lost)| {
            let cause = Loss::parse(what.cause).map_or_else(|unknown| short(unknown, 40), |of| of.words().to_string());
            let host = what.host.map(|host| format!(" on {}", short(host, 40))).unwrap_or_default();
            format!("{} {}{host} ({cause})", grouped(lost.count()), event(what.event))
        })
        .collect();
    if kinds.len() > NAMED {
        named.push(format!("{} more kinds", kinds.len() - NAMED));
    }
    let since = kinds.iter().filter_map(|(_, lost)| lost.since_mono_ns).min();
    let until = kinds.iter().filter_map(|(_, lost)| lost.until_mono_ns).max();
    let when = match (since, until) {
        (Some(since), Some(until)) => {
            let at = |ns| time::seconds(report.since_start(ns).into(), 0);
            format!(", the known gaps between {} s and {} s", at(since), at(until))
        }
        _ => String::new(),
    };
    let were = Count(total, "event was", "events were");
    Some(format!("{were} LOST: {}{when}.", list(&named)))
}

/// What is not known of what happened.
fn ledger(report: &Report) -> Vec<String> {
    let mut all = Vec::new();
    if report.ledger_from_rows {
        all.push("What was lost is not known: the journal was incomplete.".to_string());
    } else if !report.balances {
        all.push("The ledger does not balance: vmtrace info shows how, and vmtrace verify checks the file.".into());
    }
    if report.total.unknown > 0 {
        let calls = Count(report.total.unknown, "call", "calls");
        all.push(format!("{calls} more may have been such events: vmtrace info shows the gaps."));
    }
    if report.total.forgotten > 0 {
        let were = Count(report.total.forgotten, "event was", "events were");
        all.push(format!("{were} dropped by the flight recorder, since no trigger came in time."));
    }
    if report.tally.overfull() > 0 {
        let calls = Count(report.tally.overfull(), "call has", "calls have");
        all.push(format!(
            "The file contradicts itself: {calls} more payload than moved. vmtrace verify checks the file."
        ));
    }
    all
}

/// Files of the recording that are not among those that are counted.
fn files(report: &Report) -> Option<String> {
    let missing = report.missing();
    let range = |range: &RangeInclusive<u64>| match (range.start(), range.end()) {
        (start, end) if start == end => start.to_string(),
        (start, end) => format!("{start} to {end}"),
    };
    let mut named: Vec<String> = missing.iter().take(NAMED).map(range).collect();
    if missing.len() > NAMED {
        named.push("others".into());
    }
    if let Some(last) = report.segments.last().filter(|_| report.goes_on) {
        named.push(format!("{} onwards", last.saturating_add(1)));
    }
    (!named.is_empty()).then(|| format!("Not counted are other files of this recording: {}.", list(&named)))
}

/// What was kept, that nothing was lost, and how far arguments can be trusted.
fn trust(report: &Report) -> Option<String> {
    let mut all = Vec::new();
    if report.tally.rows() > 0 {
        all.push(kept(report));
    }
    if nothing_was_lost(report) {
        let else_ = if report.total.forgotten == 0 { "" } else { "else " };
        // What was left out later is no loss, and what was lost before is in the ledger still.
        let when = if report.total.left_out == 0 { "" } else { " in the recording" };
        all.push(format!("Nothing {else_}was lost{when}."));
    }
    all.extend(arguments(report));
    (!all.is_empty()).then(|| all.join(" "))
}

/// Whether it is known that nothing was.
fn nothing_was_lost(report: &Report) -> bool {
    let losses = &report.losses;
    losses.total() == 0
        && losses.unlisted() == 0
        && report.balances
        && !report.ledger_from_rows
        && report.total.unknown == 0
}

fn kept(report: &Report) -> String {
    let (kept, snaplen) = (report.tally.kept(), report.manifest.filters.snaplen);
    let removed = report.tally.removed() > 0;
    let limit = match snaplen {
        _ if removed => "; redaction removed captured bytes".to_string(),
        0 if kept.kept > 0 => String::new(),
        0 => " (no payload was recorded)".to_string(),
        snaplen => format!(" (snaplen {snaplen})"),
    };
    // Rounded down: what is not whole must not look whole.
    let thousandths = u128::from(kept.kept) * 1000 / u128::from(kept.moved.max(1));
    match (kept.kept, thousandths) {
        _ if kept.moved == 0 && report.total.left_out > 0 => "No bytes moved in the events that are here.".into(),
        _ if kept.moved == 0 => "No bytes moved.".into(),
        (0, _) if removed => {
            format!("Of the {} that moved, redaction removed the captured bytes.", count::size(kept.moved))
        }
        (0, _) => format!("Nothing was kept of the {} that moved{limit}.", count::size(kept.moved)),
        (kept_bytes, _) if kept_bytes == kept.moved => format!("Kept of the bytes that moved: all{limit}."),
        (_, 0) => format!("Kept of the bytes that moved: less than 0.1 %{limit}."),
        (_, tenths) => format!("Kept of the bytes that moved: {}.{} %{limit}.", tenths / 10, tenths % 10),
    }
}

/// How far the arguments of the counted calls can be trusted.
pub fn arguments(report: &Report) -> Option<String> {
    let trust = report.tally.trust();
    let Trust { kernel, unverified, conflict: _, unreadable, unknown } = trust;
    let calls = trust.calls();
    let some = |number: u64, what: &str| {
        (number > 0).then(|| format!("of {} of {} {what}", grouped(number), Count(calls, "call", "calls")))
    };
    if calls == 0 {
        None
    } else if kernel == calls {
        Some(format!("Arguments are the kernel's own{}.", tier(report, Tier::Function)))
    } else if unverified == calls {
        Some(format!("Arguments are unverified{}.", tier(report, Tier::Tracepoint)))
    } else {
        let parts = [
            some(unverified, "are unverified"),
            some(unreadable, "could not be read"),
            some(unknown, "are of unknown origin"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| format!("Arguments {}.", list(&parts)))
    }
}

/// The tier, where all families of the counted calls have it.
fn tier(report: &Report, tier: Tier) -> String {
    let is_counted = |name: &String| {
        let is_call = |of: &&OfEvent| of.spec.is_none_or(|spec| spec.group.is_of_calls());
        report.tally.events().filter(is_call).any(|of| of.event.as_deref() == Some(name.as_str()))
    };
    let mut families = report.manifest.families.iter().filter(|family| family.events.iter().any(is_counted)).peekable();
    if families.peek().is_some() && families.all(|family| tier.is(&family.tier)) {
        format!(" ({} tier)", tier.as_str())
    } else {
        String::new()
    }
}
