#!/usr/bin/env python3
"""Asks the same of captures in `vmtrace query` and in DuckDB, and compares what comes.

    check.py VMTRACE CAPTURE...

Every table, view, analysis and function: types, rows and, where the SQL orders them, their order. Of captures in samples/
the answers are also compared with golden files in tests/query/golden; UPDATE_GOLDEN=1 writes them anew: read the difference
before committing it. Prints `N passed, N failed`; exits 1 if anything failed.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.ipc

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "query" / "golden"
VIEWS = ["events", "transfers", "processes", "edges", "pipes", "losses", "manifest", "ledger"]
# Too long for a golden file: its digest stands there.
DIGESTED = ["functions", "windows", "events", "transfers", "manifest", "ledger"]
FUNCTIONS = """
SELECT seq, hexdump(payload) AS dump, printable(payload) AS text, entropy(payload) AS bits,
    contains_bytes(payload, 'a') AS a, contains_bytes(payload, x'0000') AS zeros, contains_bytes(payload, '') AS nothing,
    payload_at(payload, remote_iov, remote_iov[1]['base'] + 3) AS remote,
    address_of(local_iov, 5) AS fifth, address_of(remote_iov, payload_len) AS next, address_of(local_iov, -1) AS none,
    CAST(array_length(find_all(payload, '[a-z]+')) AS BIGINT) AS words, find_all(payload, 'e[^e]*e')[1]['at'] AS at,
    find_all(payload, 'e[^e]*e')[2]['text'] AS text_of_second,
    payload_at(payload, local_iov, local_iov[1]['base']) AS local, payload_at(payload, local_iov, 5) AS nowhere
FROM events ORDER BY capture, seq
"""
# Orders by several keys, rising and falling.
WINDOWS = """
SELECT seq, CAST(rank() OVER (PARTITION BY pid ORDER BY mono_ns) AS BIGINT) AS by_clock,
    CAST(rank() OVER (PARTITION BY pid ORDER BY seq DESC) AS BIGINT) AS from_last,
    CAST(rank() OVER (ORDER BY ts DESC, tid) AS BIGINT) AS of_all
FROM events ORDER BY capture, seq
"""


class Checks:
    """Counts what held and says what did not."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, what, found, wanted):
        if found == wanted:
            self.passed += 1
            return
        self.failed += 1
        print(f"FAILED {what}:\n  {str(found)[:2000]}\nnot\n  {str(wanted)[:2000]}", file=sys.stderr)


def vmtrace(binary, *words):
    """What `vmtrace query` prints; 1 is the status of a query without rows."""
    ran = subprocess.run([binary, "query", *words], capture_output=True, text=True)
    if ran.returncode not in (0, 1):
        raise RuntimeError(f"{words}: {ran.stderr}")
    return ran.stdout


def ours(binary, paths, *question):
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "out.arrow"
        vmtrace(binary, *paths, *question, "-T", "arrow", "-o", str(out))
        with pa.OSFile(str(out)) as file:
            return pa.ipc.open_file(file).read_all()


def plain_type(kind):
    """A type without what engines are free to choose: names of zones that mean UTC, names of list items, nullability."""
    if pa.types.is_timestamp(kind):
        return f"timestamp[{kind.unit}, {'UTC' if kind.tz in ('UTC', 'Etc/UTC') else kind.tz}]"
    if pa.types.is_list(kind):
        return f"list<{plain_type(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{f.name}: {plain_type(f.type)}' for f in kind)}>"
    return str(kind)


def plain_rows(table):
    """Rows as text, instants as numbers."""
    columns = []
    for column in table.columns:
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        columns.append(column.to_pylist())
    return [repr(row) for row in zip(*columns)]


def compare(checks, what, left, right, ordered):
    types = [[(field.name, plain_type(field.type)) for field in table.schema] for table in (left, right)]
    checks.check(f"{what}: types", types[0], types[1])
    rows = [plain_rows(table) for table in (left, right)]
    if not ordered:
        rows = [sorted(part) for part in rows]
    different = [pair for pair in zip(*rows) if pair[0] != pair[1]]
    checks.check(f"{what}: rows", (len(rows[0]), different[:1]), (len(rows[1]), []))


def in_order_of(ours, duckdbs):
    """Our table of events with its columns in the order in which DuckDB came upon them: those that files of an older version
    lack stand last."""
    return ours.select(duckdbs.schema.names) if sorted(ours.schema.names) == sorted(duckdbs.schema.names) else ours


def views_without_vmtrace(checks, engine, group):
    """docs/views.sql over captures that a variable names has the rows of the views that were printed for them."""
    alone = duckdb.connect()
    alone.execute("SET TimeZone = 'UTC'")
    alone.execute("SET VARIABLE captures = " + str(group))
    alone.execute((ROOT / "docs" / "views.sql").read_text())
    for view in VIEWS:
        sql = f"SELECT * FROM {view}"
        what = f"{group[0] if len(group) == 1 else 'all'}: {view} of docs/views.sql"
        compare(checks, what, alone.sql(sql).to_arrow_table(), engine.sql(sql).to_arrow_table(), False)


def golden_text(name, table, ordered):
    rows = plain_rows(table)
    rows = rows if ordered else sorted(rows)
    text = "".join(row + "\n" for row in rows)
    if name in DIGESTED:
        text = f"{len(rows)} rows, sha256 {hashlib.sha256(text.encode()).hexdigest()}\n"
    return f"{', '.join(field.name for field in table.schema)}\n{text}"


def questions(binary):
    """Name, words for vmtrace, SQL for DuckDB, whether the order counts."""
    for view in VIEWS:
        sql = f"SELECT * FROM {view}"
        yield view, [sql], sql, False
    for line in vmtrace(binary, "--list").splitlines():
        name = line.split()[0]
        yield name, ["--named", name], vmtrace(binary, "--show", name), True
    yield "functions", [FUNCTIONS], FUNCTIONS, True
    yield "windows", [WINDOWS], WINDOWS, True


def main():
    binary = str(Path(sys.argv[1]).resolve())
    captures = [Path(path).resolve() for path in sys.argv[2:]]
    checks = Checks()
    os.chdir(ROOT)
    paths = [str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path) for path in captures]
    for group in [[path] for path in paths] + ([paths] if len(paths) > 1 else []):
        engine = duckdb.connect()
        engine.execute("SET TimeZone = 'UTC'")
        engine.execute(vmtrace(binary, *group, "--print-duckdb-views"))
        views_without_vmtrace(checks, engine, group)
        for name, words, sql, ordered in questions(binary):
            what = f"{group[0] if len(group) == 1 else 'all'}: {name}"
            found = ours(binary, group, *words)
            wanted = engine.sql(sql).to_arrow_table()
            compare(checks, what, in_order_of(found, wanted) if name == "events" else found, wanted, ordered)
            if len(group) > 1 or not group[0].startswith("samples/"):
                continue
            golden = GOLDEN / Path(group[0]).stem / f"{name}.txt"
            text = golden_text(name, found, ordered)
            if os.environ.get("UPDATE_GOLDEN"):
                golden.parent.mkdir(parents=True, exist_ok=True)
                golden.write_text(text)
            checks.check(f"{what}: golden", text, golden.read_text() if golden.exists() else "no golden file")
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
