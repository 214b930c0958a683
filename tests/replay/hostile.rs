//! Captures whose every text tries to take over the terminal.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;

use vmtrace::schema::manifest::{Hook, LedgerRow, Segment};
use vmtrace::schema::types::{Iovec, Iovecs};
use vmtrace::schema::{Event, Manifest};

use super::captures::*;
use super::{Ran, command, ran, vmtrace};

const EVIL: &str = "\x1b]0;owned\x07\x1b[2J\u{9b}31m\r\n\u{202e}live\u{2066}\u{200b}\u{7f}\0\u{2028}\\x1b";

fn evil_event() -> Event<'static> {
    Event {
        event: EVIL,
        abi: Some(EVIL),
        comm: EVIL,
        exe: Some(EVIL),
        process_key: Some(EVIL),
        cgroup: Some(EVIL),
        container: Some(EVIL),
        target_cgroup: Some(EVIL),
        target_container: Some(EVIL),
        pidfd: Some(i32::MIN),
        advice: Some(EVIL),
        target_comm: Some(EVIL),
        target_exe: Some(EVIL),
        direction: Some(EVIL),
        errno: Some(EVIL),
        fd_in: Some(1),
        fd_in_kind: Some(EVIL),
        fd_in_path: Some(EVIL),
        fd_out_kind: Some("file"),
        fd_out_path: Some(EVIL),
        fd_in_family: Some(EVIL),
        fd_in_local_addr: Some(EVIL),
        fd_in_local_port: Some(u32::MAX),
        fd_in_peer_addr: Some(EVIL),
        fd_out_local_addr: Some(EVIL),
        fd_out_peer_addr: Some(EVIL),
        fd_out_peer_port: Some(0),
        ptrace_request: Some(EVIL),
        payload: Some(EVIL.as_bytes()),
        payload_status: Some(EVIL),
        iov_verdict: Some(EVIL),
        parent_pid: Some(-1),
        argv: Some(EVIL),
        lost_event: Some(EVIL),
        lost_cause: Some(EVIL),
        tid: i32::MIN,
        payload_total: i64::MIN,
        mono_ns: i64::MIN,
        ts_ns: i64::MAX,
        ts: i64::MAX,
        dur_ns: Some(i64::MIN),
        ..readv(1)
    }
}

fn evil_manifest() -> Manifest {
    let mut manifest = manifest();
    let evil = || EVIL.to_string();
    manifest.capture_id = evil();
    manifest.tool.name = evil();
    manifest.tool.version = evil();
    manifest.tool.git = evil();
    manifest.argv = vec![evil(), "it's".into()];
    manifest.comment = Some(evil());
    manifest.filters.command = vec![evil()];
    manifest.filters.events = vec![evil()];
    manifest.filters.cgroup = Some(evil());
    manifest.filters.duration_s = Some(f64::MAX);
    manifest.host.hostname = evil();
    manifest.host.sysname = evil();
    manifest.host.release = evil();
    manifest.host.version = evil();
    manifest.host.machine = evil();
    manifest.host.boot_id = evil();
    manifest.host.machine_id = Some(evil());
    manifest.host.lockdown = Some(evil());
    manifest.hooks = vec![Hook {
        program: evil(),
        target: evil(),
        serves: evil(),
        attached: false,
        reason: Some(evil()),
        skipped: 0,
    }];
    manifest.gaps = vec![evil()];
    manifest.end_reason = evil();
    manifest.start.monotonic_ns = i64::MAX;
    manifest.start.realtime_ns = i64::MIN;
    manifest.end.monotonic_ns = i64::MIN;
    manifest.ledger = vec![LedgerRow { event: evil(), seen: u64::MAX, written: 1, ..LedgerRow::default() }; 2];
    manifest
}

fn assert_harmless(what: &[&str], text: &str) {
    let harmful = |c: char| {
        (c.is_control() && c != '\n')
            || "\u{202e}\u{2066}\u{200b}\u{2028}".contains(c)
            || ('\u{80}'..'\u{a0}').contains(&c)
    };
    assert!(!text.contains(harmful), "{what:?}: {text:?}");
}

