//! Words for the parts of a flow.

use std::sync::Arc;

use crate::count;
use crate::model::flow::{Call, Certainty, Compared, Flow, Place, Sink, Source, Step, Why};
use crate::terminal::escape::{Preview, Safe};

/// Columns of a payload's preview.
const PREVIEW: usize = 32;

/// Why a flow is not exact, as the beginning of a sentence.
pub(super) fn why(why: Why) -> String {
    let held = |bytes| format!("held {} before its first recorded call", count::bytes(bytes));
    match why {
        Why::NeverEmpty(0) => {
            "the pipe was never seen empty: this holds if it held nothing before its first recorded call".into()
        }
        Why::NeverEmpty(bytes) => {
            let bytes = count::bytes(bytes);
            format!(
                "the pipe was never seen empty: this holds if the {bytes} that it certainly held before its first \
                 recorded call were all"
            )
        }
        Why::Held(bytes) => format!(
            "the pipe {}, unless a call that is not in the capture put them in later: this holds if none did",
            held(bytes)
        ),
        Why::Pending => {
            "several threads used one end of the pipe, which was not seen empty afterwards: this holds if no call \
                         was under way at the end, and nothing else was in the pipe before"
                .into()
        }
        Why::NoWrites => "writes into pipes were not recorded: this holds if there were none".into(),
        Why::Named => "a named pipe loses its bytes when nobody has it open: this holds if that did not happen".into(),
        Why::Before => "they were in the pipe before its first recorded call".into(),
        Why::Overlap => "calls overlapped, so that their order is not known".into(),
        Why::Lost => "events were lost".into(),
        Why::MissedReads => "reads of the pipe before its first recorded call had returned are missing".into(),
        Why::LeftOut => "the capture leaves out calls that use pipes".into(),
        Why::Contradiction => "the rows contradict each other".into(),
        Why::NotSeen => "the call on the other side is not in the capture".into(),
        Why::Limit => "there is more than vmtrace keeps at a time".into(),
    }
}

/// Said where more was put into memories than is kept.
pub(super) const FORGOT: &str =
    "flows from memory to memory may be missing: more was put into memories than vmtrace keeps at a time";

/// The same as a sentence without its full stop.
pub(super) fn sentence(reason: Why) -> String {
    sentence_of(&why(reason))
}

