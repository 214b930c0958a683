//! Text and arrays of the row being built, and how wire parts are copied into them. Empty text means none.

use std::fmt::Display;

use super::super::text;
use super::super::wire::*;
use super::names::FileNames;
use super::values::{Array, Read};
use crate::record::identity::cgroups::Cgroup;
use crate::record::identity::processes::Processes;
use crate::schema::types::{Iovec, Iovecs};

/// Kept from row to row, so that a row costs no allocation.
#[derive(Debug, Default)]
pub struct Buffers {
    pub comm: String,
    pub exe: String,
    pub key: String,
    pub cgroup: String,
    pub container: String,
    pub target_comm: String,
    pub target_exe: String,
    pub target_key: String,
    pub target_cgroup: String,
    pub target_container: String,
    pub file_in: FileNames,
    pub file_out: FileNames,
    pub request: String,
    pub path: String,
    pub local: Vec<Iovec>,
    pub remote: Vec<Iovec>,
    pub user_local: Vec<Iovec>,
    pub user_remote: Vec<Iovec>,
}

/// Sets `out` to `value`.
fn set(out: &mut String, value: &str) {
    out.clear();
    out.push_str(value);
}

/// Sets `out` to the name of a number, or to the number if it has none.
pub fn set_name(out: &mut String, name: Option<&str>, number: impl Display) {
    match name {
        Some(name) => set(out, name),
        None => *out = number.to_string(),
    }
}

/// Sets `out` to a comm, which ends at its first NUL.
pub fn set_comm(out: &mut String, comm: &[::std::os::raw::c_char; 16]) {
    out.clear();
    let bytes = comm.map(|c| c as u8);
    text::escape_into(out, text::until_nul(&bytes));
}

/// Sets name, executable and key of a process.
fn set_process(comm: &mut String, exe: &mut String, key: &mut String, process: &vmt_process, known: &Processes) {
    set_comm(comm, &process.comm);
    match known.get(process.pid, process.start_boottime) {
        Some(found) => {
            set(exe, found.exe.as_deref().unwrap_or_default());
            set(key, &found.key);
        }
        None => {
            exe.clear();
            *key = known.key(process.pid, process.start_boottime);
        }
    }
}

impl Buffers {
    pub fn set_caller(&mut self, process: &vmt_process, known: &Processes, cgroup: &Cgroup) {
        set_process(&mut self.comm, &mut self.exe, &mut self.key, process, known);
        set(&mut self.cgroup, &cgroup.path);
        set(&mut self.container, &cgroup.container);
    }

    /// Of a target that was resolved. One that was not has no columns.
    pub fn set_target(&mut self, process: &vmt_process, known: &Processes, cgroup: &Cgroup) {
        set_process(&mut self.target_comm, &mut self.target_exe, &mut self.target_key, process, known);
        set(&mut self.target_cgroup, &cgroup.path);
        set(&mut self.target_container, &cgroup.container);
    }
}

/// Takes an iovec array off the tail, 32-bit entries widened.
pub fn take_iovs(out: &mut Vec<Iovec>, iovs: &vmt_iovs, tail: &mut &[u8]) -> Option<()> {
    let entry = usize::from(iovs.entry);
    out.clear();
    let bytes = take_bytes(tail, usize::from(iovs.kept).checked_mul(entry)?)?;
    let word = |b: &[u8]| b.try_into().ok().map(u64::from_ne_bytes);
    let half = |b: &[u8]| b.try_into().ok().map(u32::from_ne_bytes).map(u64::from);
    for pair in bytes.chunks_exact(entry.max(1)) {
        let (base, len) = pair.split_at(entry / 2);
        out.push(match entry {
            16 => Iovec { base: word(base)?, len: word(len)? },
            8 => Iovec { base: half(base)?, len: half(len)? },
            _ => return None,
        });
    }
    Some(())
}

/// The array as a column value: null where it was not read.
pub fn iovecs(list: &[Iovec], array: Array) -> Option<Iovecs<'_>> {
    (array.read == Read::Ok).then_some(Iovecs::Pairs(list))
}

/// Sum of an array's lengths; `None` where it was not read, 0 where the caller passed none.
pub fn total(list: &[Iovec], array: Array) -> Option<u64> {
    match array.read {
        Read::Ok | Read::Absent => Some(Iovecs::Pairs(list).total()),
        Read::Fault | Read::Refused => None,
    }
}
