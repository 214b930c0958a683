//! Words for addresses, descriptors and flags.

use super::{Line, Role};
use crate::count::Count;
use crate::model::origin;
use crate::schema::events::Group;
use crate::schema::names::{AT_FDCWD, OpenFlags, register_set_name, uffd_modes};
use crate::schema::regions::Region;
use crate::schema::types::{Iovec, Iovecs};
use crate::schema::vocabulary::DescriptorKind;
use crate::schema::{Event, EventKind};
use crate::terminal::escape::Safe;

/// Ranges shown of a list; the whole of it is in `-T jsonl`.
const SHOWN: usize = 2;

/// Ranges in the caller's memory.
pub(super) fn local(line: &mut Line, event: &Event<'_>) {
    list(line, event.local_iov, event.liovcnt);
}

/// Ranges in the target's memory.
pub(super) fn remote(line: &mut Line, event: &Event<'_>) {
    match (event.ptrace_request, event.remote_iov.and_then(|iov| iov.get(0))) {
        (Some(request), Some(addr)) if addr.len == 0 => argument(line, request, addr.base),
        _ => list(line, event.remote_iov, event.riovcnt),
    }
    places(line, event);
}

/// `(libc.so.6+0x26000 r-x)`: in which mappings the ranges that are shown lie, where these have names.
fn places(line: &mut Line, event: &Event<'_>) {
    let (Some(ranges), Some(regions)) = (event.remote_iov, event.remote_regions) else { return };
    let shown = if ranges.len() > 1 { SHOWN } else { 1 };
    let places = ranges.iter().zip(regions.iter()).take(shown);
    let places: Vec<String> = places.filter_map(|(range, region)| place(line, range.base, &region)).collect();
    if !places.is_empty() {
        line.word(Role::Dim, format_args!("({})", places.join(", ")));
    }
}

/// The place of an address in its mapping, and what the program may do there if that is not reading and writing: in a file
/// as the file has it, else from the mapping's start.
fn place(line: &Line, address: u64, region: &Region<'_>) -> Option<String> {
    let name = region.name()?;
    let from_start = address.saturating_sub(region.start);
    let is_file = region.path.starts_with('/');
    let offset = if is_file { from_start.saturating_add(region.file_offset) } else { from_start };
    let perms = region.perms.get(..3).filter(|perms| *perms != "rw-").map(|perms| format!(" {perms}"));
    let at = if line.without_addresses { String::new() } else { format!("+{offset:#x}") };
    Some(format!("{}{at}{}", Safe(name), Safe(&perms.unwrap_or_default())))
}

/// The same without a length that is `said` already, and of several ranges only the first.
pub(super) fn local_in_short(line: &mut Line, event: &Event<'_>, said: Option<u64>) {
    first(line, event.local_iov, event.liovcnt, said);
}

/// The same of the target's memory.
pub(super) fn remote_in_short(line: &mut Line, event: &Event<'_>, said: Option<u64>) {
    match (event.ptrace_request, event.remote_iov.and_then(|iov| iov.get(0))) {
        (Some(request), Some(addr)) if addr.len == 0 => argument(line, request, addr.base),
        _ => first(line, event.remote_iov, event.riovcnt, said),
    }
    let first = event.remote_iov.and_then(|ranges| ranges.get(0)).zip(event.remote_regions.and_then(|of| of.get(0)));
    if let Some(place) = first.and_then(|(range, region)| place(line, range.base, &region)) {
        line.word(Role::Dim, format_args!("({place})"));
    }
}

fn first(line: &mut Line, iov: Option<Iovecs<'_>>, count: Option<u64>, said: Option<u64>) {
    let Some(range) = iov.and_then(|iov| iov.get(0)) else { return list(line, iov, count) };
    let stored = iov.map_or(0, |iov| iov.len() as u64);
    let more = count.unwrap_or(0).max(stored) - 1;
    if !line.without_addresses {
        line.word(Role::Plain, format_args!("{:#x}", range.base));
    } else if more > 0 || said != Some(range.len) {
        line.word(Role::Plain, format_args!(""));
    }
    if more > 0 {
        line.add(Role::Dim, format_args!(", +{more} more"));
    } else if said != Some(range.len) {
        line.add(Role::Plain, format_args!("+{}", range.len));
    }
}

