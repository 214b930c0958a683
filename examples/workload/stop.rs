//! SIGTERM ends loops, not the process: what they did is still reported.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};

static REQUESTED: AtomicBool = AtomicBool::new(false);

extern "C" fn request(_: libc::c_int) {
    REQUESTED.store(true, Ordering::Relaxed);
}

/// Whether loops shall end.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// As long as it lives, SIGTERM asks loops to end.
#[derive(Debug)]
pub struct OnTerm {
    before: libc::sigaction,
}

impl OnTerm {
    /// Installs the handler.
    pub fn new() -> Result<Self> {
        // SAFETY: a zeroed sigaction is valid; the handler does nothing but store a flag.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = request as *const () as libc::sighandler_t;
            action.sa_flags = libc::SA_RESTART;
            let mut before = std::mem::zeroed();
            ensure!(libc::sigaction(libc::SIGTERM, &raw const action, &raw mut before) == 0, "sigaction");
            Ok(OnTerm { before })
        }
    }
}

impl Drop for OnTerm {
    fn drop(&mut self) {
        // SAFETY: what sigaction returned before.
        unsafe { libc::sigaction(libc::SIGTERM, &raw const self.before, std::ptr::null_mut()) };
    }
}
