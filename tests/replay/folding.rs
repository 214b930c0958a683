//! What need not be read line by line: runs of alike events, and processes to which no event refers.

use vmtrace::schema::Event;

use super::captures::*;
use super::vmtrace;

/// The lines of `vmtrace replay` with `args` below the header and the headings, without their time.
fn lines(events: &[Event<'_>], args: &[&str]) -> Vec<String> {
    let made = make(events);
    let ran = vmtrace(&[&["replay", "--width", "120", made.path()], args].concat());
    assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{args:?}");
    let below = ran.out.lines().filter(|line| line.starts_with("  "));
    below
        .map(|line| line.trim_start_matches(|c: char| c == ' ' || c == '.' || c.is_ascii_digit()).to_string())
        .collect()
}

fn run(count: i64) -> Vec<Event<'static>> {
    (0..count).map(|index| readv(1000 + index * 1000)).collect()
}

#[test]
fn a_run_is_counted_and_summed() {
    let shown = lines(&run(643), &["--fold"]);
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(shown[0].starts_with("←        64 process_vm_readv  python3[42] "), "{shown:?}");
    assert_eq!(shown[1], "… 642 more like it, 40.1 KiB, 642.0ms");
    assert_eq!(lines(&run(643), &["--no-fold"]).len(), 643);
    assert_eq!(lines(&run(643), &["--fold", "--no-fold"]).len(), 643, "the last one counts");
    assert_eq!(lines(&run(643), &[]).len(), 643, "what is piped is not folded");
}

#[test]
fn one_line_is_not_folded_into_another() {
    let shown = lines(&run(2), &["--fold"]);
    assert_eq!(shown, lines(&run(2), &["--no-fold"]));
}

#[test]
fn what_must_be_seen_stands_between() {
    let mut events = run(9);
    events[3] = Event { errno: Some("EFAULT"), bytes: Some(0), ..events[3] };
    events[6] = lost(7_000);
    let shown = lines(&events, &["--fold"]);
    let starts: Vec<&str> = shown.iter().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(starts, ["←", "…", "←", "←", "←", "!", "←", "←"], "{shown:?}");
    assert!(shown[1].starts_with("… 2 more like it, 128 B, "), "{shown:?}");
}

#[test]
fn what_is_like_no_other_is_not_folded() {
    let mut events = run(15);
    events[3] = Event { remote_iov: None, riovcnt: Some(5), ..events[3] };
    events[7] = Event { bytes_requested: None, ..events[7] };
    events[11] = Event { payload: None, payload_status: Some("dropped"), ..events[11] };
    let shown = lines(&events, &["--fold"]);
    assert_eq!(shown.iter().filter(|line| line.starts_with("… 2 more like it")).count(), 4, "{shown:?}");
    assert!(shown.iter().any(|line| line.contains("[5 ranges unread]")), "{shown:?}");
    let request = |us, ret| {
        on_python(Event { ptrace_request: Some("PTRACE_GETEVENTMSG"), ret: Some(ret), ..at(us, "ptrace", SPY) })
    };
    let results: Vec<_> = [0, 5, 6, 7, 7, 7].into_iter().zip(1..).map(|(ret, us)| request(us, ret)).collect();
    let shown = lines(&results, &["--fold"]);
    let starts: Vec<String> = shown.iter().map(|line| line.chars().filter(|c| *c != ' ').take(4).collect()).collect();
    assert_eq!(starts, ["·okp", "·=5p", "·=6p", "·=7p", "…2mo"], "{shown:?}");
}

#[test]
fn the_longest_of_a_run_is_named() {
    let mut events = run(5);
    events.iter_mut().zip([1, 2, 30_000_000_000, 4, 5]).for_each(|(event, ns)| event.dur_ns = Some(ns));
    assert_eq!(lines(&events, &["--fold"])[1], "… 4 more like it, 256 B, 4.0ms, longest took 30.000s");
}

#[test]
fn another_caller_ends_a_run_and_gets_its_heading() {
    let mut events = run(8);
    events[4] = at(5_000, "ptrace", BASH);
    let shown = lines(&events, &["--fold"]);
    assert_eq!(shown.iter().filter(|line| line.starts_with("… ")).count(), 2, "{shown:?}");
}

