//! Facts of the running system that affect recording, read from /proc and /sys.

use std::fs::read_to_string;
use std::path::Path;

use serde::Serialize;

/// A capability (capabilities(7)).
#[derive(Debug, Serialize)]
pub struct Capability {
    /// Its name.
    pub name: &'static str,
    /// Whether this process has it effectively.
    pub present: bool,
    /// What vmtrace needs it for.
    pub serves: &'static str,
}

/// A setting of the kernel.
#[derive(Debug, Serialize)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// Its value; null where this kernel has no such setting or does not show it.
    pub value: Option<String>,
    /// What the value means here.
    pub meaning: Option<&'static str>,
}

/// Names, numbers (include/uapi/linux/capability.h) and uses.
const CAPABILITIES: [(&str, u32, &str); 5] = [
    ("CAP_BPF", 39, "to load BPF programs"),
    ("CAP_PERFMON", 38, "to attach them to the kernel"),
    ("CAP_SYS_PTRACE", 19, "to see processes of other users"),
    ("CAP_SYS_RESOURCE", 24, "to raise the limit of locked memory, before Linux 5.11"),
    ("CAP_SYS_ADMIN", 21, "stands for CAP_BPF and CAP_PERFMON"),
];

/// A setting's name and file, and what its values mean.
type SettingSpec = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const SETTINGS: [SettingSpec; 5] = [
    (
        "lockdown",
        "/sys/kernel/security/lockdown",
        &[
            ("none", "nothing is locked down"),
            ("integrity", "BPF programs may read, not write user memory"),
            ("confidentiality", "BPF programs may not read kernel memory: recording is impossible"),
        ],
    ),
    (
        "kernel.unprivileged_bpf_disabled",
        "/proc/sys/kernel/unprivileged_bpf_disabled",
        &[
            ("0", "some BPF programs need no privileges; those of vmtrace do"),
            ("1", "BPF needs privileges, until the next boot"),
            ("2", "BPF needs privileges"),
        ],
    ),
    (
        "kernel.kptr_restrict",
        "/proc/sys/kernel/kptr_restrict",
        &[
            ("0", "kernel addresses are shown"),
            ("1", "kernel addresses are shown with CAP_SYSLOG"),
            ("2", "kernel addresses are hidden"),
        ],
    ),
    (
        "kernel.yama.ptrace_scope",
        "/proc/sys/kernel/yama/ptrace_scope",
        &[
            ("0", "a process may trace others of its user"),
            ("1", "a process may trace its descendants"),
            ("2", "only CAP_SYS_PTRACE may trace"),
            ("3", "nobody may trace"),
        ],
    ),
    (
        "kernel.io_uring_disabled",
        "/proc/sys/kernel/io_uring_disabled",
        &[
            ("0", "everyone may use io_uring"),
            ("1", "only CAP_SYS_ADMIN and one group may use io_uring"),
            ("2", "nobody may use io_uring"),
        ],
    ),
];

/// Release of the running kernel; empty where /proc is not mounted.
pub fn release() -> String {
    line("/proc/sys/kernel/osrelease").unwrap_or_default()
}

/// Whether the kernel has BTF.
pub fn has_btf() -> bool {
    Path::new("/sys/kernel/btf/vmlinux").exists()
}

/// Effective user id.
pub fn uid() -> Option<u32> {
    status_field("Uid")?.split_whitespace().nth(1)?.parse().ok()
}

/// The capabilities that recording can need.
pub fn capabilities() -> Vec<Capability> {
    let effective = status_field("CapEff").and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    let capability = |(name, bit, serves): (&'static str, u32, &'static str)| Capability {
        name,
        present: effective >> bit & 1 == 1,
        serves,
    };
    CAPABILITIES.map(capability).into()
}

/// The settings that bear on recording.
pub fn settings() -> Vec<Setting> {
    let setting = |(name, path, known): SettingSpec| {
        let value = line(path).map(|text| chosen(&text).to_string());
        let meaning = known.iter().find(|(v, _)| value.as_deref() == Some(*v)).map(|(_, meaning)| *meaning);
        Setting { name, value, meaning }
    };
    SETTINGS.map(setting).into()
}

/// Of `none [integrity] confidentiality` the word in brackets.
fn chosen(text: &str) -> &str {
    let inside = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inside.map_or(text, |(word, _)| word)
}

fn line(path: &str) -> Option<String> {
    read_to_string(path).ok().map(|text| text.trim().to_string())
}

fn status_field(name: &str) -> Option<String> {
    let status = read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_string))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_word_stands_in_brackets() {
        assert_eq!(chosen("none [integrity] confidentiality"), "integrity");
        assert_eq!(chosen("2"), "2");
        assert_eq!(chosen("]["), "][");
    }

    #[test]
    fn this_process_has_a_user_and_a_kernel() {
        assert_eq!(uid(), Some(own_uid()));
        assert!(release().contains('.'));
    }

    /// The owner of what this process creates.
    fn own_uid() -> u32 {
        use std::os::unix::fs::MetadataExt;
        tempfile::tempfile().unwrap().metadata().unwrap().uid()
    }
}
