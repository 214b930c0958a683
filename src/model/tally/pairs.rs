//! Who reached whom: calls and bytes of each pair of caller and target.
//!
//! Pairs are those of the view `edges` of `vmtrace query`, which a test compares row by row. Calls that have no target are
//! counted by caller.

use std::collections::HashMap;
use std::sync::Arc;

use super::commands::Commands;
use super::row::{Counted, Span, Sums, Who};
use super::texts::Texts;
use super::uses::Use;
use crate::model::process::HostId;
use crate::schema::Event;
use crate::schema::vocabulary::{Direction, IovVerdict};

/// Pairs that are distinguished. What is beyond is counted together.
pub const LIMIT: usize = 16_384;
/// Uses that are distinguished, of all pairs together.
const USES: usize = 65_536;
/// Places in which a pair is looked for first.
const SLOTS: usize = 1_024;

/// A caller and its target.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Who called.
    pub caller: Who,
    /// Whose memory was reached, or who fed the pipe; `None` for calls without a target.
    pub target: Option<Who>,
    /// Calls, and other rows with this caller and target.
    pub calls: u64,
    /// Calls that returned an error.
    pub failures: u64,
    /// Calls that moved bytes.
    pub transfers: u64,
    /// Bytes to the caller from its target, or out of the pipe that the target fed.
    pub bytes_in: u64,
    /// Bytes from the caller to the target.
    pub bytes_out: u64,
    /// Calls whose arguments changed during the call, or contradict what the kernel did.
    pub conflicts: u64,
    /// From the first to the last call.
    pub span: Option<Span>,
    /// By event and way of the bytes, in the order in which they came first.
    pub uses: Vec<Use>,
    /// Calls that are in no use, since there were too many.
    pub calls_without_use: u64,
    /// State of the command lines when the caller's was looked up.
    command_version: u64,
}

/// Calls of pairs that are not distinguished: there are too many, or their keys are too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beyond {
    /// Calls.
    pub calls: u64,
    /// Those that returned an error.
    pub failures: u64,
    /// Bytes from the target to the caller.
    pub bytes_in: u64,
    /// Bytes from the caller to the target.
    pub bytes_out: u64,
}

/// Host, process ids and keys of a caller and its target.
type Key = (Option<Arc<str>>, i32, Option<Arc<str>>, Option<(i32, Option<Arc<str>>)>);

/// All pairs.
#[derive(Debug)]
pub(super) struct Pairs {
    all: Vec<Pair>,
    places: HashMap<Key, usize>,
    /// For some ids of caller and target, where their pair probably is.
    slots: Vec<usize>,
    uses: usize,
    beyond: Beyond,
}

impl Default for Pairs {
    fn default() -> Self {
        Pairs { all: Vec::new(), places: HashMap::new(), slots: vec![0; SLOTS], uses: 0, beyond: Beyond::default() }
    }
}

impl Pairs {
    /// Counts rows.
    pub fn note(&mut self, event: &Event<'_>, counted: Counted<'_>, commands: &Commands, texts: &mut Texts) {
        let Sums { rows, bytes, span, .. } = counted.sums;
        let failed = if event.errno.is_some() { rows } else { 0 };
        let direction = event.direction.and_then(|direction| Direction::parse(direction).ok());
        // Between files, bytes come from who fed the pipe, where that is known.
        let from_target = counted.is_between_files() && event.target_pid.is_some();
        let bytes_in = if direction == Some(Direction::In) || from_target { bytes } else { 0 };
        let bytes_out = if direction == Some(Direction::Out) { bytes } else { 0 };
        let Some(pair) = self.place(event, texts).and_then(|place| self.all.get_mut(place)) else {
            let beyond = &mut self.beyond;
            beyond.calls += rows;
            beyond.failures += failed;
            beyond.bytes_in = beyond.bytes_in.saturating_add(bytes_in);
            beyond.bytes_out = beyond.bytes_out.saturating_add(bytes_out);
            return;
        };
        pair.calls += rows;
        pair.failures += failed;
        pair.transfers += if counted.moved { rows } else { 0 };
        pair.bytes_in = pair.bytes_in.saturating_add(bytes_in);
        pair.bytes_out = pair.bytes_out.saturating_add(bytes_out);
        pair.conflicts += if is_conflict(event) { rows } else { 0 };
        Span::extend(&mut pair.span, span);
        pair.name(event, commands, texts);
        let known = pair.uses.iter().position(|u| u.place == counted.place && u.direction == direction);
        let at = match known {
            Some(at) => at,
            None if self.uses >= USES => {
                pair.calls_without_use += rows;
                return;
            }
            None => {
                self.uses += 1;
                pair.uses.push(Use::new(counted, direction));
                pair.uses.len() - 1
            }
        };
        if let Some(found) = pair.uses.get_mut(at) {
            found.note(event, &pair.caller, counted, texts);
        }
    }

