//! What vmtrace was started with and changes for itself: signals, limits, standard streams. COMMAND gets the original.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::{io, mem, ptr};

use libc::{c_int, rlimit, sigset_t};
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};

/// Signals that were ignored, signal N at bit N - 1.
static IGNORED: AtomicU64 = AtomicU64::new(0);
/// Standard streams that were closed, descriptor N at bit N.
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// Signals are numbered from 1 to this on Linux (signal(7)).
const LAST_SIGNAL: c_int = 64;
/// Limits are numbered from 0 to below this (setrlimit(2), RLIM_NLIMITS).
const LIMITS: u32 = 16;

/// Runs before Rust's runtime, which ignores SIGPIPE and opens /dev/null in place of closed streams.
#[used]
#[unsafe(link_section = ".init_array")]
static NOTE: extern "C" fn() = note;

extern "C" fn note() {
    for signal in 1..=LAST_SIGNAL {
        if is_ignored(signal) {
            IGNORED.fetch_or(1 << (signal - 1), Ordering::Relaxed);
        }
    }
    for stream in 0..=2 {
        // SAFETY: plain numbers.
        if unsafe { libc::fcntl(stream, libc::F_GETFD) } < 0 {
            CLOSED.fetch_or(1 << stream, Ordering::Relaxed);
        }
    }
}

fn is_ignored(signal: c_int) -> bool {
    // SAFETY: a plain C struct, for which zeros are valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: `action` outlives the call, which changes nothing.
    let known = unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) } == 0;
    known && action.sa_sigaction == libc::SIG_IGN
}

/// Whether a signal was ignored when vmtrace was started, as by nohup(1).
pub fn was_ignored(signal: c_int) -> bool {
    (1..=LAST_SIGNAL).contains(&signal) && IGNORED.load(Ordering::Relaxed) & (1 << (signal - 1)) != 0
}

/// What COMMAND gets.
#[derive(Clone, Debug)]
pub struct Inherited {
    ignored: u64,
    closed: u8,
    blocked: SigSet,
    limits: Vec<(u32, rlimit)>,
}

impl Inherited {
    /// As vmtrace was started. To be asked before vmtrace changes its limits, by the thread that it was started with.
    pub fn at_start() -> Self {
        let mut blocked = SigSet::empty();
        // Without a set to add, the call changes nothing, and cannot fail.
        let _ = pthread_sigmask(SigmaskHow::SIG_BLOCK, None, Some(&mut blocked));
        Inherited {
            ignored: IGNORED.load(Ordering::Relaxed),
            closed: CLOSED.load(Ordering::Relaxed),
            blocked,
            limits: (0..LIMITS).filter_map(|which| Some((which, limit(which)?))).collect(),
        }
    }

    /// Brings the calling process back to it. To be called between fork and exec: does only what is async-signal-safe.
    ///
    /// # Errors
    /// When the kernel refuses a limit.
    pub fn restore(&self) -> io::Result<()> {
        self.restore_limits()?;
        for stream in (0..=2).filter(|stream| self.closed & (1 << stream) != 0) {
            // SAFETY: what Rust's runtime opened there; nobody in this process uses it any more.
            unsafe { libc::close(stream) };
        }
        for signal in 1..=LAST_SIGNAL {
            let ignored = self.ignored & (1 << (signal - 1)) != 0;
            dispose(signal, if ignored { libc::SIG_IGN } else { libc::SIG_DFL });
        }
        let blocked: &sigset_t = self.blocked.as_ref();
        // SAFETY: the set outlives the call.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, blocked, ptr::null_mut()) };
        Ok(())
    }

    /// Brings the calling process back to its limits. Between fork and exec, too.
    ///
    /// # Errors
    /// When the kernel refuses one.
    pub fn restore_limits(&self) -> io::Result<()> {
        for (which, wanted) in &self.limits {
            let same = limit(*which).is_some_and(|l| (l.rlim_cur, l.rlim_max) == (wanted.rlim_cur, wanted.rlim_max));
            // SAFETY: `wanted` outlives the call.
            if !same && unsafe { libc::setrlimit(*which, wanted) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }

    /// Brings the calling process to what signals are like where nobody has changed them. Between fork and exec, too.
    pub fn default_signals() {
        for signal in 1..=LAST_SIGNAL {
            // The kernel's own call, since the C library leaves out two that it keeps for itself, and which can be ignored.
            let (default, mask_size) = ([0_u64; 4], 8_usize);
            let old = ptr::null_mut::<u64>();
            // SAFETY: zeros are a valid action, which outlives the call. KILL and STOP are refused.
            unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), old, mask_size) };
        }
        // SAFETY: a plain C struct, for which zeros are valid, and which outlives the call.
        let none: sigset_t = unsafe { mem::zeroed() };
        // SAFETY: as above.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) };
    }
}

/// Signals that cannot be changed (KILL, STOP, and two that the C library keeps for itself) are left as they are.
fn dispose(signal: c_int, disposition: libc::sighandler_t) {
    // SAFETY: a plain C struct, for which zeros are valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = disposition;
    // SAFETY: `action` outlives the call; SIG_IGN and SIG_DFL are no code of ours.
    unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
}

fn limit(which: u32) -> Option<rlimit> {
    let mut limit = rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` outlives the call.
    (unsafe { libc::getrlimit(which, &raw mut limit) } == 0).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_runtime_changes_was_noted_before() {
        // Cargo starts tests with nothing ignored and all streams open.
        assert!(is_ignored(libc::SIGPIPE), "Rust's runtime ignores it");
        assert!(!was_ignored(libc::SIGPIPE) && !was_ignored(0) && !was_ignored(65));
        let inherited = Inherited::at_start();
        assert!(inherited.limits.iter().any(|(which, _)| *which == libc::RLIMIT_NOFILE), "{inherited:?}");
    }
}
