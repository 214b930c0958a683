//! Converts between addresses and payload offsets: a payload is gathered over ranges of memory, one after another.

/// The part of `payload` from `address` on, to the end of the range that holds it; `None` where no range does, or its
/// bytes were not captured.
pub fn part<'a>(payload: &'a [u8], base: &[u64], len: &[u64], address: u64) -> Option<&'a [u8]> {
    let mut skip = 0u128;
    for (base, len) in base.iter().zip(len) {
        let into = address.checked_sub(*base).filter(|into| into < len);
        if let Some(into) = into {
            let start = usize::try_from(skip + u128::from(into)).ok()?;
            let end = usize::try_from(skip + u128::from(*len)).unwrap_or(usize::MAX).min(payload.len());
            return payload.get(start..end).filter(|part| !part.is_empty());
        }
        skip += u128::from(*len);
    }
    None
}

/// The address of the byte at `offset` of the payload; `None` where no range holds it.
pub fn address(base: &[u64], len: &[u64], offset: u64) -> Option<u64> {
    let mut left = offset;
    for (base, len) in base.iter().zip(len) {
        match left.checked_sub(*len) {
            None => return base.checked_add(left),
            Some(behind) => left = behind,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{address, part};

    #[test]
    fn an_offset_leads_back_to_its_address() {
        let (base, len) = ([100, 500, 300], [3, 0, 4]);
        let found: Vec<_> = (0..8).map(|offset| address(&base, &len, offset)).collect();
        assert_eq!(found[..4], [Some(100), Some(101), Some(102), Some(300)]);
        assert_eq!(found[4..], [Some(301), Some(302), Some(303), None]);
        assert_eq!(address(&[u64::MAX], &[u64::MAX], 1), None, "beyond every address");
    }

    #[test]
    fn ranges_follow_each_other_in_the_payload() {
        let (base, len) = ([100, 500, 300], [3, 0, 4]);
        let at = |address| part(b"abcdef", &base, &len, address);
        assert_eq!(at(100), Some(&b"abc"[..]));
        assert_eq!(at(102), Some(&b"c"[..]));
        assert_eq!(at(103), None);
        assert_eq!(at(500), None, "an empty range");
        assert_eq!(at(301), Some(&b"ef"[..]), "cut off by the snap length");
        assert_eq!(at(303), None, "not captured");
        assert_eq!(part(b"ab", &[u64::MAX - 1, 0], &[u64::MAX, u64::MAX], u64::MAX), Some(&b"b"[..]));
        assert_eq!(part(b"ab", &[5, 0], &[u64::MAX, u64::MAX], 0), None, "far behind what was captured");
    }
}
