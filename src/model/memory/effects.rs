//! What an event says of the memory of its caller and of its target: ranges that were read or written, with their bytes as far
//! as they are certain.

use std::ops::Range;

use super::image::Way;
use crate::model::select::View;
use crate::schema::events::{Bytes, EventSpec};
use crate::schema::types::{Iovec, Iovecs};
use crate::schema::vocabulary::{Direction, IovVerdict, PayloadAt, PayloadSide, PayloadStatus};
use crate::schema::{Event, EventKind};

/// Bytes that a ptrace request of which the capture has no length can write: SECCOMP_GET_FILTER, 4,096 instructions.
const PTRACE_MOST: u64 = 32_768;

/// A range that was read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect<'a> {
    /// The range; its end is the first address behind it.
    pub range: Range<u64>,
    /// Its bytes, if they are certain.
    pub bytes: Option<&'a [u8]>,
    /// How.
    pub way: Way,
}

/// What an event did with the memory of one side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects<'a> {
    /// In the order of the transfer.
    pub list: Vec<Effect<'a>>,
    /// Whether it wrote to ranges that are not known.
    pub elsewhere: bool,
}

/// How much an event moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moved {
    Nothing,
    Bytes(u64),
    /// Anything up to all that it named.
    Some,
}

impl Moved {
    fn of(event: &Event<'_>) -> Self {
        match (event.errno, event.bytes) {
            // What was moved before the fault is not said.
            (Some("EFAULT"), None | Some(..=0)) | (None, None) => Moved::Some,
            (Some(_), None) => Moved::Nothing,
            // Calls on a userfaultfd fail when they have moved a part.
            (_, Some(bytes)) => match u64::try_from(bytes) {
                Ok(0) | Err(_) => Moved::Nothing,
                Ok(bytes) => Moved::Bytes(bytes),
            },
        }
    }
}

/// Which memory events of a kind read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// That of the caller and of the target.
    Both,
    /// That of the caller.
    Callers,
    /// What the request says.
    Request,
    /// They change what the target's memory is.
    Advice,
    /// They begin or copy a memory.
    Life,
    /// None.
    Nothing,
}

fn reach(spec: &EventSpec) -> Reach {
    match spec.bytes {
        Bytes::Memory | Bytes::Kernel if spec.is_between_files() => Reach::Nothing,
        Bytes::Memory if spec.kind == EventKind::Ptrace => Reach::Request,
        Bytes::Memory => Reach::Both,
        Bytes::Kernel => Reach::Callers,
        Bytes::Advice => Reach::Advice,
        Bytes::None if [EventKind::ProcessExec, EventKind::ProcessFork].contains(&spec.kind) => Reach::Life,
        Bytes::None => Reach::Nothing,
    }
}

/// Whether it matters to what is known of memory that events of a kind were lost.
pub fn matters(kind: EventKind) -> bool {
    reach(kind.spec()) != Reach::Nothing
}

/// What `event` did with the memory of the process on that side.
pub fn of<'a>(event: &Event<'a>, side: View) -> Effects<'a> {
    let Some(spec) = event.spec() else { return of_a_later_version(event) };
    match (reach(spec), side) {
        (Reach::Both, _) | (Reach::Callers, View::Caller) => transfer(event, side),
        (Reach::Request, _) => ptrace(event, side),
        (Reach::Advice, View::Target) => advice(event),
        (Reach::Callers, View::Target) | (Reach::Advice, View::Caller) | (Reach::Life | Reach::Nothing, _) => {
            Effects::default()
        }
    }
}

/// Nothing is known of what it does, but that it moved something.
fn of_a_later_version<'a>(event: &Event<'a>) -> Effects<'a> {
    Effects { list: Vec::new(), elsewhere: event.direction.is_some() && Moved::of(event) != Moved::Nothing }
}

