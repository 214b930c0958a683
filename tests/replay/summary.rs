//! `vmtrace summary`: sentences, tables, JSON and CSV.

use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::ptr;

use serde_json::Value;
use vmtrace::schema::manifest::{LedgerRow, Segment};
use vmtrace::schema::{Event, Manifest};

use super::captures::*;
use super::{command, vmtrace};

/// The sentences about a capture.
fn sentences(args: &[&str], path: &str) -> Vec<String> {
    let ran = vmtrace(&[&["summary", "--brief", path], args].concat());
    assert_eq!(ran.err, "", "{args:?}");
    ran.out.lines().map(str::to_string).collect()
}

fn json(args: &[&str]) -> Value {
    let ran = vmtrace(&[&["summary", "-T", "json"], args].concat());
    assert_eq!(ran.err, "", "{args:?}");
    serde_json::from_str(&ran.out).unwrap()
}

/// A caller has its command line from an event that is not selected: of another process, or before the time that is.
#[test]
fn command_lines_are_known_whatever_is_selected() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/runner-secrets/runner-secrets.parquet");
    let all = sentences(&[], sample);
    let read = all.iter().find(|sentence| sentence.contains(" read 5.2 MiB ")).unwrap();
    assert!(read.starts_with("python3[13261] (dump.py 13256) read "), "{read}");
    for selection in [&["-p", "13256"][..], &["--peer", "13256"], &["-e", "@mem"], &["--since", "0.4"]] {
        let found = sentences(selection, sample);
        assert!(found.contains(read), "{selection:?}: {found:?}");
    }
}

#[test]
fn the_worst_news_comes_first() {
    let made = make(&everything());
    let wanted = [
        "1,234 events were LOST: 1,234 process_vm_readv (ring full), the known gaps between -0.247000000 s and \
         0.003000000 s.",
        "The arguments of 1 call of py-spy[4211] on python3[42] changed during the call, or contradict what the kernel \
         did.",
        "py-spy[4211] (dump --pid 42) of uid 0 tried process_vm_readv on python3[42] and was denied (EPERM).",
        "py-spy[4211] (dump --pid 42) read 4,168 B of python3[42] in 3 reads over 2.2ms through process_vm_readv and \
         /proc/42/mem.",
        "py-spy[4211] (dump --pid 42) wrote 72 B into python3[42] in 2 writes over 1.7ms through process_vm_writev and \
         ptrace.",
        "worker[900] moved 8,192 B between files in 2 calls over 100.0µs through splice and sendfile.",
        "worker[900] duplicated 4,096 B of pipes in 1 call through tee.",
        "worker[900] put 4,096 B into pipes in 1 call through vmsplice.",
        "py-spy[4211] (dump --pid 42) made 1 ptrace request on python3[42].",
        "py-spy[4211] (dump --pid 42) tried process_vm_readv and failed (ESRCH).",
        "Kept of the bytes that moved: 0.6 % (snaplen 256). Arguments of 4 of 12 calls are unverified and of 7 of 12 calls \
         are of unknown origin.",
    ];
    assert_eq!(sentences(&[], made.path()), wanted);
    let top = sentences(&["--top", "1"], made.path());
    assert!(top.contains(&"… and 6 more sentences like these: --top lists more.".to_string()), "{top:#?}");
}

