//! Attempts to open /proc/PID/mem: whatever path leads there, and whether it succeeds or not.

use std::cell::Cell;
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::compat::syscall32;
use super::race;
use crate::open::{How, MODE, Open, owned};
use crate::peer::{COMM, Peer, in_child};
use crate::report::{Entry, Report, Tally};
use crate::sys::{self, Region};

const NOBODY: u32 = 65_534;
const READ: i32 = libc::O_RDONLY | libc::O_CLOEXEC;
const BOTH: i32 = libc::O_RDWR | libc::O_CLOEXEC;
/// Refused for every file that is no directory, whoever asks.
const DIRECTORY: i32 = libc::O_RDONLY | libc::O_DIRECTORY;
const CWD: i32 = libc::AT_FDCWD;
/// include/uapi/linux/openat2.h
const RESOLVE_BENEATH: u64 = 8;
const RESOLVE_NO_XDEV: u64 = 1;

fn openat(dirfd: i32, flags: i32) -> Open {
    Open::Openat { dirfd, flags }
}

fn openat2(dirfd: i32, flags: i32, resolve: u64) -> Open {
    Open::Openat2 { dirfd, how: How { flags: flags as u64, mode: 0, resolve } }
}

/// A directory of /proc.
fn directory(path: &str) -> Result<OwnedFd> {
    owned(openat(CWD, libc::O_DIRECTORY | libc::O_CLOEXEC).call(&CString::new(path)?)).context(path.to_string())
}

/// Makes a call that must return `wanted`, or a descriptor if that is 0.
fn attempt(open: Open, path: &str, wanted: i64) -> Result<(Entry, Option<OwnedFd>)> {
    let ret = open.call(&CString::new(path)?);
    let is_wanted = if wanted == 0 { ret >= 0 } else { ret == wanted };
    ensure!(is_wanted, "{open:?} of {path} returned {ret}");
    Ok((open.entry(path, ret), if ret >= 0 { Some(owned(ret)?) } else { None }))
}

fn of_peer(entry: Entry, peer: &Peer) -> Entry {
    entry.with("target_pid", peer.pid()).with("target_comm", COMM)
}

fn of_self(entry: Entry) -> Entry {
    entry.with("target_pid", std::process::id())
}

/// Every call and every way to the memory of a peer, and to one's own.
pub fn opened(report: &mut Report) -> Result<()> {
    let peer = Peer::fork_with_thread()?;
    let (pid, tid) = (peer.pid(), peer.tid());
    let plain = format!("/proc/{pid}/mem");
    let of_thread = format!("/proc/{pid}/task/{tid}/mem");
    let (root, own) = (directory("/proc")?, directory(&format!("/proc/{pid}"))?);
    let dir = std::env::temp_dir().join(format!("workload-{}", std::process::id()));
    std::fs::create_dir(&dir)?;
    let link = dir.join("link");
    std::os::unix::fs::symlink(&plain, &link)?;
    let link = link.to_str().context("the path is not UTF-8")?.to_string();
    let relative = format!("{pid}/mem");
    let ways = [
        (Open::Plain { flags: READ }, plain.as_str(), plain.as_str()),
        (Open::Plain { flags: libc::O_WRONLY }, &plain, &plain),
        (Open::Plain { flags: BOTH }, &of_thread, &of_thread),
        (Open::Creat, &plain, &plain),
        (openat(CWD, BOTH), &plain, &plain),
        (openat(CWD, READ), &link, &plain),
        (openat(root.as_raw_fd(), READ), &relative, &plain),
        (openat(own.as_raw_fd(), BOTH), "mem", &plain),
        (openat2(CWD, BOTH, 0), &plain, &plain),
        (openat2(own.as_raw_fd(), READ, RESOLVE_BENEATH), "mem", &plain),
    ];
    for (open, path, file) in ways {
        let (seen, _fd) = attempt(open, path, 0)?;
        report.call(of_peer(seen, &peer).with("fd_out_path", file));
    }
    std::fs::remove_dir_all(&dir)?;
    let me = std::process::id();
    let file = format!("/proc/{me}/mem");
    for path in ["/proc/self/mem", &file] {
        let (seen, _fd) = attempt(openat(CWD, READ), path, 0)?;
        report.call(of_self(seen).with("fd_out_path", file.as_str()));
    }
    let (seen, _fd) = attempt(openat(CWD, READ), "/proc/thread-self/mem", 0)?;
    report.call(of_self(seen).with("fd_out_path", format!("/proc/{me}/task/{}/mem", sys::gettid())));
    Ok(())
}

