//! Processes that have a file of /proc/PID/mem open (bpf/holders.bpf.h): those at the start of recording, the program
//! that looks at the entry of their calls, and what is not known about them.

use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result};
use libbpf_rs::{Link, MapCore, MapFlags, RingBufferBuilder};

use super::Programs;
use super::attach::hook;
use super::families::{DISABLE, Disabled};
use crate::record::identity::proc::all_pids;
use crate::record::text;
use crate::record::wire::{self, vmt_unknown};
use crate::schema::events::{Family, SYS_ENTER};
use crate::schema::vocabulary::Tier;

/// Where [`SYS_ENTER`] attaches.
const AT_ENTRY: &str = "tp_btf/sys_enter";

/// The program at the begin of syscalls.
#[derive(Debug, Default)]
pub enum Entries {
    /// Nobody has needed it, or not any more.
    #[default]
    Detached,
    /// At work.
    Attached { _link: Link },
    /// The kernel refuses it, or we may not use it.
    Refused(String),
}

impl Programs {
    fn mem_by_exit(&self) -> bool {
        self.families().iter().any(|f| f.family == Family::Mem && f.tier == Tier::Tracepoint)
    }

    /// Notes which processes have memory open by now, if calls of theirs may be recorded: all, or those of `pids` and those
    /// that have these open.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn note_holders(&self, all: bool, pids: &[i32]) -> Result<()> {
        if !self.mem_by_exit() || (!all && pids.is_empty()) {
            return Ok(());
        }
        let holders = self.maps.get("holders")?;
        let me = std::process::id() as i32;
        for pid in all_pids().into_iter().filter(|pid| *pid != me) {
            let counts = |target: i32| all || pids.contains(&pid) || pids.contains(&target);
            if opened_by(pid).into_iter().any(counts)
                && holders.update(&pid.to_ne_bytes(), &[1], MapFlags::NO_EXIST).is_ok()
            {
                self.switches.count_holder();
            }
        }
        Ok(())
    }

    /// Looks at the begin of reads and writes while somebody has memory open, and only then. Returns whether that has
    /// changed.
    pub fn watch_entries(&mut self) -> bool {
        let holders = self.switches.get().mem_holders;
        if holders != self.holders_seen {
            self.holders_seen = holders;
            self.answer_bell();
        }
        match (&self.entries, holders > 0) {
            (Entries::Detached, true) => {
                let hook = hook(SYS_ENTER.into(), AT_ENTRY.into(), Family::Mem.name(), None);
                match self.attach_sys_enter() {
                    Ok(link) => {
                        self.entries = Entries::Attached { _link: link };
                        if !self.hooks.iter().any(|known| known.program == hook.program) {
                            self.hooks.push(hook);
                        }
                    }
                    Err(error) => self.entries = Entries::Refused(format!("{error:#}")),
                }
                true
            }
            (Entries::Attached { .. }, false) => {
                self.unwatch_entries();
                true
            }
            _ => false,
        }
    }

    /// Takes the hook at the begin of calls away.
    pub(super) fn unwatch_entries(&mut self) {
        if self.entries_watched() {
            self.entries = Entries::Detached;
        }
    }

    /// What becomes readable when processes that have memory open come or go.
    pub fn holder_bell(&self) -> Option<BorrowedFd<'_>> {
        self.maps.get("holder_bell").ok().map(AsFd::as_fd)
    }

    /// Takes out what rings the bell, so that it has room. One that is full only delays until the next tick.
    fn answer_bell(&self) {
        let Ok(map) = self.maps.get("holder_bell") else { return };
        let mut builder = RingBufferBuilder::new();
        if builder.add(map, |_| 0).is_ok()
            && let Ok(ring) = builder.build()
        {
            let _ = ring.consume_raw();
        }
    }

    /// Why the begin of calls is not looked at, where it should be.
    pub fn entries_refused(&self) -> Option<&str> {
        match &self.entries {
            Entries::Refused(reason) => Some(reason),
            Entries::Detached | Entries::Attached { .. } => None,
        }
    }

    /// Whether the begin of calls is looked at.
    pub fn entries_watched(&self) -> bool {
        matches!(self.entries, Entries::Attached { .. })
    }

    fn attach_sys_enter(&self) -> Result<Link> {
        if Disabled::from_env().target(AT_ENTRY) {
            anyhow::bail!("disabled by {DISABLE}");
        }
        let objects = [self.later.as_ref(), Some(&self.object)].into_iter().flatten();
        let mut programs = objects.flat_map(|object| object.progs_mut());
        let program = programs.find(|p| p.name() == SYS_ENTER && p.autoload()).context("it was not loaded")?;
        Ok(program.attach()?)
    }

    /// Forgets whose calls could not be known.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub(super) fn forget_unknown_calls(&self) -> Result<()> {
        let map = self.maps.get("unknown_calls")?;
        map.keys().try_for_each(|key| map.delete(&key)).context("the callers of unknown calls cannot be cleared")
    }

    /// Callers of calls that may have been on the memory of a process: name, pid, and how many.
    pub fn unknown_calls(&self) -> Vec<(String, i32, u64)> {
        let Ok(map) = self.maps.get("unknown_calls") else { return Vec::new() };
        let value = |key: Vec<u8>| map.lookup(&key, MapFlags::ANY).ok().flatten();
        let unknown = map.keys().filter_map(value).filter_map(|bytes| Some(wire::take::<vmt_unknown>(&bytes)?.0));
        let mut callers: Vec<_> = unknown
            .map(|unknown| {
                let comm = unknown.caller.comm.map(|c| c as u8);
                (text::escape(text::until_nul(&comm)), unknown.caller.pid, unknown.calls)
            })
            .collect();
        callers.sort_by_key(|(_, pid, calls)| (std::cmp::Reverse(*calls), *pid));
        callers
    }
}

