//! Options, where the output goes, and what happens when something is wrong.

use std::io::{BufReader, Read};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use super::captures::*;
use super::{BINARY, FORMATS, command, ran, vmtrace};

/// The terminal's end of a new pseudo-terminal; whoever has the other keeps it open.
fn terminal() -> (OwnedFd, OwnedFd) {
    let (mut outer, mut inner) = (-1, -1);
    let none = std::ptr::null_mut();
    // SAFETY: both descriptors are written to locals; name, settings and size are left to the system.
    let status = unsafe { libc::openpty(&mut outer, &mut inner, none, none.cast(), none.cast()) };
    assert_eq!(status, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: openpty(3) made them, and nobody else owns them.
    unsafe { (OwnedFd::from_raw_fd(outer), OwnedFd::from_raw_fd(inner)) }
}

#[test]
fn every_format_is_exported() {
    let made = make(&everything());
    for format in FORMATS {
        let ran = vmtrace(&["export", "-T", format, made.path()]);
        assert_eq!(ran.status, 0, "{format}: {}", ran.err);
        assert!(!ran.out.is_empty(), "{format}");
        assert_eq!(
            std::str::from_utf8(&ran.out).is_err() || ran.out.contains(&0),
            BINARY.contains(&format),
            "{format}"
        );
    }
}

#[test]
fn json_lines_and_csv_are_those_of_replay() {
    let made = make(&everything());
    for format in ["jsonl", "csv"] {
        for select in [&[][..], &["-p", "42"], &["--where", "bytes > 8"], &["-e", "@pipe", "--since", "5.1ms"]] {
            let args = [&["-T", format, made.path()], select].concat();
            let wanted = vmtrace(&[&["replay"][..], &args].concat());
            let found = vmtrace(&[&["export"][..], &args].concat());
            assert_eq!((found.status, found.text()), (wanted.status, wanted.text()), "{args:?}");
        }
    }
}

#[test]
fn an_unknown_format_is_answered_with_those_that_there_are() {
    let ran = vmtrace(&["export", "-T", "xml", "x.parquet"]);
    assert_eq!((ran.status, ran.out.len()), (2, 0));
    assert!(ran.err.contains("invalid value 'xml'"), "{}", ran.err);
    assert!(FORMATS.iter().all(|format| ran.err.contains(format)), "{}", ran.err);
    let ran = vmtrace(&["export", "x.parquet"]);
    assert!(ran.status == 2 && ran.err.contains("--format"), "{}", ran.err);
}

#[test]
fn the_output_may_be_a_file_that_is_not_there() {
    let made = make(&everything());
    for format in FORMATS {
        let path = made.dir.path().join(format);
        let out = path.to_str().unwrap();
        let wanted = vmtrace(&["export", "-T", format, made.path()]);
        let args = ["export", "-T", format, made.path(), "-o", out];
        let ran = vmtrace(&args);
        assert_eq!((ran.status, ran.out.len(), &ran.err), (0, 0, &wanted.err), "{format}");
        assert!(std::fs::read(&path).unwrap() == wanted.out, "{format}: the same as on standard output");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "mine").unwrap();
        let ran = vmtrace(&args);
        let refused = format!("vmtrace: {out} exists: choose another -o, or replace it with --force\n");
        assert_eq!((ran.status, ran.err), (2, refused));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        assert_eq!(vmtrace(&[&args[..], &["--force"]].concat()).status, 0);
        assert!(std::fs::read(&path).unwrap() == wanted.out);
    }
}

#[test]
fn what_is_no_text_does_not_go_to_a_terminal() {
    let made = make(&everything());
    for format in BINARY {
        let (mut outer, inner) = {
            let (outer, inner) = terminal();
            (BufReader::new(std::fs::File::from(outer)), inner)
        };
        let child = command(&["export", "-T", format, made.path()]).stdout(inner).stderr(Stdio::piped()).spawn();
        let output = child.unwrap().wait_with_output().unwrap();
        let wanted = format!(
            "vmtrace: -T {format} is no text, and standard output is a terminal: name a file with -o FILE, or redirect the output\n"
        );
        assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(2), wanted));
        // A terminal that nobody has open any more gives an error, and nothing before it.
        let mut shown = Vec::new();
        let _ = outer.read_to_end(&mut shown);
        assert!(shown.is_empty());
    }
}

#[test]
fn nothing_that_fits_is_said() {
    let made = make(&everything());
    let path = made.dir.path().join("out");
    let out = path.to_str().unwrap();
    let ran = vmtrace(&["export", "-T", "jsonl", made.path(), "-p", "4212", "-o", out]);
    assert_eq!((ran.status, ran.out.len()), (1, 0));
    assert!(
        ran.err.contains("4211") && ran.err.contains(&format!("{out} was not written, as no event matched")),
        "{}",
        ran.err
    );
    assert!(!path.exists());
}

#[test]
fn a_damaged_capture_leaves_no_file() {
    let made = make_with(&manifest(), &[&everything(), &everything()]);
    let mut bytes = std::fs::read(made.path()).unwrap();
    // Within the first row group.
    bytes[400..4000].fill(0xff);
    let damaged = made.dir.path().join("damaged.parquet");
    std::fs::write(&damaged, bytes).unwrap();
    let path = made.dir.path().join("out");
    let ran = vmtrace(&["export", "-T", "strace", damaged.to_str().unwrap(), "-o", path.to_str().unwrap()]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.starts_with(&format!("vmtrace: {}", damaged.display())), "{}", ran.err);
    assert!(ran.err.ends_with("out was not written, as a capture could not be read\n"), "{}", ran.err);
    assert!(!path.exists());
}

#[test]
fn a_capture_may_come_through_a_pipe() {
    let made = make(&everything());
    let wanted = vmtrace(&["export", "-T", "strace", made.path()]);
    let mut child = command(&["export", "-T", "strace", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let bytes = std::fs::read(made.path()).unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &bytes).unwrap();
    let found = ran(&child.wait_with_output().unwrap());
    assert_eq!((found.status, found.text()), (0, wanted.text()));
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let events: Vec<_> = (0..5_000).map(readv).collect();
    let made = make(&events);
    for format in FORMATS {
        let mut child = command(&["export", "-T", format, made.path()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 64];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{format}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let made = make(&[readv(1)]);
    for format in FORMATS {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command(&["export", "-T", format, made.path()]).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{format}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, "vmtrace: No space left on device (os error 28)\n", "{format}");
    }
}

#[test]
fn captures_of_two_boots_have_no_common_clock() {
    let made = make(&[readv(1)]);
    let mut other = manifest();
    other.host.boot_id = "another".into();
    let second = make_with(&other, &[&[readv(1)]]);
    let ran = vmtrace(&["export", "-T", "perfetto", made.path(), second.path()]);
    assert_eq!(ran.status, 2);
    let wanted = format!(
        "vmtrace: {} was recorded on another machine or after another boot: its clock is another; export it alone\n",
        second.path()
    );
    assert_eq!(ran.err, wanted);
    assert_eq!(vmtrace(&["export", "-T", "perfetto", made.path(), made.path()]).status, 0);
    // Nothing is wrong with an output file.
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let ran = vmtrace(&["export", "-T", "perfetto", made.path(), second.path(), "-o", out.to_str().unwrap()]);
    assert!(ran.status == 2 && ran.err.starts_with(wanted.trim_end()) && !out.exists(), "{}", ran.err);
}