#[test]
fn nothing_captured_reaches_the_terminal_as_it_is() {
    let kinds = ["process_exec", "process_fork", "process_snapshot", "process_exit", "lost", "vmsplice", "ptrace"];
    let mut events = vec![evil_event()];
    events.extend(kinds.map(|event| Event { event, ..evil_event() }));
    let made = make_with(&evil_manifest(), &[&events]);
    for args in [
        &["replay"][..],
        &["replay", "-x", "--by", "process"],
        &["replay", "-p", "42", "--time", "utc"],
        &["replay", "--time", "local"],
        &["replay", "--width", "80", "--fold", "--no-snapshots"],
        &["replay", "--width", "250", "-x", "--by", "process"],
        &["replay", "-T", "jsonl"],
        &["replay", "-T", "csv"],
        &["export", "-T", "strace"],
        &["export", "-T", "ecs"],
        &["export", "-T", "ocsf"],
        &["export", "-T", "timesketch"],
        &["info"],
        &["info", "-T", "json"],
        &["summary"],
        &["summary", "-T", "json"],
        &["summary", "-T", "csv"],
    ] {
        let ran = vmtrace(&[args, &[made.path(), made.path()]].concat());
        assert_eq!(ran.status, 0, "{args:?}");
        // The rows have no place for what is amiss.
        let is_said = args == ["summary", "-T", "csv"];
        assert_eq!(ran.err.matches("The ledger does not balance").count(), if is_said { 2 } else { 0 }, "{}", ran.err);
        // What a format has no form for is counted.
        let is_counted = args.first() == Some(&"export") && ran.err.contains(" has no form for ");
        assert!(is_said || is_counted || ran.err.is_empty(), "{args:?}: {}", ran.err);
        assert!(!ran.out.is_empty());
        assert_harmless(args, &ran.out);
        assert_harmless(args, &ran.err);
    }
}

/// Numbers that no kernel gives, in the columns from which memory is rebuilt.
#[test]
fn memory_is_rebuilt_of_absurd_numbers() {
    const RANGES: &[Iovec] = &[
        Iovec { base: 8, len: 4 },
        Iovec { base: u64::MAX, len: u64::MAX },
        Iovec { base: 0, len: u64::MAX },
        Iovec { base: u64::MAX - 3, len: 2 },
    ];
    let kinds = ["process_madvise", "pipe_read", "lost", "ptrace", "pread", "process_vm_readv", "process_vm_writev"];
    let of_life = ["process_exec", "process_fork"];
    let mut events = Vec::new();
    for event in of_life.into_iter().chain(kinds) {
        for (direction, bytes, mono_ns) in
            [("in", i64::MAX, 5), ("out", -1, i64::MIN), ("in", 4, 6), ("out", 4, i64::MAX)]
        {
            let (local_iov, remote_iov) = (Some(Iovecs::Pairs(RANGES)), Some(Iovecs::Pairs(RANGES)));
            let named = Event { event, direction: Some(direction), bytes: Some(bytes), mono_ns, ..evil_event() };
            let plain = Event { errno: None, iov_verdict: None, payload_status: None, parent_pid: Some(42), ..named };
            let known = Event { ptrace_request: Some("PTRACE_POKEDATA"), data: u64::MAX, lost_event: None, ..plain };
            // Its own life comes before what others do to it.
            let (pid, mono_ns) = if of_life.contains(&event) { (42, 4) } else { (43, mono_ns) };
            events.push(Event { pid, start_ns: 200_000_000, mono_ns, local_iov, remote_iov, ..known });
        }
    }
    let made = make_with(&evil_manifest(), &[&events]);
    let lists = [&[][..], &["0"], &["0xfffffffffffffff0+15"], &["8+4", "-T", "json"], &["--history", "8+4"]];
    let mut shown = 0;
    let others = [&["--search", "evil"][..], &["--diff", "0", "1"], &["--at", "-1"], &["-T", "json"]];
    for args in lists.into_iter().chain(others) {
        let ran = vmtrace(&[&["memory", "-p", "42", made.path()], args].concat());
        assert!((0..=2).contains(&ran.status) && !ran.err.contains("panicked"), "{args:?}: {}", ran.err);
        assert_harmless(args, &(ran.out + &ran.err));
        shown += u32::from(ran.status == 0);
    }
    assert!(shown > 3, "{shown}");
}

