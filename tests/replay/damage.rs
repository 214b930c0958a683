//! Files that are no captures, and captures that were damaged: a sentence and status 2, never a panic, a hang or
//! an appetite for memory.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use vmtrace::schema::reader::{Capture, Scan};

use super::captures::*;
use super::vmtrace;

fn errors(path: &Path, message: &str) {
    let path = path.to_str().unwrap();
    for args in [&["replay"][..], &["info"], &["summary"], &["memory", "-p", "42"]] {
        let ran = vmtrace(&[args, &[path]].concat());
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{args:?} {path}");
        assert!(ran.err.starts_with("vmtrace: ") && ran.err.contains(path), "{}", ran.err);
        assert!(ran.err.contains(message), "{message:?} is not in {}", ran.err);
        assert_eq!(ran.err.lines().count(), 1, "one sentence: {}", ran.err);
    }
}

/// The sentences above the events need all rows; the events do not.
#[test]
fn events_before_the_damage_come_also_below_a_summary() {
    let groups: Vec<Vec<_>> = [0..20, 20..40].into_iter().map(|rows| rows.map(readv).collect()).collect();
    let made = make_with(&manifest(), &groups.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let mut bytes = std::fs::read(&made.path).unwrap();
    let second = Capture::open(&made.path).unwrap().row_group(1).unwrap().1;
    bytes[usize::try_from(second.start).unwrap()..usize::try_from(second.end).unwrap()].fill(0xff);
    std::fs::write(&made.path, bytes).unwrap();
    let plain = vmtrace(&["replay", made.path()]);
    assert!(plain.status == 2 && plain.out.matches("process_vm_readv").count() == 20, "{}", plain.out);
    let below = vmtrace(&["replay", "--summary", made.path()]);
    assert_eq!((below.status, below.out, below.err), (plain.status, plain.out, plain.err));
}

#[test]
fn files_that_are_no_captures() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    errors(&dir.path().join("missing"), "cannot open");
    errors(dir.path(), "is a directory; name a capture file in it");
    errors(Path::new("/dev/null"), "is not a regular file");
    errors(&file("empty", b""), "is empty: not a capture");
    errors(&file("text", b"some text, longer than a footer"), "is not a Parquet file: not a capture");
    errors(&file("short", b"PAR1"), "has no Parquet footer");
    errors(&file("magic", b"PAR1\xff\xff\xff\xffPAR1"), "the Parquet footer is damaged");
    for name in ["missing", "", "empty", "text", "short", "magic"] {
        let ran = vmtrace(&["verify", dir.path().join(name).to_str().unwrap()]);
        assert_eq!((ran.status, ran.err.as_str()), (2, ""), "{name}");
        assert!(ran.out.contains("CANNOT BE VERIFIED\n  UNREADABLE: "), "{}", ran.out);
    }
}

fn parquet(path: &Path, column: &str, pairs: &[(&str, &str)]) {
    let array: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let batch = RecordBatch::try_from_iter([(column, array)]).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    for (key, value) in pairs {
        writer.append_key_value_metadata(KeyValue::new(key.to_string(), value.to_string()));
    }
    writer.close().unwrap();
}

#[test]
fn parquet_files_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.parquet");
    let (version, manifest) = (("vmtrace.schema_version", "1"), ("vmtrace.manifest", "{}"));
    parquet(&path, "a", &[]);
    errors(&path, "is a Parquet file but not a vmtrace capture");
    parquet(&path, "a", &[("vmtrace.schema_version", "2"), manifest]);
    errors(&path, "has schema version 2; this vmtrace reads up to 1: use a newer vmtrace");
    parquet(&path, "a", &[("vmtrace.schema_version", "\x1b"), manifest]);
    errors(&path, "has a vmtrace.schema_version that is not a number");
    parquet(&path, "a", &[version]);
    errors(&path, "has no vmtrace.manifest");
    parquet(&path, "a", &[version, ("vmtrace.manifest", "[\x1b]")]);
    errors(&path, "has a vmtrace.manifest that cannot be read");
    parquet(&path, "pid", &[version, manifest]);
    errors(&path, "column pid is Int64, not Int32");
}

#[test]
fn missing_columns_read_as_absent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.parquet");
    parquet(&path, "mono_ns", &[("vmtrace.schema_version", "1"), ("vmtrace.manifest", "{}")]);
    for args in [&["replay"][..], &["replay", "--by", "process"], &["replay", "--since", "0"], &["info"]] {
        let ran = vmtrace(&[args, &[path.to_str().unwrap()]].concat());
        assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{args:?}");
    }
}

