//! The text of `info`. Everything from the manifest passes `Safe`.

use std::fmt::{Display, Write};

use super::facts::{Facts, Word};
use super::families;
use super::regions::words;
use crate::count::{self, Count, grouped};
use crate::model;
use crate::model::summary::{Summary, Term};
use crate::model::{origin, time};
use crate::schema::derived::Redaction;
use crate::schema::manifest::{ClockState, FamilyReport, Filters, Hook, LedgerRow, Manifest, Segment};
use crate::schema::vocabulary::ClockSync;
use crate::schema::{EventKind, EventSet};
use crate::terminal::escape::Safe;

/// Steps from a recorded capture to this one that are shown.
const STEPS: usize = 20;
/// Hosts that are shown.
const HOSTS: usize = 64;

/// The description of one capture.
pub fn render(facts: &Facts<'_>, verbose: bool) -> String {
    let mut out = String::new();
    line(&mut out, "File", format_args!("{}", Safe(&facts.file)));
    origin(&mut out, facts);
    times(&mut out, facts);
    ledger(&mut out, facts);
    let Manifest { families, gaps, hooks, regions, .. } = facts.manifest;
    regions.iter().for_each(|readings| line(&mut out, "Mappings", words(readings)));
    if verbose {
        all_hooks(&mut out, hooks);
    }
    if !families.is_empty() {
        out.push('\n');
        families::render(&mut out, families, verbose);
    }
    if !verbose {
        failed_hooks(&mut out, hooks, families);
    }
    families::gaps(&mut out, "Not seen by this recording", gaps, families, verbose);
    out
}

fn line(out: &mut String, name: &str, value: impl Display) {
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "{name:<12} {value}");
}

fn origin(out: &mut String, facts: &Facts<'_>) {
    let manifest = facts.manifest;
    let (tool, host) = (&manifest.tool, &manifest.host);
    line(
        out,
        "Size",
        format_args!(
            "{}, {} in {}, schema version {}",
            count::bytes(facts.size),
            count::events(facts.rows),
            count::row_groups(facts.row_groups),
            facts.schema_version
        ),
    );
    line(out, "Capture", Safe(&manifest.capture_id));
    if let Some(root) = facts.root {
        line(out, "Root digest", format_args!("{} (as stated; vmtrace verify checks it)", Safe(root)));
    }
    for step in manifest.derived_from.iter().take(STEPS) {
        let (all, taken) = step.sources.iter().fold((0u64, 0u64), |(all, taken), source| {
            (all.saturating_add(source.rows), taken.saturating_add(source.taken))
        });
        let left_out: String =
            step.left_out.iter().take(STEPS).map(|what| format!("; left out: {}", Safe(what))).collect();
        let rows = format!("{} of {} taken{left_out}", grouped(taken), count::rows(all));
        line(out, "Derived", format_args!("{} (as stated): {rows}", origin::step(step)));
        if let Some(redaction) = &step.redaction {
            line(out, "Redacted", redacted(redaction));
        }
    }
    if let Some(segment) = &manifest.segment {
        line(out, "Segment", place(segment));
    }
    let git = if tool.git.is_empty() { String::new() } else { format!(" (git {})", Safe(&tool.git)) };
    line(out, "Recorder", format_args!("{} {}{git}", Safe(&tool.name), Safe(&tool.version)));
    let command: Vec<String> = manifest.argv.iter().map(|word| Word(word).to_string()).collect();
    if !command.is_empty() {
        line(out, "Command", command.join(" "));
    }
    if let Some(comment) = &manifest.comment {
        line(out, "Comment", Safe(comment));
    }
    if !manifest.hosts.is_empty() {
        hosts(out, manifest);
    }
    line(
        out,
        "Host",
        format_args!(
            "{}, {} {} {}, {} CPUs{}",
            Safe(&host.hostname),
            Safe(&host.sysname),
            Safe(&host.release),
            Safe(&host.machine),
            host.cpus,
            if host.initial_pid_namespace { "" } else { ", inside a pid namespace" }
        ),
    );
    let more = [
        ("Kernel", Some(&host.version)),
        ("Boot", Some(&host.boot_id)),
        ("Machine", host.machine_id.as_ref()),
        ("Container", host.container.as_ref()),
        ("Lockdown", host.lockdown.as_ref()),
    ];
    for (name, value) in more {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            line(out, name, Safe(value));
        }
    }
    line(out, "Selected", selected(&manifest.filters));
}

