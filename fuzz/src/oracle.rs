//! What counts as a crash besides a panic: memory, time, and control bytes in what is printed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// What one command may take, in one allocation and in all.
const MOST: usize = 512 << 20;

/// Seconds of the processor that one command may take: on a busy machine, libFuzzer's clock runs for others.
static SECONDS: AtomicUsize = AtomicUsize::new(10);

static LIVE: AtomicUsize = AtomicUsize::new(0);
static BEFORE: AtomicUsize = AtomicUsize::new(0);
static ARMED: AtomicBool = AtomicBool::new(false);

/// Counts what is allocated while a command runs.
pub struct Counting;

impl Counting {
    fn add(size: usize) {
        let live = LIVE.fetch_add(size, Relaxed).wrapping_add(size);
        if ARMED.load(Relaxed) && (size > MOST || live.saturating_sub(BEFORE.load(Relaxed)) > MOST) {
            ARMED.store(false, Relaxed);
            fail(format_args!("{size} bytes more were allocated, above the limit of {MOST} in all"));
        }
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
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Counting::add(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_sub(layout.size(), Relaxed);
        Counting::add(size);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }
}

static SCREEN: OnceLock<File> = OnceLock::new();
static PRINTED: OnceLock<File> = OnceLock::new();

/// Once, before libFuzzer reads its options: keeps stderr for ourselves, and has panics end the process, also those in
/// code of vmtrace that runs guarded, where the Parquet library alone may panic.
pub fn begin() {
    // SAFETY: the new descriptor is nobody else's.
    let screen = unsafe { File::from_raw_fd(libc::dup(2)) };
    drop(SCREEN.set(screen));
    // The guard installs its hook with the first thing that it guards; ours comes before it then.
    let sample = std::env::temp_dir().join(format!("vmtrace-fuzz-{}.parquet", std::process::id()));
    std::fs::write(&sample, crate::bases::CAPTURES[0]).expect("TMPDIR can be written");
    let opened = vmtrace::schema::reader::Capture::open(&sample);
    drop(std::fs::remove_file(&sample));
    opened.expect("a sample is a capture");
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        ARMED.store(false, Relaxed);
        let place = info.location().map_or("", |location| location.file());
        let foreign = place.contains("/.cargo/") || place.contains("/registry/") || place.starts_with("/rustc/");
        if !foreign {
            fail(format_args!("{info}\n{}", std::backtrace::Backtrace::force_capture()));
        }
        let screen = SCREEN.get().map(AsRawFd::as_raw_fd).unwrap_or(2);
        // SAFETY: both are open; only this process's output moves.
        unsafe { libc::dup2(screen, 2) };
        before(info);
        redirect();
        ARMED.store(true, Relaxed);
    }));
}

/// Says what is wrong where it can be seen, and ends as a crash.
pub fn fail(what: std::fmt::Arguments<'_>) -> ! {
    if let Some(mut screen) = SCREEN.get() {
        drop(writeln!(screen, "\n== FOUND: {what}"));
        if let Some(printed) = PRINTED.get() {
            let mut text = [0; 2000];
            let len = printed.read_at(&mut text, 0).unwrap_or(0);
            drop(writeln!(screen, "== PRINTED: {}", text[..len].escape_ascii()));
        }
    }
    std::process::abort()
}

fn redirect() {
    let file = PRINTED.get_or_init(|| {
        // SAFETY: the name ends with a zero; the new descriptor is nobody else's.
        unsafe { File::from_raw_fd(libc::memfd_create(c"printed".as_ptr(), libc::MFD_CLOEXEC)) }
    });
    for stream in [1, 2] {
        // SAFETY: both are open or are opened so; libFuzzer has a descriptor of its own.
        unsafe { libc::dup2(file.as_raw_fd(), stream) };
    }
}

/// Another limit of time, for a test of it.
pub fn limit_time(seconds: usize) {
    SECONDS.store(seconds, Relaxed);
}

extern "C" fn too_long(_signal: libc::c_int) {
    fail(format_args!("more than {} s of the processor were taken", SECONDS.load(Relaxed)));
}

/// Has [`too_long`] called when so many seconds of the processor have passed; 0 for never.
fn alarm(seconds: usize) {
    let none = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let timer = libc::itimerval { it_interval: none, it_value: libc::timeval { tv_sec: seconds as i64, ..none } };
    // SAFETY: the handler ends the process, whatever was interrupted; the timer is valid.
    unsafe {
        libc::signal(libc::SIGPROF, too_long as extern "C" fn(libc::c_int) as libc::sighandler_t);
        libc::setitimer(libc::ITIMER_PROF, &raw const timer, std::ptr::null_mut());
    }
}

/// How strictly what is printed is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Text, in which only line breaks and tabs are controls.
    Text,
    /// Bytes of another format.
    Binary,
}

/// Runs a command: with its memory and time counted, and what it prints looked at.
pub fn watched<T>(what: &str, output: Output, run: impl FnOnce() -> T) -> T {
    redirect();
    let printed = PRINTED.get().expect("redirected");
    drop(printed.set_len(0));
    // SAFETY: the descriptor is open.
    unsafe { libc::lseek(printed.as_raw_fd(), 0, libc::SEEK_SET) };
    BEFORE.store(LIVE.load(Relaxed), Relaxed);
    ARMED.store(true, Relaxed);
    alarm(SECONDS.load(Relaxed));
    let result = run();
    drop(std::io::stdout().flush());
    alarm(0);
    ARMED.store(false, Relaxed);
    if output == Output::Text {
        plain(what, &self::printed());
    }
    result
}

/// What the last command printed.
pub fn printed() -> Vec<u8> {
    let Some(file) = PRINTED.get() else { return Vec::new() };
    let mut bytes = vec![0; file.metadata().map_or(0, |m| m.len() as usize)];
    drop(file.read_exact_at(&mut bytes, 0));
    bytes
}

/// Ends as a crash where a terminal would act on the text.
pub fn plain(what: &str, bytes: &[u8]) {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => fail(format_args!("{what} prints what is no UTF-8 at byte {}", error.valid_up_to())),
    };
    let acts = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c as u32, 0x200e..=0x200f | 0x202a..=0x202e | 0x2066..=0x2069 | 0xfeff)
    };
    if let Some(at) = text.find(acts) {
        let begin = text[..at].char_indices().rev().nth(60).map_or(0, |(at, _)| at);
        let near: String = text[begin..].chars().take(90).collect();
        fail(format_args!("{what} prints a control at byte {at}: {near:?}"));
    }
}
