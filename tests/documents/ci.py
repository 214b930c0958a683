"""The steps of docs/ci.md, as they stand there, on a program that stands in for a runner."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# As samples/runner-secrets/runner.py, but that it does its build when it is told to.
RUNNER = """
import ctypes, subprocess, sys
secrets = bytearray(b'{"name":"DEPLOY_TOKEN","value":"made-up-0123456789","isSecret":true}')
ctypes.CDLL(None).prctl(15, b"Runner.Worker")
for line in sys.stdin:
    subprocess.run(["sh", "-c", line], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(flush=True)
"""


def steps():
    """The blocks of shell in the document."""
    return re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs/ci.md").read_text(), re.M | re.S)


class Machine:
    """Where the steps run: `root` is / or that of a clean system, entered with chroot(1). `path` is its $PATH."""

    def __init__(self, root, path):
        self.root = Path(root)
        self.enter = [] if root == "/" else ["chroot", str(root)]
        self.environment = {"PATH": path, "HOME": "/tmp", "LC_ALL": "C.UTF-8"}

    def begin(self, place, *words):
        """A process with pipes, whose number is that of the program: chroot(1) becomes it."""
        script = 'cd "$1" && shift && exec "$@"'
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return subprocess.Popen([*self.enter, "sh", "-c", script, "sh", place, *words], env=self.environment, text=True, **pipes)

    def shell(self, script, place, **variables):
        """A step of a CI system: a shell of its own."""
        words = [*self.enter, "sh", "-c", 'cd "$1" && exec sh -e -c "$2"', "sh", place, script]
        ran = subprocess.run(words, env=self.environment | variables, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return ran.returncode, ran.stdout + ran.stderr


def job(machine, build, check):
    """A job with the steps around it: what the last step says, and the files."""
    before, after = steps()
    with tempfile.TemporaryDirectory(dir=machine.root / "tmp") as directory:
        shutil.copy(ROOT / "samples/runner-secrets/dump.py", directory)
        place = "/" + os.path.relpath(directory, machine.root)
        runner = machine.begin(place, "python3", "-c", RUNNER)
        number = {"RUNNER_PID": str(runner.pid)}
        began = machine.shell(before, place, **number)
        check("the first steps", began[0] == 0, began)
        runner.stdin.write(build + "\n")
        runner.stdin.flush()
        runner.stdout.readline()
        ended = machine.shell(after, place, **number)
        runner.stdin.close()
        runner.wait()
        files = {path.name: path.read_bytes() for path in Path(directory).iterdir() if path.is_file()}
        verified = [machine.shell(f"vmtrace verify {name}", place)[0] for name in ("job.parquet", "shared.parquet") if name in files]
        check("what is kept can be verified", verified == [0, 0], (verified, ended))
        return ended, files


def ci(machine, check):
    """A quiet job, and one that reads the runner's memory; `check` is told what holds."""
    quiet, files = job(machine, "true", check)
    check("a job that leaves the runner alone", quiet[0] == 0 and "nobody accessed the runner's memory" in quiet[1], quiet)
    check("no trigger fired", len([name for name in files if name.startswith("job-")]) == 1, sorted(files))

    ended, files = job(machine, "python3 dump.py $PPID; python3 dump.py $PPID nobody", check)
    check("a job that reads the runner's memory fails", ended[0] == 1 and "see accesses.txt" in ended[1], ended)
    check("the trigger fired", len([name for name in files if name.startswith("job-")]) > 1, sorted(files))
    summary = files.get("summary.txt", b"").decode()
    check("who read", re.search(r"\(dump.py \d+\) read .* of Runner.Worker\[\d+\]", summary), summary)
    check("who was denied", "was denied (EACCES)" in summary, summary)
    check("what was taken", b"DEPLOY_TOKEN" in files.get("accesses.txt", b""), files.get("accesses.txt"))
    check("the page", files.get("report.html", b"").lower().startswith(b"<!doctype html>"))
    shared = files.get("shared.parquet", b"made-up")
    check("what is shared has no secret and no name", b"made-up" not in shared and b"dump.py" not in shared)
    check("the log has a digest", re.search(rb"[0-9a-f]{64}", files.get("vmtrace.log", b"")), files.get("vmtrace.log"))
