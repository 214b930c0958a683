//! ptrace of a peer: words read and written.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::buffer::{Buffer, content};
use super::drive::{Plan, Transfer, run as drive};
use super::peer::{COMM, Peer};
use super::report::{Entry, Report};
use super::sys::{Region, raw};

/// Bytes of a word.
pub const WORD: usize = 8;

/// A request by number and name.
pub type Request = (u64, &'static str);

/// Requests that move a word.
pub const PEEKTEXT: Request = (1, "PTRACE_PEEKTEXT");
/// As above.
pub const PEEKDATA: Request = (2, "PTRACE_PEEKDATA");
/// As above.
pub const POKETEXT: Request = (4, "PTRACE_POKETEXT");
/// As above.
pub const POKEDATA: Request = (5, "PTRACE_POKEDATA");
/// Moves all general registers.
pub const GETREGS: Request = (12, "PTRACE_GETREGS");
const ATTACH: Request = (16, "PTRACE_ATTACH");
const DETACH: Request = (17, "PTRACE_DETACH");

/// The syscall as the kernel has it: a PEEK writes its word to `data`, unlike libc's wrapper.
pub fn call(request: Request, pid: i32, addr: u64, data: u64) -> i64 {
    // SAFETY: for PEEK `data` is the address of a word of the caller's, or of nothing; the others read it at most.
    unsafe { raw(libc::SYS_ptrace, [request.0, pid as u64, addr, data, 0, 0]) }
}

/// What a recorder should have seen of any request but one that moves a word.
pub fn control_entry(request: Request, ret: i64, pid: i32, addr: u64, data: u64) -> Entry {
    Entry::new("ptrace", ret)
        .with("ptrace_request", request.1)
        .with("target_pid_arg", pid)
        .with("data", data)
        .with("remote_iov", serde_json::json!([[addr, 0]]))
        .with("local_iov", Value::Null)
        .with("bytes", if ret < 0 { Value::from(0) } else { Value::Null })
        .nothing_captured()
}

/// What a recorder should have seen of a request that moved `bytes` between the tracee and `base` in the caller.
pub fn moved_entry(request: Request, pid: i32, addr: u64, data: u64, base: u64, bytes: &[u8]) -> Entry {
    control_entry(request, 0, pid, addr, data)
        .with("direction", if request.1.contains("SET") && !request.1.contains("GET") { "out" } else { "in" })
        .with("target_pid", pid)
        .with("local_iov", serde_json::json!([[base, bytes.len()]]))
        .with("bytes", bytes.len())
        .with("bytes_requested", bytes.len())
        .payload(bytes)
}

/// What a recorder should have seen of a PEEK or POKE of the 8 bytes `word`.
pub fn word_entry(request: Request, ret: i64, pid: i32, addr: u64, data: u64, word: &[u8]) -> Entry {
    let poke = request.1.contains("POKE");
    let entry = Entry::new("ptrace", ret)
        .with("ptrace_request", request.1)
        .with("direction", if poke { "out" } else { "in" })
        .with("target_pid", pid)
        .with("target_pid_arg", pid)
        .with("data", data)
        .with("remote_iov", serde_json::json!([[addr, WORD]]))
        .with("bytes_requested", WORD);
    match (ret, poke) {
        (..0, _) => entry.nothing_captured(),
        (_, true) => entry.with("bytes", WORD).payload(word).with("payload_side", "register"),
        (_, false) => entry.with("bytes", WORD).payload(word),
    }
}

/// Attaches to `pid` and waits until it has stopped.
pub fn attach(pid: i32) -> Result<Entry> {
    let ret = call(ATTACH, pid, 0, 0);
    ensure!(ret == 0, "PTRACE_ATTACH returned {ret}");
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
    ensure!(waited == pid && libc::WIFSTOPPED(status), "{pid} did not stop");
    Ok(control_entry(ATTACH, ret, pid, 0, 0).with("target_pid", pid).with("target_comm", COMM))
}

/// Lets `pid` go on.
pub fn detach(pid: i32) -> Result<Entry> {
    let ret = call(DETACH, pid, 0, 0);
    ensure!(ret == 0, "PTRACE_DETACH returned {ret}");
    Ok(control_entry(DETACH, ret, pid, 0, 0).with("target_pid", pid))
}

struct Words {
    poke: bool,
    local: Buffer,
    remote: Buffer,
    peer: Peer,
    data: u64,
}

impl Transfer for Words {
    fn event(&self) -> &'static str {
        "ptrace"
    }

    fn begin(&mut self) -> Result<Vec<Entry>> {
        Ok(vec![attach(self.peer.pid())?])
    }

    fn prepare(&mut self, seq: u64) -> Result<()> {
        let word = content(seq, WORD);
        if self.poke {
            self.data = word.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        } else {
            self.data = self.local.addr();
            self.remote.fill(seq);
        }
        Ok(())
    }

    fn call(&mut self) -> i64 {
        let request = if self.poke { POKEDATA } else { PEEKDATA };
        call(request, self.peer.pid(), self.remote.addr(), self.data)
    }

    fn moved(&self, ret: i64) -> u64 {
        if ret < 0 { 0 } else { WORD as u64 }
    }

    fn describe(&mut self, seq: u64, ret: i64) -> Result<Entry> {
        let word = content(seq, WORD);
        let got = if self.poke { self.remote.gather() } else { self.local.gather() };
        ensure!(got == word, "ptrace brought another word");
        let request = if self.poke { POKEDATA } else { PEEKDATA };
        Ok(word_entry(request, ret, self.peer.pid(), self.remote.addr(), self.data, &word).with("target_comm", COMM))
    }

    fn end(&mut self) -> Result<Vec<Entry>> {
        Ok(vec![detach(self.peer.pid())?])
    }
}

/// One word per call, each thread with a peer of its own.
pub fn run(plan: &Plan, poke: bool, report: &mut Report) -> Result<()> {
    let mut transfers = Vec::new();
    for _ in plan.workers() {
        let local = Buffer::new(Region::private, &[WORD])?;
        let remote = Buffer::new(Region::shared, &[WORD])?;
        remote.fill(0);
        transfers.push(Words { poke, local, remote, peer: Peer::fork()?, data: 0 });
    }
    drive(plan, transfers, report)
}
