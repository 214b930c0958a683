//! The second reading: events into the queues of their pipes, and flows out of them.

use std::collections::hash_map::Entry;

use ahash::HashMap;

use super::call::{Between, Calls, PipeId, Use, is_of_pipes, uses_memory};
use super::memories::Memories;
use super::queue::{Hop, Queue};
use super::stitch::{Stitch, direct};
use super::survey::Plan;
use super::threads::Threads;
use super::{Flow, Why};
use crate::schema::{Event, EventKind};

/// Ranges that are kept, in pipes and between them.
const RANGES: usize = 65_536;

/// Follows bytes through pipes.
#[derive(Debug)]
pub struct Tracker {
    plan: Plan,
    threads: Threads,
    calls: Calls,
    memories: Memories,
    queues: HashMap<PipeId, Queue>,
    stitch: Stitch,
    /// Ranges in pipes.
    pub(super) kept: usize,
    hops: Vec<Hop>,
    overflowed: bool,
}

impl Tracker {
    /// A tracker for the events from which `plan` was made.
    pub fn new(plan: Plan) -> Self {
        Tracker {
            calls: Calls::new(plan.redacted()),
            plan,
            threads: Threads::default(),
            memories: Memories::default(),
            queues: HashMap::default(),
            stitch: Stitch::default(),
            kept: 0,
            hops: Vec::new(),
            overflowed: false,
        }
    }

    /// Follows an event. Gives `emit` the flows of which everything is known now that can be known.
    pub fn note(&mut self, event: &Event<'_>, emit: &mut dyn FnMut(Flow)) {
        let Some(kind) = EventKind::of_name(event.event) else { return self.threads.note(event, None) };
        let begun = self.threads.begin(event, Some(kind));
        if !is_of_pipes(kind) {
            return self.note_memory(event, kind, begun.1, emit);
        }
        let Use::Moves(roles) = Use::of(event, kind) else { return };
        let call = self.calls.of(event, kind, roles, begun);
        if roles.takes.is_none() && roles.puts.is_none() {
            return emit(direct(&call));
        }
        if let Some(id) = roles.takes {
            self.at(id, |queue, hops| queue.take(&call, roles.copies, hops));
        }
        if let Some(id) = roles.puts {
            self.at(id, |queue, hops| queue.put(&call, hops));
        }
        if uses_memory(kind) {
            let owner = (call.pid, event.process_key);
            match roles.puts {
                Some(_) => self.memories.taken(owner, &call, &call.memory, emit),
                None if self.plan.gives(call.pid) => self.memories.put(owner, &call, &call.memory),
                None => {}
            }
        }
        if self.kept > RANGES {
            self.overflow();
        }
        self.pass_on(emit);
        if self.stitch.len() > RANGES {
            self.overflowed = true;
            self.stitch.give_up(Why::Limit, emit);
        }
    }

    /// Follows an event of another kind: bytes between memories, or the end of a program's memory.
    fn note_memory(&mut self, event: &Event<'_>, kind: EventKind, begun: i64, emit: &mut dyn FnMut(Flow)) {
        if matches!(kind, EventKind::ProcessExec | EventKind::ProcessExit) {
            return self.memories.forget(event.pid);
        }
        // A call is only made where something can become of it.
        let Some(Between { pid, gave, .. }) = Between::of(event, kind) else { return };
        let (giver, taker) = if gave { (pid, event.pid) } else { (event.pid, pid) };
        if !self.memories.has(giver) && !self.plan.gives(taker) {
            return;
        }
        let Some(call) = self.calls.between_memories(event, kind, begun) else { return };
        let key = |pid: i32| if pid == event.pid { event.process_key } else { event.target_key };
        if let Some((pid, ranges)) = call.giver() {
            self.memories.taken((pid, key(pid)), &call, ranges, emit);
        }
        if let Some((pid, ranges)) = call.taker().filter(|(pid, _)| self.plan.gives(*pid)) {
            self.memories.put((pid, key(pid)), &call, ranges);
        }
    }

    /// The rows have ended. Returns whether there was more than is kept: of pipes, and of memories.
    pub fn finish(mut self, emit: &mut dyn FnMut(Flow)) -> [bool; 2] {
        let mut ids: Vec<PipeId> = self.queues.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.at(id, Queue::finish);
        }
        self.pass_on(emit);
        self.stitch.give_up(Why::Limit, emit);
        [self.overflowed, self.memories.forgot()]
    }

    fn at(&mut self, id: PipeId, act: impl FnOnce(&mut Queue, &mut Vec<Hop>)) {
        let queue = match self.queues.entry(id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => match self.plan.take(id) {
                Some(plan) => entry.insert(Queue::new(id.inode, plan)),
                None => {
                    let why = self.plan.blind().unwrap_or(Why::Limit);
                    return act(&mut Queue::unknown(id.inode, why), &mut self.hops);
                }
            },
        };
        let before = queue.len();
        act(queue, &mut self.hops);
        self.kept = (self.kept + queue.len()).saturating_sub(before);
    }

    /// The queue that keeps most forgets it.
    fn overflow(&mut self) {
        self.overflowed = true;
        let most = self.queues.iter().max_by_key(|(id, queue)| (queue.len(), **id)).map(|(id, _)| *id);
        if let Some(id) = most {
            self.at(id, Queue::overflow);
        }
    }

    fn pass_on(&mut self, emit: &mut dyn FnMut(Flow)) {
        let mut hops = std::mem::take(&mut self.hops);
        hops.drain(..).for_each(|hop| self.stitch.hop(hop, emit));
        self.hops = hops;
    }
}
