//! Loads and attaches the BPF programs, and reports the result.
//!
//! Owns the BPF object, its maps and links. Does not decide what is selected: [`Knobs`] contains that.

mod attach;
mod counters;
mod families;
#[cfg(test)]
mod frames;
mod functions;
mod gaps;
mod holders;
mod knobs;
mod ledger;
mod object;
mod probe;
mod regions;
mod rings;
mod skips;
mod switches;
#[cfg(test)]
mod tests;
mod uring;

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use libbpf_rs::btf::Btf;
use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, Object};

use self::functions::Functions;
use self::holders::Entries;
use self::knobs::{follows_descriptors, wire_knobs};
use self::object::{Maps, Refused};
use self::regions::Regions;
use crate::record::host;
use crate::record::privileges;
use crate::record::wire::{VMT_SPARES, VMT_TRACKED_BOTH, VMT_TRACKED_BY_NAME, VMT_TRACKED_TARGET, vmt_knobs};
use crate::schema::events::{EventSet, FAMILIES, Family, SYS_ENTER, SYS_EXIT};
use crate::schema::manifest::Hook;

pub use counters::Counters;
pub use families::FamilyState;
pub use gaps::gaps;
pub use knobs::Knobs;
pub use skips::Skips;
pub use switches::Switches;

/// How many ring buffers a recording has on a machine with so many CPUs.
pub fn ring_count(cpus: usize) -> usize {
    rings::count(cpus)
}

/// The loaded programs. Recording begins with [`Programs::attach`].
pub struct Programs {
    object: Object,
    /// The program at the exit of syscalls, where only later a family needs it.
    later: Option<Object>,
    sys_exit: Option<Link>,
    entries: Entries,
    regions: Regions,
    /// Processes that had memory open when that was last looked at.
    holders_seen: u64,
    functions: Functions,
    families: Vec<FamilyState>,
    events: EventSet,
    knobs: vmt_knobs,
    maps: Maps,
    switches: Switches,
    /// What the kernel had skipped when recording began.
    skipped_before: Skips,
    rings: Vec<MapHandle>,
    links: Vec<Link>,
    hooks: Vec<Hook>,
}

impl std::fmt::Debug for Programs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Programs").field("families", &self.families).finish_non_exhaustive()
    }
}

/// Loads the programs.
///
/// # Errors
/// One sentence with the remedy: no BTF, a pid or time namespace, no privileges, or what the kernel refused.
pub fn load(knobs: &Knobs) -> Result<Programs> {
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        bail!("no BTF at /sys/kernel/btf/vmlinux: run on a kernel built with CONFIG_DEBUG_INFO_BTF");
    }
    if host::inside_pid_namespace() {
        // Neither we ourselves nor COMMAND, -p PID and what /proc says of processes would be those that the hooks see.
        bail!("process numbers here differ from those that the hooks see: run vmtrace outside of this pid namespace");
    }
    if host::inside_time_namespace() {
        // Corrected by the namespace's offsets, starts of processes would be known to a tick more or less, and keys rest on
        // them.
        bail!("clocks here differ from those that the hooks read: run vmtrace outside of this time namespace");
    }
    object::keep_messages();
    let cpus = libbpf_rs::num_possible_cpus().context("the number of CPUs cannot be read")?;
    // The kernel takes its time to list its functions; rings and its types are got meanwhile.
    let (rings, btf, functions) = std::thread::scope(|scope| {
        let functions = scope.spawn(|| Functions::find(&knobs.events));
        (rings::create(cpus, knobs.buffer_size), Btf::from_vmlinux(), functions.join())
    });
    let (rings, btf) = (rings?, btf.context("the kernel's BTF cannot be read")?);
    let mut functions = functions.map_err(|_| anyhow!("the search for kernel functions panicked"))?;
    functions.ask_for_permission(&btf);
    let mut wire_knobs = wire_knobs(knobs, cpus, rings.len())?;
    let mut regions = Regions::find(knobs.regions, &btf);
    let mut maps = Maps::default();
    let always: Vec<&str> = Family::Process.spec().tracepoints().chain(uring::choose(&btf)).collect();
    let object = loop {
        let exit_needed = FAMILIES
            .iter()
            .any(|f| f.is_wanted(&knobs.events) && !f.has_own_tracepoints() && !functions.serves(f.family));
        let wanted = |program: &str| {
            let of_syscalls = program == SYS_EXIT || (program == SYS_ENTER && follows_descriptors(&knobs.events));
            let always = always.contains(&program) || regions.wants(program);
            always || functions.wants(program) || (exit_needed && of_syscalls)
        };
        wire_knobs.regions = regions.are_noted().into();
        match object::load(&wire_knobs, &rings, &mut maps, &wanted) {
            Ok(object) => break object,
            Err(refused) if functions.without(&refused) || regions.without(&refused) => {}
            Err(refused) => return Err(not_loaded(refused)),
        }
    };
    rings::install(&rings, maps.get("rings")?)?;
    let spares = maps.get("spares")?;
    for slot in (2 * wire_knobs.cpus..).take(VMT_SPARES as usize) {
        spares.update(&[], &slot.to_ne_bytes(), MapFlags::ANY).context("the spare scratches cannot be listed")?;
    }
    let switches = Switches::map(maps.get("switch_values")?)?;
    switches.set_learn_fd(-1);
    Ok(Programs {
        object,
        later: None,
        sys_exit: None,
        entries: Entries::default(),
        regions,
        holders_seen: 0,
        functions,
        families: Vec::new(),
        events: knobs.events.clone(),
        knobs: wire_knobs,
        maps,
        switches,
        skipped_before: Skips::default(),
        rings,
        links: Vec::new(),
        hooks: Vec::new(),
    })
}

