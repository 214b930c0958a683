//! Running `vmtrace record`, reading captures back, and comparing them with what a workload says it did.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ops::Index;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use vmtrace::schema::Event;
use vmtrace::schema::events::{EVENTS, Group};
use vmtrace::schema::manifest::Manifest;
use vmtrace::schema::reader::{Capture, Scan};
use vmtrace::schema::regions::Regions;
use vmtrace::schema::types::Iovecs;

/// The `vmtrace` under test.
pub fn vmtrace() -> Command {
    Command::new(env!("CARGO_BIN_EXE_vmtrace"))
}

/// The workload generator, which Cargo puts beside the tests.
pub fn workload() -> String {
    let tests = std::env::current_exe().expect("own path");
    let path = tests.ancestors().nth(2).expect("target directory").join("examples/workload");
    assert!(path.exists(), "{} is missing: run `cargo build --example workload`", path.display());
    path.to_str().expect("UTF-8 path").to_string()
}

/// The workload's command line: `workload WORDS...`.
pub fn work(words: &str) -> Vec<String> {
    std::iter::once(workload()).chain(words.split_whitespace().map(str::to_string)).collect()
}

/// A program that a test needs. Missing is a failure, not a reason to pass.
pub fn program(name: &str) -> String {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|dir| dir.join(name)).find(|p| p.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed")).to_str().expect("UTF-8 path").to_string()
}

/// One row of a capture, by column names.
#[derive(Clone, Debug)]
pub struct Row(Map<String, Value>);

impl Index<&str> for Row {
    type Output = Value;

    fn index(&self, column: &str) -> &Value {
        self.0.get(column).unwrap_or_else(|| panic!("the harness does not read column {column}"))
    }
}

impl Row {
    /// The number in `column`; 0 where it is null.
    pub fn number(&self, column: &str) -> i64 {
        let value = &self[column];
        assert!(value.is_null() || value.is_number(), "{column} is {value}");
        value.as_i64().or_else(|| value.as_u64().map(|n| n as i64)).unwrap_or(0)
    }

    /// The text in `column`; empty where it is null.
    pub fn text(&self, column: &str) -> &str {
        self[column].as_str().unwrap_or_default()
    }

