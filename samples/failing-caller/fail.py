"""Every way a cross-memory call fails: each is an event, with its errno and what it was after."""

import ctypes
import mmap
import os
import time

libc = ctypes.CDLL(None, use_errno=True)
PAGE = mmap.PAGESIZE


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def readv(pid, local, remote, flags=0):
    """Returns bytes, or the name of the error."""
    count = libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, flags)
    return count if count >= 0 else os.strerror(ctypes.get_errno())


libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
pages = libc.mmap(None, 2 * PAGE, 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
ctypes.memset(pages, ord("s"), 2 * PAGE)
here = ctypes.create_string_buffer(2 * PAGE)
local = Iovec(ctypes.addressof(here), 2 * PAGE)

victim = os.fork()
if victim == 0:
    libc.munmap(pages + PAGE, PAGE)
    with open("/proc/self/comm", "w") as comm:
        comm.write("victim")
    time.sleep(60)
    os._exit(0)
time.sleep(0.2)

gone = os.fork()
if gone == 0:
    os._exit(0)
os.waitpid(gone, 0)

print("whole           ", readv(victim, Iovec(local.base, PAGE), Iovec(pages, PAGE)))
print("partial         ", readv(victim, local, Iovec(pages, 2 * PAGE)))
print("unmapped target ", readv(victim, local, Iovec(pages + PAGE, PAGE)))
print("bad local buffer", readv(victim, Iovec(16, PAGE), Iovec(pages, PAGE)))
print("unknown flag    ", readv(victim, local, Iovec(pages, PAGE), flags=1))
print("no such process ", readv(gone, local, Iovec(pages, PAGE)))
caller = os.fork()
if caller == 0:
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    print("another user    ", readv(victim, local, Iovec(pages, PAGE)), flush=True)
    os._exit(0)
os.waitpid(caller, 0)
os.kill(victim, 9)
os.waitpid(victim, 0)
