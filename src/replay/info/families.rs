//! The table of families: how each is hooked, its self-test result, and its gaps.

use std::fmt::Write;

use crate::schema::manifest::FamilyReport;
use crate::terminal::escape::Safe;

/// Appends the table.
pub fn render(out: &mut String, families: &[FamilyReport]) {
    // Writing to a String cannot fail, here and below.
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
        render(&mut out, &[whole, broken]);
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
    }
}
