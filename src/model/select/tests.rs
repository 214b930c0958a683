use super::*;
use crate::schema::types::{Iovec, Iovecs};

fn select() -> Select {
    Select::default()
}

fn decide(select: &Select, event: &Event<'_>) -> Decision {
    let start = Clocks { monotonic_ns: 1_000, realtime_ns: 5_000, ..Clocks::default() };
    Filter::new(select).unwrap().on(&start).decide(event)
}

const CALLER: Decision = Decision::Show(View::Caller);
const TARGET: Decision = Decision::Show(View::Target);

fn readv() -> Event<'static> {
    Event {
        event: "process_vm_readv",
        pid: 10,
        comm: "py-spy",
        target_pid: Some(20),
        target_comm: Some("python3"),
        mono_ns: 2_000,
        ts_ns: 6_000,
        ..Event::default()
    }
}

#[test]
fn a_pid_is_caller_or_target() {
    let event = readv();
    assert_eq!(decide(&select(), &event), CALLER);
    assert_eq!(decide(&Select { pids: vec![10], ..select() }, &event), CALLER);
    assert_eq!(decide(&Select { pids: vec![20], ..select() }, &event), TARGET);
    assert_eq!(decide(&Select { pids: vec![10, 20], ..select() }, &event), CALLER);
    assert_eq!(decide(&Select { pids: vec![30], ..select() }, &event), Decision::Skip);
}

#[test]
fn a_peer_is_the_other_side() {
    let event = readv();
    let peer = |peers| Select { peers, ..select() };
    assert_eq!(decide(&peer(vec![20]), &event), CALLER);
    assert_eq!(decide(&peer(vec![10]), &event), TARGET);
    assert_eq!(decide(&Select { pids: vec![10], ..peer(vec![20]) }, &event), CALLER);
    assert_eq!(decide(&Select { pids: vec![10], ..peer(vec![10]) }, &event), Decision::Skip);
    assert_eq!(decide(&peer(vec![20]), &Event { target_pid: None, ..event }), Decision::Skip);
}

#[test]
fn names_are_globs() {
    let comm = |glob: &str| Select { comm: Some(glob.into()), ..select() };
    assert_eq!(decide(&comm("py-*"), &readv()), CALLER);
    assert_eq!(decide(&comm("python?"), &readv()), TARGET);
    assert_eq!(decide(&comm("*thon"), &readv()), Decision::Skip);
    assert_eq!(decide(&comm("k*1"), &Event { comm: "kworker/0:1", ..readv() }), CALLER);
    assert!(Filter::new(&comm("[a")).unwrap_err().to_string().starts_with("--comm: \"[a\" is not a glob"));
}

#[test]
fn sets_merge_and_failures_have_an_errno() {
    let events = |lists: &[&str]| Select { events: lists.iter().map(|l| l.to_string()).collect(), ..select() };
    assert_eq!(decide(&events(&["tee", "@vm"]), &readv()), CALLER);
    assert_eq!(decide(&events(&["tee"]), &readv()), Decision::Skip);
    assert_eq!(decide(&Select { failed: true, ..select() }, &readv()), Decision::Skip);
    assert_eq!(decide(&Select { failed: true, ..select() }, &Event { errno: Some("EPERM"), ..readv() }), CALLER);
    assert!(Filter::new(&events(&["nothing"])).unwrap_err().to_string().starts_with("-e: unknown event"));
}

#[test]
fn a_condition_holds_beside_the_other_options() {
    let condition = |text: &str| Select { condition: Some(Expr::parse(text).unwrap()), ..select() };
    assert_eq!(decide(&condition("target_comm ~ python*"), &readv()), CALLER);
    assert_eq!(decide(&Select { pids: vec![20], ..condition("pid = 10") }, &readv()), TARGET);
    assert_eq!(decide(&Select { pids: vec![30], ..condition("pid = 10") }, &readv()), Decision::Skip);
    assert_eq!(decide(&condition("bytes > 1"), &readv()), Decision::Skip, "null");
}

#[test]
fn a_pipe_is_named_by_either_end() {
    let pipes = Select { pipes: vec![7, 9], ..select() };
    assert_eq!(decide(&pipes, &Event { pipe_in: Some(7), ..readv() }), CALLER);
    assert_eq!(decide(&pipes, &Event { pipe_in: Some(8), pipe_out: Some(9), ..readv() }), CALLER);
    assert_eq!(decide(&pipes, &Event { pipe_in: Some(8), ..readv() }), Decision::Skip);
    assert_eq!(decide(&pipes, &readv()), Decision::Skip);
}

