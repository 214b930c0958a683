//! `--ready-fd`: a descriptor on which a script waits for the recording to begin.

use std::fs::File;
use std::io::Write;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};

/// A descriptor that we got from whoever started us, and close when there is something to be said.
#[derive(Debug)]
pub struct Ready(Mutex<Option<File>>);

impl Ready {
    /// Takes over the descriptor `number`. Not where one of ours can have this number: before any is opened.
    ///
    /// # Errors
    /// When we got no such descriptor.
    pub fn at(number: i32) -> Result<Self> {
        ensure!(number > 2, "--ready-fd {number}: 0, 1 and 2 are the standard streams: name another one, as in 3>FIFO");
        // SAFETY: it is only asked whether it is open; the borrow ends here.
        let is_open = rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) });
        is_open.with_context(|| {
            format!("--ready-fd {number}: there is no such descriptor: open it, as in {number}>FIFO")
        })?;
        // SAFETY: it is open, and it was left to us for this.
        let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
        Ok(Ready(Mutex::new(Some(descriptor.into()))))
    }

    /// Writes a line break, and closes it: COMMAND must not get it.
    pub fn say(&self) {
        let taken = self.0.lock().ok().and_then(|mut file| file.take());
        // Who does not wait any more misses nothing.
        let _ = taken.map(|mut file| file.write_all(b"\n"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::IntoRawFd;

    use super::*;

    #[test]
    fn a_descriptor_gets_a_line_and_is_closed() {
        for number in [-1, 0, 2, i32::MAX] {
            let error = format!("{:#}", Ready::at(number).unwrap_err());
            assert!(error.starts_with(&format!("--ready-fd {number}: ")), "{error}");
        }
        let (mut from, to) = std::io::pipe().unwrap();
        let ready = Ready::at(OwnedFd::from(to).into_raw_fd()).unwrap();
        ready.say();
        ready.say();
        let mut said = String::new();
        from.read_to_string(&mut said).unwrap();
        assert_eq!(said, "\n");
    }
}
