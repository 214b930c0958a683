#!/usr/bin/env python3
"""Runs test programs that Cargo built, and runs a failed test once more, alone.

    run.py [--built FILE] [--without NAME]... [--include-ignored] [--skip PATTERN]... [--only FILE] [--threads N] [PROGRAM...]

FILE of --built is what `cargo test --no-run --message-format=json-render-diagnostics` printed; programs of a NAME, such as
`query`, stay out of it. With --only the tests that FILE names run, one name a line, and no others.

A test that fails, and passes when it is run again, is flaky: it is named and does not fail the run. A test that its
program did not report has failed: the program crashed, or was ended because it was silent for too long. The last lines
name the failed and the flaky tests and give the totals; the exit status is 1 if a test failed, twice.
"""

import argparse
import json
import os
import re
import select
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

# Where more tests than this fail, something is wrong that a second run of each would not change.
RUN_AGAIN = 10

REPORTED = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)", re.MULTILINE)
RESULT = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;", re.MULTILINE)


@dataclass
class Outcome:
    """What became of the tests of one program."""

    passed: int = 0
    ignored: int = 0
    failed: list = field(default_factory=list)


@dataclass
class Totals:
    passed: int = 0
    ignored: int = 0
    left_out: int = 0
    failed: list = field(default_factory=list)
    flaky: list = field(default_factory=list)


def of_output(text, expected, status):
    """What a program reported of the `expected` tests, and how it ended, as an Outcome. Output of a test's own processes
    may stand within a line, so that the names of those that passed are only needed where there is no result."""
    results = list(RESULT.finditer(text))
    if results:
        passed, failed, ignored = map(int, results[-1].groups())
        names = re.findall(r"^    (\S+)$", text[: results[-1].start()].rpartition("\nfailures:\n")[2], re.MULTILINE)
        names = [name for name in names if name in expected] if failed else []
        if passed + failed + ignored == len(expected) and failed == len(names):
            if status != 0 and not failed:
                names = [f"(its tests passed, but it ended with status {status})"]
            return Outcome(passed, ignored, names)
    reported = dict(REPORTED.findall(text))
    words = [reported.get(name) for name in expected]
    failed = [name for name, word in zip(expected, words) if word not in ("ok", "ignored")]
    # Without a result it broke off, even where each test was reported.
    return Outcome(words.count("ok"), words.count("ignored"), failed or [f"(no result, status {status})"])


class Runner:
    def __init__(self, options):
        self.options = options
        self.only = Path(options.only).read_text().split() if options.only else []

    def arguments(self):
        words = ["--include-ignored"] if self.options.include_ignored else []
        for pattern in self.options.skip:
            words += ["--skip", pattern]
        return words + (["--exact", *self.only] if self.only else [])

    @staticmethod
    def names(program, arguments):
        listed = subprocess.run([program, "--list", *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout
        return [line.removesuffix(": test") for line in listed.splitlines() if line.endswith(": test")]

    def call(self, program, arguments):
        """Runs a program and passes its output on. Returns the output and the status."""
        process = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        pipe, output, heard = process.stdout.fileno(), b"", time.monotonic()
        while True:
            ended = process.poll() is not None
            if select.select([pipe], [], [], 0 if ended else 0.5)[0]:
                data = os.read(pipe, 1 << 16)
                if not data:
                    break
                output, heard = output + data, time.monotonic()
                sys.stdout.buffer.write(data)
                sys.stdout.flush()
            elif ended:
                # A process that a test left behind may keep the pipe open.
                break
            elif time.monotonic() - heard > self.options.patience:
                print(f"\n{program} said nothing for {self.options.patience} s and is ended", flush=True)
                process.kill()
        return output.decode(errors="replace"), process.wait()

    def run(self, program, totals):
        label, begin, arguments = name_of(program), time.monotonic(), self.arguments()
        try:
            expected, everything = self.names(program, arguments), self.names(program, [])
        except (OSError, subprocess.CalledProcessError) as error:
            totals.failed.append(f"{label} (its tests cannot be listed: {error})")
            return
        totals.left_out += len(everything) - len(expected)
        if not expected:
            return
        print(f"\n-- {program}", flush=True)
        threads = ["--test-threads", str(self.options.threads)] if self.options.threads else []
        outcome = of_output(*self.call_with_names(program, arguments + threads, expected))
        totals.passed += outcome.passed
        totals.ignored += outcome.ignored
        self.again(program, label, outcome.failed, set(expected), totals)
        print(f"-- {label}: {len(expected)} tests in {time.monotonic() - begin:.0f} s", flush=True)

    def call_with_names(self, program, arguments, expected):
        text, status = self.call(program, arguments)
        return text, expected, status

    def again(self, program, label, failed, expected, totals):
        """Runs each failed test alone."""
        for name in failed:
            full = f"{label} {name}"
            if name not in expected or len(failed) > RUN_AGAIN:
                totals.failed.append(full)
                continue
            print(f"\n-- once more, alone: {full}", flush=True)
            alone = ["--include-ignored", "--exact", name]
            second = of_output(*self.call_with_names(program, alone, [name]))
            (totals.failed if second.failed else totals.flaky).append(full)


def name_of(program):
    """What Cargo calls it."""
    return re.sub(r"-[0-9a-f]{16}$", "", Path(program).name)


def built(path):
    """The test programs among Cargo's messages, in the order of their names."""
    return sorted(executables(path), key=os.path.basename)


def executables(path):
    for line in Path(path).read_text().splitlines():
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("executable") and message["profile"]["test"]:
            yield message["executable"]


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--built")
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("--include-ignored", action="store_true")
    parser.add_argument("--skip", action="append", default=[])
    parser.add_argument("--only")
    parser.add_argument("--threads", type=int)
    # In seconds, without a line of output.
    parser.add_argument("--patience", type=float, default=900)
    parser.add_argument("program", nargs="*")
    options = parser.parse_args()
    programs = [program for program in built(options.built) if name_of(program) not in options.without] if options.built else []
    programs += options.program
    if not programs:
        sys.exit("run.py: no test programs")
    totals, runner = Totals(), Runner(options)
    for program in programs:
        runner.run(program, totals)
    print()
    for kind in ("failed", "flaky"):
        for name in getattr(totals, kind):
            print(f"{kind}: {name}")
    print(
        f"tests: {totals.passed} passed, {len(totals.failed)} failed, {len(totals.flaky)} flaky, "
        f"{totals.ignored} ignored, {totals.left_out} left out"
    )
    sys.exit(1 if totals.failed else 0)


if __name__ == "__main__":
    main()
