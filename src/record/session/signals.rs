//! Signals, as counters that a handler can change.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};

use crate::record::session::inherited::was_ignored;

/// Signals that came.
#[derive(Debug, Default)]
pub struct Signals {
    last: AtomicUsize,
    interrupts: AtomicUsize,
    endings: AtomicUsize,
    statistics: AtomicUsize,
    rotations: AtomicUsize,
}

impl Signals {
    /// INT, TERM and HUP end the recording; a second INT ends it without emptying the rings. USR1 asks for statistics,
    /// USR2 for a new file. XFSZ and CHLD are harmless. With `leave_interrupts` INT and QUIT, which a terminal sends to
    /// COMMAND as well, end nothing.
    ///
    /// HUP stays ignored where it was ignored when vmtrace was started: so nohup(1) asks for it. INT does not, since shells
    /// start whatever runs in the background of a script like that, and INT is how scripts end recorders.
    ///
    /// # Errors
    /// When the kernel refuses a handler.
    pub fn install(leave_interrupts: bool) -> Result<Arc<Self>> {
        let signals = Arc::new(Signals::default());
        let handled = [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2];
        for signal in handled.into_iter().filter(|signal| *signal != SIGHUP || !was_ignored(SIGHUP)) {
            let seen = signals.clone();
            let note = move || {
                match signal {
                    SIGUSR1 => drop(seen.statistics.fetch_add(1, Ordering::Release)),
                    SIGUSR2 => drop(seen.rotations.fetch_add(1, Ordering::Release)),
                    SIGINT if leave_interrupts => (),
                    _ => seen.last.store(signal as usize, Ordering::Release),
                }
                if [SIGINT, SIGTERM, SIGHUP].contains(&signal) {
                    seen.endings.fetch_add(1, Ordering::Release);
                }
                if signal == SIGINT {
                    seen.interrupts.fetch_add(1, Ordering::Release);
                }
            };
            // SAFETY: the action only stores to atomics, which is async-signal-safe.
            unsafe { signal_hook::low_level::register(signal, note) }.context("signals cannot be handled")?;
        }
        // Messages may be written from the background: `stty tostop` would stop the recorder.
        // SAFETY: plain numbers.
        unsafe { libc::signal(libc::SIGTTOU, libc::SIG_IGN) };
        // XFSZ is caught, so that a write beyond RLIMIT_FSIZE fails as one to a full disk does, instead of killing us; CHLD,
        // so that the main thread wakes up.
        let quit = leave_interrupts.then_some(SIGQUIT);
        for signal in [SIGXFSZ, SIGCHLD].into_iter().chain(quit) {
            // SAFETY: the action does nothing.
            unsafe { signal_hook::low_level::register(signal, || ()) }.context("signals cannot be handled")?;
        }
        Ok(signals)
    }

    /// The latest signal that ends the recording.
    pub fn pending(&self) -> Option<i32> {
        match self.last.load(Ordering::Acquire) {
            0 => None,
            signal => i32::try_from(signal).ok(),
        }
    }

    /// How many INTs have come.
    pub fn interrupts(&self) -> usize {
        self.interrupts.load(Ordering::Acquire)
    }

    /// How many INTs, TERMs and HUPs have come.
    pub fn endings(&self) -> usize {
        self.endings.load(Ordering::Acquire)
    }

    /// Whether USR1 came since this was last asked.
    pub fn wants_statistics(&self) -> bool {
        self.statistics.swap(0, Ordering::AcqRel) > 0
    }

    /// Whether USR2 came since this was last asked.
    pub fn wants_rotation(&self) -> bool {
        self.rotations.swap(0, Ordering::AcqRel) > 0
    }
}
