//! Writes a capture as long as asked for, by the project's own writer: `cargo run --release --example capture OUT ROWS`.
//!
//! Rows are what a busy machine gives: 64 processes read and write each other's memory, mostly two of them at a time, 2 µs
//! apart; 73 % have a payload of about 107 bytes (zeros, text, pointers, random bytes), and one in 100,000 holds a password.
//! Every run gives the same rows.

use std::fs::File;

use vmtrace::schema::group::EncodedGroup;
use vmtrace::schema::manifest::{Clocks, Host, LedgerRow};
use vmtrace::schema::types::{Iovec, Iovecs};
use vmtrace::schema::writer::CaptureFile;
use vmtrace::schema::{BatchBuilder, Event, Manifest};

/// 2023-11-14T22:13:20Z.
const START: i64 = 1_700_000_000_000_000_000;
const PROCESSES: u64 = 64;

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
        anyhow::bail!("call it: capture OUT ROWS");
    };
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
    let mut written = [0u64; 2];
    for row in 0..rows {
        push(&mut builder, &names, &mut random, row, &mut bytes);
        written[usize::from(row.is_multiple_of(3))] += 1;
        if builder.is_full() || row + 1 == rows {
            file.append(&EncodedGroup::encode(builder.take()?)?, clocks(row as i64 * 2000), &serde_json::Value::Null)?;
        }
    }
    manifest.end = clocks(rows as i64 * 2000);
    manifest.end_reason = "count".into();
    manifest.ledger = ["process_vm_readv", "process_vm_writev"]
        .iter()
        .zip(written)
        .map(|(event, written)| LedgerRow { event: event.to_string(), seen: written, written, ..LedgerRow::default() })
        .collect();
    file.close(&manifest)?;
    println!("{out}: {rows} rows, {} bytes", file.bytes());
    Ok(())
}

fn push(builder: &mut BatchBuilder, names: &[(String, String)], random: &mut Random, row: u64, bytes: &mut Vec<u8>) {
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
    builder.push(&Event {
        seq: row,
        ts: (START + mono_ns) / 1000,
        ts_ns: START + mono_ns,
        mono_ns,
        cpu: (row % 2) as u32,
        event: if out { "process_vm_writev" } else { "process_vm_readv" },
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
}
