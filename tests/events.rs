//! Every event has what an event needs, and docs/ADD_AN_EVENT.md names every file in which one stands.
//!
//! That each has a self-test, and that its programs are those of the BPF object, is tested in src/record/probes. That every
//! event is recorded in a test, and compared with what was done, is tested in tests/record/sweep.rs, as root.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use vmtrace::schema::events::{EVENTS, EventKind};

/// Where the guide's example is looked for.
const PLACES: [&str; 6] = ["bpf", "src", "tests", "samples", "examples", "docs"];
/// The most files that a new family of events touches.
const MOST: usize = 14;
/// Events that no sample has, and why.
const IN_NO_SAMPLE: [(EventKind, &str); 1] =
    [(EventKind::Lost, "a sample is recorded on a quiet machine, and loses nothing")];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a directory, relative to the project. What Python leaves behind is none of it.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = directory.read_dir().unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("__pycache__")) {
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path.strip_prefix(root()).unwrap().to_path_buf()),
        }
    }
    found
}

/// The workload reports every call that it makes under the name of its event; recording tests compare the rows with that. A call
/// that is a part of others, such as a read of a pipe, has no name of its own there.
#[test]
fn every_call_is_one_that_the_workload_reports() {
    let sources: Vec<String> = files(&root().join("examples/workload"))
        .iter()
        .map(|path| std::fs::read_to_string(root().join(path)).unwrap())
        .collect();
    for event in EVENTS.iter().filter(|event| event.group.is_of_calls() && event.through.is_empty()) {
        let name = format!("\"{}\"", event.name);
        assert!(sources.iter().any(|source| source.contains(&name)), "examples/workload reports no {name}");
    }
}

/// Names of the events of all captures in samples/.
fn in_samples() -> BTreeSet<String> {
    let captures = files(&root().join("samples")).into_iter().filter(|p| p.extension().is_some_and(|e| e == "parquet"));
    let mut found = BTreeSet::new();
    for capture in captures {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmtrace"));
        let output = command.args(["replay", "-T", "jsonl"]).arg(&capture).current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{}", capture.display());
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            found.insert(row["event"].as_str().unwrap().to_string());
        }
    }
    found
}

#[test]
fn every_event_is_in_a_sample() {
    let found = in_samples();
    for event in EVENTS {
        let reason = IN_NO_SAMPLE.iter().find(|(kind, _)| *kind == event.kind).map(|(_, reason)| reason);
        match (found.contains(event.name), reason) {
            (false, None) => panic!("no capture in samples/ has {}", event.name),
            (true, Some(reason)) => panic!("{} is in samples/, although {reason}", event.name),
            (true, None) | (false, Some(_)) => {}
        }
    }
}

/// Paths in the table under a heading of the guide: what stands in backticks in its first column.
fn listed(guide: &str, heading: &str) -> Vec<String> {
    let section = guide.split("\n## ").find(|section| section.starts_with(heading));
    let rows =
        section.unwrap_or_else(|| panic!("no section {heading:?}")).lines().filter(|line| line.starts_with("| `"));
    let paths: Vec<String> = rows.filter_map(|row| Some(row.split('`').nth(1)?.to_string())).collect();
    assert!(!paths.is_empty(), "no file under {heading:?}");
    paths
}

/// Whether a text names the example event: as a word, or as a part of a name, such as in `TEE_ARGS` and `call_tee`.
fn names_tee(text: &[u8]) -> bool {
    let is_letter = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_alphabetic);
    let at_word = |at: usize, window: &[u8]| {
        window.eq_ignore_ascii_case(b"tee") && !is_letter(at.checked_sub(1)) && !is_letter(Some(at + 3))
    };
    text.windows(3).enumerate().any(|(at, window)| at_word(at, window))
}

/// A pattern is a path in which each `*` stands for anything, also for more folders.
fn matches(pattern: &str, path: &str) -> bool {
    globset::GlobBuilder::new(pattern).literal_separator(false).build().unwrap().compile_matcher().is_match(path)
}

#[test]
fn the_guide_names_every_file_in_which_an_event_stands() {
    let guide = std::fs::read_to_string(root().join("docs/ADD_AN_EVENT.md")).unwrap();
    let touched = listed(&guide, "Files to change");
    let others = [listed(&guide, "Files that commands write"), listed(&guide, "Files with nothing to do")].concat();
    let standing: Vec<String> = PLACES
        .iter()
        .flat_map(|place| files(&root().join(place)))
        // A picture can have the letters by chance.
        .filter(|path| path.extension().is_none_or(|ending| ending != "png"))
        .filter(|path| names_tee(&std::fs::read(root().join(path)).unwrap()))
        .map(|path| path.to_str().unwrap().to_string())
        .collect();
    for path in &standing {
        let is_listed = [&touched, &others].into_iter().flatten().any(|pattern| matches(pattern, path));
        assert!(is_listed, "docs/ADD_AN_EVENT.md does not list {path}, in which tee stands");
    }
    for path in &touched {
        assert!(root().join(path).exists(), "docs/ADD_AN_EVENT.md lists {path}, which is not there");
    }
    for pattern in &others {
        let is_there = standing.iter().any(|path| matches(pattern, path));
        assert!(is_there, "docs/ADD_AN_EVENT.md lists {pattern}, in which tee does not stand");
    }
}

#[test]
fn a_new_family_touches_few_files() {
    let guide = std::fs::read_to_string(root().join("docs/ADD_AN_EVENT.md")).unwrap();
    let files = listed(&guide, "A new family");
    assert!(files.len() <= MOST, "{} files: {files:?}", files.len());
    let different: BTreeSet<_> = files.iter().collect();
    assert_eq!(different.len(), files.len(), "{files:?}");
    // What would not be made for the new family is in the tree.
    for path in files.iter().filter(|path| !path.contains("uffd")) {
        assert!(root().join(path).exists(), "docs/ADD_AN_EVENT.md lists {path}, which is not there");
    }
}
