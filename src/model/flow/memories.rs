//! Bytes in memories between two calls: one put them there, another one took the same from there.
//!
//! That they are the same follows from their addresses and from the captured bytes of both calls, where these are alike and more than
//! a few. So it is inferred: the process can have put the same bytes there itself meanwhile. Rows are in the order in which calls
//! returned; calls of which the durations show that they overlapped are not linked.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::{HashMap, RandomState};

use super::call::{Call, address};
use super::telling::tells;
use super::{Certainty, Compared, Flow, Sink, Source, Via};
use crate::schema::types::Iovec;

/// Parts that are kept of a memory, and of all of them. Of a memory that has more, the newer half stays.
const PARTS: usize = 1_024;
const ALL: usize = 65_536;

/// What calls put into the memories of processes.
#[derive(Debug, Default)]
pub(super) struct Memories {
    processes: HashMap<i32, Image>,
    keys: RandomState,
    kept: usize,
    forgot: bool,
}

/// Whose memory: pid and `process_key`.
type Owner<'a> = (i32, Option<&'a str>);

/// What calls put into the memory of a process.
#[derive(Debug, Default)]
struct Image {
    /// The hash of `process_key`.
    key: Option<u64>,
    /// By their first address; they do not overlap.
    parts: BTreeMap<u64, Part>,
}

/// Bytes that a call put there.
#[derive(Clone, Debug)]
struct Part {
    end: u64,
    call: Arc<Call>,
    /// Of the first byte, in what the call moved.
    offset: u64,
}

impl Image {
    /// Whether this is another process, which had the same pid. Not every row knows.
    fn is_of_another(&self, key: Option<u64>) -> bool {
        self.key.zip(key).is_some_and(|(mine, its)| mine != its)
    }

    /// Forgets the older half.
    fn halve(&mut self) {
        let mut seqs: Vec<u64> = self.parts.values().map(|part| part.call.seq).collect();
        let middle = seqs.len() / 2;
        let (_, middle, _) = seqs.select_nth_unstable(middle);
        self.parts.retain(|_, part| part.call.seq >= *middle);
        // All are of one call.
        if self.parts.len() > PARTS {
            self.parts.clear();
        }
    }

    /// Keeps a part that begins at `start`, in the place of what was there.
    fn put(&mut self, start: u64, part: Part) {
        if !part.call.tells {
            return self.cut(start, part.end);
        }
        match self.parts.get_mut(&start) {
            Some(old) if old.end == part.end => *old = part,
            Some(_) | None => {
                self.cut(start, part.end);
                self.parts.insert(start, part);
            }
        }
    }

    /// Forgets what is from `start` to `end`.
    fn cut(&mut self, start: u64, end: u64) {
        loop {
            let first = self.within(start, end).next().map(|(at, _)| at);
            let Some(at) = first else { return };
            let Some(part) = self.parts.remove(&at) else { return };
            if part.end > end {
                self.parts.insert(end, Part { offset: part.offset + (end - at), ..part.clone() });
            }
            if at < start {
                self.parts.insert(at, Part { end: start, ..part });
            }
        }
    }

    /// The parts that overlap `start` to `end`, each with its first address.
    fn within(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, &Part)> {
        let before = self.parts.range(..start).next_back().filter(|(_, part)| part.end > start);
        before.into_iter().chain(self.parts.range(start..end)).map(|(at, part)| (*at, part))
    }
}

/// The ranges in which the first `bytes` bytes of a call lay: first address, end, offset in what it moved.
fn pieces(ranges: &[Iovec], bytes: u64) -> impl Iterator<Item = (u64, u64, u64)> {
    let mut before = 0u64;
    ranges.iter().filter_map(move |range| {
        let (offset, len) = (before, range.len.min(bytes.saturating_sub(before)));
        before = before.saturating_add(len);
        let end = range.base.checked_add(len).filter(|_| len > 0)?;
        Some((range.base, end, offset))
    })
}

