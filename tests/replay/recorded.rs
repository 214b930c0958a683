//! Random programs that move bytes through pipes are recorded here; what `flows` says of them is what they say themselves.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::vmtrace;

/// How many programs.
const RUNS: usize = 50;

/// A run of bytes: the call that took them out, by number and of no number where nobody did, and the first byte's place in
/// what it moved; the same of the call that put them in; the way between; and how many there are.
type Link = (Option<u64>, u64, u64, u64, String, u64);

/// Joins runs that continue each other.
fn joined(mut links: Vec<Link>) -> Vec<Link> {
    // What nobody took out has no place there.
    links.sort_by_key(|(sink, at, source, offset, way, _)| (*sink, *at, way.clone(), *source, *offset));
    let mut all: Vec<Link> = Vec::new();
    for link in links {
        let continues = |last: &Link| {
            let is_next_there = link.0.is_none() || link.1 == last.1 + last.5;
            (last.0, last.2, &last.4) == (link.0, link.2, &link.4) && is_next_there && link.3 == last.3 + last.5
        };
        match all.last_mut() {
            Some(last) if continues(last) => last.5 += link.5,
            _ => all.push(link),
        }
    }
    all
}

/// What the program says of its calls and links.
fn account(path: &Path) -> (Vec<Value>, Vec<Link>) {
    let said: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let links = said["links"].as_array().unwrap().iter().map(|link| {
        let number = |at: usize| link[at].as_u64().unwrap();
        (link[3].as_u64(), number(4), number(0), number(1), link[2].to_string(), number(5))
    });
    (said["calls"].as_array().unwrap().clone(), joined(links.collect()))
}

/// The flows of a program as it would say them, with the numbers of its calls in place of those of the rows.
fn found(flows: &[Value], numbers: &BTreeMap<u64, u64>) -> Vec<Link> {
    let number = |seq: &Value| seq.as_u64().and_then(|seq| numbers.get(&seq)).copied();
    // What nobody is known to have put in, somebody of the program took out.
    let of_program =
        flows.iter().filter(|flow| number(&flow["source"]["seq"]).is_some() || number(&flow["sink"]["seq"]).is_some());
    let link = |flow: &Value| {
        assert_ne!(flow["certainty"], "unknown", "{flow}");
        let step = |step: &Value| serde_json::json!([step["pipe"], number(&step["moved_by"]["seq"])]);
        let way: Vec<Value> = flow["pipes"].as_array().unwrap().iter().map(step).collect();
        let (source, sink) = (&flow["source"], &flow["sink"]);
        let is_left = sink["kind"] == "left";
        assert_eq!(is_left, number(&sink["seq"]).is_none(), "{flow}");
        let place = |end: &Value| end["offset"].as_u64().unwrap();
        let at = if is_left { 0 } else { place(sink) };
        (
            number(&sink["seq"]),
            at,
            number(&source["seq"]).unwrap(),
            place(source),
            Value::from(way).to_string(),
            flow["bytes"].as_u64().unwrap(),
        )
    };
    joined(of_program.map(link).collect())
}

/// Reads 64 bytes of its parent's memory and writes them into a child's.
const RELAY: &str = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]
secret = ctypes.create_string_buffer(b"the token of this test is 0123456789 and nothing else, so there", 64)
empty = ctypes.create_string_buffer(64)
def child(act):
    pid = os.fork()
    if pid == 0:
        act()
        os._exit(0)
    return pid
def move(call, pid, address):
    one, other = Iovec(ctypes.addressof(own), 64), Iovec(address, 64)
    if call(pid, ctypes.byref(one), 1, ctypes.byref(other), 1, 0) != 64:
        sys.exit(os.strerror(ctypes.get_errno()))
import signal
victim = os.getpid()
target = child(signal.pause)
def relay():
    global own
    own = ctypes.create_string_buffer(64)
    move(libc.process_vm_readv, victim, ctypes.addressof(secret))
    move(libc.process_vm_writev, target, ctypes.addressof(empty))
    print(victim, os.getpid(), target, hex(ctypes.addressof(secret)), hex(ctypes.addressof(own)), hex(ctypes.addressof(empty)))
    sys.stdout.flush()
os.waitpid(child(relay), 0)
os.kill(target, 9)
"#;

