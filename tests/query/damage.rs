//! Captures that were damaged or forged: an error that names file and column, never a crash, a hang or an appetite for
//! memory.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::Int32Type;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::{KeyValue, ParquetMetaDataReader, ParquetMetaDataWriter};
use parquet::file::statistics::Statistics;

use super::captures::{self, at, everything, manifest, readv};
use super::{command, many, query, ran};

const VERSION: (&str, &str) = ("vmtrace.schema_version", "1");
const MANIFEST: (&str, &str) = ("vmtrace.manifest", "{}");

fn errors(path: &Path, sql: &str, parts: &[&str]) {
    let path = path.to_str().unwrap();
    let ran = query(&[path, sql]);
    assert_eq!(ran.status, 2, "{sql}: {}{}", ran.out, ran.err);
    for part in parts.iter().chain(&[path]) {
        assert!(ran.err.contains(part), "{part:?} is not in {}", ran.err);
    }
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
}

/// A Parquet file of `columns` that says it is a capture.
fn forged(path: &Path, columns: Vec<(&str, ArrayRef)>, pairs: &[(&str, &str)]) {
    forged_of(path, vec![columns], pairs);
}

/// The same of several batches in one row group.
fn forged_of(path: &Path, batches: Vec<Vec<(&str, ArrayRef)>>, pairs: &[(&str, &str)]) {
    let batches = batches.into_iter().map(|columns| RecordBatch::try_from_iter(columns).unwrap()).collect::<Vec<_>>();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batches[0].schema(), None).unwrap();
    for batch in &batches {
        writer.write(batch).unwrap();
    }
    for (key, value) in pairs {
        writer.append_key_value_metadata(KeyValue::new(key.to_string(), value.to_string()));
    }
    writer.close().unwrap();
}

/// The least that a capture has, `rows` times.
fn least(rows: usize) -> Vec<(&'static str, ArrayRef)> {
    let numbers = || (0..rows as i64).collect::<Vec<_>>();
    let event: DictionaryArray<Int32Type> = std::iter::repeat_n("tee", rows).collect();
    vec![
        ("seq", Arc::new(UInt64Array::from((0..rows as u64).collect::<Vec<_>>()))),
        ("ts", Arc::new(TimestampMicrosecondArray::from(numbers()).with_timezone("UTC"))),
        ("ts_ns", Arc::new(Int64Array::from(numbers()))),
        ("mono_ns", Arc::new(Int64Array::from(numbers()))),
        ("event", Arc::new(event)),
        ("pid", Arc::new(Int32Array::from(vec![7; rows]))),
        ("tid", Arc::new(Int32Array::from(vec![7; rows]))),
    ]
}

#[test]
fn forged_captures_are_refused_by_file_and_column() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.parquet");
    let count = "SELECT count(*) FROM events";
    forged(&path, least(3), &[("vmtrace.schema_version", "2"), MANIFEST]);
    errors(&path, count, &["has schema version 2; this vmtrace reads up to"]);
    let mut columns = least(3);
    columns[5].1 = Arc::new(StringArray::from(vec!["7"; 3]));
    forged(&path, columns, &[VERSION, MANIFEST]);
    errors(&path, count, &["column pid is Utf8, not Int32"]);
    for missing in 0..7 {
        let mut columns = least(3);
        let (name, _) = columns.remove(missing);
        forged(&path, columns, &[VERSION, MANIFEST]);
        errors(&path, count, &[&format!("column {name} is missing")]);
    }
}

