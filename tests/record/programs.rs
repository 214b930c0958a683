//! Real programs: what is recorded of them, beside a count that does not come from us.
//!
//! For programs that say themselves how much they moved, that is the count; for the others it is strace's, which
//! traces the program while both are being recorded.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::harness::{Recording, Row, program, record};
use super::live::Subject;

/// Sum of `bytes`.
fn bytes(rows: &[Row]) -> i64 {
    rows.iter().map(|r| r.number("bytes")).sum()
}

/// Rows that hold `value` in `column`.
fn having<'a>(rows: &'a [Row], column: &str, value: &str) -> Vec<&'a Row> {
    rows.iter().filter(|r| r[column] == value).collect()
}

/// A call as strace saw it: result, and the whole line.
struct Traced {
    ret: i64,
    line: String,
}

/// The calls of `name` in a log of strace. Panics where a line was split by another thread's.
fn strace_log(path: &Path, name: &str) -> Vec<Traced> {
    let log = std::fs::read_to_string(path).expect("strace's log");
    let calls = log.lines().filter(|l| l.contains(&format!("{name}(")) || l.contains(&format!("<... {name}")));
    let traced = calls.map(|line| {
        assert!(!line.contains("unfinished"), "{line}");
        let (_, result) = line.rsplit_once(" = ").unwrap_or_else(|| panic!("no result in {line}"));
        let number = result.split_whitespace().next().unwrap_or_default();
        let errno = result.split_whitespace().nth(1).filter(|_| number == "-1");
        let ret = match (errno, number.strip_prefix("0x")) {
            (Some("ESRCH"), _) => -3,
            (Some("EIO"), _) => -5,
            (Some("EFAULT"), _) => -14,
            (Some("EINVAL"), _) => -22,
            (Some(other), _) => panic!("{other} in {line}"),
            (None, Some(hex)) => i64::from_str_radix(hex, 16).expect("hexadecimal result"),
            (None, None) => number.parse().unwrap_or_else(|_| panic!("result {number:?} in {line}")),
        };
        Traced { ret, line: line.to_string() }
    });
    traced.collect()
}

/// Asserts that rows and strace's calls are the same ones: results in order, and remote addresses.
fn same_calls(rows: &[&Row], traced: &[Traced]) {
    assert!(!traced.is_empty(), "strace saw nothing");
    assert_eq!(rows.len(), traced.len(), "number of calls");
    for (row, call) in rows.iter().zip(traced) {
        assert_eq!(row.number("ret"), call.ret, "{}\n{row:?}", call.line);
        let base = row["remote_iov"][0][0].as_u64().expect("remote address");
        let shown = call.line.contains(&format!("{base:#x}")) || call.line.contains(&base.to_string());
        assert!(shown, "{base:#x} is not in {}", call.line);
    }
}

/// Where `make test` puts Python packages.
fn venv() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/vmtrace/venv");
    std::env::var_os("VMTRACE_VENV").map_or_else(home, PathBuf::from)
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("temporary directory")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8 path")
}

fn random_file(path: &Path, size: u64) {
    use std::io::Read;
    let random = std::fs::File::open("/dev/urandom").expect("urandom");
    let mut file = std::fs::File::create(path).expect("file");
    assert_eq!(std::io::copy(&mut random.take(size), &mut file).expect("copy"), size);
}

fn nothing_lost(recording: &Recording) {
    assert_eq!(recording.manifest().lost(), 0, "{}", recording.stderr);
}

/// Independent: another strace around the first.
#[test]
#[ignore = "needs root and BPF"]
fn strace_reads_by_process_vm_readv() {
    let dir = scratch();
    let log = dir.path().join("log");
    let strace = program("strace");
    let inner = ["strace", "-f", "-o", "/dev/null", "ls", "/"];
    let outer = [strace.as_str(), "-qq", "-e", "trace=process_vm_readv", "-e", "signal=none", "-o", text(&log)];
    let recording = record(&[], &[&outer[..], &inner[..]].concat());
    nothing_lost(&recording);
    let rows = recording.event("process_vm_readv");
    let execs = recording.event("process_exec");
    let inner_exec = execs.iter().find(|r| r["argv"] == inner.join(" ")).expect("process_exec of the inner strace");
    let of_inner: Vec<&Row> = rows.iter().filter(|r| r["pid"] == inner_exec["pid"]).collect();
    assert!(of_inner.len() > 50, "{}", of_inner.len());
    same_calls(&of_inner, &strace_log(&log, "process_vm_readv"));
    assert!(of_inner.iter().any(|r| r["target_comm"] == "ls"), "ls is a target");
}

