//! The end of the journal, to which records are appended, and what waits there if the disk accepts nothing more.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};

use super::frame::{self, FrameKind, HEADER};
use super::segments::{Base, Begin};

/// How much a journal holds where.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a file, after which the next begins, if that is there already. A frame larger than that gets a file of
    /// its own.
    pub segment: u64,
    /// Bytes of all files: what does not fit waits in memory until some are removed.
    pub total: u64,
    /// Bytes of frames kept in memory while the disk takes none.
    pub memory: usize,
}

/// One file of the journal, as far as it is complete.
#[derive(Clone, Debug)]
struct Segment {
    number: u64,
    /// Number of its first frame.
    first: u64,
    len: u64,
    file: Arc<File>,
}

/// What a reader at a place of a file finds behind it.
pub(super) enum Ahead {
    /// At least one more frame in that file.
    Here,
    /// The next file.
    Next(u64),
    /// A frame that no file holds.
    Memory(Vec<u8>),
    /// Nothing, ever.
    End,
}

/// What a file must have got, for each file that is there, before it is left for the next one in order to be synced:
/// of slow recordings there are few files, and of fast ones, too.
const SYNCED_APART: u64 = 4096;

#[derive(Debug)]
struct State {
    segments: VecDeque<Segment>,
    /// The next file, which holds nothing yet. Creating one can take as long as the disk is busy, and whoever appends must not wait for it.
    spare: Option<(u64, File)>,
    next: u64,
    /// Frames behind those on disk. While there are any, none goes to disk.
    memory: VecDeque<Vec<u8>>,
    memory_bytes: usize,
    /// Why the last attempt to write failed; taken by whoever asks.
    failure: Option<io::Error>,
    /// Files that have grown since they were last synced.
    unsynced: Vec<Arc<File>>,
    /// Frames before this one are no longer needed once that file is on disk.
    releasable: Option<(u64, Arc<File>)>,
    closed: bool,
    removed: bool,
    reader_gone: bool,
    /// No more files: the room is for the capture.
    in_memory: bool,
    /// There were none from the start.
    without_files: bool,
}

#[derive(Debug)]
struct Shared {
    base: Base,
    tag: u64,
    begin: Begin,
    limits: Limits,
    state: Mutex<State>,
    /// A frame came, or the end.
    grown: Condvar,
    /// A frame left memory, or the reader is gone.
    space: Condvar,
    /// Something is to be synced, or the end.
    work: Condvar,
}

/// A journal being written, shared between threads.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Shared>);

/// What the syncing thread has to do.
pub(super) struct Work {
    pub files: Vec<Arc<File>>,
    pub release: Option<(u64, Arc<File>)>,
    pub closed: bool,
}

