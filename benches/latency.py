#!/usr/bin/env python3
"""Measures how long it takes from a call until its line can be read, of `record --print` and of `watch`.

A workload makes calls of process_vm_readv at a steady rate. Each line is compared with the clock when it is read: with
`mono_ns`, the instant at which the call returned. Needs root and release builds; docs/performance.md has the result.

Usage: benches/latency.py VMTRACE WORKLOAD [--rate N] [--seconds N] [--rounds N]
"""

import argparse
import os
import re
import subprocess
import tempfile
import time

CALL = re.compile(rb'"mono_ns":(\d+)[^\n]*"event":"process_vm_readv"')


def latencies(command, directory):
    """In ms, of each line of a call that `command` prints."""
    found, rest = [], b""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=directory) as recorder:
        while chunk := os.read(recorder.stdout.fileno(), 1 << 16):
            now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            whole, end, begun = (rest + chunk).rpartition(b"\n")
            rest = begun
            found += [(now - int(at)) / 1e6 for at in CALL.findall(whole + end)]
    if recorder.returncode != 0:
        raise SystemExit(f"{command} ended with {recorder.returncode}")
    return sorted(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("vmtrace")
    parser.add_argument("workload")
    parser.add_argument("--rate", type=int, default=10_000, help="calls a second")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    vmtrace, workload = (os.path.abspath(path) for path in (given.vmtrace, given.workload))
    calls = given.rate * given.seconds
    work = ["sh", "-c", 'exec "$0" "$@" >report', workload, "readv", "--rate", str(given.rate), "--count", str(calls)]
    verbs = {
        "record --print": ["record", "--print", "-T", "jsonl", "-o", "capture.parquet", "--force", "--"],
        "watch": ["watch", "-T", "jsonl", "--"],
    }
    for number in range(given.rounds):
        for name, words in verbs.items():
            with tempfile.TemporaryDirectory() as directory:
                found = latencies([vmtrace, *words, *work], directory)
            if len(found) != calls:
                raise SystemExit(f"{name}: {len(found)} lines of {calls} calls")
            at = {f"p{part}": found[int(len(found) * part / 100)] for part in (50, 99)} | {"max": found[-1]}
            print(f"{name}, round {number + 1}:", ", ".join(f"{key} {value:.0f} ms" for key, value in at.items()))


if __name__ == "__main__":
    main()
