//! The flows of one row as an answer of at most five lines: what the call moved, where from, where to, and how certain that is.

use std::io::Write;

use anyhow::Result;

use super::{Render, words};
use crate::count;
use crate::model::flow::{Call, Compared, Flow, Sink, Source};

/// Flows that are shown before the others are counted.
const SHOWN: usize = 2;

/// Collects the flows of a row.
#[derive(Debug)]
pub(super) struct Answer {
    seq: u64,
    /// Those that are shown.
    shown: Vec<Flow>,
    others: u64,
    other_bytes: u64,
    /// The weakest of all, and the first in which other bytes came out than were sent.
    weakest: Option<Flow>,
    differs: Option<Flow>,
    removed: bool,
}

impl Answer {
    pub fn new(seq: u64) -> Self {
        Answer { seq, shown: Vec::new(), others: 0, other_bytes: 0, weakest: None, differs: None, removed: false }
    }

    fn call<'f>(&self, flow: &'f Flow) -> Option<&'f Call> {
        flow.calls().find(|(call, _)| call.seq == self.seq).map(|(call, _)| call.as_ref())
    }

    /// Whether the row put the bytes in: what is asked is where they went.
    fn is_source(&self, flow: &Flow) -> bool {
        matches!(&flow.source, Source::Call(call, _) if call.seq == self.seq)
    }

    fn is_sink(&self, flow: &Flow) -> bool {
        matches!(&flow.sink, Sink::Call(call, _) if call.seq == self.seq)
    }

    fn head(&self, flow: &Flow, call: &Call) -> String {
        let did = match (self.is_source(flow), self.is_sink(flow)) {
            _ if flow.via.is_some() => "moved",
            (true, false) => "put in",
            (false, true) => "took out",
            (true, true) | (false, false) => "moved",
        };
        // Where the bytes were, each flow says.
        let place = if call.memory.is_empty() || flow.via.is_some() {
            String::new()
        } else {
            let side = if self.is_source(flow) { "from" } else { "into" };
            format!(" {side}{}{}", words::memory(call, 0, call.bytes), words::preview(call, 0, call.bytes))
        };
        let (who, what) = (words::process(call), call.kind.name());
        format!("Row {}: {what} by {who} {did} {}{place}", self.seq, count::bytes(call.bytes))
    }

    fn line(&self, flow: &Flow) -> String {
        let seq_of = |call: &Call| format!(" (row {})", call.seq);
        let bytes = count::bytes(flow.bytes);
        if let (Some(_), Source::Call(from, _), Sink::Call(to, _)) = (&flow.via, &flow.source, &flow.sink) {
            let (source, sink) = (words::source(&flow.source, flow.bytes), words::sink(&flow.sink, flow.bytes));
            let way = words::way(flow);
            return format!("  {bytes} {source}{}{way} → {sink}{}  (inferred)", seq_of(from), seq_of(to));
        }
        if flow.steps.is_empty() {
            let (source, sink) = (words::source(&flow.source, flow.bytes), words::sink(&flow.sink, flow.bytes));
            return format!("  {bytes} from {source} → {sink}, through no pipe");
        }
        let source = match &flow.source {
            Source::Call(call, _) if !self.is_source(flow) => {
                format!("from {}{} ", words::source(&flow.source, flow.bytes), seq_of(call))
            }
            Source::Unknown(why) => format!("from where is unknown ({}) ", words::why(*why)),
            Source::Call(..) => String::new(),
        };
        let sink = match &flow.sink {
            Sink::Call(call, _) if !self.is_sink(flow) => {
                format!(" → {}{}", words::sink(&flow.sink, flow.bytes), seq_of(call))
            }
            Sink::Unknown(why) => format!(" → unknown ({})", words::why(*why)),
            Sink::Left => " → not read in this capture".into(),
            Sink::Call(..) => String::new(),
        };
        format!("  {bytes} {source}{}{sink}", words::way(flow).trim_start())
    }
}

impl Render for Answer {
    fn flow(&mut self, _out: &mut dyn Write, _file: &str, flow: Flow) -> Result<()> {
        if self.differs.is_none() && matches!(flow.compared, Compared::Differs(_)) {
            self.differs = Some(flow.clone());
        }
        self.removed |= flow.compared == Compared::Removed;
        // Flows through pipes come first. How certain they are, those that are inferred do not change.
        let key = |flow: &Flow| (flow.via.is_none(), flow.certainty);
        if self.weakest.as_ref().is_none_or(|weakest| key(weakest) < key(&flow)) {
            self.weakest = Some(flow.clone());
        }
        let before = self.shown.iter().take_while(|shown| flow.via.is_some() || shown.via.is_none()).count();
        self.shown.insert(before, flow);
        if let Some(other) = self.shown.get(SHOWN) {
            self.others += 1;
            self.other_bytes = self.other_bytes.saturating_add(other.bytes);
            self.shown.truncate(SHOWN);
        }
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Write) -> Result<()> {
        let Some(first) = self.shown.first() else { return Ok(()) };
        if let Some(call) = self.call(first) {
            writeln!(out, "{}", self.head(first, call))?;
        }
        let shown = if self.others > 0 { self.shown.get(..1).unwrap_or_default() } else { self.shown.as_slice() };
        for flow in shown {
            writeln!(out, "{}", self.line(flow))?;
        }
        if let Some(second) = self.shown.get(1).filter(|_| self.others > 0) {
            let bytes = self.other_bytes.saturating_add(second.bytes);
            let flows = count::grouped(self.others + 1);
            writeln!(out, "  … {flows} more flows, {}; -T csv prints them all", count::size(bytes))?;
        }
        match &self.differs {
            Some(differs) => writeln!(out, "{}", why_other_bytes(differs))?,
            None if self.removed => writeln!(out, "{}", words::REMOVED)?,
            None => {}
        }
        if let Some(weakest) = &self.weakest {
            let why = weakest.why.map(|why| format!(" {}.", words::sentence(why))).unwrap_or_default();
            writeln!(out, "Certainty: {}.{why}", words::certainty_word(weakest))?;
        }
        *self = Answer::new(self.seq);
        Ok(())
    }
}

/// Why a reader got other bytes than were sent.
fn why_other_bytes(flow: &Flow) -> String {
    let Compared::Differs(at) = flow.compared else { return String::new() };
    let who = match &flow.source {
        Source::Call(call, _) => words::process(call),
        Source::Unknown(_) => "the sender".into(),
    };
    if flow.by_reference {
        format!(
            "Other bytes came out than were sent, from byte {at} on: vmsplice put pages in, not bytes, and {who} had \
             changed them before they were read."
        )
    } else {
        format!(
            "Other bytes came out than went in, from byte {at} on, though they were copied: the rows contradict each other."
        )
    }
}