/// Why the programs that everything rests on were not loaded, with the remedy.
fn not_loaded(refused: Refused) -> anyhow::Error {
    if refused.permission {
        return no_permission();
    }
    let program = refused.program.map(|name| format!(" ({name})")).unwrap_or_default();
    let remedy =
        "vmtrace is made for Linux 5.10 and later: if this is one, report this line with the output of `uname -r`";
    anyhow!("the kernel refused the BPF programs{program}: {}: {remedy}", refused.reason)
}

fn no_permission() -> anyhow::Error {
    anyhow!(privileges::refusal())
}

/// As what a process is selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracked {
    /// Its calls, and those that reach it: it was started by one that is.
    Both,
    /// Calls that reach it.
    Target,
    /// As the first, by its name alone.
    BothByName,
    /// As the second, by its name alone.
    TargetByName,
}

impl Tracked {
    fn bits(self) -> u8 {
        let bits = match self {
            Tracked::Both => VMT_TRACKED_BOTH,
            Tracked::Target => VMT_TRACKED_TARGET,
            Tracked::BothByName => VMT_TRACKED_BOTH | VMT_TRACKED_BY_NAME,
            Tracked::TargetByName => VMT_TRACKED_TARGET | VMT_TRACKED_BY_NAME,
        };
        bits as u8
    }
}

impl Programs {
    /// How each wanted family is served.
    pub fn families(&self) -> &[FamilyState] {
        &self.families
    }

    /// Whether reads and writes of /proc/PID/mem can be distinguished from others.
    pub fn knows_mem_files(&self) -> bool {
        self.switches.get().mem_fops != 0
    }

    /// Whether the recorder tests itself: then only tracked processes are recorded, and nobody else is counted.
    pub fn self_test(&self, on: bool) {
        self.switches.set_self_test(on);
    }

    /// Selects the process `pid`: its calls and those that reach it.
    ///
    /// # Errors
    /// When the map is full.
    pub fn track(&self, pid: i32) -> Result<()> {
        self.track_as(pid, VMT_TRACKED_BOTH as u8, MapFlags::ANY)
    }

    /// Selects the process `pid` in one of these ways, unless it is selected already.
    ///
    /// # Errors
    /// When the map is full.
    pub fn track_new(&self, pid: i32, how: Tracked) -> Result<()> {
        match self.track_as(pid, how.bits(), MapFlags::NO_EXIST) {
            Err(_) if self.is_tracked(pid) => Ok(()),
            tracked => tracked,
        }
    }

