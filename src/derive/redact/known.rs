//! Names that say nothing about whose machine it is, and stay at the level `share`. docs/redaction.md lists them.
//!
//! An allow-list: what is not in it is replaced.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Programs, as names of threads, of files and as the first word of a command line.
pub const PROGRAMS: &[&str] = &[
    "awk",
    "bash",
    "busybox",
    "cat",
    "chmod",
    "chown",
    "clang",
    "containerd",
    "containerd-shim",
    "cp",
    "criu",
    "cron",
    "curl",
    "cut",
    "dash",
    "date",
    "dbus-daemon",
    "dd",
    "df",
    "dmesg",
    "docker",
    "dockerd",
    "du",
    "echo",
    "env",
    "false",
    "find",
    "gcc",
    "gcore",
    "gdb",
    "gdbserver",
    "git",
    "go",
    "grep",
    "gunzip",
    "gzip",
    "head",
    "hostname",
    "iconv",
    "id",
    "init",
    "java",
    "journalctl",
    "kill",
    "ld.so",
    "less",
    "lldb",
    "ln",
    "locale",
    "ls",
    "lsof",
    "ltrace",
    "make",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mount",
    "mpiexec",
    "mpirun",
    "mv",
    "nc",
    "nginx",
    "node",
    "objdump",
    "od",
    "openssl",
    "orted",
    "perf",
    "perl",
    "php",
    "ping",
    "pkill",
    "podman",
    "postgres",
    "ps",
    "pwd",
    "py-spy",
    "python",
    "python3",
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.14",
    "readlink",
    "redis-server",
    "rm",
    "rmdir",
    "rr",
    "rsync",
    "ruby",
    "runc",
    "rustc",
    "cargo",
    "screen",
    "sed",
    "sh",
    "sha256sum",
    "sleep",
    "socat",
    "sort",
    "ssh",
    "sshd",
    "stat",
    "strace",
    "stress-ng",
    "su",
    "sudo",
    "systemctl",
    "systemd",
    "systemd-journal",
    "systemd-journald",
    "systemd-logind",
    "systemd-udevd",
    "tail",
    "tar",
    "taskset",
    "tee",
    "test",
    "timeout",
    "tmux",
    "top",
    "touch",
    "tr",
    "true",
    "uname",
    "uniq",
    "valgrind",
    "vim",
    "vmtrace",
    "watch",
    "wc",
    "wget",
    "which",
    "xargs",
    "xz",
    "yes",
    "zsh",
    "zstd",
];

/// Libraries.
pub const LIBRARIES: &[&str] = &[
    "ld-linux-x86-64.so.2",
    "ld-linux.so.2",
    "ld-musl-x86_64.so.1",
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "libstdc++.so.6",
];

/// Directories and files that every system has.
pub const PLACES: &[&str] = &[
    "bin",
    "boot",
    "cgroup",
    "dev",
    "dist-packages",
    "etc",
    "fd",
    "full",
    "hugepages",
    "home",
    "lib",
    "lib32",
    "lib64",
    "libexec",
    "local",
    "media",
    "mnt",
    "mqueue",
    "null",
    "opt",
    "proc",
    "ptmx",
    "pts",
    "random",
    "root",
    "run",
    "sbin",
    "self",
    "thread-self",
    "share",
    "shm",
    "site-packages",
    "src",
    "srv",
    "sys",
    "tmp",
    "tty",
    "urandom",
    "usr",
    "user",
    "var",
    "cache",
    "log",
    "spool",
    "x86_64-linux-gnu",
    "i386-linux-gnu",
    "zero",
];

/// Files of /proc/PID.
pub const OF_A_PROCESS: &[&str] = &[
    "auxv",
    "cgroup",
    "cmdline",
    "comm",
    "cwd",
    "environ",
    "exe",
    "fd",
    "fdinfo",
    "io",
    "limits",
    "map_files",
    "maps",
    "mem",
    "mountinfo",
    "mounts",
    "ns",
    "pagemap",
    "root",
    "smaps",
    "stack",
    "stat",
    "statm",
    "status",
    "syscall",
    "task",
    "wchan",
];

