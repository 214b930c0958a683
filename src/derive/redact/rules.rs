//! What happens to each column and to each field of the manifest, in words: the rules that docs/redaction.md prints.
//!
//! Allow-lists: a column without a rule is left out, and the manifest cannot be made without naming every field. Tests
//! compare both lists with the format.

use crate::schema::vocabulary::RedactionLevel as Level;

/// Version of the rules. Raised when a value is treated in another way.
pub const VERSION: u32 = 1;

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $rule:ident: $payload:literal, $share:literal, $metadata:literal;)+) => {
        /// What happens to a value.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Rule { $($(#[doc = $doc])+ $rule,)+ }

        impl Rule {
            /// In words, at a level.
            pub const fn words(self, level: Level) -> &'static str {
                match (self, level) {
                    $(
                        (Rule::$rule, Level::Payload) => $payload,
                        (Rule::$rule, Level::Share) => $share,
                        (Rule::$rule, Level::Metadata) => $metadata,
                    )+
                }
            }
        }
    };
}

rules! {
    /// It says nothing of the machine or its users, or it is what the capture is read for.
    Keep: "kept", "kept", "kept";
    /// An instant of the wall clock.
    Wall: "kept", "shifted by one secret span", "shifted by one secret span";
    /// The same, µs.
    WallMicros: "kept", "shifted by one secret span", "shifted by one secret span";
    /// An instant since boot.
    Uptime: "kept", "shifted by another secret span", "shifted by another secret span";
    /// A process or thread.
    Pid: "kept", "renumbered; 0 and 1 kept", "renumbered; 0 and 1 kept";
    /// A user.
    Uid: "kept", "renumbered; root and nobody kept", "renumbered";
    /// A thread's name.
    Comm: "kept", "`comm-…`; well-known names kept", "`comm-…`";
    /// A path.
    Path: "kept", "a pseudonym for each component; well-known ones kept", "a pseudonym for each component";
    /// Identity of a process.
    ProcessKey: "kept", "keyed digest of it", "keyed digest of it";
    /// A cgroup.
    Cgroup: "kept", "a pseudonym for each unit; well-known ones kept", "a pseudonym for each unit";
    /// A container.
    Container: "kept", "`ctr-…`", "`ctr-…`";
    /// A file descriptor.
    Fd: "kept", "renumbered; 0, 1 and 2 kept", "renumbered; 0, 1 and 2 kept";
    /// What a call returned: of pidfd_getfd and mem_open a descriptor.
    Result: "kept", "kept; of pidfd_getfd and mem_open renumbered as descriptors are", "kept; of pidfd_getfd and mem_open renumbered as descriptors are";
    /// Ranges of memory.
    Ranges: "kept", "each region gets another base; offsets and lengths kept", "addresses become 0; lengths kept";
    /// The mappings of ranges.
    Regions: "kept", "paths as others, `[anon:…]` without its name; start and end moved as addresses are; file offset and permissions kept; device and build id emptied, inode renumbered", "the same; start becomes 0, end the length";
    /// An offset in a file: of /proc/PID/mem an address.
    Offset: "kept", "kept; of /proc/PID/mem moved as addresses are", "kept; of /proc/PID/mem 0";
    /// ptrace's data argument.
    Data: "kept; 0 where it is a word that was written", "signals and options kept, addresses moved, else 0", "signals and options kept, else 0";
    /// A network address or the name of a unix socket.
    Net: "kept", "an address that nobody has, or a path; loopback kept", "an address that nobody has, or a path";
    /// A port.
    Port: "kept", "renumbered; below 1024 kept", "renumbered";
    /// An inode.
    Inode: "kept", "renumbered", "renumbered";
    /// A command line.
    Argv: "kept", "name of the program; of each other word its class and a pseudonym", "emptied";
    /// Captured bytes.
    Payload: "removed", "removed; with `--payload masked` kept, secrets masked in place", "removed";
    /// How many bytes are there.
    PayloadLen: "0 where the payload is removed", "0 where the payload is removed", "0 where the payload is removed";
    /// Why a payload is there or not.
    PayloadStatus: "`redacted` where the payload is removed; `fault` kept", "`redacted` where the payload is removed; `fault` kept", "`redacted` where the payload is removed; `fault` kept";
    /// Class of bytes that were removed.
    Entropy: "class of the removed bytes", "class of the removed bytes", "removed";
    /// Digest of bytes that were removed.
    Digest: "keyed digest of the removed bytes", "keyed digest of the removed bytes", "removed";
    /// An id that others can compare.
    Id: "kept", "a pseudonym", "a pseudonym";
    /// The capture's own id, which is always another one.
    CaptureId: "another one, from the secret", "another one, from the secret", "another one, from the secret";
    /// Free text.
    Text: "kept", "removed", "removed";
    /// A sentence of the recorder, which can have a name in it.
    Sentence: "kept", "kept if vmtrace knows its wording; else replaced by a note that it was left out", "kept if vmtrace knows its wording; else replaced by a note that it was left out";
    /// Release of the kernel.
    Release: "kept", "kept", "its numbers kept";
    /// State of a clock.
    ClockState: "kept", "without frequency and offset, which identify a quartz", "without frequency and offset, which identify a quartz";
    /// Something of a neighbouring file, which the neighbour would not fit any more.
    Neighbour: "removed", "removed", "removed";
    /// A step before this one.
    Step: "kept", "names, command lines and sentences replaced", "names, command lines and sentences replaced";
    /// What rows call a host.
    HostLabel: "kept", "the pseudonym of the host, as in the manifest", "the pseudonym of the host, as in the manifest";
    /// What the recordings of one host say of themselves.
    Manifest: "by the rules of this table", "by the rules of this table", "by the rules of this table";
    /// It is made anew.
    Anew: "made anew", "made anew", "made anew";
}

