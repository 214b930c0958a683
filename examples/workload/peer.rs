//! The other address space: a forked child that waits.

use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result, bail};

use super::sys;

/// Name of a peer, as `target_comm` should show it.
pub const COMM: &str = "vm-target";

/// A child that does nothing until it is dropped, and then exits with status 0.
#[derive(Debug)]
pub struct Peer {
    pid: i32,
    tid: i32,
    hold: Option<OwnedFd>,
}

impl Peer {
    /// Forks a peer. Call it before starting threads.
    pub fn fork() -> Result<Self> {
        Self::fork_doing(|| Ok(sys::gettid()))
    }

    /// Forks a peer with a second thread, whose id is its `tid`.
    pub fn fork_with_thread() -> Result<Self> {
        Self::fork_doing(|| second_thread(std::thread::park))
    }

    /// The same with a thread that keeps a CPU busy.
    pub fn fork_with_busy_thread() -> Result<Self> {
        Self::fork_doing(|| second_thread(std::hint::spin_loop))
    }

    fn fork_doing(set_up: fn() -> Result<i32>) -> Result<Self> {
        let (wait, hold) = sys::pipe(0)?;
        let (ready, tell) = sys::pipe(0)?;
        // SAFETY: this process has one thread, so the child may use everything.
        match sys::check(unsafe { libc::fork() }, "fork")? {
            0 => {
                drop((hold, ready));
                live(set_up, &wait, &tell)
            }
            pid => {
                drop(tell);
                let id = sys::read_exact(&ready, 4).context("the forked child did not start")?;
                let [a, b, c, d] = id[..] else { bail!("no thread id") };
                Ok(Peer { pid, tid: i32::from_le_bytes([a, b, c, d]), hold: Some(hold) })
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The id of its second thread, where it has one, or else of its first.
    pub fn tid(&self) -> i32 {
        self.tid
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // A byte rather than end of file: peers forked later hold this pipe open, too.
        let told = self.hold.take().map(|hold| sys::write_all(&hold, &[0]));
        if matches!(told, Some(Ok(()))) {
            reap(self.pid);
        }
    }
}

/// Waits for the child `pid` to end; returns its wait status.
pub fn reap(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    status
}

/// Runs `work` in a forked child; returns the child's pid and what it wrote to the descriptor it was given.
pub fn in_child(work: impl FnOnce(&OwnedFd) -> Result<()>) -> Result<(i32, Vec<u8>)> {
    let (read, write) = sys::pipe(1 << 20)?;
    // SAFETY: this process has one thread, so the child may use everything.
    match sys::check(unsafe { libc::fork() }, "fork")? {
        0 => {
            drop(read);
            let result = work(&write);
            if let Err(error) = &result {
                eprintln!("workload: child: {error:#}");
            }
            // SAFETY: ends the process.
            unsafe { libc::_exit(i32::from(result.is_err())) }
        }
        pid => {
            drop(write);
            let mut output = Vec::new();
            std::fs::File::from(read).read_to_end(&mut output)?;
            let status = reap(pid);
            if status != 0 {
                bail!("child {pid} failed with wait status {status}");
            }
            Ok((pid, output))
        }
    }
}

/// Starts a thread that repeats `step` until the process ends; returns its id.
fn second_thread(step: fn()) -> Result<i32> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = sender.send(sys::gettid());
        loop {
            step();
        }
    });
    Ok(receiver.recv()?)
}

fn live(set_up: fn() -> Result<i32>, wait: &OwnedFd, tell: &OwnedFd) -> ! {
    let name = std::ffi::CString::new(COMM).unwrap_or_default();
    // SAFETY: prctl reads the name; the child dies with its parent so that no run leaves one behind.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, name.as_ptr());
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
    let told = set_up().and_then(|tid| sys::write_all(tell, &tid.to_le_bytes()));
    let mut byte = 0u8;
    // SAFETY: one byte of room; `_exit` runs none of the parent's destructors.
    unsafe {
        if told.is_ok() {
            libc::read(wait.as_raw_fd(), (&raw mut byte).cast(), 1);
        }
        libc::_exit(0)
    }
}
