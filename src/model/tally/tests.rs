//! The fold on made-up events.

use super::*;
use crate::schema::columns::COLUMNS as ALL;

fn call(event: &'static str, pid: i32, target: Option<i32>) -> Event<'static> {
    Event {
        event,
        pid,
        comm: "spy",
        target_pid: target,
        target_comm: target.map(|_| "victim"),
        iov_verdict: Some("unverified"),
        ..Event::default()
    }
}

fn read(mono_ns: i64, bytes: i64) -> Event<'static> {
    Event {
        mono_ns,
        ts_ns: 1_000 + mono_ns,
        direction: Some("in"),
        bytes: Some(bytes),
        fd_in_path: Some("/proc/2/mem"),
        payload_len: 4,
        ..call("pread", 1, Some(2))
    }
}

fn tally(events: &[Event<'_>]) -> Tally {
    let mut tally = Tally::default();
    events.iter().for_each(|event| tally.note(event));
    tally
}

#[test]
fn a_pair_has_its_calls_bytes_errors_and_span() {
    let failed = Event { errno: Some("EIO"), bytes: Some(0), ..read(30, 0) };
    let written = Event { direction: Some("out"), fd_in_path: None, fd_out_path: Some("/proc/2/mem"), ..read(25, 5) };
    let other = Event { event: "pwrite", ..written };
    let tally = tally(&[read(10, 100), read(20, 50), other, failed]);
    let [pair] = tally.pairs().collect::<Vec<_>>()[..] else { panic!("one pair") };
    assert_eq!((pair.calls, pair.failures, pair.transfers), (4, 1, 3));
    assert_eq!((pair.bytes_in, pair.bytes_out), (150, 5));
    let span = pair.span.unwrap();
    assert_eq!((span.first_ts_ns, span.last_ts_ns, span.length_ns()), (1_010, 1_030, 20));
    let [reads, writes] = &pair.uses[..] else { panic!("two uses") };
    assert_eq!((reads.calls, reads.transfers, reads.bytes, reads.moved.unwrap().length_ns()), (3, 2, 150, 10));
    assert_eq!(reads.errors.iter().collect::<Vec<_>>(), [("EIO", 1)]);
    assert_eq!((reads.path.as_deref(), reads.has_more_paths), (Some("/proc/2/mem"), false));
    assert_eq!((writes.event.as_deref(), writes.bytes), (Some("pwrite"), 5));
    assert_eq!(tally.kept(), Kept { kept: 12, moved: 155 });
    assert_eq!((tally.trust().unverified, tally.trust().calls(), tally.rows()), (4, 4, 4));
    let paths = [read(1, 1), Event { fd_in_path: Some("/proc/2/task/3/mem"), ..read(2, 1) }, read(3, 1)];
    assert!(self::tally(&paths).pairs().all(|pair| pair.uses.iter().all(|u| u.has_more_paths)));
}

/// A process that reuses the pid, or becomes another program, is not the one that was.
#[test]
fn names_are_those_of_the_last_row_and_keys_part_processes() {
    let keyed = |key, comm, exe| Event { process_key: Some(key), comm, exe, uid: 7, ..read(1, 1) };
    let tally = tally(&[
        keyed("a", "zsh", Some("/bin/zsh")),
        keyed("b", "other", None),
        keyed("a", "cat", Some("/bin/cat")),
        keyed("a", "cat2", None),
    ]);
    let callers: Vec<&Who> = tally.pairs().map(|pair| &pair.caller).collect();
    assert_eq!(callers.len(), 2);
    assert_eq!((callers[0].comm.as_deref(), callers[0].exe.as_deref()), (Some("cat2"), Some("/bin/cat")));
    assert_eq!((callers[1].comm.as_deref(), callers[1].uid), (Some("other"), Some(7)));
    let target = tally.pairs().next().unwrap().target.as_ref().unwrap();
    assert_eq!((target.pid, target.comm.as_deref()), (2, Some("victim")));
}

#[test]
fn a_command_line_is_that_of_the_callers_last_call() {
    let exec = |argv| Event { argv: Some(argv), ..call("process_exec", 1, None) };
    let tally = tally(&[exec("sh"), exec("dumper 2"), read(1, 1), exec("true"), call("ptrace", 1, None)]);
    let command = |pair: &Pair| pair.caller.command.as_deref().map(str::to_string);
    assert_eq!(tally.pairs().map(command).collect::<Vec<_>>(), [Some("dumper 2".to_string())]);
    assert_eq!(tally.alone().map(command).collect::<Vec<_>>(), [Some("true".to_string())]);
}

#[test]
fn who_was_denied_is_who_it_was_then() {
    let denied = |uid, comm| Event { errno: Some("EPERM"), uid, comm, bytes: None, ..read(1, 1) };
    let exec = |argv| Event { argv: Some(argv), ..call("process_exec", 1, None) };
    let failed = Event { errno: Some("EIO"), uid: 1, comm: "early", ..read(1, 1) };
    let root = Event { uid: 0, comm: "sshd", ..read(2, 1) };
    let made = [failed, exec("rank 0"), denied(1000, "rank0"), exec("sshd -D"), root];
    let of = |events: &[Event<'_>]| {
        let tally = tally(events);
        let pair = tally.pairs().next().unwrap().clone();
        (pair.caller, pair.uses[0].denied.clone().unwrap())
    };
    let (caller, then) = of(&made);
    assert_eq!((then.comm.as_deref(), then.command.as_deref()), (Some("rank0"), Some("rank 0")));
    assert_eq!((then.uid, then.has_more_uids), (1000, false));
    assert_eq!((caller.comm.as_deref(), caller.earlier_comm.as_deref()), (Some("sshd"), Some("early")));
    let (_, then) = of(&[denied(1000, "a"), denied(0, "a")]);
    assert_eq!((then.uid, then.has_more_uids), (1000, true));
    assert_eq!(tally(&[failed, root]).pairs().next().unwrap().uses[0].denied, None);
}

#[test]
fn no_more_is_kept_than_moved() {
    let over = Event { payload_len: 256, ..read(1, 10) };
    let tally = tally(&[over, read(2, 6), Event { bytes: Some(0), ..over }]);
    assert_eq!((tally.kept(), tally.overfull()), (Kept { kept: 14, moved: 16 }, 1));
}

/// An ordinary recording of a build: thousands of processes with long command lines, before anybody is denied anything.
#[test]
fn a_recording_of_many_processes_is_counted_as_any_other() {
    let mut tally = Tally::default();
    let filler = "x".repeat(2_000);
    for pid in 0..20_000 {
        let (argv, key) = (format!("cc {pid} {filler}"), format!("{pid:0200}"));
        let life = Event { pid, process_key: Some(&key), argv: Some(&argv), ..call("process_fork", pid, None) };
        tally.note(&life);
        tally.note(&Event { event: "process_exec", ..life });
    }
    let denied = Event { errno: Some("EPERM"), bytes: None, process_key: Some("k"), ..read(1, 1) };
    let tee = Event { pipe_in: Some(1), pipe_out: Some(2), bytes: Some(8), ..call("tee", 1, None) };
    tally.note(&denied);
    tally.note(&Event { payload_len: 8, ..tee });
    tally.note(&call("process_exit", 1, None));
    assert_eq!(tally.beyond(), Beyond::default());
    assert_eq!(tally.trust().calls(), 2, "lives are no calls");
    let [pair] = tally.pairs().collect::<Vec<_>>()[..] else { panic!("one pair") };
    assert_eq!(pair.uses[0].errors.iter().collect::<Vec<_>>(), [("EPERM", 1)]);
    assert!(tally.events().all(|of| of.event.is_some()));
    assert_eq!(tally.kept(), Kept { kept: 8, moved: 8 });
    let at: Vec<_> = tally.pipes().flat_map(|pipe| &pipe.processes).map(|at| at.comm.as_deref()).collect();
    assert_eq!(at, [Some("spy"); 2]);
}

#[test]
fn lives_and_losses_are_no_calls() {
    let events = [call("process_fork", 1, None), call("lost", 0, None), call("process_exit", 1, None)];
    let tally = tally(&events);
    assert_eq!((tally.pairs().count(), tally.alone().count(), tally.rows()), (0, 0, 2));
    assert_eq!(tally.trust(), Trust::default());
}

#[test]
fn conflicts_are_counted_once() {
    let toctou = Event { toctou: Some(true), iov_verdict: Some("kernel"), ..read(1, 1) };
    let both = Event { iov_verdict: Some("conflict"), ..toctou };
    let tally = tally(&[toctou, both, read(2, 1), Event { iov_verdict: Some("of_later"), ..read(3, 1) }]);
    assert_eq!((tally.conflicts(), tally.pairs().next().unwrap().conflicts), (2, 2));
    assert_eq!(tally.trust(), Trust { kernel: 1, conflict: 1, unverified: 1, unknown: 1, unreadable: 0 });
}

/// As in the view `edges`: what splice, tee and sendfile move counts as received from whom fed the pipe.
#[test]
fn between_files_bytes_come_from_who_fed_the_pipe() {
    let splice = Event { bytes: Some(64), pipe_in: Some(9), direction: None, ..call("splice", 1, Some(2)) };
    let advice = Event { bytes: Some(4096), ..call("process_madvise", 1, Some(2)) };
    let tally = tally(&[splice, advice]);
    let pair = tally.pairs().next().unwrap();
    assert_eq!((pair.bytes_in, pair.bytes_out, pair.transfers, pair.calls), (64, 0, 1, 2));
    assert_eq!(tally.kept().moved, 64);
    assert_eq!(tally.pipes().map(|pipe| pipe.taken.bytes).collect::<Vec<_>>(), [64]);
    let alone = self::tally(&[Event { target_pid: None, ..splice }]);
    let callers: Vec<_> = alone.alone().map(|of| (of.bytes_in, of.transfers, of.uses[0].bytes)).collect();
    assert_eq!(callers, [(0, 1, 64)], "nothing came to the caller");
}

#[test]
fn pairs_beyond_the_limit_are_counted_together() {
    let mut tally = Tally::default();
    let of = |pid: usize| Event { pid: pid as i32, errno: Some("EIO"), ..read(1, 3) };
    for pid in (0..LIMIT + 2).chain([0, LIMIT]) {
        tally.note(&of(pid));
    }
    assert_eq!(tally.pairs().count(), LIMIT);
    assert_eq!(tally.beyond(), Beyond { calls: 3, failures: 3, bytes_in: 9, bytes_out: 0 });
    assert_eq!(tally.pairs().map(|pair| pair.calls).sum::<u64>(), LIMIT as u64 + 1);
    let long = "k".repeat(1 << 20);
    tally.note(&Event { process_key: Some(&long), ..of(1) });
    assert_eq!((tally.beyond().calls, tally.pairs().count()), (4, LIMIT), "no such key is kept");
}

#[test]
fn extremes_do_not_overflow() {
    let most = Event {
        mono_ns: i64::MAX,
        dur_ns: Some(i64::MAX),
        bytes: Some(i64::MAX),
        pipe_in: Some(1),
        payload_len: u32::MAX,
        ..read(0, 0)
    };
    let least = Event { mono_ns: i64::MIN, ts_ns: i64::MIN, bytes: Some(i64::MIN), dur_ns: Some(i64::MIN), ..most };
    let tally = tally(&[most, most, most, least]);
    let pair = tally.pairs().next().unwrap();
    assert_eq!((pair.bytes_in, pair.span.unwrap().length_ns()), (u64::MAX, i64::MAX));
    let of = tally.events().next().unwrap();
    assert_eq!((of.bytes, of.latency.total_ns), (u64::MAX, u64::MAX));
}

#[test]
fn every_column_that_is_counted_is_one() {
    let known = |name: &str| ALL.iter().any(|column| name.split('.').next() == Some(column.name));
    assert!(COLUMNS.iter().all(|name| known(name)));
}

/// Rows as random calls of a few processes, of which each value is one of few.
fn random_rows(count: usize, variety: u64) -> Vec<Event<'static>> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut dice = |sides: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % sides
    };
    const EVENTS: [&str; 9] = [
        "pread",
        "pwrite",
        "process_vm_readv",
        "splice",
        "tee",
        "process_madvise",
        "process_exec",
        "process_exit",
        "lost",
    ];
    const TEXTS: [Option<&str>; 4] = [None, Some("a"), Some("b"), Some("c")];
    let mut rows = Vec::new();
    for row in 0..count {
        // Mostly what the row before was.
        let mut event = rows.last().copied().filter(|_| dice(3) > 0).unwrap_or_else(|| Event {
            event: EVENTS[[dice(6), dice(9)][usize::from(dice(20) == 0)] as usize],
            pid: dice(variety) as i32,
            comm: TEXTS[1 + dice(3) as usize].unwrap(),
            exe: TEXTS[dice(4) as usize],
            uid: dice(2) as u32,
            process_key: TEXTS[dice(2) as usize],
            target_pid: (dice(3) > 0).then_some(dice(variety) as i32),
            target_comm: TEXTS[dice(4) as usize],
            target_exe: TEXTS[dice(4) as usize],
            target_uid: [None, Some(0), Some(1)][dice(3) as usize],
            direction: [None, Some("in"), Some("out")][dice(3) as usize],
            errno: [None, None, Some("EIO"), Some("EPERM")][dice(4) as usize],
            iov_verdict: [None, Some("kernel"), Some("conflict")][dice(3) as usize],
            toctou: [None, Some(true)][dice(2) as usize],
            fd_in_path: TEXTS[dice(4) as usize],
            pipe_in: [None, Some(1), Some(2)][dice(3) as usize],
            pipe_out: [None, Some(3)][dice(2) as usize],
            payload_status: [None, Some("ok"), Some("redacted")][dice(3) as usize],
            argv: TEXTS[dice(4) as usize],
            ..Event::default()
        });
        event.mono_ns = row as i64;
        event.ts_ns = 1_000 + row as i64;
        event.bytes = [None, Some(-1), Some(0), Some(dice(900) as i64)][dice(4) as usize];
        event.payload_len = dice(500) as u32;
        event.dur_ns = [None, Some(-1), Some(dice(900) as i64)][dice(3) as usize];
        rows.push(event);
    }
    rows
}

