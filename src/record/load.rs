//! Loading and attaching the BPF programs, and what can be said of it afterwards.
//!
//! Owns the BPF object, its maps and links. Decides nothing about selection: [`Knobs`] says what to set.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow, bail};
use libbpf_rs::btf::types::{FuncProto, Ptr, Typedef};
use libbpf_rs::btf::{Btf, ReferencesType};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, MapType, OpenObject, PrintLevel, ProgramMut};

use super::decode::wire_kind;
use super::privileges;
use super::wire::{self, VMT_KINDS, vmt_loss, vmt_stats};
use crate::schema::events::{EVENTS, EventKind, EventSet};
use crate::schema::manifest::Hook;

#[allow(missing_docs, missing_debug_implementations, unused_imports, clippy::all, clippy::undocumented_unsafe_blocks)]
mod skel {
    include!(concat!(env!("OUT_DIR"), "/trace.skel.rs"));
}
use skel::{OpenTraceSkel, TraceSkel, TraceSkelBuilder};

/// BLAKE3 of the BPF object this recorder loads.
pub const BPF_DIGEST: &str = env!("VMTRACE_BPF_DIGEST");

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

/// Storage that the skeleton borrows; lives as long as the programs.
#[derive(Debug)]
pub struct Storage(MaybeUninit<OpenObject>);

impl Default for Storage {
    fn default() -> Self {
        Storage(MaybeUninit::uninit())
    }
}

/// The loaded programs. Recording begins with [`Programs::attach`].
pub struct Programs<'obj> {
    skel: TraceSkel<'obj>,
    /// The tracepoint where io_uring requests are submitted; empty if there is none.
    submission: &'static str,
    links: Vec<Link>,
    rings: Vec<MapHandle>,
    hooks: Vec<Hook>,
}

impl std::fmt::Debug for Programs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Programs").field("hooks", &self.hooks).finish_non_exhaustive()
    }
}

/// Messages of libbpf, kept to explain a failure.
static LIBBPF_LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn keep_message(_level: PrintLevel, message: String) {
    if let Ok(mut log) = LIBBPF_LOG.lock() {
        log.push(message.trim_end().to_string());
    }
}

/// What libbpf said since last asked, as one line. Of a verifier log only its verdict: the line before its statistics.
fn last_messages() -> String {
    let log = LIBBPF_LOG.lock().map(|mut l| std::mem::take(&mut *l)).unwrap_or_default();
    let verdict = |message: &str| {
        let lines: Vec<&str> = message.lines().collect();
        let end = lines.iter().position(|l| l.starts_with("processed "));
        let line = end.and_then(|end| lines.get(end.checked_sub(1)?)).or(lines.first());
        line.map(|l| l.trim_start_matches("libbpf: ").to_string())
    };
    log.iter().filter_map(|message| verdict(message)).take(3).collect::<Vec<_>>().join("; ")
}

/// Loads the programs.
///
/// # Errors
/// One sentence with the remedy: no BTF, no privileges, or what the kernel refused.
pub fn load<'obj>(storage: &'obj mut Storage, knobs: &Knobs) -> Result<Programs<'obj>> {
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        bail!("no BTF at /sys/kernel/btf/vmlinux: run on a kernel built with CONFIG_DEBUG_INFO_BTF");
    }
    libbpf_rs::set_print(Some((PrintLevel::Warn, keep_message)));
    let cpus = libbpf_rs::num_possible_cpus().context("the number of CPUs cannot be read")?;
    let rings = create_rings(cpus, knobs.buffer_size)?;
    let mut open = TraceSkelBuilder::default().open(&mut storage.0).context("the BPF object cannot be opened")?;
    set_knobs(&mut open, knobs, rings.len())?;
    set_map_sizes(&mut open, cpus, &rings)?;
    let submission = choose_uring(&mut open)?;
    let skel = open.load().map_err(refused)?;
    for (index, ring) in (0u32..).zip(&rings) {
        let fd = ring.as_fd().as_raw_fd().to_ne_bytes();
        skel.maps
            .rings
            .update(&index.to_ne_bytes(), &fd, MapFlags::ANY)
            .context("a ring buffer cannot be installed")?;
    }
    Ok(Programs { skel, submission, links: Vec::new(), rings, hooks: Vec::new() })
}

