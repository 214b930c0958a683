//! Records of several rings brought into the order of their clock.
//!
//! A record waits here until every ring has been emptied past its instant. Owns order only; bytes stay as they are.

use super::drain::Chunk;
use super::wire::vmt_hdr;

/// A record is stamped a little before it is committed; this much later than its stamp it has surely been.
const COMMIT_NS: u64 = 5_000_000;

/// Records not yet handed on.
#[derive(Debug, Default)]
pub struct Reorder {
    bytes: Vec<u8>,
    /// Instant and place of each record in `bytes`.
    index: Vec<(u64, usize, usize)>,
    complete_until_ns: u64,
}

impl Reorder {
    /// Takes the records of a chunk. Returns how many bytes at its end were no whole record, 0 in practice.
    pub fn push(&mut self, chunk: &Chunk) -> usize {
        self.complete_until_ns = self.complete_until_ns.max(chunk.complete_until_ns);
        let mut at = 0;
        while let Some((size, clock)) = chunk.bytes.get(at..).and_then(size_and_clock) {
            let Some(record) = at.checked_add(size).and_then(|end| chunk.bytes.get(at..end)) else { break };
            self.index.push((clock, self.bytes.len(), size));
            self.bytes.extend_from_slice(record);
            at = (at + size).next_multiple_of(8);
        }
        chunk.bytes.len().saturating_sub(at)
    }

    /// Hands on, in order, every record that no older one can follow any more.
    pub fn release(&mut self, take: impl FnMut(&[u8])) {
        self.release_until(self.complete_until_ns.saturating_sub(COMMIT_NS), take);
    }

    /// Hands on all records, in order.
    pub fn release_all(&mut self, take: impl FnMut(&[u8])) {
        self.release_until(u64::MAX, take);
    }

    fn release_until(&mut self, until_ns: u64, mut take: impl FnMut(&[u8])) {
        // Stable, so that records of one ring with the same stamp stay as they came; cheap on sorted runs.
        self.index.sort_by_key(|(clock, ..)| *clock);
        let ready = self.index.partition_point(|(clock, ..)| *clock < until_ns);
        for (_, at, size) in self.index.drain(..ready) {
            if let Some(record) = self.bytes.get(at..at + size) {
                take(record);
            }
        }
        self.compact();
    }

    /// Drops the bytes of records that were handed on.
    fn compact(&mut self) {
        if self.index.is_empty() {
            self.bytes.clear();
            return;
        }
        let mut kept = Vec::with_capacity(self.index.iter().map(|(.., size)| size).sum());
        for (_, at, size) in &mut self.index {
            let start = kept.len();
            kept.extend_from_slice(self.bytes.get(*at..*at + *size).unwrap_or_default());
            *at = start;
        }
        self.bytes = kept;
    }
}

/// Size and clock of the record that `bytes` begin with.
fn size_and_clock(bytes: &[u8]) -> Option<(usize, u64)> {
    const CLOCK: usize = std::mem::offset_of!(vmt_hdr, mono_ns);
    let size = usize::try_from(u32::from_ne_bytes(bytes.first_chunk().copied()?)).ok()?;
    let clock = u64::from_ne_bytes(bytes.get(CLOCK..)?.first_chunk().copied()?);
    (size >= size_of::<vmt_hdr>()).then_some((size, clock))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(records: &[(u64, usize)], complete_until_ns: u64) -> Chunk {
        let mut bytes = Vec::new();
        for (clock, extra) in records {
            let size = size_of::<vmt_hdr>() + extra;
            let mut record = vec![0; size];
            record[..4].copy_from_slice(&(size as u32).to_ne_bytes());
            record[8..16].copy_from_slice(&clock.to_ne_bytes());
            bytes.extend(record);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        Chunk { bytes, complete_until_ns }
    }

    fn clocks(reorder: &mut Reorder, all: bool) -> Vec<(u64, usize)> {
        let mut out = Vec::new();
        let mut take = |r: &[u8]| out.push((size_and_clock(r).unwrap().1, r.len() - size_of::<vmt_hdr>()));
        if all {
            reorder.release_all(&mut take)
        } else {
            reorder.release(&mut take)
        }
        out
    }

    #[test]
    fn rings_are_merged_by_clock() {
        let ms = |n: u64| n * 1_000_000;
        let mut reorder = Reorder::default();
        assert_eq!(reorder.push(&chunk(&[(ms(20), 3), (ms(40), 0), (ms(30), 1)], ms(36))), 0);
        assert_eq!(clocks(&mut reorder, false), [(ms(20), 3), (ms(30), 1)]);
        assert_eq!(reorder.push(&chunk(&[(ms(35), 2)], ms(60))), 0);
        assert_eq!(clocks(&mut reorder, false), [(ms(35), 2), (ms(40), 0)]);
        assert!(reorder.bytes.is_empty());
    }

    #[test]
    fn the_end_releases_everything() {
        let mut reorder = Reorder::default();
        reorder.push(&chunk(&[(9, 0), (5, 0)], 0));
        assert_eq!(clocks(&mut reorder, false), []);
        assert_eq!(clocks(&mut reorder, true), [(5, 0), (9, 0)]);
    }

    #[test]
    fn broken_bytes_are_counted_not_followed() {
        let mut reorder = Reorder::default();
        let mut broken = chunk(&[(1, 0)], 10);
        broken.bytes.extend([0xff; 24]);
        assert_eq!(reorder.push(&broken), 24);
        assert_eq!(clocks(&mut reorder, true).len(), 1);
    }
}
