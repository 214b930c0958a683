//! The recorded COMMAND. It is started as a shell would start it, so that its first instruction is already recorded. It
//! is never killed, and its exit status is passed on.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;

use anyhow::{Result, anyhow};
use nix::sys::signal::raise;

use crate::record::session::inherited::Inherited;
use crate::record::session::signals::Signals;
use crate::terminal::status;

/// Why COMMAND could not be started, with the exit status shells use for it.
#[derive(Debug)]
pub struct CannotStart {
    /// 126 or 127.
    pub status: u8,
    /// One sentence.
    pub error: anyhow::Error,
}

/// Starts COMMAND with what vmtrace was started with. A signal that came to `signals` before COMMAND could have it is
/// handed on.
///
/// # Errors
/// With 127 where it was not found, 126 where it cannot be executed.
pub fn start(words: &[OsString], inherited: &Inherited, signals: &Arc<Signals>) -> Result<Child, CannotStart> {
    let cannot = |status, error| CannotStart { status, error };
    let Some((program, args)) = words.split_first() else {
        return Err(cannot(status::NOT_FOUND, anyhow!("no COMMAND")));
    };
    let mut command = Command::new(program);
    command.args(args);
    let (inherited, signals) = (inherited.clone(), signals.clone());
    // Last before exec, since std resets SIGPIPE and the signal mask. It also keeps std from posix_spawn(3), which makes
    // COMMAND ignore signals 32 and 33.
    let restore = move || {
        inherited.restore()?;
        let interrupted = (signals.interrupts() > 0).then_some(libc::SIGINT);
        if let Some(signal) = signals.pending().or(interrupted).and_then(|signal| signal.try_into().ok()) {
            raise(signal)?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec `restore` makes system calls and loads atomics, which is async-signal-safe.
    unsafe { command.pre_exec(restore) };
    command.spawn().map_err(|error| {
        let name = program.to_string_lossy();
        match error.kind() {
            ErrorKind::NotFound => cannot(status::NOT_FOUND, anyhow!("COMMAND not found: {name:?}")),
            _ => cannot(status::NOT_EXECUTABLE, anyhow!("COMMAND cannot be executed: {name:?}: {error}")),
        }
    })
}

/// The status a shell would give: the exit code, or 128 and the signal's number.
pub fn shell_status(ended: ExitStatus) -> u8 {
    let code = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal));
    code.and_then(|c| u8::try_from(c).ok()).unwrap_or(status::RECORDER_FAILED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_a_shell() {
        assert_eq!(shell_status(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(shell_status(ExitStatus::from_raw(9)), 137);
        let start = |program: &str| start(&[program.into()], &Inherited::at_start(), &Arc::default());
        assert_eq!(start("/no/such/program").unwrap_err().status, 127);
        assert_eq!(start("/etc/passwd").unwrap_err().status, 126);
    }
}
