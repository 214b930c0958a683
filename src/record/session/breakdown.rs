//! What a recorder that aborts still does, as Rust does when memory runs out: its status reports that vmtrace failed.

use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result};
use libc::SIGABRT;

use crate::terminal::status;

const WORDS: &str = "vmtrace: the recorder aborted, and recording has ended; `vmtrace recover` makes a capture of what \
                     was recorded until then\n";

static STATUS: AtomicU8 = AtomicU8::new(status::ERROR);

/// What an abort leads to from here on.
///
/// # Errors
/// When the kernel refuses a handler.
pub fn prepare(with_command: bool) -> Result<()> {
    if with_command {
        STATUS.store(status::RECORDER_FAILED, Ordering::Relaxed);
    }
    let report_and_exit = || {
        // SAFETY: the words outlive the process, and both calls are async-signal-safe. Whether somebody reads them does
        // not matter.
        unsafe {
            libc::write(2, WORDS.as_ptr().cast(), WORDS.len());
            libc::_exit(STATUS.load(Ordering::Relaxed).into());
        }
    };
    // SAFETY: see there.
    unsafe { signal_hook::low_level::register(SIGABRT, report_and_exit) }.context("signals cannot be handled")?;
    Ok(())
}
