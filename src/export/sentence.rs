//! An event as one sentence, for formats that have a message beside their fields. Text is as captured: whoever writes it escapes it.

use std::fmt::{Arguments, Write};

use crate::model::transfer::{End, Transfer};
use crate::schema::vocabulary::Direction;
use crate::schema::{Event, EventKind};

/// Writes it.
pub(super) fn sentence(out: &mut String, event: &Event<'_>) {
    if let Some(host) = event.host {
        add(out, format_args!("{host}: "));
    }
    match EventKind::of_name(event.event) {
        Some(EventKind::Lost) => lost(out, event),
        Some(EventKind::ProcessExec) => {
            process(out, Some(event.comm), event.pid);
            add(out, format_args!(" started {}", event.exe.unwrap_or("a program")));
            behind(out, event.argv);
        }
        Some(EventKind::ProcessSnapshot) => {
            process(out, Some(event.comm), event.pid);
            add(out, format_args!(" was running"));
            behind(out, event.argv);
        }
        Some(EventKind::ProcessFork) => {
            process(out, Some(event.comm), event.pid);
            add(out, format_args!(" was created"));
            if let Some(parent) = event.parent_pid {
                add(out, format_args!(" by pid {parent}"));
            }
        }
        Some(EventKind::ProcessExit) => {
            process(out, Some(event.comm), event.pid);
            match event.exit_code {
                Some(status) if status & 0x7f == 0 => {
                    add(out, format_args!(" exited with status {}", (status >> 8) & 0xff))
                }
                Some(status) => add(out, format_args!(" was killed by signal {}", status & 0x7f)),
                None => add(out, format_args!(" ended")),
            }
        }
        Some(_) | None => call(out, event),
    }
}

/// Writing to a String cannot fail.
fn add(out: &mut String, text: Arguments<'_>) {
    let _ = out.write_fmt(text);
}

fn behind(out: &mut String, text: Option<&str>) {
    if let Some(text) = text {
        add(out, format_args!(": {text}"));
    }
}

/// A process as `name[pid]`.
fn process(out: &mut String, name: Option<&str>, pid: i32) {
    match name {
        Some(name) if !name.is_empty() => add(out, format_args!("{name}[{pid}]")),
        Some(_) | None => add(out, format_args!("pid {pid}")),
    }
}

fn lost(out: &mut String, event: &Event<'_>) {
    let count = event.lost_count.unwrap_or(0);
    add(out, format_args!("lost: {count} × {}", event.lost_event.unwrap_or("unknown events")));
    if let Some(cause) = event.lost_cause {
        add(out, format_args!(" ({cause})"));
    }
}

fn call(out: &mut String, event: &Event<'_>) {
    process(out, Some(event.comm), event.pid);
    add(out, format_args!(" {}", event.event));
    if let Some(request) = event.ptrace_request.or(event.advice) {
        add(out, format_args!(" {request}"));
    }
    if let Some(bytes) = event.bytes.filter(|_| event.errno.is_none()) {
        add(out, format_args!(" {bytes} B"));
    }
    match Transfer::of(event) {
        Some(transfer) => {
            end(out, "from", &transfer.from, event);
            end(out, "to", &transfer.to, event);
        }
        None => target(out, event),
    }
    if let Some(errno) = event.errno {
        add(out, format_args!(": {errno}"));
    }
}

/// An end of a transfer, unless it is the caller's own memory.
fn end(out: &mut String, word: &str, end: &End<'_>, event: &Event<'_>) {
    match end {
        End::Memory { process, .. } | End::Register { process, .. } if process.pid == Some(event.pid) => {}
        End::Memory { process: party, .. } | End::Register { process: party, .. } => {
            if let Some(pid) = party.pid {
                add(out, format_args!(" {word} "));
                process(out, party.comm, pid);
            }
        }
        End::Pipe { inode, path, .. } => {
            add(out, format_args!(" {word} {}", path.unwrap_or("pipe")));
            if let Some(inode) = inode {
                add(out, format_args!(":[{inode}]"));
            }
        }
        End::Socket { peer, local } => {
            add(out, format_args!(" {word} socket"));
            if let Some(addr) = peer.addr.or(local.addr) {
                add(out, format_args!(" {addr}"));
            }
            if let Some(port) = peer.port.or(local.port) {
                add(out, format_args!(" port {port}"));
            }
        }
        End::File { kind, path } => {
            if let Some(name) = path.or(*kind) {
                add(out, format_args!(" {word} {name}"));
            }
        }
    }
}

/// The target of a call that moved nothing.
fn target(out: &mut String, event: &Event<'_>) {
    let word = match event.direction.map(Direction::parse) {
        Some(Ok(Direction::In)) => "from",
        Some(Ok(Direction::Out)) => "to",
        Some(Err(_)) | None => "on",
    };
    if let Some(pid) = event.target_pid.or(event.target_pid_arg) {
        add(out, format_args!(" {word} "));
        if event.target_pid == Some(event.pid) {
            add(out, format_args!("itself"))
        } else {
            process(out, event.target_comm, pid)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(event: &Event<'_>) -> String {
        let mut out = String::new();
        sentence(&mut out, event);
        out
    }

    #[test]
    fn calls_are_said_with_both_ends() {
        let read = Event {
            event: "process_vm_readv",
            comm: "py-spy",
            pid: 7,
            target_pid: Some(42),
            target_comm: Some("python3"),
            direction: Some("in"),
            bytes: Some(64),
            ..Event::default()
        };
        assert_eq!(said(&read), "py-spy[7] process_vm_readv 64 B from python3[42]");
        let refused = Event { errno: Some("EPERM"), bytes: Some(0), ..read };
        assert_eq!(said(&refused), "py-spy[7] process_vm_readv from python3[42]: EPERM");
        let write = Event { event: "pwrite", direction: Some("out"), ..read };
        assert_eq!(said(&write), "py-spy[7] pwrite 64 B to python3[42]");
        let request =
            Event { event: "ptrace", ptrace_request: Some("PTRACE_ATTACH"), direction: None, bytes: None, ..read };
        assert_eq!(said(&request), "py-spy[7] ptrace PTRACE_ATTACH on python3[42]");
        let splice = Event {
            event: "splice",
            direction: None,
            fd_in_kind: Some("file"),
            fd_in_path: Some("/etc/hosts"),
            fd_out_kind: Some("pipe"),
            pipe_out: Some(771),
            ..read
        };
        assert_eq!(said(&splice), "py-spy[7] splice 64 B from /etc/hosts to pipe:[771]");
    }

    #[test]
    fn lives_and_losses_are_said() {
        let event = Event { pid: 7, comm: "a", ..Event::default() };
        let exec = Event { event: "process_exec", exe: Some("/bin/a"), argv: Some("a -b"), ..event };
        assert_eq!(said(&exec), "a[7] started /bin/a: a -b");
        assert_eq!(said(&Event { event: "process_fork", parent_pid: Some(1), ..event }), "a[7] was created by pid 1");
        assert_eq!(
            said(&Event { event: "process_exit", exit_code: Some(0x300), ..event }),
            "a[7] exited with status 3"
        );
        assert_eq!(said(&Event { event: "process_exit", exit_code: Some(9), ..event }), "a[7] was killed by signal 9");
        let lost = Event {
            event: "lost",
            lost_count: Some(3),
            lost_event: Some("tee"),
            lost_cause: Some("ring_full"),
            ..event
        };
        assert_eq!(said(&lost), "lost: 3 × tee (ring_full)");
    }
}
