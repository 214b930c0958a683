//! Window functions take the order that is asked for, whatever order the rows of a capture are in, and however little memory
//! there is.

use std::collections::HashMap;

use vmtrace::schema::Event;

use super::captures::{self, manifest};
use super::query;

const ROWS: i64 = 40_000;
const PIDS: i64 = 300;

/// Reads 1 to 3 µs apart by several processes; neighbours have changed places now and then, and clocks repeat.
fn rows() -> Vec<Event<'static>> {
    let row = |n: i64| Event { pid: 4211 + (n * n % PIDS) as i32, ..captures::readv(2 * n + n % 2) };
    let mut rows: Vec<_> = (0..ROWS).map(row).collect();
    for first in (100..rows.len() - 1).step_by(1000) {
        rows.swap(first, first + 1);
    }
    rows
}

/// The gaps between the calls of each process by its clock: how many, their sum, and the longest.
fn gaps(rows: &[Event<'_>]) -> String {
    let mut times: HashMap<i32, Vec<i64>> = HashMap::new();
    for row in rows {
        times.entry(row.pid).or_default().push(row.mono_ns);
    }
    times.values_mut().for_each(|times| times.sort_unstable());
    let gaps: Vec<i64> = times.values().flat_map(|of| of.windows(2).map(|pair| pair[1] - pair[0])).collect();
    format!("{},{},{}", gaps.len(), gaps.iter().sum::<i64>(), gaps.iter().max().unwrap())
}

#[test]
fn lag_is_by_the_order_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("swapped.parquet");
    let rows = rows();
    captures::write(&path, &manifest(), &rows.chunks(7000).collect::<Vec<_>>());
    assert!(!rows.is_sorted_by_key(|row| row.mono_ns));
    let path = path.to_str().unwrap();
    for lag in ["lag(mono_ns)", "lag(mono_ns, 1, NULL)"] {
        let sql = format!(
            "SELECT count(gap), CAST(sum(gap) AS BIGINT), max(gap) FROM \
             (SELECT mono_ns - {lag} OVER (PARTITION BY pid ORDER BY mono_ns) AS gap FROM events) AS gaps"
        );
        for memory in ["16M", "256M", "1G"] {
            let ran = query(&[path, &sql, "-T", "csv", "--memory-limit", memory]);
            assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{sql}");
            assert_eq!(ran.out.lines().last(), Some(gaps(&rows).as_str()), "{sql}, {memory}");
        }
    }
}