#[test]
fn memory_is_that_of_the_selected_process() {
    const LOCAL: &[Iovec] = &[Iovec { base: 0x1000, len: 16 }];
    const REMOTE: &[Iovec] = &[Iovec { base: 0x2000, len: 16 }];
    let event = Event { local_iov: Some(Iovecs::Pairs(LOCAL)), remote_iov: Some(Iovecs::Pairs(REMOTE)), ..readv() };
    let at = |text: &str, pids: &[i32]| {
        decide(&Select { address: Some(Span::parse(text).unwrap()), pids: pids.to_vec(), ..select() }, &event)
    };
    assert_eq!([at("0x100f", &[]), at("0x2000", &[])], [CALLER; 2]);
    assert_eq!([at("0x1010", &[]), at("0xfff", &[])], [Decision::Skip; 2]);
    assert_eq!([at("0x1000", &[10]), at("0x2000", &[20])], [CALLER, TARGET]);
    assert_eq!([at("0x1000", &[20]), at("0x2000", &[10])], [Decision::Skip; 2], "of the other");
    assert_eq!([at("0x1000", &[10, 20]), at("0x2000", &[10, 20])], [CALLER, TARGET]);
    let itself = Event { target_pid: Some(10), ..event };
    let select = Select { address: Some(Span::parse("0x2000").unwrap()), pids: vec![10], ..select() };
    assert_eq!(decide(&select, &itself), CALLER, "both ranges are its own");
}

#[test]
fn what_decides_is_read() {
    let columns = |select: &Select| Filter::new(select).unwrap().on(&Clocks::default()).columns();
    assert_eq!(columns(&select()).len(), KEYS.len());
    let condition = Some(Expr::parse("not (bytes > 1 or pid = 2) and payload is null").unwrap());
    let select = Select { condition, pipes: vec![1], address: Span::parse("1").ok(), ..select() };
    let all = columns(&select);
    for column in ["bytes", "pid", "payload", "pipe_in", "pipe_out", "local_iov", "remote_iov"] {
        assert_eq!(all.iter().filter(|name| **name == column).count(), 1, "{column}");
    }
}

#[test]
fn windows_include_their_ends() {
    let window = |since: &str, until: &str| Select { since: Some(since.into()), until: Some(until.into()), ..select() };
    assert_eq!(decide(&window("1us", "1us"), &readv()), CALLER);
    assert_eq!(decide(&window("1001ns", "2s"), &readv()), Decision::Skip);
    assert_eq!(decide(&window("@0.000006", "@0.000006"), &readv()), CALLER);
    assert_eq!(decide(&window("@0", "@0.0000059"), &readv()), Decision::Skip);
    assert_eq!(decide(&window("-1s", "1us"), &readv()), CALLER);
}

#[test]
fn gaps_stay_visible() {
    let lost = Event { event: "lost", mono_ns: 2_000, ..Event::default() };
    assert_eq!(decide(&select(), &lost), CALLER);
    assert_eq!(decide(&Select { pids: vec![10], ..select() }, &lost), Decision::Gap);
    assert_eq!(decide(&Select { events: vec!["lost".into()], ..select() }, &lost), CALLER);
    let condition = |text: &str| Select { condition: Some(Expr::parse(text).unwrap()), ..select() };
    assert_eq!(decide(&condition("event = lost"), &lost), CALLER);
    assert_eq!(decide(&condition("bytes > 1"), &lost), Decision::Gap);
    assert_eq!(decide(&Select { pipes: vec![1], ..select() }, &lost), Decision::Gap);
    assert_eq!(decide(&Select { address: Span::parse("1").ok(), ..select() }, &lost), Decision::Gap);
    let later = Select { since: Some("1s".into()), ..select() };
    assert_eq!(decide(&later, &lost), Decision::Skip);
    let filter = Filter::new(&Select { pids: vec![10], ..select() }).unwrap();
    assert_eq!(filter.on(&Clocks::default()).scan().pids, [10, 0]);
}

#[test]
fn times_outside_the_capture_are_explained() {
    let start = Clocks { monotonic_ns: 1_000, realtime_ns: 5_000, ..Clocks::default() };
    let outside = |since: Option<&str>, until: Option<&str>| {
        let select = Select { since: since.map(Into::into), until: until.map(Into::into), ..select() };
        Filter::new(&select).unwrap().outside(&start, (2_000, 3_000))
    };
    let after = "--since is after the last event, which is at 0.000002000 (1970-01-01T00:00:00.000007000Z)";
    assert_eq!(outside(Some("2001ns"), None).as_deref(), Some(after));
    assert_eq!(outside(Some("@0.000007001"), None).as_deref(), Some(after));
    let before = "--until is before the first event, which is at 0.000001000 (1970-01-01T00:00:00.000006000Z)";
    assert_eq!(outside(None, Some("999ns")).as_deref(), Some(before));
    assert_eq!(outside(None, Some("@0.000005999")).as_deref(), Some(before));
    for (since, until) in
        [(Some("2us"), Some("1us")), (Some("@0.000007"), None), (None, Some("@0.000006")), (None, None)]
    {
        assert_eq!(outside(since, until), None, "{since:?} {until:?}");
    }
}
