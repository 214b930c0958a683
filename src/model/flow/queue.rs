//! One pipe as a queue of byte ranges, in the second reading.
//!
//! What calls put in waits for calls that take it out, and the other way round: a reader can return before the writer that
//! fed it. Owns the queue; who gets which bytes is passed on as [`Hop`]s.

use std::collections::VecDeque;
use std::sync::Arc;

use super::call::Call;
use super::survey::{PipePlan, State};
use super::{Certainty, Why};

/// Bytes of one call: it, and their offset in what it moved.
pub(super) type At = (Arc<Call>, u64);

/// The other end of bytes, or why it is not known.
#[derive(Clone, Debug)]
pub(super) enum End {
    At(At),
    Unknown(Why),
    /// The bytes are in the pipe to the end.
    Left,
}

/// Bytes that went through one pipe. Each byte that a call put in is in exactly one hop that is no copy, and each that a call took
/// or copied out in exactly one.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    pub pipe: u64,
    pub stream: Option<u64>,
    pub from: End,
    pub to: End,
    pub bytes: u64,
    pub certainty: Certainty,
    pub why: Option<Why>,
    /// The bytes stayed in the pipe.
    pub is_copy: bool,
}

/// Bytes in the pipe; without a call those that it held before.
#[derive(Debug)]
struct Piece {
    from: Option<At>,
    left: u64,
    stream: u64,
    in_order: bool,
}

/// Bytes that a call took or copied out, and whose source is not yet found.
#[derive(Debug)]
struct Wanted {
    to: Arc<Call>,
    found: u64,
    is_copy: bool,
    in_order: bool,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    inode: u64,
    stretches: VecDeque<(u64, State)>,
    puts: Runs,
    takes: Runs,
    state: State,
    pieces: VecDeque<Piece>,
    wanted: VecDeque<Wanted>,
    stream: u64,
}

/// Rows between which calls overlapped, in order.
#[derive(Debug)]
struct Runs(VecDeque<(u64, u64)>);

impl Runs {
    fn holds(&mut self, seq: u64) -> bool {
        while self.0.front().is_some_and(|(_, last)| *last < seq) {
            self.0.pop_front();
        }
        self.0.front().is_some_and(|(first, _)| *first <= seq)
    }
}

impl Queue {
    pub fn new(inode: u64, plan: PipePlan) -> Self {
        let mut queue = Queue {
            inode,
            stretches: plan.stretches.into(),
            puts: Runs(plan.puts.into()),
            takes: Runs(plan.takes.into()),
            state: State::unknown(Why::Limit),
            pieces: VecDeque::new(),
            wanted: VecDeque::new(),
            stream: 0,
        };
        queue.enter();
        queue
    }

    /// A pipe of which nothing is known.
    pub fn unknown(inode: u64, why: Why) -> Self {
        Queue::new(
            inode,
            PipePlan { stretches: vec![(u64::MAX, State::unknown(why))], puts: Vec::new(), takes: Vec::new() },
        )
    }

    /// How much is kept.
    pub fn len(&self) -> usize {
        self.pieces.len() + self.wanted.len()
    }

    /// A call put its bytes in.
    pub fn put(&mut self, call: &Arc<Call>, hops: &mut Vec<Hop>) {
        self.advance(call.seq, hops);
        let piece = Piece {
            from: Some((Arc::clone(call), 0)),
            left: call.bytes,
            stream: self.stream,
            in_order: !self.puts.holds(call.seq),
        };
        self.stream = self.stream.saturating_add(call.bytes);
        self.pieces.push_back(piece);
        self.settle(hops);
    }

    /// A call took its bytes out, or copied them.
    pub fn take(&mut self, call: &Arc<Call>, is_copy: bool, hops: &mut Vec<Hop>) {
        self.advance(call.seq, hops);
        let in_order = !self.takes.holds(call.seq);
        self.wanted.push_back(Wanted { to: Arc::clone(call), found: 0, is_copy, in_order });
        self.settle(hops);
    }

    /// The capture has ended.
    pub fn finish(&mut self, hops: &mut Vec<Hop>) {
        self.give_up(Why::NotSeen, hops);
    }

    /// Forgets what is kept. What follows in this stretch is unknown.
    pub fn overflow(&mut self, hops: &mut Vec<Hop>) {
        self.give_up(Why::Limit, hops);
        self.state = State::unknown(Why::Limit);
    }

    /// Goes on to the stretch of a row.
    fn advance(&mut self, seq: u64, hops: &mut Vec<Hop>) {
        while self.stretches.front().is_some_and(|(last, _)| *last < seq) {
            self.stretches.pop_front();
            // In a stretch that is known nothing is left here but copies that contradict it.
            self.give_up(self.state.why.unwrap_or(Why::Contradiction), hops);
            self.enter();
        }
    }

    fn enter(&mut self) {
        self.state = self.stretches.front().map_or(State::unknown(Why::Limit), |(_, state)| *state);
        if self.state.before > 0 && self.state.certainty != Certainty::Unknown {
            self.pieces.push_back(Piece { from: None, left: self.state.before, stream: 0, in_order: true });
        }
    }

