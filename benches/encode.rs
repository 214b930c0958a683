//! Rows to Parquet on one core: building the columns, and building plus encoding, against zstd 1 on the same bytes.
//! Run with `cargo bench --bench encode`; the numbers are in docs/LIMITS.md.

use divan::counter::ItemsCount;
use vmtrace::schema::group::EncodedGroup;
use vmtrace::schema::types::{Iovec, Iovecs};
use vmtrace::schema::{BatchBuilder, Event};

/// Rows per round: about one row group.
const ROWS: usize = 100_000;

fn main() {
    // What divan has no column for.
    for (name, payloads) in [("with payload", payloads()), ("without payload", vec![None; ROWS])] {
        let mut builder = BatchBuilder::default();
        push(&mut builder, &payloads);
        let group = EncodedGroup::encode(&builder.take().expect("a batch")).expect("encoded");
        println!("{name}: {:.1} bytes for an event", group.len() as f64 / ROWS as f64);
    }
    divan::main();
}

/// A small generator, so that every run sees the same bytes (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Payloads of mixed kinds, 73 % of rows with one, about 107 bytes on average: zeros, text, pointers, random bytes.
fn payloads() -> Vec<Option<Vec<u8>>> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    (0..ROWS)
        .map(|_| {
            let dice = random.next() % 100;
            let len = 16 + (random.next() % 182) as usize;
            (dice < 73).then(|| match dice {
                0..=14 => vec![0; len],
                15..=39 => b"GET /index.html HTTP/1.1\r\nHost: example\r\n".iter().copied().cycle().take(len).collect(),
                40..=57 => (0..len / 8).flat_map(|_| (0x7f00_0000_0000 | random.next() >> 40).to_le_bytes()).collect(),
                _ => (0..len).map(|_| random.next() as u8).collect(),
            })
        })
        .collect()
}

fn push(builder: &mut BatchBuilder, payloads: &[Option<Vec<u8>>]) {
    let mut random = Random(1);
    for (row, payload) in payloads.iter().enumerate() {
        let len = payload.as_ref().map_or(64, Vec::len) as u64;
        let local = [Iovec { base: 0x7ffc_0000_0000 + random.next() % 65_536, len }];
        let remote = [Iovec { base: 0x5555_0000_0000 + random.next() % (1 << 30), len }];
        let mono_ns = row as i64 * 1_700 + (random.next() % 900) as i64;
        builder.push(&Event {
            seq: row as u64,
            ts: mono_ns / 1000,
            ts_ns: mono_ns,
            mono_ns,
            cpu: (row % 2) as u32,
            event: if row % 3 == 0 { "process_vm_writev" } else { "process_vm_readv" },
            abi: Some("native"),
            pid: 4_000 + (row % 7) as i32,
            tid: 4_000 + (row % 7) as i32,
            comm: "worker",
            exe: Some("/usr/bin/worker"),
            process_key: Some("0123456789abcdef"),
            cgroup: Some("/system.slice"),
            target_pid: Some(5_000),
            target_pid_arg: Some(5_000),
            target_comm: Some("target"),
            target_exe: Some("/usr/bin/target"),
            target_uid: Some(0),
            target_key: Some("fedcba9876543210"),
            direction: Some("in"),
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
            payload: payload.as_deref(),
            payload_len: len as u32,
            payload_total: len as i64,
            payload_status: Some("ok"),
            ..Event::default()
        });
    }
}

#[divan::bench(sample_count = 10)]
fn build(bencher: divan::Bencher<'_, '_>) {
    let payloads = payloads();
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let mut builder = BatchBuilder::default();
        push(&mut builder, &payloads);
        builder.take()
    });
}

#[divan::bench(sample_count = 10)]
fn build_and_encode(bencher: divan::Bencher<'_, '_>) {
    let payloads = payloads();
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let mut builder = BatchBuilder::default();
        push(&mut builder, &payloads);
        let batch = builder.take().expect("a batch");
        EncodedGroup::encode(&batch).expect("encoded").len()
    });
}

/// The limit: the same payload bytes and 120 bytes of other fields per row through zstd 1 alone.
#[divan::bench(sample_count = 10)]
fn zstd_of_raw_bytes(bencher: divan::Bencher<'_, '_>) {
    let mut random = Random(1);
    let mut raw = Vec::new();
    for payload in payloads() {
        raw.extend_from_slice(&[7; 96]);
        raw.extend((0..3).flat_map(|_| (random.next() >> 34).to_le_bytes()));
        raw.extend_from_slice(payload.as_deref().unwrap_or_default());
    }
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| zstd::bulk::compress(&raw, 1).map(|c| c.len()));
}
