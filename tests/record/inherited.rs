//! What COMMAND gets from the recorder: what a bare start would have given it, and nothing else.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{io, ptr};

use super::harness::{program, record_by, vmtrace, work};
use super::invariants;
use super::live::{Live, Waiting, send};

/// Runs a command twice in the same shell, bare and recorded, with nothing that would make their output differ. Signals are
/// blocked by env(1), since the shell would unblock them.
const BOTH: &str = r#"block=--block-signal=$1 vmtrace=$2; shift 2
env "$block" "$@" >out 2>&1; mv out bare
env "$block" "$vmtrace" record -q --force -o c.parquet -- "$@" >out 2>&1; mv out recorded"#;

/// What a process says of itself that does not depend on which one it is, a line each: `NAME: VALUE`.
const FILES: [&str; 9] = [
    "status",
    "stat",
    "limits",
    "oom_score_adj",
    "environ",
    "timerslack_ns",
    "coredump_filter",
    "personality",
    "cgroup",
];

fn fails(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes the calling process one as nobody starts it.
fn be_odd(terminal: RawFd) -> io::Result<()> {
    let ignored =
        [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGPIPE, libc::SIGUSR1, libc::SIGUSR2];
    let more = [libc::SIGALRM, libc::SIGXFSZ, libc::SIGTTOU, libc::SIGRTMIN() + 3];
    // SAFETY: plain numbers, and pointers to values that outlive their calls.
    unsafe {
        for signal in ignored.into_iter().chain(more) {
            libc::signal(signal, libc::SIG_IGN);
        }
        fails(libc::setsid())?;
        fails(libc::ioctl(terminal, libc::TIOCSCTTY, 0))?;
        fails(libc::dup2(1, 9))?;
        libc::close(0);
        libc::umask(0o027);
        fails(libc::setpriority(libc::PRIO_PROCESS, 0, 5))?;
        fails(libc::prctl(libc::PR_SET_TIMERSLACK, 123_456))?;
        let adjust = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY);
        fails(libc::write(adjust, c"321".as_ptr().cast(), 3) as i32)?;
        fails(libc::close(adjust))?;
    }
    limit(libc::RLIMIT_NOFILE, 128, 4096)?;
    limit(libc::RLIMIT_MEMLOCK, 64 << 10, 128 << 10)?;
    limit(libc::RLIMIT_CORE, 0, 4096)
}

fn limit(which: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limits = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `limits` outlives the call.
    fails(unsafe { libc::setrlimit(which, &raw const limits) })
}

/// Two signals that the C library keeps to itself, and whose dispositions Cargo's way of starting tests has changed.
fn reset_internal_signals() -> io::Result<()> {
    let default = [0u64; 4];
    for signal in [32, 33] {
        // SAFETY: a `struct sigaction` of the kernel's: handler, flags, restorer, mask of 8 bytes.
        fails(unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), ptr::null::<u64>(), 8) } as i32)?;
    }
    Ok(())
}

/// Runs `command` both ways in `dir`, started in an odd way or not; what it printed.
fn both(dir: &Path, terminal: Option<RawFd>, command: &[String]) -> [Vec<u8>; 2] {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(BOTH).arg("sh").arg(if terminal.is_some() { "WINCH,ALRM,PIPE,RTMAX" } else { "" });
    shell.arg(env!("CARGO_BIN_EXE_vmtrace")).args(command);
    shell.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.env("ODD", OsStr::from_bytes(b"\xff\n=\x01"));
    let prepare = move || {
        reset_internal_signals()?;
        terminal.map_or(Ok(()), be_odd)
    };
    // SAFETY: system calls alone.
    unsafe { shell.pre_exec(prepare) };
    let status = shell.status().expect("sh starts");
    assert!(status.success(), "{status}");
    ["bare", "recorded"].map(|name| std::fs::read(dir.join(name)).expect("output"))
}

