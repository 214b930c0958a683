"""Calls of every kind that strace and vmtrace both see, at addresses and descriptors that are the same in every run."""

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
PAGE = 4096
SOURCE, SINK, ABSENT = 0x2000_0000, 0x3000_0000, 0x4000_0000
MEM, PIPE_OUT, PIPE_IN, OTHER_OUT, OTHER_IN, FILE, PIDFD = 50, 60, 61, 62, 63, 70, 80
# Every byte that is written in a way of its own, and digits behind escapes.
TEXT = b"a\x001b\x00zz\x7f\xff8\x1b[31m\\\"\t\n\r\v\f" + bytes(range(256)) + b"." * 200


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def array(*ranges):
    return (Iovec * len(ranges))(*(Iovec(*one) for one in ranges))


def page(address):
    # Readable, writable; private, anonymous, fixed.
    assert libc.mmap(address, PAGE, 3, 0x32, -1, 0) == address


def call(name, *args):
    return getattr(libc, name)(*args)


def syscall(number, *args):
    return libc.syscall(ctypes.c_long(number), *(ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args))


page(SOURCE)
page(SINK)
ctypes.memmove(SOURCE, TEXT, len(TEXT))
ready, done = os.pipe(), os.pipe()
target = os.fork()
if target == 0:
    os.close(done[1])
    os.write(ready[1], b"!")
    os.read(done[0], 1)
    os._exit(0)
os.close(done[0])
os.read(ready[0], 1)
os.dup2(os.open(f"/proc/{target}/mem", os.O_RDWR), MEM)

pieces = array((SINK, 10), (SINK + 10, 90))
call("process_vm_readv", target, pieces, 2, array((SOURCE, 100)), 1, 0)
call("process_vm_readv", target, array((SINK, 400)), 1, array((SOURCE, 400)), 1, 0)
call("process_vm_readv", target, pieces, 2, array((SOURCE + PAGE - 20, 100)), 1, 0)
call("process_vm_readv", target, pieces, 2, array((ABSENT, 100)), 1, 0)
call("process_vm_readv", target, pieces, 2, array((SOURCE, 100)), 1, 1)
call("process_vm_writev", target, array((SOURCE, 7), (SOURCE + 7, 20)), 2, array((SINK, 27)), 1, 0)

libc.pread.argtypes = libc.pwrite.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long]
libc.preadv.argtypes = libc.pwritev.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_long]
libc.preadv2.argtypes = libc.pwritev2.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_int]
call("pread", MEM, SINK, 16, SOURCE)
call("pread", MEM, SINK, 16, ABSENT)
call("pwrite", MEM, SOURCE, 12, SINK)
call("preadv", MEM, pieces, 2, SOURCE)
call("pwritev", MEM, array((SOURCE, 3), (SOURCE + 3, 4)), 2, SINK)
call("preadv2", MEM, array((SINK, 8)), 1, SOURCE, 0)
call("pwritev2", MEM, array((SOURCE, 8)), 1, SINK, 0)
os.lseek(MEM, SOURCE, os.SEEK_SET)
call("read", MEM, ctypes.c_void_p(SINK), 9)
call("readv", MEM, array((SINK, 4), (SINK + 4, 4)), 2)
os.lseek(MEM, SINK, os.SEEK_SET)
call("write", MEM, ctypes.c_void_p(SOURCE), 9)
call("writev", MEM, array((SOURCE, 4), (SOURCE + 4, 4)), 2)

for ends, numbers in ((os.pipe(), (PIPE_OUT, PIPE_IN)), (os.pipe(), (OTHER_OUT, OTHER_IN))):
    for end, number in zip(ends, numbers):
        os.dup2(end, number)
os.dup2(os.open(__file__, os.O_RDONLY), FILE)
call("vmsplice", PIPE_IN, array((SOURCE, 24), (SOURCE + 24, 8)), 2, 0)
call("tee", PIPE_OUT, OTHER_IN, 16, 2)
call("splice", PIPE_OUT, None, OTHER_IN, None, 8, 1)
call("read", OTHER_OUT, ctypes.c_void_p(SINK), 10)
call("readv", OTHER_OUT, array((SINK, 5), (SINK + 5, 30)), 2)
call("write", OTHER_IN, ctypes.c_void_p(SOURCE), 5)
call("writev", OTHER_IN, array((SOURCE, 2), (SOURCE + 2, 3)), 2)
call("splice", FILE, ctypes.byref(ctypes.c_long(3)), OTHER_IN, None, 20, 0)
call("sendfile", OTHER_IN, FILE, ctypes.byref(ctypes.c_long(0)), 3)
call("sendfile", OTHER_IN, FILE, None, 3)

os.dup2(os.pidfd_open(target), PIDFD)
syscall(438, PIDFD, 1, 0)
syscall(440, PIDFD, array((SOURCE, PAGE)), 1, 20, 0)
os.close(done[1])
os.waitpid(target, 0)
