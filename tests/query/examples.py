#!/usr/bin/env python3
"""Runs the scripts in examples/query on captures, and checks that types arrive in DuckDB, pandas and polars as they should.

    examples.py VMTRACE CAPTURE...

Prints `N passed, N failed`; exits 1 if anything failed.
"""

import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "query"
passed = failed = 0


def check(what, holds, found=""):
    global passed, failed
    if holds:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {what} {found}", file=sys.stderr)


def run(script, path):
    ran = subprocess.run([sys.executable, EXAMPLES / script, path], capture_output=True, text=True)
    check(f"{script} {path}", ran.returncode == 0, ran.stderr)
    return ran.stdout


def statements(script):
    """Statements of an SQL file; none of ours has a semicolon in a text."""
    text = "\n".join(line for line in script.read_text().splitlines() if not line.startswith("--"))
    return [statement for statement in text.split(";") if statement.strip()]


def in_duckdb(binary, path, arrow):
    engine = duckdb.connect()
    engine.execute("SET TimeZone = 'UTC'")
    views = subprocess.run([binary, "query", path, "--print-duckdb-views"], capture_output=True, text=True, check=True)
    engine.execute(views.stdout)
    results = [engine.sql(statement) for statement in statements(EXAMPLES / "duckdb.sql")]
    moved, ranges, gaps, payloads, ledger = results
    check(f"duckdb {path}: second", str(moved.types[0]) == "TIMESTAMP WITH TIME ZONE", moved.types)
    check(f"duckdb {path}: bytes", str(moved.types[2]) == "BIGINT", moved.types)
    bases = [iov["base"] for iovs in arrow["remote_iov"].to_pylist() for iov in iovs or []]
    check(f"duckdb {path}: addresses", [row[1] for row in ranges.fetchall()] == bases)
    check(f"duckdb {path}: address type", str(ranges.types[1]) == "UBIGINT", ranges.types)
    rows = gaps.fetchall()
    processes = {row[0] for row in rows}
    check(f"duckdb {path}: a first row of each process", sum(row[2] is None for row in rows) == len(processes))
    check(f"duckdb {path}: gaps are not negative", all(row[2] is None or row[2] >= 0 for row in rows))
    check(f"duckdb {path}: entropy", all(0 <= row[1] <= 8 and len(row[2]) <= 16 for row in payloads.fetchall()))
    written = sum(row[2] for row in ledger.fetchall() if row[1] == "written")
    snapshots = sum(event in ("process_snapshot", "lost") for event in arrow["event"].to_pylist())
    check(f"duckdb {path}: written", written in (arrow.num_rows, arrow.num_rows - snapshots), written)


def in_pandas(path, arrow):
    text = run("pandas_capture.py", path)
    check(f"pandas {path}: output", "longest pause of a process:" in text and "payloads hold" in text, text)
    frame = pd.read_parquet(path, dtype_backend="pyarrow")
    for column, wanted in [("mono_ns", "int64[pyarrow]"), ("bytes", "int64[pyarrow]"), ("data", "uint64[pyarrow]")]:
        check(f"pandas {path}: {column}", str(frame[column].dtype) == wanted, frame[column].dtype)
    check(f"pandas {path}: ts", str(frame["ts"].dtype) == "timestamp[us, tz=UTC][pyarrow]", frame["ts"].dtype)
    check(f"pandas {path}: comm", "dictionary" in str(frame["comm"].dtype), frame["comm"].dtype)
    nulls = arrow["errno"].null_count
    check(f"pandas {path}: nulls", int(frame["errno"].isna().sum()) == nulls, nulls)
    exact = [int(value) for value in frame["ts_ns"]] == arrow["ts_ns"].to_pylist()
    check(f"pandas {path}: ts_ns is exact", exact)
    ranges = frame.loc[frame["remote_iov"].notna(), "remote_iov"].explode()
    bases = [iov["base"] for iovs in arrow["remote_iov"].to_pylist() for iov in iovs or []]
    check(f"pandas {path}: addresses", [int(range["base"]) for range in ranges] == bases)
    check(f"pandas {path}: no floats", all(isinstance(range["base"], int) for range in ranges))


def in_polars(path, arrow):
    text = run("polars_capture.py", path)
    check(f"polars {path}: output", "longest pause of a process:" in text and "payloads hold" in text, text)
    schema = pl.scan_parquet(path).collect_schema()
    check(f"polars {path}: ts", schema["ts"] == pl.Datetime("us", "UTC"), schema["ts"])
    check(f"polars {path}: ts_ns", schema["ts_ns"] == pl.Int64, schema["ts_ns"])
    check(f"polars {path}: comm", schema["comm"] in (pl.Categorical, pl.String), schema["comm"])
    iovec = pl.List(pl.Struct({"base": pl.UInt64, "len": pl.UInt64}))
    check(f"polars {path}: remote_iov", schema["remote_iov"] == iovec, schema["remote_iov"])
    frame = pl.read_parquet(path)
    check(f"polars {path}: nulls", frame["errno"].null_count() == arrow["errno"].null_count)
    check(f"polars {path}: payload", frame["payload"].to_list() == arrow["payload"].to_pylist())


def main():
    binary = str(Path(sys.argv[1]).resolve())
    for path in sys.argv[2:]:
        arrow = pyarrow.parquet.read_table(path)
        in_duckdb(binary, path, arrow)
        in_pandas(path, arrow)
        in_polars(path, arrow)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
