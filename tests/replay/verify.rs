//! `vmtrace verify`: what it says of captures that are sound, that contradict themselves, that belong together, and that
//! are signed.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use vmtrace::schema::manifest::{LedgerRow, Segment};
use vmtrace::schema::reader::Capture;
use vmtrace::schema::sign::Key;
use vmtrace::schema::{Event, Manifest};

use super::captures::*;
use super::{Ran, vmtrace};

fn sound(events: &[Event<'_>]) -> Manifest {
    Manifest { ledger: ledger(events), ..manifest() }
}

fn json(ran: &Ran) -> Vec<Value> {
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Status and findings, as `kind: text`, of the capture alone.
fn verdict(made: &Made) -> (i32, Vec<String>) {
    let ran = vmtrace(&["verify", "-T", "json", made.path()]);
    assert_eq!(ran.err, "");
    let report = json(&ran).remove(0);
    assert_eq!(report["status"], ran.status);
    let said =
        |finding: &Value| format!("{}: {}", finding["kind"].as_str().unwrap(), finding["text"].as_str().unwrap());
    (ran.status, report["findings"].as_array().unwrap().iter().map(said).collect())
}

#[test]
fn a_sound_capture_is_intact_and_complete() {
    let events = [readv(1), readv(2), at(3, "tee", BASH)];
    let made = make_with(&sound(&events), &[&events[..1], &events[1..]]);
    let root = Capture::open(&made.path).unwrap().root().unwrap().to_string();
    let ran = vmtrace(&["verify", made.path()]);
    let expected = format!("{}: intact and complete\n  root digest {root}\n  3 rows in 2 row groups\n", made.path());
    assert_eq!((ran.status, ran.out, ran.err.as_str()), (0, expected, ""));
    assert!(vmtrace(&["info", made.path()]).out.contains(&format!("Root digest  {root} (as stated;")));
}

#[test]
fn loss_is_not_damage() {
    let events = [readv(1), lost(2)];
    let mut manifest = sound(&events);
    (manifest.ledger[0].seen, manifest.ledger[0].lost_ring_full) = (1 + 1234, 1234);
    let (status, findings) = verdict(&make_with(&manifest, &[&events]));
    assert_eq!((status, findings), (3, vec!["loss: 1,234 events lost: ring full".to_string()]));
}

#[test]
fn a_capture_that_contradicts_itself_is_not_intact() {
    let events = [readv(1), readv(2)];
    let with = |change: fn(&mut Manifest)| {
        let mut manifest = sound(&events);
        change(&mut manifest);
        verdict(&make_with(&manifest, &[&events]))
    };
    for (change, said) in [
        (
            (|m| m.ledger[0].seen = 3) as fn(&mut Manifest),
            "process_vm_readv: 3 seen is not 0 filtered + 0 lost + 2 written",
        ),
        (|m| (m.ledger[0].seen, m.ledger[0].written) = (1, 1), "process_vm_readv: 2 rows in the file, 1 in the ledger"),
        (|m| m.ledger.clear(), "2 rows are of events that the ledger does not list"),
        (
            |m| (m.ledger[0].seen, m.ledger[0].lost_ring_full) = (7, 5),
            "process_vm_readv: `lost` rows report 0 (ring_full), the ledger 5",
        ),
        (|m| m.end.monotonic_ns = 1, "the monotonic clock is lower at row group 0 than at the start"),
        (
            |m| m.segment = Some(Segment { index: 1, first_seq: 5, begin: m.start, ..Segment::default() }),
            "row 0 has the number 0, not 5: rows are missing or duplicated",
        ),
    ] {
        let (status, findings) = with(change);
        assert_eq!(status, 1, "{findings:?}");
        assert!(findings.contains(&format!("contradiction: {said}")), "{said:?} is not in {findings:?}");
    }
}

#[test]
fn missing_rows_are_found_by_their_numbers() {
    let events = [readv(1), readv(2), readv(3)];
    let made = make_with(&sound(&events), &[&events]);
    let path = made.dir.path().join("thinned.parquet");
    // The same capture without its second row, and a ledger to fit: everything agrees but the numbers.
    let numbered: Vec<(u64, Event<'_>)> = vec![(0, events[0]), (2, events[2])];
    write_numbered(&path, &sound(&events[..2]), &[&numbered]);
    let (status, findings) = verdict(&Made { dir: made.dir, path });
    assert_eq!(status, 1);
    assert_eq!(findings, ["contradiction: row 1 has the number 2, not 1: rows are missing or duplicated"]);
}

#[test]
fn order_and_steps_of_clocks_are_noted() {
    let events = [readv(5), readv(1), lost(0), readv(9)];
    let mut manifest = sound(&events);
    (manifest.ledger[0].seen, manifest.ledger[0].lost_ring_full) = (3 + 1234, 1234);
    manifest.end.realtime_ns -= 7_000_000_000;
    let (status, findings) = verdict(&make_with(&manifest, &[&events]));
    assert_eq!(status, 3);
    for said in [
        "note: the wall clock was stepped by -7.000000 s between the start and row group 0",
        "note: 1 row is behind rows of later instants, by up to 0.004 ms",
        "note: 1 row was recorded later than its instant (losses, processes first met, io_uring requests that did not complete)",
    ] {
        assert!(findings.iter().any(|finding| finding == said), "{said:?} is not in {findings:?}");
    }
}

/// The rows of `made` as vmtrace wrote them before there were digests.
fn without_digests(made: &Made) -> String {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&made.path).unwrap()).unwrap();
    let pairs = reader.metadata().file_metadata().key_value_metadata().unwrap().clone();
    let path = made.dir.path().join("old.parquet");
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), reader.schema().clone(), None).unwrap();
    reader.build().unwrap().for_each(|batch| writer.write(&batch.unwrap()).unwrap());
    for pair in pairs.into_iter().filter(|p| ["vmtrace.schema_version", "vmtrace.manifest"].contains(&p.key.as_str())) {
        writer.append_key_value_metadata(pair);
    }
    writer.close().unwrap();
    path.to_str().unwrap().to_string()
}

