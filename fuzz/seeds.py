#!/usr/bin/env python3
"""Writes first inputs for the fuzz targets: seeds.py OUT [CAPTURE...], with a directory in OUT for each target.

Captures that are given become whole inputs of the targets that take files.
"""

import pathlib
import random
import sys

RECORD = 16
CAPTURES = 10
COMMANDS = 33
CONDITIONS = [
    "bytes > 0", "errno = EPERM", "event = mem_open or bytes < 100", "not (pid = 1 and uid != 0)", "comm ~ 'py*'",
    "ret = -1", "target_pid is null", "target_comm is not null", "seq >= 3 and seq <= 0x10", "event in (splice, tee)",
    "payload_status = ok", "comm = \"a b\"", "duration_ns > 1ms", "fd_path ~ '/proc/*/mem'",
]
SELECTS = [
    "1.5", "250ms", "2m", "2026-11-29T21:57:11Z", "@1764000000.5", "0x7ff915281000+64", "16547", "16547,16539", "python*",
    "@mem,@process", "all,!lost", "4026", "3", "local", "utc", "512M", "1",
]
REDACTIONS = [b"\0comm=python3", b"\0path=/usr/bin/python3.11,host=a", b"\1argv,payload", b"\2metadata", b"\3masked\n\2share",
              b"\0word=x\n\1comm\n\2payload", b"\0uid=0,65534", b"\0cgroup=/", b"\0net=127.0.0.1"]
RECORDS = [
    "-o\nt.parquet\n--\ntrue", "-p\n1\n-e\n@mem,@process\n-s\n80", "-a\n--flight-recorder\n30s\n--trigger\nerrno = EPERM",
    "-a\n-G\n1h\n-C\n500M\n-W\n3", "-u\n0\n--cgroup\n/\n-c\n10\n--duration\n250ms", "--print\n-T\njsonl\n-p\n4211",
    "--buffer-size\n4M\n--memory-limit\n4M\n--journal-window\n100ms\n--on-full\nstop\n-a", "--snaplen=0\n--payload=none\n-a",
]


def records(dice, areas, count):
    """Changes of each area."""
    for area in range(areas):
        for _ in range(count):
            yield bytes([area]) + dice.randbytes(RECORD - 1)


def main():
    out = pathlib.Path(sys.argv[1])
    given = [pathlib.Path(name).read_bytes() for name in sys.argv[2:]]
    dice = random.Random(1)
    inputs = {}

    def add(target, data):
        inputs.setdefault(target, []).append(data)

    for base in range(CAPTURES):
        for which in range(COMMANDS):
            add("capture", bytes([which, base]))
    for record in records(dice, 16, 6):
        add("capture", bytes([dice.randrange(COMMANDS), dice.randrange(CAPTURES)]) + record)
    for target, commands, areas in [("footer", 3, 1), ("index", 4, 1), ("page", 3, 4), ("manifest", 7, 3), ("chain", 4, 6)]:
        for base in range(CAPTURES):
            for which in range(commands):
                add(target, bytes([which, base]))
        for record in records(dice, areas, 40 // areas):
            add(target, bytes([dice.randrange(commands), dice.randrange(CAPTURES)]) + record)
    for base in range(CAPTURES):
        add("partial", bytes([base]))
    for record in records(dice, 7, 8):
        add("partial", bytes([dice.randrange(CAPTURES)]) + record)
    add("recover", b"")
    for record in records(dice, 8, 12):
        add("recover", record)
    for which in range(4):
        add("zip", bytes([which]))
        for record in records(dice, 8, 4):
            add("zip", bytes([which]) + record)
    for which in range(6):
        add("signature", bytes([which]))
        for record in records(dice, 5, 3):
            add("signature", bytes([which]) + record)
    for text in CONDITIONS:
        add("condition", text.encode())
    for which in range(12):
        for text in SELECTS:
            add("select", bytes([which]) + text.encode())
    for text in REDACTIONS:
        add("redaction", text)
    for text in RECORDS:
        add("record", text.encode())
    for data in given:
        add("capture", bytes([COMMANDS - 1]) + data)
        add("partial", b"\0" + data)
    for target, all_of_it in inputs.items():
        place = out / target
        place.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(all_of_it):
            (place / f"seed-{number:04}").write_bytes(data)


if __name__ == "__main__":
    main()
