//! The payload of an event as rows of a hexdump, each with the address of its first byte.
//!
//! Owns which memory the bytes belong to: the target's, or the caller's where the target's memory has no part in it.

use crate::schema::Event;
use crate::schema::types::Iovecs;
use crate::schema::vocabulary::IovVerdict;
use crate::terminal::escape::{HexPlace, HexRow};

/// Columns of a row of 16 bytes.
const WHOLE_ROW: usize = 86;

/// The rows, for lines of so many columns.
pub fn rows<'a>(event: &Event<'a>, columns: Option<usize>) -> Vec<HexRow<'a>> {
    let per_row = if columns.is_none_or(|columns| columns >= WHOLE_ROW) { 16 } else { 8 };
    let whole = event.payload.unwrap_or_default();
    let mut rest = whole;
    let mut rows = Vec::new();
    // The bytes are in the order of the ranges. A range may be longer than what is left of them.
    for range in ranges(event).into_iter().flat_map(Iovecs::iter).take_while(|_| !rest.is_empty()) {
        let length = usize::try_from(range.len).unwrap_or(usize::MAX).min(rest.len());
        let (bytes, after) = rest.split_at(length);
        let addresses = (0u64..).map(|row| range.base.wrapping_add(row.wrapping_mul(per_row as u64)));
        let in_range = bytes.chunks(per_row).zip(addresses);
        rows.extend(in_range.map(|(bytes, address)| HexRow { at: HexPlace::Address(address), bytes, per_row }));
        rest = after;
    }
    let start = whole.len() - rest.len();
    let chunks = rest.chunks(per_row).enumerate();
    rows.extend(chunks.map(|(index, bytes)| HexRow { at: HexPlace::Offset(start + index * per_row), bytes, per_row }));
    rows
}

/// The ranges that the bytes came from or went to; `None` where they are not known, or not those that the kernel used.
fn ranges<'a>(event: &Event<'a>) -> Option<Iovecs<'a>> {
    let doubted = !matches!(
        event.iov_verdict.map(IovVerdict::parse),
        None | Some(Ok(IovVerdict::Kernel | IovVerdict::Unverified))
    );
    let is_memory = |ranges: &Iovecs<'_>| ranges.iter().any(|range| range.len > 0);
    event.remote_iov.filter(is_memory).or(event.local_iov).filter(|_| !doubted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::types::Iovec;

    fn places(event: &Event<'_>, columns: Option<usize>) -> Vec<(HexPlace, usize)> {
        rows(event, columns).iter().map(|row| (row.at, row.bytes.len())).collect()
    }

    const BYTES: &[u8] = &[7; 40];
    use HexPlace::{Address, Offset};

    #[test]
    fn rows_count_from_the_ranges_of_the_target() {
        let ranges =
            [Iovec { base: 0x1000, len: 18 }, Iovec { base: 1, len: 0 }, Iovec { base: 0x2000, len: u64::MAX }];
        let local = [Iovec { base: 0x9000, len: 40 }];
        let event = Event {
            payload: Some(BYTES),
            remote_iov: Some(Iovecs::Pairs(&ranges)),
            local_iov: Some(Iovecs::Pairs(&local)),
            ..Event::default()
        };
        let wanted = [(Address(0x1000), 16), (Address(0x1010), 2), (Address(0x2000), 16), (Address(0x2010), 6)];
        assert_eq!(places(&event, None), wanted);
        assert_eq!(places(&event, Some(80)).len(), 3 + 3, "eight bytes a row");
        let own = [(Address(0x9000), 16), (Address(0x9010), 16), (Address(0x9020), 8)];
        let no_memory = Some(Iovecs::Pairs(&ranges[1..2]));
        assert_eq!(places(&Event { remote_iov: no_memory, ..event }, None), own, "ptrace with an argument");
        assert_eq!(places(&Event { remote_iov: None, ..event }, None), own);
    }

    #[test]
    fn what_is_not_known_counts_from_the_beginning() {
        let ranges = [Iovec { base: u64::MAX, len: 17 }];
        let event = Event { payload: Some(BYTES), remote_iov: Some(Iovecs::Pairs(&ranges)), ..Event::default() };
        assert_eq!(
            places(&event, None),
            [(Address(u64::MAX), 16), (Address(15), 1), (Offset(17), 16), (Offset(33), 7)]
        );
        let conflict = Event { iov_verdict: Some("conflict"), ..event };
        assert_eq!(places(&conflict, None), [(Offset(0), 16), (Offset(16), 16), (Offset(32), 8)]);
        assert_eq!(places(&Event { payload: None, ..event }, None), []);
    }
}