    /// Gives the pair of a row that was counted the names that the row has: it is a later one than the row whose names it got.
    pub fn rename(&mut self, event: &Event<'_>, commands: &Commands, texts: &mut Texts) {
        if let Some(pair) = self.place(event, texts).and_then(|place| self.all.get_mut(place)) {
            pair.name(event, commands, texts);
        }
    }

    /// Those with a target and those without, in the order in which they came first.
    pub fn iter(&self) -> impl Iterator<Item = &Pair> {
        self.all.iter()
    }

    pub fn beyond(&self) -> Beyond {
        self.beyond
    }

    /// Where the pair of a row is, which is made if there is none; `None` if there are too many.
    fn place(&mut self, event: &Event<'_>, texts: &mut Texts) -> Option<usize> {
        let slot = slot(event.pid, event.target_pid);
        let found = self.slots.get(slot).copied()?;
        if self.all.get(found).is_some_and(|pair| pair.is_of(event)) {
            return Some(found);
        }
        // Keys are kept only with their pair.
        let known = key(event, |key| texts.known_key(key)).and_then(|key| self.places.get(&key));
        let place = match known {
            Some(place) => *place,
            None if self.all.len() >= LIMIT => return None,
            None => {
                let key = key(event, |key| texts.key(key))?;
                self.all.push(Pair::new(&key));
                self.places.insert(key, self.all.len() - 1);
                self.all.len() - 1
            }
        };
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = place;
        }
        Some(place)
    }
}

fn slot(pid: i32, target: Option<i32>) -> usize {
    let mixed = (pid as u32).wrapping_mul(0x9e37_79b1) ^ (target.unwrap_or(0) as u32).wrapping_mul(0x85eb_ca6b);
    (mixed >> 16) as usize % SLOTS
}

/// `None` if the key of a process is not `kept`.
fn key(event: &Event<'_>, mut kept: impl FnMut(&str) -> Option<Arc<str>>) -> Option<Key> {
    let mut kept = |key: Option<&str>| match key {
        Some(key) => kept(key).map(Some),
        None => Some(None),
    };
    let host = kept(event.host)?;
    let caller = kept(event.process_key)?;
    let target = match event.target_pid {
        Some(pid) => Some((pid, kept(event.target_key)?)),
        None => None,
    };
    Some((host, event.pid, caller, target))
}

/// Whether the arguments changed during the call, or contradict what the kernel did.
pub(super) fn is_conflict(event: &Event<'_>) -> bool {
    event.toctou == Some(true) || event.iov_verdict.is_some_and(|verdict| IovVerdict::Conflict.is(verdict))
}

impl Pair {
    fn new((host, pid, key, target): &Key) -> Self {
        let who = |pid: &i32, key: &Option<Arc<str>>| Who {
            host: host.clone(),
            pid: *pid,
            key: key.clone(),
            ..Who::default()
        };
        Pair {
            caller: who(pid, key),
            target: target.as_ref().map(|(pid, key)| who(pid, key)),
            calls: 0,
            failures: 0,
            transfers: 0,
            bytes_in: 0,
            bytes_out: 0,
            conflicts: 0,
            span: None,
            uses: Vec::new(),
            calls_without_use: 0,
            command_version: 0,
        }
    }

    fn is_of(&self, event: &Event<'_>) -> bool {
        let is = |who: &Who, pid: i32, key: Option<&str>| who.pid == pid && who.key.as_deref() == key;
        self.caller.host.as_deref() == event.host
            && is(&self.caller, event.pid, event.process_key)
            && match (&self.target, event.target_pid) {
                (Some(target), Some(pid)) => is(target, pid, event.target_key),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            }
    }

    /// Whether the target is the caller itself.
    pub fn is_self(&self) -> bool {
        self.target.as_ref().is_some_and(|target| target.pid == self.caller.pid && target.key == self.caller.key)
    }

    fn name(&mut self, event: &Event<'_>, commands: &Commands, texts: &mut Texts) {
        if self.caller.comm.as_deref() != Some(event.comm) {
            let before = self.caller.comm.take();
            self.caller.earlier_comm = self.caller.earlier_comm.take().or(before);
            texts.set(&mut self.caller.comm, Some(event.comm));
        }
        texts.set(&mut self.caller.exe, event.exe);
        self.caller.uid = Some(event.uid);
        if self.command_version != commands.version() {
            self.command_version = commands.version();
            let host = HostId::of(self.caller.host.as_deref());
            self.caller.command = commands.get(host, self.caller.pid, self.caller.key.as_deref());
        }
        if let Some(target) = &mut self.target {
            texts.set(&mut target.comm, event.target_comm);
            texts.set(&mut target.exe, event.target_exe);
            target.uid = event.target_uid.or(target.uid);
        }
    }
}
