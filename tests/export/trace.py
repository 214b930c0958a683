"""A trace of Perfetto, parsed with Perfetto's own messages and compared with the rows of the capture."""

from collections import Counter, defaultdict

from google.protobuf.unknown_fields import UnknownFieldSet
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

MONOTONIC = 3
LIFE = {"process_exec", "process_fork", "process_exit", "process_snapshot"}
SETS = {
    "vm": ["process_vm_readv", "process_vm_writev"],
    "pipe": ["vmsplice", "splice", "tee", "sendfile", "pipe_read", "pipe_write"],
    "ptrace": ["ptrace"],
    "mem": ["read", "write", "pread", "pwrite", "readv", "writev", "preadv", "pwritev", "preadv2", "pwritev2"],
    "pidfd": ["pidfd_getfd"],
    "madvise": ["process_madvise"],
    "uffd": ["uffd_copy", "uffd_move", "uffd_zeropage", "uffd_poison"],
}
SET_OF = {name: group for group, names in SETS.items() for name in names}
BETWEEN_FILES = {"splice", "tee", "sendfile"}
# Bytes of a trace for an event, where there are so many events that what is described once does not count.
LIMIT, MANY = 200, 150


class Parsed:
    """A trace with its texts in place of numbers."""

    def __init__(self, data):
        self.trace = Trace.FromString(data)
        self.texts = defaultdict(dict)
        self.tracks, self.events, self.order = {}, [], []
        for packet in self.trace.packet:
            self.learn(packet)
            if packet.HasField("track_descriptor"):
                self.tracks[packet.track_descriptor.uuid] = packet.track_descriptor
            if packet.HasField("track_event"):
                self.events.append(Event(self, packet))

    def learn(self, packet):
        for kind in ("event_categories", "event_names", "debug_annotation_names", "debug_annotation_string_values"):
            for entry in getattr(packet.interned_data, kind):
                text = entry.str.decode() if kind.endswith("values") else entry.name
                assert entry.iid not in self.texts[kind], f"{kind}: {entry.iid} twice"
                assert text not in self.texts[kind].values(), f"{kind}: {text} twice"
                self.texts[kind][entry.iid] = text

    def process_of(self, uuid):
        """The pid of a track, or of the track that it belongs to."""
        track = self.tracks[uuid]
        if track.HasField("process"):
            return track.process.pid
        return self.process_of(track.parent_uuid) if track.parent_uuid else None


class Event:
    def __init__(self, parsed, packet):
        event = packet.track_event
        self.kind, self.at, self.track = event.type, packet.timestamp, event.track_uuid
        self.name = parsed.texts["event_names"].get(event.name_iid, event.name)
        self.categories = [parsed.texts["event_categories"][iid] for iid in event.category_iids]
        self.flows, self.ends = list(event.flow_ids), list(event.terminating_flow_ids)
        self.value = event.counter_value
        self.args = {}
        for annotation in event.debug_annotations:
            self.args[parsed.texts["debug_annotation_names"][annotation.name_iid]] = self.plain(parsed, annotation)

    def plain(self, parsed, annotation):
        if annotation.dict_entries:
            names = parsed.texts["debug_annotation_names"]
            return {names[entry.name_iid]: self.plain(parsed, entry) for entry in annotation.dict_entries}
        if annotation.string_value_iid:
            return parsed.texts["debug_annotation_string_values"][annotation.string_value_iid]
        if annotation.array_values:
            return [self.plain(parsed, value) for value in annotation.array_values]
        value = annotation.WhichOneof("value")
        return getattr(annotation, value) if value else []


def check(checks, rows, path, _said):
    data = path.read_bytes()
    parsed = Parsed(data)
    unknown = [packet for packet in parsed.trace.packet if has_unknown(packet)]
    checks.check("fields that Perfetto does not know", len(unknown), 0)
    check_clocks(checks, parsed)
    check_tracks(checks, rows, parsed)
    check_events(checks, rows, parsed)
    check_flows(checks, rows, parsed)
    check_counters(checks, rows, parsed)
    if len(rows) >= MANY:
        checks.holds("bytes for an event", len(data) <= LIMIT * len(rows), f"{len(data) / len(rows):.0f}")


