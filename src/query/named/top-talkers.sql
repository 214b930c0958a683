-- Who moved most bytes across address spaces, and between whom.
--
-- Lead: a process that reads much of another one's memory may be dumping it (ATT&CK T1003, OS Credential Dumping).
-- Benign: MPI ranks, Wine, debuggers, profilers and checkpointing tools do the same all day.
SELECT
    capture, comm, pid, target_comm, target_pid, bytes_in + bytes_out AS bytes, bytes_in, bytes_out, calls, failures,
    first_ts, last_ts, host
FROM edges
ORDER BY bytes DESC, calls DESC, capture, host, pid, target_pid, process_key, target_key
LIMIT 20
