//! What code in a reader tries (src/sandbox/tries.rs), and what is to come of it.

use std::process::Output;

/// What is tried, and whether Landlock is what refuses it.
pub const TRIED: [(&str, bool); 15] = [
    ("open", true),
    ("passwd", true),
    ("write", true),
    ("exec", false),
    ("connect", false),
    ("ptrace", false),
    ("process_vm_readv", false),
    ("typing", false),
    ("datagram", false),
    ("mode", false),
    ("signal", false),
    ("bpf", false),
    ("capability", false),
    ("core", false),
    ("thread", true),
];

/// The version of Landlock that this kernel has; 0 without it.
pub fn landlock() -> i64 {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the call takes no attributes (landlock_create_ruleset(2)).
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0, VERSION) }.max(0)
}

/// What came of each try.
pub fn came(output: &Output) -> Vec<(String, String)> {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = |line: &str| line.strip_prefix("vmtrace: tried ")?.split_once(": ").map(|(a, b)| (a.into(), b.into()));
    said.lines().filter_map(line).collect()
}

/// Asserts that all was tried, and all refused that this kernel can refuse.
pub fn assert_refused(output: &Output, words: &[&str]) {
    let found = came(output);
    assert_eq!(found.len(), TRIED.len(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    for ((what, came), (expected, is_of_landlock)) in found.iter().zip(TRIED) {
        assert_eq!(what, expected);
        if is_of_landlock && landlock() == 0 {
            continue;
        }
        assert_ne!(came, "done", "{words:?}: {what}");
    }
}