    fn track_as(&self, pid: i32, how: u8, flags: MapFlags) -> Result<()> {
        let tracked = self.maps.get("tracked")?;
        tracked.update(&pid.to_ne_bytes(), &[how], flags).context("a process cannot be tracked")
    }

    /// Whether the process `pid` is selected, in one way or the other.
    pub fn is_tracked(&self, pid: i32) -> bool {
        let found = self.maps.get("tracked").and_then(|tracked| Ok(tracked.lookup(&pid.to_ne_bytes(), MapFlags::ANY)?));
        found.is_ok_and(|how| how.is_some())
    }

    /// No longer selects the process `pid`, if it was.
    pub fn untrack(&self, pid: i32) {
        if self.maps.get("tracked").is_ok_and(|tracked| tracked.delete(&pid.to_ne_bytes()).is_ok()) {
            self.switches.count_untracking();
        }
    }

    /// The processes that are selected because they, or whoever started them, were named.
    pub fn tracked(&self) -> Vec<i32> {
        let Ok(tracked) = self.maps.get("tracked") else { return Vec::new() };
        tracked.keys().filter_map(|key| key.try_into().ok().map(i32::from_ne_bytes)).collect()
    }

    /// Whether the next process we start is the COMMAND.
    pub fn arm_spawn(&self, armed: bool) {
        self.switches.set_arm_spawn(armed);
    }

    /// The ring buffers, for the thread that empties them.
    pub fn rings(&self) -> Result<Vec<MapHandle>> {
        self.rings.iter().map(|ring| MapHandle::try_from(ring).context("a ring buffer cannot be shared")).collect()
    }

    /// Another mapping of the switches, for the thread that empties the rings.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn switches(&self) -> Result<Switches> {
        Switches::map(self.maps.get("switch_values")?)
    }

    /// Takes every hook away; nothing is recorded afterwards.
    pub fn detach(&mut self) {
        self.functions.detach();
        self.sys_exit = None;
        self.regions.detach();
        self.unwatch_entries();
        self.links.clear();
    }

    /// Every hook that was tried.
    pub fn hooks(&self) -> impl Iterator<Item = &Hook> {
        self.hooks.iter().chain(&self.functions.hooks)
    }

    /// Children that could not be followed because the map of tracked processes was full.
    pub fn untracked(&self) -> u64 {
        self.switches.get().untracked
    }

    /// Pipes that recorded calls had fed and that were forgotten, since there were too many.
    pub fn forgotten_pipes(&self) -> u64 {
        self.switches.get().pipes_forgotten
    }

    /// Calls that fed a pipe which could not be noted.
    pub fn refused_pipes(&self) -> u64 {
        self.switches.get().pipes_refused
    }

    /// Files of /proc/PID/mem that processes opened which could not be noted.
    pub fn refused_holders(&self) -> u64 {
        self.switches.get().holders_refused
    }

    /// Whether a unix socket was met whose names could not be read.
    pub fn knows_no_unix_names(&self) -> bool {
        self.switches.get().unix_unknown != 0
    }

    /// Pipes that were read before the first call that fed them had returned, and how many of its bytes.
    pub fn read_before(&self) -> (u64, u64) {
        let switches = self.switches.get();
        (switches.pipes_read_before, switches.bytes_read_before)
    }

    /// Calls that a program looked at and found no family for.
    pub fn calls_unrecorded(&self) -> u64 {
        self.switches.get().calls_unrecorded
    }

    /// Calls under way on the memory of selected processes that have ended.
    pub fn calls_on_ended(&self) -> i64 {
        self.switches.get().calls_on_ended
    }

    /// Requests through io_uring that had no completion when recording ended, as wire records.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn open_requests(&self) -> Result<Vec<Vec<u8>>> {
        let map = self.maps.get("requests")?;
        map.keys().filter_map(|key| map.lookup(&key, MapFlags::ANY).transpose()).map(|r| Ok(r?)).collect()
    }
}
