//! Objects made from tables of fields: each entry has the path of a field, what it is made of, and how. The tables are those of the
//! formats, and docs/export.md has them, too.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::model::{origin, time};
use crate::schema::Event;
use crate::schema::events::EventSpec;
use crate::schema::hosts::HostPart;
use crate::schema::manifest::{Clocks, Manifest};
use crate::schema::types::{Iovec, Iovecs};

/// Ranges of an array that are written.
const RANGES: usize = 64;

/// What a capture says of the machine and of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub capture_id: String,
    pub tool_version: String,
    pub hostname: String,
    pub machine_id: Option<String>,
    pub boot_id: String,
    pub kernel: String,
    pub machine: String,
    start: Clocks,
    /// Whether redaction took the addresses away.
    without_addresses: bool,
}

impl Facts {
    /// Those of a manifest.
    pub fn of(manifest: &Manifest) -> Self {
        let Manifest { capture_id, tool, host, start, .. } = manifest;
        Facts {
            capture_id: capture_id.clone(),
            tool_version: tool.version.clone(),
            hostname: host.hostname.clone(),
            machine_id: host.machine_id.clone(),
            boot_id: host.boot_id.clone(),
            kernel: host.release.clone(),
            machine: host.machine.clone(),
            start: *start,
            without_addresses: origin::without_addresses(&manifest.derived_from),
        }
    }
}

/// Those of a capture and of each of its hosts.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins {
    all: Facts,
    hosts: HashMap<String, Facts>,
}

impl Origins {
    /// Those of a manifest.
    pub fn of(manifest: &Manifest) -> Self {
        let all = Facts::of(manifest);
        // An event is known by the capture that it is in.
        let capture_id = &all.capture_id;
        let of = |part: &HostPart| Facts {
            capture_id: capture_id.clone(),
            without_addresses: all.without_addresses,
            ..Facts::of(&part.manifest)
        };
        let hosts = manifest.hosts.iter().map(|part| (part.host.clone(), of(part))).collect();
        Origins { all, hosts }
    }

    /// Those of the host of an event.
    pub fn get(&self, event: &Event<'_>) -> &Facts {
        event.host.and_then(|host| self.hosts.get(host)).unwrap_or(&self.all)
    }
}

/// An event, with what its fields are made of.
pub(super) struct Row<'a, 'e> {
    pub event: &'a Event<'e>,
    pub spec: Option<&'static EventSpec>,
    pub facts: &'a Facts,
    pub message: &'a str,
}

impl Row<'_, '_> {
    /// When a process started, in ns since 1970; none where that is not known. Processes are dated by CLOCK_BOOTTIME.
    pub fn started(&self, start_ns: Option<i64>) -> Option<i64> {
        let start = start_ns.filter(|ns| *ns > 0)?;
        Some(start.saturating_sub(self.facts.start.boottime_ns).saturating_add(self.facts.start.realtime_ns))
    }

    /// When the call began, if the capture says so; in ns since 1970.
    pub fn began(&self) -> Option<i64> {
        Some(self.event.ts_ns.saturating_sub(self.event.dur_ns.filter(|ns| *ns >= 0)?))
    }

    /// `capture_id:seq`, which no other event has.
    pub fn id(&self) -> String {
        format!("{}:{}", self.facts.capture_id, self.event.seq)
    }
}

/// One field of a format.
pub(super) struct Field {
    /// Names of objects and of the field, with dots between them.
    pub path: &'static str,
    /// What it is made of, in words.
    pub from: &'static str,
    /// Its value; a field that is null is left out.
    pub value: fn(&Row<'_, '_>) -> Value,
}

/// The object of an event.
pub(super) fn object<'f>(tables: impl IntoIterator<Item = &'f [Field]>, row: &Row<'_, '_>) -> Map<String, Value> {
    let mut object = Map::new();
    for field in tables.into_iter().flatten() {
        let value = (field.value)(row);
        if !value.is_null() {
            put(&mut object, field.path, value);
        }
    }
    object
}

fn put(object: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            object.insert(path.to_string(), value);
        }
        Some((name, rest)) => {
            if let Value::Object(inner) = object.entry(name).or_insert_with(|| Value::Object(Map::new())) {
                put(inner, rest, value);
            }
        }
    }
}

/// An instant in RFC 3339, of ns since 1970.
pub(super) fn instant(ns: Option<i64>) -> Value {
    ns.map(time::utc).into()
}

/// The last part of a path.
pub(super) fn file_name(path: Option<&str>) -> Option<&str> {
    path.and_then(|path| path.rsplit('/').next()).filter(|name| !name.is_empty())
}

/// The name of a process: that of its executable, else of its thread.
pub(super) fn process_name(exe: Option<&str>, comm: Option<&str>) -> Value {
    file_name(exe).or(comm.filter(|name| !name.is_empty())).into()
}

/// Ranges as `0xbase+len`, or `+len` where redaction took the addresses away.
pub(super) fn ranges(row: &Row<'_, '_>, ranges: Option<Iovecs<'_>>) -> Value {
    let text = |Iovec { base, len }| match row.facts.without_addresses {
        true => format!("+{len}"),
        false => format!("{base:#x}+{len}"),
    };
    let texts =
        |ranges: Iovecs<'_>| -> Vec<Value> { ranges.iter().take(RANGES).map(|range| text(range).into()).collect() };
    ranges.map(texts).into()
}

/// The first address of the target's memory.
pub(super) fn address(row: &Row<'_, '_>) -> Value {
    let first = row.event.remote_iov.and_then(|iov| iov.get(0)).filter(|_| !row.facts.without_addresses);
    hex(first.map(|range| range.base))
}

/// A number in hexadecimal, as a text: databases keep 63 bits of a number.
pub(super) fn hex(number: Option<u64>) -> Value {
    number.map(|number| format!("{number:#x}")).into()
}

/// Whether an event is a call on another process.
pub(super) fn reaches_another(event: &Event<'_>) -> bool {
    event.target_pid.or(event.target_pid_arg).is_some_and(|pid| pid != event.pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_objects() {
        let table: &[Field] = &[
            Field { path: "a.b.c", from: "", value: |row| row.event.pid.into() },
            Field { path: "a.b.d", from: "", value: |_| "x".into() },
            Field { path: "a.e", from: "", value: |row| row.event.exe.into() },
        ];
        let (event, facts) = (Event { pid: 7, ..Event::default() }, Facts::default());
        let object = object([table], &Row { event: &event, spec: None, facts: &facts, message: "" });
        assert_eq!(Value::Object(object), serde_json::json!({"a": {"b": {"c": 7, "d": "x"}}}));
    }

    #[test]
    fn processes_are_dated_by_the_wall_clock() {
        let start = Clocks { realtime_ns: 1_000, monotonic_ns: 0, boottime_ns: 300, uncertainty_ns: 0 };
        let facts = Facts { start, ..Facts::default() };
        let event = Event::default();
        let row = Row { event: &event, spec: None, facts: &facts, message: "" };
        assert_eq!(row.started(Some(100)), Some(800));
        assert_eq!((row.started(Some(0)), row.started(None)), (None, None));
        assert_eq!(row.started(Some(i64::MAX)), Some(i64::MAX), "no overflow");
    }
}
