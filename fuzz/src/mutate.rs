//! How inputs are changed: bytes as libFuzzer does it, or records of changes as a whole.

use libfuzzer_sys::fuzzer_mutate;

use crate::form::edit::RECORD;

/// What an input consists of.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Bytes, of which libFuzzer knows enough.
    Bytes,
    /// So many bytes, and then records.
    Records(usize),
}

/// A small generator of numbers: the same for the same seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    fn below(&mut self, count: usize) -> usize {
        self.next() as usize % count.max(1)
    }
}

/// No more records than that: what each of them makes longer stays bearable.
const MOST: usize = 12;

impl Shape {
    /// Changes the `size` bytes that an input has; returns how many it has then.
    pub fn change(self, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
        let Shape::Records(front) = self else { return fuzzer_mutate(data, size, max_size) };
        // A whole file in the place of records.
        if data.get(1..5) == Some(b"PAR1") {
            return fuzzer_mutate(data, size, max_size);
        }
        let mut dice = Dice(u64::from(seed) << 1 | 1);
        dice.next();
        let room = max_size.min(data.len());
        if size < front || room < front + RECORD {
            return fuzzer_mutate(data, size, max_size);
        }
        let count = (size - front) / RECORD;
        let most = ((room - front) / RECORD).min(MOST);
        let at = |index: usize| front + index * RECORD;
        match dice.below(16) {
            0 => data[dice.below(front)] = dice.next() as u8,
            1..=4 if count < most => {
                let place = dice.below(count + 1);
                data.copy_within(at(place)..at(count), at(place + 1));
                let record: Vec<u8> = (0..RECORD).map(|_| dice.next() as u8).collect();
                data[at(place)..at(place + 1)].copy_from_slice(&record);
                return at(count + 1);
            }
            5 | 6 if count > 1 => {
                let place = dice.below(count);
                data.copy_within(at(place + 1)..at(count), at(place));
                return at(count - 1);
            }
            7 if count > 0 && count < most => {
                let (from, to) = (dice.below(count), dice.below(count + 1));
                let record = data[at(from)..at(from + 1)].to_vec();
                data.copy_within(at(to)..at(count), at(to + 1));
                data[at(to)..at(to + 1)].copy_from_slice(&record);
                return at(count + 1);
            }
            8..=12 if count > 0 => {
                // One field of a record: area, op, form, small, index, sub, raw.
                const FIELDS: [(usize, usize); 7] = [(0, 1), (1, 1), (2, 1), (3, 1), (4, 4), (8, 4), (12, 4)];
                let (offset, len) = FIELDS[dice.below(FIELDS.len())];
                let place = at(dice.below(count)) + offset;
                let (near, step) = (dice.below(2) == 0, dice.below(9) as u8);
                for (index, byte) in data[place..place + len].iter_mut().enumerate() {
                    *byte = match (near, index) {
                        (true, 0) => byte.wrapping_add(step).wrapping_sub(4),
                        (true, _) => *byte,
                        (false, _) => dice.next() as u8,
                    };
                }
            }
            _ if count > 0 => {
                let place = at(dice.below(count));
                let mut record = data[place..place + RECORD].to_vec();
                fuzzer_mutate(&mut record, RECORD, RECORD);
                data[place..place + RECORD].copy_from_slice(&record);
            }
            _ => return fuzzer_mutate(data, size, max_size),
        }
        at(count)
    }
}
