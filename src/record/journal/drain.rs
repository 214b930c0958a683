//! The thread that empties the kernel's rings. It copies records into chunks and passes them on, nothing else.
//!
//! It must not wait for the encoder while rings fill, so chunks go into the journal. It waits only if the disk accepts
//! nothing; then the rings fill, and the kernel counts what is lost.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use libbpf_rs::{MapHandle, RingBuffer, RingBufferBuilder};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::record::encode::reorder::{COMMIT_NS, has_passed};
use crate::record::host::monotonic_ns;
use crate::record::journal::frame::{self, HEADER};
use crate::record::privileges;
use crate::record::probes::load::Switches;
use crate::record::wire::vmt_hdr;

/// Most bytes of a chunk, but for the record that fills it.
pub const CHUNK_BYTES: usize = 1 << 20;
/// How long the thread sleeps where nothing comes; the next record wakes it. A program that is held up between looking
/// whether it is to do so and handing its record over, for longer than half the window, delays it by this.
const IDLE: Duration = Duration::from_secs(1);
/// What a full chunk answers the ring with, so that it stops; the record has been taken (libbpf ringbuf.c).
const CHUNK_FULL: i32 = -libc::EAGAIN;

/// When chunks are handed on.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// With this many bytes.
    pub chunk: usize,
    /// Longest that a record waits in its ring or chunk. The kernel wakes us before, when a ring is an eighth full, or with
    /// the first record after a while without any.
    pub window: Duration,
}

/// Records, each padded to 8 bytes, in the order they left their rings.
#[derive(Debug)]
pub struct Chunk {
    /// A frame's header, to be filled in, and the records.
    pub frame: Vec<u8>,
    /// Every record older than this has been handed on, in this chunk or before.
    pub complete_until_ns: u64,
}

impl Chunk {
    fn new() -> Self {
        Chunk { frame: frame::begin(), complete_until_ns: 0 }
    }

    /// The records.
    pub fn records(&self) -> &[u8] {
        self.frame.get(HEADER..).unwrap_or_default()
    }

    /// Drops the records, and keeps the memory.
    fn clear(&mut self) {
        self.frame.truncate(HEADER);
    }
}

/// How the other threads speak to the draining one.
#[derive(Debug)]
pub struct Control {
    /// Empty the rings once more and end.
    stop: AtomicBool,
    /// End without emptying the rings.
    abandon: AtomicBool,
    /// Instants of CLOCK_MONOTONIC in ns up to which somebody waits for all records.
    awaited: Mutex<Vec<u64>>,
    wake: EventFd,
}

impl Control {
    /// A new control.
    ///
    /// # Errors
    /// When the kernel gives no event descriptor.
    pub fn new() -> Result<Arc<Self>> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).context("no eventfd")?;
        let [stop, abandon] = [false, false].map(AtomicBool::new);
        Ok(Arc::new(Control { stop, abandon, awaited: Mutex::default(), wake }))
    }

    /// Hands on all records older than `instant_ns` of CLOCK_MONOTONIC as soon as that is past, and says so.
    pub fn complete_until(&self, instant_ns: u64) {
        self.awaited().push(instant_ns);
        let _ = self.wake.write(1);
    }

    fn awaited(&self) -> MutexGuard<'_, Vec<u64>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first instant that somebody waits for.
    fn next_awaited(&self) -> Option<u64> {
        self.awaited().iter().min().copied()
    }

    /// All up to there has been handed on.
    fn has_come_to(&self, complete_until_ns: u64) {
        self.awaited().retain(|instant| !has_passed(complete_until_ns, *instant));
    }

    /// Ends the thread after the rings have been emptied.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        // The thread also looks by itself every IDLE; a lost wake-up only costs that.
        let _ = self.wake.write(1);
    }

    /// Ends the thread at once.
    pub fn abandon(&self) {
        self.abandon.store(true, Ordering::Release);
        self.stop();
    }
}

/// Where the callbacks put records.
struct Intake {
    chunk: RefCell<Chunk>,
    chunk_bytes: usize,
    /// mono_ns of the last record of each ring.
    last: RefCell<Vec<u64>>,
    /// Latest mono_ns of all of them, once one has come.
    newest_ns: Cell<Option<u64>>,
    /// Up to where everything has been handed on, and whoever it was handed to knows.
    told_ns: Cell<u64>,
}

impl Intake {
    fn new(rings: usize, chunk_bytes: usize) -> Self {
        Intake {
            chunk: RefCell::new(Chunk::new()),
            chunk_bytes,
            last: RefCell::new(vec![0; rings]),
            newest_ns: Cell::new(None),
            told_ns: Cell::new(0),
        }
    }

