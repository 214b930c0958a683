use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelector,
};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::reader::{ChunkReader, Length};

use super::*;
use crate::schema::columns::EventBatch;
use crate::schema::partial;
use crate::schema::reader::{Capture, Scan};
use crate::schema::{BatchBuilder, Event};

const CLOCKS: Clocks = Clocks { realtime_ns: 4, monotonic_ns: 3, boottime_ns: 2, uncertainty_ns: 1 };

fn manifest() -> Manifest {
    Manifest { capture_id: "a1".into(), comment: Some("0".repeat(64)), ..Manifest::default() }
}

fn encoded(first: u64, rows: u64) -> EncodedGroup {
    let mut builder = BatchBuilder::default();
    for seq in first..first + rows {
        let mono_ns = 1_000 + seq.cast_signed();
        let payload = format!("{:05}", seq.wrapping_mul(7_919) % 100_000);
        let payload = Some(payload.as_bytes());
        builder.push(&Event { seq, mono_ns, event: "tee", pid: 7, payload, ..Event::default() });
    }
    EncodedGroup::encode(builder.take().unwrap()).unwrap()
}

fn create(path: &Path) -> CaptureFile {
    let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
    CaptureFile::create(file, &manifest()).unwrap()
}

fn directory() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    (dir, path)
}

fn note(number: u64) -> serde_json::Value {
    serde_json::json!({ "number": number })
}

/// A capture of three row groups with 3, 2 and 40,000 rows.
fn three(path: &Path) -> CaptureFile {
    let mut capture = create(path);
    for (i, (first, rows)) in [(0, 3), (3, 2), (5, 40_000)].into_iter().enumerate() {
        capture.append(&encoded(first, rows), CLOCKS, &note(i as u64)).unwrap();
    }
    capture
}

fn seqs(path: &Path) -> Vec<u64> {
    let capture = Capture::open(path).unwrap();
    let batches = capture.scan(&Scan::default()).unwrap().map(Result::unwrap);
    batches.flat_map(|batch| batch.iter().map(|event| event.seq).collect::<Vec<_>>()).collect()
}

#[test]
fn a_capture_is_whole_after_close_and_after_more_and_another_close() {
    let (_dir, path) = directory();
    let mut capture = three(&path);
    assert!(Capture::open(&path).is_err(), "not yet");
    let estimate = capture.footer_estimate();
    let before = capture.bytes();
    let root = capture.close(&manifest()).unwrap();
    assert!(capture.bytes() - before <= estimate);
    assert_eq!(capture.bytes(), std::fs::metadata(&path).unwrap().len());
    assert_eq!(seqs(&path), (0..40_005).collect::<Vec<_>>());
    capture.append(&encoded(40_005, 1), CLOCKS, &note(3)).unwrap();
    assert!(Capture::open(&path).is_err(), "a row group took the footer's place");
    assert_ne!(capture.close(&manifest()).unwrap(), root);
    assert_eq!((capture.rows(), capture.groups()), (40_006, 4));
    assert_eq!(seqs(&path), (0..40_006).collect::<Vec<_>>());
}

#[test]
fn a_capture_without_rows_can_be_read() {
    let (_dir, path) = directory();
    let mut capture = create(&path);
    capture.close(&manifest()).unwrap();
    assert_eq!(Capture::open(&path).unwrap().rows(), 0);
    assert!(seqs(&path).is_empty());
}

#[test]
fn the_root_digest_is_of_all_bytes_but_the_row_groups_own() {
    let (_dir, path) = directory();
    let mut capture = three(&path);
    let root = capture.close(&manifest()).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let text = root.as_bytes();
    let at = bytes.windows(64).position(|w| w == text).unwrap();
    assert_eq!(bytes.windows(64).filter(|w| *w == text).count(), 1);
    bytes[at..at + 64].fill(b'0');
    let mut rest = Vec::new();
    let mut from = 0;
    for link in &capture.chain.groups {
        rest.extend(&bytes[from..link.at as usize]);
        from = (link.at + link.len) as usize;
    }
    rest.extend(&bytes[from..]);
    assert_eq!(blake3::hash(&rest).to_string(), root);
}

#[test]
fn an_unfinished_capture_is_understood_and_copied_into_another() {
    let (dir, path) = directory();
    let mut capture = three(&path);
    let source = File::open(&path).unwrap();
    let found = partial::read(&source).unwrap();
    assert_eq!(found.manifest, manifest());
    assert_eq!(found.groups.iter().map(|g| g.rows).collect::<Vec<_>>(), [3, 2, 40_000]);
    assert_eq!(found.groups[1].seq, (3, 4));
    assert_eq!(found.groups[1].mono_ns, (1_003, 1_004));
    assert_eq!(found.groups[1].clocks, CLOCKS);
    assert_eq!(found.groups[2].checkpoint(&source).unwrap(), note(2));
    assert_eq!((found.end.as_str(), found.end_at), ("after 3 whole row groups: nothing follows", capture.bytes()));

    let copy = dir.path().join("copy.parquet");
    let mut copied = create(&copy);
    for group in found.groups.iter().skip(1) {
        copied.adopt(&source, group).unwrap();
    }
    copied.close(&manifest()).unwrap();
    assert_eq!(seqs(&copy), (3..40_005).collect::<Vec<_>>());

    // The same walk finds the same in the finished capture.
    capture.close(&manifest()).unwrap();
    let found = partial::read(&File::open(&path).unwrap()).unwrap();
    assert_eq!(found.groups.len(), 3);
    assert_eq!(found.end, "after 3 whole row groups: what follows is no frame");
}

