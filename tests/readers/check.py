#!/usr/bin/env python3
"""Opens captures with DuckDB, pandas (both backends), polars and pyarrow, and checks what they see.

    check.py CAPTURE...

Types are compared with the table in docs/FORMAT.md, values of every reader with each other and with what the
capture says of itself. Prints `N passed, N failed`; exits 1 if anything failed.
"""

import json
import math
import sys
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pandas
import polars
import pyarrow
import pyarrow.parquet

FORMAT = Path(__file__).resolve().parents[2] / "docs" / "FORMAT.md"
# Rows compared value by value; of larger captures these are the first ones.
COMPARED = 5000
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

# Type in docs/FORMAT.md: (DuckDB, pandas, pandas with nulls, pandas on pyarrow, polars, pyarrow)
IOVEC = "List<Struct<base: UInt64, len: UInt64>>"
TYPES = {
    "Int32": ("INTEGER", "int32", "float64", "int32[pyarrow]", "Int32", "int32"),
    "UInt32": ("UINTEGER", "uint32", "float64", "uint32[pyarrow]", "UInt32", "uint32"),
    "Int64": ("BIGINT", "int64", "float64", "int64[pyarrow]", "Int64", "int64"),
    "UInt64": ("UBIGINT", "uint64", "float64", "uint64[pyarrow]", "UInt64", "uint64"),
    "Boolean": ("BOOLEAN", "bool", "object", "bool[pyarrow]", "Boolean", "bool"),
    "Binary": ("BLOB", "object", "object", "binary[pyarrow]", "Binary", "binary"),
    "Dictionary<Int32, Utf8>": (
        "VARCHAR",
        "category",
        "category",
        "dictionary<values=string, indices=int32, ordered=0>[pyarrow]",
        "Categorical",
        "dictionary<values=string, indices=int32, ordered=0>",
    ),
    "Timestamp(µs, UTC)": (
        "TIMESTAMP WITH TIME ZONE",
        "datetime64[us, UTC]",
        "datetime64[us, UTC]",
        "timestamp[us, tz=UTC][pyarrow]",
        "Datetime(time_unit='us', time_zone='UTC')",
        "timestamp[us, tz=UTC]",
    ),
}
DUCKDB, PANDAS, PANDAS_NULLS, PANDAS_ARROW, POLARS, ARROW = range(6)


def list_of(item):
    """The same of a list whose items have these parts: (name, type in docs/FORMAT.md)."""
    def parts(reader, form):
        return ", ".join(form.format(name, TYPES[kind][reader]) for name, kind in item)

    # DuckDB quotes its own words.
    in_duckdb = ", ".join(f'"{n}" {TYPES[k][DUCKDB]}' if n in ("start", "end") else f"{n} {TYPES[k][DUCKDB]}" for n, k in item)
    arrow = f"list<item: struct<{parts(ARROW, '{}: {} not null')}> not null>"
    in_polars = f"List(Struct({{{parts(POLARS, chr(39) + '{}' + chr(39) + ': {}')}}}))"
    return f"STRUCT({in_duckdb})[]", "object", "object", f"{arrow}[pyarrow]", in_polars, arrow


TEXT = "Dictionary<Int32, Utf8>"
REGION = [
    ("start", "UInt64"), ("end", "UInt64"), ("perms", TEXT), ("path", TEXT), ("file_offset", "UInt64"), ("device", TEXT),
    ("inode", "UInt64"), ("build_id", TEXT),
]  # fmt: skip
REGIONS = f"List<Struct<{', '.join(f'{name}: {kind}' for name, kind in REGION)}>>"
LISTS = [IOVEC, REGIONS]
TYPES[IOVEC] = list_of([("base", "UInt64"), ("len", "UInt64")])
TYPES[REGIONS] = list_of(REGION)


@dataclass
class Column:
    """A line of the documentation's table."""

    kind: str
    nullable: bool
    origin: str
    toctou: bool
    unit: str
    doc: str

    def metadata(self):
        """The field metadata that says the same."""
        said = {"origin": self.origin, "doc": self.doc, "unit": self.unit}
        said |= {"optional": "true" if self.nullable else "", "toctou": "true" if self.toctou else ""}
        return {f"vmtrace.{key}": value for key, value in said.items() if value}


