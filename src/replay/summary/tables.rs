//! The text of a summary: a heading, the sentences, and tables of pairs, events and pipes.

use std::cmp::Reverse;
use std::fmt::Write;

use super::Look;
use super::gather::Report;
use super::layout::{Kind, Table, wrap};
use super::sentences;
use super::words::{self, Errors, name, short};
use crate::count::{self, Count, grouped};
use crate::model::tally::{AtPipe, OfEvent, Pair, Pipe, Sum, Tally, Way, Who};
use crate::model::time;
use crate::replay::info::facts::Word;
use crate::schema::events::Bytes;
use crate::terminal::escape::Safe;

/// What stands where there is nothing, or nothing is known.
const NONE: &str = "-";
/// Processes named at an end of a pipe.
const AT_PIPE: usize = 4;
/// Characters shown of a path.
const PATH: usize = 60;

/// The summary of one recording.
pub fn render(report: &Report, look: Look) -> String {
    let mut out = String::new();
    names(&mut out, report, look);
    if !look.brief {
        heading(&mut out, report);
        out.push('\n');
    }
    for sentence in sentences::all(report, look.top) {
        if look.wrap {
            wrap(&mut out, &sentence, look.width);
        } else {
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(out, "{sentence}");
        }
    }
    if !look.brief {
        let tally = &report.tally;
        let number_of_pairs = tally.pairs().chain(tally.alone()).count();
        append(&mut out, &pairs(report, look.top), number_of_pairs, look, ("pair", "pairs"));
        append(&mut out, &events(tally, look.top), tally.events().count(), look, ("event", "events"));
        append(&mut out, &pipes(tally, look.top), tally.pipes().count(), look, ("pipe", "pipes"));
        if tally.beyond_pipes() > 0 {
            let calls = Count(tally.beyond_pipes(), "call", "calls");
            let _ = writeln!(out, "{calls} at further pipes are at no pipe here.");
        }
    }
    out
}

/// The files, where each recording must be named.
fn names(out: &mut String, report: &Report, look: Look) {
    if look.name_files {
        for file in &report.files {
            let _ = writeln!(out, "==> {} <==", Safe(&file.display().to_string()));
        }
    }
}

fn heading(out: &mut String, report: &Report) {
    let manifest = &report.manifest;
    let (host, tool) = (&manifest.host, &manifest.tool);
    let _ = write!(out, "# {}", Safe(&host.hostname));
    let _ = write!(out, " · {} {} {}", Safe(&host.sysname), Safe(&host.release), Safe(&host.machine));
    let _ = write!(out, " · {}", time::utc(manifest.start.realtime_ns));
    let _ = writeln!(out, " · {} {}", Safe(&tool.name), Safe(&tool.version));
    let command: Vec<String> = manifest.argv.iter().map(|word| Word(word).to_string()).collect();
    let of = if report.matched == report.rows { String::new() } else { format!("{} of ", grouped(report.matched)) };
    let files = match report.files.len() {
        1 => String::new(),
        several => format!(" in {several} files"),
    };
    let _ = writeln!(out, "# {} · {of}{}{files}", command.join(" "), count::events(report.rows));
}

/// Appends a table, and how many rows it would have beside those that it has.
fn append(out: &mut String, table: &Table, all: usize, look: Look, (one, many): (&str, &str)) {
    if table.is_empty() {
        return;
    }
    out.push('\n');
    table.render(out, look.width);
    let more = all.saturating_sub(look.top) as u64;
    if more > 0 {
        let _ =
            writeln!(out, "… and {}: --top lists more.", Count(more, &format!("more {one}"), &format!("more {many}")));
    }
}

/// Pairs and callers without a target, those that moved most first.
pub(super) fn by_bytes(tally: &Tally) -> Vec<&Pair> {
    let mut all: Vec<&Pair> = tally.pairs().chain(tally.alone()).collect();
    all.sort_by_key(|pair| Reverse((pair.bytes_in.saturating_add(pair.bytes_out), pair.calls)));
    all
}

fn pairs(report: &Report, top: usize) -> Table {
    let mut table = Table::new(&[
        ("Caller", Kind::Text),
        ("Target", Kind::Text),
        ("Calls", Kind::Number),
        ("Failed", Kind::Number),
        ("In", Kind::Number),
        ("Out", Kind::Number),
        ("From, s", Kind::Extra),
        ("For", Kind::Extra),
        ("By", Kind::ExtraText),
    ]);
    for pair in by_bytes(&report.tally).into_iter().take(top) {
        let mut means: Vec<String> = Vec::new();
        for means_of in pair.uses.iter().map(words::means) {
            if !means.contains(&means_of) {
                means.push(means_of);
            }
        }
        let from = pair.span.map(|span| time::seconds(report.since_start(span.first_mono_ns).into(), 0));
        // To the millisecond.
        let from = from.map(|text| text.get(..text.len().saturating_sub(6)).unwrap_or_default().to_string());
        table.row(vec![
            name(&pair.caller),
            pair.target.as_ref().map_or_else(|| NONE.to_string(), name),
            grouped(pair.calls),
            grouped(pair.failures),
            count::size(pair.bytes_in),
            count::size(pair.bytes_out),
            from.unwrap_or_default(),
            pair.span.map(|span| span.length_ns()).filter(|ns| *ns > 0).map_or_else(|| NONE.to_string(), time::span),
            means.join(", "),
        ]);
    }
    table
}

