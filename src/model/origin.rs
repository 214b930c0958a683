//! What a capture was made from, if it was not recorded, in words that are safe for a terminal.

use crate::count::{self, Count};
use crate::schema::Event;
use crate::schema::derived::{self, Derivation, Source};
use crate::schema::quote::quoted;
use crate::schema::vocabulary::{DescriptorKind, RedactionLevel};
use crate::terminal::escape::Safe;

/// Captures that are named. Of more, the number is said.
const NAMED: usize = 3;

/// `slice of t.parquet, root digest 12ab…`: a step, and what it was made from.
pub fn step(step: &Derivation) -> String {
    let of = |source: &Source| match &source.root {
        Some(root) => format!("{}, root digest {}", safe(&source.file), safe(root)),
        None => format!("{}, without a root digest", safe(&source.file)),
    };
    format!("{} of {}", safe(&step.command), list(&step.sources, "; ", of))
}

/// `redacted from t.parquet, root digest 12ab…`, or `derived (slice of t.parquet, root digest 12ab…)`.
pub fn made(step: &Derivation) -> String {
    let of = self::step(step);
    match (&step.redaction, of.split_once(" of ")) {
        (Some(redaction), Some((_, sources))) => {
            format!("redacted from {sources}, at the level {}", safe(&redaction.level))
        }
        _ => format!("derived ({of})"),
    }
}

/// What readers must know of a capture that was redacted at some step.
pub fn redacted(steps: &[Derivation]) -> Option<String> {
    let redaction = derived::redaction(steps)?;
    let what = match RedactionLevel::parse(&redaction.level) {
        Ok(RedactionLevel::Payload) => "captured bytes are removed",
        Ok(RedactionLevel::Metadata) => {
            "names, numbers and times in it are not the original ones, and addresses are removed"
        }
        Ok(RedactionLevel::Share) | Err(_) => "names, numbers, addresses and times in it are not the original ones",
    };
    Some(format!("Redacted at the level {}: {what}.", safe(&redaction.level)))
}

/// Whether redaction took the addresses away: all of them are 0.
pub fn without_addresses(steps: &[Derivation]) -> bool {
    levels(steps).any(|level| level == RedactionLevel::Metadata)
}

/// Whether a descriptor of a call is /proc/PID/mem: offsets in it are addresses, which redaction takes away with the others.
pub fn has_address_as_offset(event: &Event<'_>) -> bool {
    [event.fd_in_kind, event.fd_out_kind].into_iter().flatten().any(|kind| DescriptorKind::ProcMem.is(kind))
}

/// Whether redaction took away how the wall clock was corrected.
pub fn hides_clocks(steps: &[Derivation]) -> bool {
    levels(steps).any(|level| level != RedactionLevel::Payload)
}

/// Whether redaction masked secrets in captured bytes.
pub fn is_masked(steps: &[Derivation]) -> bool {
    let redactions = steps.iter().filter_map(|step| step.redaction.as_ref());
    redactions.flat_map(|redaction| &redaction.options).any(|option| option == "--payload masked")
}

/// The levels of all redactions that this version knows.
fn levels(steps: &[Derivation]) -> impl Iterator<Item = RedactionLevel> {
    let redactions = steps.iter().filter_map(|step| step.redaction.as_ref());
    redactions.filter_map(|redaction| RedactionLevel::parse(&redaction.level).ok())
}

/// `Made by slice from t.parquet: 12,345 events left out.`: the last step of those that led to a capture, but for redaction, and how
/// much it left out; behind it [`total`], where steps before it left out others. `left_out` is that of the ledger.
pub fn sentence(steps: &[Derivation], left_out: u64) -> Option<String> {
    // What redaction does is another sentence.
    let step = steps.iter().rev().find(|step| step.redaction.is_none() || missing(step) > 0);
    let made = step.map(|step| {
        let from = list(&step.sources, ", ", |source| safe(&source.file));
        let missing = match missing(step) {
            0 => "nothing".into(),
            missing => count::events(missing).to_string(),
        };
        format!("Made by {} from {from}: {missing} left out.", safe(&step.command))
    });
    let total = total(steps, left_out).filter(|_| step.map_or(0, missing) != left_out).map(|total| format!("{total}."));
    let all: Vec<String> = made.into_iter().chain(total).collect();
    (!all.is_empty()).then(|| all.join(" "))
}

/// `Of the original t.parquet, 174 events are left out`: by all steps together; `None` if nothing is.
pub fn total(steps: &[Derivation], left_out: u64) -> Option<String> {
    let first = steps.first().filter(|_| left_out > 0)?;
    // Of several slices that were merged, or of several files that are read, the first step is not the origin of all.
    let by_steps = steps.iter().map(missing).fold(0u64, u64::saturating_add);
    let of = if by_steps == left_out && !first.sources.is_empty() && steps.iter().skip(1).all(|step| !is_merge(step)) {
        format!("the original {}", list(&first.sources, ", ", |source| safe(&source.file)))
    } else {
        "what was recorded".into()
    };
    Some(format!("Of {of}, {} left out", Count(left_out, "event is", "events are")))
}

