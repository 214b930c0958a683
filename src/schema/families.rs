//! What a recording says about the hooks of its families of events, each cause once.
//!
//! Owns the grouping of families and gaps, and the sentences that `record -v`, `check` and `info` print. They contain text
//! from files: whoever prints them escapes it.

use std::fmt;

use super::events::{EventSpec, event_by_name};
use super::manifest::FamilyReport;
use super::names::errno_name;
use super::vocabulary::{IovVerdict, Tier};

/// How the cause begins where the kernel allows no function hook at all.
pub const FUNCTIONS_REFUSED: &str = "the kernel refuses to load function hooks";

/// How the cause begins where a family failed its self-test.
pub const SELF_TEST_FAILED: &str = "the self-test failed";

/// Families with the same tier, self-test result and cause.
#[derive(Debug)]
pub struct FamilyGroup<'a> {
    families: Vec<&'a FamilyReport>,
    tier: &'a str,
    self_test: &'a str,
    cause: Option<&'a str>,
    is_all: bool,
}

/// The groups, in the order of their first families.
pub fn groups(families: &[FamilyReport]) -> Vec<FamilyGroup<'_>> {
    let mut groups: Vec<FamilyGroup<'_>> = Vec::new();
    for family in families {
        let (tier, self_test, cause) = (family.tier.as_str(), family.self_test.as_str(), cause(family, families));
        match groups.iter_mut().find(|g| (g.tier, g.self_test, g.cause) == (tier, self_test, cause)) {
            Some(group) => group.families.push(family),
            None => groups.push(FamilyGroup { families: vec![family], tier, self_test, cause, is_all: false }),
        }
    }
    if let [only] = groups.as_mut_slice() {
        only.is_all = only.families.len() > 1;
    }
    groups
}

/// Why a family is not at its best. Where the kernel refuses all function hooks, that is also said of families which
/// would not use them.
fn cause<'a>(family: &'a FamilyReport, families: &'a [FamilyReport]) -> Option<&'a str> {
    let refusal = || families.iter().filter_map(|f| f.gap.as_deref()).find(|gap| gap.starts_with(FUNCTIONS_REFUSED));
    family.gap.as_deref().or_else(|| refusal().filter(|_| Tier::Tracepoint.is(&family.tier)))
}

impl FamilyGroup<'_> {
    /// Whether one of the events takes an array of iovecs, which only function hooks verify.
    fn has_unverified_iovecs(&self) -> bool {
        let events = self.families.iter().flat_map(|family| &family.events);
        Tier::Tracepoint.is(self.tier) && events.filter_map(|name| event_by_name(name)).any(EventSpec::has_iovecs)
    }
}

impl fmt::Display for FamilyGroup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all {
            write!(f, "All {} families: ", self.families.len())?;
        } else {
            let names: Vec<&str> = self.families.iter().map(|family| family.family.as_str()).collect();
            write!(f, "{}: ", names.join(", "))?;
        }
        match Tier::parse(self.tier) {
            Ok(Tier::None) => write!(f, "not seen")?,
            Ok(Tier::Function | Tier::Tracepoint) | Err(_) => write!(f, "{} tier", self.tier)?,
        }
        write!(f, ", self-test {}.", self.self_test)?;
        let untested: Vec<&str> =
            self.families.iter().flat_map(|family| &family.untested).map(String::as_str).collect();
        if !untested.is_empty() {
            write!(f, " Not tested: {}.", untested.join(", "))?;
        }
        if let Some(cause) = self.cause {
            write!(f, " {}.", sentence(cause))?;
        }
        if self.has_unverified_iovecs() {
            let so = if self.cause.is_some() { "So iovec" } else { "Iovec" };
            write!(f, " {so} arrays are {}.", IovVerdict::Unverified.as_str())?;
        }
        Ok(())
    }
}

/// A cause as a sentence without its full stop. That a self-test failed has been said before.
fn sentence(cause: &str) -> String {
    let behind = |front| cause.strip_prefix(front).and_then(|rest| rest.strip_prefix(": "));
    match behind(FUNCTIONS_REFUSED) {
        Some(error) => format!("Function hooks: refused by the kernel ({})", errno(error).unwrap_or(error)),
        None => format!("Cause: {}", behind(SELF_TEST_FAILED).unwrap_or(cause)),
    }
}

/// The name of the error that the standard library describes: `Operation not permitted (os error 1)` is EPERM.
fn errno(error: &str) -> Option<&'static str> {
    let (_, number) = error.strip_suffix(')')?.rsplit_once("(os error ")?;
    errno_name(number.parse::<i64>().ok()?.checked_neg()?)
}

/// The gaps of a recording, without the causes that [`groups`] gives. Gaps that differ only in the family become one.
pub fn gaps(gaps: &[String], families: &[FamilyReport]) -> Vec<String> {
    let mut texts: Vec<(Vec<&str>, &str)> = Vec::new();
    for gap in gaps {
        let (family, text) = match families.iter().find_map(|f| of_family(gap, f)) {
            Some((_, "")) => continue,
            Some((family, text)) => (Some(family), text),
            None => (None, gap.as_str()),
        };
        match texts.iter_mut().find(|(names, known)| *known == text && names.is_empty() == family.is_none()) {
            Some((names, _)) => names.extend(family),
            None => texts.push((Vec::from_iter(family), text)),
        }
    }
    texts.iter().map(|(names, text)| if names.is_empty() { (*text).into() } else { line(names, text) }).collect()
}

