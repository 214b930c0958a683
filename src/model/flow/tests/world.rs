//! Random programs that use pipes, with their own account of every byte's way.

use std::collections::{BTreeMap, VecDeque};

use crate::schema::types::{Iovec, Iovecs};
use crate::schema::{Event, EventKind};

/// SplitMix64.
pub(super) struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// The way of a byte: its source, the calls between pipes, and the pipes; each call with an offset. Calls are named by the order
/// of their effects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub source: Option<(usize, u64)>,
    pub steps: Vec<(u64, Option<(usize, u64)>)>,
}

/// A byte in a pipe.
#[derive(Clone, Debug)]
pub(super) struct Byte {
    way: Way,
    value: u8,
    /// What a reader gets, where the sender reused its page.
    seen: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Write,
    Vmsplice,
    Read,
    Splice,
    Tee,
    /// splice(2) from the pipe into a file.
    Drain,
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub call: usize,
    pub act: Act,
    pub pid: i32,
    pub begin: i64,
    pub end: i64,
    pub bytes: u64,
    pub asked: u64,
    pub pipe_in: Option<u64>,
    pub pipe_out: Option<u64>,
    pub payload: Vec<u8>,
    pub memory: Vec<Iovec>,
}

#[derive(Debug)]
pub(super) enum State {
    Idle,
    /// Has begun, and not yet done anything.
    Begun(Act, i64, u64, [Option<u64>; 2]),
    /// Has done it, and not yet returned.
    Done(Row),
}

/// What a world allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Several processes use the same end of a pipe.
    pub shared: bool,
    /// Calls overlap.
    pub overlap: bool,
    /// Entry times are recorded.
    pub timed: bool,
    /// Pipes can hold bytes before they are known.
    pub held: bool,
}

pub(super) struct World {
    pub random: Random,
    pub rules: Rules,
    pub now: i64,
    pub pipes: BTreeMap<u64, VecDeque<Byte>>,
    pub held: BTreeMap<u64, u64>,
    pub processes: Vec<(i32, State)>,
    pub calls: usize,
    /// In the order of their ends.
    pub rows: Vec<Row>,
    /// By call and offset of the sink.
    pub ways: BTreeMap<(usize, u64), Way>,
    /// Bytes that went into each pipe, those that it held included, and where those of each call begin.
    pub put: BTreeMap<u64, (u64, Vec<(usize, u64)>)>,
    /// Bytes that each call took out.
    pub taken: Vec<(u64, usize, u64)>,
    /// Calls that have done something and are no rows.
    pub pending: u64,
}

impl World {
    pub fn new(seed: u64, rules: Rules) -> Self {
        let mut random = Random(seed);
        let pipes = 1 + random.below(4);
        let processes = 2 + random.below(5);
        let mut world = World {
            rules,
            now: 1_000,
            pipes: BTreeMap::new(),
            held: BTreeMap::new(),
            processes: (0..processes).map(|n| (100 + n as i32, State::Idle)).collect(),
            calls: 0,
            rows: Vec::new(),
            ways: BTreeMap::new(),
            put: BTreeMap::new(),
            taken: Vec::new(),
            pending: 0,
            random,
        };
        for pipe in 0..pipes {
            let held = if rules.held && world.random.chance(30) { world.random.below(30) } else { 0 };
            let byte = Byte { way: Way { source: None, steps: vec![(pipe, None)] }, value: 0xee, seen: 0xee };
            world.pipes.insert(pipe, std::iter::repeat_n(byte, held as usize).collect());
            world.held.insert(pipe, held);
            world.put.insert(pipe, (held, Vec::new()));
        }
        world
    }

    pub fn run(mut self, steps: usize) -> Self {
        for _ in 0..steps {
            let process = self.random.below(self.processes.len() as u64) as usize;
            self.step(process);
            if !self.rules.overlap {
                while !matches!(self.processes[process].1, State::Idle) {
                    self.step(process);
                }
            }
        }
        for process in 0..self.processes.len() {
            if matches!(self.processes[process].1, State::Done(_)) {
                // Some calls have not returned when the recording ends.
                if self.random.chance(50) {
                    self.step(process);
                } else {
                    self.pending += 1;
                }
            }
        }
        self
    }

