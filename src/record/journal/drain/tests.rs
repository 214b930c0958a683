use super::*;

fn record(clock: u64) -> Vec<u8> {
    let mut record = vec![0; size_of::<vmt_hdr>()];
    const CLOCK: usize = std::mem::offset_of!(vmt_hdr, mono_ns);
    record[CLOCK..CLOCK + 8].copy_from_slice(&clock.to_ne_bytes());
    record
}

#[test]
fn a_quiet_while_is_told_once() {
    const MS: u64 = 1_000_000;
    let intake = Intake::new(1, CHUNK_BYTES);
    let mut stamps = Vec::new();
    let mut emptied_at = |ms: u64| {
        intake.chunk.borrow_mut().complete_until_ns = ms * MS;
        if intake.owed().is_some_and(|instant| intake.passes(instant)) || !intake.is_empty() {
            let mut deliver = |chunk: &mut Chunk| -> Result<()> {
                stamps.push((chunk.complete_until_ns / MS, chunk.records().len()));
                Ok(())
            };
            intake.hand_on(&mut deliver).unwrap();
        }
    };
    emptied_at(10);
    for clock in [19, 20] {
        take_record(0, &record(clock * MS), &intake);
    }
    [21, 22, 26, 30].into_iter().for_each(&mut emptied_at);
    take_record(0, &record(31 * MS), &intake);
    [40, 50].into_iter().for_each(&mut emptied_at);
    let size = size_of::<vmt_hdr>();
    assert_eq!(stamps, [(21, 2 * size), (26, 0), (40, size)]);
}

#[test]
fn who_waits_for_an_instant_is_forgotten_when_it_is_past() {
    let control = Control::new().unwrap();
    [30_000_000, 10_000_000].into_iter().for_each(|instant| control.complete_until(instant));
    assert_eq!(control.next_awaited(), Some(10_000_000));
    control.has_come_to(15_000_000);
    assert_eq!(control.next_awaited(), Some(10_000_000), "records of that instant may come yet");
    control.has_come_to(15_000_001);
    assert_eq!(control.next_awaited(), Some(30_000_000));
}
