//! How a command is started: by `sh -c`, with the name of a file, and without what makes the recorder powerful.
//!
//! It has no capabilities, in no set, and cannot get any; its signals, limits and descriptors are those of a program that
//! nobody has changed, and where sudo(8) says who has called it, it is that user.

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, PipeReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use libc::{c_ulong, gid_t};
use nix::unistd::{Gid, Pid, Uid, User as Account, geteuid, getgrouplist};

use crate::record::session::inherited::Inherited;

/// Variables by which a service manager speaks with the recorder.
const OF_THE_MANAGER: [&str; 7] =
    ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "FDSTORE"];
/// Added to the nice value of the recorder: recording comes first.
const NICER: i32 = 10;
/// Capabilities are numbered from 0 to below this.
const CAPABILITIES: c_ulong = 64;
/// _LINUX_CAPABILITY_VERSION_3 of capset(2).
const VERSION: u32 = 0x2008_0522;

/// Who runs commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User.
    pub uid: Uid,
    /// Group.
    pub gid: Gid,
    groups: Vec<gid_t>,
    variables: Vec<(&'static str, OsString)>,
}

impl User {
    /// Who has called sudo(8), if we are root through it.
    pub fn of_sudo() -> Option<Self> {
        let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
        let uid = number("SUDO_UID").filter(|uid| *uid != 0 && geteuid().is_root())?;
        Some(User::of(Uid::from_raw(uid), number("SUDO_GID").map(Gid::from_raw)))
    }

    fn of(uid: Uid, gid: Option<Gid>) -> Self {
        let account = Account::from_uid(uid).ok().flatten();
        // Without any that is known: one that nobody has (nogroup).
        let gid = gid.or(account.as_ref().map(|account| account.gid)).unwrap_or(Gid::from_raw(65_534));
        let mut user = User { uid, gid, groups: vec![gid.as_raw()], variables: Vec::new() };
        if let Some(account) = account {
            let name = CString::new(account.name.as_str()).unwrap_or_default();
            if let Ok(groups) = getgrouplist(&name, gid) {
                user.groups = groups.into_iter().map(Gid::as_raw).collect();
            }
            user.variables = vec![
                ("HOME", account.dir.into()),
                ("SHELL", account.shell.into()),
                ("USER", account.name.clone().into()),
                ("LOGNAME", account.name.into()),
            ];
        }
        user
    }
}

/// Starts commands.
#[derive(Debug)]
pub(super) struct Lowered {
    inherited: Inherited,
    user: Option<User>,
}

impl Lowered {
    pub(super) fn new(inherited: Inherited, user: Option<User>) -> Self {
        Lowered { inherited, user }
    }

    /// Starts `sh -c COMMAND` with FILE in its environment. Both of its outputs are what can be read.
    ///
    /// # Errors
    /// When it cannot be started, or would keep what it must not have.
    pub(super) fn start(&self, command: &OsStr, file: &Path) -> Result<(Child, PipeReader)> {
        let (output, out) = io::pipe().context("no pipe")?;
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(command).env("FILE", file).stdin(Stdio::null());
        shell.stdout(out.try_clone().context("no pipe")?).stderr(out);
        for name in OF_THE_MANAGER {
            shell.env_remove(name);
        }
        if let Some(user) = &self.user {
            shell.envs(user.variables.iter().map(|(name, value)| (name, value)));
        }
        let (inherited, user) = (self.inherited.clone(), self.user.clone());
        let recorder = Pid::this();
        let lower = move || {
            inherited.restore_limits()?;
            Inherited::default_signals();
            alone()?;
            user.as_ref().map_or(Ok(()), change_user)?;
            no_capabilities()?;
            ends_with(recorder)
        };
        // SAFETY: between fork and exec `lower` makes system calls only, which is async-signal-safe.
        unsafe { shell.pre_exec(lower) };
        Ok((shell.spawn().context("it cannot be started")?, output))
    }
}

/// prctl(2) with what most of its operations want to be 0.
fn prctl(operation: i32, argument: c_ulong) -> io::Result<()> {
    let zero: c_ulong = 0;
    // SAFETY: plain numbers.
    checked(unsafe { libc::prctl(operation, argument, zero, zero, zero) }.into())
}

fn checked(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// In a session and a process group of its own, and with no descriptor but the
/// streams. Capabilities leave the bounding set, as far as they may be taken from it.
fn alone() -> io::Result<()> {
    // SAFETY: plain numbers, in all of these.
    unsafe {
        checked(libc::setsid().into())?;
        // It does no harm if it fails.
        libc::nice(NICER);
        // At exec, where the message of a failure has been sent. Before Linux 5.11 it cannot wait: the message is lost then.
        let from_to = |flags: c_ulong| libc::syscall(libc::SYS_close_range, 3 as c_ulong, u32::MAX as c_ulong, flags);
        if from_to(libc::CLOSE_RANGE_CLOEXEC.into()) < 0 {
            checked(from_to(0))?;
        }
    }
    // Refused without CAP_SETPCAP, and for numbers that are no capability.
    (0..CAPABILITIES).for_each(|capability| drop(prctl(libc::PR_CAPBSET_DROP, capability)));
    Ok(())
}

/// System calls, since the functions of the C library would change the threads of the recorder that are not here.
fn change_user(user: &User) -> io::Result<()> {
    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
    // SAFETY: the groups outlive the call; else plain numbers.
    unsafe {
        checked(libc::syscall(libc::SYS_setgroups, user.groups.len(), user.groups.as_ptr()))?;
        checked(libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
        checked(libc::syscall(libc::SYS_setresuid, uid, uid, uid))
    }
}

/// None are left in any set, and none can be got: not from a file, nor as root.
fn no_capabilities() -> io::Result<()> {
    let header = [VERSION, 0];
    let none = [0_u32; 6];
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as c_ulong)?;
    // SAFETY: header and sets have the layout of version 3 and outlive the call.
    checked(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) })?;
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)
}

/// It is killed when the recorder's thread ends. Last, since a change of user takes that back.
fn ends_with(recorder: Pid) -> io::Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as c_ulong)?;
    // Of a recorder that has ended before, no signal comes.
    if Pid::parent() == recorder { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
}