def has_unknown(message):
    if len(UnknownFieldSet(message)):
        return True
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            values = value if hasattr(value, "add") else [value]
            if any(has_unknown(inner) for inner in values):
                return True
    return False


def check_clocks(checks, parsed):
    first = parsed.trace.packet[0]
    checks.check("clock of all packets", first.trace_packet_defaults.timestamp_clock_id, MONOTONIC)
    checks.check("clocks in the snapshot", sorted(clock.clock_id for clock in first.clock_snapshot.clocks), [1, 3, 6])
    checks.check("state begins once", [packet.sequence_flags & 1 for packet in parsed.trace.packet].count(1), 1)
    checks.check("writers", {packet.trusted_packet_sequence_id for packet in parsed.trace.packet}, {1})


def identity(pid, start):
    # As exact as snapshots are.
    return (pid, (start or 0) // 10_000_000)


def check_tracks(checks, rows, parsed):
    """Each process and thread that did something has one track, which lies in its process."""
    processes = {identity(row["pid"], row["start_ns"]) for row in rows if row["event"] != "lost"}
    described = Counter(track.process.pid for track in parsed.tracks.values() if track.HasField("process"))
    for pid, count in Counter(pid for pid, _ in processes).items():
        checks.check(f"tracks of process {pid}", described[pid], count)
    threads = {(identity(row["pid"], row["start_ns"]), row["tid"]) for row in rows if row["event"] != "lost"}
    found = Counter((track.thread.pid, track.thread.tid) for track in parsed.tracks.values() if track.HasField("thread"))
    checks.check("threads", found, Counter((process[0], tid) for process, tid in threads))
    for track in parsed.tracks.values():
        if track.HasField("thread"):
            checks.check("a thread lies in its process", parsed.process_of(track.parent_uuid), track.thread.pid)


def check_events(checks, rows, parsed):
    """A slice or an instant for each row, at its time, on its thread, with its arguments."""
    begun, ended = {}, {}
    open_slices = {}
    for event in parsed.events:
        if event.kind == TrackEvent.TYPE_SLICE_END:
            ended[open_slices.pop(event.track)] = event
        elif "seq" in event.args:
            checks.holds("a row comes once", event.args["seq"] not in begun)
            begun[event.args["seq"]] = event
            if event.kind == TrackEvent.TYPE_SLICE_BEGIN:
                open_slices[event.track] = event.args["seq"]
    checks.check("slices without an end", open_slices, {})
    checks.check("rows", sorted(begun), [row["seq"] for row in rows])
    for row in rows:
        event = begun[row["seq"]]
        span = row["dur_ns"] if row["event"] in SET_OF and row["abi"] != "io_uring" else None
        request = row["ptrace_request"] or row["advice"]
        checks.check("name", event.name, f"{row['event']} {request}" if request else row["event"])
        checks.check("begin", event.at, row["mono_ns"] - (span or 0))
        checks.check("slice", row["seq"] in ended, span is not None)
        if span is not None:
            checks.check("end", ended[row["seq"]].at, row["mono_ns"])
        if row["event"] in SET_OF:
            check_call(checks, parsed, row, event)


def check_call(checks, parsed, row, event):
    track = parsed.tracks[event.track]
    checks.check("thread", (track.thread.pid, track.thread.tid), (row["pid"], row["tid"]))
    checks.holds("the thread has its first name", track.thread.thread_name)
    checks.check("category", event.categories, [SET_OF[row["event"]]])
    checks.check("errno", event.args.get("errno"), row["errno"])
    if row["errno"] is None:
        checks.check("bytes", event.args.get("bytes"), row["bytes"])
    for name, column in (("remote", "remote_iov"), ("local", "local_iov")):
        wanted = row[column]
        found = event.args.get(name)
        if wanted is None:
            checks.check(name, found, None)
        else:
            pairs = [(one["base"], one["len"]) for one in wanted]
            checks.check(name, [(one["base"], one["len"]) for one in found], pairs[:4])
            if len(pairs) > 4:
                checks.holds(f"{name}_ranges", event.args[f"{name}_ranges"] >= len(pairs))


def ends_of(row):
    """What is at both ends of the arrow of a call: a process or a pipe, or nothing."""
    if not row["bytes"] or row["bytes"] < 0 or (row["direction"] is None and row["event"] not in BETWEEN_FILES):
        return None, None
    pipes = [f"pipe {row[column]}" if row[kind] in ("pipe", "fifo") and row[column] is not None else None
             for column, kind in (("pipe_in", "fd_in_kind"), ("pipe_out", "fd_out_kind"))]
    name, inward = row["event"], row["direction"] == "in"
    other = f"process {row['target_pid']}" if row["target_pid"] not in (None, row["pid"]) else None
    if name in BETWEEN_FILES:
        return pipes[0], pipes[1]
    if name == "pipe_read" or (name == "vmsplice" and inward):
        return pipes[0], None
    if name == "pipe_write" or name == "vmsplice":
        return None, pipes[1]
    return (other, None) if inward else (None, other)


def check_flows(checks, rows, parsed):
    """The arrow of each transfer: from where the bytes came, through the call, to where they went."""
    by_flow = defaultdict(list)
    for number, event in enumerate(parsed.events):
        for flow in event.flows + event.ends:
            by_flow[flow].append((event.at, number, event))
    wanted = {}
    for row in rows:
        if row["event"] in SET_OF:
            source, sink = ends_of(row)
            if source or sink:
                wanted[row["seq"] + 1] = [end for end in (source, f"call {row['seq']}", sink) if end]
    found = {}
    for flow, events in by_flow.items():
        # As Perfetto does: by time, and among equal ones by their place.
        ordered = [event for _, _, event in sorted(events, key=lambda one: one[:2])]
        checks.check("the last event ends an arrow", [bool(event.ends) for event in ordered], [False] * (len(ordered) - 1) + [True])
        found[flow] = [place_of(parsed, event) for event in ordered]
    checks.check("arrows", found, wanted)


def place_of(parsed, event):
    if "seq" in event.args:
        return f"call {event.args['seq']}"
    track = parsed.tracks[event.track]
    if track.HasField("process"):
        return f"process {track.process.pid}"
    return f"pipe {track.name.rpartition('[')[2].rstrip(']')}"


def check_counters(checks, rows, parsed):
    """Over all windows, the counters of a process add up to the bytes that came into its memory and out of it."""
    sums, values = Counter(), defaultdict(list)
    for row in rows:
        if row["event"] not in SET_OF or row["event"] in BETWEEN_FILES or row["direction"] is None or not row["bytes"] or row["bytes"] < 0:
            continue
        inward = row["direction"] == "in"
        sums[row["pid"], "bytes/s into memory" if inward else "bytes/s out of memory"] += row["bytes"]
        is_register = row["ptrace_request"] and not row["ptrace_request"].endswith(("TEXT", "DATA"))
        if SET_OF[row["event"]] != "pipe" and row["target_pid"] is not None and not is_register:
            sums[row["target_pid"], "bytes/s out of memory" if inward else "bytes/s into memory"] += row["bytes"]
    for event in parsed.events:
        if event.kind == TrackEvent.TYPE_COUNTER:
            values[event.track].append((event.at, event.value))
    found, slack = Counter(), Counter()
    for track, series in values.items():
        checks.check("a counter is in the order of time", series, sorted(series, key=lambda one: one[0]))
        checks.check("a counter ends at nothing", series[-1][1], 0)
        key = (parsed.process_of(track), parsed.tracks[track].name)
        for (at, rate), (until, _) in zip(series, series[1:]):
            found[key] += rate * (until - at) / 1e9
            slack[key] += (until - at) / 1e9 + 0.001
    checks.check("counters", sorted(found.keys()), sorted(sums.keys()))
    for key, total in sums.items():
        checks.holds(f"bytes of {key}", abs(found[key] - total) <= slack[key] + total * 1e-9, f"{found[key]} for {total}")