impl Memories {
    /// A call put bytes into a memory.
    pub fn put(&mut self, owner: Owner<'_>, call: &Arc<Call>, ranges: &[Iovec]) {
        let mut pieces = pieces(ranges, call.bytes).peekable();
        if pieces.peek().is_none() {
            // Where they went is not known.
            return self.forget(owner.0);
        }
        let key = self.hash(owner);
        let image = self.processes.entry(owner.0).or_default();
        let before = image.parts.len();
        if image.is_of_another(key) {
            *image = Image::default();
        }
        image.key = image.key.or(key);
        for (start, end, offset) in pieces {
            image.put(start, Part { end, call: Arc::clone(call), offset });
        }
        if image.parts.len() > PARTS {
            image.halve();
            self.forgot = true;
        }
        self.kept = (self.kept + image.parts.len()).saturating_sub(before);
        if self.kept > ALL {
            self.processes.clear();
            self.kept = 0;
            self.forgot = true;
        }
    }

    /// A call took bytes from a memory. Gives `emit` where they came from, as far as that can be inferred.
    pub fn taken(&self, owner: Owner<'_>, call: &Arc<Call>, ranges: &[Iovec], emit: &mut dyn FnMut(Flow)) {
        let key = self.hash(owner);
        let Some(image) = self.processes.get(&owner.0).filter(|image| !image.is_of_another(key)) else { return };
        // Of what lies behind the captured bytes, nothing can be told.
        let captured = call.payload.as_ref().filter(|_| call.tells).map_or(0, |payload| payload.len() as u64);
        for (start, end, offset) in pieces(ranges, call.bytes) {
            let compared = captured.saturating_sub(offset).min(end - start);
            if compared == 0 {
                continue;
            }
            for (first, part) in image.within(start, start + compared) {
                let overlapped = call.began.is_some_and(|began| began < part.call.end);
                if !overlapped {
                    let at = first.max(start);
                    let put = (&part.call, part.offset + (at - first));
                    link(owner.0, put, (call, offset + (at - start)), part.end.min(end) - at, emit);
                }
            }
        }
    }

    /// Whether something is kept of the memory of a process.
    pub fn has(&self, pid: i32) -> bool {
        self.processes.contains_key(&pid)
    }

    fn hash(&self, (_, key): Owner<'_>) -> Option<u64> {
        key.map(|key| self.keys.hash_one(key))
    }

    /// A process has another memory, or none.
    pub fn forget(&mut self, pid: i32) {
        let parts = self.processes.remove(&pid).map_or(0, |image| image.parts.len());
        self.kept = self.kept.saturating_sub(parts);
    }

    /// How many parts are kept.
    #[cfg(test)]
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Whether there was more than is kept, so that flows may be missing.
    pub fn forgot(&self) -> bool {
        self.forgot
    }
}

/// A call, and the offset of a byte in what it moved.
type At<'a> = (&'a Arc<Call>, u64);

/// The flows of `bytes` bytes that one call put there and another one took: all of them if the captured bytes of both calls are
/// alike as far as both are kept, else the runs of these that are.
fn link(pid: i32, from: At<'_>, to: At<'_>, bytes: u64, emit: &mut dyn FnMut(Flow)) {
    let kept = from.0.comparable_at(from.1, bytes).zip(to.0.comparable_at(to.1, bytes));
    let Some((put, took)) = kept else { return };
    let compared = put.len().min(took.len());
    let mut start = 0;
    while start < compared {
        let alike = put.iter().zip(took).skip(start).take_while(|(put, took)| put == took).count();
        if put.get(start..start + alike).is_some_and(tells) {
            let all = if alike == compared { bytes } else { alike as u64 };
            emit(flow(pid, from, to, (start as u64, all, alike as u64)));
        }
        start += alike + 1;
    }
}

/// The flow of `bytes` bytes, the first of which lies `start` bytes behind both, and of which `alike` were compared.
fn flow(pid: i32, (put, put_at): At<'_>, (took, took_at): At<'_>, (start, bytes, alike): (u64, u64, u64)) -> Flow {
    let there = put_at + start;
    let (_, into) = put.taker().unwrap_or((pid, &put.memory));
    let comm = match &put.peer {
        Some(peer) if !peer.gave => Arc::clone(&peer.comm),
        Some(_) | None => Arc::clone(&put.comm),
    };
    Flow {
        source: Source::Call(Arc::clone(put), there),
        steps: Vec::new(),
        via: Some(Via { pid, comm, address: address(into, there).unwrap_or(0) }),
        sink: Sink::Call(Arc::clone(took), took_at + start),
        bytes,
        certainty: Certainty::Inferred,
        why: None,
        by_reference: false,
        compared: Compared::Equal(alike),
    }
}
