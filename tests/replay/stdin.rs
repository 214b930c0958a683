//! `-`: a capture on standard input, from a file and through a pipe.

use std::io::Write;
use std::process::{Child, Stdio};

use super::captures::*;
use super::{Ran, command, ran, vmtrace};

/// What `args` give with `bytes` in a pipe as standard input.
fn piped(args: &[&str], bytes: &[u8]) -> Ran {
    let mut command = command(args);
    let child: Child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    feed(child, bytes)
}

fn feed(mut child: Child, bytes: &[u8]) -> Ran {
    // One that fails early reads nothing.
    let _ = child.stdin.take().unwrap().write_all(bytes);
    ran(&child.wait_with_output().unwrap())
}

#[test]
fn a_capture_comes_through_a_pipe_or_as_a_file() {
    let made = make(&everything());
    let bytes = std::fs::read(made.path()).unwrap();
    for words in [&["replay"][..], &["replay", "-T", "jsonl"], &["summary"], &["info"], &["verify"]] {
        let wanted = vmtrace(&[words, &[made.path()]].concat());
        assert!(!wanted.out.is_empty(), "{words:?}");
        let from_pipe = piped(&[words, &["-"]].concat(), &bytes);
        let from_file = {
            let file = std::fs::File::open(made.path()).unwrap();
            ran(&command(&[words, &["-"]].concat()).stdin(file).output().unwrap())
        };
        for found in [from_pipe, from_file] {
            assert_eq!(found.status, wanted.status, "{words:?}: {}", found.err);
            let as_file = found.out.replace("standard input", made.path());
            assert_eq!(lengths_apart(&as_file), lengths_apart(&wanted.out), "{words:?}");
        }
    }
}

/// Text without the spaces that depend on how long a name is.
fn lengths_apart(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn what_is_no_capture_is_refused_by_its_name() {
    let found = piped(&["replay", "-"], b"no capture");
    assert_eq!((found.status, found.out.as_str()), (2, ""));
    assert_eq!(found.err, "vmtrace: standard input is not a Parquet file: not a capture\n");
    let found = piped(&["info", "-"], b"");
    assert_eq!((found.status, found.err.as_str()), (2, "vmtrace: standard input is empty: not a capture\n"));
}

#[test]
fn without_room_for_the_copy_it_says_so() {
    let made = make(&everything());
    let bytes = std::fs::read(made.path()).unwrap();
    let mut command = command(&["info", "-"]);
    command.env("TMPDIR", "/nonexistent").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let found = feed(command.spawn().unwrap(), &bytes);
    let wanted = "vmtrace: standard input: cannot be copied into /nonexistent (No such file or directory (os error 2)): set TMPDIR, or name a file\n";
    assert_eq!((found.status, found.err.as_str()), (2, wanted));
}
