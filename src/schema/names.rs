//! Names for numbers of the kernel's interface: errno, ptrace requests, advice about memory, flags of open,
//! address families.

use std::fmt;
use std::sync::LazyLock;

use nix::errno::Errno;

use crate::schema::events::EventKind;

/// Errors that a syscall returns inside the kernel when a signal interrupts it, before the signal's handling
/// turns them into a restart or EINTR (include/linux/errno.h).
const RESTARTS: &[(i32, &str)] =
    &[(512, "ERESTARTSYS"), (513, "ERESTARTNOINTR"), (514, "ERESTARTNOHAND"), (516, "ERESTART_RESTARTBLOCK")];

static ERRNO: LazyLock<Vec<String>> =
    LazyLock::new(|| (0..=133).map(|code| format!("{:?}", Errno::from_raw(code))).collect());

/// Symbolic name of the error in a syscall's return value; `None` where it is none (−4095…−1 are errors).
pub fn errno_name(ret: i64) -> Option<&'static str> {
    if !(-4095..0).contains(&ret) {
        return None;
    }
    let code = -ret;
    let named = usize::try_from(code).ok().and_then(|c| ERRNO.get(c)).map(String::as_str);
    let restart = RESTARTS.iter().find(|(c, _)| i64::from(*c) == code).map(|(_, name)| *name);
    Some(named.filter(|name| *name != "UnknownErrno").or(restart).unwrap_or("EUNKNOWN"))
}

/// Every name that [`errno_name`] gives.
pub fn errno_names() -> impl Iterator<Item = &'static str> {
    let named = ERRNO.iter().map(String::as_str).filter(|name| *name != "UnknownErrno");
    named.chain(RESTARTS.iter().map(|(_, name)| *name)).chain(["EUNKNOWN"])
}

/// ptrace(2) requests (include/uapi/linux/ptrace.h; 12–33 arch/x86/include/uapi/asm/ptrace-abi.h), Linux 6.18.
const PTRACE: &[(u64, &str)] = &[
    (0, "PTRACE_TRACEME"),
    (1, "PTRACE_PEEKTEXT"),
    (2, "PTRACE_PEEKDATA"),
    (3, "PTRACE_PEEKUSER"),
    (4, "PTRACE_POKETEXT"),
    (5, "PTRACE_POKEDATA"),
    (6, "PTRACE_POKEUSER"),
    (7, "PTRACE_CONT"),
    (8, "PTRACE_KILL"),
    (9, "PTRACE_SINGLESTEP"),
    (12, "PTRACE_GETREGS"),
    (13, "PTRACE_SETREGS"),
    (14, "PTRACE_GETFPREGS"),
    (15, "PTRACE_SETFPREGS"),
    (16, "PTRACE_ATTACH"),
    (17, "PTRACE_DETACH"),
    (18, "PTRACE_GETFPXREGS"),
    (19, "PTRACE_SETFPXREGS"),
    (21, "PTRACE_OLDSETOPTIONS"),
    (24, "PTRACE_SYSCALL"),
    (25, "PTRACE_GET_THREAD_AREA"),
    (26, "PTRACE_SET_THREAD_AREA"),
    (30, "PTRACE_ARCH_PRCTL"),
    (31, "PTRACE_SYSEMU"),
    (32, "PTRACE_SYSEMU_SINGLESTEP"),
    (33, "PTRACE_SINGLEBLOCK"),
    (0x4200, "PTRACE_SETOPTIONS"),
    (0x4201, "PTRACE_GETEVENTMSG"),
    (0x4202, "PTRACE_GETSIGINFO"),
    (0x4203, "PTRACE_SETSIGINFO"),
    (0x4204, "PTRACE_GETREGSET"),
    (0x4205, "PTRACE_SETREGSET"),
    (0x4206, "PTRACE_SEIZE"),
    (0x4207, "PTRACE_INTERRUPT"),
    (0x4208, "PTRACE_LISTEN"),
    (0x4209, "PTRACE_PEEKSIGINFO"),
    (0x420a, "PTRACE_GETSIGMASK"),
    (0x420b, "PTRACE_SETSIGMASK"),
    (0x420c, "PTRACE_SECCOMP_GET_FILTER"),
    (0x420d, "PTRACE_SECCOMP_GET_METADATA"),
    (0x420e, "PTRACE_GET_SYSCALL_INFO"),
    (0x420f, "PTRACE_GET_RSEQ_CONFIGURATION"),
    (0x4210, "PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG"),
    (0x4211, "PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG"),
    (0x4212, "PTRACE_SET_SYSCALL_INFO"),
];

