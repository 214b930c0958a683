//! What a capture was made from, if it was not recorded, in words that are safe for a terminal.

use crate::count;
use crate::schema::derived::{self, Derivation, Source};
use crate::schema::quote::quoted;
use crate::schema::vocabulary::RedactionLevel;
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
        Ok(RedactionLevel::Share | RedactionLevel::Metadata) | Err(_) => {
            "names, numbers, addresses and times in it are not the original ones"
        }
    };
    Some(format!("Redacted at the level {}: {what}.", safe(&redaction.level)))
}

/// `Made by slice from t.parquet: 12,345 events left out.`: the last step of those that led to a capture.
pub fn sentence(steps: &[Derivation], left_out: u64) -> Option<String> {
    // What redaction does is another sentence.
    let step = steps.last().filter(|step| step.redaction.is_none() || left_out > 0)?;
    let from = list(&step.sources, ", ", |source| safe(&source.file));
    let missing = if left_out > 0 { count::events(left_out).to_string() } else { "nothing".into() };
    Some(format!("Made by {} from {from}: {missing} left out.", safe(&step.command)))
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
        assert_eq!(sentence(&steps[..1], 12_345).unwrap(), "Made by slice from t: 12,345 events left out.");
        let none = Source { file: "x".into(), ..Source::default() };
        assert_eq!(
            step(&Derivation { sources: vec![none], ..made("merge", &[]) }),
            "merge of x, without a root digest"
        );
        assert_eq!(step(&made("merge", &[])), "merge of captures that are not named");
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
        let payload = [Derivation { redaction: redaction("payload"), ..step }];
        assert!(redacted(&payload).unwrap().ends_with("captured bytes are removed."));
    }

    #[test]
    fn names_are_cut_and_escaped() {
        let long = "x".repeat(1 << 20);
        let shown = step(&made("\x1b[2J", &[&long, "\x1b]0;a\x07"]));
        assert!(shown.len() < 2_000 && !shown.contains('\x1b'), "{shown}");
    }
}
