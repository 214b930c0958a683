//! What a command that reads a capture has given up by then: tried by code that runs in it, which builds with debug assertions
//! have for this (src/sandbox/tries.rs).

mod tried;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A capture of an ordinary size.
const SAMPLE: &str = "samples/runner-secrets/runner-secrets.parquet";

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

fn assert_confined(words: &[&str], place: &Path) {
    let output = vmtrace(words, place);
    tried::assert_refused(&output, words);
    // 1 says that nothing was found, 3 that something is lost.
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
    let own = sample(place.path());
    // As a recorder leaves it that is killed before it can give its file the name.
    std::fs::copy(own, place.path().join("left.parquet.partial")).expect("copy");
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
        #[cfg(feature = "record")]
        &["recover", "left.parquet.partial", "-o", "recovered.parquet"],
        #[cfg(feature = "query")]
        &["query", "t.parquet", "SELECT count(*) FROM events"],
        #[cfg(feature = "query")]
        &["query", "t.parquet", "SELECT * FROM events", "-o", "table.parquet"],
    ];
    for words in commands {
        assert_confined(words, place.path());
    }
}

/// What is saved is named later, so it may write anywhere; and read nothing more for that.
#[test]
fn the_viewer_reads_nothing_but_its_file() {
    let place = place();
    sample(place.path());
    // Without a terminal it ends, but not before it has entered.
    let found = tried::came(&vmtrace(&["view", "t.parquet"], place.path()));
    assert_eq!(found.len(), tried::TRIED.len(), "{found:?}");
    for ((what, came), (_, is_of_landlock)) in found.iter().zip(tried::TRIED) {
        // root keeps the capability to write in the directories of others.
        let is_kept = ["write", "capability"].contains(&what.as_str());
        assert!(came != "done" || is_kept || (is_of_landlock && tried::landlock() == 0), "{what}: {came}");
    }
}

/// The same code does all of it where it is let: the test above can fail.
#[test]
fn without_the_sandbox_all_of_it_is_done() {
    let place = place();
    sample(place.path());
    let output = vmtrace(&["info", "--no-sandbox", "t.parquet"], place.path());
    let found = tried::came(&output);
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
    assert!(tried::came(&output).contains(&("capability".into(), "done".into())), "DAC_READ_SEARCH and DAC_OVERRIDE");
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
