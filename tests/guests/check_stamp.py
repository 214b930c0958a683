#!/usr/bin/env python3
"""Tests of stamp.py, and of what `check --changed` says of a guest that it does not start: on a small project and a cache
of their own, without a guest."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
STAMP = HERE / "stamp.py"

INPUTS = [
    "bpf/vmtrace.bpf.c", "bpf/wire.h", "build.rs", "src/record/mod.rs", "src/schema/events.rs", "src/later/mod.rs", "examples/workload/main.rs", "tests/record/main.rs", "tests/guests/check",
    "tests/runner/run.py", "tests/workloads/caller32.c",
]  # fmt: skip
OTHERS = [
    "src/query/mod.rs", "src/query/views/edges.sql", "src/replay/text.rs", "src/model/flow.rs", "src/cli.rs", "src/main.rs",
    "docs/LIMITS.md", "README.md", "tests/query/main.rs", "scripts/test",
    "src/record/tests.rs", "src/schema/events/tests/more.rs",
]  # fmt: skip
MANIFEST = """
[package]
edition = "2024"
description = "{description}"

[features]
record = ["dep:used-crate", "used-crate/{feature}"]

[dependencies]
used-crate = {{ version = "{used}", optional = true }}
unused-option = {{ version = "{viewer}", optional = true }}
viewer = "{viewer}"

[build-dependencies]
builder = "{builder}"

