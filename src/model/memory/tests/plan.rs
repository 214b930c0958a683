//! What simulated programs do when: the plan that `driver` carries out.

use std::collections::HashMap;

use crate::schema::types::Iovec;

/// Bytes of each memory.
pub const SIZE: u64 = 256;
/// Where it begins.
pub const BASE: u64 = 0x7f00_0000_1000;
/// The two programs that there are from the beginning.
pub const PROGRAMS: [i32; 2] = [10, 20];

/// Random numbers (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % end
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// How calls are made.
#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    /// One after another; the account says exactly what is known.
    Sequential,
    /// At the same time.
    Overlapping,
}

/// What happens.
pub enum Step {
    Own { pid: i32, address: u64, len: u64 },
    Call { call: Box<Call> },
    Exec { pid: i32 },
    Fork { parent: i32, child: i32 },
}

/// A call that is planned.
pub struct Call {
    pub begin: i64,
    pub end: i64,
    pub says_begin: bool,
    pub event: &'static str,
    pub request: Option<&'static str>,
    pub caller: i32,
    pub target: Option<i32>,
    pub inward: bool,
    pub local: Vec<Iovec>,
    pub remote: Vec<Iovec>,
    pub bytes: u64,
    pub snap: usize,
    /// A segment of the caller's that cannot be read.
    pub fault: Option<usize>,
    pub conflict: bool,
    pub lost: bool,
    pub errno: Option<&'static str>,
}

/// Ranges of at most `most` bytes in a memory, which do not touch each other.
fn segments(dice: &mut Dice, most: u64) -> Vec<Iovec> {
    let count = 1 + dice.below(3);
    let room = SIZE / 4;
    (0..count)
        .map(|index| {
            let len = dice.below(most + 1).min(room);
            Iovec { base: BASE + index * room + dice.below(room - len + 1), len }
        })
        .collect()
}

/// Each address of some ranges.
pub fn addresses(ranges: &[Iovec]) -> impl Iterator<Item = u64> {
    ranges.iter().flat_map(|range| range.base..range.base + range.len)
}

fn call(dice: &mut Dice, pids: &[i32], begin: i64, end: i64, mode: Mode) -> Call {
    let pick = |dice: &mut Dice| pids[dice.below(pids.len() as u64) as usize];
    let caller = pick(dice);
    let target = loop {
        let target = pick(dice);
        if target != caller {
            break target;
        }
    };
    let kinds = [
        ("process_vm_readv", None, true, true),
        ("process_vm_writev", None, false, true),
        ("preadv", None, true, true),
        ("pwritev", None, false, true),
        ("ptrace", Some("PTRACE_PEEKDATA"), true, true),
        ("ptrace", Some("PTRACE_POKETEXT"), false, true),
        ("vmsplice", None, false, false),
        ("vmsplice", None, true, false),
        ("pipe_read", None, true, false),
        ("pipe_write", None, false, false),
    ];
    let (event, request, inward, has_target) = kinds[dice.below(kinds.len() as u64) as usize];
    let mut local = segments(dice, 24);
    let mut remote = if has_target { segments(dice, 24) } else { Vec::new() };
    if event.starts_with('p') && event.ends_with("v") && !event.starts_with("process") {
        remote.truncate(1);
    }
    if request.is_some() {
        let word = |dice: &mut Dice| vec![Iovec { base: BASE + dice.below(SIZE - 8), len: 8 }];
        (local, remote) = (word(dice), word(dice));
    }
    let total = |ranges: &[Iovec]| ranges.iter().map(|range| range.len).sum::<u64>();
    let most = if has_target { total(&local).min(total(&remote)) } else { total(&local) };
    let bytes = if request.is_none() && dice.one_in(4) { dice.below(most + 1) } else { most };
    let snap = if request.is_some() { 8 } else { [0, 8, 20, 256][dice.below(4) as usize] };
    let rare = |dice: &mut Dice| request.is_none() && dice.one_in(25);
    let fault = rare(dice).then(|| dice.below(local.len() as u64) as usize);
    let errno = rare(dice).then_some("EPERM");
    let (conflict, lost) = (rare(dice), errno.is_none() && dice.one_in(40));
    let says_begin = mode == Mode::Overlapping || dice.one_in(2);
    if request.is_some() && !inward {
        // A word that is written comes in a register.
        local.clear();
    }
    let target = has_target.then_some(target);
    let bytes = if errno.is_some() { 0 } else { bytes };
    Call {
        begin,
        end,
        says_begin,
        event,
        request,
        caller,
        target,
        inward,
        local,
        remote,
        bytes,
        snap,
        fault,
        conflict,
        lost,
        errno,
    }
}

/// What happens when, in the order of instants.
pub fn plan(dice: &mut Dice, mode: Mode, calls: usize) -> Vec<(i64, Step)> {
    let mut steps = Vec::new();
    let mut pids = PROGRAMS.to_vec();
    let mut now = 1_000;
    for _ in 0..calls {
        let (begin, end) = match mode {
            Mode::Sequential => (now, now + 50 + dice.below(50) as i64),
            Mode::Overlapping => (now - dice.below(40) as i64, now + 1),
        };
        now = end + 3;
        // Whatever else happens, happens between two instants of calls.
        let (begin, end, between) = (begin & !1, end & !1, end | 1);
        match dice.below(60) {
            0 if pids.len() < 4 => {
                let child = 30 + pids.len() as i32;
                let parent = pids[dice.below(pids.len() as u64) as usize];
                steps.push((between, Step::Fork { parent, child }));
                pids.push(child);
            }
            1 => steps.push((between, Step::Exec { pid: pids[dice.below(pids.len() as u64) as usize] })),
            2..=20 => {
                let pid = pids[dice.below(pids.len() as u64) as usize];
                let at = dice.below(SIZE - 32);
                steps.push((between, Step::Own { pid, address: BASE + at, len: 32 }));
            }
            _ => {
                let mut call = call(dice, &pids, begin, end, mode);
                // What began before the first of its processes is nothing that can be.
                call.begin = call.begin.max(900) & !1;
                let at = if call.says_begin {
                    call.begin + (dice.below((end - call.begin) as u64 + 1) as i64 & !1)
                } else {
                    end
                };
                steps.push((at, Step::Call { call: Box::new(call) }));
            }
        }
    }
    // Neither does a call begin before its processes did.
    let born: HashMap<i32, i64> = steps
        .iter()
        .filter_map(|(at, step)| if let Step::Fork { child, .. } = step { Some((*child, *at)) } else { None })
        .collect();
    for (at, step) in &mut steps {
        if let Step::Call { call } = step {
            let both = [Some(call.caller), call.target].into_iter().flatten();
            let first = both.filter_map(|pid| born.get(&pid)).max().copied().unwrap_or(0);
            call.begin = call.begin.max((first + 1) & !1);
            *at = (*at).max(call.begin);
        }
    }
    steps.sort_by_key(|(at, _)| *at);
    steps
}
