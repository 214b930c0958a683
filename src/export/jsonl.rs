//! JSON lines: one object per event with every column that is not null.
//!
//! Numbers are exact integers up to 64 bits. Many readers of JSON round those beyond 2^53 (jq 1.6 does): such a number is
//! followed by its text, `"ts_ns_text"` behind `"ts_ns"`, and in an iovec such an address or length is the text `"0x…"`. `ts` is
//! RFC 3339 in UTC, iovecs are arrays of `{"base":…,"len":…}`, payload is hexadecimal. Characters that can control a terminal are written as `\uXXXX`.

use std::fmt::Display;
use std::io::Write;

use anyhow::Result;
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

use super::{Export, Origin};
use crate::model::{origin, time};
use crate::schema::regions::{Region, Regions};
use crate::schema::types::Iovecs;
use crate::schema::{Cell, Event};
use crate::terminal::escape::Hex;
use crate::terminal::json_line;

/// Writes JSON lines to `out`.
#[derive(Debug)]
pub struct Jsonl<W> {
    out: W,
    /// Whether redaction took the addresses of the capture away.
    without_addresses: bool,
}

impl<W: Write> Jsonl<W> {
    /// An exporter that writes to `out`.
    pub fn new(out: W) -> Self {
        Jsonl { out, without_addresses: false }
    }
}

impl<W: Write> Export for Jsonl<W> {
    fn capture(&mut self, origin: &Origin<'_>) -> Result<()> {
        self.without_addresses = origin::without_addresses(&origin.manifest.derived_from);
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>) -> Result<()> {
        Ok(json_line(&mut self.out, &Row(event, self.without_addresses))?)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

struct Row<'a, 'b>(&'a Event<'b>, bool);

impl Serialize for Row<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut result = Ok(());
        self.0.cells(|name, cell| {
            if result.is_ok() {
                result = entry(&mut map, name, cell, self.1);
            }
        });
        result?;
        map.end()
    }
}

fn entry<M: SerializeMap>(map: &mut M, name: &str, cell: Cell<'_>, without_addresses: bool) -> Result<(), M::Error> {
    match cell {
        Cell::Null => Ok(()),
        Cell::Int(value) => number(map, name, value, value.unsigned_abs()),
        Cell::Uint(value) => number(map, name, value, value),
        Cell::Bool(value) => map.serialize_entry(name, &value),
        Cell::Text(text) => map.serialize_entry(name, text),
        Cell::Bytes(bytes) => map.serialize_entry(name, &HexText(bytes)),
        Cell::Iovecs(iovecs) => map.serialize_entry(name, &Ranges(iovecs, without_addresses)),
        Cell::Regions(regions) => map.serialize_entry(name, &RegionList(regions, without_addresses)),
        Cell::Micros(micros) => map.serialize_entry(name, &time::utc_micros(micros)),
    }
}

/// The largest number up to which readers that take all numbers for binary64 (RFC 8259, section 6) tell any two apart.
const EXACT: u64 = 1 << 53;

/// A number, and where it is beyond [`EXACT`] its text, too.
fn number<M: SerializeMap>(
    map: &mut M,
    name: &str,
    value: impl Serialize + Display,
    magnitude: u64,
) -> Result<(), M::Error> {
    map.serialize_entry(name, &value)?;
    if magnitude <= EXACT {
        return Ok(());
    }
    map.serialize_entry(&format_args!("{name}_text"), &format_args!("{value}"))
}

/// An address or a length: a number, or its text where it is beyond [`EXACT`].
struct Address(u64);

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 <= EXACT {
            serializer.serialize_u64(self.0)
        } else {
            serializer.collect_str(&format_args!("{:#x}", self.0))
        }
    }
}

struct HexText<'a>(&'a [u8]);

impl Serialize for HexText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Hex(self.0))
    }
}

struct RegionList<'a>(Regions<'a>, bool);

impl Serialize for RegionList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Mapped<'a> {
            start: Option<Address>,
            end: Option<Address>,
            perms: &'a str,
            path: &'a str,
            file_offset: Address,
            device: &'a str,
            inode: Address,
            build_id: &'a str,
        }
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        self.0.iter().try_for_each(|region| {
            let Region { perms, path, device, build_id, .. } = region;
            let [start, end] = [region.start, region.end].map(|at| (!self.1).then_some(Address(at)));
            let (file_offset, inode) = (Address(region.file_offset), Address(region.inode));
            // null where no mapping was.
            let mapped = Mapped { start, end, perms, path, file_offset, device, inode, build_id };
            list.serialize_element(&region.is_mapped().then_some(mapped))
        })?;
        list.end()
    }
}

struct Ranges<'a>(Iovecs<'a>, bool);

impl Serialize for Ranges<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Range {
            base: Option<Address>,
            len: Address,
        }
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        self.0.iter().try_for_each(|iov| {
            let base = (!self.1).then_some(Address(iov.base));
            list.serialize_element(&Range { base, len: Address(iov.len) })
        })?;
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::types::Iovec;

    #[test]
    fn values_come_back_exactly() {
        let iov = [Iovec { base: u64::MAX, len: (1 << 53) + 1 }, Iovec { base: 1 << 53, len: 1 }];
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
        json_line(&mut out, &Row(&event, false)).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with("}\n") && !text.contains('\x1b'));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["ts"], "2023-11-14T22:13:20.500000Z");
        assert_eq!(json["comm"], "a\x1b");
        assert_eq!(json["ret"].as_i64(), Some(i64::MIN));
        assert_eq!(json["toctou"], false);
        assert_eq!(json["ret_text"], i64::MIN.to_string());
        assert_eq!(json["remote_iov"][0]["base"], "0xffffffffffffffff");
        assert_eq!(json["remote_iov"][0]["len"], "0x20000000000001");
        assert_eq!(json["remote_iov"][1]["base"].as_u64(), Some(1 << 53));
        assert_eq!(json["payload"], "00ff");
        assert!(json.get("errno").is_none(), "null columns are left out");
        let mut out = Vec::new();
        json_line(&mut out, &Row(&event, true)).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(json["remote_iov"][1], serde_json::json!({"base": null, "len": 1}), "redaction took it away");
    }
}