impl Journal {
    /// Begins the journal of the recording that writes `output`.
    ///
    /// # Errors
    /// When its first file exists or cannot be created.
    pub fn create(output: &Path, begin: Begin, limits: Limits) -> Result<Self> {
        let shared = Shared::new(Base::of(output), begin, limits, false);
        let path = shared.base.path(1);
        let begun = shared.prepare().and_then(|_| shared.open_segment(&mut shared.lock()));
        begun.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Journal(Arc::new(shared)))
    }

    /// Begins a journal without files, of a recording that leaves nothing: at most `memory` bytes of frames wait for the reader.
    pub fn without_files(begin: Begin, memory: usize) -> Self {
        let limits = Limits { segment: 0, total: 0, memory };
        Journal(Arc::new(Shared::new(Base::of(Path::new("")), begin, limits, true)))
    }

    /// Creates the file that comes next, unless it is there. Whether it did.
    ///
    /// # Errors
    /// When it exists already or the disk takes none: the last one then grows on.
    pub(super) fn prepare(&self) -> io::Result<bool> {
        self.0.prepare()
    }

    /// Where its files are.
    pub(super) fn directory(&self) -> &Path {
        self.0.base.directory()
    }

    /// Appends the frame that [`frame::begin`] began. Where the disk takes nothing it waits in memory, and where that
    /// is full, until the reader has made room.
    ///
    /// # Errors
    /// When there is no reader any more.
    pub fn append(&self, kind: FrameKind, stamp_ns: u64, frame: &mut [u8]) -> Result<u64> {
        let shared = &*self.0;
        let mut state = shared.lock();
        let number = state.next;
        frame::seal(frame, kind, shared.tag, number, stamp_ns);
        if !shared.write(&mut state, frame) {
            while state.memory_bytes + frame.len() > shared.limits.memory && !state.memory.is_empty() {
                if state.reader_gone {
                    bail!("the writer thread has ended");
                }
                state = shared.space.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            // More bytes may have been queued while this thread waited.
            frame::seal(frame, kind, shared.tag, state.next, stamp_ns);
            state.memory_bytes += frame.len();
            state.memory.push_back(frame.to_vec());
        }
        let number = state.next;
        state.next += 1;
        shared.grown.notify_one();
        Ok(number)
    }

    /// Appends a frame if the disk takes it: of what is worth nothing in memory, since only `recover` reads it.
    /// Returns its number.
    pub fn offer(&self, kind: FrameKind, stamp_ns: u64, payload: &[u8]) -> Option<u64> {
        let shared = &*self.0;
        let mut bytes = frame::begin();
        bytes.extend_from_slice(payload);
        let mut state = shared.lock();
        let number = state.next;
        frame::seal(&mut bytes, kind, shared.tag, number, stamp_ns);
        // Without files there is nothing to recover; only the counters are for the encoder, too.
        let waits = state.without_files && kind == FrameKind::Counters && state.memory_bytes < shared.limits.memory;
        if waits {
            state.memory_bytes += bytes.len();
            state.memory.push_back(bytes);
        } else if !shared.write(&mut state, &bytes) {
            return None;
        }
        state.next += 1;
        shared.grown.notify_one();
        Some(number)
    }

    /// No frame comes any more.
    pub fn close(&self) {
        self.0.lock().closed = true;
        self.0.grown.notify_all();
        self.0.work.notify_all();
    }

    /// Nobody reads any more: whoever waits for room gives up.
    pub fn reader_is_gone(&self) {
        self.0.lock().reader_gone = true;
        self.0.space.notify_all();
    }

    /// From now on frames stay in memory: what room the disk still has is the capture's.
    pub fn leave_disk(&self) {
        self.0.lock().in_memory = true;
    }

    /// Why the disk took nothing, if that happened since this was last asked.
    pub fn failure(&self) -> Option<io::Error> {
        self.0.lock().failure.take()
    }

    /// Frames before `from` are not needed any more once `capture`, which holds their rows, is on disk.
    pub fn release(&self, from: u64, capture: Arc<File>) {
        self.0.lock().releasable = Some((from, capture));
        self.0.work.notify_all();
    }

    /// Removes the files that hold nothing but frames before `from`.
    pub fn remove_before(&self, from: u64) {
        let mut state = self.0.lock();
        while state.segments.get(1).is_some_and(|second| second.first <= from) {
            let Some(first) = state.segments.pop_front() else { return };
            // A file that cannot be removed only takes space.
            let _ = std::fs::remove_file(self.0.base.path(first.number));
        }
    }

    /// Removes all files: the capture is whole.
    pub fn remove(&self) {
        let mut state = self.0.lock();
        state.removed = true;
        let spare = state.spare.take().map(|(number, _)| number);
        for number in std::mem::take(&mut state.segments).into_iter().map(|s| s.number).chain(spare) {
            let _ = std::fs::remove_file(self.0.base.path(number));
        }
    }

    /// Bytes in its files.
    pub fn bytes(&self) -> u64 {
        self.0.lock().segments.iter().map(|s| s.len).sum()
    }

    pub(super) fn base(&self) -> &Base {
        &self.0.base
    }

    pub(super) fn tag(&self) -> u64 {
        self.0.tag
    }

    /// What follows in file `segment` behind `offset`; waits until there is something.
    pub(super) fn ahead(&self, segment: u64, offset: u64) -> Ahead {
        let mut state = self.0.lock();
        loop {
            let at = state.segments.iter().position(|s| s.number == segment);
            if at.and_then(|at| state.segments.get(at)).is_some_and(|s| offset < s.len) {
                return Ahead::Here;
            }
            if let Some(next) = state.segments.get(at.map_or(0, |at| at + 1)) {
                return Ahead::Next(next.number);
            }
            if let Some(frame) = state.memory.pop_front() {
                state.memory_bytes -= frame.len();
                self.0.space.notify_all();
                return Ahead::Memory(frame);
            }
            if state.closed {
                return Ahead::End;
            }
            state = self.0.grown.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What is to be synced and released; waits until there is something. If possible the file that grows is left for
    /// the next one first: who appends to a file that is being synced waits for the disk.
    pub(super) fn work(&self) -> Work {
        let mut state = self.0.lock();
        while state.unsynced.is_empty() && state.releasable.is_none() && !state.closed {
            state = self.0.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let least = SYNCED_APART * state.segments.len() as u64;
        let grown = state.segments.back().is_some_and(|last| last.len >= least && last.first < state.next);
        let orderly = state.memory.is_empty() && !state.in_memory && !state.closed;
        if orderly && grown && state.spare.is_some() {
            // If this fails, the next frame fails, too, with the reason.
            let _ = self.0.open_segment(&mut state);
        }
        let files = std::mem::take(&mut state.unsynced);
        Work { files, release: state.releasable.take(), closed: state.closed }
    }

    /// Waits for that time, or the end if it comes before.
    pub(super) fn pause(&self, time: std::time::Duration) {
        let state = self.0.lock();
        let _ = self.0.work.wait_timeout_while(state, time, |state| !state.closed);
    }
}

impl Shared {
    fn new(base: Base, begin: Begin, limits: Limits, without_files: bool) -> Self {
        let tag = frame::tag(&begin.manifest.capture_id);
        let state = State {
            segments: VecDeque::new(),
            spare: None,
            next: 0,
            memory: VecDeque::new(),
            memory_bytes: 0,
            failure: None,
            unsynced: Vec::new(),
            releasable: None,
            closed: false,
            // So that none is created.
            removed: without_files,
            reader_gone: false,
            in_memory: without_files,
            without_files,
        };
        let [grown, space, work] = std::array::from_fn(|_| Condvar::new());
        Shared { base, tag, begin, limits, state: Mutex::new(state), grown, space, work }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a frame to the last file, or to a new one if that is full. Whether it could.
    fn write(&self, state: &mut State, frame: &[u8]) -> bool {
        let len = frame.len() as u64;
        let there: u64 = state.segments.iter().map(|s| s.len).sum();
        if state.in_memory || !state.memory.is_empty() || there + len > self.limits.total {
            return false;
        }
        let full = state.segments.back().is_some_and(|s| s.len + len > self.limits.segment && s.first < state.next);
        let result = if full && state.spare.is_some() { self.open_segment(state) } else { Ok(()) };
        match result.and_then(|()| self.write_behind(state, frame)) {
            Ok(()) => true,
            Err(error) => {
                state.failure = Some(error);
                false
            }
        }
    }

    fn write_behind(&self, state: &mut State, frame: &[u8]) -> io::Result<()> {
        let last = state.segments.back_mut().ok_or(io::ErrorKind::NotFound)?;
        if let Err(error) = last.file.write_all_at(frame, last.len) {
            // The bytes written so far are not a whole frame. Readers ignore them.
            let _ = last.file.set_len(last.len);
            return Err(error);
        }
        last.len += frame.len() as u64;
        let file = last.file.clone();
        if !state.unsynced.iter().any(|f| Arc::ptr_eq(f, &file)) {
            state.unsynced.push(file);
            self.work.notify_all();
        }
        Ok(())
    }

    fn prepare(&self) -> io::Result<bool> {
        let number = {
            let state = self.lock();
            if state.spare.is_some() || state.closed || state.removed {
                return Ok(false);
            }
            state.segments.back().map_or(1, |last| last.number + 1)
        };
        let file = self.base.create(number)?;
        if let Err(error) = self.mark_spare(&file) {
            std::fs::remove_file(self.base.path(number))?;
            return Err(error);
        }
        let mut state = self.lock();
        if state.removed {
            std::fs::remove_file(self.base.path(number))?;
            return Ok(false);
        }
        state.spare = Some((number, file));
        Ok(true)
    }

    /// Says in a file that it holds nothing yet.
    fn mark_spare(&self, file: &File) -> io::Result<()> {
        let mut mark = frame::begin();
        frame::seal(&mut mark, FrameKind::Spare, self.tag, 0, 0);
        file.set_len(0)?;
        file.write_all_at(&mark, 0)
    }

    /// Goes on in the spare file; if that takes nothing, it stays spare.
    fn open_segment(&self, state: &mut State) -> io::Result<()> {
        let (number, file) = state.spare.take().ok_or(io::ErrorKind::NotFound)?;
        let begin = Begin { segment: number, ..self.begin.clone() };
        let mut bytes = frame::begin();
        serde_json::to_writer(&mut bytes, &begin)?;
        frame::seal(&mut bytes, FrameKind::Begin, self.tag, state.next, 0);
        if let Err(error) = file.write_all_at(&bytes, 0) {
            let _ = self.mark_spare(&file);
            state.spare = Some((number, file));
            return Err(error);
        }
        debug_assert!(bytes.len() >= HEADER);
        let len = bytes.len() as u64;
        state.segments.push_back(Segment { number, first: state.next, len, file: Arc::new(file) });
        Ok(())
    }
}
