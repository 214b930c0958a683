"""A message goes through four processes without being copied by any of them until it is read.

writer: vmsplice -> pipe 1 ; relay: tee pipe 1 -> pipe 2, splice pipe 1 -> a file ; reader: read pipe 2.
"""

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
MESSAGES = 3
FILE = "/tmp/relay.out"


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def name(text):
    with open("/proc/self/comm", "w") as comm:
        comm.write(text)


def vmsplice(fd, *parts):
    buffers = [ctypes.create_string_buffer(part, len(part)) for part in parts]
    iov = (Iovec * len(parts))(*[Iovec(ctypes.addressof(b), len(b)) for b in buffers])
    return check(libc.vmsplice(fd, iov, len(parts), 0)), buffers


def writer(fd):
    name("writer")
    kept = [vmsplice(fd, b"message %d: " % n, b"the quick brown fox\n") for n in range(MESSAGES)]
    os.close(fd)
    return kept  # the pages must live until they are read


def relay(source, copy):
    name("relay")
    out = os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    while True:
        teed = check(libc.tee(source, copy, 4096, 0))
        if teed == 0:
            break
        moved = 0
        while moved < teed:
            moved += os.splice(source, out, teed - moved)
    os.close(copy)


def reader(fd):
    name("reader")
    while os.read(fd, 4096):
        pass


def child(work, *fds, close):
    pid = os.fork()
    if pid:
        return pid
    for fd in close:
        os.close(fd)
    work(*fds)
    os._exit(0)


one, two = os.pipe(), os.pipe()
children = [
    child(reader, two[0], close=(*one, two[1])),
    child(relay, one[0], two[1], close=(one[1], two[0])),
]
os.close(one[0])
os.close(two[0])
os.close(two[1])
kept = writer(one[1])
for pid in children:
    os.waitpid(pid, 0)
os.unlink(FILE)
