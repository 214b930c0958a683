//! Runs of alike events, of which the first is printed and the others are counted.
//!
//! Owns which events are alike: same caller and thread, same call, same way, same peer and descriptors, same result where that is
//! no number of bytes. Addresses, payloads and whole numbers of bytes may differ. An event with an error, a loss, a
//! contradiction, a doubt or ranges that are not known is like no other.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use crate::model::process::Identity;
use crate::model::select::View;
use crate::schema::events::{EventSpec, Group};
use crate::schema::types::Iovecs;
use crate::schema::vocabulary::{Abi, Direction, IovVerdict, PayloadStatus};
use crate::schema::{Event, EventKind};

/// The run that is under way.
#[derive(Debug, Default)]
pub struct Run {
    /// Hash of what its events have in common; `None` where there is no run. Its keys are random, so that nobody can make two
    /// events that only seem alike.
    key: Option<u64>,
    candidate: Option<u64>,
    hasher: RandomState,
    /// When its first event was.
    start_mono_ns: i64,
    folded: Folded,
}

/// Events of a run behind its first.
#[derive(Debug, Default)]
pub struct Folded {
    /// How many.
    pub count: u64,
    /// Bytes that they moved; `None` where none says.
    pub bytes: Option<u64>,
    /// From the first event of the run to the last.
    pub span_ns: i64,
    /// How long the longest took; `None` where none says.
    pub longest_ns: Option<i64>,
    /// The only one of them, as it would be printed: one line is not folded into another.
    pub only: String,
}

impl Run {
    /// Whether `event` belongs to the run. If not, it begins another, and what [`Run::end`] returns must have been printed.
    pub fn takes(&mut self, event: &Event<'_>, view: View) -> bool {
        self.candidate = may_fold(event).then(|| {
            let mut hasher = self.hasher.build_hasher();
            common(&mut hasher, event, view);
            hasher.finish()
        });
        self.candidate.is_some() && self.candidate == self.key
    }

    /// Adds an event that the run takes, printed by `print` if it may stand alone.
    pub fn add(&mut self, event: &Event<'_>, print: impl FnOnce() -> String) {
        let folded = &mut self.folded;
        folded.count += 1;
        if let Some(bytes) = event.bytes.and_then(|bytes| u64::try_from(bytes).ok()) {
            folded.bytes = Some(folded.bytes.unwrap_or(0).saturating_add(bytes));
        }
        folded.longest_ns = folded.longest_ns.max(event.dur_ns);
        folded.span_ns = event.mono_ns.saturating_sub(self.start_mono_ns);
        folded.only = if folded.count == 1 { print() } else { String::new() };
    }

    /// Begins a run with the event that it did not take.
    pub fn begin(&mut self, event: &Event<'_>) {
        self.key = self.candidate.take();
        self.start_mono_ns = event.mono_ns;
    }

    /// Ends the run; returns what was folded, if anything was.
    pub fn end(&mut self) -> Option<Folded> {
        self.key = None;
        Some(std::mem::take(&mut self.folded)).filter(|folded| folded.count > 0)
    }
}

/// Hashes what an event has in common with events that are alike.
fn common(hasher: &mut impl Hasher, event: &Event<'_>, view: View) {
    let e = event;
    let partly = e.bytes.zip(e.bytes_requested).is_some_and(|(moved, asked)| moved < asked);
    // A word that is moved is data; elsewhere it is a part of the request.
    let data = if e.bytes.is_none() { e.data } else { 0 };
    // What is returned is a number of bytes, or what was asked for.
    let returned = if e.bytes.is_none() { e.ret } else { None };
    let caller = (Identity::caller(e), e.tid, e.uid, e.comm, e.exe, e.container, view == View::Caller);
    let call = (e.event, e.ptrace_request, e.advice, e.path, e.dirfd, e.open_mode, e.open_resolve);
    let how = (
        e.direction,
        e.abi,
        e.flags,
        e.iov_verdict,
        e.payload_by_ref,
        partly,
        data,
        e.bytes.is_some(),
        e.ret == Some(0),
        returned,
        e.payload_status,
    );
    let target = (Identity::target(e), e.target_pid_arg, e.target_comm, e.target_ended, e.pidfd);
    let from = (e.fd_in, e.pipe_in, e.fd_in_kind, e.fd_in_path, e.fd_in_peer_addr, e.fd_in_peer_port);
    let to = (e.fd_out, e.pipe_out, e.fd_out_kind, e.fd_out_path, e.fd_out_peer_addr, e.fd_out_peer_port);
    let bound = (e.fd_in_local_addr, e.fd_in_local_port, e.fd_out_local_addr, e.fd_out_local_port);
    (caller, call, how, target, from, to, bound).hash(hasher);
}

