//! The files that a recording leaves behind: which there are, which of a workload's numbered calls stand in them, and what
//! `vmtrace verify` says of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vmtrace::schema::reader::{Capture, Scan};

use super::harness::vmtrace;

/// Mixed into the numbers at the front of payloads (examples/workload/buffer.rs).
const PATTERN: u64 = 0x766d_7472_6163_6521;

/// Finished captures in `dir`, in the order of their names.
pub fn finished(dir: &Path) -> Vec<PathBuf> {
    named(dir, |name| name.ends_with(".parquet"))
}

/// Captures in `dir` that are not finished.
pub fn partial(dir: &Path) -> Vec<PathBuf> {
    named(dir, |name| name.ends_with(".partial"))
}

/// Files of journals in `dir`.
pub fn journal(dir: &Path) -> Vec<PathBuf> {
    named(dir, |name| name.contains(".journal-"))
}

fn named(dir: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let paths = entries.map(|entry| entry.expect("entry").path());
    let name = |path: &PathBuf| path.file_name().is_some_and(|n| wanted(&n.to_string_lossy()));
    let mut paths: Vec<PathBuf> = paths.filter(name).collect();
    paths.sort();
    paths
}

/// Opens a capture, which must be possible.
pub fn open(path: &Path) -> Capture {
    Capture::open(path).unwrap_or_else(|e| panic!("{e:#}"))
}

/// Calls of a workload by what their payloads say.
#[derive(Debug, Default)]
pub struct Numbers {
    threads: BTreeMap<u64, Vec<u64>>,
    /// Rows of the event without a payload.
    pub without_payload: u64,
}

impl Numbers {
    /// The numbers in the rows of `event` of all `captures` together. Each is there once, and its payload is whole.
    pub fn of(captures: &[PathBuf], event: &str) -> Self {
        let mut numbers = Numbers::default();
        let scan = Scan { columns: vec!["event", "payload", "payload_total"], ..Scan::default() };
        for path in captures {
            for batch in open(path).scan(&scan).expect("scan") {
                let batch = batch.unwrap_or_else(|e| panic!("{}: {e:#}", path.display()));
                batch.iter().filter(|e| e.event == event).for_each(|e| numbers.add(e.payload));
            }
        }
        for (thread, found) in &mut numbers.threads {
            found.sort_unstable();
            let twice: Vec<_> = found.windows(2).filter(|w| w[0] == w[1]).map(|w| w[0]).collect();
            assert!(twice.is_empty(), "thread {thread}: {} numbers are there twice: {:?}", twice.len(), spans(&twice));
        }
        numbers
    }

    fn add(&mut self, payload: Option<&[u8]>) {
        let Some(payload) = payload else {
            self.without_payload += 1;
            return;
        };
        let stamp = payload.first_chunk::<8>().expect("a payload has a number");
        let number = u64::from_le_bytes(*stamp) ^ PATTERN;
        self.threads.entry(number >> 48).or_default().push(number & 0xffff_ffff_ffff);
    }

    /// The numbers of a thread, in order.
    pub fn of_thread(&self, thread: u64) -> &[u64] {
        self.threads.get(&thread).map_or(&[], Vec::as_slice)
    }

    /// Calls with a number, of all threads.
    pub fn count(&self) -> u64 {
        self.threads.values().map(|n| n.len() as u64).sum()
    }

    /// Which numbers below `end` are not there.
    pub fn missing(&self, thread: u64, end: u64) -> Vec<u64> {
        let found = self.of_thread(thread);
        (0..end).filter(|n| found.binary_search(n).is_err()).collect()
    }

    /// Checks that a workload made every number that is there: per thread, those below its count in `done`.
    pub fn all_made(&self, done: &[u64]) {
        for (thread, found) in &self.threads {
            let made = done.get(*thread as usize).unwrap_or_else(|| panic!("a thread {thread} in the capture"));
            assert!(found.iter().all(|n| n < made), "thread {thread}: made {made}, but there is {:?}", found.last());
        }
    }
}

/// Numbers as ranges, for messages: `3-17 20`.
pub fn spans(numbers: &[u64]) -> String {
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for n in numbers {
        match spans.last_mut() {
            Some((_, end)) if *end + 1 == *n => *end = *n,
            _ => spans.push((*n, *n)),
        }
    }
    let shown: Vec<String> = spans.iter().take(20).map(|(a, b)| format!("{a}-{b}")).collect();
    shown.join(" ")
}

/// All rows of all captures.
pub fn rows(captures: &[PathBuf]) -> u64 {
    let rows =
        |path: &PathBuf| open(path).scan(&Scan::default()).expect("scan").map(|b| b.expect("batch").len() as u64);
    captures.iter().flat_map(rows).sum()
}

/// Events of one kind that the captures' ledgers count as lost.
pub fn lost(captures: &[PathBuf], event: &str) -> u64 {
    let book = |path: &PathBuf| open(path).manifest().ledger.iter().find(|l| l.event == event).map(|l| l.lost());
    captures.iter().filter_map(book).sum()
}

/// Checks that `vmtrace verify` calls the captures intact, as files of one series if there are several. Returns whether it
/// calls them complete, too.
pub fn intact(captures: &[PathBuf]) -> bool {
    assert!(!captures.is_empty(), "no capture");
    let output = vmtrace().arg("verify").args(captures).output().expect("vmtrace starts");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 3)), "vmtrace verify {captures:?}: {code:?}\n{said}");
    code == Some(0)
}

/// What `vmtrace info -T json` says of a capture's manifest.
pub fn manifest(path: &Path) -> Value {
    let output = vmtrace().args(["info", "-T", "json"]).arg(path).output().expect("vmtrace starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let info: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    info["manifest"].clone()
}

/// Copies captures to where `VMTRACE_TEST_KEEP` says, for readers other than vmtrace, under names that begin with `label`.
pub fn keep(captures: &[PathBuf], label: &str) {
    let Some(dir) = std::env::var_os("VMTRACE_TEST_KEEP") else { return };
    for path in captures {
        let name = format!("{label}-{}", path.file_name().expect("name").to_string_lossy());
        std::fs::copy(path, Path::new(&dir).join(name)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
}

/// The digest of every file in `dir`, by name.
pub fn digests(dir: &Path) -> BTreeMap<PathBuf, blake3::Hash> {
    let files = named(dir, |name| name.contains(".parquet")).into_iter();
    files.map(|path| (path.clone(), blake3::hash(&std::fs::read(&path).expect("file")))).collect()
}
