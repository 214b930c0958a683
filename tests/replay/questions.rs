//! Questions that people have, each answered by one command of README.md in at most five lines.

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
            "python3[28213] of uid 65534 tried process_vm_readv on victim[28211] and was denied (EPERM).",
            "python3[28210] tried process_vm_readv on victim[28211] 3 times and failed (EFAULT 2, EINVAL 1).",
            "python3[28210] tried process_vm_readv and failed (ESRCH).",
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
