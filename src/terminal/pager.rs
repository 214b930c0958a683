//! A pager, as git uses one: the program in `PAGER`, or less, between the output and the terminal.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, StdoutLock, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use anyhow::{Result, ensure};
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

impl Output {
    /// Waits until a pager has ended. Nothing can be written then.
    ///
    /// # Errors
    /// When it failed: it may not have shown what it was given.
    pub fn close(&mut self) -> Result<()> {
        match self {
            Output::Paged(pager) => pager.close(),
            Output::Unused | Output::Plain(_) => Ok(()),
        }
    }
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

/// A pager that runs. It is waited for where it is closed or dropped.
#[derive(Debug)]
pub struct Pager {
    /// Its command, as it was named.
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    /// What ^C did before.
    interrupt: Option<SigHandler>,
}

impl Pager {
    /// Starts one if stdout is a terminal that can move its cursor, and `PAGER` is not empty and not cat.
    fn start() -> Option<Self> {
        if !io::stdout().is_terminal() || is_dumb() {
            return None;
        }
        let named = std::env::var_os("PAGER");
        let command = command(named.as_deref())?;
        // Nobody asked for less.
        let name = named.as_deref().map(|named| named.to_string_lossy().into_owned());
        match Pager::run(command, name.clone().unwrap_or_else(|| USUAL.into())) {
            Ok(pager) => Some(pager),
            Err(error) => {
                if let Some(name) = name {
                    say_line(format_args!("cannot start the pager {name} (PAGER): {error}; printing without one"));
                }
                None
            }
        }
    }

    fn run(mut command: Command, name: String) -> io::Result<Self> {
        let mut child = command.spawn()?;
        // ^C is for the pager: it stops a search, for example. Without us it would fight with the shell for the terminal.
        // SAFETY: no handler is installed.
        let interrupt = unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) }.ok();
        let stdin = child.stdin.take();
        Ok(Pager { name, child, stdin, interrupt })
    }

    /// Waits until it has ended. ^C is for us again.
    fn close(&mut self) -> Result<()> {
        self.stdin = None;
        let ended = self.child.wait();
        if let Some(interrupt) = self.interrupt.take() {
            // SAFETY: it is what was set before.
            let _ = unsafe { signal(Signal::SIGINT, interrupt) };
        }
        let status = ended?;
        ensure!(
            status.success() || was_interrupted(status),
            "the pager {} (PAGER) failed ({status}): it may not have shown everything; --no-pager prints without one",
            self.name
        );
        Ok(())
    }
}

/// Whether the user ended it with ^C, or a shell says so.
fn was_interrupted(status: ExitStatus) -> bool {
    let signal = Signal::SIGINT as i32;
    status.signal() == Some(signal) || status.code() == Some(128 + signal)
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
        let _ = self.close();
    }
}

/// The command of a pager; `None` where there shall be none.
fn command(named: Option<&OsStr>) -> Option<Command> {
    let named = named.map_or_else(|| OsString::from(USUAL), OsStr::to_os_string);
    let is_blank = named.as_encoded_bytes().iter().all(u8::is_ascii_whitespace);
    if is_blank || named == "cat" {
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

    /// A pager with these arguments of a shell.
    fn run(line: &str) -> Pager {
        let mut sh = Command::new("sh");
        sh.args(["-c", line]).stdin(Stdio::piped());
        Pager::run(sh, line.into()).unwrap()
    }

    /// One test, since ^C is one for the whole process.
    #[test]
    fn a_pager_has_the_terminal_until_it_ends() {
        // SAFETY: no handler is installed.
        let now = |handler| unsafe { signal(Signal::SIGINT, handler) }.unwrap();
        now(SigHandler::SigDfl);
        for end in [|mut pager: Pager| drop(pager.close()), drop] {
            let pager = run("cat >&2");
            assert!(matches!(now(SigHandler::SigIgn), SigHandler::SigIgn), "^C is for the pager");
            end(pager);
            assert!(matches!(now(SigHandler::SigDfl), SigHandler::SigDfl), "^C is for us again");
        }
        for (line, failed) in [("exit 3", true), ("kill -TERM $$", true), ("kill -INT $$", false), ("exit 130", false)]
        {
            assert_eq!(run(line).close().is_err(), failed, "{line}");
        }
        let error = run("exit 3").close().unwrap_err().to_string();
        assert!(error.starts_with("the pager exit 3 (PAGER) failed (exit status: 3): "), "{error}");
    }

    #[test]
    fn a_pager_is_a_program_or_a_line_for_the_shell() {
        assert_eq!(words(None), ["less"]);
        assert_eq!(words(Some("/usr/bin/most")), ["/usr/bin/most"]);
        assert_eq!(words(Some("less -S")), ["sh", "-c", "less -S"]);
        assert_eq!(words(Some("sed 's/a/b/' | less")), ["sh", "-c", "sed 's/a/b/' | less"]);
        for none in ["", " ", " \t", "cat"] {
            assert_eq!(words(Some(none)), [""; 0]);
        }
    }
}
