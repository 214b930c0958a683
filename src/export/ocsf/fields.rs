//! The fields of OCSF 1.5.0, and the class of each event.

use serde_json::{Value, json};

use super::attack::attacks;
use crate::export::fields::{Field, Row, address, file_name, process_name, ranges};
use crate::schema::events::{EventSpec, Group};
use crate::schema::vocabulary::Direction;
use crate::schema::{Event, EventKind};

/// The version of the schema that every line names.
const VERSION: &str = "1.5.0";

/// A class of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// `base_event`.
    Base,
    /// `memory_activity`.
    Memory,
    /// `process_activity`.
    Process,
}

/// The class of an event; none for calls on pipes and files alone, for processes that were merely seen, and for events of later
/// versions.
pub(super) fn class_of(event: &Event<'_>) -> Option<Class> {
    match event.spec()? {
        EventSpec { kind: EventKind::Lost, .. } => Some(Class::Base),
        EventSpec { kind: EventKind::ProcessSnapshot, .. } => None,
        EventSpec { group: Group::Process, .. } => Some(Class::Process),
        EventSpec { group: Group::Pipe, .. } => None,
        EventSpec { .. } => target_pid(event).map(|_| Class::Memory),
    }
}

/// The process that was reached, or that the caller named.
fn target_pid(event: &Event<'_>) -> Option<i32> {
    event.target_pid.or(event.target_pid_arg)
}

/// The tables of a class.
pub(super) fn tables(class: Class) -> [&'static [Field]; 2] {
    match class {
        Class::Base => [COMMON, BASE],
        Class::Memory => [COMMON, MEMORY],
        Class::Process => [COMMON, PROCESS],
    }
}

/// Every table with the class that it is of.
pub(super) const NAMED: [(&str, &[Field]); 4] =
    [("all", COMMON), ("memory_activity", MEMORY), ("process_activity", PROCESS), ("base_event", BASE)];

const COMMON: &[Field] = &[
    Field { path: "metadata.version", from: "“1.5.0”", value: |_| VERSION.into() },
    Field { path: "metadata.product.name", from: "“vmtrace”", value: |_| "vmtrace".into() },
    Field { path: "metadata.product.vendor_name", from: "“vmtrace”", value: |_| "vmtrace".into() },
    Field {
        path: "metadata.product.version",
        from: "manifest `tool.version`",
        value: |row| row.facts.tool_version.clone().into(),
    },
    Field { path: "metadata.uid", from: "capture id, colon, `seq`", value: |row| row.id().into() },
    Field { path: "metadata.sequence", from: "`seq`", value: |row| row.event.seq.into() },
    Field { path: "metadata.event_code", from: "`event`", value: |row| row.event.event.into() },
    Field { path: "time", from: "`ts`, in ms", value: |row| millis(row.event.ts_ns) },
    Field { path: "start_time", from: "`ts_ns` − `dur_ns`, in ms", value: |row| row.began().map(millis).into() },
    Field { path: "end_time", from: "`ts`, in ms", value: |row| row.began().map(|_| millis(row.event.ts_ns)).into() },
    Field {
        path: "duration",
        from: "`dur_ns`, in ms",
        value: |row| row.began().and(row.event.dur_ns).map(millis).into(),
    },
    Field { path: "message", from: "the event as a sentence", value: |row| row.message.into() },
    Field { path: "severity_id", from: "1", value: |_| 1.into() },
    Field { path: "severity", from: "“Informational”", value: |_| "Informational".into() },
    Field { path: "status_id", from: "1 success, 2 failure (`errno`), 0 unknown", value: |row| status(row).0.into() },
    Field { path: "status", from: "the same in words", value: |row| status(row).1.into() },
    Field { path: "status_code", from: "`errno`", value: |row| row.event.errno.into() },
];

