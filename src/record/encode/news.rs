//! Files that were finished, on their way from the writer thread to the main thread, which says so and runs commands.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::record::session::bell::Bell;

/// A file that was finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Its name.
    pub path: PathBuf,
    /// An event that met the trigger has made it, or is in it.
    pub triggered: bool,
}

/// Files of which the main thread does not know yet. Nobody waits for it.
#[derive(Debug, Default)]
pub struct News {
    files: Mutex<Vec<NewFile>>,
    bell: Arc<Bell>,
}

impl News {
    /// Nothing yet. `bell` wakes the main thread.
    pub fn new(bell: Arc<Bell>) -> Self {
        News { bell, ..News::default() }
    }

    /// A file was finished.
    pub fn add(&self, file: NewFile) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).push(file);
        self.bell.ring();
    }

    /// What came since this was last asked.
    pub fn take(&self) -> Vec<NewFile> {
        std::mem::take(&mut self.files.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
