//! Hops of single pipes joined to flows, from the first source to the last sink.
//!
//! A call that moves bytes from pipe to pipe is where two hops meet. Either can become known first: what has arrived at such a call waits for
//! what has left it, and the other way round, byte by byte.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ahash::HashMap;

use super::call::Call;
use super::queue::{End, Hop};
use super::{Certainty, Compared, Flow, Sink, Source, Step, Why};

/// Pipes that a flow goes through. The beginning of a longer one is unknown.
const STEPS: usize = 32;

/// The beginning of a flow: where it came from, and the pipes so far.
#[derive(Clone, Debug)]
struct Path {
    source: Source,
    steps: Vec<Step>,
    certainty: Certainty,
    why: Option<Why>,
    by_reference: bool,
}

impl Path {
    fn begin(source: Source) -> Self {
        let by_reference = matches!(&source, Source::Call(call, _) if call.by_reference);
        let mut path = Path { source, steps: Vec::new(), certainty: Certainty::Exact, why: None, by_reference };
        if by_reference {
            path.weaken(Certainty::ByReference, None);
        }
        if let Source::Unknown(why) = path.source {
            path.weaken(Certainty::Unknown, Some(why));
        }
        path
    }

    fn weaken(&mut self, certainty: Certainty, why: Option<Why>) {
        if certainty > self.certainty {
            self.certainty = certainty;
            self.why = why;
        }
    }

    /// The same from `bytes` on.
    fn shifted(mut self, bytes: u64) -> Self {
        if bytes == 0 {
            return self;
        }
        if let Source::Call(_, offset) = &mut self.source {
            *offset = offset.saturating_add(bytes);
        }
        for step in &mut self.steps {
            step.stream = step.stream.map(|stream| stream.saturating_add(bytes));
            if let Some((_, offset)) = &mut step.moved {
                *offset = offset.saturating_add(bytes);
            }
        }
        self
    }
}

impl Hop {
    /// The same from `bytes` on.
    fn shifted(mut self, bytes: u64) -> Self {
        self.stream = self.stream.map(|stream| stream.saturating_add(bytes));
        for end in [&mut self.from, &mut self.to] {
            if let End::At((_, offset)) = end {
                *offset = offset.saturating_add(bytes);
            }
        }
        self
    }
}

/// Ranges of a call's bytes, each with what is known of it and its length.
type Ranges<T> = BTreeMap<u64, (u64, T)>;

/// What has arrived at a call between pipes and not yet left it, and the other way round.
#[derive(Debug, Default)]
struct Between {
    arrived: Ranges<Path>,
    left: Ranges<Hop>,
    /// Copies of what has not yet arrived. The bytes themselves leave, too.
    copied: Vec<(u64, u64, Hop)>,
    joined: u64,
}

impl Between {
    fn len(&self) -> usize {
        self.arrived.len() + self.left.len() + self.copied.len()
    }
}

/// A part of the work that is still to do.
#[derive(Debug)]
enum Work {
    /// Bytes with a known beginning have gone through one more pipe.
    Deliver(Path, Hop),
    /// They have come to a call between pipes.
    Arrive(Arc<Call>, u64, u64, Path),
}

/// Joins hops.
#[derive(Debug, Default)]
pub(super) struct Stitch {
    between: HashMap<u64, Between>,
    kept: usize,
    work: VecDeque<Work>,
}

impl Stitch {
    /// How many ranges are kept.
    pub fn len(&self) -> usize {
        self.kept
    }

    /// Bytes went through one pipe.
    pub fn hop(&mut self, hop: Hop, emit: &mut dyn FnMut(Flow)) {
        let mut work = std::mem::take(&mut self.work);
        match &hop.from {
            End::At((call, offset)) if call.is_between => {
                let (call, offset, bytes) = (Arc::clone(call), *offset, hop.bytes);
                self.leave(&call, offset, bytes, hop, &mut work);
            }
            End::At((call, offset)) => {
                let path = Path::begin(Source::Call(Arc::clone(call), *offset));
                work.push_back(Work::Deliver(path, hop));
            }
            End::Unknown(why) => work.push_back(Work::Deliver(Path::begin(Source::Unknown(*why)), hop)),
            End::Left => {}
        }
        while let Some(next) = work.pop_front() {
            match next {
                Work::Deliver(path, hop) => deliver(path, hop, &mut work, emit),
                Work::Arrive(call, offset, bytes, path) => self.arrive(&call, offset, bytes, path, &mut work),
            }
        }
        self.work = work;
    }