/// Every field of the manifest: objects by their fields, lists by what is in them.
pub const MANIFEST: &[(&str, Rule)] = &[
    ("capture_id", Rule::CaptureId),
    ("tool.name", Rule::Keep),
    ("tool.version", Rule::Keep),
    ("tool.git", Rule::Keep),
    ("tool.bpf_digest", Rule::Keep),
    ("argv", Rule::Argv),
    ("comment", Rule::Text),
    ("filters.all", Rule::Keep),
    ("filters.pids", Rule::Pid),
    ("filters.tree", Rule::Keep),
    ("filters.comms", Rule::Comm),
    ("filters.target_pids", Rule::Pid),
    ("filters.target_comms", Rule::Comm),
    ("filters.command", Rule::Argv),
    ("filters.follow", Rule::Keep),
    ("filters.regions", Rule::Keep),
    ("filters.events", Rule::Keep),
    ("filters.uids", Rule::Uid),
    ("filters.cgroup", Rule::Cgroup),
    ("filters.snaplen", Rule::Keep),
    ("filters.count", Rule::Keep),
    ("filters.duration_s", Rule::Keep),
    ("filters.buffer_size", Rule::Keep),
    ("host.hostname", Rule::Id),
    ("host.sysname", Rule::Keep),
    ("host.release", Rule::Release),
    ("host.version", Rule::Text),
    ("host.machine", Rule::Keep),
    ("host.boot_id", Rule::Id),
    ("host.machine_id", Rule::Id),
    ("host.cpus", Rule::Keep),
    ("host.lockdown", Rule::Keep),
    ("host.container", Rule::Container),
    ("host.initial_pid_namespace", Rule::Keep),
    ("start", Rule::Wall),
    ("end", Rule::Wall),
    ("start_clock", Rule::ClockState),
    ("end_clock", Rule::ClockState),
    ("segment.index", Rule::Keep),
    ("segment.begin", Rule::Wall),
    ("segment.first_seq", Rule::Keep),
    ("segment.previous_root", Rule::Neighbour),
    ("segment.previous_file", Rule::Neighbour),
    ("segment.last", Rule::Keep),
    ("hooks.program", Rule::Keep),
    ("hooks.target", Rule::Keep),
    ("hooks.serves", Rule::Keep),
    ("hooks.attached", Rule::Keep),
    ("hooks.reason", Rule::Sentence),
    ("hooks.skipped", Rule::Keep),
    ("families.family", Rule::Keep),
    ("families.events", Rule::Keep),
    ("families.tier", Rule::Keep),
    ("families.best", Rule::Keep),
    ("families.probes", Rule::Keep),
    ("families.self_test", Rule::Keep),
    ("families.untested", Rule::Sentence),
    ("families.gap", Rule::Sentence),
    ("gaps", Rule::Sentence),
    ("end_reason", Rule::Keep),
    ("ledger", Rule::Keep),
    ("ledger_from_rows", Rule::Keep),
    ("regions", Rule::Keep),
    ("derived_from", Rule::Step),
    ("hosts.host", Rule::HostLabel),
    ("hosts.captures", Rule::CaptureId),
    ("hosts.mono_shift_ns", Rule::Keep),
    ("hosts.clock_uncertainty_ns", Rule::Keep),
    ("hosts.manifest", Rule::Manifest),
];

/// Every key of the footer's metadata, and what else is in a file.
pub const FILE: &[(&str, Rule)] = &[
    ("ARROW:schema", Rule::Anew),
    ("vmtrace.schema_version", Rule::Anew),
    ("vmtrace.manifest", Rule::Anew),
    ("vmtrace.chain", Rule::Anew),
    ("vmtrace.seal", Rule::Anew),
    ("statistics, page indexes, dictionaries, bloom filters", Rule::Anew),
    ("frames between row groups, notes of the recorder", Rule::Anew),
    ("signature", Rule::Neighbour),
];
