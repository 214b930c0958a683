//! The events vmtrace knows: one entry each, with its name, set, syscall numbers, arguments and hooks.
//!
//! Recorder, replay, command line, self-test and docs/FORMAT.md read these tables; docs/ADD_AN_EVENT.md describes how one is
//! added. Rule of evolution: a name never changes its meaning; a new event is a new entry, an old one stays. The numbers in
//! `bpf/wire.h` are the recorder's own and never reach a file.

mod set;
mod spec;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::spec::{arg, either, may, may_end, must, must_end, traced, traced_end, user, user_opt};
use super::columns::Event;
use super::vocabulary::Tier;

pub use self::set::{EventSet, sets};
pub use self::spec::{Argument, Bytes, EventSpec, FamilySpec, Need, Program, Service};

/// The program at the exit of every syscall: it serves all events with syscall numbers where no function does.
pub const SYS_EXIT: &str = "sys_exit";
/// The program at the entry of every syscall: it looks up descriptors for [`Family::Mem`], while it is needed.
pub const SYS_ENTER: &str = "sys_enter";
/// The programs that tell which state of its target's mappings a call has reached: at each release of an address space's
/// lock, and asked by the recorder.
pub const REGION_PROGRAMS: [&str; 2] = ["mappings_visited", "mappings_now"];

macro_rules! groups {
    ($($(#[doc = $doc:literal])+ $group:ident $name:literal;)+) => {
        /// A named set of events, `@name` on the command line.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Group { $($(#[doc = $doc])+ $group,)+ }

        impl Group {
            /// Name without the `@`.
            pub const fn name(self) -> &'static str {
                match self { $(Group::$group => $name,)+ }
            }
        }
    };
}

groups! {
    /// Copies between the memory of two processes.
    Vm "vm";
    /// Transfers into, between and out of pipes and files.
    Pipe "pipe";
    /// Requests of a tracer.
    Ptrace "ptrace";
    /// Reads and writes of /proc/PID/mem, and attempts to open it.
    Mem "mem";
    /// Descriptors taken from another process.
    Pidfd "pidfd";
    /// Advice about the memory of another process.
    Madvise "madvise";
    /// Pages of a process that another one fills, through a userfaultfd.
    Uffd "uffd";
    /// Exec, fork, exit and snapshots of processes.
    Process "process";
    /// Rows about loss: always recorded, in no set.
    Ledger "lost";
}

impl Group {
    /// Its name on the command line.
    pub fn set(self) -> String {
        format!("@{}", self.name())
    }

    /// Whether its events are calls, and not the life of a process or a loss.
    pub const fn is_of_calls(self) -> bool {
        match self {
            Group::Vm | Group::Pipe | Group::Ptrace | Group::Mem | Group::Pidfd | Group::Madvise | Group::Uffd => true,
            Group::Process | Group::Ledger => false,
        }
    }
}

macro_rules! families {
    ($($(#[doc = $doc:literal])+ $family:ident $name:literal
       [$($need:ident $program:literal),*] $user_iovecs:literal [$($tier:ident $unseen:literal),*];)+) => {
        /// Events that are hooked, tested and given up together.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Family { $($(#[doc = $doc])+ $family,)+ }

        /// Every family, in the order in which they are attached.
        pub const FAMILIES: &[FamilySpec] = &[$(*Family::$family.spec(),)+];

        impl Family {
            /// Its entry in the table.
            pub const fn spec(self) -> &'static FamilySpec {
                match self { $(Family::$family => {
                    const SPEC: FamilySpec = FamilySpec {
                        family: Family::$family,
                        name: $name,
                        programs: &[$($need($program)),*],
                        reads_user_iovecs: $user_iovecs,
                        unseen: &[$((Tier::$tier, $unseen)),*],
                    };
                    &SPEC
                })+ }
            }

            /// Name in the manifest.
            pub const fn name(self) -> &'static str {
                self.spec().name
            }
        }
    };
}

