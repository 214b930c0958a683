"""The function tier, in an emulated guest with the newest kernel (tests/guests): this machine's own kernel may refuse function
hooks. Emulation makes traps and trampolines many times dearer than on a processor: what holds there is the order, and what is
lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

from harness import Failed, Row, Section, Settings, alternate, bare, cost_table, ratio, record, say, vmtrace_side

ROOT = Path(__file__).resolve().parents[2]
TIERS = {"function tier": {}, "tracepoint tier": {"VMTRACE_DISABLE_PROBES": "function"}}
WHY = "[why](performance.md#where-the-goals-are-missed)"


def inside(settings):
    """Runs in the guest; prints Markdown and numbers as one line of JSON."""
    _, manifest = record(settings, [], [settings.program("calls"), "readv", "1"])
    tier = next(family["tier"] for family in manifest["families"] if family["family"] == "vm")
    if tier != "function":
        raise Failed(f"this kernel serves @vm by its {tier} tier")
    told = {"kernel": os.uname().release, "tables": [], "ratios": {}}
    for kind, calls in (("readv", 20_000), ("getppid", 200_000)):
        words = [kind, str(calls)]
        sides = {"bare": lambda: bare(settings, *words)}
        sides |= {tier: vmtrace_side(settings, [], words, env) for tier, env in TIERS.items()}
        samples = alternate(5, sides)
        section = Section(kind)
        cost_table(section, samples, "bare")
        told["tables"] += [f"{kind}, 5 rounds of {calls:,} calls:", *section.text]
        told["ratios"][kind] = {tier: ratio(samples, tier, "bare") for tier in TIERS}
    print(json.dumps(told))


def measure(settings):
    say("the function tier, in a guest")
    run = ROOT / "tests/guests/run"
    command = [run, "newest", "--", sys.executable, Path(__file__), settings.programs]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    told = next((line for line in ran.stdout.splitlines() if line.startswith('{"kernel"')), None)
    if ran.returncode != 0 or not told:
        raise Failed(f"tests/guests/run newest: status {ran.returncode}: {ran.stdout[-1500:]}{ran.stderr[-1500:]}")
    told = json.loads(told)
    section = Section(f"Function tier, Linux {told['kernel']}, **emulated** (QEMU TCG, 2 CPUs)")
    how = f"CPU time, median of 5 rounds, Linux {told['kernel']} emulated"
    readv, other = (told["ratios"][kind]["function tier"] for kind in ("readv", "getppid"))
    section.rows = [
        Row("64 B process_vm_readv recorded to disk, function tier, emulated", readv, "{:.2f} × bare", how, 1.6, why=WHY),
        Row("unrelated syscall (getppid) while recording, function tier, emulated", other, "{:.2f} × bare", how, 1.02, why=WHY),
    ]
    section.text += told["tables"]
    return [section]


if __name__ == "__main__":
    inside(Settings(Path(sys.argv[1]), Path("/tmp"), False))
