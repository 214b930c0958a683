//! Too few open files: what fails then is not the capture, and the message says so.

use std::process::{Command, Stdio};

use super::{Ran, ran};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/pipe-relay/pipe-relay.parquet");

/// Runs vmtrace where `most` files may be open at once.
fn limited(most: u32, args: &[&str]) -> Ran {
    let script = format!("ulimit -n {most} && exec \"$0\" \"$@\"");
    let limit = ["-c", &script, env!("CARGO_BIN_EXE_vmtrace")];
    ran(&Command::new("sh").args(limit).args(args).stdin(Stdio::null()).output().unwrap())
}

#[test]
fn too_few_open_files_are_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let outputs = ["page.html", "slice.parquet", "redacted.parquet", "merged.parquet", "all.zip"].map(path);
    let [page, slice, redacted, merged, zip] = outputs.each_ref().map(String::as_str);
    let commands: [&[&str]; 12] = [
        &["replay", SAMPLE],
        &["info", SAMPLE],
        &["summary", SAMPLE],
        &["flows", SAMPLE],
        &["memory", "-p", "28183", SAMPLE],
        &["verify", SAMPLE],
        &["export", "-T", "jsonl", SAMPLE],
        &["report", "-o", page, SAMPLE],
        &["slice", "-o", slice, "--since", "0", SAMPLE],
        &["redact", "-o", redacted, SAMPLE],
        &["merge", "-o", merged, SAMPLE],
        &["bundle", "-o", zip, SAMPLE],
    ];
    let mut refused = 0;
    for command in commands {
        // With fewer even the sandbox cannot be entered whole.
        for most in [7, 8, 9, 11, 13, 17] {
            let ran = limited(most, command);
            outputs.iter().for_each(|output| drop(std::fs::remove_file(output)));
            let said = format!("{}{}", ran.out, ran.err);
            assert!(!said.contains("damaged") && !said.contains("ALTERED"), "{command:?} with {most}: {said}");
            if ran.status == 2 {
                refused += 1;
                assert!(
                    said.contains("too many open files: allow more with `ulimit -n 4096`"),
                    "{command:?} {most}: {said}"
                );
                assert!(ran.err.lines().count() <= 1, "{command:?} with {most}: {}", ran.err);
            } else {
                assert!(ran.status <= 1, "{command:?} with {most}: {} {said}", ran.status);
            }
        }
    }
    assert!(refused > 10, "only {refused} limits were too low");
}

/// The limit of a shell is lower than what the system allows.
#[test]
fn what_the_system_allows_is_used() {
    let script = "ulimit -S -n 5 && exec \"$0\" \"$@\"";
    let vmtrace = env!("CARGO_BIN_EXE_vmtrace");
    let output = Command::new("sh").args(["-c", script, vmtrace, "replay", SAMPLE]).output().unwrap();
    assert_eq!(ran(&output).status, 0, "{}", ran(&output).err);
}
