use super::*;

fn memory(structure: &'static Struct, bytes: &[u8]) -> Option<u64> {
    walk(&mut Input::new(bytes), structure, 1 << 20, &mut ()).ok()
}

#[test]
fn what_an_index_will_take_is_counted() {
    let location = [0x16, 8, 0x15, 4, 0x16, 0, 0];
    let index = [&[0x19, 0x2c][..], &location, &location, &[0]].concat();
    assert_eq!(memory(&OFFSET_INDEX, &index), Some(64 + OWNED + 2 * 24));
    assert_eq!(walk(&mut Input::new(&index), &OFFSET_INDEX, 100, &mut ()), Err(Fault::Large));
    for cut in 0..index.len() {
        assert_eq!(memory(&OFFSET_INDEX, &index[..cut]), None, "cut at {cut}");
    }
}

#[test]
fn claims_beyond_the_bytes_are_refused() {
    let most = [0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0x16, 8, 0x15, 4, 0x16, 0, 0, 0];
    assert_eq!(memory(&OFFSET_INDEX, &most), None, "2^31-1 pages");
    let bools = [0x19, 0x22, 1, 2, 0x19, 0x08, 0x19, 0x08, 0x15, 0, 0];
    assert!(memory(&COLUMN_INDEX, &bools).is_some());
    let text = [0x18, 0xff, 0xff, 0xff, 0xff, 0x7f, 0];
    assert_eq!(memory(&KEY_VALUE, &text), None, "a long text");
}

#[test]
fn fields_have_their_types_and_come_once() {
    assert_eq!(memory(&SORTING, &[0x15, 2, 0x11, 0x12, 0]), Some(12));
    assert_eq!(memory(&SORTING, &[0x16, 2, 0]), None, "another type");
    assert_eq!(memory(&SORTING, &[0x15, 2, 0x05, 2, 4, 0]), None, "twice");
    assert_eq!(memory(&SORTING, &[0x95, 2, 0]), Some(12), "one that is not known");
}
