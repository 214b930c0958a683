//! Headers of data pages, looked at before the Parquet library decompresses anything by them.
//!
//! A page's header says how large it is uncompressed, and memory is reserved by that; nothing else compares it with what
//! the footer says of the column. Owns only that comparison: pages are decoded by the library.

/// Nesting accepted in a header; Parquet's has 3 levels.
const MAX_DEPTH: usize = 8;

/// Checks the pages that `bytes` consists of; together they may claim at most `limit` bytes uncompressed.
///
/// # Errors
/// What is wrong with them, without a name.
pub fn check(bytes: &[u8], limit: u64) -> Result<(), String> {
    let mut rest = bytes;
    let mut total = 0u64;
    while !rest.is_empty() {
        let page = Header::read(rest).ok_or("a page header that cannot be read")?;
        total = total.saturating_add(page.uncompressed);
        if total > limit {
            return Err(format!("pages of {total} bytes uncompressed, where the footer says {limit}"));
        }
        let end = usize::try_from(page.compressed).ok().and_then(|size| page.length.checked_add(size));
        rest = end.and_then(|end| rest.get(end..)).ok_or("a page that ends behind its column")?;
    }
    Ok(())
}

struct Header {
    length: usize,
    uncompressed: u64,
    compressed: u64,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Header> {
        let mut input = Input { bytes, at: 0 };
        let (mut uncompressed, mut compressed) = (None, None);
        let mut id = 0i64;
        while let Some(kind) = input.field(&mut id)? {
            match (id, kind) {
                (2, INT32) => uncompressed = u64::try_from(input.signed()?).ok(),
                (3, INT32) => compressed = u64::try_from(input.signed()?).ok(),
                _ => input.skip(kind, 0)?,
            }
        }
        Some(Header { length: input.at, uncompressed: uncompressed?, compressed: compressed? })
    }
}

/// Types of Thrift's compact protocol.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const INT16: u8 = 4;
const INT32: u8 = 5;
const INT64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const STRUCT: u8 = 12;

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Input<'_> {
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

    /// A number in zigzag notation.
    fn signed(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The type of the next field, whose id replaces that of the field before; `None` within at the end of the struct.
    fn field(&mut self, id: &mut i64) -> Option<Option<u8>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Some(None);
        }
        *id = match byte >> 4 {
            0 => self.signed()?,
            delta => id.checked_add(i64::from(delta))?,
        };
        Some(Some(byte & 0x0f))
    }

    fn advance(&mut self, count: u64) -> Option<()> {
        self.at = self.at.checked_add(usize::try_from(count).ok()?).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match kind {
            TRUE | FALSE => Some(()),
            BYTE => self.advance(1),
            INT16 | INT32 | INT64 => self.varint().map(|_| ()),
            DOUBLE => self.advance(8),
            BINARY => {
                let length = self.varint()?;
                self.advance(length)
            }
            LIST | SET => self.skip_list(depth),
            STRUCT => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip(kind, depth + 1)?;
                }
                Some(())
            }
            _ => None,
        }
    }

    fn skip_list(&mut self, depth: usize) -> Option<()> {
        let head = self.byte()?;
        let (count, kind) = match head >> 4 {
            15 => (self.varint()?, head & 0x0f),
            count => (u64::from(count), head & 0x0f),
        };
        for _ in 0..count {
            // Each element takes a byte at least, so that the input bounds the loop.
            match kind {
                TRUE | FALSE => self.advance(1)?,
                STRUCT if self.at >= self.bytes.len() => return None,
                _ => self.skip(kind, depth + 1)?,
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A data page's header: type 0, sizes, and a struct with values, encodings and statistics.
    fn page(uncompressed: u8, compressed: u8) -> Vec<u8> {
        let sizes = [0x15, 0, 0x15, uncompressed << 1, 0x15, compressed << 1];
        let inner = [0x2c, 0x15, 4, 0x15, 0, 0x15, 6, 0x15, 6, 0x1c, 0x18, 1, 7, 0, 0];
        let body = vec![9; usize::from(compressed)];
        [&sizes[..], &inner, &[0], &body].concat()
    }

    #[test]
    fn honest_pages_pass() {
        let pages = [page(40, 7), page(20, 3)].concat();
        assert_eq!(check(&pages, 60), Ok(()));
        assert_eq!(check(&[], 0), Ok(()));
    }

    #[test]
    fn pages_that_claim_too_much_are_refused() {
        let pages = [page(40, 7), page(21, 3)].concat();
        assert_eq!(check(&pages, 60).unwrap_err(), "pages of 61 bytes uncompressed, where the footer says 60");
    }

    #[test]
    fn damaged_headers_are_refused() {
        let pages = page(40, 7);
        for cut in 1..pages.len() {
            assert!(check(&pages[..cut], 100).is_err(), "cut at {cut}");
        }
        assert!(check(&[0x15, 0, 0x15, 1, 0x15, 2, 0], 100).is_err(), "a negative size");
        let nested = [vec![0x1c; 64], vec![0; 65]].concat();
        assert!(check(&nested, 100).is_err(), "structs in structs");
        assert!(
            check(&[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], 100).is_err(),
            "a long list"
        );
    }
}
