use std::sync::Arc;

use super::super::append::Limits;
use super::*;
use crate::record::wire::LAYOUT;
use crate::schema::manifest::Manifest;

const ID: &str = "0123456789abcdef";

/// Puts something where a file was.
type Put<'a> = &'a dyn Fn(&Path);

fn limited(output: &Path, limits: Limits) -> Journal {
    let manifest = Manifest { capture_id: ID.into(), ..Manifest::default() };
    let begin = Begin { wire: LAYOUT.into(), segment: 0, manifest };
    Journal::create(output, begin, limits).unwrap()
}

fn journal(output: &Path, segment: u64) -> Journal {
    limited(output, Limits { segment, total: u64::MAX, memory: 1 << 20 })
}

fn append(journal: &Journal, payload: &[u8]) {
    journal.prepare().unwrap();
    append_only(journal, payload);
}

fn append_only(journal: &Journal, payload: &[u8]) {
    let mut frame = frame::begin();
    frame.extend_from_slice(payload);
    journal.append(FrameKind::Records, 0, &mut frame).unwrap();
}

/// Frames of growing length, so that every file holds another number of them.
fn fill(journal: &Journal, frames: u8) -> Vec<Vec<u8>> {
    let payloads: Vec<_> = (0..frames).map(|n| vec![n; 40 * n as usize]).collect();
    payloads.iter().for_each(|payload| append(journal, payload));
    payloads
}

fn all(reader: &mut Reader) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| reader.next().unwrap()).map(|frame| frame.payload).collect()
}

#[test]
fn frames_come_back_across_files_while_they_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("t.parquet");
    let journal = journal(&output, 4096);
    let mut live = Reader::live(journal.clone());
    let reading = std::thread::spawn(move || all(&mut live));
    let payloads = fill(&journal, 60);
    journal.close();
    assert_eq!(reading.join().unwrap(), payloads);
    assert!(Base::of(&output).list().unwrap().len() > 3);
    let mut left = Reader::left(&output, ID).unwrap().unwrap();
    assert_eq!(all(&mut left), payloads);
    assert_eq!(left.broken(), None);
    journal.remove();
    assert!(Reader::left(&output, ID).unwrap().is_none());
}

#[test]
fn files_that_are_no_longer_needed_go() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("t.parquet");
    let journal = journal(&output, 4096);
    fill(&journal, 60);
    let before = Base::of(&output).list().unwrap();
    journal.remove_before(40);
    let after = Base::of(&output).list().unwrap();
    assert!(after.len() < before.len());
    let mut left = Reader::left(&output, ID).unwrap().unwrap();
    let first = left.next().unwrap().unwrap();
    assert!((1..=40).contains(&first.number), "frame 40 and some before it are there: {}", first.number);
    assert_eq!(all(&mut left).len() as u64, 59 - first.number);
}

/// Cut anywhere, or with any byte changed: what comes is a beginning of what was written, and nothing else.
#[test]
fn what_is_damaged_ends_there() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("t.parquet");
    let journal = journal(&output, 1 << 20);
    let payloads = fill(&journal, 12);
    let path = Base::of(&output).path(1);
    let whole = std::fs::read(&path).unwrap();
    let check = |bytes: &[u8], what: &str| {
        std::fs::write(&path, bytes).unwrap();
        let mut left = Reader::left(&output, ID).unwrap().unwrap();
        let mut found = Vec::new();
        // A changed layout is an error; everything else ends quietly.
        while let Ok(Some(frame)) = left.next() {
            found.push(frame.payload);
        }
        assert_eq!(found, payloads[..found.len()], "{what}");
        found.len()
    };
    for len in 0..whole.len() {
        assert!(check(&whole[..len], &format!("cut at {len}")) < payloads.len());
    }
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        assert!(check(&bytes, &format!("byte {at} changed")) < payloads.len());
    }
    assert_eq!(check(&whole, "whole"), payloads.len());
}

#[test]
fn another_recordings_files_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("t.parquet");
    fill(&journal(&output, 1 << 20), 3);
    assert_eq!(all(&mut Reader::left(&output, "another").unwrap().unwrap()).len(), 0);
}

/// Where no file can be had, the last one grows on; where the disk takes nothing, frames wait in memory, in order, and the
/// writer waits for the reader when that is full.
#[test]
fn a_full_disk_costs_no_frame() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("t.parquet");
    let journal = limited(&output, Limits { segment: 1024, total: 8192, memory: 2000 });
    std::fs::create_dir(Base::of(&output).path(2)).unwrap();
    assert!(journal.prepare().is_err());
    let writing = {
        let journal = journal.clone();
        std::thread::spawn(move || {
            let payloads: Vec<_> = (0..60).map(|n| vec![n; 40 * n as usize]).collect();
            payloads.iter().for_each(|payload| append_only(&journal, payload));
            journal.close();
            payloads
        })
    };
    let mut live = Reader::live(journal.clone());
    let found = all(&mut live);
    assert_eq!(found, writing.join().unwrap());
    let len = std::fs::metadata(Base::of(&output).path(1)).unwrap().len();
    assert!((1025..=8192).contains(&len), "{len} bytes");
}

#[test]
fn nobody_waits_for_a_reader_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("t.parquet");
    let journal = limited(&output, Limits { segment: 1 << 20, total: 1, memory: 100 });
    append(&journal, &[1; 60]);
    journal.reader_is_gone();
    let mut frame = frame::begin();
    frame.extend_from_slice(&[3; 60]);
    assert!(Arc::new(journal).append(FrameKind::Records, 0, &mut frame).is_err());
}

