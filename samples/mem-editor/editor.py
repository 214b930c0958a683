"""Edits the memory of another process through its /proc/PID/mem file, with every call that reads or writes a file: each line
of the target's page is read by one call, turned to upper case, and written back by its counterpart."""

import ctypes
import mmap
import os

libc = ctypes.CDLL(None, use_errno=True)
LINE, NUMBER = 32, 8
FORMS = [b"read", b"readv", b"pread", b"preadv", b"preadv2"]


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def check(count):
    if count != LINE:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def name(text):
    with open("/proc/self/comm", "w") as comm:
        comm.write(text)


page = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
for n, form in enumerate(FORMS):
    page[n * LINE : (n + 1) * LINE] = (b"line %d: to edit by %s" % (n, form)).ljust(LINE, b".")

ready, done = os.pipe(), os.pipe()
target = os.fork()
if target == 0:
    name("document")
    os.close(done[1])
    os.write(ready[1], b"!")
    os.read(done[0], 1)
    text = page[: len(FORMS) * LINE]
    os._exit(0 if text.startswith(b"LINE 0: TO EDIT BY READ.") and text == text.upper() else 1)

name("editor")
os.close(done[0])
os.read(ready[0], 1)
mem = os.open(f"/proc/{target}/mem", os.O_RDWR)
line = bytearray(LINE)
# The vectored calls take the line in two segments: its number, and its text.
segments = [memoryview(line)[:NUMBER], memoryview(line)[NUMBER:]]
start = ctypes.addressof(ctypes.c_char.from_buffer(line))
vector = (Iovec * 2)(Iovec(start, NUMBER), Iovec(start + NUMBER, LINE - NUMBER))


def seek(at):
    os.lseek(mem, at, os.SEEK_SET)


def to_upper():
    line[:] = line.upper()


at = address
seek(at)
text = os.read(mem, LINE)
seek(at)
check(os.write(mem, text.upper()))

at += LINE
seek(at)
check(os.readv(mem, segments))
to_upper()
seek(at)
check(os.writev(mem, segments))

at += LINE
check(os.pwrite(mem, os.pread(mem, LINE, at).upper(), at))

# libc's own, since Python makes preadv2 and pwritev2 of its preadv and pwritev.
at += LINE
check(libc.preadv(mem, vector, 2, ctypes.c_long(at)))
to_upper()
check(libc.pwritev(mem, vector, 2, ctypes.c_long(at)))

at += LINE
check(libc.preadv2(mem, vector, 2, ctypes.c_long(at), 0))
to_upper()
check(libc.pwritev2(mem, vector, 2, ctypes.c_long(at), 0))

# Nothing is mapped there.
try:
    os.pread(mem, LINE, 0)
except OSError as error:
    print(error)
os.close(done[1])
_, status = os.waitpid(target, 0)
assert status == 0, status