/// The hosts of a capture that was merged from recordings of several.
fn hosts(out: &mut String, manifest: &Manifest) {
    for part in manifest.hosts.iter().take(HOSTS) {
        let host = &part.manifest.host;
        let name = Safe(&part.host);
        let of = Count(part.captures.len() as u64, "recording", "recordings");
        let rows = count::rows(part.rows());
        let system = format!("{} {}, boot {}", Safe(&host.sysname), Safe(&host.release), Safe(&host.boot_id));
        line(out, "Rows of", format_args!("{name}: {rows} of {of}, {system}, clock {}", model::hosts::clock(part)));
    }
    let more = manifest.hosts.len().saturating_sub(HOSTS);
    if more > 0 {
        line(out, "Rows of", format_args!("{}", Count(more as u64, "more host", "more hosts")));
    }
    if let Some(sentence) = model::hosts::sentence(manifest) {
        line(out, "Order", sentence);
    }
}

fn redacted(redaction: &Redaction) -> String {
    let options: String = redaction.options.iter().take(STEPS).map(|option| format!(" {}", Safe(option))).collect();
    let values = redaction.values.iter().take(STEPS);
    let values: Vec<String> = values.map(|of| format!("{} {}", grouped(of.distinct), Safe(&of.kind))).collect();
    let replaced = if values.is_empty() { "no values".into() } else { values.join(", ") };
    format!(
        "at the level {}{options}, by version {} of the rules: {replaced} replaced",
        Safe(&redaction.level),
        redaction.rules
    )
}

/// Patterns, of which one is enough.
fn names(patterns: &[String]) -> String {
    let words: Vec<String> = patterns.iter().map(|pattern| Word(pattern).to_string()).collect();
    words.join(" or ")
}

fn selected(filters: &Filters) -> String {
    let mut parts = Vec::new();
    if filters.all {
        parts.push("every process".to_string());
    }
    if !filters.pids.is_empty() {
        let tree = if filters.tree { " with all below" } else { "" };
        parts.push(format!("pid {}{tree}", list(&filters.pids)));
    }
    if !filters.comms.is_empty() {
        parts.push(format!("every process called {}", names(&filters.comms)));
    }
    if !filters.target_pids.is_empty() {
        parts.push(format!("who reaches into pid {}", list(&filters.target_pids)));
    }
    if !filters.target_comms.is_empty() {
        parts.push(format!("who reaches into processes called {}", names(&filters.target_comms)));
    }
    if !filters.command.is_empty() {
        let words: Vec<String> = filters.command.iter().map(|w| Word(w).to_string()).collect();
        parts.push(format!("command {}", words.join(" ")));
    }
    if !filters.all && filters.follow {
        parts.push("with what they start".into());
    }
    if !filters.uids.is_empty() {
        parts.push(format!("uid {}", list(&filters.uids)));
    }
    if let Some(cgroup) = &filters.cgroup {
        parts.push(format!("cgroup {}", Safe(cgroup)));
    }
    if EventSet::all()
        .names()
        .iter()
        .all(|name| *name == EventKind::Lost.name() || filters.events.iter().any(|e| e == name))
    {
        parts.push("all events".into());
    } else {
        parts.push(format!("events {}", Safe(&filters.events.join(","))));
    }
    parts.push(match filters.snaplen {
        0 => "no payload".into(),
        n => format!("up to {} each", Count(n.into(), "payload byte", "payload bytes")),
    });
    if let Some(count) = filters.count {
        parts.push(format!("at most {}", count::events(count)));
    }
    if let Some(seconds) = filters.duration_s {
        parts.push(format!("for at most {seconds} s"));
    }
    parts.push(format!("buffer of {}", count::bytes(filters.buffer_size)));
    parts.join("; ")
}

fn place(segment: &Segment) -> String {
    let files = match segment.last {
        Some(last) => format!("files {} to {last}", segment.index),
        None => format!("file {}", segment.index),
    };
    let mut place = format!("{files} of its recording, from row {} on", grouped(segment.first_seq));
    if let Some(file) = &segment.previous_file {
        place += &format!(", after {}", Safe(file));
    }
    if let Some(root) = &segment.previous_root {
        place += &format!(" with root digest {}", Safe(root));
    }
    place
}