/// Leaves out the programs for io_uring whose tracepoints this kernel does not have, or in no form that they read.
/// Returns the name of the tracepoint of submissions.
fn choose_uring(open: &mut OpenTraceSkel<'_>) -> Result<&'static str> {
    let btf = Btf::from_vmlinux().context("the kernel's BTF cannot be read")?;
    let known = |(name, arguments): &(&str, usize)| tracepoint_arguments(&btf, name) == Some(*arguments);
    let (name, _) = SUBMISSIONS.into_iter().find(known).unwrap_or_default();
    open.progs.uring_submit.set_autoload(name == SUBMIT_REQ);
    open.progs.uring_submit_sqe.set_autoload(name == SUBMIT_SQE);
    let completes = tracepoint_arguments(&btf, "io_uring_complete").is_some_and(|n| COMPLETIONS.contains(&n));
    open.progs.uring_complete.set_autoload(completes);
    Ok(name)
}

/// How many arguments a tracepoint has, by the type of its probes, which take one more; `None` if there is none.
fn tracepoint_arguments(btf: &Btf<'_>, name: &str) -> Option<usize> {
    let probe: Typedef<'_> = btf.type_by_name(&format!("btf_trace_{name}"))?;
    let pointer: Ptr<'_> = probe.referenced_type().try_into().ok()?;
    let prototype: FuncProto<'_> = pointer.referenced_type().try_into().ok()?;
    prototype.len().checked_sub(1)
}

const SUBMIT_REQ: &str = "io_uring_submit_req";
/// Until 6.2.
const SUBMIT_SQE: &str = "io_uring_submit_sqe";
/// The forms of io_uring_complete that `uring.bpf.h` reads, by their numbers of arguments.
const COMPLETIONS: [usize; 3] = [3, 4, 7];
/// The forms of the tracepoint of submissions that `uring.bpf.h` reads, with their numbers of arguments.
const SUBMISSIONS: [(&str, usize); 3] = [(SUBMIT_REQ, 1), (SUBMIT_SQE, 2), (SUBMIT_SQE, 7)];

fn refused(error: libbpf_rs::Error) -> anyhow::Error {
    // The verifier says EACCES too, but then it has said more.
    let verified = LIBBPF_LOG.lock().is_ok_and(|log| log.iter().any(|m| m.contains("PROG LOAD LOG")));
    if matches!(error.kind(), libbpf_rs::ErrorKind::PermissionDenied) && !verified {
        return anyhow!(privileges::refusal());
    }
    anyhow!("the kernel refused the BPF programs: {error} ({})", last_messages())
}

/// One ring per CPU up to [`MAX_RINGS`]: beyond that CPUs share, since more rings leave each too small.
fn create_rings(cpus: usize, total: u64) -> Result<Vec<MapHandle>> {
    let count = cpus.clamp(1, MAX_RINGS) as u64;
    let each = (total / count).max(MIN_RING);
    // Ring sizes are powers of two (kernel/bpf/ringbuf.c); round down to stay within what was asked for.
    let size = 1u32 << each.ilog2().min(30);
    let options = libbpf_rs::libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_rs::libbpf_sys::bpf_map_create_opts>() as u64,
        ..Default::default()
    };
    (0..count)
        .map(|_| {
            MapHandle::create(MapType::RingBuf, Some("vmtrace_ring"), 0, 0, size, &options).map_err(|error| {
                if matches!(error.kind(), libbpf_rs::ErrorKind::PermissionDenied) {
                    return refused(error);
                }
                anyhow!("a ring buffer of {size} bytes cannot be created ({error}); choose a smaller --buffer-size")
            })
        })
        .collect()
}

const MAX_RINGS: usize = 16;
const MIN_RING: u64 = 64 << 10;