/// Lines that are about one process and not about how it was started. FDSize is the room in the kernel's table of descriptors,
/// which grows with those of the parent; which there are is compared by name.
fn is_its_own(line: &str) -> bool {
    let own = [
        "Pid:",
        "Tgid:",
        "Ngid:",
        "PPid:",
        "NStgid:",
        "NSpid:",
        "Vm",
        "Rss",
        "SigQ:",
        "voluntary_",
        "nonvoluntary_",
        "FDSize:",
    ];
    own.iter().any(|name| line.starts_with(name))
}

/// What a file of /proc/self says, where only what does not depend on the process is left.
fn normal(file: &str, text: &str) -> Vec<String> {
    match file {
        "stat" => {
            // proc_pid_stat(5), from the third field on.
            let behind = text.rsplit_once(')').expect("a name").1;
            let fields: Vec<&str> = behind.split_whitespace().collect();
            let wanted = [("pgrp", 5), ("session", 6), ("tty_nr", 7), ("tpgid", 8), ("nice", 19), ("exit_signal", 38)];
            wanted.into_iter().map(|(name, number)| format!("{name} {}", fields[number - 3])).collect()
        }
        // A shell may set $_.
        "environ" => text.split('\0').filter(|entry| !entry.starts_with("_=")).map(str::to_string).collect(),
        _ => text.lines().filter(|line| !is_its_own(line)).map(str::to_string).collect(),
    }
}

/// A new terminal's two ends.
fn terminal() -> [OwnedFd; 2] {
    let (mut master, mut slave) = (0, 0);
    // SAFETY: the descriptors are ours from here on.
    unsafe {
        let made = libc::openpty(&raw mut master, &raw mut slave, ptr::null_mut(), ptr::null(), ptr::null());
        assert_eq!(made, 0, "openpty");
        [OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)]
    }
}

fn as_a_bare_start(odd: bool) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let run = |command: &[String]| {
        let ends = odd.then(terminal);
        let outputs = both(dir.path(), ends.as_ref().map(|[_, slave]| slave.as_raw_fd()), command);
        outputs.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    // With several files it says before each which it is.
    let mut tail: Vec<String> = [&program("tail"), "-n", "+1"].map(str::to_string).to_vec();
    tail.extend(FILES.map(|file| format!("/proc/self/{file}")).into_iter().filter(|path| Path::new(path).exists()));
    let [bare, recorded] = run(&tail);
    let sections = |text: &str| -> Vec<(String, Vec<String>)> {
        let sections =
            text.split("==> /proc/self/").skip(1).map(|section| section.split_once(" <==\n").expect("a name"));
        sections.map(|(file, text)| (file.to_string(), normal(file, text))).collect()
    };
    let (bare, recorded) = (sections(&bare), sections(&recorded));
    assert!(bare.len() >= 5 && bare.iter().all(|(_, lines)| !lines.is_empty()), "{bare:?}");
    for (bare, recorded) in bare.iter().zip(&recorded) {
        assert_eq!(recorded, bare);
    }
    assert_eq!(recorded.len(), bare.len());
    let blocked = bare.iter().flat_map(|(_, lines)| lines).find_map(|line| line.strip_prefix("SigBlk:"));
    assert_eq!(blocked.expect("status").trim().bytes().any(|digit| digit != b'0'), odd, "{blocked:?}");
    // Descriptors, directories and namespaces, and where they lead.
    let mut find = vec![program("find")];
    find.extend(["fd", "ns", "cwd", "root"].map(|name| format!("/proc/self/{name}")));
    find.extend(["-type", "l", "-printf", "%p %l\n"].map(str::to_string));
    let [bare, recorded] = run(&find).map(|text| {
        // The directory that find reads is its own process's.
        let mut lines: Vec<String> =
            text.lines().filter(|line| !line.contains(" /proc/")).map(str::to_string).collect();
        lines.sort();
        lines
    });
    assert!(bare.len() > 5, "{bare:?}");
    assert_eq!(recorded, bare);
}

#[test]
#[ignore = "needs root and BPF"]
fn command_is_started_as_a_shell_would_have_started_it() {
    as_a_bare_start(false);
}

