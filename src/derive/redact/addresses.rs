//! Addresses, moved: the region of each gets another base, what is in a region keeps its distances.
//!
//! A region is 1 TiB of address space that begins at a multiple of it: the heap of a program, or its mappings, or its
//! stacks, as Linux spreads them. So ranges that touched still touch, and the image of a memory stays whole. The base of a
//! region says nothing of the original any more: its number is another one, and all of it is turned around by a secret
//! number of pages. What is at the end of a region goes on at its beginning; a range that lies there is torn.
//!
//! Page 0 to 15 stay: nothing can be mapped there (vm.mmap_min_addr), and offsets and numbers that ptrace takes in the
//! place of an address are below. Addresses below 4 GiB stay below, since they show a 32-bit program.

use super::secret::Secret;

/// Below, no address is one.
const FIRST: u64 = 1 << 16;
/// Above the memory of a 32-bit program.
const OF_32_BITS: u64 = 1 << 32;
/// Bits of an offset in a region.
const REGION: u32 = 40;
/// Regions of user memory with four levels of page tables.
const USER: u64 = 1 << (47 - REGION);
/// All regions.
const ALL: u64 = 1 << (64 - REGION);
/// Bytes of a page.
const PAGE: u64 = 4096;

/// Where an address is: the first address of its part of memory, the bytes of that, and where in it.
struct Place {
    base: u64,
    size: u64,
    offset: u64,
}

fn place(address: u64) -> Place {
    let (base, size) = match address {
        0..OF_32_BITS => (FIRST, OF_32_BITS - FIRST),
        _ if address >> REGION == 0 => (OF_32_BITS, (1 << REGION) - OF_32_BITS),
        _ => (address >> REGION << REGION, 1 << REGION),
    };
    Place { base, size, offset: address.wrapping_sub(base) }
}

/// The address that stands for `address`.
pub fn moved(secret: &Secret, address: u64) -> u64 {
    if address < FIRST {
        return address;
    }
    let Place { base, size, offset } = place(address);
    let turn = turn(secret, base, size);
    new_base(secret, base).wrapping_add((offset + turn) % size)
}

/// By how many bytes a region is turned around.
fn turn(secret: &Secret, base: u64, size: u64) -> u64 {
    let pages = size / PAGE;
    (1 + secret.number("turn", &base.to_le_bytes()) % (pages - 1)) * PAGE
}

fn new_base(secret: &Secret, base: u64) -> u64 {
    let region = base >> REGION;
    let others = if region < USER { 1..USER } else { USER..ALL };
    match region {
        0 => base,
        _ => secret.renumber("region", region, others) << REGION,
    }
}

/// The way back for the region of an address, in words: what stands for its base, and the original.
pub fn way_back(secret: &Secret, address: u64) -> Option<(String, String)> {
    if address < FIRST {
        return None;
    }
    let Place { base, size, .. } = place(address);
    let (new, turn) = (new_base(secret, base), turn(secret, base, size));
    let original = format!("{base:#x} + (offset + {size:#x} - {turn:#x}) % {size:#x}");
    Some((format!("{new:#x} + offset below {size:#x}"), original))
}

/// The number of an address' region, for counting.
pub fn region(address: u64) -> Option<u64> {
    (address >= FIRST).then(|| place(address).base)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_region_moves_as_a_whole() {
        let secret = Secret::of(b"a");
        let heap = 0x55c3_ea15_f000u64;
        let base = moved(&secret, heap);
        assert_ne!(base >> 12, heap >> 12);
        for offset in [1, 8, 4095, 4096, 1 << 20] {
            assert_eq!(moved(&secret, heap + offset), base + offset);
        }
        assert!((1 << 40..1 << 47).contains(&base));
        assert_ne!(moved(&Secret::of(b"b"), heap), base);
        for small in [0, 1, 0x202, FIRST - 1] {
            assert_eq!(moved(&secret, small), small);
        }
    }

    #[test]
    fn kinds_of_memory_stay_apart_and_nothing_falls_together() {
        let secret = Secret::of(b"c");
        let low = [FIRST, 0x0804_8000, OF_32_BITS - 1];
        assert!(low.iter().all(|at| (FIRST..OF_32_BITS).contains(&moved(&secret, *at))));
        let between = [OF_32_BITS, (1 << REGION) - 1];
        assert!(between.iter().all(|at| (OF_32_BITS..1 << REGION).contains(&moved(&secret, *at))));
        assert!(moved(&secret, u64::MAX) >= 1 << 47 && moved(&secret, 1 << 47) >= 1 << 47);
        let all: BTreeSet<u64> = (0..2 * USER).map(|n| moved(&secret, n << REGION | FIRST)).collect();
        assert_eq!(all.len() as u64, 2 * USER);
        assert!(all.iter().all(|at| at & (PAGE - 1) == 0));
    }

    #[test]
    fn the_way_back_names_base_and_turn() {
        let secret = Secret::of(b"d");
        let (at, size) = (0x7f12_3456_7000u64, 1u64 << REGION);
        let (new, original) = way_back(&secret, at).unwrap();
        let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
        let new = number(new.split(' ').next().unwrap());
        let turn = number(original.split(" - ").nth(1).unwrap().split(')').next().unwrap());
        let offset = moved(&secret, at) - new;
        assert_eq!(number(original.split(' ').next().unwrap()) + (offset + size - turn) % size, at);
        assert_eq!(way_back(&secret, 12), None);
    }
}
