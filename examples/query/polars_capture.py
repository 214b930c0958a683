"""A capture in polars: polars_capture.py CAPTURE"""

import sys

import polars as pl

# scan_parquet reads the columns that are named, and the row groups that can match.
events = pl.scan_parquet(sys.argv[1])

moved = events.filter(pl.col("bytes") > 0).group_by("comm", "event").agg(pl.col("bytes").sum(), pl.len().alias("calls"))
print(moved.sort("bytes", "comm", "event", descending=[True, False, False]).collect())

gaps = events.sort("mono_ns").select("pid", gap_ns=pl.col("mono_ns").diff().over("pid"))
print("longest pause of a process:", gaps.select(pl.col("gap_ns").max()).collect().item(), "ns")

ranges = events.select("seq", "event", "remote_iov").drop_nulls("remote_iov").explode("remote_iov").unnest("remote_iov")
print(ranges.head().collect())

with_zeros = events.select(pl.col("payload").bin.contains(b"\0").sum()).collect().item()
print(with_zeros, "payloads hold a zero byte")
