"""Benches of single parts, by divan: `cargo bench`. Their numbers are taken from what it prints."""

import os
import re
import subprocess
from pathlib import Path

from harness import Failed, Row, Section, say

ROOT = Path(__file__).resolve().parents[2]
WHY = "[why](performance.md#where-the-goals-are-missed)"
UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}


def cargo_bench(settings, name):
    """Output of a bench, whatever its form."""
    command = ["cargo", "bench", "--quiet", "--bench", name]
    command += ["--profile", "dev", "--", "--sample-count", "1", "--sample-size", "1"] if settings.smoke else []
    ran = subprocess.run(command, cwd=ROOT, env=os.environ | {"NO_COLOR": "1"}, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise Failed(f"cargo bench --bench {name}: status {ran.returncode}: {ran.stderr.strip()[-1500:]}")
    return ran.stdout


def rates(output):
    """Median items/s by bench: divan prints a line of times, `name fastest | slowest | median | mean | samples | iters`, and
    below it one of rates in the same columns."""
    found, last = {}, None
    for line in output.splitlines():
        named = re.match(r"[│ ]*[├╰]─ (\S+)", line)
        last = named[1] if named else last
        columns = re.findall(r"([\d.]+) ([KMG]?)item/s", line)
        if len(columns) == 4 and last:
            median = columns[2]
            found[last] = float(median[0]) * UNITS[median[1]]
    return found


def numbers(output):
    """Lines `name: number unit`, which benches print of what divan has no column for."""
    return {name.strip(): float(n) for name, n in re.findall(r"^([\w ,]+): ([\d.]+) bytes", output, re.M)}


def measure(settings):
    section = Section("Parts of the recorder on one core (divan)")
    benches = re.findall(r'\[\[bench\]\]\s*name = "(\w+)"', (ROOT / "Cargo.toml").read_text())
    found, sizes = {}, {}
    for name in benches:
        say(f"cargo bench --bench {name}")
        output = cargo_bench(settings, name)
        found |= rates(output)
        sizes |= numbers(output)
        section.text.append(f"```\n{output.strip()}\n```")
    raw = found.get("zstd_of_raw_bytes")
    encode = found.get("build_and_encode")
    section.rows = [
        row("building and encoding rows, one core", encode, "{:,.0f}/s", "build_and_encode", 600e3, False),
        row("the same against zstd 1 on the raw bytes", encode / raw if encode and raw else None, "{:.2f} ×", "zstd_of_raw_bytes", 0.85, False),
        row("bytes an event on disk, with payload", sizes.get("with payload"), "{:.1f}", "with payload", 68, True),
        row("bytes an event on disk, without payload", sizes.get("without payload"), "{:.1f}", "without payload", 28, True),
    ]
    return [section]


def row(name, value, form, bench, limit, most):
    if value is None:
        raise Failed(f"no bench prints `{bench}`")
    return Row(name, value, form, f"`{bench}`, median of divan's samples", limit, most, WHY)
