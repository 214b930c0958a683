//! The transfers that the self-test's process makes: raw system calls, each with its own bytes. To test one more, add a line
//! to the table, and its function.

use std::io::{PipeReader, PipeWriter, Result, Seek, SeekFrom, pipe};
use std::os::fd::AsRawFd;

use io_uring::{IoUring, opcode, squeue, types};

use super::kinds::{TransferKind, kinds, optional};
use super::scene::{Scene, range, whole};
use super::sys::{code, filled, int80_readv, memfd, owned, raw, wait};
use super::userfaultfd::{Command, Lazy};
use crate::record::probes::selftest::expectation::{Expectation, SIZE, State};

// Family, event, name, how the call enters the kernel, request, function.
kinds! {
    Process ProcessFork "fork" [] [] forked;
    Vm ProcessVmReadv "process_vm_readv" [Native] [] readv;
    Vm ProcessVmWritev "process_vm_writev" [Native] [] writev;
    Vm ProcessVmReadv "process_vm_readv by int 0x80" [Compat32] [] readv_int80;
    Vmsplice Vmsplice "vmsplice into a pipe" [Native] [] vmsplice_in;
    Vmsplice Vmsplice "vmsplice out of a pipe" [Native] [] vmsplice_out;
    PipeRead PipeRead "read of a pipe fed by vmsplice" [Native] [] pipe_read;
    PipeRead PipeWrite "write into a pipe fed by vmsplice" [Native] [] pipe_write;
    Splice Splice "splice" [Native] [] splice;
    Splice Tee "tee" [Native] [] tee;
    Splice Sendfile "sendfile" [Native] [] sendfile;
    Uring Splice "splice through io_uring" [IoUring] [] uring_splice;
    Uring Tee "tee through io_uring" [IoUring] [] uring_tee;
    Ptrace Ptrace "PTRACE_SEIZE" [Native] ["PTRACE_SEIZE"] seize;
    Ptrace Ptrace "PTRACE_INTERRUPT" [Native] ["PTRACE_INTERRUPT"] interrupt;
    Ptrace Ptrace "PTRACE_PEEKDATA" [Native] ["PTRACE_PEEKDATA"] peek;
    Ptrace Ptrace "PTRACE_POKEDATA" [Native] ["PTRACE_POKEDATA"] poke;
    Ptrace Ptrace "PTRACE_DETACH" [Native] ["PTRACE_DETACH"] detach;
    Mem MemOpen "open of /proc/PID/mem" [Native] [] mem_open;
    Mem MemOpen "open of /proc/PID/mem that fails" [Native] [] mem_open_failing;
    Mem Read "read of /proc/PID/mem" [Native] [] mem_read;
    Mem Write "write to /proc/PID/mem" [Native] [] mem_write;
    Mem Pread "pread of /proc/PID/mem" [Native] [] mem_pread;
    Mem Pwrite "pwrite to /proc/PID/mem" [Native] [] mem_pwrite;
    Mem Readv "readv of /proc/PID/mem" [Native] [] mem_readv;
    Mem Writev "writev to /proc/PID/mem" [Native] [] mem_writev;
    Mem Preadv "preadv of /proc/PID/mem" [Native] [] mem_preadv;
    Mem Pwritev "pwritev to /proc/PID/mem" [Native] [] mem_pwritev;
    Mem Preadv2 "preadv2 of /proc/PID/mem" [Native] [] mem_preadv2;
    Mem Pwritev2 "pwritev2 to /proc/PID/mem" [Native] [] mem_pwritev2;
    Pidfd PidfdGetfd "pidfd_getfd" [Native] [] pidfd_getfd;
    Madvise ProcessMadvise "process_madvise" [Native] [] process_madvise;
    Uffd UffdCopy "UFFDIO_COPY" [Native] [] uffd_copy;
    Uffd UffdMove "UFFDIO_MOVE" [Native] [] uffd_move;
    Uffd UffdZeropage "UFFDIO_ZEROPAGE" [Native] [] uffd_zeropage;
    Uffd UffdPoison "UFFDIO_POISON" [Native] [] uffd_poison;
    Process ProcessExec "exec" [] [] executed;
    Process ProcessExit "exit" [] [] ended;
}

pub fn readv(scene: &Scene<'_>) -> Expectation {
    scene.vm(libc::SYS_process_vm_readv)
}

