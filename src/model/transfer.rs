//! Transfers: an event as a movement of bytes from one end to another.
//!
//! The same as the view `transfers` of `vmtrace query`, which a test compares row by row. Failed calls, and calls that moved
//! nothing, are no transfers.

use crate::schema::events::EventSpec;
use crate::schema::types::Iovecs;
use crate::schema::vocabulary::{DescriptorKind, Direction};
use crate::schema::{Event, EventKind};

/// A process at one instant, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Party<'a> {
    /// Process id (thread group) in the initial pid namespace.
    pub pid: Option<i32>,
    /// `process_key`.
    pub key: Option<&'a str>,
    /// Thread name, as captured.
    pub comm: Option<&'a str>,
    /// Executable, as captured.
    pub exe: Option<&'a str>,
    /// Container, as captured.
    pub container: Option<&'a str>,
}

impl<'a> Party<'a> {
    /// Who called.
    pub fn caller(event: &Event<'a>) -> Self {
        Party {
            pid: Some(event.pid),
            key: event.process_key,
            comm: Some(event.comm),
            exe: event.exe,
            container: event.container,
        }
    }

    /// Whose memory was reached, or who fed the pipe.
    pub fn target(event: &Event<'a>) -> Self {
        Party {
            pid: event.target_pid,
            key: event.target_key,
            comm: event.target_comm,
            exe: event.target_exe,
            container: event.target_container,
        }
    }
}

/// Where one side of a socket is bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Address<'a> {
    /// IP address, or name of a unix socket.
    pub addr: Option<&'a str>,
    /// Port, where the protocol has ports.
    pub port: Option<u32>,
}

/// An end of a transfer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End<'a> {
    /// Memory of a process.
    Memory {
        /// Whose.
        process: Party<'a>,
        /// Which ranges the call named; more bytes than moved where it was cut short.
        ranges: Option<Iovecs<'a>>,
    },
    /// Registers of a process, or what the kernel keeps of it (ptrace).
    Register {
        /// Whose.
        process: Party<'a>,
        /// The request's address, if it takes one.
        ranges: Option<Iovecs<'a>>,
    },
    /// A pipe or FIFO.
    Pipe {
        /// Its inode.
        inode: Option<u64>,
        /// Its name, if it is a FIFO.
        path: Option<&'a str>,
        /// Whose recorded call fed it last. Only of the end that bytes come from.
        fed_by: Party<'a>,
    },
    /// A socket.
    Socket {
        /// Where it is bound.
        local: Address<'a>,
        /// Whom it is connected to.
        peer: Address<'a>,
    },
    /// Any other file.
    File {
        /// Its kind, a [`DescriptorKind`] or a word of a later version; `None` if it is not known.
        kind: Option<&'a str>,
        /// Its path, as captured.
        path: Option<&'a str>,
    },
}

/// A movement of bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transfer<'a> {
    /// `seq` of its event.
    pub seq: u64,
    /// The call.
    pub event: &'a str,
    /// Who called.
    pub caller: Party<'a>,
    /// Where the bytes came from.
    pub from: End<'a>,
    /// Where they went.
    pub to: End<'a>,
    /// How many, more than 0.
    pub bytes: u64,
    /// The first of them, as far as they were captured.
    pub payload: Option<&'a [u8]>,
}

impl<'a> Transfer<'a> {
    /// The transfer that an event is; `None` if it moved nothing, or in a direction that is not known.
    pub fn of(event: &Event<'a>) -> Option<Self> {
        let direction = event.direction.map(Direction::parse);
        let kind = EventKind::of_name(event.event);
        let between_files = event.spec().is_some_and(EventSpec::is_between_files);
        let bytes = Self::bytes_of(event, between_files)?;
        let is_vmsplice = kind == Some(EventKind::Vmsplice);
        let outward = direction == Some(Ok(Direction::Out));
        let from_file =
            between_files || kind == Some(EventKind::PipeRead) || (is_vmsplice && direction == Some(Ok(Direction::In)));
        let to_file = between_files || kind == Some(EventKind::PipeWrite) || (is_vmsplice && outward);
        Some(Transfer {
            seq: event.seq,
            event: event.event,
            caller: Party::caller(event),
            from: if from_file { file_in(event) } else { memory(event, outward) },
            to: if to_file { file_out(event) } else { memory(event, !outward) },
            bytes,
            payload: event.payload,
        })
    }

    /// How many bytes an event moved, where it is known whether its bytes go between files; `None` if it is no transfer.
    pub fn bytes_of(event: &Event<'_>, between_files: bool) -> Option<u64> {
        let bytes = u64::try_from(event.bytes?).ok().filter(|bytes| *bytes > 0)?;
        (event.direction.is_some() || between_files).then_some(bytes)
    }
}

/// The caller's memory, or the target's.
fn memory<'a>(event: &Event<'a>, callers: bool) -> End<'a> {
    if callers {
        return End::Memory { process: Party::caller(event), ranges: event.local_iov };
    }
    let (process, ranges) = (Party::target(event), event.remote_iov);
    match event.ptrace_request {
        Some(request) if !reaches_memory(request) => End::Register { process, ranges },
        Some(_) | None => End::Memory { process, ranges },
    }
}

/// Whether a ptrace request moves words of the target's memory; others move registers and the like (ptrace(2)).
fn reaches_memory(request: &str) -> bool {
    matches!(request, "PTRACE_PEEKTEXT" | "PTRACE_PEEKDATA" | "PTRACE_POKETEXT" | "PTRACE_POKEDATA")
}

fn file_in<'a>(event: &Event<'a>) -> End<'a> {
    match event.fd_in_kind.map(DescriptorKind::parse) {
        Some(Ok(DescriptorKind::Pipe | DescriptorKind::Fifo)) => {
            End::Pipe { inode: event.pipe_in, path: event.fd_in_path, fed_by: Party::target(event) }
        }
        Some(Ok(DescriptorKind::Socket)) => End::Socket {
            local: Address { addr: event.fd_in_local_addr, port: event.fd_in_local_port },
            peer: Address { addr: event.fd_in_peer_addr, port: event.fd_in_peer_port },
        },
        Some(_) | None => End::File { kind: event.fd_in_kind, path: event.fd_in_path },
    }
}

fn file_out<'a>(event: &Event<'a>) -> End<'a> {
    match event.fd_out_kind.map(DescriptorKind::parse) {
        Some(Ok(DescriptorKind::Pipe | DescriptorKind::Fifo)) => {
            End::Pipe { inode: event.pipe_out, path: event.fd_out_path, fed_by: Party::default() }
        }
        Some(Ok(DescriptorKind::Socket)) => End::Socket {
            local: Address { addr: event.fd_out_local_addr, port: event.fd_out_local_port },
            peer: Address { addr: event.fd_out_peer_addr, port: event.fd_out_peer_port },
        },
        Some(_) | None => End::File { kind: event.fd_out_kind, path: event.fd_out_path },
    }
}