#[test]
fn truncated_anywhere() {
    let made = make(&everything());
    let whole = std::fs::read(&made.path).unwrap();
    let path = made.dir.path().join("cut.parquet");
    let step = whole.len() / 37 + 1;
    let ends = (0..whole.len()).step_by(step).chain(whole.len() - 20..whole.len());
    for end in ends {
        std::fs::write(&path, &whole[..end]).unwrap();
        assert!(Capture::open(&path).is_err(), "cut at {end}");
    }
    errors(&path, "has no Parquet footer: its recording did not finish, or it was cut off");
}

/// Whoever looks at what a killed recorder left learns what to do with it.
#[test]
fn an_unfinished_capture_is_for_recover() {
    let made = make(&everything());
    let whole = std::fs::read(&made.path).unwrap();
    let partial = made.dir.path().join("t.parquet.partial");
    std::fs::write(&partial, &whole[..whole.len() - 9]).unwrap();
    let partial = partial.to_str().unwrap();
    let remedy = format!("`vmtrace recover {partial} -o FILE`");
    for args in [&["replay"][..], &["replay", "-T", "csv"], &["info"], &["info", "-T", "json"], &["verify"]] {
        let ran = vmtrace(&[args, &[partial]].concat());
        assert_eq!(ran.status, 2, "{args:?}");
        let said = ran.out + &ran.err;
        assert_eq!(said.matches(&remedy).count(), 1, "{args:?}: {said}");
    }
    let other = made.dir.path().join("cut.parquet");
    std::fs::write(&other, &whole[..40]).unwrap();
    let ran = vmtrace(&["replay", other.to_str().unwrap()]);
    assert!(ran.err.contains("no Parquet footer") && !ran.err.contains("recover"), "nothing is whole: {}", ran.err);
}

#[test]
fn events_before_the_damage_are_printed() {
    let made = make_with(&manifest(), &[&[readv(1)], &[readv(2)]]);
    let mut bytes = std::fs::read(&made.path).unwrap();
    // Wreck the second row group, whose pages end where the indexes begin.
    let metadata = parquet::file::metadata::ParquetMetaDataReader::new()
        .parse_and_finish(&std::fs::File::open(&made.path).unwrap())
        .unwrap();
    let (start, _) = metadata.row_group(1).column(0).byte_range();
    for byte in &mut bytes[start as usize..start as usize + 200] {
        *byte = 0xff;
    }
    std::fs::write(&made.path, &bytes).unwrap();
    for args in [&[][..], &["-p", "42"], &["-T", "jsonl"]] {
        let ran = vmtrace(&[&["replay", made.path()], args].concat());
        assert_eq!(ran.status, 2, "{args:?}");
        assert_eq!(ran.out.matches("process_vm_readv").count(), 1, "{args:?}: {}", ran.out);
        assert!(ran.err.contains("damaged; the events before this point were read"), "{}", ran.err);
    }
}

/// Opens and reads everything; any result will do.
fn read(path: &Path) {
    let Ok(capture) = Capture::open(path) else { return };
    let scans = [Scan::default(), Scan { pids: vec![42], since_mono_ns: Some(0), ..Scan::default() }];
    for scan in &scans {
        for batch in capture.scan(scan).into_iter().flatten() {
            let Ok(batch) = batch else { break };
            assert!(batch.iter().count() <= 1 << 20);
        }
    }
}

/// A sample of the bytes; all of them, three ways each, take minutes: `VMTRACE_EXHAUSTIVE=1`.
#[test]
fn flipped_bytes() {
    let exhaustive = std::env::var_os("VMTRACE_EXHAUSTIVE").is_some();
    let step = if exhaustive { 1 } else { 23 };
    let masks: &[u8] = if exhaustive { &[0x01, 0x80, 0xff] } else { &[0xff] };
    let made = make(&[readv(1), at(2, "tee", BASH)]);
    let mut bytes = std::fs::read(&made.path).unwrap();
    let path = made.dir.path().join("flipped.parquet");
    for at in (0..bytes.len()).step_by(step) {
        for mask in masks {
            bytes[at] ^= mask;
            std::fs::write(&path, &bytes).unwrap();
            read(&path);
            bytes[at] ^= mask;
        }
    }
    assert!(peak_memory() < 2 << 30, "{}", peak_memory());
}

/// VmHWM of this process, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
