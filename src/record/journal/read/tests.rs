use std::sync::Arc;

use super::super::append::Limits;
use super::*;
use crate::record::wire::LAYOUT;
use crate::schema::manifest::Manifest;

const ID: &str = "0123456789abcdef";

fn journal(output: &Path, segment: u64) -> Journal {
    let manifest = Manifest { capture_id: ID.into(), ..Manifest::default() };
    let begin = Begin { wire: LAYOUT.into(), segment: 0, manifest };
    Journal::create(output, begin, Limits { segment, total: u64::MAX, memory: 1 << 20 }).unwrap()
}

fn append(journal: &Journal, payload: &[u8]) {
    let mut frame = frame::begin();
    frame.extend_from_slice(payload);
    journal.append(Kind::Records, 0, &mut frame).unwrap();
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

/// On a disk that takes nothing, frames wait in memory, in order; the writer waits for the reader when that is full.
#[test]
fn a_full_disk_costs_no_frame() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("t.parquet");
    let manifest = Manifest { capture_id: ID.into(), ..Manifest::default() };
    let begin = Begin { wire: LAYOUT.into(), segment: 0, manifest };
    let journal = Journal::create(&output, begin, Limits { segment: 4096, total: u64::MAX, memory: 2000 }).unwrap();
    let payloads = fill(&journal, 20);
    // The next file cannot be created.
    let next = Base::of(&output).list().unwrap().last().unwrap() + 1;
    std::fs::create_dir(Base::of(&output).path(next)).unwrap();
    let writing = {
        let journal = journal.clone();
        std::thread::spawn(move || {
            let more = fill(&journal, 60);
            journal.close();
            more
        })
    };
    let mut live = Reader::live(journal.clone());
    let found = all(&mut live);
    let more = writing.join().unwrap();
    assert_eq!(found, [payloads, more].concat());
    assert!(journal.failure().is_some());
}

#[test]
fn nobody_waits_for_a_reader_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("t.parquet");
    let manifest = Manifest { capture_id: ID.into(), ..Manifest::default() };
    let begin = Begin { wire: LAYOUT.into(), segment: 0, manifest };
    let journal = Journal::create(&output, begin, Limits { segment: 1, total: u64::MAX, memory: 100 }).unwrap();
    std::fs::create_dir(Base::of(&output).path(2)).unwrap();
    append(&journal, &[1; 50]);
    append(&journal, &[2; 60]);
    journal.reader_is_gone();
    let mut frame = frame::begin();
    frame.extend_from_slice(&[3; 60]);
    assert!(Arc::new(journal).append(Kind::Records, 0, &mut frame).is_err());
}

/// What does not fit waits in memory, and goes to disk again when room was made.
#[test]
fn the_limit_of_all_files_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("t.parquet");
    let manifest = Manifest { capture_id: ID.into(), ..Manifest::default() };
    let begin = Begin { wire: LAYOUT.into(), segment: 0, manifest };
    let journal = Journal::create(&output, begin, Limits { segment: 4096, total: 20_000, memory: 1 << 20 }).unwrap();
    let payloads = fill(&journal, 60);
    assert!(journal.bytes() <= 20_000);
    assert!(journal.failure().is_none(), "that is no failure");
    let mut live = Reader::live(journal.clone());
    for payload in &payloads {
        assert_eq!(&live.next().unwrap().unwrap().payload, payload);
    }
    journal.remove_before(60);
    let next = journal.offer(Kind::Answer, 0, b"x");
    assert_eq!(next, Some(60), "on disk");
    journal.leave_disk();
    assert_eq!(journal.offer(Kind::Answer, 0, b"x"), None);
    assert_eq!(live.next().unwrap().unwrap().payload, b"x");
}