/// Independent: another strace around the first.
#[test]
#[ignore = "needs root and BPF"]
fn strace_traces_by_ptrace() {
    let dir = scratch();
    let log = dir.path().join("log");
    let strace = program("strace");
    let inner = ["strace", "-o", "/dev/null", "true"];
    let outer = [strace.as_str(), "-qq", "-e", "trace=ptrace", "-e", "signal=none", "-o", text(&log)];
    let recording = record(&[], &[&outer[..], &inner[..]].concat());
    let execs = recording.event("process_exec");
    let inner_exec = execs.iter().find(|r| r["argv"] == inner.join(" ")).expect("process_exec of the inner strace");
    let rows = recording.event("ptrace");
    let of_inner: Vec<&Row> = rows.iter().filter(|r| r["pid"] == inner_exec["pid"]).collect();
    let traced = strace_log(&log, "ptrace");
    assert!(traced.len() > 50, "{}", traced.len());
    assert_eq!(of_inner.len(), traced.len());
    for (row, call) in of_inner.iter().zip(&traced) {
        assert!(call.line.contains(row.text("ptrace_request")), "{}\n{row:?}", call.line);
        assert_eq!(row.number("ret"), call.ret, "{}\n{row:?}", call.line);
    }
}

/// Independent: strace of py-spy.
#[test]
#[ignore = "needs root and BPF"]
fn py_spy_reads_a_python_process() {
    let dir = scratch();
    let log = dir.path().join("log");
    let ready = dir.path().join("ready");
    let script = format!("import time; open({:?}, 'w').close(); time.sleep(60)", text(&ready));
    let (python, py_spy) = (venv().join("bin/python3"), venv().join("bin/py-spy"));
    assert!(py_spy.exists(), "{} is missing: set VMTRACE_VENV to a venv with py-spy", py_spy.display());
    let subject = Subject::start(Command::new(python).args(["-c", &script]));
    while !ready.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let strace = [&*program("strace"), "-f", "-qq", "-e", "trace=process_vm_readv", "-o", text(&log)].map(String::from);
    let dump = [text(&py_spy), "dump", "--pid", &subject.pid().to_string()].map(String::from);
    let recording = record(&[], &[&strace[..], &dump[..]].concat());
    nothing_lost(&recording);
    assert!(recording.stdout.contains("<module>"), "py-spy dumped nothing: {}", recording.stdout);
    let rows = recording.event("process_vm_readv");
    let of_py_spy = having(&rows, "comm", "py-spy");
    same_calls(&of_py_spy, &strace_log(&log, "process_vm_readv"));
    assert!(of_py_spy.iter().all(|r| r["target_pid"] == subject.pid() && r.text("target_comm").contains("python")));
}

/// Independent: strace of gdb's first thread, which is the one that reads its subject.
#[test]
#[ignore = "needs root and BPF"]
fn gdb_reads_the_memory_file() {
    let dir = scratch();
    let log = dir.path().join("log");
    let subject = Subject::start(Command::new(program("sleep")).arg("60"));
    let strace = [&*program("strace"), "-qq", "-y", "-e", "trace=pread64,pwrite64", "-o", text(&log)].map(String::from);
    let gdb = [&*program("gdb"), "-nx", "-p", &subject.pid().to_string(), "-batch", "-ex", "bt"].map(String::from);
    let recording = record(&[], &[&strace[..], &gdb[..]].concat());
    nothing_lost(&recording);
    for (name, event) in [("pread64", "pread"), ("pwrite64", "pwrite")] {
        let mut traced = strace_log(&log, name);
        traced.retain(|call| call.line.contains("/mem>"));
        let rows = recording.event(event);
        same_calls(&having(&rows, "comm", "gdb"), &traced);
    }
    let reads = recording.event("pread");
    assert!(reads.iter().any(|r| r["target_pid"] == subject.pid() && r["target_comm"] == "sleep"));
}

/// Independent: `--vm-rw-ops` rounds, each of which moves stress-ng's default of 16 MiB each way.
#[test]
#[ignore = "needs root and BPF"]
fn stress_ng_moves_what_its_operations_say() {
    let recording = record(&[], &[&*program("stress-ng"), "--vm-rw", "1", "--vm-rw-ops", "50"]);
    nothing_lost(&recording);
    for event in ["process_vm_readv", "process_vm_writev"] {
        let rows = recording.event(event);
        let good = rows.iter().filter(|r| r["errno"].is_null()).count();
        let failed = ["ESRCH", "EINVAL"].map(|errno| having(&rows, "errno", errno).len());
        assert_eq!((rows.len(), good, failed), (150, 50, [50, 50]), "{event}");
        assert_eq!(bytes(&rows), 838_860_800, "{event}");
    }
}

