#!/usr/bin/env python3
"""Reads what `vmtrace export` makes of captures with the programs and schemas that it is for, and compares it with the captures.

    check.py VMTRACE CAPTURE...

Perfetto's own messages, tshark, the schemas of OCSF, the fields of ECS, and a parser of strace's text. Prints `exports: N passed, N
failed`; exits 1 if anything failed.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet

import lines
import packets
import trace

FORMATS = {
    "strace": lines.check_strace,
    "perfetto": trace.check,
    "ecs": lines.check_ecs,
    "ocsf": lines.check_ocsf,
    "timesketch": lines.check_timesketch,
    "pcapng": packets.check,
}


class Checks:
    """Counts what held and says what did not."""

    def __init__(self):
        self.passed = self.failed = 0
        self.where = ""

    def check(self, what, found, wanted):
        if found == wanted:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {self.where}: {what}: {str(found)[:500]!r}, not {str(wanted)[:500]!r}", file=sys.stderr)

    def holds(self, what, condition, detail=""):
        self.check(f"{what} {detail}" if detail else what, bool(condition), True)


def main(binary, *captures):
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        for capture in captures:
            rows = pyarrow.parquet.read_table(capture).to_pylist()
            for row in rows:
                # No readers of optional columns need to ask whether they are there.
                row.setdefault("target_ended", None)
            for name, check in FORMATS.items():
                checks.where = f"{Path(capture).name} as {name}"
                out = Path(folder) / f"{Path(capture).name}.{name}"
                done = subprocess.run([binary, "export", "-T", name, capture, "-o", out, "--force"], capture_output=True, text=True)
                checks.check(f"status {done.stderr}", done.returncode, 0)
                if done.returncode == 0:
                    check(checks, rows, out, done.stderr)
    print(f"exports: {checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed or not checks.passed else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
