//! README.txt of a bundle: what each part is and how to open it, what was redacted, lost and left out, digests and versions.
//!
//! All of it is known from the captures in the bundle. Their texts are made safe for a terminal.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::parts::Part;
use crate::archive::sums;
use crate::count::{self, Count};
use crate::model::origin;
use crate::model::select::{Filter, Select};
use crate::model::time;
use crate::replay::summary::gather::{self, Report};
use crate::replay::summary::sentences;
use crate::report::facts;
use crate::schema::Manifest;
use crate::schema::derived::{self, Derivation};
use crate::schema::limits::Limits;
use crate::schema::quote::quoted;
use crate::schema::reader::Capture;
use crate::terminal::escape::Safe;

/// Its name.
pub const NAME: &str = "README.txt";
/// What stands for the bundle's own name, which it does not know.
const ARCHIVE: &str = "BUNDLE.zip";

/// The text. `pages` are the names of the pages that there are, `left_out` what was left out of these.
///
/// # Errors
/// When a capture cannot be read.
pub fn text(parts: &[Part], pages: &[String], left_out: &[String], limits: Limits) -> Result<String> {
    let mut out = String::new();
    let [mut redacted, mut lost, mut roots, mut versions] = [(); 4].map(|()| Vec::new());
    // One after another: each open file counts.
    for part in parts {
        let capture = part.open(limits)?;
        redacted.extend(redaction(part, &capture));
        lost.extend(losses(part, &capture, limits)?);
        roots.push(root(part, &capture));
        versions.push(version(part, capture.manifest()));
    }
    versions.push(own_version());
    let first = parts.first().context("no file was given")?;
    out += "vmtrace recorded which programs moved which bytes across address spaces, and `vmtrace bundle` made this archive of it.\n";
    section(&mut out, "What is here, and how to open it", files(parts, pages));
    section(&mut out, "With other programs", other_programs(&first.name));
    section(&mut out, "What was redacted", redacted);
    section(&mut out, "What was lost, and how far it can be trusted", lost);
    let missing: Vec<String> = parts.iter().flat_map(|part| &part.left_out).chain(left_out).cloned().collect();
    let nothing = || vec!["Nothing.".to_string()];
    section(
        &mut out,
        "What was left out to keep this archive small",
        if missing.is_empty() { nothing() } else { missing },
    );
    section(&mut out, "Root digests", roots);
    section(&mut out, "Versions", versions);
    Ok(out)
}

fn section(out: &mut String, title: &str, lines: Vec<String>) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\n{title}\n{}\n\n", "=".repeat(title.len()));
    lines.iter().for_each(|line| out.extend([line.as_str(), "\n"]));
}

fn files(parts: &[Part], pages: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    for page in pages {
        lines.push(format!("{page}: open it in any browser since 2023. It needs no network, and sends nothing."));
    }
    lines.push("summary.txt: who moved what from whom, in sentences and tables.".into());
    lines.push(
        "info.json: how it was recorded: a list with one object for each capture, as `vmtrace info -T json` prints it."
            .into(),
    );
    for part in parts {
        lines.push(format!(
            "{}: the events themselves ({}, {}), a Parquet file.",
            part.name,
            count::rows(part.rows),
            count::size(part.size)
        ));
    }
    lines.push(format!("{}: digests of these files.", sums::NAME));
    lines.extend(
        [
            "",
            &format!("vmtrace reads this archive as it is ({ARCHIVE} stands for its name), on any Linux, without privileges:"),
            "",
            &format!("  vmtrace bundle --check {ARCHIVE}     # is all of it there and intact?"),
            &format!("  vmtrace summary {ARCHIVE}            # who moved what from whom"),
            &format!("  vmtrace replay {ARCHIVE}             # every event; info, flows, memory, query, view, report and export take it, too"),
        ]
        .map(str::to_string),
    );
    lines
}

fn other_programs(capture: &str) -> Vec<String> {
    [
        &format!("  unzip {ARCHIVE} && sha256sum -c {}", sums::NAME),
        &format!("  duckdb -c \"SELECT event, comm, count(*), sum(bytes) FROM '{capture}' GROUP BY ALL\""),
        &format!("  python3 -c \"import pandas; print(pandas.read_parquet('{capture}'))\""),
    ]
    .map(ToString::to_string)
    .into()
}

fn redaction(part: &Part, capture: &Capture) -> Vec<String> {
    let name = &part.name;
    let steps = &capture.manifest().derived_from;
    let Some(said) = origin::redacted(steps) else {
        return vec![format!(
            "{name}: NOTHING. Names, command lines and captured bytes are in it as they were recorded."
        )];
    };
    let mut lines = vec![format!("{name}: {said}")];
    let step = steps.iter().rev().find(|step| step.redaction.is_some());
    lines.extend(step.filter(|step| !step.left_out.is_empty()).map(removed));
    let values = derived::redaction(steps).map(|redaction| &redaction.values);
    let values: Vec<String> =
        values.into_iter().flatten().map(|of| format!("{} {}", count::grouped(of.distinct), safe(&of.kind))).collect();
    if !values.is_empty() {
        lines.push(format!("  Different values that were replaced: {}.", values.join(", ")));
    }
    lines
}

fn removed(step: &Derivation) -> String {
    let what: Vec<String> = step.left_out.iter().map(|text| safe(text)).collect();
    format!("  Removed: {}.", what.join("; "))
}

/// What was lost, and what can be trusted.
fn losses(part: &Part, capture: &Capture, limits: Limits) -> Result<Vec<String>> {
    let group = gather::groups(&[PathBuf::from(&part.name)], limits).0;
    let report = Report::of(group.first().context("no file was given")?, &Filter::new(&Select::default())?, limits)?;
    let lost = report.losses.total();
    let mut all: Vec<String> = if lost == 0 { vec!["No event was lost.".into()] } else { Vec::new() };
    let redacted = origin::redacted(&capture.manifest().derived_from);
    all.extend(facts::warnings(&report).into_iter().filter(|sentence| Some(sentence) != redacted.as_ref()));
    all.extend(
        sentences::arguments(&report).filter(|sentence| !all.contains(sentence)).into_iter().collect::<Vec<_>>(),
    );
    let gaps = capture.manifest().gaps.len();
    if gaps > 0 {
        let gaps = Count(gaps as u64, "gap is", "gaps are");
        all.push(format!("{gaps} listed by `vmtrace info -v`: what the recorder could not see."));
    }
    Ok(all.into_iter().map(|sentence| format!("{}: {sentence}", part.name)).collect())
}

fn root(part: &Part, capture: &Capture) -> String {
    let root = capture.root().map_or_else(|| "none".into(), safe);
    format!("{root}  {}", part.name)
}

fn version(part: &Part, manifest: &Manifest) -> String {
    let kernel = safe(&manifest.host.release);
    let at = time::utc(manifest.start.realtime_ns);
    format!("{}: recorded by {}, on Linux {kernel}; its clock says {at}.", part.name, tool(manifest))
}

/// The recorder, with its commit.
pub fn tool(manifest: &Manifest) -> String {
    let tool = &manifest.tool;
    let git = if tool.git.is_empty() { String::new() } else { format!(" ({})", safe(&tool.git)) };
    format!("{} {}{git}", safe(&tool.name), safe(&tool.version))
}

fn own_version() -> String {
    format!("This archive: made by vmtrace {} ({}).", env!("CARGO_PKG_VERSION"), env!("VMTRACE_GIT"))
}

fn safe(text: &str) -> String {
    Safe(&quoted(text)).to_string()
}