fn transfer<'a>(event: &Event<'a>, side: View) -> Effects<'a> {
    let way = match (event.direction.map(Direction::parse), side) {
        (Some(Ok(Direction::In)), View::Caller) | (Some(Ok(Direction::Out)), View::Target) => Way::Written,
        (Some(Ok(Direction::Out)), View::Caller) | (Some(Ok(Direction::In)), View::Target) => Way::Seen,
        (Some(Err(_)) | None, _) => return of_a_later_version(event),
    };
    let ranges = match side {
        View::Caller => event.local_iov,
        View::Target => event.remote_iov,
    };
    let moved = match Moved::of(event) {
        Moved::Nothing => return Effects::default(),
        Moved::Bytes(bytes) => Some(bytes),
        // A read that failed shows nothing.
        Moved::Some if way == Way::Seen => return Effects::default(),
        Moved::Some => None,
    };
    let Some(ranges) = ranges.filter(|_| names_ranges(event)) else {
        return Effects { list: Vec::new(), elsewhere: way == Way::Written };
    };
    let certain = moved.map_or_else(Vec::new, |moved| certain(event, moved));
    let mut effects = Effects::default();
    let left = place(&mut effects.list, ranges, moved, event.payload.unwrap_or_default(), &certain, way);
    // Pages that are moved away leave others behind.
    if event.is_any(&[EventKind::UffdMove]) && side == View::Caller {
        place(&mut effects.list, ranges, moved, &[], &[], Way::Written);
    }
    effects.elsewhere = way == Way::Written && moved.is_some() && left > 0;
    effects
}

/// Whether the ranges of a row may be those that the kernel used.
fn names_ranges(event: &Event<'_>) -> bool {
    match event.iov_verdict.map(IovVerdict::parse) {
        Some(Ok(IovVerdict::Kernel)) => true,
        None | Some(Ok(IovVerdict::Unverified)) => event.toctou != Some(true),
        Some(Ok(IovVerdict::Conflict | IovVerdict::Unreadable) | Err(_)) => false,
    }
}

/// Whether the ranges of a row are the kernel's own.
pub fn is_verified(event: &Event<'_>) -> bool {
    event.iov_verdict.is_some_and(|verdict| IovVerdict::Kernel.is(verdict))
}

/// Lays the bytes of a transfer over ranges, in order. Returns how many bytes moved behind the last.
fn place<'a>(
    list: &mut Vec<Effect<'a>>,
    ranges: Iovecs<'_>,
    moved: Option<u64>,
    payload: &'a [u8],
    certain: &[Range<usize>],
    way: Way,
) -> u64 {
    let (mut at, mut left) = (0u64, moved.unwrap_or(u64::MAX));
    for range in ranges.iter().take_while(|_| moved != Some(0)) {
        let len = range.len.min(left);
        let end = at.saturating_add(len);
        let mut from = at;
        for known in certain {
            let part = (known.start as u64).max(at)..(known.end as u64).min(end);
            if part.is_empty() {
                continue;
            }
            push(list, range.base, at, from..part.start, None, way);
            push(list, range.base, at, part.clone(), payload.get(part.start as usize..part.end as usize), way);
            from = part.end;
        }
        push(list, range.base, at, from..end, None, way);
        at = end;
        left -= len;
    }
    left
}

/// Adds the bytes of a transfer from `part.start` to `part.end`, of a range at `base` that begins with its byte `first`.
fn push<'a>(list: &mut Vec<Effect<'a>>, base: u64, first: u64, part: Range<u64>, bytes: Option<&'a [u8]>, way: Way) {
    let start = base.saturating_add(part.start - first);
    let range = start..start.saturating_add(part.end.saturating_sub(part.start));
    // A range that a caller made up may end above the highest address.
    let fits = range.end - range.start == part.end.saturating_sub(part.start);
    if !range.is_empty() {
        list.push(Effect { range, bytes: bytes.filter(|_| fits), way });
    }
}

/// Which bytes of the payload are those that moved.
fn certain(event: &Event<'_>, moved: u64) -> Vec<Range<usize>> {
    let len = event.payload.map_or(0, <[u8]>::len).min(usize::try_from(moved).unwrap_or(usize::MAX));
    if len == 0 || is_overwritten(event, moved) {
        return Vec::new();
    }
    match event.payload_status.map(PayloadStatus::parse) {
        None | Some(Ok(PayloadStatus::Ok | PayloadStatus::Truncated)) => std::iter::once(0..len).collect(),
        Some(Ok(PayloadStatus::Fault)) => without_faults(event, len),
        Some(
            Ok(PayloadStatus::Off | PayloadStatus::Dropped | PayloadStatus::Redacted | PayloadStatus::None) | Err(_),
        ) => Vec::new(),
    }
}