// Name, programs that all its events share, whether the tracepoint tier reads iovec arrays from user memory alone, and what a
// tier does not see.
families! {
    /// process_vm_readv, process_vm_writev.
    Vm "vm" [must "vm_core", may "vm_target"] true [];
    /// vmsplice, both ways.
    Vmsplice "vmsplice" [] true [];
    /// Transfers between two descriptors.
    Splice "splice" [] false [];
    /// The same through io_uring.
    Uring "uring" [traced "uring_submit", traced "uring_submit_sqe", traced "uring_complete"] false [];
    /// Reads and writes of pipes that recorded calls have used.
    PipeRead "pipe_read" [] false [
        Tracepoint "reads and writes of pipes through io_uring are not seen",
        Tracepoint "pipe_read, pipe_write: which pipe a descriptor leads to is looked up when the call returns: a read or write \
                    whose descriptor another thread replaces or closes in between is not seen"
    ];
    /// ptrace.
    Ptrace "ptrace" [] false [];
    /// Reads and writes of /proc/PID/mem, and attempts to open it.
    Mem "mem" [must "mem_begin", must "mem_copied", must "mem_end", must "mem_readv", must "mem_writev"] false [
        Tracepoint "reads and writes of /proc/PID/mem through io_uring are not seen",
        Function "reads and writes of /proc/PID/mem that the kernel refuses before it comes to that file are not seen",
        Tracepoint "mem_open: attempts to open a file through io_uring are not seen",
        Function "mem_open: attempts to open a file through io_uring are not seen",
        Tracepoint "mem_open: an attempt that fails is known by its path alone: one through a symbolic link or `..`, or below a \
                    /proc that is mounted under another name, is not seen",
        Function "mem_open: an attempt that fails is known by its path alone: one through a symbolic link or `..`, or below a \
                  /proc that is mounted under another name, is not seen"
    ];
    /// pidfd_getfd.
    Pidfd "pidfd" [] false [];
    /// process_madvise.
    Madvise "madvise" [] false [];
    /// Pages filled, moved and poisoned through a userfaultfd.
    Uffd "uffd" [must "uffd_begin", must "uffd_end"] false [
        Tracepoint "which file a descriptor leads to is looked up when the call returns: an ioctl of a userfaultfd whose \
                    descriptor another thread replaces or closes in between is not seen"
    ];
    /// exec, fork, exit.
    Process "process" [] false [];
}

const NO_ARGS: &[Argument] = &[];
const VM_ARGS: &[Argument] = &[
    arg("pid", "pid_t", "target_pid_arg"),
    user("local_iov", "const struct iovec *", "local_iov"),
    arg("liovcnt", "unsigned long", "liovcnt"),
    user("remote_iov", "const struct iovec *", "remote_iov"),
    arg("riovcnt", "unsigned long", "riovcnt"),
    arg("flags", "unsigned long", "flags"),
];
const VMSPLICE_ARGS: &[Argument] = &[
    arg("fd", "int", "fd_in or fd_out"),
    user("iov", "const struct iovec *", "local_iov"),
    arg("nr_segs", "size_t", "liovcnt"),
    arg("flags", "unsigned int", "flags"),
];
const SPLICE_ARGS: &[Argument] = &[
    arg("fd_in", "int", "fd_in"),
    user_opt("off_in", "off_t *", "off_in"),
    arg("fd_out", "int", "fd_out"),
    user_opt("off_out", "off_t *", "off_out"),
    arg("len", "size_t", "bytes_requested"),
    arg("flags", "unsigned int", "flags"),
];
const TEE_ARGS: &[Argument] = &[
    arg("fd_in", "int", "fd_in"),
    arg("fd_out", "int", "fd_out"),
    arg("len", "size_t", "bytes_requested"),
    arg("flags", "unsigned int", "flags"),
];
const SENDFILE_ARGS: &[Argument] = &[
    arg("out_fd", "int", "fd_out"),
    arg("in_fd", "int", "fd_in"),
    user_opt("offset", "off_t *", "off_in"),
    arg("count", "size_t", "bytes_requested"),
];
const PIPE_READ_ARGS: &[Argument] = &[
    arg("fd", "int", "fd_in"),
    arg("buf", "void *", "local_iov"),
    arg("count", "size_t", "local_iov, bytes_requested"),
];
const PIPE_WRITE_ARGS: &[Argument] = &[
    arg("fd", "int", "fd_out"),
    arg("buf", "const void *", "local_iov"),
    arg("count", "size_t", "local_iov, bytes_requested"),
];
const PTRACE_ARGS: &[Argument] = &[
    arg("request", "enum __ptrace_request", "ptrace_request"),
    arg("pid", "pid_t", "target_pid_arg"),
    arg("addr", "void *", "remote_iov"),
    arg("data", "void *", "data"),
];
const READ_ARGS: &[Argument] = &[
    arg("fd", "int", "fd_in"),
    arg("buf", "void *", "local_iov"),
    arg("count", "size_t", "local_iov, bytes_requested"),
];
const WRITE_ARGS: &[Argument] = &[
    arg("fd", "int", "fd_out"),
    arg("buf", "const void *", "local_iov"),
    arg("count", "size_t", "local_iov, bytes_requested"),
];
const PREAD_ARGS: &[Argument] = &[
    arg("fd", "int", "fd_in"),
    arg("buf", "void *", "local_iov"),
    arg("count", "size_t", "local_iov, bytes_requested"),
    arg("offset", "off_t", "remote_iov"),
];
const PWRITE_ARGS: &[Argument] = &[
    arg("fd", "int", "fd_out"),
    arg("buf", "const void *", "local_iov"),
    arg("count", "size_t", "local_iov, bytes_requested"),
    arg("offset", "off_t", "remote_iov"),
];
const READV_ARGS: &[Argument] =
    &[arg("fd", "int", "fd_in"), user("iov", "const struct iovec *", "local_iov"), arg("iovcnt", "int", "liovcnt")];
