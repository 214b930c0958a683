//! Flows to read: a line for each, those that are alike folded, and at the end what the words mean for this recording.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Result;

use super::{Render, words};
use crate::count;
use crate::model::flow::{Call, Certainty, Compared, Flow, Sink, Source, Step, Why};
use crate::terminal::escape::Safe;

/// Alike flows that are printed before the others are folded.
const PRINTED: usize = 2;
/// Reasons that are counted apart.
const REASONS: usize = 64;

/// Prints them.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// Whether each recording gets a heading, there being several.
    name_files: bool,
    route: Option<Route>,
    printed: usize,
    /// The line behind those that are printed, if it is the only one.
    held: Option<String>,
    folded: u64,
    folded_bytes: u64,
    reasons: BTreeMap<(Certainty, Option<Why>), (u64, u64)>,
    flows: u64,
    bytes: u64,
    differ: u64,
    removed: bool,
}

/// What alike flows have in common.
#[derive(Debug, PartialEq, Eq)]
struct Route {
    /// Where the capture is of several hosts.
    host: Option<String>,
    /// Whose memories the bytes were in at both ends, and the pipes of calls at the ends.
    owners: [Option<i32>; 2],
    pipes: [Option<u64>; 2],
    source: Option<(i32, String)>,
    steps: Vec<(u64, Option<i32>)>,
    via: Option<i32>,
    sink: Option<(i32, String)>,
    is_left: bool,
    certainty: Certainty,
    why: Option<Why>,
    differs: bool,
}

impl Route {
    fn of(flow: &Flow) -> Self {
        let source = match &flow.source {
            Source::Call(call, _) => {
                let file = call.file_in.as_ref().and_then(|file| file.name.as_deref()).unwrap_or_default();
                Some((call.pid, file.to_string()))
            }
            Source::Unknown(_) => None,
        };
        let sink = match &flow.sink {
            Sink::Call(call, _) => {
                let file = call.file_out.as_ref().and_then(|file| file.name.as_deref()).unwrap_or_default();
                Some((call.pid, file.to_string()))
            }
            Sink::Left | Sink::Unknown(_) => None,
        };
        let moved = |step: &Step| step.moved.as_ref().map(|(call, _)| call.pid);
        let pipes = |call: &Call| call.pipes;
        let source_pipe = if let Source::Call(call, _) = &flow.source { pipes(call)[0] } else { None };
        let sink_pipe = if let Sink::Call(call, _) = &flow.sink { pipes(call)[1] } else { None };
        Route {
            host: flow.host().map(str::to_string),
            owners: [flow.from_pid(), flow.to_pid()],
            pipes: [source_pipe, sink_pipe],
            source,
            steps: flow.steps.iter().map(|step| (step.pipe, moved(step))).collect(),
            via: flow.via.as_ref().map(|via| via.pid),
            sink,
            is_left: matches!(flow.sink, Sink::Left),
            certainty: flow.certainty,
            why: flow.why,
            differs: matches!(flow.compared, Compared::Differs(_)),
        }
    }
}

impl Render for Text {
    fn flow(&mut self, out: &mut dyn Write, file: &str, flow: Flow) -> Result<()> {
        if self.name_files && self.flows == 0 {
            writeln!(out, "# {}", Safe(file))?;
        }
        self.count(&flow);
        let route = Route::of(&flow);
        if self.route.as_ref() != Some(&route) {
            self.unfold(out)?;
            self.route = Some(route);
        }
        if self.printed < PRINTED {
            self.printed += 1;
            return Ok(writeln!(out, "{}", line(&flow))?);
        }
        self.folded += 1;
        self.folded_bytes = self.folded_bytes.saturating_add(flow.bytes);
        self.held = (self.folded == 1).then(|| line(&flow));
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Write) -> Result<()> {
        self.unfold(out)?;
        if self.flows > 0 {
            self.conclude(out)?;
        }
        *self = Text::new(self.name_files);
        Ok(())
    }
}

impl Text {
    pub fn new(name_files: bool) -> Self {
        Text { name_files, ..Text::default() }
    }

    fn count(&mut self, flow: &Flow) {
        self.flows += 1;
        self.bytes = self.bytes.saturating_add(flow.bytes);
        self.differ += u64::from(matches!(flow.compared, Compared::Differs(_)));
        self.removed |= flow.compared == Compared::Removed;
        let of = (flow.certainty, flow.why);
        let of = if self.reasons.len() < REASONS || self.reasons.contains_key(&of) { of } else { (of.0, None) };
        let (flows, bytes) = self.reasons.entry(of).or_default();
        (*flows, *bytes) = (*flows + 1, bytes.saturating_add(flow.bytes));
    }

    /// Alike flows have ended.
    fn unfold(&mut self, out: &mut dyn Write) -> Result<()> {
        match (self.held.take(), self.folded) {
            (_, 0) => {}
            (Some(line), _) => writeln!(out, "{line}")?,
            (None, folded) => {
                writeln!(out, "… {} more like it, {}", count::grouped(folded), count::size(self.folded_bytes))?;
            }
        }
        (self.printed, self.folded, self.folded_bytes) = (0, 0, 0);
        Ok(())
    }

    /// What the words mean.
    fn conclude(&mut self, out: &mut dyn Write) -> Result<()> {
        for ((certainty, why), (flows, bytes)) in &self.reasons {
            let some = format!("{}, {}", count::Count(*flows, "flow", "flows"), count::size(*bytes));
            let meaning = match certainty {
                Certainty::Exact => "exact: the place of the bytes in the queue is known".to_string(),
                Certainty::ByReference => {
                    "by reference (vmsplice): the reader got what was in the sender's pages when it read".to_string()
                }
                Certainty::Bounded => format!("bounded: {}", why.map(words::why).unwrap_or_default()),
                Certainty::Inferred => {
                    "inferred: what was captured of the bytes was the same at the same addresses when they went on"
                        .to_string()
                }
                Certainty::Unknown => format!("unknown: {}", why.map(words::why).unwrap_or_default()),
            };
            writeln!(out, "{some} {meaning}.")?;
        }
        if self.differ > 0 {
            let flows = count::Count(self.differ, "flow", "flows");
            writeln!(out, "In {flows} other bytes came out than were sent.")?;
        }
        if self.removed {
            writeln!(out, "{}", words::REMOVED)?;
        }
        Ok(())
    }
}

/// `[0..31) writer[12] 0x7f00+31 "message" → pipe:1 → reader[13] 0x5500+31  (exact)`.
fn line(flow: &Flow) -> String {
    let range = match flow.steps.first().and_then(|step| step.stream) {
        Some(start) => format!("[{start}..{}) ", start.saturating_add(flow.bytes)),
        None => format!("[{}] ", count::bytes(flow.bytes)),
    };
    let source = words::source(&flow.source, flow.bytes);
    let (way, sink) = (words::way(flow), words::sink(&flow.sink, flow.bytes));
    format!("{range}{source}{way} → {sink}  ({})", words::certainty(flow))
}