pub fn writev(scene: &Scene<'_>) -> Expectation {
    scene.fill_local();
    scene.vm(libc::SYS_process_vm_writev)
}

/// process_vm_readv by `int 0x80`, in a process of its own: where 32-bit calls are switched off, a signal ends it.
pub fn readv_int80(scene: &Scene<'_>) -> Expectation {
    let Some(low) = scene.low else { return Expectation::refused(-i64::from(libc::ENOMEM)) };
    let (local, remote) = low.arrays32(scene.slot);
    // SAFETY: the child makes one system call, reports it, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let ret = int80_readv(scene.target as u32, local as u32, remote as u32);
        // SAFETY: takes nothing and cannot fail.
        let pid = unsafe { libc::getpid() };
        let ranges = (range(low.local(scene.slot), SIZE), range(low.remote(scene.slot), SIZE));
        let expectation = Expectation { pid, local: ranges.0, remote: ranges.1, ..scene.between(ret.into()) };
        scene.board.write(scene.slot, expectation);
        // SAFETY: ends this process without any of the recorder's last words.
        unsafe { libc::_exit(0) };
    }
    if child < 0 {
        return Expectation::refused(code(&std::io::Error::last_os_error()));
    }
    match wait(child, 0) {
        status if libc::WIFSIGNALED(status) => {
            Expectation { state: State::Killed, ret: libc::WTERMSIG(status).into(), ..Expectation::default() }
        }
        _ => scene.board.read(scene.slot),
    }
}

fn vmsplice(scene: &Scene<'_>, pipe: &impl AsRawFd) -> i64 {
    let local = scene.local();
    raw(libc::SYS_vmsplice, [pipe.as_raw_fd() as u64, &raw const local as u64, 1, 0, 0, 0])
}

pub fn vmsplice_in(scene: &Scene<'_>) -> Expectation {
    scene.fill_local();
    whole(pipe().map(|(_read, write)| {
        let expectation = scene.returned(vmsplice(scene, &write), SIZE).with_payload(&scene.text);
        Expectation { local: scene.local(), fd_out: write.as_raw_fd(), ..expectation }
    }))
}

pub fn vmsplice_out(scene: &Scene<'_>) -> Expectation {
    whole(filled(&scene.text).map(|(read, _write)| {
        let expectation = scene.returned(vmsplice(scene, &read), SIZE).with_payload(&scene.text);
        Expectation { local: scene.local(), fd_in: read.as_raw_fd(), ..expectation }
    }))
}

/// read(2) of a pipe that vmsplice fed.
pub fn pipe_read(scene: &Scene<'_>) -> Expectation {
    scene.fill_local();
    whole(pipe().map(|(read, write)| {
        let fed = vmsplice(scene, &write);
        if fed < 0 {
            return Expectation::refused(fed);
        }
        let to = scene.remote();
        let ret = raw(libc::SYS_read, [read.as_raw_fd() as u64, to.base, to.len, 0, 0, 0]);
        let expectation = scene.returned(ret, SIZE).with_payload(&scene.text);
        // Who fed it is the target; function hooks see no descriptor.
        Expectation { other: scene.pid, local: to, ..expectation }
    }))
}

/// write(2) into a pipe that vmsplice fed.
pub fn pipe_write(scene: &Scene<'_>) -> Expectation {
    scene.fill_local();
    whole(pipe().map(|(_read, write)| {
        let fed = vmsplice(scene, &write);
        if fed < 0 {
            return Expectation::refused(fed);
        }
        let from = scene.local();
        let ret = raw(libc::SYS_write, [write.as_raw_fd() as u64, from.base, from.len, 0, 0, 0]);
        // Function hooks see no descriptor.
        Expectation { local: from, ..scene.returned(ret, SIZE).with_payload(&scene.text) }
    }))
}

fn moved(scene: &Scene<'_>, ret: i64, from: &impl AsRawFd, to: &impl AsRawFd) -> Expectation {
    Expectation { fd_in: from.as_raw_fd(), fd_out: to.as_raw_fd(), ..scene.returned(ret, SIZE) }
}

/// Something that goes from one pipe into another.
fn between_pipes(scene: &Scene<'_>, call: impl Fn(&PipeReader, &PipeWriter) -> i64) -> Expectation {
    whole(filled(&scene.text).and_then(|(from, _write)| {
        let (_read, to) = pipe()?;
        Ok(moved(scene, call(&from, &to), &from, &to))
    }))
}

