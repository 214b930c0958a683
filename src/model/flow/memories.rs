//! Bytes in memories between two calls: one put them there, another one took the same from there.
//!
//! That they are the same follows from their addresses and from the captured bytes of both calls, where these are alike and more than
//! a few. So it is inferred: the process can have put the same bytes there itself meanwhile. Rows are in the order in which calls
//! returned; calls of which the durations show that they overlapped are not linked.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::call::{Call, address};
use super::{Certainty, Compared, Flow, Sink, Source, Via};
use crate::schema::types::Iovec;

/// Fewest bytes that must be alike, and distinct bytes among them: zeros are alike everywhere.
const LEAST: usize = 8;
const DISTINCT: usize = 4;
/// Parts that are kept of a memory, and of all of them. Of a memory that has more, the newer half stays.
const PARTS: usize = 1_024;
const ALL: usize = 65_536;

/// What calls put into the memories of processes.
#[derive(Debug, Default)]
pub(super) struct Memories {
    processes: HashMap<i32, Image>,
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

impl Part {
    /// The same from an address within it on, up to another one.
    fn between(&self, start: u64, from: u64, end: u64) -> Part {
        Part { end, call: Arc::clone(&self.call), offset: self.offset + (from - start) }
    }
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

    /// Forgets what is from `start` to `end`.
    fn cut(&mut self, start: u64, end: u64) {
        let first = self.parts.range(..=start).next_back().map_or(start, |(at, _)| *at);
        let touched: Vec<u64> = self.parts.range(first..end).map(|(at, _)| *at).collect();
        for at in touched {
            let Some(part) = self.parts.get(&at).filter(|part| part.end > start).cloned() else { continue };
            self.parts.remove(&at);
            if at < start {
                self.parts.insert(at, part.between(at, at, start));
            }
            if part.end > end {
                self.parts.insert(end, part.between(at, end, part.end));
            }
        }
    }

    /// The parts that overlap `start` to `end`, from there on.
    fn within(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, Part)> {
        let first = self.parts.range(..=start).next_back().map_or(start, |(at, _)| *at);
        let touched = self.parts.range(first..end).filter(move |(_, part)| part.end > start);
        touched.map(move |(at, part)| ((*at).max(start), part.between(*at, (*at).max(start), part.end)))
    }
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// The ranges in which the first `bytes` bytes of a call lay: first address, end, offset in what it moved.
fn pieces(ranges: &[Iovec], bytes: u64) -> Vec<(u64, u64, u64)> {
    let mut pieces = Vec::new();
    let mut offset = 0u64;
    for range in ranges {
        let len = range.len.min(bytes.saturating_sub(offset));
        if let Some(end) = range.base.checked_add(len).filter(|_| len > 0) {
            pieces.push((range.base, end, offset));
        }
        offset = offset.saturating_add(len);
    }
    pieces
}

impl Memories {
    /// A call put bytes into a memory.
    pub fn put(&mut self, owner: Owner<'_>, call: &Arc<Call>, ranges: &[Iovec]) {
        let pieces = pieces(ranges, call.bytes);
        if pieces.is_empty() {
            // Where they went is not known.
            return self.forget(owner.0);
        }
        let (image, key) = (self.processes.entry(owner.0).or_default(), owner.1.map(hash));
        let before = image.parts.len();
        if image.is_of_another(key) {
            *image = Image::default();
        }
        image.key = image.key.or(key);
        for (start, end, offset) in pieces {
            image.cut(start, end);
            image.parts.insert(start, Part { end, call: Arc::clone(call), offset });
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
        let key = owner.1.map(hash);
        let Some(image) = self.processes.get(&owner.0).filter(|image| !image.is_of_another(key)) else { return };
        // Of what lies behind the captured bytes, nothing can be told.
        let captured = call.payload.as_ref().map_or(0, |payload| payload.len() as u64);
        for (start, end, offset) in pieces(ranges, call.bytes) {
            let compared = captured.saturating_sub(offset).min(end - start);
            for (at, part) in image.within(start, start + compared) {
                let overlapped = call.began.is_some_and(|began| began < part.call.end);
                if !overlapped {
                    link(owner.0, &part, call, offset + (at - start), part.end.min(end) - at, emit);
                }
            }
        }
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

/// The flows of `bytes` bytes of a part, which a call took from its byte `offset` on: all of them if the captured bytes of both calls are
/// alike as far as both are kept, else the runs of these that are.
fn link(pid: i32, part: &Part, call: &Arc<Call>, offset: u64, bytes: u64, emit: &mut dyn FnMut(Flow)) {
    let kept = part.call.comparable_at(part.offset, bytes).zip(call.comparable_at(offset, bytes));
    let Some((put, took)) = kept else { return };
    let compared = put.len().min(took.len());
    let mut start = 0;
    while start < compared {
        let alike = put.iter().zip(took).skip(start).take_while(|(put, took)| put == took).count();
        if put.get(start..start + alike).is_some_and(tells) {
            let all = if alike == compared { bytes } else { alike as u64 };
            emit(flow(pid, part, call, offset, (start as u64, all, alike as u64)));
        }
        start += alike + 1;
    }
}

/// Whether bytes that are alike are so by no accident.
fn tells(bytes: &[u8]) -> bool {
    let mut seen = [false; 256];
    bytes.iter().for_each(|byte| seen.iter_mut().skip(usize::from(*byte)).take(1).for_each(|seen| *seen = true));
    bytes.len() >= LEAST && seen.iter().filter(|seen| **seen).count() >= DISTINCT
}

/// The flow of `bytes` bytes from byte `start` of the part on, of which `alike` were compared.
fn flow(pid: i32, part: &Part, call: &Arc<Call>, offset: u64, (start, bytes, alike): (u64, u64, u64)) -> Flow {
    let there = part.offset + start;
    let (_, into) = part.call.taker().unwrap_or((pid, &part.call.memory));
    let comm = match &part.call.peer {
        Some(peer) if !peer.gave => Arc::clone(&peer.comm),
        Some(_) | None => Arc::clone(&part.call.comm),
    };
    Flow {
        source: Source::Call(Arc::clone(&part.call), there),
        steps: Vec::new(),
        via: Some(Via { pid, comm, address: address(into, there).unwrap_or(0) }),
        sink: Sink::Call(Arc::clone(call), offset + start),
        bytes,
        certainty: Certainty::Inferred,
        why: None,
        by_reference: false,
        compared: Compared::Equal(alike),
    }
}