    /// What waits is not found any more.
    fn give_up(&mut self, why: Why, hops: &mut Vec<Hop>) {
        let (mut pieces, mut wanted) = (std::mem::take(&mut self.pieces), std::mem::take(&mut self.wanted));
        for Piece { from, left, stream, .. } in pieces.drain(..) {
            let Some(from) = from else { continue };
            let to = if why == Why::NotSeen { End::Left } else { End::Unknown(why) };
            hops.push(self.hop(Some(stream), End::At(from), to, left, None));
        }
        for Wanted { to, found, is_copy, .. } in wanted.drain(..) {
            let left = to.bytes.saturating_sub(found);
            hops.push(Hop { is_copy, ..self.hop(None, End::Unknown(why), End::At((to, found)), left, Some(why)) });
        }
        // They stay as large as they were.
        (self.pieces, self.wanted) = (pieces, wanted);
    }

    fn hop(&self, stream: Option<u64>, from: End, to: End, bytes: u64, unknown: Option<Why>) -> Hop {
        let why_of = |end: &End| match end {
            End::Unknown(why) => Some(*why),
            End::At(_) | End::Left => None,
        };
        let unknown = unknown.or_else(|| why_of(&from)).or_else(|| why_of(&to));
        let State { certainty, why, .. } = match unknown {
            Some(why) => State::unknown(why),
            None => self.state,
        };
        Hop { pipe: self.inode, stream, from, to, bytes, certainty, why, is_copy: false }
    }

    /// Gives what is in the pipe to those who took it.
    fn settle(&mut self, hops: &mut Vec<Hop>) {
        if let (Certainty::Unknown, why) = (self.state.certainty, self.state.why) {
            return self.give_up(why.unwrap_or(Why::Limit), hops);
        }
        while let Some(wanted) = self.wanted.front() {
            let is_copy = wanted.is_copy;
            let given = if is_copy { self.copy(hops) } else { self.consume(hops) };
            match given {
                Given::All => {
                    self.wanted.pop_front();
                }
                Given::Part => return,
                Given::Impossible => {
                    self.give_up(Why::Contradiction, hops);
                    self.state = State::unknown(Why::Contradiction);
                    return;
                }
            }
        }
    }

    /// Takes from the front for the first who waits.
    fn consume(&mut self, hops: &mut Vec<Hop>) -> Given {
        loop {
            let Some(wanted) = self.wanted.front() else { return Given::All };
            let (to, found, in_order) = (Arc::clone(&wanted.to), wanted.found, wanted.in_order);
            let rest = to.bytes.saturating_sub(found);
            if rest == 0 {
                return Given::All;
            }
            let Some(piece) = self.pieces.front_mut() else { return Given::Part };
            let bytes = rest.min(piece.left);
            let from = piece.from.clone();
            if from.as_ref().is_some_and(|(call, _)| call.begin > to.end) {
                return Given::Impossible;
            }
            let (stream, ordered) = (piece.stream, piece.in_order && in_order);
            piece.left -= bytes;
            piece.stream = piece.stream.saturating_add(bytes);
            if let Some((_, offset)) = &mut piece.from {
                *offset = offset.saturating_add(bytes);
            }
            if piece.left == 0 {
                self.pieces.pop_front();
            }
            if let Some(wanted) = self.wanted.front_mut() {
                wanted.found += bytes;
            }
            self.give(hops, from, (to, found), stream, bytes, ordered, false);
        }
    }

    /// Copies from the front for the first who waits.
    fn copy(&mut self, hops: &mut Vec<Hop>) -> Given {
        loop {
            let Some(wanted) = self.wanted.front() else { return Given::All };
            let (to, found, in_order) = (Arc::clone(&wanted.to), wanted.found, wanted.in_order);
            let rest = to.bytes.saturating_sub(found);
            if rest == 0 {
                return Given::All;
            }
            let mut skip = found;
            let piece = self.pieces.iter().find(|piece| {
                let is_there = skip < piece.left;
                if !is_there {
                    skip -= piece.left;
                }
                is_there
            });
            let Some(piece) = piece else { return Given::Part };
            let from = piece.from.as_ref().map(|(call, offset)| (Arc::clone(call), offset.saturating_add(skip)));
            if from.as_ref().is_some_and(|(call, _)| call.begin > to.end) {
                return Given::Impossible;
            }
            let bytes = rest.min(piece.left - skip);
            let (stream, ordered) = (piece.stream.saturating_add(skip), piece.in_order && in_order);
            if let Some(wanted) = self.wanted.front_mut() {
                wanted.found += bytes;
            }
            self.give(hops, from, (to, found), stream, bytes, ordered, true);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a hop")]
    fn give(
        &self,
        hops: &mut Vec<Hop>,
        from: Option<At>,
        to: At,
        stream: u64,
        bytes: u64,
        ordered: bool,
        is_copy: bool,
    ) {
        let Some(from) = from else {
            let hop = self.hop(None, End::Unknown(Why::Before), End::At(to), bytes, None);
            return hops.push(Hop { is_copy, ..hop });
        };
        if ordered {
            let hop = self.hop(Some(stream), End::At(from), End::At(to), bytes, None);
            return hops.push(Hop { is_copy, ..hop });
        }
        let overlap = End::Unknown(Why::Overlap);
        if !is_copy {
            hops.push(self.hop(Some(stream), End::At(from), overlap.clone(), bytes, None));
        }
        hops.push(Hop { is_copy, ..self.hop(None, overlap, End::At(to), bytes, None) });
    }
}

/// What became of the first who waits.
enum Given {
    All,
    Part,
    /// The call that would have fed it began after it had returned.
    Impossible,
}
