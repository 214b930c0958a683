//! System calls that reading a capture does not need, by seccomp(2).

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

/// Calls that fail with EPERM: those that execute, reach other processes, the network, or parts of the kernel that have been
/// the way to more rights.
const REFUSED: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_personality,
    libc::SYS_mq_open,
    libc::SYS_shmget,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgrcv,
    libc::SYS_msgsnd,
    libc::SYS_msgctl,
    libc::SYS_semop,
    libc::SYS_semctl,
    libc::SYS_semtimedop,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_utimensat,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
];

/// fchmodat2(2), Linux 6.6 (include/uapi/asm-generic/unistd.h).
const FCHMODAT2: i64 = 452;

/// The bit by which the x32 ABI has the same calls, and the numbers of those that it has of its own, among them execve and ptrace
/// (arch/x86/entry/syscalls/syscall_64.tbl).
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;
#[cfg(target_arch = "x86_64")]
const OF_X32: std::ops::RangeInclusive<i64> = 512..=547;

/// Requests that put characters into a terminal's input, as if they were typed (ioctl_tty(2)).
const TYPING: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];
/// The part of the type of a socket that says what it is.
const SOCKET_TYPE: u64 = 0xf;

/// Whether the kernel has seccomp(2) with filters.
pub fn are_refusable() -> bool {
    std::path::Path::new("/proc/sys/kernel/seccomp/actions_avail").exists()
}

/// Refuses them in this thread and those that it starts. Calls of another ABI (32-bit) end the process.
pub fn restrict() -> Result<(), String> {
    let install = |rules: BTreeMap<i64, Vec<SeccompRule>>, error: libc::c_int| {
        let target = std::env::consts::ARCH.try_into().map_err(|error| format!("{error}"))?;
        let refuse = SeccompAction::Errno(error.unsigned_abs());
        let filter =
            SeccompFilter::new(rules, SeccompAction::Allow, refuse, target).map_err(|error| error.to_string())?;
        let program: BpfProgram = filter.try_into().map_err(|error| format!("{error}"))?;
        apply_filter(&program).map_err(|error| error.to_string())
    };
    // A new thread is one; a new process is not. The flags of clone3 cannot be seen: the C library then uses clone.
    install(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    rules.extend(by_arguments().map_err(|error| error.to_string())?);
    #[cfg(target_arch = "x86_64")]
    {
        let others: Vec<_> = rules.iter().map(|(call, rules)| (call | X32, rules.clone())).collect();
        rules.extend(others);
        rules.extend(OF_X32.flat_map(|call| [(call, Vec::new()), (call | X32, Vec::new())]));
    }
    install(rules, libc::EPERM)
}

/// Calls that are refused with some arguments: each rule alone is enough.
fn by_arguments() -> seccompiler::Result<Vec<(i64, Vec<SeccompRule>)>> {
    let condition = |argument: u8, operator: SeccompCmpOp, value: u64| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value).map_err(seccompiler::Error::Backend)
    };
    let all = |conditions: Vec<_>| SeccompRule::new(conditions).map_err(seccompiler::Error::Backend);
    let rule = |argument, operator, value| all(vec![condition(argument, operator, value)?]);
    let own = u64::from(std::process::id());
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    let stream = u64::from(libc::SOCK_STREAM.unsigned_abs());
    let typing = TYPING.into_iter().map(|request| rule(1, SeccompCmpOp::Eq, request)).collect::<Result<_, _>>()?;
    // Datagrams can be sent to any other socket.
    let kinds = (0..=SOCKET_TYPE).filter(|kind| *kind != stream);
    let pairs = kinds.map(|kind| rule(1, SeccompCmpOp::MaskedEq(SOCKET_TYPE), kind)).collect::<Result<_, _>>()?;
    Ok(vec![
        // A new process, not a thread.
        (libc::SYS_clone, vec![rule(0, SeccompCmpOp::MaskedEq(thread), 0)?]),
        (libc::SYS_ioctl, typing),
        (libc::SYS_socketpair, pairs),
        // Signals for others, but for those of our process group, which ^Z stops; and their limits.
        (libc::SYS_kill, vec![all(vec![condition(0, SeccompCmpOp::Ne, own)?, condition(0, SeccompCmpOp::Ne, 0)?])?]),
        (libc::SYS_tgkill, vec![rule(0, SeccompCmpOp::Ne, own)?]),
        (libc::SYS_prlimit64, vec![rule(0, SeccompCmpOp::Ne, 0)?]),
    ])
}