pub fn splice(scene: &Scene<'_>) -> Expectation {
    between_pipes(scene, |from, to| {
        raw(libc::SYS_splice, [from.as_raw_fd() as u64, 0, to.as_raw_fd() as u64, 0, SIZE as u64, 0])
    })
}

pub fn tee(scene: &Scene<'_>) -> Expectation {
    between_pipes(scene, |from, to| {
        raw(libc::SYS_tee, [from.as_raw_fd() as u64, to.as_raw_fd() as u64, SIZE as u64, 0, 0, 0])
    })
}

/// From file to file.
pub fn sendfile(scene: &Scene<'_>) -> Expectation {
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

fn uring(scene: &Scene<'_>, entry: impl Fn(types::Fd, types::Fd) -> squeue::Entry) -> Expectation {
    between_pipes(scene, |from, to| {
        submit(&entry(types::Fd(from.as_raw_fd()), types::Fd(to.as_raw_fd()))).unwrap_or_else(|e| code(&e))
    })
}

pub fn uring_splice(scene: &Scene<'_>) -> Expectation {
    uring(scene, |from, to| opcode::Splice::new(from, -1, to, -1, SIZE as u32).build())
}

pub fn uring_tee(scene: &Scene<'_>) -> Expectation {
    uring(scene, |from, to| opcode::Tee::new(from, to, SIZE as u32).build())
}

pub fn seize(scene: &Scene<'_>) -> Expectation {
    scene.with_target(scene.returned(scene.ptrace(libc::PTRACE_SEIZE, 0, 0), 0))
}

pub fn interrupt(scene: &Scene<'_>) -> Expectation {
    let ret = scene.ptrace(libc::PTRACE_INTERRUPT, 0, 0);
    if ret == 0 {
        wait(scene.target, libc::__WALL);
    }
    scene.with_target(scene.returned(ret, 0))
}

pub fn peek(scene: &Scene<'_>) -> Expectation {
    let (remote, text) = scene.word();
    let local = range(scene.local().base, text.len());
    let ret = scene.ptrace(libc::PTRACE_PEEKDATA, remote.base, local.base);
    Expectation { local, remote, ..scene.with_target(scene.returned(ret, 0)).with_payload(text) }
}

pub fn poke(scene: &Scene<'_>) -> Expectation {
    let (remote, text) = scene.word();
    let word = text.first_chunk().copied().map_or(0, u64::from_ne_bytes);
    let ret = scene.ptrace(libc::PTRACE_POKEDATA, remote.base, word);
    Expectation { remote, ..scene.with_target(scene.returned(ret, 0)).with_payload(text) }
}

pub fn detach(scene: &Scene<'_>) -> Expectation {
    scene.with_target(scene.returned(scene.ptrace(libc::PTRACE_DETACH, 0, 0), 0))
}

/// Opens the target's memory; returns what came of it.
fn opened(scene: &Scene<'_>, flags: i32) -> Result<i64> {
    let path = std::ffi::CString::new(format!("/proc/{}/mem", scene.target))?;
    Ok(raw(libc::SYS_openat, [libc::AT_FDCWD as u64, path.as_ptr() as u64, flags as u64, 0, 0, 0]))
}

pub fn mem_open(scene: &Scene<'_>) -> Expectation {
    whole(opened(scene, libc::O_RDONLY | libc::O_CLOEXEC).and_then(|ret| {
        let fd = owned(ret)?;
        let expectation = scene.with_target(scene.returned(ret, fd.as_raw_fd() as usize));
        Ok(Expectation { fd_out: fd.as_raw_fd(), ..expectation })
    }))
}

/// Nobody may open it as a directory, whoever that is.
pub fn mem_open_failing(scene: &Scene<'_>) -> Expectation {
    whole(opened(scene, libc::O_DIRECTORY | libc::O_CLOEXEC).map(|ret| {
        let denied = -i64::from(libc::ENOTDIR);
        Expectation { wanted: denied, ..scene.with_target(scene.returned(ret, 0)) }
    }))
}

/// A call that reads or writes the target's memory as a file. Those that take no offset find it in the file.
fn mem(scene: &Scene<'_>, nr: libc::c_long, vectored: bool) -> Result<(Expectation, i32)> {
    let mut file = scene.mem_file()?;
    let (local, remote) = (scene.local(), scene.remote());
    file.seek(SeekFrom::Start(remote.base))?;
    let (buffer, len) = if vectored { (&raw const local as u64, 1) } else { (local.base, local.len) };
    let ret = raw(nr, [file.as_raw_fd() as u64, buffer, len, remote.base, 0, 0]);
    Ok((scene.between(ret), file.as_raw_fd()))
}

macro_rules! of_mem {
    ($($read:ident $read_nr:ident, $write:ident $write_nr:ident, $vectored:literal;)+) => {$(
        pub fn $read(scene: &Scene<'_>) -> Expectation {
            whole(mem(scene, libc::$read_nr, $vectored).map(|(expectation, fd_in)| Expectation { fd_in, ..expectation }))
        }

        pub fn $write(scene: &Scene<'_>) -> Expectation {
            scene.fill_local();
            whole(mem(scene, libc::$write_nr, $vectored).map(|(expectation, fd_out)| Expectation { fd_out, ..expectation }))
        }
    )+};
}

of_mem! {
    mem_read SYS_read, mem_write SYS_write, false;
    mem_pread SYS_pread64, mem_pwrite SYS_pwrite64, false;
    mem_readv SYS_readv, mem_writev SYS_writev, true;
    mem_preadv SYS_preadv, mem_pwritev SYS_pwritev, true;
    mem_preadv2 SYS_preadv2, mem_pwritev2 SYS_pwritev2, true;
}

pub fn pidfd_getfd(scene: &Scene<'_>) -> Expectation {
    whole(scene.pidfd().and_then(|pidfd| {
        let ret = raw(libc::SYS_pidfd_getfd, [pidfd.as_raw_fd() as u64, scene.lent as u64, 0, 0, 0, 0]);
        let copy = owned(ret)?;
        Ok(scene.with_target(scene.returned(ret, copy.as_raw_fd() as usize)))
    }))
}

/// MADV_COLD takes nothing away.
pub fn process_madvise(scene: &Scene<'_>) -> Expectation {
    const MADV_COLD: u64 = 20;
    whole(scene.pidfd().map(|pidfd| {
        let page = range(scene.remote().base & !4095, 4096);
        let args = [pidfd.as_raw_fd() as u64, &raw const page as u64, 1, MADV_COLD, 0, 0];
        let ret = raw(libc::SYS_process_madvise, args);
        Expectation { remote: page, ..scene.with_target(scene.returned(ret, 4096)) }
    }))
}

/// Fills, moves or poisons the first of two pages of this process's own.
fn uffd(scene: &Scene<'_>, command: Command) -> Expectation {
    whole(Lazy::new().map(|lazy| {
        lazy.fill_second(&scene.text);
        let (ret, fd_out) = (lazy.call(command), lazy.descriptor());
        let expectation = Expectation { other: scene.pid, remote: lazy.first(), fd_out, ..scene.returned(ret, 0) };
        match command {
            // A kernel that does not know it refuses it, which is an event, too.
            Command::Move | Command::Poison if ret == -i64::from(libc::EINVAL) => {
                Expectation { wanted: ret, ..expectation }
            }
            Command::Copy | Command::Move => {
                Expectation { local: lazy.second(), ..expectation.with_payload(&scene.text) }
            }
            Command::Zeropage | Command::Poison => expectation,
        }
    }))
}

pub fn uffd_copy(scene: &Scene<'_>) -> Expectation {
    uffd(scene, Command::Copy)
}

pub fn uffd_move(scene: &Scene<'_>) -> Expectation {
    uffd(scene, Command::Move)
}

pub fn uffd_zeropage(scene: &Scene<'_>) -> Expectation {
    uffd(scene, Command::Zeropage)
}

pub fn uffd_poison(scene: &Scene<'_>) -> Expectation {
    uffd(scene, Command::Poison)
}

/// The target's own beginning.
pub fn forked(scene: &Scene<'_>) -> Expectation {
    Expectation { pid: scene.target, other: scene.pid, ..Expectation::default() }
}

/// What [`end`] does when everything else is done.
pub fn executed(scene: &Scene<'_>) -> Expectation {
    scene.returned(0, 0)
}

/// Exit code of the self-test's process.
pub const EXIT_CODE: i32 = 42;

/// Status that wait(2) gives of [`end`].
pub fn ended(scene: &Scene<'_>) -> Expectation {
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
