//! A flow with its words, for those who show it in another way than `vmtrace flows`.

use serde::Serialize;

use super::words;
use crate::export::flows::Facts;
use crate::model::flow::{Bounds, Flow, Why};

/// A flow as `vmtrace flows -T json` has it, and as its text says it. Rule of evolution: fields are only added.
#[derive(Debug, Serialize)]
pub struct Shown<'a> {
    #[serde(flatten)]
    facts: Facts<'a>,
    source_text: String,
    way_text: String,
    sink_text: String,
    certainty_text: String,
    why_text: Option<String>,
}

impl Shown<'_> {
    /// That of a flow.
    pub fn of(flow: &Flow) -> Self {
        Shown {
            facts: Facts::of("", flow),
            source_text: words::source(&flow.source, flow.bytes),
            way_text: words::way(flow),
            sink_text: words::sink(&flow.sink, flow.bytes),
            certainty_text: words::certainty(flow),
            why_text: flow.why.map(words::sentence),
        }
    }
}

/// What bounds all flows, in sentences.
pub fn bounds(bounds: Bounds) -> Vec<String> {
    let limit = bounds.overflowed.then(|| format!("{}: those flows are unknown.", words::sentence(Why::Limit)));
    let blind = bounds.blind.map(|why| format!("No flow through a pipe is known: {}.", words::why(why)));
    let forgot = bounds.forgot.then(|| format!("{}.", words::sentence_of(words::FORGOT)));
    limit.into_iter().chain(blind).chain(forgot).collect()
}
