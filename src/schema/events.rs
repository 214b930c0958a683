//! The events vmtrace knows: one table of names, groups, syscall numbers and arguments.
//!
//! Recorder, replay, command line and docs/FORMAT.md read this table. Rule of evolution: a name never changes
//! its meaning; a new event is a new entry, an old one stays. The numbers in `bpf/wire.h` are the recorder's
//! own and never reach a file.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::columns::{Event, Origin};
use Origin::{Kernel, User};

/// An event by what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // The table below says what each is.
pub enum EventKind {
    ProcessVmReadv,
    ProcessVmWritev,
    Vmsplice,
    Splice,
    Tee,
    Sendfile,
    PipeRead,
    Ptrace,
    Read,
    Write,
    Pread,
    Pwrite,
    Readv,
    Writev,
    Preadv,
    Pwritev,
    Preadv2,
    Pwritev2,
    PidfdGetfd,
    ProcessMadvise,
    ProcessExec,
    ProcessFork,
    ProcessExit,
    ProcessSnapshot,
    Lost,
}

impl EventKind {
    /// The event of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        EVENTS.iter().find(|event| event.name == name).map(|event| event.kind)
    }
}

impl Event<'_> {
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

/// A named set of events, `@name` on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// `@vm`: process_vm_readv, process_vm_writev.
    Vm,
    /// `@pipe`: vmsplice, splice, tee, sendfile.
    Pipe,
    /// `@ptrace`: ptrace.
    Ptrace,
    /// `@mem`: reads and writes of /proc/PID/mem.
    Mem,
    /// `@pidfd`: pidfd_getfd.
    Pidfd,
    /// `@madvise`: process_madvise.
    Madvise,
    /// `@process`: exec, fork, exit and snapshots of processes.
    Process,
    /// `lost` rows: always recorded, in no group.
    Ledger,
}

impl Group {
    /// Name without the `@`.
    pub fn name(self) -> &'static str {
        match self {
            Group::Vm => "vm",
            Group::Pipe => "pipe",
            Group::Ptrace => "ptrace",
            Group::Mem => "mem",
            Group::Pidfd => "pidfd",
            Group::Madvise => "madvise",
            Group::Process => "process",
            Group::Ledger => "lost",
        }
    }
}

/// One argument of a syscall, by its man-page name, and the column that keeps it.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// Name as in the man page.
    pub name: &'static str,
    /// C type as in the man page.
    pub c_type: &'static str,
    /// Column(s) that hold it.
    pub column: &'static str,
    /// Kernel (passed in a register) or user memory (only pointed to).
    pub origin: Origin,
    /// Whether the program can change it between the kernel's use and our reading.
    pub toctou: bool,
    /// Whether the caller may leave it out (pass NULL).
    pub optional: bool,
}

/// An event's entry in the table.
#[derive(Clone, Copy, Debug)]
pub struct EventSpec {
    /// What it is.
    pub kind: EventKind,
    /// Value of the `event` column.
    pub name: &'static str,
    /// Set it belongs to.
    pub group: Group,
    /// Syscall numbers on x86-64 (arch/x86/entry/syscalls/syscall_64.tbl).
    pub x86_64: &'static [u16],
    /// Syscall numbers on i386 (arch/x86/entry/syscalls/syscall_32.tbl).
    pub i386: &'static [u16],
    /// Arguments in order.
    pub args: &'static [Argument],
    /// One line of meaning.
    pub doc: &'static str,
}

const fn arg(name: &'static str, c_type: &'static str, column: &'static str) -> Argument {
    Argument { name, c_type, column, origin: Kernel, toctou: false, optional: false }
}
const fn user(name: &'static str, c_type: &'static str, column: &'static str) -> Argument {
    Argument { name, c_type, column, origin: User, toctou: true, optional: false }
}
const fn user_opt(name: &'static str, c_type: &'static str, column: &'static str) -> Argument {
    Argument { name, c_type, column, origin: User, toctou: true, optional: true }
}

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
const PIDFD_GETFD_ARGS: &[Argument] =
    &[arg("pidfd", "int", "pidfd"), arg("targetfd", "int", "fd_in"), arg("flags", "unsigned int", "flags")];
