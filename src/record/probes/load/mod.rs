//! Loads and attaches the BPF programs, and reports the result.
//!
//! Owns the BPF object, its maps and links. Does not decide what is selected: [`Knobs`] contains that.

mod counters;
mod families;
mod functions;
mod gaps;
mod holders;
mod object;
mod probe;
mod rings;
mod skips;
mod switches;

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use libbpf_rs::btf::types::{FuncProto, Ptr, Typedef};
use libbpf_rs::btf::{Btf, ReferencesType};
use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, Object};

use self::families::{FAMILIES, FamilySpec};
use self::functions::Functions;
use self::holders::Entries;
use self::object::{Maps, Refused, last_messages};
pub use self::switches::Switches;
use crate::record::decode::wire_kind;
use crate::record::host;
use crate::record::privileges;
use crate::record::wire::{self, VMT_KINDS, VMT_OPENS, VMT_RECEIVES, VMT_SPARES, vmt_knobs, vmt_loss, vmt_stats};
use crate::schema::events::{EVENTS, EventKind, EventSet, EventSpec};
use crate::schema::manifest::Hook;

pub use counters::Counters;
pub use families::{Family, FamilyState, Tier};
pub use gaps::gaps;
pub use skips::Skips;

/// What is set before loading.
#[derive(Debug)]
pub struct Knobs {
    /// Events to record.
    pub events: EventSet,
    /// Payload bytes per event.
    pub snaplen: u32,
    /// Select every process.
    pub all: bool,
    /// Track children of tracked processes.
    pub follow: bool,
    /// Caller uids, any if empty; at most 16.
    pub uids: Vec<u32>,
    /// cgroup v2 id and depth.
    pub cgroup: Option<(u64, u32)>,
    /// Bytes of all rings together.
    pub buffer_size: u64,
}

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
    let wire_knobs = wire_knobs(knobs, cpus, rings.len())?;
    let mut maps = Maps::default();
    let always = [&PROCESS[..], &choose_uring(&btf)].concat();
    let object = loop {
        let exit_needed = FAMILIES
            .iter()
            .any(|f| f.is_wanted(&knobs.events) && !f.has_own_tracepoints() && !functions.serves(f.family));
        let wanted = |program: &str| {
            let of_syscalls = program == "sys_exit" || (program == "sys_enter" && follows_descriptors(&knobs.events));
            always.contains(&program) || functions.wants(program) || (exit_needed && of_syscalls)
        };
        match object::load(&wire_knobs, &rings, &mut maps, &wanted) {
            Ok(object) => break object,
            Err(refused) if functions.without(&refused) => {}
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

/// The programs for io_uring whose tracepoints this kernel has, in a form that they read.
fn choose_uring(btf: &Btf<'_>) -> Vec<&'static str> {
    let known = |(name, arguments): &(&str, usize)| tracepoint_arguments(btf, name) == Some(*arguments);
    let mut programs = Vec::new();
    if let Some((name, _)) = SUBMISSIONS.into_iter().find(known) {
        programs.push(if name == SUBMIT_SQE { "uring_submit_sqe" } else { "uring_submit" });
    }
    if tracepoint_arguments(btf, "io_uring_complete").is_some_and(|n| COMPLETIONS.contains(&n)) {
        programs.push("uring_complete");
    }
    programs
}

/// How many arguments a tracepoint has, by the type of its probes, which take one more; `None` if there is none.
fn tracepoint_arguments(btf: &Btf<'_>, name: &str) -> Option<usize> {
    let probe: Typedef<'_> = btf.type_by_name(&format!("btf_trace_{name}"))?;
    let pointer: Ptr<'_> = probe.referenced_type().try_into().ok()?;
    let prototype: FuncProto<'_> = pointer.referenced_type().try_into().ok()?;
    prototype.len().checked_sub(1)
}

/// The programs that follow processes.
const PROCESS: [&str; 3] = ["process_fork", "process_exec", "process_exit"];
const SUBMIT_REQ: &str = "io_uring_submit_req";
/// Until 6.2.
const SUBMIT_SQE: &str = "io_uring_submit_sqe";
/// The forms of io_uring_complete that `uring.bpf.h` reads, by their numbers of arguments.
const COMPLETIONS: [usize; 3] = [3, 4, 7];
/// The forms of the tracepoint of submissions that `uring.bpf.h` reads, with their numbers of arguments.
const SUBMISSIONS: [(&str, usize); 3] = [(SUBMIT_REQ, 1), (SUBMIT_SQE, 2), (SUBMIT_SQE, 7)];

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

/// Enters an event's syscall numbers.
fn list_syscalls(data: &mut vmt_knobs, event: &EventSpec) -> Result<()> {
    let kind = wire_kind(event.kind).unwrap_or(0) as u8;
    for (numbers, table) in [(event.x86_64, &mut data.syscalls_native), (event.i386, &mut data.syscalls_compat)] {
        for nr in numbers {
            *table.get_mut(usize::from(*nr)).context("a syscall number is outside the table")? = kind;
        }
    }
    Ok(())
}

/// Whether calls of a kind are looked at for the sake of others: reads of pipes are reads first, and what files of
/// /proc/PID/mem look like is learned from a pread of ours.
fn is_looked_at(kind: EventKind, wanted: &EventSet) -> bool {
    match kind {
        EventKind::Read | EventKind::Readv | EventKind::Preadv2 => wanted.contains(EventKind::PipeRead),
        EventKind::Pread => Family::Mem.spec().is_some_and(|mem| mem.is_wanted(wanted)),
        _ => false,
    }
}

/// Calls whose result is a new descriptor, x86-64 and i386: open, openat, openat2, pidfd_getfd. dup and its like bring one
/// that leads where another of the same process does.
const OPENS: [&[u16]; 2] = [&[2, 257, 437, 438], &[5, 295, 437, 438]];
/// recvmsg.
const RECEIVES: [&[u16]; 2] = [&[47], &[]];

/// Whether it matters who has files of /proc/PID/mem open.
fn follows_descriptors(wanted: &EventSet) -> bool {
    Family::Mem.spec().is_some_and(|mem| mem.is_wanted(wanted))
}

/// Enters the calls that bring descriptors, where they are no events themselves.
fn list_openers(data: &mut vmt_knobs) {
    for (calls, kind) in [(OPENS, VMT_OPENS), (RECEIVES, VMT_RECEIVES)] {
        for (numbers, table) in calls.iter().zip([&mut data.syscalls_native, &mut data.syscalls_compat]) {
            let free = numbers.iter().filter_map(|nr| table.get(usize::from(*nr)).map(|kind| (*nr, *kind)));
            let free: Vec<u16> = free.filter(|(_, taken)| *taken == 0).map(|(nr, _)| nr).collect();
            for nr in free {
                if let Some(entry) = table.get_mut(usize::from(nr)) {
                    *entry = kind as u8;
                }
            }
        }
    }
}

fn wire_knobs(knobs: &Knobs, cpus: usize, rings: usize) -> Result<vmt_knobs> {
    let mut data = vmt_knobs::default();
    for event in EVENTS.iter().filter(|e| knobs.events.contains(e.kind)) {
        let Some(kind) = wire_kind(event.kind) else { continue };
        list_syscalls(&mut data, event)?;
        *data.wanted.get_mut(kind as usize).context("an event kind is outside the table")? = 1;
    }
    for event in EVENTS.iter().filter(|e| is_looked_at(e.kind, &knobs.events)) {
        list_syscalls(&mut data, event)?;
    }
    if follows_descriptors(&knobs.events) {
        list_openers(&mut data);
    }
    data.cpus = cpus as u32;
    data.snaplen = knobs.snaplen;
    data.select_all = knobs.all.into();
    data.follow = knobs.follow.into();
    data.recorder_tgid = std::process::id() as i32;
    data.uid_count = knobs.uids.len() as u32;
    data.uids.iter_mut().zip(&knobs.uids).for_each(|(slot, uid)| *slot = *uid);
    (data.cgroup_id, data.cgroup_level) = knobs.cgroup.unwrap_or_default();
    data.ring_count = rings as u32;
    let each = knobs.buffer_size / rings.max(1) as u64;
    data.wake_bytes = u32::try_from(each / 8).unwrap_or(u32::MAX);
    Ok(data)
}

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
            let serves = match name.as_str() {
                "uring_submit" | "uring_submit_sqe" | "uring_complete" => Family::Uring,
                name if PROCESS.contains(&name) => Family::Process,
                _ => continue,
            };
            let result = program.attach();
            self.hooks.push(hook(name, target, serves.name(), result.as_ref().err()));
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
        self.learn_mem_files()
    }

    /// A family that tracepoints of its own serve best.
    fn traced(&self, spec: &FamilySpec) -> FamilyState {
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
    fn traced_or_better(&mut self, spec: &FamilySpec) -> FamilyState {
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

    fn by_functions(&self, spec: &FamilySpec) -> FamilyState {
        self.set_by_function(spec, true);
        let probes = self.functions.probes(spec.family);
        FamilyState { family: spec.family, tier: Tier::Function, probes, reason: None }
    }

    fn by_syscall_exit(&mut self, spec: &FamilySpec) -> Result<FamilyState> {
        self.attach_sys_exit()?;
        self.set_by_function(spec, false);
        let reason = self.functions.reason(spec.family).cloned();
        Ok(FamilyState { family: spec.family, tier: Tier::Tracepoint, probes: vec![SYS_EXIT.into()], reason })
    }

    fn set_by_function(&self, spec: &FamilySpec, value: bool) {
        for kind in spec.events.iter().filter_map(|e| wire_kind(*e)) {
            self.switches.set_by_function(kind, value);
        }
    }

    /// Hooks the exit of every syscall, unless that is done.
    fn attach_sys_exit(&mut self) -> Result<()> {
        if self.sys_exit.is_some() {
            return Ok(());
        }
        let find = |object: &Object| object.progs_mut().any(|p| p.name() == "sys_exit" && p.autoload());
        if !find(&self.object) && self.later.is_none() {
            let watched = follows_descriptors(&self.events);
            let only = |program: &str| program == "sys_exit" || (program == "sys_enter" && watched);
            let later = object::load(&self.knobs, &self.rings, &mut self.maps, &only).map_err(not_loaded)?;
            self.later = Some(later);
        }
        let object = self.later.as_ref().unwrap_or(&self.object);
        let program = object.progs_mut().find(|p| p.name() == "sys_exit").context("the BPF object has no sys_exit")?;
        let link = program.attach();
        self.hooks.push(hook(
            "sys_exit".into(),
            SYS_EXIT.into(),
            "families without function hooks",
            link.as_ref().err(),
        ));
        self.sys_exit = Some(link.with_context(|| format!("the hook {SYS_EXIT} cannot be attached"))?);
        Ok(())
    }

    /// Serves a family from the syscalls' exit from now on: its function hooks do not do what they should.
    ///
    /// # Errors
    /// When the exit of syscalls cannot be hooked.
    pub fn fall_back(&mut self, family: Family, reason: &str) -> Result<()> {
        let Some(spec) = family.spec() else { return Ok(()) };
        self.functions.leave(family, reason.to_string());
        let state = self.by_syscall_exit(spec)?;
        self.families.iter_mut().filter(|f| f.family == family).for_each(|f| *f = state.clone());
        Ok(())
    }

    /// How each wanted family is served.
    pub fn families(&self) -> &[FamilyState] {
        &self.families
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

    /// Whether reads and writes of /proc/PID/mem can be distinguished from others.
    pub fn knows_mem_files(&self) -> bool {
        self.switches.get().mem_fops != 0
    }

    /// Whether the recorder tests itself: then only tracked processes are recorded, and nobody else is counted.
    pub fn self_test(&self, on: bool) {
        self.switches.set_self_test(on);
    }

    /// Selects the process `pid`.
    ///
    /// # Errors
    /// When the map is full.
    pub fn track(&self, pid: i32) -> Result<()> {
        let tracked = self.maps.get("tracked")?;
        tracked.update(&pid.to_ne_bytes(), &[1], MapFlags::ANY).context("a process cannot be tracked")
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

    /// The kernel's books, to be read by any thread.
    ///
    /// # Errors
    /// When descriptors cannot be shared.
    pub fn counters(&self) -> Result<Counters> {
        let objects = [Some(&self.object), self.later.as_ref()].into_iter().flatten();
        Counters::of(self.maps.get("stats")?, objects, &self.skipped_before)
    }

    /// Forgets what was counted so far. While the books are cleared nothing may be recorded.
    ///
    /// # Errors
    /// When the maps cannot be written.
    pub fn clear_books(&mut self) -> Result<()> {
        let (stats, losses) = (self.maps.get("stats")?, self.maps.get("losses")?);
        let zeros = |size: usize| vec![vec![0; size]; self.knobs.cpus as usize];
        let (no_stats, no_loss) = (zeros(size_of::<vmt_stats>()), zeros(size_of::<vmt_loss>()));
        for kind in 0..VMT_KINDS {
            stats
                .update_percpu(&kind.to_ne_bytes(), &no_stats, MapFlags::ANY)
                .context("the counters cannot be cleared")?;
        }
        losses.update_percpu(&0u32.to_ne_bytes(), &no_loss, MapFlags::ANY).context("the losses cannot be cleared")?;
        self.switches.set_untracked(0);
        self.forget_pipes()?;
        self.switches.set_calls_on_ended(0);
        self.forget_unknown_calls()?;
        self.skipped_before = self.all_skips();
        Ok(())
    }

    /// Forgets which pipes were fed.
    fn forget_pipes(&self) -> Result<()> {
        self.switches.set_pipes_fed(false);
        for name in ["fed_pipes", "feeders"] {
            let map = self.maps.get(name)?;
            for key in map.keys().collect::<Vec<_>>() {
                map.delete(&key).context("the pipes of the self-test cannot be forgotten")?;
            }
        }
        let order = self.maps.get("fed_order")?;
        while order.lookup_and_delete(&[]).context("the pipes of the self-test cannot be forgotten")?.is_some() {}
        Ok(())
    }

    fn all_skips(&self) -> Skips {
        Skips::read([Some(&self.object), self.later.as_ref()].into_iter().flatten())
    }

    /// Runs of our programs that the kernel has left out since recording began.
    pub fn skips(&self) -> Skips {
        self.all_skips().since(&self.skipped_before)
    }

    /// What each CPU lost and could no longer report, with the CPU's number.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn losses(&self) -> Result<Vec<(u32, vmt_loss)>> {
        let per_cpu = self.maps.get("losses")?.lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY)?.unwrap_or_default();
        let read = |bytes: &Vec<u8>| wire::take::<vmt_loss>(bytes).map(|(loss, _)| loss);
        Ok((0u32..).zip(per_cpu.iter().filter_map(read)).filter(|(_, loss)| loss.total > 0).collect())
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

const SYS_EXIT: &str = "tp_btf/sys_exit";

/// A hook that was tried, as the manifest has it.
fn hook(program: String, target: String, serves: &str, error: Option<&libbpf_rs::Error>) -> Hook {
    let reason = error.map(|e| format!("{e} ({})", last_messages()));
    Hook { program, target, serves: serves.into(), attached: reason.is_none(), reason, skipped: 0 }
}
