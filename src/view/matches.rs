//! The numbers of the rows that a filter selects: a bit a row, and counts with which the n-th is found at once.

/// Rows of a part.
const PART: u64 = 1 << 16;
const WORDS: usize = (PART / 64) as usize;
/// Parts with bits of their own that are kept: 64 MiB.
const MOST_PARTS: usize = 8192;

/// Rows, in their order.
#[derive(Clone, Debug, Default)]
pub struct Matches {
    parts: Vec<Part>,
    with_bits: usize,
    len: u64,
}

/// Bits of [`PART`] rows; there are none where no row is in it, or every one.
#[derive(Clone, Debug)]
struct Part {
    before: u64,
    count: u64,
    bits: Option<Box<[u64; WORDS]>>,
}

impl Matches {
    /// How many there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Adds a row behind all others; returns whether there is room for it.
    pub fn push(&mut self, row: u64) -> bool {
        let Ok(index) = usize::try_from(row / PART) else { return false };
        while self.parts.len() <= index {
            self.finish_part();
            if self.with_bits >= MOST_PARTS {
                return false;
            }
            self.parts.push(Part { before: self.len, count: 0, bits: None });
        }
        let Some(part) = self.parts.get_mut(index) else { return false };
        if part.bits.is_none() {
            self.with_bits += 1;
        }
        let bits = part.bits.get_or_insert_with(|| Box::new([0; WORDS]));
        let (word, bit) = place(row);
        if let Some(word) = bits.get_mut(word) {
            *word |= 1 << bit;
        }
        part.count += 1;
        self.len += 1;
        true
    }

    /// The last part gets no more rows: where it has all, they need no bits.
    fn finish_part(&mut self) {
        if let Some(last) = self.parts.last_mut().filter(|last| last.count == PART && last.bits.is_some()) {
            last.bits = None;
            self.with_bits -= 1;
        }
    }

    /// The n-th row, from 0.
    pub fn nth(&self, n: u64) -> Option<u64> {
        if n >= self.len {
            return None;
        }
        let index = self.parts.partition_point(|part| part.before <= n).checked_sub(1)?;
        // Of parts without rows, which begin at the same number, the last one is found: it has rows.
        let part = self.parts.get(index)?;
        let first = index as u64 * PART;
        let mut left = n - part.before;
        let Some(bits) = &part.bits else { return Some(first + left) };
        for (index, word) in bits.iter().enumerate() {
            let ones = u64::from(word.count_ones());
            if left < ones {
                let mut rest = *word;
                (0..left).for_each(|_| rest &= rest - 1);
                return Some(first + index as u64 * 64 + u64::from(rest.trailing_zeros()));
            }
            left -= ones;
        }
        None
    }

    /// How many come before `row`, which is the number of the first one that does not.
    pub fn before(&self, row: u64) -> u64 {
        let index = usize::try_from(row / PART).unwrap_or(usize::MAX);
        let Some(part) = self.parts.get(index) else { return self.len };
        let inside = match (&part.bits, part.count) {
            (None, 0) => 0,
            (None, _) => row % PART,
            (Some(bits), _) => {
                let (word, bit) = place(row);
                let whole: u64 = bits.iter().take(word).map(|word| u64::from(word.count_ones())).sum();
                let last = bits.get(word).copied().unwrap_or(0) & ((1 << bit) - 1);
                whole + u64::from(last.count_ones())
            }
        };
        part.before + inside
    }
}

/// The word and the bit of a row in its part.
fn place(row: u64) -> (usize, u64) {
    let inside = row % PART;
    ((inside / 64) as usize, inside % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares all answers with those of a list.
    fn check(rows: &[u64]) {
        let mut matches = Matches::default();
        assert!(rows.iter().all(|row| matches.push(*row)));
        assert_eq!(matches.len(), rows.len() as u64);
        for (n, row) in rows.iter().enumerate() {
            assert_eq!(matches.nth(n as u64), Some(*row), "{n}");
            assert_eq!(matches.before(*row), n as u64, "{row}");
            let behind = rows.get(n + 1).map_or(*row + 1, |next| (*row + 1).min(*next));
            assert_eq!(matches.before(behind), n as u64 + 1, "{row}");
        }
        assert_eq!(matches.nth(rows.len() as u64), None);
        assert_eq!(matches.before(u64::MAX), rows.len() as u64);
    }

    #[test]
    fn the_nth_row_is_found_and_its_number() {
        check(&[]);
        check(&[0]);
        check(&[63, 64, 65, PART - 1, PART, 3 * PART + 7, 9 * PART]);
        check(&(0..3 * PART).collect::<Vec<_>>());
        check(&(PART / 2..2 * PART + 5).step_by(3).collect::<Vec<_>>());
    }

    #[test]
    fn memory_is_bounded() {
        let mut sparse = Matches::default();
        let kept = (0..).take_while(|part| sparse.push(part * PART)).count();
        assert_eq!(kept, MOST_PARTS);
        let mut dense = Matches::default();
        (0..4 * PART).for_each(|row| assert!(dense.push(row)));
        assert_eq!(dense.with_bits, 1, "parts with every row need no bits");
    }
}