const WRITEV_ARGS: &[Argument] =
    &[arg("fd", "int", "fd_out"), user("iov", "const struct iovec *", "local_iov"), arg("iovcnt", "int", "liovcnt")];
const PREADV_ARGS: &[Argument] = &[
    arg("fd", "int", "fd_in"),
    user("iov", "const struct iovec *", "local_iov"),
    arg("iovcnt", "int", "liovcnt"),
    arg("offset", "off_t", "remote_iov"),
];
const PWRITEV_ARGS: &[Argument] = &[
    arg("fd", "int", "fd_out"),
    user("iov", "const struct iovec *", "local_iov"),
    arg("iovcnt", "int", "liovcnt"),
    arg("offset", "off_t", "remote_iov"),
];
const PREADV2_ARGS: &[Argument] = &[
    arg("fd", "int", "fd_in"),
    user("iov", "const struct iovec *", "local_iov"),
    arg("iovcnt", "int", "liovcnt"),
    arg("offset", "off_t", "remote_iov"),
    arg("flags", "int", "flags"),
];
const PWRITEV2_ARGS: &[Argument] = &[
    arg("fd", "int", "fd_out"),
    user("iov", "const struct iovec *", "local_iov"),
    arg("iovcnt", "int", "liovcnt"),
    arg("offset", "off_t", "remote_iov"),
    arg("flags", "int", "flags"),
];
// As openat2 has them. open and creat take no directory; all but openat2 take flags and mode as arguments.
const MEM_OPEN_ARGS: &[Argument] = &[
    arg("dirfd", "int", "dirfd"),
    user("pathname", "const char *", "path"),
    arg("flags", "int", "flags"),
    arg("mode", "mode_t", "open_mode"),
    user("how", "const struct open_how *", "flags, open_mode, open_resolve"),
];
const PIDFD_GETFD_ARGS: &[Argument] =
    &[arg("pidfd", "int", "pidfd"), arg("targetfd", "int", "fd_in"), arg("flags", "unsigned int", "flags")];
const PROCESS_MADVISE_ARGS: &[Argument] = &[
    arg("pidfd", "int", "pidfd"),
    user("iovec", "const struct iovec *", "remote_iov"),
    arg("vlen", "size_t", "riovcnt"),
    arg("advice", "int", "advice"),
    arg("flags", "unsigned int", "flags"),
];

