//! What docs/query.md shows is what the program prints.
//!
//! Each `console` block has commands after `$ `, and under each of them what it prints. `UPDATE_GOLDEN=1 cargo test
//! --test query` writes the outputs anew: read the difference before committing it.

use std::path::Path;
use std::process::Command;

use super::root;

#[test]
fn examples_print_what_the_document_says() {
    let path = root().join("docs/query.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut written = String::new();
    let (mut within, mut run) = (false, 0);
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ").filter(|_| within) {
            written += &format!("{line}\n{}", printed(command));
            run += 1;
            continue;
        }
        within = if within { line != "```" } else { line == "```console" };
        if !within || line == "```console" {
            written += &format!("{line}\n");
        }
    }
    assert!(run >= 10, "only {run} examples");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    for (number, (found, wanted)) in written.lines().zip(text.lines()).enumerate() {
        assert_eq!(found, wanted, "docs/query.md line {}", number + 1);
    }
    assert_eq!(written.lines().count(), text.lines().count());
}

/// Captures can be read with DuckDB alone: the views are in the repository as the program prints them.
#[test]
fn views_for_duckdb_are_those_of_the_program() {
    let path = root().join("docs/views.sql");
    let printed = printed("vmtrace query --print-duckdb-views");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &printed).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), printed);
}

/// What a command of the document prints, by a shell in the project's directory.
fn printed(command: &str) -> String {
    let directory = Path::new(env!("CARGO_BIN_EXE_vmtrace")).parent().unwrap();
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    let output = shell.args(["-c", &format!("{command} 2>&1")]).env("PATH", path).current_dir(root()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
