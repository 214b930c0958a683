//! Commands of vmtrace, as a command line gives them, within this process.

use clap::Parser;

use crate::oracle::{Output, fail, watched};
use crate::room;

/// The commands that read what strangers made.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
pub enum Command {
    Replay(Box<vmtrace::replay::Args>),
    Info(vmtrace::replay::info::Args),
    Summary(Box<vmtrace::replay::summary::Args>),
    Memory(vmtrace::replay::memory::Args),
    Flows(vmtrace::replay::flows::Args),
    Export(Box<vmtrace::export::command::Args>),
    Slice(Box<vmtrace::derive::slice::Args>),
    Merge(vmtrace::derive::merge::Args),
    Redact(Box<vmtrace::derive::redact::Args>),
    Report(vmtrace::report::Args),
    Bundle(Box<vmtrace::report::bundle::Args>),
    Verify(vmtrace::verify::Args),
    Recover(vmtrace::record::recover::Args),
}

impl Command {
    /// The command of these words. `%` stands for the room.
    pub fn of(words: &str) -> Self {
        let room = room::room().display().to_string();
        let mut words: Vec<String> = words.split(' ').map(|word| word.replace('%', &room).replace('_', " ")).collect();
        // The sandbox would be that of all inputs that follow.
        words.insert(1, "--no-sandbox".into());
        Command::try_parse_from(words).unwrap_or_else(|error| fail(format_args!("{error}")))
    }

    /// Runs it as it is.
    ///
    /// # Errors
    /// The command's.
    pub fn run(&self) -> anyhow::Result<u8> {
        match self {
            Command::Replay(args) => vmtrace::replay::run(args),
            Command::Info(args) => vmtrace::replay::info::run(args),
            Command::Summary(args) => vmtrace::replay::summary::run(args),
            Command::Memory(args) => vmtrace::replay::memory::run(args),
            Command::Flows(args) => vmtrace::replay::flows::run(args),
            Command::Export(args) => vmtrace::export::command::run(args),
            Command::Slice(args) => vmtrace::derive::slice::run(args),
            Command::Merge(args) => vmtrace::derive::merge::run(args),
            Command::Redact(args) => vmtrace::derive::redact::run(args),
            Command::Report(args) => vmtrace::report::run(args),
            Command::Bundle(args) => vmtrace::report::bundle::run(args),
            Command::Verify(args) => vmtrace::verify::run(args),
            Command::Recover(args) => vmtrace::record::recover::run(args),
        }
    }
}

/// A command line, and what it prints.
#[derive(Debug)]
pub struct Line {
    words: &'static str,
    output: Output,
    command: Command,
}

impl Line {
    pub fn new(words: &'static str) -> Self {
        let binary = ["-T pcapng", "-T perfetto"].iter().any(|format| words.contains(format));
        let output = if binary { Output::Binary } else { Output::Text };
        Line { words, output, command: Command::of(words) }
    }

    /// Runs the command as `main` does, and returns its status.
    pub fn run(&self) -> u8 {
        let result = watched(self.words, self.output, || match self.command.run() {
            Ok(status) => Ok(status),
            Err(error) => {
                vmtrace::terminal::report(&error);
                Err(error)
            }
        });
        match result {
            Ok(status) => status,
            Err(error) => {
                // A panic that was caught is said in this way. That it was the library's is known from the hook.
                drop(error);
                2
            }
        }
    }
}
