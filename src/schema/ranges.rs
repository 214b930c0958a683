//! The number of ranges in the rows of a page, found from its repetition levels alone.
//!
//! Owns reading the levels (parquet-format, Encodings.md, "Run Length Encoding / Bit-Packing Hybrid"); they are one bit
//! wide.

use anyhow::{Context, Result, ensure};

use super::limits::MAX_RANGES;

/// Counts the ranges of each row in a page of `values` ranges and empty rows, whose repetition levels are these: 0 where a
/// row begins. A row of the page before may have had `so_far`; returns how many the last one has, and most of any.
pub(super) fn ranges(levels: &[u8], values: u64, so_far: u64) -> Result<(u64, u64)> {
    let mut rest = levels;
    let (mut left, mut row, mut most) = (values, so_far, 0);
    while left > 0 {
        let header = number(&mut rest).context("a page whose levels cannot be read")?;
        if header & 1 == 0 {
            let count = (header >> 1).min(left);
            let (level, behind) = rest.split_first().context("a page whose levels cannot be read")?;
            ensure!(count > 0 && *level <= 1, "a page whose levels cannot be read");
            (row, rest) = (if *level == 0 { 1 } else { row.saturating_add(count) }, behind);
            most = row.max(most);
            left -= count;
        } else {
            let bytes = usize::try_from(header >> 1).ok().and_then(|bytes| rest.split_at_checked(bytes));
            let (packed, behind) = bytes.context("a page whose levels cannot be read")?;
            ensure!(!packed.is_empty(), "a page whose levels cannot be read");
            let bits = packed.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1));
            let used = left.min(packed.len() as u64 * 8);
            for repeats in bits.take(usize::try_from(used)?) {
                row = if repeats == 0 { 1 } else { row + 1 };
                most = row.max(most);
            }
            (left, rest) = (left - used, behind);
        }
    }
    ensure!(most <= MAX_RANGES, "a row of {most} ranges, where at most {MAX_RANGES} can be");
    Ok((row, most))
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