#[test]
fn nor_does_what_verify_says_of_it() {
    let mut manifest = evil_manifest();
    let segment =
        Segment { index: 7, previous_root: Some(EVIL.into()), previous_file: Some(EVIL.into()), ..Segment::default() };
    manifest.segment = Some(segment);
    let made = make_with(&manifest, &[&[evil_event()]]);
    for args in [&["verify"][..], &["verify", "-T", "json"], &["info"]] {
        let ran = vmtrace(&[args, &[made.path(), made.path()]].concat());
        assert_eq!(ran.err, "", "{args:?}");
        assert!(args == ["info"] || (ran.status == 1 && ran.out.contains("row")), "{args:?}: {}", ran.out);
        assert_harmless(args, &ran.out);
    }
}

#[test]
fn json_gives_hostile_text_back() {
    let made = make_with(&evil_manifest(), &[&[evil_event()]]);
    let event: serde_json::Value = serde_json::from_str(&vmtrace(&["replay", "-T", "jsonl", made.path()]).out).unwrap();
    assert_eq!(event["comm"], EVIL);
    assert_eq!(event["ts"], i64::MAX.to_string());
    let info: serde_json::Value = serde_json::from_str(&vmtrace(&["info", "-T", "json", made.path()]).out).unwrap();
    assert_eq!(info["manifest"]["host"]["hostname"], EVIL);
    let summary: serde_json::Value =
        serde_json::from_str(&vmtrace(&["summary", "-T", "json", made.path()]).out).unwrap();
    let pair = &summary["pairs"][0];
    assert_eq!((&pair["caller"]["comm"], &pair["target"]["exe"]), (&EVIL.into(), &EVIL.into()));
    assert_eq!(pair["by"][0]["errors"][0]["errno"], EVIL);
}

/// A name that a file can have, and that is not UTF-8 besides.
fn evil_name() -> OsString {
    let forged = "\x1b]52;c;AAAA\x07\x1b[2J\u{9b}31m\nvmtrace: forged\n\u{202e}live\u{2066}\u{200b}\u{7f}\u{2028}";
    OsString::from_vec([forged.as_bytes(), b"\xff\x9b31m.parquet"].concat())
}

fn assert_none_forged(what: &[&str], ran: &Ran) {
    assert_harmless(what, &ran.out);
    assert_harmless(what, &ran.err);
    let mut lines = ran.out.lines().chain(ran.err.lines());
    assert!(!lines.any(|line| line.starts_with("vmtrace: forged")), "{what:?}: {}{}", ran.out, ran.err);
}

