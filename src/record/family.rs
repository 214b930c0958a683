//! Stands in for the loader's own table of families until that is there.

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapFlags};

use super::load::Programs;
use crate::schema::events::EventKind::*;
use crate::schema::events::{EventKind, EventSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Vm,
    Vmsplice,
    Splice,
    Uring,
    Ptrace,
    Mem,
    Pidfd,
    Madvise,
    PipeRead,
    Process,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    Function,
    Tracepoint,
    None,
}
impl Tier {
    pub fn name(self) -> &'static str {
        match self {
            Tier::Function => "function",
            Tier::Tracepoint => "tracepoint",
            Tier::None => "none",
        }
    }
}
#[derive(Debug)]
pub struct FamilySpec {
    pub family: Family,
    pub name: &'static str,
    pub events: &'static [EventKind],
}
const fn spec(family: Family, name: &'static str, events: &'static [EventKind]) -> FamilySpec {
    FamilySpec { family, name, events }
}
pub const FAMILIES: &[FamilySpec] = &[
    spec(Family::Vm, "vm", &[ProcessVmReadv, ProcessVmWritev]),
    spec(Family::Vmsplice, "vmsplice", &[Vmsplice]),
    spec(Family::Splice, "splice", &[Splice, Tee, Sendfile]),
    spec(Family::Uring, "uring", &[Splice, Tee]),
    spec(Family::Ptrace, "ptrace", &[Ptrace]),
    spec(Family::Mem, "mem", &[Read, Write, Pread, Pwrite, Readv, Writev, Preadv, Pwritev, Preadv2, Pwritev2]),
    spec(Family::Process, "process", &[ProcessExec, ProcessFork, ProcessExit]),
];
impl Family {
    pub fn spec(self) -> Option<&'static FamilySpec> {
        FAMILIES.iter().find(|f| f.family == self)
    }
    pub fn name(self) -> &'static str {
        self.spec().map_or("", |f| f.name)
    }
}
impl FamilySpec {
    pub fn has_functions(&self) -> bool {
        !matches!(self.family, Family::Uring | Family::Process)
    }
}
#[derive(Clone, Debug)]
pub struct FamilyState {
    pub family: Family,
    pub tier: Tier,
    pub probes: Vec<String>,
    pub reason: Option<String>,
}
impl Programs<'_> {
    pub fn families(&self) -> Vec<FamilyState> {
        let state = |spec: &FamilySpec| FamilyState {
            family: spec.family,
            tier: Tier::Tracepoint,
            probes: vec!["tp_btf/sys_exit".into()],
            reason: spec.has_functions().then(|| "not yet".to_string()),
        };
        FAMILIES.iter().filter(|f| f.events.iter().any(|e| self.events.contains(*e))).map(state).collect()
    }
    pub fn fall_back(&mut self, _: Family, _: &str) -> Result<()> {
        Ok(())
    }
    pub fn self_test(&self, _: bool) {}
    pub fn untrack(&self, pid: i32) {
        let _ = self.skel.maps.tracked.delete(&pid.to_ne_bytes());
    }
    pub fn clear_books(&self) -> Result<()> {
        let cpus = libbpf_rs::num_possible_cpus()?;
        for kind in 0..super::wire::VMT_KINDS {
            let zero = vec![vec![0; size_of::<super::wire::vmt_stats>()]; cpus];
            self.skel.maps.stats.update_percpu(&kind.to_ne_bytes(), &zero, MapFlags::ANY).context("books")?;
        }
        Ok(())
    }
}