/// Words as a sentence without its full stop.
pub(super) fn sentence_of(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Why nothing is known of a whole recording.
pub(super) fn blind(reason: Why) -> String {
    format!("no flow through a pipe is known: {}", why(reason))
}

/// `writer[12]`.
pub(super) fn process(call: &Call) -> String {
    format!("{}{}[{}]", host(call.host.as_deref()), Safe(&call.comm), call.pid)
}

/// `web1:`, where the capture is of several hosts.
fn host(host: Option<&str>) -> String {
    host.map(|host| format!("{}:", Safe(host))).unwrap_or_default()
}

/// ` 0x7f00+4096`, as far as the address is known.
pub(super) fn memory(call: &Call, offset: u64, bytes: u64) -> String {
    range(call.address(offset), bytes)
}

fn range(address: Option<u64>, bytes: u64) -> String {
    address.map(|address| format!(" {address:#x}+{bytes}")).unwrap_or_default()
}

/// `victim[11] 0x7f00+4096 "token" by process_vm_readv of reader[12]`: an end of a call between memories, or the pipe of another
/// one; `None` of calls that are the end themselves.
fn by_way_of(call: &Call, at: (u64, u64), end: Option<(i32, Option<u64>)>, pipe: Option<u64>) -> Option<String> {
    let (offset, bytes) = at;
    let by = format!("by {} of {}", call.kind.name(), process(call));
    if let (Some((pid, address)), Some(peer)) = (end, &call.peer) {
        let comm = if pid == peer.pid { &peer.comm } else { &call.comm };
        let (host, preview) = (host(call.host.as_deref()), preview(call, offset, bytes));
        return Some(format!("{host}{}[{pid}]{}{preview} {by}", Safe(comm), range(address, bytes)));
    }
    pipe.map(|pipe| format!("pipe:{pipe} {by}"))
}

/// ` "record 000016"`, as far as the bytes are kept.
pub(super) fn preview(call: &Call, offset: u64, bytes: u64) -> String {
    let shown = call.payload_at(offset, bytes).map(|bytes| Preview { bytes, width: PREVIEW }.to_string());
    shown.map(|shown| format!(" {shown}")).unwrap_or_default()
}

fn place(place: &Place, offset: u64) -> String {
    let kind = place.kind.as_deref().unwrap_or("file");
    let name = match &place.name {
        Some(name) if kind == "file" => Safe(name).to_string(),
        Some(name) => format!("{} {}", Safe(kind), Safe(name)),
        None => Safe(kind).to_string(),
    };
    let at = place.offset.and_then(|start| u64::try_from(start).ok()).map(|start| start.saturating_add(offset));
    at.map_or_else(|| name.clone(), |at| format!("{name} at {at}"))
}

/// Where bytes came from.
pub(super) fn source(source: &Source, bytes: u64) -> String {
    match source {
        Source::Unknown(_) => "unknown".into(),
        Source::Call(call, offset) => match &call.file_in {
            _ if call.giver().is_some() || call.pipes[0].is_some() => {
                by_way_of(call, (*offset, bytes), call.given_from(*offset), call.pipes[0]).unwrap_or_default()
            }
            Some(file) => format!("{} by {} of {}", place(file, *offset), call.kind.name(), process(call)),
            None => {
                format!("{}{}{}", process(call), memory(call, *offset, bytes), preview(call, *offset, bytes))
            }
        },
    }
}

/// Where they went.
pub(super) fn sink(sink: &Sink, bytes: u64) -> String {
    match sink {
        Sink::Unknown(_) => "unknown".into(),
        Sink::Left => "not read".into(),
        Sink::Call(call, offset) => match &call.file_out {
            _ if call.taker().is_some() || call.pipes[1].is_some() => {
                by_way_of(call, (*offset, bytes), call.taken_to(*offset), call.pipes[1]).unwrap_or_default()
            }
            Some(file) => format!("{} by {}, {}", process(call), call.kind.name(), place(file, *offset)),
            None => {
                format!("{}{}{}", process(call), memory(call, *offset, bytes), preview(call, *offset, bytes))
            }
        },
    }
}

/// The pipes on the way, and who moved the bytes on from each: ` → pipe:1 → splice by relay[13] → pipe:2`; or the memory between two calls.
pub(super) fn way(flow: &Flow) -> String {
    let step = |step: &Step| {
        let by = |(call, _): &(Arc<Call>, u64)| format!(" → {} by {}", call.kind.name(), process(call));
        format!(" → pipe:{}{}", step.pipe, step.moved.as_ref().map(by).unwrap_or_default())
    };
    let via = flow.via.as_ref().map(|via| {
        let (host, range) = (host(flow.host()), range(Some(via.address), flow.bytes));
        format!(" → memory of {host}{}[{}]{range}", Safe(&via.comm), via.pid)
    });
    flow.steps.iter().map(step).chain(via).collect()
}

/// What is said where bytes that went in and bytes that came out could have been compared.
pub(super) const REMOVED: &str =
    "Redaction removed captured bytes: whether other bytes came out than were sent is not known.";

/// How certain a flow is, in one or two words.
pub(super) fn certainty(flow: &Flow) -> String {
    let word = certainty_word(flow);
    match flow.compared {
        Compared::Differs(at) => format!("{word}; other bytes than were sent, from byte {at} on"),
        Compared::Equal(_) | Compared::No | Compared::Removed => word.into(),
    }
}

/// The same without what was compared.
pub(super) fn certainty_word(flow: &Flow) -> &'static str {
    match flow.certainty {
        Certainty::Exact => "exact",
        Certainty::ByReference => "by reference",
        Certainty::Bounded if flow.by_reference => "bounded, by reference",
        Certainty::Bounded => "bounded",
        Certainty::Inferred => "inferred",
        Certainty::Unknown => "unknown",
    }
}
