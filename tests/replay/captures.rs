//! Captures for these tests, written with the project's own writer.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use vmtrace::schema::group::EncodedGroup;
use vmtrace::schema::manifest::{Clocks, FamilyReport, Filters, Hook, Host, LedgerRow, Tool};
use vmtrace::schema::types::{Iovec, Iovecs};
use vmtrace::schema::writer::CaptureFile;
use vmtrace::schema::{BatchBuilder, Event, EventSet, Manifest};

/// 2023-11-14T22:13:20Z.
pub const START: i64 = 1_700_000_000_000_000_000;
/// CLOCK_MONOTONIC at that moment.
pub const MONO: i64 = 5_000_000_000_000;

pub const BASH: i32 = 4200;
pub const SPY: i32 = 4211;
pub const PYTHON: i32 = 42;

/// A capture in a directory of its own, which lives as long as this value.
pub struct Made {
    pub dir: TempDir,
    pub path: PathBuf,
}

impl Made {
    pub fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }
}

pub fn manifest() -> Manifest {
    Manifest {
        capture_id: "0123456789abcdef0123456789abcdef".into(),
        tool: Tool { name: "vmtrace".into(), version: "0.1.0".into(), git: "e32df2a".into(), ..Tool::default() },
        argv: ["vmtrace", "record", "-o", "demo.parquet", "--", "py-spy", "dump", "--pid", "42"]
            .map(str::to_string)
            .into(),
        comment: Some("a demonstration".into()),
        filters: Filters {
            command: ["py-spy", "dump", "--pid", "42"].map(str::to_string).into(),
            follow: true,
            events: EventSet::all().names().iter().map(|n| n.to_string()).collect(),
            snaplen: 256,
            buffer_size: 16 << 20,
            ..Filters::default()
        },
        host: Host {
            hostname: "dev".into(),
            sysname: "Linux".into(),
            release: "6.18.44".into(),
            machine: "x86_64".into(),
            boot_id: "5f3e".into(),
            cpus: 2,
            container: None,
            initial_pid_namespace: true,
            ..Host::default()
        },
        start: Clocks { realtime_ns: START, monotonic_ns: MONO, boottime_ns: MONO, uncertainty_ns: 100 },
        end: Clocks {
            realtime_ns: START + 2_410_000_000,
            monotonic_ns: MONO + 2_410_000_000,
            boottime_ns: MONO + 2_410_000_000,
            uncertainty_ns: 100,
        },
        hooks: vec![
            Hook {
                program: "exit_vm".into(),
                target: "tp_btf/sys_exit".into(),
                serves: "@vm @pipe".into(),
                attached: true,
                reason: None,
                skipped: 0,
            },
            Hook {
                program: "uring".into(),
                target: "tp_btf/io_uring_submit_req".into(),
                serves: "@pipe".into(),
                attached: false,
                reason: Some("EPERM".into()),
                skipped: 0,
            },
        ],
        families: vec![FamilyReport {
            family: "vm".into(),
            events: vec!["process_vm_readv".into(), "process_vm_writev".into()],
            tier: "tracepoint".into(),
            best: false,
            probes: vec!["tp_btf/sys_exit".into()],
            self_test: "passed".into(),
            untested: vec!["process_vm_writev: EPERM".into()],
            gap: Some("fexit/mm_access: not in this kernel".into()),
        }],
        gaps: vec!["io_uring submissions are not seen".into()],
        end_reason: "command_exit".into(),
        ..Manifest::default()
    }
}