/// Events, the most frequent first.
pub(super) fn by_calls(tally: &Tally) -> Vec<&OfEvent> {
    let mut all: Vec<&OfEvent> = tally.events().collect();
    all.sort_by_key(|of| Reverse(of.calls));
    all
}

fn events(tally: &Tally, top: usize) -> Table {
    let mut columns = vec![
        ("Event", Kind::Text),
        ("Calls", Kind::Number),
        ("Failed", Kind::Number),
        ("Bytes", Kind::Number),
        ("Timed", Kind::Extra),
        ("Mean", Kind::Number),
        ("Longest", Kind::Number),
        ("Total", Kind::Extra),
        ("Errors", Kind::ExtraText),
    ];
    // In the tracepoint tier no call has a duration.
    let is_timed = tally.events().any(|of| of.latency.calls > 0);
    let of_time = |title: &str| ["Timed", "Mean", "Longest", "Total"].contains(&title);
    columns.retain(|(title, _)| is_timed || !of_time(title));
    let mut table = Table::new(&columns);
    for of in by_calls(tally).into_iter().take(top) {
        let mut errors = Errors::default();
        errors.add(&of.errors, |_| true);
        let mut cells = vec![
            words::event(of.event.as_deref()),
            grouped(of.calls),
            grouped(of.errors.total()),
            if of.bytes == 0 && of.spec.is_some_and(|spec| spec.bytes == Bytes::None) {
                NONE.to_string()
            } else {
                count::size(of.bytes)
            },
        ];
        if is_timed {
            let span = |ns: u64| time::span(i64::try_from(ns).unwrap_or(i64::MAX));
            let timed = of.latency.calls > 0;
            let known = |text: String| if timed { text } else { NONE.to_string() };
            cells.extend([
                grouped(of.latency.calls),
                known(of.latency.mean_ns().map(span).unwrap_or_default()),
                known(span(of.latency.max_ns)),
                known(span(of.latency.total_ns)),
            ]);
        }
        cells.push(words::errors(&errors.all));
        table.row(cells);
    }
    table
}

/// Pipes, those through which most went first.
pub(super) fn by_size(tally: &Tally) -> Vec<&Pipe> {
    let mut all: Vec<&Pipe> = tally.pipes().collect();
    all.sort_by_key(|pipe| Reverse((pipe.put.bytes.max(pipe.taken.bytes), pipe.calls())));
    all
}

fn pipes(tally: &Tally, top: usize) -> Table {
    let mut table = Table::new(&[
        ("Pipe", Kind::Text),
        ("Put in", Kind::Number),
        ("Taken out", Kind::Number),
        ("Duplicated", Kind::Number),
        ("Calls", Kind::Number),
        ("By", Kind::Text),
        ("Out to", Kind::Text),
    ]);
    let size = |sum: Sum| if sum.calls == 0 { NONE.to_string() } else { count::size(sum.bytes) };
    for pipe in by_size(tally).into_iter().take(top) {
        let label = match &pipe.path {
            Some(path) => short(path, PATH),
            None => format!("pipe:[{}]", pipe.inode),
        };
        let label = match &pipe.host {
            Some(host) => format!("{}:{label}", short(host, words::NAME)),
            None => label,
        };
        table.row(vec![
            label,
            size(pipe.put),
            size(pipe.taken),
            size(pipe.duplicated),
            grouped(pipe.calls()),
            at(pipe, &[Way::In]),
            at(pipe, &[Way::Out, Way::Duplicated]),
        ]);
    }
    table
}

/// Who was at one end of a pipe.
fn at(pipe: &Pipe, ways: &[Way]) -> String {
    let mut names: Vec<String> = Vec::new();
    for at in pipe.processes.iter().filter(|at| ways.contains(&at.way)) {
        let AtPipe { pid, comm, .. } = at;
        let who = Who { pid: *pid, comm: comm.clone(), ..Who::default() };
        let who = name(&who);
        if !names.contains(&who) {
            names.push(who);
        }
    }
    let more = names.len().saturating_sub(AT_PIPE);
    names.truncate(AT_PIPE);
    match (more, pipe.calls_of_others) {
        (0, 0) => {}
        (0, _) => names.push("and maybe others".into()),
        (more, 0) => names.push(format!("+{more} more")),
        (more, _) => names.push(format!("+{more} or more")),
    }
    if names.is_empty() { NONE.to_string() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Event;

    #[test]
    fn processes_at_a_pipe_that_are_not_named_are_counted_as_far_as_they_are_known() {
        let names = |processes: i32| {
            let mut tally = Tally::default();
            for pid in 0..processes {
                let put = Event { pid, comm: "w", event: "vmsplice", pipe_out: Some(1), ..Event::default() };
                tally.note(&Event { bytes: Some(1), ..put });
            }
            tally.pipes().map(|pipe| at(pipe, &[Way::In])).collect::<String>()
        };
        assert_eq!(names(2), "w[0], w[1]");
        assert_eq!(names(6), "w[0], w[1], w[2], w[3], +2 more");
        assert_eq!(names(300), "w[0], w[1], w[2], w[3], +252 or more");
    }
}
