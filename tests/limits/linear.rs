//! Work grows with the input and no faster: of inputs of n, 2n and 4n rows, what a command allocates. Clocks say less on a busy
//! machine.

use vmtrace::schema::{Event, Manifest};

use super::Room;
use super::captures::{self, ledger, manifest, readv, write};
use super::counted::{self, Counts};

const ROWS: usize = 1_200;

/// Whether what more input costs is about twice as much where there is twice as much more.
fn is_linear(counts: &[Counts; 3], of: fn(&Counts) -> u64) -> bool {
    let [n, two, four] = counts.each_ref().map(of);
    let (first, second) = (two.saturating_sub(n), four.saturating_sub(two));
    // A fixed part is in all of them. Little growth is none.
    second as f64 <= 2.3 * first as f64 + 0.05 * n as f64
}

fn assert_linear(what: &str, commands: &[&str], mut input: impl FnMut(&Room, usize) -> String) {
    let room = Room::new();
    let inputs = [1, 2, 4].map(|times| {
        let name = input(&room, times);
        assert!(room.path(name.split(' ').next().unwrap()).exists());
        name
    });
    for command in commands {
        let counts = inputs.each_ref().map(|name| {
            let words = command.replace('%', name);
            let ran = counted::run(room.0.path(), &words.split(' ').collect::<Vec<_>>());
            assert_eq!(ran.status, Some(0), "{what}: {command}: {ran:?}");
            ran.counts
        });
        for (unit, of) in [("allocations", (|c| c.number) as fn(&Counts) -> u64), ("bytes", |c| c.bytes)] {
            assert!(is_linear(&counts, of), "{what}: {command}: {unit} of n, 2n, 4n: {counts:?}");
        }
    }
}

/// Commands that read a capture.
const READERS: &[&str] = &[
    "info %",
    "verify %",
    "replay %",
    "replay -T jsonl %",
    "summary %",
    "summary -T json %",
    "memory -p 42 %",
    "export -T strace %",
    "export -T ecs %",
    "export -T pcapng -o out.export --force %",
    "export -T perfetto -o out.export --force %",
    "slice -o out.slice --force --since 0 %",
    "merge -o out.merge --force % %",
    "redact -o out.redact --force %",
    "report -o out.html --force %",
    "bundle -o out.zip --force %",
];

fn written(room: &Room, times: usize, groups: &[Vec<Event<'_>>]) -> String {
    let events = groups.concat();
    let name = format!("t{times}.parquet");
    let groups: Vec<&[Event<'_>]> = groups.iter().map(Vec::as_slice).collect();
    write(&room.path(&name), &Manifest { ledger: ledger(&events), ..manifest() }, &groups);
    name
}

#[test]
fn in_rows() {
    assert_linear("rows", READERS, |room, times| {
        written(room, times, &[(0..(ROWS * times) as i64).map(readv).collect()])
    });
}

#[test]
fn in_row_groups() {
    assert_linear("row groups", READERS, |room, times| {
        // With less than 1,024 rows in all, room for one value of each is made in each group.
        let group = |n: usize| (0..300).map(|row| readv((n * 300 + row) as i64)).collect();
        written(room, times, &(0..4 * times).map(group).collect::<Vec<_>>())
    });
}

/// Processes that all differ, of different numbers or of one.
#[test]
fn in_processes() {
    let others = |room: &Room, times: usize, pid: fn(i32) -> i32| {
        let event = |n: i32| Event {
            pid: pid(n),
            tid: pid(n),
            start_ns: i64::from(n) * 1_000_000_000,
            target_pid: Some(if n == 1 { captures::PYTHON } else { pid(n) + 1 }),
            ..readv(i64::from(n))
        };
        written(room, times, &[(1..=(ROWS * times) as i32).map(event).collect()])
    };
    assert_linear("processes", READERS, |room, times| others(room, times, |n| 1_000 + 2 * n));
    assert_linear("lives of a process", READERS, |room, times| others(room, times, |_| 1_000));
}

/// Bytes that go through pipes, each of them fed by one process and read by another.
#[test]
fn in_flows() {
    let commands = ["flows %", "flows -T json %", "summary %", "replay %"];
    let through = |event: &'static str, pid, at: i64, pipe| Event {
        pipe_in: (event == "pipe_read").then_some(pipe),
        pipe_out: (event == "vmsplice").then_some(pipe),
        fd_in_kind: Some("pipe"),
        fd_out_kind: Some("pipe"),
        ret: Some(64),
        bytes: Some(64),
        ..captures::at(at, event, pid)
    };
    let input = |many: fn(i64) -> u64| {
        assert_linear("flows", &commands, |room, times| {
            let both = |n: i64| {
                let pipe = many(n);
                [through("vmsplice", 700, 10 * n, pipe), through("pipe_read", 701, 10 * n + 5, pipe)]
            };
            written(room, times, &[(0..(ROWS / 2 * times) as i64).flat_map(both).collect()])
        });
    };
    input(|_| 1);
    input(|n| n.unsigned_abs() + 1);
}

#[test]
fn in_captures() {
    let commands = ["info %", "verify %", "replay %", "summary %"];
    assert_linear("captures", &commands, |room, times| {
        let name = written(room, times, &[vec![readv(1)]]);
        vec![name; 16 * times].join(" ")
    });
}

#[test]
fn growth_that_is_not_linear_is_noticed() {
    let of =
        |number: fn(u64) -> u64| [100, 200, 400].map(|n| Counts { peak: 0, bytes: 0, number: number(n), resident: 0 });
    assert!(is_linear(&of(|n| 7 * n + 90_000), |c| c.number));
    assert!(is_linear(&of(|_| 90_000), |c| c.number));
    assert!(!is_linear(&of(|n| n * n), |c| c.number));
    assert!(!is_linear(&of(|n| 10 * n + n * n / 100 * n), |c| c.number));
}
