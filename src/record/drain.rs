//! The thread that empties the kernel's rings: copies records into chunks and hands them on, nothing else.
//!
//! It must never wait for the encoder while rings fill, so chunks queue up to [`QUEUE_CHUNKS`]; beyond that the
//! rings fill and the kernel counts what is lost.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use libbpf_rs::{MapHandle, RingBuffer, RingBufferBuilder};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::host::monotonic_ns;
use super::privileges;
use super::wire::vmt_hdr;

/// A chunk is handed on when it has this many bytes, or after [`CHUNK_AGE`].
const CHUNK_BYTES: usize = 1 << 20;
/// Longest a record waits for its chunk to fill.
const CHUNK_AGE: Duration = Duration::from_millis(100);
/// Chunks that may wait for the encoder: with full ones this bounds the queue to 256 MiB.
pub const QUEUE_CHUNKS: usize = 256;
/// How long to sleep when the rings are empty and nobody wakes us; the kernel does when a ring is an eighth full.
const IDLE: Duration = Duration::from_millis(100);
/// What a full chunk answers the ring with, so that it stops; the record has been taken (libbpf ringbuf.c).
const CHUNK_FULL: i32 = -libc::EAGAIN;

/// Records, each padded to 8 bytes, in the order they left their rings.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The records.
    pub bytes: Vec<u8>,
    /// Every record older than this has been handed on, in this chunk or before.
    pub complete_until_ns: u64,
}

/// How the other threads speak to the draining one.
#[derive(Debug)]
pub struct Control {
    /// Empty the rings once more and end.
    stop: AtomicBool,
    /// End without emptying the rings.
    abandon: AtomicBool,
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
        Ok(Arc::new(Control { stop, abandon, wake }))
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
    /// mono_ns of the last record of each ring.
    last: RefCell<Vec<u64>>,
}

/// Where full chunks go; may wait.
pub type Deliver<'a> = dyn FnMut(Chunk) -> Result<()> + 'a;

/// Empties `rings` and delivers chunks until told to stop. Buffers come back through `used`.
///
/// # Errors
/// When the rings cannot be read, or delivery fails.
pub fn run(rings: &[MapHandle], control: &Control, deliver: &mut Deliver<'_>, used: &Receiver<Vec<u8>>) -> Result<()> {
    let last = RefCell::new(vec![0; rings.len()]);
    let intake = Intake { chunk: RefCell::new(Chunk::default()), last };
    let buffers = rings.iter().enumerate().map(|(i, ring)| open_ring(i, ring, &intake)).collect::<Result<Vec<_>>>()?;
    let epoll = watch(rings, &control.wake)?;
    privileges::keep_only(privileges::DRAIN);
    let mut since = Instant::now();
    loop {
        let stopping = control.stop.load(Ordering::Acquire);
        if control.abandon.load(Ordering::Acquire) {
            return hand_on(&intake, deliver, used);
        }
        let (complete_until_ns, drained) = pass(&buffers, &intake)?;
        intake.chunk.borrow_mut().complete_until_ns = complete_until_ns;
        let filled = intake.chunk.borrow().bytes.len();
        if filled >= CHUNK_BYTES || (filled > 0 && (stopping || since.elapsed() >= CHUNK_AGE)) {
            hand_on(&intake, deliver, used)?;
            since = Instant::now();
        }
        if drained && stopping {
            return Ok(());
        }
        if drained {
            let mut events = [EpollEvent::empty()];
            let timeout = EpollTimeout::try_from(IDLE).unwrap_or(EpollTimeout::ZERO);
            // An interrupted wait is as good as any other.
            let _ = epoll.wait(&mut events, timeout);
        }
    }
}

/// Delivers what `rings` hold now, and leaves the calling thread as it is. For the self-test, before [`run`].
///
/// # Errors
/// As [`run`].
pub fn once(rings: &[MapHandle], deliver: &mut Deliver<'_>) -> Result<()> {
    let last = RefCell::new(vec![0; rings.len()]);
    let intake = Intake { chunk: RefCell::new(Chunk::default()), last };
    let buffers = rings.iter().enumerate().map(|(i, ring)| open_ring(i, ring, &intake)).collect::<Result<Vec<_>>>()?;
    let (_used, empties) = channel();
    loop {
        let (complete_until_ns, drained) = pass(&buffers, &intake)?;
        intake.chunk.borrow_mut().complete_until_ns = complete_until_ns;
        hand_on(&intake, deliver, &empties)?;
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
    chunk.bytes.extend_from_slice(record);
    let padded = chunk.bytes.len().next_multiple_of(8);
    chunk.bytes.resize(padded, 0);
    const CLOCK: usize = std::mem::offset_of!(vmt_hdr, mono_ns);
    let clock = record.get(CLOCK..CLOCK + 8).and_then(|b| b.try_into().ok()).map(u64::from_ne_bytes);
    if let (Some(slot), Some(clock)) = (intake.last.borrow_mut().get_mut(ring), clock) {
        *slot = clock;
    }
    if chunk.bytes.len() >= CHUNK_BYTES { CHUNK_FULL } else { 0 }
}

/// Goes once over all rings. Returns the instant up to which everything has been taken, and whether all rings
/// were found empty in the end.
fn pass(buffers: &[RingBuffer<'_>], intake: &Intake) -> Result<(u64, bool)> {
    let begun = monotonic_ns();
    let mut complete_until = begun;
    let mut drained = true;
    for (index, ring) in buffers.iter().enumerate() {
        // A chunk may be full already: then each further ring adds at least one record, and so does every pass.
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
    Ok((complete_until, drained))
}

fn hand_on(intake: &Intake, deliver: &mut Deliver<'_>, used: &Receiver<Vec<u8>>) -> Result<()> {
    let empty = used.try_recv().unwrap_or_default();
    let complete_until_ns = intake.chunk.borrow().complete_until_ns;
    let chunk = intake.chunk.replace(Chunk { bytes: empty, complete_until_ns });
    deliver(chunk)
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
