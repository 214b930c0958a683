#!/usr/bin/env python3
"""A program that makes it hard for whoever records it: `subject.py WHAT SECONDS`.

The recorder is its parent, whose files are in the directory OUT. At its end it prints a line of JSON: how many calls of
each event it has made that a capture must have as rows, or count as lost.
"""

import ctypes
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
RECORDER = os.getppid()
OUT = Path(os.environ["OUT"])
NOBODY = 65534


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def ranges(buffer, lengths):
    """iovecs that follow each other in a buffer."""
    at, made = ctypes.addressof(buffer), (Iovec * len(lengths))()
    for iovec, length in zip(made, lengths):
        iovec.base, iovec.len = at, length
        at += length
    return made


class Reader:
    """Reads its own memory, or that of a process that was forked from it, through process_vm_readv(2)."""

    def __init__(self, lengths=(64,), content=b"x" * 64):
        self.source = ctypes.create_string_buffer(content, sum(lengths))
        self.target = ctypes.create_string_buffer(sum(lengths))
        self.local, self.remote = ranges(self.target, lengths), ranges(self.source, lengths)

    def read(self, pid):
        done = LIBC.process_vm_readv(pid, self.local, len(self.local), self.remote, len(self.remote), 0)
        if done != len(self.source):
            raise OSError(ctypes.get_errno(), f"process_vm_readv returned {done}")


def until(seconds):
    """Numbers of turns, for so long."""
    end, turn = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        yield turn
        turn += 1


def child(work):
    """Runs `work` in a child; its process id."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return pid


def wait(pid):
    if os.waitpid(pid, 0)[1] != 0:
        raise SystemExit(f"child {pid} has failed")


def flood(seconds):
    """Two processes call as fast as they can."""
    reader, own, ends = Reader(), os.getpid(), []
    for _ in range(2):
        take, give = os.pipe()

        def work():
            turns = sum(1 for _ in until(seconds) if reader.read(own) is None)
            os.write(give, b"%d" % turns)

        pid = child(work)
        os.close(give)
        ends.append((pid, take))
    turns = 0
    for pid, take in ends:
        wait(pid)
        turns += int(os.read(take, 100))
    return {"process_vm_readv": turns}


def names(seconds):
    """A new name before each call: any bytes."""
    reader, turns = Reader(), 0
    for turns in until(seconds):
        name = bytes(random.randrange(1, 256) for _ in range(random.randrange(1, 16)))
        LIBC.prctl(15, name, 0, 0, 0)
        reader.read(os.getpid())
    return {"process_vm_readv": turns + 1}


def forks(seconds):
    """Processes that live for one call."""
    reader, own, turns = Reader(), os.getpid(), 0
    for turns in until(seconds):
        wait(child(lambda: reader.read(own)))
    return {"process_vm_readv": turns + 1}


def pipes(seconds):
    """A new pipe for each call."""
    page, turns = ctypes.create_string_buffer(4096), 0
    for turns in until(seconds):
        take, give = os.pipe()
        given = LIBC.vmsplice(give, ranges(page, [4096]), 1, 0)
        if given != 4096 or len(os.read(take, 4096)) != 4096:
            raise SystemExit(f"vmsplice returned {given}")
        os.close(take)
        os.close(give)
    return {"vmsplice": turns + 1, "pipe_read": turns + 1}


def paths(seconds):
    """Files whose paths are as long as they can be, with names of control characters."""
    place, turns = OUT / "deep", 0
    place.mkdir()
    os.chdir(place)
    for depth in range(15):
        part = ("\x1b[31m%02d\n" % depth + "d" * 255)[:255]
        os.mkdir(part)
        os.chdir(part)
    file = os.open("f" * 200, os.O_RDWR | os.O_CREAT, 0o600)
    os.write(file, b"x" * 64)
    take, give = os.pipe()
    for turns in until(seconds):
        if os.splice(file, give, 64, offset_src=0) != 64 or len(os.read(take, 64)) != 64:
            raise SystemExit("splice failed")
    os.chdir("/")
    shutil.rmtree(place)
    return {"splice": turns + 1, "pipe_read": turns + 1}


def iovecs(seconds):
    """As many segments as a call can have, none as long as the next."""
    reader, turns = Reader([1 + number * 7 % 61 for number in range(1024)]), 0
    for turns in until(seconds):
        reader.read(os.getpid())
    return {"process_vm_readv": turns + 1}


def frames(seconds):
    """Bytes that look like the recorder's own journal: what stands in it."""
    turns, content = 0, b""
    for turns in until(seconds):
        if turns % 100 == 0:
            journal = max(OUT.glob("*.journal-*"))
            with journal.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(random.randrange(max(size - 256, 1)))
                content = file.read(256).ljust(256, b"x")
        Reader([256], content).read(os.getpid())
    return {"process_vm_readv": turns + 1}


def signals(seconds):
    """Another user sends the recorder all that can be sent."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    reader, turns, sent = Reader(), 0, 0
    for turns in until(seconds):
        # Those of one session may always wake each other.
        for number in set(range(1, signal.NSIG)) - {signal.SIGCONT}:
            try:
                os.kill(RECORDER, number)
                sent += 1
            except PermissionError:
                pass
        reader.read(os.getpid())
    if sent:
        raise SystemExit(f"{sent} signals were sent")
    return {"process_vm_readv": turns + 1}


def processes(seconds):
    """As many processes as another user may have, all of which call and stay."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    resource.setrlimit(resource.RLIMIT_NPROC, (200, 200))
    reader, turns, refused = Reader(), 0, 0
    for _ in until(seconds):
        # One that was changed to another user cannot be read by its children: they read themselves.
        living = []
        while len(living) < 400:
            take, give = os.pipe()
            try:
                pid = child(lambda: (reader.read(os.getpid()), os.close(give), os.read(take, 1)))
            except BlockingIOError:
                refused += 1
                os.close(give)
                break
            finally:
                os.close(take)
            living.append((pid, give))
        for _, give in living:
            os.close(give)
        for pid, _ in living:
            wait(pid)
        turns += len(living)
    if not refused:
        raise SystemExit("no limit was reached")
    return {"process_vm_readv": turns}


def main():
    _, what, seconds = sys.argv
    works = [flood, names, forks, pipes, paths, iovecs, frames, signals, processes]
    work = {work.__name__: work for work in works}[what]
    print(json.dumps(work(float(seconds))))


if __name__ == "__main__":
    main()
