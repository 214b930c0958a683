"""The recorder itself: memory under a steady load, its start and end, and what it takes when nothing happens."""

import os
import re
import statistics
import subprocess
import time
from pathlib import Path

from harness import Failed, Row, Section, calls_of, execute, exact, manifest_of, say

WHY = "[why](performance.md#where-the-goals-are-missed)"


def memory(settings):
    """scripts/soak, shortened. It checks by itself that all calls were written."""
    say("memory under a steady load")
    seconds, rate = settings.few(60, 6), settings.few(50_000, 2_000)
    soak = Path(__file__).resolve().parents[2] / "scripts/soak"
    env = {"VMTRACE_TARGET": str(settings.programs), "TMPDIR": str(settings.scratch)}
    ran = subprocess.run([soak, str(seconds), str(rate)], env=os.environ | env, capture_output=True, text=True, check=False)
    told = dict(re.findall(r"^\| ([^|]+) \| ([^|]*) \|$", ran.stdout, re.M))
    try:
        most, own = (float(n) for n in re.findall(r"[\d.]+", told["at most, and without the mapped rings"]))
        made, (written, lost) = told["made by the workload"].split(",")[0], told["written, lost"].split(", ")
        second, last = (float(told[name].split()[0]) for name in ("resident memory, median of the second quarter", "of the last quarter"))
    except (KeyError, ValueError) as error:
        raise Failed(f"scripts/soak, status {ran.returncode}: {ran.stdout[-800:]}{ran.stderr[-800:]}") from error
    if int(made) != int(written) + int(lost):
        raise Failed(f"soak: {written} written and {lost} lost are not the {made} made")
    # Flatness is scripts/soak's verdict; without it there is only the load that was not held, as on a busy machine.
    section = Section(f"A steady load: {seconds} s of {rate:,} events/s by two threads (scripts/soak)")
    # A mapped ring counts twice: its data pages are mapped a second time behind themselves.
    how = "resident without the mapped rings, which are the buffer; most of samples each second"
    section.rows = [
        Row("resident memory of the recorder beside its buffer", own, "{:.0f} MiB", how, 100, why=WHY),
        Row("growth of resident memory, last quarter against the second", last / second, "{:.3f} ×", "medians", 1.05, why=WHY),
    ]
    section.text.append(ran.stdout.strip())
    return section


def starts(settings):
    """From the start of vmtrace to that of COMMAND, which it starts when everything is armed; and from COMMAND's last call to
    the end of vmtrace, which is when the file is closed and has its name."""
    say("start and end")
    armed, closed = [], []
    capture = settings.scratch / "recorded.parquet"
    for _ in range(settings.few(15, 2)):
        options = ["record", "-q", "--force", "-o", str(capture), "--", settings.program("calls"), "readv", "1"]
        begin = time.monotonic_ns()
        ran = execute([settings.program("vmtrace"), *options], "vmtrace record")
        end = time.monotonic_ns()
        said = calls_of(ran.stdout)
        exact(manifest_of(settings, capture), said["calls"], "a recording of one call")
        armed.append((said["began_ns"] - begin) / 1e6)
        closed.append((end - said["ended_ns"]) / 1e6)
    capture.unlink()
    section = Section("Start and end of a recording of one call")
    how = f"median of {len(armed)} recordings"
    section.rows = [
        Row("start to armed, with self-test", statistics.median(armed), "{:.0f} ms", how + "; until COMMAND runs", 300, why=WHY),
        Row("last event to closed file, quiet", statistics.median(closed), "{:.0f} ms", how, 200, why=WHY),
    ]
    lines = [[name, *(f"{f(v):.0f} ms" for f in (min, statistics.median, max))] for name, v in (("start to armed", armed), ("last event to closed file", closed))]
    section.table(["", "least", "median", "most"], lines)
    return section


def threads(pid):
    """Voluntary and other context switches, and ns of CPU time, of all threads of a process."""
    switches = ran = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        status = (task / "status").read_text()
        switches += sum(int(n) for n in re.findall(r"^(?:non)?voluntary_ctxt_switches:\s+(\d+)$", status, re.M))
        ran += int((task / "schedstat").read_text().split()[0])
    return switches, ran


def idle(settings):
    """A recorder of a process that does nothing."""
    say("an idle recorder")
    capture = settings.scratch / "idle.parquet"
    seconds = settings.few(20, 2)
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        command = [settings.program("vmtrace"), "record", "-q", "-o", str(capture), "-p", str(sleeper.pid)]
        with subprocess.Popen(command) as recorder:
            try:
                time.sleep(3)
                if recorder.poll() is not None:
                    raise Failed(f"an idle recorder ended with {recorder.returncode}")
                (switches, ran), begin = threads(recorder.pid), time.monotonic()
                time.sleep(seconds)
                (switches_after, ran_after), took = threads(recorder.pid), time.monotonic() - begin
            finally:
                sleeper.kill()
            if recorder.wait() != 0:
                raise Failed(f"an idle recorder ended with {recorder.returncode}")
    exact(manifest_of(settings, capture), {}, "a recording of nothing")
    capture.unlink()
    section = Section("A recorder of a process that sleeps")
    wakes, part = (switches_after - switches) / took, (ran_after - ran) / took / 1e7
    how = f"all threads, over {seconds} s"
    section.rows = [
        Row("CPU time of an idle recorder", part, "{:.3f} % of a core", how + " (schedstat)", 0.2, why=WHY),
        Row("wake-ups of an idle recorder", wakes, "{:.1f} a second", how + " (context switches)"),
    ]
    section.text.append(f"{wakes:.1f} wake-ups a second, {part:.3f} % of a core.")
    return section


def measure(settings):
    return [starts(settings), idle(settings), memory(settings)]
