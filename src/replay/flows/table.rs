//! Flows for other programs: JSON, one object per line, and CSV. Rule of evolution: fields are only added.

use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;

use super::{Render, words};
use crate::model::flow::{Call, Compared, Flow, Place, Sink, Source, Why};
use crate::terminal::escape::Safe;
use crate::terminal::json_line;

/// One end of a flow.
#[derive(Debug, Default, Serialize)]
struct End {
    /// `memory`, the kind of a descriptor, `unknown`, or `left` where nobody took the bytes.
    kind: String,
    seq: Option<u64>,
    event: Option<&'static str>,
    pid: Option<i32>,
    comm: Option<String>,
    /// Of the first byte, in what the call moved.
    offset: Option<u64>,
    /// Of the first byte, in memory; a text, since a number may not fit.
    address: Option<String>,
    /// Path of a file, or addresses of a socket.
    name: Option<String>,
    /// Of the first byte, in the file.
    file_offset: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Pipe {
    pipe: u64,
    stream: Option<u64>,
    moved_by: Option<End>,
}

#[derive(Debug, Serialize)]
struct Facts<'a> {
    file: &'a str,
    bytes: u64,
    source: End,
    pipes: Vec<Pipe>,
    sink: End,
    certainty: &'static str,
    why: Option<&'static str>,
    /// Bytes that the pipe held before its first recorded call, where the flow depends on them.
    held_before: Option<u64>,
    by_reference: bool,
    /// Bytes of both payloads that were compared and are equal.
    equal: Option<u64>,
    /// The first byte that differs.
    differs_at: Option<u64>,
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
        address: call.address(offset).filter(|_| place.is_none()).map(|address| format!("{address:#x}")),
        name: place.and_then(|place| place.name.as_deref()).map(str::to_string),
        file_offset: start.map(|start| start.saturating_add(offset)),
    }
}

fn of_kind(kind: &str) -> End {
    End { kind: kind.into(), ..End::default() }
}

impl<'a> Facts<'a> {
    fn of(file: &'a str, flow: &Flow) -> Self {
        let moved =
            |(call, offset): &(std::sync::Arc<Call>, u64)| End { kind: "pipe".into(), ..end(call, *offset, None) };
        let pipes = flow.steps.iter().map(|step| Pipe {
            pipe: step.pipe,
            stream: step.stream,
            moved_by: step.moved.as_ref().map(moved),
        });
        let (equal, differs_at) = match flow.compared {
            Compared::No => (None, None),
            Compared::Equal(bytes) => (Some(bytes), None),
            Compared::Differs(at) => (Some(at), Some(at)),
        };
        Facts {
            file,
            bytes: flow.bytes,
            source: match &flow.source {
                Source::Call(call, offset) => end(call, *offset, call.file_in.as_ref()),
                Source::Unknown(_) => of_kind("unknown"),
            },
            pipes: pipes.collect(),
            sink: match &flow.sink {
                Sink::Call(call, offset) => end(call, *offset, call.file_out.as_ref()),
                Sink::Left => of_kind("left"),
                Sink::Unknown(_) => of_kind("unknown"),
            },
            certainty: flow.certainty.as_str(),
            why: flow.why.map(words::word),
            held_before: match flow.why {
                Some(Why::NeverEmpty(held) | Why::Held(held)) => Some(held),
                Some(_) | None => None,
            },
            by_reference: flow.by_reference,
            equal,
            differs_at,
        }
    }
}

/// One JSON object per flow.
#[derive(Debug)]
pub(super) struct Json;

impl Render for Json {
    fn flow(&mut self, mut out: &mut dyn Write, file: &str, flow: Flow) -> Result<()> {
        Ok(json_line(&mut out, &Facts::of(file, &flow))?)
    }
}

const ENDS: [&str; 9] = ["kind", "seq", "event", "pid", "comm", "offset", "address", "name", "file_offset"];
const REST: [&str; 8] = ["moved_by", "certainty", "why", "held_before", "by_reference", "equal", "differs_at", "bytes"];

/// A row per flow. Text is escaped as on a terminal.
#[derive(Debug, Default)]
pub(super) struct Csv {
    started: bool,
}

impl Render for Csv {
    fn flow(&mut self, out: &mut dyn Write, file: &str, flow: Flow) -> Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        if !std::mem::replace(&mut self.started, true) {
            let ends = |side: &str| ENDS.map(|name| format!("{side}_{name}"));
            let mut header = vec!["file".to_string()];
            header.extend(ends("source"));
            header.push("pipes".into());
            header.extend(ends("sink"));
            header.extend(REST.map(String::from));
            writer.write_record(&header).map_err(plain)?;
        }
        writer.write_record(record(&Facts::of(file, &flow))).map_err(plain)?;
        Ok(writer.flush()?)
    }
}

fn record(facts: &Facts<'_>) -> Vec<String> {
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
        facts.bytes.to_string(),
    ]);
    record
}

fn cells(end: &End) -> [String; 9] {
    let safe = |text: Option<&str>| text.map(|text| Safe(text).to_string()).unwrap_or_default();
    [
        safe(Some(&end.kind)),
        number(end.seq),
        end.event.unwrap_or_default().to_string(),
        end.pid.map(|pid| pid.to_string()).unwrap_or_default(),
        safe(end.comm.as_deref()),
        number(end.offset),
        end.address.clone().unwrap_or_default(),
        safe(end.name.as_deref()),
        number(end.file_offset),
    ]
}

fn number(number: Option<u64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

/// The io::Error within, so that a closed pipe is known for one.
fn plain(error: csv::Error) -> anyhow::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        kind => io::Error::other(format!("{kind:?}")).into(),
    }
}