    fn leave(&mut self, call: &Call, offset: u64, bytes: u64, hop: Hop, work: &mut VecDeque<Work>) {
        let between = self.between.entry(call.seq).or_default();
        let before = between.len();
        let is_copy = hop.is_copy;
        let (found, rest) = cut(&mut between.arrived, offset, bytes, is_copy, Path::shifted);
        for (at, len, path) in found {
            between.joined = between.joined.saturating_add(if is_copy { 0 } else { len });
            let hop = Hop { bytes: len, ..hop.clone().shifted(at - offset) };
            work.push_back(Work::Deliver(path, hop));
        }
        for (at, len) in rest {
            let hop = Hop { bytes: len, ..hop.clone().shifted(at - offset) };
            if is_copy {
                between.copied.push((at, len, hop));
            } else {
                between.left.insert(at, (len, hop));
            }
        }
        self.tidy(call, before);
    }

    fn arrive(&mut self, call: &Call, offset: u64, bytes: u64, path: Path, work: &mut VecDeque<Work>) {
        let between = self.between.entry(call.seq).or_default();
        let before = between.len();
        for (at, len, hop) in std::mem::take(&mut between.copied) {
            let (start, end) = (at.max(offset), (at + len).min(offset.saturating_add(bytes)));
            if start >= end {
                between.copied.push((at, len, hop));
                continue;
            }
            for (from, to) in [(at, start), (end, at + len)].into_iter().filter(|(from, to)| from < to) {
                between.copied.push((from, to - from, Hop { bytes: to - from, ..hop.clone().shifted(from - at) }));
            }
            let hop = Hop { bytes: end - start, ..hop.shifted(start - at) };
            work.push_back(Work::Deliver(path.clone().shifted(start - offset), hop));
        }
        let (found, rest) = cut(&mut between.left, offset, bytes, false, Hop::shifted);
        for (at, len, hop) in found {
            between.joined = between.joined.saturating_add(len);
            work.push_back(Work::Deliver(path.clone().shifted(at - offset), Hop { bytes: len, ..hop }));
        }
        for (at, len) in rest {
            between.arrived.insert(at, (len, path.clone().shifted(at - offset)));
        }
        self.tidy(call, before);
    }

    fn tidy(&mut self, call: &Call, before: usize) {
        let Some(between) = self.between.get(&call.seq) else { return };
        let now = between.len();
        let is_done = between.joined >= call.bytes;
        self.kept = (self.kept + now).saturating_sub(before);
        if is_done {
            self.kept = self.kept.saturating_sub(now);
            self.between.remove(&call.seq);
        }
    }

    /// What waits is not joined any more.
    pub fn give_up(&mut self, why: Why, emit: &mut dyn FnMut(Flow)) {
        let mut all: Vec<(u64, Between)> = std::mem::take(&mut self.between).into_iter().collect();
        all.sort_by_key(|(seq, _)| *seq);
        self.kept = 0;
        let mut work = VecDeque::new();
        for (_, between) in all {
            for (_, (bytes, path)) in between.arrived {
                emit(flow(path, Sink::Unknown(why), bytes, Some(why)));
            }
            let copied = between.copied.into_iter().map(|(_, _, hop)| hop);
            for hop in between.left.into_values().map(|(_, hop)| hop).chain(copied) {
                let to = match hop.to {
                    // Nobody has arrived there, and nobody will look for what did.
                    End::At((call, _)) if call.is_between => End::Unknown(why),
                    to => to,
                };
                work.push_back(Work::Deliver(Path::begin(Source::Unknown(why)), Hop { to, ..hop }));
            }
        }
        while let Some(next) = work.pop_front() {
            if let Work::Deliver(path, hop) = next {
                deliver(path, hop, &mut work, emit);
            }
        }
    }
}