#[test]
fn older_captures_open_and_what_they_lack_is_null() {
    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join("old.parquet");
    forged(&old, least(3), &[VERSION, MANIFEST]);
    let old = old.to_str().unwrap();
    let sql = "SELECT count(*) AS n, count(comm) AS comm, count(payload) AS payload FROM events";
    assert_eq!(super::rows(&[old, sql]), [serde_json::json!({"n": 3, "comm": 0, "payload": 0})]);
    for view in ["transfers", "processes", "edges", "pipes", "losses", "flows", "manifest", "ledger"] {
        let ran = query(&[old, &format!("SELECT * FROM {view}")]);
        assert!(ran.status < 2 && ran.err.is_empty(), "{view}: {}", ran.err);
    }
    // Beside a capture that has them.
    let both = super::rows(&[old, "samples/mpi-pair", sql]);
    assert_eq!((&both[0]["n"], &both[0]["comm"]), (&18.into(), &15.into()));
    // Columns that a later version may add are there, where their types agree.
    let later = dir.path().join("later.parquet");
    let mut columns = least(2);
    columns.push(("novel", Arc::new(Int64Array::from(vec![1, 2]))));
    forged(&later, columns.clone(), &[VERSION, MANIFEST]);
    let sum = super::rows(&[later.to_str().unwrap(), old, "SELECT sum(novel) AS s, count(*) AS n FROM events"]);
    assert_eq!(sum, [serde_json::json!({"s": 3, "n": 5})]);
    let other = dir.path().join("other.parquet");
    columns[7].1 = Arc::new(StringArray::from(vec!["1", "2"]));
    forged(&other, columns, &[VERSION, MANIFEST]);
    let ran = query(&[later.to_str().unwrap(), other.to_str().unwrap(), "SELECT 1"]);
    assert!(ran.status == 2 && ran.err.contains("column novel is Utf8View, in another capture Int64"), "{}", ran.err);
}

/// Writes the capture at `path` anew with the footer that `change` makes of its own.
fn with_statistics(path: &Path, column: &str, statistics: &Statistics) {
    let bytes = std::fs::read(path).unwrap();
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&std::fs::File::open(path).unwrap()).unwrap();
    let mut builder = metadata.into_builder();
    let groups = builder.take_row_groups().into_iter().map(|group| {
        let mut group = group.into_builder();
        let chunks = group.take_columns().into_iter().map(|chunk| {
            if chunk.column_path().string() != column {
                return chunk;
            }
            chunk.into_builder().set_statistics(statistics.clone()).build().unwrap()
        });
        group.set_column_metadata(chunks.collect()).build().unwrap()
    });
    let metadata = builder.set_row_groups(groups.collect()).build();
    let length = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize;
    let mut forged = bytes[..bytes.len() - 8 - length].to_vec();
    ParquetMetaDataWriter::new(&mut forged, &metadata).finish().unwrap();
    std::fs::write(path, forged).unwrap();
}

#[test]
fn statistics_that_contradict_themselves_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lies.parquet");
    let sql = "SELECT count(*) FROM events WHERE pid = 4211";
    let make = || captures::write(&path, &manifest(), &[&many(20, 20)[0]]);
    make();
    with_statistics(&path, "pid", &Statistics::int32(Some(9), Some(1), None, Some(0), false));
    errors(&path, sql, &["row group 0: column pid: statistics claim values from 9 to 1"]);
    make();
    with_statistics(&path, "pid", &Statistics::int32(Some(1), Some(9), None, Some(0), false));
    errors(
        &path,
        sql,
        &["column pid: statistics of a page claim values from 4211 to 4211, those of the row group 1 to 9"],
    );
}

#[test]
fn pages_that_claim_more_than_the_footer_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("huge.parquet");
    captures::write(&path, &manifest(), &[&many(5000, 5000)[0]]);
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&std::fs::File::open(&path).unwrap()).unwrap();
    let columns = metadata.row_group(0).columns();
    let column = columns.iter().find(|c| c.column_path().string() == "mono_ns").unwrap();
    let start = column.byte_range().0 as usize;
    let mut bytes = std::fs::read(&path).unwrap();
    // Type, then the size uncompressed: as many bytes as it has, all bits set.
    assert_eq!(bytes[start], 0x15);
    assert_eq!(bytes[start + 2], 0x15);
    let mut at = start + 3;
    let first = at;
    while bytes[at] & 0x80 != 0 {
        bytes[at] = 0xff;
        at += 1;
    }
    bytes[at] = 0x7f;
    bytes[first] &= 0xfe;
    std::fs::write(&path, &bytes).unwrap();
    errors(
        &path,
        "SELECT max(mono_ns - ts_ns) FROM events",
        &["column mono_ns has, in row group 0, pages of", "where the footer says"],
    );
}

