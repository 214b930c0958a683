//! `vmtrace replay`, `info`, `summary`, `memory`, `view` and `verify` as a user meets them: the program is run on captures made with the
//! project's own writer, and on files that are none.

mod bounds;
mod captures;
#[cfg(not(feature = "record"))]
mod check;
mod damage;
mod descriptors;
mod flows;
mod folding;
mod forged;
mod formats;
mod hostile;
mod info;
mod legend;
mod memory;
mod odd_names;
mod questions;
#[cfg(feature = "record")]
mod recorded;
mod report;
// Tests of the viewer use more of it.
#[cfg_attr(not(feature = "view"), allow(dead_code))]
mod screen;
mod select;
mod stdin;
mod summary;
mod tamper;
mod terminal;
mod text;
mod verify;
#[cfg(feature = "view")]
mod view;
mod width;

use std::process::{Command, Output, Stdio};

/// What one run of the program gave.
struct Ran {
    status: i32,
    out: String,
    err: String,
}

/// Runs vmtrace with `args`, its output to a pipe. The environment has nothing that changes the output.
fn vmtrace(args: &[&str]) -> Ran {
    let output = command(args).output().unwrap();
    ran(&output)
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmtrace"));
    command.args(args).env("TZ", "UTC-1").env_remove("NO_COLOR").env("TERM", "xterm").stdin(Stdio::null());
    command
}

fn ran(output: &Output) -> Ran {
    Ran {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout.clone()).unwrap(),
        err: String::from_utf8(output.stderr.clone()).unwrap(),
    }
}
