//! The programs that note which state of its target's mappings a call reaches, and the question what that state is now.
//!
//! They need Linux 6.4: since then the kernel counts the changes of an address space's mappings. Where they cannot be had,
//! mappings are not named, and a gap says why.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use libbpf_rs::btf::types::{Composite, Typedef};
use libbpf_rs::btf::{Btf, BtfType};
use libbpf_rs::libbpf_sys::{bpf_prog_test_run_opts, bpf_test_run_opts};
use libbpf_rs::{Link, Object};

use super::attach::hook;
use super::object::Refused;
use super::skips::skipped;
use super::{Programs, Switches};
use crate::record::identity::mappings::{AskKernel, MappingState};
use crate::record::wire::vmt_mappings;
use crate::schema::events::REGION_PROGRAMS;
use crate::schema::manifest::Hook;

/// Where the first of the programs attaches.
const AT_RELEASE: &str = "tp_btf/mmap_lock_released";
const VISITED: &str = REGION_PROGRAMS[0];
const NOW: &str = REGION_PROGRAMS[1];

/// The programs, or why there are none.
#[derive(Debug, Default)]
pub struct Regions {
    asked_for: bool,
    obstacle: Option<String>,
    link: Option<Link>,
}

impl Regions {
    /// Looks whether this kernel has what they need.
    pub fn find(asked_for: bool, btf: &Btf<'_>) -> Self {
        let obstacle = asked_for.then(|| obstacle(btf)).flatten();
        Regions { asked_for, obstacle: obstacle.map(String::from), link: None }
    }

    /// Whether programs that are loaded now are to make notes.
    pub fn are_noted(&self) -> bool {
        self.asked_for && self.obstacle.is_none()
    }

    /// Whether a program is one of them, and to be loaded.
    pub fn wants(&self, program: &str) -> bool {
        self.are_noted() && REGION_PROGRAMS.contains(&program)
    }

    /// Does without them if one of them was refused. `false` if it was another program.
    pub fn without(&mut self, refused: &Refused) -> bool {
        let culprit = self.are_noted() && refused.program.as_deref().is_some_and(|name| self.wants(name));
        if culprit {
            self.obstacle = Some(refused.reason.clone());
        }
        culprit
    }

    /// Attaches the one that has a place; returns it as the manifest has it.
    pub fn attach(&mut self, object: &Object) -> Option<Hook> {
        let program = object.progs_mut().find(|p| p.name() == VISITED && p.autoload() && self.are_noted())?;
        let result = program.attach();
        let hook = hook(VISITED.into(), AT_RELEASE.into(), "regions", result.as_ref().err());
        self.obstacle = hook.reason.clone();
        self.link = result.ok();
        Some(hook)
    }

    /// Takes it away.
    pub fn detach(&mut self) {
        self.link = None;
    }
}

impl Programs {
    /// Why mappings are not named though that was asked for.
    pub fn regions_obstacle(&self) -> Option<&str> {
        self.regions.obstacle.as_deref()
    }

    /// Whether it could not be noted what some call has reached. Kernels that allocate such notes without a lock (7.x) need a
    /// processor with cmpxchg16b for that.
    pub fn misses_notes(&self) -> bool {
        self.switches.get().notes_missed > 0
    }

    /// What answers questions about mappings; `None` where nothing does.
    ///
    /// # Errors
    /// When a program cannot be shared.
    pub fn asker(&self) -> Result<Option<Asker>> {
        if self.regions.link.is_none() {
            return Ok(None);
        }
        let program = |name| -> Result<OwnedFd> {
            let program = self.object.progs().find(|p| p.name() == name).context("it was not loaded")?;
            program.as_fd().try_clone_to_owned().context("a program cannot be shared")
        };
        Ok(Some(Asker { now: program(NOW)?, visited: program(VISITED)?, switches: self.switches()? }))
    }
}

/// Asks the kernel about the mappings of processes.
#[derive(Debug)]
pub struct Asker {
    now: OwnedFd,
    visited: OwnedFd,
    switches: Switches,
}

impl AskKernel for Asker {
    fn state(&self, pid: i32) -> Option<MappingState> {
        let mut asked = vmt_mappings { pid, ..vmt_mappings::default() };
        let mut options = bpf_test_run_opts {
            sz: size_of::<bpf_test_run_opts>() as u64,
            // The kernel writes the context back to where it came from.
            ctx_in: (&raw mut asked).cast(),
            ctx_size_in: size_of::<vmt_mappings>() as u32,
            ..Default::default()
        };
        // SAFETY: the descriptor is open, and the context is as large as stated, and ours.
        let failed = unsafe { bpf_prog_test_run_opts(self.now.as_raw_fd(), &raw mut options) };
        let state = MappingState { space: asked.space, changes: asked.changes };
        (failed == 0 && state.space != 0).then_some(state)
    }

    /// How often the kernel has not run the program that makes notes, or had no room for one.
    fn skipped(&self) -> u64 {
        skipped(self.visited.as_fd()).saturating_add(self.switches.get().notes_missed)
    }
}

/// Why the programs cannot work on this kernel.
fn obstacle(btf: &Btf<'_>) -> Option<&'static str> {
    let counts = type_named(btf, "mm_struct").is_some_and(|memory| has_member(btf, memory, "mm_lock_seq", 2));
    let numbers = type_named(btf, "mm_context_t").is_some_and(|context| has_member(btf, context, "ctx_id", 2));
    if !counts {
        return Some("this kernel does not count changes of mappings (Linux 6.4, CONFIG_PER_VMA_LOCK)");
    }
    if !numbers {
        return Some("address spaces have no numbers in this kernel");
    }
    let released = btf.type_by_name::<Typedef<'_>>("btf_trace_mmap_lock_released");
    released.is_none().then_some("this kernel has no tracepoint mmap_lock_released")
}

/// A struct by its name, or that of a typedef.
fn type_named<'a>(btf: &'a Btf<'_>, name: &str) -> Option<Composite<'a>> {
    Composite::try_from(btf.type_by_name::<BtfType<'_>>(name)?.skip_mods_and_typedefs()).ok()
}

/// Whether a struct has a member of that name, itself or, up to some depth, in a struct without a name.
fn has_member(btf: &Btf<'_>, of: Composite<'_>, name: &str, depth: u32) -> bool {
    let inner = |id| btf.type_by_id::<BtfType<'_>>(id).and_then(|ty| Composite::try_from(ty).ok());
    let Some(below) = depth.checked_sub(1) else { return false };
    of.iter().any(|member| match member.name.filter(|own| !own.is_empty()) {
        Some(own) => own == name,
        None => inner(member.ty).is_some_and(|inner| has_member(btf, inner, name, below)),
    })
}