#[test]
fn a_file_name_is_captured_text_too() {
    let dir = tempfile::tempdir().unwrap();
    let whole = make(&everything());
    let bytes = std::fs::read(&whole.path).unwrap();
    let contents: [(&str, &[u8]); 4] =
        [("present", &bytes), ("empty", b""), ("garbage", EVIL.as_bytes()), ("unfinished", &bytes[..bytes.len() - 9])];
    let path = dir.path().join(evil_name());
    for args in [
        &["replay"][..],
        &["replay", "-T", "jsonl"],
        &["info"],
        &["info", "-T", "json"],
        &["summary"],
        &["summary", "-T", "json"],
        &["summary", "-T", "csv"],
        &["memory", "-p", "42"],
        &["verify"],
        &["verify", "-T", "json"],
        &["verify", "--allowed-signers"],
        &["recover", "-o"],
    ] {
        let run = || ran(&command(args).args([&path, &path]).output().unwrap());
        assert_none_forged(args, &run());
        for (what, content) in contents {
            std::fs::write(&path, content).unwrap();
            let ran = run();
            assert!(!(ran.out.clone() + &ran.err).is_empty());
            assert_none_forged(&[args, &[what]].concat(), &ran);
        }
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn so_are_names_that_come_nearest() {
    let made = make_with(&evil_manifest(), &[&[Event { event: "vmsplice", ..evil_event() }]]);
    let ran = vmtrace(&["replay", "--comm", "x\x1b\u{202e}", made.path()]);
    assert_eq!((ran.status, ran.err.lines().count()), (1, 1), "{}", ran.err);
    assert!(ran.err.starts_with("vmtrace: --comm: no thread name matches "), "{}", ran.err);
    assert_harmless(&["error"], &ran.err);
}

/// What is no option, no command and no value is quoted by the parser of the command line; so is our own name.
#[test]
fn so_are_words_of_the_command_line() {
    let word = evil_name();
    let text = word.to_string_lossy().into_owned();
    let option = format!("--{text}");
    let [time, condition, address] = ["time", "where", "address"].map(|option| format!("--{option}={text}"));
    for args in [
        &["\x1b[31m"][..],
        &[&text],
        &["replay", &option],
        &["replay", &time, "x"],
        &["replay", &condition, "x"],
        &["replay", &address, "x"],
        &["info", "-T", &text, "x"],
    ] {
        let ran = vmtrace(args);
        assert_eq!(ran.status, 2, "{args:?}");
        assert!(ran.err.contains("error: ") && ran.err.contains("\\x1b"), "{args:?}: {}", ran.err);
        assert_none_forged(args, &ran);
    }
    for args in [&["--help"][..], &["replay", "--help"], &["replay"]] {
        let ran = ran(&command(args).arg0(&word).output().unwrap());
        assert!((ran.out.clone() + &ran.err).contains("Usage: "), "{args:?}");
        assert_none_forged(args, &ran);
    }
}

#[test]
fn a_long_text_makes_no_long_line() {
    let long = "x".repeat(100_000);
    let made = make(&[Event { argv: Some(&long), event: "process_exec", ..at(1, "process_exec", SPY) }]);
    let out = vmtrace(&["replay", made.path()]).out;
    assert!(out.lines().all(|line| line.len() < 400), "{}", out.len());
    let names =
        Event { comm: &long, target_comm: Some(&long), errno: Some(&long), fd_in_path: Some(&long), ..readv(2) };
    let denied = Event { errno: Some("EPERM"), event: "pread", ..names };
    let piped = Event { pipe_in: Some(1), event: "pipe_read", errno: None, ..names };
    let life = Event { argv: Some(&long), ..at(1, "process_exec", SPY) };
    let out = vmtrace(&["summary", make(&[life, names, denied, piped]).path()]).out;
    assert!(out.contains("was denied") && out.lines().all(|line| line.len() < 400), "{out:.2000}");
}

/// An error quotes a manifest's texts, and however long they are, stays a sentence that can be read.
#[test]
fn nor_does_a_manifests_text_in_an_error() {
    let long = format!("{EVIL}{}", "x".repeat(100_000));
    let mut manifest = Manifest { comment: Some(long.clone()), ..manifest() };
    manifest.ledger = vec![LedgerRow { event: long.clone(), seen: 1, written: 7, ..LedgerRow::default() }];
    let segment =
        Segment { index: 7, previous_root: Some(long.clone()), previous_file: Some(long), ..Segment::default() };
    manifest.segment = Some(segment);
    let made = make_with(&manifest, &[&[readv(1)]]);
    let short = |ran: &super::Ran| {
        assert_harmless(&["error"], &format!("{}{}", ran.out, ran.err));
        // verify says what the root digest and the names are, each in a line.
        let lines = ran.out.lines().chain(ran.err.lines());
        lines.for_each(|line| assert!(line.chars().count() < 1500, "{} letters: {line:.200}", line.chars().count()));
    };
    let verified = vmtrace(&["verify", made.path()]);
    assert!(verified.status == 1 && verified.out.contains("7 in the ledger"), "{}", verified.out);
    short(&verified);
    // In the footer, the comment becomes what no text can be.
    let mut bytes = std::fs::read(&made.path).unwrap();
    let [from, to] = [&b"\"comment\":"[..], b"\"segment\":"];
    let at = bytes.windows(from.len()).rposition(|window| window == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    std::fs::write(&made.path, bytes).unwrap();
    for args in [&["info"][..], &["replay"], &["summary"], &["verify"]] {
        let ran = vmtrace(&[args, &[made.path()]].concat());
        let said = format!("{}{}", ran.out, ran.err);
        assert!(ran.status == 2 && said.contains("vmtrace.manifest that cannot be read"), "{args:?}: {said:.500}");
        short(&ran);
    }
}
