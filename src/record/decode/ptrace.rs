//! Decode function of @ptrace.

use super::buffers::{iovecs, take_iovs, total};
use super::calls::{
    IN, OUT, abi, from_caller, payload, payload_fault, result, target, with_payload, with_target, with_verdict,
};
use super::verdict::{by_user_memory, stated};
use super::{Decoder, Sink, signed};
use crate::record::wire::*;
use crate::schema::Event;
use crate::schema::events::EventKind;
use crate::schema::names::ptrace_request_name;
use crate::schema::types::{Iovec, Iovecs};

impl Decoder {
    /// ptrace. Requests that move no data keep their arguments.
    pub(super) fn ptrace(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Option<()> {
        let (ev, mut tail) = take::<vmt_ptrace>(bytes)?;
        self.meet(&ev.hdr, &ev.hdr.self_, sink);
        self.meet(&ev.hdr, &ev.target, sink);
        let mut b = self.caller_and_target(&ev.hdr, &ev.target);
        take_iovs(&mut b.local, &ev.local, &mut tail)?;
        let moved = take_bytes(&mut tail, ev.payload.kept as usize)?;
        let word = if u32::from(ev.hdr.abi) == VMT_ABI_COMPAT32 { 4 } else { 8 };
        let request = ptrace_request(&ev);
        b.remote.clear();
        b.remote.push(Iovec { base: ev.addr, len: if request.reaches_memory { word } else { 0 } });
        b.request.clear();
        match ptrace_request_name(ev.request) {
            Some(name) => b.request.push_str(name),
            None => b.request.push_str(&ev.request.to_string()),
        }
        let ranged = ev.local.count > 0;
        let requested = if request.pokes { Some(word) } else { total(&b.local, &ev.local).filter(|_| ranged) };
        // The range comes in registers, but for the requests whose argument is an iovec.
        let by_iovec = ranged && u32::from(ev.local.source) == VMT_SOURCE_USER;
        let verdict = match by_iovec {
            true => by_user_memory(&[&ev.local], requested, ev.payload.total as i64),
            false => stated(!from_caller(&ev.payload)),
        };
        let outcome = result(ev.ret);
        let event = Event {
            abi: abi(&ev.hdr),
            ret: outcome.ret,
            errno: outcome.errno,
            target_pid_arg: Some(ev.pid_arg),
            direction: request.direction,
            bytes: (ranged || request.pokes).then_some(signed(ev.payload.total)),
            bytes_requested: requested.map(signed),
            local_iov: iovecs(&b.local, &ev.local),
            liovcnt: ranged.then_some(ev.local.count),
            remote_iov: Some(Iovecs::Pairs(&b.remote)),
            riovcnt: Some(1),
            ptrace_request: Some(&b.request),
            data: ev.data,
            ..self.base(&ev.hdr, EventKind::Ptrace, &b)
        };
        let event = with_payload(with_verdict(event, verdict), payload(&ev.payload, moved, false));
        let event = with_target(event, target(&ev.target, &b));
        let faulted = payload_fault(&ev.payload) || verdict.is_unreadable();
        sink.row(EventKind::Ptrace, &event, faulted);
        self.buffers = b;
        Some(())
    }
}

/// What a ptrace request does with data.
struct PtraceRequest {
    /// PEEKTEXT, PEEKDATA, POKETEXT, POKEDATA: addr names the target's memory.
    reaches_memory: bool,
    pokes: bool,
    direction: Option<&'static str>,
}

fn ptrace_request(ev: &vmt_ptrace) -> PtraceRequest {
    let name = ptrace_request_name(ev.request).unwrap_or_default();
    let has = |words: &[&str]| words.iter().any(|w| name.contains(w));
    let (peeks, pokes) = (has(&["PEEKTEXT", "PEEKDATA", "PEEKUSER"]), has(&["POKETEXT", "POKEDATA", "POKEUSER"]));
    let gets = has(&["GETREGS", "GETFPREGS", "GETFPXREGS", "GETSIGINFO", "GET_THREAD_AREA"]);
    let sets = has(&["SETREGS", "SETFPREGS", "SETFPXREGS", "SETSIGINFO", "SET_THREAD_AREA"]);
    PtraceRequest {
        reaches_memory: (peeks || pokes) && !has(&["USER"]),
        pokes,
        direction: match (peeks || gets, pokes || sets) {
            (true, _) => IN,
            (_, true) => OUT,
            _ => None,
        },
    }
}
