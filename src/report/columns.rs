//! Rows as columns of bytes, which the page reads (`page/columns.js`).
//!
//! Owns that form. Rows go out in blocks. In a block each column has its length (32 bits) and its bytes; all numbers are
//! little-endian. A list of numbers is: flags (1: some are null, and a bit each says which are not; 2: all are), then the
//! bytes of a number (0, 1, 2, 4 or 8), the smallest (64 bits), and how much larger each is. Columns that mostly follow
//! another are stored as their difference from it ([`RELATIVE`]). Text is a list of texts that are new, and a list of
//! their places among all; iovecs are three lists; of bytes only the length stands here.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::DataType;
use serde::Serialize;

use crate::schema::Cell;
use crate::schema::columns::{ColumnSpec, Origin};
use crate::schema::types::OptIovecs;

/// Columns that are stored as the difference from another, divided by a number. The row's number is called `""`.
const RELATIVE: &[(&str, &str, i64)] = &[
    ("seq", "", 1),
    ("ts_ns", "mono_ns", 1),
    ("ts", "ts_ns", 1_000),
    ("until_ns", "mono_ns", 1),
    ("tid", "pid", 1),
    ("target_pid_arg", "target_pid", 1),
    ("ret", "bytes", 1),
    ("bytes_requested", "bytes", 1),
    ("payload_total", "bytes", 1),
    ("payload_len", "bytes", 1),
];

/// Texts of a column that are looked for first.
const SLOTS: usize = 16;
/// Bytes that a known text takes beside its own, about.
pub(super) const OF_A_TEXT: usize = 64;

/// What kind of values a column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Signed,
    Unsigned,
    Bool,
    Micros,
    Text,
    Iovecs,
    Bytes,
}

/// A column as the page gets it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Described {
    pub name: &'static str,
    pub kind: Kind,
    nullable: bool,
    unit: &'static str,
    origin: &'static str,
    toctou: bool,
    doc: &'static str,
    relative: Option<&'static str>,
    divisor: i64,
}

impl Described {
    /// One of a capture.
    pub fn of(spec: &ColumnSpec) -> Self {
        let kind = match (spec.data_type)() {
            DataType::Boolean => Kind::Bool,
            DataType::Timestamp(..) => Kind::Micros,
            DataType::Int32 | DataType::Int64 => Kind::Signed,
            DataType::UInt32 | DataType::UInt64 => Kind::Unsigned,
            DataType::List(item) if item.data_type() == &OptIovecs::item_type() => Kind::Iovecs,
            DataType::Binary => Kind::Bytes,
            _ => Kind::Text,
        };
        Described {
            nullable: spec.nullable,
            unit: spec.unit,
            origin: spec.origin.tag(),
            toctou: spec.toctou,
            ..Described::new(spec.name, kind, spec.doc)
        }
    }

    /// One that the report itself counts.
    pub fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        let relative = RELATIVE.iter().find(|(of, _, _)| *of == name);
        Described {
            name,
            kind,
            nullable: false,
            unit: "",
            origin: Origin::Recorder.tag(),
            toctou: false,
            doc,
            relative: relative.map(|(_, other, _)| *other),
            divisor: relative.map_or(1, |(_, _, divisor)| *divisor),
        }
    }
}

/// Numbers, some of them null. Unsigned ones are kept by their bits.
#[derive(Debug, Default)]
struct Numbers {
    values: Vec<i64>,
    valid: Vec<bool>,
}

impl Numbers {
    fn push(&mut self, value: Option<i64>) {
        self.values.push(value.unwrap_or_default());
        self.valid.push(value.is_some());
    }

    fn clear(&mut self) {
        self.values.clear();
        self.valid.clear();
    }

    /// Appends them. They are ordered as unsigned numbers if they are that, so that the smallest is near the others.
    fn write(&self, out: &mut Vec<u8>, unsigned: bool, minus: impl Fn(usize) -> i64) {
        let known = self.valid.iter().filter(|valid| **valid).count();
        if known == 0 {
            return out.push(2);
        }
        let has_nulls = known < self.values.len();
        out.push(u8::from(has_nulls));
        if has_nulls {
            out.extend(
                self.valid
                    .chunks(8)
                    .map(|bits| bits.iter().enumerate().fold(0, |byte, (at, valid)| byte | u8::from(*valid) << at)),
            );
        }
        let all = self.values.iter().zip(&self.valid).enumerate();
        let values: Vec<Option<i64>> =
            all.map(|(at, (value, valid))| valid.then(|| value.wrapping_sub(minus(at)))).collect();
        let known = values.iter().flatten().copied();
        let least = if unsigned { known.min_by_key(|value| *value as u64) } else { known.min() }.unwrap_or_default();
        let above = |value: Option<i64>| value.map_or(0, |value| value.wrapping_sub(least) as u64);
        let most = values.iter().map(|value| above(*value)).max().unwrap_or_default();
        let width = match most {
            0 => 0,
            1..=0xff => 1,
            0x100..=0xffff => 2,
            0x1_0000..=0xffff_ffff => 4,
            _ => 8,
        };
        out.push(width as u8);
        out.extend(least.to_le_bytes());
        for value in &values {
            out.extend(above(*value).to_le_bytes().iter().take(width));
        }
    }
}

