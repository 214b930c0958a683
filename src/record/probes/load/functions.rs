//! The function tier: finds the families that this kernel can serve with function hooks, loads and attaches them.

use std::collections::BTreeMap;

use libbpf_rs::btf::Btf;
use libbpf_rs::{Link, Object, ProgramMut};

use super::families::{DISABLE, Disabled, Symbols};
use super::object::{self, Refused, last_messages};
use super::probe;
use crate::schema::events::{EventSet, FAMILIES, Family, FamilySpec};
use crate::schema::families::FUNCTIONS_REFUSED;
use crate::schema::manifest::Hook;

/// The function hooks that this kernel has.
#[derive(Default)]
pub struct Functions {
    /// Families to be served from functions.
    candidates: Vec<&'static FamilySpec>,
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
    /// Finds the wanted families that the kernel has the functions for.
    pub fn find(events: &EventSet) -> Self {
        let targets: BTreeMap<String, String> = object::programs().into_iter().collect();
        let names = targets.values().filter_map(|target| Some(target.split_once('/')?.1)).collect();
        let symbols = Symbols::find(&names);
        let mut this = Functions { targets, symbols, disabled: Disabled::from_env(), ..Functions::default() };
        for family in FAMILIES.iter().filter(|f| f.has_functions() && f.is_wanted(events)) {
            match this.obstacle(family) {
                Some(reason) => drop(this.reasons.insert(family.family, reason)),
                None => this.candidates.push(family),
            }
        }
        this
    }

    /// Whether a family is to be served from functions.
    pub fn serves(&self, family: Family) -> bool {
        self.candidates.iter().any(|f| f.family == family)
    }

    /// Whether a program serves one of those families, and the kernel has what it hooks.
    pub fn wants(&self, program: &str) -> bool {
        self.candidates.iter().any(|f| f.functions().any(|p| p == program)) && self.has_target(program)
    }

    /// Leaves out every family if the kernel lets nobody hook functions.
    pub fn ask_for_permission(&mut self, btf: &Btf<'_>) {
        let programs = self.candidates.iter().flat_map(|family| family.functions());
        let mut targets = programs.filter_map(|program| self.targets.get(program)?.split_once('/'));
        let hooked = targets.find(|(kind, _)| ["fentry", "fexit"].contains(kind));
        if let Some(refused) = hooked.and_then(|(_, function)| probe::refuses_functions(btf, function)) {
            let out = std::mem::take(&mut self.candidates);
            self.give_up(&out, &refused);
        }
    }

    /// Leaves out the family whose program was refused, or every family where the right to load any is missing. `false`
    /// if it was no program of ours.
    pub fn without(&mut self, refused: &Refused) -> bool {
        let culprit = |f: &'static FamilySpec| f.functions().any(|p| refused.program.as_deref() == Some(p));
        if !self.candidates.iter().any(|f| culprit(f)) {
            return false;
        }
        let (out, kept) =
            std::mem::take(&mut self.candidates).into_iter().partition(|f| refused.permission || culprit(f));
        self.candidates = kept;
        let out: Vec<&'static FamilySpec> = out;
        self.give_up(&out, refused);
        true
    }

    fn give_up(&mut self, families: &[&'static FamilySpec], refused: &Refused) {
        let reason = match refused.permission {
            true => format!("{FUNCTIONS_REFUSED}: {}", refused.reason),
            false => refused.reason.clone(),
        };
        self.reasons.extend(families.iter().map(|f| (f.family, reason.clone())));
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
    fn obstacle(&self, family: &'static FamilySpec) -> Option<String> {
        if self.disabled.family(family) {
            return Some(format!("disabled by {DISABLE}"));
        }
        let missing = family.essential().into_iter().find(|group| !group.iter().any(|p| self.has_target(p)))?;
        let target = missing.first().and_then(|p| self.targets.get(*p)).map_or("", String::as_str);
        let why =
            if self.disabled.target(target) { format!("disabled by {DISABLE}") } else { "not in this kernel".into() };
        Some(format!("{target}: {why}"))
    }

    /// Attaches the programs of a family; all of them, or it is left out with the reason.
    pub fn attach(&mut self, object: &Object, family: &'static FamilySpec) -> bool {
        if !self.serves(family.family) {
            return false;
        }
        let (mut links, mut failure) = (Vec::new(), None);
        for program in object.progs_mut() {
            let name = program.name().to_string_lossy().into_owned();
            if !family.functions().any(|p| p == name) || !self.has_target(&name) {
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
                skipped: 0,
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
        self.candidates.retain(|f| f.family != family);
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
