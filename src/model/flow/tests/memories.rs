//! Bytes that went on from a memory into which a call had put them.

use std::collections::BTreeMap;

use super::world::Random;
use super::{flows_of, manifest, pair};
use crate::model::flow::call::Calls;
use crate::model::flow::memories::Memories;
use crate::model::flow::{Certainty, Compared, Flow, Sink, Source};
use crate::schema::types::{Iovec, Iovecs};
use crate::schema::{Event, EventKind, Manifest};

const A: i32 = 11;
const B: i32 = 12;
const C: i32 = 13;
const D: i32 = 14;
const SECRET: &[u8] = b"token=0123456789";

/// A call of `pid` between its memory and that of `target`, of 32 bytes at these addresses.
fn call<'a>(event: &'a str, (pid, local): (i32, &'a [Iovec]), (target, remote): (i32, &'a [Iovec])) -> Event<'a> {
    let is_read = event.contains("read");
    Event {
        event,
        pid,
        tid: pid,
        comm: "caller",
        target_pid: Some(target),
        target_comm: Some("target"),
        direction: Some(if is_read { "in" } else { "out" }),
        bytes: Some(32),
        local_iov: Some(Iovecs::Pairs(local)),
        remote_iov: Some(Iovecs::Pairs(remote)),
        payload: Some(SECRET),
        payload_status: Some("truncated"),
        ..Event::default()
    }
}

const fn at(base: u64) -> [Iovec; 1] {
    [Iovec { base, len: 32 }]
}

/// B reads A's memory and writes the same into C's.
fn relay() -> [Event<'static>; 2] {
    const IN_A: &[Iovec] = &at(0x7000);
    const IN_B: &[Iovec] = &at(0x5000);
    const IN_C: &[Iovec] = &at(0x9000);
    let read = call("process_vm_readv", (B, IN_B), (A, IN_A));
    let write = call("process_vm_writev", (B, IN_B), (C, IN_C));
    [Event { mono_ns: 10, ..read }, Event { seq: 1, mono_ns: 20, ..write }]
}