#[test]
#[ignore = "needs root and BPF"]
fn bytes_that_were_read_and_written_elsewhere_are_linked() {
    let dir = tempfile::tempdir().unwrap();
    let capture = dir.path().join("t.parquet");
    let ran = Command::new(env!("CARGO_BIN_EXE_vmtrace"))
        .args(["record", "-q", "-s", "48", "-o"])
        .arg(&capture)
        .args(["--", "python3", "-c", RELAY])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let said = String::from_utf8(ran.stdout).unwrap();
    let [victim, relay, target, secret, own, empty] = said.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("{said}")
    };
    let flows = vmtrace(&["flows", capture.to_str().unwrap()]);
    let line = flows.out.lines().next().unwrap();
    let wanted = format!(
        "[64 bytes] python3[{victim}] {secret}+64 \"the token of this test is 012345\"… by process_vm_readv of python3[{relay}] \
         → memory of python3[{relay}] {own}+64 → python3[{target}] {empty}+64 \"the token of this test is 012345\"… by \
         process_vm_writev of python3[{relay}]  (inferred)"
    );
    assert_eq!(line, wanted, "{}", flows.out);
    let seq = |event: &str| {
        let rows = vmtrace(&["replay", "-T", "jsonl", "-e", event, capture.to_str().unwrap()]);
        let row: Value = serde_json::from_str(rows.out.lines().next().unwrap()).unwrap();
        row["seq"].as_u64().unwrap()
    };
    let (read, write) = (seq("process_vm_readv"), seq("process_vm_writev"));
    let of_row = vmtrace(&["flows", capture.to_str().unwrap(), &write.to_string()]).out;
    let preview = "\"the token of this test is 012345\"…";
    let wanted = format!(
        "Row {write}: process_vm_writev by python3[{relay}] moved 64 bytes\n  64 bytes python3[{victim}] {secret}+64 {preview} by \
         process_vm_readv of python3[{relay}] (row {read}) → memory of python3[{relay}] {own}+64 → python3[{target}] {empty}+64 \
         {preview} by process_vm_writev of python3[{relay}] (row {write})  (inferred)\nCertainty: inferred.\n"
    );
    assert_eq!(of_row, wanted);
    let meaning =
        "1 flow, 64 B inferred: what was captured of the bytes was the same at the same addresses when they went on.";
    assert!(flows.out.lines().any(|line| line == meaning), "{}", flows.out);
}

#[test]
#[ignore = "needs root and BPF"]
fn the_flows_of_random_programs_are_those_of_their_own_account() {
    let dir = tempfile::tempdir().unwrap();
    let (program, capture) =
        (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replay/pipes.py"), dir.path().join("t.parquet"));
    let script =
        format!("for seed in $(seq {RUNS}); do python3 {} $seed $seed.json || exit 1; done", program.display());
    let recorder = Command::new(env!("CARGO_BIN_EXE_vmtrace"))
        .args(["record", "-q", "-e", "@pipe", "-s", "64", "-o"])
        .arg(&capture)
        .args(["--", "sh", "-c", &script])
        .current_dir(&dir)
        .output()
        .unwrap();
    assert!(recorder.status.success(), "{}", String::from_utf8_lossy(&recorder.stderr));
    let capture = capture.to_str().unwrap();
    let lines = |args: &[&str]| -> Vec<Value> {
        let ran = vmtrace(&[args, &[capture]].concat());
        assert_eq!(ran.status, 0, "{}", ran.err);
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let rows = lines(&["replay", "-T", "jsonl", "--where", "bytes > 0"]);
    let flows = lines(&["flows", "-T", "json"]);
    let (mut links, mut relayed) = (0, 0);
    let exact = flows.iter().filter(|flow| flow["certainty"] == "exact").count();
    for seed in 1..=RUNS {
        let (calls, wanted) = account(&dir.path().join(format!("{seed}.json")));
        let of_program = rows.iter().filter(|row| calls.iter().any(|call| call[0] == row["pid"]));
        let of_program: Vec<&Value> = of_program.collect();
        let recorded: Vec<Value> =
            of_program.iter().map(|row| serde_json::json!([row["pid"], row["event"], row["bytes"]])).collect();
        assert_eq!(recorded, calls, "program {seed}");
        let numbers = of_program.iter().map(|row| row["seq"].as_u64().unwrap()).zip(0..).collect();
        let found = found(&flows, &numbers);
        assert_eq!(found, wanted, "program {seed}");
        links += found.len();
        relayed += found.iter().filter(|link| link.4.matches('[').count() > 2).count();
    }
    assert!(links > 500 && relayed > 100 && exact > 20, "{links} links, {relayed} over several pipes, {exact} exact");
}