/// Every call is in a sentence, whether it moved anything or not.
#[test]
fn calls_that_moved_nothing_are_said() {
    let nothing = |us| Event { bytes: Some(0), ret: Some(0), payload_len: 0, ..readv(us) };
    let fails = |us| Event { errno: Some("EIO"), bytes: None, ..nothing(us) };
    let mem = |us| Event { event: "pread", fd_in_path: Some("/proc/42/mem"), ..nothing(us) };
    let tee = on_python(Event { bytes: Some(93), pipe_in: Some(1), ..at(7, "tee", 900) });
    let said = |events: &[Event<'_>]| {
        let mut said = sentences(&[], make(events).path());
        said.pop();
        said
    };
    assert_eq!(
        said(&[nothing(1), nothing(2), fails(3), tee]),
        [
            "worker[900] duplicated 93 B of pipes that python3[42] fed in 1 call through tee.",
            "py-spy[4211] called process_vm_readv on python3[42] 2 times and moved nothing; 1 read failed (EIO).",
        ]
    );
    assert_eq!(
        said(&[readv(1), nothing(2)]),
        ["py-spy[4211] read 64 B of python3[42] in 1 read through process_vm_readv; 1 read moved nothing."]
    );
    assert_eq!(said(&[mem(1)]), ["py-spy[4211] called pread on python3[42] through /proc/42/mem and moved nothing."]);
    let unknown = Event { target_pid: None, target_comm: None, ..readv(1) };
    assert_eq!(said(&[unknown]), ["py-spy[4211] read 64 B of an unknown process in 1 read through process_vm_readv."]);
}

/// A process may become another program, of another user, after it was denied.
#[test]
fn who_was_denied_is_named_as_it_was() {
    let denied = |us, uid| Event { errno: Some("EPERM"), bytes: None, uid, comm: "rank0", ..readv(us) };
    let later = Event { comm: "sshd", uid: 0, ..readv(9) };
    let made = make(&[denied(1, 1000), later]);
    let said = sentences(&[], made.path());
    assert_eq!(
        said[..2],
        [
            "rank0[4211], later sshd, of uid 1000 tried process_vm_readv on python3[42] and was denied (EPERM).",
            "sshd[4211], earlier rank0, read 64 B of python3[42] in 1 read through process_vm_readv.",
        ]
    );
    let made = make(&[denied(1, 1000), denied(2, 7)]);
    let wanted =
        "rank0[4211] of uid 1000 and others tried process_vm_readv on python3[42] 2 times and was denied (EPERM).";
    assert_eq!(sentences(&[], made.path())[0], wanted);
}

