//! Turns panics of the Parquet library and of the query engine on damaged bytes into errors, without output on the
//! terminal.
//!
//! Owns the panic hook of the process. Code that reads bytes of a file runs within [`guarded`], or on a thread that
//! called [`guard_thread`] and whose panics another thread catches.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use anyhow::{Result, anyhow};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Has panics of guarded threads pass in silence.
fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // A thread that ends has no flag any more.
            if !GUARDED.try_with(Cell::get).unwrap_or(false) {
                default(info);
            }
        }));
    });
}

/// Runs `work` on bytes from a file; a panic in the Parquet library becomes an error, without a backtrace on
/// the user's screen.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    install_hook();
    let before = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    result.unwrap_or_else(|_| Err(anyhow!("the Parquet decoder panicked")))
}

/// From now on panics of this thread pass in silence: whoever runs tasks on it catches them, and says what went wrong.
#[cfg(any(test, feature = "query"))]
pub(crate) fn guard_thread() {
    install_hook();
    GUARDED.set(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_guard_outlives_it() {
        let inner = || guarded::<()>(|| panic!("not on the screen"));
        let outer = guarded(|| {
            assert!(inner().is_err());
            Ok(GUARDED.get())
        });
        assert!(outer.unwrap(), "still guarded after work within");
        assert!(!GUARDED.get());
        let panicked = std::thread::spawn(move || {
            guard_thread();
            assert!(inner().is_err());
            assert!(GUARDED.get());
        });
        assert!(panicked.join().is_ok());
    }
}
