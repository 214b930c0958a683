//! How other threads wake the main thread, which sleeps between its ticks.

use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// Rung where the main thread has something to look at. The default one wakes nobody.
#[derive(Debug, Default)]
pub struct Bell(Option<EventFd>);

impl Bell {
    /// A new bell.
    ///
    /// # Errors
    /// When the kernel gives no event descriptor.
    pub fn new() -> Result<Self> {
        let descriptor = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).context("no eventfd")?;
        Ok(Bell(Some(descriptor)))
    }

    /// Wakes the main thread. It also looks by itself at every tick; a lost wake-up only costs that.
    pub fn ring(&self) {
        if let Some(descriptor) = &self.0 {
            let _ = descriptor.write(1);
        }
    }

    /// What becomes readable, each time it is rung.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(AsFd::as_fd)
    }
}