/// Units and directories of cgroups.
pub const CGROUPS: &[&str] = &[
    "app.slice",
    "background.slice",
    "docker",
    "init.scope",
    "kubepods",
    "kubepods.slice",
    "kubepods-besteffort.slice",
    "kubepods-burstable.slice",
    "libpod_parent",
    "lxc.payload",
    "machine",
    "machine.slice",
    "session.slice",
    "system.slice",
    "user.slice",
];

/// What stands before the id of a container in the name of its scope.
pub const RUNTIMES: &[&str] = &["docker", "libpod", "cri-containerd", "crio", "lxc.payload", "machine", "nerdctl"];

/// Endings of names that say what a file is.
pub const ENDINGS: &[&str] = &[
    "bin", "c", "cfg", "conf", "cpp", "csv", "dat", "db", "dump", "fifo", "h", "html", "img", "ini", "jar", "js",
    "json", "lock", "log", "md", "mount", "out", "parquet", "partial", "pcap", "pid", "pl", "png", "py", "pyc", "rb",
    "rs", "scope", "service", "sh", "slice", "so", "sock", "socket", "sql", "target", "tmp", "toml", "txt", "xml",
    "yaml", "yml",
];

/// Files without a name of their own: `anon_inode:[WORD]`, `anon_inode:WORD`.
pub const ANONYMOUS: &[&str] = &[
    "bpf-link",
    "bpf-map",
    "bpf-prog",
    "bpf_iter",
    "btf",
    "dma-buf",
    "eventfd",
    "eventpoll",
    "fanotify",
    "fscontext",
    "fuse",
    "inotify",
    "io_uring",
    "iommufd",
    "kvm-vcpu",
    "kvm-vm",
    "landlock-ruleset",
    "mount",
    "perf_event",
    "pidfd",
    "secretmem",
    "seccomp notify",
    "signalfd",
    "sync_file",
    "timerfd",
    "userfaultfd",
];

/// What a number in brackets counts: `WORD:[N]`.
pub const NUMBERED: &[&str] =
    &["cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "pipe", "socket", "time", "user", "uts"];

/// Uids that stay: root, and nobody of Debian and of the kernel (overflowuid(5)).
pub const USERS: &[u32] = &[0, 65_534, u32::MAX];

/// IP addresses that stay: loopback, and no address at all.
pub const NETWORK: &[&str] = &["127.0.0.1", "0.0.0.0", "::1", "::"];

static WORDS: LazyLock<HashSet<&str>> =
    LazyLock::new(|| [PROGRAMS, LIBRARIES, PLACES].iter().flat_map(|list| list.iter().copied()).collect());

/// Whether a name of a program, a library or a place is well known.
pub fn is_known(name: &str) -> bool {
    WORDS.contains(name)
}

/// The ending of a file's name, without its dot, if it is well known. Numbers of versions behind `.so` are passed over.
pub fn ending(name: &str) -> Option<&str> {
    let name = match name.rfind(".so.") {
        Some(at) if name.get(at + 4..).is_some_and(|v| v.bytes().all(|b| b.is_ascii_digit() || b == b'.')) => {
            name.get(..at + 3)?
        }
        Some(_) | None => name,
    };
    let (front, ending) = name.rsplit_once('.')?;
    (!front.is_empty() && ENDINGS.contains(&ending)).then_some(ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_kept_where_they_are_known() {
        let of = ["libfoo.so.1.2", "a.py", "secret.com", ".conf", "x.so.evil", "noend", "a.tar.gz"].map(ending);
        assert_eq!(of, [Some("so"), Some("py"), None, None, None, None, None]);
    }

    #[test]
    fn nothing_in_the_list_can_be_a_secret_number() {
        let all = [PROGRAMS, LIBRARIES, PLACES, OF_A_PROCESS, CGROUPS];
        assert!(all.iter().flat_map(|list| list.iter()).all(|name| !name.bytes().all(|b| b.is_ascii_digit())));
        assert!(is_known("python3") && is_known("libc.so.6") && !is_known("victim"));
    }
}