#[test]
fn runs_end_with_the_capture_and_the_process() {
    let (a, b) = (make(&run(5)), make(&run(4)));
    let out = vmtrace(&["replay", "--fold", a.path(), b.path()]).out;
    let (first, second) = out.split_at(out.rfind("==> ").unwrap());
    assert!(first.contains("… 4 more like it, 256 B, 4.0ms\n"), "{out}");
    assert!(second.ends_with("… 3 more like it, 192 B, 3.0ms\n"), "{out}");
    let by_process = vmtrace(&["replay", "--fold", "--by", "process", a.path()]).out;
    assert_eq!(by_process.matches("… 4 more like it").count(), 2, "{by_process}");
    let counted = vmtrace(&["replay", "--fold", "-c", "4", a.path()]).out;
    assert!(counted.ends_with("… 3 more like it, 192 B, 3.0ms\n"), "{counted}");
}

#[test]
fn times_go_on_behind_a_run() {
    let mut events = run(5);
    events.push(at(5_500, "ptrace", SPY));
    let made = make(&events);
    let out = vmtrace(&["replay", "--fold", "--time", "delta", made.path()]).out;
    assert!(out.lines().last().unwrap().starts_with(" +0.000500000  "), "since the last of the run: {out}");
}

#[test]
fn a_hexdump_shows_every_event() {
    let made = make(&run(5));
    let out = vmtrace(&["replay", "-x", "--fold", made.path()]).out;
    assert_eq!(out.matches("process_vm_readv").count(), 5, "{out}");
}

#[test]
fn processes_that_only_ran_are_left_out() {
    let made = make(&everything());
    let replay = |args: &[&str]| vmtrace(&[&["replay", made.path()], args].concat()).out;
    let all = replay(&[]);
    assert_eq!(all.matches("process_snapshot").count(), 2, "what is piped is whole");
    assert_eq!(replay(&["--snapshots"]), all);
    let out = replay(&["--no-snapshots"]);
    assert!(!out.contains("  process_snapshot  bash"), "{out}");
    let (before, after) = out.split_once("process_snapshot  python3 app.py").unwrap();
    assert!(before.ends_with("started by bash[4200]\n  0.000001000  ·               "), "below its heading: {out}");
    assert!(
        !before.contains("process_vm_readv") && after.contains("process_vm_readv"),
        "before what refers to it: {out}"
    );
    let left_out = "\n# 1 process without an event is left out: --snapshots shows all\n";
    assert!(out.ends_with(left_out), "{out}");
    let counted = |args: &[&str]| replay(args).lines().filter(|line| line.starts_with("  ")).count();
    assert_eq!(counted(&["--no-snapshots"]), everything().len() - 1);
    assert_eq!(counted(&["--no-snapshots", "-c", "1"]), 1, "what is left out does not count");
    assert_eq!(counted(&["--no-snapshots", "--by", "process"]), counted(&["--by", "process"]) - 1);
}

#[test]
fn what_was_held_back_counts_when_it_is_printed() {
    let snapshots: Vec<_> = (0..20).map(|pid| at(pid.into(), "process_snapshot", 1000 + pid)).collect();
    let of = |events: &[Event<'_>], args: &[&str]| {
        let made = make(events);
        let out = vmtrace(&[&["replay", "--no-snapshots", made.path()], args].concat()).out;
        let shown = out.lines().filter(|line| line.starts_with("  "));
        shown.map(|line| if line.contains("process_snapshot") { 's' } else { 'e' }).collect::<String>()
    };
    for count in ["1", "2", "20", "21"] {
        let wanted = "s".repeat(count.parse::<usize>().unwrap().min(20));
        assert_eq!(of(&snapshots, &["-c", count]), wanted);
    }
    let with_others = [&snapshots[..], &run(3)].concat();
    assert_eq!(of(&with_others, &["-c", "2", "-e", "process_snapshot"]), "ss");
    let both = [at(1, "process_snapshot", SPY), at(2, "process_snapshot", PYTHON), readv(3), readv(4)];
    for (count, wanted) in [("1", "s"), ("2", "ss"), ("3", "sse"), ("4", "ssee"), ("9", "ssee")] {
        assert_eq!(of(&both, &["-c", count]), wanted);
    }
}

#[test]
fn those_who_select_them_see_them() {
    let made = make(&everything());
    for args in [&["-e", "process_snapshot"][..], &["-p", "4200"], &["--where", "event = process_snapshot"]] {
        let ran = vmtrace(&[&["replay", "--no-snapshots", made.path()], args].concat());
        let all = vmtrace(&[&["replay", made.path()], args].concat());
        let snapshots = |out: &str| out.lines().filter(|line| line.contains("process_snapshot")).count();
        assert_eq!((ran.status, snapshots(&ran.out)), (0, snapshots(&all.out)), "{args:?}: {}", ran.out);
        assert!(!ran.out.contains("--snapshots shows all"), "{args:?}: {}", ran.out);
    }
}