/// What the kernel refuses, by the path alone, and what a path does not say.
pub fn errors(report: &mut Report) -> Result<()> {
    let peer = Peer::fork_with_thread()?;
    let (pid, tid) = (peer.pid(), peer.tid());
    let (root, own) = (directory("/proc")?, directory(&format!("/proc/{pid}"))?);
    let plain = format!("/proc/{pid}/mem");
    let relative = format!("{pid}/mem");
    let of_thread = format!("{pid}/task/{tid}/mem");
    let slashes = format!("//proc/.//{pid}///./mem");
    for (open, path, wanted) in [
        (Open::Plain { flags: DIRECTORY }, plain.as_str(), -20),
        (openat(CWD, DIRECTORY), &slashes, -20),
        (openat(CWD, DIRECTORY), &format!("/proc/{of_thread}"), -20),
        (openat(root.as_raw_fd(), DIRECTORY), &relative, -20),
        (openat(root.as_raw_fd(), DIRECTORY), &of_thread, -20),
        (openat(own.as_raw_fd(), DIRECTORY), "mem", -20),
        (openat(own.as_raw_fd(), DIRECTORY), &format!("task/{tid}/mem"), -20),
        (openat2(CWD, READ, RESOLVE_NO_XDEV), &plain, -18),
        (openat2(CWD, DIRECTORY, 0), &plain, -20),
        (openat2(CWD, -1, 0), &plain, -22),
    ] {
        report.call(of_peer(attempt(open, path, wanted)?.0, &peer));
    }
    for path in ["/proc/self/mem", "/proc/thread-self/mem", "/proc/self/task/SELF/mem"] {
        let path = path.replace("SELF", &sys::gettid().to_string());
        report.call(of_self(attempt(openat(CWD, DIRECTORY), &path, -20)?.0));
    }
    gone(report)?;
    elsewhere(&plain)?;
    forbidden(report)
}

/// Nobody has the number any more.
fn gone(report: &mut Report) -> Result<()> {
    let peer = Peer::fork()?;
    let path = format!("/proc/{}/mem", peer.pid());
    drop(peer);
    report.call(attempt(openat(CWD, READ), &path, -2)?.0.with("target_pid", Value::Null));
    Ok(())
}

/// What fails and is of something else: no recorder says anything of it.
fn elsewhere(plain: &str) -> Result<()> {
    for path in
        ["/mem", "mem", "/self/mem", "/proc/mem", "/proc/self/fd/mem", "/nowhere/1/mem", "/proc/1/xmem", "/proc/x1/mem"]
    {
        attempt(openat(CWD, READ), path, -2)?;
    }
    // Directories of the same name that are not those of procfs: the number is of a process that lives.
    for front in ["/nowhere", "/nowhere/.", "", "nowhere/"] {
        let path = format!("{front}{plain}");
        attempt(openat(CWD, READ), if front.is_empty() { path.trim_start_matches('/') } else { &path }, -2)?;
    }
    // Of a file that shows nobody's memory, and by a path that is nowhere.
    drop(attempt(openat(CWD, READ), "/proc/self/maps", 0)?);
    // A descriptor by which nothing can be read.
    drop(attempt(openat(CWD, libc::O_PATH), plain, 0)?);
    // SAFETY: the kernel does not read what is nowhere.
    let ret = unsafe { sys::raw(libc::SYS_openat, [CWD as u64, 0x1000, READ as u64, 0, 0, 0]) };
    ensure!(ret == -14, "a path that is nowhere returned {ret}");
    Ok(())
}

/// A child that gave up its privileges wants its parent's memory.
fn forbidden(report: &mut Report) -> Result<()> {
    let parent = std::process::id();
    let own = directory(&format!("/proc/{parent}"))?;
    let plain = format!("/proc/{parent}/mem");
    let (_, output) = in_child(|out| {
        // SAFETY: plain numbers.
        unsafe {
            sys::check(libc::setgroups(0, std::ptr::null()), "setgroups")?;
            sys::check(libc::setresgid(NOBODY, NOBODY, NOBODY), "setresgid")?;
            sys::check(libc::setresuid(NOBODY, NOBODY, NOBODY), "setresuid")?;
        }
        let mut inner = Report::default();
        for (open, path) in [
            (Open::Plain { flags: READ }, plain.as_str()),
            (Open::Creat, &plain),
            (openat(CWD, BOTH), &plain),
            (openat(own.as_raw_fd(), BOTH), "mem"),
            (openat2(CWD, READ, 0), &plain),
        ] {
            let (seen, _) = attempt(open, path, -13)?;
            inner.call(seen.with("target_pid", parent).with("uid", NOBODY));
        }
        std::env::set_current_dir(format!("/proc/{parent}"))?;
        let (seen, _) = attempt(openat(CWD, READ), "mem", -13)?;
        inner.call(seen.with("target_pid", parent).with("uid", NOBODY));
        sys::write_all(out, inner.into_json().to_string().as_bytes())
    })?;
    report.child(&serde_json::from_slice(&output)?)
}