    fn step(&mut self, process: usize) {
        self.now += 1 + self.random.below(3) as i64;
        let pid = self.processes[process].0;
        let state = std::mem::replace(&mut self.processes[process].1, State::Idle);
        self.processes[process].1 = match state {
            State::Idle => self.begin(process),
            State::Begun(act, begin, asked, pipes) => match self.act(pid, act, begin, asked, pipes) {
                Some(row) => State::Done(row),
                // A call that does not block.
                None if !self.rules.overlap => State::Idle,
                None => State::Begun(act, begin, asked, pipes),
            },
            State::Done(row) => {
                self.rows.push(Row { end: self.now, ..row });
                State::Idle
            }
        };
    }

    /// The process that alone uses that end of a pipe.
    fn owner(&self, pipe: u64, is_out: bool) -> usize {
        (pipe as usize * 2 + usize::from(is_out)) % self.processes.len()
    }

    fn begin(&mut self, process: usize) -> State {
        let acts = [Act::Write, Act::Vmsplice, Act::Read, Act::Splice, Act::Tee, Act::Drain, Act::Read, Act::Write];
        let act = acts[self.random.below(acts.len() as u64) as usize];
        let pipes = self.pipes.len() as u64;
        let (from, to) = (self.random.below(pipes), self.random.below(pipes));
        let takes = !matches!(act, Act::Write | Act::Vmsplice);
        let puts = !matches!(act, Act::Read | Act::Drain);
        let allowed = |pipe, is_out| self.rules.shared || self.owner(pipe, is_out) == process;
        if (takes && !allowed(from, true)) || (puts && !allowed(to, false)) || (takes && puts && from == to) {
            return State::Idle;
        }
        let asked = 1 + self.random.below(40);
        State::Begun(act, self.now, asked, [takes.then_some(from), puts.then_some(to)])
    }

    /// What the call does, at once.
    fn act(&mut self, pid: i32, act: Act, begin: i64, asked: u64, [from, to]: [Option<u64>; 2]) -> Option<Row> {
        let call = self.calls;
        let bytes: Vec<Byte> = match from {
            None => {
                let reused = act == Act::Vmsplice && self.random.chance(30);
                let kept = self.random.below(asked + 1);
                (0..asked).map(|offset| byte(call, offset, reused && offset >= kept)).collect()
            }
            Some(pipe) => {
                let queue = self.pipes.get_mut(&pipe).unwrap();
                let most = queue.len().min(asked as usize);
                if act == Act::Tee { queue.iter().take(most).cloned().collect() } else { queue.drain(..most).collect() }
            }
        };
        if bytes.is_empty() {
            return None;
        }
        self.calls += 1;
        if let Some(from) = from.filter(|_| act != Act::Tee) {
            self.taken.push((from, call, bytes.len() as u64));
        }
        if let Some((sum, calls)) = to.and_then(|to| self.put.get_mut(&to)) {
            calls.push((call, *sum));
            *sum += bytes.len() as u64;
        }
        let mut payload = Vec::new();
        for (offset, byte) in bytes.iter().enumerate() {
            let here = (call, offset as u64);
            match (act, to) {
                (Act::Write | Act::Vmsplice, _) => payload.push(byte.value),
                (Act::Read, _) => payload.push(byte.seen),
                (Act::Splice | Act::Tee | Act::Drain, _) => {}
            }
            let Some(to) = to else {
                self.ways.insert(here, byte.way.clone());
                continue;
            };
            let mut byte = byte.clone();
            if from.is_some() {
                byte.way.steps.last_mut().unwrap().1 = Some(here);
            }
            byte.way.steps.push((to, None));
            self.pipes.get_mut(&to).unwrap().push_back(byte);
        }
        let base = 0x1000 * (call as u64 + 1);
        let half = bytes.len() as u64 / 2;
        let memory = vec![Iovec { base, len: half }, Iovec { base: base + 0x800, len: asked - half }];
        let bytes = bytes.len() as u64;
        Some(Row { call, act, pid, begin, end: 0, bytes, asked, pipe_in: from, pipe_out: to, payload, memory })
    }

