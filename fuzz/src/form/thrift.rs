//! Thrift's compact protocol as a tree: read, changed, and written again, also with lies in it.

/// A value, and what is claimed of it where that is not the truth.
#[derive(Clone, Debug)]
pub struct Node {
    pub value: Value,
    /// The count of a list, the length of bytes, or the raw varint of a number, in place of the right one.
    pub lie: Option<u64>,
}

#[derive(Clone, Debug)]
pub enum Value {
    Bool(bool),
    Byte(u8),
    /// 16, 32 and 64 bits, by the type's number.
    Int(u8, i64),
    Double([u8; 8]),
    Binary(Vec<u8>),
    List(u8, Vec<Node>),
    Struct(Vec<Field>),
}

#[derive(Clone, Debug)]
pub struct Field {
    pub id: i16,
    /// The type that is claimed, in place of the right one.
    pub kind: Option<u8>,
    pub node: Node,
}

const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;
const MAX_DEPTH: usize = 24;

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        Node { value, lie: None }
    }
}

/// Reads bytes from the front.
pub struct Input<'a> {
    bytes: &'a [u8],
    pub at: usize,
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Input { bytes, at: 0 }
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A struct.
    pub fn structure(&mut self, depth: usize) -> Option<Node> {
        if depth > MAX_DEPTH {
            return None;
        }
        let (mut fields, mut id) = (Vec::new(), 0i16);
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(Value::Struct(fields).into());
            }
            id = match head >> 4 {
                0 => self.zigzag()? as i16,
                delta => id.checked_add(i16::from(delta))?,
            };
            let node = match head & 15 {
                1 => Value::Bool(true).into(),
                2 => Value::Bool(false).into(),
                kind => self.value(kind, depth + 1)?,
            };
            fields.push(Field { id, kind: None, node });
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Option<Node> {
        let value = match kind {
            1 | 2 => Value::Bool(self.byte()? == 1),
            3 => Value::Byte(self.byte()?),
            4..=6 => Value::Int(kind, self.zigzag()?),
            7 => {
                let bytes = self.bytes.get(self.at..self.at.checked_add(8)?)?;
                self.at += 8;
                Value::Double(bytes.try_into().ok()?)
            }
            BINARY => {
                let len = usize::try_from(self.varint()?).ok()?;
                let bytes = self.bytes.get(self.at..self.at.checked_add(len)?)?;
                self.at += len;
                Value::Binary(bytes.to_vec())
            }
            LIST => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.varint()?,
                    count => u64::from(count),
                };
                let kind = head & 15;
                let items = (0..count).map(|_| self.value(kind, depth + 1)).collect::<Option<Vec<_>>>()?;
                Value::List(kind, items)
            }
            STRUCT => return self.structure(depth + 1),
            _ => return None,
        };
        Some(value.into())
    }
}

pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

impl Node {
    fn kind(&self) -> u8 {
        match &self.value {
            Value::Bool(true) => 1,
            Value::Bool(false) => 2,
            Value::Byte(_) => 3,
            Value::Int(kind, _) => *kind,
            Value::Double(_) => 7,
            Value::Binary(_) => BINARY,
            Value::List(..) => LIST,
            Value::Struct(_) => STRUCT,
        }
    }

    /// As in a file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out, false);
        out
    }

    fn put(&self, out: &mut Vec<u8>, in_list: bool) {
        match &self.value {
            Value::Bool(value) if in_list => out.push(if *value { 1 } else { 2 }),
            Value::Bool(_) => {}
            Value::Byte(byte) => out.push(*byte),
            Value::Int(_, value) => put_varint(out, self.lie.unwrap_or_else(|| zigzag(*value))),
            Value::Double(bytes) => out.extend(bytes),
            Value::Binary(bytes) => {
                put_varint(out, self.lie.unwrap_or(bytes.len() as u64));
                out.extend(bytes);
            }
            Value::List(kind, items) => {
                let count = self.lie.unwrap_or(items.len() as u64);
                if count < 15 {
                    out.push((count as u8) << 4 | kind & 15);
                } else {
                    out.push(0xf0 | kind & 15);
                    put_varint(out, count);
                }
                items.iter().for_each(|item| item.put(out, true));
            }
            Value::Struct(fields) => {
                let mut before = 0i16;
                for field in fields {
                    let kind = field.kind.unwrap_or_else(|| field.node.kind()) & 15;
                    let delta = i32::from(field.id) - i32::from(before);
                    if (1..16).contains(&delta) {
                        out.push((delta as u8) << 4 | kind);
                    } else {
                        out.push(kind);
                        put_varint(out, zigzag(i64::from(field.id)));
                    }
                    field.node.put(out, false);
                    before = field.id;
                }
                out.push(0);
            }
        }
    }

    /// How many nodes there are, this one included.
    pub fn count(&self) -> usize {
        1 + match &self.value {
            Value::List(_, items) => items.iter().map(Node::count).sum(),
            Value::Struct(fields) => fields.iter().map(|field| field.node.count()).sum(),
            _ => 0,
        }
    }

    /// The node of that number, in the order of the bytes.
    pub fn nth(&mut self, mut n: usize) -> Option<&mut Node> {
        if n == 0 {
            return Some(self);
        }
        n -= 1;
        let below: Vec<&mut Node> = match &mut self.value {
            Value::List(_, items) => items.iter_mut().collect(),
            Value::Struct(fields) => fields.iter_mut().map(|field| &mut field.node).collect(),
            _ => return None,
        };
        for node in below {
            let count = node.count();
            if n < count {
                return node.nth(n);
            }
            n -= count;
        }
        None
    }

    pub fn field(&self, id: i16) -> Option<&Node> {
        let Value::Struct(fields) = &self.value else { return None };
        fields.iter().find(|field| field.id == id).map(|field| &field.node)
    }

    pub fn field_mut(&mut self, id: i16) -> Option<&mut Node> {
        let Value::Struct(fields) = &mut self.value else { return None };
        fields.iter_mut().find(|field| field.id == id).map(|field| &mut field.node)
    }

    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(_, items) => items,
            _ => &[],
        }
    }

    pub fn items_mut(&mut self) -> &mut [Node] {
        match &mut self.value {
            Value::List(_, items) => items,
            _ => &mut [],
        }
    }

    pub fn int(&self) -> Option<i64> {
        match self.value {
            Value::Int(_, value) => Some(value),
            _ => None,
        }
    }

    /// The number of a field.
    pub fn int_of(&self, id: i16) -> Option<i64> {
        self.field(id)?.int()
    }

    /// Gives a field that is there another number.
    pub fn set_int(&mut self, id: i16, to: i64) {
        if let Some(Value::Int(_, value)) = self.field_mut(id).map(|node| &mut node.value) {
            *value = to;
        }
    }

    pub fn bytes_mut(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.value {
            Value::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.value {
            Value::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }
}