[profile.guest]
opt-level = {level}
"""
# In the place of Cargo: what the manifest wants of each crate, and what the lock file has for it.
CARGO = """#!/bin/sh
sed -n '/^[a-z-]* = {/p' Cargo.toml
sed -n 's/^\\([a-z-]*\\) = {.*/^\\1 /p' Cargo.toml | grep -f - Cargo.lock
"""
LOCK = "used-crate 1.0.0\nunused-option 1.0.0\nviewer 1.0.0\nbuilder 1.0.0\n"


class Stamps(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        base = Path(self.directory.name)
        self.root, self.cache = base / "project", base / "cache"
        for name in INPUTS + OTHERS:
            self.write(self.root / name, name)
        self.write(self.root / "src/record/mod.rs", "use used_crate::Thing; use unused_option::Thing;")
        self.write(self.root / "src/view/mod.rs", "use viewer::Screen;")
        self.write(self.root / "Cargo.lock", LOCK)
        self.manifest()
        self.kernel = self.cache / "vmtrace/guests/6.1"
        self.write(self.kernel / "release", "6.1.0-1")
        self.write(self.kernel / "vmlinuz", "kernel")
        self.found = base / "check.json"
        self.found.write_text('{"families": []}')
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("VMTRACE_")}
        self.environment |= {"XDG_CACHE_HOME": str(self.cache), "VMTRACE_STAMP_ROOT": str(self.root)}
        # Quicker than those of this machine.
        self.tools = base / "tools"
        for name in ("rustc", "clang", "qemu-system-x86_64"):
            self.tool(name, "one")
        self.write(self.tools / "cargo", CARGO)
        (self.tools / "cargo").chmod(0o755)
        self.environment["PATH"] = f"{self.tools}:{os.environ['PATH']}"

    def tearDown(self):
        self.directory.cleanup()

    def write(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def tool(self, name, version):
        self.write(self.tools / name, f"#!/bin/sh\necho {version}\n")
        (self.tools / name).chmod(0o755)

    def manifest(self, **changed):
        usual = {"description": "", "level": 1, "feature": "std", "used": "1", "viewer": "1", "builder": "1"}
        self.write(self.root / "Cargo.toml", MANIFEST.format(**(usual | changed)))

    def stamp(self, *words, **more):
        """What it prints; None where its status is not 0."""
        environment = self.environment | more
        ran = subprocess.run([sys.executable, STAMP, *words], env=environment, stdout=subprocess.PIPE, text=True)
        return ran.stdout.strip() if ran.returncode == 0 else None

    def digest(self, **more):
        return self.stamp("digest", "6.1", **more)

    def pass_all(self):
        inputs = self.digest()
        self.assertIsNotNone(self.stamp("write", "6.1", inputs, "36", "170", str(self.found)))
        return inputs

    def read(self, inputs, kernel="6.1"):
        return self.stamp("read", kernel, inputs, str(self.root / "read.json"))

    def test_every_input_changes_the_digest_and_nothing_else_does(self):
        before = self.digest()
        self.assertEqual(self.digest(), before)
        for name in OTHERS:
            self.write(self.root / name, "changed")
            self.assertEqual(self.digest(), before, name)
        seen = {before}
        for name in INPUTS:
            self.write(self.root / name, "changed")
            self.assertNotIn(self.digest(), seen, name)
            seen.add(self.digest())
        self.write(self.root / "src/record/new.rs", "")
        self.assertNotIn(self.digest(), seen)
        seen.add(self.digest())
        (self.root / "src/record/new.rs").unlink()
        (self.root / "build.rs").chmod(0o755)
        self.assertNotIn(self.digest(), seen)

    def test_only_crates_and_profiles_that_the_inputs_use_change_the_digest(self):
        before = self.digest()
        self.manifest(description="changed", viewer="2", builder="2")
        self.write(self.root / "Cargo.lock", LOCK.replace("viewer 1.0.0", "viewer 2.0.0").replace("option 1.0.0", "option 2.0.0"))
        self.assertEqual(self.digest(), before)
        seen = {before}

        def differs():
            self.assertNotIn(self.digest(), seen)
            seen.add(self.digest())

        self.manifest(used="1.1")
        differs()
        self.manifest(feature="alloc")
        differs()
        self.manifest(level=2)
        differs()
        self.manifest()
        self.write(self.root / "Cargo.lock", LOCK.replace("used-crate 1.0.0", "used-crate 1.0.1"))
        differs()
        # An input that begins to use a crate.
        self.write(self.root / "Cargo.lock", LOCK)
        self.write(self.root / "build.rs", "builder::build();")
        differs()

    def test_without_cargo_the_whole_lock_file_counts(self):
        self.write(self.tools / "cargo", "#!/bin/sh\nexit 101\n")
        before = self.digest()
        self.write(self.root / "Cargo.lock", "changed")
        self.assertNotEqual(self.digest(), before)

    def test_another_kernel_tool_or_variable_changes_the_digest(self):
        seen = {self.digest()}

        def differs(**more):
            self.assertNotIn(self.digest(**more), seen)
            seen.add(self.digest(**more))

        differs(VMTRACE_TEST_WITHOUT="edge eperm")
        self.write(self.kernel / "release", "6.1.0-2")
        differs()
        self.write(self.kernel / "modules/10-overlay.ko", "module")
        differs()
        for name in ("rustc", "clang", "qemu-system-x86_64"):
            self.tool(name, "another")
            differs()

    def test_what_the_test_run_itself_sets_changes_nothing(self):
        """Else no run would know another: a temporary directory has another name each time."""
        exported = set()
        for script in ("scripts/test", ".ci/run", "tests/guests/check"):
            text = (HERE.parents[1] / script).read_text()
            exported.update(re.findall(r"^\s*export (VMTRACE_\w+)=", text, re.MULTILINE))
        self.assertLessEqual({"VMTRACE_VENV", "VMTRACE_TEST_SHAPES", "VMTRACE_MUST_RECORD"}, exported, "found by the pattern")
        before = self.digest()
        for name in exported:
            self.assertEqual(self.digest(**{name: self.directory.name}), before, name)

    def test_a_run_is_remembered_with_its_inputs_alone(self):
        inputs = self.digest()
        self.assertIsNone(self.read(inputs), "there is none yet")
        self.pass_all()
        self.assertRegex(self.read(inputs), r"^\d{4}-\d\d-\d\d 36 170$")
        self.assertEqual(json.loads((self.root / "read.json").read_text()), {"families": []})
        self.write(self.root / "bpf/wire.h", "changed")
        self.assertIsNone(self.read(self.digest()))
        # Nor does it count for another kernel.
        shutil.copy(self.cache / "vmtrace/guests-passed/6.1", self.cache / "vmtrace/guests-passed/6.12")
        self.assertIsNone(self.read(inputs, "6.12"))

    def test_a_damaged_stamp_is_none(self):
        inputs = self.pass_all()
        path = self.cache / "vmtrace/guests-passed/6.1"
        whole = path.read_bytes()
        damaged = [whole[:length] for length in range(len(whole))] + [whole + b"x", whole.replace(b"36", b"37"), b"\xff" * 90, b"{}\n\n"]
        # A process for each would take long.
        sys.path.insert(0, str(HERE))
        sys.dont_write_bytecode = True
        import stamp

        stamp.CACHE = self.cache / "vmtrace"
        for content in damaged:
            path.write_bytes(content)
            self.assertFalse(stamp.read("6.1", inputs, os.devnull), content)
        path.write_bytes(whole)
        self.assertIsNotNone(self.read(inputs))

    def test_a_source_that_no_digest_has_is_found(self):
        dep_info = self.root / "target/vmtrace.d"
        known = "target/vmtrace: src/main.rs src/query/mod.rs docs/LIMITS.md /usr/include/stdio.h\n"
        self.write(dep_info, known)
        self.assertIsNotNone(self.stamp("covers", str(dep_info)))
        self.write(self.root / "extra/table.txt", "")
        self.write(dep_info, known + "\nextra/table.txt:\n\ntarget/vmtrace: extra/table.txt\n")
        self.assertIsNone(self.stamp("covers", str(dep_info)))


class Check(unittest.TestCase):
    """`check` with guests that are stand-ins: of each kernel, what `run` would print."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        base = Path(self.directory.name)
        self.guests, self.programs = base / "project/tests/guests", base / "programs"
        shutil.copytree(HERE, self.guests, ignore=shutil.ignore_patterns("__pycache__"))
        self.cache = base / "cache"
        self.log = base / "started"
        for kernel in ("5.10", "6.1"):
            (self.cache / "vmtrace/guests" / kernel).mkdir(parents=True)
            (self.cache / "vmtrace/guests" / kernel / "release").write_text(f"{kernel}.0-1\n")
        # The tests are `a::one` and `b::two`; neither is in `selection`.
        self.program(base / "target/guest/deps/record-1", 'printf "a::one: test\\nb::two: test\\n"')
        self.program(base / "target/guest/vmtrace", '[ "$1" != check ]')
        (base / "target/guest/examples").mkdir()
        for name in ("deps/vmtrace", "deps/record", "examples/workload"):
            (base / f"target/guest/{name}-1.d").write_text("")
        self.program(self.programs / "cargo", f'echo \'{{"executable":"{base}/target/guest/deps/record-1"}}\'')
        for name in ("rustc", "clang", "qemu-system-x86_64", "busybox", "cpio"):
            self.program(self.programs / name, "")
        self.program(self.programs / "gcc", 'while [ "$1" != -o ]; do shift; done; : >"$2"')
        self.program(self.guests / "fetch", "")
        self.program(self.guests / "table", "")
        self.program(
            self.guests / "run",
            f'echo "$3" >>{self.log}; echo "{{}}" >"$2/check.json"; printf "%s\\n" x >"$2/replay.txt"; '
            '[ "$3" != "${BROKEN:-}" ] || { echo "tests: 1 passed, 1 failed, 0 flaky, 0 ignored, 0 left out"; exit 1; }; '
            '[ "$3" != "${FLAKY:-}" ] || { echo "flaky: record a::one"; '
            'echo "tests: 1 passed, 0 failed, 1 flaky, 0 ignored, 0 left out"; exit 0; }; '
            'echo "tests: 2 passed, 0 failed, 0 flaky, 0 ignored, 0 left out"',
        )
        # What is verified outside the guest: nothing differs.
        self.program(self.programs / "diff", "exit 0")
        self.program(base / "venv/bin/python", "exit 0")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("VMTRACE_")} | {
            "XDG_CACHE_HOME": str(self.cache), "CARGO_TARGET_DIR": str(base / "target"), "VMTRACE_VENV": str(base / "venv"),
            "PATH": f"{self.programs}:{os.environ['PATH']}",
        }  # fmt: skip

    def tearDown(self):
        self.directory.cleanup()

    def program(self, path, script):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def check(self, *words, **more):
        """The exit status, the last line, and the kernels whose guests were started."""
        self.log.write_text("")
        command = [self.guests / "check", *words, "5.10", "6.1"]
        ran = subprocess.run(command, env=self.environment | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said = ran.stdout
        return ran.returncode, ran.stdout.splitlines()[-1], sorted(self.log.read_text().split())

    def test_a_guest_runs_again_only_when_it_must(self):
        both, skipped = ["5.10", "6.1"], r"\d+ skipped by name"
        status, line, started = self.check("--changed")
        self.assertEqual((status, started), (0, both), self.said)
        self.assertRegex(line, rf"^guests: 10 passed, 0 failed, 0 flaky, {skipped}$")
        status, line, started = self.check("--changed")
        self.assertEqual((status, started), (0, []), self.said)
        self.assertRegex(line, rf"^guests: inputs unchanged since \d{{4}}-\d\d-\d\d \(10 passed, {skipped}\)$")
        self.assertEqual(self.check("--changed", VMTRACE_TEST_ALL="1")[::2], (0, both))
        self.assertEqual(self.check()[::2], (0, both), "asked for by name, it runs")
        # Another kernel for one of them.
        (self.cache / "vmtrace/guests/6.1/release").write_text("6.1.0-2\n")
        status, line, started = self.check("--changed")
        self.assertEqual((status, started), (0, ["6.1"]), self.said)
        self.assertRegex(line, rf"^guests: 5 passed, 0 failed, 0 flaky, {skipped}; 5.10: inputs unchanged since .* \(5 passed, {skipped}\)$")

    def test_a_failure_is_not_remembered(self):
        status, line, started = self.check("--changed", BROKEN="6.1")
        self.assertEqual((status, started), (1, ["5.10", "6.1"]), self.said)
        self.assertIn(" 1 failed, 0 flaky", line)
        self.assertEqual(self.check("--changed")[::2], (0, ["6.1"]), "the other one is")

    def test_a_flaky_test_is_named_and_its_run_not_remembered(self):
        status, line, _ = self.check("--changed", FLAKY="5.10")
        self.assertEqual(status, 0, self.said)
        self.assertIn(" 0 failed, 1 flaky", line)
        self.assertIn("\nflaky: record a::one (5.10.0-1)\n", self.said)
        self.assertEqual(self.check("--changed")[::2], (0, ["5.10"]))

    def test_documents_are_compared_even_when_no_guest_runs(self):
        self.check("--changed")
        self.program(self.guests / "table", '[ -s "$2/6.1.json" ] && exit 1')
        # The stand-in is an input, too.
        self.check("--changed")
        status, line, started = self.check("--changed")
        self.assertEqual((status, started), (1, []), self.said)
        self.assertRegex(line, r"^guests: FAILED: the documents .*; inputs unchanged since ")


if __name__ == "__main__":
    unittest.main()
