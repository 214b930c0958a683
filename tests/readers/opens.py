#!/usr/bin/env python3
"""Opens many captures with DuckDB, pyarrow and polars, and compares how many rows each sees, and sums over them.

    opens.py CAPTURE...

For captures by the hundred, as killed recorders leave them; `check.py` looks at every value of a few. Prints
`N captures opened, N failed`; exits 1 if one failed.
"""

import json
import sys

import duckdb
import polars
import pyarrow.compute
import pyarrow.parquet


def by_duckdb(path):
    quoted = path.replace("'", "''")
    sums = "count(*), coalesce(sum(seq), 0)::HUGEINT, coalesce(sum(octet_length(payload)), 0)::HUGEINT, count(errno)"
    [row] = duckdb.connect().execute(f"SELECT {sums} FROM read_parquet('{quoted}')").fetchall()
    return tuple(int(n) for n in row)


def by_pyarrow(path):
    table = pyarrow.parquet.read_table(path)
    count = pyarrow.compute
    lengths = count.sum(count.binary_length(table["payload"])).as_py() or 0
    return table.num_rows, count.sum(table["seq"]).as_py() or 0, lengths, table.num_rows - table["errno"].null_count


def by_polars(path):
    table = polars.read_parquet(path)
    return table.height, table["seq"].sum(), table["payload"].bin.size().sum(), table.height - table["errno"].null_count()


def claimed(path):
    manifest = json.loads(pyarrow.parquet.read_metadata(path).metadata[b"vmtrace.manifest"])
    return sum(book["written"] for book in manifest["ledger"])


def main(paths):
    if not paths:
        sys.exit("usage: opens.py CAPTURE...")
    failed = 0
    for path in paths:
        try:
            seen = {reader.__name__: reader(path) for reader in (by_duckdb, by_pyarrow, by_polars)}
            rows = {sums[0] for sums in seen.values()}
            if len(set(seen.values())) != 1 or rows != {claimed(path)}:
                raise ValueError(f"{seen}, {claimed(path)} rows claimed")
        except Exception as error:  # whatever a reader says of a file it does not open
            failed += 1
            print(f"FAILED {path}: {error}", file=sys.stderr)
    print(f"{len(paths) - failed} captures opened, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
