//! `vmtrace memory`: what is known of a process's memory, by which event, and what happened to it.

use serde_json::Value;
use vmtrace::schema::manifest::{LedgerRow, Segment};
use vmtrace::schema::types::{Iovec, Iovecs};
use vmtrace::schema::{Event, Manifest};

use super::captures::*;
use super::{command, vmtrace};

const AT: &[Iovec] = &[Iovec { base: 0x7f12_0040_0000, len: 8 }];
const ELSEWHERE: &[Iovec] = &[Iovec { base: 0x7f12_0040_0100, len: 8 }];
const OWN: &[Iovec] = &[Iovec { base: 0x5581_aa00_1000, len: 4 }, Iovec { base: 0x5581_aa00_2000, len: 4 }];
const ADDRESS: &str = "0x7f1200400000+8";

/// A read of eight bytes of python3.
fn read(us: i64, payload: &'static [u8]) -> Event<'static> {
    Event {
        bytes: Some(8),
        ret: Some(8),
        remote_iov: Some(Iovecs::Pairs(AT)),
        local_iov: Some(Iovecs::Pairs(OWN)),
        payload: Some(payload),
        payload_len: 8,
        payload_total: 8,
        payload_status: Some("ok"),
        ..readv(us)
    }
}

/// A write of eight bytes.
fn write(us: i64, payload: &'static [u8]) -> Event<'static> {
    Event { event: "process_vm_writev", direction: Some("out"), ..read(us, payload) }
}

fn edit() -> Vec<Event<'static>> {
    let snapshot = Event { uid: 1000, ..at(0, "process_snapshot", PYTHON) };
    let exit = Event { exit_code: Some(0), ..at(9_000, "process_exit", PYTHON) };
    vec![snapshot, read(2_000, b"password"), write(3_000, b"PASSWORD"), exit]
}

/// The lines that a run prints, all of it on stdout.
fn lines(path: &str, args: &[&str]) -> Vec<String> {
    let ran = vmtrace(&[&["memory", "-p", "42", path], args].concat());
    assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{args:?}");
    ran.out.lines().map(str::to_string).collect()
}

/// The sentence of a run that finds nothing.
fn nothing(path: &str, args: &[&str]) -> String {
    let ran = vmtrace(&[&["memory", path], args].concat());
    assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{args:?}: {}", ran.err);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    ran.err.trim_end().trim_start_matches("vmtrace: ").to_string()
}

fn json(path: &str, args: &[&str]) -> Value {
    let ran = vmtrace(&[&["memory", "-T", "json", path], args].concat());
    assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{args:?}");
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn bytes_are_shown_with_the_event_that_shows_them() {
    let made = make(&edit());
    let caveat = "Addresses are unverified: they, and the bytes, were read when the call returned.";
    let wanted = [
        "python3[42] at 0.009000000: 8 bytes known in 1 range",
        "",
        "  0x7f1200400000  50 41 53 53 57 4f 52 44                           |PASSWORD|",
        "0x7f1200400000+8  written  6.0ms ago  2 process_vm_writev by py-spy[4211]",
        caveat,
    ];
    assert_eq!(lines(made.path(), &[]), wanted);
    let before = [
        "python3[42] at 0.002500000: 8 of 16 bytes known",
        "  0x7f12003ffffc  ·· ·· ·· ·· 70 61 73 73  77 6f 72 64 ·· ·· ·· ··  |····password····|",
        "0x7f1200400000+8  seen  500.0µs ago  1 process_vm_readv by py-spy[4211]",
        caveat,
    ];
    assert_eq!(lines(made.path(), &["--at", "0.0025", "0x7f12003ffffc+16"]), before);
    assert_eq!(lines(made.path(), &["--at", "2023-11-14T22:13:20.0025Z", "0x7f12003ffffc+16"]), before);
}

/// What was in these bytes before the injection, and who changed them?
#[test]
fn a_history_has_the_bytes_before_and_after() {
    let made = make(&edit());
    let wanted = [
        "python3[42] 0x7f1200400000+64 until 0.009000000: 2 events, addresses unverified",
        "  0.002000000  seen     0x7f1200400000+8  1 process_vm_readv by py-spy[4211]: \"password\"",
        "  0.003000000  written  0x7f1200400000+8  2 process_vm_writev by py-spy[4211]: \"password\" → \"PASSWORD\"",
    ];
    assert_eq!(lines(made.path(), &["--history", "0x7f1200400000"]), wanted);
    let facts = json(made.path(), &["-p", "42", "--history", ADDRESS]);
    let second = &facts["history"][1];
    assert_eq!((&second["before"], &second["after"]), (&"70617373776f7264".into(), &"50415353574f5244".into()));
    assert_eq!((&second["by"]["seq"], &second["by"]["comm"]), (&2.into(), &"py-spy".into()));
    let part = json(made.path(), &["-p", "42", "--history", "0x7f1200400006+2"]);
    assert_eq!(part["history"][0]["after"], "7264");
}

/// The same of 64 bytes that were really edited, in five lines.
#[test]
fn who_changed_the_bytes_of_a_sample_is_said_in_five_lines() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/mem-editor/mem-editor.parquet");
    let ran = vmtrace(&["memory", "-p", "16547", sample, "--history", "0x7ff915281000+64"]);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines.len() <= 5, "{}", ran.out);
    for n in 0..2 {
        let by = ["write", "writev"][n];
        let (before, after) = (format!("\"line {n}: to edit by "), format!(" → \"LINE {n}: TO EDIT BY "));
        let is_said = |line: &&str| line.contains(&format!("{by} by editor[16539]: {before}")) && line.contains(&after);
        assert!(lines.iter().any(is_said), "{}", ran.out);
    }
}