/// Sets of registers that PTRACE_GETREGSET and PTRACE_SETREGSET name by `addr` (include/uapi/linux/elf.h): those of x86.
const REGISTER_SETS: &[(u64, &str)] = &[
    (1, "NT_PRSTATUS"),
    (2, "NT_PRFPREG"),
    (0x200, "NT_386_TLS"),
    (0x201, "NT_386_IOPERM"),
    (0x202, "NT_X86_XSTATE"),
    (0x204, "NT_X86_SHSTK"),
    (0x46e6_2b7f, "NT_PRXFPREG"),
];

/// Names of the bits in the mode of an ioctl(2) on a userfaultfd (include/uapi/linux/userfaultfd.h).
pub fn uffd_modes(kind: EventKind) -> &'static [(u64, &'static str)] {
    match kind {
        EventKind::UffdCopy => &[(1, "UFFDIO_COPY_MODE_DONTWAKE"), (2, "UFFDIO_COPY_MODE_WP")],
        EventKind::UffdMove => &[(1, "UFFDIO_MOVE_MODE_DONTWAKE"), (2, "UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES")],
        EventKind::UffdZeropage => &[(1, "UFFDIO_ZEROPAGE_MODE_DONTWAKE")],
        EventKind::UffdPoison => &[(1, "UFFDIO_POISON_MODE_DONTWAKE")],
        _ => &[],
    }
}

/// Name of a set of registers, or `None` where this table has none.
pub fn register_set_name(set: u64) -> Option<&'static str> {
    REGISTER_SETS.iter().find(|(number, _)| *number == set).map(|(_, name)| *name)
}

/// Name of a ptrace request, or `None` where this table has none.
pub fn ptrace_request_name(request: u64) -> Option<&'static str> {
    PTRACE.iter().find(|(number, _)| *number == request).map(|(_, name)| *name)
}

/// Every name that [`ptrace_request_name`] gives.
pub fn ptrace_request_names() -> impl Iterator<Item = &'static str> {
    PTRACE.iter().map(|(_, name)| *name)
}

/// Advice of madvise(2) and process_madvise(2) (include/uapi/asm-generic/mman-common.h), Linux 6.18.
const ADVICE: &[(i32, &str)] = &[
    (0, "MADV_NORMAL"),
    (1, "MADV_RANDOM"),
    (2, "MADV_SEQUENTIAL"),
    (3, "MADV_WILLNEED"),
    (4, "MADV_DONTNEED"),
    (8, "MADV_FREE"),
    (9, "MADV_REMOVE"),
    (10, "MADV_DONTFORK"),
    (11, "MADV_DOFORK"),
    (12, "MADV_MERGEABLE"),
    (13, "MADV_UNMERGEABLE"),
    (14, "MADV_HUGEPAGE"),
    (15, "MADV_NOHUGEPAGE"),
    (16, "MADV_DONTDUMP"),
    (17, "MADV_DODUMP"),
    (18, "MADV_WIPEONFORK"),
    (19, "MADV_KEEPONFORK"),
    (20, "MADV_COLD"),
    (21, "MADV_PAGEOUT"),
    (22, "MADV_POPULATE_READ"),
    (23, "MADV_POPULATE_WRITE"),
    (24, "MADV_DONTNEED_LOCKED"),
    (25, "MADV_COLLAPSE"),
    (100, "MADV_HWPOISON"),
    (101, "MADV_SOFT_OFFLINE"),
    (102, "MADV_GUARD_INSTALL"),
    (103, "MADV_GUARD_REMOVE"),
];

/// Name of an advice, or `None` where this table has none.
pub fn advice_name(advice: i32) -> Option<&'static str> {
    ADVICE.iter().find(|(number, _)| *number == advice).map(|(_, name)| *name)
}

/// Every name that [`advice_name`] gives.
pub fn advice_names() -> impl Iterator<Item = &'static str> {
    ADVICE.iter().map(|(_, name)| *name)
}

