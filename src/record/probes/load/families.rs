//! Event families and the hooks that serve them. Function hooks come first: no thread can race them, and they cost
//! unrelated calls nothing. Then comes the exit of syscalls. The choice depends on what the kernel has and accepts,
//! never on its version.

use std::collections::{BTreeMap, BTreeSet};

use crate::schema::events::{EventKind, EventSet};
pub use crate::schema::vocabulary::Tier;

/// Events that are served together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// process_vm_readv, process_vm_writev.
    Vm,
    /// vmsplice, both ways.
    Vmsplice,
    /// splice, tee, sendfile.
    Splice,
    /// splice and tee through io_uring.
    Uring,
    /// Reads of pipes that recorded transfers have fed.
    PipeRead,
    /// ptrace.
    Ptrace,
    /// Reads and writes of /proc/PID/mem.
    Mem,
    /// pidfd_getfd.
    Pidfd,
    /// process_madvise.
    Madvise,
    /// exec, fork, exit.
    Process,
}

/// A family and its function hooks.
#[derive(Debug)]
pub struct FamilySpec {
    /// Which.
    pub family: Family,
    /// Name on the command line and in the manifest.
    pub name: &'static str,
    /// Its events.
    pub events: &'static [EventKind],
    /// Programs of bpf/vmtrace.bpf.c without which the tier does not serve it; of each group one must be there.
    pub essential: &'static [&'static [&'static str]],
    /// Programs that are loaded where the kernel has their function.
    pub further: &'static [&'static str],
}

use EventKind::{
    PidfdGetfd, PipeRead, Pread, Preadv, Preadv2, ProcessExec, ProcessExit, ProcessFork, ProcessMadvise,
    ProcessVmReadv, ProcessVmWritev, Ptrace, Pwrite, Pwritev, Pwritev2, Read, Readv, Sendfile, Splice, Tee, Vmsplice,
    Write, Writev,
};

/// Every family.
pub const FAMILIES: &[FamilySpec] = &[
    FamilySpec {
        family: Family::Vm,
        name: "vm",
        events: &[ProcessVmReadv, ProcessVmWritev],
        essential: &[&["vm_core"], &["vm_readv"], &["vm_writev"]],
        further: &["vm_target", "vm_readv_ia32", "vm_writev_ia32"],
    },
    FamilySpec {
        family: Family::Vmsplice,
        name: "vmsplice",
        events: &[Vmsplice],
        essential: &[
            &["vmsplice_entry"],
            &["vmsplice_pipe"],
            &["vmsplice_to_user"],
            &["vmsplice_pin"],
            &["vmsplice_lock"],
            &["vmsplice_unlock"],
            &["vmsplice_return"],
        ],
        further: &["vmsplice_entry_ia32", "vmsplice_return_ia32"],
    },
    FamilySpec {
        family: Family::Splice,
        name: "splice",
        events: &[Splice, Tee, Sendfile],
        essential: &[
            &["splice_entry"],
            &["tee_entry"],
            &["sendfile_entry"],
            &["splice_files"],
            &["tee_files"],
            &["sendfile_offset"],
            &["sendfile_files"],
            &["sendfile_out"],
            &["splice_return"],
            &["tee_return"],
            &["sendfile_return"],
        ],
        further: &[
            "splice_entry_ia32",
            "tee_entry_ia32",
            "sendfile_entry_ia32",
            "sendfile64_entry_ia32",
            "sendfile64_entry_ia32_same",
            "sendfile_in",
            "splice_return_ia32",
            "tee_return_ia32",
            "sendfile_return_ia32",
            "sendfile64_return_ia32",
            "sendfile64_return_ia32_same",
        ],
    },
    FamilySpec {
        family: Family::Uring,
        name: "uring",
        events: &[Splice, Tee],
        essential: &[
            &["uring_issue_splice"],
            &["uring_issued_splice"],
            &["uring_issue_tee"],
            &["uring_issued_tee"],
            &["uring_splice_files"],
            &["uring_tee_files"],
        ],
        further: &[],
    },
    FamilySpec {
        family: Family::PipeRead,
        name: "pipe_read",
        events: &[PipeRead],
        essential: &[&["pipe_read_return", "pipe_read_return_anon"]],
        further: &[],
    },
    FamilySpec {
        family: Family::Ptrace,
        name: "ptrace",
        events: &[Ptrace],
        essential: &[&["ptrace_enter"], &["ptrace_target"], &["ptrace_word"], &["ptrace_native"]],
        further: &["ptrace_enter_ia32", "ptrace_ia32"],
    },
    FamilySpec {
        family: Family::Mem,
        name: "mem",
        events: &[Read, Write, Pread, Pwrite, Readv, Writev, Preadv, Pwritev, Preadv2, Pwritev2],
        essential: &[&["mem_begin"], &["mem_copied"], &["mem_end"], &["mem_readv"], &["mem_writev"]],
        further: &[],
    },
    FamilySpec {
        family: Family::Pidfd,
        name: "pidfd",
        events: &[PidfdGetfd],
        essential: &[&["pidfd_enter"], &["pidfd_target"], &["pidfd_native"]],
        further: &["pidfd_file", "pidfd_enter_ia32", "pidfd_ia32"],
    },
    FamilySpec {
        family: Family::Madvise,
        name: "madvise",
        events: &[ProcessMadvise],
        essential: &[&["madvise_enter"], &["madvise_target"], &["madvise_native"]],
        further: &["madvise_enter_ia32", "madvise_ia32"],
    },
    FamilySpec {
        family: Family::Process,
        name: "process",
        events: &[ProcessExec, ProcessFork, ProcessExit],
        essential: &[],
        further: &[],
    },
];

