//! What holds for every capture, whatever was recorded.

use std::collections::BTreeMap;

use serde_json::Value;
use vmtrace::schema::manifest::Manifest;

use super::harness::{Recording, Row, is_call};

/// Checks a finished recording that lost nothing: rows, ledger and messages agree.
pub fn check(recording: &Recording) {
    let manifest = recording.manifest();
    ledger_balances(&manifest);
    let rows = recording.rows();
    rows_are_numbered(&rows);
    rows_match_the_ledger(&rows, &manifest);
    rows.iter().for_each(|row| row_is_consistent(row, &manifest));
    clocks_agree(&rows);
    identities_agree(&rows);
    the_last_line_is_a_summary(recording, &manifest);
}

/// The ledger equation, for every event.
pub fn ledger_balances(manifest: &Manifest) {
    // A file of a series in whose time nothing happened has nothing to account for.
    assert!(!manifest.ledger.is_empty() || manifest.segment.is_some(), "no ledger");
    for row in &manifest.ledger {
        assert!(row.balances(), "{row:?}");
    }
}

fn rows_are_numbered(rows: &[Row]) {
    let mut numbers: Vec<i64> = rows.iter().map(|r| r.number("seq")).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..rows.len() as i64), "seq has gaps: {numbers:?}");
}

fn rows_match_the_ledger(rows: &[Row], manifest: &Manifest) {
    let mut written: BTreeMap<&str, (u64, i64, u64)> = BTreeMap::new();
    for row in rows.iter().filter(|r| r["event"] != "lost") {
        let sums = written.entry(row.text("event")).or_default();
        *sums = (sums.0 + 1, sums.1 + row.number("bytes"), sums.2 + u64::from(row["errno"].is_string()));
    }
    for (event, (count, bytes, failed)) in written {
        let book = manifest.ledger.iter().find(|l| l.event == event).unwrap_or_else(|| panic!("no book of {event}"));
        assert_eq!((book.written, book.bytes, book.failed), (count, bytes as u64, failed), "{book:?}");
    }
    for book in &manifest.ledger {
        let reported = |cause: &str| {
            let lost = rows.iter().filter(|r| r["lost_event"] == book.event.as_str() && r["lost_cause"] == cause);
            lost.map(|r| r.number("lost_count") as u64).sum::<u64>()
        };
        let counted = (book.lost_ring_full, book.lost_scratch_full, book.lost_hook_skipped);
        assert_eq!(
            (reported("ring_full"), reported("scratch_full"), reported("hook_skipped")),
            counted,
            "lost rows and {book:?}"
        );
    }
}

fn row_is_consistent(row: &Row, manifest: &Manifest) {
    let snaplen = i64::from(manifest.filters.snaplen);
    let length = row["payload"].as_str().map_or(0, |hex| hex.len() as i64 / 2);
    assert_eq!(length, row.number("payload_len"), "{row:?}");
    assert!(length <= snaplen && length <= row.number("payload_total"), "{row:?}");
    assert!(row.number("payload_total") <= row.number("bytes"), "{row:?}");
    assert!(row["ret"].is_null() || (row.number("ret") < 0) == row["errno"].is_string(), "{row:?}");
    assert_eq!(row.number("ts_ns").div_euclid(1000), row.number("ts"), "{row:?}");
    if is_call(row.text("event")) {
        assert!(row["abi"].is_string() && row.number("pid") > 0 && row.number("tid") > 0, "{row:?}");
        assert!(!row.text("comm").is_empty() && row.number("start_ns") > 0, "{row:?}");
        regions_are_consistent(row);
        assert!(row["process_key"].is_string() && row["cgroup"].is_string(), "{row:?}");
        for (list, count) in [("local_iov", "liovcnt"), ("remote_iov", "riovcnt")] {
            let entries = row[list].as_array().map_or(0, Vec::len) as i64;
            // Where memory was changed under way, the kernel's own ranges stand there.
            let whole = row["toctou"] == true || entries == row.number(count);
            assert!(row[count].is_null() || row[list].is_null() || whole, "{row:?}");
        }
    }
}

/// Ranges and their regions are as many, and each lies where its range begins.
fn regions_are_consistent(row: &Row) {
    let (source, ranges) = (row.text("region_source"), row["remote_iov"].as_array());
    assert_eq!(source == "maps", row["remote_regions"].is_array(), "{row:?}");
    let Some(regions) = row["remote_regions"].as_array() else { return };
    let ranges = ranges.map(Vec::as_slice).unwrap_or_default();
    assert_eq!(ranges.len(), regions.len(), "{row:?}");
    for (range, region) in ranges.iter().zip(regions) {
        let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{row:?}"));
        let (base, start, end) = (number(&range[0]), number(&region[0]), number(&region[1]));
        assert!((start..end).contains(&base) || end == 0, "{row:?}");
    }
}

/// One wall clock for the whole recording, and events within its span.
fn clocks_agree(rows: &[Row]) {
    let mut offsets: Vec<i64> = rows.iter().map(|r| r.number("ts_ns") - r.number("mono_ns")).collect();
    offsets.dedup();
    assert!(offsets.len() <= 1, "ts_ns and mono_ns drift apart: {offsets:?}");
}

/// A process key stands for one process, and a process has one key.
fn identities_agree(rows: &[Row]) {
    let mut keys: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    let sides = [("process_key", "pid", "start_ns"), ("target_key", "target_pid", "target_start_ns")];
    for (row, (key, pid, start)) in rows.iter().flat_map(|r| sides.map(|s| (r, s))) {
        // Snapshots know the start to 10 ms only.
        if row["event"] == "process_snapshot" || row[key].is_null() {
            continue;
        }
        let who = (row.number(pid), row.number(start) / 10_000_000);
        let first = *keys.entry(row.text(key).to_string()).or_insert(who);
        assert_eq!(first, who, "two processes under one key: {row:?}");
    }
}

fn the_last_line_is_a_summary(recording: &Recording, manifest: &Manifest) {
    let line = recording.stderr.lines().last().unwrap_or_default();
    let written: u64 = manifest.ledger.iter().map(|l| l.written).sum();
    let numbers = line.replace(',', "");
    let found = numbers.contains(&format!(" {written} event{} written", if written == 1 { "" } else { "s" }));
    assert!(found, "the last line does not say that {written} events were written: {line:?}");
    assert!(line.to_lowercase().contains("lost"), "the last line does not speak of loss: {line:?}");
}