/// The kernel writes what a caller reads into the caller's memory, over its ranges in turn.
#[test]
fn the_callers_memory_is_known_too() {
    let made = make(&edit());
    let facts = json(made.path(), &["-p", "4211"]);
    let runs: Vec<_> = facts["ranges"].as_array().unwrap().iter().map(|range| &range["runs"][0]).collect();
    let of = |name: &str| runs.iter().map(|run| run[name].as_str().unwrap().to_string()).collect::<Vec<_>>();
    assert_eq!(of("address"), ["0x5581aa001000", "0x5581aa002000"]);
    assert_eq!(of("bytes"), ["50415353", "574f5244"]);
    assert_eq!(of("state"), ["seen", "seen"], "the write took them from there");
    let before = vmtrace(&["memory", "-p", "4211", "--at", "0.002", made.path()]).out;
    assert!(before.contains("written  0ns ago  1 process_vm_readv by itself (python3[42])"), "{before}");
}

#[test]
fn what_was_not_captured_is_not_shown_as_zeros() {
    let cut = Event { payload_status: Some("truncated"), ..write(3_000, b"PASS") };
    let made = make(&[read(2_000, b"password"), cut]);
    let out = lines(made.path(), &[ADDRESS]);
    assert_eq!(out[1], "  0x7f1200400000  50 41 53 53 ·· ·· ·· ··                           |PASS····|");
    assert!(out[3].starts_with("0x7f1200400004+4  not kept  ") && out[0].ends_with("4 of 8 bytes known"), "{out:#?}");
    let none = Event { payload: None, payload_status: Some("off"), ..write(3_000, b"") };
    let made = make(&[read(2_000, b"password"), none]);
    let wanted = "nothing is known of 0x7f1200400000+8 in process 42 at 2.410000000 (2023-11-14T22:13:22.410000000Z)";
    assert_eq!(nothing(made.path(), &["-p", "42", ADDRESS]), wanted);
    let other = Event { remote_iov: Some(Iovecs::Pairs(ELSEWHERE)), ..write(4_000, b"PASSWORD") };
    let made = make(&[read(2_000, b"password"), none, other]);
    let near = format!("{wanted}; the nearest that is known is 0x7f1200400100, 8 bytes");
    assert_eq!(nothing(made.path(), &["-p", "42", ADDRESS]), near);
    let history = lines(made.path(), &["--history", ADDRESS]);
    assert!(history[2].ends_with(": \"password\" → not kept"), "{history:#?}");
}

/// Where only some ranges are the kernel's own, that is said, and JSON says of which events.
#[test]
fn unverified_addresses_are_said() {
    let kernel = Event { iov_verdict: Some("kernel"), ..write(3_000, b"PASSWORD") };
    let made = make(&[read(2_000, b"password"), kernel]);
    let caveat = "Addresses of 1 of 2 events are unverified: -T json says of which.";
    assert_eq!(lines(made.path(), &[]).last().unwrap(), caveat);
    assert!(lines(made.path(), &["--history", ADDRESS])[0].ends_with(": 2 events, some addresses unverified"));
    let facts = json(made.path(), &["-p", "42", "--history", ADDRESS]);
    let verified = [0, 1].map(|n| facts["history"][n]["by"]["verified"].as_bool().unwrap());
    assert_eq!(verified, [false, true]);
    let made = make(&[kernel]);
    assert_eq!(lines(made.path(), &[]).len(), 4, "nothing is to be said");
}

