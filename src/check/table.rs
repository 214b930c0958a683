//! The text of `check`. What comes from the system passes `Safe`.

use std::fmt::{Display, Write};

use super::Report;
use super::system::{Capability, Setting};
use crate::replay::info::families;
use crate::terminal::escape::{Safe, SafeMessage};
use crate::terminal::status;

/// The description.
pub fn render(report: &Report, verbose: bool) -> String {
    let mut out = String::new();
    line(&mut out, "Kernel", Safe(&report.kernel));
    line(&mut out, "BTF", if report.btf { "there" } else { "missing" });
    if let Some(uid) = report.uid {
        line(&mut out, "User id", uid);
    }
    out.push('\n');
    report.capabilities.iter().for_each(|c| capability(&mut out, c));
    out.push('\n');
    report.settings.iter().for_each(|s| setting(&mut out, s));
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "\nThe sandbox of commands that read captures: {}", report.sandbox);
    if !report.coverage.families.is_empty() {
        out.push('\n');
        families::render(&mut out, &report.coverage.families, verbose);
    }
    families::gaps(&mut out, "Not seen by recordings here", &report.coverage.gaps, &report.coverage.families, verbose);
    let _ = writeln!(out, "\n{}", verdict(report));
    out
}

fn line(out: &mut String, name: &str, value: impl Display) {
    let _ = writeln!(out, "{name:<10} {value}");
}

fn capability(out: &mut String, capability: &Capability) {
    let state = if capability.present { "yes" } else { "NO" };
    let _ = writeln!(out, "{:<33} {state:<10} {}", capability.name, capability.serves);
}

fn setting(out: &mut String, setting: &Setting) {
    let value = setting.value.as_deref().map_or("-".into(), |v| Safe(v).to_string());
    let meaning = match &setting.value {
        None => "not on this system",
        Some(_) => setting.meaning.unwrap_or_default(),
    };
    let _ = writeln!(out, "{:<33} {value:<10} {meaning}", setting.name);
}

fn verdict(report: &Report) -> String {
    match (&report.problem, report.status) {
        (Some(problem), _) => format!("Recording is impossible: {}", SafeMessage(problem)),
        (None, status::OK) if report.coverage.families.iter().all(|f| f.untested.is_empty()) => {
            "Recording works, every family of events at its best.".into()
        }
        (None, status::OK) => "Recording works, every family of events at its best as far as could be tested.".into(),
        (None, _) => "Recording works, with the gaps above.".into(),
    }
}
