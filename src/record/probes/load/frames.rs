//! What kernels before 6.13 refuse: a chain of calls whose frames take more stack than there is. A newer kernel loads it, so
//! that only this test, and the guests, would show it.

use std::collections::BTreeMap;

use object::read::elf::ElfFile64;
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SymbolKind};

/// Bytes of stack of a program, and of what it calls (include/linux/filter.h, MAX_BPF_STACK).
const STACK: usize = 512;
/// Each frame takes a multiple of it (kernel/bpf/verifier.c, check_max_stack_depth; 16 in later kernels).
const ROUND: usize = 32;
/// Functions on top of each other (include/linux/bpf_verifier.h, MAX_CALL_FRAMES).
const DEPTH: usize = 8;
/// Bytes of an instruction (include/uapi/linux/bpf.h, struct bpf_insn).
const INSN: usize = 8;
/// The register of the frame, and the mark of calls of our own functions.
const FRAME_POINTER: u8 = 10;
const PSEUDO_CALL: u8 = 1;
const CALL: u8 = 0x85;
const MOVE: u8 = 0xbf;
const ADD: u8 = 0x07;

/// Where a function is: section, and offset in it.
type Place = (usize, u64);

#[derive(Debug, Default)]
struct Function {
    name: String,
    frame: usize,
    calls: Vec<Place>,
}

/// The lowest byte of its frame that a function reaches: by an offset from the frame's pointer, or from a copy of it.
fn frame(code: &[u8]) -> usize {
    let mut lowest = 0;
    let mut copy = None;
    for insn in code.chunks_exact(INSN) {
        let (op, target, source) = (insn[0], insn[1] & 15, insn[1] >> 4);
        let (offset, immediate) =
            (i16::from_le_bytes([insn[2], insn[3]]), i32::from_le_bytes([insn[4], insn[5], insn[6], insn[7]]));
        // LDX, ST and STX with an offset.
        let base = match op & 7 {
            1 => Some(source),
            2 | 3 => Some(target),
            _ => None,
        };
        if base == Some(FRAME_POINTER) {
            lowest = lowest.min(i32::from(offset));
        }
        if op == ADD && copy == Some(target) {
            lowest = lowest.min(immediate);
        }
        copy = (op == MOVE && source == FRAME_POINTER).then_some(target);
    }
    lowest.unsigned_abs() as usize
}

fn functions(bytes: &[u8]) -> BTreeMap<Place, Function> {
    let file = ElfFile64::<object::Endianness>::parse(bytes).expect("an ELF file");
    let mut found = BTreeMap::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0) {
        let index = symbol.section_index().expect("a function is in a section");
        let section = file.section_by_index(index).expect("its section");
        let (begin, end) = (symbol.address(), symbol.address() + symbol.size());
        let code = &section.data().expect("its code")[begin as usize..end as usize];
        let mut calls = BTreeMap::new();
        for (at, insn) in code.chunks_exact(INSN).enumerate() {
            if insn[0] == CALL && insn[1] >> 4 == PSEUDO_CALL {
                let relative = i64::from(i32::from_le_bytes([insn[4], insn[5], insn[6], insn[7]]));
                let at = begin + (at * INSN) as u64;
                calls.insert(at, (index.0, (at as i64 + (relative + 1) * INSN as i64) as u64));
            }
        }
        // Functions of other sections, and global ones, are found by a relocation.
        for (at, relocation) in section.relocations() {
            let (true, RelocationTarget::Symbol(target)) = (calls.contains_key(&at), relocation.target()) else {
                continue;
            };
            let target = file.symbol_by_index(target).expect("its symbol");
            // A function of the kernel has a stack of its own.
            let Some(section) = target.section_index().map(|section| section.0) else {
                calls.remove(&at);
                continue;
            };
            let insn = (at - begin) as usize;
            let relative = i64::from(i32::from_le_bytes(code[insn + 4..insn + 8].try_into().expect("four bytes")));
            // Of a section's symbol the instruction has the place; of a function's it has -1.
            calls.insert(at, (section, (target.address() as i64 + (relative + 1) * INSN as i64) as u64));
        }
        let name = symbol.name().unwrap_or_default().to_string();
        found.insert((index.0, begin), Function { name, frame: frame(code), calls: calls.into_values().collect() });
    }
    found
}

/// The chain of calls from a function that takes the most stack: bytes, and who is in it.
fn deepest(all: &BTreeMap<Place, Function>, place: Place, above: usize) -> (usize, Vec<&str>) {
    let function = all.get(&place).unwrap_or_else(|| panic!("a call leads to no function: {place:?}"));
    assert!(above < DEPTH, "{}: too many calls on top of each other", function.name);
    let called = function.calls.iter().map(|call| deepest(all, *call, above + 1)).max().unwrap_or_default();
    let (bytes, mut names) = called;
    names.insert(0, &function.name);
    (bytes + function.frame.max(1).next_multiple_of(ROUND), names)
}

#[test]
fn every_chain_of_calls_fits_the_stack_of_old_kernels() {
    let all = functions(super::object::OBJECT);
    assert!(all.len() > 20 && all.values().any(|f| f.name == "sys_exit" && !f.calls.is_empty()), "{all:?}");
    let over: Vec<_> = all.keys().map(|place| deepest(&all, *place, 0)).filter(|(bytes, _)| *bytes > STACK).collect();
    assert!(over.is_empty(), "more than {STACK} bytes of stack: {over:?}");
}
