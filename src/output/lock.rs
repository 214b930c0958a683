//! The lock on an unfinished file (flock(2)). Its writer holds it from creation until the file has its name. The lock
//! ends with the process, however that ends, so it distinguishes a file that is being written from one that was left
//! behind.

use std::fmt::{self, Display, Formatter};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use super::{identity, is_named};

/// How often, and how long apart, the lock of a new file is tried: somebody may be looking whether there is one.
const TRIES: u32 = 250;
const PAUSE: Duration = Duration::from_millis(2);

/// Who has locked a file, as far as that can be seen from here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// Its process id; none where it is in another pid namespace or on another machine.
    pub pid: Option<u32>,
    /// It reads, and others may do so, too.
    reads: bool,
}

impl Display for Holder {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.reads { "read by " } else { "written by " })?;
        match self.pid {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

/// What is at the name of an unfinished file.
#[derive(Debug)]
pub enum Left {
    /// Nothing, or no longer what was there when we began to look.
    Gone,
    /// A file in use.
    Held(Holder),
    /// A file of nobody's; it is locked for as long as this lives.
    Free(File),
    /// A file on a file system without locks.
    Unknown,
}

/// Looks at the file `path` and locks it if nobody has: exclusively, or so that others can look, too.
///
/// # Errors
/// When it cannot be opened.
pub fn look(path: &Path, exclusive: bool) -> io::Result<Left> {
    let open = |write: bool| {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        OpenOptions::new().read(!write).write(write).custom_flags(flags).open(path)
    };
    // An exclusive lock on a network file system takes a file that is open for writing, a shared one that is open for reading. But who
    // may do one of the two need not have the right to the other.
    let opened = open(exclusive).or_else(|_| open(!exclusive));
    let file = match opened {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Left::Gone),
        opened => opened?,
    };
    let operation = if exclusive { libc::LOCK_EX } else { libc::LOCK_SH };
    Ok(match try_lock(&file, operation) {
        Ok(true) if is_named(path, identity(&file.metadata()?)) => Left::Free(file),
        Ok(true) => Left::Gone,
        Ok(false) => Left::Held(holder(&file)),
        Err(_) => Left::Unknown,
    })
}

/// Locks a file that was just created as `path`. Whether it still has that name.
///
/// # Errors
/// When the file cannot be looked at.
pub(super) fn take(file: &File, path: &Path) -> io::Result<bool> {
    let own = identity(&file.metadata()?);
    for _ in 0..TRIES {
        match try_lock(file, libc::LOCK_EX) {
            Ok(false) => std::thread::sleep(PAUSE),
            // Where there are no locks, exclusive creation must do.
            Ok(true) | Err(_) => return Ok(is_named(path, own)),
        }
    }
    Ok(false)
}

/// Locks a file of ours that goes with an output, where the file system can.
pub fn claim(file: &File) {
    let _ = try_lock(file, libc::LOCK_EX);
}

/// Locks a file that is to be read, for as long as it is open, so that nobody replaces it meanwhile.
///
/// # Errors
/// Who writes it.
pub fn share(file: &File) -> Result<(), Holder> {
    match try_lock(file, libc::LOCK_SH) {
        Ok(false) => Err(holder(file)),
        Ok(true) | Err(_) => Ok(()),
    }
}

/// Whether the lock was to be had.
fn try_lock(file: &File, operation: i32) -> io::Result<bool> {
    loop {
        // SAFETY: plain numbers; the descriptor is the file's.
        if unsafe { libc::flock(file.as_raw_fd(), operation | libc::LOCK_NB) } == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            ErrorKind::Interrupted => continue,
            ErrorKind::WouldBlock => return Ok(false),
            _ => return Err(error),
        }
    }
}

/// A line of /proc/locks (proc(5)) about a lock of our kind.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    pid: u32,
    reads: bool,
    device: u64,
    inode: u64,
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace().skip(1);
        if (words.next()?, words.next()?) != ("FLOCK", "ADVISORY") {
            return None;
        }
        let reads = words.next()? == "READ";
        let pid = words.next()?.parse().ok()?;
        let mut place = words.next()?.split(':');
        let mut hex = || u32::from_str_radix(place.next()?, 16).ok();
        let device = libc::makedev(hex()?, hex()?);
        Some(Line { pid, reads, device, inode: place.next()?.parse().ok()? })
    }
}

/// Who has locked the file.
fn holder(file: &File) -> Holder {
    let Ok(own) = file.metadata() else { return Holder::default() };
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let of_file = |line: &Line| line.inode == own.ino() && (line.device == own.dev() || has_open(line.pid, &own));
    let line = locks.lines().filter_map(Line::parse).find(of_file);
    line.map_or(Holder::default(), |line| Holder { pid: Some(line.pid), reads: line.reads })
}

/// Whether a process has the file open. Some file systems (btrfs) show another device in /proc/locks than in stat(2).
fn has_open(pid: u32, file: &Metadata) -> bool {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut opened = entries.filter_map(|entry| std::fs::metadata(entry.path()).ok());
    opened.any(|opened| identity(&opened) == identity(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_locks_are_passed_over() {
        let line = Line::parse("2: FLOCK  ADVISORY  WRITE 4711 fe:0a:131085 0 EOF");
        let wanted = Line { pid: 4711, reads: false, device: libc::makedev(0xfe, 0x0a), inode: 131_085 };
        assert_eq!(line, Some(wanted));
        for other in [
            "",
            "1: POSIX  ADVISORY  WRITE 4711 fe:0a:131085 0 EOF",
            "2: -> FLOCK  ADVISORY  WRITE 4712 fe:0a:131085 0 EOF",
            "3: FLOCK  ADVISORY  READ 0",
            "4: OFDLCK ADVISORY  WRITE -1 fe:0a:131085 0 EOF",
        ] {
            assert_eq!(Line::parse(other), None, "{other}");
        }
    }
}
