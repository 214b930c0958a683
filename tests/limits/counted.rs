//! Commands in a process of their own, in which each allocation is counted.
//!
//! The process is this test program, run for one test: it runs the command as `main` does, and writes down what was counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[global_allocator]
static COUNTING: Counting = Counting;

static LIVE: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// The words of the command, one a line, and the file for what is counted. They are there in the process for one command.
const WORDS: &str = "VMTRACE_TEST_WORDS";
const COUNTS: &str = "VMTRACE_TEST_COUNTS";

struct Counting;

impl Counting {
    fn add(size: usize) {
        let size = size as u64;
        PEAK.fetch_max(LIVE.fetch_add(size, Relaxed) + size, Relaxed);
        BYTES.fetch_add(size, Relaxed);
        NUMBER.fetch_add(1, Relaxed);
    }
}

// SAFETY: all is done by the system's allocator, whose contract is the same.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::add(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Counting::add(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_sub(layout.size() as u64, Relaxed);
        Counting::add(size);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// What a command took.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Bytes that were allocated at a time, at most.
    pub peak: u64,
    /// Bytes of all allocations.
    pub bytes: u64,
    /// How many there were.
    pub number: u64,
    /// Bytes of the process that were in memory, at most: also what libraries in C take.
    pub resident: u64,
}

/// How a command ended, what it took, and what it said on stderr.
#[derive(Debug)]
pub struct Counted {
    pub status: Option<i32>,
    pub counts: Counts,
    pub err: String,
}

/// Runs vmtrace with `words` in `dir`. What it prints on stdout goes nowhere.
pub fn run(dir: &Path, words: &[&str]) -> Counted {
    let counts = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "counted::allocations_are_counted", "--test-threads=1", "--nocapture", "--include-ignored"])
        .env(WORDS, words.join("\n"))
        .env(COUNTS, counts.path())
        .env("TMPDIR", std::env::temp_dir())
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).expect("it is UTF-8");
    let text = std::fs::read_to_string(counts.path()).unwrap();
    let numbers: Vec<u64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let [peak, bytes, number, resident] = numbers[..] else { panic!("{words:?} was not counted: {err}") };
    Counted { status: output.status.code(), counts: Counts { peak, bytes, number, resident }, err }
}

/// Runs the command of the environment, and ends the process.
fn run_here(words: &OsString) -> ! {
    // Opened before the sandbox, which allows nothing to be.
    let mut file = File::create(std::env::var_os(COUNTS).expect("a file for the counts")).expect("it can be written");
    // Not getrusage(2): its number is that of the parent, too, if that was larger.
    let mut own = File::open("/proc/self/status").expect("/proc");
    let words = words.to_str().expect("they are UTF-8");
    let words = std::iter::once("vmtrace").chain(words.split('\n')).map(OsString::from);
    let before = LIVE.load(Relaxed);
    [&BYTES, &NUMBER].iter().for_each(|count| count.store(0, Relaxed));
    PEAK.store(before, Relaxed);
    let status = vmtrace::cli::run(words.collect::<Vec<_>>());
    let [peak, bytes, number] = [&PEAK, &BYTES, &NUMBER].map(|count| count.load(Relaxed));
    let mut text = String::new();
    own.read_to_string(&mut text).expect("what was in memory");
    let resident =
        text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")?.trim().parse::<u64>().ok());
    let resident = resident.expect("VmHWM") * 1024;
    writeln!(file, "{} {bytes} {number} {resident}", peak - before).expect("they can be written");
    std::process::exit(i32::from(status != std::process::ExitCode::SUCCESS) * 2)
}

/// What the others rely on; and, in a process of their own, their command.
#[test]
fn allocations_are_counted() {
    if let Some(words) = std::env::var_os(WORDS) {
        run_here(&words);
    }
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("t.parquet");
    std::fs::write(&page, vec![b'x'; 4]).unwrap();
    let refused = run(dir.path(), &["info", "t.parquet"]);
    assert!(refused.status == Some(2) && refused.err.contains("t.parquet is not a Parquet file"), "{refused:?}");
    // A footer of 200 MiB is read before it is found to be none.
    let file = File::create(&page).unwrap();
    let length = 200u32 << 20;
    file.set_len(u64::from(length) + 12).unwrap();
    use std::os::unix::fs::FileExt;
    file.write_all_at(b"PAR1", 0).unwrap();
    file.write_all_at(&[&length.to_le_bytes()[..], b"PAR1"].concat(), u64::from(length) + 4).unwrap();
    let read = run(dir.path(), &["info", "t.parquet"]);
    let counts = read.counts;
    assert!(counts.peak >= u64::from(length) && counts.peak < 2 * u64::from(length), "{read:?}");
    assert!(counts.bytes >= counts.peak && counts.resident >= u64::from(length), "{read:?}");
    assert!(counts.number > 0 && refused.counts.peak < 10 << 20, "{refused:?}");
}
