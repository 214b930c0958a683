#!/usr/bin/python3
"""Starts the program of a unit as systemd does, as far as its settings can stand in the recorder's way: user, capabilities,
system calls, a file system that is read-only but for the service's directory, no network, no memory that is writable and then
executable.

    confine.py ROOT UNIT NAME=VALUE...

ROOT is the system's root, with /proc, /sys and /dev in it, in a mount namespace that may be changed; UNIT is the unit's path
in it; variables are those of the program.
"""

import ctypes
import errno
import os
import subprocess
import sys
from pathlib import Path

import seccomp

PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1


def settings(path):
    """Assignments of a unit file; the last one of a name counts, and none of ours stands twice."""
    lines = [line.split("=", 1) for line in Path(path).read_text().splitlines()]
    return {line[0]: line[1] for line in lines if len(line) == 2 and line[0].isalpha()}


def mount(*words):
    subprocess.run(["mount", *map(str, words)], check=True)


def read_only(root, directory):
    """ProtectSystem=strict, StateDirectory=, PrivateTmp=."""
    mount("--bind", root / directory, root / directory)
    mount("-t", "tmpfs", "tmpfs", root / "tmp")
    mount("-o", "remount,bind,ro", root)


def groups():
    """Members of systemd's groups of system calls, those of groups in them included."""
    text = subprocess.run(["systemd-analyze", "syscall-filter"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    found, group = {}, ""
    for line in text.splitlines():
        if line.startswith("@"):
            group = line.strip()
            found[group] = []
        elif line.strip() and not line.strip().startswith("#"):
            found[group].append(line.strip())
    return found


def expand(names, found):
    calls = set()
    for name in names:
        calls |= expand(found[name], found) if name.startswith("@") else {name}
    return calls


def allow_only(unit):
    """SystemCallFilter=, SystemCallErrorNumber=, SystemCallArchitectures=."""
    calls = expand(["@default", *unit["SystemCallFilter"].split()], groups())
    filter = seccomp.SyscallFilter(seccomp.ERRNO(getattr(errno, unit["SystemCallErrorNumber"])))
    for name in unit["SystemCallArchitectures"].split():
        if name != "native":
            filter.add_arch({"x86": seccomp.Arch.X86}[name])
    for name in sorted(calls):
        try:
            filter.add_rule(seccomp.ALLOW, name)
        except RuntimeError:
            # A call of another architecture.
            pass
    filter.load()


def main():
    root, variables = Path(sys.argv[1]), dict(word.split("=", 1) for word in sys.argv[3:])
    unit = settings(root / sys.argv[2].lstrip("/"))
    assert unit["ProtectSystem"] == "strict" and unit["PrivateNetwork"] == "yes"
    read_only(root, f"var/lib/{unit['StateDirectory']}")
    os.chroot(root)
    os.chdir("/")
    os.umask(int(unit["UMask"], 8))
    capabilities = "-all" + "".join(f",+{name.removeprefix('CAP_').lower()}" for name in unit["CapabilityBoundingSet"].split())
    assert unit["AmbientCapabilities"] == unit["CapabilityBoundingSet"] and unit["NoNewPrivileges"] == "yes"
    words = ["setpriv", f"--reuid={unit['User']}", f"--regid={unit['Group']}", "--clear-groups", "--no-new-privs"]
    words += [f"--{kind}={capabilities}" for kind in ("bounding-set", "inh-caps", "ambient-caps")]
    if unit["MemoryDenyWriteExecute"] == "yes":
        # Kernels before 6.3 have no such thing; systemd does it with a filter.
        ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)
    allow_only(unit)
    os.execvpe(words[0], [*words, *unit["ExecStart"].split()], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"} | variables)


if __name__ == "__main__":
    main()
