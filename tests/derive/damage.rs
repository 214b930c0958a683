//! A capture of which any byte was changed is refused, or what is made of it is sound; nothing is left of what was refused.

use super::captures::*;
use super::*;

/// Every so many bytes one is changed.
const STEP: usize = 211;

#[test]
fn damage_is_refused_or_does_not_matter() {
    let events = [at(0, "process_snapshot", SPY), readv(1), readv(2_000), readv(3_000)];
    let mut manifest = manifest();
    manifest.ledger = ledger(&events);
    let whole = make_with(&manifest, &[&events[..2], &events[2..]]);
    let sound = std::fs::read(&whole.path).unwrap();
    let wanted = rows(whole.path(), &["--until", "2ms"]);
    let dir = Dir::new();
    let (file, out) = (dir.path("t.parquet"), dir.path("out.parquet"));
    let mut refused = 0;
    for at in (0..sound.len()).step_by(STEP) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&file, bytes).unwrap();
        let ran = vmtrace(&["slice", &file, "--until", "2ms", "-o", &out]);
        match ran.status {
            0 => {
                // What the footer says of the recording is not compared by slice: verify does that.
                if vmtrace(&["verify", &file]).status == 0 {
                    assert_eq!(rows(&out, &["--until", "2ms"]), wanted, "byte {at}");
                }
                std::fs::remove_file(&out).unwrap();
            }
            2 => {
                assert!(ran.err.lines().count() == 1 && !ran.err.contains("panicked at"), "byte {at}: {}", ran.err);
                refused += 1;
            }
            status => panic!("byte {at}: {status}: {}", ran.err),
        }
        assert_eq!(dir.names(), ["t.parquet"], "byte {at}");
    }
    assert!(refused > 0);
}

#[test]
fn a_derived_capture_that_was_changed_is_altered() {
    let whole = make(&everything());
    let dir = Dir::new();
    let out = dir.path("out.parquet");
    made(&["slice", whole.path(), "-e", "@vm", "-o", &out]);
    let sound = std::fs::read(&out).unwrap();
    for at in (0..sound.len()).step_by(10 * STEP) {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        std::fs::write(&out, bytes).unwrap();
        let ran = vmtrace(&["verify", &out]);
        assert!([1, 2].contains(&ran.status), "byte {at}: {}", ran.out);
        assert!(!ran.out.contains("), intact"), "byte {at}: {}", ran.out);
    }
}