class Checks:
    """Counts what held and says what did not."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, what, found, wanted):
        if found == wanted:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {what}: {found!r}, not {wanted!r}", file=sys.stderr)


def documented():
    """Column name -> what docs/FORMAT.md says of it, in file order."""
    table = FORMAT.read_text().split("<!-- columns: generated -->")[1].split("<!-- columns: end -->")[0]
    columns = {}
    for line in table.splitlines()[3:]:
        name, kind, null, origin, toctou, unit, doc, _ = (part.strip() for part in line.strip("|").split(" | "))
        columns[name.strip("`")] = Column(kind, null == "yes", origin, toctou == "yes", unit, doc)
    return columns


def plain(value):
    """A reader's value as None, int, str, bytes, bool, or a list of the parts of each item; instants as µs since 1970."""
    if value is None or value is pandas.NA or value is pandas.NaT:
        return None
    if isinstance(value, float):
        return None if math.isnan(value) else int(value)
    if isinstance(value, (bool, str, bytes)):
        return value
    if hasattr(value, "timestamp"):
        return (value - EPOCH) // timedelta(microseconds=1)
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        return value.item()
    if hasattr(value, "__len__"):
        return [tuple((part, plain(inner)) for part, inner in item.items()) for item in value]
    return value


class Capture:
    """One file, opened by every reader."""

    def __init__(self, path):
        self.path = str(path)
        self.arrow = pyarrow.parquet.read_table(path)
        self.duckdb = duckdb.connect()
        quoted = self.path.replace("'", "''")
        self.duckdb.execute(f"CREATE VIEW capture AS SELECT * FROM read_parquet('{quoted}')")
        self.pandas = pandas.read_parquet(path)
        self.pandas_arrow = pandas.read_parquet(path, dtype_backend="pyarrow")
        self.polars = polars.read_parquet(path)
        self.metadata = pyarrow.parquet.read_metadata(path).metadata
        self.manifest = json.loads(self.metadata[b"vmtrace.manifest"])

    def query(self, sql):
        return self.duckdb.execute(sql).fetchall()

    def columns(self, name):
        """First values of a column, reader by reader."""
        rows = slice(0, COMPARED)
        # To Python objects DuckDB turns instants only with pytz, which nothing else here needs.
        value = f"epoch_us({name})" if name == "ts" else f'"{name}"'
        yield "duckdb", [row[0] for row in self.query(f"SELECT {value} FROM capture LIMIT {COMPARED}")]
        yield "pandas", list(self.pandas[name].iloc[rows])
        yield "pandas+pyarrow", list(self.pandas_arrow[name].iloc[rows])
        yield "polars", self.polars[name].slice(0, COMPARED).to_list()


def check_types(capture, columns, checks):
    """Every column is there, in order, with its documented type in every reader."""
    checks.check("columns", capture.arrow.column_names, list(columns))
    seen = {row[0]: row[1] for row in capture.query("DESCRIBE capture")}
    for name, column in columns.items():
        types, array = TYPES[column.kind], capture.arrow[name]
        has_nulls = array.null_count > 0
        checks.check(f"{name}: nulls in a column that has none", has_nulls and not column.nullable, False)
        checks.check(f"{name}: nullable in the schema", capture.arrow.schema.field(name).nullable, column.nullable)
        metadata = {k.decode(): v.decode() for k, v in capture.arrow.schema.field(name).metadata.items()}
        found = {k: v for k, v in metadata.items() if k.startswith("vmtrace.")}
        # What a value is does not change; the words that explain it may, from one vmtrace to the next.
        checks.check(f"{name}: has words", bool(found.pop("vmtrace.doc", "")), True)
        expected = {k: v for k, v in column.metadata().items() if k != "vmtrace.doc"}
        checks.check(f"{name}: metadata", found, expected)
        checks.check(f"{name} in pyarrow", str(array.type), types[ARROW])
        checks.check(f"{name} in duckdb", seen[name], types[DUCKDB])
        checks.check(f"{name} in polars", str(capture.polars.schema[name]), types[POLARS])
        wanted = types[PANDAS_NULLS if has_nulls else PANDAS]
        checks.check(f"{name} in pandas", str(capture.pandas[name].dtype), wanted)
        checks.check(f"{name} in pandas+pyarrow", str(capture.pandas_arrow[name].dtype), types[PANDAS_ARROW])