    fn from_event(e: &Event<'_>) -> Self {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let iov = |v: Iovecs<'_>| v.iter().map(|i| json!([i.base, i.len])).collect::<Value>();
        let regions = |v: Regions<'_>| {
            v.iter().map(|r| json!([r.start, r.end, r.perms, r.path, r.file_offset, r.build_id])).collect::<Value>()
        };
        let columns = [
            json!({
                "seq": e.seq, "ts": e.ts, "ts_ns": e.ts_ns, "mono_ns": e.mono_ns, "dur_ns": e.dur_ns, "cpu": e.cpu,
                "event": e.event, "abi": e.abi, "pid": e.pid, "tid": e.tid, "uid": e.uid, "comm": e.comm, "exe": e.exe,
                "start_ns": e.start_ns, "process_key": e.process_key, "cgroup": e.cgroup,
                "container": e.container, "target_cgroup": e.target_cgroup,
                "target_container": e.target_container, "target_ended": e.target_ended,
            }),
            json!({
                "target_pid": e.target_pid, "target_pid_arg": e.target_pid_arg, "target_comm": e.target_comm,
                "target_exe": e.target_exe, "target_uid": e.target_uid, "target_start_ns": e.target_start_ns,
                "target_key": e.target_key, "direction": e.direction, "ret": e.ret, "errno": e.errno,
                "bytes": e.bytes, "bytes_requested": e.bytes_requested,
            }),
            json!({
                "local_iov": e.local_iov.map(iov), "liovcnt": e.liovcnt, "remote_iov": e.remote_iov.map(iov),
                "riovcnt": e.riovcnt, "flags": e.flags, "iov_source": e.iov_source, "iov_verdict": e.iov_verdict,
                "toctou": e.toctou, "ptrace_request": e.ptrace_request, "data": e.data, "pidfd": e.pidfd,
                "advice": e.advice,
            }),
            json!({
                "fd_in": e.fd_in, "fd_out": e.fd_out, "off_in": e.off_in, "off_out": e.off_out,
                "fd_in_kind": e.fd_in_kind, "fd_out_kind": e.fd_out_kind, "fd_in_mode": e.fd_in_mode,
                "fd_out_mode": e.fd_out_mode, "fd_in_path": e.fd_in_path, "fd_out_path": e.fd_out_path,
                "fd_in_family": e.fd_in_family, "fd_out_family": e.fd_out_family,
            }),
            json!({
                "fd_in_local_addr": e.fd_in_local_addr, "fd_in_local_port": e.fd_in_local_port,
                "fd_in_peer_addr": e.fd_in_peer_addr, "fd_in_peer_port": e.fd_in_peer_port,
                "fd_out_local_addr": e.fd_out_local_addr, "fd_out_local_port": e.fd_out_local_port,
                "fd_out_peer_addr": e.fd_out_peer_addr, "fd_out_peer_port": e.fd_out_peer_port,
                "pipe_in": e.pipe_in, "pipe_out": e.pipe_out,
            }),
            json!({
                "payload": e.payload.map(hex), "payload_len": e.payload_len, "payload_total": e.payload_total,
                "payload_status": e.payload_status, "payload_side": e.payload_side, "payload_at": e.payload_at,
                "payload_by_ref": e.payload_by_ref, "parent_pid": e.parent_pid, "parent_key": e.parent_key,
                "argv": e.argv, "exit_code": e.exit_code, "lost_count": e.lost_count, "lost_event": e.lost_event,
                "region_source": e.region_source, "remote_regions": e.remote_regions.map(regions),
                "lost_cause": e.lost_cause, "path": e.path, "dirfd": e.dirfd, "open_mode": e.open_mode,
                "open_resolve": e.open_resolve,
            }),
        ];
        Row(columns.into_iter().flat_map(|c| c.as_object().cloned().unwrap_or_default()).collect())
    }
}

/// Whether `event` is a syscall rather than process life or loss.
pub fn is_call(event: &str) -> bool {
    let spec = EVENTS.iter().find(|e| e.name == event).unwrap_or_else(|| panic!("unknown event {event}"));
    spec.group.is_of_calls()
}

/// A finished recording.
#[derive(Debug)]
pub struct Recording {
    _dir: TempDir,
    /// The capture file.
    pub path: PathBuf,
    /// How the recorder ended.
    pub status: ExitStatus,
    /// What COMMAND printed.
    pub stdout: String,
    /// What COMMAND and the recorder said.
    pub stderr: String,
}

impl Recording {
    /// Checks that the recorder succeeded, and what every capture promises.
    pub fn succeeded(&self) {
        assert!(self.status.success(), "vmtrace record ended with {}\n{}", self.status, self.stderr);
        super::invariants::check(self);
    }

    /// What the capture says about itself.
    pub fn manifest(&self) -> Manifest {
        self.open().manifest().clone()
    }

    /// The opened capture.
    pub fn open(&self) -> Capture {
        Capture::open(&self.path).unwrap_or_else(|e| panic!("{e:#}\n{}", self.stderr))
    }

    /// All rows, ordered by time.
    pub fn rows(&self) -> Vec<Row> {
        rows(&self.path)
    }

    /// The rows of syscalls, ordered by time.
    pub fn calls(&self) -> Vec<Row> {
        self.rows().into_iter().filter(|r| is_call(r.text("event"))).collect()
    }

    /// The same but for those by which the memory of a process was opened.
    pub fn calls_but_opens(&self) -> Vec<Row> {
        self.calls().into_iter().filter(|r| r["event"] != "mem_open").collect()
    }

