//! Commands that a build leaves out: each says in one sentence how to get it.
#![cfg(not(all(feature = "query", feature = "view")))]

use std::process::Command;

/// Ends with that sentence, whatever else is asked.
fn assert_says_how_to_get_it(feature: &str, asked: &[&[&str]]) {
    for args in asked {
        let output = Command::new(env!("CARGO_BIN_EXE_vmtrace")).args(*args).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{args:?}");
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(err.contains(&format!("--features {feature}")) && err.lines().count() == 1, "{err}");
    }
}

#[test]
#[cfg(not(feature = "query"))]
fn a_build_without_the_engine_says_how_to_get_it() {
    let asked: [&[&str]; 3] =
        [&["query"], &["query", "x.parquet", "SELECT 1"], &["query", "-T", "csv", "--named", "denied"]];
    assert_says_how_to_get_it("query", &asked);
}

#[test]
#[cfg(not(feature = "view"))]
fn a_build_without_the_viewer_says_how_to_get_it() {
    assert_says_how_to_get_it("view", &[&["view"], &["view", "x.parquet", "--where", "pid = 1"]]);
}
