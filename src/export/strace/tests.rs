use super::*;
use crate::schema::types::{Iovec, Iovecs};

fn line(event: &Event<'_>) -> String {
    let mut line = Line::default();
    assert!(describe(&mut line, event), "{event:?}");
    line.text
}

const LOCAL: &[Iovec] = &[Iovec { base: 0x7f80_3810_4880, len: 10 }, Iovec { base: 0x7f80_3810_488a, len: 90 }];
const REMOTE: &[Iovec] = &[Iovec { base: 0x7f80_3810_46c0, len: 100 }];

fn readv() -> Event<'static> {
    Event {
        event: "process_vm_readv",
        tid: 1931,
        ts_ns: 1_796_015_291_239_105_999,
        dur_ns: Some(70_999),
        target_pid_arg: Some(1931),
        ret: Some(100),
        bytes: Some(100),
        local_iov: Some(Iovecs::Pairs(LOCAL)),
        liovcnt: Some(2),
        remote_iov: Some(Iovecs::Pairs(REMOTE)),
        riovcnt: Some(1),
        flags: Some(0),
        payload: Some(b"a\x001b\0zz\x7f\xff8\x1b[31m"),
        ..Event::default()
    }
}

#[test]
fn calls_on_a_userfaultfd_have_their_struct() {
    let copy = Event {
        event: "uffd_copy",
        tid: 7,
        fd_out: Some(4),
        flags: Some(3),
        ret: Some(0),
        dur_ns: None,
        local_iov: Some(Iovecs::Pairs(&LOCAL[..1])),
        ..readv()
    };
    let call = |event: &Event<'_>| line(event).split_once("ioctl").unwrap().1.to_string();
    let whole = "(4, UFFDIO_COPY, {dst=0x7f80381046c0, src=0x7f8038104880, len=0x64, \
                 mode=UFFDIO_COPY_MODE_DONTWAKE|UFFDIO_COPY_MODE_WP, copy=0x64}) = 0";
    assert_eq!(call(&copy), whole);
    let failed = Event { event: "uffd_zeropage", local_iov: None, flags: Some(0), ret: Some(-17), ..copy };
    let failed = Event { errno: Some("EEXIST"), bytes: Some(0), ..failed };
    let text = "(4, UFFDIO_ZEROPAGE, {range={start=0x7f80381046c0, len=0x64}, mode=0}) = -1 EEXIST (File exists)";
    assert_eq!(call(&failed), text);
    let unread = Event { event: "uffd_poison", remote_iov: None, flags: None, ..failed };
    assert_eq!(call(&unread), "(4, UFFDIO_POISON, ...) = -1 EEXIST (File exists)");
}

/// But for bytes that were not captured, strace 6.1 wrote these lines.
#[test]
fn calls_look_as_strace_writes_them() {
    let whole = r#"1931  1796015291.239035 process_vm_readv(1931, [{iov_base="a\0001b\0zz\177\3778", iov_len=10}, {iov_base="\33[31m"..., iov_len=90}], 2, [{iov_base=0x7f80381046c0, iov_len=100}], 1, 0) = 100 <0.000070>"#;
    assert_eq!(line(&readv()), whole);
    let failed = Event { ret: Some(-14), errno: Some("EFAULT"), bytes: Some(0), payload: None, ..readv() };
    let text = r#"1931  1796015291.239035 process_vm_readv(1931, [{iov_base=0x7f8038104880, iov_len=10}, {iov_base=0x7f803810488a, iov_len=90}], 2, [{iov_base=0x7f80381046c0, iov_len=100}], 1, 0) = -1 EFAULT (Bad address) <0.000070>"#;
    assert_eq!(line(&failed), text);
    let tee = Event {
        event: "tee",
        fd_in: Some(3),
        fd_out: Some(6),
        bytes_requested: Some(64),
        ret: Some(64),
        dur_ns: None,
        ..readv()
    };
    assert_eq!(line(&tee), "1931  1796015291.239105 tee(3, 6, 64, 0) = 64");
    let splice = Event { event: "splice", off_in: Some(0), flags: Some(0x15), ..tee };
    assert!(
        line(&splice).ends_with("splice(3, [0], 6, NULL, 64, SPLICE_F_MOVE|SPLICE_F_MORE|0x10) = 64"),
        "{}",
        line(&splice)
    );
    let sendfile = Event { event: "sendfile", off_in: Some(1), bytes: Some(3), ..tee };
    assert!(line(&sendfile).contains("sendfile(6, 3, [1] => [4], 64)"), "{}", line(&sendfile));
    let pread = Event { event: "pread", ret: Some(-5), errno: Some("EIO"), bytes_requested: Some(16), ..tee };
    assert!(line(&pread).ends_with("pread64(3, 0x7f8038104880, 16, 140188673132224) = -1 EIO (Input/output error)"));
}

