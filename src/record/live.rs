//! Rows shown while they are recorded: a copy of each goes to a thread that shows them, and nothing ever waits for it.
//!
//! Owns what happens where rows come faster than they can be shown: the capture has them all, and what is not shown is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use arrow_array::RecordBatch;

use crate::record::privileges;
use crate::record::session::bell::Bell;
use crate::schema::manifest::Manifest;
use crate::schema::{BatchBuilder, Event, EventBatch};
use crate::terminal::{is_broken_pipe, say_line};

/// Rows, and bytes of their payloads and iovec arrays, that wait to be shown at most, in each of [`WAITING`] + 2 batches.
const ROWS: usize = 16_384;
const BYTES: usize = 4 << 20;
/// Batches on their way to the thread that shows them.
const WAITING: usize = 1;

/// What is shown, in this order: the beginning, rows with gaps between them, and the end.
#[derive(Debug)]
pub enum Shown<'a> {
    /// The recording begins.
    Begin(&'a Manifest),
    /// Its next rows.
    Rows(&'a EventBatch),
    /// So many rows come next that are not shown.
    Left(u64),
    /// Nothing more comes.
    End,
}

/// Shows rows.
pub type Show = Box<dyn FnMut(Shown<'_>) -> Result<()>>;
/// Makes it, in the thread that shows.
pub type MakeShow = Box<dyn FnOnce() -> Show + Send>;

/// Rows, and how many come behind them that are not shown.
#[derive(Debug)]
struct Part {
    rows: RecordBatch,
    left: u64,
}

/// Whether those who look at the rows are still there.
#[derive(Debug, Default)]
pub struct Audience {
    gone: AtomicBool,
    failed: AtomicBool,
    /// Nobody else gets the rows.
    is_all: bool,
    bell: Arc<Bell>,
}

impl Audience {
    /// Of a recording that goes on without it, or if `is_all` does not. `bell` wakes the main thread.
    pub fn new(is_all: bool, bell: Arc<Bell>) -> Self {
        Audience { is_all, bell, ..Audience::default() }
    }

    /// Whether the recording has nobody any more.
    pub fn has_gone(&self) -> bool {
        self.is_all && (self.gone.load(Ordering::Acquire) || has_hung_up())
    }

    /// Whether nothing can be shown, and so the recording has failed.
    pub fn has_failed(&self) -> bool {
        self.is_all && self.failed.load(Ordering::Acquire)
    }

    fn end(&self, of: &AtomicBool) {
        of.store(true, Ordering::Release);
        self.bell.ring();
    }

    /// Notes how showing has ended. A recording goes on, whatever becomes of those who look at it.
    fn report(&self, shown: Result<()>) {
        let Err(error) = shown else { return };
        if is_broken_pipe(&error) {
            return self.end(&self.gone);
        }
        match self.is_all {
            true => say_line(format_args!("events cannot be printed: {error:#}")),
            false => say_line(format_args!("--print: events are no longer shown, the recording goes on: {error:#}")),
        }
        self.end(&self.failed);
    }
}

/// Whether whoever reads stdout has closed it: also where nothing is written that would show it.
fn has_hung_up() -> bool {
    let mut stdout = libc::pollfd { fd: libc::STDOUT_FILENO, events: 0, revents: 0 };
    // SAFETY: one structure, which outlives the call; it waits for nothing.
    let ready = unsafe { libc::poll(&raw mut stdout, 1, 0) };
    ready > 0 && stdout.revents & (libc::POLLERR | libc::POLLHUP) != 0
}

/// Where rows are copied.
#[derive(Debug)]
pub struct Tap {
    builder: BatchBuilder,
    left: u64,
    /// All that was left.
    left_in_all: u64,
    /// What there was no room for.
    next: Option<Part>,
    send: Option<SyncSender<Part>>,
    shower: JoinHandle<()>,
}

impl Tap {
    /// Starts the thread that shows the rows of the recording that begins with `manifest`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn open(make: MakeShow, manifest: Manifest, audience: Arc<Audience>) -> Result<Self> {
        let (send, parts) = sync_channel(WAITING);
        let shower = std::thread::Builder::new().name("vmtrace-print".into());
        let shower = shower.spawn(move || audience.report(show(make, &manifest, parts)));
        let shower = shower.context("a thread cannot be started: see ulimit -u")?;
        Ok(Tap { builder: BatchBuilder::default(), left: 0, left_in_all: 0, next: None, send: Some(send), shower })
    }

    /// Takes a copy of a row.
    pub fn row(&mut self, event: &Event<'_>) {
        if self.send.is_none() {
            return;
        }
        if self.is_full() {
            self.pass_on();
        }
        if self.is_full() {
            self.left = self.left.saturating_add(1);
            self.left_in_all = self.left_in_all.saturating_add(1);
        } else {
            self.builder.push(event);
        }
    }

    fn is_full(&self) -> bool {
        self.builder.rows() >= ROWS || self.builder.bytes() >= BYTES
    }

    /// Passes on what is there, as far as there is room. Returns whether nothing is left.
    pub fn pass_on(&mut self) -> bool {
        while let Some(send) = &self.send {
            let part = match self.next.take() {
                Some(part) => part,
                None if self.builder.rows() == 0 => return true,
                None => match self.builder.take() {
                    Ok(rows) => Part { rows, left: std::mem::take(&mut self.left) },
                    Err(_) => break,
                },
            };
            match send.try_send(part) {
                Ok(()) => {}
                Err(TrySendError::Full(part)) => {
                    self.next = Some(part);
                    return false;
                }
                Err(TrySendError::Disconnected(_)) => break,
            }
        }
        // Nobody looks any more.
        (self.send, self.builder) = (None, BatchBuilder::default());
        true
    }

    /// How many rows were not shown.
    pub fn left_in_all(&self) -> u64 {
        self.left_in_all
    }

    /// Waits until all has been shown, or until nobody wants to wait any more. Returns whether all was.
    pub fn close(mut self, is_enough: impl Fn() -> bool) -> bool {
        let pause = || std::thread::sleep(Duration::from_millis(1));
        while !self.pass_on() && !is_enough() {
            pause();
        }
        self.send = None;
        while !self.shower.is_finished() && !is_enough() {
            pause();
        }
        self.shower.is_finished()
    }
}

fn show(make: MakeShow, manifest: &Manifest, parts: Receiver<Part>) -> Result<()> {
    privileges::keep_only(privileges::SHOW);
    let mut show = make();
    show(Shown::Begin(manifest))?;
    for part in parts {
        let rows = EventBatch::new(&part.rows).map_err(|error| anyhow!(error))?;
        show(Shown::Rows(&rows))?;
        if part.left > 0 {
            show(Shown::Left(part.left))?;
        }
    }
    show(Shown::End)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// What was shown.
    #[derive(Clone, Debug, PartialEq)]
    enum Seen {
        Begin,
        Rows(u64),
        Left(u64),
        End,
    }

    /// Shows into a list. Each part waits for a word from the gate; without one, it fails.
    fn tap(gate: Receiver<()>) -> (Tap, Arc<Mutex<Vec<Seen>>>) {
        let list = Arc::new(Mutex::new(Vec::new()));
        let seen = list.clone();
        let make: MakeShow = Box::new(move || {
            Box::new(move |shown| {
                let shown = match shown {
                    Shown::Begin(_) => Seen::Begin,
                    Shown::Rows(rows) => {
                        gate.recv()?;
                        Seen::Rows(rows.len() as u64)
                    }
                    Shown::Left(left) => Seen::Left(left),
                    Shown::End => Seen::End,
                };
                list.lock().unwrap().push(shown);
                Ok(())
            })
        });
        (Tap::open(make, Manifest::default(), Arc::default()).unwrap(), seen)
    }

    #[test]
    fn what_there_is_no_room_for_is_counted_where_it_is_missing() {
        let (open, gate) = sync_channel(1000);
        let (mut tap, seen) = tap(gate);
        let given = 10 * ROWS as u64;
        (0..given).for_each(|seq| tap.row(&Event { seq, ..Event::default() }));
        let left = tap.left;
        assert!(left > 0 && left < given, "{left}");
        (0..1000).for_each(|_| open.send(()).unwrap());
        while tap.next.is_some() {
            tap.pass_on();
        }
        tap.row(&Event::default());
        assert!(tap.close(|| false));
        let seen = seen.lock().unwrap().clone();
        let shown = seen.iter().map(|seen| if let Seen::Rows(rows) = seen { *rows } else { 0 }).sum::<u64>();
        assert_eq!(shown + left, given + 1);
        assert_eq!(seen.first(), Some(&Seen::Begin));
        let end = &seen[seen.len() - 4..];
        assert_eq!(end, [Seen::Rows(ROWS as u64), Seen::Left(left), Seen::Rows(1), Seen::End], "{seen:?}");
    }

    #[test]
    fn nobody_waits_for_a_reader_that_has_gone_or_sleeps() {
        let (open, gate) = sync_channel::<()>(0);
        let (mut sleeps, seen) = tap(gate);
        sleeps.row(&Event::default());
        assert!(!sleeps.close(|| true));
        assert!(!seen.lock().unwrap().contains(&Seen::End));
        drop(open);
        let (mut gone, seen) = tap(sync_channel::<()>(0).1);
        while gone.send.is_some() {
            gone.row(&Event::default());
            gone.pass_on();
        }
        gone.row(&Event::default());
        assert!(gone.pass_on() && gone.builder.rows() == 0);
        assert!(gone.close(|| false));
        assert_eq!(*seen.lock().unwrap(), [Seen::Begin]);
    }
}
