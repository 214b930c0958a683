//! The arguments of a call, in their order (`schema::events`), each as strace writes arguments of its type.

use std::fmt::Display;

use super::quote::Quoted;
use super::words::{self, Address, Flags, READ_WRITE, SPLICE, Word, is_vectored};
use super::{Line, add, address};
use crate::model::origin;
use crate::schema::events::{Argument, EventSpec, Group};
use crate::schema::names::{AT_FDCWD, OpenFlags, uffd_modes};
use crate::schema::types::{Iovec, Iovecs};
use crate::schema::{Event, EventKind};

/// Writes them all.
pub(super) fn arguments(line: &mut Line, spec: &EventSpec, event: &Event<'_>) {
    for (index, argument) in spec.args.iter().enumerate() {
        if index > 0 {
            line.push_str(", ");
        }
        // Of calls that take a buffer or an array: the array, and how many ranges it has.
        let is_vectored = is_vectored(spec.kind, event);
        match argument.column {
            "local_iov" if is_vectored => local(line, event),
            "local_iov, bytes_requested" if is_vectored => number(line, event.liovcnt),
            _ => one(line, spec, event, argument),
        }
    }
}

/// O_CREAT and O_TMPFILE: the mode has a meaning.
const CREATES: u64 = 0o20_000_100;
/// Bytes of struct open_how, of which vmtrace knows no more.
const HOW_SIZE: usize = 24;

/// The arguments of a call that opens a file: strace shows those that the call takes.
pub(super) fn of_open(line: &mut Line, event: &Event<'_>) {
    match event.dirfd {
        Some(AT_FDCWD) => line.push_str("AT_FDCWD, "),
        Some(fd) => add(line, format_args!("{fd}, ")),
        None => {}
    }
    match event.path {
        Some(path) => add(line, format_args!("{}, ", Quoted::text(path))),
        None => line.push_str("..., "),
    }
    let Some(flags) = event.flags else { return unknown(line) };
    let mode = event.open_mode.filter(|_| flags & CREATES != 0);
    match event.open_resolve {
        Some(resolve) => {
            add(line, format_args!("{{flags={}", OpenFlags(flags)));
            if let Some(mode) = mode {
                add(line, format_args!(", mode={}", words::Mode(mode)));
            }
            let resolve = Flags(resolve, words::RESOLVE);
            add(line, format_args!(", resolve={resolve}}}, {HOW_SIZE}"));
        }
        None => {
            add(line, format_args!("{}", OpenFlags(flags)));
            if let Some(mode) = mode {
                add(line, format_args!(", {}", words::Mode(mode)));
            }
        }
    }
}

/// The command of an ioctl(2) on a userfaultfd, and its struct: where it could not be read strace shows its address, which vmtrace
/// does not keep.
pub(super) fn of_uffd(line: &mut Line, spec: &EventSpec, event: &Event<'_>) {
    let (command, result) = match spec.kind {
        EventKind::UffdCopy => ("UFFDIO_COPY", "copy"),
        EventKind::UffdMove => ("UFFDIO_MOVE", "move"),
        EventKind::UffdZeropage => ("UFFDIO_ZEROPAGE", "zeropage"),
        _ => ("UFFDIO_POISON", "updated"),
    };
    number(line, event.fd_out);
    add(line, format_args!(", {command}, "));
    let Some(range) = event.remote_iov.and_then(|iov| iov.get(0)) else { return unknown(line) };
    match event.local_iov.and_then(|iov| iov.get(0)) {
        Some(source) => {
            line.push_str("{dst=");
            address(line, format_args!("{:#x}", range.base));
            line.push_str(", src=");
            address(line, format_args!("{:#x}", source.base));
            add(line, format_args!(", len={:#x}", range.len));
        }
        None => {
            line.push_str("{range={start=");
            address(line, format_args!("{:#x}", range.base));
            add(line, format_args!(", len={:#x}}}", range.len));
        }
    }
    line.push_str(", mode=");
    flags(line, spec, event);
    if let Some(bytes) = event.bytes.filter(|_| event.errno.is_none()) {
        add(line, format_args!(", {result}={bytes:#x}"));
    }
    line.push_str("}");
}

fn one(line: &mut Line, spec: &EventSpec, event: &Event<'_>, argument: &Argument) {
    let is_array = argument.c_type == "const struct iovec *";
    match argument.column {
        "target_pid_arg" => number(line, event.target_pid_arg.or(event.target_pid)),
        "pidfd" => number(line, event.pidfd),
        "fd_in" => number(line, event.fd_in),
        "fd_out" => number(line, event.fd_out),
        "fd_in or fd_out" => number(line, event.fd_in.or(event.fd_out)),
        "liovcnt" => number(line, event.liovcnt),
        "riovcnt" => number(line, event.riovcnt),
        "bytes_requested" | "local_iov, bytes_requested" => number(line, event.bytes_requested),
        "local_iov" if is_array => local(line, event),
        "local_iov" => buffer(line, event),
        "remote_iov" if is_array => ranges(line, event.remote_iov, event.riovcnt),
        // The offset in a file; in that of a process's memory it is the address.
        "remote_iov" => match event.remote_iov.and_then(|iov| iov.get(0)) {
            Some(range) => address(line, range.base.cast_signed()),
            None => unknown(line),
        },
        "off_in" => offset(line, event, event.off_in, event.bytes.filter(|_| spec.kind == EventKind::Sendfile)),
        "off_out" => offset(line, event, event.off_out, None),
        "advice" => match event.advice {
            Some(name) => add(line, format_args!("{}", Word(name))),
            None => unknown(line),
        },
        "flags" => flags(line, spec, event),
        _ => unknown(line),
    }
}