const MEMORY: &[Field] = &[
    Field {
        path: "metadata.profiles",
        from: "“host”, “security_control”",
        value: |_| json!(["host", "security_control"]),
    },
    Field { path: "class_uid", from: "1004", value: |_| 1004.into() },
    Field { path: "class_name", from: "“Memory Activity”", value: |_| "Memory Activity".into() },
    Field { path: "category_uid", from: "1", value: |_| 1.into() },
    Field { path: "category_name", from: "“System Activity”", value: |_| "System Activity".into() },
    Field { path: "activity_id", from: "`direction`: 7 read, 8 write, else 99", value: |row| access(row).0.into() },
    Field { path: "activity_name", from: "“Read”, “Write”, or call", value: |row| activity_name(row).into() },
    Field { path: "type_uid", from: "100400 + `activity_id`", value: |row| (100_400 + access(row).0).into() },
    Field {
        path: "type_name",
        from: "class and activity in words",
        value: |row| format!("Memory Activity: {}", access(row).1).into(),
    },
    Field { path: "device", from: "manifest `host`", value: device },
    Field { path: "actor.process", from: "the caller: `pid`, `comm`, `exe`, …", value: caller },
    Field { path: "actor.user.uid", from: "`uid`", value: |row| row.event.uid.to_string().into() },
    Field { path: "process", from: "the target: `target_pid` or `target_pid_arg`, `target_comm`, …", value: target },
    Field { path: "base_address", from: "base of the first of `remote_iov`", value: |row| address(row) },
    Field { path: "size", from: "`bytes`", value: |row| row.event.bytes.into() },
    Field {
        path: "requested_permissions",
        from: "`direction`: PROT_READ (1) or PROT_WRITE (2), as in mmap(2)",
        value: |row| permission(row).into(),
    },
    Field {
        path: "actual_permissions",
        from: "the same, 0 if the call failed",
        value: |row| permission(row).map(|bits| if row.event.errno.is_some() { 0 } else { bits }).into(),
    },
    Field { path: "attacks", from: "the ATT&CK technique that uses such a call", value: |row| attacks(row.event) },
    Field { path: "unmapped.abi", from: "`abi`", value: |row| row.event.abi.into() },
    Field { path: "unmapped.request", from: "`ptrace_request`", value: |row| row.event.ptrace_request.into() },
    Field { path: "unmapped.advice", from: "`advice`", value: |row| row.event.advice.into() },
    Field { path: "unmapped.return", from: "`ret`", value: |row| row.event.ret.into() },
    Field {
        path: "unmapped.bytes_requested",
        from: "`bytes_requested`",
        value: |row| row.event.bytes_requested.into(),
    },
    Field {
        path: "unmapped.local",
        from: "`local_iov`, at most 64 ranges",
        value: |row| ranges(row, row.event.local_iov),
    },
    Field {
        path: "unmapped.remote",
        from: "`remote_iov`, at most 64 ranges",
        value: |row| ranges(row, row.event.remote_iov),
    },
    Field { path: "unmapped.verdict", from: "`iov_verdict`", value: |row| row.event.iov_verdict.into() },
    Field { path: "unmapped.toctou", from: "`toctou`", value: |row| row.event.toctou.into() },
    Field { path: "unmapped.container", from: "`container`", value: |row| row.event.container.into() },
    Field {
        path: "unmapped.target_container",
        from: "`target_container`",
        value: |row| row.event.target_container.into(),
    },
    Field { path: "unmapped.target_ended", from: "`target_ended`", value: |row| row.event.target_ended.into() },
];

const PROCESS: &[Field] = &[
    Field { path: "metadata.profiles", from: "“host”", value: |_| json!(["host"]) },
    Field { path: "class_uid", from: "1007", value: |_| 1007.into() },
    Field { path: "class_name", from: "“Process Activity”", value: |_| "Process Activity".into() },
    Field { path: "category_uid", from: "1", value: |_| 1.into() },
    Field { path: "category_name", from: "“System Activity”", value: |_| "System Activity".into() },
    Field { path: "activity_id", from: "1 of exec and fork, 2 of exit", value: |row| life(row).0.into() },
    Field { path: "activity_name", from: "“Launch” or “Terminate”", value: |row| life(row).1.into() },
    Field { path: "type_uid", from: "100700 + `activity_id`", value: |row| (100_700 + life(row).0).into() },
    Field {
        path: "type_name",
        from: "class and activity in words",
        value: |row| format!("Process Activity: {}", life(row).1).into(),
    },
    Field { path: "device", from: "manifest `host`", value: device },
    Field { path: "actor.process", from: "the parent of a fork, else the process itself", value: initiator },
    Field { path: "process", from: "`pid`, `comm`, `exe`, `argv`, …", value: caller },
    Field { path: "exit_code", from: "`exit_code`, unless a signal ended it", value: exit_code },
    Field { path: "unmapped.wait_status", from: "`exit_code`", value: |row| row.event.exit_code.into() },
    Field { path: "unmapped.container", from: "`container`", value: |row| row.event.container.into() },
];

const BASE: &[Field] = &[
    Field { path: "class_uid", from: "0", value: |_| 0.into() },
    Field { path: "class_name", from: "“Base Event”", value: |_| "Base Event".into() },
    Field { path: "category_uid", from: "0", value: |_| 0.into() },
    Field { path: "category_name", from: "“Uncategorized”", value: |_| "Uncategorized".into() },
    Field { path: "activity_id", from: "99", value: |_| 99.into() },
    Field { path: "activity_name", from: "`lost`", value: |row| row.event.event.into() },
    Field { path: "type_uid", from: "99", value: |_| 99.into() },
    Field { path: "type_name", from: "“Base Event: Other”", value: |_| "Base Event: Other".into() },
    Field { path: "count", from: "`lost_count`", value: |row| row.event.lost_count.into() },
    Field { path: "unmapped.event", from: "`lost_event`", value: |row| row.event.lost_event.into() },
    Field { path: "unmapped.cause", from: "`lost_cause`", value: |row| row.event.lost_cause.into() },
    Field {
        path: "unmapped.hostname",
        from: "manifest `host.hostname`",
        value: |row| row.facts.hostname.clone().into(),
    },
];