// Their struct stands in the caller's memory. Of copies and moves its members are the struct's own; the range of the others has
// the members start and len.
const UFFD_COPY_ARGS: &[Argument] = &[
    arg("fd", "int", "fd_out"),
    user("dst", "__u64", "remote_iov"),
    user("src", "__u64", "local_iov"),
    user("len", "__u64", "remote_iov, bytes_requested"),
    user("mode", "__u64", "flags"),
    user("copy", "__s64", "bytes"),
];
const UFFD_MOVE_ARGS: &[Argument] = &[
    arg("fd", "int", "fd_out"),
    user("dst", "__u64", "remote_iov"),
    user("src", "__u64", "local_iov"),
    user("len", "__u64", "remote_iov, bytes_requested"),
    user("mode", "__u64", "flags"),
    user("move", "__s64", "bytes"),
];
const UFFD_ZEROPAGE_ARGS: &[Argument] = &[
    arg("fd", "int", "fd_out"),
    user("range", "struct uffdio_range", "remote_iov, bytes_requested"),
    user("mode", "__u64", "flags"),
    user("zeropage", "__s64", "bytes"),
];
const UFFD_POISON_ARGS: &[Argument] = &[
    arg("fd", "int", "fd_out"),
    user("range", "struct uffdio_range", "remote_iov, bytes_requested"),
    user("mode", "__u64", "flags"),
    user("updated", "__s64", "bytes"),
];

macro_rules! events {
    ($($kind:ident $name:literal $group:ident [$($nr64:literal)*] [$($nr32:literal)*] $(<- [$($via:ident)+])?
       $args:ident $bytes:ident $([$family:ident: $($need:ident $program:literal),*])* $doc:literal;)+) => {
        /// An event by what it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventKind { $(#[doc = $doc] $kind,)+ }

        /// Every event, in the order of the documentation.
        pub const EVENTS: &[EventSpec] = &[$(*EventKind::$kind.spec(),)+];

        impl EventKind {
            /// Its entry in the table.
            pub const fn spec(self) -> &'static EventSpec {
                match self { $(EventKind::$kind => {
                    const SPEC: EventSpec = EventSpec {
                        kind: EventKind::$kind,
                        name: $name,
                        group: Group::$group,
                        x86_64: &[$($nr64),*],
                        i386: &[$($nr32),*],
                        through: &[$($(EventKind::$via),+)?],
                        args: $args,
                        bytes: Bytes::$bytes,
                        services: &[$(Service { family: Family::$family, programs: &[$($need($program)),*] }),*],
                        doc: $doc,
                    };
                    &SPEC
                })+ }
            }

            /// Value of the `event` column.
            pub const fn name(self) -> &'static str {
                self.spec().name
            }

            /// The event of that name.
            pub fn of_name(name: &str) -> Option<Self> {
                match name { $($name => Some(EventKind::$kind),)+ _ => None }
            }
        }
    };
}