    fn is_full(&self) -> bool {
        self.chunk.borrow().records().len() >= self.chunk_bytes
    }

    fn is_empty(&self) -> bool {
        self.chunk.borrow().records().is_empty()
    }

    fn hand_on(&self, deliver: &mut Deliver<'_>) -> Result<()> {
        let mut chunk = self.chunk.borrow_mut();
        deliver(&mut chunk)?;
        chunk.clear();
        self.told_ns.set(self.told_ns.get().max(chunk.complete_until_ns));
        Ok(())
    }

    /// Up to where everything has been taken from the rings.
    fn complete_until_ns(&self) -> u64 {
        self.chunk.borrow().complete_until_ns
    }

    /// The instant of the latest record, if it was not yet passed on that no older one can come: it is owed a chunk,
    /// be it empty, or it would wait for the next record, however long that takes.
    fn owed(&self) -> Option<u64> {
        self.newest_ns.get().filter(|newest| !has_passed(self.told_ns.get(), *newest))
    }

    /// Whether a chunk that is handed on now would pass an instant.
    fn passes(&self, instant_ns: u64) -> bool {
        has_passed(self.complete_until_ns(), instant_ns)
    }
}

/// How long it takes until all records older than `instant_ns` have surely come.
fn time_until_passed(instant_ns: u64) -> Duration {
    let passed = Duration::from_nanos(instant_ns.saturating_add(COMMIT_NS).saturating_sub(monotonic_ns()));
    // Sleeps are in whole milliseconds.
    passed + Duration::from_millis(1)
}

/// How long nothing has come, in rounds of half a window, and what follows from it: the programs are asked to wake us with
/// the next record, and a round later, when all that did not see that yet have delivered, we sleep for long.
struct Quiet<'a> {
    rounds: u32,
    switches: &'a Switches,
}

impl Quiet<'_> {
    const ASK: u32 = 2;

    /// How long to wait now that the rings are empty.
    fn wait(&mut self, usual: Duration) -> Duration {
        self.rounds = self.rounds.saturating_add(1);
        if self.rounds == Self::ASK {
            self.switches.set_wake_at_once(true);
        }
        if self.rounds > Self::ASK { IDLE.max(usual) } else { usual }
    }

    /// Something came. Whether we slept for long before.
    fn ends(&mut self) -> bool {
        std::mem::take(&mut self.rounds) > Self::ASK
    }
}

/// Where chunks go; may wait.
pub type Deliver<'a> = dyn FnMut(&mut Chunk) -> Result<()> + 'a;

/// Empties `rings` and delivers chunks until it is stopped. Reports to `opened` once that works.
///
/// # Errors
/// When the rings cannot be read, or delivery fails.
pub fn run(
    (rings, switches): (&[MapHandle], &Switches),
    control: &Control,
    pace: Pace,
    deliver: &mut Deliver<'_>,
    opened: SyncSender<()>,
) -> Result<()> {
    let intake = Intake::new(rings.len(), pace.chunk);
    let buffers = rings.iter().enumerate().map(|(i, ring)| open_ring(i, ring, &intake)).collect::<Result<Vec<_>>>()?;
    let epoll = watch(rings, &control.wake)?;
    privileges::keep_only(privileges::DRAIN);
    // The receiver may be gone.
    let _ = opened.send(());
    let mut since = Instant::now();
    let mut quiet = Quiet { rounds: 0, switches };
    // When the first record arrived after a long sleep.
    let mut woken: Option<Instant> = None;
    loop {
        let stopping = control.stop.load(Ordering::Acquire);
        if control.abandon.load(Ordering::Acquire) {
            return intake.hand_on(deliver);
        }
        let drained = pass(&buffers, &intake)?;
        let awaited = control.next_awaited();
        // If the rings are empty, waiting only creates more frames.
        let due = stopping || since.elapsed() >= pace.window / 2;
        let released = intake.owed().is_some_and(|instant| intake.passes(instant));
        let reached = awaited.is_some_and(|instant| intake.passes(instant));
        // The first record after a quiet period is passed on at once, not with the next round.
        let is_prompt = |woken: Option<Instant>| woken.is_some_and(|woken| woken.elapsed() < pace.window / 2);
        if intake.is_full() || reached || (released && is_prompt(woken)) || (due && (released || !intake.is_empty())) {
            intake.hand_on(deliver)?;
            control.has_come_to(intake.told_ns.get());
            since = Instant::now();
        }
        if !drained || !intake.is_empty() {
            woken = quiet.ends().then(Instant::now).or(woken);
        }
        if drained && stopping {
            return Ok(());
        }
        if drained {
            let mut events = [EpollEvent::empty()];
            let round = if is_prompt(woken) { Duration::ZERO } else { pace.window / 2 };
            let wait = wait(&intake, control.next_awaited(), round, quiet.wait(pace.window / 2));
            let timeout = EpollTimeout::try_from(wait).unwrap_or(EpollTimeout::ZERO);
            // An interrupted wait counts as a wait.
            let _ = epoll.wait(&mut events, timeout);
        }
    }
}

