//! Bytes of simulated programs at random instants, and single events.

mod driver;
mod plan;

use self::driver::{BASE, Dice, Mode, PROGRAMS, Run, SIZE};
use super::*;
use crate::model::process::HostId;
use crate::schema::types::{Iovec, Iovecs};

const ALL: Range<u64> = 0..u64::MAX;

fn identity(pid: i32) -> Identity {
    let start_ns = i64::from(pid) * 1_000_000_000;
    Identity::caller(&Event { pid, start_ns, ..Event::default() })
}

/// The memory of a process at an instant, rebuilt as the command does it.
fn rebuilt(run: &Run, pid: i32, at: i64) -> Memory {
    let fork = run.forks.iter().find(|(child, ..)| *child == pid);
    let (mut memory, since) = match fork {
        Some((_, parent, forked)) => (rebuilt(run, *parent, *forked).forked(identity(pid), at), *forked),
        None => (Memory::new(identity(pid), at, ALL), i64::MIN),
    };
    let rows = run.rows.iter().map(driver::Row::event).filter(|event| event.mono_ns >= since);
    rows.for_each(|event| memory.note(&event).unwrap());
    memory
}

fn living(run: &Run, at: i64) -> Vec<i32> {
    let children = run.forks.iter().filter(|(.., forked)| *forked <= at).map(|(child, ..)| *child);
    PROGRAMS.into_iter().chain(children).collect()
}

/// Compares every byte of every memory at an instant with what happened. Returns how many bytes were known.
fn compare(run: &Run, at: i64, mode: Mode) -> usize {
    let mut known = 0;
    for pid in living(run, at) {
        let memory = rebuilt(run, pid, at);
        let actual = run.actual(pid, at);
        let mut claimed = HashMap::new();
        for claim in memory.claims(ALL).filter(Claim::is_known) {
            assert_eq!(claim.bytes.unwrap().len() as u64, claim.range.end - claim.range.start);
            for (address, value) in claim.range.clone().zip(claim.bytes.unwrap()) {
                claimed.insert(address, (claim.origin.seq, claim.way, *value));
                let (is, changed) = actual[&address];
                let is_fresh = !memory.is_stale(claim.origin) && changed < claim.origin.earliest_ns();
                let about = format!("{pid} at {at}, {address:#x}: {claim:?}");
                assert!(!is_fresh || *value == is, "it is {is}, not {value}: {about}");
                known += usize::from(is_fresh);
            }
        }
        if mode == Mode::Sequential {
            let (mut wanted, blind) = run.known(pid, at);
            for address in BASE..BASE + SIZE {
                let (wanted, claimed) = (wanted.remove(&address), claimed.remove(&address));
                assert_eq!(claimed, wanted, "{pid} at {at}, {address:#x}");
            }
            assert_eq!(memory.blind().map(|(until, _)| until), blind, "{pid} at {at}");
        }
    }
    known
}

/// Bytes that were known, at so many instants of a run.
fn instants(seed: u64, mode: Mode, count: usize) -> usize {
    let mut dice = Dice(seed);
    let run = driver::run(&mut dice, mode, 200);
    (0..count).map(|_| compare(&run, dice.below(run.end as u64 + 20) as i64, mode)).sum()
}

#[test]
fn every_byte_of_calls_in_turn_is_what_the_programs_say() {
    let known: usize = (0..50).map(|seed| instants(seed, Mode::Sequential, 10)).sum();
    assert!(known > 10_000, "{known}");
}

#[test]
fn no_byte_of_calls_that_overlap_is_claimed_wrongly() {
    let known: usize = (100..150).map(|seed| instants(seed, Mode::Overlapping, 10)).sum();
    assert!(known > 10_000, "{known}");
}

