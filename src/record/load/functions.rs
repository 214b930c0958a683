//! The function tier: finds out which families this kernel can serve from its functions, loads and attaches those.

use std::collections::{BTreeMap, BTreeSet};

use libbpf_rs::{Link, MapHandle, Object, ProgramMut};

use super::families::{DISABLE, Disabled, FAMILIES, Family, FamilySpec, Symbols};
use super::object::{self, Maps, last_messages};
use crate::record::wire::vmt_knobs;
use crate::schema::events::EventSet;
use crate::schema::manifest::Hook;

const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/functions.bpf.o"));

/// The function hooks that this kernel has.
#[derive(Default)]
pub struct Functions {
    object: Option<Object>,
    /// Program → where it attaches, `fexit/mm_access`.
    targets: BTreeMap<String, String>,
    symbols: Symbols,
    disabled: Disabled,
    links: BTreeMap<Family, Vec<Link>>,
    /// Families that are not served from functions, and why.
    reasons: BTreeMap<Family, String>,
    /// Every hook that was tried.
    pub hooks: Vec<Hook>,
}

impl std::fmt::Debug for Functions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Functions").field("reasons", &self.reasons).field("hooks", &self.hooks).finish_non_exhaustive()
    }
}

impl Functions {
    /// Loads the programs of every wanted family that the kernel has the functions for. A family whose programs it
    /// refuses is left out, with the reason.
    pub fn load(knobs: &vmt_knobs, events: &EventSet, rings: &[MapHandle], maps: &mut Maps) -> Self {
        let targets: BTreeMap<String, String> = object::programs(OBJECT).into_iter().collect();
        let names = targets.values().filter_map(|target| Some(target.split_once('/')?.1)).collect();
        let symbols = Symbols::find(&names);
        let mut this = Functions { targets, symbols, disabled: Disabled::from_env(), ..Functions::default() };
        let mut candidates: Vec<&FamilySpec> =
            FAMILIES.iter().filter(|f| f.has_functions() && f.is_wanted(events)).collect();
        candidates.retain(|family| match this.obstacle(family) {
            Some(reason) => {
                this.reasons.insert(family.family, reason);
                false
            }
            None => true,
        });
        while !candidates.is_empty() {
            let wanted: BTreeSet<&str> =
                candidates.iter().flat_map(|f| f.programs()).filter(|p| this.has_target(p)).collect();
            match object::load(OBJECT, knobs, rings, maps, &|program| wanted.contains(program)) {
                Ok(object) => {
                    this.object = Some(object);
                    break;
                }
                Err(refused) => {
                    let culprit = |f: &&FamilySpec| f.programs().any(|p| refused.program.as_deref() == Some(p));
                    let only = candidates.iter().copied().find(culprit).filter(|_| !refused.permission);
                    let out: Vec<Family> =
                        candidates.iter().filter(|f| only.is_none_or(|o| o.family == f.family)).map(|f| f.family).collect();
                    candidates.retain(|f| !out.contains(&f.family));
                    this.reasons.extend(out.into_iter().map(|family| (family, refused.reason.clone())));
                }
            }
        }
        this
    }

    /// Whether the kernel has what a program hooks, and we may.
    fn has_target(&self, program: &str) -> bool {
        let Some(target) = self.targets.get(program).filter(|t| !self.disabled.target(t)) else { return false };
        match target.split_once('/') {
            Some(("kprobe", function)) => self.symbols.kprobe(function).is_some(),
            Some((_, function)) => self.symbols.has(function),
            None => false,
        }
    }

    /// Why a family cannot even be tried.
    fn obstacle(&self, family: &FamilySpec) -> Option<String> {
        if self.disabled.family(family) {
            return Some(format!("disabled by {DISABLE}"));
        }
        let missing = family.essential.iter().find(|group| !group.iter().any(|p| self.has_target(p)))?;
        let target = missing.first().and_then(|p| self.targets.get(*p)).map_or("", String::as_str);
        let why = if self.disabled.target(target) { format!("disabled by {DISABLE}") } else { "not in this kernel".into() };
        Some(format!("{target}: {why}"))
    }

    /// Attaches the programs of a family; all of them, or it is left out with the reason.
    pub fn attach(&mut self, family: &FamilySpec) -> bool {
        if self.reasons.contains_key(&family.family) || !family.has_functions() {
            return false;
        }
        let Some(object) = &self.object else { return false };
        let (mut links, mut failure) = (Vec::new(), None);
        for program in object.progs_mut() {
            let name = program.name().to_string_lossy().into_owned();
            if !family.programs().any(|p| p == name) || !self.has_target(&name) {
                continue;
            }
            let target = self.targets.get(&name).cloned().unwrap_or_default();
            let result = attach(&program, &target, &self.symbols);
            let reason = result.as_ref().err().map(|e| format!("{e} ({})", last_messages()));
            self.hooks.push(Hook {
                program: name,
                target: target.clone(),
                serves: family.name.into(),
                attached: reason.is_none(),
                reason: reason.clone(),
            });
            links.extend(result);
            failure = reason.map(|reason| format!("{target} cannot be attached: {reason}"));
            if failure.is_some() {
                break;
            }
        }
        match failure {
            Some(reason) => {
                self.leave(family.family, reason);
                false
            }
            None => {
                self.links.insert(family.family, links);
                true
            }
        }
    }

    /// Takes the hooks of a family away; it is not served from functions any more.
    pub fn leave(&mut self, family: Family, reason: String) {
        self.links.remove(&family);
        self.hooks.iter_mut().filter(|h| h.serves == family.name() && h.attached).for_each(|hook| {
            hook.attached = false;
            hook.reason = Some(reason.clone());
        });
        self.reasons.insert(family, reason);
    }

    /// Where a family's hooks sit.
    pub fn probes(&self, family: Family) -> Vec<String> {
        let of_family = |h: &&Hook| h.serves == family.name() && h.attached;
        self.hooks.iter().filter(of_family).map(|h| h.target.clone()).collect()
    }

    /// Why a family is not served from functions, where it could be.
    pub fn reason(&self, family: Family) -> Option<&String> {
        self.reasons.get(&family)
    }

    /// Takes every hook away.
    pub fn detach(&mut self) {
        self.links.clear();
    }
}

fn attach(program: &ProgramMut<'_>, target: &str, symbols: &Symbols) -> libbpf_rs::Result<Link> {
    match target.strip_prefix("kprobe/") {
        Some(function) => program.attach_kprobe(false, symbols.kprobe(function).unwrap_or(function)),
        None => program.attach(),
    }
}
