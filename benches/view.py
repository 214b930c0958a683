#!/usr/bin/env python3
"""Measures `vmtrace view` on a terminal of its own: how soon the first screen is there, how soon the screen has changed after a
key, and the memory that it took.

Usage: benches/view.py VMTRACE CAPTURE
"""

import fcntl
import os
import pty
import select
import statistics
import struct
import sys
import termios
import time

# Nothing more comes of a key when nothing has come for so long.
QUIET = 0.02
COLUMNS, LINES = 200, 50


class Viewer:
    """A viewer on a terminal, whose output is read and thrown away."""

    def __init__(self, program, capture):
        self.start = time.monotonic()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
            os.execv(program, [program, "view", capture])

    def read(self, timeout):
        """What has come within so many seconds; nothing if that is nothing."""
        ready, _, _ = select.select([self.terminal], [], [], timeout)
        return os.read(self.terminal, 1 << 16) if ready else b""

    def until(self, text, timeout=60):
        """Seconds until the output has `text`."""
        begin, seen = time.monotonic(), b""
        while text not in seen:
            part = self.read(timeout)
            if not part:
                sys.exit(f"{text!r} never came")
            seen += part
        return time.monotonic() - begin

    def press(self, keys):
        """Seconds until the screen has changed and changes no more."""
        begin = last = time.monotonic()
        os.write(self.terminal, keys)
        timeout = 60
        while self.read(timeout):
            last, timeout = time.monotonic(), QUIET
        return last - begin

    def memory(self):
        """The most memory that it had, in MiB."""
        with open(f"/proc/{self.pid}/status") as status:
            line = next(line for line in status if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024

    def end(self):
        os.write(self.terminal, b"q" * 5)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)


def opening(program, capture):
    """Seconds from the start of the program to its first screen."""
    viewer = Viewer(program, capture)
    viewer.until(b"q ends")
    seconds = time.monotonic() - viewer.start
    viewer.end()
    return seconds


def frames(viewer, keys, times):
    """Median and longest of the milliseconds that each of some keys takes."""
    taken = [viewer.press(keys) * 1000 for _ in range(times)]
    return f"median {statistics.median(taken):.1f} ms, longest {max(taken):.1f} ms"


def main():
    program, capture = sys.argv[1:]
    opened = sorted(opening(program, capture) for _ in range(11))
    print(f"first screen: median {opened[5] * 1000:.0f} ms, longest {opened[-1] * 1000:.0f} ms")
    viewer = Viewer(program, capture)
    viewer.until(b"q ends")
    print("a row down:", frames(viewer, b"j", 300))
    print("a screen down:", frames(viewer, b" ", 300))
    print("a screen up:", frames(viewer, b"b", 100))
    far = [viewer.press(b"%dG" % (row * 999_983 % 10_000_000)) * 1000 for row in range(1, 40)]
    print(f"a row far away: median {statistics.median(far):.1f} ms, longest {max(far):.1f} ms")
    viewer.press(b"\r")
    print("a row down with all about the event:", frames(viewer, b"j", 200))
    viewer.press(b"q")
    print(f"memory: {viewer.memory():.0f} MiB")
    begin = time.monotonic()
    os.write(viewer.terminal, b"G/no such text anywhere\r")
    viewer.until(b"is not there")
    print(f"a search through everything: {time.monotonic() - begin:.1f} s")
    begin = time.monotonic()
    os.write(viewer.terminal, b"gL")
    viewer.until(b"0 failed")
    print(f"lanes begin after {(time.monotonic() - begin) * 1000:.0f} ms")
    time.sleep(5)
    print(f"memory: {viewer.memory():.0f} MiB")
    viewer.end()


main()