/// Where two bytes that follow one another stand, looked up anew after every row.
#[test]
fn a_search_finds_what_looking_at_all_of_it_finds() {
    let mut found = 0;
    for seed in 200..260 {
        let mut dice = Dice(seed);
        let run = driver::run(&mut dice, Mode::Overlapping, 200);
        let first = 1 + dice.below(248) as u8;
        let pattern = [first, first + 1];
        let mut memory = Memory::new(identity(10), run.end, ALL).with_search(&pattern);
        let mut wanted: Vec<(u64, i64, Option<i64>)> = Vec::new();
        for event in run.rows.iter().map(driver::Row::event) {
            memory.note(&event).unwrap();
            let bytes = memory.read(BASE..BASE + SIZE);
            let stands: Vec<u64> = (BASE..)
                .zip(bytes.windows(2))
                .filter(|(_, window)| window.iter().zip(pattern).all(|(byte, wanted)| *byte == Some(wanted)))
                .map(|(address, _)| address)
                .collect();
            let gone = wanted.iter_mut().filter(|(address, _, until)| until.is_none() && !stands.contains(address));
            gone.for_each(|(.., until)| *until = Some(event.mono_ns));
            let known: Vec<u64> = wanted.iter().filter(|(.., until)| until.is_none()).map(|hit| hit.0).collect();
            let new = stands.into_iter().filter(|address| !known.contains(address));
            wanted.extend(new.map(|address| (address, event.mono_ns, None)));
        }
        let hits = memory.search().unwrap().iter().map(|hit| (hit.address, hit.origin.mono_ns, hit.until_ns));
        assert_eq!(hits.collect::<Vec<_>>(), wanted, "{seed}");
        found += wanted.len();
    }
    assert!(found > 50, "{found}");
}

/// A capture of one memory, made of single events.
#[derive(Default)]
struct Scene {
    memory: Option<Memory>,
    seq: u64,
}

const TARGET: i32 = 42;

impl Scene {
    fn note(&mut self, mono_ns: i64, event: Event<'_>) {
        self.seq += 1;
        let tid = if event.tid == 0 { 7 } else { event.tid };
        let target = (event.pid == 0).then_some(TARGET);
        let pid = if event.pid == 0 { 7 } else { event.pid };
        let event =
            Event { seq: self.seq, mono_ns, pid, tid, start_ns: 1, target_pid: target.or(event.target_pid), ..event };
        let process = Identity { pid: TARGET, start: None, host: HostId::default() };
        self.memory.get_or_insert_with(|| Memory::new(process, 1_000, ALL)).note(&event).unwrap();
    }

    /// The bytes from 0x100 on as text, `·` where one is not known.
    fn text(&self, len: u64) -> String {
        let bytes = self.memory.as_ref().unwrap().image.read(0x100..0x100 + len);
        bytes.iter().map(|byte| byte.map_or('·', char::from)).collect()
    }
}

const AT_100: &[Iovec] = &[Iovec { base: 0x100, len: 4 }];
const ELSEWHERE: &[Iovec] = &[Iovec { base: 0x9000, len: 4 }];

