//! Work that may take time: on a thread of its own, with what has come of it so far.
//!
//! Owns starting, stopping and waiting. Whoever starts a job sees its value at any time, and ends it by dropping it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Message;
use crate::schema::reader::guarded;

/// How often what has come so far is shown.
const PAUSE: Duration = Duration::from_millis(60);

/// Has the screen drawn again. Without a screen, as in tests, it does nothing.
#[derive(Clone, Debug, Default)]
pub struct Bell(pub Option<Sender<Message>>);

impl Bell {
    fn ring(&self) {
        // The screen may be gone.
        let _ = self.0.as_ref().map(|sender| sender.send(Message::Progress));
    }
}

/// Jobs of one kind run one after another: together they take the memory of one.
pub type Turn = Arc<Mutex<()>>;

/// A job, with a value that grows.
#[derive(Debug)]
pub struct Job<T> {
    shared: Arc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    ended: Condvar,
    stop: Arc<AtomicBool>,
}

/// What has come of a job.
#[derive(Debug)]
pub struct State<T> {
    /// What it has found.
    pub value: T,
    /// Rows that it has looked at.
    pub rows: u64,
    /// How it ended, if it has: the error is a sentence.
    pub end: Option<Result<(), String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A job as its thread sees it.
#[derive(Debug)]
pub struct Run<T> {
    shared: Arc<Shared<T>>,
    bell: Bell,
    shown: Cell<Instant>,
}

impl<T> Run<T> {
    /// Fails where the job is to end.
    ///
    /// # Errors
    /// Whoever started it wants no more.
    pub fn goes_on(&self) -> Result<()> {
        if self.shared.stop.load(Relaxed) {
            bail!("cancelled")
        }
        Ok(())
    }

    /// What says that the job is to end, for work that looks at it by itself.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.shared.stop)
    }

    /// Changes the value after `rows` more have been looked at.
    ///
    /// # Errors
    /// As [`Run::goes_on`].
    pub fn note<R>(&self, rows: u64, change: impl FnOnce(&mut T) -> R) -> Result<R> {
        self.goes_on()?;
        let mut state = lock(&self.shared.state);
        state.rows = state.rows.saturating_add(rows);
        let result = change(&mut state.value);
        drop(state);
        if self.shown.get().elapsed() >= PAUSE {
            self.shown.set(Instant::now());
            self.bell.ring();
        }
        Ok(result)
    }
}

impl<T: Send + 'static> Job<T> {
    /// Starts `work` when those before it in the same `turn` have ended.
    pub fn start(
        bell: &Bell,
        turn: &Turn,
        value: T,
        work: impl FnOnce(&Run<T>) -> Result<()> + Send + 'static,
    ) -> Self {
        let state = Mutex::new(State { value, rows: 0, end: None });
        let shared = Arc::new(Shared { state, ended: Condvar::new(), stop: Arc::default() });
        let run = Run { shared: Arc::clone(&shared), bell: bell.clone(), shown: Cell::new(Instant::now()) };
        let turn = Arc::clone(turn);
        let thread = std::thread::Builder::new().name("vmtrace-view".into()).spawn(move || {
            let _turn = lock(&turn);
            let result = guarded(|| run.goes_on().and_then(|()| work(&run)));
            lock(&run.shared.state).end = Some(result.map_err(|error| format!("{error:#}")));
            run.shared.ended.notify_all();
            run.bell.ring();
        });
        if let Err(error) = thread {
            lock(&shared.state).end = Some(Err(format!("cannot start a thread: {error}")));
        }
        Job { shared }
    }
}

impl<T> Job<T> {
    /// What has come of it so far.
    pub fn state<R>(&self, see: impl FnOnce(&State<T>) -> R) -> R {
        see(&lock(&self.shared.state))
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.state(|state| state.end.is_some())
    }

    /// Waits until it has ended.
    #[cfg(test)]
    pub fn wait(&self) {
        let mut state = lock(&self.shared.state);
        while state.end.is_none() {
            state = self.shared.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_job_shows_what_has_come_so_far_and_ends_when_it_is_dropped() {
        let (turn, (send, go)) = (Turn::default(), channel::<()>());
        let (ended, end) = channel();
        let job = Job::start(&Bell::default(), &turn, 0u64, move |run| {
            while go.recv().is_ok() {
                if let Err(error) = run.note(3, |value| *value += 1) {
                    ended.send(error.to_string())?;
                    return Err(error);
                }
            }
            Ok(())
        });
        send.send(()).unwrap();
        while job.state(|state| state.value) == 0 {
            std::thread::yield_now();
        }
        assert_eq!(job.state(|state| (state.value, state.rows, state.end.is_none())), (1, 3, true));
        drop(job);
        send.send(()).unwrap();
        assert_eq!(end.recv().unwrap(), "cancelled");
    }

    #[test]
    fn jobs_of_a_turn_run_one_after_another_and_a_panic_is_an_error() {
        let turn = Turn::default();
        let first = Job::start(&Bell::default(), &turn, (), |_| panic!("not on the screen"));
        let second = Job::start(&Bell::default(), &turn, (), |_| Ok(()));
        second.wait();
        first.wait();
        assert!(first.state(|state| matches!(&state.end, Some(Err(error)) if error.contains("panicked"))));
        assert!(second.state(|state| matches!(&state.end, Some(Ok(())))));
    }
}
