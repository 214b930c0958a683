//! The command line: options and dispatch.
//!
//! Help, completions and manual pages are generated from the definitions here. The commands are in `record`, `replay` and
//! others; this file only defines the options and maps errors to a status.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::sandbox::descriptors;
use crate::terminal::escape::{SafeLine, SafeMessage};
use crate::terminal::{is_broken_pipe, status};
use crate::{export, replay};

/// Forensic flight recorder for transfers of bytes across address spaces.
#[derive(Debug, Parser)]
#[command(name = "vmtrace", version, about, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Record transfers into a Parquet file
    #[cfg(feature = "record")]
    Record(Box<crate::record::Args>),
    /// Print transfers as they happen, without a file
    #[cfg(feature = "record")]
    Watch(Box<crate::record::Watch>),
    /// Make a capture from what a killed recorder left
    #[cfg(feature = "record")]
    Recover(crate::record::recover::Args),
    /// Print a capture as timelines
    Replay(Box<replay::Args>),
    /// Show what a capture contains and how it was made
    Info(replay::info::Args),
    /// Show who moved what from whom, in sentences and tables
    Summary(Box<replay::summary::Args>),
    /// Show what is known of a process's memory at an instant
    Memory(replay::memory::Args),
    /// Show where bytes came from and went, through pipes and from memory to memory
    Flows(replay::flows::Args),
    /// Write captures in the formats of other programs
    Export(Box<export::command::Args>),
    /// Make a capture of a part of a recording
    Slice(Box<crate::derive::slice::Args>),
    /// Make one capture of the files of a recording, or of slices of a capture
    Merge(crate::derive::merge::Args),
    /// Hide captured bytes, names, numbers and addresses of a capture
    Redact(Box<crate::derive::redact::Args>),
    /// Make a page of a capture that any browser opens
    Report(crate::report::Args),
    /// Put captures, redacted, and all that a reader needs into one zip archive
    Bundle(Box<crate::report::bundle::Args>),
    /// View a capture in the terminal
    #[cfg(feature = "view")]
    View(crate::view::Args),
    /// View a capture in the terminal (not in this build)
    #[cfg(not(feature = "view"))]
    View(LeftOut),
    /// Query captures with SQL
    #[cfg(feature = "query")]
    Query(Box<crate::query::Args>),
    /// Query captures with SQL (not in this build)
    #[cfg(not(feature = "query"))]
    Query(LeftOut),
    /// Start a scheduler or an executor of a cluster that runs queries
    #[cfg(feature = "ballista")]
    Ballista(crate::query::cluster::Args),
    /// Check that captures are what was recorded, and complete
    Verify(crate::verify::Args),
    /// Check whether and how well this system can be recorded
    Check(crate::check::Args),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print the manual page of a command (roff)
    Man(crate::manual::Args),
}

#[derive(Debug, Args)]
struct Completions {
    /// Shell to complete for
    shell: clap_complete::Shell,
}

/// What a command takes that was not built: anything.
#[cfg(not(all(feature = "query", feature = "view")))]
#[derive(Debug, Args)]
struct LeftOut {
    /// Captures, options, SQL
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<std::ffi::OsString>,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// Runs a command line, whose first word is our own name.
pub fn run(words: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => {
            print_usage(&error);
            return ExitCode::from(if error.use_stderr() { status::ERROR } else { status::OK });
        }
    };
    let result = match cli.command {
        #[cfg(feature = "record")]
        Command::Record(args) => crate::record::run(&args, print::show),
        #[cfg(feature = "record")]
        Command::Watch(args) => crate::record::watch(&args, print::show),
        #[cfg(feature = "record")]
        Command::Recover(args) => crate::record::recover::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Info(args) => replay::info::run(&args),
        Command::Summary(args) => replay::summary::run(&args),
        Command::Memory(args) => replay::memory::run(&args),
        Command::Flows(args) => replay::flows::run(&args),
        Command::Export(args) => export::command::run(&args),
        Command::Slice(args) => crate::derive::slice::run(&args),
        Command::Merge(args) => crate::derive::merge::run(&args),
        Command::Redact(args) => crate::derive::redact::run(&args),
        Command::Report(args) => crate::report::run(&args),
        Command::Bundle(args) => crate::report::bundle::run(&args),
        #[cfg(feature = "view")]
        Command::View(args) => crate::view::run(&args),
        #[cfg(not(feature = "view"))]
        Command::View(LeftOut { words: _ }) => Err(left_out("the viewer", "view")),
        #[cfg(feature = "query")]
        Command::Query(args) => crate::query::run(&args),
        #[cfg(not(feature = "query"))]
        Command::Query(LeftOut { words: _ }) => Err(left_out("the query engine", "query")),
        #[cfg(feature = "ballista")]
        Command::Ballista(args) => crate::query::cluster::run(&args),
        Command::Verify(args) => crate::verify::run(&args),
        Command::Check(args) => crate::check::run(&args),
        Command::Completions(args) => completions(args.shell),
        Command::Man(args) => crate::manual::run(&args, definition()).map(|()| status::OK),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) if is_broken_pipe(&error) => ExitCode::from(status::OK),
        Err(error) => {
            descriptors::report(&error);
            ExitCode::from(status::ERROR)
        }
    }
}

/// What is said where a command was not built.
#[cfg(not(all(feature = "query", feature = "view")))]
fn left_out(what: &str, feature: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "this vmtrace was built without {what}: build it with `cargo build`, or with `--features {feature}` beside others"
    )
}

/// Prints what the parser of the command line says: help, or an error in one sentence. It quotes words as they were given: where one
/// is not plain text, the parser gets them all as they may be shown.
fn print_usage(error: &clap::Error) {
    let given: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let shown: Vec<String> = given.iter().map(|word| SafeLine(word).to_string()).collect();
    let again = (shown != given).then(|| Cli::try_parse_from(&shown));
    let error = match &again {
        Some(Err(error)) => error,
        _ => error,
    };
    // A closed pipe is not worth a message.
    let _ = match usage::sentence(error) {
        Some(sentence) => writeln!(std::io::stderr(), "{}", SafeLine(&sentence)),
        None if matches!(again, Some(Ok(_))) => {
            write!(std::io::stderr(), "{}", SafeMessage(&error.render().to_string()))
        }
        // Help and version are no errors and go to stdout.
        None => error.print(),
    };
}

fn completions(shell: clap_complete::Shell) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "vmtrace", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(status::OK)
}

/// The definition of the command line, for what is made from it.
fn definition() -> clap::Command {
    Cli::command()
}

#[cfg(feature = "record")]
mod print;
mod usage;

#[cfg(test)]
mod tests;