/// Everything that is counted, in words.
fn counts(tally: &Tally) -> String {
    let pairs: Vec<&Pair> = tally.pairs().chain(tally.alone()).collect();
    let (events, pipes) = (tally.events().collect::<Vec<_>>(), tally.pipes().collect::<Vec<_>>());
    let of_bytes = (tally.kept(), tally.removed(), tally.overfull(), tally.conflicts(), tally.trust());
    format!("{pairs:#?} {:?} {events:#?} {pipes:#?} {of_bytes:?} {:?} {}", tally.beyond(), tally.span(), tally.rows())
}

#[test]
fn rows_that_are_alike_count_as_one_by_one() {
    for (variety, count, batch) in [(2, 3_000, 7), (4, 3_000, 500), (40, 4_000, 2_000)] {
        let rows = random_rows(count, variety);
        let (mut one_by_one, mut at_once) = (Tally::default(), Tally::default());
        let is_counted = |row: &Event<'_>| row.mono_ns % 5 != 0 || row.mono_ns < 500;
        for rows in rows.chunks(batch) {
            let mut builder = crate::schema::BatchBuilder::default();
            rows.iter().for_each(|row| builder.push(row));
            let batch = crate::schema::EventBatch::new(&builder.take().unwrap()).unwrap();
            batch.each(|row| match is_counted(row) {
                true => one_by_one.note(row),
                false => one_by_one.learn(row, &mut Runs::default()),
            });
            let mut runs = Runs::default();
            batch.each(|row| match is_counted(row) {
                true => at_once.collect(row, &mut runs),
                false => at_once.learn(row, &mut runs),
            });
            at_once.settle(&mut runs);
        }
        assert!(one_by_one.pairs().count() > 3 && one_by_one.pipes().count() == 3 && one_by_one.removed() > 0);
        similar(&counts(&one_by_one), &counts(&at_once));
    }
}

fn similar(a: &str, b: &str) {
    let differs = a.lines().zip(b.lines()).position(|(a, b)| a != b);
    let near =
        |text: &str| differs.map(|at| text.lines().skip(at.saturating_sub(20)).take(24).collect::<Vec<_>>().join("\n"));
    assert!(a == b, "one by one:\n{}\nat once:\n{}", near(a).unwrap_or_default(), near(b).unwrap_or_default());
}

/// A column that is read for the counts parts rows, is a number, or is of events that are in no run.
#[test]
fn no_column_is_forgotten_where_rows_are_compared() {
    let numbers = ["ts_ns", "mono_ns", "dur_ns", "bytes", "payload_len"];
    let of_lives = ["parent_pid", "parent_key", "argv"];
    let source = include_str!("runs.rs");
    let compared = source.split_once("fn are_alike").unwrap().1;
    for column in COLUMNS.iter().filter(|column| !numbers.contains(column) && !of_lives.contains(column)) {
        // Of a column with parts one can be read.
        let column = column.split('.').next().unwrap_or_default();
        assert!(compared.contains(&format!("a.{column}")), "{column} is not compared");
    }
}
