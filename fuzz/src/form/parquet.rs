//! What Parquet has in a capture: a footer with the page indexes before it, and pages.

use std::collections::BTreeMap;

use super::edit::Edit;
use super::thrift::{Input, Node, Value};

const ZSTD: i64 = 6;

/// A footer and its page indexes.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    pub tree: Node,
    indexes: Vec<Index>,
}

impl Default for Node {
    fn default() -> Self {
        Value::Struct(Vec::new()).into()
    }
}

/// A column index or offset index.
#[derive(Clone, Debug)]
pub struct Index {
    pub tree: Node,
    group: usize,
    column: usize,
    /// The field of the column chunk that has its offset; the next one has its length.
    field: i16,
}

/// Where a column chunk is.
#[derive(Clone, Copy, Debug)]
pub struct Chunk {
    pub at: usize,
    pub len: usize,
    pub codec: i64,
}

const OFFSET_INDEX: i16 = 4;
const COLUMN_INDEX: i16 = 6;

/// The column chunks that a footer names, in their order.
pub fn chunks(footer: &Node) -> Vec<Chunk> {
    let groups = footer.field(4).map(Node::items).unwrap_or_default();
    let columns = groups.iter().flat_map(|group| group.field(1).map(Node::items).unwrap_or_default());
    let mut all: Vec<Chunk> = columns
        .filter_map(|column| {
            let meta = column.field(3)?;
            let at = meta.int_of(11).unwrap_or(i64::MAX).min(meta.int_of(9)?);
            let at = usize::try_from(at).ok()?;
            Some(Chunk { at, len: usize::try_from(meta.int_of(7)?).ok()?, codec: meta.int_of(4)? })
        })
        .collect();
    all.sort_by_key(|chunk| chunk.at);
    all
}

impl Meta {
    /// The footer at the end of `bytes`, which are behind `before` others.
    pub fn parse(bytes: &[u8], before: usize) -> Option<Self> {
        let (rest, _magic) = bytes.split_last_chunk::<4>()?;
        let (rest, len) = rest.split_last_chunk::<4>()?;
        let footer = rest.get(rest.len().checked_sub(u32::from_le_bytes(*len) as usize)?..)?;
        let tree = Input::new(footer).structure(0)?;
        let mut found = BTreeMap::new();
        for (group, node) in tree.field(4)?.items().iter().enumerate() {
            for (column, node) in node.field(1)?.items().iter().enumerate() {
                for field in [COLUMN_INDEX, OFFSET_INDEX] {
                    let Some(at) = node.int_of(field).and_then(|at| usize::try_from(at).ok()) else { continue };
                    let at = at.checked_sub(before)?;
                    let tree = Input::new(bytes.get(at..)?).structure(0)?;
                    found.insert((at, field), Index { tree, group, column, field });
                }
            }
        }
        Some(Meta { tree, indexes: found.into_values().collect() })
    }

    /// Has offsets and sizes tell the truth again.
    pub fn move_to(&mut self, moves: &BTreeMap<usize, (usize, usize, usize)>) {
        let moved = |at: i64| moves.get(&usize::try_from(at).ok()?).copied();
        // A chunk has the sizes of its pages: those between its begin and its end.
        let sizes = |at: i64, len: i64| {
            let range = usize::try_from(at).unwrap_or(0)..usize::try_from(at.saturating_add(len)).unwrap_or(0);
            let inside = (range.start <= range.end).then(|| moves.range(range));
            inside.into_iter().flatten().fold((0, 0), |(len, full), (_, (_, l, f))| (len + *l as i64, full + *f as i64))
        };
        let groups = self.tree.field_mut(4).map(Node::items_mut).unwrap_or_default();
        for group in groups {
            for column in group.field_mut(1).map(Node::items_mut).unwrap_or_default() {
                let Some(meta) = column.field_mut(3) else { continue };
                let begin = meta.int_of(11).unwrap_or(i64::MAX).min(meta.int_of(9).unwrap_or(i64::MAX));
                let (len, full) = sizes(begin, meta.int_of(7).unwrap_or(0));
                for field in [9, 11] {
                    if let Some((at, ..)) = meta.int_of(field).and_then(moved) {
                        meta.set_int(field, at as i64);
                    }
                }
                // Bloom filters are behind the pages.
                if let Some(at) = meta.int_of(14).and_then(|at| usize::try_from(at).ok())
                    && let Some((was, (is, ..))) = moves.range(..=at).next_back()
                {
                    meta.set_int(14, (at - was + is) as i64);
                }
                if len > 0 {
                    meta.set_int(7, len);
                    meta.set_int(6, full);
                }
            }
        }
        for index in self.indexes.iter_mut().filter(|index| index.field == OFFSET_INDEX) {
            for place in index.tree.field_mut(1).map(Node::items_mut).unwrap_or_default() {
                if let Some((at, len, _)) = place.int_of(1).and_then(moved) {
                    place.set_int(1, at as i64);
                    place.set_int(2, len as i64);
                }
            }
        }
    }