/// The same by every i386 number, in both outcomes.
pub fn int80(report: &mut Report) -> Result<()> {
    const NUMBERS: [u32; 4] = [5, 8, 295, 437];
    const HOW_AT: usize = 1024;
    let low = Region::low(4096)?;
    let peer = Peer::fork()?;
    let path = format!("/proc/{}/mem", peer.pid());
    low.write(0, &[path.as_bytes(), b"\0"].concat());
    for (flags, wanted) in [(BOTH, 0), (DIRECTORY, -20)] {
        let how = How { flags: flags as u64, mode: 0, resolve: 0 };
        low.write(HOW_AT, &[how.flags, how.mode, how.resolve].map(u64::to_le_bytes).concat());
        let (name, how_at, cwd) = (low.addr() as u32, (low.addr() as usize + HOW_AT) as u32, CWD as u32);
        for number in NUMBERS {
            let (open, args) = match number {
                5 => (Open::Plain { flags }, [name, flags as u32, MODE as u32, 0, 0, 0]),
                8 => (Open::Creat, [name, MODE as u32, 0, 0, 0, 0]),
                295 => (openat(CWD, flags), [cwd, name, flags as u32, MODE as u32, 0, 0]),
                _ => (Open::Openat2 { dirfd: CWD, how }, [cwd, name, how_at, size_of::<How>() as u32, 0, 0]),
            };
            let wanted = if number == 8 { 0 } else { wanted };
            // SAFETY: path and struct are in our own page.
            let ret = unsafe { syscall32(number, args) };
            ensure!(if wanted == 0 { ret >= 0 } else { ret == wanted }, "{open:?} by int 0x80 returned {ret}");
            report.call(of_peer(open.entry(&path, ret), &peer).with("abi", "compat32"));
            if ret >= 0 {
                drop(owned(ret)?);
            }
        }
    }
    Ok(())
}

/// A path that another thread changes under way: to that of an ordinary file, and back. What was opened is what counts.
/// Reported is how many of the calls opened memory.
pub fn flip(report: &mut Report) -> Result<()> {
    let peer = Peer::fork()?;
    let mem = format!("/proc/{}/mem", peer.pid());
    // One letter of the path differs: at its end is `mem`, a link to the memory, or `mam`, an ordinary file.
    let letters = [b'e', b'a'];
    let dir = std::env::temp_dir().join(format!("workload-{}", std::process::id()));
    std::fs::create_dir(&dir)?;
    std::os::unix::fs::symlink(&mem, dir.join("mem"))?;
    std::fs::write(dir.join("mam"), "")?;
    let text = dir.join("mem").to_str().context("the path is not UTF-8")?.to_string();
    let path: Vec<AtomicU8> = text.bytes().chain([0]).map(AtomicU8::new).collect();
    let middle = path.len().checked_sub(3).and_then(|at| path.get(at)).context("no path")?;
    let (done, opened, calls) = (AtomicBool::new(false), Cell::new(0u64), race::calls()?);
    std::thread::scope(|scope| -> Result<()> {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                letters.iter().for_each(|letter| middle.store(*letter, Ordering::Relaxed));
            }
        });
        let each = || -> Result<()> {
            for _ in 0..calls {
                // SAFETY: bytes that end with NUL, whatever the other thread writes.
                let ret =
                    unsafe { sys::raw(libc::SYS_openat, [CWD as u64, path.as_ptr() as u64, READ as u64, 0, 0, 0]) };
                let fd = owned(ret)?;
                let file = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
                opened.set(opened.get() + u64::from(file.to_str() == Some(&mem)));
            }
            Ok(())
        };
        let result = each();
        done.store(true, Ordering::Relaxed);
        result
    })?;
    std::fs::remove_dir_all(&dir)?;
    report.fact("made", calls);
    report.fact("target_pid", peer.pid());
    report.calls(crate::open::EVENT, Tally { calls: opened.get(), ok: opened.get(), ..Tally::default() }, Vec::new());
    Ok(())
}
