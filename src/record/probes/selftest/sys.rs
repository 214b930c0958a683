//! System calls without libc's changes to arguments and results, and the resources of the transfers.

use std::io::{Error, PipeReader, PipeWriter, Result, Write};
use std::os::fd::{FromRawFd, OwnedFd};

/// Makes system call `nr`; returns its result, `-errno` on failure, as the kernel does.
pub fn raw(nr: libc::c_long, [a, b, c, d, e, f]: [u64; 6]) -> i64 {
    // SAFETY: the callers below name only buffers of their own, or of the target.
    let ret = unsafe { libc::syscall(nr, a, b, c, d, e, f) };
    if ret == -1 { code(&Error::last_os_error()) } else { ret }
}

/// `-errno`; EIO for an error that is not the system's.
pub fn code(error: &Error) -> i64 {
    -i64::from(error.raw_os_error().unwrap_or(libc::EIO))
}

/// A descriptor that the kernel has just made.
pub fn owned(ret: i64) -> Result<OwnedFd> {
    if ret < 0 {
        return Err(Error::from_raw_os_error(i32::try_from(-ret).unwrap_or(libc::EIO)));
    }
    let fd = i32::try_from(ret).map_err(Error::other)?;
    // SAFETY: new and ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A pipe that holds `bytes`.
pub fn filled(bytes: &[u8]) -> Result<(PipeReader, PipeWriter)> {
    let (read, mut write) = std::io::pipe()?;
    write.write_all(bytes)?;
    Ok((read, write))
}

/// A file in memory that holds `bytes`. `flag` says whether it may be executed, which kernels before 6.3 do not ask.
pub fn memfd(bytes: &[u8], flag: u32) -> Result<std::fs::File> {
    let name = c"vmtrace-self-test".as_ptr() as u64;
    let create = |flags: u32| owned(raw(libc::SYS_memfd_create, [name, flags.into(), 0, 0, 0, 0]));
    let fd = create(libc::MFD_CLOEXEC | flag).or_else(|_| create(libc::MFD_CLOEXEC))?;
    let mut file = std::fs::File::from(fd);
    file.write_all(bytes)?;
    Ok(file)
}

/// process_vm_readv of one range each by `int 0x80`, with 32-bit iovecs.
#[cfg(target_arch = "x86_64")]
pub fn int80_readv(pid: u32, local: u32, remote: u32) -> i32 {
    const PROCESS_VM_READV: u32 = 347;
    let mut ret = PROCESS_VM_READV;
    // SAFETY: the kernel writes to the buffer that the array at `local` names, which is ours; ebx and ebp, which
    // carry the first argument and the flags (0), are put back.
    unsafe {
        core::arch::asm!(
            "push rbx",
            "push rbp",
            "mov ebx, {pid:e}",
            "xor ebp, ebp",
            "int 0x80",
            "pop rbp",
            "pop rbx",
            pid = in(reg) pid,
            inout("eax") ret,
            in("ecx") local,
            in("edx") 1,
            in("esi") remote,
            in("edi") 1,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    ret as i32
}

/// There is none here.
#[cfg(not(target_arch = "x86_64"))]
pub fn int80_readv(_: u32, _: u32, _: u32) -> i32 {
    -libc::ENOSYS
}

/// Waits for a child; returns its status, 0 where there is none.
pub fn wait(pid: i32, flags: i32) -> i32 {
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    while unsafe { libc::waitpid(pid, &raw mut status, flags) } == -1 {
        if Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return 0;
        }
    }
    status
}
