//! Lines that fit: as many columns as are asked for, or as a terminal has; what is piped stays whole.

use std::path::Path;

use unicode_width::UnicodeWidthStr;
use vmtrace::schema::Event;

use super::captures::*;
use super::forged::{repeated, with_pages};
use super::vmtrace;

fn columns(text: &str) -> usize {
    text.lines().map(UnicodeWidthStr::width).max().unwrap_or(0)
}

/// Every capture of samples/.
pub fn samples() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let files = |folder: &Path| folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let captures = files(&folder).into_iter().filter(|path| path.is_dir()).flat_map(|folder| files(&folder));
    let captures = captures.filter(|path| path.extension().is_some_and(|end| end == "parquet"));
    captures.map(|path| path.to_str().unwrap().to_string()).collect()
}

#[test]
fn lines_fit_the_width() {
    let samples = samples();
    assert!(samples.len() > 5, "{samples:?}");
    for width in ["40", "80", "100", "133", "250"] {
        for sample in &samples {
            let whole = vmtrace(&["replay", sample]).out;
            let ran = vmtrace(&["replay", "--width", width, sample]);
            assert_eq!((ran.status, ran.err.as_str()), (0, ""));
            assert!(columns(&ran.out) <= width.parse().unwrap(), "{width} {sample}: {}", ran.out);
            assert_eq!(ran.out.lines().count(), whole.lines().count(), "{width} {sample}: {}", ran.out);
        }
    }
}

#[test]
fn what_matters_comes_first() {
    let made = make(&everything());
    let out = vmtrace(&["replay", "--width", "80", made.path()]).out;
    for line in [
        "   0.002000 ←        64 process_vm_readv  python3[42] 0x7f12004000a0 \"\\x7fELF\"…",
        "   0.002200 ←     EPERM process_vm_readv  python3[42] 0x7f12004000a0",
        "   0.002300 ←     ESRCH process_vm_readv  pid 99999 (unresolved) 0x7f12004000a0",
        "   0.004000 ·        ok ptrace            PTRACE_ATTACH on python3[42]",
        "   0.006100 ·           process_exit      killed by SIGSEGV (11), core dumped",
    ] {
        assert!(out.lines().any(|shown| shown.trim_end() == line), "{line}\n{out}");
    }
    assert!(out.contains("! GAP") || out.contains("!  GAP"), "{out}");
    let odd = out.lines().find(|line| line.contains("process_vm_writev")).unwrap();
    assert!(odd.ends_with(" python3[42] [toctou] [conflict] …"), "what is odd comes before addresses: {odd}");
    let wide = vmtrace(&["replay", "--width", "250", made.path()]).out;
    let line = wide.lines().find(|line| line.contains("0.002100")).unwrap();
    let end = "← 4096/8192 process_vm_readv  python3[42] 0x7f0000001000, +1023 more \
               \"\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\"… into 0x558100000000 took 4.5µs";
    assert!(line.ends_with(end), "{line}");
}

/// The traced program chooses names: none of them hides that its call contradicts the record.
#[test]
fn no_name_hides_a_contradiction() {
    let forged = Event {
        toctou: Some(true),
        iov_verdict: Some("conflict"),
        ptrace_request: Some("of a later version, and long"),
        event: "process_vm_writev",
        ..readv(1)
    };
    let longest = "\x01".repeat(15);
    for name in ["x", "python3", longest.as_str(), &"日".repeat(500), &"\u{301}\u{dd4}".repeat(9_000)] {
        let named = Event { comm: name, target_comm: Some(name), ..forged };
        let descriptor = Event { event: "pread", ..named };
        let made = make(&[named, descriptor, Event { ptrace_request: None, ..named }]);
        for (width, side) in [("60", "4211"), ("60", "42"), ("80", "4211"), ("80", "42"), ("133", "42")] {
            let out = vmtrace(&["replay", "--width", width, "-p", side, made.path()]).out;
            let marks: Vec<&str> = out.lines().filter(|line| line.contains("[toctou]")).collect();
            assert_eq!(marks.len(), 3, "{width} {name:.20}: {out}");
            assert_eq!(marks.iter().filter(|line| line.contains(" [conflict]")).count(), 2, "{width}: {out}");
            assert!(marks[1].contains(" [fd conflict]"), "{width}: {out}");
        }
        let out = vmtrace(&["replay", "--width", "40", "--time", "utc", made.path()]).out;
        assert_eq!(out.matches("[toctou]").count(), 3, "{out}");
        assert!(columns(&out) <= 40, "{out}");
    }
}

