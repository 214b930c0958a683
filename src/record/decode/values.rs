//! Numbers of the wire as enums, converted once per record. A number that `bpf/wire.h` does not list makes the record
//! undecodable, which is counted; it never passes for another value.

use crate::record::wire::*;
use crate::schema::vocabulary::{Abi, DescriptorKind, DescriptorMode, PayloadSide, PayloadStatus, Tier};

/// Whose copy of a value was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    User,
    Kernel,
    /// Ranges of the pages that the kernel took.
    Pages,
}

/// Whether a value could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    Absent,
    Ok,
    Fault,
    /// There are more entries than the kernel accepts.
    Refused,
}

macro_rules! conversions {
    ($($(#[$doc:meta])+ $name:ident -> $target:ident { $($number:ident => $value:ident),+ $(,)? })+) => {
        $($(#[$doc])+
        pub fn $name(number: u8) -> Option<$target> {
            match u32::from(number) {
                $($number => Some($target::$value),)+
                _ => None,
            }
        })+

        /// Each prefix of the numbers in `bpf/wire.h`, and whether a number of it is known.
        #[cfg(test)]
        type Conversion = (&'static str, fn(u8) -> bool);
        #[cfg(test)]
        const CONVERSIONS: &[Conversion] = &[$((stringify!($name), |number| $name(number).is_some())),+];
    };
}

conversions! {
    /// `enum vmt_source`.
    source -> Source { VMT_SOURCE_USER => User, VMT_SOURCE_KERNEL => Kernel, VMT_SOURCE_PAGES => Pages }

    /// `enum vmt_read`.
    read -> Read {
        VMT_READ_ABSENT => Absent,
        VMT_READ_OK => Ok,
        VMT_READ_FAULT => Fault,
        VMT_READ_REFUSED => Refused,
    }

    /// `enum vmt_abi`.
    abi -> Abi { VMT_ABI_NATIVE => Native, VMT_ABI_COMPAT32 => Compat32, VMT_ABI_IO_URING => IoUring }

    /// `enum vmt_tier`.
    tier -> Tier { VMT_TIER_TRACEPOINT => Tracepoint, VMT_TIER_FUNCTION => Function }

    /// `enum vmt_payload_status`.
    payload_status -> PayloadStatus {
        VMT_PAYLOAD_NONE => None,
        VMT_PAYLOAD_OK => Ok,
        VMT_PAYLOAD_TRUNCATED => Truncated,
        VMT_PAYLOAD_FAULT => Fault,
        VMT_PAYLOAD_OFF => Off,
    }

    /// `enum vmt_side`.
    side -> PayloadSide {
        VMT_SIDE_CALLER => Caller,
        VMT_SIDE_KERNEL => Kernel,
        VMT_SIDE_REGISTER => Register,
    }

    /// `enum vmt_fd_kind`.
    fd_kind -> DescriptorKind {
        VMT_FD_CLOSED => Closed,
        VMT_FD_FILE => File,
        VMT_FD_DIR => Dir,
        VMT_FD_PIPE => Pipe,
        VMT_FD_FIFO => Fifo,
        VMT_FD_SOCKET => Socket,
        VMT_FD_CHARDEV => Chardev,
        VMT_FD_BLOCKDEV => Blockdev,
        VMT_FD_ANON_INODE => AnonInode,
        VMT_FD_PROC_MEM => ProcMem,
        VMT_FD_REGISTERED => Registered,
        VMT_FD_OTHER => Other,
    }
}

/// How a descriptor is open, by its flags; `None` where it is open for neither, or closed.
pub fn fd_mode(flags: u8) -> Option<DescriptorMode> {
    let has = |bit: u32| u32::from(flags) & bit != 0;
    match (has(VMT_MODE_READ), has(VMT_MODE_WRITE)) {
        (true, true) => Some(DescriptorMode::ReadWrite),
        (true, false) => Some(DescriptorMode::Read),
        (false, true) => Some(DescriptorMode::Write),
        (false, false) => None,
    }
}

/// An iovec array as the record describes it. Its entries are in the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array {
    /// Entries, as passed.
    pub count: u64,
    /// Where it was read in the caller's memory; 0 if it was not.
    pub at: u64,
    /// Bytes of it that the record keeps.
    pub size: u64,
    pub read: Read,
    pub source: Source,
}

impl Array {
    pub fn of(iovs: &vmt_iovs) -> Option<Self> {
        let size = u64::from(iovs.kept) * u64::from(iovs.entry);
        Some(Array { count: iovs.count, at: iovs.at, size, read: read(iovs.status)?, source: source(iovs.source)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The members of an enum of `bpf/wire.h`, with their numbers.
    fn members(name: &str) -> Vec<(&'static str, u32)> {
        let header = include_str!("../../../bpf/wire.h");
        let (_, body) = header.split_once(&format!("enum vmt_{name} {{")).expect("an enum");
        let (body, _) = body.split_once("};").expect("its end");
        let member = |line: &'static str| {
            let (member, number) = line.trim().split_once(" = ")?;
            Some((member, number.split_once(',')?.0.parse().expect("a number")))
        };
        body.lines().filter_map(member).collect()
    }

    #[test]
    fn every_number_of_the_header_has_a_value_and_no_other_does() {
        for (name, is_known) in CONVERSIONS {
            let listed: Vec<u32> = members(name).into_iter().map(|(_, number)| number).collect();
            assert!(!listed.is_empty(), "{name}");
            let known: Vec<u32> = (0..=u8::MAX).filter(|n| is_known(*n)).map(u32::from).collect();
            assert_eq!(known, listed, "{name}");
        }
    }

    #[test]
    fn every_kind_of_the_header_is_an_event_and_no_other_number_is() {
        // Some calls are no events, and two say how many there may be.
        let others = ["VMT_EVENTS", "VMT_OPENS", "VMT_RECEIVES", "VMT_IOCTL", "VMT_KINDS"];
        let events = |(name, _): &(&str, u32)| !others.contains(name);
        let mut listed: Vec<u32> = members("kind").into_iter().filter(events).map(|(_, number)| number).collect();
        listed.sort_unstable();
        let known: Vec<u32> = (0..1000).filter(|n| super::super::event_kind(*n).is_some()).collect();
        assert_eq!(known, listed);
    }
}