const PROCESS_MADVISE_ARGS: &[Argument] = &[
    arg("pidfd", "int", "pidfd"),
    user("iovec", "const struct iovec *", "remote_iov"),
    arg("vlen", "size_t", "riovcnt"),
    arg("advice", "int", "advice"),
    arg("flags", "unsigned int", "flags"),
];

macro_rules! events {
    ($($kind:ident $name:literal $group:ident [$($nr64:literal)*] [$($nr32:literal)*] $args:expr, $doc:literal;)+) => {
        /// Every event, in the order of the documentation.
        pub const EVENTS: &[EventSpec] = &[$(EventSpec {
            kind: EventKind::$kind,
            name: $name,
            group: Group::$group,
            x86_64: &[$($nr64),*],
            i386: &[$($nr32),*],
            args: $args,
            doc: $doc,
        },)+];

        impl EventKind {
            /// Value of the `event` column.
            pub const fn name(self) -> &'static str {
                match self { $(EventKind::$kind => $name,)+ }
            }
        }
    };
}

events! {
    ProcessVmReadv "process_vm_readv" Vm [310] [347] VM_ARGS, "Copies from a target process's memory into the caller's (process_vm_readv(2)).";
    ProcessVmWritev "process_vm_writev" Vm [311] [348] VM_ARGS, "Copies from the caller's memory into a target process's (process_vm_writev(2)).";
    Vmsplice "vmsplice" Pipe [278] [316] VMSPLICE_ARGS, "Maps user pages into a pipe (fd writable) or copies a pipe into user memory (fd readable) (vmsplice(2)).";
    Splice "splice" Pipe [275] [313] SPLICE_ARGS, "Moves bytes between a pipe and another file without user memory (splice(2)).";
    Tee "tee" Pipe [276] [315] TEE_ARGS, "Duplicates bytes from one pipe into another (tee(2)).";
    Sendfile "sendfile" Pipe [40] [187 239] SENDFILE_ARGS, "Copies from a file to a descriptor inside the kernel (sendfile(2)).";
    PipeRead "pipe_read" Pipe [] [] PIPE_READ_ARGS, "read(2), readv(2) or preadv2(2), by any process, of a pipe that a recorded call has fed: links the reader to the process that fed it last.";
    Ptrace "ptrace" Ptrace [101] [26] PTRACE_ARGS, "Controls, reads or writes a traced process (ptrace(2)).";
    Read "read" Mem [0] [3] READ_ARGS, "read(2) of a /proc/PID/mem file.";
    Write "write" Mem [1] [4] WRITE_ARGS, "write(2) to a /proc/PID/mem file.";
    Pread "pread" Mem [17] [180] PREAD_ARGS, "pread(2) of a /proc/PID/mem file.";
    Pwrite "pwrite" Mem [18] [181] PWRITE_ARGS, "pwrite(2) to a /proc/PID/mem file.";
    Readv "readv" Mem [19] [145] READV_ARGS, "readv(2) of a /proc/PID/mem file.";
    Writev "writev" Mem [20] [146] WRITEV_ARGS, "writev(2) to a /proc/PID/mem file.";
    Preadv "preadv" Mem [295] [333] PREADV_ARGS, "preadv(2) of a /proc/PID/mem file.";
    Pwritev "pwritev" Mem [296] [334] PWRITEV_ARGS, "pwritev(2) to a /proc/PID/mem file.";
    Preadv2 "preadv2" Mem [327] [378] PREADV2_ARGS, "preadv2(2) of a /proc/PID/mem file.";
    Pwritev2 "pwritev2" Mem [328] [379] PWRITEV2_ARGS, "pwritev2(2) to a /proc/PID/mem file.";
    PidfdGetfd "pidfd_getfd" Pidfd [438] [438] PIDFD_GETFD_ARGS, "Takes a duplicate of a target process's file descriptor (pidfd_getfd(2)).";
    ProcessMadvise "process_madvise" Madvise [440] [440] PROCESS_MADVISE_ARGS, "Gives the kernel advice about ranges of a target process's memory (process_madvise(2)).";
    ProcessExec "process_exec" Process [] [] &[], "A process replaced its program (execve(2)).";
    ProcessFork "process_fork" Process [] [] &[], "A process was created as the child of another (fork(2), clone(2)); threads are not listed.";
    ProcessExit "process_exit" Process [] [] &[], "The last thread of a process ended.";
    ProcessSnapshot "process_snapshot" Process [] [] &[], "A process that existed before it was first seen: read from /proc at the start, or when it first became a target.";
    Lost "lost" Ledger [] [] &[], "Events that happened and are not in the capture: how many, of which kind, in which span, why.";
}

