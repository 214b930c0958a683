//! The transfers that the self-test's process makes: raw system calls, each with its own bytes.

use std::io::{PipeReader, PipeWriter, Result, pipe};
use std::os::fd::{AsRawFd, OwnedFd};

use io_uring::{IoUring, opcode, squeue, types};

use super::sys::{code, filled, int80_readv, memfd, owned, raw, wait};
use crate::record::probes::selftest::expectation::{Board, Deed, Field, SIZE, State};
use crate::schema::types::Iovec;

/// Where a transfer is made.
#[derive(Debug)]
pub struct Scene<'a> {
    /// Where deeds are reported.
    pub board: &'a Board,
    /// Buffers anywhere.
    pub field: &'a Field,
    /// Buffers below 4 GiB, if there is room.
    pub low: Option<&'a Field>,
    /// This process.
    pub pid: i32,
    /// Its child, whose memory is reached into.
    pub target: i32,
    /// A descriptor that the target has.
    pub lent: i32,
    /// Number of the transfer.
    pub slot: usize,
    /// Its bytes.
    pub text: [u8; SIZE],
}

/// A transfer: makes it and says what a row about it must hold.
pub type Act = fn(&Scene<'_>) -> Deed;

fn range(base: u64, len: usize) -> Iovec {
    Iovec { base, len: len as u64 }
}

/// What could not be prepared is refused, too.
fn whole(result: Result<Deed>) -> Deed {
    result.unwrap_or_else(|e| Deed::refused(code(&e)))
}

impl Scene<'_> {
    fn local(&self) -> Iovec {
        range(self.field.local(self.slot), SIZE)
    }

    fn remote(&self) -> Iovec {
        range(self.field.remote(self.slot), SIZE)
    }

    fn fill_local(&self) {
        self.field.fill_local(self.slot, &self.text);
    }

    /// A call that returned `ret` where `wanted` is right.
    fn returned(&self, ret: i64, wanted: usize) -> Deed {
        Deed { ret, wanted: wanted as i64, pid: self.pid, ..Deed::default() }
    }

    fn with_target(&self, deed: Deed) -> Deed {
        Deed { other: self.target, ..deed }
    }

    /// A transfer of all bytes between both buffers.
    fn between(&self, ret: i64) -> Deed {
        let deed = Deed { local: self.local(), remote: self.remote(), ..self.returned(ret, SIZE) };
        self.with_target(deed).with_payload(&self.text)
    }

    fn vm(&self, nr: libc::c_long) -> Deed {
        let (local, remote) = (self.local(), self.remote());
        let (local, remote) = (&raw const local as u64, &raw const remote as u64);
        self.between(raw(nr, [self.target as u64, local, 1, remote, 1, 0]))
    }

    fn mem_file(&self) -> Result<std::fs::File> {
        let path = format!("/proc/{}/mem", self.target);
        std::fs::File::options().read(true).write(true).open(path)
    }

    fn pidfd(&self) -> Result<OwnedFd> {
        owned(raw(libc::SYS_pidfd_open, [self.target as u64, 0, 0, 0, 0, 0]))
    }

    fn ptrace(&self, request: u32, addr: u64, data: u64) -> i64 {
        raw(libc::SYS_ptrace, [request.into(), self.target as u64, addr, data, 0, 0])
    }

    /// A word of the target's buffer.
    fn word(&self) -> (Iovec, &[u8]) {
        let text = self.text.get(..size_of::<u64>()).unwrap_or_default();
        (range(self.remote().base, size_of::<u64>()), text)
    }
}

pub fn readv(scene: &Scene<'_>) -> Deed {
    scene.vm(libc::SYS_process_vm_readv)
}

pub fn writev(scene: &Scene<'_>) -> Deed {
    scene.fill_local();
    scene.vm(libc::SYS_process_vm_writev)
}

/// process_vm_readv by `int 0x80`, in a process of its own: where 32-bit calls are switched off, a signal ends it.
pub fn readv_int80(scene: &Scene<'_>) -> Deed {
    let Some(low) = scene.low else { return Deed::refused(-i64::from(libc::ENOMEM)) };
    let (local, remote) = low.arrays32(scene.slot);
    // SAFETY: the child makes one system call, reports it, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let ret = int80_readv(scene.target as u32, local as u32, remote as u32);
        // SAFETY: takes nothing and cannot fail.
        let pid = unsafe { libc::getpid() };
        let ranges = (range(low.local(scene.slot), SIZE), range(low.remote(scene.slot), SIZE));
        let deed = Deed { pid, local: ranges.0, remote: ranges.1, ..scene.between(ret.into()) };
        scene.board.write(scene.slot, deed);
        // SAFETY: ends this process without any of the recorder's last words.
        unsafe { libc::_exit(0) };
    }
    if child < 0 {
        return Deed::refused(code(&std::io::Error::last_os_error()));
    }
    match wait(child, 0) {
        status if libc::WIFSIGNALED(status) => {
            Deed { state: State::Killed, ret: libc::WTERMSIG(status).into(), ..Deed::default() }
        }
        _ => scene.board.read(scene.slot),
    }
}