    /// The rows of one event, ordered by time.
    pub fn event(&self, name: &str) -> Vec<Row> {
        self.rows().into_iter().filter(|r| r["event"] == name).collect()
    }

    /// The JSON line that the workload printed.
    pub fn report(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}\n{}", self.stderr))
    }
}

/// All rows of a capture, ordered by time.
pub fn rows(path: &Path) -> Vec<Row> {
    let capture = Capture::open(path).unwrap_or_else(|e| panic!("{e:#}"));
    let mut rows = Vec::new();
    for batch in capture.scan(&Scan::default()).expect("scan") {
        rows.extend(batch.expect("batch").iter().map(|e| Row::from_event(&e)));
    }
    rows.sort_by_key(|r| (r.number("mono_ns"), r.number("seq")));
    rows
}

/// Records `command` with `options`, and checks what every capture promises.
pub fn record<S: AsRef<OsStr>>(options: &[&str], command: &[S]) -> Recording {
    let recording = record_unchecked(options, command);
    recording.succeeded();
    recording
}

/// Records `command` with `options`, whatever comes of it.
pub fn record_unchecked<S: AsRef<OsStr>>(options: &[&str], command: &[S]) -> Recording {
    record_by(vmtrace(), options, command)
}

/// What the recorder may use: all it knows, or tracepoints alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tier {
    /// All that the kernel takes.
    Best,
    /// Tracepoints alone.
    Tracepoint,
}

impl Tier {
    /// A recorder that uses it.
    pub fn recorder(self) -> Command {
        let mut recorder = vmtrace();
        match self {
            Tier::Best => recorder.env_remove("VMTRACE_DISABLE_PROBES"),
            // Emulated guests leave out one hook more: see tests/guests/inside.
            Tier::Tracepoint => {
                let hooks = std::env::var("VMTRACE_TEST_TRACEPOINT").unwrap_or_else(|_| "function".into());
                recorder.env("VMTRACE_DISABLE_PROBES", hooks)
            }
        };
        recorder
    }

    /// Whether a recording used no more than it may.
    pub fn check(self, recording: &Recording) {
        let hooks = recording.manifest().hooks;
        let attached: Vec<_> = hooks.iter().filter(|h| h.attached).map(|h| h.target.as_str()).collect();
        let functions = attached.iter().filter(|target| !target.starts_with("tp_btf/"));
        assert!(
            self == Tier::Best || functions.count() == 0,
            "hooks of functions on the tracepoint tier: {attached:?}"
        );
    }
}

/// Records `command` with `options` by this `recorder`, whatever comes of it.
pub fn record_by<S: AsRef<OsStr>>(mut recorder: Command, options: &[&str], command: &[S]) -> Recording {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("capture.parquet");
    recorder.arg("record").arg("-o").arg(&path).args(options).arg("--").args(command).stdin(Stdio::null());
    finish(dir, path, recorder.output().expect("vmtrace starts"))
}

