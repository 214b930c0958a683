//! What code that runs in a reader can still do, tried by tests: builds with debug assertions alone have this.

use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::process::Command;

/// The variable that asks for it.
const ASK: &str = "VMTRACE_SANDBOX_TRIES";

/// Tries what is refused, and says in a line each on stderr what came of it.
pub fn run() {
    if std::env::var_os(ASK).is_none() {
        return;
    }
    say("open", File::open("/etc/shadow").map(drop));
    say("passwd", File::open("/etc/passwd").map(drop));
    say("write", File::create(std::env::var_os("HOME").unwrap_or_default()).map(drop));
    say("exec", Command::new("/bin/true").status().map(drop));
    say("connect", TcpStream::connect("127.0.0.1:9").map(drop));
    say("ptrace", call(libc::SYS_ptrace, [libc::PTRACE_TRACEME.into(), 0, 0]));
    say("process_vm_readv", call(libc::SYS_process_vm_readv, [i64::from(std::os::unix::process::parent_id()), 0, 0]));
    say("typing", call(libc::SYS_ioctl, [1, libc::TIOCSTI as i64, 0]));
    say("datagram", std::os::unix::net::UnixDatagram::pair().map(drop));
    say("mode", call(libc::SYS_fchmodat, [libc::AT_FDCWD.into(), 0, 0]));
    say("signal", call(libc::SYS_kill, [std::os::unix::process::parent_id().into(), 0, 0]));
    say("bpf", call(libc::SYS_bpf, [0, 0, 0]));
    say(
        "capability",
        rustix::thread::capabilities(None).map_err(io::Error::from).and_then(|held| match held.permitted.is_empty() {
            true => Err(io::Error::other("none")),
            false => Ok(()),
        }),
    );
    say(
        "core",
        match rustix::process::getrlimit(rustix::process::Resource::Core).current {
            Some(0) => Err(io::Error::other("none")),
            Some(_) | None => Ok(()),
        },
    );
    say("thread", std::thread::Builder::new().spawn(|| File::open("/etc/shadow").map(drop)).and_then(joined));
}

fn joined(thread: std::thread::JoinHandle<io::Result<()>>) -> io::Result<()> {
    thread.join().unwrap_or(Ok(()))
}

fn call(number: i64, [a, b, c]: [i64; 3]) -> io::Result<()> {
    // SAFETY: none of these calls reads or writes memory with null arguments.
    match unsafe { libc::syscall(number, a, b, c, 0, 0, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn say(what: &str, tried: io::Result<()>) {
    let came = tried.map_or_else(|error| error.to_string(), |()| "done".into());
    crate::terminal::say_line(format_args!("tried {what}: {came}"));
}