#[test]
fn without_digests_nothing_is_proven_and_everything_read() {
    let made = make(&[readv(1), readv(2)]);
    let old = without_digests(&made);
    let ran = vmtrace(&["verify", &old]);
    let expected =
        "  2 rows in 1 row group\n  UNREADABLE: has no digests: an older vmtrace wrote it, or they were removed\n";
    assert_eq!((ran.status, ran.out), (2, format!("{old}: CANNOT BE VERIFIED\n{expected}")));
    let info = vmtrace(&["info", &old]);
    assert_eq!(info.status, 0);
    assert!(!info.out.contains("Root digest"), "{}", info.out);
    assert_eq!(vmtrace(&["replay", &old]).out.matches("process_vm_readv").count(), 2);
}

/// `checksums.parquet` has five rows of `seq` and `mono_ns`, uncompressed, and was written by pyarrow with
/// `write_page_checksum=True`; vmtrace itself writes no page checksums.
#[test]
fn page_checksums_are_compared_where_there_are_any() {
    let bytes = include_bytes!("checksums.parquet");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.parquet");
    let verify = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        vmtrace(&["verify", path.to_str().unwrap()]).out
    };
    assert!(!verify(bytes).contains("CRC"));
    let value = bytes.windows(8).position(|w| w == 30u64.to_le_bytes()).unwrap();
    let mut changed = bytes.to_vec();
    changed[value] = 31;
    let out = verify(&changed);
    assert!(out.contains("UNREADABLE: ") && out.contains("CRC"), "{out}");
}

#[test]
fn files_that_are_none_are_said_to_be() {
    let made = make(&[readv(1), readv(2)]);
    let cut = made.dir.path().join("cut.parquet");
    let bytes = std::fs::read(&made.path).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() - 1]).unwrap();
    let ran = vmtrace(&["verify", "/nonexistent", cut.to_str().unwrap(), made.path()]);
    assert_eq!(ran.status, 2);
    assert!(
        ran.out.starts_with("/nonexistent: CANNOT BE VERIFIED\n  UNREADABLE: cannot open /nonexistent"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("note: 1 row group with 2 rows can be saved: `vmtrace recover` does that, with"),
        "{}",
        ran.out
    );
}

/// Three files of one recording, two rows each, chained.
fn recording() -> (tempfile::TempDir, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let mut previous: Option<(String, String)> = None;
    let mut paths = Vec::new();
    for index in 1..=3u64 {
        let events = [readv(index as i64 * 10), readv(index as i64 * 10 + 1)];
        let segment = Segment {
            index,
            begin: manifest().start,
            first_seq: (index - 1) * 2,
            previous_root: previous.as_ref().map(|(root, _)| root.clone()),
            previous_file: previous.as_ref().map(|(_, file)| file.clone()),
            ..Segment::default()
        };
        let end_reason = if index < 3 { "rotated" } else { "signal" };
        let mut manifest = Manifest { segment: Some(segment), end_reason: end_reason.into(), ..sound(&events) };
        // One is always under way when a file ends.
        let row = &mut manifest.ledger[0];
        row.carried_in = u64::from(index > 1);
        row.carried_out = u64::from(index < 3);
        row.seen = row.written + row.carried_out - row.carried_in;
        let name = format!("t-000{index}.parquet");
        let path = dir.path().join(&name);
        let numbered: Vec<_> = events.iter().enumerate().map(|(i, e)| ((index - 1) * 2 + i as u64, *e)).collect();
        write_numbered(&path, &manifest, &[&numbered]);
        previous = Some((Capture::open(&path).unwrap().root().unwrap().to_string(), name));
        paths.push(path.to_str().unwrap().to_string());
    }
    (dir, paths)
}