fn set_knobs(open: &mut OpenTraceSkel<'_>, knobs: &Knobs, rings: usize) -> Result<()> {
    let data = open.maps.rodata_data.as_deref_mut().context("the BPF object has no knobs")?;
    for event in EVENTS.iter().filter(|e| knobs.events.contains(e.kind)) {
        let Some(kind) = wire_kind(event.kind) else { continue };
        for (numbers, table) in [(event.x86_64, &mut data.syscalls_native), (event.i386, &mut data.syscalls_compat)] {
            for nr in numbers {
                *table.get_mut(usize::from(*nr)).context("a syscall number is outside the table")? = kind as u8;
            }
        }
        if matches!(event.kind, EventKind::Splice | EventKind::Tee) {
            *data.kinds_uring.get_mut(kind as usize).context("an event kind is outside the table")? = 1;
        }
    }
    data.snaplen = knobs.snaplen;
    data.select_all = knobs.all;
    data.follow = knobs.follow;
    data.recorder_tgid = std::process::id() as i32;
    data.uid_count = knobs.uids.len() as u32;
    data.uids.iter_mut().zip(&knobs.uids).for_each(|(slot, uid)| *slot = *uid);
    (data.cgroup_id, data.cgroup_level) = knobs.cgroup.unwrap_or_default();
    data.ring_count = rings as u32;
    let each = knobs.buffer_size / rings.max(1) as u64;
    data.wake_bytes = u32::try_from(each / 8).unwrap_or(u32::MAX);
    Ok(())
}

fn set_map_sizes(open: &mut OpenTraceSkel<'_>, cpus: usize, rings: &[MapHandle]) -> Result<()> {
    let first = rings.first().context("there is no ring buffer")?;
    open.maps.rings.set_max_entries(rings.len() as u32)?;
    open.maps.rings.set_inner_map_fd(first.as_fd())?;
    open.maps.scratches.set_max_entries(cpus as u32)?;
    Ok(())
}

