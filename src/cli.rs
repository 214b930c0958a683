//! The command line: options, dispatch, and exit statuses.
//!
//! Help, completions and the man page are generated from the definitions here. What a command does stands in
//! `record` and `replay`; this file only names the options and maps errors to a status.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::replay;
use crate::terminal::escape::{SafeLine, SafeMessage, Said};

/// Exit statuses, as documented in the README.
pub mod status {
    /// Everything asked for was done.
    pub const OK: u8 = 0;
    /// `replay` found no event that matches, `query` no row.
    pub const NO_MATCH: u8 = 1;
    /// `check`: recording works, but not everything at its best.
    pub const GAPS: u8 = 1;
    /// `verify`: the file is not what was recorded, or contradicts itself.
    pub const ALTERED: u8 = 1;
    /// Bad usage or bad input; nothing was written.
    pub const ERROR: u8 = 2;
    /// The recording is complete but events were lost, as the capture says; `verify`: intact, but not complete.
    pub const LOSS: u8 = 3;
    /// `record -- COMMAND`: vmtrace itself failed.
    pub const RECORDER_FAILED: u8 = 125;
    /// `record -- COMMAND`: COMMAND cannot be executed.
    pub const NOT_EXECUTABLE: u8 = 126;
    /// `record -- COMMAND`: COMMAND was not found.
    pub const NOT_FOUND: u8 = 127;
}

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
    /// Make a capture of what a killed recorder left
    #[cfg(feature = "record")]
    Recover(crate::record::recover::Args),
    /// Print a capture as timelines
    Replay(replay::Args),
    /// Say what a capture holds and how it was made
    Info(replay::info::Args),
    /// Ask captures in SQL
    #[cfg(feature = "query")]
    Query(Box<crate::query::Args>),
    /// Ask captures in SQL (not in this build)
    #[cfg(not(feature = "query"))]
    Query(NoQuery),
    /// Start a part of a cluster that answers queries
    #[cfg(feature = "ballista")]
    Ballista(crate::query::cluster::Args),
    /// Say whether captures are what was recorded, and complete
    Verify(crate::verify::Args),
    /// Say whether and how well this system can be recorded
    Check(crate::check::Args),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print the manual page (roff)
    Man,
}

#[derive(Debug, Args)]
struct Completions {
    /// Shell to complete for
    shell: clap_complete::Shell,
}

/// What `query` takes where it was not built: anything.
#[cfg(not(feature = "query"))]
#[derive(Debug, Args)]
struct NoQuery {
    /// Captures, options, SQL
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<std::ffi::OsString>,
}

/// When to colour terminal output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            print_usage(&error);
            return ExitCode::from(if error.use_stderr() { status::ERROR } else { status::OK });
        }
    };
    let result = match cli.command {
        #[cfg(feature = "record")]
        Command::Record(args) => crate::record::run(&args),
        #[cfg(feature = "record")]
        Command::Recover(args) => crate::record::recover::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Info(args) => replay::info::run(&args),
        #[cfg(feature = "query")]
        Command::Query(args) => crate::query::run(&args),
        #[cfg(not(feature = "query"))]
        Command::Query(NoQuery { words: _ }) => Err(anyhow::anyhow!(
            "this vmtrace was built without the query engine: build it with `cargo build`, or with `--features query` beside others"
        )),
        #[cfg(feature = "ballista")]
        Command::Ballista(args) => crate::query::cluster::run(&args),
        Command::Verify(args) => crate::verify::run(&args),
        Command::Check(args) => crate::check::run(&args),
        Command::Completions(args) => completions(args.shell),
        Command::Man => man(),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) if is_broken_pipe(&error) => ExitCode::from(status::OK),
        Err(error) => {
            report(&error);
            ExitCode::from(status::ERROR)
        }
    }
}

/// Writes an error to stderr. It may quote a capture.
pub(crate) fn report(error: &anyhow::Error) {
    say(&format!("{error:#}"));
}

/// Writes what vmtrace says to stderr, made safe for a terminal. All that is said goes through here.
pub(crate) fn say(text: &str) {
    // Nobody may be listening: eprintln! would panic, and COMMAND's status be lost.
    let _ = writeln!(std::io::stderr(), "{}", Said(text));
}

/// Prints what the parser of the command line says. It quotes words as they were given: where one is not plain text, the
/// parser gets them all as they may be shown.
fn print_usage(error: &clap::Error) {
    let given: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let shown: Vec<String> = given.iter().map(|word| SafeLine(word).to_string()).collect();
    // Help and version are no errors and go to stdout; a closed pipe is not worth a message.
    let _ = match Cli::try_parse_from(&shown) {
        _ if shown == given => error.print(),
        Err(error) => error.print(),
        Ok(_) => write!(std::io::stderr(), "{}", SafeMessage(&error.render().to_string())),
    };
}

/// Whether whoever reads our output has gone.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.into_iter().any(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

fn completions(shell: clap_complete::Shell) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "vmtrace", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(status::OK)
}

fn man() -> anyhow::Result<u8> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    for subcommand in Cli::command().get_subcommands() {
        clap_mangen::Man::new(subcommand.clone()).render(&mut page)?;
    }
    std::io::stdout().write_all(&page)?;
    Ok(status::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