/// Flags of open(2) beside the way of access (include/uapi/asm-generic/fcntl.h); those of two bits come first.
const OPEN_FLAGS: &[(u64, &str)] = &[
    (0o4_010_000, "O_SYNC"),
    (0o20_200_000, "O_TMPFILE"),
    (0o100, "O_CREAT"),
    (0o200, "O_EXCL"),
    (0o400, "O_NOCTTY"),
    (0o1_000, "O_TRUNC"),
    (0o2_000, "O_APPEND"),
    (0o4_000, "O_NONBLOCK"),
    (0o10_000, "O_DSYNC"),
    (0o20_000, "O_ASYNC"),
    (0o40_000, "O_DIRECT"),
    (0o100_000, "O_LARGEFILE"),
    (0o200_000, "O_DIRECTORY"),
    (0o400_000, "O_NOFOLLOW"),
    (0o1_000_000, "O_NOATIME"),
    (0o2_000_000, "O_CLOEXEC"),
    (0o10_000_000, "O_PATH"),
];

/// AT_FDCWD (include/uapi/linux/fcntl.h): relative paths lead from the working directory.
pub const AT_FDCWD: i32 = -100;

/// Flags of open(2) by name: `O_RDWR|O_CLOEXEC`; what has no name is a number at the end.
#[derive(Clone, Copy, Debug)]
pub struct OpenFlags(pub u64);

impl fmt::Display for OpenFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        f.write_str(match rest & 3 {
            0 => "O_RDONLY",
            1 => "O_WRONLY",
            2 => "O_RDWR",
            _ => "O_ACCMODE",
        })?;
        rest &= !3;
        for (bits, name) in OPEN_FLAGS {
            if rest & bits == *bits {
                write!(f, "|{name}")?;
                rest &= !bits;
            }
        }
        if rest != 0 { write!(f, "|{rest:#x}") } else { Ok(()) }
    }
}

/// Address families (include/linux/socket.h).
const FAMILIES: &[(u16, &str)] = &[
    (1, "AF_UNIX"),
    (2, "AF_INET"),
    (10, "AF_INET6"),
    (16, "AF_NETLINK"),
    (17, "AF_PACKET"),
    (29, "AF_CAN"),
    (30, "AF_TIPC"),
    (31, "AF_BLUETOOTH"),
    (38, "AF_ALG"),
    (40, "AF_VSOCK"),
    (41, "AF_KCM"),
    (43, "AF_SMC"),
    (44, "AF_XDP"),
];

/// Name of an address family, `AF_?` where this table has none.
pub fn family_name(family: u16) -> &'static str {
    FAMILIES.iter().find(|(number, _)| *number == family).map_or("AF_?", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_their_man_page_names() {
        assert_eq!(errno_name(0), None);
        assert_eq!(errno_name(64), None);
        assert_eq!(errno_name(-1), Some("EPERM"));
        assert_eq!(errno_name(-3), Some("ESRCH"));
        assert_eq!(errno_name(-14), Some("EFAULT"));
        assert_eq!(errno_name(-512), Some("ERESTARTSYS"));
        assert_eq!(errno_name(-4095), Some("EUNKNOWN"));
        assert_eq!(errno_name(-4096), None, "an address, not an error");
        assert_eq!(errno_name(i64::MIN), None);
    }

    #[test]
    fn flags_of_open_have_names() {
        let text = |flags| OpenFlags(flags).to_string();
        assert_eq!((text(0).as_str(), text(0o2_000_002).as_str()), ("O_RDONLY", "O_RDWR|O_CLOEXEC"));
        assert_eq!(text(0o4_010_001), "O_WRONLY|O_SYNC");
        assert_eq!(text(0o10_101), "O_WRONLY|O_CREAT|O_DSYNC");
        assert_eq!(text(0o20_200_002), "O_RDWR|O_TMPFILE");
        assert!(text(u64::MAX).starts_with("O_ACCMODE|O_SYNC|") && text(u64::MAX).ends_with("|0xffffffffff80003c"));
    }

    #[test]
    fn requests_advice_and_families_have_names() {
        assert_eq!(ptrace_request_name(0x4206), Some("PTRACE_SEIZE"));
        assert_eq!(ptrace_request_name(u64::MAX), None);
        assert_eq!((advice_name(21), advice_name(-1)), (Some("MADV_PAGEOUT"), None));
        assert_eq!(family_name(1), "AF_UNIX");
    }
}
