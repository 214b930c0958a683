#!/usr/bin/env python3
"""Tests of run.py and of scripts/test, on a test program that is built here: a test that fails the first time only, one that
always fails, a program that breaks off in the middle."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

RUN = Path(__file__).with_name("run.py")

SOURCE = """
use std::path::PathBuf;

/// Whether this is the first call with `name` in $SCENE.
fn first(name: &str) -> bool {
    let path = PathBuf::from(std::env::var("SCENE").unwrap()).join(name);
    let first = !path.exists();
    std::fs::write(path, "").unwrap();
    first
}

fn planted(name: &str) -> bool {
    std::env::var("PLANTED").unwrap().split(' ').any(|word| word == name)
}

#[test]
fn passes() {}

#[test]
fn fails_the_first_time() {
    if planted("noise") {
        // By a process that a test starts: within the line of this test.
        std::process::Command::new("echo").arg("noise").status().unwrap();
    }
    assert!(!(planted("flaky") && first("flaky")));
}

#[test]
fn fails_always() {
    assert!(!planted("broken"), "it fails");
}

#[test]
#[ignore = "not by default"]
fn waits_to_be_included() {}

#[test]
fn zz_aborts() {
    if planted("abort") && (planted("again") || first("abort")) {
        std::process::abort();
    }
}

#[test]
fn zz_exits() {
    if planted("exit") && first("exit") {
        std::process::exit(0);
    }
}

#[test]
fn zz_hangs() {
    while planted("hang") {
        std::thread::park();
    }
}

