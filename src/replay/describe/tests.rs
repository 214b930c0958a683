use super::*;
use crate::schema::types::{Iovec, Iovecs};

fn described(event: &Event<'_>, view: View) -> String {
    let mut line = Line::default();
    super::event(&mut line, event, view, &Processes::default());
    assert_eq!(line.parts().map(|(_, text)| text).collect::<String>(), line.text(), "the parts make the line");
    line.text().to_string()
}

const LOCAL: &[Iovec] = &[Iovec { base: 0x10, len: 64 }];
const REMOTE: &[Iovec] = &[Iovec { base: 0x20, len: 64 }];

fn readv() -> Event<'static> {
    Event {
        event: "process_vm_readv",
        pid: 7,
        tid: 7,
        comm: "spy",
        target_pid: Some(9),
        target_comm: Some("app"),
        direction: Some("in"),
        ret: Some(64),
        bytes: Some(64),
        bytes_requested: Some(64),
        local_iov: Some(Iovecs::Pairs(LOCAL)),
        liovcnt: Some(1),
        remote_iov: Some(Iovecs::Pairs(REMOTE)),
        riovcnt: Some(1),
        ..Event::default()
    }
}

#[test]
fn each_side_is_described_its_own_way() {
    assert_eq!(described(&readv(), View::Caller), "←         64 B  process_vm_readv  from app[9] 0x20+64 into 0x10+64");
    assert_eq!(
        described(&readv(), View::Target),
        "→         64 B  process_vm_readv  to caller spy[7] 0x10+64 from 0x20+64"
    );
    let writev = Event { event: "process_vm_writev", direction: Some("out"), ..readv() };
    assert_eq!(described(&writev, View::Caller), "→         64 B  process_vm_writev to app[9] 0x20+64 from 0x10+64");
    assert_eq!(
        described(&writev, View::Target),
        "←         64 B  process_vm_writev from caller spy[7] 0x10+64 into 0x20+64"
    );
}

#[test]
fn peers_are_named_as_far_as_known() {
    let peer = |event: Event<'_>| described(&event, View::Caller);
    assert!(peer(Event { target_pid: Some(7), ..readv() }).contains(" from itself "));
    assert!(peer(Event { target_comm: None, ..readv() }).contains(" from pid 9 "));
    assert!(peer(Event { target_pid_arg: Some(2), ..readv() }).contains(" from app[9] (passed as 2) "));
    assert!(peer(Event { target_ended: Some(true), ..readv() }).contains(" from app[9] (ended meanwhile) "));
    let unresolved = Event { target_pid: None, target_pid_arg: Some(5), ..readv() };
    assert!(peer(unresolved).contains(" from pid 5 (unresolved) "));
}

#[test]
fn results_are_bytes_errors_or_values() {
    let result = |event: Event<'_>| described(&event, View::Caller).chars().skip(1).take(13).collect::<String>();
    assert_eq!(result(Event { bytes: Some(8), ..readv() }), "       8/64 B");
    assert_eq!(result(Event { errno: Some("EFAULT"), bytes: Some(0), ..readv() }), "       EFAULT");
    assert_eq!(result(Event { bytes: None, ret: Some(0), ..readv() }), "           ok");
    assert_eq!(result(Event { bytes: None, ret: Some(3), ..readv() }), "          = 3");
    assert_eq!(result(Event { bytes: None, ret: None, ..readv() }), "             ");
}

#[test]
fn long_lists_are_cut_and_counted() {
    let many = [Iovec { base: 1, len: 2 }; 5];
    let iov = |iov, count| {
        described(&Event { remote_iov: iov, riovcnt: count, local_iov: None, liovcnt: None, ..readv() }, View::Caller)
    };
    assert!(iov(Some(Iovecs::Pairs(&many)), Some(9000)).ends_with(" [0x1+2, 0x1+2, +8998 more]"));
    assert!(iov(Some(Iovecs::Pairs(&many[..2])), Some(2)).ends_with(" [0x1+2, 0x1+2]"));
    assert!(iov(Some(Iovecs::Pairs(&many[..1])), Some(3)).ends_with(" [0x1+2, +2 more]"));
    assert!(iov(None, Some(3)).ends_with(" [3 ranges unread]"));
    assert!(iov(None, Some(u64::MAX)).ends_with(" [18,446,744,073,709,551,615 ranges unread]"));
    assert!(iov(Some(Iovecs::Pairs(&[])), Some(0)).ends_with(" from app[9]"));
}

