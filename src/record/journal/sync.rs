//! The thread that syncs the journal to the disk, so that even a power failure loses little. It removes files once the
//! capture that contains their rows is synced, too. It sleeps while nothing arrives.

use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

use super::append::Journal;
use crate::output::{Output, sync_entries};
use crate::record::privileges;

/// The syncing thread.
#[derive(Debug)]
pub struct Syncer(JoinHandle<()>);

impl Syncer {
    /// Syncs what `journal` got, at most once every `interval`; it is beside `output`, if anything is written.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(journal: Journal, interval: Duration, output: Option<Output>) -> Result<Self> {
        let run = move || {
            let removes = || output.as_ref().is_none_or(Output::can_publish);
            privileges::keep_only(privileges::needed_for(&[(&removes, privileges::PUBLISH)]));
            while !round(&journal) {
                journal.pause(interval);
            }
        };
        let thread = std::thread::Builder::new().name("vmtrace-sync".into()).spawn(run);
        thread.map(Syncer).context("a thread cannot be started")
    }

    /// Waits for its end, which follows that of the journal.
    pub fn join(self) {
        let _ = self.0.join();
    }
}

/// Syncs what came, and removes what is not needed any more. Whether that was the last of it.
fn round(journal: &Journal) -> bool {
    // If there is no next file, the last one grows on.
    let new = journal.prepare().unwrap_or(false);
    let work = journal.work();
    if new {
        sync_entries(journal.directory());
    }
    for file in &work.files {
        // A file that cannot be synced can still be read as long as the machine runs.
        let _ = file.sync_data();
    }
    if let Some((from, capture)) = work.release
        && capture.sync_data().is_ok()
    {
        journal.remove_before(from);
    }
    work.closed
}
