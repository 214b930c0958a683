//! Families of events: how each is hooked, its self-test result, and its gaps. Each cause once, or one row a family.

use std::fmt::Write;

use crate::schema::families;
use crate::schema::manifest::FamilyReport;
use crate::terminal::escape::Safe;

/// Appends a sentence for each group of families with the same tier, self-test result and cause; with `verbose` a table of
/// all families.
pub fn render(out: &mut String, families: &[FamilyReport], verbose: bool) {
    if verbose {
        return table(out, families);
    }
    for group in families::groups(families) {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(out, "{}", Safe(&group.to_string()));
    }
}

/// Appends a list of gaps; without `verbose`, without what [`render`] has printed of the families.
pub fn gaps(out: &mut String, title: &str, gaps: &[String], families: &[FamilyReport], verbose: bool) {
    let short = if verbose { gaps.to_vec() } else { families::gaps(gaps, families) };
    if !short.is_empty() {
        let _ = writeln!(out, "\n{title}");
    }
    for gap in short {
        let _ = writeln!(out, "  - {}", Safe(&gap));
    }
}

fn table(out: &mut String, families: &[FamilyReport]) {
    let _ = writeln!(out, "{:<10} {:<10} {:<10} events", "Family", "tier", "self-test");
    for family in families {
        let _ = writeln!(
            out,
            "{:<10} {:<10} {:<10} {}",
            Safe(&family.family).to_string(),
            Safe(&family.tier).to_string(),
            Safe(&family.self_test).to_string(),
            Safe(&family.events.join(", "))
        );
        let more = [
            ("by", family.probes.clone()),
            ("not tested", family.untested.clone()),
            ("gap", family.gap.iter().cloned().collect()),
        ];
        for (name, values) in more.iter().filter(|(_, values)| !values.is_empty()) {
            let _ = writeln!(out, "  {name}: {}", Safe(&values.join(", ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_said_and_nothing_else() {
        let whole = FamilyReport {
            family: "process".into(),
            events: vec!["process_fork".into(), "process_exit".into()],
            tier: "tracepoint".into(),
            best: true,
            probes: vec!["tp_btf/sched_process_fork".into()],
            self_test: "passed".into(),
            ..FamilyReport::default()
        };
        let broken = FamilyReport {
            family: "vm\x1b".into(),
            tier: "none".into(),
            self_test: "failed".into(),
            untested: vec!["process_vm_readv: EPERM".into()],
            gap: Some("no event came".into()),
            ..FamilyReport::default()
        };
        let mut out = String::new();
        let families = [whole, broken];
        render(&mut out, &families, true);
        let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                "Family     tier       self-test  events",
                "process    tracepoint passed     process_fork, process_exit",
                "  by: tp_btf/sched_process_fork",
                "vm\\x1b     none       failed",
                "  not tested: process_vm_readv: EPERM",
                "  gap: no event came",
            ]
        );
        out.clear();
        render(&mut out, &families, false);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(
            lines,
            [
                "process: tracepoint tier, self-test passed.",
                "vm\\x1b: not seen, self-test failed. Not tested: process_vm_readv: EPERM. Cause: no event came.",
            ]
        );
    }
}