/// Segments of a payload with one that could not be read. That one is all zeros, so those with other bytes were read.
fn without_faults(event: &Event<'_>, len: usize) -> Vec<Range<usize>> {
    let is_callers = event.payload_side.is_some_and(|side| PayloadSide::Caller.is(side));
    let (Some(payload), Some(ranges), true) = (event.payload, event.local_iov, is_callers) else { return Vec::new() };
    let mut at = 0;
    let mut certain = Vec::new();
    for range in ranges.iter() {
        let end = usize::try_from(range.len).unwrap_or(usize::MAX).saturating_add(at).min(len);
        if payload.get(at..end).is_some_and(|segment| segment.iter().any(|byte| *byte != 0)) {
            certain.push(at..end);
        }
        at = end;
    }
    certain
}

/// Whether the payload was read when the call itself may have overwritten it: then it shows what came last to its place.
fn is_overwritten(event: &Event<'_>, moved: u64) -> bool {
    let at_transfer = event.payload_at.is_some_and(|at| PayloadAt::Transfer.is(at));
    let in_memory = event.payload_side.is_none_or(|side| PayloadSide::Caller.is(side));
    if at_transfer || !in_memory {
        return false;
    }
    let inward = event.direction.is_some_and(|direction| Direction::In.is(direction));
    let on_itself = event.target_pid == Some(event.pid);
    let both = event.local_iov.into_iter().chain(event.remote_iov.filter(|_| on_itself));
    (inward || on_itself) && meet(both.flat_map(|ranges| within(ranges, moved)).collect())
}

/// As much of the ranges as was reached.
fn within(ranges: Iovecs<'_>, moved: u64) -> impl Iterator<Item = Iovec> {
    let mut left = moved;
    ranges.iter().map(move |range| {
        let len = range.len.min(left);
        left -= len;
        Iovec { base: range.base, len }
    })
}

/// Whether any two of the ranges have a byte in common.
fn meet(mut ranges: Vec<Iovec>) -> bool {
    ranges.retain(|range| range.len > 0);
    ranges.sort_unstable_by_key(|range| range.base);
    ranges.iter().zip(ranges.iter().skip(1)).any(|(a, b)| a.base.saturating_add(a.len) > b.base)
}

fn ptrace<'a>(event: &Event<'a>, side: View) -> Effects<'a> {
    let request = event.ptrace_request.unwrap_or_default();
    let is_word = matches!(request, "PTRACE_PEEKTEXT" | "PTRACE_PEEKDATA" | "PTRACE_POKETEXT" | "PTRACE_POKEDATA");
    match side {
        View::Target if is_word => transfer(event, side),
        View::Target => Effects::default(),
        View::Caller => {
            // A word that is written comes in a register.
            let has_memory = event.local_iov.is_some();
            let mut effects = if has_memory { transfer(event, side) } else { Effects::default() };
            let written = match request {
                // The kernel writes the length back into the iovec that `data` points to.
                "PTRACE_GETREGSET" | "PTRACE_SETREGSET" => Some(16),
                _ if !has_memory && (request.contains("GET") || request.contains("PEEK")) => Some(PTRACE_MOST),
                _ => None,
            };
            if let Some(len) = written.filter(|_| event.errno.is_none()) {
                let range = event.data..event.data.saturating_add(len);
                effects.list.push(Effect { range, bytes: None, way: Way::Written });
            }
            effects
        }
    }
}

/// process_madvise: some advice changes what memory contains.
fn advice<'a>(event: &Event<'a>) -> Effects<'a> {
    let keeps = ["MADV_COLD", "MADV_PAGEOUT", "MADV_WILLNEED", "MADV_COLLAPSE"];
    if event.advice.is_some_and(|advice| keeps.contains(&advice)) || Moved::of(event) == Moved::Nothing {
        return Effects::default();
    }
    let mut effects = Effects::default();
    match event.remote_iov.filter(|_| names_ranges(event)) {
        Some(ranges) => drop(place(&mut effects.list, ranges, None, &[], &[], Way::Written)),
        None => effects.elsewhere = true,
    }
    effects
}