def exact(kind, value):
    """What default pandas keeps of a value: numbers beside nulls are floating point there."""
    return int(float(value)) if isinstance(value, int) and not isinstance(value, bool) and kind not in LISTS else value


def check_values(capture, columns, checks):
    """Every reader sees the same values, 64-bit addresses to the last bit, and nulls as nulls."""
    for name, column in columns.items():
        wanted = [plain(value) for value in capture.arrow[name].slice(0, COMPARED).to_pylist()]
        for reader, values in capture.columns(name):
            found = [plain(value) for value in values]
            target = wanted
            if reader == "pandas" and capture.pandas[name].dtype == "float64":
                target = [exact(column.kind, value) for value in wanted]
            differing = [(n, f, w) for n, (f, w) in enumerate(zip(found, target)) if f != w]
            checks.check(f"{name}: values in {reader}", (len(found), differing[:3]), (len(wanted), []))


def check_counts(capture, checks):
    """Events by kind are the same in every reader, and the ledger's."""
    ledger = {row["event"]: row["written"] for row in capture.manifest["ledger"] if row["written"]}
    checks.check("events in duckdb", dict(capture.query("SELECT event, count(*) FROM capture GROUP BY 1")), ledger)
    checks.check("events in pandas", {k: v for k, v in capture.pandas["event"].value_counts().items() if v}, ledger)
    by_arrow = {k: int(v) for k, v in capture.pandas_arrow["event"].value_counts().items() if v}
    checks.check("events in pandas+pyarrow", by_arrow, ledger)
    checks.check("events in polars", dict(capture.polars.group_by("event").len().iter_rows()), ledger)
    checks.check("events in pyarrow", dict(Counter(capture.arrow["event"].to_pylist())), ledger)


def check_sums(capture, checks):
    """Sums by each reader's own means, over numbers and inside lists."""
    moved = sum(row["bytes"] for row in capture.manifest["ledger"])
    checks.check("bytes in duckdb", capture.query("SELECT coalesce(sum(bytes), 0)::BIGINT FROM capture"), [(moved,)])
    checks.check("bytes in pandas", int(capture.pandas["bytes"].sum()), moved)
    checks.check("bytes in pandas+pyarrow", int(capture.pandas_arrow["bytes"].sum()), moved)
    checks.check("bytes in polars", capture.polars["bytes"].sum(), moved)
    rows = capture.arrow.select(["local_iov", "remote_iov"]).to_pylist()
    for side in ("local_iov", "remote_iov"):
        ranges = [iov for row in rows for iov in row[side] or []]
        wanted = (len(ranges), sum(iov["base"] for iov in ranges), sum(iov["len"] for iov in ranges))
        sql = f"SELECT count(i), coalesce(sum(i.base::HUGEINT), 0), coalesce(sum(i.len::HUGEINT), 0) FROM " \
              f"(SELECT unnest({side}) AS i FROM capture)"
        checks.check(f"{side} in duckdb", capture.query(sql), [wanted])
        lists = [iovs for iovs in capture.pandas[side] if iovs is not None]
        found = (sum(map(len, lists)), *(sum(int(i[k]) for iovs in lists for i in iovs) for k in ("base", "len")))
        checks.check(f"{side} in pandas", found, wanted)
        fields = capture.polars.select(polars.col(side)).drop_nulls().explode(side).drop_nulls().unnest(side)
        found = (fields.height, sum(fields["base"].to_list()), sum(fields["len"].to_list()))
        checks.check(f"{side} in polars", found, wanted)