#[test]
fn what_is_odd_is_marked() {
    let odd = Event {
        abi: Some("compat32"),
        toctou: Some(true),
        iov_verdict: Some("conflict"),
        tid: 8,
        payload: Some(b"\x1b[2J"),
        payload_len: 4,
        payload_total: 64,
        payload_status: Some("fault"),
        payload_by_ref: Some(true),
        flags: Some(1),
        ..readv()
    };
    let line = described(&odd, View::Caller);
    let end = "flags 0x1 [compat32] [toctou: arguments changed under way] [iovec conflict] thread spy[8] \
               \"\\x1b[2J\" (fault: 4 of 64 B readable) (by reference)";
    assert!(line.ends_with(end), "{line}");
    let swapped = Event { event: "pread", ..odd };
    assert!(described(&swapped, View::Caller).contains(" [descriptor conflict] "), "it has no array");
}

/// Of a later version, or of a forged file: nothing is taken for another word, and nothing reaches the terminal raw.
#[test]
fn an_unknown_word_is_shown_as_it_is() {
    let later = Event {
        abi: Some("x\x1b32"),
        direction: Some("in\x1b"),
        iov_verdict: Some("kernel\x1b"),
        payload_status: Some("fault\x1b"),
        payload_len: 4,
        payload_total: 64,
        fd_in: Some(3),
        fd_in_kind: Some("pipe\x1b"),
        fd_in_path: Some("/a"),
        ..readv()
    };
    let line = described(&later, View::Caller);
    assert!(line.starts_with("· ") && line.contains(" via fd 3 pipe\\x1b /a "), "{line}");
    let end = " [x\\x1b32] [direction in\\x1b] [iovec kernel\\x1b] (fault\\x1b: 4 of 64 B)";
    assert!(line.ends_with(end), "{line}");
    let nameless = Event { fd_in_path: None, ..later };
    assert!(described(&nameless, View::Caller).contains(" via fd 3 pipe\\x1b with "), "its kind alone");
    let lost = Event { event: "lost", lost_cause: Some("ring_full\x1b"), ..Event::default() };
    assert_eq!(described(&lost, View::Caller), "!  GAP: 0 × event lost (ring_full\\x1b)");
}

#[test]
fn descriptors_are_ends_or_ways() {
    let splice = Event {
        event: "splice",
        bytes: Some(5),
        fd_in: Some(3),
        fd_in_kind: Some("file"),
        fd_in_path: Some("/a\x1b"),
        off_in: Some(-1),
        fd_out: Some(4),
        fd_out_kind: Some("pipe"),
        pipe_out: Some(77),
        flags: Some(3),
        ..Event::default()
    };
    let line = described(&splice, View::Caller);
    let end = " from fd 3 /a\\x1b at -1 to fd 4 pipe:[77] flags SPLICE_F_MOVE|SPLICE_F_NONBLOCK";
    assert!(line.ends_with(end), "{line}");
    let pipe = Event { fd_in_kind: Some("pipe"), fd_in_path: None, off_in: None, pipe_in: Some(78), ..splice };
    let fed = Event { target_pid: Some(9), target_comm: Some("app"), ..pipe };
    let line = described(&fed, View::Caller);
    assert!(line.contains(" fed by app[9] from fd 3 pipe:[78] to fd 4 pipe:[77]"), "{line}");
    let pread = Event { event: "pread", fd_in: Some(5), fd_in_path: Some("/proc/9/mem"), ..readv() };
    assert!(described(&pread, View::Caller).contains("from app[9] 0x20+64 via fd 5 /proc/9/mem into 0x10+64"));
    let socket = Event { fd_out_kind: Some("socket"), fd_out_family: Some("AF_UNIX"), pipe_out: None, ..splice };
    assert!(described(&socket, View::Caller).contains(" to fd 4 socket AF_UNIX flags "));
}

