//! Questions that people have, each answered by one command of README.md in at most five lines; and what README.md and
//! docs/runbook.md show, command by command.

use std::path::Path;
use std::process::Command;

use super::vmtrace;

/// Behind the `#` of a command in README.md: the question, and what its answer must contain.
const QUESTIONS: [(&str, &[&str]); 5] = [
    (
        "who accessed whose memory, and how much",
        &[
            "editor[16539] (python3 editor.py) read 160 B of document[16547] in 5 reads",
            "wrote 160 B into document[16547]",
        ],
    ),
    (
        "these 64 bytes before, and who changed them",
        &[
            "4 write by editor[16539]: \"line 0: to edit by read.........\" → \"LINE 0: TO EDIT BY READ.........\"",
            "6 writev by editor[16539]: \"line 1: to edit by readv........\" → \"LINE 1: TO EDIT BY READV........\"",
        ],
    ),
    (
        "where the bytes of this vmsplice ended up",
        &["pipe:406603 → reader[28183] 0x2c6bf5e0+31", "relay[28184] by splice, /tmp/relay.out"],
    ),
    (
        "why the reader got other bytes",
        &[
            "from byte 20 on: vmsplice put pages in, not bytes, and producer[32476] had changed them before they were read",
        ],
    ),
    (
        "which calls failed, and whose",
        &[
            "python3[28213] (fail.py) of uid 65534 tried process_vm_readv on victim[28211] and was denied (EPERM).",
            "python3[28210] (fail.py) tried process_vm_readv on victim[28211] 3 times and failed (EFAULT 2, EINVAL 1).",
            "python3[28210] (fail.py) tried process_vm_readv and failed (ESRCH).",
        ],
    ),
];

#[test]
fn each_is_answered_by_one_command_in_five_lines() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    for (question, wanted) in QUESTIONS {
        let mut lines = readme.lines().filter_map(|line| line.split_once(" # "));
        let found = lines.find(|(command, asked)| command.starts_with("vmtrace ") && asked.trim() == question);
        let (command, _) = found.unwrap_or_else(|| panic!("README.md has no command for: {question}"));
        let words = command.split_whitespace().skip(1).map(|word| match word.strip_prefix("samples/") {
            Some(rest) => format!("{}/samples/{rest}", env!("CARGO_MANIFEST_DIR")),
            None => word.to_string(),
        });
        let words: Vec<String> = words.collect();
        let ran = vmtrace(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{command}");
        assert!((1..=5).contains(&ran.out.lines().count()), "{command}\n{}", ran.out);
        for part in wanted {
            assert!(ran.out.contains(part), "{part:?} is not in the answer to {command}\n{}", ran.out);
        }
    }
}

/// The words of a command as a shell splits them; the documents have no escapes in them.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut quote) = (vec![String::new()], None);
    for c in command.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == ' ' => words.push(String::new()),
            _ => words.last_mut().unwrap().push(c),
        }
    }
    words
}

/// Runs what a document shows behind `# vmtrace `, in `place`, and compares the output. Returns the commands' names.
fn follow(document: &str, place: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(format!("{}/{document}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let blocks = text.split("```\n").filter_map(|block| block.strip_prefix("# vmtrace "));
    let mut shown = Vec::new();
    for (command, output) in blocks.filter_map(|block| block.split_once('\n')) {
        let words = words(command);
        shown.push(words[0].clone());
        if words[0] == "query" && !cfg!(feature = "query") {
            continue;
        }
        let ran = Command::new(env!("CARGO_BIN_EXE_vmtrace")).args(&words).current_dir(place).output().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(matches!(ran.status.code(), Some(0 | 1)), "{document}: {command}: {said}");
        assert_eq!(String::from_utf8(ran.stdout).unwrap(), output, "{document}: {command}: {said}");
    }
    shown
}

#[test]
fn what_readme_shows_of_a_sample_is_what_is_printed() {
    let shown = follow("README.md", Path::new(env!("CARGO_MANIFEST_DIR")));
    assert_eq!(shown, ["summary", "replay", "query", "verify"]);
}

#[test]
fn the_runbook_leads_from_an_alarm_to_evidence() {
    let place = tempfile::tempdir().unwrap();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/runner-secrets/runner-secrets.parquet");
    std::fs::copy(sample, place.path().join("runner-secrets.parquet")).unwrap();
    let shown = follow("docs/runbook.md", place.path());
    let ten = ["verify", "query", "summary", "query", "replay", "memory", "query", "slice", "report", "redact"];
    assert_eq!(shown, ten);
    let made = |name: &str| std::fs::read(place.path().join(name)).unwrap();
    assert!(made("evidence.html").starts_with(b"<!doctype html>"));
    let evidence = place.path().join("evidence.parquet").display().to_string();
    let ran = vmtrace(&["replay", &evidence, "-x", "--where", "bytes > 0"]);
    assert!(ran.out.contains("made-up-01234567"), "{}", ran.out);
    let shared = place.path().join("shared.parquet").display().to_string();
    let ran = vmtrace(&["replay", &shared, "--wide"]);
    assert!(ran.out.contains("pread") && !ran.out.contains("made-up") && !ran.out.contains("13256"), "{}", ran.out);
}
