"""Calls that move more bytes, against the least that BPF can do for the same bytes (floor/)."""

import json

from harness import Row, Section, alternate, bare, cost_table, execute, ratio, sample_of, say, vmtrace_side

TRACEPOINTS = {"VMTRACE_DISABLE_PROBES": "function"}
WHY = "[why](performance.md#where-the-goals-are-missed)"
# Large enough that neither side loses: one that does has less to do.
RING = 512 << 20

# What is called: kind, calls, bytes that are kept of each call, what it is.
CASES = [
    ("writev", 60_000, 4096, "4 KiB process_vm_writev, 4 KiB kept"),
    ("gather", 60_000, 1024, "process_vm_writev gathering 16 segments, 1 KiB"),
    ("vmsplice", 40_000, 4096, "vmsplice of a page and the read behind it, 4 KiB kept of each"),
]


def floor(settings, program, words, ring=64 << 20):
    """`calls` under a program of floor/, with a ring of so many bytes."""
    command = [settings.program("floor"), program, ring, settings.program("calls"), *words]
    ran = execute([str(word) for word in command], "floor")
    told = json.loads(ran.stderr.strip().splitlines()[-1])
    sample = sample_of(ran.stdout)
    events = max(1, len(sample.said["calls"]))
    if program != "floor_empty":
        sample.expected, sample.recorded = sample.made * events, min(told["records"], sample.made * events)
    return sample


def measure(settings):
    sections = []
    for kind, calls, kept, name in CASES:
        say(f"the floor of {name}")
        words = [kind, str(settings.few(calls, 100))]
        sides = {
            "bare": lambda: bare(settings, *words),
            "least BPF program": lambda: floor(settings, f"floor_{kind}", words, RING),
            "vmtrace record": vmtrace_side(settings, ["-s", str(kept), "--buffer-size", str(RING)], words, TRACEPOINTS),
        }
        samples = alternate(settings.few(7, 1), sides)
        section = Section(f"{name}, tracepoint tier, against the least BPF program")
        how = f"caller's CPU time, median of {len(samples['bare'])} rounds, sides alternating, rings of 512 MiB"
        ours = ratio(samples, "vmtrace record", "least BPF program")
        section.rows = [Row(name, ours, "{:.2f} × floor", how, 1.3, why=WHY)]
        cost_table(section, samples, "bare")
        sections.append(section)
    return sections