/// As strace 6.1 writes them, each with the arguments of the call that it was.
#[test]
fn opens_of_memory_have_the_arguments_of_their_calls() {
    let open = Event {
        event: "mem_open",
        tid: 7,
        path: Some("/proc/9/mem"),
        flags: Some(0o2_000_002),
        open_mode: Some(0o640),
        ret: Some(3),
        ..Event::default()
    };
    let text = |event: &Event<'_>| line(event).split_once("000000 ").map(|(_, call)| call.to_string());
    let some = |text: &str| Some(text.to_string());
    assert_eq!(text(&open), some(r#"open("/proc/9/mem", O_RDWR|O_CLOEXEC) = 3"#));
    let creates = Event { flags: Some(0o1_101), ..open };
    assert_eq!(text(&creates), some(r#"open("/proc/9/mem", O_WRONLY|O_CREAT|O_TRUNC, 0640) = 3"#));
    let openat = Event { dirfd: Some(-100), ret: Some(-13), errno: Some("EACCES"), flags: Some(0), ..open };
    let denied = r#"openat(AT_FDCWD, "/proc/9/mem", O_RDONLY) = -1 EACCES (Permission denied)"#;
    assert_eq!(text(&openat), some(denied));
    let openat2 = Event { dirfd: Some(5), path: Some("mem"), open_mode: Some(0), open_resolve: Some(8), ..open };
    let beneath = r#"openat2(5, "mem", {flags=O_RDWR|O_CLOEXEC, resolve=RESOLVE_BENEATH}, 24) = 3"#;
    assert_eq!(text(&openat2), some(beneath));
    let unread = Event { flags: None, open_mode: None, open_resolve: None, path: openat.path, ..openat2 };
    assert_eq!(text(&unread), some(r#"openat2(5, "/proc/9/mem", ...) = 3"#));
}

#[test]
fn what_is_not_known_is_left_open() {
    let unknown = Event { ret: None, local_iov: None, remote_iov: None, target_pid_arg: None, flags: None, ..readv() };
    assert!(line(&unknown).contains("process_vm_readv(..., ..., 2, ..., 1, ...) = ? <"), "{}", line(&unknown));
    let cut = Event { liovcnt: Some(u64::MAX), payload: None, ..readv() };
    assert!(line(&cut).contains("iov_len=90}, ...], 18446744073709551615, "), "{}", line(&cut));
    let restarted = Event { ret: Some(-512), errno: Some("ERESTARTSYS"), ..readv() };
    assert!(line(&restarted).contains(" = ? ERESTARTSYS (To be restarted if SA_RESTART is set) <"));
}

#[test]
fn one_name_stands_for_the_call_that_was_made() {
    let read = Event { event: "pipe_read", fd_in: Some(5), liovcnt: Some(1), bytes_requested: Some(20), ..readv() };
    assert!(line(&read).contains(r#" read(5, "a\0001b\0zz\177\3778\33[31m"..., 20) = "#), "{}", line(&read));
    let vectored = Event { liovcnt: Some(2), ..read };
    assert!(line(&vectored).contains(r#" readv(5, [{iov_base="a\0001"#) && line(&vectored).contains("}], 2) = "));
}

#[test]
fn requests_of_ptrace_have_the_arguments_that_they_take() {
    const AT: &[Iovec] = &[Iovec { base: 0x7ffc_461d_be68, len: 8 }];
    let ptrace = |request, data| Event {
        event: "ptrace",
        ptrace_request: Some(request),
        target_pid_arg: Some(2320),
        remote_iov: Some(Iovecs::Pairs(AT)),
        data,
        ret: Some(0),
        payload: Some(b"\x53\x5e\xe1\x18\x0a\x7f\0\0"),
        ..readv()
    };
    let at_zero = |event| Event { remote_iov: Some(Iovecs::Pairs(&[Iovec { base: 0, len: 0 }])), ..event };
    let text = |event: Event<'_>| {
        line(&event).split_once(" ptrace(PTRACE_").unwrap().1.split_once(" <").unwrap().0.to_string()
    };
    assert_eq!(text(ptrace("PTRACE_ATTACH", 0)), "ATTACH, 2320) = 0");
    assert_eq!(text(ptrace("PTRACE_PEEKDATA", 1)), "PEEKDATA, 2320, 0x7ffc461dbe68, [0x7f0a18e15e53]) = 0");
    assert_eq!(text(ptrace("PTRACE_POKEDATA", 0xcc)), "POKEDATA, 2320, 0x7ffc461dbe68, 0xcc) = 0");
    assert_eq!(text(at_zero(ptrace("PTRACE_CONT", 9))), "CONT, 2320, NULL, SIGKILL) = 0");
    assert_eq!(text(at_zero(ptrace("PTRACE_CONT", 0))), "CONT, 2320, NULL, 0) = 0");
    let options = "SETOPTIONS, 2320, NULL, PTRACE_O_TRACESYSGOOD|PTRACE_O_TRACEEXEC) = 0";
    assert_eq!(text(at_zero(ptrace("PTRACE_SETOPTIONS", 0x11))), options);
    let me = Event { target_pid_arg: None, ..ptrace("PTRACE_TRACEME", 0) };
    assert_eq!(text(me), "TRACEME) = 0");
}

#[test]
fn lives_of_processes_are_lines_too() {
    let exec = Event { event: "process_exec", exe: Some("/usr/bin/env\x1b"), argv: Some("env -i"), ..readv() };
    assert!(line(&exec).contains(r#" execve("/usr/bin/env\33", ["env", "-i"], ...) = 0"#), "{}", line(&exec));
    let fork = Event { event: "process_fork", pid: 8, tid: 8, parent_pid: Some(7), dur_ns: None, ..readv() };
    assert_eq!(line(&fork), "7     1796015291.239105 fork()          = 8");
    let ended = |exit_code| line(&Event { event: "process_exit", exit_code: Some(exit_code), ..readv() });
    assert!(ended(3 << 8).ends_with(" +++ exited with 3 +++"));
    assert!(ended(11 | 0x80).ends_with(" +++ killed by SIGSEGV (core dumped) +++"));
    assert!(ended(9).ends_with(" +++ killed by SIGKILL +++"));
}

#[test]
fn what_is_no_system_call_is_counted() {
    let mut exporter = Strace::new(Vec::new());
    let splice = Event { event: "splice", abi: Some("io_uring"), ..readv() };
    let fork = Event { event: "process_fork", parent_pid: None, ..readv() };
    for event in
        [readv(), splice, fork, Event { event: "lost", ..readv() }, Event { event: "of_later", ..readv() }, splice]
    {
        exporter.event(&event).unwrap();
    }
    assert_eq!(String::from_utf8(exporter.out.clone()).unwrap().lines().count(), 1);
    let wanted =
        "strace has no form for 5 events (1 event of a later version, 2 io_uring request, 1 lost, 1 process_fork)";
    assert_eq!(exporter.left_out(), [wanted]);
}

/// No text or number of a forged file breaks a line in two, or acts on a terminal.
#[test]
fn a_forged_event_is_one_harmless_line() {
    let evil = "\x1b]0;x\x07\n\u{9b}31m";
    for event in [
        Event { errno: Some(evil), ret: Some(-5), dur_ns: Some(i64::MIN), ..readv() },
        Event { event: "ptrace", ptrace_request: Some(evil), ..readv() },
        Event { event: "process_madvise", advice: Some(evil), ..readv() },
        Event {
            event: "process_exec",
            exe: Some(evil),
            argv: Some(evil),
            ts_ns: i64::MIN,
            dur_ns: Some(i64::MAX),
            ..readv()
        },
        Event { event: "process_exit", exit_code: Some(i32::MIN), tid: i32::MIN, ..readv() },
        Event { event: "sendfile", off_in: Some(i64::MAX), bytes: Some(i64::MAX), ..readv() },
        Event { bytes: Some(i64::MAX), ..readv() },
    ] {
        let line = line(&event);
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
    }
}
