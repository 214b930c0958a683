//! Attaches the loaded programs: each family by functions where that goes, and otherwise by tracepoints.

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};
use libbpf_rs::Object;

use super::families::FamilyState;
use super::knobs::follows_descriptors;
use super::object::{self, last_messages};
use super::{Programs, not_loaded};
use crate::record::decode::wire_kind;
use crate::record::privileges;
use crate::schema::events::{FAMILIES, Family, FamilySpec, SYS_ENTER, SYS_EXIT};
use crate::schema::manifest::Hook;
use crate::schema::vocabulary::Tier;

impl Programs {
    /// Attaches every program on its own, families from functions where that goes and from the syscalls' exit
    /// otherwise, and learns how /proc/PID/mem files look.
    ///
    /// # Errors
    /// When the program that serves what functions do not cannot be attached. Others become recorded facts.
    pub fn attach(&mut self) -> Result<()> {
        for program in self.object.progs_mut().filter(|p| p.autoload()) {
            let name = program.name().to_string_lossy().into_owned();
            let target = program.section().to_string_lossy().trim_start_matches('?').to_string();
            let Some(serves) = FAMILIES.iter().find(|f| f.tracepoints().any(|own| own == name)) else { continue };
            let result = program.attach();
            self.hooks.push(hook(name, target, serves.name, result.as_ref().err()));
            self.links.extend(result);
        }
        let events = self.events.clone();
        for spec in FAMILIES.iter().filter(|f| f.is_wanted(&events)) {
            let state = match spec.family {
                _ if spec.has_own_tracepoints() => self.traced_or_better(spec),
                _ if self.functions.attach(&self.object, spec) => self.by_functions(spec),
                _ => self.by_syscall_exit(spec)?,
            };
            self.families.push(state);
        }
        self.hooks.extend(self.regions.attach(&self.object));
        self.learn_mem_files()
    }

    /// A family that tracepoints of its own serve best.
    fn traced(&self, spec: &'static FamilySpec) -> FamilyState {
        let of_family = |h: &&Hook| h.serves == spec.name;
        let probes: Vec<String> =
            self.hooks.iter().filter(of_family).filter(|h| h.attached).map(|h| h.target.clone()).collect();
        let broken = self.hooks.iter().filter(of_family).find(|h| !h.attached);
        let tier = if probes.is_empty() { Tier::None } else { Tier::Tracepoint };
        let reason = match (broken, tier) {
            (Some(hook), _) => Some(format!("{}: {}", hook.target, hook.reason.clone().unwrap_or_default())),
            (None, Tier::None) => Some("its tracepoints are not in this kernel".to_string()),
            _ => None,
        };
        FamilyState { family: spec.family, tier, probes, reason }
    }

    /// The same, with function hooks that know more where the kernel has them.
    fn traced_or_better(&mut self, spec: &'static FamilySpec) -> FamilyState {
        let mut state = self.traced(spec);
        if !spec.has_functions() || state.tier == Tier::None || state.reason.is_some() {
            return state;
        }
        match self.functions.attach(&self.object, spec) {
            true => {
                state.tier = Tier::Function;
                state.probes.extend(self.functions.probes(spec.family));
            }
            false => state.reason = self.functions.reason(spec.family).cloned(),
        }
        state
    }

    fn by_functions(&self, spec: &'static FamilySpec) -> FamilyState {
        self.set_by_function(spec, true);
        let probes = self.functions.probes(spec.family);
        FamilyState { family: spec.family, tier: Tier::Function, probes, reason: None }
    }

    fn by_syscall_exit(&mut self, spec: &'static FamilySpec) -> Result<FamilyState> {
        self.attach_sys_exit()?;
        self.set_by_function(spec, false);
        let reason = self.functions.reason(spec.family).cloned();
        Ok(FamilyState { family: spec.family, tier: Tier::Tracepoint, probes: vec![AT_EXIT.into()], reason })
    }

    fn set_by_function(&self, spec: &'static FamilySpec, value: bool) {
        for kind in spec.events().filter_map(|e| wire_kind(e.kind)) {
            self.switches.set_by_function(kind, value);
        }
    }

    /// Hooks the exit of every syscall, unless that is done.
    fn attach_sys_exit(&mut self) -> Result<()> {
        if self.sys_exit.is_some() {
            return Ok(());
        }
        let find = |object: &Object| object.progs_mut().any(|p| p.name() == SYS_EXIT && p.autoload());
        if !find(&self.object) && self.later.is_none() {
            let watched = follows_descriptors(&self.events);
            let only = |program: &str| program == SYS_EXIT || (program == SYS_ENTER && watched);
            let later = object::load(&self.knobs, &self.rings, &mut self.maps, &only).map_err(not_loaded)?;
            self.later = Some(later);
        }
        let object = self.later.as_ref().unwrap_or(&self.object);
        let program = object
            .progs_mut()
            .find(|p| p.name() == SYS_EXIT)
            .context("the BPF object has no program at the exit of syscalls")?;
        let link = program.attach();
        self.hooks.push(hook(SYS_EXIT.into(), AT_EXIT.into(), "families without function hooks", link.as_ref().err()));
        self.sys_exit = Some(link.with_context(|| format!("the hook {AT_EXIT} cannot be attached"))?);
        Ok(())
    }

    /// Serves a family from the syscalls' exit from now on: its function hooks do not do what they should.
    ///
    /// # Errors
    /// When the exit of syscalls cannot be hooked.
    pub fn fall_back(&mut self, family: Family, reason: &str) -> Result<()> {
        self.functions.leave(family, reason.to_string());
        let state = self.by_syscall_exit(family.spec())?;
        self.families.iter_mut().filter(|f| f.family == family).for_each(|f| *f = state.clone());
        Ok(())
    }

    /// Reads one byte of our own /proc/self/mem while the programs watch, so that they can identify such files.
    fn learn_mem_files(&mut self) -> Result<()> {
        let file = privileges::open_own("/proc/self/mem").context("/proc/self/mem cannot be opened")?;
        let byte = 0u8;
        let address = std::ptr::from_ref(&byte).addr() as u64;
        self.switches.set_learn_fd(file.as_fd().as_raw_fd());
        let read = file.read_at(&mut [0], address);
        self.switches.set_learn_fd(-1);
        read.context("/proc/self/mem cannot be read")?;
        Ok(())
    }
}

/// Where [`SYS_EXIT`] attaches.
const AT_EXIT: &str = "tp_btf/sys_exit";

/// A hook that was tried, as the manifest has it.
pub(super) fn hook(program: String, target: String, serves: &str, error: Option<&libbpf_rs::Error>) -> Hook {
    let reason = error.map(|e| format!("{e} ({})", last_messages()));
    Hook { program, target, serves: serves.into(), attached: reason.is_none(), reason, skipped: 0 }
}
