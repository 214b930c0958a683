"""The machine, and the versions of everything that has a part in the numbers."""

import datetime
import os
import platform
import re
import subprocess
from pathlib import Path

from harness import table

ROOT = Path(__file__).resolve().parents[2]


def first_line(command, pattern=r".*"):
    """What a program says of its version, or that it is missing."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    except FileNotFoundError:
        return "not installed"
    found = re.search(pattern, ran.stdout or ran.stderr)
    return found[0].strip() if found else "unknown"


def cpu():
    info = Path("/proc/cpuinfo").read_text()
    return re.search(r"model name\s*: (.*)", info)[1]


def mitigations():
    """Those that make calls into the kernel, and indirect jumps in it, dearer."""
    told = []
    for name in ("spectre_v2", "spec_rstack_overflow", "retbleed", "meltdown"):
        path = Path("/sys/devices/system/cpu/vulnerabilities") / name
        if path.exists():
            told.append(f"{name}: {path.read_text().strip()}")
    return "; ".join(told)


PACKAGES = "import duckdb, pandas; print(f'duckdb {duckdb.__version__}, pandas {pandas.__version__}')"


def facts(settings):
    """The table of the document."""
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1]
    commit = first_line(["git", "describe", "--always", "--dirty", "--exclude", "*"])
    virtual = ", in a virtual machine" if re.search(r"^flags.*\bhypervisor\b", Path("/proc/cpuinfo").read_text(), re.M) else ""
    lines = [
        ["date", datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")],
        ["processor", f"{cpu()}, {os.cpu_count()} CPUs{virtual}"],
        ["memory", f"{int(memory) / (1 << 20):.1f} GiB"],
        ["kernel", f"{platform.release()} {platform.version()}"],
        ["mitigations", mitigations()],
        ["vmtrace", f"{first_line([settings.program('vmtrace'), '--version'])}, commit {commit}"],
        ["compilers", f"{first_line(['rustc', '--version'])}; {first_line(['clang', '--version'])}; {first_line(['gcc', '--version'])}"],
        ["peers", "; ".join([first_line(["perf", "--version"]), first_line(["bpftrace", "--version"]), first_line(["strace", "--version"])])],
        ["Python", f"{platform.python_version()}; {first_line([settings.python, '-c', PACKAGES])}"],
    ]
    return table(["what", "version"], lines)
