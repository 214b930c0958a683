"""Other recorders of the same calls, each as a side: what it was told to record, and how many of the calls are in its file."""

import re

from harness import SUITE, Failed, calls_of, execute, sample_of

EVENT = "process_vm_readv"


def calls_for(settings, full):
    return ["readv", str(settings.few(full, 200))]


def perf_record(settings):
    """Both tracepoints, every event, to a file: registers and results, no iovecs, no bytes."""
    data = settings.scratch / "perf.data"
    command = [settings.program("calls"), *calls_for(settings, 300_000)]
    events = [word for half in ("enter", "exit") for word in ("-e", f"syscalls:sys_{half}_{EVENT}")]
    ran = execute(["perf", "record", "-q", "-c", "1", *events, "-o", str(data), "--", *command], "perf record")
    told = execute(["perf", "report", "--stats", "-i", str(data)], "perf report").stdout
    samples = re.search(r"Aggregated stats:.*?SAMPLE events:\s+(\d+)", told, re.S)
    if not samples:
        raise Failed(f"perf report --stats does not tell the samples: {told[:500]}")
    data.unlink()
    sample = sample_of(ran.stdout, int(samples[1]), per_call=2)
    # It tells up to 1 in 10,000 more than there were.
    sample.recorded = min(sample.recorded, sample.expected)
    return sample


def counted(settings, what, command, full, pattern):
    """A side whose output file has one line with `pattern` for each call."""
    out = settings.scratch / "peer.out"
    ran = execute([*command(str(out)), settings.program("calls"), *calls_for(settings, full)], what)
    with open(out, "rb") as lines:
        found = sum(pattern in line for line in lines)
    out.unlink()
    return sample_of(ran.stdout, found)


def perf_trace(settings):
    def command(out):
        return ["perf", "trace", "-e", EVENT, "-o", out, "--"]

    return counted(settings, "perf trace", command, 20_000, EVENT.encode() + b"(")


def strace(settings):
    def command(out):
        return ["strace", "-f", "-s", "64", "-e", f"trace={EVENT}", "-o", out]

    return counted(settings, "strace", command, 10_000, EVENT.encode() + b"(")


def bpftrace(settings):
    """bpftrace takes the command as one string."""
    out = settings.scratch / "peer.out"
    command = " ".join([settings.program("calls"), *calls_for(settings, 50_000)])
    ran = execute(["bpftrace", "-o", str(out), "-c", command, str(SUITE / "reads.bt")], "bpftrace")
    calls_of(ran.stdout)
    with open(out, "rb") as lines:
        found = sum(line.startswith(b"readv ") for line in lines)
    out.unlink()
    return sample_of(ran.stdout, found)


SIDES = {
    "perf record, 2 tracepoints": perf_record,
    "bpftrace": bpftrace,
    "perf trace": perf_trace,
    "strace -f": strace,
}

