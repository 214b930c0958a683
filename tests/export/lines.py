"""Formats of lines: strace's text, and JSON lines of ECS, OCSF and Timesketch."""

import json
import re
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

import jsonschema
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

ECS = json.loads((Path(__file__).parent / "ecs.json").read_text())
PIPES = {"vmsplice", "splice", "tee", "sendfile", "pipe_read", "pipe_write"}
USERFAULTFD = {"uffd_copy", "uffd_move", "uffd_zeropage", "uffd_poison"}
LIFE = {"process_exec", "process_fork", "process_exit"}
NO_CALL = {"process_snapshot", "lost"}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def micros(text):
    """µs since 1970 of an instant in RFC 3339, with up to nine decimals."""
    instant, fraction = re.fullmatch(r"(.*?)(?:\.(\d+))?(?:Z|\+00:00)", text).groups()
    seconds = (datetime.fromisoformat(instant).replace(tzinfo=timezone.utc) - EPOCH).total_seconds()
    return int(seconds) * 1_000_000 + int((fraction or "").ljust(9, "0")[:6])


# strace

LINE = re.compile(r"(\d+) +(\d+)\.(\d{6}) (?:(\w+)\((.*)\) += (.+)|\+\+\+ (.+) \+\+\+)")
NAMES = {"pread": "pread64", "pwrite": "pwrite64", "pipe_read": ("read", "readv"), "pipe_write": ("write", "writev"),
         "mem_open": ("open", "openat", "openat2"),
         "process_exec": "execve", "process_fork": "fork"} | dict.fromkeys(USERFAULTFD, "ioctl")


def check_strace(checks, rows, path, said):
    wanted = [row for row in rows if row["event"] not in NO_CALL and row["abi"] != "io_uring"]
    lines = path.read_text().splitlines()
    checks.check("lines", len(lines), len(wanted))
    checks.check("what is left out is said", "no form for" in said, len(rows) > len(wanted))
    for line, row in zip(lines, wanted):
        match = LINE.fullmatch(line)
        checks.holds("a line of strace", match, line)
        if not match:
            continue
        thread, seconds, fraction, name, arguments, result, _ = match.groups()
        began = (row["ts_ns"] - (row["dur_ns"] or 0)) // 1000
        checks.check("instant", int(seconds) * 1_000_000 + int(fraction), began)
        if name is None:
            checks.check("end", row["event"], "process_exit")
            continue
        checks.check("thread", int(thread), row["parent_pid"] if row["event"] == "process_fork" else row["tid"])
        names = NAMES.get(row["event"], row["event"])
        checks.holds("call", name in names if isinstance(names, tuple) else name == names, name)
        check_result(checks, row, result)
        texts = re.findall(r'"((?:[^"\\]|\\.)*)"', arguments)
        for text in texts:
            checks.holds("text", text.isascii() and text.isprintable(), text)
        checks.check("parentheses", brackets(arguments), 0)
        # Of these strace has no bytes.
        if row["event"] not in LIFE | USERFAULTFD | {"ptrace"} and row["errno"] is None and row["payload"]:
            # Python reads these escapes as C does.
            decoded = [text.encode().decode("unicode_escape").encode("latin-1") for text in texts]
            checks.check("bytes", b"".join(decoded), row["payload"])
        check_ranges(checks, row, arguments)


def check_ranges(checks, row, arguments):
    found = [(base, int(length)) for base, length in re.findall(r'iov_base=("(?:[^"\\]|\\.)*"(?:\.\.\.)?|\w+), iov_len=(\d+)', arguments)]
    wanted = [one for column in ("local_iov", "remote_iov") for one in row[column] or []]
    if found and row["event"] in ("process_vm_readv", "process_vm_writev"):
        checks.check("lengths", [length for _, length in found], [one["len"] for one in wanted])
        for (base, _), one in zip(found, wanted):
            checks.holds("address", base.startswith('"') or base == (f"{one['base']:#x}" if one["base"] else "NULL"), base)
        remote = row["remote_iov"] or []
        checks.check("remote", [base for base, _ in found[len(found) - len(remote):]], [f"{one['base']:#x}" for one in remote])


def check_result(checks, row, result):
    value, _, took = result.partition(" <")
    checks.check("duration", bool(took), row["dur_ns"] is not None and row["event"] not in LIFE)
    if row["errno"]:
        checks.holds("error", value.startswith(("-1 " + row["errno"] + " (", "? " + row["errno"] + " (")), value)
    elif row["event"] == "process_fork":
        checks.check("child", int(value), row["pid"])
    elif row["ret"] is not None:
        checks.check("result", int(value), row["ret"])


