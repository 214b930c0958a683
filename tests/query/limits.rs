//! Bounds: memory, and the patience of who asked.

use std::process::Stdio;
use std::sync::OnceLock;

use super::captures::{self, manifest};
use super::{command, kept, query, ran};

/// A capture that several tests share, written once.
fn large() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = kept("large.parquet");
        let groups = super::many(120_000, 60_000);
        captures::write(&path, &manifest(), &groups.iter().map(Vec::as_slice).collect::<Vec<_>>());
        path.to_str().unwrap().to_string()
    })
}

#[test]
fn more_than_the_memory_limit_is_sorted_on_disk() {
    let path = large();
    // 120,000 rows of 1,000 characters: several times the limit.
    let sql = "SELECT seq, repeat(md, 1000) AS filler FROM (SELECT seq, chr(97 + CAST(seq AS BIGINT) % 26) AS md FROM events) AS t \
        ORDER BY filler, seq DESC";
    let csv = kept("sorted.csv");
    let args = [path, sql, "-T", "csv", "--memory-limit", "64M", "-o", csv.to_str().unwrap(), "--force"];
    let ran = query(&args);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let text = std::fs::read_to_string(&csv).unwrap();
    std::fs::remove_file(&csv).unwrap();
    let order: Vec<_> = text.lines().skip(1).map(|line| line.split_once(',').unwrap()).collect();
    assert_eq!(order.len(), 120_000);
    let sorted = order.is_sorted_by_key(|(seq, text)| (text.as_bytes()[0], u64::MAX - seq.parse::<u64>().unwrap()));
    assert!(sorted);
    let explained = query(&[path, sql, "--memory-limit", "64M", "--explain"]).out;
    let spilled = explained.split("spill_count=").skip(1).any(|rest| !rest.starts_with('0'));
    assert!(spilled, "nothing was spilled: {explained}");
}

#[test]
fn what_cannot_be_spilled_names_the_remedy() {
    let path = large();
    let filled = "(SELECT seq, repeat(CAST(seq AS VARCHAR), 400) AS filler FROM events)";
    let sql = format!("SELECT count(*) FROM {filled} a JOIN {filled} b ON a.seq = b.seq AND a.filler <> b.filler");
    let ran = query(&[path, &sql, "--memory-limit", "16M"]);
    assert_eq!(ran.status, 2, "{}", ran.err);
    assert!(ran.err.contains("give more with --memory-limit"), "{}", ran.err);
}

#[test]
fn an_interrupt_cancels() {
    let path = large();
    // 14,400,000,000 pairs: nobody waits for them.
    let sql = "SELECT count(*) FROM events a, events b, events c WHERE a.seq + b.seq + c.seq < 5";
    let child = command(&[path, sql]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It must run before it can be cancelled: the handler is there once threads of the engine are.
    let tasks = format!("/proc/{}/task", child.id());
    for _ in 0..500 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        if std::fs::read_dir(&tasks).unwrap().count() > 1 {
            break;
        }
    }
    std::thread::sleep(std::time::Duration::from_millis(1500));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGINT).unwrap();
    let ran = ran(&child.wait_with_output().unwrap());
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (2, "", "vmtrace: cancelled\n"));
}