#[test]
fn a_group_that_changed_since_it_was_found_is_not_copied() {
    let (dir, path) = directory();
    three(&path);
    let source = File::options().read(true).write(true).open(&path).unwrap();
    let found = partial::read(&source).unwrap();
    let copy = dir.path().join("copy.parquet");
    let mut copied = create(&copy);
    let before = (copied.bytes(), std::fs::read(&copy).unwrap());
    source.write_all_at(b"?", found.groups[0].body.start + 100).unwrap();
    let error = copied.adopt(&source, &found.groups[0]).unwrap_err();
    assert!(error.to_string().contains("changed while it was copied"), "{error}");
    assert_eq!((copied.bytes(), std::fs::read(&copy).unwrap()), before);
    copied.adopt(&source, &found.groups[1]).unwrap();
    copied.close(&manifest()).unwrap();
    assert_eq!(seqs(&copy), [3, 4]);
}

#[test]
fn a_group_of_another_capture_is_not_taken_for_one_of_this() {
    let (dir, path) = directory();
    let capture = three(&path);
    let other = dir.path().join("other.parquet");
    let file = File::create_new(&other).unwrap();
    let foreign = Manifest { capture_id: "b2".into(), ..manifest() };
    CaptureFile::create(file, &foreign).unwrap().append(&encoded(0, 3), CLOCKS, &note(0)).unwrap();
    let found = partial::read(&File::open(&other).unwrap()).unwrap();
    let mut planted = Vec::new();
    File::open(&other).unwrap().read_to_end(&mut planted).unwrap();
    let start = found.groups[0].body.start as usize;
    let frame = planted.windows(8).take(start).rposition(|w| w == b"VMTFRAM1").unwrap();
    let target = File::options().write(true).open(&path).unwrap();
    target.write_all_at(&planted[frame..], capture.bytes()).unwrap();
    let found = partial::read(&File::open(&path).unwrap()).unwrap();
    assert_eq!(found.groups.len(), 3);
    assert!(found.end.contains("of another capture"), "{}", found.end);
}

#[test]
fn a_failed_write_leaves_the_capture_as_it_was() {
    let (_dir, path) = directory();
    let mut capture = three(&path);
    let file = std::mem::replace(&mut capture.file, File::open(&path).unwrap());
    let before = (capture.bytes(), std::fs::read(&path).unwrap());
    capture.append(&encoded(40_005, 1), CLOCKS, &note(3)).unwrap_err();
    capture.close(&manifest()).unwrap_err();
    assert_eq!((capture.bytes(), std::fs::read(&path).unwrap()), before);
    capture.file = file;
    capture.append(&encoded(40_005, 1), CLOCKS, &note(3)).unwrap();
    capture.close(&manifest()).unwrap();
    assert_eq!(seqs(&path), (0..40_006).collect::<Vec<_>>());
}

/// Counts the bytes that a reader asks for.
struct Counting {
    file: File,
    read: Arc<AtomicU64>,
}

impl Length for Counting {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for Counting {
    type T = <File as ChunkReader>::T;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        self.file.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<bytes::Bytes> {
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        self.file.get_bytes(start, length)
    }
}

#[test]
fn readers_find_pages_and_bloom_filters_and_read_no_more() {
    let (_dir, path) = directory();
    let mut capture = three(&path);
    capture.close(&manifest()).unwrap();
    let file = File::open(&path).unwrap();
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let metadata = ArrowReaderMetadata::load(&file, options).unwrap();
    let leaf = |name| (0..73).find(|i| metadata.parquet_schema().column(*i).path().string() == name).unwrap();

    // A page ends with the first batch of 1,024 values beyond 20,000 rows.
    let ColumnIndexMetaData::INT64(index) = &metadata.metadata().column_index().unwrap()[2][leaf("seq")] else {
        panic!("no column index of seq")
    };
    assert_eq!(index.min_values_iter().map(Option::unwrap).collect::<Vec<_>>(), [&5, &20_485]);
    let payload = &metadata.metadata().offset_index().unwrap()[2][leaf("payload")];
    let lengths = payload.unencoded_byte_array_data_bytes().unwrap();
    assert_eq!(lengths.iter().sum::<i64>(), 40_000 * 5);

    let read = Arc::new(AtomicU64::new(0));
    let selected = |selection: Vec<RowSelector>| {
        let input = Counting { file: file.try_clone().unwrap(), read: read.clone() };
        read.store(0, Ordering::Relaxed);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(input, metadata.clone())
            .with_row_groups(vec![2])
            .with_row_selection(selection.into());
        let batches = reader.build().unwrap().map(|batch| EventBatch::new(&batch.unwrap()).unwrap());
        let seqs: Vec<u64> = batches.flat_map(|b| b.iter().map(|e| e.seq).collect::<Vec<_>>()).collect();
        (seqs, read.load(Ordering::Relaxed))
    };
    let (all, everything) = selected(vec![RowSelector::select(40_000)]);
    let (last, less) = selected(vec![RowSelector::skip(39_990), RowSelector::select(10)]);
    assert_eq!((all.len(), last), (40_000, (39_995..40_005).collect()));
    assert!(less < everything * 2 / 3, "{less} of {everything}");

    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone());
    for group in 0..3 {
        let filter = builder.get_row_group_column_bloom_filter(group, leaf("pid")).unwrap().unwrap();
        assert!(filter.check(&7i32));
        let absent = (1_000..2_000i32).filter(|pid| filter.check(pid)).count();
        assert!(absent < 100, "{absent} of 1,000 pids that are not there");
    }
}
