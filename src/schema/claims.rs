//! Checks what a footer and its page indexes claim, before the Parquet library follows it.
//!
//! The library allocates memory according to the numbers it finds, and follows the schema by recursion. A failed
//! allocation and an exhausted stack end the process and cannot be caught. Owns the check; the library parses what
//! passes.

use std::fs::File;
use std::ops::Range;

use anyhow::{Context, Result, anyhow, ensure};

use super::file::read_at;
use super::limits::{MAX_ELEMENTS, MAX_FOOTER, MAX_NAME, MAX_NESTING, MAX_ROW_GROUPS};
use super::structure::{COLUMN_INDEX, FILE, Fault, OFFSET_INDEX, Of, Struct, Visit, walk};
use super::thrift::Input;

/// What was found in a footer that the library may read.
#[derive(Debug)]
pub(super) struct Claims {
    /// Bytes that it will take in memory.
    memory: u64,
    indexes: Vec<(&'static Struct, Range<u64>)>,
}

impl Claims {
    /// Checks a footer, a `FileMetaData`, which may take `most` bytes in memory.
    ///
    /// # Errors
    /// When it is nested deeper than any capture, larger than it may be, or damaged.
    pub fn of(footer: &[u8], most: u64) -> Result<Self> {
        let mut tree = Tree::default();
        let memory = walk(&mut Input::new(footer), &FILE, most, &mut tree);
        ensure!(tree.deepest <= MAX_NESTING, "the schema is nested {} levels deep: not a capture", tree.deepest);
        let memory = memory.map_err(|fault| fault.of("the Parquet footer", most))?;
        Ok(Claims { memory, indexes: tree.indexes })
    }

    /// Where the page indexes lie, all together.
    ///
    /// # Errors
    /// When they do not lie in a file of `size` bytes.
    pub fn indexes(&self, size: u64) -> Result<Option<Range<u64>>> {
        let whole = self.indexes.iter().map(|(_, range)| range.clone());
        let Some(whole) = whole.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)) else { return Ok(None) };
        ensure!(
            whole.end <= size && whole.end - whole.start <= MAX_FOOTER,
            "the page index is damaged: it claims bytes {} to {}",
            whole.start,
            whole.end
        );
        Ok(Some(whole))
    }

    /// Checks the page indexes, which `file` of `size` bytes has; with the footer they may take `most` bytes in memory.
    ///
    /// # Errors
    /// When one is damaged, or larger than it may be.
    pub fn check_indexes(&self, file: &File, size: u64, most: u64) -> Result<()> {
        let Some(whole) = self.indexes(size)? else { return Ok(()) };
        let bytes = read_at(file, whole.start, usize::try_from(whole.end - whole.start)?);
        self.check_indexes_in(&bytes.context("the page index cannot be read")?, whole.start, most)
    }

    /// The same of `bytes`, which begin at `start`.
    ///
    /// # Errors
    /// As [`Claims::check_indexes`].
    pub fn check_indexes_in(&self, bytes: &[u8], start: u64, most: u64) -> Result<()> {
        let mut left = most.saturating_sub(self.memory).saturating_sub(bytes.len() as u64);
        for (structure, range) in &self.indexes {
            let part = |at: u64| usize::try_from(at.checked_sub(start)?).ok();
            let part = part(range.start).zip(part(range.end)).and_then(|(start, end)| bytes.get(start..end));
            let part = part.context("the page index is damaged: it is outside the file")?;
            // Many columns may name the same index.
            left = left.saturating_sub(part.len() as u64);
            let memory = walk(&mut Input::new(part), structure, left, &mut ());
            left -= memory.map_err(|fault| fault.of("the page index", most))?;
        }
        Ok(())
    }
}

impl Fault {
    fn of(self, what: &str, most: u64) -> anyhow::Error {
        match self {
            Fault::Damaged => anyhow!("{what} is damaged"),
            Fault::Large => anyhow!(
                "{what} would take more than {} MiB of memory: --allow-large SIZE reads it if the file is trusted",
                most >> 20
            ),
        }
    }
}

