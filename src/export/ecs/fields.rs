//! The fields of the Elastic Common Schema (ECS 8.17), of Elastic's endpoint (`Target.*`, `process.Ext.*`), and ours (`vmtrace.*`).
//!
//! Elastic's fields for access to another process's memory are not settled: [`MEMORY_ACCESS`] is what has to follow them.

use serde_json::{Value, json};

use crate::export::fields::{Field, Row, address, hex, instant, process_name, ranges, reaches_another};
use crate::schema::EventKind;
use crate::schema::events::Group;
use crate::schema::vocabulary::Direction;

/// The version of the schema that every line names.
const VERSION: &str = "8.17.0";

/// All of them.
pub(super) const TABLES: [&[Field]; 5] = [EVENT, HOST, PROCESS, MEMORY_ACCESS, OWN];

const EVENT: &[Field] = &[
    Field { path: "@timestamp", from: "`ts_ns`", value: |row| instant(Some(row.event.ts_ns)) },
    Field { path: "ecs.version", from: "“8.17.0”", value: |_| VERSION.into() },
    Field { path: "message", from: "the event as a sentence", value: |row| row.message.into() },
    Field { path: "event.kind", from: "“event”", value: |_| "event".into() },
    Field { path: "event.category", from: "“process”; “host” of a loss", value: |row| json!([category(row)]) },
    Field {
        path: "event.type",
        from: "“access”, of bytes that go into another process “change”; “start”, “end”, “info” in the life of a process",
        value: |row| json!([kind(row)]),
    },
    Field { path: "event.action", from: "“process_vm_access” of process_vm_*, else `event`", value: action },
    Field { path: "event.code", from: "`event`", value: |row| row.event.event.into() },
    Field { path: "event.module", from: "“vmtrace”", value: |_| "vmtrace".into() },
    Field { path: "event.dataset", from: "“vmtrace.events”", value: |_| "vmtrace.events".into() },
    Field { path: "event.id", from: "capture id, colon, `seq`", value: |row| row.id().into() },
    Field { path: "event.sequence", from: "`seq`", value: |row| row.event.seq.into() },
    Field { path: "event.outcome", from: "whether `errno` is null; “unknown” without `ret`", value: outcome },
    Field { path: "event.start", from: "`ts_ns` − `dur_ns`", value: |row| instant(row.began()) },
    Field { path: "event.end", from: "`ts_ns`", value: |row| instant(row.began().map(|_| row.event.ts_ns)) },
    Field { path: "event.duration", from: "`dur_ns`", value: |row| row.event.dur_ns.into() },
    Field { path: "error.code", from: "`errno`", value: |row| row.event.errno.into() },
];

const HOST: &[Field] = &[
    Field { path: "host.hostname", from: "manifest `host.hostname`", value: |row| text(&row.facts.hostname) },
    Field { path: "host.name", from: "manifest `host.hostname`", value: |row| text(&row.facts.hostname) },
    Field { path: "host.id", from: "manifest `host.machine_id`", value: |row| row.facts.machine_id.clone().into() },
    Field { path: "host.boot.id", from: "manifest `host.boot_id`", value: |row| text(&row.facts.boot_id) },
    Field { path: "host.architecture", from: "manifest `host.machine`", value: |row| text(&row.facts.machine) },
    Field { path: "host.os.type", from: "“linux”", value: |_| "linux".into() },
    Field { path: "host.os.kernel", from: "manifest `host.release`", value: |row| text(&row.facts.kernel) },
];

