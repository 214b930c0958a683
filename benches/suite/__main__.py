"""Runs the benchmarks of docs/benchmarks.md, and writes it. scripts/bench builds the programs and calls this."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import cost
import encoding
import floors
import guest
import loss
import machine
import reading
import steady
from harness import Failed, Settings, say, table

GROUPS = {
    "cost": cost.measure,
    "floors": floors.measure,
    "guest": guest.measure,
    "loss": loss.measure,
    "parts": encoding.measure,
    "steady": steady.measure,
    "reading": reading.measure,
}


def document(facts, sections, took):
    rows = [row.cells() for section in sections for row in section.rows]
    judged = [row.met() for section in sections for row in section.rows if row.met() is not None]
    parts = [
        "# What vmtrace costs, loses and takes",
        f"Written by `make bench` (`scripts/bench`, {took / 60:.0f} minutes): do not edit. Every comparison alternates its sides "
        "within one run and gives medians of ratios. Absolute times hold for this machine alone. In every recording the recorded and "
        "the lost events add up to what the workload itself counted, by event; otherwise this document is not written. "
        "[performance.md](performance.md#where-the-goals-are-missed) explains why goals are missed, and where the time goes.",
        "## Goals",
        f"{judged.count(True)} of {len(judged)} goals are met.",
        table(["what", "goal", "measured", "met", "how"], rows),
        "## Machine and versions",
        facts,
    ]
    for section in sections:
        parts += [f"## {section.title}", *section.text]
    return "\n\n".join(parts) + "\n"


def check_complete(sections):
    """Every row has a value, or says why not."""
    for section in sections:
        for row in section.rows:
            if row.value is None and not row.skipped:
                raise Failed(f"no value, and no reason: {row.name}")


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("groups", nargs="*", help=f"only these, printed, not written: {', '.join(GROUPS)}")
    parser.add_argument("--smoke", action="store_true", help="a few calls of everything: whether it works, not how fast")
    parser.add_argument("--programs", type=Path, required=True, help="where scripts/bench put the programs")
    parser.add_argument("--output", type=Path, help="the document")
    parser.add_argument("--check", action="store_true", help="only check the arguments")
    args = parser.parse_args()
    unknown = [group for group in args.groups if group not in GROUPS]
    if unknown:
        parser.error(f"no group is called {unknown[0]}: {', '.join(GROUPS)}")
    if args.check:
        return
    groups = args.groups or [name for name in GROUPS if not (args.smoke and name == "guest")]
    with tempfile.TemporaryDirectory(prefix="vmtrace-bench.") as scratch:
        settings = Settings(args.programs.resolve(), Path(scratch), args.smoke)
        begin, sections = time.monotonic(), []
        try:
            for name in groups:
                sections += GROUPS[name](settings)
            check_complete(sections)
        except Failed as failure:
            say(f"FAILED: {failure}")
            return 1
        took = time.monotonic() - begin
        text = document(machine.facts(settings), sections, took)
    if args.smoke:
        rows = [row for section in sections for row in section.rows]
        without = [f"{row.name} ({row.skipped})" for row in rows if row.value is None]
        print(text)
        left = f", {len(without)} skipped: {'; '.join(without)}" if without else ""
        print(f"bench: {len(rows) - len(without)} rows measured, every recording exact{left}")
    elif args.groups or not args.output:
        print(text)
    else:
        args.output.write_text(text)
        say(f"{args.output} written, {took / 60:.1f} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