/// Nobody appends to a file that is being synced; a spare one is no part of the journal, and goes with it.
#[test]
fn what_is_synced_is_left_for_the_next_file() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("t.parquet");
    let journal = journal(&output, 1 << 20);
    let files = || Base::of(&output).list().unwrap();
    append(&journal, &[1; 60]);
    assert_eq!(journal.work().files.len(), 1);
    assert_eq!(files(), [1, 2], "too little for a file of its own; the second is spare");
    append(&journal, &[2; 5000]);
    let work = journal.work();
    append(&journal, &[3; 60]);
    let (synced, len) = (work.files.first().unwrap(), |file: &File| file.metadata().unwrap().len());
    assert_eq!(work.files.len(), 1);
    assert_eq!(len(synced), std::fs::metadata(Base::of(&output).path(1)).unwrap().len());
    let mut left = Reader::left(&output, ID).unwrap().unwrap();
    assert_eq!(all(&mut left), [vec![1; 60], vec![2; 5000], vec![3; 60]]);
    assert_eq!(left.broken(), None);
    assert_eq!(files(), [1, 2, 3]);
    journal.remove();
    assert!(files().is_empty());
    journal.prepare().unwrap();
    assert!(files().is_empty());
}

/// What does not fit waits in memory, and goes to disk again when room was made.
#[test]
fn the_limit_of_all_files_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("t.parquet");
    let journal = limited(&output, Limits { segment: 4096, total: 20_000, memory: 1 << 20 });
    let payloads = fill(&journal, 60);
    assert!(journal.bytes() <= 20_000);
    assert!(journal.failure().is_none(), "that is no failure");
    let mut live = Reader::live(journal.clone());
    for payload in &payloads {
        assert_eq!(&live.next().unwrap().unwrap().payload, payload);
    }
    journal.remove_before(60);
    let next = journal.offer(FrameKind::Answer, 0, b"x");
    assert_eq!(next, Some(60), "on disk");
    journal.leave_disk();
    assert_eq!(journal.offer(FrameKind::Answer, 0, b"x"), None);
    assert_eq!(live.next().unwrap().unwrap().payload, b"x");
}

/// Reads what is left: the frames up to what is damaged, and what that is.
fn left_of(output: &Path) -> (usize, String) {
    let mut left = Reader::left(output, ID).unwrap().unwrap();
    let found = all(&mut left).len();
    (found, left.broken().unwrap_or_default().to_string())
}

/// A journal of several files, the last of which is a spare one.
fn several(output: &Path) -> (Vec<PathBuf>, usize) {
    let journal = journal(output, 4096);
    let frames = fill(&journal, 60).len();
    assert!(journal.prepare().unwrap());
    let base = Base::of(output);
    let files: Vec<PathBuf> = base.list().unwrap().into_iter().map(|n| base.path(n)).collect();
    assert!(files.len() > 3, "{files:?}");
    (files, frames)
}

/// Whatever stands under the name of a file of the journal: nobody waits for it, and it is not taken for the end.
#[test]
fn what_is_no_file_of_a_journal_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("t.parquet");
    let (files, frames) = several(&output);
    let [first, .., last] = files.as_slice() else { panic!("files") };
    let fifo = |path: &Path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let zeros = |path: &Path| std::os::unix::fs::symlink("/dev/zero", path).unwrap();
    let directory = |path: &Path| std::fs::create_dir(path).unwrap();
    let empty = |path: &Path| std::fs::write(path, "").unwrap();
    let of_zeros = |path: &Path| std::fs::write(path, [0; 8192]).unwrap();
    let gone = |_: &Path| ();
    let others: [(Put<'_>, &str); 6] = [
        (&fifo, "is not a regular file"),
        (&zeros, "is not a regular file"),
        (&directory, "is not a regular file"),
        (&empty, "is empty"),
        (&of_zeros, "has no complete frame after byte 0"),
        (&gone, "is missing"),
    ];
    for (put, said) in others {
        for path in [&files[1], last, first] {
            let whole = std::fs::read(path).unwrap();
            std::fs::remove_file(path).unwrap();
            put(path);
            let (found, broken) = left_of(&output);
            // Nothing shows that first files of a journal were removed, or that there was a spare file.
            if said == "is missing" && path != &files[1] {
                assert_eq!(broken, "", "{}", path.display());
            } else {
                assert_eq!(broken, format!("{} {said}", path.display()));
            }
            assert_eq!(found == frames, path == last, "{} {said}: {found} of {frames}", path.display());
            match path.is_dir() {
                true => std::fs::remove_dir(path).unwrap(),
                false => drop(std::fs::remove_file(path)),
            }
            std::fs::write(path, whole).unwrap();
        }
    }
    assert_eq!(left_of(&output), (frames, String::new()));
    std::fs::write(dir.path().join("t.parquet.journal-2"), "stray").unwrap();
    assert_eq!(left_of(&output), (frames, String::new()));
}

/// Behind what is damaged there may be more that is whole.
#[test]
fn reading_goes_on_behind_what_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("t.parquet");
    let (files, frames) = several(&output);
    std::fs::remove_file(&files[1]).unwrap();
    let mut left = Reader::left(&output, ID).unwrap().unwrap();
    let before = all(&mut left).len();
    assert!(left.resume());
    let first = left.next().unwrap().unwrap();
    let behind = all(&mut left).len();
    assert_eq!(left.broken(), None);
    assert_eq!(first.number as usize + 1 + behind, frames, "to the end");
    assert!(before < first.number as usize && !left.resume());
}
