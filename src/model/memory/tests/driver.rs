//! Simulated programs that move numbered bytes between their memories, and their own account of every byte.
//!
//! `plan` says what is called when, and when in between its bytes move. Here that is carried out in the order in which bytes
//! move, on plain arrays, which gives the rows of a capture and the log of all changes.

use std::collections::HashMap;

pub use super::plan::{BASE, Dice, Mode, PROGRAMS, SIZE};
use super::plan::{Call, Step, addresses, plan};
use crate::model::memory::Way;
use crate::schema::Event;
use crate::schema::types::{Iovec, Iovecs};

/// A row of the capture, with what it borrows.
#[derive(Clone, Default)]
pub struct Row {
    pub event: Event<'static>,
    local: Vec<Iovec>,
    remote: Vec<Iovec>,
    payload: Vec<u8>,
}

impl Row {
    pub fn event(&self) -> Event<'_> {
        let ranges = |ranges| Some(Iovecs::Pairs(ranges)).filter(|ranges: &Iovecs<'_>| !ranges.is_empty());
        let payload = Some(self.payload.as_slice()).filter(|payload| !payload.is_empty());
        Event { local_iov: ranges(&self.local), remote_iov: ranges(&self.remote), payload, ..self.event }
    }
}

/// A change of one byte, whether by its own program or by a call.
pub struct Change {
    pub at: i64,
    pub pid: i32,
    pub address: u64,
    pub value: u8,
    pub own: bool,
}

/// What the account expects to be known of a byte: by which row, how, and its value.
pub type Known = (u64, Way, u8);

/// What a call did, in the account's own terms: of each byte that moved, where it was and came to, and whether it was kept.
struct Moved {
    end: i64,
    /// When it began, if the row says so.
    begin: Option<i64>,
    seq: u64,
    read: Vec<(i32, u64)>,
    written: Vec<(i32, u64)>,
    values: Vec<u8>,
    kept: Vec<bool>,
    /// Whose memory it wrote to where the row does not say.
    elsewhere: Option<i32>,
    /// Whether its row is without the ranges that were used.
    conflict: bool,
    /// Whether its row was lost.
    lost: bool,
}

/// A run of the programs.
pub struct Run {
    /// Rows in the order in which calls returned.
    pub rows: Vec<Row>,
    /// Changes in the order in which they happened.
    pub changes: Vec<Change>,
    /// Children: the child, its parent, and when.
    pub forks: Vec<(i32, i32, i64)>,
    /// Programs that began: who, and when.
    pub execs: Vec<(i32, i64)>,
    /// When it ended.
    pub end: i64,
    moves: Vec<Moved>,
}

