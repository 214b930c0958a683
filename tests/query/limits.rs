//! Bounds: memory, and the patience of who asked.

use std::process::Stdio;
use std::sync::OnceLock;

use vmtrace::schema::Event;

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
    super::wait_for_work(child.id());
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGINT).unwrap();
    let ran = ran(&child.wait_with_output().unwrap());
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (2, "", "vmtrace: cancelled\n"));
}

/// Payloads of noise, 8 KiB each, a third of them there twice: 94 MiB that zstd cannot make smaller.
fn noisy(path: &std::path::Path) {
    const LEN: usize = 8192;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let noise: Vec<u8> = (0..8000 * LEN / 8).flat_map(|_| word().to_le_bytes()).collect();
    let payloads: Vec<&[u8]> = noise.chunks(LEN).collect();
    let event = |n: usize| {
        let payload = payloads[n % payloads.len()];
        Event {
            payload: Some(payload),
            payload_len: LEN as u32,
            payload_total: LEN as i64,
            ..captures::readv(n as i64)
        }
    };
    let groups: Vec<Vec<_>> = (0..6).map(|group| (group * 2000..(group + 1) * 2000).map(event).collect()).collect();
    captures::write(path, &manifest(), &groups.iter().map(Vec::as_slice).collect::<Vec<_>>());
}

#[test]
fn a_capture_of_twice_the_memory_limit_is_sorted_and_grouped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("noisy.parquet");
    noisy(&path);
    let limit = 40 << 20;
    assert!(std::fs::metadata(&path).unwrap().len() > 2 * limit);
    let limit = limit.to_string();
    for (sql, wanted) in [
        (
            "SELECT count(*) AS n, count(*) FILTER (WHERE payload < before) AS m FROM \
             (SELECT payload, lag(payload) OVER (ORDER BY payload ROWS 1 PRECEDING) AS before FROM events) AS t",
            "n,m\n12000,0\n",
        ),
        (
            "SELECT count(*) AS n, CAST(sum(k) AS BIGINT) AS m FROM \
             (SELECT payload, count(*) AS k FROM events GROUP BY payload) AS t",
            "n,m\n8000,12000\n",
        ),
        // Two keys.
        (
            "SELECT count(payload) AS n, count(*) FILTER (WHERE seq >= before) AS m FROM \
             (SELECT seq, payload, lag(seq) OVER (PARTITION BY pid ORDER BY seq DESC) AS before FROM events) AS t",
            "n,m\n12000,0\n",
        ),
    ] {
        let args = [path.to_str().unwrap(), sql, "-T", "csv", "--memory-limit", &limit];
        let ran = query(&args);
        assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (0, wanted, ""), "{sql}");
        let explained = query(&[&args[..], &["--explain"]].concat()).out;
        let spilled = explained.split("spill_count=").skip(1).any(|rest| !rest.starts_with('0'));
        assert!(spilled, "nothing was spilled: {explained}");
    }
}
