//! Random pipe programs with an account of their own: what every byte's way was, against what the model says.

mod account;
mod memories;
mod world;

use self::account::{Found, add, check};
use self::world::{Random, Rules, World, with_losses};
use super::{Certainty, Compared, Flow, Sink, Source, Survey, Tracker, Why};
use crate::schema::events::EventSet;
use crate::schema::manifest::{Filters, LedgerRow, Segment};
use crate::schema::types::{Iovec, Iovecs};
use crate::schema::{Event, Manifest};

/// Runs of each generator.
const RUNS: u64 = 1_000;

fn manifest() -> Manifest {
    let events = EventSet::all().names().iter().map(ToString::to_string).collect();
    Manifest { filters: Filters { events, ..Filters::default() }, ..Manifest::default() }
}

fn flows_of(manifest: &Manifest, events: &[Event<'_>]) -> Vec<Flow> {
    let mut survey = Survey::default();
    survey.manifest(manifest);
    events.iter().for_each(|event| survey.note(event));
    let mut tracker = Tracker::new(survey.plan());
    let mut flows = Vec::new();
    let mut emit = |flow| flows.push(flow);
    events.iter().for_each(|event| tracker.note(event, &mut emit));
    assert_eq!(tracker.finish(&mut emit), [false; 2]);
    flows
}

fn rules(seed: u64) -> Rules {
    Rules {
        shared: false,
        overlap: seed.is_multiple_of(2),
        timed: seed.is_multiple_of(3),
        held: seed.is_multiple_of(4),
    }
}

#[test]
fn every_byte_goes_where_the_program_put_it() {
    let (mut total, mut whole) = (Found::default(), 0);
    for seed in 0..2 * RUNS {
        let world = World::new(seed, rules(seed)).run(150);
        let events = world.events();
        let flows = flows_of(&manifest(), &events);
        let found = check(&world, &flows, &|seq| world.rows[seq as usize].call, &[], &format!("seed {seed}"));
        // What a call did that has not returned is not known, nor what a pipe held before.
        if !world.rules.held && world.pending == 0 {
            let taken = world.rows.iter().filter(|row| row.pipe_out.is_none()).map(|row| row.bytes).sum::<u64>();
            assert_eq!((found.known, found.unknown), (taken, 0), "seed {seed}");
            whole += 1;
        }
        total = add(total, found);
    }
    assert!(whole >= RUNS, "{whole} runs were compared as a whole");
    assert!(total.known > 250_000 && total.exact > total.known / 10 && total.differ > 1_000, "{total:?}");
}

/// Several readers and writers of a pipe, whose calls do not overlap: with entry times their order is known.
#[test]
fn ends_can_be_shared_where_calls_follow_each_other() {
    let mut total = Found::default();
    for seed in 0..RUNS / 2 {
        let rules = Rules { shared: true, overlap: false, timed: true, held: false };
        let world = World::new(seed, rules).run(200);
        let events = world.events();
        let found = check(
            &world,
            &flows_of(&manifest(), &events),
            &|seq| world.rows[seq as usize].call,
            &[],
            &format!("seed {seed}"),
        );
        assert_eq!(found.unknown, 0, "seed {seed}");
        total = add(total, found);
    }
    assert!(total.exact > total.known / 4, "{total:?}");
}

/// Where calls at one end overlap their order is not known: nothing is said that is wrong.
#[test]
fn what_overlaps_is_unknown_and_never_wrong() {
    let mut total = Found::default();
    for seed in 0..RUNS {
        let rules = Rules { shared: true, overlap: true, timed: seed.is_multiple_of(2), held: seed.is_multiple_of(4) };
        let world = World::new(seed, rules).run(300);
        let events = world.events();
        let found = check(
            &world,
            &flows_of(&manifest(), &events),
            &|seq| world.rows[seq as usize].call,
            &[],
            &format!("seed {seed}"),
        );
        total = add(total, found);
    }
    assert!(total.known > 1_000 && total.unknown > 100_000, "{total:?}");
}

#[test]
fn with_lost_events_no_flow_is_wrong() {
    let mut total = Found::default();
    for seed in 0..RUNS {
        let rules = Rules {
            shared: seed.is_multiple_of(5),
            overlap: seed.is_multiple_of(2),
            timed: seed.is_multiple_of(3),
            held: seed.is_multiple_of(4),
        };
        let world = World::new(seed, rules).run(250);
        let events = world.events();
        let (kept, seqs, lost) = with_losses(&events, &mut Random(seed));
        let ledger = vec![LedgerRow { event: "tee".into(), lost_ring_full: lost, ..LedgerRow::default() }];
        let flows = flows_of(&Manifest { ledger, ..manifest() }, &kept);
        let call_of = |seq: u64| world.rows[seqs[seq as usize] as usize].call;
        let gone: Vec<usize> =
            world.rows.iter().zip(0..).filter(|(_, seq)| !seqs.contains(seq)).map(|(row, _)| row.call).collect();
        total = add(total, check(&world, &flows, &call_of, &gone, &format!("seed {seed}")));
    }
    assert!(total.exact > 5_000 && total.unknown > 50_000, "{total:?}");
}

/// A write of 10 bytes into pipe 7, and a read of up to 20.
fn pair() -> [Event<'static>; 2] {
    let write = Event {
        mono_ns: 10,
        dur_ns: Some(1),
        event: "pipe_write",
        pid: 1,
        tid: 1,
        direction: Some("out"),
        bytes: Some(10),
        bytes_requested: Some(10),
        fd_out_kind: Some("pipe"),
        pipe_out: Some(7),
        ..Event::default()
    };
    let read = Event {
        seq: 1,
        mono_ns: 20,
        dur_ns: Some(1),
        event: "pipe_read",
        pid: 2,
        tid: 2,
        direction: Some("in"),
        bytes_requested: Some(20),
        fd_in_kind: Some("pipe"),
        pipe_in: Some(7),
        fd_out_kind: None,
        pipe_out: None,
        ..write
    };
    [write, read]
}

fn verdict(manifest: &Manifest, events: &[Event<'_>]) -> Vec<(Certainty, Option<Why>, u64)> {
    flows_of(manifest, events).iter().map(|flow| (flow.certainty, flow.why, flow.bytes)).collect()
}

#[test]
fn a_pipe_that_was_seen_empty_is_exact() {
    let [write, read] = pair();
    assert_eq!(verdict(&manifest(), &[write, read]), [(Certainty::Exact, None, 10)]);
    let full = Event { bytes_requested: Some(10), ..read };
    assert_eq!(verdict(&manifest(), &[write, full]), [(Certainty::Bounded, Some(Why::NeverEmpty(0)), 10)]);
    let more = Event { bytes: Some(12), ..read };
    let before = (Certainty::Unknown, Some(Why::Before), 2);
    assert_eq!(verdict(&manifest(), &[write, more]), [before, (Certainty::Bounded, Some(Why::Held(2)), 10)]);
    let less = Event { bytes: Some(8), ..read };
    let unknown = |bytes| (Certainty::Unknown, Some(Why::Contradiction), bytes);
    assert_eq!(verdict(&manifest(), &[write, less]), [unknown(10), unknown(8)], "it cannot be empty");
}

#[test]
fn what_does_not_add_up_between_two_empty_moments_is_unknown() {
    let [write, read] = pair();
    let later =
        |event: Event<'static>, seq, bytes| Event { seq, mono_ns: event.mono_ns + 20, bytes: Some(bytes), ..event };
    let all = |bytes| verdict(&manifest(), &[write, read, later(write, 2, 10), later(read, 3, bytes)]);
    let exact = (Certainty::Exact, None, 10);
    assert_eq!(all(10), [exact, exact]);
    let unknown = |bytes| (Certainty::Unknown, Some(Why::Contradiction), bytes);
    assert_eq!(all(8), [exact, unknown(10), unknown(8)]);
    assert_eq!(all(12), [exact, unknown(10), unknown(12)]);
}

/// An event at another time, from `dur_ns` before.
fn at(event: Event<'static>, seq: u64, mono_ns: i64) -> Event<'static> {
    Event { seq, mono_ns, ..event }
}

#[test]
fn a_loss_reaches_back_and_on_to_the_next_empty_moment() {
    let [write, read] = pair();
    let lost = Event { event: "lost", lost_count: Some(1), dur_ns: Some(1), tid: 0, pid: 0, ..Event::default() };
    let ledger = vec![LedgerRow { event: "tee".into(), lost_ring_full: 1, ..LedgerRow::default() }];
    let of = |events: &[Event<'_>]| verdict(&Manifest { ledger: ledger.clone(), ..manifest() }, events);
    let (exact, unknown) = ((Certainty::Exact, None, 10), (Certainty::Unknown, Some(Why::Lost), 10));
    let rows =
        [at(write, 0, 10), at(read, 1, 20), at(write, 2, 30), at(read, 3, 40), at(write, 4, 50), at(read, 5, 60)];
    let with = |place: usize, since: i64, until: i64| {
        let gap = Event { dur_ns: Some(until - since), ..at(lost, 9, until) };
        of(&[&rows[..place], &[gap], &rows[place..]].concat())
    };
    assert_eq!(with(4, 44, 45), [exact, exact, unknown, unknown], "between two empty moments");
    assert_eq!(with(4, 22, 45), [exact, unknown, unknown, unknown, unknown], "what it began with is in doubt, too");
    assert_eq!(with(2, 19, 20), [unknown, unknown, unknown, unknown, exact], "that moment may not have been empty");
    assert_eq!(with(6, 62, 70), [exact, exact, exact]);
    let left = of(&[&rows[..5], &[at(lost, 9, 70)]].concat());
    assert_eq!(left, [exact, exact, unknown]);
}

/// The numbers add up, but a read had ended before the write began that would have fed it.
#[test]
fn nothing_is_read_before_it_is_written() {
    let [write, read] = pair();
    let full = Event { bytes_requested: Some(10), ..read };
    let rows =
        [at(write, 0, 10), at(read, 1, 20), at(full, 2, 30), at(write, 3, 40), at(write, 4, 50), at(read, 5, 60)];
    let all = verdict(&manifest(), &rows);
    assert_eq!(all[0], (Certainty::Exact, None, 10));
    assert!(all[1..].iter().all(|of| (of.0, of.1) == (Certainty::Unknown, Some(Why::Contradiction))), "{all:?}");
}

/// The reader asked before the writer wrote, and got its bytes before that call had returned.
#[test]
fn a_read_waits_for_the_writer_that_fed_it() {
    let [write, read] = pair();
    let late = Event { seq: 1, mono_ns: 30, dur_ns: Some(25), ..write };
    let early = Event { seq: 0, ..read };
    assert_eq!(verdict(&manifest(), &[early, late]), [(Certainty::Bounded, Some(Why::NeverEmpty(0)), 10)]);
    let later = Event { dur_ns: Some(5), ..late };
    let left = (Certainty::Bounded, Some(Why::NeverEmpty(10)), 10);
    let before = (Certainty::Unknown, Some(Why::Before), 10);
    let full = Event { bytes_requested: Some(10), ..early };
    assert_eq!(verdict(&manifest(), &[full, later]), [before, left], "it began when the read had ended");
}

#[test]
fn what_a_recording_leaves_out_is_unknown() {
    let events = pair();
    let without = |name: &str| {
        let mut manifest = manifest();
        manifest.filters.events.retain(|event| event != name);
        manifest
    };
    for name in ["vmsplice", "splice", "tee", "sendfile", "pipe_read"] {
        let all = verdict(&without(name), &events);
        assert!(all.iter().all(|of| (of.0, of.1) == (Certainty::Unknown, Some(Why::LeftOut))), "{name}: {all:?}");
    }
    assert_eq!(verdict(&without("pipe_write"), &events), [(Certainty::Bounded, Some(Why::NoWrites), 10)]);
    let second = Manifest { segment: Some(Segment { index: 2, ..Segment::default() }), ..manifest() };
    assert!(verdict(&second, &events).iter().all(|of| of.1 == Some(Why::Lost)), "a file is missing");
    let first = Manifest { segment: Some(Segment { index: 1, ..Segment::default() }), ..manifest() };
    assert_eq!(verdict(&first, &events).len(), 1);
    let gaps = |gap: &str| verdict(&Manifest { gaps: vec![gap.into()], ..manifest() }, &events);
    let missed =
        "1 pipe was read before the first recorded call that fed them returned: pipe_read rows of 5 bytes are missing";
    assert_eq!(gaps(missed)[0].1, Some(Why::MissedReads));
    assert_eq!(gaps("3 recorded calls used a pipe that the kernel had no room to note: x")[0].1, Some(Why::LeftOut));
    let lost = vec![LedgerRow { event: "tee".into(), lost_crash: 1, ..LedgerRow::default() }];
    assert_eq!(verdict(&Manifest { ledger: lost, ..manifest() }, &events)[0].1, Some(Why::Lost), "no row says where");
    let other = vec![LedgerRow { event: "ptrace".into(), lost_crash: 1, ..LedgerRow::default() }];
    assert_eq!(verdict(&Manifest { ledger: other, ..manifest() }, &events)[0].0, Certainty::Exact);
    let [write, read] = pair();
    let named = [Event { fd_out_kind: Some("fifo"), ..write }, Event { fd_in_kind: Some("fifo"), ..read }];
    assert_eq!(verdict(&manifest(), &named), [(Certainty::Bounded, Some(Why::Named), 10)]);
    let nowhere = Event { pipe_in: None, ..read };
    assert_eq!(verdict(&manifest(), &[write, nowhere]), [(Certainty::Unknown, Some(Why::Lost), 10)]);
}

/// Where copied bytes come out as others, the rows contradict each other; pages can change.
#[test]
fn a_difference_is_a_contradiction_but_for_pages() {
    let [write, read] = pair();
    let sent = Event { payload: Some(b"0123456789"), payload_status: Some("ok"), ..write };
    let got = Event { payload: Some(b"01234x"), payload_status: Some("truncated"), ..read };
    let all = flows_of(&manifest(), &[sent, got]);
    assert_eq!((all[0].certainty, all[0].compared), (Certainty::Unknown, Compared::Differs(5)));
    assert_eq!(all[0].why, Some(Why::Contradiction));
    let pages = Event { event: "vmsplice", payload_by_ref: Some(true), ..sent };
    let all = flows_of(&manifest(), &[pages, got]);
    assert_eq!((all[0].certainty, all[0].compared), (Certainty::ByReference, Compared::Differs(5)));
    let fault = Event { payload_status: Some("fault"), ..got };
    assert_eq!(flows_of(&manifest(), &[sent, fault])[0].compared, Compared::No);
    let removed = Event { payload: None, payload_status: Some("redacted"), ..got };
    assert_eq!(flows_of(&manifest(), &[sent, removed])[0].compared, Compared::Removed);
}

/// At the level `metadata` every address is 0, and none is said.
#[test]
fn addresses_that_redaction_took_away_are_not_known() {
    use crate::schema::derived::{Derivation, Redaction};
    let [write, read] = pair();
    const RANGE: &[Iovec] = &[Iovec { base: 0, len: 10 }];
    let write = Event { local_iov: Some(Iovecs::Pairs(RANGE)), ..write };
    for (level, address) in [("share", Some(0)), ("metadata", None)] {
        let redaction = Some(Redaction { level: level.into(), ..Redaction::default() });
        let derived_from = vec![Derivation { redaction, ..Derivation::default() }];
        let flows = flows_of(&Manifest { derived_from, ..manifest() }, &[write, read]);
        let Source::Call(call, _) = &flows[0].source else { panic!("{flows:?}") };
        assert_eq!(call.address(0), address, "{level}");
    }
}

/// A file may hold anything.
#[test]
fn memory_and_numbers_are_bounded() {
    let [write, read] = pair();
    let much = Event { bytes: Some(i64::MAX), ..write };
    let all = Event { bytes: Some(i64::MAX), ..read };
    let many: Vec<Event<'_>> = std::iter::repeat_n(much, 5).chain(std::iter::repeat_n(all, 4)).collect();
    assert!(!verdict(&manifest(), &many).is_empty());
    let mut pipes = vec![Event { bytes: Some(1), ..write }; 40_000];
    pipes.iter_mut().zip(0..).for_each(|(event, pipe)| event.pipe_out = Some(pipe));
    assert_eq!(verdict(&manifest(), &pipes).len(), 40_000);
    let mut survey = Survey::default();
    survey.manifest(&manifest());
    let mut writes = vec![Event { bytes: Some(1), ..write }; 200_000];
    writes.iter_mut().zip(0..).for_each(|(event, seq)| event.seq = seq);
    writes.iter().for_each(|event| survey.note(event));
    let mut tracker = Tracker::new(survey.plan());
    let mut bytes = 0;
    let mut emit = |flow: Flow| {
        bytes += flow.bytes;
        assert!(matches!(flow.sink, Sink::Unknown(Why::Limit)), "{flow:?}");
    };
    writes.iter().for_each(|event| tracker.note(event, &mut emit));
    assert!(tracker.kept <= 65_536 + 1);
    assert_eq!(tracker.finish(&mut emit), [true, false], "it says that a limit was reached");
    assert_eq!(bytes, 200_000);
}