const PROCESS: &[Field] = &[
    Field { path: "process.pid", from: "`pid`", value: |row| caller(row, row.event.pid.into()) },
    Field {
        path: "process.name",
        from: "file name of `exe`, else `comm`",
        value: |row| caller(row, process_name(row.event.exe, Some(row.event.comm))),
    },
    Field { path: "process.executable", from: "`exe`", value: |row| row.event.exe.into() },
    Field { path: "process.entity_id", from: "`process_key`", value: |row| row.event.process_key.into() },
    Field {
        path: "process.start",
        from: "`start_ns`, by the wall clock",
        value: |row| caller(row, instant(row.started(Some(row.event.start_ns)))),
    },
    Field { path: "process.thread.id", from: "`tid`", value: |row| caller(row, row.event.tid.into()) },
    Field { path: "process.thread.name", from: "`comm`", value: |row| caller(row, row.event.comm.into()) },
    Field { path: "process.user.id", from: "`uid`", value: |row| caller(row, row.event.uid.to_string().into()) },
    Field { path: "process.command_line", from: "`argv`", value: |row| row.event.argv.into() },
    Field { path: "process.parent.pid", from: "`parent_pid`", value: |row| row.event.parent_pid.into() },
    Field { path: "process.parent.entity_id", from: "`parent_key`", value: |row| row.event.parent_key.into() },
    Field { path: "process.exit_code", from: "`exit_code`, unless a signal ended it", value: exit_code },
    Field { path: "user.id", from: "`uid`", value: |row| caller(row, row.event.uid.to_string().into()) },
    Field { path: "container.id", from: "`container`", value: |row| row.event.container.into() },
    Field { path: "Target.process.pid", from: "`target_pid`", value: |row| row.event.target_pid.into() },
    Field {
        path: "Target.process.name",
        from: "file name of `target_exe`, else `target_comm`",
        value: |row| process_name(row.event.target_exe, row.event.target_comm),
    },
    Field { path: "Target.process.executable", from: "`target_exe`", value: |row| row.event.target_exe.into() },
    Field { path: "Target.process.entity_id", from: "`target_key`", value: |row| row.event.target_key.into() },
    Field {
        path: "Target.process.start",
        from: "`target_start_ns`, by the wall clock",
        value: |row| instant(row.started(row.event.target_start_ns)),
    },
    Field {
        path: "Target.process.user.id",
        from: "`target_uid`",
        value: |row| row.event.target_uid.map(|uid| uid.to_string()).into(),
    },
];

/// Of process_vm_readv and process_vm_writev alone. These names follow what Elastic's endpoint is about to use.
const MEMORY_ACCESS: &[Field] = &[
    Field { path: "process.Ext.process_vm_access.operation", from: "“read” or “write”", value: operation },
    Field {
        path: "process.Ext.process_vm_access.target_pid",
        from: "`target_pid`",
        value: |row| of_vm(row, row.event.target_pid.into()),
    },
    Field {
        path: "process.Ext.process_vm_access.target_start_time_ns",
        from: "`target_start_ns`",
        value: |row| of_vm(row, row.event.target_start_ns.into()),
    },
    Field {
        path: "process.Ext.process_vm_access.requested_pid",
        from: "`target_pid_arg`",
        value: |row| of_vm(row, row.event.target_pid_arg.into()),
    },
    Field {
        path: "process.Ext.process_vm_access.remote_addr",
        from: "base of the first of `remote_iov`",
        value: |row| of_vm(row, address(row)),
    },
    Field {
        path: "process.Ext.process_vm_access.return",
        from: "`ret`",
        value: |row| of_vm(row, row.event.ret.into()),
    },
    Field {
        path: "process.Ext.process_vm_access.bytes",
        from: "`bytes`",
        value: |row| of_vm(row, row.event.bytes.into()),
    },
    Field {
        path: "process.Ext.process_vm_access.flags",
        from: "`flags`",
        value: |row| of_vm(row, hex(row.event.flags)),
    },
];

