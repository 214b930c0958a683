//! Memory that an option names, and whether a call touches it.
//!
//! Owns the notation `A[+LEN]`, which is that of ranges in the output of `replay`.

use std::fmt;
use std::ops::Range;

use crate::schema::types::{Iovec, Iovecs};

/// A range of addresses with at least one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    first: u64,
    last: u64,
}

impl Span {
    /// Reads `A` (one byte) or `A+LEN`, each in decimal, or in hexadecimal after 0x.
    ///
    /// # Errors
    /// Says what is wrong, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, length) = text.split_once('+').map_or((text, None), |(address, len)| (address, Some(len)));
        let wrong = || {
            format!(
                "{text:?} is not a range of memory: give an address (0x7f1200000008), or an address and a length in \
                 bytes (0x7f1200000000+4096)"
            )
        };
        let first = number(address).ok_or_else(wrong)?;
        let length = length.map_or(Some(1), number).ok_or_else(wrong)?;
        let rest = length.checked_sub(1).ok_or("a range of 0 bytes touches nothing: leave +LEN out for one byte")?;
        let last = first.checked_add(rest).ok_or_else(|| {
            format!("{first:#x}+{length} ends above the highest address: at most {} bytes follow", u64::MAX - first)
        })?;
        Ok(Span { first, last })
    }

    /// The range of `length` bytes, at least one, that begins where this one does.
    ///
    /// # Errors
    /// Says that it would end above the highest address.
    pub fn of_length(self, length: u64) -> Result<Self, String> {
        let last = self.first.checked_add(length.max(1) - 1);
        let last = last.ok_or_else(|| format!("{:#x}+{length} ends above the highest address", self.first))?;
        Ok(Span { last, ..self })
    }

    /// The addresses; the end is the first one behind it, or the highest one.
    pub fn range(self) -> Range<u64> {
        self.first..self.last.saturating_add(1)
    }

    /// Whether one of `ranges` has a byte in it.
    pub(super) fn touches(self, ranges: Option<Iovecs<'_>>) -> bool {
        ranges.is_some_and(|ranges| ranges.iter().any(|range| self.distance(range) == Some(0)))
    }

    /// How many bytes lie between it and `range`; `None` where that has no byte.
    pub(super) fn distance(self, range: Iovec) -> Option<u64> {
        let last = range.base.saturating_add(range.len.checked_sub(1)?);
        Some(range.base.saturating_sub(self.last).max(self.first.saturating_sub(last)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}+{}", self.first, u128::from(self.last - self.first) + 1)
    }
}

fn number(text: &str) -> Option<u64> {
    let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |digits| (digits, 16));
    // The standard library takes a sign.
    let plain = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    plain.then(|| u64::from_str_radix(digits, radix).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_in_both_notations() {
        for (text, shown) in [
            ("0x10", "0x10+1"),
            ("16", "0x10+1"),
            ("0x10+0x20", "0x10+32"),
            ("16+32", "0x10+32"),
            ("0xffffffffffffffff", "0xffffffffffffffff+1"),
            ("0+18446744073709551615", "0x0+18446744073709551615"),
            ("1+0xffffffffffffffff", "0x1+18446744073709551615"),
        ] {
            assert_eq!(Span::parse(text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused_in_a_sentence() {
        for text in
            ["", "+", "0x", "0x+1", "heap", "+5", "0x10+", "0x10+-1", "-1", "++1", "0x1g", "99999999999999999999"]
        {
            assert!(Span::parse(text).unwrap_err().contains("is not a range of memory: give "), "{text}");
        }
        assert!(Span::parse("0x10+0").unwrap_err().starts_with("a range of 0 bytes"));
        let error = Span::parse("0xfffffffffffffff0+32").unwrap_err();
        assert_eq!(error, "0xfffffffffffffff0+32 ends above the highest address: at most 15 bytes follow");
    }

    #[test]
    fn a_range_touches_where_a_byte_is_in_both() {
        let span = Span::parse("0x100+16").unwrap();
        let touches = |base, len| span.touches(Some(Iovecs::Pairs(&[Iovec { base, len }])));
        assert!(
            touches(0x100, 1) && touches(0x10f, 1) && touches(0, 0x101) && touches(0, u64::MAX) && touches(0x108, 2)
        );
        assert!(!touches(0x110, 1) && !touches(0xff, 1) && !touches(0x108, 0) && !span.touches(None));
        assert!(touches(0x10f, u64::MAX), "a range that a caller made up ends at the highest address");
        let both = [Iovec { base: 0, len: 1 }, Iovec { base: 0x105, len: 1 }];
        assert!(span.touches(Some(Iovecs::Pairs(&both))), "any of them");
        assert_eq!(span.distance(Iovec { base: 0x120, len: 1 }), Some(17));
        assert_eq!(span.distance(Iovec { base: 0xf0, len: 1 }), Some(16));
    }
}
