//! Row groups: those that are taken whole are copied as they are, and the others are made anew.

use std::collections::BTreeMap;

use vmtrace::schema::reader::Capture;
use vmtrace::schema::{Event, Manifest};

use super::captures::*;
use super::*;

/// A capture of 5 row groups with 100 rows each, a millisecond between rows; the first row is of a process.
fn five_groups() -> Made {
    let of = |us: i64| if us == 0 { at(0, "process_snapshot", SPY) } else { readv(1_000 * us) };
    let events: Vec<Event<'_>> = (0..500).map(of).collect();
    let manifest = Manifest { ledger: ledger(&events), ..manifest() };
    make_with(&manifest, &events.chunks(100).collect::<Vec<_>>())
}

/// The row groups of a capture: rows, and the digest of the bytes of each.
fn groups(path: &str) -> Vec<(u64, blake3::Hash)> {
    let bytes = std::fs::read(path).unwrap();
    let capture = Capture::open(Path::new(path)).unwrap();
    let links = &capture.chain().unwrap().groups;
    let digest = |at: u64, len: u64| blake3::hash(&bytes[at as usize..(at + len) as usize]);
    links.iter().map(|link| (link.rows, digest(link.at, link.len))).collect()
}

#[test]
fn a_row_group_that_is_taken_whole_is_copied() {
    let whole = five_groups();
    let dir = Dir::new();
    let out = dir.path("s.parquet");
    made(&["slice", whole.path(), "--since", "150ms", "--until", "420ms", "-o", &out]);
    let (before, after) = (groups(whole.path()), groups(&out));
    // The process, the end of the second group, the third and the fourth, the begin of the fifth.
    let rows: Vec<u64> = after.iter().map(|(rows, _)| *rows).collect();
    assert_eq!(rows, [1 + 50, 100, 100, 21]);
    assert_eq!(after[1..3], before[2..4], "byte by byte");
    let seqs: Vec<u64> = super::rows(&out, &[]).iter().map(|row| json(row)["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [0].into_iter().chain(150..=420).collect::<Vec<u64>>());
    check_whole(&out, 0);
}

/// What is damaged and not needed does not matter; what is read is compared first, and named.
#[test]
fn row_groups_that_cannot_have_a_selected_row_are_not_read() {
    let whole = five_groups();
    let capture = Capture::open(&whole.path).unwrap();
    let link = capture.chain().unwrap().groups[2].clone();
    drop(capture);
    let mut bytes = std::fs::read(&whole.path).unwrap();
    let at = (link.at + link.len / 2) as usize;
    bytes[at] ^= 1;
    std::fs::write(&whole.path, bytes).unwrap();
    let dir = Dir::new();
    let out = dir.path("s.parquet");
    made(&["slice", whole.path(), "--until", "150ms", "-o", &out]);
    assert_eq!(super::rows(&out, &[]).len(), 151);
    check_whole(&out, 0);
    let refused = [&["--since", "150ms"][..], &["--where", "seq = 450"], &[]];
    for select in refused {
        let out = dir.path("damaged.parquet");
        let ran = vmtrace(&[&["slice", whole.path(), "-o", &out], select].concat());
        assert_eq!(ran.status, 2, "{select:?}");
        assert!(ran.err.contains("row group 2 is damaged") && ran.err.lines().count() == 1, "{}", ran.err);
    }
    let ran = vmtrace(&["merge", whole.path(), "-o", &dir.path("m.parquet")]);
    assert!(ran.status == 2 && ran.err.contains("row group 2 is damaged"), "{}", ran.err);
    assert_eq!(dir.names(), ["s.parquet"]);
}

#[test]
fn slices_that_do_not_overlap_are_merged_without_encoding() {
    let whole = five_groups();
    let dir = Dir::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| dir.path(name));
    made(&["slice", whole.path(), "--until", "299ms", "-o", &a]);
    made(&["slice", whole.path(), "--since", "300ms", "-o", &b]);
    made(&["merge", &b, &a, "-o", &c]);
    let before: BTreeMap<_, _> =
        groups(whole.path()).into_iter().map(|(rows, digest)| (digest.to_string(), rows)).collect();
    let copied = groups(&c).iter().filter(|(_, digest)| before.contains_key(&digest.to_string())).count();
    assert!(copied >= 3, "{copied}");
    assert_eq!(super::rows(&c, &[]), super::rows(whole.path(), &[]));
    assert_eq!(info(&c)["manifest"]["ledger"], info(whole.path())["manifest"]["ledger"]);
}
