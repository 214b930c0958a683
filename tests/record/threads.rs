//! More threads than CPUs. On kernels that preempt a thread in a hook, the kernel skips that hook for others on the same CPU:
//! then the calls it skipped are missing, and the capture says how many.

use super::harness::{Tier, by_functions, record_by, work};
use super::invariants::ledger_balances;

const THREADS: u64 = 4;
const CALLS: u64 = 500;

fn every_call_is_told_or_counted(tier: Tier) {
    let words = format!("readv --threads {THREADS} --count {CALLS} --size 32");
    let recording = record_by(tier.recorder(), &[], &work(&words));
    recording.succeeded();
    tier.check(&recording);
    let manifest = recording.manifest();
    ledger_balances(&manifest);
    let rows = recording.event("process_vm_readv");
    let made = recording.report()["calls"]["process_vm_readv"]["calls"].as_u64().expect("calls");
    let row = rows.first().expect("a row");
    let missing = made - rows.len() as u64;
    let book = manifest.ledger.iter().find(|l| l.event == "process_vm_readv").expect("ledger");
    let exit = manifest.hooks.iter().find(|h| h.target == "tp_btf/sys_exit" && h.attached);
    println!("{made} calls, {} rows, {} lost, sys_exit skipped {:?}", rows.len(), book.lost(), exit.map(|h| h.skipped));
    assert_eq!(made, THREADS * CALLS);
    if by_functions(&manifest, row) {
        assert_eq!(missing, book.lost(), "{book:?}");
    } else {
        // That hook is at the exit of every syscall: what it missed need not have been these calls.
        assert!(missing <= exit.map_or(0, |h| h.skipped), "{missing} of {made} calls are missing");
    }
    assert!(missing == 0 || manifest.gaps.iter().any(|gap| gap.contains("the kernel did not run this hook")));
}

#[test]
#[ignore = "needs root and BPF"]
fn every_call_is_told_or_counted_on_the_best_tier() {
    every_call_is_told_or_counted(Tier::Best);
}

#[test]
#[ignore = "needs root and BPF"]
fn every_call_is_told_or_counted_on_the_tracepoint_tier() {
    every_call_is_told_or_counted(Tier::Tracepoint);
}
