//! Caller and target in cgroups that are named like containers.

use std::path::PathBuf;

use super::harness::{Row, compare};
use super::invariants;
use super::live::{Live, Waiting};
use super::selection::cgroup_mount;

/// A cgroup that goes with the test. Its name is that of a container of Docker's.
pub struct Container {
    id: String,
    /// Its directory.
    pub path: PathBuf,
}

impl Container {
    /// Makes it; `first` tells it from others of the same test.
    pub fn new(first: char) -> Self {
        let id = format!("{first}{:063x}", std::process::id());
        let path = cgroup_mount().join(format!("docker-{id}.scope"));
        std::fs::create_dir(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Container { id, path }
    }

    /// Moves a process there.
    pub fn put(&self, pid: &str) {
        std::fs::write(self.path.join("cgroup.procs"), pid).expect("cgroup.procs");
    }

    /// Whether the two columns tell this container.
    fn is_in(&self, row: &Row, cgroup: &str, container: &str) -> bool {
        row.text(cgroup) == format!("/docker-{}.scope", self.id) && row.text(container) == self.id
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // A cgroup is free a moment after its last process has been waited for.
        for _ in 0..1000 {
            match std::fs::remove_dir(&self.path) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                _ => return,
            }
        }
        eprintln!("{} was left", self.path.display());
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn both_sides_of_a_transfer_have_their_containers() {
    let (a, b) = (Container::new('a'), Container::new('b'));
    for words in ["readv --count 5 --log 5", "mem --with pread --count 5 --log 5", "ptrace --op peek --count 5 --log 5"]
    {
        let waiting = Waiting::start(words);
        let targets = waiting.children();
        a.put(&waiting.pid());
        b.put(&targets[0]);
        let live = Live::start(&["-p", &waiting.pid()], &[] as &[&str]);
        let report = waiting.go();
        let recording = live.end();
        invariants::check(&recording);
        compare(&recording, &report);
        let calls = recording.calls();
        assert!(!calls.is_empty(), "{words}");
        for row in &calls {
            assert!(a.is_in(row, "cgroup", "container"), "{row:?}");
            assert!(b.is_in(row, "target_cgroup", "target_container"), "{row:?}");
        }
        // So are those who lived before, each by itself.
        for row in recording.event("process_snapshot") {
            let own = if row["pid"] == report["pid"] { &a } else { &b };
            assert!(own.is_in(&row, "cgroup", "container"), "{row:?}");
            assert!(row["target_cgroup"].is_null() && row["target_container"].is_null(), "{row:?}");
        }
    }
}

/// A child begins in its parent's cgroup, and a process that moves is told where it is by then.
#[test]
#[ignore = "needs root and BPF"]
fn a_process_that_moves_is_told_where_it_is() {
    let (a, b) = (Container::new('c'), Container::new('d'));
    let script = format!(
        "echo $$ > {}/cgroup.procs; {workload} edge self-target; echo $$ > {}/cgroup.procs; exec {workload} edge decoy",
        a.path.display(),
        b.path.display(),
        workload = super::harness::workload(),
    );
    let recording = super::harness::record(&[], &["sh", "-c", &script]);
    let calls = recording.calls();
    let (inner, own): (Vec<_>, Vec<_>) = calls.iter().partition(|r| r["pid"] == r["target_pid"]);
    assert!(!inner.is_empty() && !own.is_empty());
    for row in inner {
        assert!(a.is_in(row, "cgroup", "container"), "{row:?}");
        assert!(a.is_in(row, "target_cgroup", "target_container"), "{row:?}");
    }
    for row in own {
        assert!(b.is_in(row, "cgroup", "container"), "{row:?}");
        assert!(b.is_in(row, "target_cgroup", "target_container"), "{row:?}");
    }
    let forks = recording.event("process_fork");
    assert!(forks.iter().any(|r| a.is_in(r, "cgroup", "container")), "{forks:?}");
}
