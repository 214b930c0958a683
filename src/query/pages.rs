//! Headers of data pages, looked at before the Parquet library decompresses anything by them.
//!
//! A page's header says how large it is uncompressed, and memory is reserved by that; nothing else compares it with what
//! the footer says of the column. Owns only that comparison: pages are decoded by the library.

use crate::schema::thrift::{INT32, Input};

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
        let mut input = Input::new(bytes);
        let (mut uncompressed, mut compressed) = (None, None);
        let mut id = 0i64;
        while let Some(kind) = input.field(&mut id)? {
            match (id, kind) {
                (2, INT32) => uncompressed = u64::try_from(input.signed()?).ok(),
                (3, INT32) => compressed = u64::try_from(input.signed()?).ok(),
                _ => input.skip(kind)?,
            }
        }
        Some(Header { length: input.at(), uncompressed: uncompressed?, compressed: compressed? })
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
