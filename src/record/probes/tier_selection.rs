//! Evaluates the self-test: which tier each family gets, and how that is reported.

use anyhow::{Result, bail};

use crate::record::probes::load::{FamilyState, Programs};
use crate::record::probes::selftest::{self, Tested};
use crate::schema::events::{EventSet, Family};
use crate::schema::families::SELF_TEST_FAILED;
use crate::schema::manifest::FamilyReport;
use crate::schema::vocabulary::{SelfTest, Tier};

/// Tests every family. One whose function hooks fail falls back to tracepoints and is tested again.
///
/// The hooks are in place and nobody reads the rings yet. Leaves no trace in ledger, rings and selection.
///
/// # Errors
/// When the rings cannot be read, the exit of syscalls cannot be hooked, or no family is seen at all.
pub fn test(programs: &mut Programs, events: &EventSet, snaplen: u32) -> Result<Vec<FamilyReport>> {
    let families: Vec<Family> = programs.families().iter().map(|state| state.family).collect();
    let mut tested = selftest::run(programs, &families, events, snaplen)?;
    let broken = |t: &Tested| tier(programs, t.family) == Tier::Function && !t.failures().is_empty();
    let again: Vec<(Family, String)> =
        tested.iter().filter(|t| broken(t)).map(|t| (t.family, t.failures().join("; "))).collect();
    for (family, failures) in &again {
        programs.fall_back(*family, &format!("the self-test of its function hooks failed: {failures}"))?;
    }
    if !again.is_empty() {
        let families: Vec<Family> = again.iter().map(|(family, _)| *family).collect();
        let second = selftest::run(programs, &families, events, snaplen)?;
        tested.retain(|t| !families.contains(&t.family));
        tested.extend(second);
    }
    programs.clear_ledger()?;
    let of = |state: &FamilyState| report(state, events, tested.iter().find(|t| t.family == state.family));
    let reports: Vec<FamilyReport> = programs.families().iter().map(of).collect();
    if reports.iter().all(|family| Tier::None.is(&family.tier)) {
        bail!("the hooks are attached, but do not see what vmtrace's own processes do (--no-self-test records anyway)");
    }
    Ok(reports)
}

/// What is said of the families where nothing was tested.
pub fn untested(programs: &Programs, events: &EventSet) -> Vec<FamilyReport> {
    programs.families().iter().map(|state| report(state, events, None)).collect()
}

/// Gaps that only the self-test knows of.
pub fn gaps(families: &[FamilyReport]) -> Vec<String> {
    let failed = families.iter().filter(|f| SelfTest::Failed.is(&f.self_test));
    failed.map(|f| format!("{}: {}", f.family, f.gap.as_deref().unwrap_or_default())).collect()
}

fn tier(programs: &Programs, family: Family) -> Tier {
    programs.families().iter().find(|state| state.family == family).map_or(Tier::None, |state| state.tier)
}

fn report(state: &FamilyState, events: &EventSet, tested: Option<&Tested>) -> FamilyReport {
    let failures = tested.map(Tested::failures).unwrap_or_default();
    let tier = if failures.is_empty() { state.tier } else { Tier::None };
    let failure = (!failures.is_empty()).then(|| format!("{SELF_TEST_FAILED}: {}", failures.join("; ")));
    let spec = state.family.spec();
    let names = spec.events().filter(|e| events.contains(e.kind)).map(|e| e.name.to_string()).collect();
    FamilyReport {
        family: state.family.name().into(),
        events: names,
        tier: tier.as_str().into(),
        best: tier == if spec.has_functions() { Tier::Function } else { Tier::Tracepoint },
        probes: state.probes.clone(),
        self_test: result(tested).as_str().into(),
        untested: tested.map(Tested::untested).unwrap_or_default(),
        gap: match (failure, &state.reason) {
            (Some(failure), Some(reason)) => Some(format!("{failure}; {reason}")),
            (failure, reason) => failure.or(reason.clone()),
        },
    }
}

fn result(tested: Option<&Tested>) -> SelfTest {
    match tested {
        None => SelfTest::Off,
        Some(tested) if !tested.failures().is_empty() => SelfTest::Failed,
        Some(tested) if tested.passed() => SelfTest::Passed,
        Some(_) => SelfTest::Untestable,
    }
}
