#!/usr/bin/env python3
"""Does what documents say: the steps of docs/ci.md on a program that stands in for a runner, and the manifest of docs/containers.md.

    check.py VMTRACE [--no-recording]

Needs root and a system that can record, but for --no-recording. The last line is `documents: N passed, N failed`; exits 1 if
anything failed.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import kubernetes_validate
import yaml

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
passed = failed = 0


def check(what, holds, found=""):
    global passed, failed
    if holds:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {what}: {found}", file=sys.stderr)


def steps(document):
    """The blocks of shell in a document."""
    return re.findall(r"^```sh\n(.*?)^```$", (ROOT / document).read_text(), re.M | re.S)


def shell(script, place, environment):
    """A step of a CI system: a shell of its own."""
    ran = subprocess.run(["sh", "-e", "-c", script], cwd=place, env=environment, capture_output=True, text=True)
    return ran.returncode, ran.stdout + ran.stderr


def job(vmtrace, build):
    """A job with the steps around it: what the last step says, and the files."""
    before, after = steps("docs/ci.md")
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        shutil.copy(ROOT / "samples/runner-secrets/dump.py", place)
        pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        runner = subprocess.Popen([sys.executable, "-c", RUNNER], cwd=place, text=True, **pipe)
        environment = os.environ | {"RUNNER_PID": str(runner.pid), "PATH": f"{vmtrace.parent}:{os.environ['PATH']}"}
        began = shell(before, place, environment)
        check("the first steps", began[0] == 0, began)
        runner.stdin.write(build + "\n")
        runner.stdin.flush()
        runner.stdout.readline()
        ended = shell(after, place, environment)
        runner.stdin.close()
        runner.wait()
        files = {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}
        verified = [shell(f"vmtrace verify {name}", place, environment)[0] for name in ("job.parquet", "shared.parquet") if name in files]
        check("what is kept can be verified", verified == [0, 0], (verified, ended))
        return ended, files


def ci(vmtrace):
    quiet, files = job(vmtrace, "true")
    check("a job that leaves the runner alone", quiet[0] == 0 and "nobody accessed the runner's memory" in quiet[1], quiet)
    check("no trigger fired", len([name for name in files if name.startswith("job-")]) == 1, sorted(files))

    ended, files = job(vmtrace, "python3 dump.py $PPID; python3 dump.py $PPID nobody")
    check("a job that reads the runner's memory fails", ended[0] == 1 and "see accesses.txt" in ended[1], ended)
    check("the trigger fired", len([name for name in files if name.startswith("job-")]) > 1, sorted(files))
    summary = files.get("summary.txt", b"").decode()
    check("who read", re.search(r"\(dump.py \d+\) read .* of Runner.Worker\[\d+\]", summary), summary)
    check("who was denied", "was denied (EACCES)" in summary, summary)
    check("what was taken", b"DEPLOY_TOKEN" in files.get("accesses.txt", b""), files.get("accesses.txt"))
    check("the page", files.get("report.html", b"").lower().startswith(b"<!doctype html>"))
    check("what is shared has no secret and no name", b"made-up" not in files["shared.parquet"] and b"dump.py" not in files["shared.parquet"])
    check("the log has a digest", re.search(rb"[0-9a-f]{64}", files.get("vmtrace.log", b"")), files.get("vmtrace.log"))


def manifest():
    """The manifest for Kubernetes is one, and has the settings of the service."""
    documents = list(yaml.safe_load_all((ROOT / "packaging/kubernetes/vmtrace-flight.yaml").read_text()))
    for document in documents:
        try:
            kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
            error = None
        except kubernetes_validate.ValidationError as raised:
            error = raised
        check(f"{document['kind']} of the manifest", error is None, error)
    settings = next(document["data"] for document in documents if document["kind"] == "ConfigMap")
    conf = dict(re.findall(r'^([A-Z]+)="(.*)"$', (ROOT / "packaging/flight.conf").read_text(), re.M))
    check("the manifest's settings are those of flight.conf", settings == conf, settings)
    container = next(document for document in documents if document["kind"] == "DaemonSet")["spec"]["template"]["spec"]["containers"][0]
    unit = (ROOT / "packaging/vmtrace-flight.service").read_text()
    added = " ".join(f"CAP_{name}" for name in container["securityContext"]["capabilities"]["add"])
    check("the manifest's capabilities are those of the unit", f"CapabilityBoundingSet={added}\n" in unit, added)
    version = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    check("the manifest's image has this version", container["image"].endswith(f":{version}"), container["image"])


def main():
    vmtrace = Path(sys.argv[1]).resolve()
    manifest()
    if "--no-recording" not in sys.argv:
        ci(vmtrace)
    print(f"documents: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
