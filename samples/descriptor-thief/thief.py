"""Reaches into another process without touching its memory: takes a copy of its descriptor by pidfd_getfd, reads through
it, and asks the kernel by process_madvise to put its pages out. The last two calls fail."""

import ctypes
import os
import time

libc = ctypes.CDLL(None, use_errno=True)
PIDFD_GETFD, PROCESS_MADVISE, MADV_COLD = 438, 440, 20
PAGE = 4096


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def call(number, *arguments):
    """Returns the result, or the name of the error."""
    result = libc.syscall(number, *arguments)
    return result if result >= 0 else os.strerror(ctypes.get_errno())


memory = ctypes.create_string_buffer(b"x" * 4 * PAGE)
start = (ctypes.addressof(memory) + PAGE - 1) & -PAGE
ranges = (Iovec * 2)(Iovec(start, PAGE), Iovec(start + PAGE, PAGE))

victim = os.fork()
if victim == 0:
    with open("/proc/self/comm", "w") as comm:
        comm.write("victim")
    secret = os.open("secret.txt", os.O_RDWR | os.O_CREAT, 0o600)
    os.dup2(secret, 100)
    os.pwrite(100, b"only the victim may read this\n", 0)
    time.sleep(60)
    os._exit(0)
time.sleep(0.2)

pidfd = os.pidfd_open(victim)
stolen = call(PIDFD_GETFD, pidfd, 100, 0)
print("stolen      ", os.pread(stolen, 100, 0).decode().strip())
print("cold        ", call(PROCESS_MADVISE, pidfd, ranges, ctypes.c_size_t(2), MADV_COLD, 0))
print("no such fd  ", call(PIDFD_GETFD, pidfd, 101, 0))
print("no such flag", call(PROCESS_MADVISE, pidfd, ranges, ctypes.c_size_t(2), MADV_COLD, 1))
os.kill(victim, 9)
os.waitpid(victim, 0)
