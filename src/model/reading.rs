//! Reading a capture batch by batch, with a thread to decode.

use anyhow::{Context, Result};

use crate::schema::EventBatch;
use crate::schema::reader::{Capture, Scan};

/// Gives `take` one batch of events after another, until it fails. One is decoded while one is taken: a batch may be large.
///
/// # Errors
/// When the capture cannot be read, and those of `take`.
pub fn each(capture: &Capture, scan: &Scan, mut take: impl FnMut(&EventBatch) -> Result<()>) -> Result<()> {
    let batches = capture.scan(scan)?;
    std::thread::scope(|scope| {
        // The thread ends with the receiver.
        let (send, taken) = std::sync::mpsc::sync_channel(0);
        let decode = move || batches.into_iter().map_while(|batch| send.send(batch).ok()).for_each(drop);
        std::thread::Builder::new().spawn_scoped(scope, decode).context("cannot start a thread to decode with")?;
        for batch in taken {
            take(&batch?)?;
        }
        Ok(())
    })
}
