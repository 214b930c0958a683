"""Packets of pcapng, as tshark reads them."""

import subprocess

FIELDS = ["frame.time_epoch", "frame.interface_name", "frame.comment", "frame.len", "frame.cap_len", "frame.packet_flags_direction",
          "_ws.col.Protocol", "data.data"]
# Tags in front of the bytes of a packet are of the same length in both lengths.
DIRECTIONS = {"in": "0x00000001", "out": "0x00000002"}


def tshark(path):
    """A dictionary per packet."""
    words = ["tshark", "-n", "-r", path, "-T", "fields", "-E", "separator=/t", "-E", "occurrence=f"]
    done = subprocess.run(words + [word for field in FIELDS for word in ("-e", field)], capture_output=True, text=True, check=True)
    return [dict(zip(FIELDS, line.split("\t"))) for line in done.stdout.splitlines()]


def check(checks, rows, path, said):
    with_bytes = [row for row in rows if row["payload"]]
    found = tshark(path)
    checks.check("packets", len(found), len(with_bytes))
    left_out = sum(1 for row in rows if not row["payload"])
    checks.check("what is left out is said", f"pcapng has no form for {left_out:,} event" in said, left_out > 0)
    for packet, row in zip(found, with_bytes):
        checks.check("bytes", packet["data.data"].replace(":", ""), row["payload"].hex())
        seconds, _, fraction = packet["frame.time_epoch"].partition(".")
        checks.check("instant", int(seconds) * 10**9 + int(fraction.ljust(9, "0")), row["ts_ns"])
        checks.check("protocol", packet["_ws.col.Protocol"], row["event"])
        checks.check("direction", packet["frame.packet_flags_direction"], DIRECTIONS.get(row["direction"], ""))
        missing = int(packet["frame.len"]) - int(packet["frame.cap_len"])
        checks.check("bytes that were not kept", missing, max(row["payload_total"] - row["payload_len"], 0))
        checks.holds("comment", f"seq {row['seq']}" in packet["frame.comment"], packet["frame.comment"])
        checks.holds("name in the comment", f"{row['comm']}[{row['pid']}] {row['event']}" in packet["frame.comment"])
        for column in ("local_iov", "remote_iov"):
            for one in (row[column] or [])[:1]:
                checks.holds(column, f"{one['base']:#x}+{one['len']}" in packet["frame.comment"], packet["frame.comment"])
        interface = packet["frame.interface_name"]
        pipes = [row["pipe_in"], row["pipe_out"]]
        if any(pipes):
            checks.holds("the interface is the pipe", f"pipe:[{next(filter(None, pipes))}]" in interface, interface)
        else:
            checks.holds("the interface is the pair", f"[{row['pid']}]" in interface, interface)
            if row["target_pid"]:
                checks.holds("the interface is the pair", f"[{row['target_pid']}]" in interface, interface)
    by_pair = {(row["pid"], row["start_ns"], row["target_pid"], row["pipe_in"] or row["pipe_out"]) for row in with_bytes}
    interfaces = {packet["frame.interface_name"] for packet in found}
    checks.holds("an interface a pair", len(interfaces) <= len(by_pair), f"{len(interfaces)} of {len(by_pair)}")