/// ptrace's `addr` where it does not name memory of the target: what it is depends on the request (ptrace(2)).
fn argument(line: &mut Line, request: &str, addr: u64) {
    match request {
        // It was taken away with the addresses.
        _ if line.without_addresses => {}
        "PTRACE_GETREGSET" | "PTRACE_SETREGSET" => match register_set_name(addr) {
            Some(name) => line.word(Role::Plain, format_args!("set {name}")),
            None => line.word(Role::Plain, format_args!("set {addr:#x}")),
        },
        "PTRACE_PEEKUSER" | "PTRACE_POKEUSER" => line.word(Role::Plain, format_args!("offset {addr:#x}")),
        "PTRACE_GET_THREAD_AREA" | "PTRACE_SET_THREAD_AREA" => line.word(Role::Plain, format_args!("entry {addr}")),
        "PTRACE_SECCOMP_GET_FILTER" => line.word(Role::Plain, format_args!("filter {addr}")),
        "PTRACE_GETSIGMASK"
        | "PTRACE_SETSIGMASK"
        | "PTRACE_SECCOMP_GET_METADATA"
        | "PTRACE_GET_SYSCALL_INFO"
        | "PTRACE_SET_SYSCALL_INFO"
        | "PTRACE_GET_RSEQ_CONFIGURATION"
        | "PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG"
        | "PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG" => line.word(Role::Plain, format_args!("size {addr}")),
        // An address in the caller's memory, or without meaning.
        _ if addr != 0 => line.word(Role::Plain, format_args!("addr {addr:#x}")),
        _ => {}
    }
}

/// What `add` adds, with `word` before it if it adds anything.
pub(super) fn after(line: &mut Line, word: &str, add: impl FnOnce(&mut Line)) {
    let (text, parts) = (line.text.len(), line.ends.len());
    line.word(Role::Dim, format_args!("{word}"));
    let end = line.text.len();
    add(line);
    if line.text.len() == end {
        line.text.truncate(text);
        line.ends.truncate(parts);
    }
}

/// A list of ranges as `0xbase+len`.
fn list(line: &mut Line, iov: Option<Iovecs<'_>>, count: Option<u64>) {
    let stored = iov.map_or(0, |iov| iov.len());
    let count = count.unwrap_or(0).max(stored as u64);
    let Some(iov) = iov else {
        if count > 0 {
            line.word(Role::Warn, format_args!("[{} unread]", Count(count, "range", "ranges")));
        }
        return;
    };
    let first = iov.get(0).unwrap_or_default();
    if count <= 1 {
        if stored == 1 {
            line.word(Role::Plain, format_args!(""));
            range(line, first);
        }
        return;
    }
    line.word(Role::Plain, format_args!("["));
    for (index, one) in iov.iter().take(SHOWN).enumerate() {
        line.add(Role::Plain, format_args!("{}", if index == 0 { "" } else { ", " }));
        range(line, one);
    }
    let more = count.saturating_sub(stored.min(SHOWN) as u64);
    if more > 0 {
        line.add(Role::Dim, format_args!(", +{more} more"));
    }
    line.add(Role::Plain, format_args!("]"));
}

/// `0xbase+len`, or the length alone where redaction took the addresses away.
fn range(line: &mut Line, Iovec { base, len }: Iovec) {
    if line.without_addresses {
        line.add(Role::Plain, format_args!("+{len}"));
    } else {
        line.add(Role::Plain, format_args!("{base:#x}+{len}"));
    }
}

/// One end of a transfer between descriptors.
#[derive(Clone, Copy)]
struct End<'a> {
    fd: Option<i32>,
    kind: Option<&'a str>,
    path: Option<&'a str>,
    family: Option<&'a str>,
    local: Address<'a>,
    peer: Address<'a>,
    pipe: Option<u64>,
    offset: Option<i64>,
}

/// Where a socket is bound: an address and perhaps a port.
type Address<'a> = (Option<&'a str>, Option<u32>);

/// The path of a file that was to be opened, and where it leads from if that is another directory than the caller's.
pub(super) fn path(line: &mut Line, event: &Event<'_>) {
    let Some(path) = event.path else { return };
    line.word(Role::Plain, format_args!("{}", Safe(path)));
    if let Some(fd) = event.dirfd.filter(|fd| *fd != AT_FDCWD && !path.starts_with('/')) {
        line.word(Role::Plain, format_args!("below fd {fd}"));
    }
}

