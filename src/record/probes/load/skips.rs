//! Runs of a program that the kernel skipped: while a thread is preempted in a program of a function or tracepoint, the
//! kernel does not run that program for others on the same CPU (kernel/bpf/trampoline.c, `__bpf_prog_enter`;
//! kernel/trace/bpf_trace.c, `__bpf_trace_run`). It has counted them since 5.12.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use libbpf_rs::Object;
use libbpf_rs::libbpf_sys::{bpf_obj_get_info_by_fd, bpf_prog_info};

use crate::schema::events::EventKind;

/// Skipped runs by program.
#[derive(Clone, Debug, Default)]
pub struct Skips(BTreeMap<String, u64>);

impl Skips {
    /// What the kernel has counted so far for the loaded programs of `objects`.
    pub fn read<'a>(objects: impl Iterator<Item = &'a Object>) -> Self {
        let mut skips = BTreeMap::new();
        for program in objects.flat_map(|object| object.progs()).filter(|p| p.autoload()) {
            *skips.entry(program.name().to_string_lossy().into_owned()).or_default() += skipped(program.as_fd());
        }
        Skips(skips)
    }

    /// The same of programs by their descriptors.
    pub fn of_programs(programs: &[(String, OwnedFd)]) -> Self {
        let mut skips = BTreeMap::new();
        for (name, fd) in programs {
            *skips.entry(name.clone()).or_default() += skipped(fd);
        }
        Skips(skips)
    }

    /// Those since `earlier`.
    pub fn since(mut self, earlier: &Skips) -> Self {
        for (program, count) in &mut self.0 {
            *count = count.saturating_sub(earlier.of(program));
        }
        self
    }

    /// Of one program.
    pub fn of(&self, program: &str) -> u64 {
        self.0.get(program).copied().unwrap_or(0)
    }

    /// Calls of one event that were not recorded: of the programs that run once at the end of each such call, and of no other.
    pub fn of_event(&self, event: EventKind) -> u64 {
        event.spec().ends().map(|program| self.of(program)).sum()
    }
}

/// Of the program behind a descriptor.
pub(super) fn skipped(program: impl AsFd) -> u64 {
    let (mut info, mut len) = (bpf_prog_info::default(), size_of::<bpf_prog_info>() as u32);
    // SAFETY: the descriptor is open, and the kernel writes at most `len` bytes of the structure.
    let failed =
        unsafe { bpf_obj_get_info_by_fd(program.as_fd().as_raw_fd(), (&raw mut info).cast(), &raw mut len) } != 0;
    if failed { 0 } else { info.recursion_misses }
}
