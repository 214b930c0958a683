//! Captures that were copied out of another file, such as a zip archive.
//!
//! Commands open captures by their name, some of them more than once. A copy has no name on the disk, so that nothing is left of
//! it however the process ends; here it has one, for this process alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

static MEMBERS: Mutex<BTreeMap<PathBuf, File>> = Mutex::new(BTreeMap::new());

/// Calls a file `name` from now on, in the place of an earlier one.
pub fn put(name: PathBuf, file: File) {
    MEMBERS.lock().unwrap_or_else(PoisonError::into_inner).insert(name, file);
}

/// The file that is called `name`, if there is one: opened anew, with a position of its own.
///
/// # Errors
/// When it cannot be opened.
pub fn open(name: &Path) -> Option<io::Result<File>> {
    let members = MEMBERS.lock().unwrap_or_else(PoisonError::into_inner);
    members.get(name).map(reopen)
}

/// Whether a file is called `name`.
pub fn is_there(name: &Path) -> bool {
    MEMBERS.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name)
}

/// The same file with a position of its own.
pub(crate) fn reopen(file: &File) -> io::Result<File> {
    File::open(Path::new("/proc/self/fd").join(file.as_raw_fd().to_string()))
}
