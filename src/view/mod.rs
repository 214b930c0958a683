//! `vmtrace view`: a viewer of one capture in the terminal.
//!
//! Data flows one way: schema → rows by number (`source`), or jobs over all rows (`job`: `filter`, `find`, `lanes`, `pane`) → state
//! (`app`, `act`) → screen (`draw`). A large capture opens at once: its footer is read, and then the rows that are shown. All captured
//! text passes `terminal::escape` before it gets into a line.

mod act;
mod app;
mod canvas;
mod detail;
mod draw;
mod export;
mod filter;
mod find;
mod group;
mod job;
mod keys;
mod lanes;
mod list;
mod look;
mod matches;
mod pane;
mod prompt;
mod screen;
mod source;
mod sql;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;

use anyhow::{Result, ensure};
use crossterm::event::Event as Input;
use nix::sys::signal::Signal;

use self::app::App;
use self::job::Bell;
use self::look::Look;
use self::source::Source;
use crate::archive;
use crate::sandbox::{Needs, Sandbox};
use crate::schema::expr::Expr;
use crate::schema::limits::AllowLarge;
use crate::schema::stdin;
use crate::terminal::{ColorWhen, is_dumb, status};

/// Options of `vmtrace view`.
#[derive(Debug, clap::Args)]
#[command(after_help = "? lists the keys. Exit status: 0 the viewer was ended, 2 an error.")]
pub struct Args {
    /// Capture to view
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Begin with the events for which EXPR holds, as --where of vmtrace replay takes it; & changes it
    #[arg(long = "where", value_name = "EXPR", value_parser = Expr::parse)]
    condition: Option<Expr>,
    /// Use colours
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: ColorWhen,
    #[command(flatten)]
    large: AllowLarge,
    #[command(flatten)]
    sandbox: Sandbox,
}

/// What the screen waits for.
#[derive(Debug)]
pub enum Message {
    /// A key was pressed, or the size changed.
    Input(Input),
    /// The terminal has gone.
    Gone,
    /// A signal came.
    Signal(Signal),
    /// A job has found something.
    Progress,
}

/// Runs `vmtrace view`; returns the exit status.
///
/// # Errors
/// When stdin or stdout is no terminal, or the capture cannot be read.
pub fn run(args: &Args) -> Result<u8> {
    let name = args.file.display();
    let remedy = || format!("vmtrace replay {name} prints it");
    ensure!(args.file != Path::new(stdin::DASH), "view reads keys from standard input: name a file");
    // Before anything is read: a panic that is caught there must not reach the screen.
    screen::install_hook();
    // What is saved is named later.
    args.sandbox.enter(&Needs::reading([&args.file]).and_writing_anything());
    let source = Source::open(&archive::file(&args.file)?, args.large.limits())?;
    ensure!(std::io::stdout().is_terminal(), "view needs a terminal, and stdout is none: {}", remedy());
    ensure!(std::io::stdin().is_terminal(), "view needs a terminal, and stdin is none: {}", remedy());
    ensure!(!is_dumb(), "view needs a terminal that can move its cursor, and TERM is dumb: {}", remedy());
    let (sender, receiver) = channel();
    // Before any thread begins.
    let signals = screen::watch_signals(sender.clone())?;
    let mut app = App::new(source, Look { color: args.color.on_stdout() }, Bell(Some(sender.clone())));
    if args.condition.is_some() {
        app.set_filter(args.condition.clone());
    }
    screen::run(&mut app, &signals, sender, &receiver)?;
    Ok(status::OK)
}