/// What ECS has no field for.
const OWN: &[Field] = &[
    Field { path: "vmtrace.abi", from: "`abi`", value: |row| row.event.abi.into() },
    Field { path: "vmtrace.request", from: "`ptrace_request`", value: |row| row.event.ptrace_request.into() },
    Field { path: "vmtrace.advice", from: "`advice`", value: |row| row.event.advice.into() },
    Field { path: "vmtrace.direction", from: "`direction`", value: |row| row.event.direction.into() },
    Field { path: "vmtrace.return", from: "`ret`", value: |row| row.event.ret.into() },
    Field { path: "vmtrace.bytes", from: "`bytes`", value: |row| row.event.bytes.into() },
    Field { path: "vmtrace.bytes_requested", from: "`bytes_requested`", value: |row| row.event.bytes_requested.into() },
    Field {
        path: "vmtrace.local",
        from: "`local_iov`, at most 64 ranges",
        value: |row| ranges(row, row.event.local_iov),
    },
    Field {
        path: "vmtrace.remote",
        from: "`remote_iov`, at most 64 ranges",
        value: |row| ranges(row, row.event.remote_iov),
    },
    Field { path: "vmtrace.flags", from: "`flags`", value: |row| hex(row.event.flags) },
    Field { path: "vmtrace.path", from: "`path`", value: |row| row.event.path.into() },
    Field { path: "vmtrace.verdict", from: "`iov_verdict`", value: |row| row.event.iov_verdict.into() },
    Field { path: "vmtrace.toctou", from: "`toctou`", value: |row| row.event.toctou.into() },
    Field {
        path: "vmtrace.payload.bytes",
        from: "`payload_len`",
        value: |row| payload(row, row.event.payload_len.into()),
    },
    Field { path: "vmtrace.payload.status", from: "`payload_status`", value: |row| row.event.payload_status.into() },
    Field { path: "vmtrace.from.fd", from: "`fd_in`", value: |row| row.event.fd_in.into() },
    Field { path: "vmtrace.from.kind", from: "`fd_in_kind`", value: |row| row.event.fd_in_kind.into() },
    Field { path: "vmtrace.from.path", from: "`fd_in_path`", value: |row| row.event.fd_in_path.into() },
    Field {
        path: "vmtrace.from.pipe",
        from: "`pipe_in`",
        value: |row| row.event.pipe_in.map(|id| id.to_string()).into(),
    },
    Field { path: "vmtrace.to.fd", from: "`fd_out`", value: |row| row.event.fd_out.into() },
    Field { path: "vmtrace.to.kind", from: "`fd_out_kind`", value: |row| row.event.fd_out_kind.into() },
    Field { path: "vmtrace.to.path", from: "`fd_out_path`", value: |row| row.event.fd_out_path.into() },
    Field {
        path: "vmtrace.to.pipe",
        from: "`pipe_out`",
        value: |row| row.event.pipe_out.map(|id| id.to_string()).into(),
    },
    Field { path: "vmtrace.cgroup", from: "`cgroup`", value: |row| row.event.cgroup.into() },
    Field {
        path: "vmtrace.target.container",
        from: "`target_container`",
        value: |row| row.event.target_container.into(),
    },
    Field { path: "vmtrace.target.cgroup", from: "`target_cgroup`", value: |row| row.event.target_cgroup.into() },
    Field { path: "vmtrace.target.ended", from: "`target_ended`", value: |row| row.event.target_ended.into() },
    Field { path: "vmtrace.lost.count", from: "`lost_count`", value: |row| row.event.lost_count.into() },
    Field { path: "vmtrace.lost.event", from: "`lost_event`", value: |row| row.event.lost_event.into() },
    Field { path: "vmtrace.lost.cause", from: "`lost_cause`", value: |row| row.event.lost_cause.into() },
];

fn text(text: &str) -> Value {
    (!text.is_empty()).then_some(text).into()
}

fn is(row: &Row<'_, '_>, kind: EventKind) -> bool {
    row.spec.is_some_and(|spec| spec.kind == kind)
}

fn is_of(row: &Row<'_, '_>, group: Group) -> bool {
    row.spec.is_some_and(|spec| spec.group == group)
}

/// A value of the caller; a loss has none.
fn caller(row: &Row<'_, '_>, value: Value) -> Value {
    if is(row, EventKind::Lost) { Value::Null } else { value }
}

fn of_vm(row: &Row<'_, '_>, value: Value) -> Value {
    if is_of(row, Group::Vm) { value } else { Value::Null }
}

fn payload(row: &Row<'_, '_>, value: Value) -> Value {
    if row.event.payload_status.is_some() { value } else { Value::Null }
}

fn category(row: &Row<'_, '_>) -> &'static str {
    if is(row, EventKind::Lost) { "host" } else { "process" }
}

fn kind(row: &Row<'_, '_>) -> &'static str {
    match row.spec.map(|spec| spec.kind) {
        Some(EventKind::ProcessExec | EventKind::ProcessFork) => "start",
        Some(EventKind::ProcessExit) => "end",
        Some(EventKind::ProcessSnapshot | EventKind::Lost) | None => "info",
        Some(_) if goes_out(row) && reaches_another(row.event) => "change",
        Some(_) => "access",
    }
}

fn goes_out(row: &Row<'_, '_>) -> bool {
    row.event.direction.is_some_and(|direction| Direction::Out.is(direction))
}

fn action(row: &Row<'_, '_>) -> Value {
    if is_of(row, Group::Vm) { "process_vm_access".into() } else { row.event.event.into() }
}

fn operation(row: &Row<'_, '_>) -> Value {
    match row.spec.map(|spec| spec.kind) {
        Some(EventKind::ProcessVmReadv) => "read".into(),
        Some(EventKind::ProcessVmWritev) => "write".into(),
        Some(_) | None => Value::Null,
    }
}

fn outcome(row: &Row<'_, '_>) -> Value {
    let is_call = row.spec.is_some_and(|spec| spec.group.is_of_calls());
    match (row.event.errno, row.event.ret) {
        (Some(_), _) => "failure".into(),
        (None, None) if is_call => "unknown".into(),
        (None, Some(_)) => "success".into(),
        (None, None) => Value::Null,
    }
}

fn exit_code(row: &Row<'_, '_>) -> Value {
    row.event.exit_code.filter(|status| status & 0x7f == 0).map(|status| (status >> 8) & 0xff).into()
}