// Name, set, syscall numbers on x86-64 and i386 (`<-` the events whose calls it is a part of), arguments, what its bytes are,
// then by family the programs in bpf/ that serve this event alone, and its meaning. A program `must` be there for the function
// tier, or `either` of several, or it `may` be there; `traced` ones hook tracepoints. `…_end` runs once at the end of each
// such call, and of no other.
events! {
    ProcessVmReadv "process_vm_readv" Vm [310] [347] VM_ARGS Memory
        [Vm: must_end "vm_readv", may_end "vm_readv_ia32"]
        "Copies from a target process's memory into the caller's (process_vm_readv(2)).";
    ProcessVmWritev "process_vm_writev" Vm [311] [348] VM_ARGS Memory
        [Vm: must_end "vm_writev", may_end "vm_writev_ia32"]
        "Copies from the caller's memory into a target process's (process_vm_writev(2)).";
    Vmsplice "vmsplice" Pipe [278] [316] VMSPLICE_ARGS Kernel
        [Vmsplice: must "vmsplice_entry", must "vmsplice_pipe", must "vmsplice_to_user", must "vmsplice_pin",
         must "vmsplice_lock", must "vmsplice_unlock", must_end "vmsplice_return",
         may "vmsplice_entry_ia32", may_end "vmsplice_return_ia32"]
        "Maps user pages into a pipe (fd writable) or copies a pipe into user memory (fd readable) (vmsplice(2)).";
    Splice "splice" Pipe [275] [313] SPLICE_ARGS Kernel
        [Splice: must "splice_entry", must "splice_files", must_end "splice_return",
         may "splice_entry_ia32", may_end "splice_return_ia32"]
        [Uring: must "uring_issue_splice", must "uring_issued_splice", must "uring_splice_files"]
        "Moves bytes between a pipe and another file without user memory (splice(2)).";
    Tee "tee" Pipe [276] [315] TEE_ARGS Kernel
        [Splice: must "tee_entry", must "tee_files", must_end "tee_return",
         may "tee_entry_ia32", may_end "tee_return_ia32"]
        [Uring: must "uring_issue_tee", must "uring_issued_tee", must "uring_tee_files"]
        "Duplicates bytes from one pipe into another (tee(2)).";
    Sendfile "sendfile" Pipe [40] [187 239] SENDFILE_ARGS Kernel
        [Splice: must "sendfile_entry", must "sendfile_offset", must "sendfile_files", must "sendfile_out",
         must_end "sendfile_return",
         may "sendfile_entry_ia32", may "sendfile64_entry_ia32", may "sendfile64_entry_ia32_same",
         may "sendfile_in", may_end "sendfile_return_ia32", may_end "sendfile64_return_ia32",
         may_end "sendfile64_return_ia32_same"]
        "Copies from a file to a descriptor inside the kernel (sendfile(2)).";
    PipeRead "pipe_read" Pipe [] [] <- [Read Readv Preadv2] PIPE_READ_ARGS Memory
        [PipeRead: either "pipe_read_return", either "pipe_read_return_anon"]
        "read(2), readv(2) or preadv2(2), by any process, of a pipe that a recorded call has fed: links the reader to the process that fed it last.";
    PipeWrite "pipe_write" Pipe [] [] <- [Write Writev Pwritev2] PIPE_WRITE_ARGS Kernel
        [PipeRead: either "pipe_write_return", either "pipe_write_return_anon"]
        "write(2), writev(2) or pwritev2(2), by any process, into a pipe that a recorded call has fed or taken from.";
    Ptrace "ptrace" Ptrace [101] [26] PTRACE_ARGS Memory
        [Ptrace: must "ptrace_enter", must "ptrace_target", must "ptrace_word", must_end "ptrace_native",
         may "ptrace_enter_ia32", may_end "ptrace_ia32"]
        "Controls, reads or writes a traced process (ptrace(2)).";
    Read "read" Mem [0] [3] READ_ARGS Memory [Mem:] "read(2) of a /proc/PID/mem file.";
    Write "write" Mem [1] [4] WRITE_ARGS Memory [Mem:] "write(2) to a /proc/PID/mem file.";
    Pread "pread" Mem [17] [180] PREAD_ARGS Memory [Mem:] "pread(2) of a /proc/PID/mem file.";
    Pwrite "pwrite" Mem [18] [181] PWRITE_ARGS Memory [Mem:] "pwrite(2) to a /proc/PID/mem file.";
    Readv "readv" Mem [19] [145] READV_ARGS Memory [Mem:] "readv(2) of a /proc/PID/mem file.";
    Writev "writev" Mem [20] [146] WRITEV_ARGS Memory [Mem:] "writev(2) to a /proc/PID/mem file.";
    Preadv "preadv" Mem [295] [333] PREADV_ARGS Memory [Mem:] "preadv(2) of a /proc/PID/mem file.";
    Pwritev "pwritev" Mem [296] [334] PWRITEV_ARGS Memory [Mem:] "pwritev(2) to a /proc/PID/mem file.";
    Preadv2 "preadv2" Mem [327] [378] PREADV2_ARGS Memory [Mem:] "preadv2(2) of a /proc/PID/mem file.";
    Pwritev2 "pwritev2" Mem [328] [379] PWRITEV2_ARGS Memory [Mem:] "pwritev2(2) to a /proc/PID/mem file.";
    MemOpen "mem_open" Mem [2 85 257 437] [5 8 295 437] MEM_OPEN_ARGS None
        [Mem: must "mem_open_native", must "mem_creat_native", must "mem_openat_native", must "mem_openat2_native",
         may "mem_open_ia32", may "mem_creat_ia32", may "mem_openat_ia32", may "mem_openat2_ia32"]
        "An attempt to open a /proc/PID/mem file, whether it succeeds or not (open(2), creat(2), openat(2), openat2(2)).";
    PidfdGetfd "pidfd_getfd" Pidfd [438] [438] PIDFD_GETFD_ARGS None
        [Pidfd: must "pidfd_enter", must "pidfd_target", must_end "pidfd_native",
         may "pidfd_file", may "pidfd_enter_ia32", may_end "pidfd_ia32"]
        "Takes a duplicate of a target process's file descriptor (pidfd_getfd(2)).";
    ProcessMadvise "process_madvise" Madvise [440] [440] PROCESS_MADVISE_ARGS Advice
        [Madvise: must "madvise_enter", must "madvise_target", must_end "madvise_native",
         may "madvise_enter_ia32", may_end "madvise_ia32"]
        "Gives the kernel advice about ranges of a target process's memory (process_madvise(2)).";
    UffdCopy "uffd_copy" Uffd [16] [54] UFFD_COPY_ARGS Memory
        [Uffd: either "uffd_copied", either "uffd_copied_before"]
        "Copies from the caller's memory into missing pages of whoever made a userfaultfd (ioctl(2) UFFDIO_COPY).";
    UffdMove "uffd_move" Uffd [16] [54] UFFD_MOVE_ARGS Memory
        [Uffd: may "uffd_moved_pages"]
        "Moves pages within the memory of the process that made a userfaultfd, which is the caller's (ioctl(2) UFFDIO_MOVE).";
    UffdZeropage "uffd_zeropage" Uffd [16] [54] UFFD_ZEROPAGE_ARGS Memory
        [Uffd: either "uffd_zeroed", either "uffd_zeroed_before"]
        "Fills missing pages of whoever made a userfaultfd with zeros (ioctl(2) UFFDIO_ZEROPAGE).";
    UffdPoison "uffd_poison" Uffd [16] [54] UFFD_POISON_ARGS Advice
        [Uffd: may "uffd_poisoned"]
        "Makes missing pages of whoever made a userfaultfd unreadable: touching one raises SIGBUS (ioctl(2) UFFDIO_POISON).";
    ProcessExec "process_exec" Process [] [] NO_ARGS None
        [Process: traced "process_rename", traced_end "process_exec"]
        "A process replaced its program (execve(2)).";
    ProcessFork "process_fork" Process [] [] NO_ARGS None
        [Process: traced_end "process_fork"]
        "A process was created as the child of another (fork(2), clone(2)); threads are not listed.";
    ProcessExit "process_exit" Process [] [] NO_ARGS None
        [Process: traced_end "process_exit"]
        "The last thread of a process ended.";
    ProcessSnapshot "process_snapshot" Process [] [] NO_ARGS None
        "A process that existed before it was first seen: read from /proc at the start, or when it first became a target.";
    Lost "lost" Ledger [] [] NO_ARGS None
        "Events that happened and are not in the capture: how many, of which kind, in which span, why.";
}

impl Event<'_> {
    /// Its entry in the table; `None` of an event of a later version.
    pub fn spec(&self) -> Option<&'static EventSpec> {
        event_by_name(self.event)
    }

    /// Whether it is of one of these kinds.
    pub fn is_any(&self, kinds: &[EventKind]) -> bool {
        kinds.iter().any(|kind| kind.name() == self.event)
    }
}

impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for EventKind {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        EventKind::of_name(&name).ok_or_else(|| D::Error::custom(format!("no event is called {name:?}")))
    }
}

/// The event of that name.
pub fn event_by_name(name: &str) -> Option<&'static EventSpec> {
    EVENTS.iter().find(|e| e.name == name)
}

#[cfg(test)]
mod tests;