/// Takes `offset..offset + bytes` out of `ranges`, or leaves it there: what is there, and where nothing is.
#[expect(clippy::type_complexity, reason = "two lists of ranges")]
fn cut<T: Clone>(
    ranges: &mut Ranges<T>,
    offset: u64,
    bytes: u64,
    stays: bool,
    shifted: impl Fn(T, u64) -> T,
) -> (Vec<(u64, u64, T)>, Vec<(u64, u64)>) {
    let end = offset.saturating_add(bytes);
    let (mut found, mut rest, mut at) = (Vec::new(), Vec::new(), offset);
    while at < end {
        let before = ranges.range(..=at).next_back().filter(|(start, (len, _))| **start + *len > at);
        let next = before.or_else(|| ranges.range(at..end).next());
        let Some(start) = next.map(|(start, _)| *start) else { break };
        let Some((len, value)) = (if stays { ranges.get(&start).cloned() } else { ranges.remove(&start) }) else {
            break;
        };
        if start > at {
            rest.push((at, start - at));
            at = start;
        }
        let (skip, stop) = (at - start, (start + len).min(end));
        if skip > 0 && !stays {
            ranges.insert(start, (skip, value.clone()));
        }
        if stop < start + len && !stays {
            ranges.insert(stop, (start + len - stop, shifted(value.clone(), stop - start)));
        }
        found.push((at, stop - at, shifted(value, skip)));
        at = stop;
    }
    if at < end {
        rest.push((at, end - at));
    }
    (found, rest)
}

/// Bytes with a known beginning go through one more pipe: to their sink, or to a call that moves them on.
fn deliver(mut path: Path, hop: Hop, work: &mut VecDeque<Work>, emit: &mut dyn FnMut(Flow)) {
    path.weaken(hop.certainty, hop.why);
    if path.steps.len() >= STEPS {
        path.steps.clear();
        path.source = Source::Unknown(Why::Limit);
        path.weaken(Certainty::Unknown, Some(Why::Limit));
    }
    path.steps.push(Step { pipe: hop.pipe, stream: hop.stream, moved: None });
    match hop.to {
        End::At((call, offset)) if call.is_between => {
            if let Some(step) = path.steps.last_mut() {
                step.moved = Some((Arc::clone(&call), offset));
            }
            work.push_back(Work::Arrive(call, offset, hop.bytes, path));
        }
        End::At((call, offset)) => emit(flow(path, Sink::Call(call, offset), hop.bytes, None)),
        End::Unknown(why) => emit(flow(path, Sink::Unknown(why), hop.bytes, Some(why))),
        End::Left => emit(flow(path, Sink::Left, hop.bytes, None)),
    }
}

/// A flow from end to end. What came out is compared with what went in.
fn flow(mut path: Path, sink: Sink, bytes: u64, unknown: Option<Why>) -> Flow {
    if unknown.is_some() {
        path.weaken(Certainty::Unknown, unknown);
    }
    let compared = match (&path.source, &sink) {
        (Source::Call(from, there), Sink::Call(to, here)) => {
            match compare(from.comparable_at(*there, bytes), to.comparable_at(*here, bytes)) {
                Compared::No if from.is_redacted() || to.is_redacted() => Compared::Removed,
                compared => compared,
            }
        }
        (Source::Call(..) | Source::Unknown(_), _) => Compared::No,
    };
    if matches!(compared, Compared::Differs(_)) && !path.by_reference {
        path.weaken(Certainty::Unknown, Some(Why::Contradiction));
    }
    let Path { source, steps, certainty, why, by_reference } = path;
    Flow { source, steps, via: None, sink, bytes, certainty, why, by_reference, compared }
}

/// A call that moved bytes without a pipe.
pub(super) fn direct(call: &Arc<Call>) -> Flow {
    let path = Path::begin(Source::Call(Arc::clone(call), 0));
    flow(path, Sink::Call(Arc::clone(call), 0), call.bytes, None)
}

fn compare(sent: Option<&[u8]>, got: Option<&[u8]>) -> Compared {
    let Some((sent, got)) = sent.zip(got) else { return Compared::No };
    let differs = sent.iter().zip(got).position(|(sent, got)| sent != got);
    match differs {
        Some(at) => Compared::Differs(at as u64),
        None => Compared::Equal(sent.len().min(got.len()) as u64),
    }
}
