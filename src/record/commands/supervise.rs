//! One command that runs: what it prints, how long it may take, and that nothing of its process group is left. What has left the
//! group (setsid(2)) goes on.

use std::io::{PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open};

/// Bytes that a command may print.
const MOST_OUTPUT: usize = 1 << 20;
/// Of those, the last that are kept for the message about one that fails.
const KEPT: usize = 400;

const OUTPUT: u64 = 0;
const CHILD: u64 = 1;
const END: u64 = 2;

/// How a command ended, or why it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Itself,
    Late,
    Flood,
    Recording,
}

/// Waits for the end of a command; ends it, with its process group, if it takes longer than `limit`, prints too much, or if
/// `end` becomes readable.
///
/// # Errors
/// When it did not succeed: why, and the last line of what it printed.
pub(super) fn until_it_ends(mut child: Child, mut output: PipeReader, end: &EventFd, limit: Duration) -> Result<()> {
    let mut printed = Printed::default();
    let ending = watch(&child, &mut output, end, limit, &mut printed);
    // Its process group has its number, which nobody else can get before it was waited for.
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
    let status = child.wait().context("it cannot be waited for")?;
    let said = printed.last_line();
    match ending? {
        Ending::Itself if status.success() => Ok(()),
        Ending::Itself => match (status.code(), status.signal()) {
            (Some(code), _) => Err(anyhow!("exit status {code}{said}")),
            (_, signal) => Err(anyhow!("ended by signal {}{said}", signal.unwrap_or_default())),
        },
        Ending::Late => bail!("it ran for more than {} s, and was ended{said}", limit.as_secs()),
        Ending::Flood => bail!("it printed more than {} KiB, and was ended", MOST_OUTPUT >> 10),
        Ending::Recording => bail!("it was ended with the recording{said}"),
    }
}

fn watch(
    child: &Child,
    output: &mut PipeReader,
    end: &EventFd,
    limit: Duration,
    printed: &mut Printed,
) -> Result<Ending> {
    let begin = Instant::now();
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).context("no pid")?;
    let ended = pidfd_open(pid, PidfdFlags::empty()).context("no descriptor of the process (pidfd_open)")?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("no epoll")?;
    for (descriptor, name) in [(output.as_fd(), OUTPUT), (ended.as_fd(), CHILD), (end.as_fd(), END)] {
        epoll.add(descriptor, EpollEvent::new(EpollFlags::EPOLLIN, name)).context("no epoll")?;
    }
    loop {
        let left = limit.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return Ok(Ending::Late);
        }
        let mut events = [EpollEvent::empty(); 3];
        // Rounded up; a signal comes early.
        let timeout = EpollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(EpollTimeout::ZERO);
        let ready = epoll.wait(&mut events, timeout).unwrap_or(0);
        let is = |name| events.iter().take(ready).any(|event| event.data() == name);
        if is(END) {
            return Ok(Ending::Recording);
        }
        if is(OUTPUT) {
            if !printed.read(output) {
                epoll.delete(&*output).context("no epoll")?;
            }
            if printed.bytes > MOST_OUTPUT {
                return Ok(Ending::Flood);
            }
        } else if is(CHILD) {
            return Ok(Ending::Itself);
        }
    }
}

/// What a command printed: how much, and the end of it.
#[derive(Debug, Default)]
struct Printed {
    bytes: usize,
    last: Vec<u8>,
}

impl Printed {
    /// Takes what is there. Whether more can come.
    fn read(&mut self, output: &mut PipeReader) -> bool {
        let mut buffer = [0; 4096];
        let Ok(length @ 1..) = output.read(&mut buffer) else { return false };
        self.bytes = self.bytes.saturating_add(length);
        self.last.extend_from_slice(buffer.get(..length).unwrap_or_default());
        self.last.drain(..self.last.len().saturating_sub(KEPT));
        true
    }

    /// Behind a message.
    fn last_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.last);
        let line = text.lines().rev().find(|line| !line.trim().is_empty());
        line.map_or(String::new(), |line| format!(": {}", line.trim()))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;

    use nix::sys::eventfd::EfdFlags;

    use super::super::lowered::Lowered;
    use super::*;
    use crate::record::session::inherited::Inherited;

    fn run(command: &str, limit: Duration, ended: bool) -> String {
        let lowered = Lowered::new(Inherited::at_start(), None);
        let (child, output) = lowered.start(OsStr::new(command), Path::new("/a b")).unwrap();
        let end = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).unwrap();
        if ended {
            end.write(1).unwrap();
        }
        until_it_ends(child, output, &end, limit).map_or_else(|error| format!("{error:#}"), |()| String::new())
    }

    #[test]
    fn what_fails_says_how_and_its_last_line() {
        let long = Duration::from_secs(1000);
        assert_eq!(run(r#"test "$FILE" = '/a b' && cat"#, long, false), "", "it has its file, and no input");
        assert_eq!(run("echo one; echo two >&2; echo; exit 3", long, false), "exit status 3: two");
        assert_eq!(run("kill -TERM $$", long, false), "ended by signal 15");
        assert_eq!(run("sleep 1000 & exit 1", long, false), "exit status 1", "what is left does not matter");
    }

    #[test]
    fn what_hangs_or_floods_is_ended_with_all_that_it_started() {
        let long = Duration::from_secs(1000);
        let late = run("echo here; sleep 1000 | sleep 1000", Duration::from_millis(300), false);
        assert!(late.starts_with("it ran for more than 0 s, and was ended"), "{late}");
        assert_eq!(run("yes", long, false), "it printed more than 1024 KiB, and was ended");
        assert_eq!(run("sleep 1000", long, true), "it was ended with the recording");
    }
}