impl Programs<'_> {
    /// Attaches every program on its own and learns how /proc/PID/mem files look.
    ///
    /// # Errors
    /// When the program that everything rests on cannot be attached. Others become recorded facts.
    pub fn attach(&mut self) -> Result<()> {
        let progs = &self.skel.progs;
        let (submit, submit_at) = match self.submission {
            SUBMIT_SQE => (&progs.uring_submit_sqe, "tp_btf/io_uring_submit_sqe"),
            _ => (&progs.uring_submit, "tp_btf/io_uring_submit_req"),
        };
        let list: [(&ProgramMut<'_>, &str, &str); 6] = [
            (&progs.process_fork, "tp_btf/sched_process_fork", "@process, and which processes are followed"),
            (&progs.process_exec, "tp_btf/sched_process_exec", "@process"),
            (&progs.process_exit, "tp_btf/sched_process_exit", "@process"),
            (&progs.uring_complete, "tp_btf/io_uring_complete", "splice and tee through io_uring"),
            (submit, submit_at, "splice and tee through io_uring"),
            (&progs.sys_exit, "tp_btf/sys_exit", "@vm @pipe @ptrace @mem @pidfd @madvise"),
        ];
        for (program, target, serves) in list {
            let result = program.attach();
            let reason = result.as_ref().err().map(|e| format!("{e} ({})", last_messages()));
            self.hooks.push(Hook {
                program: program.name().to_string_lossy().into_owned(),
                target: target.into(),
                serves: serves.into(),
                attached: reason.is_none(),
                reason: reason.clone(),
            });
            self.links.extend(result);
            if let Some(reason) = reason.filter(|_| target == "tp_btf/sys_exit") {
                bail!("the hook {target} cannot be attached: {reason}");
            }
        }
        self.learn_mem_files()
    }

    /// Reads one byte of our own /proc/self/mem while the program watches, so that it can tell such files.
    fn learn_mem_files(&mut self) -> Result<()> {
        let file = privileges::open_own("/proc/self/mem").context("/proc/self/mem cannot be opened")?;
        let byte = 0u8;
        let address = std::ptr::from_ref(&byte).addr() as u64;
        self.set_learn_fd(file.as_fd().as_raw_fd())?;
        let read = file.read_at(&mut [0], address);
        self.set_learn_fd(-1)?;
        read.context("/proc/self/mem cannot be read")?;
        Ok(())
    }

    fn set_learn_fd(&mut self, fd: i32) -> Result<()> {
        let data = self.skel.maps.data_data.as_deref_mut().context("the BPF object has no switches")?;
        // SAFETY: `data` is the live mapping of the program's own variable; a volatile write keeps the compiler
        // from moving it across the system call that the program watches.
        unsafe { std::ptr::write_volatile(&mut data.learn_fd, fd) };
        Ok(())
    }

    /// Whether reads and writes of /proc/PID/mem can be told from others.
    pub fn knows_mem_files(&self) -> bool {
        self.skel.maps.bss_data.as_deref().is_some_and(|data| data.mem_fops != 0)
    }

    /// Selects the process `pid`.
    ///
    /// # Errors
    /// When the map is full.
    pub fn track(&self, pid: i32) -> Result<()> {
        self.skel.maps.tracked.update(&pid.to_ne_bytes(), &[1], MapFlags::ANY).context("a process cannot be tracked")
    }

    /// Whether the next process we start is the COMMAND.
    ///
    /// # Errors
    /// Never in practice: the object has the switch.
    pub fn arm_spawn(&mut self, armed: bool) -> Result<()> {
        let data = self.skel.maps.bss_data.as_deref_mut().context("the BPF object has no switches")?;
        // SAFETY: as in `set_learn_fd`.
        unsafe { std::ptr::write_volatile(&mut data.arm_spawn, armed) };
        Ok(())
    }

    /// The ring buffers, for the thread that empties them.
    pub fn rings(&self) -> Result<Vec<MapHandle>> {
        self.rings.iter().map(|ring| MapHandle::try_from(ring).context("a ring buffer cannot be shared")).collect()
    }

    /// Takes every hook away; nothing is recorded afterwards.
    pub fn detach(&mut self) {
        self.links.clear();
    }

    /// Every hook that was tried.
    pub fn hooks(&self) -> &[Hook] {
        &self.hooks
    }

    /// Children that could not be followed because the map of tracked processes was full.
    pub fn untracked(&self) -> u64 {
        self.skel.maps.bss_data.as_deref().map_or(0, |data| data.untracked)
    }

    /// The kernel's books by wire kind, summed over all CPUs.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn stats(&self) -> Result<Vec<vmt_stats>> {
        (0..VMT_KINDS)
            .map(|kind| {
                let per_cpu = self.skel.maps.stats.lookup_percpu(&kind.to_ne_bytes(), MapFlags::ANY)?;
                let mut sum = vmt_stats::default();
                for bytes in per_cpu.into_iter().flatten() {
                    let (cpu, _) = wire::take::<vmt_stats>(&bytes).context("the books have another size")?;
                    sum.seen += cpu.seen;
                    sum.filtered += cpu.filtered;
                    sum.lost += cpu.lost;
                    sum.delivered += cpu.delivered;
                }
                Ok(sum)
            })
            .collect()
    }

    /// What each CPU lost and could not tell any more, with the CPU's number.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn losses(&self) -> Result<Vec<(u32, vmt_loss)>> {
        let per_cpu = self.skel.maps.losses.lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY)?.unwrap_or_default();
        let read = |bytes: &Vec<u8>| wire::take::<vmt_loss>(bytes).map(|(loss, _)| loss);
        Ok((0u32..).zip(per_cpu.iter().filter_map(read)).filter(|(_, loss)| loss.total > 0).collect())
    }

    /// Requests through io_uring that had no completion when recording ended, as wire records.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn open_requests(&self) -> Result<Vec<Vec<u8>>> {
        let map = &self.skel.maps.requests;
        map.keys().filter_map(|key| map.lookup(&key, MapFlags::ANY).transpose()).map(|r| Ok(r?)).collect()
    }
}

/// What a recording cannot see, told in the capture.
pub fn gaps(programs: &Programs<'_>, events: &EventSet) -> Vec<String> {
    let mut gaps = vec![
        "iovec arrays are read from user memory when the call returns: a racing thread can forge them (iov_verdict)"
            .to_string(),
        "reads and writes of /proc/PID/mem through io_uring are not seen".to_string(),
        "calls that had not returned when recording ended are not in the capture".to_string(),
        "bytes moved by splice, tee and sendfile are not captured: they pass no user memory".to_string(),
    ];
    for hook in programs.hooks().iter().filter(|h| !h.attached) {
        gaps.push(format!("{} is not hooked: {} not seen", hook.target, hook.serves));
    }
    if events.contains(EventKind::Pread) && !programs.knows_mem_files() {
        gaps.push("/proc/PID/mem files could not be recognised: @mem events are not seen".to_string());
    }
    if programs.untracked() > 0 {
        gaps.push(format!("{} child processes could not be followed", programs.untracked()));
    }
    gaps
}