/// How long to sleep now that the rings are empty: for `round` if something is owed, else until somebody asks again.
fn wait(intake: &Intake, awaited: Option<u64>, round: Duration, quiet: Duration) -> Duration {
    // A window may be shorter than a record takes to be committed.
    let wait = intake.owed().map_or(quiet, |instant| round.max(time_until_passed(instant)));
    awaited.map_or(wait, |instant| wait.min(time_until_passed(instant)))
}

/// Delivers what `rings` hold now, and leaves the calling thread as it is. For the self-test, before [`run`].
///
/// # Errors
/// As [`run`].
pub fn once(rings: &[MapHandle], deliver: &mut Deliver<'_>) -> Result<()> {
    let intake = Intake::new(rings.len(), CHUNK_BYTES);
    let buffers = rings.iter().enumerate().map(|(i, ring)| open_ring(i, ring, &intake)).collect::<Result<Vec<_>>>()?;
    loop {
        let drained = pass(&buffers, &intake)?;
        intake.hand_on(deliver)?;
        if drained {
            return Ok(());
        }
    }
}

fn open_ring<'a>(index: usize, ring: &'a MapHandle, intake: &'a Intake) -> Result<RingBuffer<'a>> {
    let mut builder = RingBufferBuilder::new();
    builder.add(ring, move |record| take_record(index, record, intake))?;
    builder.build().context("a ring buffer cannot be read")
}

/// Copies one record. What does not even hold a header's clock is kept for the decoder to refuse.
fn take_record(ring: usize, record: &[u8], intake: &Intake) -> i32 {
    let mut chunk = intake.chunk.borrow_mut();
    chunk.frame.extend_from_slice(record);
    // The header's length keeps the alignment.
    let padded = chunk.frame.len().next_multiple_of(8);
    chunk.frame.resize(padded, 0);
    const CLOCK: usize = std::mem::offset_of!(vmt_hdr, mono_ns);
    let clock = record.get(CLOCK..CLOCK + 8).and_then(|b| b.try_into().ok()).map(u64::from_ne_bytes);
    if let (Some(slot), Some(clock)) = (intake.last.borrow_mut().get_mut(ring), clock) {
        *slot = clock;
        intake.newest_ns.set(intake.newest_ns.get().max(Some(clock)));
    }
    if chunk.records().len() >= intake.chunk_bytes { CHUNK_FULL } else { 0 }
}

/// Goes once over all rings, the one that is furthest behind first, until the chunk is full. Notes the instant up to
/// which everything has been taken. Returns whether all rings were found empty in the end.
fn pass(buffers: &[RingBuffer<'_>], intake: &Intake) -> Result<bool> {
    let mut complete_until = monotonic_ns();
    let mut drained = true;
    let mut order: Vec<(u64, usize)> = intake.last.borrow().iter().copied().zip(0..).collect();
    order.sort_unstable();
    for (last, index) in order {
        let Some(ring) = buffers.get(index) else { continue };
        if intake.is_full() {
            // A record that comes now may be as old as the ring's last.
            drained = false;
            complete_until = complete_until.min(last);
            continue;
        }
        match ring.consume_raw() {
            CHUNK_FULL => {
                drained = false;
                complete_until = complete_until.min(intake.last.borrow().get(index).copied().unwrap_or(0));
            }
            error if error < 0 => {
                return Err(std::io::Error::from_raw_os_error(-error)).context("a ring buffer cannot be read");
            }
            taken => drained &= taken == 0,
        }
    }
    intake.chunk.borrow_mut().complete_until_ns = complete_until;
    Ok(drained)
}

/// Edge-triggered: we wake when the kernel says a ring filled up, not whenever there is something in one.
fn watch(rings: &[MapHandle], wake: &EventFd) -> Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("no epoll")?;
    let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0);
    let fds: Vec<BorrowedFd<'_>> = rings.iter().map(AsFd::as_fd).chain([wake.as_fd()]).collect();
    for fd in fds {
        epoll.add(fd, event).context("a ring buffer cannot be watched")?;
    }
    Ok(epoll)
}

#[cfg(test)]
mod tests;
