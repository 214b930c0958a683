//! JSON lines: one object per event with every column that is not null.
//!
//! Numbers are exact integers up to 64 bits, `ts` is RFC 3339 in UTC, iovecs are arrays of `{"base":…,"len":…}`,
//! payload is hexadecimal. Characters that can control a terminal are written as `\uXXXX`.

use std::io::Write;

use anyhow::Result;
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

use super::Export;
use crate::model::time;
use crate::schema::reader::Capture;
use crate::schema::types::Iovecs;
use crate::schema::{Cell, Event};
use crate::terminal::escape::Hex;
use crate::terminal::json_line;

/// Writes JSON lines to `out`.
#[derive(Debug)]
pub struct Jsonl<W> {
    out: W,
}

impl<W: Write> Jsonl<W> {
    /// An exporter that writes to `out`.
    pub fn new(out: W) -> Self {
        Jsonl { out }
    }
}

impl<W: Write> Export for Jsonl<W> {
    fn capture(&mut self, _capture: &Capture) -> Result<()> {
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>) -> Result<()> {
        Ok(json_line(&mut self.out, &Row(event))?)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

struct Row<'a, 'b>(&'a Event<'b>);

impl Serialize for Row<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut result = Ok(());
        self.0.cells(|name, cell| {
            if result.is_ok() {
                result = entry(&mut map, name, cell);
            }
        });
        result?;
        map.end()
    }
}

fn entry<M: SerializeMap>(map: &mut M, name: &str, cell: Cell<'_>) -> Result<(), M::Error> {
    match cell {
        Cell::Null => Ok(()),
        Cell::Int(value) => map.serialize_entry(name, &value),
        Cell::Uint(value) => map.serialize_entry(name, &value),
        Cell::Bool(value) => map.serialize_entry(name, &value),
        Cell::Text(text) => map.serialize_entry(name, text),
        Cell::Bytes(bytes) => map.serialize_entry(name, &HexText(bytes)),
        Cell::Iovecs(iovecs) => map.serialize_entry(name, &Ranges(iovecs)),
        Cell::Micros(micros) => map.serialize_entry(name, &time::utc_micros(micros)),
    }
}

struct HexText<'a>(&'a [u8]);

impl Serialize for HexText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Hex(self.0))
    }
}

struct Ranges<'a>(Iovecs<'a>);

impl Serialize for Ranges<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Range {
            base: u64,
            len: u64,
        }
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        self.0.iter().try_for_each(|iov| list.serialize_element(&Range { base: iov.base, len: iov.len }))?;
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::types::Iovec;

    #[test]
    fn values_come_back_exactly() {
        let iov = [Iovec { base: u64::MAX, len: (1 << 53) + 1 }];
        let event = Event {
            ts: 1_700_000_000_500_000,
            comm: "a\x1b",
            ret: Some(i64::MIN),
            toctou: Some(false),
            remote_iov: Some(Iovecs::Pairs(&iov)),
            payload: Some(b"\0\xff"),
            ..Event::default()
        };
        let mut out = Vec::new();
        json_line(&mut out, &Row(&event)).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with("}\n") && !text.contains('\x1b'));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["ts"], "2023-11-14T22:13:20.500000Z");
        assert_eq!(json["comm"], "a\x1b");
        assert_eq!(json["ret"].as_i64(), Some(i64::MIN));
        assert_eq!(json["toctou"], false);
        assert_eq!(json["remote_iov"][0]["base"].as_u64(), Some(u64::MAX));
        assert_eq!(json["remote_iov"][0]["len"].as_u64(), Some((1 << 53) + 1));
        assert_eq!(json["payload"], "00ff");
        assert!(json.get("errno").is_none(), "null columns are left out");
    }
}
