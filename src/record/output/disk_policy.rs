//! What happens when the disk is full, and what the encoder reports to the main thread.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use clap::ValueEnum;

use crate::record::journal::Journal;
use crate::record::output::series::{Series, is_full};
use crate::record::session::bell::Bell;

/// `--on-full`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OnFull {
    /// Stop recording; what was recorded is a complete capture
    #[default]
    Stop,
    /// Go on without payloads, then stop
    DropPayload,
    /// Remove the oldest finished files of this recording, and stop when there are none
    RotateOut,
}

/// Shared by the encoder, which meets a full disk, and the main thread, which ends the recording.
#[derive(Debug, Default)]
pub struct DiskPolicy {
    policy: OnFull,
    full: AtomicBool,
    without_payload: AtomicBool,
    max_size: AtomicBool,
    failed: AtomicBool,
    trigger_waits: AtomicBool,
    bell: Arc<Bell>,
    cause: Mutex<Option<String>>,
}

impl DiskPolicy {
    /// With that policy. `bell` is rung when the main thread has to end the recording.
    pub fn new(policy: OnFull, bell: Arc<Bell>) -> Self {
        DiskPolicy { policy, bell, ..DiskPolicy::default() }
    }

    /// Makes space for what could not be written for `error`. `from`: the first frame of the journal that is needed once
    /// it is written. `tries` counts. Whether it is worth another attempt. The footer's reserve stays.
    pub fn make_space(
        &self,
        series: &mut Series,
        journal: &Journal,
        from: u64,
        error: &io::Error,
        tries: &mut u32,
    ) -> bool {
        if !is_full(error) {
            return false;
        }
        if self.policy == OnFull::RotateOut && series.drop_oldest() {
            return true;
        }
        self.is_full(error);
        // Otherwise the journal would use the freed space.
        journal.leave_disk();
        // The content of these files is in the file to be written.
        journal.remove_before(from);
        *tries += 1;
        *tries == 1
    }

    /// The journal could not be written. Whether space was made.
    pub fn journal_failed(&self, series: &mut Series, journal: &Journal, error: &io::Error) -> bool {
        if is_full(error) && self.policy == OnFull::RotateOut && series.drop_oldest() {
            return true;
        }
        if is_full(error) {
            self.is_full(error);
            if self.must_stop() {
                journal.leave_disk();
            }
        } else {
            self.end_with(&self.failed, &format!("the journal cannot be written: {error}"));
        }
        false
    }

    fn is_full(&self, error: &io::Error) {
        if self.policy == OnFull::DropPayload && !self.without_payload.swap(true, Ordering::AcqRel) {
            return;
        }
        self.end_with(&self.full, &error.to_string());
    }

    /// Little space is left on the file system.
    pub fn is_scarce(&self) {
        if self.policy == OnFull::DropPayload {
            self.without_payload.store(true, Ordering::Release);
        }
    }

    /// Something cannot be written, for another reason.
    pub fn fail(&self, error: &anyhow::Error) {
        self.end_with(&self.failed, &format!("{error:#}"));
    }

    /// `--max-size` is reached.
    pub fn reached_max_size(&self) {
        self.max_size.store(true, Ordering::Release);
        self.bell.ring();
    }

    /// Whether an event has met the trigger too soon after the one before, so that its file is still to be written.
    pub fn set_trigger_waits(&self, waits: bool) {
        self.trigger_waits.store(waits, Ordering::Release);
    }

    /// The same, for the main thread: it says what time it is until the file is written.
    pub fn trigger_waits(&self) -> bool {
        self.trigger_waits.load(Ordering::Acquire)
    }

    fn end_with(&self, flag: &AtomicBool, cause: &str) {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| cause.to_string());
        flag.store(true, Ordering::Release);
        self.bell.ring();
    }

    /// Whether recording is to end since the disk is full.
    pub fn must_stop(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// Whether recording is to end since something failed.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Whether payloads are no longer wanted.
    pub fn without_payload(&self) -> bool {
        self.without_payload.load(Ordering::Acquire)
    }

    /// Whether `--max-size` is reached.
    pub fn at_max_size(&self) -> bool {
        self.max_size.load(Ordering::Acquire)
    }

    /// Why recording is to end.
    pub fn cause(&self) -> Option<String> {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