def brackets(arguments):
    """How many are open at the end, outside of texts."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", arguments)
    return sum(bare.count(sign) for sign in "([{") - sum(bare.count(sign) for sign in ")]}")


# ECS


# Fields that are a column as it is.
PLAIN = {
    "event.code": "event",
    "event.duration": "dur_ns",
    "error.code": "errno",
    "process.thread.id": "tid",
    "process.thread.name": "comm",
    "process.executable": "exe",
    "process.entity_id": "process_key",
    "process.command_line": "argv",
    "process.parent.pid": "parent_pid",
    "Target.process.executable": "target_exe",
    "Target.process.entity_id": "target_key",
    "vmtrace.bytes": "bytes",
    "vmtrace.bytes_requested": "bytes_requested",
    "vmtrace.return": "ret",
    "vmtrace.direction": "direction",
    "vmtrace.request": "ptrace_request",
    "vmtrace.from.path": "fd_in_path",
    "vmtrace.to.path": "fd_out_path",
    "vmtrace.verdict": "iov_verdict",
    "vmtrace.payload.status": "payload_status",
}


def texts(ranges):
    return None if ranges is None else [f"{one['base']:#x}+{one['len']}" for one in ranges[:64]]


def leaves(value, path=""):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    else:
        yield path, value


def is_of_type(value, kind):
    if isinstance(value, list):
        return all(is_of_type(one, kind) for one in value)
    return {
        "keyword": lambda: isinstance(value, str),
        "match_only_text": lambda: isinstance(value, str),
        "wildcard": lambda: isinstance(value, str),
        "long": lambda: isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63,
        "boolean": lambda: isinstance(value, bool),
        "date": lambda: isinstance(value, str) and micros(value) is not None,
    }[kind]()


def check_ecs(checks, rows, path, _said):
    found = read(path)
    checks.check("lines", len(found), len(rows))
    for line, row in zip(found, rows):
        for name, value in leaves(line):
            kind = ECS["fields"].get(name) or ECS["other"].get(name)
            checks.holds("a field of ECS", kind, name)
            checks.holds("its type", kind and is_of_type(value, kind), f"{name}: {value!r}")
            allowed = ECS["values"].get(name)
            if allowed:
                checks.holds("an allowed value", set(value if isinstance(value, list) else [value]) <= set(allowed), f"{name}: {value}")
        checks.check("@timestamp", micros(line["@timestamp"]), row["ts_ns"] // 1000)
        checks.check("event.sequence", line["event"]["sequence"], row["seq"])
        checks.check("process.pid", line.get("process", {}).get("pid"), None if row["event"] == "lost" else row["pid"])
        checks.check("Target.process.pid", line.get("Target", {}).get("process", {}).get("pid"), row["target_pid"])
        outcome = "failure" if row["errno"] else "success" if row["ret"] is not None else None
        checks.holds("event.outcome", line["event"].get("outcome") in (outcome, "unknown" if outcome is None else outcome))
        flat = dict(leaves(line))
        for name, column in PLAIN.items():
            checks.check(name, flat.get(name), None if row["event"] == "lost" and name.startswith("process.") else row[column])
        for name, column in (("vmtrace.local", "local_iov"), ("vmtrace.remote", "remote_iov")):
            checks.check(name, flat.get(name), texts(row[column]))
        for name, column in (("vmtrace.from.pipe", "pipe_in"), ("vmtrace.to.pipe", "pipe_out")):
            checks.check(name, flat.get(name), None if row[column] is None else str(row[column]))
        access = line.get("process", {}).get("Ext", {}).get("process_vm_access")
        checks.check("process_vm_access", access is not None, row["event"] in ("process_vm_readv", "process_vm_writev"))
        if access:
            checks.check("operation", access["operation"], "read" if row["direction"] == "in" else "write")
            checks.check("return", access["return"], row["ret"])


# OCSF

CLASSES = {1004: "memory_activity", 1007: "process_activity", 0: "base_event"}


@cache
def validator(version, name, profiles):
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=version)).get_class_schema(class_name=name, profiles=list(profiles))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def check_ocsf(checks, rows, path, said):
    found = read(path)
    wanted = [row for row in rows if has_class(row)]
    checks.check("lines", len(found), len(wanted))
    checks.check("what is left out is said", "no form for" in said, len(rows) > len(wanted))
    for line, row in zip(found, wanted):
        profiles = tuple(line["metadata"].get("profiles", ()))
        errors = list(validator(line["metadata"]["version"], CLASSES[line["class_uid"]], profiles).iter_errors(line))
        checks.check(f"seq {row['seq']} by the schema", [f"{list(error.path)}: {error.message}" for error in errors], [])
        checks.check("type_uid", line["type_uid"], line["class_uid"] * 100 + line["activity_id"])
        checks.check("time", line["time"], row["ts_ns"] // 1_000_000)
        checks.check("row", (line["metadata"]["sequence"], line["metadata"]["event_code"]), (row["seq"], row["event"]))
        checks.check("duration", line.get("duration"), None if row["dur_ns"] is None or row["event"] == "lost" else row["dur_ns"] // 1_000_000)
        if row["event"] == "lost":
            checks.check("class", (line["class_uid"], line["count"]), (0, row["lost_count"]))
        elif row["event"] in LIFE:
            checks.check("class", (line["class_uid"], line["process"]["pid"]), (1007, row["pid"]))
        else:
            check_memory(checks, line, row)


def has_class(row):
    target = row["target_pid"] if row["target_pid"] is not None else row["target_pid_arg"]
    return row["event"] == "lost" or row["event"] in LIFE or (row["event"] not in PIPES | NO_CALL and target is not None)


def check_memory(checks, line, row):
    activity = {"in": 7, "out": 8}.get(row["direction"], 99)
    checks.check("class", (line["class_uid"], line["activity_id"]), (1004, activity))
    checks.check("actor", line["actor"]["process"]["pid"], row["pid"])
    checks.check("process", line["process"]["pid"], row["target_pid"] if row["target_pid"] is not None else row["target_pid_arg"])
    checks.check("size", line.get("size"), row["bytes"])
    actor = line["actor"]["process"]
    checks.check("thread", (actor["tid"], actor["uid"], line["status_code"] if row["errno"] else None), (row["tid"], row["process_key"], row["errno"]))
    for name, column in (("local", "local_iov"), ("remote", "remote_iov"), ("return", "ret"), ("verdict", "iov_verdict")):
        wanted = texts(row[column]) if column.endswith("_iov") else row[column]
        checks.check(name, line.get("unmapped", {}).get(name), wanted)
    permission = {7: 1, 8: 2}.get(activity)
    checks.check("requested", line.get("requested_permissions"), permission)
    checks.check("actual", line.get("actual_permissions"), permission and (0 if row["errno"] else permission))
    is_other = row["pid"] != (row["target_pid"] if row["target_pid"] is not None else row["target_pid_arg"])
    if activity != 99:
        checks.check("ATT&CK", "attacks" in line, is_other)


# Timesketch


def check_timesketch(checks, rows, path, _said):
    found = read(path)
    checks.check("lines", len(found), len(rows))
    types = {}
    for line, row in zip(found, rows):
        for name in ("message", "datetime", "timestamp_desc"):
            checks.holds("a column that must be there", isinstance(line.get(name), str) and line[name], name)
        checks.check("datetime", micros(line["datetime"]), row["ts_ns"] // 1000)
        checks.check("timestamp", line["timestamp"], row["ts_ns"] // 1000)
        checks.holds("datetime has an offset", line["datetime"].endswith("+00:00"), line["datetime"])
        checks.check("row", (line["seq"], line["pid"], line["event"]), (row["seq"], row["pid"], row["event"]))
        for name, value in row.items():
            if name != "ts":
                checks.check(name, line.get(name), attribute(name, value))
        for name, value in line.items():
            checks.holds("a plain value", isinstance(value, (str, int, bool)), name)
            checks.holds("a number of the database", not isinstance(value, int) or value < 2**63, f"{name}: {value}")
            checks.check(f"type of {name}", type(value), types.setdefault(name, type(value)))


def region(one):
    """A mapping in a text."""
    if not one["end"]:
        return "unmapped"
    return f"{one['start']:#x}-{one['end']:#x} {one['perms']} {one['path']}".rstrip()


def attribute(name, value):
    """A column as an attribute."""
    if name in ("flags", "data", "liovcnt", "riovcnt") and value is not None:
        return f"{value:#x}"
    if isinstance(value, bytes):
        return value.hex()
    if name == "remote_regions" and value is not None:
        return "; ".join(region(one) for one in value)
    if isinstance(value, list):
        return ";".join(f"{one['base']:#x}:{one['len']:#x}" for one in value)
    return value