/// ` · redacted (share) · 12,345 LEFT OUT`, for a line that names a capture; empty if it is whole.
pub fn brief(steps: &[Derivation], left_out: u64) -> String {
    let redaction = derived::redaction(steps).map(|redaction| format!(" · redacted ({})", safe(&redaction.level)));
    let left_out = (left_out > 0).then(|| format!(" · {} LEFT OUT", count::grouped(left_out)));
    redaction.into_iter().chain(left_out).collect()
}

/// How many rows a step left out.
fn missing(step: &Derivation) -> u64 {
    // What a merge does not take of one file is in another.
    let sources = step.sources.iter().filter(|_| !is_merge(step));
    sources.map(|source| source.rows.saturating_sub(source.taken)).fold(0, u64::saturating_add)
}

fn is_merge(step: &Derivation) -> bool {
    step.command == "merge"
}

/// A number of captures, the first ones named.
fn list(sources: &[Source], between: &str, of: impl Fn(&Source) -> String) -> String {
    if sources.is_empty() {
        return "captures that are not named".into();
    }
    let mut named: Vec<String> = sources.iter().take(NAMED).map(of).collect();
    if sources.len() > NAMED {
        named.push(format!("{} more", sources.len() - NAMED));
    }
    named.join(between)
}

fn safe(text: &str) -> String {
    Safe(&quoted(text)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(command: &str, files: &[&str]) -> Derivation {
        let source =
            |file: &&str| Source { file: file.to_string(), root: Some(format!("r{file}")), ..Source::default() };
        Derivation { command: command.into(), sources: files.iter().map(source).collect(), ..Derivation::default() }
    }

    #[test]
    fn a_step_names_what_it_was_made_from() {
        assert_eq!(step(&made("slice", &["t"])), "slice of t, root digest rt");
        assert_eq!(sentence(&[], 5), None);
        let steps = [made("slice", &["t"]), made("merge", &["a", "b", "c", "d", "e"])];
        assert_eq!(sentence(&steps, 0).unwrap(), "Made by merge from a, b, c, 2 more: nothing left out.");
        let none = Source { file: "x".into(), ..Source::default() };
        assert_eq!(
            step(&Derivation { sources: vec![none], ..made("merge", &[]) }),
            "merge of x, without a root digest"
        );
        assert_eq!(step(&made("merge", &[])), "merge of captures that are not named");
    }

    /// A step that took `taken` of `rows`.
    fn took(command: &str, file: &str, rows: u64, taken: u64) -> Derivation {
        let mut step = made(command, &[file]);
        (step.sources[0].rows, step.sources[0].taken) = (rows, taken);
        step
    }

    #[test]
    fn each_step_is_given_what_it_left_out_itself() {
        let first = took("slice", "t", 20_000, 7_655);
        let said = |steps: &[Derivation], left_out| sentence(steps, left_out).unwrap();
        assert_eq!(said(std::slice::from_ref(&first), 12_345), "Made by slice from t: 12,345 events left out.");
        let all = "Made by slice from s: nothing left out. Of the original t, 12,345 events are left out.";
        assert_eq!(said(&[first.clone(), took("slice", "s", 7_655, 7_655)], 12_345), all);
        let more = "Made by slice from s: 1 event left out. Of the original t, 12,346 events are left out.";
        assert_eq!(said(&[first.clone(), took("slice", "s", 7_655, 7_654)], 12_346), more);
        let redaction = Some(derived::Redaction::default());
        let redacted = Derivation { redaction, ..took("redact", "s", 7_655, 7_655) };
        assert_eq!(said(&[first.clone(), redacted], 12_345), "Made by slice from t: 12,345 events left out.");
        // Rows that another slice has, too, are not left out; and two slices have no one origin.
        let merged = took("merge", "s", 7_655, 7_000);
        let both = "Made by merge from s: nothing left out. Of what was recorded, 500 events are left out.";
        assert_eq!(said(&[first, took("slice", "u", 20_000, 19_000), merged], 500), both);
    }

    #[test]
    fn a_redaction_is_said() {
        let redaction = |level: &str| Some(derived::Redaction { level: level.into(), ..derived::Redaction::default() });
        let step = Derivation { redaction: redaction("share"), ..super::tests::made("redact", &["t"]) };
        assert_eq!(super::made(&step), "redacted from t, root digest rt, at the level share");
        assert_eq!(super::made(&made("slice", &["t"])), "derived (slice of t, root digest rt)");
        let steps = [step.clone(), made("slice", &["u"])];
        assert_eq!(
            redacted(&steps).unwrap(),
            "Redacted at the level share: names, numbers, addresses and times in it are not the original ones."
        );
        assert_eq!((sentence(&steps[..1], 0), redacted(&steps[1..])), (None, None));
        let metadata = [Derivation { redaction: redaction("metadata"), ..step.clone() }, made("slice", &["u"])];
        assert_eq!([&steps[..], &metadata].map(without_addresses), [false, true]);
        let payload = [Derivation { redaction: redaction("payload"), ..step }];
        assert_eq!([&payload[..], &metadata].map(hides_clocks), [false, true]);
        assert!(redacted(&payload).unwrap().ends_with("captured bytes are removed."));
    }

    #[test]
    fn names_are_cut_and_escaped() {
        let long = "x".repeat(1 << 20);
        let shown = step(&made("\x1b[2J", &[&long, "\x1b]0;a\x07"]));
        assert!(shown.len() < 2_000 && !shown.contains('\x1b'), "{shown}");
    }
}