#[test]
fn losses_and_conflicts_are_said() {
    let made = make(&[read(2_000, b"password"), lost(3_000), write(4_000, b"PASSWORD")]);
    let out = lines(made.path(), &["--at", "0.0035", ADDRESS]);
    assert!(out[2].ends_with("py-spy[4211], can be stale"), "{out:#?}");
    assert_eq!(out[3], "Events were lost until 0.003000000: bytes that are older can be stale.");
    assert!(!lines(made.path(), &[ADDRESS])[2].contains("stale"));
    let other = Event { tid: 4213, dur_ns: Some(2_000_000), ..write(3_000, b"passWORD") };
    let made = make(&[read(2_000, b"password"), other]);
    let out = lines(made.path(), &[ADDRESS]);
    assert_eq!(out[1], "  0x7f1200400000  70 61 73 73 ?? ?? ?? ??                           |pass····|");
    assert!(out[3].contains("  conflict  ") && out[3].ends_with(", with 0 process_vm_readv"), "{out:#?}");
    let wild = Event { iov_verdict: Some("conflict"), ..write(3_000, b"PASSWORD") };
    let made = make(&[read(2_000, b"password"), wild]);
    let out = lines(made.path(), &[ADDRESS]);
    assert!(out[1].ends_with("|password|") && out[2].ends_with(", can be stale"), "{out:#?}");
    assert!(out[3].starts_with("A call wrote to addresses that are not known until 0.003"), "{out:#?}");
}

#[test]
fn a_fork_copies_what_is_known_and_an_exec_begins_anew() {
    let child = |event| Event { start_ns: 400_000_000, comm: "child", ..event };
    let fork = child(Event { parent_pid: Some(PYTHON), ..at(3_000, "process_fork", 77) });
    let exec = child(at(5_000, "process_exec", 77));
    let made = make(&[read(2_000, b"password"), fork, write(4_000, b"PASSWORD"), exec]);
    let of_child = |at| vmtrace(&["memory", "-p", "77", "--at", at, made.path(), ADDRESS]);
    let copy = of_child("0.0045");
    assert!(copy.out.contains("|password|") && copy.out.starts_with("child[77] at "), "{}{}", copy.out, copy.err);
    assert_eq!(of_child("0.005").status, 1);
    assert!(lines(made.path(), &[ADDRESS])[1].ends_with("|PASSWORD|"));
    let wanted = "--at: process 77 is first seen at 0.003000000 (2023-11-14T22:13:20.003000000Z)";
    assert_eq!(nothing(made.path(), &["-p", "77", "--at", "0.001"]), wanted);
}

/// A pid can have belonged to several processes.
#[test]
fn a_reused_pid_has_a_memory_of_its_own() {
    let later = |event| Event { target_start_ns: Some(900_000_000_000), target_comm: Some("later"), ..event };
    let mut events = edit();
    events.push(later(read(10_000, b"other!!!")));
    let made = make(&events);
    let out = lines(made.path(), &[]);
    assert!(
        out[0].starts_with("later[42] at 2.410000000: 8 bytes known") && out[2].ends_with("|other!!!|"),
        "{out:#?}"
    );
    let chooses = "2 processes had pid 42; this one is seen from 0.010000000: --at chooses.";
    assert_eq!(out.last().unwrap(), chooses);
    let wanted = "--at: process 42 had ended by then, at 0.009000000 (2023-11-14T22:13:20.009000000Z)";
    assert_eq!(nothing(made.path(), &["-p", "42", "--at", "0.0095"]), wanted);
}

