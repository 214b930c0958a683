#!/usr/bin/env python3
"""Remembers what the tests in a guest came to, so that they need not run again while nothing that they test has changed.

    stamp.py digest KERNEL                             prints the digest of the tests' inputs
    stamp.py write KERNEL DIGEST PASSED SKIPPED CHECK  remembers a run without failures; CHECK is the guest's check.json
    stamp.py read KERNEL DIGEST CHECK                  prints `DATE PASSED SKIPPED` of a run with these inputs and writes its
                                                       check.json to CHECK; status 1 if there was none
    stamp.py covers DEPINFO...                         fails if a source in Cargo's dep-info files is in no digest

Stamps are beside the guests' kernels in the cache, outside any clone. One that is damaged is none.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(os.environ.get("VMTRACE_STAMP_ROOT") or Path(__file__).resolve().parents[2])
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vmtrace"

# Of the project, what the recorder is made of and what tests it in a guest. New directories in src/ are in it.
INPUTS = [
    "bpf", "build.rs", "examples/workload", "src", "tests/guests", "tests/readers/check.py", "tests/record", "tests/runner/run.py",
    "tests/sandbox", "tests/workloads",
]  # fmt: skip
# What reads finished captures, parses the command line, or describes the recorder: the same on every kernel, and tested on
# the host. The recorder imports none of it but the dispatch (scripts/imports.py).
NO_INPUTS = [
    "src/archive", "src/query", "src/model", "src/replay", "src/derive", "src/export", "src/report", "src/view",
    "src/verify", "src/manual", "src/cli", "src/cli.rs", "src/lib.rs", "src/main.rs", "docs",
]  # fmt: skip
# Crates that only those use are no inputs, either: see `dependencies`. The feature that guests are built with:
FEATURE = "record"
TOOLS = [["rustc", "-vV"], ["clang", "--version"], ["qemu-system-x86_64", "--version"]]
# Variables that change no result. All others of ours do, or may.
HARMLESS = {
    "VMTRACE_VENV", "VMTRACE_TEST_ALL", "VMTRACE_TEST_SHAPES", "VMTRACE_MUST_RECORD", "VMTRACE_NO_QUERY", "VMTRACE_STAMP_ROOT",
}  # fmt: skip


def within(path, places):
    return any(path == place or path.startswith(place + "/") for place in places)


def is_unit_test(path):
    """Those of src/ run on the host alone."""
    return path.startswith("src/") and (path.endswith("/tests.rs") or "/tests/" in path)


def is_input(path):
    return within(path, INPUTS) and not within(path, NO_INPUTS) and not is_unit_test(path)


def files(root):
    """The inputs among the files of the project, sorted."""
    for place in INPUTS:
        found = [root / place] if (root / place).is_file() else sorted((root / place).rglob("*"))
        for path in found:
            name = path.relative_to(root).as_posix()
            if path.is_file() and is_input(name) and "__pycache__" not in name:
                yield name, path


def wanted(manifest, words):
    """A manifest with those dependencies of the project alone that files with these `words` name."""
    enabled = manifest["features"][FEATURE]
    lines = ["[package]", 'name = "inputs"', 'version = "0.0.0"', f"edition = {json.dumps(manifest['package']['edition'])}"]
    lines += ["[lib]", 'path = "lib.rs"']
    for table in ("dependencies", "build-dependencies", "dev-dependencies"):
        lines.append(f"[{table}]")
        for name, given in sorted(manifest.get(table, {}).items()):
            given = {"version": given} if isinstance(given, str) else dict(given)
            optional = given.pop("optional", False)
            if name.replace("-", "_") not in words or (optional and f"dep:{name}" not in enabled):
                continue
            more = [feature.partition("/")[2] for feature in enabled if feature.startswith(f"{name}/")]
            given["features"] = sorted(given.get("features", []) + more)
            # Texts, truths and lists of them are the same in JSON and TOML.
            lines.append(f"{name} = {{ {', '.join(f'{key} = {json.dumps(value)}' for key, value in sorted(given.items()))} }}")
    return "\n".join(lines) + "\n"


def dependencies():
    """What the inputs take from Cargo.toml and Cargo.lock, as text: the profiles, and the versions and features of the crates
    that they name, with all that these need. Where Cargo cannot say, both files as they are."""
    words = set()
    for name, path in files(ROOT):
        if name.endswith(".rs"):
            words.update(re.findall(r"\w+", path.read_text()))
    try:
        manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
        with tempfile.TemporaryDirectory() as place:
            (Path(place) / "lib.rs").touch()
            (Path(place) / "Cargo.toml").write_text(wanted(manifest, words))
            shutil.copy(ROOT / "Cargo.lock", place)
            command = ["cargo", "tree", "--offline", "--no-dedupe", "--prefix", "none", "--format", "{p} [{f}]"]
            tree = subprocess.run(command, cwd=place, capture_output=True, text=True, check=True).stdout
    except (OSError, ValueError, KeyError, subprocess.CalledProcessError):
        both = [ROOT / name for name in ("Cargo.toml", "Cargo.lock")]
        return "".join(path.read_text() for path in both if path.exists())
    compiled = {key: manifest.get(key) for key in ("profile", "lints")} | {"edition": manifest["package"]["edition"]}
    # Not the first line, which has the temporary place.
    crates = {line for line in tree.splitlines() if line and not line.startswith("inputs ")}
    return "\n".join([json.dumps(compiled, sort_keys=True), *sorted(crates)])


def version(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        return str(error)


def digest(kernel):
    whole = hashlib.sha256()

    def add(name, content):
        whole.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())

    for name, path in files(ROOT):
        add(f"file {name} {os.access(path, os.X_OK)}", path.read_bytes())
    add("dependencies", dependencies().encode())
    booted = CACHE / "guests" / kernel
    for path in sorted(booted.rglob("*")):
        if path.is_file():
            add(f"kernel {path.relative_to(booted)}", path.read_bytes())
    for command in TOOLS:
        add(f"tool {command[0]}", version(command).encode())
    for name, value in sorted(os.environ.items()):
        if name.startswith(("VMTRACE_", "WORKLOAD_")) and name not in HARMLESS:
            add(f"variable {name}", value.encode())
    return whole.hexdigest()


def place(kernel):
    return CACHE / "guests-passed" / kernel


def write(kernel, inputs, passed, skipped, check):
    found = json.loads(Path(check).read_text()) if Path(check).is_file() else None
    stamp = {"kernel": kernel, "inputs": inputs, "date": time.strftime("%Y-%m-%d")}
    line = json.dumps({**stamp, "passed": int(passed), "skipped": int(skipped), "check": found})
    path = place(kernel)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.write_text(f"{line}\n{hashlib.sha256(line.encode()).hexdigest()}\n")
    new.rename(path)


def read(kernel, inputs, check):
    try:
        line, seal, end = place(kernel).read_text().split("\n")
        stamp = json.loads(line)
    except (OSError, ValueError):
        return False
    if seal != hashlib.sha256(line.encode()).hexdigest() or end or (stamp["kernel"], stamp["inputs"]) != (kernel, inputs):
        return False
    if stamp["check"] is not None:
        Path(check).write_text(json.dumps(stamp["check"]))
    print(stamp["date"], stamp["passed"], stamp["skipped"])
    return True


def covers(paths):
    """Whether each source of the project that was compiled is an input, or is known to be none."""
    missing = set()
    for path in paths:
        for line in Path(path).read_text().splitlines():
            for word in line.replace("\\ ", "\0").partition(": ")[2].split():
                source = ROOT / word.replace("\0", " ")
                if not source.is_relative_to(ROOT) or not source.is_file():
                    continue
                name = os.path.relpath(os.path.normpath(source), ROOT)
                if not within(name, INPUTS + NO_INPUTS + ["target"]):
                    missing.add(name)
    for name in sorted(missing):
        print(f"guests/stamp.py: {name} is compiled, and no digest has it", file=sys.stderr)
    return not missing


def main():
    match sys.argv[1:]:
        case ["digest", kernel]:
            print(digest(kernel))
        case ["write", kernel, inputs, passed, skipped, check]:
            write(kernel, inputs, passed, skipped, check)
        case ["read", kernel, inputs, check]:
            sys.exit(not read(kernel, inputs, check))
        case ["covers", *paths] if paths:
            sys.exit(not covers(paths))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
