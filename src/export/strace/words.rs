//! Names that strace has for calls, flags, errors and signals.

use std::fmt::{self, Display, Formatter};

use nix::sys::signal;

use crate::schema::{Event, EventKind};
use crate::terminal::escape::Safe;

/// Whether a call takes an array. An event of pipe_read or pipe_write is one that does, or one that takes a buffer: only several ranges
/// show which.
pub(super) fn is_vectored(kind: EventKind, event: &Event<'_>) -> bool {
    matches!(kind, EventKind::PipeRead | EventKind::PipeWrite) && event.liovcnt.is_some_and(|count| count != 1)
}

/// The system call that an event is.
pub(super) fn call(kind: EventKind, event: &Event<'_>) -> &'static str {
    match kind {
        EventKind::PipeRead if is_vectored(kind, event) => "readv",
        EventKind::PipeRead => "read",
        EventKind::PipeWrite if is_vectored(kind, event) => "writev",
        EventKind::PipeWrite => "write",
        EventKind::Pread => "pread64",
        EventKind::Pwrite => "pwrite64",
        // creat is an open with flags of its own. What openat2 takes is in memory, which may be nowhere.
        EventKind::MemOpen if event.dirfd.is_none() => "open",
        EventKind::MemOpen if event.open_resolve.is_some() || event.flags.is_none() => "openat2",
        EventKind::MemOpen => "openat",
        EventKind::UffdCopy | EventKind::UffdMove | EventKind::UffdZeropage | EventKind::UffdPoison => "ioctl",
        kind => kind.name(),
    }
}

/// What is known of a text that should be a name: a forged file has any.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a>(pub &'a str);

impl Display for Word<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Safe(self.0).fmt(f)
    }
}

/// What an error means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// An error that the program got.
    Plain(String),
    /// A code within the kernel (include/linux/errno.h): the call was interrupted by a signal.
    Restart(&'static str),
}

/// The error of a return value, if it is one.
pub(super) fn error(ret: i64) -> Option<Error> {
    let code = ret.checked_neg().filter(|code| (1..=4_095).contains(code)).and_then(|code| i32::try_from(code).ok())?;
    let restart = match code {
        512 => "To be restarted if SA_RESTART is set",
        513 => "To be restarted",
        514 => "To be restarted if no handler",
        516 => "Interrupted by signal",
        _ => {
            let text = std::io::Error::from_raw_os_error(code).to_string();
            // Behind the text the library writes the number.
            let end = text.rfind(" (os error").unwrap_or(text.len());
            return Some(Error::Plain(text.get(..end).unwrap_or_default().to_string()));
        }
    };
    Some(Error::Restart(restart))
}

/// A signal by its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signal(pub i32);

impl Display for Signal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match signal::Signal::try_from(self.0) {
            Ok(signal) => f.write_str(signal.as_str()),
            Err(_) if (32..=64).contains(&self.0) => write!(f, "SIGRT_{}", self.0 - 32),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

/// splice(2), vmsplice(2), tee(2).
pub(super) const SPLICE: &[(u64, &str)] =
    &[(1, "SPLICE_F_MOVE"), (2, "SPLICE_F_NONBLOCK"), (4, "SPLICE_F_MORE"), (8, "SPLICE_F_GIFT")];

/// preadv2(2), pwritev2(2) (include/uapi/linux/fs.h).
pub(super) const READ_WRITE: &[(u64, &str)] =
    &[(1, "RWF_HIPRI"), (2, "RWF_DSYNC"), (4, "RWF_SYNC"), (8, "RWF_NOWAIT"), (0x10, "RWF_APPEND")];

/// openat2(2) (include/uapi/linux/openat2.h).
pub(super) const RESOLVE: &[(u64, &str)] = &[
    (1, "RESOLVE_NO_XDEV"),
    (2, "RESOLVE_NO_MAGICLINKS"),
    (4, "RESOLVE_NO_SYMLINKS"),
    (8, "RESOLVE_BENEATH"),
    (0x10, "RESOLVE_IN_ROOT"),
    (0x20, "RESOLVE_CACHED"),
];

/// Permissions of a file, octal with three digits at least.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mode(pub u64);

impl Display for Mode {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("000"),
            mode => write!(f, "0{mode:o}"),
        }
    }
}

/// PTRACE_SETOPTIONS and PTRACE_SEIZE (ptrace(2)).
pub(super) const TRACE_OPTIONS: &[(u64, &str)] = &[
    (1, "PTRACE_O_TRACESYSGOOD"),
    (2, "PTRACE_O_TRACEFORK"),
    (4, "PTRACE_O_TRACEVFORK"),
    (8, "PTRACE_O_TRACECLONE"),
    (0x10, "PTRACE_O_TRACEEXEC"),
    (0x20, "PTRACE_O_TRACEVFORKDONE"),
    (0x40, "PTRACE_O_TRACEEXIT"),
    (0x80, "PTRACE_O_TRACESECCOMP"),
    (0x10_0000, "PTRACE_O_EXITKILL"),
    (0x20_0000, "PTRACE_O_SUSPEND_SECCOMP"),
];

/// Flags by name, with what has none as a number behind them; 0 where none is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flags(pub u64, pub &'static [(u64, &'static str)]);

impl Display for Flags {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Flags(flags, names) = *self;
        let (mut rest, mut bar) = (flags, "");
        for (bit, name) in names.iter().filter(|(bit, _)| flags & bit != 0) {
            write!(f, "{bar}{name}")?;
            rest &= !bit;
            bar = "|";
        }
        match (rest, bar) {
            (0, "") => f.write_str("0"),
            (0, _) => Ok(()),
            (rest, _) => write!(f, "{bar}{rest:#x}"),
        }
    }
}

/// An address; that of nothing has a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address(pub u64);

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("NULL"),
            address => write!(f, "{address:#x}"),
        }
    }
}