fn vmsplice(scene: &Scene<'_>, pipe: &impl AsRawFd) -> i64 {
    let local = scene.local();
    raw(libc::SYS_vmsplice, [pipe.as_raw_fd() as u64, &raw const local as u64, 1, 0, 0, 0])
}

pub fn vmsplice_in(scene: &Scene<'_>) -> Deed {
    scene.fill_local();
    whole(pipe().map(|(_read, write)| {
        let deed = scene.returned(vmsplice(scene, &write), SIZE).with_payload(&scene.text);
        Deed { local: scene.local(), fd_out: write.as_raw_fd(), ..deed }
    }))
}

pub fn vmsplice_out(scene: &Scene<'_>) -> Deed {
    whole(filled(&scene.text).map(|(read, _write)| {
        let deed = scene.returned(vmsplice(scene, &read), SIZE).with_payload(&scene.text);
        Deed { local: scene.local(), fd_in: read.as_raw_fd(), ..deed }
    }))
}

/// read(2) of a pipe that vmsplice fed.
pub fn pipe_read(scene: &Scene<'_>) -> Deed {
    scene.fill_local();
    whole(pipe().map(|(read, write)| {
        let fed = vmsplice(scene, &write);
        if fed < 0 {
            return Deed::refused(fed);
        }
        let to = scene.remote();
        let ret = raw(libc::SYS_read, [read.as_raw_fd() as u64, to.base, to.len, 0, 0, 0]);
        let deed = scene.returned(ret, SIZE).with_payload(&scene.text);
        // Who fed it is the target; function hooks see no descriptor.
        Deed { other: scene.pid, local: to, ..deed }
    }))
}

fn moved(scene: &Scene<'_>, ret: i64, from: &impl AsRawFd, to: &impl AsRawFd) -> Deed {
    Deed { fd_in: from.as_raw_fd(), fd_out: to.as_raw_fd(), ..scene.returned(ret, SIZE) }
}

/// Something that goes from one pipe into another.
fn between_pipes(scene: &Scene<'_>, call: impl Fn(&PipeReader, &PipeWriter) -> i64) -> Deed {
    whole(filled(&scene.text).and_then(|(from, _write)| {
        let (_read, to) = pipe()?;
        Ok(moved(scene, call(&from, &to), &from, &to))
    }))
}

pub fn splice(scene: &Scene<'_>) -> Deed {
    between_pipes(scene, |from, to| {
        raw(libc::SYS_splice, [from.as_raw_fd() as u64, 0, to.as_raw_fd() as u64, 0, SIZE as u64, 0])
    })
}

pub fn tee(scene: &Scene<'_>) -> Deed {
    between_pipes(scene, |from, to| {
        raw(libc::SYS_tee, [from.as_raw_fd() as u64, to.as_raw_fd() as u64, SIZE as u64, 0, 0, 0])
    })
}

/// From file to file.
pub fn sendfile(scene: &Scene<'_>) -> Deed {
    whole(memfd(&scene.text, libc::MFD_NOEXEC_SEAL).and_then(|from| {
        let to = memfd(&[], libc::MFD_NOEXEC_SEAL)?;
        let mut offset = 0i64;
        let (fds, offset) = ((from.as_raw_fd() as u64, to.as_raw_fd() as u64), &raw mut offset as u64);
        let ret = raw(libc::SYS_sendfile, [fds.1, fds.0, offset, SIZE as u64, 0, 0]);
        Ok(moved(scene, ret, &from, &to))
    }))
}

/// Submits one request and waits for its result.
fn submit(entry: &squeue::Entry) -> Result<i64> {
    let mut ring = IoUring::new(4)?;
    // SAFETY: the request names only descriptors, which outlive the wait.
    unsafe { ring.submission().push(entry) }.map_err(std::io::Error::other)?;
    ring.submit_and_wait(1)?;
    let completed = ring.completion().next();
    completed.map(|c| c.result().into()).ok_or_else(|| std::io::Error::other("no completion"))
}

fn uring(scene: &Scene<'_>, entry: impl Fn(types::Fd, types::Fd) -> squeue::Entry) -> Deed {
    between_pipes(scene, |from, to| {
        submit(&entry(types::Fd(from.as_raw_fd()), types::Fd(to.as_raw_fd()))).unwrap_or_else(|e| code(&e))
    })
}

pub fn uring_splice(scene: &Scene<'_>) -> Deed {
    uring(scene, |from, to| opcode::Splice::new(from, -1, to, -1, SIZE as u32).build())
}

