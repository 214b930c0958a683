//! Changes to a decoded form, as the fuzzer writes them: records of a fixed length, so that what it does to bytes does
//! something sensible here. Nothing in a record is refused: places are taken modulo what is there.

use super::thrift::{Node, Value, put_varint};

/// Values of a tree, and bytes of a text, that one edit may make of one.
const MOST_VALUES: usize = 1 << 20;
const MOST_BYTES: usize = 64 << 20;
/// Bytes of a document that are changed yet: each change reads all of it.
const MOST_TEXT: usize = 4 << 20;

/// Bytes of a record.
pub const RECORD: usize = 16;

/// One change.
#[derive(Clone, Copy, Debug)]
pub struct Edit {
    /// What kind of thing is changed; its owner says how many there are.
    pub area: u8,
    /// How.
    pub op: u8,
    /// Which thing of the kind.
    pub index: u32,
    /// Where within it.
    pub sub: u32,
    form: u8,
    small: u8,
    raw: u32,
}

/// The records of an input; half a record at the end counts for nothing.
pub fn records(input: &[u8]) -> Vec<Edit> {
    input.chunks_exact(RECORD).map(Edit::of).collect()
}

const WORDS: [&[u8]; 16] = [
    b"",
    b"\x1b[31m",
    b"a\nb",
    "\u{202e}txt".as_bytes(),
    b"\0",
    b"../../etc/passwd",
    b"<script>alert(1)</script>",
    b"=1+1",
    b"\xff\xfe",
    "\u{9b}2J".as_bytes(),
    b"\\",
    b"\"'",
    b"process_vm_readv",
    b"lost",
    b"-",
    b"18446744073709551616",
];

impl Edit {
    fn of(record: &[u8]) -> Self {
        let half = |at: usize| record.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
        let byte = |at: usize| record.get(at).copied().unwrap_or_default();
        Edit { area: byte(0), op: byte(1), form: byte(2), small: byte(3), index: half(4), sub: half(8), raw: half(12) }
    }

    /// The number that the record means: one at the edge of a type, or any.
    pub fn number(&self) -> i64 {
        const EDGES: [i64; 28] = [
            0,
            1,
            -1,
            2,
            3,
            7,
            8,
            i8::MAX as i64,
            i8::MIN as i64,
            255,
            256,
            i16::MAX as i64,
            i16::MIN as i64,
            65_535,
            65_536,
            131_072,
            131_073,
            1 << 20,
            16 << 20,
            (16 << 20) + 1,
            1 << 28,
            i32::MAX as i64,
            i32::MIN as i64,
            u32::MAX as i64,
            1 << 32,
            1 << 40,
            i64::MAX,
            i64::MIN,
        ];
        let raw = i64::from(self.raw as i32);
        match self.form % 4 {
            0 => EDGES[usize::from(self.small) % EDGES.len()],
            1 => EDGES[usize::from(self.small) % EDGES.len()].wrapping_add(raw % 64),
            2 => raw,
            _ => (i64::from(self.raw) << 32) | i64::from(self.index ^ self.sub),
        }
    }

    /// A word that has hurt readers somewhere, or any four bytes.
    pub fn word(&self) -> Vec<u8> {
        match self.form % 3 {
            0 => WORDS[usize::from(self.small) % WORDS.len()].to_vec(),
            1 => self.raw.to_le_bytes().to_vec(),
            _ => WORDS[usize::from(self.small) % WORDS.len()].repeat(1 + self.raw as usize % 3000),
        }
    }

    /// The place that is meant among so many.
    pub fn place(&self, count: usize) -> usize {
        self.index as usize % count.max(1)
    }

    /// The place within, among so many.
    pub fn within(&self, count: usize) -> usize {
        self.sub as usize % count.max(1)
    }