/// Independent: stress-ng's own number of operations, one successful vmsplice each, as strace counts them.
#[test]
#[ignore = "needs root and BPF"]
fn stress_ng_vmsplices_and_tees() {
    for (stressor, events) in [("vm-splice", &["vmsplice", "splice"][..]), ("tee", &["tee", "splice"])] {
        let dir = scratch();
        let log = dir.path().join("log");
        let trace = "trace=vmsplice,splice,tee";
        let strace = [&*program("strace"), "-ff", "-qq", "-e", trace, "-o", text(&log)].map(String::from);
        let ops = [&*program("stress-ng"), &format!("--{stressor}"), "1", &format!("--{stressor}-ops"), "100"];
        let recording = record(&[], &[&strace[..], &ops.map(String::from)[..]].concat());
        nothing_lost(&recording);
        for event in events {
            let rows = recording.event(event);
            let (calls, moved) = strace_totals(dir.path(), event);
            assert!(calls >= 100, "{event}: {calls}");
            assert_eq!((rows.len() as u64, bytes(&rows)), (calls, moved), "{stressor}: {event}");
        }
    }
}

/// Independent: strace's count of each command, and the results that it read from their structs.
#[test]
#[ignore = "needs root and BPF"]
fn stress_ng_fills_its_missing_pages() {
    let dir = scratch();
    let log = dir.path().join("log");
    let strace = [&*program("strace"), "-f", "-qq", "-e", "trace=ioctl", "-o", text(&log)].map(String::from);
    let ops = [&*program("stress-ng"), "--userfaultfd", "1", "--userfaultfd-ops", "100"].map(String::from);
    let recording = record(&[], &[&strace[..], &ops[..]].concat());
    nothing_lost(&recording);
    let log = std::fs::read_to_string(&log).expect("strace's log");
    for (event, command, result) in
        [("uffd_copy", "UFFDIO_COPY", "copy"), ("uffd_zeropage", "UFFDIO_ZEROPAGE", "zeropage")]
    {
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(&format!(", {command}, "))).collect();
        let moved = lines.iter().filter_map(|line| {
            let (_, rest) = line.split_once(&format!(", {result}=0x"))?;
            i64::from_str_radix(rest.split('}').next()?, 16).ok()
        });
        let rows = recording.event(event);
        assert!(!rows.is_empty(), "{event}");
        assert_eq!((rows.len(), bytes(&rows)), (lines.len(), moved.sum::<i64>()), "{event}");
    }
}

/// Calls that ended and bytes they moved, summed over strace's logs of each process (`-ff`).
fn strace_totals(dir: &Path, name: &str) -> (u64, i64) {
    let (mut calls, mut moved) = (0, 0);
    for file in std::fs::read_dir(dir).expect("directory") {
        let log = std::fs::read_to_string(file.expect("entry").path()).expect("strace's log");
        for line in log.lines().filter(|l| l.starts_with(&format!("{name}("))) {
            let (_, result) = line.rsplit_once(" = ").unwrap_or_else(|| panic!("no result in {line}"));
            let number = result.split_whitespace().next().unwrap_or_default();
            // `?`: the process was killed while the call was under way.
            if number != "?" {
                calls += 1;
                moved += number.parse::<i64>().expect("result").max(0);
            }
        }
    }
    (calls, moved)
}

/// Independent: fio's report of the bytes it wrote and read. It reaches the file by splice, memory by vmsplice.
#[test]
#[ignore = "needs root and BPF"]
fn fio_splices_what_it_reports() {
    let dir = scratch();
    let file = format!("--filename={}", text(&dir.path().join("data")));
    for (way, event) in [("write", "fd_out_kind"), ("read", "fd_in_kind")] {
        let rw = format!("--rw={way}");
        let job = ["--name=x", "--ioengine=splice", "--size=1m", "--bs=64k", "--output-format=json", &rw, &file];
        let recording = record(&[], &[&[&*program("fio")], &job[..]].concat());
        nothing_lost(&recording);
        let start = recording.stdout.find('{').expect("fio's report");
        let report: serde_json::Value = serde_json::from_str(&recording.stdout[start..]).expect("JSON");
        let reported = report["jobs"][0][way]["io_bytes"].as_i64().expect("io_bytes");
        assert_eq!(reported, 1 << 20);
        let spliced: Vec<Row> = recording.event("splice").into_iter().filter(|r| r[event] == "file").collect();
        assert_eq!(bytes(&spliced), reported, "{way}");
        assert_eq!(bytes(&recording.event("vmsplice")), reported, "{way}");
    }
}

