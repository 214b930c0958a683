//! Flows for other programs: as JSON, as CSV, and as Arrow. Rule of evolution: fields and columns are only added.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::model::flow::{Call, Compared, Flow, Place, Sink, Source, Why};
use crate::terminal::escape::Safe;

/// One end of a flow.
#[derive(Debug, Default, Serialize)]
pub struct End {
    /// `memory`, the kind of a descriptor, `unknown`, or `left` where nobody took the bytes.
    pub kind: String,
    /// Of the call.
    pub seq: Option<u64>,
    /// Name of the call.
    pub event: Option<&'static str>,
    /// Of the caller.
    pub pid: Option<i32>,
    /// Name of the caller.
    pub comm: Option<String>,
    /// Of the first byte, in what the call moved.
    pub offset: Option<u64>,
    /// Of the first byte, in memory; in JSON a text, since many readers round large numbers.
    #[serde(serialize_with = "hexadecimal")]
    pub address: Option<u64>,
    /// Path of a file, or addresses of a socket.
    pub name: Option<String>,
    /// Of the first byte, in the file.
    pub file_offset: Option<u64>,
    /// Whose memory it is, of a call between memories.
    pub owner_pid: Option<i32>,
    /// Name of that process.
    pub owner_comm: Option<String>,
}

/// A pipe on the way.
#[derive(Debug, Serialize)]
pub struct Pipe {
    /// Its inode.
    pub pipe: u64,
    /// Recorded bytes that were put in before these.
    pub stream: Option<u64>,
    /// The call that moved the bytes on to the next pipe.
    pub moved_by: Option<End>,
}

/// A flow.
#[derive(Debug, Serialize)]
pub struct Facts<'a> {
    /// Name of the recording's first file.
    pub file: &'a str,
    /// How many.
    pub bytes: u64,
    /// Where they came from.
    pub source: End,
    /// The pipes on the way.
    pub pipes: Vec<Pipe>,
    /// Where they went.
    pub sink: End,
    /// How certain that is.
    pub certainty: &'static str,
    /// Why it is not exact.
    pub why: Option<&'static str>,
    /// Bytes that the pipe held before its first recorded call, where the flow depends on them.
    pub held_before: Option<u64>,
    /// Whether pages went through the pipe, not bytes (vmsplice).
    pub by_reference: bool,
    /// Bytes of both payloads that were compared and are equal.
    pub equal: Option<u64>,
    /// The first byte that differs.
    pub differs_at: Option<u64>,
    /// The host, where the capture is of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The process in whose memory the bytes were between both calls, if the flow is inferred.
    pub via_pid: Option<i32>,
    /// Its name.
    pub via_comm: Option<String>,
    /// Of the first byte, there.
    #[serde(serialize_with = "hexadecimal")]
    pub via_address: Option<u64>,
}

/// An end of a flow that is inferred: a memory, or the pipe of a call that has its other end in one. `owned` is whose memory and where.
fn inferred(call: &Call, offset: u64, owned: Option<(i32, Option<u64>)>, pipe: Option<u64>) -> End {
    let own = end(call, offset, None);
    let Some((owner, address)) = owned else {
        let name = pipe.map(|pipe| format!("pipe:{pipe}"));
        return End { kind: "pipe".into(), address: None, name, ..own };
    };
    let comm = call.peer.as_ref().filter(|peer| peer.pid == owner).map_or(&call.comm, |peer| &peer.comm);
    End { address, owner_pid: Some(owner), owner_comm: Some(comm.to_string()), ..own }
}

fn end(call: &Call, offset: u64, place: Option<&Place>) -> End {
    let start = place.and_then(|place| place.offset).and_then(|start| u64::try_from(start).ok());
    End {
        kind: place.map_or("memory".into(), |place| place.kind.as_deref().unwrap_or("unknown").to_string()),
        seq: Some(call.seq),
        event: Some(call.kind.name()),
        pid: Some(call.pid),
        comm: Some(call.comm.to_string()),
        offset: Some(offset),
        address: call.address(offset).filter(|_| place.is_none()),
        name: place.and_then(|place| place.name.as_deref()).map(str::to_string),
        file_offset: start.map(|start| start.saturating_add(offset)),
        owner_pid: None,
        owner_comm: None,
    }
}

fn of_kind(kind: &str) -> End {
    End { kind: kind.into(), ..End::default() }
}