#[test]
fn two_instants_are_compared() {
    let made = make(&edit());
    let wanted = [
        "python3[42] from 0.002500000 to 0.004000000: bytes changed 8, new 0, unknown again 0",
        "0x7f1200400000+8  changed  2 process_vm_writev by py-spy[4211]: \"password\" → \"PASSWORD\"",
    ];
    let out = lines(made.path(), &["--diff", "0.0025", "0.004"]);
    assert_eq!(out[..2], wanted);
    let facts = json(made.path(), &["-p", "42", "--diff", "0.001", "0.0025", "0x7f1200400002+3"]);
    let difference = &facts["differences"][0];
    assert_eq!((&difference["change"], &difference["before"]), (&"new".into(), &Value::Null));
    assert_eq!((&difference["after"], &difference["address"]), (&"737377".into(), &"0x7f1200400002".into()));
    assert!(lines(made.path(), &["--diff", "0.004", "0.005"])[0].ends_with("bytes changed 0, new 0, unknown again 0"));
    let cut = Event { payload_status: Some("truncated"), ..write(3_000, b"pasS") };
    let exec = Event { comm: "python3", ..at(4_000, "process_exec", PYTHON) };
    let made = make(&[read(2_000, b"password"), cut, exec]);
    let wanted = [
        "0x7f1200400003+1  changed  1 process_vm_writev by py-spy[4211]: \"s\" → \"S\"",
        "0x7f1200400004+4  unknown  1 process_vm_writev by py-spy[4211]: \"word\" → not kept",
    ];
    assert_eq!(lines(made.path(), &["--diff", "0.0025", "0.0035"])[1..3], wanted);
    let ended = lines(made.path(), &["--diff", "0.0025", "0.005"]);
    assert_eq!(ended[1], "0x7f1200400000+8  unknown  another program: \"password\" → not kept");
    let wanted =
        "nothing is known of the memory of process 42 at T1, nor at 0.001500000 (2023-11-14T22:13:20.001500000Z)";
    let snapshot = make(&edit());
    assert_eq!(nothing(snapshot.path(), &["-p", "42", "--diff", "0.001", "0.0015"]), wanted);
    let wanted = "--diff is after the recording, which ends at 2.410000000 (2023-11-14T22:13:22.410000000Z)";
    assert_eq!(nothing(made.path(), &["-p", "42", "--diff", "0.001", "5"]), wanted);
}

#[test]
fn bytes_are_found_with_the_times_at_which_they_stood() {
    let child = |event| Event { start_ns: 400_000_000, comm: "child", ..event };
    let fork = child(Event { parent_pid: Some(PYTHON), ..at(2_500, "process_fork", 77) });
    let exec = child(at(5_000, "process_exec", 77));
    let made = make(&[read(2_000, b"password"), fork, write(3_000, b"PASSWORD"), exec]);
    let found = |pid: &str, bytes: &str| {
        let ran = vmtrace(&["memory", "-p", pid, made.path(), "--search", bytes]);
        assert_eq!((ran.status, ran.err.as_str()), (0, ""));
        ran.out.lines().map(str::to_string).collect::<Vec<_>>()
    };
    let old = found("42", "word");
    assert_eq!(old[0], "python3[42] until 2.410000000: found 1 time");
    assert_eq!(old[1], "  0.002000000 to   0.003000000  0x7f1200400004  0 process_vm_readv by py-spy[4211]");
    let new = found("42", "0x574f5244");
    assert_eq!(new[1], "  0.003000000 to       the end  0x7f1200400004  2 process_vm_writev by py-spy[4211]");
    let copied = found("77", "word");
    assert_eq!(copied[1], "  0.002000000 to   0.005000000  0x7f1200400004  0 process_vm_readv by py-spy[4211]");
    let facts = json(made.path(), &["-p", "42", "--search", "WORD"]);
    assert_eq!((&facts["hits"][0]["from_ns"], &facts["hits"][0]["until_ns"]), (&3_000_000.into(), &Value::Null));
    let nowhere = "--search: these bytes are nowhere in what is known of the memory of process 42 until 2.410000000 \
                   (2023-11-14T22:13:22.410000000Z)";
    assert_eq!(nothing(made.path(), &["-p", "42", "--search", "passWORD"]), nowhere);
}