#[test]
fn zzz_comes_last() {}
"""


class Planted(unittest.TestCase):
    """With the test program."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.program = os.path.join(cls.directory.name, "planted-0123456789abcdef")
        source = os.path.join(cls.directory.name, "planted.rs")
        Path(source).write_text(SOURCE)
        subprocess.run(["rustc", "--edition=2024", "--test", "-o", cls.program, source], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()


class Runner(Planted):
    def run_with(self, planted, *options):
        """The exit status, and the last lines: of the failed and flaky tests, then the totals. One thread at a time,
        so that the order is known."""
        with tempfile.TemporaryDirectory() as scene:
            words = [sys.executable, RUN, "--threads", "1", *options, self.program]
            environment = {**os.environ, "PLANTED": planted, "SCENE": scene}
            ran = subprocess.run(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return ran.returncode, ran.stdout.rpartition("\n\n")[2].splitlines()

    def test_all_pass(self):
        for planted in ["", "noise"]:
            wanted = (0, ["tests: 7 passed, 0 failed, 0 flaky, 1 ignored, 0 left out"])
            self.assertEqual(self.run_with(planted), wanted)

    def test_ignored_ones_run_when_included_and_skipped_ones_are_left_out(self):
        wanted = (0, ["tests: 4 passed, 0 failed, 0 flaky, 0 ignored, 4 left out"])
        self.assertEqual(self.run_with("", "--include-ignored", "--skip", "zz"), wanted)

    def test_only_those_in_a_file(self):
        with tempfile.NamedTemporaryFile("w") as only:
            only.write("passes\nwaits_to_be_included\n")
            only.flush()
            wanted = (0, ["tests: 2 passed, 0 failed, 0 flaky, 0 ignored, 6 left out"])
            self.assertEqual(self.run_with("", "--include-ignored", "--only", only.name), wanted)

    def test_what_fails_once_is_flaky_and_what_fails_twice_has_failed(self):
        wanted = (0, ["flaky: planted fails_the_first_time", "tests: 6 passed, 0 failed, 1 flaky, 1 ignored, 0 left out"])
        self.assertEqual(self.run_with("flaky"), wanted)
        lines = ["failed: planted fails_always", "flaky: planted fails_the_first_time"]
        wanted = (1, [*lines, "tests: 5 passed, 1 failed, 1 flaky, 1 ignored, 0 left out"])
        self.assertEqual(self.run_with("flaky broken"), wanted)

    def test_what_a_crash_kept_from_running_is_run_again(self):
        names = ["zz_aborts", "zz_exits", "zz_hangs", "zzz_comes_last"]
        lines = [f"flaky: planted {name}" for name in names]
        wanted = (0, [*lines, "tests: 3 passed, 0 failed, 4 flaky, 1 ignored, 0 left out"])
        self.assertEqual(self.run_with("abort"), wanted)
        wanted = (1, ["failed: planted zz_aborts", *lines[1:], "tests: 3 passed, 1 failed, 3 flaky, 1 ignored, 0 left out"])
        self.assertEqual(self.run_with("abort again"), wanted)

    def test_a_program_that_ends_as_if_all_were_well_has_not_run_the_rest(self):
        lines = [f"flaky: planted {name}" for name in ["zz_exits", "zz_hangs", "zzz_comes_last"]]
        wanted = (0, [*lines, "tests: 4 passed, 0 failed, 3 flaky, 1 ignored, 0 left out"])
        self.assertEqual(self.run_with("exit"), wanted)

    def test_a_program_that_hangs_is_ended(self):
        status, lines = self.run_with("hang", "--patience", "3")
        self.assertEqual((status, lines[0]), (1, "failed: planted zz_hangs"), lines)
        self.assertEqual(lines[-1], "tests: 5 passed, 1 failed, 1 flaky, 1 ignored, 0 left out")

    def test_programs_are_taken_from_the_messages_of_cargo(self):
        with tempfile.NamedTemporaryFile("w") as messages:
            for path, test in [(self.program, True), ("/bin/false", False), ("/bin/nothing-0123456789abcdef", True)]:
                print(json.dumps({"executable": path, "profile": {"test": test}}), file=messages)
            print('noise\n{"reason":"build-finished","success":true}', file=messages, flush=True)
            words = [sys.executable, RUN, "--built", messages.name, "--without", "nothing", "--skip", "zz"]
            environment = {**os.environ, "PLANTED": "", "SCENE": self.directory.name}
            ran = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True)
        self.assertEqual(ran.returncode, 0, ran.stdout)
        self.assertIn("\ntests: 3 passed, 0 failed, 0 flaky, 1 ignored, 4 left out\n", ran.stdout)

    def test_what_is_no_test_program_has_failed(self):
        words = [sys.executable, RUN, "/bin/false"]
        ran = subprocess.run(words, stdout=subprocess.PIPE, text=True)
        self.assertEqual(ran.returncode, 1)
        self.assertIn("failed: false (its tests cannot be listed", ran.stdout)


class WholeRun(Planted):
    """`scripts/test --head` of a project whose tests are those of the program, on a system that cannot record."""

    def setUp(self):
        self.project = Path(tempfile.mkdtemp(dir=self.directory.name))
        root = RUN.parents[2]
        for name in ("scripts/test", "tests/runner/run.py"):
            (self.project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, self.project / name)
        (self.project / "samples/mpi-pair").mkdir(parents=True)
        (self.project / "samples/mpi-pair/mpi-pair.parquet").touch()
        built = json.dumps({"executable": self.program, "profile": {"test": True}})
        self.stand_in("programs/cargo", f"echo '{built}'")
        # It cannot record; the readers get what it makes of captures.
        self.stand_in("target/debug/vmtrace", 'case "$1" in slice | redact | merge) ;; *) exit 2 ;; esac')
        self.stand_in("target/debug/examples/regroup", "")
        self.stand_in("venv/bin/python", 'case "$*" in *problem*) echo "it is a test" ;; *check.py*) echo "5 passed, 0 failed" ;; esac')
        self.stand_in("venv/bin/py-spy", "")

    def stand_in(self, name, script):
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def run_with(self, planted, *words, **more):
        """The exit status and the totals, without times."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VMTRACE_")} | more
        environment |= {
            "PLANTED": planted, "SCENE": str(self.project), "RUST_TEST_THREADS": "1",
            "PATH": f"{self.project}/programs:{os.environ['PATH']}", "CARGO_TARGET_DIR": str(self.project / "target"),
            "VMTRACE_VENV": str(self.project / "venv"),
        }  # fmt: skip
        words = [self.project / "scripts/test", *(words or ["--head"])]
        ran = subprocess.run(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = ran.stdout.rpartition("\n\n")[2].splitlines()
        self.assertRegex(lines[0], r"^builds: tests \d+ s(, offline \d+ s, older \d+ s)?$", ran.stdout)
        return ran.returncode, [re.sub(r" \(\d+ s\)$", " (TIME)", line) for line in lines]

    def test_totals_times_and_what_was_not_run(self):
        status, lines = self.run_with("")
        self.assertEqual(status, 0, lines)
        self.assertIn("host: 7 passed, 0 failed, 0 flaky, 1 ignored, 0 left out (TIME)", lines)
        self.assertIn("readers: 5 passed, 0 failed (TIME)", lines)
        self.assertIn("guests: skipped: --head", lines)
        self.assertIn("NOT RUN: the recording tests of the host, since it is a test", lines)
        self.assertEqual(lines[-1], "tests: ok, but not all were run (TIME)")

    def test_a_system_that_must_record_and_cannot_is_a_failure(self):
        status, lines = self.run_with("", VMTRACE_MUST_RECORD="1")
        self.assertEqual((status, lines[-1]), (1, "tests: FAILED (TIME)"), lines)
        self.assertIn("host: not run: a part before it failed", lines)

    def test_few_flaky_tests_are_named_and_many_are_a_failure(self):
        status, lines = self.run_with("flaky")
        self.assertEqual(status, 0, lines)
        self.assertIn("flaky: planted fails_the_first_time", lines)
        self.assertEqual(lines[-1], "tests: ok, but not all were run (TIME)")
        status, lines = self.run_with("abort")
        self.assertEqual(status, 1, lines)
        self.assertEqual(lines[-2:], ["more than 3 flaky tests", "tests: FAILED (TIME)"])

    def test_a_failed_part_is_the_last(self):
        status, lines = self.run_with("broken")
        self.assertEqual((status, lines[-1]), (1, "tests: FAILED (TIME)"), lines)
        self.assertIn("host: FAILED: 6 passed, 1 failed, 0 flaky, 1 ignored, 0 left out (TIME)", lines)
        self.assertIn("readers: not run: a part before it failed", lines)

    def stand_in_for_the_rest(self):
        """Everything behind the tests of the host: each says what it is asked for."""
        self.stand_in("target/debug/vmtrace", '[ "$1" != check ] || exit 2')
        says = {
            "tests/runner/check.py": "Ran 2 tests in 1 s", "tests/guests/check_stamp.py": "Ran 3 tests in 1 s",
            "tests/page/run": "page: 4 passed, 0 failed", "tests/package/check": "package: 5 passed, 0 failed",
            "scripts/fuzz": "fuzz: 6 targets in 1 s", "scripts/test-query": "engines: 7 passed",
            "packaging/old-glibc": "", "tests/package/older": "older: needs glibc 2.30",
        }  # fmt: skip
        for name, words in says.items():
            self.stand_in(name, f"echo '{words}'")
        checks = "*export/check*) echo 'exports: 8 passed, 0 failed' ;; *documents/check*) echo 'documents: 9 passed, 0 failed' ;;"
        python = (self.project / "venv/bin/python").read_text()
        self.stand_in("venv/bin/python", python.partition("\n")[2].replace('*check.py*', f"{checks} *check.py*"))

    def test_the_whole_run_has_the_totals_of_both_lanes(self):
        self.stand_in_for_the_rest()
        status, lines = self.run_with("", "", VMTRACE_NO_GUESTS="1")
        self.assertEqual(status, 0, lines)
        wanted = [
            "runner: 5 ran", "readers: 5 passed, 0 failed", "exports: 8 passed, 0 failed", "page: 4 passed, 0 failed",
            "fuzz: 6 targets; 6 targets", "query: engines: 7 passed", "offline: 7 passed, 0 failed, 0 flaky, 1 ignored, 0 left out",
        ]  # fmt: skip
        for line in wanted:
            self.assertIn(f"{line} (TIME)", lines)
        self.assertTrue(any(line.startswith("documents: 9 passed, 0 failed (") for line in lines), lines)
        self.assertIn("older: needs glibc 2.30 (TIME)", lines)
        self.assertIn("soak: skipped: it is a test", lines)
        self.assertEqual(lines[-1], "tests: ok, but not all were run (TIME)")

    def test_a_failure_in_either_lane_is_one_of_the_run(self):
        self.stand_in_for_the_rest()
        for name, part, of_other in [
            ("tests/page/run", "page: FAILED: no result (TIME)", "query: engines: 7 passed (TIME)"),
            ("scripts/test-query", "query: FAILED: no result (TIME)", "fuzz: 6 targets; 6 targets (TIME)"),
        ]:
            sound = (self.project / name).read_text()
            self.stand_in(name, "exit 3")
            status, lines = self.run_with("", "", VMTRACE_NO_GUESTS="1")
            self.assertEqual((status, lines[-1]), (3, "tests: FAILED (TIME)"), lines)
            self.assertIn(part, lines)
            self.assertIn(of_other, lines)
            self.assertIn("guests: not run: a part before it failed", lines)
            (self.project / name).write_text(sound)


if __name__ == "__main__":
    unittest.main()
