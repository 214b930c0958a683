//! What code in a command that reads captures can still do on this kernel, and what `vmtrace check` says of that.

#[path = "../sandbox/tried.rs"]
mod tried;

use crate::harness::{record, vmtrace, work};

#[test]
#[ignore = "needs root and BPF"]
fn code_in_a_reader_is_stopped() {
    let recording = record(&[], &work("readv --count 1"));
    for with in [true, false] {
        let mut command = vmtrace();
        command.arg("info").arg(&recording.path).args((!with).then_some("--no-sandbox"));
        let elsewhere = tempfile::tempdir().expect("temporary directory");
        command.env("VMTRACE_SANDBOX_TRIES", "1").env("HOME", elsewhere.path().join("written"));
        let output = command.output().expect("vmtrace");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        match with {
            true => tried::assert_refused(&output, &["info"]),
            // It can fail.
            false => assert!(tried::came(&output).contains(&("exec".into(), "done".into()))),
        }
    }
    let checked = vmtrace().args(["check", "-T", "json"]).output().expect("vmtrace");
    let report: serde_json::Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    assert_eq!(report["sandbox"]["landlock"].as_i64(), Some(tried::landlock()), "{report}");
    assert_eq!(report["sandbox"]["seccomp"].as_bool(), Some(true), "{report}");
}
