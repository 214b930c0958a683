//! The text output as a whole.

use vmtrace::schema::Event;

use super::captures::*;
use super::vmtrace;

#[test]
fn a_recording_reads_as_a_story() {
    let made = make(&everything());
    let ran = vmtrace(&["replay", made.path()]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let expected = include_str!("everything.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/replay/everything.txt"), &ran.out).unwrap();
    } else {
        assert_eq!(ran.out, expected);
    }
}

#[test]
fn headings_come_where_the_process_changes_and_introduce_once() {
    let call = |us, pid| Event { bytes: Some(1), ..at(us, "tee", pid) };
    let made = make(&[call(1, BASH), call(2, BASH), call(3, SPY), call(4, BASH)]);
    let out = vmtrace(&["replay", made.path()]).out;
    let headings: Vec<&str> = out.lines().filter(|l| l.contains('[')).collect();
    let expected = ["bash[4200]  /usr/bin/bash  uid 0", "py-spy[4211]  /usr/local/bin/py-spy  uid 0", "bash[4200]"];
    assert_eq!(headings, expected);
}

#[test]
fn headings_name_containers() {
    let id = "0123456789abcdef".repeat(4);
    let of = |us, container| Event { container: Some(container), ..at(us, "tee", BASH) };
    let made = make(&[of(1, &id), of(2, &id), of(3, "web")]);
    let out = vmtrace(&["replay", made.path()]).out;
    let headings: Vec<&str> = out.lines().filter(|l| l.contains('[')).collect();
    let expected = ["0123456789ab", "web"].map(|name| format!("bash[4200]  /usr/bin/bash  uid 0  container {name}"));
    assert_eq!(headings, expected);
}

#[test]
fn a_reused_pid_gets_a_heading_of_its_own() {
    let old = at(1, "tee", BASH);
    let new = Event { start_ns: old.start_ns + 1_000_000_000, ..at(2, "tee", BASH) };
    let made = make(&[old, new]);
    let out = vmtrace(&["replay", made.path()]).out;
    assert_eq!(out.matches("bash[4200]  /usr/bin/bash").count(), 2);
}

#[test]
fn by_process_tells_both_sides() {
    let made = make(&everything());
    let ran = vmtrace(&["replay", "--by", "process", made.path()]);
    assert_eq!(ran.status, 0);
    let (bash, rest) = ran.out.split_once("\npython3[42]").unwrap();
    assert!(bash.contains("bash[4200]"));
    let (python, spy) = rest.split_once("\npy-spy[4211]").unwrap();
    assert!(python.contains("→         64 B  process_vm_readv  to caller py-spy[4211]"));
    assert!(python.contains("←         64 B  process_vm_writev from caller py-spy[4211]"));
    assert!(python.contains("killed by SIGSEGV"));
    assert!(python.contains("GAP: 1234"), "the gap lies within the life of python3");
    assert!(spy.contains("←         64 B  process_vm_readv  from python3[42]"));
    assert!(spy.contains("All gaps in the recording\n"));
    assert!(!bash.contains("GAP"));
}

#[test]
fn hexdumps_show_addresses_bytes_and_text() {
    let made = make(&[readv(1)]);
    let out = vmtrace(&["replay", "-x", made.path()]).out;
    assert!(out.contains("\n  0x7f12004000a0  7f 45 4c 46 02 01 01 00  00 00 00 00 00 00 00 00  |.ELF............|\n"));
    assert!(out.contains("\n  0x7f12004000c0  6f 72 6c 64 00 00 00 00                           |orld....|\n"));
    let narrow = vmtrace(&["replay", "-x", "--width", "80", made.path()]).out;
    assert!(narrow.contains("\n  0x7f12004000c0  6f 72 6c 64 00 00 00 00  |orld....|\n"), "{narrow}");
    let made = make(&[Event { remote_iov: None, local_iov: None, ..readv(1) }]);
    let out = vmtrace(&["replay", "-x", made.path()]).out;
    assert!(out.contains("\n      0020  6f 72 6c 64 00 00 00 00                           |orld....|\n"), "{out}");
}

#[test]
fn time_has_six_notations() {
    let made = make(&[readv(1), readv(1_500_001)]);
    let second = |notation: &str| {
        let out = vmtrace(&["replay", "--time", notation, made.path()]).out;
        let line = out.lines().last().unwrap();
        line.split("  ←").next().unwrap().trim().to_string()
    };
    assert_eq!(second("rel"), "1.500001000");
    assert_eq!(second("delta"), "+1.500000000");
    assert_eq!(second("utc"), "2023-11-14T22:13:21.500001000Z");
    assert_eq!(second("local"), "2023-11-14T23:13:21.500001000+01:00");
    assert_eq!(second("unix"), "1700000001.500001000");
    assert_eq!(second("mono"), "5001.500001000");
}

#[test]
fn colour_is_for_those_who_ask() {
    let made = make(&[readv(1)]);
    assert!(!vmtrace(&["replay", made.path()]).out.contains('\x1b'), "no terminal");
    let coloured = vmtrace(&["replay", "--color", "always", made.path()]).out;
    assert!(coloured.contains("\x1b[1mpy-spy[4211]\x1b[0m"));
    let mut plain = coloured;
    for sgr in ["0", "1", "2", "33", "36", "1;31", "1;32", "1;34"] {
        plain = plain.replace(&format!("\x1b[{sgr}m"), "");
    }
    assert_eq!(plain, vmtrace(&["replay", "--color", "never", made.path()]).out);
}

#[test]
fn several_captures_are_named() {
    let (a, b) = (make(&[readv(1)]), make(&[readv(2)]));
    let ran = vmtrace(&["replay", a.path(), "/nonexistent.parquet", b.path()]);
    assert_eq!(ran.status, 2);
    assert_eq!(ran.err, "vmtrace: cannot open /nonexistent.parquet: No such file or directory (os error 2)\n");
    let second = ran.out.find(&format!("==> {} <==", b.path())).unwrap();
    assert!(ran.out.starts_with(&format!("==> {} <==\n", a.path())));
    assert_eq!(ran.out[second..].matches("py-spy[4211]").count(), 1, "each capture introduces its processes");
}