/// Both descriptors. Where the peer is a process, a descriptor is only the way to it.
pub(super) fn descriptors(line: &mut Line, event: &Event<'_>, has_peer: bool) {
    let e = event;
    let is_removed = line.without_addresses && origin::has_address_as_offset(e);
    let from = End {
        fd: e.fd_in,
        kind: e.fd_in_kind,
        path: e.fd_in_path,
        family: e.fd_in_family,
        local: (e.fd_in_local_addr, e.fd_in_local_port),
        peer: (e.fd_in_peer_addr, e.fd_in_peer_port),
        pipe: e.pipe_in,
        offset: e.off_in.filter(|_| !is_removed),
    };
    let to = End {
        fd: e.fd_out,
        kind: e.fd_out_kind,
        path: e.fd_out_path,
        family: e.fd_out_family,
        local: (e.fd_out_local_addr, e.fd_out_local_port),
        peer: (e.fd_out_peer_addr, e.fd_out_peer_port),
        pipe: e.pipe_out,
        offset: e.off_out.filter(|_| !is_removed),
    };
    let (how_from, how_to) = match () {
        // One file, behind the target's descriptor and the caller's new one.
        () if e.is_any(&[EventKind::PidfdGetfd, EventKind::MemOpen]) => ("takes", "as"),
        () if has_peer => ("via", "via"),
        () => ("from", "to"),
    };
    end(line, how_from, from);
    end(line, how_to, to);
}

fn end(line: &mut Line, how: &str, end: End<'_>) {
    if end.fd.is_none() && end.pipe.is_none() && end.kind.is_none() {
        return;
    }
    line.word(Role::Plain, format_args!("{how}"));
    if let Some(fd) = end.fd {
        line.word(Role::Plain, format_args!("fd {fd}"));
    }
    match (end.pipe, end.path, end.kind.map(DescriptorKind::parse)) {
        (Some(inode), Some(path), Some(Ok(DescriptorKind::Fifo))) => {
            line.word(Role::Plain, format_args!("fifo {} pipe:[{inode}]", Safe(path)));
        }
        (Some(inode), ..) => line.word(Role::Plain, format_args!("pipe:[{inode}]")),
        (None, Some(path), Some(Ok(DescriptorKind::File | DescriptorKind::ProcMem)) | None) => {
            line.word(Role::Plain, format_args!("{}", Safe(path)));
        }
        (None, Some(path), Some(kind)) => {
            let kind = kind.map_or_else(Safe, |known| Safe(known.as_str()));
            line.word(Role::Plain, format_args!("{kind} {}", Safe(path)));
        }
        (None, None, Some(kind)) => {
            let kind = kind.map_or_else(Safe, |known| Safe(known.as_str()));
            line.word(Role::Plain, format_args!("{kind}"));
        }
        (None, None, None) => {}
    }
    if let Some(family) = end.family {
        line.word(Role::Plain, format_args!("{}", Safe(family)));
    }
    address(line, end.local);
    after(line, "peer", |line| address(line, end.peer));
    if let Some(offset) = end.offset {
        line.word(Role::Plain, format_args!("at {offset}"));
    }
}

/// An address as in a URL.
fn address(line: &mut Line, address: Address<'_>) {
    match address {
        (Some(ip), Some(port)) if ip.contains(':') => line.word(Role::Plain, format_args!("[{}]:{port}", Safe(ip))),
        (Some(ip), Some(port)) => line.word(Role::Plain, format_args!("{}:{port}", Safe(ip))),
        (Some(name), None) => line.word(Role::Plain, format_args!("{}", Safe(name))),
        (None, _) => {}
    }
}

/// splice(2), vmsplice(2), tee(2).
const SPLICE_FLAGS: [(u64, &str); 4] =
    [(1, "SPLICE_F_MOVE"), (2, "SPLICE_F_NONBLOCK"), (4, "SPLICE_F_MORE"), (8, "SPLICE_F_GIFT")];

/// Names of the flags that calls of a kind take.
fn flag_names(kind: EventKind) -> &'static [(u64, &'static str)] {
    match kind.spec().group {
        Group::Pipe => &SPLICE_FLAGS,
        Group::Uffd => uffd_modes(kind),
        Group::Vm | Group::Ptrace | Group::Mem | Group::Pidfd | Group::Madvise | Group::Process | Group::Ledger => &[],
    }
}

/// Flags that are set: by name where the event has names for them.
pub(super) fn flags(line: &mut Line, event: &Event<'_>) {
    if event.event == EventKind::MemOpen.name() {
        if let Some(flags) = event.flags {
            line.word(Role::Plain, format_args!("{}", OpenFlags(flags)));
        }
        return;
    }
    let Some(flags) = event.flags.filter(|flags| *flags != 0) else { return };
    let mut rest = flags;
    let mut bar = "";
    let spec = event.spec();
    let word = if spec.is_some_and(|spec| spec.group == Group::Uffd) { "mode" } else { "flags" };
    line.word(Role::Plain, format_args!("{word} "));
    let named = spec.map_or(&[][..], |spec| flag_names(spec.kind));
    for (bit, name) in named.iter().filter(|(bit, _)| flags & bit != 0) {
        line.add(Role::Plain, format_args!("{bar}{name}"));
        rest &= !bit;
        bar = "|";
    }
    if rest != 0 {
        line.add(Role::Plain, format_args!("{bar}{rest:#x}"));
    }
}