/// Independent: the size of the file.
#[test]
#[ignore = "needs root and BPF"]
fn pv_splices_a_file() {
    const SIZE: u64 = 3_000_001;
    let dir = scratch();
    let file = dir.path().join("data");
    random_file(&file, SIZE);
    let script = format!("{} -q {} | cat >{}", program("pv"), text(&file), text(&dir.path().join("copy")));
    let recording = record(&[], &["sh", "-c", &script]);
    let rows = recording.event("splice");
    assert!(rows.iter().all(|r| r["comm"] == "pv" && r["fd_in_path"] == text(&file) && r["fd_out_kind"] == "pipe"));
    assert_eq!(bytes(&rows), SIZE as i64);
}

/// Independent: the size of the file.
#[test]
#[ignore = "needs root and BPF"]
fn python_splices_and_sends_files() {
    const SIZE: u64 = 2_000_003;
    let dir = scratch();
    let (file, copy) = (dir.path().join("data"), dir.path().join("copy"));
    random_file(&file, SIZE);
    let script = r"
import os, shutil, sys
source, copy = sys.argv[1:]
shutil.copyfile(source, copy)
r, w = os.pipe()
i, o = os.open(source, os.O_RDONLY), os.open(copy, os.O_WRONLY | os.O_TRUNC)
while n := os.splice(i, w, 50000):
    while n:
        n -= os.splice(r, o, n)
";
    let python = venv().join("bin/python3");
    let recording = record(&[], &[text(&python), "-c", script, text(&file), text(&copy)]);
    let sent = recording.event("sendfile");
    assert_eq!(bytes(&sent), SIZE as i64);
    assert!(sent.iter().all(|r| r["fd_in_path"] == text(&file) && r["fd_out_path"] == text(&copy)));
    let (into, out): (Vec<Row>, Vec<Row>) =
        recording.event("splice").into_iter().partition(|r| r["fd_in_kind"] == "file");
    assert_eq!((bytes(&into), bytes(&out)), (SIZE as i64, SIZE as i64));
    assert!(into.iter().filter(|r| r.number("ret") > 0).all(|r| r["pipe_out"] == out[0]["pipe_in"]));
    assert_eq!(std::fs::read(&file).expect("data"), std::fs::read(&copy).expect("copy"));
}

/// Independent: the size of the file that a client received.
#[test]
#[ignore = "needs root and BPF"]
fn nginx_sends_a_static_file() {
    use std::io::{Read, Write};
    const SIZE: u64 = 300_007;
    let dir = scratch();
    // Workers give up root; they must still reach the file and the socket.
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    let path = |name: &str| text(&dir.path().join(name)).to_string();
    random_file(&dir.path().join("data"), SIZE);
    let config = format!(
        "daemon off; pid {}; error_log {} info; events {{}} \
         http {{ access_log off; sendfile on; client_body_temp_path {}; proxy_temp_path {}; fastcgi_temp_path {}; \
         uwsgi_temp_path {}; scgi_temp_path {}; server {{ listen unix:{}; root {}; }} }}",
        path("pid"),
        path("log"),
        path("t1"),
        path("t2"),
        path("t3"),
        path("t4"),
        path("t5"),
        path("socket"),
        path("")
    );
    std::fs::write(dir.path().join("conf"), config).expect("conf");
    let nginx = [&*program("nginx"), "-c", &path("conf"), "-e", &path("log")].map(String::from);
    let live = super::live::Live::start(&[], &nginx);
    let mut client = loop {
        match std::os::unix::net::UnixStream::connect(path("socket")) {
            Ok(client) => break client,
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    };
    client.write_all(b"GET /data HTTP/1.0\r\n\r\n").expect("request");
    let mut response = Vec::new();
    client.read_to_end(&mut response).expect("response");
    assert!(response.starts_with(b"HTTP/1.1 200") && response.len() as u64 > SIZE);
    let master: u32 = std::fs::read_to_string(path("pid")).expect("pid").trim_end().parse().expect("pid");
    super::live::send(master, libc::SIGQUIT);
    let recording = live.end();
    super::invariants::check(&recording);
    let rows = recording.event("sendfile");
    assert_eq!(bytes(&rows), SIZE as i64);
    assert!(rows.iter().all(|r| r["comm"] == "nginx" && r["fd_in_path"] == path("data").as_str()));
    assert!(rows.iter().all(|r| r["fd_out_family"] == "AF_UNIX" && r["fd_out_peer_addr"].is_null()));
    assert!(rows.iter().all(|r| r["fd_out_local_addr"] == path("socket").as_str()));
}