/// The schema as a tree in depth-first order, and where page indexes are.
#[derive(Default)]
struct Tree {
    elements: u64,
    /// Children of the element that is being read.
    children: i64,
    /// Children still to come, of each group that is open.
    open: Vec<i64>,
    deepest: usize,
    chunk: [Option<i64>; 4],
    indexes: Vec<(&'static Struct, Range<u64>)>,
}

impl Tree {
    /// Takes an element with its children, of which there are no more than elements. Groups that are full are closed.
    fn element(&mut self) -> Option<()> {
        let root = self.elements == 0;
        self.elements += 1;
        (self.elements <= MAX_ELEMENTS && root == self.open.is_empty()).then_some(())?;
        if let Some(left) = self.open.last_mut() {
            *left -= 1;
        }
        (0..=i64::try_from(MAX_ELEMENTS).ok()?).contains(&self.children).then_some(())?;
        // Children of all open groups that have not been read yet.
        if self.children > 0 {
            self.open.push(self.children);
        }
        self.deepest = self.deepest.max(self.open.len());
        while self.open.last() == Some(&0) {
            self.open.pop();
        }
        Some(())
    }

    fn index(&mut self, structure: &'static Struct, offset: usize, length: usize) -> Option<()> {
        let (Some(Some(offset)), Some(Some(length))) = (self.chunk.get(offset), self.chunk.get(length)) else {
            return Some(());
        };
        let start = u64::try_from(*offset).ok()?;
        let end = start.checked_add(u64::try_from(*length).ok()?)?;
        self.indexes.push((structure, start..end));
        Some(())
    }
}

impl Visit for Tree {
    fn number(&mut self, of: Of, field: i16, value: i64) -> Option<()> {
        match (of, field) {
            (Of::SchemaElement, 5) => self.children = value,
            (Of::ColumnChunk, 4..=7) => *self.chunk.get_mut(usize::try_from(field - 4).ok()?)? = Some(value),
            _ => {}
        }
        Some(())
    }

    fn bytes(&mut self, of: Of, field: i16, length: u64) -> Option<()> {
        ((of, field) != (Of::SchemaElement, 4) || length <= MAX_NAME).then_some(())
    }

    fn list(&mut self, of: Of, field: i16, count: u64) -> Option<()> {
        let most = match (of, field) {
            (Of::File, 2) => MAX_ELEMENTS,
            (Of::File, 4) => MAX_ROW_GROUPS,
            _ => return Some(()),
        };
        (count <= most).then_some(())
    }

    fn begin(&mut self, of: Of) -> Option<()> {
        match of {
            Of::SchemaElement => self.children = 0,
            Of::ColumnChunk => self.chunk = [None; 4],
            _ => {}
        }
        Some(())
    }