/// Whether nothing of an event must be seen.
fn may_fold(event: &Event<'_>) -> bool {
    let is_call = event.spec().is_some_and(|spec| spec.group != Group::Process);
    let verdict = matches!(
        event.iov_verdict.map(IovVerdict::parse),
        None | Some(Ok(IovVerdict::Kernel | IovVerdict::Unverified))
    );
    let payload = !matches!(event.payload_status.map(PayloadStatus::parse), Some(Ok(PayloadStatus::Fault) | Err(_)));
    let known = !matches!(event.direction.map(Direction::parse), Some(Err(_)))
        && !matches!(event.abi.map(Abi::parse), Some(Err(_)));
    let unread = |iov: Option<Iovecs<'_>>, count: Option<u64>| count > Some(iov.map_or(0, |iov| iov.len() as u64));
    let ranges = !unread(event.local_iov, event.liovcnt)
        && !unread(event.remote_iov, event.riovcnt)
        && (event.bytes_requested.is_some() || !event.spec().is_some_and(EventSpec::has_iovecs));
    let failed = event.errno.is_some() || event.ret.is_some_and(|ret| ret < 0 && event.bytes.is_some());
    is_call
        && event.event != EventKind::Lost.name()
        && !failed
        && event.toctou != Some(true)
        && event.target_ended != Some(true)
        && verdict
        && payload
        && ranges
        && known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::types::Iovec;

    const ONE: &[Iovec] = &[Iovec { base: 1, len: 64 }];

    fn read() -> Event<'static> {
        Event {
            event: "process_vm_readv",
            pid: 7,
            tid: 7,
            target_pid: Some(9),
            direction: Some("in"),
            ret: Some(64),
            bytes: Some(64),
            bytes_requested: Some(64),
            iov_verdict: Some("kernel"),
            payload_status: Some("ok"),
            ..Event::default()
        }
    }

    /// How many of `events` each run folds.
    fn folded(events: &[Event<'_>]) -> Vec<u64> {
        let mut run = Run::default();
        let mut counts = Vec::new();
        for event in events {
            if run.takes(event, View::Caller) {
                run.add(event, String::new);
            } else {
                counts.extend(run.end().map(|folded| folded.count));
                run.begin(event);
            }
        }
        counts.extend(run.end().map(|folded| folded.count));
        counts
    }

    #[test]
    fn alike_events_are_counted_and_summed() {
        let mut run = Run::default();
        assert!(!run.takes(&read(), View::Caller));
        assert!(run.end().is_none());
        run.begin(&Event { mono_ns: 5, ..read() });
        for (mono_ns, bytes) in [(10, 1), (20, 2), (i64::MAX, 4)] {
            let next =
                Event { mono_ns, bytes: Some(bytes), bytes_requested: Some(bytes), payload: Some(b"x"), ..read() };
            assert!(run.takes(&next, View::Caller));
            run.add(&next, || "alone".into());
        }
        let folded = run.end().unwrap();
        assert_eq!((folded.count, folded.bytes, folded.span_ns), (3, Some(7), i64::MAX - 5));
        assert_eq!(folded.only, "");
        assert!(run.end().is_none() && !run.takes(&read(), View::Caller), "a run ends once");
    }

    #[test]
    fn the_longest_is_named() {
        let mut run = Run::default();
        run.takes(&read(), View::Caller);
        run.begin(&Event { dur_ns: Some(9), ..read() });
        for dur_ns in [None, Some(3), Some(7), None] {
            let next = Event { dur_ns, ..read() };
            assert!(run.takes(&next, View::Caller));
            run.add(&next, String::new);
        }
        assert_eq!(run.end().unwrap().longest_ns, Some(7), "of those that are not printed");
    }

    #[test]
    fn ranges_that_are_known_do_not_matter() {
        let known = Event { riovcnt: Some(1), remote_iov: Some(Iovecs::Pairs(ONE)), liovcnt: Some(0), ..read() };
        assert_eq!(folded(&[known; 3]), [2]);
        let splice = Event { event: "splice", bytes_requested: None, ..read() };
        assert_eq!(folded(&[splice; 3]), [2], "it has none");
    }

    #[test]
    fn whoever_stands_alone_is_printed() {
        let mut run = Run::default();
        run.takes(&read(), View::Caller);
        run.begin(&read());
        assert!(run.takes(&read(), View::Caller));
        run.add(&read(), || "alone".into());
        assert_eq!(run.end().unwrap().only, "alone");
    }

    #[test]
    fn what_must_be_seen_is_never_folded() {
        for event in [
            Event { errno: Some("EFAULT"), ..read() },
            Event { event: "lost", ..read() },
            Event { event: "process_exit", ..read() },
            Event { event: "of_later", ..read() },
            Event { toctou: Some(true), ..read() },
            Event { iov_verdict: Some("conflict"), ..read() },
            Event { iov_verdict: Some("unreadable"), ..read() },
            Event { iov_verdict: Some("of_later"), ..read() },
            Event { payload_status: Some("fault"), ..read() },
            Event { direction: Some("of_later"), ..read() },
            Event { abi: Some("of_later"), ..read() },
            Event { target_ended: Some(true), ..read() },
            Event { riovcnt: Some(1), ..read() },
            Event { liovcnt: Some(2), local_iov: Some(Iovecs::Pairs(ONE)), ..read() },
            Event { bytes_requested: None, ..read() },
        ] {
            assert_eq!(folded(&[event; 3]), [0; 0], "{event:?}");
        }
    }

    #[test]
    fn what_differs_ends_a_run() {
        for other in [
            Event { pid: 8, ..read() },
            Event { tid: 8, ..read() },
            Event { target_pid: Some(10), ..read() },
            Event { target_start_ns: Some(50_000_000), ..read() },
            Event { event: "process_vm_writev", ..read() },
            Event { direction: Some("out"), ..read() },
            Event { bytes: Some(63), ..read() },
            Event { fd_in: Some(3), ..read() },
            Event { fd_out_path: Some("/a"), ..read() },
            Event { pipe_in: Some(3), ..read() },
            Event { flags: Some(1), ..read() },
            Event { path: Some("/proc/9/mem"), ..read() },
            Event { dirfd: Some(3), ..read() },
            Event { errno: Some("EPERM"), ..read() },
            Event { ptrace_request: Some("PTRACE_CONT"), ..read() },
            Event { payload_by_ref: Some(true), ..read() },
            Event { payload_status: Some("dropped"), ..read() },
        ] {
            assert_eq!(folded(&[read(), read(), other, read(), read()]), [1, 1], "{other:?}");
            assert_eq!(folded(&[read(), read(), read()]), [2]);
        }
        let request = |data| Event { ptrace_request: Some("PTRACE_CONT"), bytes: None, data, ..read() };
        assert_eq!(folded(&[request(0), request(0), request(9)]), [1], "a signal is passed on");
        let message = |ret| Event { ret: Some(ret), ..request(0) };
        assert_eq!(folded(&[message(5), message(5), message(6)]), [1], "what is returned is no number of bytes");
        let word = |data| Event { data, bytes: Some(8), bytes_requested: Some(8), ..request(0) };
        assert_eq!(folded(&[word(0), word(9)]), [1], "words that are moved differ");
    }
}
