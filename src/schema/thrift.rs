//! Thrift's compact protocol, read without believing what it claims.
//!
//! Owns the bytes' notation, read more strictly than the Parquet library does: what the library might understand in
//! another way than this module is refused, so that a check of the same bytes holds for what the library makes of them.
//! What structures of Parquet look like stands in `structure`.

use super::limits::MAX_UNKNOWN_DEPTH;

/// True, as a field.
pub const TRUE: u8 = 1;
/// False, as a field; a truth value, as an element of a list.
pub const FALSE: u8 = 2;
/// A number of 8 bits.
pub const BYTE: u8 = 3;
/// A number of 16 bits.
pub const INT16: u8 = 4;
/// A number of 32 bits.
pub const INT32: u8 = 5;
/// A number of 64 bits.
pub const INT64: u8 = 6;
/// A floating-point number.
pub const DOUBLE: u8 = 7;
/// Bytes or text.
pub const BINARY: u8 = 8;
/// A list.
pub const LIST: u8 = 9;
/// A struct.
pub const STRUCT: u8 = 12;

/// Bytes in Thrift's compact protocol, read from the front. Every reading is `None` where they end or make no sense.
#[derive(Debug)]
pub struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    /// Reads `bytes` from their begin.
    pub fn new(bytes: &'a [u8]) -> Self {
        Input { bytes, at: 0 }
    }

    /// How many bytes have been read.
    pub fn at(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    fn left(&self) -> u64 {
        self.bytes.len().saturating_sub(self.at) as u64
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
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

    /// A number in zigzag notation that fits `bits`: the library would cut it.
    pub fn signed(&mut self, bits: u32) -> Option<i64> {
        let value = self.varint()?;
        let value = (value >> 1) as i64 ^ -((value & 1) as i64);
        let spare = 64u32.checked_sub(bits)?;
        (value << spare >> spare == value).then_some(value)
    }

    /// The type of the next field, whose id replaces that of the field before; `None` within at the end of the struct.
    pub fn field(&mut self, id: &mut i16) -> Option<Option<u8>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Some(None);
        }
        *id = match byte >> 4 {
            0 => i16::try_from(self.signed(16)?).ok()?,
            delta => id.checked_add(i16::from(delta))?,
        };
        // No structure has negative ids, and an end has none.
        (*id >= 0 && byte & 0x0f != 0).then_some(Some(byte & 0x0f))
    }

    fn advance(&mut self, count: u64) -> Option<()> {
        (count <= self.left()).then_some(())?;
        self.at += usize::try_from(count).ok()?;
        Some(())
    }

    /// Leaves out bytes with their length in front; returns how many.
    pub fn skip_binary(&mut self) -> Option<u64> {
        let length = self.varint()?;
        self.advance(length)?;
        Some(length)
    }

    /// Leaves out a value of type `kind`, of which nothing else is known. Maps, sets and lists of truth values are
    /// refused: Parquet has none where they are not known, and the library takes their elements for longer or shorter.
    pub fn skip(&mut self, kind: u8) -> Option<()> {
        self.skip_within(kind, 0)
    }

    fn skip_within(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > MAX_UNKNOWN_DEPTH {
            return None;
        }
        match kind {
            TRUE | FALSE => Some(()),
            BYTE => self.advance(1),
            INT16 | INT32 | INT64 => self.varint().map(drop),
            DOUBLE => self.advance(8),
            BINARY => self.skip_binary().map(drop),
            LIST => self.skip_list(depth),
            STRUCT => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip_within(kind, depth + 1)?;
                }
                Some(())
            }
            _ => None,
        }
    }

    /// Begins a list: how many elements it has, and their type. It has no more of them than bytes are left, since each
    /// takes one at least.
    pub fn list(&mut self) -> Option<(u64, u8)> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.varint()?,
            count => u64::from(count),
        };
        (count <= self.left()).then_some((count, head & 0x0f))
    }

    fn skip_list(&mut self, depth: usize) -> Option<()> {
        let (count, kind) = self.list()?;
        if count > 0 && matches!(kind, TRUE | FALSE) {
            return None;
        }
        (0..count).try_for_each(|_| self.skip_within(kind, depth + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_no_longer_than_what_is_left() {
        for (bytes, list) in [
            (&[0x35, 2, 4, 6][..], Some((3, INT32))),
            (&[0x35, 2, 4], None),
            (&[0xf5, 0xff, 0xff, 0xff, 0xff, 0x07, 0], None),
            (&[0], Some((0, 0))),
        ] {
            assert_eq!(Input::new(bytes).list(), list, "{bytes:?}");
        }
    }

    #[test]
    fn numbers_fit_their_type() {
        let signed = |bits, bytes: &[u8]| Input::new(bytes).signed(bits);
        assert_eq!(signed(32, &[0xfe, 0xff, 0xff, 0xff, 0x0f]), Some(i64::from(i32::MAX)));
        assert_eq!(signed(32, &[0xff, 0xff, 0xff, 0xff, 0x0f]), Some(i64::from(i32::MIN)));
        assert_eq!(signed(32, &[0x80, 0x80, 0x80, 0x80, 0x10]), None, "the library would read 0");
        assert_eq!(signed(64, &[0xff; 11]), None, "a number without end");
        // A field's id is checked too: 65,538 would become 2.
        assert_eq!(Input::new(&[0x05, 0x84, 0x80, 0x08]).field(&mut 0), None);
    }

    #[test]
    fn what_is_not_known_is_followed_to_a_depth() {
        let nested = |depth: usize| [vec![0x1c; depth], vec![0; depth + 1]].concat();
        assert_eq!(Input::new(&nested(MAX_UNKNOWN_DEPTH)).skip(STRUCT), Some(()));
        assert_eq!(Input::new(&nested(MAX_UNKNOWN_DEPTH + 1)).skip(STRUCT), None);
        let lists = |depth: usize| [vec![0x19; depth], vec![0]].concat();
        assert_eq!(Input::new(&lists(MAX_UNKNOWN_DEPTH)).skip(LIST), Some(()));
        assert_eq!(Input::new(&lists(MAX_UNKNOWN_DEPTH + 1)).skip(LIST), None);
    }

    #[test]
    fn what_the_library_reads_in_another_way_is_refused() {
        assert_eq!(Input::new(&[0x22, 1, 1]).skip(LIST), None, "truth values in a list");
        assert_eq!(Input::new(&[0x25, 2, 4]).skip(LIST), Some(()));
        assert_eq!(Input::new(&[0x25, 2, 4]).skip(10), None, "a set");
        assert_eq!(Input::new(&[0x10, 0]).field(&mut 0), None, "an end with an id");
        assert_eq!(Input::new(&[5, 1, 2]).skip(BINARY), None, "bytes behind the end");
    }
}
