"""What is lost at full speed, and whether the books are exact there."""

import os

from harness import Row, Section, Failed, lost_of, percent, record, say

EVENT = "process_vm_readv"


def run(settings, options, threads, seconds):
    """Records reads at full speed; the line for the table, and the fraction lost."""
    words = [settings.program("calls"), "readv", "0", str(threads), str(seconds)]
    sample, manifest = record(settings, options, words)
    book = next(book for book in manifest["ledger"] if book["event"] == EVENT)
    if book["written"] + lost_of(book) != sample.made:
        raise Failed(f"the books of {EVENT} do not hold: {book}")
    causes = ", ".join(f"{name[5:]} {n:,}" for name, n in book.items() if name.startswith("lost_") and n) or "–"
    rate = sample.made / sample.elapsed_ns * 1e9
    line = [threads, f"{sample.elapsed_ns / 1e9:.0f} s", " ".join(options) or "default", f"{sample.made:,}", f"{rate:,.0f}"]
    size = sample.said["capture_bytes"] / max(1, book["written"])
    line += [f"{book['written']:,}", f"{lost_of(book):,}", percent(sample.lost), causes, f"{size:.1f}"]
    return line, 100 * sample.lost


def measure(settings):
    say("loss at full speed")
    cpus = os.cpu_count()
    one, one_lost = run(settings, [], 1, settings.few(30, 0.3))
    big, big_lost = run(settings, ["--buffer-size", "256M"], cpus, settings.few(10, 0.3))
    many, many_lost = run(settings, [], cpus, settings.few(10, 0.3))
    section = Section("Loss at full speed, 64-byte process_vm_readv, everything written to disk")
    why = "[why](performance.md#where-the-goals-are-missed)"
    exact = "recorded + lost = made, to the last call"
    section.rows = [
        Row("lost by one thread at full speed in 30 s, default options", one_lost, "{:.3g} %", exact, 0, why=why),
        Row(f"lost by {cpus} threads on {cpus} CPUs in 10 s, --buffer-size 256M", big_lost, "{:.3g} %", exact, 0, why=why),
        Row("the same with default options", many_lost, "{:.3g} %", exact),
    ]
    heads = ["threads", "time", "options", "calls made", "a second", "recorded", "lost", "", "cause", "bytes an event on disk"]
    section.table(heads, [one, big, many])
    return [section]
