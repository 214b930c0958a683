//! All transfers of the self-test: to test one more, add a line.

use crate::record::probes::load::Family;
use crate::record::probes::selftest::transfers::{self, Act};
use crate::schema::events::{EventSet, event_by_name};
use crate::schema::vocabulary::Abi;

/// One known transfer.
#[derive(Debug)]
pub struct Kind {
    /// Family whose hooks see it.
    pub family: Family,
    /// Its event, by name. While the table of events has none of that name, the transfer is not made.
    pub event: &'static str,
    /// Words that distinguish it from others.
    pub name: &'static str,
    /// How it enters the kernel; `None` for what is no call.
    pub abi: Option<Abi>,
    /// `ptrace_request`.
    pub request: Option<&'static str>,
    /// Makes it.
    pub act: Act,
}

macro_rules! kinds {
    ($($family:ident $event:literal $name:literal [$($abi:ident)?] [$($request:literal)?] $act:ident;)+) => {
        /// All of them, in the order in which they are made.
        pub const KINDS: &[Kind] = &[$(Kind {
            family: Family::$family,
            event: $event,
            name: $name,
            abi: optional!($(Abi::$abi)?),
            request: optional!($($request)?),
            act: transfers::$act,
        },)+];
    };
}

macro_rules! optional {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

kinds! {
    Process "process_fork" "fork" [] [] forked;
    Vm "process_vm_readv" "process_vm_readv" [Native] [] readv;
    Vm "process_vm_writev" "process_vm_writev" [Native] [] writev;
    Vm "process_vm_readv" "process_vm_readv by int 0x80" [Compat32] [] readv_int80;
    Vmsplice "vmsplice" "vmsplice into a pipe" [Native] [] vmsplice_in;
    Vmsplice "vmsplice" "vmsplice out of a pipe" [Native] [] vmsplice_out;
    PipeRead "pipe_read" "read of a pipe fed by vmsplice" [Native] [] pipe_read;
    Splice "splice" "splice" [Native] [] splice;
    Splice "tee" "tee" [Native] [] tee;
    Splice "sendfile" "sendfile" [Native] [] sendfile;
    Uring "splice" "splice through io_uring" [IoUring] [] uring_splice;
    Uring "tee" "tee through io_uring" [IoUring] [] uring_tee;
    Ptrace "ptrace" "PTRACE_SEIZE" [Native] ["PTRACE_SEIZE"] seize;
    Ptrace "ptrace" "PTRACE_INTERRUPT" [Native] ["PTRACE_INTERRUPT"] interrupt;
    Ptrace "ptrace" "PTRACE_PEEKDATA" [Native] ["PTRACE_PEEKDATA"] peek;
    Ptrace "ptrace" "PTRACE_POKEDATA" [Native] ["PTRACE_POKEDATA"] poke;
    Ptrace "ptrace" "PTRACE_DETACH" [Native] ["PTRACE_DETACH"] detach;
    Mem "pread" "pread of /proc/PID/mem" [Native] [] mem_read;
    Mem "pwrite" "pwrite to /proc/PID/mem" [Native] [] mem_write;
    Pidfd "pidfd_getfd" "pidfd_getfd" [Native] [] pidfd_getfd;
    Madvise "process_madvise" "process_madvise" [Native] [] process_madvise;
    Process "process_exec" "exec" [] [] executed;
    Process "process_exit" "exit" [] [] ended;
}

/// Numbers of the transfers that are to be made for `families`: those whose events are recorded.
pub fn chosen(families: &[Family], events: &EventSet) -> Vec<usize> {
    let selected = |kind: &Kind| event_by_name(kind.event).is_some_and(|event| events.contains(event.kind));
    let numbered = KINDS.iter().enumerate();
    numbered.filter(|(_, kind)| families.contains(&kind.family) && selected(kind)).map(|(slot, _)| slot).collect()
}