/// A recording from what the recorder left behind.
pub fn finish(dir: TempDir, path: PathBuf, output: Output) -> Recording {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Recording { _dir: dir, path, status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Records the workload, and compares the capture with what it did, call by call.
pub fn record_work(options: &[&str], words: &str) -> Recording {
    let recording = record(options, &work(words));
    compare(&recording, &recording.report());
    recording
}

/// Compares the rows of a capture with a workload's report: as many rows of each event as calls were made, and
/// every logged call as its row has it.
pub fn compare(recording: &Recording, report: &Value) {
    eprintln!("{}", recording.stderr);
    compare_calls(&recording.calls(), report, &recording.manifest());
}

/// As [`compare`], for rows of syscalls ordered by time.
pub fn compare_calls(rows: &[Row], report: &Value, manifest: &Manifest) {
    let snaplen = manifest.filters.snaplen as usize;
    let writes: Vec<&Row> = rows.iter().filter(|r| r["event"] == "pipe_write").collect();
    // Workloads fill their own pipes and read them to check what arrived. Who did what to a pipe is in the tests of
    // `fed`, whose workloads report their writes. Nor do workloads that read and write memory report how they opened it.
    let expected = expected_counts(report);
    let is_by_the_way = |r: &Row| {
        let unreported = ["pipe_write", "mem_open"].into_iter().find(|event| r["event"] == *event);
        r["event"] == "pipe_read" || unreported.is_some_and(|event| !expected.contains_key(event))
    };
    let rows: Vec<&Row> = rows.iter().filter(|r| !is_by_the_way(r)).collect();
    let log = report["log"].as_array().expect("log").as_slice();
    assert_eq!(count(rows.iter().copied()), expected, "rows of each event");
    let mut by_thread: BTreeMap<(String, String), Vec<&Row>> = BTreeMap::new();
    for row in rows {
        by_thread.entry(group(&row["event"], &row["tid"])).or_default().push(row);
        by_thread.entry(group(&row["event"], &Value::Null)).or_default().push(row);
    }
    let mut taken: BTreeMap<(String, String), usize> = BTreeMap::new();
    for entry in log {
        let key = group(&entry["event"], &entry["tid"]);
        let n = taken.entry(key.clone()).or_default();
        let row = by_thread.get(&key).and_then(|rows| rows.get(*n));
        let row = row.unwrap_or_else(|| panic!("no row {n} of {key:?} for {entry}"));
        *n += 1;
        compare_call(entry, row, snaplen, by_functions(manifest, row), written_by(row, &writes));
    }
}

/// Who wrote last into the pipe that a call took from, before it did.
fn written_by<'a>(row: &Row, writes: &[&'a Row]) -> Option<&'a Value> {
    let before = |write: &&&Row| write["pipe_out"] == row["pipe_in"] && write.number("seq") < row.number("seq");
    writes.iter().rev().find(before).map(|write| &write["pid"])
}

fn group(event: &Value, tid: &Value) -> (String, String) {
    (event.to_string(), tid.to_string())
}

/// Rows of each event.
pub fn count<'a>(rows: impl IntoIterator<Item = &'a Row>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row.text("event").to_string()).or_default() += 1;
    }
    counts
}

fn expected_counts(report: &Value) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    if let Some(tallies) = report["calls"].as_object() {
        let calls = |t: &Value| t["calls"].as_u64().expect("calls");
        return tallies.iter().map(|(event, tally)| (event.clone(), calls(tally))).collect();
    }
    for entry in report["log"].as_array().expect("log") {
        *counts.entry(entry["event"].as_str().expect("event").to_string()).or_default() += 1;
    }
    counts
}

/// Whether hooks in functions serve the family of a row.
pub fn by_functions(manifest: &Manifest, row: &Row) -> bool {
    let moves_files = ["splice", "tee"].contains(&row.text("event"));
    let through_uring = row["abi"] == "io_uring" && moves_files;
    let mut families = manifest.families.iter().filter(|f| (f.family == "uring") == through_uring);
    families.any(|f| f.tier == "function" && f.events.iter().any(|e| e == row.text("event")))
}

/// The verdict on a row whose arrays a workload calls unverified: so they are in the tracepoint tier. From functions they are
/// the kernel's, unless it refused the call before it copied them.
fn is_verdict_of_arrays(row: &Row, by_functions: bool) -> bool {
    let of_kernel = row["iov_verdict"] == "kernel" && row["iov_source"] == "kernel" && row["toctou"] != true;
    let of_user = row["iov_verdict"] == "unverified" && row["iov_source"] == "user" && row["toctou"].is_null();
    let moved = row["bytes"].as_i64().is_some_and(|bytes| bytes > 0);
    // Some kernels have no functions of their own for these.
    let perhaps = ["uffd_move", "uffd_poison"].contains(&row.text("event"));
    match by_functions && row["event"] != "process_madvise" {
        true => of_kernel || (of_user && (!moved || perhaps)),
        false => of_user,
    }
}

