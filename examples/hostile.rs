//! Writes a capture whose every text tries to become markup or a script: `hostile OUT`. For tests of pages, which must
//! show it as text.

use std::fs::File;

use anyhow::{Context, Result};
use vmtrace::schema::group::EncodedGroup;
use vmtrace::schema::manifest::{Clocks, FamilyReport, Host, LedgerRow, Tool};
use vmtrace::schema::types::{Iovec, Iovecs};
use vmtrace::schema::writer::CaptureFile;
use vmtrace::schema::{BatchBuilder, Event, Manifest};

const START: i64 = 1_700_000_000_000_000_000;
const TEXTS: [&str; 21] = [
    "<img src=x onerror=pwned=1>",
    "</script><script>pwned=1</script>",
    "</style><script>pwned=1</script>",
    "<!--<script>",
    "--><svg onload=pwned=1>",
    "\"><b onmouseover=pwned=1>",
    "' onfocus='pwned=1' autofocus='",
    "javascript:pwned=1",
    "<iframe src=https://example.com/></iframe>",
    "<link rel=stylesheet href=//example.com/a.css>",
    "<a href='https://example.com/' ping='https://example.com/'>x</a>",
    "<base href=//example.com/>",
    "@@script@@ ${pwned=1} {{pwned=1}}",
    "\u{202e}gpj.exe\u{2066}\u{200b}\u{2028}\u{feff}",
    "\u{5d0}\u{5d1}\u{627}\u{628} \u{115f}",
    "a\0b\x1b[2J\r\n\t\\x41\u{7f}\u{9b}",
    "&lt;&amp;&#x3c;script&#x3e;",
    "it's",
    "école é 日本 𝒳",
    "",
    "\u{feff}bash",
];

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [out] = args.as_slice() else { anyhow::bail!("usage: hostile OUT") };
    let long = "<img src=x onerror=pwned=1>\u{202e}".repeat(36_000);
    let mut builder = BatchBuilder::default();
    for (number, text) in (0u64..).zip(TEXTS) {
        builder.push(&event(number, text));
    }
    let rows = TEXTS.len() as u64;
    builder.push(&Event {
        event: "process_exec",
        argv: Some(&long),
        exe: Some(&long),
        direction: None,
        ..event(rows, "long")
    });
    builder.push(&Event { lost_event: Some("tee"), lost_cause: Some("ring_full"), ..lost(rows + 1) });
    builder.push(&Event { lost_event: Some(TEXTS[1]), lost_cause: Some(TEXTS[0]), ..lost(rows + 2) });
    let manifest = manifest(rows);
    let mut file = CaptureFile::create(File::create_new(out).with_context(|| out.clone())?, &manifest)?;
    file.append(&EncodedGroup::encode(builder.take()?)?, manifest.end, &serde_json::Value::Null)?;
    file.close(&manifest)?;
    Ok(())
}

fn event(number: u64, text: &'static str) -> Event<'static> {
    const RANGES: &[Iovec] = &[Iovec { base: u64::MAX - 3, len: 8 }, Iovec { base: 0, len: u64::MAX }];
    let some = Some(text);
    let at = number as i64 * 1_000_003;
    // Rows with a call's name, and rows of which even the name is hostile.
    let name = match number % 4 {
        0 => "process_vm_readv",
        1 => "splice",
        2 => "ptrace",
        _ => text,
    };
    Event {
        seq: number,
        ts: (START + at) / 1_000,
        ts_ns: START + at,
        mono_ns: at + 5,
        dur_ns: Some(at),
        event: name,
        abi: some,
        pid: 100 + number as i32 % 5,
        tid: 100,
        uid: u32::MAX,
        comm: text,
        exe: some,
        process_key: some,
        cgroup: some,
        container: some,
        target_pid: Some(200),
        target_comm: some,
        target_exe: some,
        target_key: some,
        target_cgroup: some,
        target_container: some,
        direction: if number.is_multiple_of(2) { Some("in") } else { some },
        ret: Some(i64::MIN),
        errno: if number.is_multiple_of(3) { some } else { None },
        bytes: Some(if number.is_multiple_of(5) { i64::MIN } else { number as i64 * 997 }),
        bytes_requested: Some(i64::MAX),
        local_iov: Some(Iovecs::Pairs(RANGES)),
        remote_iov: Some(Iovecs::Pairs(&[])),
        liovcnt: Some(u64::MAX),
        iov_source: some,
        iov_verdict: some,
        fd_in_kind: some,
        fd_out_kind: some,
        fd_in_mode: some,
        fd_in_path: some,
        fd_out_path: some,
        fd_in_family: some,
        fd_in_local_addr: some,
        fd_out_peer_addr: some,
        ptrace_request: some,
        data: u64::MAX,
        advice: some,
        payload: Some(text.as_bytes()),
        payload_len: text.len() as u32,
        payload_total: i64::MIN,
        payload_status: some,
        payload_side: some,
        payload_at: some,
        parent_key: some,
        ..Event::default()
    }
}

fn lost(number: u64) -> Event<'static> {
    let at = number as i64 * 1_000_003;
    Event {
        seq: number,
        ts: (START + at) / 1_000,
        ts_ns: START + at,
        mono_ns: at + 5,
        dur_ns: Some(10),
        event: "lost",
        uid: u32::MAX,
        lost_count: Some(3),
        ..Event::default()
    }
}

fn manifest(rows: u64) -> Manifest {
    let text = |at: usize| TEXTS.get(at).copied().unwrap_or_default().to_string();
    let clocks = |ns: i64| Clocks { realtime_ns: START + ns, monotonic_ns: 5 + ns, boottime_ns: ns, uncertainty_ns: 1 };
    Manifest {
        capture_id: text(0),
        tool: Tool { name: text(1), version: text(2), ..Tool::default() },
        argv: (0..TEXTS.len()).map(text).collect(),
        comment: Some(text(13)),
        host: Host {
            hostname: text(1),
            sysname: text(0),
            release: text(4),
            machine: text(5),
            container: Some(text(13)),
            ..Host::default()
        },
        start: clocks(0),
        end: clocks(1_000_000_000),
        families: vec![FamilyReport {
            family: text(0),
            tier: text(1),
            self_test: text(2),
            gap: Some(text(5)),
            ..FamilyReport::default()
        }],
        gaps: (0..TEXTS.len()).map(text).collect(),
        ledger: vec![LedgerRow {
            event: text(1),
            seen: rows + 6,
            lost_ring_full: 6,
            written: rows,
            ..LedgerRow::default()
        }],
        ..Manifest::default()
    }
}
