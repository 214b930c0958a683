//! Writes a capture as long as asked for, by the project's own writer: `cargo run --release --example capture OUT ROWS`.
//! With `pipes` behind these words, its rows are writes into pipes and reads from them.
//!
//! Rows are what a busy machine gives: 64 processes read and write each other's memory, mostly two of them at a time, 2 µs
//! apart; 73 % have a payload of about 107 bytes (zeros, text, pointers, random bytes), and one in 100,000 holds a password.
//! Every run gives the same rows.

use std::collections::BTreeMap;
use std::fs::File;

use vmtrace::schema::group::EncodedGroup;
use vmtrace::schema::manifest::{Clocks, Host, LedgerRow};
use vmtrace::schema::types::{Iovec, Iovecs};
use vmtrace::schema::writer::CaptureFile;
use vmtrace::schema::{BatchBuilder, Event, Manifest};

/// 2023-11-14T22:13:20Z.
const START: i64 = 1_700_000_000_000_000_000;
const PROCESSES: u64 = 64;
/// Events that the recording has, or would have had.
const EVENTS: [&str; 8] =
    ["process_vm_readv", "process_vm_writev", "vmsplice", "splice", "tee", "sendfile", "pipe_read", "pipe_write"];

/// A small generator (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn payload(random: &mut Random, row: u64, bytes: &mut Vec<u8>) {
    bytes.clear();
    let dice = random.next() % 100;
    let len = 16 + (random.next() % 182) as usize;
    match dice {
        0..=14 => bytes.resize(len, 0),
        15..=39 => bytes.extend(b"GET /index.html HTTP/1.1\r\nHost: example\r\n".iter().cycle().take(len)),
        40..=57 => (0..len / 8).for_each(|_| bytes.extend((0x7f00_0000_0000 | random.next() >> 40).to_le_bytes())),
        58..=72 => (0..len).for_each(|_| bytes.push(random.next() as u8)),
        _ => {}
    }
    if row % 100_000 == 77_777 {
        bytes.extend(b"\0\0user=root&password=hunter2\0");
    }
}

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(out), Some(Ok(rows))) = (args.next(), args.next().map(|rows| rows.parse::<u64>())) else {
        anyhow::bail!("call it: capture OUT ROWS [pipes]");
    };
    let push = if args.next().as_deref() == Some("pipes") { push_pipe } else { push };
    let clocks = |ns: i64| Clocks { realtime_ns: START + ns, monotonic_ns: ns, boottime_ns: ns, uncertainty_ns: 100 };
    let mut manifest = Manifest {
        capture_id: "00000000000000000000000000000bec".into(),
        host: Host { hostname: "bench".into(), boot_id: "bench".into(), ..Host::default() },
        start: clocks(0),
        ..Manifest::default()
    };
    let mut file = CaptureFile::create(File::create_new(&out)?, &manifest)?;
    let names: Vec<(String, String)> = (0..PROCESSES).map(|n| (format!("worker-{n}"), format!("{n:016x}"))).collect();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut builder = BatchBuilder::default();
    let mut bytes = Vec::new();
    let mut written: BTreeMap<&str, u64> = BTreeMap::new();
    for row in 0..rows {
        let event = push(&mut builder, &names, &mut random, row, &mut bytes);
        *written.entry(event).or_default() += 1;
        if builder.is_full() || row + 1 == rows {
            file.append(&EncodedGroup::encode(builder.take()?)?, clocks(row as i64 * 2000), &serde_json::Value::Null)?;
        }
    }
    manifest.end = clocks(rows as i64 * 2000);
    manifest.end_reason = "count".into();
    manifest.filters.events = EVENTS.iter().map(|event| event.to_string()).collect();
    manifest.ledger = EVENTS
        .iter()
        .map(|event| {
            let written = written.get(event).copied().unwrap_or_default();
            LedgerRow { event: event.to_string(), seen: written, written, ..LedgerRow::default() }
        })
        .collect();
    file.close(&manifest)?;
    println!("{out}: {rows} rows, {} bytes", file.bytes());
    Ok(())
}