/// Each flow: `seq` and offset of both calls, bytes, bytes that were compared.
fn inferred(manifest: &Manifest, events: &[Event<'_>]) -> Vec<[u64; 6]> {
    let flows = flows_of(manifest, events);
    let of = |flow: &Flow| {
        let (Source::Call(source, there), Sink::Call(sink, here)) = (&flow.source, &flow.sink) else {
            panic!("{flow:?}")
        };
        let Compared::Equal(equal) = flow.compared else { panic!("{flow:?}") };
        [source.seq, *there, sink.seq, *here, flow.bytes, equal]
    };
    flows.iter().filter(|flow| flow.certainty == Certainty::Inferred).map(of).collect()
}

#[test]
fn what_was_read_and_then_written_elsewhere_is_linked() {
    let [read, write] = relay();
    assert_eq!(inferred(&manifest(), &[read, write]), [[0, 0, 1, 0, 32, 16]]);
    let flow = &flows_of(&manifest(), &[read, write])[0];
    let via = flow.via.as_ref().unwrap();
    assert_eq!((via.pid, &*via.comm, via.address), (B, "caller", 0x5000));
    let (Source::Call(source, _), Sink::Call(sink, _)) = (&flow.source, &flow.sink) else { panic!("{flow:?}") };
    assert_eq!((source.given_from(1), sink.taken_to(1)), (Some((A, Some(0x7001))), Some((C, Some(0x9001)))));
    assert_eq!((flow.from_pid(), flow.to_pid()), (Some(A), Some(C)));
    // And from C's memory on, by whoever reads it there.
    const INTO: &[Iovec] = &at(0x1000);
    const FROM: &[Iovec] = &at(0x9000);
    let on = Event { seq: 2, mono_ns: 30, ..call("pread", (D, INTO), (C, FROM)) };
    assert_eq!(inferred(&manifest(), &[read, write, on])[1], [1, 0, 2, 0, 32, 16]);
    // Or from B's into a pipe.
    let pipe =
        Event { seq: 2, local_iov: write.local_iov, payload: Some(SECRET), payload_status: Some("ok"), ..pair()[0] };
    let pipe = Event { pid: B, tid: B, mono_ns: 30, bytes: Some(16), ..pipe };
    assert_eq!(inferred(&manifest(), &[read, pipe]), [[0, 0, 2, 0, 16, 16]]);
}

#[test]
fn a_part_is_linked_as_a_part() {
    let [read, write] = relay();
    const BEHIND: &[Iovec] = &at(0x5004);
    let write = Event { local_iov: Some(Iovecs::Pairs(BEHIND)), payload: Some(&SECRET[4..]), ..write };
    assert_eq!(inferred(&manifest(), &[read, write]), [[0, 4, 1, 0, 28, 12]]);
    // Where captured bytes differ, only runs that are alike.
    let [read, write] = relay();
    let other = Event { payload: Some(b"token=01-3456789"), ..write };
    assert_eq!(inferred(&manifest(), &[read, other]), [[0, 0, 1, 0, 8, 8]], "seven bytes behind are too few");
    let other = Event { payload: Some(b"xoken=0123456789"), ..write };
    assert_eq!(
        inferred(&manifest(), &[read, other]),
        [[0, 1, 1, 1, 15, 15]],
        "what was not captured is not known then"
    );
}

#[test]
fn what_is_no_evidence_links_nothing() {
    let [read, write] = relay();
    let nothing = |events: &[Event<'_>]| assert!(inferred(&manifest(), events).is_empty(), "{events:?}");
    let zeros = |event| Event { payload: Some(&[0; 16]), ..event };
    nothing(&[zeros(read), zeros(write)]);
    nothing(&[Event { payload: None, ..read }, write]);
    nothing(&[Event { payload_status: Some("fault"), ..read }, write]);
    nothing(&[read, Event { payload: Some(b"something else.."), ..write }]);
    nothing(&[read, Event { bytes: Some(0), ..write }]);
    nothing(&[read, Event { pid: D, tid: D, ..write }]);
    nothing(&[read, Event { dur_ns: Some(11), ..write }]);
    // Another program in the same process, another process with the same pid, and bytes that were replaced.
    let exec = Event { event: "process_exec", pid: B, tid: B, mono_ns: 15, ..Event::default() };
    nothing(&[read, exec, write]);
    let keyed = |event, key| Event { process_key: Some(key), ..event };
    nothing(&[keyed(read, "k1"), keyed(write, "k2")]);
    let other = Event { seq: 2, payload: Some(b"something else.."), ..read };
    nothing(&[read, other, write]);
    let same = Event { seq: 2, ..read };
    assert_eq!(inferred(&manifest(), &[read, same, write]), [[2, 0, 1, 0, 32, 16]], "the last one that put them there");
}

/// What redaction masked is alike whatever it was.
#[test]
fn masked_bytes_are_not_compared() {
    use crate::schema::derived::{Derivation, Redaction};
    let redaction =
        Redaction { level: "share".into(), options: vec!["--payload masked".into()], ..Redaction::default() };
    let step = Derivation { redaction: Some(redaction), ..Derivation::default() };
    let masked = Manifest { derived_from: vec![step], ..manifest() };
    let [read, write] = relay().map(|event| Event { payload: Some(b"passwo**********"), ..event });
    assert!(inferred(&masked, &[read, write]).is_empty());
    assert_eq!(inferred(&manifest(), &[read, write]).len(), 1);
    let [sent, got] = pair().map(|event| Event { payload: Some(b"a*********"), payload_status: Some("ok"), ..event });
    assert_eq!(flows_of(&masked, &[sent, got])[0].compared, Compared::Equal(1));
    let [sent, got] = [sent, got].map(|event| Event { payload: Some(b"**********"), ..event });
    assert_eq!(flows_of(&masked, &[sent, got])[0].compared, Compared::Removed);
}

/// Many small ranges, and ranges as long as numbers can say.
#[test]
fn what_is_kept_of_memories_is_bounded() {
    let mut memories = Memories::default();
    let mut calls = Calls::default();
    let mut put = |memories: &mut Memories, seq: u64, pid: i32, base: u64, len: u64| {
        let range = [Iovec { base, len }];
        let bytes = Some(i64::try_from(len).unwrap_or(i64::MAX));
        let event = Event { seq, bytes, ..call("process_vm_readv", (pid, &range), (A, &range)) };
        let call = calls.between_memories(&event, EventKind::ProcessVmReadv, 0).unwrap();
        memories.put((pid, Some("key")), &call, &call.memory);
        call
    };
    for seq in 0..3_000 {
        put(&mut memories, seq, B, seq * 16, 16);
    }
    assert!(memories.forgot());
    let call = put(&mut memories, 3_000, D, 2_999 * 16, 16);
    let mut found = Vec::new();
    memories.taken((B, None), &call, &call.memory, &mut |flow| found.push(flow.bytes));
    assert_eq!(found, [16], "the newest stays");
    for pid in 100..70_000 {
        put(&mut memories, 4_000, pid, u64::MAX - 8, u64::MAX);
        put(&mut memories, 4_000, pid, 16, u64::MAX - 16);
    }
    assert!(memories.kept() <= 65_536, "{}", memories.kept());
}

/// Ranges that overlap in every way, against a map of single bytes, of which each address always has the same one.
#[test]
fn ranges_are_those_of_single_bytes() {
    let mut random = Random(7);
    let (mut memories, mut bytes) = (Memories::default(), BTreeMap::new());
    let mut linked = 0;
    for seq in 0..2_000u64 {
        let (base, len) = (random.below(500), 8 + random.below(56));
        let range = [Iovec { base, len }];
        let content: Vec<u8> = (base..base + len).map(|address| (address * 37) as u8).collect();
        let event = Event {
            seq,
            payload: Some(&content),
            payload_status: Some("ok"),
            bytes: Some(len as i64),
            ..call("process_vm_readv", (B, &range), (A, &range))
        };
        let call = Calls::default().between_memories(&event, EventKind::ProcessVmReadv, 0).unwrap();
        if random.chance(50) {
            memories.put((B, None), &call, &call.memory);
            bytes.extend((0..len).map(|n| (base + n, (seq, n))));
            continue;
        }
        let mut wanted: Vec<[u64; 4]> = Vec::new();
        for (address, (from, there)) in bytes.range(base..base + len) {
            match wanted.last_mut() {
                Some([seq, start, here, run])
                    if seq == from && *start + *run == *there && *here + *run == address - base =>
                {
                    *run += 1;
                }
                _ => wanted.push([*from, *there, address - base, 1]),
            }
        }
        wanted.retain(|[.., run]| *run >= 8);
        let mut found = Vec::new();
        memories.taken((B, None), &call, &call.memory, &mut |flow| {
            let (Source::Call(source, there), Sink::Call(_, here)) = (&flow.source, &flow.sink) else {
                panic!("{flow:?}")
            };
            assert_eq!(flow.via.as_ref().unwrap().address, base + here);
            found.push([source.seq, *there, *here, flow.bytes]);
        });
        assert_eq!(found, wanted, "call {seq}");
        linked += found.len();
    }
    assert!(linked > 1_000, "{linked}");
}
