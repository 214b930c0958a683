//! `vmtrace bundle --check`: whether a bundle is whole, and what its captures are, in one line each.

use std::io::Write;
use std::path::Path;

use anyhow::Result;

use super::readme::tool;
use crate::archive::{self, Content, Contents, sums};
use crate::count::{self, Count};
use crate::schema::derived;
use crate::schema::limits::Limits;
use crate::schema::quote::quoted;
use crate::schema::reader::Capture;
use crate::terminal::escape::{Safe, SafeLine};
use crate::terminal::status;
use crate::verify::{self, Report, worse};

/// Files that a line names.
const NAMED: usize = 3;

/// Runs `vmtrace bundle --check`; returns the exit status.
///
/// # Errors
/// When the archive cannot be read, or the output not be written.
pub fn run(bundle: &Path) -> Result<u8> {
    let contents = archive::contents(bundle)?;
    let (mut worst, line) = digests(&contents);
    let mut out = format!("{}: {line}\n", SafeLine(&contents.name));
    for path in contents.files.iter().filter_map(|file| file.capture.as_deref()) {
        let report = verify::file(path);
        out += &format!("{}: {}\n", SafeLine(&path.display().to_string()), capture(path, &report));
        worst = worse(worst, report.status);
    }
    if contents.files.iter().all(|file| file.capture.is_none()) {
        out += &format!("{}: NO CAPTURE is in it\n", SafeLine(&contents.name));
        worst = worse(worst, status::ERROR);
    }
    std::io::stdout().write_all(out.as_bytes())?;
    Ok(worst)
}

/// Compares the files with their digests.
fn digests(contents: &Contents) -> (u8, String) {
    let Some(stated) = &contents.sums else {
        return (status::ERROR, format!("CANNOT BE VERIFIED: it has no {}", sums::NAME));
    };
    let files: Vec<&Content> = contents.files.iter().filter(|file| file.name != sums::NAME).collect();
    let is_wrong = |file: &&Content| match (&file.digest, stated.get(&file.name)) {
        (Ok(found), Some(stated)) => found != stated,
        (Ok(_), None) | (Err(_), _) => true,
    };
    let wrong: Vec<&str> = files.iter().copied().filter(is_wrong).map(|file| file.name.as_str()).collect();
    let missing = stated.keys().filter(|name| files.iter().all(|file| file.name != **name));
    let missing: Vec<&str> = missing.map(String::as_str).collect();
    let mut said = Vec::new();
    if !wrong.is_empty() {
        let are = if wrong.len() == 1 { "is" } else { "are" };
        said.push(format!("{} {are} not what {} says", list(&wrong), sums::NAME));
    }
    if !missing.is_empty() {
        let are = if missing.len() == 1 { "is" } else { "are" };
        said.push(format!("{} {are} missing", list(&missing)));
    }
    if contents.unlisted > 0 {
        said.push(format!("{} are in no file that it lists", count::bytes(contents.unlisted)));
    }
    match said.is_empty() {
        true => (status::OK, format!("{} with the right digests", Count(files.len() as u64, "file", "files"))),
        false => (status::ALTERED, format!("ALTERED: {}", said.join("; "))),
    }
}

fn list(names: &[&str]) -> String {
    let mut named: Vec<String> = names.iter().take(NAMED).map(|name| Safe(&quoted(name)).to_string()).collect();
    if names.len() > NAMED {
        named.push(format!("{} more", names.len() - NAMED));
    }
    named.join(", ")
}

/// The line of a capture: what `verify` finds, its redaction, and what made it.
fn capture(path: &Path, report: &Report) -> String {
    let verdict = match report.status {
        status::OK => "intact",
        status::LOSS => "intact, and loss is recorded",
        status::ALTERED => "ALTERED, or contradicts itself",
        _ => "CANNOT BE VERIFIED",
    };
    let verdict = match report.findings.iter().find(|finding| finding.kind.is_bad()) {
        Some(finding) => format!("{verdict} ({})", SafeLine(&finding.text)),
        None => verdict.to_string(),
    };
    let Ok(capture) = Capture::open_within(path, Limits::default()) else { return verdict };
    let steps = &capture.manifest().derived_from;
    let level = match derived::redaction(steps) {
        Some(redaction) => format!("redacted at the level {}", Safe(&quoted(&redaction.level))),
        None => "NOT REDACTED".into(),
    };
    let root = report.root.as_deref().map_or_else(String::new, |root| format!(" · root digest {}", Safe(root)));
    let by = steps.last().map_or_else(String::new, |step| {
        format!(", made by {} {}", Safe(&quoted(&step.tool.name)), Safe(&quoted(&step.tool.version)))
    });
    let rows = count::rows(capture.rows());
    format!("{verdict} · {level} · {rows}{root} · recorded by {}{by}", tool(capture.manifest()))
}
