//! JSON lines for Timesketch: its columns `message`, `datetime`, `timestamp` and `timestamp_desc`, the host, and every column that is not
//! null. Values are flat, since Timesketch shows and searches attributes by name: ranges are texts, as in CSV.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write;

use anyhow::Result;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::sentence::sentence;
use super::{Export, Origin};
use crate::model::{origin, time};
use crate::schema::events::Group;
use crate::schema::{Cell, Event, EventKind};
use crate::terminal::escape::Hex;
use crate::terminal::json_line;

/// Writes JSON lines to `out`.
#[derive(Debug)]
pub struct Timesketch<W> {
    out: W,
    hostname: String,
    /// Names of the hosts, by what rows call them.
    hosts: HashMap<String, String>,
    message: String,
    /// Whether redaction took the addresses of the capture away.
    without_addresses: bool,
}

impl<W: Write> Timesketch<W> {
    /// An exporter that writes to `out`.
    pub fn new(out: W) -> Self {
        Timesketch {
            out,
            hostname: String::new(),
            hosts: HashMap::new(),
            message: String::new(),
            without_addresses: false,
        }
    }
}

impl<W: Write> Export for Timesketch<W> {
    fn capture(&mut self, origin: &Origin<'_>) -> Result<()> {
        self.hostname.clone_from(&origin.manifest.host.hostname);
        self.without_addresses = origin::without_addresses(&origin.manifest.derived_from);
        let hosts = origin.manifest.hosts.iter();
        self.hosts = hosts.map(|part| (part.host.clone(), part.manifest.host.hostname.clone())).collect();
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>) -> Result<()> {
        self.message.clear();
        sentence(&mut self.message, event);
        let hostname = event.host.and_then(|host| self.hosts.get(host)).unwrap_or(&self.hostname);
        let without_addresses = self.without_addresses;
        Ok(json_line(&mut self.out, &Line { event, message: &self.message, hostname, without_addresses })?)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

struct Line<'a, 'e> {
    event: &'a Event<'e>,
    message: &'a str,
    hostname: &'a str,
    without_addresses: bool,
}

impl Serialize for Line<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("message", self.message)?;
        map.serialize_entry("datetime", &datetime(self.event.ts))?;
        map.serialize_entry("timestamp", &self.event.ts)?;
        map.serialize_entry("timestamp_desc", describe(self.event))?;
        map.serialize_entry("hostname", self.hostname)?;
        let mut result = Ok(());
        self.event.cells(|name, cell| {
            if result.is_ok() {
                result = entry(&mut map, name, cell, self.without_addresses);
            }
        });
        result?;
        map.end()
    }
}

fn entry<M: SerializeMap>(
    map: &mut M,
    name: &'static str,
    cell: Cell<'_>,
    without_addresses: bool,
) -> Result<(), M::Error> {
    match cell {
        // The instant is above, as Timesketch wants it.
        Cell::Null | Cell::Micros(_) => Ok(()),
        Cell::Int(value) => map.serialize_entry(name, &value),
        // An attribute is a number or a text in every line. These can have 64 bits, of which its database keeps 63.
        Cell::Uint(value) if matches!(name, "flags" | "data" | "liovcnt" | "riovcnt") => {
            map.serialize_entry(name, &format!("{value:#x}"))
        }
        Cell::Uint(value) => map.serialize_entry(name, &value),
        Cell::Bool(value) => map.serialize_entry(name, &value),
        Cell::Text(text) => map.serialize_entry(name, text),
        Cell::Bytes(bytes) => map.serialize_entry(name, &Hex(bytes).to_string()),
        Cell::Iovecs(ranges) => {
            let mut text = String::new();
            for range in ranges.iter() {
                let separator = if text.is_empty() { "" } else { ";" };
                // Writing to a String cannot fail.
                let _ = match without_addresses {
                    true => write!(text, "{separator}:{:#x}", range.len),
                    false => write!(text, "{separator}{:#x}:{:#x}", range.base, range.len),
                };
            }
            map.serialize_entry(name, &text)
        }
        Cell::Regions(regions) => map.serialize_entry(name, &regions.to_string()),
    }
}

/// An instant with its zone as an offset.
fn datetime(micros: i64) -> String {
    let text = time::utc_micros(micros);
    match text.strip_suffix('Z') {
        Some(instant) => format!("{instant}+00:00"),
        None => text,
    }
}

/// What happened at the instant of an event.
fn describe(event: &Event<'_>) -> &'static str {
    match event.spec().map(|spec| (spec.kind, spec.group)) {
        Some((EventKind::ProcessExec, _)) => "Program Started",
        Some((EventKind::ProcessFork, _)) => "Process Created",
        Some((EventKind::ProcessExit, _)) => "Process Ended",
        Some((EventKind::ProcessSnapshot, _)) => "Process Seen",
        Some((EventKind::Lost, _)) => "Events Lost",
        Some((
            _,
            Group::Vm | Group::Pipe | Group::Ptrace | Group::Mem | Group::Pidfd | Group::Madvise | Group::Uffd,
        )) => "Call Returned",
        Some((_, Group::Process | Group::Ledger)) | None => "Event Recorded",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::types::{Iovec, Iovecs};

    #[test]
    fn a_line_has_the_columns_that_timesketch_asks_for() {
        const RANGES: &[Iovec] = &[Iovec { base: u64::MAX, len: 1 }, Iovec { base: 16, len: 0 }];
        let event = Event {
            event: "tee",
            ts: 1_700_000_000_500_000,
            comm: "a\x1b",
            flags: Some(u64::MAX),
            remote_iov: Some(Iovecs::Pairs(RANGES)),
            ..Event::default()
        };
        let mut out = Vec::new();
        json_line(&mut out, &Line { event: &event, message: "m", hostname: "h", without_addresses: false }).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains('\x1b'));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["datetime"], "2023-11-14T22:13:20.500000+00:00");
        assert_eq!(json["timestamp"].as_i64(), Some(1_700_000_000_500_000));
        assert_eq!((json["message"].as_str(), json["timestamp_desc"].as_str()), (Some("m"), Some("Call Returned")));
        assert_eq!(json["remote_iov"], "0xffffffffffffffff:0x1;0x10:0x0");
        assert_eq!((json["flags"].as_str(), json["hostname"].as_str()), (Some("0xffffffffffffffff"), Some("h")));
        assert!(json.get("ts").is_none() && json.get("errno").is_none());
    }
}
