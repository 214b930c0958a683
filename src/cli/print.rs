//! `record --print` and `watch`: joins the rows of a recording to the lines of `replay` and the formats of `export`.

use std::io::{BufWriter, Stdout, stdout};

use anyhow::Result;

use crate::export::ecs::Ecs;
use crate::export::jsonl::Jsonl;
use crate::export::ocsf::Ocsf;
use crate::export::{Export, Origin};
use crate::record::{MakeShow, Printed, Show, Shown};
use crate::replay::live::Lines;
use crate::schema::{Event, EventKind};

/// The cause of a `lost` row that stands in the output for events that are not printed. No capture has such a row.
const NOT_PRINTED: &str = "not_printed";

/// What prints rows in a format.
pub fn show(format: Printed) -> MakeShow {
    Box::new(move || match format {
        Printed::Text => lines(),
        Printed::Jsonl => exported(Jsonl::new(out())),
        Printed::Ecs => exported(Ecs::new(out())),
        Printed::Ocsf => exported(Ocsf::new(out())),
    })
}

fn out() -> BufWriter<Stdout> {
    BufWriter::with_capacity(1 << 16, stdout())
}

fn lines() -> Show {
    let mut lines = Lines::new();
    Box::new(move |shown| match shown {
        Shown::Begin(manifest) => {
            lines.begin(manifest);
            Ok(())
        }
        Shown::Rows(rows) => lines.events(rows),
        Shown::Left(events) => lines.left(events),
        Shown::End => lines.end(),
    })
}

fn exported(mut exporter: impl Export + 'static) -> Show {
    // Of the last row: what is not printed comes behind it.
    let mut last = (0, 0, 0, 0);
    Box::new(move |shown| {
        match shown {
            Shown::Begin(manifest) => {
                let name = "a recording under way".to_string();
                exporter.capture(&Origin { name, manifest, mono_span: None })?;
            }
            Shown::Rows(rows) => rows.try_each(|event| {
                last = (event.seq, event.ts, event.ts_ns, event.mono_ns);
                exporter.event(event)
            })?,
            Shown::Left(events) => not_printed(&mut exporter, last, events)?,
            Shown::End => return exporter.end(),
        }
        exporter.flush()
    })
}

fn not_printed(exporter: &mut impl Export, last: (u64, i64, i64, i64), events: u64) -> Result<()> {
    let (seq, ts, ts_ns, mono_ns) = last;
    exporter.event(&Event {
        seq,
        ts,
        ts_ns,
        mono_ns,
        event: EventKind::Lost.name(),
        uid: u32::MAX,
        lost_count: Some(events),
        lost_cause: Some(NOT_PRINTED),
        ..Event::default()
    })
}