#[test]
fn files_of_one_recording_follow_each_other() {
    let (_dir, paths) = recording();
    let all: Vec<&str> = paths.iter().map(String::as_str).collect();
    let ran = vmtrace(&[&["verify", "-T", "json"], &all[..]].concat());
    let reports = json(&ran);
    assert_eq!(ran.status, 0, "{reports:?}");
    assert_eq!((&reports[0]["follows"], &reports[2]["follows"]), (&Value::Null, &paths[1].as_str().into()));
    assert!(reports.iter().all(|report| report["findings"].as_array().unwrap().is_empty()), "{reports:?}");

    let ran = vmtrace(&["verify", all[0], all[2]]);
    assert_eq!(ran.status, 3, "{}", ran.out);
    assert!(ran.out.contains("loss: file 2 of the recording (t-0002.parquet) is not among those given"), "{}", ran.out);
    let ran = vmtrace(&["verify", all[0], all[1]]);
    assert_eq!(ran.status, 3, "{}", ran.out);
    assert!(ran.out.contains("loss: the recording continued in another file, which is not given"), "{}", ran.out);
    let ran = vmtrace(&["verify", all[0]]);
    assert_eq!(ran.status, 0, "{}", ran.out);
    assert!(ran.out.contains("note: the recording continued in another file, which is not given"), "{}", ran.out);

    let ran = vmtrace(&["verify", all[2]]);
    assert_eq!(ran.status, 0, "{}", ran.out);
    assert!(ran.out.contains("note: file 2 of the recording (t-0002.parquet), root digest "), "{}", ran.out);
    let info = vmtrace(&["info", all[2]]).out;
    assert!(
        info.contains("Segment      file 3 of its recording, from row 4 on, after t-0002.parquet with root digest"),
        "{info}"
    );
}

#[test]
fn a_file_of_a_recording_cannot_be_exchanged() {
    let (dir, paths) = recording();
    let all: Vec<&str> = paths.iter().map(String::as_str).collect();
    // The second file made anew, with one row left out and a ledger to fit, intact by itself.
    let events = [readv(20)];
    let other = Capture::open(Path::new(all[1])).unwrap();
    let mut manifest = Manifest { ledger: ledger(&events), ..other.manifest().clone() };
    (manifest.ledger[0].carried_in, manifest.ledger[0].carried_out) = (1, 1);
    let path = dir.path().join("forged.parquet");
    write_numbered(&path, &manifest, &[&[(2, events[0])]]);
    let ran = vmtrace(&["verify", all[0], path.to_str().unwrap(), all[2]]);
    assert_eq!(ran.status, 1, "{}", ran.out);
    assert!(ran.out.contains("ALTERED: follows a file with the root digest"), "{}", ran.out);

    // The third file chained to the forgery instead: its numbers and ledger do not go on where that ends.
    let forged = Capture::open(&path).unwrap().root().unwrap().to_string();
    let last = Capture::open(Path::new(all[2])).unwrap();
    let mut manifest = last.manifest().clone();
    manifest.segment.as_mut().unwrap().previous_root = Some(forged);
    manifest.ledger[0] = LedgerRow { seen: 2, written: 2, carried_in: 0, ..manifest.ledger[0].clone() };
    let rechained = dir.path().join("rechained.parquet");
    write_numbered(&rechained, &manifest, &[&[(4, readv(30)), (5, readv(31))]]);
    let ran = vmtrace(&["verify", path.to_str().unwrap(), rechained.to_str().unwrap()]);
    assert_eq!(ran.status, 1, "{}", ran.out);
    for said in [
        "CONTRADICTION: begins with row 4, the file before ends before row 3",
        "CONTRADICTION: what the file before carries over is not what this one takes over",
    ] {
        assert!(ran.out.contains(said), "{said} is not in {}", ran.out);
    }
}

#[test]
fn a_signature_is_demanded_where_signers_are_named() {
    let made = make(&[readv(1)]);
    let dir = made.dir.path().to_str().unwrap();
    let (key, allowed) = (format!("{dir}/key"), format!("{dir}/allowed"));
    let made_key = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &key]).status();
    assert!(made_key.expect("ssh-keygen (package openssh-client) is needed").success());
    let public = std::fs::read_to_string(format!("{key}.pub")).unwrap();
    std::fs::write(&allowed, format!("me@example.org {public}")).unwrap();
    let verify = |more: &[&str]| vmtrace(&[&["verify", "--allowed-signers", &allowed, made.path()], more].concat());

    let ran = verify(&[]);
    assert_eq!(ran.status, 2, "{}", ran.out);
    assert!(ran.out.contains("demo.parquet.sig cannot be read"), "{}", ran.out);
    let signed = std::fs::File::open(&made.path).unwrap();
    Key::load(Path::new(&key)).unwrap().sign(&signed, &made.path).unwrap();
    let ran = verify(&["--identity", "me@example.org"]);
    assert_eq!(ran.status, 0, "{}", ran.out);
    assert!(ran.out.contains("  signed by me@example.org with ssh-ed25519 SHA256:"), "{}", ran.out);
    let ran = verify(&["--identity", "you@example.org"]);
    assert_eq!(ran.status, 1, "{}", ran.out);
    assert!(ran.out.contains("does not count: its key is not that of you@example.org"), "{}", ran.out);

    let missing = vmtrace(&["verify", "--allowed-signers", "/nonexistent", made.path()]);
    assert_eq!((missing.status, missing.out.as_str()), (2, ""));
    assert!(missing.err.contains("the allowed signers /nonexistent cannot be read"), "{}", missing.err);
}