#[test]
fn sockets_have_two_ends() {
    let unix = Event {
        event: "sendfile",
        bytes: Some(5),
        fd_out: Some(4),
        fd_out_kind: Some("socket"),
        fd_out_family: Some("AF_UNIX"),
        fd_out_peer_addr: Some("@bus\x1b"),
        ..Event::default()
    };
    assert!(described(&unix, View::Caller).ends_with(" to fd 4 socket AF_UNIX peer @bus\\x1b"));
    let listening = Event { fd_out_local_addr: Some("/run/x.sock"), fd_out_peer_addr: None, ..unix };
    assert!(described(&listening, View::Caller).ends_with(" to fd 4 socket AF_UNIX /run/x.sock"));
    let inet = Event {
        fd_out_family: Some("AF_INET6"),
        fd_out_local_addr: Some("::1"),
        fd_out_local_port: Some(80),
        fd_out_peer_addr: Some("::ffff:127.0.0.1"),
        fd_out_peer_port: Some(40_000),
        ..unix
    };
    let line = described(&inet, View::Caller);
    assert!(line.ends_with(" to fd 4 socket AF_INET6 [::1]:80 peer [::ffff:127.0.0.1]:40000"), "{line}");
    let received = Event {
        fd_in: Some(3),
        fd_in_kind: Some("socket"),
        fd_in_family: Some("AF_INET"),
        fd_in_local_addr: Some("127.0.0.1"),
        fd_in_local_port: Some(80),
        ..Event { event: "splice", bytes: Some(5), ..Event::default() }
    };
    assert!(described(&received, View::Caller).ends_with(" from fd 3 socket AF_INET 127.0.0.1:80"));
}

#[test]
fn an_attempt_to_open_memory_has_its_path_and_its_flags() {
    let opened = Event {
        event: "mem_open",
        direction: None,
        bytes: None,
        ret: Some(8),
        path: Some("mem"),
        dirfd: Some(4),
        flags: Some(0o2_000_002),
        fd_out: Some(8),
        fd_out_kind: Some("proc_mem"),
        fd_out_path: Some("/proc/9/mem"),
        local_iov: None,
        liovcnt: None,
        remote_iov: None,
        riovcnt: None,
        ..readv()
    };
    let line = described(&opened, View::Caller);
    let wanted = "mem_open          on app[9] mem below fd 4 as fd 8 /proc/9/mem O_RDWR|O_CLOEXEC";
    assert!(line.contains(wanted), "{line}");
    let denied = Event {
        ret: Some(-13),
        errno: Some("EACCES"),
        path: Some("/proc/9/mem"),
        flags: Some(0),
        fd_out: None,
        fd_out_kind: None,
        fd_out_path: None,
        ..opened
    };
    let line = described(&denied, View::Caller);
    assert!(line.contains("EACCES  mem_open          on app[9] /proc/9/mem O_RDONLY"), "{line}");
}

#[test]
fn a_pidfd_is_the_way_to_a_process() {
    let getfd = Event {
        event: "pidfd_getfd",
        direction: None,
        bytes: None,
        ret: Some(8),
        pidfd: Some(5),
        fd_in: Some(3),
        fd_in_kind: Some("pipe"),
        pipe_in: Some(77),
        fd_out: Some(8),
        fd_out_kind: Some("pipe"),
        pipe_out: Some(77),
        local_iov: None,
        liovcnt: None,
        remote_iov: None,
        riovcnt: None,
        ..readv()
    };
    let line = described(&getfd, View::Caller);
    assert!(line.contains("pidfd_getfd       on app[9] via pidfd 5 takes fd 3 pipe:[77] as fd 8 pipe:[77]"), "{line}");
    let nobody = Event { target_pid: None, target_pid_arg: None, fd_out: None, fd_out_kind: None, ..getfd };
    let line = described(&Event { pipe_out: None, ..nobody }, View::Caller);
    assert!(line.contains("pidfd_getfd       on a process (unresolved) via pidfd 5 takes fd 3 pipe:[77]"), "{line}");
    let advice =
        Event { event: "process_madvise", direction: None, advice: Some("MADV_COLD"), pidfd: Some(5), ..readv() };
    let line = described(&Event { local_iov: None, liovcnt: None, ..advice }, View::Caller);
    assert!(line.contains("process_madvise   MADV_COLD on app[9] via pidfd 5 0x20+64"), "{line}");
}

