//! What /proc shows of processes. [`crate::record::identity::processes`] remembers it.

use std::io::Read;
use std::os::unix::ffi::OsStrExt;

use serde::{Deserialize, Serialize};

use crate::record::identity::cgroupfs;
use crate::record::text;
use crate::schema::key::{TICK_NS, process_key};

/// Bytes of a command line kept.
const MAX_ARGV: usize = 2048;

/// What is known of one process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Thread-group id in the initial namespace.
    pub pid: i32,
    /// Start in ns of CLOCK_BOOTTIME.
    pub start_ns: u64,
    /// `process_key`.
    pub key: String,
    /// Executable, as capture text.
    pub exe: Option<String>,
}

/// A process as /proc shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Identity and executable.
    pub process: Process,
    /// Name, as capture text.
    pub comm: String,
    /// Effective uid.
    pub uid: u32,
    /// Parent's pid.
    pub parent: i32,
    /// Command line, words joined by spaces, as capture text.
    pub argv: String,
    /// cgroup v2 path, as capture text.
    pub cgroup: Option<String>,
}

/// Whether two start times name the same process: /proc knows them in ticks only.
pub fn same_start(a: u64, b: u64) -> bool {
    a / TICK_NS == b / TICK_NS
}

/// Reads one process from /proc; `None` when it is gone.
pub fn snapshot(boot_id: &str, pid: i32) -> Option<Snapshot> {
    let read = |name: &str| read_some(&format!("/proc/{pid}/{name}"), 16 << 10);
    let stat = read("stat")?;
    let (start_ticks, parent) = parse_stat(&stat)?;
    let status = read("status")?;
    let line = |key: &str| {
        let value = status.split(|b| *b == b'\n').find_map(|l| l.strip_prefix(key.as_bytes()))?;
        Some(String::from_utf8_lossy(value).trim().to_string())
    };
    let uid = line("Uid:")?.split_whitespace().nth(1)?.parse().ok()?;
    let start_ns = start_ticks.checked_mul(TICK_NS)?;
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).ok().map(|p| text::escape(p.as_os_str().as_bytes()));
    let argv = |bytes: Vec<u8>| match bytes.split_at_checked(MAX_ARGV) {
        Some((kept, rest)) if !rest.is_empty() => text::argv(kept, true),
        _ => text::argv(&bytes, false),
    };
    let argv = read("cmdline").map(argv).unwrap_or_default();
    let cgroup = read("cgroup").and_then(|bytes| {
        let line = bytes.split(|b| *b == b'\n').find_map(|l| l.strip_prefix(b"0::".as_slice()));
        line.and_then(cgroupfs::as_mounted).map(text::escape)
    });
    let comm = read("comm").map(|c| text::escape(c.strip_suffix(b"\n").unwrap_or(&c)))?;
    let key = process_key(boot_id, pid, start_ns);
    Some(Snapshot { process: Process { pid, start_ns, key, exe }, comm, uid, parent, argv, cgroup })
}

/// Start time in ticks and parent from proc_pid_stat(5): fields 22 and 4. The name in field 2 may hold anything,
/// so fields count from the last closing parenthesis.
fn parse_stat(stat: &[u8]) -> Option<(u64, i32)> {
    let close = stat.iter().rposition(|b| *b == b')')?;
    let fields = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
    let mut fields = fields.split_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let start = fields.nth(17)?.parse().ok()?;
    Some((start, parent))
}

fn read_some(path: &str, limit: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Every process that /proc shows.
pub fn all_pids() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The name of a process: its main thread's, as the kernel has it.
pub fn comm(pid: i32) -> Option<Vec<u8>> {
    let mut name = read_some(&format!("/proc/{pid}/comm"), 64)?;
    name.pop_if(|byte| *byte == b'\n');
    Some(name)
}

/// The process that started a process, or that has adopted it since.
pub fn parent(pid: i32) -> Option<i32> {
    parse_stat(&read_some(&format!("/proc/{pid}/stat"), 16 << 10)?).map(|(_, parent)| parent)
}

/// Gone, or dead with all its threads and not yet waited for.
pub fn is_gone(pid: i32) -> bool {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.iter().rposition(|b| *b == b')').and_then(|close| stat.get(close + 2));
    let threads = || std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    match state {
        None | Some(b'X') => true,
        Some(b'Z') => threads() <= 1,
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = b"42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 99 9";
        assert_eq!(parse_stat(stat), Some((12345, 7)));
        assert_eq!(parse_stat(b"42 (x"), None);
        assert_eq!(parse_stat(b"42 (x) S 1"), None);
    }
}
