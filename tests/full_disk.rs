//! A capture that finds no room: nothing of the failed write stays, and the same can be tried again. The limit on the size
//! of files (setrlimit(2), RLIMIT_FSIZE) stands for the disk; it is the process's, so that this test is alone in its own.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use vmtrace::schema::group::EncodedGroup;
use vmtrace::schema::manifest::{Clocks, LedgerRow};
use vmtrace::schema::writer::CaptureFile;
use vmtrace::schema::{BatchBuilder, Event, Manifest, partial};
use vmtrace::verify;

fn limit(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` lives through the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) }, 0);
}

fn group(first: u64) -> EncodedGroup {
    let mut builder = BatchBuilder::default();
    (first..first + 100).for_each(|seq| builder.push(&Event { seq, event: "tee", ..Event::default() }));
    EncodedGroup::encode(builder.take().unwrap()).unwrap()
}

fn manifest(rows: u64) -> Manifest {
    let row = LedgerRow { event: "tee".into(), seen: rows, written: rows, ..LedgerRow::default() };
    Manifest { capture_id: "a1".into(), ledger: vec![row], ..Manifest::default() }
}

fn content(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[test]
fn what_finds_no_room_leaves_nothing_behind() {
    // SAFETY: ignoring a signal needs no handler. Beyond the limit write(2) fails then instead of killing us.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    limit(100);
    let error = CaptureFile::create(File::create(&path).unwrap(), &manifest(0)).unwrap_err();
    assert_eq!((error.kind(), content(&path).len()), (ErrorKind::FileTooLarge, 0));

    limit(libc::RLIM_INFINITY);
    let mut capture = CaptureFile::create(File::create(&path).unwrap(), &manifest(0)).unwrap();
    capture.append(&group(0), Clocks::default(), &serde_json::Value::Null).unwrap();
    let whole = content(&path);
    // Within the frame's head, within the columns, within the description.
    let size = group(100).len() as u64;
    for room in [0, 1, 200, size / 2, size + 500] {
        limit(capture.bytes() + room);
        let error = capture.append(&group(100), Clocks::default(), &serde_json::Value::Null).unwrap_err();
        assert_eq!((error.kind(), content(&path) == whole), (ErrorKind::FileTooLarge, true), "{room}");
        let error = capture.close(&manifest(100)).unwrap_err();
        assert_eq!((error.kind(), content(&path) == whole), (ErrorKind::FileTooLarge, true), "{room}");
        assert_eq!((capture.bytes(), capture.rows()), (whole.len() as u64, 100));
        assert_eq!(partial::read(&File::open(&path).unwrap()).unwrap().groups.len(), 1);
    }
    // The estimate is enough.
    limit(capture.bytes() + capture.footer_estimate());
    capture.close(&manifest(100)).unwrap();
    assert_eq!(verify::file(&path).status, 0, "{:?}", verify::file(&path));
    limit(libc::RLIM_INFINITY);
    capture.append(&group(100), Clocks::default(), &serde_json::Value::Null).unwrap();
    capture.close(&manifest(200)).unwrap();
    assert_eq!(verify::file(&path).status, 0, "{:?}", verify::file(&path));
}
