//! A pager, as git uses one: the program in `PAGER`, or less, between the output and the terminal.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, StdoutLock, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::sys::signal::{SigHandler, Signal, signal};

use super::{is_dumb, say_line};

/// What is used without `PAGER`.
const USUAL: &str = "less";
/// What less does without options of its own (LESS): it ends at once if all fits, shows colours, and leaves the text there.
const LESS: &str = "FRX";

/// Output for people: through a pager on a terminal, which starts with the first byte, and otherwise to stdout.
#[derive(Debug)]
pub enum Output {
    /// Nothing has been written.
    Unused,
    /// To a pager.
    Paged(Pager),
    /// To stdout.
    Plain(StdoutLock<'static>),
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if matches!(self, Output::Unused) {
            *self = Pager::start().map_or_else(|| Output::Plain(io::stdout().lock()), Output::Paged);
        }
        match self {
            Output::Unused => Ok(0),
            Output::Paged(pager) => pager.write(bytes),
            Output::Plain(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::Unused => Ok(()),
            Output::Paged(pager) => pager.flush(),
            Output::Plain(stdout) => stdout.flush(),
        }
    }
}

/// A pager that runs. It is waited for where it is dropped.
#[derive(Debug)]
pub struct Pager {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Pager {
    /// Starts one if stdout is a terminal that can move its cursor, and `PAGER` is not empty and not cat.
    fn start() -> Option<Self> {
        if !io::stdout().is_terminal() || is_dumb() {
            return None;
        }
        let named = std::env::var_os("PAGER");
        let mut child = match command(named.as_deref())?.spawn() {
            Ok(child) => child,
            Err(error) => {
                // Nobody asked for less.
                if let Some(named) = named {
                    let named = named.to_string_lossy().into_owned();
                    say_line(format_args!("cannot start the pager {named} (PAGER): {error}; printing without one"));
                }
                return None;
            }
        };
        // ^C is for the pager: it stops a search, for example. Without us it would fight with the shell for the terminal.
        // SAFETY: no handler is installed.
        let _ = unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) };
        let stdin = child.stdin.take();
        Some(Pager { child, stdin })
    }
}

impl Write for Pager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write(bytes)
    }

    /// Fails as a closed pipe does when the pager has ended: a search that finds nothing would not notice it.
    fn flush(&mut self) -> io::Result<()> {
        match self.child.try_wait()? {
            Some(_) => Err(io::ErrorKind::BrokenPipe.into()),
            None => Ok(()),
        }
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        self.stdin = None;
        // A shell says so itself if there is no such program.
        let _ = self.child.wait();
    }
}

/// The command of a pager; `None` where there shall be none.
fn command(named: Option<&OsStr>) -> Option<Command> {
    let named = named.map_or_else(|| OsString::from(USUAL), OsStr::to_os_string);
    if named.is_empty() || named == "cat" {
        return None;
    }
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || b"/._-+".contains(&c) || !c.is_ascii();
    let mut command = if named.as_encoded_bytes().iter().all(|c| is_plain(*c)) {
        Command::new(&named)
    } else {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(&named);
        shell
    };
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", LESS);
    }
    command.stdin(Stdio::piped());
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(named: Option<&str>) -> Vec<String> {
        let Some(command) = command(named.map(OsStr::new)) else { return Vec::new() };
        let all = std::iter::once(command.get_program()).chain(command.get_args());
        all.map(|word| word.to_str().unwrap().to_string()).collect()
    }

    #[test]
    fn a_pager_is_a_program_or_a_line_for_the_shell() {
        assert_eq!(words(None), ["less"]);
        assert_eq!(words(Some("/usr/bin/most")), ["/usr/bin/most"]);
        assert_eq!(words(Some("less -S")), ["sh", "-c", "less -S"]);
        assert_eq!(words(Some("sed 's/a/b/' | less")), ["sh", "-c", "sed 's/a/b/' | less"]);
        for none in ["", "cat"] {
            assert_eq!(words(Some(none)), [""; 0]);
        }
    }
}
