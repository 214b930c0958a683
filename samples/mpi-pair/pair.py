"""Two ranks exchange messages by cross-memory attach, as MPI does inside a node: each message is written by rank 0
into rank 1's memory with process_vm_writev, and the answer is read back with process_vm_readv."""

import ctypes
import mmap
import os

libc = ctypes.CDLL(None, use_errno=True)
ROUNDS, SIZE = 5, 16384


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def name(text):
    with open("/proc/self/comm", "w") as comm:
        comm.write(text)


def vector(address, sizes):
    at = address
    items = []
    for size in sizes:
        items.append(Iovec(at, size))
        at += size
    return (Iovec * len(items))(*items), len(items)


window = mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
address = ctypes.addressof(ctypes.c_char.from_buffer(window))
ping, pong = os.pipe(), os.pipe()

peer = os.fork()
if peer == 0:
    name("rank1")
    os.close(ping[1])
    while os.read(ping[0], 1):
        window[:] = window[:].upper()
        os.write(pong[1], b"!")
    os._exit(0)

name("rank0")
for n in range(ROUNDS):
    window[:] = (b"rank 0, message %d. " % n * SIZE)[:SIZE]
    # Header and body apart, as a datatype with two blocks would send them.
    local, liovcnt = vector(address, [64, SIZE - 64])
    remote, riovcnt = vector(address, [SIZE])
    check(libc.process_vm_writev(peer, local, liovcnt, remote, riovcnt, 0))
    os.write(ping[1], b"!")
    os.read(pong[0], 1)
    check(libc.process_vm_readv(peer, remote, riovcnt, local, liovcnt, 0))
    assert window[:16] == b"RANK 0, MESSAGE ", window[:16]
os.close(ping[1])
os.waitpid(peer, 0)
