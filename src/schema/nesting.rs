//! How deep and how large a file's schema is, found out before the Parquet library follows it by recursion.
//!
//! Owns only that: the schema is understood by the library.

use anyhow::{Context, Result, ensure};

use super::thrift::{INT32, Input, LIST, STRUCT};

/// Nesting accepted; ours has 4 levels (a list of structs).
const MAX_NESTING: usize = 64;
/// Columns and groups accepted; ours has about 80. The library makes a hundred bytes of the three that one can take.
const MAX_ELEMENTS: u64 = 10_000;

/// Checks the schema in `footer`, a `FileMetaData`.
///
/// # Errors
/// When it is nested deeper than any capture, or cannot be followed.
pub fn check(footer: &[u8]) -> Result<()> {
    let depth = depth(footer).context("the Parquet footer is damaged")?;
    ensure!(depth <= MAX_NESTING, "the schema is nested {depth} levels deep: not a capture");
    Ok(())
}

/// Levels of the schema, which is a tree in depth-first order; `None` where the bytes make no sense. A schema that
/// stands there twice is read twice by the library, too.
fn depth(footer: &[u8]) -> Option<usize> {
    let mut input = Input::new(footer);
    let mut id = 0;
    let mut deepest = 0;
    while let Some(kind) = input.field(&mut id)? {
        if (id, kind) != (2, LIST) {
            input.skip(kind)?;
            continue;
        }
        let (count, kind) = input.list()?;
        if count > MAX_ELEMENTS {
            return None;
        }
        // Children still to come, of each group that is open.
        let mut open: Vec<i64> = Vec::new();
        for _ in 0..count {
            if kind != STRUCT {
                return None;
            }
            let children = children(&mut input)?;
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            if children > 0 {
                open.push(children);
            }
            deepest = deepest.max(open.len());
            while open.last().is_some_and(|left| *left <= 0) {
                open.pop();
            }
        }
    }
    Some(deepest)
}

/// Number of children that a `SchemaElement` states.
fn children(input: &mut Input<'_>) -> Option<i64> {
    let (mut id, mut children) = (0, 0);
    while let Some(kind) = input.field(&mut id)? {
        match (id, kind) {
            (5, INT32) => children = input.signed()?,
            _ => input.skip(kind)?,
        }
    }
    Some(children)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn levels_are_counted() {
        assert_eq!(depth(&footer(0, 3)), Some(1));
        assert_eq!(depth(&footer(3, 9)), Some(4));
        assert!(check(&footer(9, 9)).is_ok());
        assert!(check(&footer(5000, 0)).unwrap_err().to_string().contains("nested 5001 levels"));
        assert!(check(&[0x15]).is_err());
        assert!(check(&footer(10_000, 0)).unwrap_err().to_string().contains("damaged"));
        // A second schema: the same field once more, its id in full.
        let mut twice = footer(1, 0);
        twice.pop();
        twice.extend([0x09, 4]);
        twice.extend(&footer(5000, 0)[3..]);
        assert!(check(&twice).unwrap_err().to_string().contains("nested 5001 levels"));
    }
}
