"""`dump.py PID [nobody]`: looks for secrets in the memory of a process, through /proc/PID/mem."""

import os
import sys

MARK = b'"isSecret":' + b"true"
CHUNK = 256 << 10
NOBODY = 65_534

pid = int(sys.argv[1])
with open(f"/proc/{pid}/maps") as maps:
    lines = [line.split() for line in maps]
if "nobody" in sys.argv:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
try:
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
except PermissionError as error:
    sys.exit(f"dump.py: {error}")
for span, access, *_, inode in (line[:5] for line in lines):
    # Memory of its own that it can write to.
    if access != "rw-p" or inode != "0":
        continue
    start, end = (int(address, 16) for address in span.split("-"))
    for at in range(start, end, CHUNK):
        chunk = os.pread(memory, min(CHUNK, end - at), at)
        found = chunk.find(MARK)
        if found >= 0:
            begin = chunk.rfind(b"{", 0, found)
            print(os.pread(memory, found + len(MARK) + 1 - begin, at + begin).decode(errors="replace"))
