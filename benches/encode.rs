//! Rows to Parquet on one core: building the columns, and building plus encoding, against zstd 1 on the same bytes.
//! Run with `cargo bench --bench encode`; the numbers are in docs/benchmarks.md.

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
        let group = EncodedGroup::encode(builder.take().expect("a batch")).expect("encoded");
        println!("{name}: {:.1} bytes for an event", group.len() as f64 / ROWS as f64);
        let raw = zstd::bulk::compress(&raw(&payloads), 1).expect("compressed");
        println!("raw bytes {name}: {:.1} bytes for an event", raw.len() as f64 / ROWS as f64);
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

/// Words that text payloads are made of.
const WORDS: &[&str] = &[
    "GET ",
    "POST ",
    "/index.html",
    "/api/v1/items",
    " HTTP/1.1\r\n",
    "Host: ",
    "example.org\r\n",
    "Accept: */*\r\n",
    "Content-Length: ",
    "{\"id\": ",
    "\"name\": ",
    "\"value\": ",
    "null, ",
    "true}\n",
    "user",
    "session",
];

/// Payloads of mixed kinds: 73 % of rows have one, of 16 to 197 bytes; of these 12 % are the one before, 15 % zeros, 28 %
/// text, 25 % pointers, 20 % random.
fn payloads() -> Vec<Option<Vec<u8>>> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut last = vec![1; 64];
    (0..ROWS)
        .map(|_| {
            if random.next() % 100 >= 73 {
                return None;
            }
            let len = 16 + (random.next() % 182) as usize;
            let payload: Vec<u8> = match random.next() % 100 {
                0..12 => last.clone(),
                12..27 => vec![0; len],
                27..55 => {
                    let mut text = Vec::new();
                    while text.len() < len {
                        let word = random.next();
                        text.extend_from_slice(WORDS[word as usize % WORDS.len()].as_bytes());
                        if word & 0x300 == 0 {
                            text.extend_from_slice((word >> 40).to_string().as_bytes());
                        }
                    }
                    text.truncate(len);
                    text
                }
                55..80 => (0..len / 8).flat_map(|_| (0x7f00_0000_0000 | random.next() >> 40).to_le_bytes()).collect(),
                _ => (0..len).map(|_| random.next() as u8).collect(),
            };
            last.clone_from(&payload);
            Some(payload)
        })
        .collect()
}

/// Calls `tell` with each row.
fn rows(payloads: &[Option<Vec<u8>>], mut tell: impl FnMut(&Event<'_>, [Iovec; 2])) {
    let mut random = Random(1);
    for (row, payload) in payloads.iter().enumerate() {
        let len = payload.as_ref().map_or(64, Vec::len) as u64;
        let local = Iovec { base: 0x7ffc_0000_0000 + random.next() % 65_536, len };
        let remote = Iovec { base: 0x5555_0000_0000 + random.next() % (1 << 30), len };
        let mono_ns = row as i64 * 1_700 + (random.next() % 900) as i64;
        let event = Event {
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
            local_iov: Some(Iovecs::Pairs(std::slice::from_ref(&local))),
            liovcnt: Some(1),
            remote_iov: Some(Iovecs::Pairs(std::slice::from_ref(&remote))),
            riovcnt: Some(1),
            flags: Some(0),
            iov_source: Some("user"),
            iov_verdict: Some("unverified"),
            payload: payload.as_deref(),
            payload_len: len as u32,
            payload_total: len as i64,
            payload_status: Some("ok"),
            ..Event::default()
        };
        tell(&event, [local, remote]);
    }
}

fn push(builder: &mut BatchBuilder, payloads: &[Option<Vec<u8>>]) {
    rows(payloads, |event, _| builder.push(event));
}

/// The same rows as plain bytes: numbers of 4 and 8 bytes, names of 16, and the payload; what does not vary from row to row,
/// such as names of files, once for all.
fn raw(payloads: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut raw = Vec::new();
    rows(payloads, |event, ranges| {
        let optional = [event.ret, event.bytes, event.bytes_requested].map(Option::unwrap_or_default);
        for number in [event.seq as i64, event.ts_ns, event.mono_ns, event.payload_total].iter().chain(&optional) {
            raw.extend(number.to_le_bytes());
        }
        for number in
            [event.cpu as i32, event.pid, event.tid, event.target_pid.unwrap_or_default(), event.event.len() as i32]
        {
            raw.extend(number.to_le_bytes());
        }
        for name in [event.comm, event.target_comm.unwrap_or_default()] {
            raw.extend_from_slice(name.as_bytes());
            raw.extend(std::iter::repeat_n(0, 16 - name.len()));
        }
        for range in ranges {
            raw.extend([range.base, range.len].into_iter().flat_map(u64::to_le_bytes));
        }
        raw.extend_from_slice(event.payload.unwrap_or_default());
    });
    raw
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
        EncodedGroup::encode(batch).expect("encoded").len()
    });
}

/// The limit: the same rows as plain bytes through zstd 1 alone.
#[divan::bench(sample_count = 10)]
fn zstd_of_raw_bytes(bencher: divan::Bencher<'_, '_>) {
    let raw = raw(&payloads());
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| zstd::bulk::compress(&raw, 1).map(|c| c.len()));
}