impl<'a> Facts<'a> {
    /// Those of a flow of the recording that begins with `file`.
    pub fn of(file: &'a str, flow: &Flow) -> Self {
        let moved = |(call, offset): &(Arc<Call>, u64)| End { kind: "pipe".into(), ..end(call, *offset, None) };
        let pipes = flow.steps.iter().map(|step| Pipe {
            pipe: step.pipe,
            stream: step.stream,
            moved_by: step.moved.as_ref().map(moved),
        });
        let (equal, differs_at) = match flow.compared {
            Compared::No | Compared::Removed => (None, None),
            Compared::Equal(bytes) => (Some(bytes), None),
            Compared::Differs(at) => (Some(at), Some(at)),
        };
        Facts {
            file,
            bytes: flow.bytes,
            source: match &flow.source {
                Source::Call(call, offset) if flow.via.is_some() => {
                    inferred(call, *offset, call.given_from(*offset), call.pipes[0])
                }
                Source::Call(call, offset) => end(call, *offset, call.file_in.as_ref()),
                Source::Unknown(_) => of_kind("unknown"),
            },
            pipes: pipes.collect(),
            sink: match &flow.sink {
                Sink::Call(call, offset) if flow.via.is_some() => {
                    inferred(call, *offset, call.taken_to(*offset), call.pipes[1])
                }
                Sink::Call(call, offset) => end(call, *offset, call.file_out.as_ref()),
                Sink::Left => of_kind("left"),
                Sink::Unknown(_) => of_kind("unknown"),
            },
            certainty: flow.certainty.as_str(),
            why: flow.why.map(Why::as_str),
            held_before: match flow.why {
                Some(Why::NeverEmpty(held) | Why::Held(held)) => Some(held),
                Some(_) | None => None,
            },
            by_reference: flow.by_reference,
            equal,
            differs_at,
            host: flow.host().map(str::to_string),
            via_pid: flow.via.as_ref().map(|via| via.pid),
            via_comm: flow.via.as_ref().map(|via| via.comm.to_string()),
            via_address: flow.via.as_ref().map(|via| via.address),
        }
    }
}

fn hexadecimal<S: Serializer>(address: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.collect_str(&format_args!("{address:#x}")),
        None => serializer.serialize_none(),
    }
}

/// Columns of an end, each behind `source_` and `sink_`.
pub const ENDS: [&str; 11] =
    ["kind", "seq", "event", "pid", "comm", "offset", "address", "name", "file_offset", "owner_pid", "owner_comm"];
/// Columns behind those of both ends.
pub const REST: [&str; 12] = [
    "moved_by",
    "certainty",
    "why",
    "held_before",
    "by_reference",
    "equal",
    "differs_at",
    "via_pid",
    "via_comm",
    "via_address",
    "bytes",
    "host",
];

/// The header of CSV.
pub fn header() -> Vec<String> {
    let ends = |side: &str| ENDS.map(|name| format!("{side}_{name}"));
    let mut header = vec!["file".to_string()];
    header.extend(ends("source"));
    header.push("pipes".into());
    header.extend(ends("sink"));
    header.extend(REST.map(String::from));
    header
}

/// A row of CSV. Text is escaped as on a terminal.
pub fn record(facts: &Facts<'_>) -> Vec<String> {
    let mut record = vec![Safe(facts.file).to_string()];
    record.extend(cells(&facts.source));
    let pipes: Vec<String> = facts.pipes.iter().map(|step| step.pipe.to_string()).collect();
    record.push(pipes.join(" "));
    record.extend(cells(&facts.sink));
    let moved = facts.pipes.iter().filter_map(|step| step.moved_by.as_ref()?.seq);
    record.extend([
        moved.map(|seq| seq.to_string()).collect::<Vec<_>>().join(" "),
        facts.certainty.to_string(),
        facts.why.unwrap_or_default().to_string(),
        number(facts.held_before),
        facts.by_reference.to_string(),
        number(facts.equal),
        number(facts.differs_at),
        pid(facts.via_pid),
        text(facts.via_comm.as_deref()),
        hex(facts.via_address),
        facts.bytes.to_string(),
        text(facts.host.as_deref()),
    ]);
    record
}

fn cells(end: &End) -> [String; 11] {
    [
        text(Some(&end.kind)),
        number(end.seq),
        end.event.unwrap_or_default().to_string(),
        pid(end.pid),
        text(end.comm.as_deref()),
        number(end.offset),
        hex(end.address),
        text(end.name.as_deref()),
        number(end.file_offset),
        pid(end.owner_pid),
        text(end.owner_comm.as_deref()),
    ]
}

fn text(text: Option<&str>) -> String {
    text.map(|text| Safe(text).to_string()).unwrap_or_default()
}

fn pid(pid: Option<i32>) -> String {
    pid.map(|pid| pid.to_string()).unwrap_or_default()
}

fn hex(address: Option<u64>) -> String {
    address.map(|address| format!("{address:#x}")).unwrap_or_default()
}

fn number(number: Option<u64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}
