//! Settings of the programs, fixed before they are loaded: which calls they look at, and whose.

use anyhow::{Context, Result};

use crate::record::decode::wire_kind;
use crate::record::names::Names;
use crate::record::wire::{VMT_IOCTL, VMT_OPENS, VMT_RECEIVES, vmt_knobs, vmt_names};
use crate::schema::events::{EVENTS, EventKind, EventSet, EventSpec, Family, Group};

/// What is set before loading.
#[derive(Debug)]
pub struct Knobs {
    /// Events to record.
    pub events: EventSet,
    /// Payload bytes per event.
    pub snaplen: u32,
    /// Select every process.
    pub all: bool,
    /// Track children of tracked processes.
    pub follow: bool,
    /// Track processes with such names.
    pub names: Names,
    /// The same, for those alone who reach into them.
    pub target_names: Names,
    /// Caller uids, any if empty; at most 16.
    pub uids: Vec<u32>,
    /// cgroup v2 id and depth.
    pub cgroup: Option<(u64, u32)>,
    /// Bytes of all rings together.
    pub buffer_size: u64,
    /// Note which mappings calls reach.
    pub regions: bool,
}

/// Enters an event's syscall numbers.
fn list_syscalls(data: &mut vmt_knobs, event: &EventSpec) -> Result<()> {
    let kind = match event.group {
        // One number, whose command is the event.
        Group::Uffd => VMT_IOCTL as u8,
        _ => wire_kind(event.kind).unwrap_or(0) as u8,
    };
    for (numbers, table) in [(event.x86_64, &mut data.syscalls_native), (event.i386, &mut data.syscalls_compat)] {
        for nr in numbers {
            *table.get_mut(usize::from(*nr)).context("a syscall number is outside the table")? = kind;
        }
    }
    Ok(())
}

/// Whether calls of a kind are looked at for the sake of others: those that a wanted event is a part of, and the one from
/// which is learned what files of /proc/PID/mem look like.
fn is_looked_at(kind: EventKind, wanted: &EventSet) -> bool {
    let is_part = |event: &EventSpec| wanted.contains(event.kind) && event.through.contains(&kind);
    EVENTS.iter().any(is_part) || (kind == LEARNED_BY && follows_descriptors(wanted))
}

/// The call that [`Programs::attach`] makes on our own memory.
///
/// [`Programs::attach`]: super::Programs::attach
const LEARNED_BY: EventKind = EventKind::Pread;

/// Calls whose result is a new descriptor, x86-64 and i386: open, creat, openat, openat2, pidfd_getfd. dup and its like bring one
/// that leads where another of the same process does.
const OPENS: [&[u16]; 2] = [&[2, 85, 257, 437, 438], &[5, 8, 295, 437, 438]];
/// recvmsg.
const RECEIVES: [&[u16]; 2] = [&[47], &[]];

/// Whether it matters who has files of /proc/PID/mem open.
pub(super) fn follows_descriptors(wanted: &EventSet) -> bool {
    Family::Mem.spec().is_wanted(wanted)
}

/// Enters the calls that bring descriptors, where they are no events themselves.
fn list_openers(data: &mut vmt_knobs) {
    for (calls, kind) in [(OPENS, VMT_OPENS), (RECEIVES, VMT_RECEIVES)] {
        for (numbers, table) in calls.iter().zip([&mut data.syscalls_native, &mut data.syscalls_compat]) {
            let free = numbers.iter().filter_map(|nr| table.get(usize::from(*nr)).map(|kind| (*nr, *kind)));
            let free: Vec<u16> = free.filter(|(_, taken)| *taken == 0).map(|(nr, _)| nr).collect();
            for nr in free {
                if let Some(entry) = table.get_mut(usize::from(nr)) {
                    *entry = kind as u8;
                }
            }
        }
    }
}

fn list_names(data: &mut vmt_names, names: &Names) {
    let (accept, first, star, last) = names.automaton();
    *data = vmt_names { accept: *accept, first, star, last };
}

/// As the programs read them.
pub(super) fn wire_knobs(knobs: &Knobs, cpus: usize, rings: usize) -> Result<vmt_knobs> {
    let mut data = vmt_knobs::default();
    for event in EVENTS.iter().filter(|e| knobs.events.contains(e.kind)) {
        let Some(kind) = wire_kind(event.kind) else { continue };
        list_syscalls(&mut data, event)?;
        *data.wanted.get_mut(kind as usize).context("an event kind is outside the table")? = 1;
    }
    for event in EVENTS.iter().filter(|e| is_looked_at(e.kind, &knobs.events)) {
        list_syscalls(&mut data, event)?;
    }
    if follows_descriptors(&knobs.events) {
        list_openers(&mut data);
    }
    data.cpus = cpus as u32;
    data.snaplen = knobs.snaplen;
    data.select_all = knobs.all.into();
    data.follow = knobs.follow.into();
    data.named = (!knobs.names.is_empty() || !knobs.target_names.is_empty()).into();
    list_names(&mut data.names_both, &knobs.names);
    list_names(&mut data.names_target, &knobs.target_names);
    data.recorder_tgid = std::process::id() as i32;
    data.uid_count = knobs.uids.len() as u32;
    data.uids.iter_mut().zip(&knobs.uids).for_each(|(slot, uid)| *slot = *uid);
    (data.cgroup_id, data.cgroup_level) = knobs.cgroup.unwrap_or_default();
    data.ring_count = rings as u32;
    let each = knobs.buffer_size / rings.max(1) as u64;
    data.wake_bytes = u32::try_from(each / 8).unwrap_or(u32::MAX);
    Ok(data)
}
