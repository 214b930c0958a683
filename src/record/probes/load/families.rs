//! How event families are served. Function hooks come first: no thread can race them, and they cost
//! unrelated calls nothing. Then comes the exit of syscalls. The choice depends on what the kernel has and accepts,
//! never on its version.

use std::collections::{BTreeMap, BTreeSet};

use crate::schema::events::{Family, FamilySpec};
use crate::schema::vocabulary::Tier;

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