#[test]
fn bytes_are_written_to_a_file_with_what_is_known_of_them_beside_it() {
    let made = make(&edit());
    let out = made.dir.path().join("raw");
    let beside = made.dir.path().join("raw.json");
    let write = |more: &[&str]| {
        let args = ["memory", "-p", "42", made.path(), "0x7f12003ffffe+12", "--raw", out.to_str().unwrap()];
        vmtrace(&[&args, more].concat())
    };
    let ran = write(&[]);
    let wanted = format!("vmtrace: wrote {}: 8 of 12 bytes known, as {} says\n", out.display(), beside.display());
    assert_eq!((ran.status, ran.out.as_str(), ran.err), (0, "", wanted));
    assert_eq!(std::fs::read(&out).unwrap(), b"\0\0PASSWORD\0\0");
    let facts: Value = serde_json::from_slice(&std::fs::read(&beside).unwrap()).unwrap();
    let range = &facts["ranges"][0];
    assert_eq!((&range["known"], &range["runs"][0]["address"]), (&8.into(), &"0x7f1200400000".into()));
    // Neither of the two is replaced, nor written without the other.
    for path in [&out, &beside] {
        std::fs::write(path, "mine").unwrap();
        let ran = write(&[]);
        assert!(
            ran.status == 2 && ran.err.contains(" exists: choose another -o, or replace it with --force"),
            "{}",
            ran.err
        );
        assert_eq!(std::fs::read(path).unwrap(), b"mine");
        std::fs::remove_file(path).unwrap();
    }
    std::fs::write(&beside, "mine").unwrap();
    assert_eq!(write(&[]).status, 2);
    assert!(!out.exists());
    assert_eq!(write(&["--force"]).status, 0);
    assert_ne!(std::fs::read(&beside).unwrap(), b"mine");
    let ran = vmtrace(&["memory", "-p", "42", made.path(), "-o", out.to_str().unwrap()]);
    assert!(ran.status == 2 && ran.err.contains("-o needs a range behind the files: A+LEN"), "{}", ran.err);
}

#[test]
fn what_does_not_exist_is_answered_with_what_comes_nearest() {
    let made = make(&edit());
    let say = |args: &[&str]| nothing(made.path(), args);
    assert_eq!(say(&["-p", "40"]), "-p: no event has process 40; the nearest is 42");
    let after = "--at is after the recording, which ends at 2.410000000 (2023-11-14T22:13:22.410000000Z)";
    assert_eq!(say(&["-p", "42", "--at", "3s"]), after);
    let before = "--at is before the recording, which begins at 0.000000000 (2023-11-14T22:13:20.000000000Z)";
    assert_eq!(say(&["-p", "42", "--at", "-1"]), before);
    let nearest =
        "no event touches 0x7f1200400010+1 in the selected processes; the nearest range is 0x7f1200400000, 8 bytes";
    assert_eq!(say(&["-p", "42", "0x7f1200400010+1"]), nearest);
    assert_eq!(say(&["-p", "42", "--history", "0x7f1200400010+1"]), nearest);
    let early = "nothing is known of the memory of process 42 at 0.001000000 (2023-11-14T22:13:20.001000000Z)";
    assert_eq!(say(&["-p", "42", "--at", "0.001"]), early);
    for (args, part) in [
        (&["-p", "42", made.path(), "0x10+0"][..], "a range of 0 bytes"),
        (&["-p", "42", made.path(), "0xfffffffffffffff0"], "ends above the highest address"),
        (&["-p", "42", made.path(), "--history", "heap"], "--history: \"heap\" is not a range of memory"),
        (&["-p", "42", made.path(), "0x10", "--history", "0x10"], "leave the other one out"),
        (&["-p", "42", made.path(), "--at", "noon"], "--at: \"noon\" is not a time"),
        (&["-p", "42", "missing"], "cannot open missing"),
        (&["-p", "42", made.path(), made.path()], "are of different recordings: name the files of one"),
        (&["-p", "0", made.path()], "'--pid <PID>'"),
    ] {
        let ran = vmtrace(&[&["memory"], args].concat());
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{args:?}");
        assert!(ran.err.contains(part), "{args:?}: {}", ran.err);
    }
}

#[test]
fn files_of_one_recording_are_read_together() {
    let dir = tempfile::tempdir().unwrap();
    let file = |index: u64, events: &[Event<'_>]| {
        let begin =
            vmtrace::schema::manifest::Clocks { monotonic_ns: MONO + index as i64 * 1_000_000, ..manifest().start };
        let segment = Some(Segment { index, begin, ..Segment::default() });
        let path = dir.path().join(format!("t-{index}.parquet"));
        super::captures::write(&path, &Manifest { segment, ledger: ledger(events), ..manifest() }, &[events]);
        path.to_str().unwrap().to_string()
    };
    let names = [file(3, &[write(3_500, b"PASS\0\0\0\0")]), file(1, &[read(1_500, b"password")])];
    let out = lines(&names[0], &[&names[1], ADDRESS, "--at", "0.0032"]);
    assert!(out[1].ends_with("|password|") && out[2].ends_with(", can be stale"), "{out:#?}");
    assert_eq!(out[3], "A file of the recording is missing until 0.003000000: bytes that are older can be stale.");
    assert!(lines(&names[0], &[&names[1], ADDRESS])[1].ends_with("|PASS....|"));
    let ran = vmtrace(&["memory", "-p", "42", &names[0], &names[0]]);
    assert!(ran.status == 2 && ran.err.contains("are the same part of the recording"), "{}", ran.err);
}