/// What is said of losses, where the ledger has a row of `tee` beside those of `events`.
fn with_ledger_row(events: &[Event<'_>], row: LedgerRow) -> Made {
    let ledger = [ledger(events), vec![LedgerRow { event: "tee".into(), ..row }]].concat();
    make_with(&Manifest { ledger, ..manifest() }, &[events])
}

#[test]
fn nothing_was_lost_only_where_that_is_known() {
    let of = |row| sentences(&[], with_ledger_row(&[readv(1)], row).path());
    let nothing = |said: &[String]| said.last().unwrap().contains("Nothing was lost.");
    assert!(nothing(&of(LedgerRow::default())));
    let unknown = of(LedgerRow { unknown: 1_000, ..LedgerRow::default() });
    assert!(!nothing(&unknown) && unknown[0].starts_with("1,000 calls more may have been"), "{unknown:#?}");
    let forgotten = of(LedgerRow { seen: 700, forgotten: 700, ..LedgerRow::default() });
    assert_eq!(forgotten[0], "700 events were dropped by the flight recorder, since no trigger came in time.");
    assert!(forgotten.last().unwrap().contains("Nothing else was lost."), "{forgotten:#?}");
}

#[test]
fn an_empty_recording_says_what_was_lost() {
    let made = with_ledger_row(&[], LedgerRow::default());
    assert_eq!(vmtrace(&["summary", made.path()]).status, 1);
    assert_eq!(sentences(&[], made.path()), ["No event was recorded.", "Nothing was lost."]);
    let made = with_ledger_row(&[], LedgerRow { seen: 5, lost_ring_full: 5, ..LedgerRow::default() });
    assert_eq!(sentences(&[], made.path()), ["5 events were LOST: 5 tee (ring full).", "No event was recorded."]);
}

#[test]
fn a_payload_larger_than_what_moved_is_a_contradiction() {
    let over = Event { bytes: Some(10), payload_len: 256, ..readv(1) };
    let said = sentences(&[], make(&[over]).path());
    assert!(said[0].starts_with("The file contradicts itself: 1 call has more payload than moved."), "{said:#?}");
    assert!(said.last().unwrap().starts_with("Kept of the bytes that moved: all"), "{said:#?}");
}

/// The rows do not show what is missing.
#[test]
fn csv_reports_what_is_missing_on_stderr() {
    let made = with_ledger_row(&[readv(1)], LedgerRow { seen: 5, lost_ring_full: 5, ..LedgerRow::default() });
    let ran = vmtrace(&["summary", "-T", "csv", made.path()]);
    assert_eq!((ran.status, ran.out.lines().count()), (0, 2));
    assert!(ran.err.ends_with(&format!("{}: 5 events were LOST: 5 tee (ring full).\n", made.path())), "{}", ran.err);
    assert_eq!(vmtrace(&["summary", "-T", "csv", make(&[readv(1)]).path()]).err, "");
}

#[test]
fn tables_have_a_row_of_each_pair_event_and_pipe() {
    let made = make(&everything());
    let out = vmtrace(&["summary", made.path()]).out;
    let words = |line: &str| line.split_whitespace().map(str::to_string).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = out.lines().map(words).collect();
    for line in [
        "Caller Target Calls Failed In Out From, s For By",
        "Event Calls Failed Bytes Timed Mean Longest Total Errors",
        "process_vm_readv 4 2 4,160 B 1 4.5µs 4.5µs 4.5µs EPERM 1, ESRCH 1",
        "Pipe Put in Taken out Duplicated Calls By Out to",
        "pipe:[771] 8,192 B - 4,096 B 3 worker[900] worker[900]",
        "pipe:[772] 4,096 B - - 1 worker[900] -",
    ] {
        assert!(lines.contains(&line.to_string()), "{line:?} is not in\n{out}");
    }
    let pair = "py-spy[4211] python3[42] 7 1 4,168 B 72 B 0.002 2.2ms";
    assert!(lines.iter().any(|line| line.starts_with(pair)), "{pair:?} is not in\n{out}");
    assert!(out.lines().all(|line| !line.contains("  ") || line.chars().count() <= 100), "{out}");
    let one = vmtrace(&["summary", "--top", "1", made.path()]).out;
    for more in ["… and 2 more pairs:", "… and 11 more events:", "… and 1 more pipe:"] {
        assert!(one.contains(more), "{more:?} is not in\n{one}");
    }
}

#[test]
fn json_and_csv_have_the_same_numbers() {
    let made = make(&everything());
    let facts = json(&[made.path()]);
    assert_eq!((&facts["rows"], &facts["selected"]), (&19.into(), &19.into()));
    let pair = &facts["pairs"][0];
    let numbers = ["calls", "failures", "transfers", "bytes_in", "bytes_out", "conflicts"].map(|name| &pair[name]);
    assert_eq!(numbers.map(|number| number.as_u64().unwrap()), [7, 1, 5, 4168, 72, 1]);
    assert_eq!((&pair["caller"]["command"], &pair["target"]["uid"]), (&"py-spy dump --pid 42".into(), &1000.into()));
    assert_eq!(pair["first_ts"], "2023-11-14T22:13:20.002000000Z");
    assert_eq!(facts["losses"][0]["count"], 1234);
    assert_eq!((&facts["kept"]["bytes"], &facts["kept"]["moved"]), (&140.into(), &20_624.into()));
    assert_eq!(facts["pipes"][0]["bytes_out"], Value::Null, "nobody was seen who took from it");
    assert_eq!(facts["sentences"].as_array().unwrap().len(), sentences(&[], made.path()).len());
    let top = json(&["--top", "1", made.path()]);
    assert_eq!((top["events"].as_array().unwrap().len(), &top["unlisted"]["pipes"]), (1, &1.into()));

    let ran = vmtrace(&["summary", "-T", "csv", made.path(), made.path()]);
    let mut reader = csv::Reader::from_reader(ran.out.as_bytes());
    let header = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let all = facts["pairs"].as_array().unwrap().len() + facts["without_target"].as_array().unwrap().len();
    assert_eq!(rows.len(), 2 * all, "one header over both");
    let row = rows.iter().find(|row| row.get(6) == Some("42")).unwrap();
    for (name, value) in header.iter().zip(row) {
        let wanted = match name {
            "capture" => made.path().to_string(),
            "comm" | "exe" | "command" | "process_key" | "pid" => text(&pair["caller"][name]),
            "target_key" => text(&pair["target"]["process_key"]),
            name if name.starts_with("target_") => text(&pair["target"][name.trim_start_matches("target_")]),
            name => text(&pair[name]),
        };
        assert_eq!(value, wanted, "{name}");
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[test]
fn what_is_selected_is_counted_and_losses_always_are() {
    let made = make(&everything());
    let facts = json(&["-e", "@mem", "-p", "4211", made.path()]);
    assert_eq!((&facts["selected"], &facts["pairs"][0]["bytes_in"]), (&1.into(), &8.into()));
    assert_eq!(facts["losses"][0]["count"], 1234);
    let failed = sentences(&["--failed"], made.path());
    assert!(failed[1].ends_with("was denied (EPERM).") && failed[2].ends_with("failed (ESRCH)."), "{failed:#?}");
    let ran = vmtrace(&["summary", "--since", "1h", made.path()]);
    assert_eq!((ran.status, ran.err.lines().count()), (1, 1), "{}", ran.err);
    assert!(ran.err.contains("--since"), "{}", ran.err);
    assert!(ran.out.contains("· 0 of 19 events\n\nNo event matches.\n"), "{}", ran.out);
    let ran = vmtrace(&["summary", "--brief", "-T", "json", made.path()]);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("--brief is for text"), "{}", ran.err);
}

/// Writes the files of a recording; every file has one read.
fn segments(dir: &Path, indexes: &[u64]) -> Vec<PathBuf> {
    let write = |index: &u64| {
        let events = [readv(i64::try_from(*index).unwrap() * 1_000)];
        let path = dir.join(format!("t-{index}.parquet"));
        let segment = Some(Segment { index: *index, ..Segment::default() });
        let lost = LedgerRow { event: "tee".into(), seen: 5, lost_ring_full: 5, ..LedgerRow::default() };
        let ledger = [ledger(&events), vec![lost]].concat();
        let manifest = Manifest { segment, ledger, end_reason: "rotated".into(), ..manifest() };
        write(&path, &manifest, &[&events]);
        path
    };
    indexes.iter().map(write).collect()
}

#[test]
fn files_of_one_recording_are_counted_together() {
    let dir = tempfile::tempdir().unwrap();
    let files = segments(dir.path(), &[4, 2]);
    let other = make(&[readv(1), readv(2)]);
    let names: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).chain([other.path()]).collect();
    let ran = vmtrace(&[&["summary"], names.as_slice()].concat());
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let heads: Vec<&str> = ran.out.lines().filter(|line| line.starts_with("==> ")).collect();
    assert_eq!(heads, [names[1], names[0], names[2]].map(|name| format!("==> {name} <==")));
    for part in [
        "· 2 events in 2 files\n",
        "10 events were LOST: 10 tee (ring full).\nNot counted are other files of this recording: 1, 3 and 5 onwards.\n",
        "py-spy[4211] read 128 B of python3[42] in 2 reads over 2.0ms through process_vm_readv.\n",
        "Kept of the bytes that moved: 62.5 % (snaplen 256). Nothing was lost. Arguments are unverified (tracepoint tier).\n",
    ] {
        assert!(ran.out.contains(part), "{part:?} is not in\n{}", ran.out);
    }
    let brief = vmtrace(&[&["summary", "--brief"], names.as_slice()].concat());
    let parts: Vec<&str> = ran.out.lines().filter(|line| line.starts_with("==> ") || line.ends_with('.')).collect();
    assert_eq!(brief.out.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>(), parts, "the sentences alone");
    // A file that is given twice counts once in each of two summaries.
    let ran = vmtrace(&["summary", "--brief", names[0], names[0]]);
    assert_eq!(ran.out.matches("read 64 B of").count(), 2, "{}", ran.out);
}

/// Counts of a part would pass for those of the whole.
#[test]
fn a_damaged_file_is_not_summarised_and_others_are() {
    let good = make(&[readv(1)]);
    let events: Vec<Event<'_>> = (0..5_000).map(readv).collect();
    let bad = make_with(&Manifest { ledger: ledger(&events), ..manifest() }, &[&events[..2_500], &events[2_500..]]);
    let mut bytes = std::fs::read(&bad.path).unwrap();
    let second = vmtrace::schema::reader::Capture::open(&bad.path).unwrap().row_group(1).unwrap().1;
    let range = usize::try_from(second.start).unwrap()..usize::try_from(second.end).unwrap();
    bytes[range].fill(0xff);
    std::fs::write(&bad.path, bytes).unwrap();
    let ran = vmtrace(&["summary", bad.path(), good.path()]);
    assert_eq!(ran.status, 2, "{}", ran.out);
    assert!(ran.err.contains("damaged; the events before this point were read"), "{}", ran.err);
    assert!(ran.out.contains("read 64 B of python3[42]") && !ran.out.contains("5,000"), "{}", ran.out);
}

/// What a command prints on a terminal of so many columns.
pub fn on_a_terminal(columns: u16, args: &[&str]) -> String {
    let (mut master, mut slave) = (-1, -1);
    let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: both are places for a descriptor; the size is read, and there is neither a name nor a mode.
    let made = unsafe { libc::openpty(&raw mut master, &raw mut slave, ptr::null_mut(), ptr::null(), &raw const size) };
    assert_eq!(made, 0, "openpty");
    // SAFETY: both were opened just now, and nobody else has them.
    let (master, slave) = unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
    // The command is dropped with its end of the terminal: the last one that is open is that of the program.
    let mut child = command(args).stdout(slave).spawn().unwrap();
    let (mut terminal, mut out, mut part) = (File::from(master), Vec::new(), [0; 4096]);
    // When the program has ended, reading fails with EIO.
    while let Ok(read @ 1..) = terminal.read(&mut part) {
        out.extend_from_slice(&part[..read]);
    }
    assert!(child.wait().unwrap().code().is_some());
    String::from_utf8(out).unwrap().replace("\r\n", "\n")
}

#[test]
fn tables_and_sentences_fit_the_terminal() {
    let name = "a-name-of-fifteen"; // Longer than the kernel's, and still no reason for a longer line.
    let named = |event: Event<'static>| Event { comm: name, target_comm: Some(name), ..event };
    let events: Vec<Event<'_>> = everything().into_iter().map(named).collect();
    let made = make(&events);
    let piped = vmtrace(&["summary", made.path()]).out;
    for columns in [80, 100, 200, 250] {
        let out = on_a_terminal(columns, &["summary", made.path()]);
        // Behind the heading, which has the command line as it was given.
        let lines: Vec<&str> = out.lines().skip(2).collect();
        let wide = lines.iter().map(|line| line.chars().count()).max().unwrap();
        assert!(wide <= columns.into(), "{wide} of {columns}:\n{out}");
        assert!(columns > 100 || wide + 20 > columns.into(), "{wide} of {columns}:\n{out}");
        assert!(out.contains("LOST") && out.contains("process_vm_readv") && out.contains("pipe:[771]"), "{out}");
    }
    let wide = on_a_terminal(250, &["summary", made.path()]);
    assert!(wide.contains("  process_vm_readv, process_vm_writev, ptrace, /proc/42/mem\n"), "nothing is cut: {wide}");
    assert_eq!(on_a_terminal(20, &["summary", made.path()]), on_a_terminal(80, &["summary", made.path()]));
    assert_eq!(on_a_terminal(300, &["summary", made.path()]), wide);
    // To a pipe, each sentence is a line.
    assert!(piped.lines().any(|line| line.ends_with("contradict what the kernel did.")), "{piped}");
}
