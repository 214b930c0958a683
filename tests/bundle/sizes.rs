//! `--max-size` is kept whatever is in the captures, and what that cost stands in the bundle and in the messages.

use std::path::Path;

use vmtrace::schema::manifest::{Clocks, LedgerRow};
use vmtrace::schema::reader::Capture;
use vmtrace::schema::{Event, Manifest};

use super::archive::{files, unzip};
use super::made::{self, Place};

const ROWS: u64 = 4_000;

/// Bytes that cannot be packed, from a number.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// A capture of a start of a process and many calls: some seconds, 1 MB of captured bytes, and as much of numbers as cannot be packed.
fn large(path: &Path) {
    let at = |ns: i64| Clocks {
        realtime_ns: (1 << 60) + ns,
        monotonic_ns: (1 << 40) + ns,
        boottime_ns: 1 << 40,
        uncertainty_ns: 1,
    };
    let line = |event: &str, rows| LedgerRow { event: event.into(), seen: rows, written: rows, ..LedgerRow::default() };
    let mut manifest = Manifest {
        capture_id: "c0ffee".into(),
        start: at(0),
        end: at(ROWS as i64 * 1_000_000),
        ledger: vec![line("process_exec", 1), line("process_vm_readv", ROWS - 1)],
        ..Manifest::default()
    };
    manifest.host.hostname = "build-7.example".into();
    made::write(path, &manifest, |builder| {
        for seq in 0..ROWS {
            let payload = noise(seq, 256);
            let digits = noise(seq + ROWS, 8);
            let number = u64::from_le_bytes(digits.try_into().unwrap());
            let event = if seq == 0 { "process_exec" } else { "process_vm_readv" };
            let ns = seq as i64 * 1_000_000;
            builder.push(&Event {
                seq,
                event,
                mono_ns: (1 << 40) + ns,
                ts_ns: (1 << 60) + ns,
                ts: ((1 << 60) + ns) / 1_000,
                pid: 4211,
                tid: 4211,
                comm: "victim",
                target_pid: (seq > 0).then_some(4212),
                ret: Some((number % 100_000) as i64),
                bytes: (seq > 0).then_some((number % 100_000) as i64),
                dur_ns: (seq > 0).then_some((number >> 20) as i64),
                payload: (seq > 0).then_some(&payload),
                payload_len: if seq > 0 { 256 } else { 0 },
                payload_status: (seq > 0).then_some("ok"),
                ..Event::default()
            });
        }
    });
}

/// A bundle of at most `size` bytes: its README, its capture, and what was said.
fn bundle(place: &Place, size: u64, options: &[&str]) -> (String, Capture, String) {
    let size_word = size.to_string();
    let words = [&["bundle", "large.parquet", "-o", "b.zip", "--force", "--max-size", &size_word], options].concat();
    let output = place.run(&words);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{words:?}: {said}");
    let found = place.path("b.zip").metadata().unwrap().len();
    assert!(found <= size, "{found} of {size}");
    unzip(&place.path("b.zip"), &place.path("unzipped"));
    let readme = std::fs::read_to_string(place.path("unzipped/README.txt")).unwrap();
    (readme, Capture::open(&place.path("unzipped/capture.parquet")).unwrap(), said)
}

#[test]
fn what_is_left_out_goes_by_rules_and_is_said() {
    let place = Place::new();
    large(&place.path("large.parquet"));
    let options = &["--as-is", "--yes"][..];
    let all = "--as-is";
    // All of it fits.
    let (readme, capture, said) = bundle(&place, 25 << 20, options);
    assert!(readme.contains("\nNothing.\n") && capture.rows() == ROWS, "{all}: {readme}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let whole = place.path("b.zip").metadata().unwrap().len();
    // The page is what shrinks first.
    let (readme, capture, said) = bundle(&place, whole - whole / 8, options);
    assert!(capture.rows() == ROWS && capture.payload_bytes() > Some(0), "{said}");
    assert!(readme.contains("report.html: ") && !readme.contains("capture.parquet: only"), "{readme}");
    assert!(said.contains("b.zip: report.html: The payloads of"), "{said}");
    // Then payloads go.
    let parquet = place.path("large.parquet").metadata().unwrap().len();
    let (readme, capture, said) = bundle(&place, parquet - parquet / 10, options);
    assert_eq!((capture.rows(), capture.payload_bytes()), (ROWS, None));
    let sentence = "capture.parquet: captured bytes (payloads) of 3,999 rows are left out";
    assert!(readme.contains(sentence) && said.contains(sentence), "{readme}");
    // Then the beginning.
    let without = place.path("unzipped/capture.parquet").metadata().unwrap().len();
    let (readme, capture, said) = bundle(&place, without, options);
    assert!(capture.rows() < ROWS && capture.rows() > 10, "{}", capture.rows());
    assert!(readme.contains(sentence) && said.contains(sentence), "{readme}");
    let line = readme.lines().find(|line| line.starts_with("capture.parquet: only the last part")).unwrap();
    assert!(line.contains("of 4,000 rows: from ") && said.contains(line), "{line}");
    let verify = place.run(&["verify", "unzipped/capture.parquet"]);
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));
}

