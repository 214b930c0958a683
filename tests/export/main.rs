//! `vmtrace export` as a user meets it. What other programs make of its output is in check.py, which scripts/test runs.

#[allow(dead_code)] // Shared with the tests of replay, which use more of it.
#[path = "../replay/captures.rs"]
mod captures;
mod command;
mod docs;
mod golden;
mod strace;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Every format.
pub const FORMATS: [&str; 8] = ["jsonl", "csv", "strace", "perfetto", "ecs", "ocsf", "timesketch", "pcapng"];
/// Those that are no text.
pub const BINARY: [&str; 2] = ["perfetto", "pcapng"];

/// What one run of the program gave.
struct Ran {
    status: i32,
    out: Vec<u8>,
    err: String,
}

impl Ran {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmtrace"));
    command.args(args).env("TZ", "UTC-1").stdin(Stdio::null());
    command
}

fn ran(output: &Output) -> Ran {
    Ran {
        status: output.status.code().unwrap_or(-1),
        out: output.stdout.clone(),
        err: String::from_utf8(output.stderr.clone()).unwrap(),
    }
}

/// Runs vmtrace with `args`, its output to a pipe.
fn vmtrace(args: &[&str]) -> Ran {
    ran(&command(args).output().unwrap())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The captures of samples, in order of their names.
fn samples() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(root().join("samples")).unwrap().map(|entry| entry.unwrap().path());
    let named = folders.filter_map(|folder| Some(folder.join(folder.file_name()?).with_extension("parquet")));
    let mut found: Vec<PathBuf> = named.filter(|path| path.is_file()).collect();
    found.sort();
    assert!(found.len() > 5, "{found:?}");
    found
}