/// A column while its block is filled.
#[derive(Debug)]
pub(super) struct Column {
    pub described: Described,
    numbers: Numbers,
    known: HashMap<Arc<str>, i64>,
    /// Bytes that these take.
    pub kept: usize,
    /// For some texts, where they probably are.
    slots: [Option<(Arc<str>, i64)>; SLOTS],
    fresh: Vec<u8>,
    fresh_count: u32,
    bases: Numbers,
    lengths: Numbers,
    /// Bytes of this block, which go elsewhere.
    pub bytes: Vec<u8>,
}

impl Column {
    pub fn new(described: Described) -> Self {
        Column {
            described,
            numbers: Numbers::default(),
            known: HashMap::new(),
            kept: 0,
            slots: Default::default(),
            fresh: Vec::new(),
            fresh_count: 0,
            bases: Numbers::default(),
            lengths: Numbers::default(),
            bytes: Vec::new(),
        }
    }

    /// Adds the value of a row. Returns how many bytes that takes at least, before compression.
    pub fn push(&mut self, cell: Cell<'_>) -> usize {
        let (value, bytes) = match cell {
            Cell::Null => (None, 0),
            Cell::Int(value) | Cell::Micros(value) => (Some(value), 0),
            Cell::Uint(value) => (Some(value as i64), 0),
            Cell::Bool(value) => (Some(i64::from(value)), 0),
            Cell::Text(text) => {
                let before = self.fresh.len();
                (Some(self.place(text)), self.fresh.len() - before)
            }
            Cell::Bytes(bytes) => {
                self.bytes.extend_from_slice(bytes);
                (Some(bytes.len() as i64), bytes.len())
            }
            Cell::Iovecs(ranges) => {
                for range in ranges.iter() {
                    self.bases.push(Some(range.base as i64));
                    self.lengths.push(Some(range.len as i64));
                }
                (Some(ranges.len() as i64), 16 * ranges.len())
            }
            Cell::Regions(regions) => {
                let before = self.fresh.len();
                (Some(self.place(&regions.to_string())), self.fresh.len() - before)
            }
        };
        self.numbers.push(value);
        bytes
    }

    /// The number of a text.
    fn place(&mut self, text: &str) -> i64 {
        let slot = (text.len() + usize::from(text.as_bytes().last().copied().unwrap_or(0))) % SLOTS;
        let probably = self.slots.get(slot).and_then(Option::as_ref);
        if let Some((_, place)) = probably.filter(|(known, _)| **known == *text) {
            return *place;
        }
        let found = match self.known.get_key_value(text) {
            Some((text, place)) => (Arc::clone(text), *place),
            None => {
                let found = (Arc::from(text), self.known.len() as i64);
                self.known.insert(Arc::clone(&found.0), found.1);
                self.kept += text.len() + OF_A_TEXT;
                self.fresh.extend((text.len() as u32).to_le_bytes());
                self.fresh.extend(text.as_bytes());
                self.fresh_count += 1;
                found
            }
        };
        let place = found.1;
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = Some(found);
        }
        place
    }

    fn clear(&mut self) {
        self.numbers.clear();
        self.bases.clear();
        self.lengths.clear();
        self.fresh.clear();
        self.fresh_count = 0;
        self.bytes.clear();
    }
}

/// Appends a block of `rows` rows, of which `first` is the number of the first, and empties the columns.
pub(super) fn block(columns: &mut [Column], rows: usize, first: u64, out: &mut Vec<u8>) {
    out.extend((rows as u32).to_le_bytes());
    for column in columns.iter() {
        let start = out.len();
        out.extend([0; 4]);
        write(column, columns, first, out);
        let length = (out.len() - start - 4) as u32;
        if let Some(place) = out.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }
    columns.iter_mut().for_each(Column::clear);
}

fn write(column: &Column, columns: &[Column], first: u64, out: &mut Vec<u8>) {
    let Described { kind, relative, divisor, .. } = column.described;
    if kind == Kind::Text {
        out.extend(column.fresh_count.to_le_bytes());
        out.extend(&column.fresh);
    }
    let other = relative.and_then(|name| columns.iter().find(|column| column.described.name == name));
    let minus = |at: usize| match (relative, other) {
        (Some(""), _) => (first as i64).wrapping_add(at as i64),
        (_, Some(other)) => other.numbers.values.get(at).map_or(0, |value| value.div_euclid(divisor)),
        (_, None) => 0,
    };
    column.numbers.write(out, kind == Kind::Unsigned && relative.is_none(), minus);
    if kind == Kind::Iovecs {
        out.extend((column.bases.values.len() as u32).to_le_bytes());
        column.bases.write(out, true, |_| 0);
        column.lengths.write(out, true, |_| 0);
    }
}
