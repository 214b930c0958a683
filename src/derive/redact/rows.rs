//! Rows, column by column. Owns which rule a column has.

use super::redactor::Redactor;
use super::rules::Rule;
use super::values::{Lend, Value};
use crate::schema::Event;

fn value<'a, V: Value<'a>>(redactor: &mut Redactor, column: &str, rule: Rule, value: V, event: &Event<'a>) -> V::New {
    if redactor.dropped.contains(&column) { V::New::default() } else { value.redacted(rule, redactor, event) }
}

macro_rules! columns {
    ($($column:ident: $rule:ident;)+) => {
        /// The rule of every column. One that is not here is left out of what `redact` writes.
        pub const COLUMNS: &[(&str, Rule)] = &[$((stringify!($column), Rule::$rule)),+];

        impl Redactor {
            /// Hands on what the file has in the place of `event`.
            // A column that is added to the format has no rule at first: it is null.
            #[allow(clippy::needless_update)]
            pub fn row<R>(&mut self, event: &Event<'_>, take: impl FnOnce(&Event<'_>) -> R) -> R {
                $(let $column = value(self, stringify!($column), Rule::$rule, event.$column, event);)+
                self.count(event);
                take(&Event { $($column: $column.lend(),)+ ..Event::default() })
            }
        }
    };
}

columns! {
    seq: Keep;
    ts: WallMicros;
    ts_ns: Wall;
    mono_ns: Uptime;
    dur_ns: Keep;
    cpu: Keep;
    event: Keep;
    abi: Keep;
    pid: Pid;
    tid: Pid;
    uid: Uid;
    comm: Comm;
    exe: Path;
    start_ns: Uptime;
    process_key: ProcessKey;
    cgroup: Cgroup;
    container: Container;
    target_pid: Pid;
    target_pid_arg: Pid;
    pidfd: Fd;
    target_comm: Comm;
    target_exe: Path;
    target_uid: Uid;
    target_start_ns: Uptime;
    target_key: ProcessKey;
    target_cgroup: Cgroup;
    target_container: Container;
    target_ended: Keep;
    direction: Keep;
    ret: Result;
    errno: Keep;
    bytes: Keep;
    bytes_requested: Keep;
    local_iov: Ranges;
    liovcnt: Keep;
    remote_iov: Ranges;
    riovcnt: Keep;
    flags: Keep;
    iov_source: Keep;
    iov_verdict: Keep;
    toctou: Keep;
    fd_in: Fd;
    fd_out: Fd;
    off_in: Offset;
    off_out: Offset;
    fd_in_kind: Keep;
    fd_out_kind: Keep;
    fd_in_mode: Keep;
    fd_out_mode: Keep;
    fd_in_path: Path;
    fd_out_path: Path;
    fd_in_family: Keep;
    fd_out_family: Keep;
    fd_in_local_addr: Net;
    fd_in_local_port: Port;
    fd_in_peer_addr: Net;
    fd_in_peer_port: Port;
    fd_out_local_addr: Net;
    fd_out_local_port: Port;
    fd_out_peer_addr: Net;
    fd_out_peer_port: Port;
    pipe_in: Inode;
    pipe_out: Inode;
    ptrace_request: Keep;
    data: Data;
    advice: Keep;
    payload: Payload;
    payload_len: PayloadLen;
    payload_total: Keep;
    payload_status: PayloadStatus;
    payload_side: Keep;
    payload_at: Keep;
    payload_by_ref: Keep;
    parent_pid: Pid;
    parent_key: ProcessKey;
    argv: Argv;
    exit_code: Keep;
    lost_count: Keep;
    lost_event: Keep;
    lost_cause: Keep;
    path: Path;
    dirfd: Fd;
    open_mode: Keep;
    open_resolve: Keep;
    payload_entropy: Entropy;
    payload_digest: Digest;
    host: HostLabel;
    host_seq: Keep;
    region_source: Keep;
    remote_regions: Regions;
}

#[cfg(test)]
mod tests;
