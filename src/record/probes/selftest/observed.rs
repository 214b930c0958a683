//! Compares what the hooks reported of the self-test's transfers with what was done.

use std::fmt::Debug;

use super::kinds::TransferKind;
use crate::record::decode::Sink;
use crate::record::probes::selftest::expectation::{Expectation, State};
use crate::schema::Event;
use crate::schema::events::EventKind;
use crate::schema::names::errno_name;
use crate::schema::types::{Iovec, Iovecs};
use crate::schema::vocabulary::{Abi, IovVerdict, PayloadStatus};

/// What is compared of a row.
#[derive(Clone, Debug)]
struct Row {
    event: EventKind,
    abi: Option<String>,
    request: Option<String>,
    pid: i32,
    other: Option<i32>,
    ret: i64,
    local: Vec<Iovec>,
    remote: Vec<Iovec>,
    verdict: Option<String>,
    fd_in: Option<i32>,
    fd_out: Option<i32>,
    payload: Vec<u8>,
    payload_status: Option<String>,
}

/// Rows of the self-test.
#[derive(Debug, Default)]
pub struct Observed(Vec<Row>);

impl Sink for Observed {
    fn row(&mut self, kind: EventKind, event: &mut Event<'_>, _faulted: bool) {
        let list = |iovecs: Option<Iovecs<'_>>| iovecs.map(|i| i.iter().collect()).unwrap_or_default();
        self.0.push(Row {
            event: kind,
            abi: event.abi.map(str::to_string),
            request: event.ptrace_request.map(str::to_string),
            pid: event.pid,
            other: event.target_pid.or(event.parent_pid),
            ret: event.ret.or(event.exit_code.map(i64::from)).unwrap_or(0),
            local: list(event.local_iov),
            remote: list(event.remote_iov),
            verdict: event.iov_verdict.map(str::to_string),
            fd_in: event.fd_in,
            fd_out: event.fd_out,
            payload: event.payload.unwrap_or_default().to_vec(),
            payload_status: event.payload_status.map(str::to_string),
        });
    }
}

/// What came of one transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its event came, and is right.
    Passed,
    /// The system did not let it be made, for this reason.
    Untestable(String),
    /// Its event did not come, or says something else.
    Failed(String),
}

/// What is demanded of a row beside what was done.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    /// Payload bytes kept per event.
    pub snaplen: usize,
    /// Iovec arrays must be the kernel's own.
    pub kernel_iovecs: bool,
}

impl Observed {
    /// Judges one transfer.
    pub fn judge(&self, kind: &TransferKind, expectation: &Expectation, demand: Demand) -> Outcome {
        if let Some(reason) = not_done(expectation) {
            return Outcome::Untestable(reason);
        }
        let rows = self.0.iter().filter(|row| row.event == kind.event && row.pid == expectation.pid);
        let abi = kind.abi.map(Abi::as_str);
        let rows = rows.filter(|row| row.abi.as_deref() == abi && row.request.as_deref() == kind.request);
        let closest = rows.map(|row| differences(kind, expectation, row, demand)).min_by_key(Vec::len);
        match closest {
            None => Outcome::Failed("no event came".into()),
            Some(wrong) if wrong.is_empty() => Outcome::Passed,
            Some(wrong) => Outcome::Failed(wrong.join(", ")),
        }
    }
}

/// Why a transfer proves nothing, if it was not made.
fn not_done(expectation: &Expectation) -> Option<String> {
    match expectation.state {
        State::NotReached => Some("the process that was to make it ended before".into()),
        State::Begun => Some("the process ended while making it".into()),
        State::Killed => Some(match i32::try_from(expectation.ret) {
            Ok(libc::SIGSEGV | libc::SIGILL) => "32-bit calls are switched off".into(),
            _ => format!("its process was ended by signal {}", expectation.ret),
        }),
        State::Returned if expectation.ret == expectation.wanted => None,
        State::Returned => match errno_name(expectation.ret) {
            Some(errno) => Some(errno.into()),
            None => Some(format!("it returned {}, not {}", expectation.ret, expectation.wanted)),
        },
    }
}

fn differences(kind: &TransferKind, expectation: &Expectation, row: &Row, demand: Demand) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut equal = |column: &str, seen: &dyn Debug, done: &dyn Debug| {
        let (seen, done) = (format!("{seen:?}"), format!("{done:?}"));
        if seen != done {
            wrong.push(format!("{column} is {seen}, not {done}"));
        }
    };
    equal("ret", &row.ret, &expectation.ret);
    if expectation.other >= 0 {
        equal("target_pid", &row.other, &Some(expectation.other));
    }
    for (column, seen, done) in
        [("local_iov", &row.local, expectation.local), ("remote_iov", &row.remote, expectation.remote)]
    {
        if done.len > 0 {
            equal(column, seen, &[done]);
        }
    }
    for (column, seen, done) in [("fd_in", row.fd_in, expectation.fd_in), ("fd_out", row.fd_out, expectation.fd_out)] {
        if done >= 0 {
            equal(column, &seen, &Some(done));
        }
    }
    // The kernel may refuse a call before it copies its arguments.
    if demand.kernel_iovecs && row.verdict.is_some() && expectation.ret >= 0 {
        equal("iov_verdict", &row.verdict.as_deref(), &Some(IovVerdict::Kernel.as_str()));
    }
    let payload = expectation.payload();
    if !payload.is_empty() {
        // ptrace moves a word, which is kept whole.
        let room = if kind.request.is_some() && demand.snaplen > 0 { payload.len() } else { demand.snaplen };
        let kept = payload.get(..room).unwrap_or(payload);
        // Of whole pages only the beginning is compared.
        let moved = usize::try_from(expectation.local.len).unwrap_or(usize::MAX).max(payload.len());
        let seen = row.payload.get(..payload.len()).filter(|_| moved > payload.len()).unwrap_or(&row.payload);
        equal("payload", &text(seen), &text(kept));
        equal("payload_status", &row.payload_status.as_deref(), &Some(payload_status(moved, room)));
    }
    wrong
}