fn line(names: &[&str], text: &str) -> String {
    format!("{}: {text}", names.join(", "))
}

/// Of a gap `FAMILY: TEXT; CAUSE` or `FAMILY: CAUSE` the family, and the text without the family's cause.
fn of_family<'a>(gap: &'a str, family: &'a FamilyReport) -> Option<(&'a str, &'a str)> {
    let text = gap.strip_prefix(family.family.as_str())?.strip_prefix(": ")?;
    let cause = family.gap.as_deref().filter(|cause| !cause.is_empty());
    let without = cause.and_then(|cause| text.strip_suffix(cause));
    let text = match without {
        Some("") => "",
        Some(front) => front.strip_suffix("; ").unwrap_or(text),
        None => text,
    };
    Some((family.family.as_str(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPERM: &str = "the kernel refuses to load function hooks: Operation not permitted (os error 1)";

    fn family(name: &str, events: &[&str], tier: Tier, gap: Option<&str>) -> FamilyReport {
        FamilyReport {
            family: name.into(),
            events: events.iter().map(ToString::to_string).collect(),
            tier: tier.as_str().into(),
            self_test: "passed".into(),
            gap: gap.map(Into::into),
            ..FamilyReport::default()
        }
    }

    fn lines(families: &[FamilyReport]) -> Vec<String> {
        groups(families).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_cause_is_said_once() {
        let families = [
            family("vm", &["process_vm_readv"], Tier::Tracepoint, Some(EPERM)),
            family("splice", &["tee"], Tier::Tracepoint, Some(EPERM)),
            family("process", &["process_fork"], Tier::Tracepoint, None),
        ];
        let refused = "Function hooks: refused by the kernel (EPERM).";
        let wanted =
            format!("All 3 families: tracepoint tier, self-test passed. {refused} So iovec arrays are unverified.");
        assert_eq!(lines(&families), [wanted]);
        let without_iovecs = format!("splice: tracepoint tier, self-test passed. {refused}");
        assert_eq!(lines(&families[1..2]), [without_iovecs]);
        assert!(lines(&[]).is_empty());
    }

    #[test]
    fn families_that_differ_in_anything_stay_apart() {
        let mut untested = family("uring", &["tee"], Tier::Function, None);
        (untested.self_test, untested.untested) =
            ("untestable".into(), vec!["tee: EPERM".into(), "splice: EPERM".into()]);
        let gap = "the self-test failed: no event came";
        let failed =
            FamilyReport { self_test: "failed".into(), ..family("ptrace", &["ptrace"], Tier::None, Some(gap)) };
        let families = [
            family("vm", &["process_vm_readv"], Tier::Function, None),
            family("vmsplice", &["vmsplice"], Tier::Tracepoint, Some("fentry/x: not in this kernel")),
            family("mem", &["read"], Tier::Function, None),
            failed,
            untested,
            family("process", &["process_fork"], Tier::Tracepoint, None),
            FamilyReport { tier: "later".into(), ..family("new", &["new"], Tier::None, None) },
        ];
        assert_eq!(
            lines(&families),
            [
                "vm, mem: function tier, self-test passed.",
                "vmsplice: tracepoint tier, self-test passed. Cause: fentry/x: not in this kernel. So iovec arrays are \
                 unverified.",
                "ptrace: not seen, self-test failed. Cause: no event came.",
                "uring: function tier, self-test untestable. Not tested: tee: EPERM, splice: EPERM.",
                "process: tracepoint tier, self-test passed.",
                "new: later tier, self-test passed.",
            ]
        );
    }

    #[test]
    fn errors_have_their_names_where_they_have_numbers() {
        assert_eq!(errno("Operation not permitted (os error 1)"), Some("EPERM"));
        for text in ["no", "(os error )", "x (os error 99999999999999999999)", "(os error -9223372036854775808)", ")"] {
            assert_eq!(errno(text), None, "{text}");
        }
        assert_eq!(sentence(&format!("{FUNCTIONS_REFUSED}: why")), "Function hooks: refused by the kernel (why)");
        assert_eq!(sentence(FUNCTIONS_REFUSED), format!("Cause: {FUNCTIONS_REFUSED}"));
    }

    #[test]
    fn gaps_do_not_repeat_the_cause() {
        let families = [
            family("vm", &["process_vm_readv"], Tier::Tracepoint, Some(EPERM)),
            family("vmsplice", &["vmsplice"], Tier::Tracepoint, Some("another cause")),
            family("mem", &["read"], Tier::Tracepoint, Some(EPERM)),
            family("process", &["process_fork"], Tier::Tracepoint, None),
        ];
        let all = [
            "x32 calls are not seen".to_string(),
            format!("vm: arrays are read; {EPERM}"),
            "vmsplice: arrays are read; another cause".to_string(),
            format!("mem: {EPERM}"),
            format!("process: {EPERM}"),
            "mem: arrays are read".to_string(),
            "arrays are read".to_string(),
        ];
        assert_eq!(
            gaps(&all, &families),
            [
                "x32 calls are not seen",
                "vm, vmsplice, mem: arrays are read",
                &format!("process: {EPERM}"),
                "arrays are read"
            ]
        );
        assert_eq!(gaps(&all, &[]), all, "nothing is left out whose cause is not said elsewhere");
    }
}
