"""A random program of several processes that move self-numbered bytes through pipes, one call at a time, and its account of
where each byte went.

    pipes.py SEED OUT

OUT gets JSON: `calls`, which moved bytes, in their order: [pid, event, bytes]; and `links`, runs of bytes: [number of the
call that put them in, offset in it, pipes and the calls between them, number of the call that took them out or null if
nobody did, offset in it, bytes].
"""

import array
import ctypes
import json
import mmap
import os
import random
import signal
import socket
import sys

STEPS = 40
# Of each process: so much memory, of which each call that sends uses another part. Pages in a pipe do not change.
MEMORY = 1 << 18
LONGEST = 6000
NONBLOCK = 2
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def checked(result):
    return result if result >= 0 else -ctypes.get_errno()


class Worker:
    """A process that does what it is asked for."""

    def __init__(self, pipes):
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            self.ours.close()
            self.pipes, self.used = pipes, 0
            self.memory = mmap.mmap(-1, MEMORY)
            self.memory[:] = array.array("Q", (os.getpid() << 32 | at for at in range(0, MEMORY, 8))).tobytes()
            self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            while words := json.loads(theirs.recv(4096)):
                theirs.send(json.dumps(self.act(*words)).encode())
            os._exit(0)
        theirs.close()

    def ask(self, *words):
        self.ours.send(json.dumps(words).encode())
        return json.loads(self.ours.recv(4096))

    def act(self, event, source, sink, length):
        # A recorded call that fails: without the duration of calls, it says that this process did not begin the next one before.
        libc.tee(-1, -1, ctypes.c_size_t(1), 0)
        try:
            if event == "pipe_write":
                return os.write(self.pipes[sink][1], self.part(length)[1])
            if event == "pipe_read":
                return len(os.read(self.pipes[source][0], length))
            if event == "splice":
                return os.splice(self.pipes[source][0], self.pipes[sink][1], length, flags=NONBLOCK)
        except OSError as error:
            return -error.errno
        if event == "tee":
            return checked(libc.tee(self.pipes[source][0], self.pipes[sink][1], ctypes.c_size_t(length), NONBLOCK))
        fd = self.pipes[sink][1] if source is None else self.pipes[source][0]
        at, _ = self.part(length)
        return checked(libc.vmsplice(fd, ctypes.byref(Iovec(self.address + at, length)), ctypes.c_size_t(1), NONBLOCK))

    def part(self, length):
        at = self.used
        self.used += length
        return at, self.memory[at : at + length]


class World:
    """The pipes as queues of runs of bytes."""

    def __init__(self, count):
        self.pipes = [os.pipe2(os.O_NONBLOCK) for _ in range(count)]
        self.inodes = [os.fstat(read).st_ino for read, _ in self.pipes]
        self.queues = [[] for _ in self.pipes]
        self.touched = [False] * count
        self.calls, self.links = [], []

    def front(self, pipe, length):
        """The first bytes in a pipe."""
        runs = []
        for source, offset, way, there in self.queues[pipe]:
            take = min(there, length)
            if take == 0:
                break
            runs.append((source, offset, way, take))
            length -= take
        assert length == 0, "more came out than is in the pipe"
        return runs

    def drop(self, pipe, length):
        queue = self.queues[pipe]
        while length > 0:
            source, offset, way, there = queue.pop(0)
            if there > length:
                queue.insert(0, (source, offset + length, way, there - length))
            length -= min(there, length)

    def moved(self, pid, event, source, sink, length):
        """A call moved bytes."""
        number = len(self.calls)
        self.calls.append([pid, event, length])
        if source is None:
            self.queues[sink].append((number, 0, [[self.inodes[sink], None]], length))
            return
        runs, at = self.front(source, length), 0
        if event != "tee":
            self.drop(source, length)
        for origin, offset, way, there in runs:
            if sink is None:
                self.links.append([origin, offset, way, number, at, there])
            else:
                way = [*way[:-1], [way[-1][0], number], [self.inodes[sink], None]]
                self.queues[sink].append((origin, offset, way, there))
            at += there

    def end(self):
        for queue in self.queues:
            self.links += [[source, offset, way, None, 0, there] for source, offset, way, there in queue]


def step(dice, world, workers):
    """One call. A pipe is recorded from the first call on that is recorded whatever it uses."""
    worker = dice.choice(workers)
    event = dice.choice(["pipe_write", "vmsplice", "vmsplice", "pipe_read", "pipe_read", "splice", "splice", "tee", "vmsplice-in"])
    everywhere = range(len(world.pipes))
    filled = [pipe for pipe in everywhere if world.queues[pipe]]
    length = dice.choice([dice.randint(1, 64), dice.randint(1, LONGEST), 4096])
    source = sink = None
    if event in ("pipe_read", "splice", "tee", "vmsplice-in"):
        if not filled:
            return
        source = dice.choice(filled)
    if event in ("pipe_write", "vmsplice", "splice", "tee"):
        sinks = [pipe for pipe in everywhere if pipe != source and (world.touched[pipe] or event != "pipe_write")]
        if not sinks:
            return
        sink = dice.choice(sinks)
    event = event.removesuffix("-in")
    result = worker.ask(event, source, sink, length)
    if result > 0:
        world.moved(worker.pid, event, source, sink, result)
        if sink is not None:
            world.touched[sink] = True


def main():
    dice = random.Random(int(sys.argv[1]))
    world = World(dice.randint(1, 4))
    workers = [Worker(world.pipes) for _ in range(dice.randint(2, 6))]
    for _ in range(STEPS):
        step(dice, world, workers)
    for worker in workers:
        worker.ours.send(b"[]")
        os.waitpid(worker.pid, 0)
    world.end()
    with open(sys.argv[2], "w") as out:
        json.dump({"calls": world.calls, "links": world.links}, out)


main()
