//! A capture on standard input, as `-`.
//!
//! A capture is read from its end, and in pieces. So a stream is copied first, whole, into a file without a name.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::OnceLock;

use super::member;

/// What stands for standard input on a command line. A file of that name is `./-`.
pub const DASH: &str = "-";
/// What messages call it.
pub const NAME: &str = "standard input";

/// Standard input as a file that can be read from anywhere. The same bytes each time: a command may look at a capture twice.
///
/// # Errors
/// When it cannot be read, or there is no space for its bytes. The next call would fail for the same reason.
pub fn open() -> io::Result<File> {
    if io::stdin().is_terminal() {
        return Err(io::Error::other("is a terminal: name a file, or let a program write into a pipe"));
    }
    static FILE: OnceLock<Result<File, (io::ErrorKind, String)>> = OnceLock::new();
    let file = FILE.get_or_init(|| whole(&mut io::stdin().lock()).map_err(|error| (error.kind(), error.to_string())));
    let file = file.as_ref().map_err(|(kind, text)| io::Error::new(*kind, text.clone()))?;
    member::reopen(file)
}

/// The file behind `input`, or a copy of all that it gives.
fn whole(input: &mut (impl io::Read + AsRawFd)) -> io::Result<File> {
    let link = Path::new("/proc/self/fd").join(input.as_raw_fd().to_string());
    // Looked at before it is opened: a pipe would wait for a writer. What may not be opened anew can be copied still.
    if std::fs::metadata(&link).is_ok_and(|found| found.is_file())
        && let Ok(file) = File::open(&link)
    {
        return Ok(file);
    }
    let directory = std::env::temp_dir();
    let explain = |error: io::Error| {
        let text = format!("cannot be copied into {} ({error}): set TMPDIR, or name a file", directory.display());
        io::Error::new(error.kind(), text)
    };
    let mut copy = unnamed(&directory).map_err(explain)?;
    io::copy(input, &mut copy).map_err(explain)?;
    Ok(copy)
}

/// A file without a name, of which nothing is left however this process ends.
///
/// # Errors
/// When `directory` can have none.
pub(crate) fn unnamed(directory: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE).open(directory)
}
