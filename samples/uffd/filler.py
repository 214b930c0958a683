"""Restores a process lazily: the pages of `worker` are missing until it touches them. Its userfaultfd is with this process, the
filler, which waits for the faults and copies each page out of an image. One page becomes zeros, one is poisoned, and a page that
is there already is not filled again. At last the worker moves a page of its own. Needs Linux 6.8 (UFFDIO_MOVE)."""

import ctypes
import fcntl
import mmap
import os
import socket
import struct

libc = ctypes.CDLL(None, use_errno=True)
USERFAULTFD, USER_MODE_ONLY = 323, 1
API, REGISTER = 0xC018AA3F, 0xC020AA00
COPY, ZEROPAGE, MOVE, POISON = 0xC028AA03, 0xC020AA04, 0xC028AA05, 0xC020AA08
PAGE, PAGES = mmap.PAGESIZE, 6


def call(fd, command, *words):
    """Makes an ioctl(2); returns the name of its error, or what it was done with."""
    members = bytearray(struct.pack(f"{len(words) + 1}Q", *words, 0))
    try:
        fcntl.ioctl(fd, command, members)
    except OSError as error:
        return error.strerror
    return struct.unpack_from("q", members, 8 * len(words))[0]


def address(memory):
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


here, there = socket.socketpair()
pages = mmap.mmap(-1, PAGES * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
start = address(pages)

worker = os.fork()
if worker == 0:
    with open("/proc/self/comm", "w") as comm:
        comm.write("worker")
    fd = libc.syscall(USERFAULTFD, os.O_CLOEXEC | USER_MODE_ONLY)
    call(fd, API, 0xAA, 0)
    # The last page is not registered.
    call(fd, REGISTER, start, (PAGES - 1) * PAGE, 1)
    socket.send_fds(there, [b"uffd"], [fd])
    print("worker  reads ", pages[0:18], pages[PAGE : PAGE + 18], pages[2 * PAGE : 2 * PAGE + 4], flush=True)
    there.recv(1)
    pages[5 * PAGE : 5 * PAGE + 11] = b"moved away\n"
    print("worker  moves ", call(fd, MOVE, start + 4 * PAGE, start + 5 * PAGE, PAGE, 0), flush=True)
    os._exit(0)

there.close()
_, (fd,), _, _ = socket.recv_fds(here, 4, 1)
image = mmap.mmap(-1, 2 * PAGE)
image[0:18] = b"page 0 of an image"
image[PAGE : PAGE + 18] = b"page 1 of an image"
source = address(image)
for _ in range(2):
    # struct uffd_msg: the fault's address is its third word.
    page = (struct.unpack("4Q", os.read(fd, 32))[2] - start) // PAGE
    print("filler  copies", page, call(fd, COPY, start + page * PAGE, source + page * PAGE, PAGE, 0), flush=True)
os.read(fd, 32)
print("filler  zeros ", 2, call(fd, ZEROPAGE, start + 2 * PAGE, PAGE, 0))
print("filler  poison", 3, call(fd, POISON, start + 3 * PAGE, PAGE, 0))
print("filler  again ", 0, call(fd, COPY, start, source, PAGE, 0))
here.send(b"\0")
os.waitpid(worker, 0)
