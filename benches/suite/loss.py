"""What is lost at full speed, whether the ledger is exact there, and what emptying the rings takes."""

import os
import subprocess
import time
from pathlib import Path

from harness import Failed, Row, Section, calls_of, exact, lost_of, manifest_of, percent, record, say

EVENT = "process_vm_readv"


def run(settings, options, threads, seconds):
    """Records reads at full speed; the line for the table, and the fraction lost."""
    words = [settings.program("calls"), "readv", "0", str(threads), str(seconds)]
    sample, manifest = record(settings, options, words)
    book = next(book for book in manifest["ledger"] if book["event"] == EVENT)
    if book["written"] + lost_of(book) != sample.made:
        raise Failed(f"the ledger of {EVENT} does not balance: {book}")
    causes = ", ".join(f"{name[5:]} {n:,}" for name, n in book.items() if name.startswith("lost_") and n) or "–"
    rate = sample.made / sample.elapsed_ns * 1e9
    line = [threads, f"{sample.elapsed_ns / 1e9:.0f} s", " ".join(options) or "default", f"{sample.made:,}", f"{rate:,.0f}"]
    size = sample.said["capture_bytes"] / max(1, book["written"])
    line += [f"{book['written']:,}", f"{lost_of(book):,}", percent(sample.lost), causes, f"{size:.1f}"]
    return line, 100 * sample.lost


def draining_ns(pid):
    """CPU time so far of the thread that takes records out of the rings and appends them to the journal."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == "vmtrace-drain":
            return int((task / "schedstat").read_text().split()[0])
    return 0


def drained(settings, seconds):
    """Events recorded in a second of the draining thread's CPU time, at full speed."""
    capture = settings.scratch / "drained.parquet"
    command = [settings.program("vmtrace"), "record", "-q", "-o", str(capture), "--", settings.program("calls"), "readv", "0", "1", str(seconds)]
    spent = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as recorder:
        while recorder.poll() is None:
            try:
                spent = max(spent, draining_ns(recorder.pid))
            except OSError:
                pass  # it has just ended
            time.sleep(0.02)
        said = calls_of(recorder.stdout.read())
    if recorder.returncode != 0:
        raise Failed(f"vmtrace record ended with {recorder.returncode}")
    written, _ = exact(manifest_of(settings, capture), said["calls"], "what is drained")
    capture.unlink()
    return written / spent * 1e9 if spent else None


def measure(settings):
    say("what draining takes")
    rate = drained(settings, settings.few(10, 1))
    say("loss at full speed")
    cpus = os.cpu_count()
    one, one_lost = run(settings, [], 1, settings.few(30, 0.3))
    big, big_lost = run(settings, ["--buffer-size", "256M"], cpus, settings.few(10, 0.3))
    many, many_lost = run(settings, [], cpus, settings.few(10, 0.3))
    section = Section("Loss at full speed, 64-byte process_vm_readv, everything written to disk")
    why = "[why](performance.md#where-the-goals-are-missed)"
    exactly = "recorded + lost = made, to the last call"
    section.rows = [
        Row("lost by one thread at full speed in 30 s, default options", one_lost, "{:.3g} %", exactly, 0, why=why),
        Row(f"lost by {cpus} threads on {cpus} CPUs in 10 s, --buffer-size 256M", big_lost, "{:.3g} %", exactly, 0, why=why),
        Row("the same with default options", many_lost, "{:.3g} %", exactly),
        Row(
            "events from the rings to the journal, one core",
            rate,
            "{:,.0f}/s",
            "events recorded at full speed by CPU time of the draining thread, copy, checksum and write included",
            3e6,
            most=False,
            why=why,
            skipped="" if rate else "the thread was never seen",
        ),
    ]
    heads = ["threads", "time", "options", "calls made", "a second", "recorded", "lost", "", "cause", "bytes an event on disk"]
    section.table(heads, [one, big, many])
    return [section]
