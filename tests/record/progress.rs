//! Reading a workload's `--progress` file: which calls had finished by when.

#[path = "../../examples/workload/layout.rs"]
mod layout;

use std::path::Path;

use layout::{BLOCK, HEADER, MAGIC, RING, SAMPLES};

/// What the file held when it was read.
#[derive(Clone, Debug)]
pub struct Progress(Vec<u64>);

impl Progress {
    /// Reads the file, whether its workload still runs or not.
    pub fn read(path: &Path) -> Self {
        Self::try_read(path).unwrap_or_else(|| panic!("{} is no progress file", path.display()))
    }

    /// The same; `None` where its workload has not made it yet.
    pub fn try_read(path: &Path) -> Option<Self> {
        let bytes = std::fs::read(path).ok()?;
        let words: Vec<u64> =
            bytes.chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().expect("8 bytes"))).collect();
        let whole = words.first() == Some(&MAGIC) && words.len() == HEADER + *words.get(1)? as usize * BLOCK;
        whole.then_some(Progress(words))
    }

    /// Number of threads.
    pub fn threads(&self) -> u64 {
        self.0[1]
    }

    /// The workload's process id.
    pub fn pid(&self) -> u32 {
        u32::try_from(self.0[2]).expect("pid")
    }

    fn block(&self, thread: u64) -> &[u64] {
        let start = HEADER + thread as usize * BLOCK;
        &self.0[start..start + BLOCK]
    }

    /// Calls that `thread` has finished: its numbers from 0 up to and without this one.
    pub fn done(&self, thread: u64) -> u64 {
        self.block(thread)[0]
    }

    /// Calls that all threads have finished together.
    pub fn all_done(&self) -> u64 {
        (0..self.threads()).map(|thread| self.done(thread)).sum()
    }

    /// Samples of `thread`, the latest first: a time of CLOCK_MONOTONIC in ns, and calls finished by then.
    fn samples(&self, thread: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let block = self.block(thread);
        let taken = block[1];
        // The oldest may be under change while a live workload's file is read.
        let kept = taken.min(SAMPLES as u64 - 2);
        (taken - kept..taken).rev().map(|i| {
            let slot = RING + 2 * (i as usize % SAMPLES);
            (block[slot], block[slot + 1])
        })
    }

    /// Calls that `thread` had finished at `at_ns` for certain. Too far back is a mistake of the test.
    pub fn done_by(&self, thread: u64, at_ns: u64) -> u64 {
        let taken = self.block(thread)[1];
        let sample = self.samples(thread).find(|(ns, _)| *ns <= at_ns);
        assert!(sample.is_some() || taken < SAMPLES as u64 - 2, "samples of that time are overwritten");
        sample.map_or(0, |(_, done)| done)
    }
}

/// Waits until a workload has finished this many calls. Returns how many it has finished then.
pub fn wait_for_calls(path: &Path, calls: u64) -> u64 {
    let begin = monotonic_ns();
    loop {
        match Progress::try_read(path).map_or(0, |progress| progress.all_done()) {
            done if done >= calls => return done,
            done => assert!(monotonic_ns() - begin < 60_000_000_000, "{done} calls in a minute, not {calls}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// CLOCK_MONOTONIC in ns.
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` outlives the call, which cannot fail on this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::super::harness::workload;
    use super::super::live::send;
    use super::*;

    /// SIGTERM in the middle: the report comes, and the file agrees with it and with the clock.
    #[test]
    fn a_terminated_workload_reports_what_its_file_says() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("progress");
        let mut command = Command::new(workload());
        command.args(["readv", "--threads", "2", "--rate", "5000", "--count", "0", "--duration", "60", "--progress"]);
        let child = command.arg(&path).stdout(Stdio::piped()).spawn().expect("workload starts");
        let begin = monotonic_ns();
        while Progress::try_read(&path).is_none_or(|p| p.done(0).min(p.done(1)) < 500) {
            assert!(monotonic_ns() - begin < 20_000_000_000, "no progress");
            std::thread::sleep(Duration::from_millis(5));
        }
        let middle = monotonic_ns();
        let by_then = Progress::read(&path);
        std::thread::sleep(Duration::from_millis(50));
        send(child.id(), libc::SIGTERM);
        let output = child.wait_with_output().expect("workload ends");
        assert!(output.status.success());
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(report["stopped"], true);
        let after = Progress::read(&path);
        assert_eq!((after.threads(), after.pid()), (2, report["pid"].as_u64().expect("pid") as u32));
        let mut sum = 0;
        for thread in 0..2 {
            assert_eq!(report["calls_by_thread"][thread as usize], after.done(thread));
            assert!(after.done_by(thread, middle) <= by_then.done(thread));
            assert_eq!(after.done_by(thread, begin), 0);
            assert!(after.done_by(thread, middle) > 0);
            assert!(by_then.done(thread) <= after.done(thread));
            sum += after.done(thread);
        }
        assert_eq!(report["calls"]["process_vm_readv"]["ok"], sum);
    }
}