    /// How much a pipe held before the first call that is not `gone`, where those that are gone were earlier.
    pub fn held(&self, pipe: u64, gone: &[usize]) -> u64 {
        let Some((sum, calls)) = self.put.get(&pipe) else { return 0 };
        let first = calls.iter().find(|(call, _)| !gone.contains(call)).map_or(*sum, |(_, start)| *start);
        let taken = self.taken.iter().filter(|(of, call, _)| *of == pipe && gone.contains(call));
        first.saturating_sub(taken.map(|(.., bytes)| bytes).sum())
    }

    pub fn events(&self) -> Vec<Event<'_>> {
        let rows = self.rows.iter().enumerate();
        rows.map(|(seq, row)| {
            let event = match row.act {
                Act::Write => EventKind::PipeWrite,
                Act::Vmsplice => EventKind::Vmsplice,
                Act::Read => EventKind::PipeRead,
                Act::Splice | Act::Drain => EventKind::Splice,
                Act::Tee => EventKind::Tee,
            };
            let has_memory = matches!(row.act, Act::Write | Act::Vmsplice | Act::Read);
            Event {
                seq: seq as u64,
                mono_ns: row.end,
                dur_ns: self.rules.timed.then_some(row.end - row.begin),
                event: event.name(),
                abi: Some("native"),
                pid: row.pid,
                tid: row.pid,
                comm: "worker",
                direction: match row.act {
                    Act::Read => Some("in"),
                    Act::Write | Act::Vmsplice => Some("out"),
                    Act::Splice | Act::Tee | Act::Drain => None,
                },
                bytes: Some(row.bytes as i64),
                bytes_requested: Some(row.asked as i64),
                local_iov: has_memory.then_some(Iovecs::Pairs(&row.memory)),
                fd_in_kind: row.pipe_in.map(|_| "pipe"),
                fd_out_kind: row.pipe_out.map_or((row.act == Act::Drain).then_some("file"), |_| Some("pipe")),
                pipe_in: row.pipe_in,
                pipe_out: row.pipe_out,
                payload: has_memory.then_some(row.payload.as_slice()),
                payload_status: Some(if has_memory { "ok" } else { "none" }),
                payload_by_ref: has_memory.then_some(row.act == Act::Vmsplice),
                ..Event::default()
            }
        })
        .collect()
    }
}

/// A byte that says where it is from.
pub(super) fn byte(call: usize, offset: u64, is_reused: bool) -> Byte {
    let value = (call as u8).wrapping_mul(41).wrapping_add(offset as u8) & 0x7f;
    let way = Way { source: Some((call, offset)), steps: Vec::new() };
    Byte { way, value, seen: if is_reused { value | 0x80 } else { value } }
}

/// Rows without some of them, each gap with a `lost` row as the recorder writes it: before the next row that fits.
pub(super) fn with_losses<'a>(events: &[Event<'a>], random: &mut Random) -> (Vec<Event<'a>>, Vec<u64>, u64) {
    let (mut kept, mut seqs, mut gone, mut since) = (Vec::new(), Vec::new(), 0, None::<(i64, u64)>);
    let at = random.below(events.len().max(1) as u64);
    for (number, event) in events.iter().enumerate() {
        let number = number as u64;
        if (number >= at && number < at + 3) || random.chance(1) {
            since = Some(since.map_or((event.mono_ns, 1), |(first, count)| (first, count + 1)));
            gone += 1;
            continue;
        }
        // Rows of other CPUs can come before the row that reports the loss.
        if let Some((first, count)) = since
            && random.chance(40)
        {
            since = None;
            push_lost(&mut kept, &mut seqs, event.mono_ns, first, count);
        }
        seqs.push(event.seq);
        kept.push(Event { seq: kept.len() as u64, ..*event });
    }
    if let Some((first, count)) = since {
        push_lost(&mut kept, &mut seqs, events.last().map_or(0, |event| event.mono_ns) + 1, first, count);
    }
    (kept, seqs, gone)
}

pub(super) fn push_lost(kept: &mut Vec<Event<'_>>, seqs: &mut Vec<u64>, at: i64, first: i64, count: u64) {
    seqs.push(u64::MAX);
    kept.push(Event {
        seq: kept.len() as u64,
        event: "lost",
        mono_ns: at,
        dur_ns: Some(at - first),
        lost_count: Some(count),
        lost_event: None,
        lost_cause: Some("ring_full"),
        ..Event::default()
    });
}