    /// Changes one of the indexes.
    pub fn change_index(&mut self, edit: &Edit) {
        let place = edit.place(self.indexes.len());
        if let Some(index) = self.indexes.get_mut(place) {
            super::capture::change(index, edit);
        }
    }

    /// The bytes of the indexes, which begin at `at`; the footer gets to know where they are.
    pub fn indexes(&mut self, at: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for index in &self.indexes {
            let bytes = index.tree.encode();
            let group = self.tree.field_mut(4).and_then(|groups| groups.items_mut().get_mut(index.group));
            let column = group.and_then(|group| group.field_mut(1)?.items_mut().get_mut(index.column));
            if let Some(column) = column {
                column.set_int(index.field, (at + out.len()) as i64);
                column.set_int(index.field + 1, bytes.len() as i64);
            }
            out.extend(bytes);
        }
        out
    }

    /// Changes what the footer has under a key.
    pub fn set_key(&mut self, key: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let pairs = self.tree.field_mut(5).map(Node::items_mut).unwrap_or_default();
        let pair = pairs.iter_mut().find(|pair| pair.field(1).and_then(Node::bytes) == Some(key.as_bytes()));
        if let Some(value) = pair.and_then(|pair| pair.field_mut(2)?.bytes_mut()) {
            change(value);
        }
    }
}

/// A page, unpacked.
#[derive(Clone, Debug)]
pub struct Page {
    header: Node,
    /// As in the file, where nothing in it was changed.
    packed: Vec<u8>,
    pub content: Vec<u8>,
    pub changed: bool,
    codec: i64,
    /// Where its header was, and what follows it.
    pub at: usize,
    pub end: usize,
}

impl Page {
    /// The page at `at`.
    pub fn parse(bytes: &[u8], at: usize, codec: i64) -> Option<Self> {
        let mut input = Input::new(bytes.get(at..)?);
        let header = input.structure(0)?;
        let begin = at + input.at;
        let end = begin + usize::try_from(header.int_of(3)?).ok()?;
        let packed = bytes.get(begin..end)?.to_vec();
        let content = if codec == ZSTD { zstd::stream::decode_all(&packed[..]).ok()? } else { packed.clone() };
        Some(Page { header, packed, content, changed: false, codec, at, end })
    }

    /// Writes the page, with lies in its header. Returns the bytes of header and content, unpacked.
    pub fn put<'a>(&self, out: &mut Vec<u8>, lies: impl Iterator<Item = &'a Edit>) -> usize {
        let mut header = self.header.clone();
        let packed = match (self.changed, self.codec) {
            (false, _) => self.packed.clone(),
            (true, ZSTD) => zstd::bulk::compress(&self.content, 1).unwrap_or_default(),
            (true, _) => self.content.clone(),
        };
        header.set_int(2, self.content.len() as i64);
        header.set_int(3, packed.len() as i64);
        header.set_int(4, i64::from(crc32fast::hash(&packed) as i32));
        lies.for_each(|edit| edit.thrift(&mut header));
        let bytes = header.encode();
        out.extend(&bytes);
        out.extend(packed);
        bytes.len() + self.content.len()
    }
}
