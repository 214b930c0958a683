//! Signals: ^C cancels the running statement; HUP and TERM end the process, and nothing unfinished is left.

use std::sync::Arc;

use anyhow::Result;
use futures::future::BoxFuture;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::output;

/// Notifies of every ^C, and ends the process on HUP and TERM, from a thread that the engine cannot keep busy.
///
/// # Errors
/// When the thread cannot be started, or signals cannot be caught.
pub fn watch() -> Result<Arc<Notify>> {
    let notify = Arc::new(Notify::new());
    let notifier = Arc::clone(&notify);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut ends) = {
        let _entered = runtime.enter();
        // A signal that was ignored at the start, as by nohup, stays ignored.
        let ends = [SignalKind::hangup(), SignalKind::terminate()].into_iter().filter(|kind| !is_ignored(*kind));
        let ends = ends.map(|kind| Ok((kind, signal(kind)?))).collect::<std::io::Result<Vec<_>>>()?;
        (signal(SignalKind::interrupt())?, ends)
    };
    std::thread::Builder::new().name("vmtrace-signal".into()).spawn(move || {
        runtime.block_on(async {
            let interrupts = async {
                while interrupt.recv().await.is_some() {
                    // This also handles signals that arrive while captures are opened, before a statement waits.
                    notifier.notify_one();
                }
            };
            // A future that never completes, since both may be ignored.
            let mut ended: Vec<BoxFuture<'_, SignalKind>> = vec![Box::pin(futures::future::pending())];
            ended.extend(ends.iter_mut().map(|(kind, signal)| -> BoxFuture<'_, SignalKind> {
                Box::pin(async {
                    signal.recv().await;
                    *kind
                })
            }));
            tokio::select! {
                () = interrupts => {}
                (kind, ..) = futures::future::select_all(ended) => end(kind),
            }
        });
    })?;
    Ok(notify)
}

/// Ends the process as the signal would have.
fn end(kind: SignalKind) {
    output::abandon();
    // The error that it returns where there is no such signal.
    let _ = signal_hook::low_level::emulate_default_handler(kind.as_raw_value());
}

/// Whether this process was started with the signal ignored.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let bit = u32::try_from(kind.as_raw_value()).unwrap_or(0).saturating_sub(1);
    mask.checked_shr(bit).is_some_and(|mask| mask & 1 == 1)
}