impl Family {
    /// Its entry in the table.
    pub fn spec(self) -> Option<&'static FamilySpec> {
        FAMILIES.iter().find(|f| f.family == self)
    }

    /// Name on the command line and in the manifest.
    pub fn name(self) -> &'static str {
        self.spec().map_or("", |f| f.name)
    }
}

impl FamilySpec {
    /// Whether tracepoints of its own serve it best; no function does better, and the syscalls' exit does not help.
    pub fn has_own_tracepoints(&self) -> bool {
        matches!(self.family, Family::Process | Family::Uring)
    }

    /// Whether it has function hooks at all.
    pub fn has_functions(&self) -> bool {
        !self.essential.is_empty()
    }

    /// Whether any of its events was asked for.
    pub fn is_wanted(&self, events: &EventSet) -> bool {
        self.events.iter().any(|e| events.contains(*e))
    }

    /// Its programs in bpf/vmtrace.bpf.c.
    pub fn programs(&self) -> impl Iterator<Item = &'static str> {
        self.essential.iter().flat_map(|group| group.iter()).chain(self.further).copied()
    }
}

/// How a family is served.
#[derive(Clone, Debug)]
pub struct FamilyState {
    /// Which.
    pub family: Family,
    /// From where.
    pub tier: Tier,
    /// Hooks in place, such as `fexit/mm_access`.
    pub probes: Vec<String>,
    /// Why not from functions, where they could serve it.
    pub reason: Option<String>,
}

/// Hooks that must not be used, for tests of what happens without: `VMTRACE_DISABLE_PROBES`, by commas. `function` is
/// every function hook; a family's name is all of its function hooks; else the target of one, such as
/// `fexit/mm_access`.
#[derive(Debug, Default)]
pub struct Disabled(BTreeSet<String>);

/// The environment variable that disables hooks.
pub const DISABLE: &str = "VMTRACE_DISABLE_PROBES";

impl Disabled {
    /// From the environment.
    pub fn from_env() -> Self {
        let list = std::env::var(DISABLE).unwrap_or_default();
        Disabled(list.split(',').map(str::trim).filter(|w| !w.is_empty()).map(String::from).collect())
    }

    /// Whether a family may not use function hooks.
    pub fn family(&self, family: &FamilySpec) -> bool {
        self.0.contains("function") || self.0.contains(family.name)
    }

    /// Whether a hook may not be used.
    pub fn target(&self, target: &str) -> bool {
        self.0.contains(target)
    }
}

/// Functions of the running kernel, by the names that the programs ask for. Compilers may make specialised copies, such
/// as `process_vm_rw_core.constprop.0`: those come under the plain name.
#[derive(Debug, Default)]
pub struct Symbols(BTreeMap<String, Vec<String>>);

impl Symbols {
    /// Looks `names` up in /proc/kallsyms. Empty if that cannot be read.
    pub fn find(names: &BTreeSet<&str>) -> Self {
        let text = std::fs::read("/proc/kallsyms").unwrap_or_default();
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in text.split(|b| *b == b'\n') {
            // Address, type, name, and for modules their name behind a tab.
            let mut words = line.split(|b| *b == b' ' || *b == b'\t');
            let (Some(_), Some(kind), Some(symbol)) = (words.next(), words.next(), words.next()) else { continue };
            if !matches!(kind, b"t" | b"T") {
                continue;
            }
            let plain = symbol.split(|b| *b == b'.').next().unwrap_or_default();
            if let Ok(plain) = std::str::from_utf8(plain)
                && names.contains(plain)
            {
                found.entry(plain.to_string()).or_default().push(String::from_utf8_lossy(symbol).into_owned());
            }
        }
        Symbols(found)
    }

    /// Where a kprobe on `function` goes: the function itself, or its only specialised copy. `.cold` parts are none.
    pub fn kprobe(&self, function: &str) -> Option<&str> {
        let all = self.0.get(function)?;
        let copies: Vec<&String> = all.iter().filter(|s| !s.contains(".cold")).collect();
        let plain = copies.iter().find(|s| s.as_str() == function);
        match (plain, copies.as_slice()) {
            (Some(plain), _) => Some(plain),
            (None, [only]) => Some(only),
            _ => None,
        }
    }

    /// Whether the kernel has `function` under exactly that name.
    pub fn has(&self, function: &str) -> bool {
        self.0.get(function).is_some_and(|all| all.iter().any(|s| s == function))
    }
}
