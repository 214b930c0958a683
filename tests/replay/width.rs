//! Lines that fit: as many columns as are asked for, or as a terminal has; what is piped stays whole.

use std::path::Path;

use unicode_width::UnicodeWidthStr;
use vmtrace::schema::Event;

use super::captures::*;
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
    assert!(odd.contains(" python3[42] [toctou:") && odd.ends_with('…'), "what is odd comes before addresses: {odd}");
    let wide = vmtrace(&["replay", "--width", "250", made.path()]).out;
    let line = wide.lines().find(|line| line.contains("0.002100")).unwrap();
    let end = "← 4096/8192 process_vm_readv  python3[42] 0x7f0000001000, +1023 more \
               \"\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\"… into 0x558100000000 took 4.5µs";
    assert!(line.ends_with(end), "{line}");
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