fn payload_status(len: usize, snaplen: usize) -> &'static str {
    let status = match snaplen {
        0 => PayloadStatus::Off,
        n if n < len => PayloadStatus::Truncated,
        _ => PayloadStatus::Ok,
    };
    status.as_str()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::probes::selftest::transfers::KINDS;

    const DEMAND: Demand = Demand { snaplen: 256, kernel_iovecs: false };

    fn kind(name: &str) -> &'static TransferKind {
        KINDS.iter().find(|k| k.name == name).unwrap()
    }

    fn readv() -> (Expectation, Event<'static>) {
        const LOCAL: &[Iovec] = &[Iovec { base: 0x1000, len: 4 }];
        let expectation =
            Expectation { ret: 4, wanted: 4, pid: 7, other: 8, local: LOCAL[0], ..Expectation::default() }
                .with_payload(b"read");
        let event = Event {
            abi: Some("native"),
            pid: 7,
            target_pid: Some(8),
            ret: Some(4),
            local_iov: Some(Iovecs::Pairs(LOCAL)),
            iov_verdict: Some("unverified"),
            payload: Some(b"read"),
            payload_status: Some("ok"),
            ..Event::default()
        };
        (expectation, event)
    }

    fn judge(expectation: &Expectation, event: &Event<'_>, demand: Demand) -> Outcome {
        let mut observed = Observed::default();
        observed.row(EventKind::ProcessVmReadv, &mut event.clone(), false);
        observed.judge(kind("process_vm_readv"), expectation, demand)
    }

    fn failure(outcome: Outcome) -> String {
        match outcome {
            Outcome::Failed(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_row_that_says_what_was_done_passes() {
        let (expectation, event) = readv();
        assert_eq!(judge(&expectation, &event, DEMAND), Outcome::Passed);
        let cut = Event { payload: Some(b"re"), payload_status: Some("truncated"), ..event };
        assert_eq!(judge(&expectation, &cut, Demand { snaplen: 2, ..DEMAND }), Outcome::Passed);
        let off = Event { payload: None, payload_status: Some("off"), ..event };
        assert_eq!(judge(&expectation, &off, Demand { snaplen: 0, ..DEMAND }), Outcome::Passed);
    }

    #[test]
    fn a_row_that_says_something_else_fails_by_column() {
        let (expectation, event) = readv();
        let wrong = Event { payload: Some(b"reed"), ret: Some(3), ..event };
        assert_eq!(failure(judge(&expectation, &wrong, DEMAND)), "ret is 3, not 4, payload is \"reed\", not \"read\"");
        let wrong = Event { target_pid: None, ..event };
        assert_eq!(failure(judge(&expectation, &wrong, DEMAND)), "target_pid is None, not Some(8)");
        let wrong = failure(judge(&expectation, &event, Demand { kernel_iovecs: true, ..DEMAND }));
        assert!(wrong.starts_with("iov_verdict is"), "{wrong}");
        assert_eq!(failure(judge(&expectation, &Event { pid: 9, ..event }, DEMAND)), "no event came");
        assert_eq!(failure(judge(&expectation, &Event { abi: Some("compat32"), ..event }, DEMAND)), "no event came");
    }

    #[test]
    fn what_was_not_done_proves_nothing() {
        let (expectation, event) = readv();
        let reason = |expectation: Expectation| match judge(&expectation, &event, DEMAND) {
            Outcome::Untestable(reason) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason(Expectation { ret: -1, ..expectation }), "EPERM");
        assert_eq!(reason(Expectation { ret: 2, ..expectation }), "it returned 2, not 4");
        assert_eq!(
            reason(Expectation { state: State::Killed, ret: 11, ..expectation }),
            "32-bit calls are switched off"
        );
        assert_eq!(
            reason(Expectation { state: State::Killed, ret: 31, ..expectation }),
            "its process was ended by signal 31"
        );
        assert!(reason(Expectation { state: State::Begun, ..expectation }).contains("while making it"));
        assert!(reason(Expectation { state: State::NotReached, ..expectation }).contains("before"));
    }

    #[test]
    fn no_two_transfers_have_one_name() {
        let mut names: Vec<&str> = KINDS.iter().map(|k| k.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KINDS.len());
    }
}
