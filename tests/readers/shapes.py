#!/usr/bin/env python3
"""Compares captures with the columns that they were made of, value by value, as pyarrow, DuckDB and polars read them.

    shapes.py DIRECTORY

The unit tests of src/schema/chunk leave pairs `NAME.parquet` and `NAME.arrow` there, of every form that the encoder has.
Prints `N columns read, N failed`; exits 1 if one failed, or if there is nothing to compare.
"""

import sys
from pathlib import Path

import duckdb
import polars
import pyarrow
import pyarrow.compute
import pyarrow.ipc
import pyarrow.parquet


def by_pyarrow(path):
    return pyarrow.parquet.read_table(path)


def by_duckdb(path):
    return duckdb.read_parquet(str(path)).to_arrow_table()


def by_polars(path):
    return polars.read_parquet(path).to_arrow()


def plain(column, wanted):
    """A column without dictionaries, in one piece, of the type `wanted`."""
    if pyarrow.types.is_dictionary(column.type):
        column = pyarrow.compute.cast(column, column.type.value_type)
    return pyarrow.compute.cast(column, wanted).combine_chunks()


def values(kind):
    return kind.value_type if pyarrow.types.is_dictionary(kind) else kind


def main(directory):
    compared, failed = 0, 0
    for made in sorted(directory.glob("*.arrow")):
        written = pyarrow.ipc.open_file(made).read_all()
        for reader in (by_pyarrow, by_duckdb, by_polars):
            read = reader(made.with_suffix(".parquet"))
            if read.column_names != written.column_names or read.num_rows != written.num_rows:
                sys.exit(f"{made.stem}: {reader.__name__} sees other columns or rows")
            for name in written.column_names:
                wanted = values(written[name].type)
                compared += 1
                if not plain(read[name], wanted).equals(plain(written[name], wanted)):
                    failed += 1
                    print(f"FAILED {made.stem}: {reader.__name__} reads other values in {name}", file=sys.stderr)
    print(f"{compared} columns read, {failed} failed")
    return 1 if failed or not compared else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: shapes.py DIRECTORY")
    sys.exit(main(Path(sys.argv[1])))
