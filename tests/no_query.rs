//! `vmtrace query` in a build without the query engine.
#![cfg(not(feature = "query"))]

use std::process::Command;

#[test]
fn a_build_without_the_engine_says_how_to_get_it() {
    for args in [&["query"][..], &["query", "x.parquet", "SELECT 1"], &["query", "-T", "csv", "--named", "denied"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_vmtrace")).args(args).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{args:?}");
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(err.contains("--features query") && err.lines().count() == 1, "{err}");
    }
}
