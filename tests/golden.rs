//! `vmtrace replay` and `vmtrace summary` of every sample equal their golden files, and so do `vmtrace flows` and
//! `vmtrace memory` of some.
//!
//! A sample is a directory in samples/ with `*.parquet`, `replay.txt` and `summary.txt`; captures are printed in order of
//! their names. A line of `memory.txt` that begins with `$ ` is a command, and its output follows.
//! `UPDATE_GOLDEN=1 cargo test --test golden` writes the golden files anew: read the difference before committing it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Samples of which `flows` is compared: those with pipes, and one without.
const FLOWS: [&str; 3] = ["mpi-pair", "pipe-corruption", "pipe-relay"];

fn sorted(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// What a command prints of the captures of `sample`; run within it, so that no path of this machine is in it.
fn printed(verb: &str, sample: &Path) -> Option<String> {
    let captures = sorted(sample).into_iter().filter(|p| p.extension().is_some_and(|e| e == "parquet"));
    let names: Vec<_> = captures.filter_map(|p| p.file_name().map(ToOwned::to_owned)).collect();
    if names.is_empty() {
        return None;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmtrace"));
    let output = command.arg(verb).args(&names).current_dir(sample).output().unwrap();
    // A sample without flows says so on stderr.
    let found_none = verb == "flows" && output.status.code() == Some(1) && output.stdout.is_empty();
    let printed = if found_none { &output.stderr } else { &output.stdout };
    let ended_well = output.status.success() || found_none;
    assert!(ended_well, "{}: {}", sample.display(), String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(printed.clone()).unwrap())
}

/// Compares what was printed with a golden file, or writes that anew.
fn is_golden(golden: &Path, out: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden, out).unwrap();
    }
    let expected = std::fs::read_to_string(golden).unwrap_or_else(|e| panic!("{}: {e}", golden.display()));
    // Line by line: the first difference says more than two pages of text.
    for (number, (got, want)) in out.lines().zip(expected.lines()).enumerate() {
        assert_eq!(got, want, "{} line {}", golden.display(), number + 1);
    }
    assert_eq!(out.lines().count(), expected.lines().count(), "{}", golden.display());
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")
}

fn compare(verb: &str, is_wanted: impl Fn(&str) -> bool) {
    let samples = samples();
    let mut compared = 0;
    for sample in sorted(&samples).into_iter().filter(|p| p.is_dir()) {
        if !sample.file_name().and_then(|name| name.to_str()).is_some_and(&is_wanted) {
            continue;
        }
        let Some(out) = printed(verb, &sample) else { continue };
        is_golden(&sample.join(format!("{verb}.txt")), &out);
        compared += 1;
    }
    assert!(compared > 0, "no sample was compared: {} holds no captures", samples.display());
}

#[test]
fn samples_replay_as_their_golden_files_say() {
    compare("replay", |_| true);
}

#[test]
fn samples_are_summarised_as_their_golden_files_say() {
    compare("summary", |_| true);
}

#[test]
fn flows_of_samples_are_as_their_golden_files_say() {
    compare("flows", |sample| FLOWS.contains(&sample));
}

/// The commands stay as they are; their output is compared.
#[test]
fn memory_of_samples_is_as_their_golden_files_say() {
    let mut compared = 0;
    for golden in sorted(&samples()).into_iter().map(|sample| sample.join("memory.txt")).filter(|file| file.exists()) {
        let text = std::fs::read_to_string(&golden).unwrap();
        let mut out = String::new();
        for line in text.lines().filter(|line| line.starts_with("$ vmtrace memory ")) {
            let mut command = Command::new(env!("CARGO_BIN_EXE_vmtrace"));
            command.args(line.split(' ').skip(2)).current_dir(golden.parent().unwrap());
            let output = command.output().unwrap();
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
            let blank = if out.is_empty() { "" } else { "\n" };
            out += &format!("{blank}{line}\n{}", String::from_utf8(output.stdout).unwrap());
            compared += 1;
        }
        is_golden(&golden, &out);
    }
    assert!(compared > 0, "no sample has a memory.txt");
}