/// Carries a plan out.
pub fn run(dice: &mut Dice, mode: Mode, calls: usize) -> Run {
    let steps = plan(dice, mode, calls);
    let mut spaces: HashMap<i32, Vec<u8>> = HashMap::new();
    let mut number = 0u8;
    let mut fresh = move |len: u64| -> Vec<u8> {
        (0..len)
            .map(|_| {
                number = number % 250 + 1;
                number
            })
            .collect()
    };
    let (mut changes, mut forks, mut execs) = (Vec::new(), Vec::new(), Vec::new());
    let mut moves: Vec<Moved> = Vec::new();
    let mut rows: Vec<(i64, Row)> = Vec::new();
    for pid in PROGRAMS {
        spaces.insert(pid, fresh(SIZE));
        let space = &spaces[&pid];
        changes.extend((BASE..).zip(space).map(|(address, value)| Change {
            at: 0,
            pid,
            address,
            value: *value,
            own: true,
        }));
    }
    let of = |pid: i32, event: &'static str, at: i64| Event {
        event,
        pid,
        tid: pid,
        comm: "program",
        start_ns: i64::from(pid) * 1_000_000_000,
        mono_ns: at,
        ts_ns: at,
        ..Event::default()
    };
    for (at, step) in steps {
        let seq = rows.len() as u64;
        match step {
            Step::Own { pid, address, len } => {
                for (address, value) in (address..).zip(fresh(len)) {
                    spaces.get_mut(&pid).unwrap()[(address - BASE) as usize] = value;
                    changes.push(Change { at, pid, address, value, own: true });
                }
            }
            Step::Exec { pid } => {
                let new = fresh(SIZE);
                changes.extend((BASE..).zip(&new).map(|(address, value)| Change {
                    at,
                    pid,
                    address,
                    value: *value,
                    own: false,
                }));
                spaces.insert(pid, new);
                execs.push((pid, at));
                rows.push((at, Row { event: Event { seq, ..of(pid, "process_exec", at) }, ..Row::default() }));
            }
            Step::Fork { parent, child } => {
                let copy = spaces[&parent].clone();
                spaces.insert(child, copy);
                forks.push((child, parent, at));
                let event = Event { seq, parent_pid: Some(parent), ..of(child, "process_fork", at) };
                rows.push((at, Row { event, ..Row::default() }));
            }
            Step::Call { call } => {
                let (row, moved) = carry_out(&call, at, seq, &mut spaces, &mut changes, &mut fresh);
                rows.push((call.end, Row { event: merged(of(call.caller, call.event, call.end), row.event), ..row }));
                moves.push(moved);
            }
        }
    }
    rows.sort_by_key(|(end, _)| *end);
    let end = rows.last().map_or(0, |(end, _)| *end);
    moves.sort_by_key(|moved| moved.end);
    Run { rows: rows.into_iter().map(|(_, row)| row).collect(), changes, forks, execs, end, moves }
}

/// Who and when of one, the rest of the other.
fn merged(who: Event<'static>, what: Event<'static>) -> Event<'static> {
    let Event { pid, tid, comm, start_ns, mono_ns, ts_ns, .. } = who;
    match what.event {
        "lost" => Event { mono_ns, ts_ns, ..what },
        _ => Event { pid, tid, comm, start_ns, mono_ns, ts_ns, ..what },
    }
}

fn carry_out(
    call: &Call,
    at: i64,
    seq: u64,
    spaces: &mut HashMap<i32, Vec<u8>>,
    changes: &mut Vec<Change>,
    fresh: &mut impl FnMut(u64) -> Vec<u8>,
) -> (Row, Moved) {
    let bytes = call.bytes as usize;
    let local: Vec<(i32, u64)> = addresses(&call.local).map(|address| (call.caller, address)).take(bytes).collect();
    let remote =
        call.target.into_iter().flat_map(|target| addresses(&call.remote).map(move |address| (target, address)));
    let remote: Vec<(i32, u64)> = remote.take(bytes).collect();
    let (read, written) = if call.inward { (remote, local) } else { (local, remote) };
    let values: Vec<u8> = match read.is_empty() {
        // From a pipe, or from a register.
        true => fresh(bytes as u64),
        false => read.iter().map(|(pid, address)| spaces[pid][(address - BASE) as usize]).collect(),
    };
    for ((pid, address), value) in written.iter().zip(&values) {
        spaces.get_mut(pid).unwrap()[(address - BASE) as usize] = *value;
        changes.push(Change { at, pid: *pid, address: *address, value: *value, own: false });
    }
    let mut payload: Vec<u8> = values.iter().copied().take(call.snap).collect();
    let mut kept: Vec<bool> = (0..bytes).map(|index| index < payload.len()).collect();
    let fault = call.fault.filter(|_| !payload.is_empty());
    if let Some(fault) = fault {
        let start: u64 = call.local.iter().take(fault).map(|range| range.len).sum();
        for index in (start..start + call.local[fault].len).map(|index| index as usize).filter(|index| *index < bytes) {
            kept[index] = false;
            if let Some(byte) = payload.get_mut(index) {
                *byte = 0;
            }
        }
    }
    let elsewhere = call.conflict.then(|| written.first().map(|(pid, _)| *pid)).flatten();
    let begin = (call.says_begin || call.lost).then_some(call.begin);
    let Call { end, conflict, lost, .. } = *call;
    let moved = Moved { end, begin, seq, read, written, values, kept, elsewhere, conflict, lost };
    if call.lost {
        let event = Event {
            event: "lost",
            seq,
            lost_event: Some(call.event),
            dur_ns: Some(call.end - call.begin),
            ..Event::default()
        };
        return (Row { event, ..Row::default() }, moved);
    }
    let status = match (fault, payload.len() < bytes) {
        (Some(_), _) => "fault",
        (None, true) => "truncated",
        (None, false) => "ok",
    };
    let event = Event {
        seq,
        event: call.event,
        target_pid: call.target,
        target_start_ns: call.target.map(|pid| i64::from(pid) * 1_000_000_000),
        dur_ns: call.says_begin.then_some(call.end - call.begin),
        direction: Some(if call.inward { "in" } else { "out" }),
        errno: call.errno,
        bytes: Some(call.bytes as i64),
        iov_verdict: Some(if call.conflict { "conflict" } else { "unverified" }),
        ptrace_request: call.request,
        payload_status: Some(status),
        payload_side: Some("caller"),
        payload_at: Some("exit"),
        ..Event::default()
    };
    // What is called a conflict has ranges that were not used.
    let mut local = call.local.clone();
    if call.conflict {
        local.iter_mut().for_each(|range| range.base = BASE);
    }
    (Row { event, local, remote: call.remote.clone(), payload }, moved)
}