#[test]
fn damage_is_named_by_file_column_and_row_group() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hurt.parquet");
    let groups = many(4000, 2000);
    captures::write(&path, &manifest(), &[&groups[0], &groups[1]]);
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&std::fs::File::open(&path).unwrap()).unwrap();
    let columns = metadata.row_group(1).columns();
    let column = columns.iter().find(|c| c.column_path().string() == "payload").unwrap();
    let (start, length) = column.byte_range();
    let mut bytes = std::fs::read(&path).unwrap();
    // Behind the page's header: what zstd made of it.
    for byte in &mut bytes[(start + length / 2) as usize..(start + length) as usize] {
        *byte = 0xff;
    }
    std::fs::write(&path, &bytes).unwrap();
    errors(&path, "SELECT max(payload) FROM events", &["column payload is damaged in row group 1"]);
    let sound = query(&[path.to_str().unwrap(), "SELECT max(seq) AS m FROM events", "-T", "csv"]);
    assert_eq!((sound.status, sound.out.as_str()), (0, "m\n3999\n"), "{}", sound.err);
}

#[test]
fn a_value_that_repeats_is_held_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bomb.parquet");
    // 600 MB, in a dictionary of one value.
    let mut columns = least(30);
    columns.push(("payload", Arc::new(BinaryArray::from_iter_values(vec![vec![b'x'; 250_000]; 30]))));
    forged_of(&path, vec![columns; 80], &[VERSION, MANIFEST]);
    let size = path.metadata().unwrap().len();
    assert!(size < 1 << 20, "{size}");
    let path = path.to_str().unwrap();
    for (sql, status) in [
        ("SELECT max(payload) > x'78' FROM events", 0),
        ("SELECT count(*), max(payload) > x'78' FROM events WHERE payload > x'77' AND seq > 3", 0),
        ("SELECT max(hexdump(payload)) > 'x' FROM events WHERE seq > 3", 2),
    ] {
        let child = command(&[path, sql, "--memory-limit", "256M"]).output().unwrap();
        let ran = ran(&child);
        assert_eq!(ran.status, status, "{sql}: {}", ran.err);
    }
    assert!(peak_of_children() < 500 << 20, "{}", peak_of_children());
}

/// Largest resident set of any process that this one has waited for, in bytes.
fn peak_of_children() -> u64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).unwrap();
    usage.max_rss() as u64 * 1024
}

#[test]
fn schemas_nested_deep_do_not_crash() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep.parquet");
    for depth in [100, 100_000] {
        std::fs::write(&path, nested(depth)).unwrap();
        let output = command(&[path.to_str().unwrap(), "SELECT 1"]).output().unwrap();
        assert_eq!(output.status.signal(), None, "depth {depth}");
        assert_eq!(output.status.code(), Some(2), "depth {depth}");
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(err.contains("deep.parquet"), "{err}");
    }
}

/// A Parquet file whose schema has groups in groups, `depth` of them, and a number within.
fn nested(depth: usize) -> Vec<u8> {
    let varint = |mut value: usize| {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    };
    // Of a group: repetition, name, one child. Of the leaf: type, repetition, name.
    let group = [0x35, 0, 0x18, 1, b'g', 0x15, 2, 0];
    let leaf = [0x15, 2, 0x25, 0, 0x18, 1, b'l', 0];
    let mut footer = vec![0x15, 2, 0x19, 0xfc];
    footer.extend(varint(depth + 1));
    footer.extend(group.repeat(depth));
    footer.extend(leaf);
    // No rows, no row groups.
    footer.extend([0x16, 0, 0x19, 0x0c, 0]);
    let length = (footer.len() as u32).to_le_bytes();
    [&b"PAR1"[..], &footer, &length, b"PAR1"].concat()
}

/// Bytes flipped here and there: any answer will do, a crash will not.
#[test]
fn flipped_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flipped.parquet");
    let mut events = everything();
    events.push(readv(1));
    events.push(at(2, "tee", 7));
    captures::write(&path, &manifest(), &[&events]);
    let whole = std::fs::read(&path).unwrap();
    let step = if std::env::var_os("VMTRACE_EXHAUSTIVE").is_some() { 7 } else { whole.len() / 60 };
    for at in (5..whole.len()).step_by(step) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        std::fs::write(&path, &bytes).unwrap();
        let sql = "SELECT * FROM events; SELECT * FROM transfers; SELECT * FROM processes; SELECT * FROM manifest";
        let output = command(&[path.to_str().unwrap(), sql, "-T", "jsonl"]).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0..=2)), "{at}: {:?} {err}", output.status);
        assert!(!err.contains("panicked") && err.len() < 4000, "{at}: {err}");
    }
    assert!(peak_of_children() < 2 << 30, "{}", peak_of_children());
}
