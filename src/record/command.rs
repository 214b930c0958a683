//! The COMMAND being recorded: started so that its first instruction is already seen, never harmed, its exit
//! status passed on.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};

use anyhow::{Result, anyhow};

use crate::cli::status;

/// Why COMMAND could not be started, with the exit status shells use for it.
#[derive(Debug)]
pub struct CannotStart {
    /// 126 or 127.
    pub status: u8,
    /// One sentence.
    pub error: anyhow::Error,
}

/// Starts COMMAND.
///
/// # Errors
/// With 127 where it was not found, 126 where it cannot be executed.
pub fn start(words: &[OsString]) -> Result<Child, CannotStart> {
    let cannot = |status, error| CannotStart { status, error };
    let Some((program, args)) = words.split_first() else {
        return Err(cannot(status::NOT_FOUND, anyhow!("no COMMAND")));
    };
    Command::new(program).args(args).spawn().map_err(|error| {
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
        assert_eq!(start(&["/no/such/program".into()]).unwrap_err().status, 127);
        assert_eq!(start(&["/etc/passwd".into()]).unwrap_err().status, 126);
    }
}