#[test]
fn a_redacted_capture_keeps_the_size_as_well() {
    let place = Place::new();
    large(&place.path("large.parquet"));
    let whole = bundle(&place, 25 << 20, &[]);
    assert!(whole.0.contains("\nNothing.\n"), "{}", whole.0);
    let mut rows = ROWS;
    for size in [150_000, 120_000, 90_000] {
        let (readme, capture, _) = bundle(&place, size, &["--key", "key"]);
        assert!(capture.rows() < rows || capture.rows() == ROWS, "{size}: {} of {rows}", capture.rows());
        rows = capture.rows();
        assert!(!readme.contains("\nNothing.\n"), "{size}: {readme}");
        // The last event is always there.
        let last = made_last(&place.path("unzipped/capture.parquet"));
        assert_eq!(last, ROWS - 1);
        let status = place.run(&["bundle", "--check", "b.zip"]).status;
        assert!(status.success(), "{size}");
        let has_page = files(&place.path("b.zip")).contains_key("report.html");
        assert!(has_page || readme.contains("report.html: there is no page"), "{size}: {readme}");
    }
    assert!(rows < ROWS);
    let said = place.refused(&["bundle", "large.parquet", "-o", "none.zip", "--max-size", "4K"]);
    assert!(said.contains("--max-size") && said.contains("give more") && said.lines().count() == 1, "{said}");
    assert!(!place.path("none.zip").exists());
}

fn made_last(path: &Path) -> u64 {
    let mut last = 0;
    made::each(path, |event| last = event.seq);
    last
}

#[test]
fn every_capture_keeps_its_part() {
    let place = Place::new();
    large(&place.path("large.parquet"));
    let pipe = made::root().join("samples/pipe-relay/pipe-relay.parquet");
    let words = ["bundle", "large.parquet", pipe.to_str().unwrap(), "-o", "b.zip", "--max-size", "240K"];
    place.ok(&words);
    assert!(place.path("b.zip").metadata().unwrap().len() <= 240 << 10);
    let status = place.run(&["bundle", "--check", "b.zip"]);
    let text = String::from_utf8(status.stdout).unwrap();
    assert!(
        text.contains("b.zip:capture-1.parquet: intact") && text.contains("b.zip:capture-2.parquet: intact"),
        "{text}"
    );
}

/// Each open file counts, and a shell allows 1,024.
#[test]
fn many_captures_need_few_open_files() {
    let place = Place::new();
    let sample = made::root().join("samples/forger/forger.parquet");
    let names: Vec<String> = (0..40).map(|number| format!("{number}.parquet")).collect();
    for name in &names {
        std::fs::copy(&sample, place.path(name)).unwrap();
    }
    let bundle = |most: u32, options: &[&str]| {
        let script = format!("ulimit -n {most} && exec \"$0\" \"$@\"");
        let mut sh = std::process::Command::new("sh");
        sh.args(["-c", &script, env!("CARGO_BIN_EXE_vmtrace"), "bundle", "--force", "-o", "b.zip"]).args(options);
        sh.args(&names).current_dir(place.path("")).output().unwrap()
    };
    // One for each capture.
    let ran = bundle(60, &["--max-size", "100M"]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let ran = bundle(30, &["--max-size", "100M"]);
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(2), "{said}");
    assert!(said.contains("too many open files: allow more with `ulimit -n 4096`"), "{said}");
}