#[test]
fn ptrace_addresses_need_not_be_memory() {
    let zero = [Iovec { base: 0, len: 0 }];
    let ptrace = Event {
        event: "ptrace",
        ptrace_request: Some("PTRACE_CONT"),
        direction: None,
        bytes: None,
        ret: Some(0),
        remote_iov: Some(Iovecs::Pairs(&zero)),
        local_iov: None,
        liovcnt: None,
        data: 19,
        ..readv()
    };
    assert_eq!(described(&ptrace, View::Caller), "·           ok  ptrace            PTRACE_CONT on app[9] data 0x13");
    assert_eq!(
        described(&ptrace, View::Target),
        "·           ok  ptrace            PTRACE_CONT by caller spy[7] data 0x13"
    );
    for (request, addr, words) in [
        ("PTRACE_SETREGSET", 1, "set NT_PRSTATUS"),
        ("PTRACE_GETREGSET", 0x202, "set NT_X86_XSTATE"),
        ("PTRACE_GETREGSET", 77, "set 0x4d"),
        ("PTRACE_PEEKUSER", 0, "offset 0x0"),
        ("PTRACE_GET_THREAD_AREA", 12, "entry 12"),
        ("PTRACE_GETSIGMASK", 8, "size 8"),
        ("PTRACE_SEIZE", 3, "addr 0x3"),
    ] {
        let iov = [Iovec { base: addr, len: 0 }];
        let event = Event { ptrace_request: Some(request), remote_iov: Some(Iovecs::Pairs(&iov)), data: 0, ..ptrace };
        let line = described(&event, View::Caller);
        assert!(line.ends_with(&format!("{request} on app[9] {words}")), "{line}");
    }
}

#[test]
fn lives_are_described() {
    let life = |event: Event<'_>| described(&event, View::Caller).trim_start_matches(['·', ' ']).to_string();
    let exit = |status| life(Event { event: "process_exit", exit_code: Some(status), ..Event::default() });
    assert_eq!(exit(0), "process_exit      exited with status 0");
    assert_eq!(exit(3 << 8), "process_exit      exited with status 3");
    assert_eq!(exit(9), "process_exit      killed by SIGKILL (9)");
    assert_eq!(exit(11 | 0x80), "process_exit      killed by SIGSEGV (11), core dumped");
    assert_eq!(exit(i32::MIN | 0x7f), "process_exit      killed by signal (127)");
    let fork = Event { event: "process_fork", parent_pid: Some(1), ..Event::default() };
    assert_eq!(life(fork), "process_fork      started by pid 1");
    let words = "word ".repeat(100);
    let exec = Event { event: "process_exec", argv: Some(&words), ..Event::default() };
    assert!(life(exec).ends_with("… +380 B"));
    let lost = Event { event: "lost", lost_count: Some(5), lost_event: Some("tee"), ..Event::default() };
    assert_eq!(described(&lost, View::Caller), "!  GAP: 5 × tee lost (cause unknown)");
}

#[test]
fn every_event_of_a_processs_life_has_words_of_its_own() {
    for spec in crate::schema::events::EVENTS.iter().filter(|spec| spec.group == Group::Process) {
        let event = Event { event: spec.name, ..Event::default() };
        assert!(life::describe(&mut Line::default(), &event, &Processes::default()), "{}", spec.name);
    }
}