#[test]
fn events_that_were_lost_nobody_knows_when_are_said() {
    let events = edit();
    let lost = LedgerRow { event: "ptrace".into(), seen: 5, lost_undecodable: 5, ..LedgerRow::default() };
    let made = make_with(&Manifest { ledger: [ledger(&events), vec![lost]].concat(), ..manifest() }, &[&events]);
    let wanted = "5 events are missing, and when they happened is not known: all bytes can be stale.".to_string();
    assert!(lines(made.path(), &[]).contains(&wanted));
}

/// Large ranges are not dumped in a list, and only so many ranges are listed.
#[test]
fn lists_are_bounded() {
    static FAR: [[Iovec; 1]; 12] = {
        let mut far = [[Iovec { base: 0, len: 8 }]; 12];
        let mut index = 0;
        while index < far.len() {
            far[index][0].base = 0x1000 * (index as u64 + 1);
            index += 1;
        }
        far
    };
    const LARGE: &[Iovec] = &[Iovec { base: 0x1000, len: 300 }];
    static PAYLOAD: [u8; 300] = [7; 300];
    let mut events: Vec<_> = (0..)
        .zip(&FAR)
        .map(|(us, far)| Event { remote_iov: Some(Iovecs::Pairs(far)), ..read(us, b"password") })
        .collect();
    let large = Event {
        bytes: Some(300),
        local_iov: None,
        remote_iov: Some(Iovecs::Pairs(LARGE)),
        payload: Some(&PAYLOAD),
        ..read(50, b"")
    };
    events.push(large);
    let made = make(&events);
    let out = lines(made.path(), &[]);
    assert!(out[0].ends_with(": 388 bytes known in 12 ranges"), "{}", out[0]);
    assert!(out[2].starts_with("0x1000+300  seen") && out[3].is_empty(), "{out:#?}");
    assert!(out.contains(&"… and 2 more of 12 ranges: --top lists more.".to_string()), "{out:#?}");
    assert!(lines(made.path(), &["--top", "12"]).iter().any(|line| line.starts_with("0xc000+8")));
    let facts = json(made.path(), &["-p", "42"]);
    assert_eq!(facts["ranges"].as_array().unwrap().len(), 12);
    let sparse = lines(made.path(), &["0xb000+4104"]);
    let dump: Vec<&str> = sparse[1..5].iter().map(|line| line.split("  ").nth(2).unwrap_or_default()).collect();
    assert!(sparse[2].contains("·· 4,080 bytes") && sparse[3].contains("70 61 73 73"), "{dump:?}\n{sparse:#?}");
}

#[test]
fn captured_bytes_cannot_act_on_a_terminal_of_80_columns() {
    let evil = |event| Event { comm: "\x1b[31m\u{202e}evil", target_comm: Some("\x1b]0;x\x07"), ..event };
    let made = make(&[evil(read(2_000, b"\x1b[2J\r\n\x9b1")), evil(write(3_000, b"\x1b[2J\x07\x08\x9b1"))]);
    for args in [&[][..], &[ADDRESS], &["--history", ADDRESS], &["-T", "json"]] {
        let args = [&["memory", "-p", "42", made.path()], args].concat();
        let out = vmtrace(&args).out;
        assert!(
            !out.is_empty() && !out.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'),
            "{args:?}: {out:?}"
        );
    }
    let made = make(&edit());
    for args in [&[][..], &[ADDRESS], &["--history", ADDRESS]] {
        let out = super::summary::on_a_terminal(80, &[&["memory", "-p", "42", made.path()], args].concat());
        assert!(out.contains("PASSWORD"), "{out}");
        assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    }
    assert!(command(&["memory", "--help"]).output().unwrap().status.success());
}
