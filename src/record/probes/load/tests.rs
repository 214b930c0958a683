//! The BPF object and the table of events name the same programs.

use std::collections::BTreeSet;

use super::object;
use crate::record::decode::wire_kind;
use crate::schema::events::{EVENTS, FAMILIES, REGION_PROGRAMS, SYS_ENTER, SYS_EXIT};

#[test]
fn every_program_serves_an_event_and_is_in_the_object() {
    let compiled: BTreeSet<String> = object::programs().into_iter().map(|(name, _)| name).collect();
    assert!(!compiled.is_empty(), "the BPF object cannot be read");
    let of_families = FAMILIES.iter().flat_map(|family| family.programs()).map(|(_, program)| program.name);
    let named: Vec<String> =
        of_families.chain([SYS_EXIT, SYS_ENTER]).chain(REGION_PROGRAMS).map(str::to_string).collect();
    let set: BTreeSet<String> = named.iter().cloned().collect();
    assert_eq!(set.len(), named.len(), "a program is named twice in src/schema/events.rs");
    let strangers: Vec<_> = compiled.difference(&set).collect();
    assert!(strangers.is_empty(), "these programs serve no event of src/schema/events.rs: {strangers:?}");
    let missing: Vec<_> = set.difference(&compiled).collect();
    assert!(missing.is_empty(), "src/schema/events.rs names programs that bpf/ does not have: {missing:?}");
}

/// Families with tracepoints of their own need no syscall.
#[test]
fn every_event_that_is_served_has_a_number_on_the_wire_and_a_way_into_the_kernel() {
    for event in EVENTS.iter().filter(|event| !event.services.is_empty()) {
        assert!(wire_kind(event.kind).is_some(), "{} has no number in bpf/wire.h", event.name);
        let traced = event.services.iter().any(|service| service.family.spec().has_own_tracepoints());
        let called = !event.x86_64.is_empty() && !event.i386.is_empty();
        assert!(traced || called || !event.through.is_empty(), "{}: nothing leads to it", event.name);
    }
}

/// Where the end of a call is hooked for 64-bit programs alone, those of others would be missing from what was skipped.
#[test]
fn the_end_of_a_call_is_hooked_for_32_bit_programs_too() {
    for event in EVENTS.iter().filter(|event| !event.i386.is_empty()) {
        let (compat, native): (Vec<_>, Vec<_>) = event.ends().partition(|name| name.contains("_ia32"));
        assert_eq!(native.is_empty(), compat.is_empty(), "{}: {native:?}, {compat:?}", event.name);
    }
}