/// The event of that name.
pub fn event_by_name(name: &str) -> Option<&'static EventSpec> {
    EVENTS.iter().find(|e| e.name == name)
}

/// A set of events, as `-e` selects it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSet(Vec<EventKind>);

impl EventSet {
    /// Every event.
    pub fn all() -> Self {
        EventSet(EVENTS.iter().map(|e| e.kind).collect())
    }

    /// Reads a comma-separated list of names and groups: `process_vm_readv,@pipe`.
    ///
    /// # Errors
    /// Names the word that is neither, and what would be.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut kinds = Vec::new();
        for word in list.split(',').map(str::trim).filter(|w| !w.is_empty()) {
            let before = kinds.len();
            kinds.extend(EVENTS.iter().filter(|e| matches(word, e)).map(|e| e.kind));
            if kinds.len() == before {
                return Err(format!("unknown event {word:?}; known are {}", known_words()));
            }
        }
        if kinds.is_empty() {
            return Err(format!("no event named; known are {}", known_words()));
        }
        kinds.sort();
        kinds.dedup();
        Ok(EventSet(kinds))
    }

    /// Adds the events of `other`.
    pub fn merge(mut self, other: EventSet) -> Self {
        self.0.extend(other.0);
        self.0.sort();
        self.0.dedup();
        self
    }

    /// Whether `kind` is selected. `lost` always is.
    pub fn contains(&self, kind: EventKind) -> bool {
        kind == EventKind::Lost || self.0.contains(&kind)
    }

    /// Names of the selected events.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|k| k.name()).collect()
    }
}

fn matches(word: &str, event: &EventSpec) -> bool {
    match word.strip_prefix('@') {
        Some("all") => true,
        Some(group) => event.group.name() == group && event.group != Group::Ledger,
        None => event.name == word,
    }
}

/// Names of all sets of events, as the command line takes them.
pub fn sets() -> Vec<String> {
    let mut sets: Vec<String> = Vec::new();
    for group in EVENTS.iter().map(|event| event.group).filter(|group| *group != Group::Ledger) {
        let set = format!("@{}", group.name());
        if !sets.contains(&set) {
            sets.push(set);
        }
    }
    sets.push("@all".into());
    sets
}

fn known_words() -> String {
    let names: Vec<_> = EVENTS.iter().map(|e| e.name).collect();
    format!("{} {}", sets().join(" "), names.join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::columns::column_spec;
    use super::*;

    #[test]
    fn sets_are_names_and_groups() {
        let set = EventSet::parse("@vm, tee").unwrap();
        assert_eq!(set.names(), ["process_vm_readv", "process_vm_writev", "tee"]);
        assert!(set.contains(EventKind::Lost) && !set.contains(EventKind::Splice));
        assert_eq!(EventSet::parse("@all").unwrap(), EventSet::all());
        let merged = set.merge(EventSet::parse("splice").unwrap());
        assert!(merged.contains(EventKind::Splice) && merged.contains(EventKind::Tee));
    }

    #[test]
    fn an_unknown_word_is_named() {
        assert!(EventSet::parse("@vm,vmslice").unwrap_err().starts_with("unknown event \"vmslice\"; known are @vm"));
        assert!(EventSet::parse(" , ").is_err());
        assert!(EventSet::parse("@lost").is_err());
    }

    #[test]
    fn no_syscall_number_is_taken_twice() {
        for table in [|e: &EventSpec| e.x86_64, |e: &EventSpec| e.i386] {
            let mut numbers: Vec<u16> = EVENTS.iter().flat_map(|e| table(e).iter().copied()).collect();
            let all = numbers.len();
            numbers.sort();
            numbers.dedup();
            assert_eq!(numbers.len(), all);
        }
    }

    #[test]
    fn arguments_name_columns_that_exist() {
        for argument in EVENTS.iter().flat_map(|e| e.args) {
            for column in argument.column.split(", ").flat_map(|c| c.split(" or ")) {
                assert!(column_spec(column).is_some(), "{column}");
            }
        }
    }
}
