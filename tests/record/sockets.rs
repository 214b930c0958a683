//! Sockets: where they are bound and whom they are connected to, in both tiers and in what `replay` says.

use super::harness::{Recording, Tier, by_functions, compare, record_by, vmtrace, work};

fn recorded(tier: Tier, case: &str) -> Recording {
    let recording = record_by(tier.recorder(), &[], &work(case));
    recording.succeeded();
    tier.check(&recording);
    recording
}

fn compared(tier: Tier, case: &str) -> Recording {
    let recording = recorded(tier, case);
    compare(&recording, &recording.report());
    assert!(!recording.calls().is_empty());
    recording
}

/// What `replay` says of it.
fn told(recording: &Recording) -> String {
    let replay = vmtrace().arg("replay").arg(&recording.path).output().expect("vmtrace starts");
    assert!(replay.status.success(), "{replay:?}");
    String::from_utf8(replay.stdout).expect("UTF-8")
}

macro_rules! on_both_tiers {
    ($($best:ident $tracepoint:ident $case:literal;)+) => {$(
        #[test]
        #[ignore = "needs root and BPF"]
        fn $best() {
            compared(Tier::Best, concat!("edge ", $case));
        }

        #[test]
        #[ignore = "needs root and BPF"]
        fn $tracepoint() {
            compared(Tier::Tracepoint, concat!("edge ", $case));
        }
    )+};
}

on_both_tiers! {
    ip_addresses_on_the_best_tier ip_addresses_on_the_tracepoint_tier "sockets-inet";
    unix_names_on_the_best_tier unix_names_on_the_tracepoint_tier "sockets-unix";
    sockets_of_others_on_the_best_tier sockets_of_others_on_the_tracepoint_tier "sockets-getfd";
    sockets_of_io_uring_on_the_best_tier sockets_of_io_uring_on_the_tracepoint_tier "sockets-uring";
}

/// By the exit of syscalls it is a number of the ring's.
#[test]
#[ignore = "needs root and BPF"]
fn a_registered_socket_is_named_where_functions_see_it() {
    for tier in [Tier::Best, Tier::Tracepoint] {
        let recording = recorded(tier, "edge sockets-registered");
        let calls = recording.calls();
        let [row] = calls.as_slice() else { panic!("{calls:?}") };
        if by_functions(&recording.manifest(), row) {
            compare(&recording, &recording.report());
            continue;
        }
        assert_eq!(row["fd_out_kind"], "registered", "{row:?}");
        for column in ["fd_out_family", "fd_out_local_addr", "fd_out_peer_addr", "fd_out_peer_port"] {
            assert!(row[column].is_null(), "{row:?}");
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn replay_says_where_sockets_lead() {
    let recording = recorded(Tier::Best, "edge sockets-inet");
    let (rows, text) = (recording.event("sendfile"), told(&recording));
    let host = |address: &str| if address.contains(':') { format!("[{address}]") } else { address.to_string() };
    for row in &rows {
        let end = |end: &str| {
            let port = row.number(&format!("fd_out_{end}_port"));
            format!("{}:{port}", host(row.text(&format!("fd_out_{end}_addr"))))
        };
        let mut wanted = format!(" to fd {} socket {} {}", row["fd_out"], row.text("fd_out_family"), end("local"));
        if !row["fd_out_peer_addr"].is_null() {
            wanted += &format!(" peer {}", end("peer"));
        }
        assert!(text.lines().any(|line| line.contains(&wanted)), "{wanted:?} is not in {text}");
    }
}

/// Names of sockets are any bytes, also those that a terminal obeys.
#[test]
#[ignore = "needs root and BPF"]
fn replay_escapes_names_of_sockets() {
    let recording = recorded(Tier::Best, "edge sockets-unix");
    let wanted = format!(" peer @workload@\\x1b[2J\\\\xff\\n{}", recording.report()["pid"]);
    let text = told(&recording);
    assert!(text.contains(" socket AF_UNIX ./@looks-abstract peer @workload@"), "{text}");
    assert!(text.lines().any(|line| line.contains(&wanted)), "{wanted:?} is not in {text}");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}