    fn end(&mut self, of: Of) -> Option<()> {
        match of {
            Of::SchemaElement => self.element(),
            Of::ColumnChunk => self.index(&OFFSET_INDEX, 0, 1).and_then(|()| self.index(&COLUMN_INDEX, 2, 3)),
            // A group that claims more children than there are.
            Of::File => self.open.is_empty().then_some(()),
            _ => Some(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = 64 << 20;

    /// A root with `groups` groups in each other and a leaf, then `leaves` more in the root.
    fn footer(groups: usize, leaves: u8) -> Vec<u8> {
        let element = |children: u8| [0x48, 1, b'x', 0x15, children << 1, 0];
        let count = groups + 2 + usize::from(leaves);
        let mut bytes = vec![0x15, 2, 0x19, 0xfc, count as u8 | 0x80, (count >> 7) as u8];
        bytes.extend(element(leaves + 1));
        bytes.extend((0..groups).flat_map(|_| element(1)));
        bytes.extend((0..=leaves).flat_map(|_| [0x48, 1, b'y', 0]));
        bytes.push(0);
        bytes
    }

    fn varint(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    fn fault(footer: &[u8]) -> String {
        Claims::of(footer, MOST).unwrap_err().to_string()
    }

    #[test]
    fn levels_are_counted() {
        assert!(Claims::of(&footer(0, 3), MOST).is_ok());
        assert!(Claims::of(&footer(9, 9), MOST).is_ok());
        assert!(fault(&footer(5000, 0)).contains("nested 5001 levels"));
        assert!(fault(&[0x15]).contains("damaged"));
        assert!(fault(&footer(10_000, 0)).contains("damaged"));
        // A second schema: the field is repeated, with its full id.
        let mut twice = footer(1, 0);
        twice.pop();
        twice.extend([0x09, 4]);
        twice.extend(&footer(1, 0)[3..]);
        assert!(fault(&twice).contains("damaged"));
    }

    #[test]
    fn what_a_footer_has_is_counted_up_to_its_limits() {
        // A root, groups in each other, a leaf.
        assert!(Claims::of(&footer(MAX_NESTING - 1, 0), MOST).is_ok());
        assert_eq!(fault(&footer(MAX_NESTING, 0)), format!("the schema is nested {} levels deep: not a capture", 17));
        let element = |name: usize| [vec![0x48], varint(name as u64), vec![b'x'; name], vec![0]].concat();
        let list = |field: u8, kind: u8, count: u64| [vec![field << 4 | 9, 0xf0 | kind], varint(count)].concat();
        let of = |elements: u64, name: u64, groups: u64| {
            let root = [vec![0x48, 1, b'r', 0x15], varint((elements - 1) << 1), vec![0]].concat();
            let leaves = (1..elements).map(|_| element(name as usize));
            let schema = [root, leaves.collect::<Vec<_>>().concat()].concat();
            let groups = [list(2, 12, groups), vec![0; groups as usize]].concat();
            [vec![0x15, 2], list(1, 12, elements), schema, groups, vec![0]].concat()
        };
        let footers = |over| {
            let [elements, name, groups] = [MAX_ELEMENTS, MAX_NAME, MAX_ROW_GROUPS].map(|limit| limit + over);
            [of(elements, 1, 1), of(2, name, 1), of(2, 1, groups)]
        };
        for (at, above) in footers(0).iter().zip(footers(1)) {
            assert!(Claims::of(at, MOST).is_ok());
            assert_eq!(fault(&above), "the Parquet footer is damaged");
        }
    }

    #[test]
    fn page_indexes_are_no_larger_together_than_a_footer() {
        let claims = |end| Claims { memory: 0, indexes: vec![(&OFFSET_INDEX, 4..5), (&COLUMN_INDEX, 9..end)] };
        let size = 2 * MAX_FOOTER;
        assert_eq!(claims(4 + MAX_FOOTER).indexes(size).unwrap(), Some(4..4 + MAX_FOOTER));
        let said = claims(5 + MAX_FOOTER).indexes(size).unwrap_err().to_string();
        assert!(said.starts_with("the page index is damaged: it claims bytes 4 to "), "{said}");
    }

    #[test]
    fn groups_have_the_children_they_claim() {
        let children = |claimed: &[u8]| {
            let mut bytes = vec![0x15, 2, 0x19, 0x3c, 0x48, 1, b'x', 0x15];
            bytes.extend(claimed);
            bytes.extend([0, 0x48, 1, b'y', 0, 0x48, 1, b'y', 0, 0]);
            Claims::of(&bytes, MOST).map(drop)
        };
        assert!(children(&[4]).is_ok());
        for claimed in [&[2][..], &[6], &[3], &[0], &[0xfe, 0xff, 0xff, 0xff, 0x0f], &[0xfe, 0xff, 0x03]] {
            assert!(children(claimed).unwrap_err().to_string().contains("damaged"), "{claimed:?}");
        }
    }

    #[test]
    fn a_footer_takes_no_more_memory_than_it_may() {
        let error = Claims::of(&footer(9, 9), 10 << 10).unwrap_err().to_string();
        assert!(error.contains("--allow-large"), "{error}");
        // What a small file may take.
        let metadata = super::super::limits::Limits::default().metadata(0);
        let takes = Claims::of(&footer(9, 9), metadata).unwrap().memory;
        assert!(Claims::of(&footer(9, 9), takes).is_ok());
        assert!(Claims::of(&footer(9, 9), takes - 1).is_err());
    }
}
