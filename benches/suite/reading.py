"""Reading a long capture: `replay`, `info`, `summary`, `memory` and `flows`; and the table of benches/query."""

import os
import re
import statistics
import subprocess
import time
from pathlib import Path

from harness import Failed, Row, Section, execute, say

TIMES = "{:.2f} × vmtrace query"
# The question of benches/query that asks for a window function, which has a goal of its own.
WINDOW = "gaps of each pid"
WHY = "[why](performance.md#where-the-goals-are-missed)"


def timed(command, first_line=False):
    """Seconds until a command has ended, or has written its first line that is no heading; its output goes nowhere."""
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        took = None
        lines = 0
        for line in process.stdout:
            lines += 1
            if first_line and not line.startswith(b"#") and line.strip():
                took = time.perf_counter() - begin
                process.kill()
                break
        status = process.wait()
    if not first_line:
        took = time.perf_counter() - begin
        if status != 0:
            raise Failed(f"status {status}: {' '.join(command)}")
    if took is None or not lines:
        raise Failed(f"printed nothing: {' '.join(command)}")
    return took, lines


def measure(settings):
    # As few as have an answer to every question of benches/query.
    events = settings.few(10_000_000, 320_000)
    say(f"reading a capture of {events:,} events")
    capture = settings.scratch / "long.parquet"
    execute([settings.program("capture"), str(capture), str(events)], "capture")
    vmtrace, size = settings.program("vmtrace"), capture.stat().st_size
    told = execute([vmtrace, "info", "-T", "json", str(capture)], "vmtrace info").stdout
    if f'"rows": {events}' not in told and f'"rows":{events}' not in told:
        raise Failed(f"vmtrace info does not tell the {events} rows")
    # The window of benches/query: 0.4 s to 0.6 s of the capture's 2 µs an event, in which pid 4002 is busy.
    since, until = ("0.4", "0.6") if not settings.smoke else ("0", "0.02")
    runs = settings.few(11, 1)
    window = [timed([vmtrace, "replay", str(capture), "-p", "4002", "--since", since, "--until", until]) for _ in range(runs)]
    first = [timed([vmtrace, "replay", str(capture)], first_line=True) for _ in range(runs)]
    info = [timed([vmtrace, "info", str(capture)]) for _ in range(runs)]
    summary = [timed([vmtrace, "summary", str(capture)]) for _ in range(runs)]
    # Near the end, a part of the addresses that others read: as few events as any capture here has are enough for that.
    instant = f"{events * 2e-6 * 0.99:.3f}s"
    memory = [timed([vmtrace, "memory", str(capture), "-p", "4002", "--at", instant, "0x555500000000+16777216"]) for _ in range(runs)]
    flows = flows_of(settings, vmtrace, events, runs)
    every = [("window of a pid", window), ("first line", first), ("info", info), ("summary", summary), ("memory", memory), ("flows", flows)]
    middle = [statistics.median(took for took, _ in what) for _, what in every]
    section = Section(f"Reading a capture of {events:,} events, {size / 1e9:.2f} GB")
    how = f"median of {runs} processes, file in the page cache"
    names = f"replay of one pid's {float(until) - float(since):.1f} s out of 10M events ({window[0][1]:,} lines)"
    section.rows = [
        Row(names, middle[0], "{:.3f} s", how, 0.3, why=WHY),
        Row("first line of a replay of all 10M", middle[1] * 1e3, "{:.0f} ms", how, 50, why=WHY),
        Row("info of 10M events", middle[2] * 1e3, "{:.0f} ms", how, 20, why=WHY),
        Row("summary of 10M events", middle[3], "{:.2f} s", how, 2, why=WHY),
        Row("memory of a process in 10M events, what is known of 16 MiB at an instant", middle[4], "{:.2f} s", how, 1, why=WHY),
        Row("flows of 10M reads and writes of pipes", middle[5], "{:.2f} s", how, 5, why=WHY),
    ]
    spread = [[name, *(f"{f(t for t, _ in what) * 1e3:.0f} ms" for f in (min, statistics.median, max))] for name, what in every]
    section.table(["", "least", "median", "most"], spread)
    asked = queries(settings, capture, events)
    capture.unlink()
    return [section, asked]


def flows_of(settings, vmtrace, events, runs):
    """Times of `flows` on a capture of as many events, all of them at pipes."""
    capture = settings.scratch / "pipes.parquet"
    execute([settings.program("capture"), str(capture), str(events), "pipes"], "capture")
    with subprocess.Popen([vmtrace, "flows", str(capture), "-T", "csv"], stdout=subprocess.PIPE) as process:
        exact = sum(b",exact," in line for line in process.stdout)
    if exact != events // 2:
        raise Failed(f"{exact} exact flows, where {events // 2} were written")
    took = [timed([vmtrace, "flows", str(capture)]) for _ in range(settings.few(min(runs, 5), 1))]
    capture.unlink()
    return took


def queries(settings, capture, events):
    """benches/query on the same capture."""
    say("vmtrace query")
    section = Section("SQL over a capture: vmtrace query, DuckDB, pandas")
    python = settings.python
    missing = None
    if os.environ.get("VMTRACE_NO_QUERY") == "1":
        missing = "VMTRACE_NO_QUERY=1"
    elif subprocess.run([python, "-c", "import duckdb, pandas, pyarrow"], capture_output=True, check=False).returncode != 0:
        missing = f"{python} has no duckdb, pandas and pyarrow"
    if missing:
        section.text.append(f"Not measured: {missing}.")
        section.rows = [Row("vmtrace query against DuckDB", None, "{:.2f}", "benches/query", skipped=missing)]
        return section
    rounds = settings.few(3, 1)
    bench = Path(__file__).resolve().parents[1] / "query"
    ran = execute([python, str(bench), str(settings.program("vmtrace")), str(capture), str(rounds)], "benches/query")
    # Behind our seconds stand the times of DuckDB and pandas as multiples of them.
    found = re.findall(r"^\|([^|]+)\| [\d.]+ \| ([\d.]+) × \| (?:([\d.]+) ×|–) ", ran.stdout, re.M)
    others = [(name.strip(), float(duckdb)) for name, duckdb, _ in found]
    pandas = [(name.strip(), float(times)) for name, _, times in found if times]
    if not others or not pandas:
        raise Failed(f"benches/query printed no table: {ran.stdout[-500:]}")
    how = f"benches/query, {events:,} events, median of {rounds}"
    windows = [pair for pair in others if pair[0] == WINDOW]
    if not windows:
        raise Failed(f"benches/query has no question {WINDOW!r}")
    best = [min((pair for pair in pairs if pair[0] != WINDOW), key=lambda pair: pair[1]) for pairs in (others[1:], pandas)]
    why = "[why](performance.md#sql)"
    section.rows = [
        Row("cold `SELECT count(*)`, time of `import duckdb` and the same", others[0][1], TIMES, how, 1, False, why),
        Row(f"DuckDB's time where it is best, window functions apart: {best[0][0]}", best[0][1], TIMES, how, 1, False, why),
        Row(f"DuckDB's time for a window function: {WINDOW}", windows[0][1], TIMES, how, 0.4, False, why),
        Row(f"pandas' time where it is best, window functions apart: {best[1][0]}", best[1][1], TIMES, how, 5, False, why),
    ]
    section.text += [
        f"{events:,} events, median of {rounds} (pandas: of every other), cold processes that take turns; answers agree.",
        ran.stdout.strip(),
    ]
    return section
