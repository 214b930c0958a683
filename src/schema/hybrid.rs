//! Parquet's hybrid of run lengths and bit packing, written: levels and dictionary indices
//! (parquet-format, Encodings.md, "Run Length Encoding / Bit-Packing Hybrid").

/// Fewest equal values that are written as a run. A shorter one costs more than the bits it saves.
const RUN: usize = 16;
/// Values are packed in groups of so many.
const GROUP: usize = 8;

/// Appends `values`, each of `width` bits (32 at most).
pub(super) fn write(values: &[u32], width: u32, out: &mut Vec<u8>) {
    let mut packed = values;
    // How much of `packed` has been examined.
    let mut at = 0;
    while let Some((&value, rest)) = packed.get(at..).and_then(<[u32]>::split_first) {
        let run = 1 + rest.iter().take_while(|other| **other == value).count();
        // A packed part before a run consists of whole groups, so values are taken from the run to fill the last group.
        let filled = at.next_multiple_of(GROUP);
        if run >= filled - at + RUN {
            let (before, after) = packed.split_at(filled);
            pack(before, width, out);
            write_run(value, run - (filled - at), width, out);
            packed = after.get(run - (filled - at)..).unwrap_or_default();
            at = 0;
        } else {
            at += run;
        }
    }
    pack(packed, width, out);
}

/// Appends `value`, `count` times.
pub(super) fn write_run(value: u32, count: usize, width: u32, out: &mut Vec<u8>) {
    if count > 0 {
        varint((count as u64) << 1, out);
        out.extend(value.to_le_bytes().iter().take(width.div_ceil(8) as usize));
    }
}

/// Bits that numbers up to `largest` take.
pub(super) fn width_of(largest: usize) -> u32 {
    usize::BITS - largest.leading_zeros()
}

/// The last group is filled up with zeros, which only the end of all values may be.
fn pack(values: &[u32], width: u32, out: &mut Vec<u8>) {
    let groups = values.len().div_ceil(GROUP);
    if groups == 0 {
        return;
    }
    varint((groups as u64) << 1 | 1, out);
    let (mut held, mut bits) = (0u64, 0);
    let filling = groups * GROUP - values.len();
    for value in values.iter().copied().chain(std::iter::repeat_n(0, filling)) {
        held |= u64::from(value) << bits;
        bits += width;
        if bits >= 32 {
            out.extend_from_slice(&(held as u32).to_le_bytes());
            held >>= 32;
            bits -= 32;
        }
    }
    // Groups of 8 end with a whole byte.
    out.extend(held.to_le_bytes().iter().take(bits.div_ceil(8) as usize));
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads as the specification says, byte by byte and bit by bit.
    fn read(bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
        let (mut at, mut values) = (0, Vec::new());
        while values.len() < count {
            let (mut header, mut shift) = (0u64, 0);
            loop {
                header |= u64::from(bytes[at] & 0x7f) << shift;
                shift += 7;
                at += 1;
                if bytes[at - 1] & 0x80 == 0 {
                    break;
                }
            }
            let number = (header >> 1) as usize;
            if header & 1 == 0 {
                let mut value = [0; 4];
                let len = width.div_ceil(8) as usize;
                value[..len].copy_from_slice(&bytes[at..at + len]);
                at += len;
                values.extend(std::iter::repeat_n(u32::from_le_bytes(value), number));
            } else {
                let bit = |i: usize| u32::from(bytes[at + i / 8] >> (i % 8) & 1);
                let width = width as usize;
                values.extend((0..number * 8).map(|v| (0..width).map(|b| bit(v * width + b) << b).sum::<u32>()));
                at += number * width;
            }
        }
        assert_eq!(at, bytes.len(), "nothing is left");
        assert!(values.len() - count < 8 && values.drain(count..).all(|v| v == 0), "filled up with zeros");
        values
    }

    #[test]
    fn values_come_back_whatever_their_runs_and_width() {
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        for width in 0..=32 {
            for longest in [1, 3, 20, 70] {
                let mut values = Vec::new();
                for _ in 0..60 {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let value = if width == 0 { 0 } else { (random >> 32) as u32 >> (32 - width) };
                    values.extend(std::iter::repeat_n(value, 1 + (random >> 20) as usize % longest));
                }
                for count in [values.len(), values.len() - 1, 17, 8, 1, 0] {
                    let mut bytes = Vec::new();
                    write(&values[..count], width, &mut bytes);
                    assert_eq!(read(&bytes, width, count), values[..count], "{width} bits, {count} values");
                }
            }
        }
    }

    #[test]
    fn equal_values_take_a_few_bytes() {
        let (mut bytes, mut run) = (Vec::new(), Vec::new());
        write(&[5; 131_072], 3, &mut bytes);
        write_run(5, 131_072, 3, &mut run);
        assert_eq!(bytes, run);
        assert_eq!(bytes, [0x80, 0x80, 0x10, 5]);
    }

    #[test]
    fn widths_are_those_of_the_largest_number() {
        assert_eq!([0, 1, 2, 3, 4, 255, 256].map(width_of), [0, 1, 2, 2, 3, 8, 9]);
    }
}