/// What strace writes for what it leaves out.
fn unknown(line: &mut Line) {
    line.push_str("...");
}

fn number(line: &mut Line, value: Option<impl Display>) {
    match value {
        Some(value) => add(line, format_args!("{value}")),
        None => unknown(line),
    }
}

fn flags(line: &mut Line, spec: &EventSpec, event: &Event<'_>) {
    let Some(flags) = event.flags else { return unknown(line) };
    match spec.group {
        // strace writes those of process_vm_* as a plain number.
        Group::Vm => add(line, format_args!("{flags}")),
        Group::Pipe => add(line, format_args!("{}", Flags(flags, SPLICE))),
        Group::Mem => add(line, format_args!("{}", Flags(flags, READ_WRITE))),
        Group::Uffd => add(line, format_args!("{}", Flags(flags, uffd_modes(spec.kind)))),
        Group::Pidfd | Group::Madvise | Group::Ptrace | Group::Process | Group::Ledger => {
            add(line, format_args!("{}", Flags(flags, &[])));
        }
    }
}

/// An offset to which the caller pointed, and where sendfile(2) left it.
fn offset(line: &mut Line, event: &Event<'_>, before: Option<i64>, moved: Option<i64>) {
    match (before, moved) {
        (Some(_), _) if line.without_addresses && origin::has_address_as_offset(event) => line.push_str("[...]"),
        (None, _) => line.push_str("NULL"),
        (Some(before), Some(moved)) => add(line, format_args!("[{before}] => [{}]", before.saturating_add(moved))),
        (Some(before), None) => add(line, format_args!("[{before}]")),
    }
}

/// Bytes that moved, and how many of them were captured.
struct Moved<'a> {
    captured: &'a [u8],
    bytes: u64,
}

impl<'a> Moved<'a> {
    /// Those of a call that succeeded, if any were captured or none moved.
    fn of(event: &Event<'a>) -> Option<Self> {
        let bytes = event.bytes.filter(|_| event.errno.is_none()).and_then(|bytes| u64::try_from(bytes).ok())?;
        match event.payload {
            Some(captured) => Some(Moved { captured, bytes }),
            None if bytes == 0 => Some(Moved { captured: &[], bytes }),
            None => None,
        }
    }

    /// Takes those of a range of so many bytes.
    fn take(&mut self, length: u64) -> Quoted<'a> {
        let in_range = length.min(self.bytes);
        self.bytes -= in_range;
        let (bytes, rest) =
            self.captured.split_at(self.captured.len().min(usize::try_from(in_range).unwrap_or(usize::MAX)));
        self.captured = rest;
        Quoted { bytes, is_cut: (bytes.len() as u64) < in_range }
    }
}

/// One buffer of the caller: its bytes, or its address where they are not known.
fn buffer(line: &mut Line, event: &Event<'_>) {
    match (Moved::of(event), event.local_iov.and_then(|iov| iov.get(0))) {
        (Some(mut moved), _) => add(line, format_args!("{}", moved.take(u64::MAX))),
        (None, Some(range)) => address(line, Address(range.base)),
        (None, None) => unknown(line),
    }
}

/// The caller's array, with the bytes of each range, or their addresses.
fn local(line: &mut Line, event: &Event<'_>) {
    let Some(mut moved) = Moved::of(event) else { return ranges(line, event.local_iov, event.liovcnt) };
    array(line, event.local_iov, event.liovcnt, |line, range| {
        add(line, format_args!("{{iov_base={}, iov_len={}}}", moved.take(range.len), range.len));
    });
}

/// An array of addresses.
fn ranges(line: &mut Line, ranges: Option<Iovecs<'_>>, count: Option<u64>) {
    array(line, ranges, count, |line, range| {
        line.push_str("{iov_base=");
        address(line, Address(range.base));
        add(line, format_args!(", iov_len={}}}", range.len));
    });
}

/// The ranges of an array, of which the capture may hold the first alone.
fn array(line: &mut Line, ranges: Option<Iovecs<'_>>, count: Option<u64>, mut add: impl FnMut(&mut Line, Iovec)) {
    let stored = match ranges {
        Some(ranges) => ranges,
        None if count == Some(0) => Iovecs::Pairs(&[]),
        None => return unknown(line),
    };
    line.push_str("[");
    for (index, range) in stored.iter().enumerate() {
        if index > 0 {
            line.push_str(", ");
        }
        add(line, range);
    }
    if count.is_some_and(|count| count > stored.len() as u64) {
        line.push_str(if stored.is_empty() { "..." } else { ", ..." });
    }
    line.push_str("]");
}
