//! What a command that reads a capture has given up by then: tried by code that runs in it, which builds with debug assertions
//! have for this (src/sandbox/tries.rs).

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A capture of an ordinary size.
const SAMPLE: &str = "samples/runner-secrets/runner-secrets.parquet";

/// What is tried, and whether Landlock is what refuses it.
const TRIED: [(&str, bool); 15] = [
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
fn landlock() -> i64 {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the call takes no attributes (landlock_create_ruleset(2)).
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0, VERSION) }.max(0)
}

/// A directory outside that of temporary files, into which some commands may write.
fn place() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("temporary directory")
}

fn vmtrace(words: &[&str], place: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmtrace"));
    let elsewhere = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("temporary directory");
    command
        .args(words)
        .current_dir(place)
        .env("VMTRACE_SANDBOX_TRIES", "1")
        .env("HOME", elsewhere.path().join("written"));
    command.output().expect("vmtrace")
}

/// What came of each try.
fn tried(output: &Output) -> Vec<(String, String)> {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = |line: &str| line.strip_prefix("vmtrace: tried ")?.split_once(": ").map(|(a, b)| (a.into(), b.into()));
    said.lines().filter_map(line).collect()
}

fn assert_confined(words: &[&str], place: &Path) {
    let output = vmtrace(words, place);
    let found = tried(&output);
    assert_eq!(found.len(), TRIED.len(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    for ((what, came), (expected, is_of_landlock)) in found.iter().zip(TRIED) {
        assert_eq!(what, expected);
        if is_of_landlock && landlock() == 0 {
            continue;
        }
        assert_ne!(came, "done", "{words:?}: {what}");
    }
    // 1 says that nothing was found.
    assert_ne!(output.status.code(), Some(2), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The capture under a name of its own.
fn sample(place: &Path) -> PathBuf {
    let own = place.join("t.parquet");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(SAMPLE), &own).expect("copy");
    own
}

#[test]
fn every_reading_command_has_given_up_the_rest() {
    let place = place();
    sample(place.path());
    let commands: &[&[&str]] = &[
        &["replay", "t.parquet"],
        &["info", "t.parquet"],
        &["summary", "t.parquet"],
        &["memory", "-p", "13256", "t.parquet"],
        &["flows", "t.parquet"],
        &["export", "t.parquet", "-T", "jsonl"],
        &["export", "t.parquet", "-T", "pcapng", "-o", "out.pcapng"],
        &["verify", "t.parquet"],
        &["slice", "t.parquet", "-o", "slice.parquet"],
        &["merge", "slice.parquet", "-o", "merged.parquet"],
        &["redact", "t.parquet", "-o", "redacted.parquet", "--map", "map.json"],
        &["report", "t.parquet", "-o", "report.html"],
        &["bundle", "t.parquet", "-o", "bundle.zip"],
        &["bundle", "--check", "bundle.zip"],
        &["summary", "bundle.zip"],
        &["flows", "t.parquet", "-T", "parquet", "-o", "flows.parquet"],
        #[cfg(feature = "query")]
        &["query", "t.parquet", "SELECT count(*) FROM events"],
        #[cfg(feature = "query")]
        &["query", "t.parquet", "SELECT * FROM events", "-o", "table.parquet"],
    ];
    for words in commands {
        assert_confined(words, place.path());
    }
}

/// The same code does all of it where it is let: the test above can fail.
#[test]
fn without_the_sandbox_all_of_it_is_done() {
    let place = place();
    sample(place.path());
    let output = vmtrace(&["info", "--no-sandbox", "t.parquet"], place.path());
    let found = tried(&output);
    for what in ["passwd", "write", "exec"] {
        assert!(found.contains(&(what.to_string(), "done".to_string())), "{what}: {found:?}");
    }
}

/// A file that only capabilities can open is read all the same; that one is kept then.
#[test]
#[ignore = "needs root"]
fn root_reads_the_files_of_others() {
    let place = place();
    let own = sample(place.path());
    let chown = |path: &Path| std::os::unix::fs::chown(path, Some(65_534), Some(65_534)).expect("chown");
    std::fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("chmod");
    chown(&own);
    chown(place.path());
    let output = vmtrace(&["slice", "t.parquet", "-o", "out.parquet"], place.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(tried(&output).contains(&("capability".into(), "done".into())), "DAC_READ_SEARCH and DAC_OVERRIDE");
    assert!(place.path().join("out.parquet").exists());
}

/// What a command is not given it cannot open, even if it is named later.
#[test]
fn a_file_that_is_missing_is_said_to_be_missing() {
    let place = place();
    let output = vmtrace(&["info", "none.parquet"], place.path());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("cannot open none.parquet: No such file"), "{said}");
    assert_eq!(output.status.code(), Some(2));
}