pub fn uring_tee(scene: &Scene<'_>) -> Deed {
    uring(scene, |from, to| opcode::Tee::new(from, to, SIZE as u32).build())
}

pub fn seize(scene: &Scene<'_>) -> Deed {
    scene.with_target(scene.returned(scene.ptrace(libc::PTRACE_SEIZE, 0, 0), 0))
}

pub fn interrupt(scene: &Scene<'_>) -> Deed {
    let ret = scene.ptrace(libc::PTRACE_INTERRUPT, 0, 0);
    if ret == 0 {
        wait(scene.target, libc::__WALL);
    }
    scene.with_target(scene.returned(ret, 0))
}

pub fn peek(scene: &Scene<'_>) -> Deed {
    let (remote, text) = scene.word();
    let local = range(scene.local().base, text.len());
    let ret = scene.ptrace(libc::PTRACE_PEEKDATA, remote.base, local.base);
    Deed { local, remote, ..scene.with_target(scene.returned(ret, 0)).with_payload(text) }
}

pub fn poke(scene: &Scene<'_>) -> Deed {
    let (remote, text) = scene.word();
    let word = text.first_chunk().copied().map_or(0, u64::from_ne_bytes);
    let ret = scene.ptrace(libc::PTRACE_POKEDATA, remote.base, word);
    Deed { remote, ..scene.with_target(scene.returned(ret, 0)).with_payload(text) }
}

pub fn detach(scene: &Scene<'_>) -> Deed {
    scene.with_target(scene.returned(scene.ptrace(libc::PTRACE_DETACH, 0, 0), 0))
}

fn mem(scene: &Scene<'_>, nr: libc::c_long) -> Result<(Deed, i32)> {
    let file = scene.mem_file()?;
    let (local, remote) = (scene.local(), scene.remote());
    let ret = raw(nr, [file.as_raw_fd() as u64, local.base, local.len, remote.base, 0, 0]);
    Ok((scene.between(ret), file.as_raw_fd()))
}

pub fn mem_read(scene: &Scene<'_>) -> Deed {
    whole(mem(scene, libc::SYS_pread64).map(|(deed, fd_in)| Deed { fd_in, ..deed }))
}

pub fn mem_write(scene: &Scene<'_>) -> Deed {
    scene.fill_local();
    whole(mem(scene, libc::SYS_pwrite64).map(|(deed, fd_out)| Deed { fd_out, ..deed }))
}

pub fn pidfd_getfd(scene: &Scene<'_>) -> Deed {
    whole(scene.pidfd().and_then(|pidfd| {
        let ret = raw(libc::SYS_pidfd_getfd, [pidfd.as_raw_fd() as u64, scene.lent as u64, 0, 0, 0, 0]);
        let copy = owned(ret)?;
        Ok(scene.with_target(scene.returned(ret, copy.as_raw_fd() as usize)))
    }))
}

/// MADV_COLD takes nothing away.
pub fn process_madvise(scene: &Scene<'_>) -> Deed {
    const MADV_COLD: u64 = 20;
    whole(scene.pidfd().map(|pidfd| {
        let page = range(scene.remote().base & !4095, 4096);
        let args = [pidfd.as_raw_fd() as u64, &raw const page as u64, 1, MADV_COLD, 0, 0];
        let ret = raw(libc::SYS_process_madvise, args);
        Deed { remote: page, ..scene.with_target(scene.returned(ret, 4096)) }
    }))
}

/// The target's own beginning.
pub fn forked(scene: &Scene<'_>) -> Deed {
    Deed { pid: scene.target, other: scene.pid, ..Deed::default() }
}

/// What [`end`] does when everything else is done.
pub fn executed(scene: &Scene<'_>) -> Deed {
    scene.returned(0, 0)
}

/// Exit code of the self-test's process.
pub const EXIT_CODE: i32 = 42;

/// Status that wait(2) gives of [`end`].
pub fn ended(scene: &Scene<'_>) -> Deed {
    let status = EXIT_CODE << 8;
    scene.returned(status.into(), status as usize)
}

/// Ends this process with [`EXIT_CODE`]; by replacing its program with one that does so, if it is to be `executed`.
/// Returns `-errno` where that was refused.
pub fn execute() -> i64 {
    let file = match memfd(&super::program::exits_with(EXIT_CODE as u8), libc::MFD_EXEC) {
        Ok(file) => file,
        Err(e) => return code(&e),
    };
    let none: [*const libc::c_char; 1] = [std::ptr::null()];
    let words = [c"vmtrace-self-test".as_ptr(), std::ptr::null()];
    let [words, none] = [words.as_ptr() as u64, none.as_ptr() as u64];
    let path = c"".as_ptr() as u64;
    raw(libc::SYS_execveat, [file.as_raw_fd() as u64, path, words, none, libc::AT_EMPTY_PATH as u64, 0])
}
