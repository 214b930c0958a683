//! What an entry of the table of events consists of.

use super::{EVENTS, EventKind, Family, Group};
use crate::schema::columns::Origin;
use crate::schema::vocabulary::Tier;

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

pub(super) const fn arg(name: &'static str, c_type: &'static str, column: &'static str) -> Argument {
    Argument { name, c_type, column, origin: Origin::Kernel, toctou: false, optional: false }
}
pub(super) const fn user(name: &'static str, c_type: &'static str, column: &'static str) -> Argument {
    Argument { name, c_type, column, origin: Origin::User, toctou: true, optional: false }
}
pub(super) const fn user_opt(name: &'static str, c_type: &'static str, column: &'static str) -> Argument {
    Argument { name, c_type, column, origin: Origin::User, toctou: true, optional: true }
}

/// What the bytes of one kind of event are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// They came into the memory (or registers) of a process.
    Memory,
    /// They went between memory, pipes and files.
    Kernel,
    /// Nothing moved: the length of ranges that advice was given about, or that were poisoned.
    Advice,
    /// It has none.
    None,
}

/// When a program is loaded, and what the kernel must have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It hooks a function. Without it functions do not serve the family.
    Essential,
    /// The same, for a function that goes by several names: one of these programs is enough.
    Alternative,
    /// It is loaded where the kernel has its function.
    Further,
    /// It hooks a tracepoint of the family's own.
    Tracepoint,
}

/// A BPF program, by its name in `bpf/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// When it is loaded.
    pub need: Need,
    /// Whether it runs once at the end of each call of its event, and of no other: a run that the kernel skips is then an
    /// event that is missing.
    pub ends: bool,
}

const fn program(name: &'static str, need: Need, ends: bool) -> Program {
    Program { name, need, ends }
}
pub(super) const fn must(name: &'static str) -> Program {
    program(name, Need::Essential, false)
}
pub(super) const fn must_end(name: &'static str) -> Program {
    program(name, Need::Essential, true)
}
pub(super) const fn either(name: &'static str) -> Program {
    program(name, Need::Alternative, false)
}
pub(super) const fn may(name: &'static str) -> Program {
    program(name, Need::Further, false)
}
pub(super) const fn may_end(name: &'static str) -> Program {
    program(name, Need::Further, true)
}
pub(super) const fn traced(name: &'static str) -> Program {
    program(name, Need::Tracepoint, false)
}
pub(super) const fn traced_end(name: &'static str) -> Program {
    program(name, Need::Tracepoint, true)
}

/// A family that serves an event, and the programs that do so for this event alone.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// The family.
    pub family: Family,
    /// Programs beside those that all events of the family share.
    pub programs: &'static [Program],
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
    /// Events whose syscalls it is a part of, if it has none of its own.
    pub through: &'static [EventKind],
    /// Arguments in order.
    pub args: &'static [Argument],
    /// What its bytes are.
    pub bytes: Bytes,
    /// Families that serve it; none if the recorder makes it itself.
    pub services: &'static [Service],
    /// One line of meaning.
    pub doc: &'static str,
}

impl EventSpec {
    /// The service of a family, if that serves it.
    pub fn service(&self, family: Family) -> Option<&'static Service> {
        self.services.iter().find(|service| service.family == family)
    }

    /// The programs that run once at the end of each such call, and of no other.
    pub fn ends(&self) -> impl Iterator<Item = &'static str> {
        let programs = self.services.iter().flat_map(|service| service.programs);
        programs.filter(|program| program.ends).map(|program| program.name)
    }

    /// Whether a column keeps one of its arguments.
    pub fn has_argument_in(&self, column: &str) -> bool {
        self.args.iter().any(|argument| argument.column == column)
    }

    /// Whether its bytes go from one descriptor to another, past the memory of every process.
    pub fn is_between_files(&self) -> bool {
        self.has_argument_in("fd_in") && self.has_argument_in("fd_out")
    }

    /// Whether an argument is an array of ranges.
    pub fn has_iovecs(&self) -> bool {
        self.args.iter().any(|argument| argument.c_type == "const struct iovec *")
    }

    /// Whether an argument points to the offset in a file.
    pub fn has_offsets(&self) -> bool {
        self.args.iter().any(|argument| argument.c_type == "off_t *")
    }
}

/// A family's entry in the table: events whose hooks are attached, tested and given up together.
#[derive(Clone, Copy, Debug)]
pub struct FamilySpec {
    /// Which.
    pub family: Family,
    /// Name in the manifest.
    pub name: &'static str,
    /// Programs that all of its events share.
    pub programs: &'static [Program],
    /// Whether the tracepoint tier reads iovec arrays from user memory alone.
    pub reads_user_iovecs: bool,
    /// What a tier does not see, as the capture reports it.
    pub unseen: &'static [(Tier, &'static str)],
}

impl FamilySpec {
    /// Its events, in the order of the table.
    pub fn events(&'static self) -> impl Iterator<Item = &'static EventSpec> {
        let family = self.family;
        EVENTS.iter().filter(move |event| event.service(family).is_some())
    }

    /// All of its programs, with the event each serves; `None` if that is every event of the family.
    pub fn programs(&'static self) -> impl Iterator<Item = (Option<EventKind>, Program)> {
        let family = self.family;
        let of_event = move |event: &'static EventSpec| {
            let programs = event.service(family).into_iter().flat_map(|service| service.programs);
            programs.map(|program| (Some(event.kind), *program))
        };
        self.programs.iter().map(|program| (None, *program)).chain(self.events().flat_map(of_event))
    }

    /// Its programs in functions, by name.
    pub fn functions(&'static self) -> impl Iterator<Item = &'static str> {
        self.programs().filter(|(_, program)| program.need != Need::Tracepoint).map(|(_, program)| program.name)
    }

    /// Its programs in tracepoints of its own, by name.
    pub fn tracepoints(&'static self) -> impl Iterator<Item = &'static str> {
        self.programs().filter(|(_, program)| program.need == Need::Tracepoint).map(|(_, program)| program.name)
    }

    /// The programs without which functions do not serve it: of each group one must be there.
    pub fn essential(&'static self) -> Vec<Vec<&'static str>> {
        let mut groups: Vec<(Option<EventKind>, Need, Vec<&'static str>)> = Vec::new();
        for (event, program) in self.programs() {
            match (program.need, groups.last_mut()) {
                (Need::Alternative, Some((of, Need::Alternative, group))) if *of == event => group.push(program.name),
                (Need::Essential | Need::Alternative, _) => groups.push((event, program.need, vec![program.name])),
                (Need::Further | Need::Tracepoint, _) => {}
            }
        }
        groups.into_iter().map(|(_, _, group)| group).collect()
    }

    /// Whether tracepoints of its own serve it best; the syscalls' exit does not help.
    pub fn has_own_tracepoints(&'static self) -> bool {
        self.tracepoints().next().is_some()
    }

    /// Whether it has function hooks at all.
    pub fn has_functions(&'static self) -> bool {
        self.functions().next().is_some()
    }
}