fn millis(ns: i64) -> Value {
    ns.div_euclid(1_000_000).into()
}

fn status(row: &Row<'_, '_>) -> (u32, &'static str) {
    let is_call = row.spec.is_some_and(|spec| spec.group.is_of_calls());
    match (row.event.errno, row.event.ret) {
        (Some(_), _) => (2, "Failure"),
        (None, None) if is_call => (0, "Unknown"),
        (None, _) => (1, "Success"),
    }
}

/// Whether a call reads or writes, as far as it is known.
fn direction(row: &Row<'_, '_>) -> Option<Direction> {
    row.event.direction.and_then(|direction| Direction::parse(direction).ok())
}

fn access(row: &Row<'_, '_>) -> (u32, &'static str) {
    match direction(row) {
        Some(Direction::In) => (7, "Read"),
        Some(Direction::Out) => (8, "Write"),
        None => (99, "Other"),
    }
}

fn activity_name(row: &Row<'_, '_>) -> String {
    match (access(row), row.event.ptrace_request.or(row.event.advice)) {
        ((7 | 8, name), _) => name.to_string(),
        (_, Some(request)) => format!("{} {request}", row.event.event),
        (_, None) => row.event.event.to_string(),
    }
}

fn permission(row: &Row<'_, '_>) -> Option<u32> {
    Some(match direction(row)? {
        Direction::In => 1,
        Direction::Out => 2,
    })
}

fn life(row: &Row<'_, '_>) -> (u32, &'static str) {
    if row.spec.is_some_and(|spec| spec.kind == EventKind::ProcessExit) { (2, "Terminate") } else { (1, "Launch") }
}

fn exit_code(row: &Row<'_, '_>) -> Value {
    row.event.exit_code.filter(|status| status & 0x7f == 0).map(|status| (status >> 8) & 0xff).into()
}

fn device(row: &Row<'_, '_>) -> Value {
    let facts = row.facts;
    let mut device = json!({
        "type_id": 0,
        "type": "Unknown",
        "hostname": facts.hostname,
        "boot_uid": facts.boot_id,
        "os": {"name": "Linux", "type_id": 200, "type": "Linux", "kernel_release": facts.kernel},
    });
    if let (Some(id), Some(object)) = (&facts.machine_id, device.as_object_mut()) {
        object.insert("uid".into(), id.as_str().into());
    }
    device
}

/// What is known of a process.
struct Known<'a> {
    pid: i32,
    tid: Option<i32>,
    comm: Option<&'a str>,
    exe: Option<&'a str>,
    key: Option<&'a str>,
    uid: Option<u32>,
    start_ns: Option<i64>,
    argv: Option<&'a str>,
}

impl Known<'_> {
    fn object(&self, row: &Row<'_, '_>) -> Value {
        let mut object = serde_json::Map::new();
        let mut add = |name: &str, value: Value| {
            if !value.is_null() {
                object.insert(name.into(), value);
            }
        };
        add("pid", self.pid.into());
        add("tid", self.tid.into());
        add("name", process_name(self.exe, self.comm));
        add("uid", self.key.into());
        add("cmd_line", self.argv.into());
        add("created_time", row.started(self.start_ns).map(millis).into());
        if let (Some(path), Some(name)) = (self.exe, file_name(self.exe)) {
            add("file", json!({"name": name, "path": path, "type_id": 1, "type": "Regular File"}));
        }
        add("user", self.uid.map(|uid| json!({"uid": uid.to_string()})).into());
        Value::Object(object)
    }
}

fn caller(row: &Row<'_, '_>) -> Value {
    let event = row.event;
    let known = Known {
        pid: event.pid,
        tid: Some(event.tid),
        comm: Some(event.comm),
        exe: event.exe,
        key: event.process_key,
        uid: Some(event.uid),
        start_ns: Some(event.start_ns),
        argv: event.argv,
    };
    known.object(row)
}

fn target(row: &Row<'_, '_>) -> Value {
    let event = row.event;
    let Some(pid) = target_pid(event) else { return Value::Null };
    let known = Known {
        pid,
        tid: None,
        comm: event.target_comm,
        exe: event.target_exe,
        key: event.target_key,
        uid: event.target_uid,
        start_ns: event.target_start_ns,
        argv: None,
    };
    known.object(row)
}

/// Who began or ended a process.
fn initiator(row: &Row<'_, '_>) -> Value {
    match (row.spec.map(|spec| spec.kind), row.event.parent_pid) {
        (Some(EventKind::ProcessFork), Some(parent)) => {
            let mut process = json!({"pid": parent});
            if let (Some(key), Some(object)) = (row.event.parent_key, process.as_object_mut()) {
                object.insert("uid".into(), key.into());
            }
            process
        }
        _ => caller(row),
    }
}
