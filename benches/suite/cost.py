"""What recording costs a program that does nothing but process_vm_readv, against other recorders; and one whose syscalls are
none of vmtrace's business."""

import json
import subprocess
import threading
import time

import peers
from floors import floor
from harness import Row, Section, alternate, bare, cost_table, ratio, say, vmtrace_side

TRACEPOINTS = {"VMTRACE_DISABLE_PROBES": "function"}
WHY_READV = "[why](performance.md#where-the-goals-are-missed)"


def reads(settings):
    """64-byte reads: vmtrace, the floor, and its peers."""
    say("64-byte reads against other recorders")
    words = ["readv", str(settings.few(300_000, 200))]
    sides = {
        "bare": lambda: bare(settings, *words),
        "empty BPF program": lambda: floor(settings, "floor_empty", words),
        "least BPF program": lambda: floor(settings, "floor_readv", words),
        "vmtrace record": vmtrace_side(settings, [], words, TRACEPOINTS),
    }
    for name, side in peers.SIDES.items():
        sides[name] = lambda side=side: side(settings)
    samples = alternate(settings.few(7, 1), sides)
    ours, perf = (ratio(samples, side, "bare") for side in ("vmtrace record", "perf record, 2 tracepoints"))
    wall, perf_wall = (ratio(samples, s, "bare", "elapsed_ns") for s in ("vmtrace record", "perf record, 2 tracepoints"))
    section = Section("64-byte process_vm_readv, one thread at full speed, tracepoint tier")
    rounds = len(samples["bare"])
    how = f"caller's CPU time, median of {rounds} rounds, sides alternating"
    section.rows = [
        Row("64 B process_vm_readv recorded to disk, tracepoint tier", ours, "{:.2f} × bare", how, 1.6, why=WHY_READV),
        Row("the same against `perf record`", ours / perf, "{:.2f} × perf", how, 1.0, why=WHY_READV),
        Row("the same in time that passes", wall / perf_wall, "{:.2f} × perf", "both ratios to bare, same rounds"),
    ]
    cost_table(section, samples, "bare")
    section.text.append(
        "perf record keeps registers and results, no iovecs and no bytes; bpftrace (benches/suite/reads.bt), strace (-s 64) and the "
        "least BPF program keep one iovec of each side and 64 bytes; vmtrace keeps a complete row (docs/FORMAT.md) and a journal. "
        "The last column is the share of events that is not in a side's file: a recorder spends no time on events that it loses."
    )
    return section


def unrelated(settings):
    """getppid, which nobody asked for."""
    say("an unrelated syscall")
    words = ["getppid", str(settings.few(2_000_000, 2000))]
    sides = {
        "bare": lambda: bare(settings, *words),
        "empty BPF program": lambda: floor(settings, "floor_empty", words),
        "vmtrace record": vmtrace_side(settings, [], words, TRACEPOINTS),
    }
    samples = alternate(settings.few(9, 1), sides)
    section = Section("getppid while recording, tracepoint tier")
    how = f"CPU time, median of {len(samples['bare'])} rounds, sides alternating"
    ours, least = (ratio(samples, side, "bare") for side in ("vmtrace record", "empty BPF program"))
    section.rows = [
        Row("unrelated syscall (getppid) while recording, tracepoint tier", ours, "{:.2f} × bare", how, 1.35, why=WHY_READV),
        Row("the same with an empty BPF program at the same hook", least, "{:.2f} × bare", "the floor of this machine"),
    ]
    cost_table(section, samples, "bare")
    return section


def programs(settings):
    """Where the time in the kernel goes: run_time_ns of the BPF programs, a run of its own, since counting costs."""
    say("time in BPF programs")
    words = ["readv", str(settings.few(300_000, 200))]
    sides = {
        "vmtrace record": vmtrace_side(settings, [], words, TRACEPOINTS),
        "least BPF program": lambda: floor(settings, "floor_readv", words),
        "empty BPF program": lambda: floor(settings, "floor_empty", words),
    }
    section = Section("Time in the BPF program at the exit of syscalls, by the kernel's own count")
    section.table(["side", "ns for a run", "runs"], [[name, *program_time(side)] for name, side in sides.items()])
    section.text.append("Measured with kernel.bpf_stats_enabled, which itself reads the clock twice per run.")
    return section


def loaded():
    """All BPF programs of the machine, as bpftool has them."""
    listed = subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, text=True, check=False)
    return json.loads(listed.stdout or "[]")


def program_time(side):
    """ns for a run, and runs, of the busiest program while `side` runs."""
    switch = "/proc/sys/kernel/bpf_stats_enabled"
    with open(switch) as file:
        before = file.read()
    most, done = {}, threading.Event()
    others = {program["id"] for program in loaded()}

    def watch():
        while not done.is_set():
            for program in loaded():
                if program["id"] in others:
                    continue
                if program.get("run_cnt", 0) > most.get(program["id"], {}).get("run_cnt", 0):
                    most[program["id"]] = program
            time.sleep(0.02)

    def write(value):
        with open(switch, "w") as file:
            file.write(value)

    write("1")
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        side()
    finally:
        done.set()
        watcher.join()
        write(before)
    busiest = max(most.values(), key=lambda program: program["run_cnt"], default={"run_cnt": 0})
    runs = busiest["run_cnt"]
    return [f"{busiest['run_time_ns'] / runs:.0f}" if runs else "–", f"{runs:,}"]


def measure(settings):
    return [reads(settings), unrelated(settings), programs(settings)]
