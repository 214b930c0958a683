//! `vmtrace slice` and `vmtrace merge` as a user meets them: every sample is cut and put together again, and captures are made with the
//! project's own writer for what no sample has.

mod bad_input;
// Other tests use more of it.
#[allow(dead_code)]
#[path = "../replay/captures.rs"]
mod captures;
mod damage;
mod derived;
mod groups;
mod host_losses;
mod hostile;
mod hosts;
mod merge;
mod samples;
mod segments;
mod strangers;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What one run of the program gave.
struct Ran {
    status: i32,
    out: String,
    err: String,
}

/// Runs vmtrace with `args`.
fn vmtrace(args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmtrace"));
    let output = command.args(args).env("TZ", "UTC").stdin(Stdio::null()).output().unwrap();
    Ran {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The same, which must succeed and say nothing but what was made.
fn made(args: &[&str]) -> Ran {
    let ran = vmtrace(args);
    assert_eq!(ran.status, 0, "{args:?}: {}", ran.err);
    assert!(ran.out.is_empty() && ran.err.contains(", root digest "), "{args:?}: {}", ran.err);
    ran
}

/// A place for captures.
struct Dir(TempDir);

impl Dir {
    fn new() -> Self {
        Dir(tempfile::tempdir().unwrap())
    }

    /// The path of a file in it.
    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_string()
    }

    /// The names of what is in it.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().to_str().unwrap().to_string()).collect();
        names.sort();
        names
    }
}

/// The captures of all samples.
fn samples() -> Vec<PathBuf> {
    let dirs = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")).unwrap();
    let dirs = dirs.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let files = dirs.flat_map(|dir| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()));
    let mut captures: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "parquet")).collect();
    captures.sort();
    assert!(captures.len() >= 9, "{captures:?}");
    captures
}

/// The rows of a capture that `select` selects, one JSON text each.
fn rows(capture: &str, select: &[&str]) -> Vec<String> {
    let args = [&["replay", "-T", "jsonl", capture], select].concat();
    let ran = vmtrace(&args);
    assert!(ran.status <= 1, "{args:?}: {}", ran.err);
    ran.out.lines().map(ToString::to_string).collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// What `info` says of a capture.
fn info(capture: &str) -> Value {
    let ran = vmtrace(&["info", "-T", "json", capture]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    json(ran.out.trim())
}

/// Status and findings of `verify`, as `kind: text`.
fn verdict(capture: &str) -> (i32, Vec<String>) {
    let ran = vmtrace(&["verify", "-T", "json", capture]);
    let report = json(ran.out.trim());
    let said =
        |finding: &Value| format!("{}: {}", finding["kind"].as_str().unwrap(), finding["text"].as_str().unwrap());
    (ran.status, report["findings"].as_array().unwrap().iter().map(said).collect())
}

/// A derived capture is whole: `verify` ends with `wanted`, as for its source; its ledger balances, and counts its rows.
fn check_whole(derived: &str, wanted: i32) {
    let (status, findings) = verdict(derived);
    assert_eq!(status, wanted, "{derived}: {findings:?}");
    let facts = info(derived);
    assert_eq!([&facts["balances"], &facts["rows_match_ledger"]], [true, true], "{derived}");
    assert_eq!(facts["problems"], json("[]"));
}
