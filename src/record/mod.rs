//! `vmtrace record`: from the kernel's hooks to a finished capture.
//!
//! There are four threads. The main thread watches signals and limits. One empties the kernel's rings into the journal
//! ([`journal::drain`]), one makes captures from the journal ([`encode`]), and one syncs the journal to the disk.

mod commands;
mod decode;
mod encode;
mod host;
mod identity;
mod journal;
mod ledger;
mod limits;
mod live;
mod names;
mod options;
mod output;
mod privileges;
mod probes;
pub mod recover;
mod report;
mod session;
mod text;
#[allow(unreachable_pub)]
mod wire;

pub use live::{MakeShow, Show, Shown};
pub use options::{Args, Printed, Watch};

use std::panic::AssertUnwindSafe;

use anyhow::{Result, anyhow};

use crate::schema::manifest::Coverage;
use crate::terminal::{self, status};
use options::Options;
use session::Session;

/// Runs `vmtrace record`; returns the exit status. With `--print` its rows are shown by what `show` makes.
///
/// # Errors
/// One sentence naming the option, file or hook and the remedy.
pub fn run(args: &Args, show: impl FnOnce(Printed) -> MakeShow) -> Result<u8> {
    run_with(!args.command.is_empty(), || Options::check(args), show)
}

/// Runs `vmtrace watch`: a recording of which nothing is left but what `show` prints; returns the exit status.
///
/// # Errors
/// One sentence naming the option or hook and the remedy.
pub fn watch(args: &Watch, show: impl FnOnce(Printed) -> MakeShow) -> Result<u8> {
    run_with(!args.0.command.is_empty(), || Options::check_watch(args), show)
}

fn run_with(
    with_command: bool,
    options: impl FnOnce() -> Result<Options>,
    show: impl FnOnce(Printed) -> MakeShow,
) -> Result<u8> {
    // A panic of the main thread is a failure like any other; its message has been printed.
    let recorded = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let options = options()?;
        record(&options, options.printed.map(show))
    }));
    match recorded.unwrap_or_else(|_| Err(anyhow!("the main thread panicked"))) {
        // Like env(1) and timeout(1): COMMAND's own statuses stay distinguishable from ours.
        Err(error) if with_command => {
            terminal::report(&error);
            Ok(status::RECORDER_FAILED)
        }
        other => other,
    }
}

/// What the hooks see on this system: loads, attaches and tests them as a recording does.
///
/// # Errors
/// Why nothing can be recorded, with the remedy.
pub fn check() -> Result<Coverage> {
    let options = Options::for_check();
    let (mut programs, families) = session::setup::attach(&options)?;
    programs.detach();
    Ok(Coverage { families, gaps: probes::load::gaps(&programs, &options.events) })
}

fn record(options: &Options, show: Option<MakeShow>) -> Result<u8> {
    let mut session = Session::prepare(options, show)?;
    if let Err(refused) = session.start_command() {
        session.discard();
        terminal::report(&refused.error);
        return Ok(refused.status);
    }
    session.give_up_privileges();
    let end = session.watch();
    session.finish(end)
}