fn group_of(row: &Row) -> Option<Group> {
    EVENTS.iter().find(|e| e.name == row.text("event")).map(|e| e.group)
}

/// Whether the kernel's own buffer is where a payload of such a row is read.
fn copied_in_the_kernel(row: &Row) -> bool {
    let peeks = ["PTRACE_PEEKTEXT", "PTRACE_PEEKDATA"].contains(&row.text("ptrace_request"));
    group_of(row) == Some(Group::Mem) || peeks
}

/// The verdict on a row without an iovec array of its own; `None` where it depends on more.
fn verdict_of(row: &Row, by_functions: bool) -> Option<&'static str> {
    let exact = match group_of(row)? {
        // Its path is in the caller's memory, on every tier.
        Group::Mem if row["event"] == "mem_open" => false,
        Group::Mem => by_functions,
        Group::Pidfd if row.number("ret") >= 0 => by_functions,
        Group::Ptrace => row.text("payload_side") != "caller",
        Group::Vm | Group::Pipe | Group::Pidfd | Group::Madvise | Group::Uffd | Group::Process | Group::Ledger => {
            return None;
        }
    };
    Some(if exact { "kernel" } else { "unverified" })
}

/// `writer`: who has written into the pipe that the call took from, of which its report says nothing.
fn compare_call(entry: &Value, row: &Row, snaplen: usize, by_functions: bool, writer: Option<&Value>) {
    let in_kernel = by_functions && copied_in_the_kernel(row);
    let mut wrong = Vec::new();
    let mut expect = |column: &str, wanted: &Value| {
        if &row[column] != wanted {
            wrong.push(format!("{column} is {}, not {wanted}", row[column]));
        }
    };
    let unverified = entry.get("iov_source").is_some_and(|source| source == "user")
        && entry.get("iov_verdict").is_none_or(|verdict| verdict == "unverified");
    let of_arrays = ["iov_source", "iov_verdict", "toctou"];
    let judged_apart = |column: &str| column == "payload" || (unverified && of_arrays.contains(&column));
    for (column, wanted) in entry.as_object().expect("entry").iter().filter(|(column, _)| !judged_apart(column)) {
        match (column.as_str(), wanted.as_str()) {
            ("payload_side", Some("caller")) if in_kernel => expect(column, &json!("kernel")),
            ("target_pid", None) if wanted.is_null() => expect(column, writer.unwrap_or(wanted)),
            _ => expect(column, wanted),
        }
    }
    if let Some(verdict) = verdict_of(row, by_functions).filter(|_| entry.get("iov_verdict").is_none()) {
        let exact = verdict == "kernel";
        expect("iov_verdict", &json!(verdict));
        expect("iov_source", &json!(if exact { "kernel" } else { "user" }));
        expect("toctou", &if exact { json!(false) } else { Value::Null });
    }
    match entry.get("payload") {
        Some(Value::String(hex)) => {
            let (kept, status) = if hex.len() / 2 > snaplen { (snaplen, "truncated") } else { (hex.len() / 2, "ok") };
            expect("payload", &json!(hex[..2 * kept]));
            expect("payload_len", &json!(kept));
            expect("payload_status", &json!(status));
            expect("payload_at", &json!(if in_kernel { "transfer" } else { "exit" }));
        }
        Some(_) => {
            expect("payload", &Value::Null);
            expect("payload_len", &json!(0));
            expect("payload_status", &json!("none"));
            expect("payload_at", &Value::Null);
        }
        None => {}
    }
    if unverified && !is_verdict_of_arrays(row, by_functions) {
        wrong.push(format!("the verdict on its arrays, served by functions: {by_functions}"));
    }
    assert!(wrong.is_empty(), "{}\nexpected {entry}\nrow {:?}", wrong.join("\n"), row.0);
}
