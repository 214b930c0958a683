"""A capture in pandas: pandas_capture.py CAPTURE"""

import sys

import pandas as pd

# Without the backend, nullable 64-bit numbers become floating point and lose their last digits.
events = pd.read_parquet(sys.argv[1], dtype_backend="pyarrow")

# Who moved what. Text columns are dictionaries: observed=True leaves out pairs that never met.
moved = events[events["bytes"].notna() & (events["bytes"] > 0)]
print(moved.groupby(["comm", "event"], observed=True)["bytes"].sum().sort_values(ascending=False))

# Time between the calls of each process: on mono_ns, which is exact and never null.
gaps = events.sort_values("mono_ns").groupby("pid")["mono_ns"].diff()
print("longest pause of a process:", gaps.max(), "ns")

# Ranges of memory: one row per range, addresses as 64-bit integers.
ranges = events.loc[events["remote_iov"].notna(), ["seq", "event", "remote_iov"]].explode("remote_iov")
ranges["base"] = [int(range["base"]) for range in ranges["remote_iov"]]
print(ranges.assign(base=ranges["base"].map(hex)).head())

# Payloads are bytes; what was not captured is null.
with_zeros = [payload for payload in events["payload"].dropna() if b"\0" in payload]
print(len(with_zeros), "payloads hold a zero byte")