/// The ledger under which nothing is amiss with `events`.
pub fn ledger(events: &[Event<'_>]) -> Vec<LedgerRow> {
    let mut rows: Vec<LedgerRow> = Vec::new();
    for event in events {
        let at = rows.iter().position(|r| r.event == event.event).unwrap_or_else(|| {
            rows.push(LedgerRow { event: event.event.into(), ..LedgerRow::default() });
            rows.len() - 1
        });
        rows[at].seen += 1;
        rows[at].written += 1;
        rows[at].bytes += event.bytes.unwrap_or(0) as u64;
    }
    rows
}

pub fn write(path: &Path, manifest: &Manifest, groups: &[&[Event<'_>]]) {
    let mut next = 0..;
    let numbered =
        groups.iter().map(|group| group.iter().map(|event| (next.next().unwrap(), *event)).collect::<Vec<_>>());
    let numbered: Vec<_> = numbered.collect();
    write_numbered(path, manifest, &numbered.iter().map(Vec::as_slice).collect::<Vec<_>>());
}

/// The same, with `seq` as given.
pub fn write_numbered(path: &Path, manifest: &Manifest, groups: &[&[(u64, Event<'_>)]]) {
    let mut writer = CaptureFile::create(std::fs::File::create(path).unwrap(), manifest).unwrap();
    let mut builder = BatchBuilder::default();
    for group in groups.iter().filter(|group| !group.is_empty()) {
        group.iter().for_each(|(seq, event)| builder.push(&Event { seq: *seq, ..*event }));
        let encoded = EncodedGroup::encode(builder.take().unwrap()).unwrap();
        writer.append(&encoded, manifest.end, &serde_json::Value::Null).unwrap();
    }
    writer.close(manifest).unwrap();
}

/// A capture of `events` in one row group, with a balanced ledger.
pub fn make(events: &[Event<'_>]) -> Made {
    make_with(&Manifest { ledger: ledger(events), ..manifest() }, &[events])
}

pub fn make_with(manifest: &Manifest, groups: &[&[Event<'_>]]) -> Made {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("demo.parquet");
    write(&path, manifest, groups);
    Made { dir, path }
}

/// An event of the process `pid` at `us` microseconds after the start.
pub fn at(us: i64, event: &'static str, pid: i32) -> Event<'static> {
    let (comm, exe, start_ns) = match pid {
        BASH => ("bash", "/usr/bin/bash", 100_000_000),
        PYTHON => ("python3", "/usr/bin/python3.11", 200_000_000),
        SPY => ("py-spy", "/usr/local/bin/py-spy", 4_000_000_000_000),
        _ => ("worker", "/usr/bin/worker", 300_000_000),
    };
    Event {
        ts: (START + us * 1000) / 1000,
        ts_ns: START + us * 1000,
        mono_ns: MONO + us * 1000,
        event,
        pid,
        tid: pid,
        comm,
        exe: Some(exe),
        start_ns,
        abi: (!event.starts_with("process_e")).then_some("native"),
        ..Event::default()
    }
}

/// The same event with python3 as its target.
pub fn on_python(event: Event<'static>) -> Event<'static> {
    Event {
        target_pid: Some(PYTHON),
        target_pid_arg: Some(PYTHON),
        target_comm: Some("python3"),
        target_exe: Some("/usr/bin/python3.11"),
        target_uid: Some(1000),
        target_start_ns: Some(200_000_000),
        ..event
    }
}

/// A good read of 64 bytes.
pub fn readv(us: i64) -> Event<'static> {
    const LOCAL: &[Iovec] = &[Iovec { base: 0x5581_aa00_1000, len: 64 }];
    const REMOTE: &[Iovec] = &[Iovec { base: 0x7f12_0040_00a0, len: 64 }];
    on_python(Event {
        direction: Some("in"),
        ret: Some(64),
        bytes: Some(64),
        bytes_requested: Some(64),
        local_iov: Some(Iovecs::Pairs(LOCAL)),
        liovcnt: Some(1),
        remote_iov: Some(Iovecs::Pairs(REMOTE)),
        riovcnt: Some(1),
        flags: Some(0),
        iov_source: Some("user"),
        iov_verdict: Some("unverified"),
        payload: Some(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0\x01\0\0\0hello, world\0\0\0\0"),
        payload_len: 40,
        payload_total: 64,
        payload_status: Some("truncated"),
        payload_side: Some("caller"),
        payload_at: Some("exit"),
        ..at(us, "process_vm_readv", SPY)
    })
}

/// One of everything that vmtrace records.
pub fn everything() -> Vec<Event<'static>> {
    const MANY: &[Iovec] = &[Iovec { base: 0x7f00_0000_1000, len: 4096 }; 64];
    const FEW: &[Iovec] = &[Iovec { base: 0x5581_0000_0000, len: 8192 }];
    const WORD: &[Iovec] = &[Iovec { base: 0x7f12_0000_0008, len: 8 }];
    const NOWHERE: &[Iovec] = &[Iovec { base: 0, len: 0 }];
    let pipe = |us, event, pid| Event {
        ret: Some(4096),
        bytes: Some(4096),
        bytes_requested: Some(65536),
        ..at(us, event, pid)
    };
    let process = |event: Event<'static>, parent| Event { abi: None, parent_pid: Some(parent), ..event };
    vec![
        process(Event { argv: Some("bash"), ..at(0, "process_snapshot", BASH) }, 1),
        process(Event { argv: Some("python3 app.py"), uid: 1000, ..at(1, "process_snapshot", PYTHON) }, BASH),
        process(at(1_000, "process_fork", SPY), BASH),
        process(Event { argv: Some("py-spy dump --pid 42"), ..at(1_500, "process_exec", SPY) }, BASH),
        readv(2_000),
        Event {
            ret: Some(4096),
            bytes: Some(4096),
            bytes_requested: Some(8192),
            riovcnt: Some(1024),
            remote_iov: Some(Iovecs::Pairs(MANY)),
            local_iov: Some(Iovecs::Pairs(FEW)),
            dur_ns: Some(4_500),
            ..readv(2_100)
        },
        Event {
            ret: Some(-1),
            errno: Some("EPERM"),
            bytes: Some(0),
            payload: None,
            payload_status: Some("none"),
            ..readv(2_200)
        },
        Event {
            ret: Some(-3),
            errno: Some("ESRCH"),
            bytes: Some(0),
            target_pid: None,
            target_pid_arg: Some(99_999),
            target_comm: None,
            payload: None,
            payload_status: Some("none"),
            ..readv(2_300)
        },
        Event {
            event: "process_vm_writev",
            direction: Some("out"),
            toctou: Some(true),
            iov_verdict: Some("conflict"),
            tid: 4213,
            comm: "writer",
            payload: Some(b"GET / HTTP/1.1\r\n\x1b[31m"),
            payload_status: Some("ok"),
            ..readv(2_400)
        },
        lost(3_000),
        on_python(Event {
            ptrace_request: Some("PTRACE_ATTACH"),
            ret: Some(0),
            remote_iov: Some(Iovecs::Pairs(NOWHERE)),
            ..at(4_000, "ptrace", SPY)
        }),
        on_python(Event {
            ptrace_request: Some("PTRACE_POKETEXT"),
            direction: Some("out"),
            ret: Some(0),
            bytes: Some(8),
            bytes_requested: Some(8),
            remote_iov: Some(Iovecs::Pairs(WORD)),
            data: 0xcc,
            payload: Some(b"\xcc\0\0\0\0\0\0\0"),
            payload_len: 8,
            payload_total: 8,
            payload_status: Some("ok"),
            payload_side: Some("register"),
            ..at(4_100, "ptrace", SPY)
        }),
        on_python(Event {
            direction: Some("in"),
            ret: Some(8),
            bytes: Some(8),
            bytes_requested: Some(8),
            fd_in: Some(7),
            fd_in_kind: Some("proc_mem"),
            fd_in_path: Some("/proc/42/mem"),
            remote_iov: Some(Iovecs::Pairs(WORD)),
            local_iov: Some(Iovecs::Pairs(WORD)),
            liovcnt: Some(1),
            riovcnt: Some(1),
            payload: Some(b"\x10\0\0\0\0\0\0\0"),
            payload_len: 8,
            payload_total: 8,
            payload_status: Some("ok"),
            ..at(4_200, "pread", SPY)
        }),
        Event {
            direction: Some("out"),
            fd_out: Some(5),
            fd_out_kind: Some("pipe"),
            pipe_out: Some(771),
            local_iov: Some(Iovecs::Pairs(FEW)),
            liovcnt: Some(1),
            flags: Some(8),
            payload: Some(b"page"),
            payload_len: 4,
            payload_total: 4096,
            payload_status: Some("truncated"),
            payload_by_ref: Some(true),
            ..pipe(5_000, "vmsplice", 900)
        },
        Event {
            fd_in: Some(4),
            fd_in_kind: Some("pipe"),
            pipe_in: Some(771),
            fd_out: Some(7),
            fd_out_kind: Some("pipe"),
            pipe_out: Some(772),
            ..pipe(5_100, "tee", 900)
        },
        Event {
            fd_in: Some(3),
            fd_in_kind: Some("file"),
            fd_in_path: Some("/etc/hostname"),
            off_in: Some(0),
            fd_out: Some(5),
            fd_out_kind: Some("pipe"),
            pipe_out: Some(771),
            abi: Some("io_uring"),
            flags: Some(0x11),
            ..pipe(5_200, "splice", 900)
        },
        Event {
            fd_in: Some(3),
            fd_in_kind: Some("file"),
            fd_in_path: Some("/srv/index.html"),
            fd_out: Some(9),
            fd_out_kind: Some("socket"),
            fd_out_family: Some("AF_INET"),
            abi: Some("compat32"),
            ..pipe(5_300, "sendfile", 900)
        },
        Event { abi: None, exit_code: Some(3 << 8), ..at(6_000, "process_exit", SPY) },
        Event { abi: None, exit_code: Some(11 | 0x80), ..at(6_100, "process_exit", PYTHON) },
    ]
}

/// A gap.
pub fn lost(us: i64) -> Event<'static> {
    Event {
        event: "lost",
        pid: 0,
        tid: 0,
        comm: "",
        exe: None,
        start_ns: 0,
        uid: u32::MAX,
        abi: None,
        dur_ns: Some(250_000_000),
        lost_count: Some(1234),
        lost_event: Some("process_vm_readv"),
        lost_cause: Some("ring_full"),
        ..at(us, "lost", 0)
    }
}