fn list<T: Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn times(out: &mut String, facts: &Facts<'_>) {
    line(out, "Start", &facts.start_utc);
    let reason = &facts.manifest.end_reason;
    let reason = if reason.is_empty() { String::new() } else { format!(" ({})", Safe(reason)) };
    line(out, "End", format_args!("{}{reason}", facts.end_utc.as_deref().unwrap_or("not stated")));
    if let Some(ns) = facts.duration_ns {
        line(out, "Duration", format_args!("{} s", time::seconds(ns.into(), 0)));
    }
    if let (Some(first), Some(last)) = (facts.first_event_ns, facts.last_event_ns) {
        let (first, last) = (time::seconds(first.into(), 0), time::seconds(last.into(), 0));
        line(out, "Events", format_args!("from {first} s to {last} s after the start"));
    }
    // The three clocks are read one after another, so they differ by the duration of the readings.
    let clocks = facts.manifest.start.uncertainty_ns.saturating_add(facts.manifest.end.uncertainty_ns);
    if let Some(ns) = facts.wall_clock_drift_ns.filter(|ns| ns.saturating_abs() > clocks.max(1_000_000)) {
        let seconds = time::seconds(ns.into(), 0);
        line(out, "Wall clock", format_args!("moved by {seconds} s against the monotonic clock meanwhile"));
    }
    for step in facts.wall_clock_steps {
        let seconds = time::seconds(step.by_ns.into(), 0);
        line(out, "Wall clock", format_args!("STEPPED by {seconds} s between {} and {}", step.from, step.to));
    }
    let hides = origin::hides_clocks(&facts.manifest.derived_from);
    for (name, state) in [("at the start", &facts.manifest.start_clock), ("at the end", &facts.manifest.end_clock)] {
        if let Some(state) = state {
            line(out, "Wall clock", format_args!("{name}: {}", clock(state, hides)));
        }
    }
    if let Some(bytes) = facts.payload_bytes {
        line(out, "Payload", format_args!("{} captured", count::bytes(bytes)));
    }
}

/// `hides`: redaction took away how far and how fast the clock was corrected, which identify a quartz.
fn clock(state: &ClockState, hides: bool) -> String {
    let ClockState { offset_ns, frequency_ppm, max_error_us, .. } = state;
    let leap = match ClockSync::parse(&state.state) {
        Ok(ClockSync::Ok) => "",
        // The kernel then has no error estimate, and increases it up to its limit.
        Ok(ClockSync::Error) => return "clock not synchronised".into(),
        Ok(ClockSync::Insert) => ", a leap second is to be added at midnight",
        Ok(ClockSync::Delete) => ", a leap second is to be left out at midnight",
        Ok(ClockSync::InProgress) => ", a leap second is being added",
        Ok(ClockSync::Happened) => ", a leap second was added or left out",
        Err(unknown) => return format!("clock in an unknown state, {}", Safe(unknown)),
    };
    let error = *max_error_us as f64 / 1e3;
    if hides {
        return format!("clock synchronised to within {error:.3} ms, its correction left out by redaction{leap}");
    }
    let still = if *offset_ns == 0 { String::new() } else { format!(", {offset_ns} ns still to be corrected") };
    format!("clock synchronised to within {error:.3} ms{still}, frequency corrected by {frequency_ppm:+.3} ppm{leap}")
}