/// The processes whose memory `pid` has open, by their numbers here.
fn opened_by(pid: i32) -> Vec<i32> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let links = entries.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.filter_map(|link| memory_of(link.to_str()?)).collect()
}

/// The process whose memory a path below some /proc shows: `/proc/7/mem`, or of a thread `/proc/7/task/9/mem`.
fn memory_of(path: &str) -> Option<i32> {
    let mut words = path.strip_suffix("/mem")?.rsplit('/');
    let last = words.next()?;
    match words.next()? {
        "task" => words.next()?.parse().ok(),
        _ => last.parse().ok(),
    }
}

/// The gaps that follow.
pub fn gaps(programs: &Programs) -> Vec<String> {
    let mut gaps = Vec::new();
    if programs.mem_by_exit() {
        let when = match programs.entries_refused() {
            Some(reason) => format!("not when it begins ({reason})"),
            None => "of processes known to have such a file open also when it begins".to_string(),
        };
        gaps.push(format!(
            "mem: the file behind a descriptor is looked up when the call returns, {when}: where another thread replaces it \
             in between, the row says so (iov_verdict = conflict), or the call is counted as unknown; one swapped and \
             swapped back is not noticed, nor a file that came by recvmmsg or io_uring before its first call"
        ));
    }
    let callers = programs.unknown_calls();
    gaps.extend(callers.iter().take(NAMED).map(|(comm, pid, calls)| {
        format!(
            "mem: {calls} reads or writes of {comm} (pid {pid}) may have been of /proc/PID/mem: it had such a file open, \
             shares its descriptors between threads, and these calls were looked at only when they returned"
        )
    }));
    if callers.len() > NAMED {
        gaps.push(format!("mem: the same holds for calls of {} more processes", callers.len() - NAMED));
    }
    gaps
}

/// Processes named one by one.
const NAMED: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_recognised_by_its_path() {
        assert_eq!(memory_of("/proc/7/mem"), Some(7));
        assert_eq!(memory_of("/mnt/proc/7/task/9/mem"), Some(7));
        for other in ["/dev/mem", "/proc/7/maps", "/proc/self/mem", "mem", "/mem", "/proc/7/mem (deleted)"] {
            assert_eq!(memory_of(other), None, "{other}");
        }
    }

    #[test]
    fn an_open_memory_is_found() {
        let pid = std::process::id() as i32;
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        assert!(opened_by(pid).contains(&pid));
        drop(memory);
    }
}
