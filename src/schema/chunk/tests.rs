use std::fs::File;

use arrow::array::RecordBatch;
use arrow::compute::{cast, concat_batches};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::schema::group::EncodedGroup;
use crate::schema::manifest::Manifest;
use crate::schema::types::{Iovec, Iovecs};
use crate::schema::writer::CaptureFile;
use crate::schema::{BatchBuilder, Event};

/// Rows of three pages.
const ROWS: u64 = 50_000;

/// Writes `batch` to `file` as a capture.
fn write(batch: &RecordBatch, file: &File) {
    let mut capture = CaptureFile::create(file.try_clone().unwrap(), &Manifest::default()).unwrap();
    let group = EncodedGroup::encode(batch.clone()).unwrap();
    capture.append(&group, Default::default(), &serde_json::Value::Null).unwrap();
    capture.close(&Manifest::default()).unwrap();
}

/// What the library reads of the file that `batch` is written to.
fn read_back(batch: &RecordBatch) -> RecordBatch {
    let file = tempfile::tempfile().unwrap();
    write(batch, &file);
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// Leaves a capture of `batch`, and its columns as an Arrow file, where `VMTRACE_TEST_SHAPES` says: tests/readers/shapes.py
/// compares the two.
#[cfg(feature = "query")]
fn leave(batch: &RecordBatch, name: &str) {
    let Some(dir) = std::env::var_os("VMTRACE_TEST_SHAPES").map(std::path::PathBuf::from) else { return };
    let arrow = File::create(dir.join(format!("{name}.arrow"))).unwrap();
    let mut arrow = arrow::ipc::writer::FileWriter::try_new(arrow, &batch.schema()).unwrap();
    arrow.write(batch).unwrap();
    arrow.finish().unwrap();
    let capture = dir.join(format!("{name}.parquet"));
    write(batch, &File::options().read(true).write(true).create(true).truncate(true).open(capture).unwrap());
}

#[cfg(not(feature = "query"))]
fn leave(_: &RecordBatch, _: &str) {}

/// The library reads of `batch` what was written.
fn same(name: &str, batch: &RecordBatch) {
    leave(batch, name);
    let read = read_back(batch);
    assert_eq!((read.num_rows(), read.num_columns()), (batch.num_rows(), batch.num_columns()));
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let found = read.column_by_name(field.name()).unwrap();
        let found = cast(found, column.data_type()).unwrap();
        assert!(found.as_ref() == column.as_ref(), "{} is not what was written", field.name());
    }
}

fn batch<'a>(rows: u64, event: impl Fn(u64) -> Event<'a>) -> RecordBatch {
    let mut builder = BatchBuilder::default();
    (0..rows).for_each(|seq| builder.push(&Event { seq, event: "process_vm_readv", ..event(seq) }));
    builder.take().unwrap()
}

/// Spreads numbers (splitmix64).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[test]
fn nothing_but_defaults_comes_back() {
    for rows in [1, 7, ROWS] {
        same(&format!("defaults-{rows}"), &batch(rows, |_| Event::default()));
    }
}

/// Nulls in runs, alone, and for whole pages; lists that are null, empty, of one and of many; texts long and short.
#[test]
fn what_repeats_comes_back_whatever_is_null_between() {
    let texts: Vec<String> = (0..300).map(|n| "x".repeat(n % 90) + &n.to_string()).collect();
    let ranges: Vec<Iovec> = (0..700).map(|n| Iovec { base: n % 50 * 4096, len: n % 3 }).collect();
    let list = |row: u64| match mixed(row) % 7 {
        0 => None,
        1 => Some(Iovecs::Pairs(&[])),
        2 => ranges.get(..(mixed(row) >> 8) as usize % 700).map(Iovecs::Pairs),
        n => ranges.get(n as usize..n as usize + 1).map(Iovecs::Pairs),
    };
    let few = |row: u64, n: u64| (mixed(row) >> 16) % n;
    same(
        "repeating",
        &batch(ROWS, |row| Event {
            pid: few(row, 40) as i32 - 20,
            tid: few(row / 1000, 9) as i32,
            comm: texts.get(few(row / 3, 300) as usize).map_or("", String::as_str),
            // A page of nulls, one of both, one without.
            target_pid: (row >= 40_000 || row >= 20_000 && few(row, 2) == 0).then_some(few(row, 1500) as i32),
            exe: (row % 20_000 != 0).then(|| texts.get(few(row, 20) as usize).map_or("", String::as_str)),
            ret: (row / 17 % 2 == 0).then_some(few(row, 5) as i64 - 2),
            // Beyond what is all equal, all null, all of one.
            local_iov: if row < 25_000 { None } else { list(row) },
            remote_iov: if row < 25_000 { ranges.get(..1).map(Iovecs::Pairs) } else { list(row + 1) },
            payload: (row % 3 == 0).then_some(b"bytes".as_slice()),
            ..Event::default()
        }),
    );
}

/// More distinct numbers than a dictionary takes, and numbers that all fall on one place of the look-up: the library's way.
#[test]
fn what_does_not_repeat_or_collides_comes_back() {
    // Inverse of the multiplier modulo 2^64, by Newton's method.
    let golden = 0x9e37_79b9_7f4a_7c15_u64;
    let inverse = (0..6).fold(1_u64, |x, _| x.wrapping_mul(2_u64.wrapping_sub(golden.wrapping_mul(x))));
    assert_eq!(golden.wrapping_mul(inverse), 1);
    let colliding: Vec<Iovec> = (0..1000).map(|k| Iovec { base: inverse.wrapping_mul(k), len: k }).collect();
    same(
        "unlike",
        &batch(ROWS, |row| Event {
            pid: mixed(row) as i32,
            target_pid: (row % 5 > 0).then_some(mixed(row) as i32),
            ret: Some(mixed(row).cast_signed()),
            local_iov: colliding.get((row % 1000) as usize..).and_then(|rest| rest.get(..1)).map(Iovecs::Pairs),
            remote_iov: Some(Iovecs::Pairs(&[Iovec { base: 1, len: 2 }, Iovec { base: 3, len: 4 }])),
            ..Event::default()
        }),
    );
}