    /// Changes a tree of thrift at its node `sub`.
    pub fn thrift(&self, tree: &mut Node) {
        let count = tree.count();
        if count > MOST_VALUES {
            return;
        }
        let Some(node) = tree.nth(self.within(count)) else { return };
        match self.op % 12 {
            0 | 1 => self.set(node),
            2 => node.lie = Some(self.number() as u64),
            3 => self.remove(node),
            4 => self.repeat(node),
            5 => self.retype(node),
            6 => self.renumber(node),
            7 => {
                if let Value::Int(_, value) = &mut node.value {
                    *value = value.wrapping_add(i64::from(self.raw as i8));
                }
            }
            8 => {
                // Another part of the tree in its place.
                let n = self.index as usize % count;
                let other = tree.nth(n).map(|node| node.clone());
                let target = tree.nth(self.within(count));
                if let (Some(other), Some(target)) = (other, target) {
                    *target = other;
                }
            }
            9 => match &mut node.value {
                Value::Struct(fields) if !fields.is_empty() => {
                    let (a, b) = (self.index as usize % fields.len(), self.raw as usize % fields.len());
                    fields.swap(a, b);
                }
                Value::List(_, items) if !items.is_empty() => {
                    let (a, b) = (self.index as usize % items.len(), self.raw as usize % items.len());
                    items.swap(a, b);
                }
                Value::Binary(bytes) => self.bytes(bytes, self.raw as usize),
                _ => {}
            },
            10 => {
                if let Value::Struct(fields) = &mut node.value {
                    let id = (self.small % 20) as i16;
                    let node = match self.form % 3 {
                        0 => Value::Int(6, self.number()).into(),
                        1 => Value::Binary(self.word()).into(),
                        _ => Value::List(12, Vec::new()).into(),
                    };
                    fields.push(super::thrift::Field { id, kind: None, node });
                }
            }
            _ => {
                // Nested in itself.
                for _ in 0..1 + self.small % 40 {
                    let inner = node.clone();
                    node.value = Value::Struct(vec![super::thrift::Field { id: 1, kind: None, node: inner }]);
                }
            }
        }
    }

    fn set(&self, node: &mut Node) {
        match &mut node.value {
            Value::Bool(value) => *value = !*value,
            Value::Byte(value) => *value = self.raw as u8,
            Value::Int(_, value) => *value = self.number(),
            Value::Double(bytes) => *bytes = (self.number() as u64).to_le_bytes(),
            Value::Binary(bytes) => self.bytes(bytes, self.raw as usize),
            Value::List(_, items) => {
                let len = items.len();
                items.truncate(self.raw as usize % (len + 1));
            }
            Value::Struct(fields) => {
                if !fields.is_empty() {
                    fields.remove(self.raw as usize % fields.len());
                }
            }
        }
    }

    fn remove(&self, node: &mut Node) {
        match &mut node.value {
            Value::List(_, items) if !items.is_empty() => drop(items.remove(self.raw as usize % items.len())),
            Value::Struct(fields) if !fields.is_empty() => drop(fields.remove(self.raw as usize % fields.len())),
            Value::Binary(bytes) => bytes.clear(),
            _ => node.lie = Some(0),
        }
    }

    fn repeat(&self, node: &mut Node) {
        match &mut node.value {
            Value::List(_, items) if !items.is_empty() => {
                let item = items[self.raw as usize % items.len()].clone();
                let times = if self.form & 1 == 0 { 1 } else { (usize::from(self.small) * 64).min(4096) };
                items.extend(std::iter::repeat_n(&item, times.min(MOST_VALUES / item.count())).cloned());
            }
            Value::Struct(fields) if !fields.is_empty() => {
                let field = fields[self.raw as usize % fields.len()].clone();
                fields.push(field);
            }
            Value::Binary(bytes) => {
                *bytes = bytes.repeat(times(self.small, bytes.len(), MOST_BYTES));
            }
            _ => {}
        }
    }

    fn retype(&self, node: &mut Node) {
        match &mut node.value {
            Value::List(kind, _) => *kind = self.small & 15,
            Value::Struct(fields) if !fields.is_empty() => {
                let at = self.raw as usize % fields.len();
                fields[at].kind = Some(self.small & 15);
            }
            Value::Int(kind, _) => *kind = 4 + self.small % 3,
            _ => {}
        }
    }

    fn renumber(&self, node: &mut Node) {
        if let Value::Struct(fields) = &mut node.value
            && !fields.is_empty()
        {
            let at = self.raw as usize % fields.len();
            fields[at].id = if self.form & 1 == 0 { i16::from(self.small % 20) } else { self.number() as i16 };
        }
    }

