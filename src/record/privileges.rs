//! Capabilities (capabilities(7)): names the one that is missing when a recording cannot start, and drops those that
//! are no longer needed once it has started.
//!
//! Each thread has its own. COMMAND inherits those of the main thread, which therefore keeps all until COMMAND is
//! started.

use std::fs::File;
use std::io;

use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs};

use crate::terminal::say_line;

/// What looking up executables and command lines of others takes (proc(5), ptrace access mode READ_FSCREDS).
pub const IDENTIFY: CapabilitySet = CapabilitySet::SYS_PTRACE;

/// Nothing: records are taken from memory that is mapped already.
pub const DRAIN: CapabilitySet = CapabilitySet::empty();
/// Commands that have none: taking them from the bounding set, becoming another user, and ending what is that user's.
pub const RUN: CapabilitySet =
    CapabilitySet::SETPCAP.union(CapabilitySet::SETUID).union(CapabilitySet::SETGID).union(CapabilitySet::KILL);
/// Shows rows.
pub const SHOW: CapabilitySet = CapabilitySet::empty();

/// Renaming the finished file in a directory that is not ours to write.
pub const PUBLISH: CapabilitySet = CapabilitySet::DAC_OVERRIDE;

/// Replacing the file of another user in a directory with the sticky bit.
pub const REPLACE: CapabilitySet = CapabilitySet::FOWNER;

/// Giving a finished file to the user who has to read it.
pub const GIVE: CapabilitySet = CapabilitySet::CHOWN;

/// Reading BPF maps, which takes a capability before Linux 5.19 with kernel.unprivileged_bpf_disabled: CAP_BPF, or
/// CAP_SYS_ADMIN where we have that alone.
pub fn read_maps() -> CapabilitySet {
    let bpf = effective() & CapabilitySet::BPF;
    if bpf.is_empty() { CapabilitySet::SYS_ADMIN } else { bpf }
}

/// The number of CAP_BPF, which came with CAP_PERFMON in Linux 5.8 (include/uapi/linux/capability.h).
const NUMBER_OF_BPF: u32 = 39;

fn effective() -> CapabilitySet {
    capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective)
}

/// Of the capabilities that loading and attaching takes, those that are missing. CAP_SYS_ADMIN stands for both.
fn missing_to_load(held: CapabilitySet, kernel_has_bpf: bool) -> Vec<&'static str> {
    let needed = [(CapabilitySet::BPF, "CAP_BPF"), (CapabilitySet::PERFMON, "CAP_PERFMON")];
    match (held.contains(CapabilitySet::SYS_ADMIN), kernel_has_bpf) {
        (true, _) => Vec::new(),
        (false, false) => vec!["CAP_SYS_ADMIN"],
        (false, true) => needed.iter().filter(|(cap, _)| !held.contains(*cap)).map(|(_, name)| *name).collect(),
    }
}

/// Why the kernel refused BPF programs, and the remedy; one sentence.
pub fn refusal() -> String {
    let last = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap_or_default();
    let kernel_has_bpf = last.trim().parse().is_ok_and(|last: u32| last >= NUMBER_OF_BPF);
    let missing = missing_to_load(effective(), kernel_has_bpf);
    let all = if kernel_has_bpf { "CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE" } else { "CAP_SYS_ADMIN" };
    let named = match missing.as_slice() {
        [] => return REFUSED_ANYWAY.to_string(),
        [one] => format!("{one} is"),
        more => format!("{} are", more.join(" and ")),
    };
    format!("no permission to load BPF programs, {named} missing: run as root, or with {all}")
}

const REFUSED_ANYWAY: &str = "no permission to load BPF programs though no capability is missing: run outside of \
                              containers and user namespaces, without kernel lockdown, and before Linux 5.11 with \
                              CAP_SYS_RESOURCE or `ulimit -l unlimited`";