/// Adds a row; the name of its event.
fn push(
    builder: &mut BatchBuilder,
    names: &[(String, String)],
    random: &mut Random,
    row: u64,
    bytes: &mut Vec<u8>,
) -> &'static str {
    payload(random, row, bytes);
    // A pair of processes is busy for 200,000 rows; one row in 16 is of others.
    let busy = (row / 200_000 * 2 + row % 2) % PROCESSES;
    let caller = if random.next().is_multiple_of(16) { random.next() % PROCESSES } else { busy };
    let target = (caller ^ 1) % PROCESSES;
    let name = |process: u64| names.get(process as usize).map_or(("", ""), |(comm, key)| (comm.as_str(), key.as_str()));
    let mono_ns = row as i64 * 2000 + (random.next() % 900) as i64;
    let len = bytes.len().max(64) as u64;
    let local = [Iovec { base: 0x7ffc_0000_0000 + random.next() % 65_536, len }];
    let remote = [Iovec { base: 0x5555_0000_0000 + random.next() % (1 << 30), len }];
    let out = row.is_multiple_of(3);
    let event = if out { "process_vm_writev" } else { "process_vm_readv" };
    builder.push(&Event {
        seq: row,
        ts: (START + mono_ns) / 1000,
        ts_ns: START + mono_ns,
        mono_ns,
        cpu: (row % 2) as u32,
        event,
        direction: Some(if out { "out" } else { "in" }),
        abi: Some("native"),
        pid: 4000 + caller as i32,
        tid: 4000 + caller as i32,
        comm: name(caller).0,
        exe: Some("/usr/bin/worker"),
        start_ns: 1_000_000_000 + caller as i64,
        process_key: Some(name(caller).1),
        target_pid: Some(4000 + target as i32),
        target_pid_arg: Some(4000 + target as i32),
        target_comm: Some(name(target).0),
        target_exe: Some("/usr/bin/worker"),
        target_uid: Some(0),
        target_start_ns: Some(1_000_000_000 + target as i64),
        target_key: Some(name(target).1),
        ret: Some(len as i64),
        bytes: Some(len as i64),
        bytes_requested: Some(len as i64),
        local_iov: Some(Iovecs::Pairs(&local)),
        liovcnt: Some(1),
        remote_iov: Some(Iovecs::Pairs(&remote)),
        riovcnt: Some(1),
        flags: Some(0),
        iov_source: Some("user"),
        iov_verdict: Some("unverified"),
        payload: (!bytes.is_empty()).then_some(bytes.as_slice()),
        payload_len: bytes.len() as u32,
        payload_total: len as i64,
        payload_status: Some("ok"),
        ..Event::default()
    });
    event
}

/// Adds a write of a process into its pipe, or the read of its peer that takes the bytes out and leaves the pipe empty.
fn push_pipe(
    builder: &mut BatchBuilder,
    names: &[(String, String)],
    random: &mut Random,
    row: u64,
    bytes: &mut Vec<u8>,
) -> &'static str {
    // Both calls of a pair move the same bytes.
    if row.is_multiple_of(2) {
        payload(random, row, bytes);
    }
    let writer = row / 200_000 * 2 % PROCESSES;
    let is_write = row.is_multiple_of(2);
    let caller = writer + u64::from(!is_write);
    let (comm, key) = names.get(caller as usize).map_or(("", ""), |(comm, key)| (comm.as_str(), key.as_str()));
    let mono_ns = row as i64 * 2000;
    let len = bytes.len().max(64) as u64;
    let local = [Iovec { base: 0x7ffc_0000_0000 + row % 65_536, len: if is_write { len } else { 65_536 } }];
    let pipe = 129_000 + writer;
    let event = if is_write { "pipe_write" } else { "pipe_read" };
    builder.push(&Event {
        seq: row,
        ts: (START + mono_ns) / 1000,
        ts_ns: START + mono_ns,
        mono_ns,
        dur_ns: Some(500),
        cpu: (row % 2) as u32,
        event,
        direction: Some(if is_write { "out" } else { "in" }),
        abi: Some("native"),
        pid: 4000 + caller as i32,
        tid: 4000 + caller as i32,
        comm,
        exe: Some("/usr/bin/worker"),
        start_ns: 1_000_000_000 + caller as i64,
        process_key: Some(key),
        ret: Some(len as i64),
        bytes: Some(len as i64),
        bytes_requested: Some(if is_write { len } else { 65_536 } as i64),
        local_iov: Some(Iovecs::Pairs(&local)),
        liovcnt: Some(1),
        fd_in_kind: (!is_write).then_some("pipe"),
        pipe_in: (!is_write).then_some(pipe),
        fd_out_kind: is_write.then_some("pipe"),
        pipe_out: is_write.then_some(pipe),
        iov_source: Some("user"),
        iov_verdict: Some("unverified"),
        payload: (!bytes.is_empty()).then_some(bytes.as_slice()),
        payload_len: bytes.len() as u32,
        payload_total: len as i64,
        payload_status: Some("ok"),
        ..Event::default()
    });
    event
}