impl Run {
    /// What each byte of a memory is at an instant, and when its own program last changed it.
    pub fn actual(&self, pid: i32, at: i64) -> HashMap<u64, (u8, i64)> {
        let fork = self.forks.iter().find(|(child, _, forked)| *child == pid && *forked <= at);
        let mut all = fork.map_or_else(HashMap::new, |(_, parent, forked)| self.actual(*parent, *forked));
        for change in self.changes.iter().filter(|change| change.pid == pid && change.at <= at) {
            let (value, own) = all.entry(change.address).or_insert((0, i64::MIN));
            *value = change.value;
            *own = if change.own { change.at } else { *own };
        }
        all
    }

    /// What is known of each byte of a memory at an instant, and until when something can have been missed. Only of calls that are
    /// made one after another.
    pub fn known(&self, pid: i32, at: i64) -> (HashMap<u64, Known>, Option<i64>) {
        let fork = self.forks.iter().find(|(child, _, forked)| *child == pid && *forked <= at);
        let (mut known, mut blind, mut since) = match fork {
            Some((_, parent, forked)) => {
                let (known, blind) = self.known(*parent, *forked);
                (known, blind, *forked)
            }
            None => (HashMap::new(), None, i64::MIN),
        };
        if let Some((_, exec)) = self.execs.iter().rfind(|(of, exec)| *of == pid && *exec <= at) {
            (known, blind, since) = (HashMap::new(), None, *exec);
        }
        for moved in self.moves.iter().filter(|moved| moved.end > since) {
            let is_pending = moved.end > at;
            if moved.lost {
                let happened = moved.begin.is_some_and(|begin| begin <= at);
                blind = if happened { blind.max(Some(moved.end)) } else { blind };
                continue;
            }
            if is_pending && moved.begin.is_none_or(|begin| begin > at) {
                continue;
            }
            if moved.elsewhere == Some(pid) {
                blind = blind.max(Some(if is_pending { i64::MAX } else { moved.end }));
            }
            if !moved.conflict {
                moved.enter(pid, is_pending, &mut known);
            }
        }
        (known, blind)
    }
}

impl Moved {
    fn enter(&self, pid: i32, is_pending: bool, known: &mut HashMap<u64, Known>) {
        let sides = [(&self.read, Way::Seen), (&self.written, Way::Written)];
        for (places, way) in sides {
            for ((place, value), kept) in places.iter().zip(&self.values).zip(&self.kept) {
                let (of, address) = *place;
                if of != pid {
                    continue;
                }
                match (way, *kept && !is_pending) {
                    (_, true) => drop(known.insert(address, (self.seq, way, *value))),
                    (Way::Written, false) => drop(known.remove(&address)),
                    (Way::Seen, false) => {}
                }
            }
        }
    }
}