/// What a recording cannot see without a capability, as the capture reports it. Call it before any is dropped.
pub fn gaps() -> Vec<String> {
    let gap = "CAP_SYS_PTRACE is missing: executables and command lines of other users' processes are not known";
    (!effective().contains(IDENTIFY)).then(|| gap.to_string()).into_iter().collect()
}

/// Opens a file of /proc/self, which is root's for a program that got capabilities from its file (proc(5),
/// PR_SET_DUMPABLE): it is ours for that moment. Processes with fewer capabilities cannot trace us meanwhile, either.
pub fn open_own(path: &str) -> io::Result<File> {
    if dumpable_behavior()? == DumpableBehavior::Dumpable {
        return File::open(path);
    }
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    let file = File::open(path);
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    file
}

/// Gives up all capabilities of the calling thread but `keep`, for good: a program that it executes gets no others.
/// A failure is said, and ends nothing.
pub fn keep_only(keep: CapabilitySet) {
    let lower = || {
        let held = capabilities(None)?;
        let (effective, permitted) = (held.effective & keep, held.permitted & keep);
        set_no_new_privs(true)?;
        set_capabilities(None, CapabilitySets { effective, permitted, inheritable: CapabilitySet::empty() })
    };
    if let Err(error) = lower() {
        say_line(format_args!("a thread keeps capabilities that it does not need: {error}"));
    }
}

/// A thing that has to be done later, and what it may take.
pub type Probe<'a> = (&'a dyn Fn() -> bool, CapabilitySet);

/// What the calling thread needs for `probes`: each is tried with no capability in effect, and says whether that will do.
pub fn needed_for(probes: &[Probe<'_>]) -> CapabilitySet {
    let all = probes.iter().fold(CapabilitySet::empty(), |all, (_, cap)| all | *cap);
    let Ok(held) = capabilities(None) else { return all };
    let in_effect = |effective| set_capabilities(None, CapabilitySets { effective, ..held });
    if in_effect(CapabilitySet::empty()).is_err() {
        return all;
    }
    let failed = probes.iter().filter(|(works, _)| !works()).fold(CapabilitySet::empty(), |all, (_, cap)| all | *cap);
    match in_effect(held.effective) {
        Ok(()) => failed,
        Err(_) => all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_capabilities_are_named() {
        let (bpf, perfmon) = (CapabilitySet::BPF, CapabilitySet::PERFMON);
        assert_eq!(missing_to_load(CapabilitySet::empty(), true), ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(missing_to_load(perfmon, true), ["CAP_BPF"]);
        assert_eq!(missing_to_load(bpf, true), ["CAP_PERFMON"]);
        assert_eq!(missing_to_load(bpf | perfmon, true), [""; 0]);
        assert_eq!(missing_to_load(CapabilitySet::SYS_ADMIN, true), [""; 0]);
        assert_eq!(missing_to_load(bpf | perfmon, false), ["CAP_SYS_ADMIN"]);
    }

    #[test]
    fn what_works_without_needs_nothing() {
        let before = capabilities(None).unwrap();
        let (yes, no) = (|| true, || false);
        assert_eq!(needed_for(&[(&yes, CapabilitySet::BPF), (&no, IDENTIFY)]), IDENTIFY);
        assert_eq!(capabilities(None).unwrap(), before, "tried, not given up");
        let without = || effective().is_empty();
        assert_eq!(needed_for(&[(&without, CapabilitySet::BPF)]), CapabilitySet::empty());
    }

    #[test]
    fn a_thread_gives_up_its_own() {
        let before = capabilities(None).unwrap();
        let kept = std::thread::spawn(|| {
            keep_only(IDENTIFY);
            capabilities(None).unwrap()
        });
        let kept = kept.join().unwrap();
        assert_eq!((kept.permitted, kept.effective), (before.permitted & IDENTIFY, before.effective & IDENTIFY));
        assert_eq!(kept.inheritable, CapabilitySet::empty());
        assert_eq!(capabilities(None).unwrap(), before, "another thread's are untouched");
    }
}