fn read(payload: &'static [u8]) -> Event<'static> {
    Event {
        event: "process_vm_readv",
        direction: Some("in"),
        bytes: Some(4),
        local_iov: Some(Iovecs::Pairs(ELSEWHERE)),
        remote_iov: Some(Iovecs::Pairs(AT_100)),
        iov_verdict: Some("unverified"),
        payload: Some(payload),
        payload_status: Some("ok"),
        payload_side: Some("caller"),
        payload_at: Some("exit"),
        ..Event::default()
    }
}

fn write(payload: &'static [u8]) -> Event<'static> {
    Event { event: "process_vm_writev", direction: Some("out"), ..read(payload) }
}

/// What is known after one event, and whether it wrote to places that are not known.
fn after(event: Event<'_>) -> (String, bool) {
    let mut scene = Scene::default();
    scene.note(1, read(b"abcd"));
    scene.note(2, event);
    (scene.text(4), scene.memory.unwrap().blind().is_some())
}

fn known(text: &str) -> (String, bool) {
    (text.to_string(), false)
}

#[test]
fn what_was_not_captured_is_not_known() {
    assert_eq!(after(write(b"ABCD")), known("ABCD"));
    assert_eq!(after(write(b"AB")), known("AB··"));
    assert_eq!(after(Event { bytes: Some(3), ..write(b"AB") }), known("AB·d"));
    assert_eq!(after(read(b"AB")), known("ABcd"), "a read changes nothing");
    for status in ["off", "dropped", "none", "of_later"] {
        assert_eq!(after(Event { payload_status: Some(status), ..write(b"ABCD") }), known("····"), "{status}");
    }
    assert_eq!(after(Event { bytes: Some(0), ..write(b"") }), known("abcd"));
    assert_eq!(after(Event { bytes: Some(0), errno: Some("EPERM"), ..write(b"") }), known("abcd"));
    assert_eq!(
        after(Event { bytes: Some(0), errno: Some("EFAULT"), ..write(b"") }),
        known("····"),
        "some may have moved"
    );
    assert_eq!(after(Event { bytes: None, ..write(b"") }), known("····"), "the result is not known");
    assert_eq!(after(Event { payload: Some(b"ABCDEFGH"), ..write(b"") }), known("ABCD"), "more than moved");
}

#[test]
fn ranges_that_were_not_used_are_not_used() {
    let elsewhere = ("abcd".to_string(), true);
    for event in [
        Event { iov_verdict: Some("conflict"), ..write(b"ABCD") },
        Event { iov_verdict: Some("unreadable"), ..write(b"ABCD") },
        Event { iov_verdict: Some("of_later"), ..write(b"ABCD") },
        Event { toctou: Some(true), ..write(b"ABCD") },
        Event { remote_iov: None, ..write(b"ABCD") },
    ] {
        assert_eq!(after(event), elsewhere, "{event:?}");
        let read = Event { event: "process_vm_readv", direction: Some("in"), ..event };
        assert_eq!(after(read), known("abcd"), "{event:?}");
    }
    let kernel = Event { iov_verdict: Some("kernel"), toctou: Some(true), ..write(b"ABCD") };
    assert_eq!(after(kernel), known("ABCD"), "the kernel's own are those that were used");
    let short = Event { bytes: Some(9), ..write(b"ABCDEFGHI") };
    assert_eq!(after(short), ("ABCD".to_string(), true), "the rest went somewhere");
}

#[test]
fn a_payload_that_the_call_overwrote_is_not_what_moved() {
    const TWICE: &[Iovec] = &[Iovec { base: 0x9000, len: 2 }, Iovec { base: 0x9001, len: 2 }];
    let twice = Event { local_iov: Some(Iovecs::Pairs(TWICE)), ..read(b"ABCD") };
    assert_eq!(after(twice), known("abcd"));
    assert_eq!(after(Event { payload_at: Some("transfer"), ..twice }), known("ABCD"));
    assert_eq!(after(Event { event: "process_vm_writev", direction: Some("out"), ..twice }), known("ABCD"));
    // A process that reads its own memory into a place that overlaps it.
    const NEAR: &[Iovec] = &[Iovec { base: 0x102, len: 4 }];
    let own = Event { pid: TARGET, target_pid: Some(TARGET), local_iov: Some(Iovecs::Pairs(NEAR)), ..read(b"ABCD") };
    assert_eq!(after(own), known("ab··"));
    let apart = Event { local_iov: Some(Iovecs::Pairs(ELSEWHERE)), ..own };
    assert_eq!(after(apart), known("ABCD"));
}

#[test]
fn segments_with_a_fault_are_known_by_their_zeros() {
    const HALVES: &[Iovec] = &[Iovec { base: 0x9000, len: 2 }, Iovec { base: 0x9100, len: 2 }];
    let fault = Event { local_iov: Some(Iovecs::Pairs(HALVES)), payload_status: Some("fault"), ..write(b"\0\0\0D") };
    let (text, _) = after(fault);
    assert_eq!(text, "··\0D");
    assert_eq!(after(Event { payload_side: Some("kernel"), ..fault }), known("····"));
}

#[test]
fn words_of_ptrace_and_what_it_writes_to_its_caller() {
    const WORD: &[Iovec] = &[Iovec { base: 0x100, len: 8 }];
    const NONE: &[Iovec] = &[Iovec { base: 0x100, len: 0 }];
    let poke = Event {
        event: "ptrace",
        ptrace_request: Some("PTRACE_POKEDATA"),
        direction: Some("out"),
        bytes: Some(8),
        remote_iov: Some(Iovecs::Pairs(WORD)),
        payload: Some(b"ABCDEFGH"),
        payload_side: Some("register"),
        ..Event::default()
    };
    assert_eq!(after(poke), known("ABCD"));
    let user = Event { ptrace_request: Some("PTRACE_POKEUSER"), remote_iov: Some(Iovecs::Pairs(NONE)), ..poke };
    assert_eq!(after(user), known("abcd"));
    let own = |request| Event {
        event: "ptrace",
        pid: TARGET,
        ptrace_request: Some(request),
        data: 0x102,
        remote_iov: Some(Iovecs::Pairs(NONE)),
        ..Event::default()
    };
    assert_eq!(after(own("PTRACE_GETEVENTMSG")), known("ab··"));
    assert_eq!(after(Event { errno: Some("ESRCH"), ..own("PTRACE_GETEVENTMSG") }), known("abcd"));
    assert_eq!(after(own("PTRACE_CONT")), known("abcd"));
}

#[test]
fn advice_and_events_of_a_later_version() {
    let advice = |advice| Event {
        event: "process_madvise",
        advice: Some(advice),
        bytes: Some(4),
        remote_iov: Some(Iovecs::Pairs(AT_100)),
        ..Event::default()
    };
    assert_eq!(after(advice("MADV_COLD")), known("abcd"));
    assert_eq!(after(advice("MADV_DONTNEED")), known("····"));
    assert_eq!(after(Event { event: "of_later", ..write(b"ABCD") }), ("abcd".to_string(), true));
}

#[test]
fn pages_filled_through_a_userfaultfd() {
    let copy = Event { event: "uffd_copy", ..write(b"ABCD") };
    assert_eq!(after(copy), known("ABCD"));
    let part = Event { errno: Some("EAGAIN"), bytes: Some(2), payload: Some(b"AB"), ..copy };
    assert_eq!(after(part), known("ABcd"), "a call that stopped halfway");
    assert_eq!(after(Event { errno: Some("EEXIST"), bytes: Some(0), payload: None, ..copy }), known("abcd"));
    let zeros = Event { event: "uffd_zeropage", payload: None, local_iov: None, payload_status: Some("none"), ..copy };
    assert_eq!(after(zeros), known("····"));
    assert_eq!(after(Event { event: "uffd_poison", direction: None, ..zeros }), known("····"));
    // A process moves its own page: what it leaves behind is not known.
    let own = Event { event: "uffd_move", pid: TARGET, target_pid: Some(TARGET), ..copy };
    assert_eq!(after(own), known("ABCD"));
    let away = Event { local_iov: own.remote_iov, remote_iov: own.local_iov, ..own };
    assert_eq!(after(away), known("····"));
}

/// The doubt about the bytes after a read and a write by another thread.
fn order(read_ends: i64, write_took: Option<i64>) -> (String, Vec<&'static str>) {
    let mut scene = Scene::default();
    scene.note(read_ends, Event { dur_ns: Some(1), ..read(b"abcd") });
    scene.note(20, Event { dur_ns: write_took, tid: 8, ..write(b"abXY") });
    let memory = scene.memory.as_ref().unwrap();
    let doubts = memory.claims(0x100..0x104).map(|claim| match claim.doubt {
        Doubt::None => "none",
        Doubt::Unordered => "unordered",
        Doubt::Conflict(_) => "conflict",
    });
    let doubts = doubts.collect();
    (scene.text(4), doubts)
}

#[test]
fn what_overlaps_is_not_picked_from() {
    assert_eq!(order(10, Some(10)), ("abXY".into(), vec!["none"]));
    assert_eq!(order(10, Some(11)), ("ab··".into(), vec!["none", "conflict"]));
    assert_eq!(order(10, None), ("abXY".into(), vec!["none", "unordered"]));
    // A thread makes one call after another.
    let mut scene = Scene::default();
    scene.note(10, read(b"abcd"));
    scene.note(20, write(b"ABCD"));
    assert!(scene.memory.unwrap().claims(ALL).all(|claim| matches!(claim.doubt, Doubt::None)));
}

#[test]
fn a_call_under_way_makes_what_it_writes_unknown() {
    let mut scene = Scene::default();
    scene.note(10, read(b"abcd"));
    scene.note(1_500, Event { dur_ns: Some(400), ..write(b"ABCD") });
    assert_eq!(scene.text(4), "abcd", "it began later");
    scene.note(1_500, Event { dur_ns: Some(500), tid: 8, ..read(b"ABCD") });
    assert_eq!(scene.text(4), "abcd", "a read changes nothing");
    scene.note(1_500, Event { dur_ns: Some(500), tid: 9, ..write(b"ABCD") });
    assert_eq!(scene.text(4), "····");
}

#[test]
fn what_is_older_than_a_loss_can_be_stale() {
    let lost = |event| Event { event: "lost", pid: 1, lost_event: Some(event), dur_ns: Some(10), ..Event::default() };
    let stale = |lost: Event<'_>, at| {
        let mut scene = Scene::default();
        scene.note(10, read(b"abcd"));
        scene.note(at, lost);
        scene.note(40, Event { remote_iov: Some(Iovecs::Pairs(ELSEWHERE)), ..read(b"efgh") });
        let memory = scene.memory.as_ref().unwrap();
        memory.claims(ALL).map(|claim| memory.is_stale(claim.origin)).collect::<Vec<_>>()
    };
    assert_eq!(stale(lost("process_vm_writev"), 30), [true, false]);
    assert_eq!(stale(lost("tee"), 30), [false, false], "it reaches no memory");
    assert_eq!(stale(Event { lost_event: None, ..lost("") }, 30), [true, false]);
    assert_eq!(stale(lost("process_vm_writev"), 1_005), [true, true]);
    assert_eq!(stale(lost("process_vm_writev"), 1_011), [false, false], "it was later");
}

#[test]
fn memory_is_bounded() {
    let bounded = |span| {
        let mut memory = Memory::new(Identity { pid: TARGET, start: None, host: HostId::default() }, i64::MAX, span);
        memory.image = Image::within(1_000);
        memory
    };
    let note = |memory: &mut Memory, n: u64, event: Event<'_>| {
        let place = [Iovec { base: 0x1000 + n * 16, len: 4 }];
        let remote_iov = Some(Iovecs::Pairs(&place));
        memory.note(&Event { seq: n, pid: 7, tid: 7, target_pid: Some(TARGET), mono_ns: n as i64, remote_iov, ..event })
    };
    let mut memory = bounded(ALL);
    assert!((0..5_000).all(|n| note(&mut memory, n, write(b"")).is_ok()), "writes that were not captured take no room");
    // What is not known any more, since there was no room for it, still counts.
    let overlapping = Event { dur_ns: Some(5_000), ..write(b"ABCD") };
    assert!(note(&mut memory, 5_000, overlapping).is_ok() && !memory.claims(ALL).any(|claim| claim.is_known()));
    let kept = (5_001..10_000).take_while(|n| note(&mut memory, *n, write(b"ABCD")).is_ok()).count();
    assert_eq!(kept, 999);
    let mut memory = bounded(0x1000..0x2000);
    assert!((0..5_000).all(|n| note(&mut memory, n, write(b"ABCD")).is_ok()), "what is not asked for takes none");
}
