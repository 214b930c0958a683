//! Disk space that is reserved for the end: for what must still be written when the disk is full.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, fallocate};

use crate::output::free_bytes;

/// Bytes that are allocated and belong to no name.
#[derive(Debug)]
pub struct Reserve {
    directory: PathBuf,
    file: Option<File>,
    bytes: u64,
}

impl Reserve {
    /// Nothing yet, of the file system that `directory` is in.
    pub fn beside(directory: &Path) -> Self {
        Reserve { directory: directory.to_path_buf(), file: None, bytes: 0 }
    }

    /// Holds at least `bytes`, as far as the file system lets us: one without O_TMPFILE or fallocate(2) keeps nothing.
    pub fn hold(&mut self, bytes: u64) {
        if self.file.is_some() && self.bytes >= bytes {
            return;
        }
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            options.write(true).mode(0o600).custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC);
            self.file = options.open(&self.directory).ok();
        }
        let Some(file) = &self.file else { return };
        // Twice as much as requested, so that it is not done for each row group; not on a small disk.
        let double = bytes.saturating_mul(2);
        let has_room = free_bytes(&self.directory) / 16 > double;
        for wanted in [if has_room { double } else { bytes }, bytes / 2] {
            let len = i64::try_from(wanted).unwrap_or(i64::MAX);
            if fallocate(file, FallocateFlags::empty(), 0, len).is_ok() {
                self.bytes = wanted;
                return;
            }
        }
    }

    /// Gives the room up.
    pub fn release(&mut self) {
        self.file = None;
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_held_without_a_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::beside(dir.path());
        reserve.hold(4096);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(reserve.bytes >= 4096);
        reserve.release();
        assert_eq!(reserve.bytes, 0);
    }
}
