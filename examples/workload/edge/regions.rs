//! Mappings of every kind in another process, read where they lie, and changed between the reads or under them. What was
//! mapped is told by the process that mapped it, and shown by the bytes that were read.

use std::ffi::CStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::kill::{HALF, withhold};
use super::race::calls;
use crate::buffer::iovec;
use crate::peer::reap;
use crate::report::{Report, Tally};
use crate::sys::{self, Region};
use crate::vm::call;

const PAGE: usize = 4096;
/// Bytes of each mapping.
const SIZE: usize = 16 * PAGE;
/// Bytes of each read.
const READ: usize = 64;
/// Name of the anonymous mapping that has one.
const NAME: &CStr = c"vmtrace-test";

/// Memory that parent and child share: requests and answers.
struct Shared(Region);

impl Shared {
    fn new() -> Result<Self> {
        Ok(Shared(Region::shared(PAGE)?))
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        // SAFETY: an aligned word of a mapping that lives as long as we; both processes access it atomically.
        unsafe { AtomicU64::from_ptr((self.0.addr() as *mut u64).add(index)) }
    }

    /// Waits for an answer.
    fn await_word(&self, index: usize, value: u64) -> Result<()> {
        let began = Instant::now();
        while self.word(index).load(Ordering::Acquire) != value {
            ensure!(began.elapsed() < Duration::from_secs(60), "the child does not answer");
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

const ASKED: usize = 0;
const DONE: usize = 1;
const PLACES: usize = 2;

/// A child that ends with us.
struct Child(i32);

impl Child {
    fn fork(live: impl FnOnce() -> Result<()>) -> Result<Self> {
        // SAFETY: this process has one thread, so the child may use everything.
        match sys::check(unsafe { libc::fork() }, "fork")? {
            0 => {
                // SAFETY: a number; the child ends with its parent.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                let failed = live().is_err();
                // SAFETY: the child has nothing to clean up.
                unsafe { libc::_exit(failed.into()) }
            }
            pid => Ok(Child(pid)),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: our own child, which nobody else waits for.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
        reap(self.0);
    }
}

fn mapped(at: u64, len: usize, perms: i32, flags: i32, file: Option<(&OwnedFd, usize)>) -> Result<u64> {
    let (fd, offset) = file.map_or((-1, 0), |(fd, offset)| (fd.as_raw_fd(), offset));
    let flags = if fd < 0 { flags | libc::MAP_ANONYMOUS } else { flags };
    let flags = if at == 0 { flags } else { flags | libc::MAP_FIXED };
    // SAFETY: a new mapping, or one in the place of our own.
    let address = unsafe { libc::mmap(at as *mut _, len, perms, flags, fd, offset as i64) };
    ensure!(address != libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
    Ok(address as u64)
}

/// A file of that many bytes `byte`.
fn file(path: &Path, byte: u8) -> Result<OwnedFd> {
    File::create(path)?.write_all(&vec![byte; SIZE + PAGE])?;
    Ok(File::open(path)?.into())
}

fn memfd(byte: u8) -> Result<OwnedFd> {
    let memfd = sys::memfd(&vec![byte; SIZE])?;
    Ok(memfd)
}

/// The name of our memfds in the child's list of mappings.
fn memfd_path(pid: i32, memfd: &OwnedFd) -> Result<String> {
    let link = std::fs::read_link(format!("/proc/{pid}/fd/{}", memfd.as_raw_fd()))?;
    Ok(link.to_str().context("a name that is no text")?.to_string())
}

/// What a range that begins there must be said to lie in.
fn place(address: u64, path: &str, perms: &str) -> Value {
    json!({ "address": address, "path": path, "perms": perms })
}

/// One of each kind. They are told in shared memory as address, kind.
struct World {
    places: Vec<Value>,
    memfd: OwnedFd,
    memfd_at: u64,
    jit_at: u64,
    anonymous_at: u64,
}

impl World {
    fn new(directory: &Path) -> Result<Self> {
        let on_stack = [7u8; READ];
        let read_write = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: more of our heap, which nobody else gets.
        let heap = unsafe { libc::sbrk(SIZE as isize) };
        ensure!(heap as isize != -1, "sbrk: {}", std::io::Error::last_os_error());
        let anonymous_at = mapped(0, SIZE, read_write, libc::MAP_PRIVATE, None)?;
        // SAFETY: names our own mapping; not every kernel has such names.
        let named = unsafe { libc::prctl(0x5356_4d41, 0, anonymous_at, SIZE, NAME.as_ptr()) } == 0;
        let name = if named { format!("[anon:{}]", NAME.to_str()?) } else { String::new() };
        let (kept, gone) = (directory.join("kept file"), directory.join("gone"));
        let (kept_fd, gone_fd) = (file(&kept, 1)?, file(&gone, 2)?);
        let kept_at = mapped(0, SIZE, libc::PROT_READ, libc::MAP_PRIVATE, Some((&kept_fd, PAGE)))?;
        let gone_at = mapped(0, SIZE, libc::PROT_READ, libc::MAP_SHARED, Some((&gone_fd, 0)))?;
        std::fs::remove_file(&gone)?;
        let memfd = memfd(3)?;
        let memfd_at = mapped(0, SIZE, read_write, libc::MAP_SHARED, Some((&memfd, 0)))?;
        let all = read_write | libc::PROT_EXEC;
        let jit_at = mapped(0, SIZE, all, libc::MAP_PRIVATE, None)?;
        // SAFETY: a number.
        let vdso = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
        let path = |path: &PathBuf| path.to_str().map(str::to_string).context("a name that is no text");
        let mut places = vec![
            place(heap as u64, "[heap]", "rw-p"),
            place(on_stack.as_ptr() as u64, "[stack]", "rw-p"),
            place(anonymous_at, &name, "rw-p"),
            place(kept_at, &path(&kept)?, "r--p"),
            place(gone_at, &format!("{} (deleted)", path(&gone)?), "r--s"),
            place(memfd_at, &memfd_path(std::process::id() as i32, &memfd)?, "rw-s"),
            place(jit_at, "", "rwxp"),
        ];
        if vdso != 0 {
            places.push(place(vdso, "[vdso]", "r-xp"));
        }
        Ok(World { places, memfd, memfd_at, jit_at, anonymous_at })
    }

    fn set(&mut self, address: u64, path: &str, perms: &str) {
        self.places.iter_mut().filter(|old| old["address"] == address).for_each(|old| {
            *old = place(address, path, perms);
        });
    }

    /// Other mappings in the places of some.
    fn change(&mut self) -> Result<()> {
        mapped(self.memfd_at, SIZE, libc::PROT_READ, libc::MAP_PRIVATE, None)?;
        self.set(self.memfd_at, "", "r--p");
        // SAFETY: our own mapping, which we do not access.
        sys::check(unsafe { libc::mprotect(self.jit_at as *mut _, SIZE, libc::PROT_READ) }, "mprotect")?;
        self.set(self.jit_at, "", "r--p");
        mapped(self.anonymous_at, SIZE, libc::PROT_READ, libc::MAP_SHARED, Some((&self.memfd, 0)))?;
        let path = memfd_path(std::process::id() as i32, &self.memfd)?;
        self.set(self.anonymous_at, &path, "r--s");
        Ok(())
    }

    /// Tells the parent, who shares one file and one word with us.
    fn tell(&self, shared: &Shared, told: &Path, step: u64) -> Result<()> {
        std::fs::write(told, serde_json::to_string(&self.places)?)?;
        shared.word(DONE).store(step, Ordering::Release);
        Ok(())
    }
}

/// Reads `READ` bytes at each address by one call.
fn read(pid: i32, addresses: &[u64], into: &mut [u8]) -> i64 {
    let local = [iovec(into.as_mut_ptr() as u64, into.len())];
    let remote: Vec<libc::iovec> = addresses.iter().map(|address| iovec(*address, READ)).collect();
    call(false, pid, &local, &remote, 0)
}

/// Rounds of reads of one state of the mappings, and the pause behind each: the recorder has the time to look.
const ROUNDS: usize = 60;
const PAUSE: Duration = Duration::from_millis(20);
/// How often the target maps something else.
const TURNS: u64 = 12;

/// One mapping of each kind is read again and again, then some are changed, and all are read again; twice. `phases` says
/// what the ranges of each call lie in.
pub fn kinds(report: &mut Report) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let told = directory.path().join("places");
    let shared = Shared::new()?;
    let child = Child::fork(|| {
        let mut world = World::new(directory.path())?;
        world.tell(&shared, &told, 1)?;
        for step in 2.. {
            while shared.word(ASKED).load(Ordering::Acquire) < step {
                std::thread::sleep(Duration::from_millis(1));
            }
            world.change()?;
            world.tell(&shared, &told, step)?;
        }
        Ok(())
    })?;
    let (mut phases, mut tally) = (Vec::new(), Tally::default());
    for step in 1..=3 {
        shared.word(ASKED).store(step, Ordering::Release);
        shared.await_word(DONE, step)?;
        let places: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&told)?)?;
        let addresses: Vec<u64> = places.iter().filter_map(|place| place["address"].as_u64()).collect();
        let mut bytes = vec![0; READ * addresses.len()];
        for _ in 0..ROUNDS {
            let ret = read(child.0, &addresses, &mut bytes);
            ensure!(ret == bytes.len() as i64, "a read returned {ret}");
            tally.add(ret, ret as u64);
            std::thread::sleep(PAUSE);
        }
        phases.push(json!({ "calls": ROUNDS, "places": places }));
    }
    report.fact("phases", phases);
    report.calls("process_vm_readv", tally, Vec::new());
    Ok(())
}

/// A thread of the target maps a file, a memfd and anonymous memory in the same place, in turn: often for a while, then for a
/// while not at all. Each call reads two ranges there. Their first bytes say what was mapped when they were read: `variants`
/// by that byte.
pub fn race(report: &mut Report) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("mapped");
    let shared = Shared::new()?;
    let child = Child::fork(|| {
        let (file, memfd) = (file(&path, 1)?, memfd(3)?);
        // Pages around it, so that no neighbour is joined to it.
        let around = mapped(0, SIZE + 2 * PAGE, libc::PROT_NONE, libc::MAP_PRIVATE, None)?;
        let at = around + PAGE as u64;
        let flip = |turn: u32| match turn % 3 {
            0 => mapped(at, SIZE, libc::PROT_READ, libc::MAP_PRIVATE, Some((&file, 0))),
            1 => mapped(at, SIZE, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, Some((&memfd, 0))),
            _ => mapped(at, SIZE, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE, None),
        };
        flip(0)?;
        shared.word(PLACES).store(at, Ordering::Relaxed);
        shared.word(PLACES + 1).store(memfd.as_raw_fd() as u64, Ordering::Relaxed);
        shared.word(DONE).store(1, Ordering::Release);
        for turn in 0u32.. {
            flip(turn)?;
            // 200 times with 0 to 300 µs between, then not for 350 ms.
            let pause = if turn % 200 == 199 { 350_000 } else { turn.wrapping_mul(2_654_435_761) % 300 };
            std::thread::sleep(Duration::from_micros(pause.into()));
        }
        Ok(())
    })?;
    shared.await_word(DONE, 1)?;
    let (at, fd) = (shared.word(PLACES).load(Ordering::Relaxed), shared.word(PLACES + 1).load(Ordering::Relaxed));
    let link = std::fs::read_link(format!("/proc/{}/fd/{fd}", child.0))?;
    let addresses = [at, at + (SIZE - PAGE) as u64];
    let (mut bytes, mut tally) = ([0; 2 * READ], Tally::default());
    for number in 0..calls()? / 4 {
        let ret = read(child.0, &addresses, &mut bytes);
        ensure!(ret == bytes.len() as i64, "a read returned {ret}");
        tally.add(ret, ret as u64);
        if number % 4 == 0 {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
    let path = path.to_str().context("a name that is no text")?;
    let variants = json!({ "0": ["", "rw-p"], "1": [path, "r--p"], "3": [link, "rw-s"] });
    report.fact("variants", variants);
    report.calls("process_vm_readv", tally, Vec::new());
    Ok(())
}

/// What dumpers do: looks who the target is, then reads its memory, by descriptors of the same number. The kernel reads the
/// command line from the target's memory, too. The target maps something else in between. The first byte says what was mapped when it was read: `variants`.
pub fn leftover(report: &mut Report) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("mapped");
    let shared = Shared::new()?;
    let child = Child::fork(|| {
        let file = file(&path, 1)?;
        let at = mapped(0, SIZE, libc::PROT_READ, libc::MAP_PRIVATE, Some((&file, 0)))?;
        shared.word(PLACES).store(at, Ordering::Relaxed);
        shared.word(DONE).store(1, Ordering::Release);
        for step in 2u64.. {
            while shared.word(ASKED).load(Ordering::Acquire) < step {
                std::thread::sleep(Duration::from_millis(1));
            }
            let file = Some((&file, 0)).filter(|_| step % 2 == 1);
            mapped(at, SIZE, libc::PROT_READ, libc::MAP_PRIVATE, file)?;
            shared.word(DONE).store(step, Ordering::Release);
        }
        Ok(())
    })?;
    shared.await_word(DONE, 1)?;
    let at = shared.word(PLACES).load(Ordering::Relaxed);
    let of_child = |name| File::open(format!("/proc/{}/{name}", child.0));
    let mut tally = Tally::default();
    for step in 2..TURNS {
        let memory = of_child("mem")?;
        let number = memory.as_raw_fd();
        for _ in 0..10 {
            memory.read_exact_at(&mut [0; READ], at)?;
            tally.add(READ as i64, READ as u64);
            std::thread::sleep(PAUSE);
        }
        drop(memory);
        let name = of_child("cmdline")?;
        ensure!(name.as_raw_fd() == number && name.read_at(&mut [0; PAGE], 0)? > 0, "it has another number");
        shared.word(ASKED).store(step, Ordering::Release);
        shared.await_word(DONE, step)?;
        drop(name);
    }
    let path = path.to_str().context("a name that is no text")?;
    report.fact("variants", json!({ "0": ["", "r--p"], "1": [path, "r--p"] }));
    report.calls("pread", tally, Vec::new());
    Ok(())
}

/// Bytes that are read of the first range; of the second the rest of what the caller's memory takes.
const FIRST: usize = 3 << 10;

/// A call that reads a range of a file's mapping, and one of what is mapped there in the meantime: the caller's own memory is
/// withheld halfway through the first. Then what is mapped by now is read until it is known.
pub fn between(report: &mut Report) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("mapped");
    let shared = Shared::new()?;
    let child = Child::fork(|| {
        let (file, memfd) = (file(&path, 1)?, memfd(3)?);
        let at = mapped(0, SIZE, libc::PROT_READ, libc::MAP_PRIVATE, Some((&file, 0)))?;
        shared.word(PLACES).store(at, Ordering::Relaxed);
        shared.word(DONE).store(1, Ordering::Release);
        while shared.word(ASKED).load(Ordering::Acquire) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        mapped(at, SIZE, libc::PROT_READ, libc::MAP_SHARED, Some((&memfd, 0)))?;
        shared.word(DONE).store(2, Ordering::Release);
        std::thread::sleep(Duration::from_secs(60));
        Ok(())
    })?;
    shared.await_word(DONE, 1)?;
    let at = shared.word(PLACES).load(Ordering::Relaxed);
    let local = Region::private(2 * HALF)?;
    let (start, pid) = (local.addr() + (HALF - PAGE / 2) as u64, child.0);
    let transfer = || {
        let remote = [iovec(at, FIRST), iovec(at + PAGE as u64, PAGE - FIRST)];
        call(false, pid, &[iovec(start, PAGE)], &remote, 0)
    };
    let withheld = withhold(&local)?;
    let (tid, ret) = std::thread::scope(|scope| {
        let caller = scope.spawn(|| (sys::gettid(), transfer()));
        // The message of a page that is waited for (struct uffd_msg).
        let changed = sys::read_some(&withheld, 32).and_then(|_| {
            shared.word(ASKED).store(1, Ordering::Release);
            shared.await_word(DONE, 2)
        });
        drop(withheld);
        changed?;
        caller.join().map_err(|_| anyhow::anyhow!("the caller panicked"))
    })?;
    ensure!(ret == PAGE as i64, "the read returned {ret}");
    let bytes = local.read(HALF - PAGE / 2, PAGE);
    ensure!(bytes[..FIRST].iter().all(|byte| *byte == 1), "the first range was read of the file");
    ensure!(bytes[FIRST..].iter().all(|byte| *byte == 3), "the second range was read of what came there");
    let mut tally = Tally::default();
    tally.add(ret, ret as u64);
    let mut bytes = [0; READ];
    for _ in 0..ROUNDS {
        let ret = read(child.0, &[at], &mut bytes);
        ensure!(ret == READ as i64 && bytes[0] == 3, "a read returned {ret}");
        tally.add(ret, ret as u64);
        std::thread::sleep(PAUSE);
    }
    report.fact("tid", tid);
    report.calls("process_vm_readv", tally, Vec::new());
    Ok(())
}
