#!/usr/bin/env python3
"""Tests of run.py, on test programs that are built here: a test that fails the first time only, one that always fails,
programs that break off in the middle."""

import json
import os
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


class Programs(unittest.TestCase):
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


if __name__ == "__main__":
    unittest.main()