def check_search(capture, checks):
    """Every reader finds rows by the columns that have statistics and bloom filters, whichever row group they are in."""
    rows = capture.arrow.select(["seq", "pid", "target_pid", "mono_ns"]).to_pylist()
    for row in (rows[0], rows[len(rows) // 2], rows[-1]) if rows else ():
        for column, value in row.items():
            if value is None:
                continue
            wanted = sorted(r["seq"] for r in rows if r[column] == value)
            found = [r[0] for r in capture.query(f"SELECT seq FROM capture WHERE {column} = {value} ORDER BY seq")]
            checks.check(f"{column} = {value} in duckdb", found, wanted)
            table = pyarrow.parquet.read_table(capture.path, filters=[(column, "=", value)])
            checks.check(f"{column} = {value} in pyarrow", sorted(table["seq"].to_pylist()), wanted)
            frame = pandas.read_parquet(capture.path, filters=[(column, "=", value)])
            checks.check(f"{column} = {value} in pandas", sorted(map(int, frame["seq"])), wanted)
            lazy = polars.scan_parquet(capture.path).filter(polars.col(column) == value)
            checks.check(f"{column} = {value} in polars", sorted(lazy.collect()["seq"].to_list()), wanted)
    absent = 2**31 - 2
    checks.check("no such pid in duckdb", capture.query(f"SELECT count(*) FROM capture WHERE pid = {absent}"), [(0,)])


def check_meaning(capture, checks):
    """What the columns promise, asked the way an analyst would."""
    one = lambda condition: capture.query(f"SELECT count(*) FROM capture WHERE {condition}")[0][0]
    # Files of one recording go on counting.
    rows, first = capture.arrow.num_rows, (capture.manifest.get("segment") or {}).get("first_seq", 0)
    numbers = capture.query("SELECT min(seq), max(seq) + 1, count(DISTINCT seq) FROM capture")
    if capture.manifest.get("derived_from"):
        # Rows that are left out leave gaps.
        checks.check("seq numbers the rows", [row[2] for row in numbers], [rows])
    else:
        wanted = [(first, first + rows, rows) if rows else (None, None, 0)]
        checks.check("seq counts the rows", numbers, wanted)
    checks.check("ts is ts_ns in µs", one("epoch_us(ts) <> ts_ns // 1000"), 0)
    checks.check("payload_len is the length of payload", one("octet_length(payload) <> payload_len"), 0)
    checks.check("no payload has no length", one("payload IS NULL AND payload_len <> 0"), 0)
    checks.check("errno stands exactly beside failures", one("(ret < 0) <> (errno IS NOT NULL)"), 0)
    checks.check("failures move nothing", one("ret < 0 AND bytes <> 0"), 0)
    checks.check("nothing is captured that did not move", one("payload_len > payload_total"), 0)
    checks.check("lists are as long as their counts", one("len(local_iov) <> liovcnt OR len(remote_iov) <> riovcnt"), 0)
    checks.check("words stand for null nowhere", one("errno = '' OR target_comm = '' OR direction = ''"), 0)
    checks.check("schema version", capture.metadata[b"vmtrace.schema_version"], b"1")


def as_written(capture, columns):
    """The columns as an older vmtrace has described them in samples/: later ones are optional and not there, and TOCTOU flags
    that came later are not set. What it wrote must be right all the same."""
    known = {}
    for name, column in columns.items():
        if name not in capture.arrow.column_names and column.nullable:
            continue
        said = capture.arrow.schema.field(name).metadata
        known[name] = replace(column, toctou=column.toctou and said.get(b"vmtrace.toctou") == b"true")
    return known


def main(paths):
    if not paths:
        sys.exit("usage: check.py CAPTURE...")
    checks, columns = Checks(), documented()
    checks.check("columns are documented", len(columns) > 50, True)
    for path in paths:
        capture = Capture(path)
        before = checks.failed
        known = as_written(capture, columns) if Path(path).parts[0] == "samples" else columns
        check_types(capture, known, checks)
        check_values(capture, known, checks)
        check_counts(capture, checks)
        check_sums(capture, checks)
        check_search(capture, checks)
        check_meaning(capture, checks)
        verdict = "ok" if checks.failed == before else "FAILED"
        groups = pyarrow.parquet.read_metadata(path).num_row_groups
        print(f"{path}: {capture.arrow.num_rows} rows in {groups} row groups: {verdict}")
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