#[test]
#[ignore = "needs root and BPF"]
fn command_is_started_as_a_shell_would_have_started_it_from_an_odd_process() {
    as_a_bare_start(true);
}

/// `program`, started with a signal ignored.
fn ignoring(mut command: Command, signal: i32) -> Command {
    // SAFETY: plain numbers.
    unsafe {
        command.pre_exec(move || {
            libc::signal(signal, libc::SIG_IGN);
            Ok(())
        });
    }
    command
}

#[test]
#[ignore = "needs root and BPF"]
fn under_nohup_a_hangup_ends_neither_command_nor_recording() {
    let recorder = ignoring(vmtrace(), libc::SIGHUP);
    let recording = record_by(recorder, &[], &["sh", "-c", "kill -HUP $$ $PPID; echo alive"]);
    recording.succeeded();
    assert_eq!(recording.stdout, "alive\n");
    assert_eq!(recording.manifest().end_reason, "command_exit");
}

#[test]
#[ignore = "needs root and BPF"]
fn under_nohup_a_hangup_does_not_end_a_recording_of_a_process() {
    let waiting = Waiting::start("readv --count 10");
    let dir = tempfile::tempdir().expect("temporary directory");
    let live = Live::start_as(ignoring(vmtrace(), libc::SIGHUP), dir, &["-p", &waiting.pid()], &[] as &[&str]);
    live.signal(libc::SIGHUP);
    waiting.go();
    let recording = live.end();
    recording.succeeded();
    assert_eq!(recording.event("process_vm_readv").len(), 10);
    assert_eq!(recording.manifest().end_reason, "processes_gone");
}

/// Shells start background commands of scripts with INT ignored, and INT is how scripts end a recorder.
#[test]
#[ignore = "needs root and BPF"]
fn an_interrupt_ends_a_recording_in_the_background_of_a_script() {
    let waiting = Waiting::start("readv --count 1");
    let dir = tempfile::tempdir().expect("temporary directory");
    let live = Live::start_as(ignoring(vmtrace(), libc::SIGINT), dir, &["-p", &waiting.pid()], &[] as &[&str]);
    live.signal(libc::SIGINT);
    let recording = live.end();
    recording.succeeded();
    assert_eq!(recording.manifest().end_reason, "signal");
    waiting.go();
}

#[test]
#[ignore = "needs root and BPF"]
fn interrupts_can_be_left_to_command() {
    // What a terminal does with ^C and with ^\: both processes get it.
    for signal in [libc::SIGINT, libc::SIGQUIT] {
        let script = format!(
            "trap 'caught=yes' {signal}; echo $$; while [ ! \"$caught\" ]; do sleep 0.01; done; exec {}",
            work("readv --count 10").join(" ")
        );
        // A shell cannot trap what was ignored when it began, as in tests that run in the background.
        let command = ["env", "--default-signal=INT,QUIT", "sh", "-c", &script];
        let mut live = Live::start(&["--ignore-interrupts"], &command);
        let command: u32 = live.line().parse().expect("pid of COMMAND");
        live.signal(signal);
        send(command, signal);
        let recording = live.end();
        invariants::check(&recording);
        assert!(recording.status.success(), "{}\n{}", recording.status, recording.stderr);
        assert_eq!(recording.manifest().end_reason, "command_exit");
        assert_eq!(recording.event("process_vm_readv").len(), 10);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn other_signals_end_a_recording_that_leaves_interrupts_to_command() {
    let mut live = Live::start(&["-I"], &["sh", "-c", "echo $$; exec sleep 60"]);
    let command: u32 = live.line().parse().expect("pid of COMMAND");
    live.signal(libc::SIGINT);
    live.signal(libc::SIGTERM);
    let recording = live.end();
    send(command, libc::SIGKILL);
    assert_eq!(recording.status.code(), Some(128 + libc::SIGTERM));
    assert_eq!(recording.manifest().end_reason, "signal");
}
