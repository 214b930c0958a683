//! The arguments of ptrace(2), whose meaning depends on the request. Sets of registers, which strace takes apart, are addresses.

use super::words::{Address, Flags, Signal, TRACE_OPTIONS, Word};
use super::{Line, add, address};
use crate::schema::Event;
use crate::schema::names::register_set_name;

/// Writes them all.
pub(super) fn arguments(line: &mut Line, event: &Event<'_>) {
    let request = event.ptrace_request.unwrap_or("...");
    add(line, format_args!("{}", Word(request)));
    if request == "PTRACE_TRACEME" {
        return;
    }
    match event.target_pid_arg.or(event.target_pid) {
        Some(pid) => add(line, format_args!(", {pid}")),
        None => line.push_str(", ..."),
    }
    let at = event.remote_iov.and_then(|iov| iov.get(0)).map_or(0, |iov| iov.base);
    let data = event.data;
    match request {
        "PTRACE_ATTACH" | "PTRACE_INTERRUPT" | "PTRACE_KILL" | "PTRACE_LISTEN" => {}
        "PTRACE_PEEKTEXT" | "PTRACE_PEEKDATA" | "PTRACE_PEEKUSER" => {
            first(line, format_args!("{at:#x}"));
            line.push_str(", ");
            word(line, event);
        }
        "PTRACE_POKETEXT" | "PTRACE_POKEDATA" | "PTRACE_POKEUSER" => {
            first(line, format_args!("{at:#x}"));
            line.push_str(", ");
            // The word was taken away, too.
            address(line, Number(data));
        }
        "PTRACE_CONT"
        | "PTRACE_DETACH"
        | "PTRACE_SYSCALL"
        | "PTRACE_SINGLESTEP"
        | "PTRACE_SINGLEBLOCK"
        | "PTRACE_SYSEMU"
        | "PTRACE_SYSEMU_SINGLESTEP" => {
            first(line, Address(at));
            match i32::try_from(data) {
                Ok(0) | Err(_) => add(line, format_args!(", {data}")),
                Ok(number) => add(line, format_args!(", {}", Signal(number))),
            }
        }
        "PTRACE_SETOPTIONS" | "PTRACE_OLDSETOPTIONS" | "PTRACE_SEIZE" => {
            first(line, Address(at));
            add(line, format_args!(", {}", Flags(data, TRACE_OPTIONS)));
        }
        "PTRACE_GETREGS" | "PTRACE_SETREGS" | "PTRACE_GETFPREGS" | "PTRACE_SETFPREGS" => first(line, Address(data)),
        "PTRACE_GETREGSET" | "PTRACE_SETREGSET" => {
            match register_set_name(at) {
                Some(name) if !line.without_addresses => add(line, format_args!(", {name}")),
                _ => first(line, format_args!("{at:#x}")),
            }
            line.push_str(", ");
            address(line, Address(data));
        }
        _ => {
            first(line, Address(at));
            line.push_str(", ");
            address(line, Address(data));
        }
    }
}

/// The argument behind the process.
fn first(line: &mut Line, argument: impl std::fmt::Display) {
    line.push_str(", ");
    address(line, argument);
}

/// The word that a request read, or where it was to go.
fn word(line: &mut Line, event: &Event<'_>) {
    let bytes = event.payload.filter(|_| event.errno.is_none()).and_then(|bytes| {
        let mut word = [0; 8];
        word.get_mut(..bytes.len())?.copy_from_slice(bytes);
        (!bytes.is_empty()).then_some(u64::from_le_bytes(word))
    });
    match bytes {
        Some(value) => add(line, format_args!("[{}]", Number(value))),
        None => address(line, Address(event.data)),
    }
}

/// A number in hexadecimal, as C's `%#lx` writes it.
struct Number(u64);

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => f.write_str("0"),
            number => write!(f, "{number:#x}"),
        }
    }
}
