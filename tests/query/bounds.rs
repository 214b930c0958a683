//! Small captures that would take gigabytes, or make the engine panic: an error that names column and limit.

use std::path::Path;

use super::captures::{self, Made, make, readv};
use super::forged::*;
use super::{command, query};

fn rows(count: usize) -> Made {
    make(&(0..count).map(|row| readv(row as i64)).collect::<Vec<_>>())
}

fn refused(path: &Path, sql: &str, parts: &[&str]) {
    let ran = query(&[path.to_str().unwrap(), sql, "--memory-limit", "64M", "-T", "jsonl"]);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{sql}: {}", ran.err);
    for part in parts {
        assert!(ran.err.contains(part), "{part:?} is not in {}", ran.err);
    }
    assert_eq!(ran.err.lines().count(), 1, "one sentence: {}", ran.err);
    assert!(peak_of_children() < MEMORY, "{}", peak_of_children());
}

#[test]
fn claims_of_footer_and_index_are_refused_before_memory_is_taken() {
    let made = rows(3);
    with_offset_index_of(&made.path, (1 << 31) - 1);
    refused(&made.path, "SELECT count(*) FROM events", &["the page index is damaged"]);
    let made = rows(3);
    with_children(&made.path, 1 << 30);
    refused(&made.path, "SELECT count(*) FROM events", &["the Parquet footer is damaged"]);
}

#[test]
fn pages_are_refused_by_column_and_limit() {
    let payloads = "SELECT payload FROM events";
    for (count, pages, what) in [
        (1, large_value(300 << 20), "a page of 3145728"),
        (1, large_value(20 << 20).claiming(1000), "where the footer says 1000"),
        (1, large_value(3 << 20), "a value of 3145728 bytes"),
        (4096, repeated(4096, 1_900_000), "a value of 1900000 bytes"),
        (1, lengths(1 << 31), "with 2147483648 lengths"),
    ] {
        let made = rows(count);
        with_pages(&made.path, vec![("payload", pages)]);
        refused(&made.path, payloads, &["column payload has, in row group 0,", what]);
    }
    let made = rows(400);
    let leaves = ["local_iov.list.item.base", "local_iov.list.item.len"].map(|leaf| (leaf, ranges(300_000, 400)));
    with_pages(&made.path, leaves.into());
    refused(&made.path, "SELECT local_iov FROM events", &["a row of 300000 ranges, where at most 1024 can be"]);
    let made = rows(48);
    with_pages(&made.path, ["payload", "argv", "exe"].map(|leaf| (leaf, many_values(48, 1_200_000))).into());
    refused(&made.path, "SELECT payload, argv, exe FROM events", &["pages that are read together", "--allow-large"]);
}

#[test]
fn a_file_that_is_trusted_may_have_large_values() {
    let made = rows(1);
    with_pages(&made.path, vec![("payload", large_value(3 << 20))]);
    let ran = query(&[made.path(), "SELECT length(hexdump(payload)) > 1000 AS l FROM events", "--allow-large", "200M"]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
}

/// Bytes changed anywhere, always the same ones: any answer will do, a panic on any thread will not.
#[test]
fn no_damage_makes_a_thread_panic() {
    let rounds = if std::env::var_os("VMTRACE_EXHAUSTIVE").is_some() { 3_000 } else { 40 };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("changed.parquet");
    let sample = dir.path().join("whole.parquet");
    captures::write(&sample, &captures::manifest(), &[&captures::everything(), &[readv(9_000_000)]]);
    let wholes = [sample.as_path(), Path::new("samples/pipe-relay/pipe-relay.parquet")];
    let wholes = wholes.map(|whole| std::fs::read(super::root().join(whole)).unwrap());
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 16) as usize % below
    };
    for round in 0..rounds {
        let mut bytes = wholes[round % wholes.len()].clone();
        // Among the pages, and now and then in indexes and footer.
        let part = if round % 4 == 3 { bytes.len() } else { bytes.len() / 3 };
        for _ in 0..1 + next(24) {
            let at = 4 + next(part - 4);
            bytes[at] = match next(3) {
                0 => bytes[at] ^ 1 << next(8),
                1 => [0, 0x7f, 0x80, 0xff][next(4)],
                _ => next(256) as u8,
            };
        }
        std::fs::write(&path, &bytes).unwrap();
        let sql = "SELECT * FROM events; SELECT max(payload), max(argv), count(local_iov) FROM events WHERE pid > 5; \
            SELECT comm, event, count(*) FROM events GROUP BY comm, event ORDER BY comm DESC";
        let output =
            command(&[path.to_str().unwrap(), sql, "-T", "jsonl"]).env("RUST_BACKTRACE", "1").output().unwrap();
        assert!(matches!(output.status.code(), Some(0..=2)), "{round}: {:?}", output.status);
        let err = String::from_utf8_lossy(&output.stderr);
        let quiet = !err.contains("panicked") && !err.contains("backtrace") && err.lines().count() <= 1;
        assert!(quiet, "round {round}: {err}");
    }
    assert!(peak_of_children() < MEMORY, "{}", peak_of_children());
}