/// A column of the ledger: its name, how wide it is, and what it counts.
type Column = (&'static str, usize, fn(&LedgerRow) -> u64);

/// The `bytes` of rows.
const BYTES: &str = "bytes";
/// What else is known of the rows.
const OF_ROWS: [Column; 3] =
    [("failed", 11, |row| row.failed), (BYTES, 17, |row| row.bytes), ("faults", 8, |row| row.read_faults)];

/// A cell of the ledger: name and width of the column, and the number.
type Cell = (&'static str, usize, u64);

/// The cells of a row of the ledger.
fn cells(summary: &Summary<'_>, row: &LedgerRow) -> Vec<Cell> {
    let terms = Term::CAME.iter().chain(Term::ENDED).filter(|term| summary.has(**term));
    let terms = terms.map(|term| (term.name(), if *term == Term::Lost { 11 } else { 13 }, term.of(row)));
    terms.chain(OF_ROWS.map(|(name, width, count)| (name, width, count(row)))).collect()
}

fn ledger(out: &mut String, facts: &Facts<'_>) {
    let summary = facts.summary;
    let _ = write!(out, "\n{:<17}", "Event");
    for (name, width, _) in cells(summary, facts.total) {
        let _ = write!(out, " {name:>width$}");
    }
    out.push('\n');
    for row in summary.counted().chain(std::iter::once(facts.total)) {
        let _ = write!(out, "{:<17}", Safe(&row.event).to_string());
        for (name, width, count) in cells(summary, row) {
            // The meaning of bytes differs between events: their sum has none.
            let is_sum = std::ptr::eq(row, facts.total) && name == BYTES;
            let _ = write!(out, " {:>width$}", if is_sum { "-".to_string() } else { grouped(count) });
        }
        let _ = writeln!(out, "{}", if row.balances() { "" } else { "  DOES NOT BALANCE" });
    }
    let _ = writeln!(out, "Bytes        {}", facts.moved.in_words(grouped));
    for (cause, count) in facts.total.causes() {
        let of_each = model::hosts::shares(facts.manifest, |row| row.lost_by(cause));
        let _ = writeln!(out, "Lost         {} by {}{of_each}", grouped(count), cause.words());
    }
    if facts.total.unknown > 0 {
        let calls = grouped(facts.total.unknown);
        let _ = writeln!(out, "Unknown      {calls} calls may have been such events: see the gaps");
    }
    for problem in &facts.problems {
        let _ = writeln!(out, "Problem      {}", Safe(problem));
    }
    if facts.problems.is_empty() {
        let has = |term: &&Term| summary.has(**term);
        let sum = |side: &[Term]| side.iter().filter(has).map(|term| term.name()).collect::<Vec<_>>().join(" + ");
        let (came, ended) = (sum(Term::CAME), sum(Term::ENDED));
        let _ = writeln!(out, "The ledger balances: {came} = {ended}, and written = rows in the file.");
    }
    if facts.manifest.ledger_from_rows {
        let _ = writeln!(
            out,
            "The ledger counts only the rows: what else was seen is not known, since the journal was incomplete."
        );
    }
}

fn all_hooks(out: &mut String, hooks: &[Hook]) {
    if !hooks.is_empty() {
        out.push_str("\nHooks\n");
    }
    for hook in hooks {
        let state = if hook.attached { "attached" } else { "FAILED" };
        let _ = write!(
            out,
            "  {state:<9} {:<24} {:<40} {}",
            Safe(&hook.program).to_string(),
            Safe(&hook.target).to_string(),
            Safe(&hook.serves)
        );
        match &hook.reason {
            Some(reason) => {
                let _ = writeln!(out, ": {}", Safe(reason));
            }
            None => out.push('\n'),
        }
    }
}

/// How many hooks are attached, and those that are not, unless their reason has been said of a family.
fn failed_hooks(out: &mut String, hooks: &[Hook], families: &[FamilyReport]) {
    if hooks.is_empty() {
        return;
    }
    let failed: Vec<&Hook> = hooks.iter().filter(|hook| !hook.attached).collect();
    let number = hooks.len() - failed.len();
    let more = if failed.is_empty() { String::new() } else { format!(", {} FAILED", failed.len()) };
    line(out, "Hooks", format_args!("{number} attached{more}"));
    let is_said = |reason: &str| families.iter().filter_map(|f| f.gap.as_deref()).any(|gap| gap.ends_with(reason));
    for hook in failed {
        let reason = hook.reason.as_deref().filter(|reason| !reason.is_empty());
        if !reason.is_some_and(is_said) {
            let reason = reason.unwrap_or("no reason stated");
            let _ = writeln!(out, "  FAILED    {} for {}: {}", Safe(&hook.target), Safe(&hook.serves), Safe(reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_the_clock_is_said_in_words() {
        let free = ClockState { state: "TIME_ERROR".into(), max_error_us: 16_000_000, ..ClockState::default() };
        assert_eq!(clock(&free, false), "clock not synchronised");
        let kept = ClockState { state: "TIME_OK".into(), max_error_us: 1_500, frequency_ppm: -3.25, ..free.clone() };
        assert_eq!(clock(&kept, false), "clock synchronised to within 1.500 ms, frequency corrected by -3.250 ppm");
        let slewed = ClockState { state: "TIME_INS".into(), offset_ns: -40, ..kept.clone() };
        let said = clock(&slewed, false);
        assert!(said.contains("-40 ns still to be corrected") && said.contains("leap second"), "{said}");
        assert!(clock(&ClockState { state: "\x1b[2J".into(), ..kept }, false).starts_with("clock in an unknown state"));
    }
}