#[test]
fn a_name_is_cut_and_the_number_is_not() {
    let end = |name: &str, width: &str| {
        let event = Event { target_comm: Some(name), remote_iov: None, payload: None, ..readv(1) };
        let made = make(&[event]);
        let out = vmtrace(&["replay", "--width", width, made.path()]).out;
        let line = out.lines().last().unwrap();
        line.split_once("process_vm_readv  ").map(|(_, end)| end.to_string()).unwrap_or_default()
    };
    assert!(end("a-name-of-20-columns", "100").starts_with("a-name-of-20-columns[42]"));
    assert!(end("a-name-of-21-columns!", "100").starts_with("a-name-of-21-column…[42]"));
    assert!(end(&"\x01".repeat(15), "100").starts_with("\\x01\\x01\\x01\\x01…[42]"));
    assert!(end(&"日本".repeat(15), "100").starts_with("日本日本日本日本日…[42]"));
    let narrow = end("a-name-of-20-columns", "60");
    assert!(narrow.contains("…[42]"), "{narrow}");
}

/// A name of a megabyte in each row: its beginning is enough.
#[test]
fn a_name_of_any_length_is_cut_first() {
    let rows: Vec<_> = (0..300).map(readv).collect();
    let made = make(&rows);
    let leaves = ["target_comm", "ptrace_request", "fd_out_path"].map(|leaf| (leaf, repeated(300, 1_300_000)));
    for (leaf, pages) in leaves {
        let made = make(&rows);
        with_pages(&made.path, vec![(leaf, pages)]);
        let ran = vmtrace(&["replay", "--width", "80", made.path()]);
        assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{leaf}");
        assert!(columns(&ran.out) <= 80, "{leaf}");
        assert_eq!(ran.out.lines().filter(|line| line.contains(" process_vm_readv ")).count(), 300, "{leaf}");
    }
    with_pages(&made.path, vec![("target_comm", repeated(300, 1_300_000))]);
    let out = vmtrace(&["replay", "--width", "80", made.path()]).out;
    let peer = format!(" process_vm_readv  {}…[42] ", "x".repeat(19));
    assert_eq!(out.matches(&peer).count(), 300, "{out}");
}

#[test]
fn only_the_command_is_cut_from_a_header() {
    let events = [readv(1)];
    let mut manifest = vmtrace::schema::Manifest { ledger: ledger(&events), ..manifest() };
    manifest.ledger[0].lost_ring_full = 700;
    manifest.ledger[0].seen += 700;
    manifest.argv.push("x".repeat(300));
    let made = make_with(&manifest, &[&events]);
    for width in ["40", "80", "250"] {
        let out = vmtrace(&["replay", "--width", width, made.path()]).out;
        let line = out.lines().nth(1).unwrap();
        assert!(line.starts_with("# 1 event · 700 LOST · vmtrace ") && line.ends_with('…'), "{out}");
    }
    let whole = vmtrace(&["replay", made.path()]).out;
    assert!(whole.lines().nth(1).unwrap().ends_with("x · 1 event · 700 LOST"), "{whole}");
}

#[test]
fn bytes_come_before_what_is_to_be_known_of_them() {
    let made = make(&[Event { flags: None, local_iov: None, liovcnt: None, ..everything()[13] }]);
    let line = |width| {
        let out = vmtrace(&["replay", "--width", width, made.path()]).out;
        let line = out.lines().find(|line| line.contains("vmsplice")).unwrap().to_string();
        line.split_once("pipe:[771] ").unwrap().1.to_string()
    };
    assert_eq!(line("120"), "\"page\"… (by reference)");
    assert_eq!(line("76"), "\"page\"…");
}

#[test]
fn each_side_has_its_own_words() {
    let made = make(&[readv(1)]);
    let out = vmtrace(&["replay", "--width", "100", "-p", "42", made.path()]).out;
    assert!(out.contains("→        64 process_vm_readv  caller py-spy[4211] from 0x7f12004000a0 \""), "{out}");
}

/// A name may be as long as a file claims, in characters of two columns or of none, or in escapes.
#[test]
fn no_text_breaks_the_width_or_is_cut_within_a_sign() {
    let names = ["日本".repeat(200), "e\u{301}\u{dd4}".repeat(200), "\x1b".repeat(200), "\u{202e}".repeat(200)];
    for name in &names {
        let event = Event {
            comm: name,
            exe: Some(name),
            target_comm: Some(name),
            fd_in: Some(3),
            fd_in_path: Some(name),
            ptrace_request: Some(name),
            errno: Some(name),
            payload: Some(name.as_bytes()),
            ..readv(1)
        };
        let made = make(&[event, Event { argv: Some(name), ..at(2, "process_exec", SPY) }]);
        for width in (40..120).step_by(3) {
            let ran = vmtrace(&["replay", "--width", &width.to_string(), made.path()]);
            assert!(columns(&ran.out) <= width, "{width}: {}", ran.out);
            assert!(!ran.out.contains(|c: char| c.is_control() && c != '\n'), "{width}: {:?}", ran.out);
            for cut in ["\\…", "\\x…", "\\x1…", "\\u…", "\\u{…", "\\u{2…", "\\u{20…", "\\u{202…", "\\u{202e…"]
            {
                assert!(!ran.out.contains(cut), "{width}: {}", ran.out);
            }
        }
    }
}

#[test]
fn what_is_piped_is_whole() {
    let made = make(&everything());
    let piped = vmtrace(&["replay", made.path()]).out;
    assert_eq!(piped, vmtrace(&["replay", "--wide", made.path()]).out);
}