    /// Changes bytes at `at`, taken modulo how many there are.
    pub fn bytes(&self, bytes: &mut Vec<u8>, at: usize) {
        let len = bytes.len();
        let at = at % (len + 1);
        let end = at.saturating_add(1 + usize::from(self.small)).min(len);
        match self.op / 12 % 10 {
            0 => *bytes = self.word(),
            1 => drop(bytes.splice(at..at, self.word())),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.truncate(at),
            4 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (self.small % 8);
                }
            }
            5 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = self.small;
                }
            }
            6 => {
                // Numbers of pages are varints.
                let mut number = Vec::new();
                put_varint(&mut number, self.number() as u64);
                bytes.splice(at..end.min(at + 1), number);
            }
            7 => {
                let number = (self.number() as u64).to_le_bytes();
                let width = [1, 2, 4, 8][usize::from(self.small) % 4];
                let end = (at + width).min(len);
                bytes.splice(at..end, number.into_iter().take(width));
            }
            8 => {
                let part: Vec<u8> = bytes.get(at..end).unwrap_or_default().to_vec();
                let at = self.raw as usize % (len + 1);
                bytes.splice(at..at, part);
            }
            _ => {
                // What packs well: a bomb where it is packed. Large ones are rare.
                let times = (self.raw as usize & 0x07ff_ffff) >> (self.raw >> 27);
                bytes.splice(at..at, std::iter::repeat_n(self.small, times));
            }
        }
    }

    /// Changes a JSON document at its value `sub`.
    pub fn json(&self, text: &mut Vec<u8>) {
        if text.len() > MOST_TEXT {
            return;
        }
        if self.op % 12 == 11 {
            return self.bytes(text, self.sub as usize);
        }
        let Ok(mut root) = serde_json::from_slice::<serde_json::Value>(text) else {
            return self.bytes(text, self.sub as usize);
        };
        let count = json_count(&root);
        let other = json_nth(&mut root, self.index as usize % count).cloned();
        if let Some(value) = json_nth(&mut root, self.within(count)) {
            self.json_value(value, other.unwrap_or_default());
        }
        if let Ok(changed) = serde_json::to_vec(&root) {
            *text = changed;
        }
    }

    fn json_value(&self, value: &mut serde_json::Value, other: serde_json::Value) {
        use serde_json::Value as Json;
        let word = || Json::String(String::from_utf8_lossy(&self.word()).into_owned());
        match self.op % 11 {
            0 => *value = self.number().into(),
            1 => *value = (self.number() as u64).into(),
            2 => *value = word(),
            3 => *value = Json::Null,
            4 => *value = other,
            5 => match value {
                Json::Array(items) if !items.is_empty() => drop(items.remove(self.raw as usize % items.len())),
                Json::Object(fields) if !fields.is_empty() => {
                    let key = fields.keys().nth(self.raw as usize % fields.len()).cloned();
                    key.map(|key| fields.remove(&key));
                }
                Json::Bool(value) => *value = !*value,
                _ => *value = Json::Object(Default::default()),
            },
            6 => match value {
                Json::Array(items) if !items.is_empty() => {
                    let item = items[self.raw as usize % items.len()].clone();
                    let times = times(self.small, json_count(&item), MOST_VALUES);
                    items.extend(std::iter::repeat_n(item, times));
                }
                Json::Array(items) => items.push(other),
                Json::Object(fields) => drop(fields.insert(String::from_utf8_lossy(&self.word()).into(), other)),
                Json::String(text) => *text = text.repeat(times(self.small, text.len(), MOST_BYTES)),
                _ => *value = Json::Array(vec![other.clone(); times(self.small, json_count(&other), MOST_VALUES)]),
            },
            7 => {
                if let Json::String(text) = value {
                    let mut at = self.raw as usize % (text.len() + 1);
                    while !text.is_char_boundary(at) {
                        at -= 1;
                    }
                    text.insert_str(at, &String::from_utf8_lossy(&self.word()));
                } else if let Some(number) = value.as_i64() {
                    *value = number.wrapping_add(i64::from(self.raw as i8)).into();
                }
            }
            8 => *value = f64::from_bits(self.number() as u64).into(),
            9 => {
                for _ in 0..self.small {
                    *value = Json::Array(vec![value.take()]);
                }
            }
            _ => *value = Json::Bool(self.small & 1 == 1),
        }
    }
}

/// How often a part is repeated, so that all of it stays below `most`.
fn times(wanted: u8, part: usize, most: usize) -> usize {
    (1 + usize::from(wanted)).min(most / part.max(1)).max(1)
}

fn json_count(value: &serde_json::Value) -> usize {
    1 + match value {
        serde_json::Value::Array(items) => items.iter().map(json_count).sum(),
        serde_json::Value::Object(fields) => fields.values().map(json_count).sum(),
        _ => 0,
    }
}

fn json_nth(value: &mut serde_json::Value, mut n: usize) -> Option<&mut serde_json::Value> {
    if n == 0 {
        return Some(value);
    }
    n -= 1;
    let below: Vec<&mut serde_json::Value> = match value {
        serde_json::Value::Array(items) => items.iter_mut().collect(),
        serde_json::Value::Object(fields) => fields.values_mut().collect(),
        _ => return None,
    };
    for value in below {
        let count = json_count(value);
        if n < count {
            return json_nth(value, n);
        }
        n -= count;
    }
    None
}
