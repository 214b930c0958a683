//! The form of strace, compared with strace's own output of the same program: tests/export/strace/ has both, and says how they were
//! made.

use super::{root, vmtrace};

/// Descriptors of calls.py.
const DESCRIPTORS: [&str; 6] = ["50", "60", "61", "62", "63", "80"];

/// The calls of a text without what differs from run to run: thread, instant, duration, and process ids.
fn calls(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let (thread, rest) = line.split_once(' ').unwrap();
        let (instant, call) = rest.trim_start().split_once(' ').unwrap();
        let (seconds, micros) = instant.split_once('.').unwrap_or_else(|| panic!("{line}"));
        let is_instant = micros.len() == 6 && seconds.parse::<u64>().is_ok() && micros.parse::<u32>().is_ok();
        assert!(is_instant && thread.parse::<u32>().is_ok(), "{line}");
        // The end of a process, and a signal.
        if call.starts_with(['+', '-']) {
            continue;
        }
        let (name, rest) = call.split_once('(').unwrap_or_else(|| panic!("{line}"));
        let (first, rest) = rest.split_once(',').unwrap_or_else(|| panic!("{line}"));
        let first = if name.starts_with("process_vm_") { "PID" } else { first };
        assert!(first == "PID" || DESCRIPTORS.contains(&first) || name == "splice", "{line}");
        found.push(format!("{name}({first},{}", without_duration(rest)));
    }
    found
}

/// A call without how long it took, if that stands there.
fn without_duration(call: &str) -> &str {
    let Some((call, took)) = call.rsplit_once(" <") else { return call };
    assert!(
        took.strip_suffix('>').and_then(|took| took.split_once('.')).is_some_and(|(_, micros)| micros.len() == 6),
        "{took}"
    );
    call
}

#[test]
fn calls_are_those_that_strace_itself_wrote() {
    let folder = root().join("tests/export/strace");
    let own = std::fs::read_to_string(folder.join("strace.txt")).unwrap();
    let capture = folder.join("calls.parquet");
    let ran = vmtrace(&["export", "-T", "strace", capture.to_str().unwrap(), "-e", "@vm,@pipe,@mem,@madvise,@pidfd"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let (found, wanted) = (calls(ran.text()), calls(&own));
    for (found, wanted) in found.iter().zip(&wanted) {
        assert_eq!(found, wanted);
    }
    assert_eq!(found.len(), wanted.len());
    assert!(found.len() > 25, "{}", found.len());
}
