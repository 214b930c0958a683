"""A producer gives its pages to a pipe and uses them again too early: the consumer reads other bytes than were sent.

Each record is a header by write(2), which copies, and a body by vmsplice(2), which does not: the pipe holds the producer's page
until somebody reads it. The producer fills that page with the next body at once.
"""

import ctypes
import mmap
import os

libc = ctypes.CDLL(None, use_errno=True)
RECORDS = 3
HEADER, BODY = 16, 32


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def name(text):
    with open("/proc/self/comm", "w") as comm:
        comm.write(text)


def producer(pipe, done):
    name("producer")
    page = mmap.mmap(-1, mmap.PAGESIZE)
    iov = Iovec(ctypes.addressof(ctypes.c_char.from_buffer(page)), BODY)
    for number in range(1, RECORDS + 1):
        page[:BODY] = (b"body of record %06d" % number).ljust(BODY, b".")
        os.write(pipe, (b"record %06d" % number).ljust(HEADER))
        if libc.vmsplice(pipe, ctypes.byref(iov), 1, 0) != BODY:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.write(done, b"!")


def consumer(pipe, done):
    name("consumer")
    os.read(done, 1)
    for number in range(1, RECORDS + 1):
        header, body = os.read(pipe, HEADER), os.read(pipe, BODY)
        sound = b"%06d" % number in header and b"%06d" % number in body
        print(f"record {number}: {'ok' if sound else 'damaged'}: {body.decode()}", flush=True)


pipe, done = os.pipe(), os.pipe()
if os.fork() == 0:
    producer(pipe[1], done[1])
    os._exit(0)
consumer(pipe[0], done[0])
os.wait()
