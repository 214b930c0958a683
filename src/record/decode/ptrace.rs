//! Decode function of @ptrace.

use super::buffers::{Buffers, iovecs, set_name, total};
use super::call::{Call, Payload, Row, array, direction, set_payload, set_provenance};
use super::provenance::{by_user_memory, stated};
use super::signed;
use super::values::Source;
use crate::record::wire::*;
use crate::schema::names::ptrace_request_name;
use crate::schema::types::{Iovec, Iovecs};
use crate::schema::vocabulary::Abi;

/// ptrace. Requests that move no data keep their arguments.
pub(super) fn ptrace<'a>(call: &Call<'a, vmt_ptrace>, b: &'a mut Buffers, mut tail: &'a [u8]) -> Option<Row<'a>> {
    let ev = call.ev;
    let local = array(&mut b.local, &ev.local, &mut tail)?;
    let payload = Payload::take(&ev.payload, &mut tail)?;
    let word = match call.abi {
        Abi::Compat32 => 4,
        Abi::Native | Abi::IoUring => 8,
    };
    let request = ptrace_request(ev);
    b.remote.clear();
    b.remote.push(Iovec { base: ev.addr, len: if request.reaches_memory { word } else { 0 } });
    set_name(&mut b.request, ptrace_request_name(ev.request), ev.request);
    let b = &*b;
    let ranged = local.count > 0;
    let requested = if request.pokes { Some(word) } else { total(&b.local, local).filter(|_| ranged) };
    // The range comes in registers, but for the requests whose argument is an iovec.
    let provenance = match ranged && local.source == Source::User {
        true => by_user_memory(&[local], requested, ev.payload.total as i64),
        false => stated(!payload.is_from_caller()),
    };
    let mut event = call.base(b);
    event.target_pid_arg = Some(ev.pid_arg);
    event.direction = request.direction;
    event.bytes = (ranged || request.pokes).then_some(signed(ev.payload.total));
    event.bytes_requested = requested.map(signed);
    event.local_iov = iovecs(&b.local, local);
    event.liovcnt = ranged.then_some(local.count);
    event.remote_iov = Some(Iovecs::Pairs(&b.remote));
    event.riovcnt = Some(1);
    event.ptrace_request = Some(&b.request);
    event.data = ev.data;
    set_provenance(&mut event, provenance);
    set_payload(&mut event, payload, false);
    Some(Row { event, faulted: payload.is_faulted() || provenance.is_unreadable() })
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
            (true, _) => direction(false),
            (false, true) => direction(true),
            (false, false) => None,
        },
    }
}
