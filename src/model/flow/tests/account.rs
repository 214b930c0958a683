//! The model's flows against the account of a program, byte by byte.

use std::collections::BTreeMap;

use super::world::{Way, World};
use crate::model::flow::{Certainty, Compared, Flow, Sink, Source, Why};

/// How many bytes have a known way, and how many have none, of those that were taken out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    pub known: u64,
    pub unknown: u64,
    pub differ: u64,
    pub exact: u64,
}

/// Compares each byte of each flow. `call_of` is the call of a row.
pub(super) fn check(
    world: &World,
    flows: &[Flow],
    call_of: &dyn Fn(u64) -> usize,
    gone: &[usize],
    name: &str,
) -> Found {
    let mut found = Found::default();
    let mut sinks: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for flow in flows {
        if let Source::Call(call, offset) = &flow.source {
            assert!(*offset + flow.bytes <= call.bytes, "{name}: {flow:?}");
        }
        let Sink::Call(sink, offset) = &flow.sink else { continue };
        for byte in 0..flow.bytes {
            *sinks.entry((sink.seq, offset + byte)).or_default() += 1;
        }
        if flow.certainty == Certainty::Unknown {
            found.unknown += flow.bytes;
            continue;
        }
        if let Some(Why::NeverEmpty(held) | Why::Held(held)) = flow.why {
            let mut of_pipes = flow.steps.iter().map(|step| world.held(step.pipe, gone));
            let lost = matches!(flow.why, Some(Why::Held(_)));
            assert!(lost || of_pipes.any(|of| of >= held), "{name}: more was held than was: {flow:?}");
        }
        // What is said under a condition is only right where that is true.
        if flow.certainty == Certainty::Bounded && !is_as_said(world, flow, gone) {
            continue;
        }
        found.known += flow.bytes;
        found.exact += if flow.certainty == Certainty::Bounded { 0 } else { flow.bytes };
        let Source::Call(source, start) = &flow.source else { panic!("{name}: {flow:?}") };
        let mut differs = None;
        for byte in 0..flow.bytes {
            let way = &world.ways[&(call_of(sink.seq), offset + byte)];
            let steps = flow
                .steps
                .iter()
                .map(|step| (step.pipe, step.moved.as_ref().map(|(call, offset)| (call_of(call.seq), offset + byte))));
            let got = Way { source: Some((call_of(source.seq), start + byte)), steps: steps.collect() };
            assert_eq!(&got, way, "{name}: byte {byte} of {flow:?}");
            let (from, to) = (source.payload_at(start + byte, 1), sink.payload_at(offset + byte, 1));
            if let (Some(from), Some(to)) = (from, to)
                && from != to
            {
                differs = differs.or(Some(byte));
            }
            let address = source.address(start + byte).expect("a range");
            let base = 0x1000 * (call_of(source.seq) as u64 + 1);
            let (at, half) = (start + byte, source.bytes / 2);
            assert_eq!(address, if at < half { base + at } else { base + 0x800 + at - half }, "{name}");
        }
        match flow.compared {
            Compared::Differs(at) => assert_eq!(Some(at), differs, "{name}"),
            Compared::Equal(_) | Compared::No | Compared::Removed => assert_eq!(differs, None, "{name}"),
        }
        found.differ += u64::from(differs.is_some());
    }
    assert!(sinks.values().all(|times| *times == 1), "{name}: a byte was taken out once");
    found
}

/// Whether the pipes of a flow held as much as it says. A flow through several pipes gives the reason of one alone; so
/// here all must be what a pipe without a history is.
pub(super) fn is_as_said(world: &World, flow: &Flow, gone: &[usize]) -> bool {
    let held = |pipe: u64| world.held(pipe, gone);
    if world.rules.shared && world.pending > 0 {
        return false;
    }
    match (flow.steps.as_slice(), flow.why) {
        ([only], Some(Why::NeverEmpty(said) | Why::Held(said))) => held(only.pipe) == said,
        (steps, _) => steps.iter().all(|step| held(step.pipe) == 0),
    }
}

pub(super) fn add(one: Found, other: Found) -> Found {
    Found {
        known: one.known + other.known,
        unknown: one.unknown + other.unknown,
        differ: one.differ + other.differ,
        exact: one.exact + other.exact,
    }
}
